import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Consumes a topic with RocketMQ's own client, and prints a line a message: whoever runs it knows what they should be. */
public final class TopicsCheck {
    private static final AtomicInteger came = new AtomicInteger();
    private static final Set<String> refused = ConcurrentHashMap.newKeySet();
    private static String server;
    private static String topic;
    private static String group;
    private static String condition;
    /** A message with this body is not taken the first time. */
    private static String again;

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        String[] rest = Arrays.copyOfRange(arguments, 2, arguments.length);
        topic = rest[0];
        if (arguments[1].equals("send")) {
            send(Integer.parseInt(rest[1]), Integer.parseInt(rest[2]));
        } else {
            group = rest[1];
            int count = Integer.parseInt(rest[2]);
            condition = rest[3];
            again = rest.length > 4 ? rest[4] : null;
            if (arguments[1].equals("lite")) lite(count); else push(arguments[1], count);
        }
        // Some of the client's threads would keep the program.
        System.exit(0);
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String encoded(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    /** Whether the message is taken. */
    private static boolean show(MessageExt message) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        if (body.equals(again) && refused.add(body)) return false;
        StringBuilder properties = new StringBuilder();
        for (Map.Entry<String, String> pair : new TreeMap<>(message.getProperties()).entrySet()) {
            properties.append(pair.getKey()).append('\u0001').append(pair.getValue()).append('\u0002');
        }
        say(String.join("\t", "message", message.getTopic(), String.valueOf(message.getQueueId()),
            String.valueOf(message.getQueueOffset()), String.valueOf(message.getReconsumeTimes()), message.getMsgId(),
            encoded(message.getBody()), encoded(properties.toString().getBytes(StandardCharsets.UTF_8))));
        came.incrementAndGet();
        return true;
    }

    private static void send(int from, int until) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("topic-senders");
        producer.setNamesrvAddr(server);
        producer.start();
        try {
            for (int i = from; i < until; i++) {
                byte[] body = ("body " + i).getBytes(StandardCharsets.UTF_8);
                Message message = new Message(topic, i % 3 == 0 ? "free" : "paid", "key-" + i, body);
                message.putUserProperty("amount", String.valueOf(i));
                producer.send(message, (queues, m, of) -> queues.get((Integer) of % queues.size()), i);
            }
            say("sent");
        } catch (MQBrokerException error) {
            say("refused\t" + error.getResponseCode() + "\t" + error.getErrorMessage());
        }
        producer.shutdown();
    }

    private static void push(String how, int count) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        if (how.equals("broadcast")) broadcasts(consumer);
        consumer.subscribe(topic, condition.equals("*") ? MessageSelector.byTag("*") : MessageSelector.bySql(condition));
        if (how.equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
                show(messages.get(0)) ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                show(messages.get(0)) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        consumer.start();
        waitFor(count);
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        Thread.sleep(500);
        consumer.shutdown();
    }

    /** The model's type is in another package in each release. */
    private static void broadcasts(DefaultMQPushConsumer consumer) throws ReflectiveOperationException {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if (!method.getName().equals("setMessageModel")) continue;
            for (Object model : method.getParameterTypes()[0].getEnumConstants()) {
                if (model.toString().equals("BROADCASTING")) method.invoke(consumer, model);
            }
        }
    }

    private static void lite(int count) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.subscribe(topic, condition.equals("*") ? MessageSelector.byTag("*") : MessageSelector.bySql(condition));
        consumer.start();
        Thread polls = new Thread(() -> {
            while (true) {
                List<MessageExt> messages = consumer.poll(200);
                messages.forEach(TopicsCheck::show);
                consumer.commitSync();
            }
        });
        polls.setDaemon(true);
        polls.start();
        waitFor(count);
        Thread.sleep(500);
    }

    /** And a while longer, for those that must not come. */
    private static void waitFor(int count) throws InterruptedException {
        long end = System.currentTimeMillis() + 90_000;
        while (came.get() < count && System.currentTimeMillis() < end) Thread.sleep(50);
        Thread.sleep(1500);
    }
}
