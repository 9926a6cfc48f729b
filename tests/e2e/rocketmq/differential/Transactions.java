import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Transactions: their ends, the questions, and what is seen of them. */
final class Transactions {
    private static final String TOPIC = "differential-halves";

    private Transactions() {}

    private static LocalTransactionState state(String word) {
        switch (word) {
            case "commit": return LocalTransactionState.COMMIT_MESSAGE;
            case "rollback": return LocalTransactionState.ROLLBACK_MESSAGE;
            default: return LocalTransactionState.UNKNOW;
        }
    }

    static void run() throws Exception {
        Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
        Map<String, MessageExt> shown = new ConcurrentHashMap<>();
        TransactionMQProducer producer = new TransactionMQProducer("differential-halves-senders");
        producer.setNamesrvAddr(Clients.server);
        producer.setInstanceName("differential-halves-senders");
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return state(Clients.text(message).split(" ")[0]);
            }

            @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String body = Clients.text(message);
                int times = asked.computeIfAbsent(body, key -> new AtomicInteger()).incrementAndGet();
                shown.putIfAbsent(body, message);
                // What is undecided at first is decided at the second question.
                return state(times < 2 ? "unknown" : body.split(" ")[1]);
            }
        });
        producer.start();
        for (String body : Arrays.asList("commit now", "rollback now", "later commit", "later rollback")) {
            Message message = Clients.message(TOPIC, "t", body);
            message.putUserProperty("own", "1");
            TransactionSendResult result = producer.sendMessageInTransaction(message, null);
            Map<String, Object> said = new TreeMap<>();
            said.put("status", result.getSendStatus().name());
            said.put("state", result.getLocalTransactionState().name());
            said.put("transaction is the message", message.getProperty("UNIQ_KEY").equals(result.getTransactionId()));
            said.put("offset id", result.getOffsetMsgId() == null ? "none" : result.getOffsetMsgId().length() + " characters");
            Clients.report("transactions: result of " + body, said);
        }
        Map<String, MessageExt> came = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = Clients.pusher("differential-halves-group");
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) came.put(Clients.text(message), message);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Clients.await(120, "both that are committed", () -> came.size() >= 2);
        Clients.await(120, "the last question", () -> asked.containsKey("later rollback") && asked.get("later rollback").get() >= 2);
        Thread.sleep(1000);
        List<String> bodies = new ArrayList<>(new TreeMap<>(came).keySet());
        Clients.report("transactions: committed", bodies);
        for (String body : bodies) Clients.report("transactions: seen of " + body, Clients.describe(came.get(body)));
        for (String body : Arrays.asList("later commit", "later rollback")) {
            Clients.report("transactions: shown with the question about " + body, Clients.describe(shown.get(body)));
        }
        consumer.shutdown();
    }
}
