import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Clients of the server that is asked, what it says put in one form, and the lines that are compared. */
final class Clients {
    static String server;
    /** Of a broker, which may listen elsewhere than the name server does. */
    static String broker;
    static String brokerName;

    private Clients() {}

    interface Call {
        Object run() throws Exception;
    }

    /** A line of what is compared. Keys are the same for both servers, each once. */
    static synchronized void report(String key, Object value) {
        Map<String, Object> line = new TreeMap<>();
        line.put("key", key);
        line.put("value", value);
        System.out.println(RemotingSerializable.toJson(line, false));
        System.out.flush();
    }

    /** What a call gives, or the code of its refusal. */
    static Object outcome(Call call) {
        try {
            return call.run();
        } catch (Throwable error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (cause instanceof MQBrokerException) return "refused with " + ((MQBrokerException) cause).getResponseCode();
            }
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (cause instanceof MQClientException && ((MQClientException) cause).getResponseCode() >= 0) {
                    return "refused with " + ((MQClientException) cause).getResponseCode();
                }
            }
            return error.toString();
        }
    }

    static void await(int seconds, String what, BooleanSupplier holds) throws InterruptedException {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() > end) throw new IllegalStateException("not within " + seconds + " s: " + what);
            Thread.sleep(20);
        }
    }

    static DefaultMQProducer producer(String group) throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(group);
        producer.setNamesrvAddr(server);
        producer.setInstanceName(group);
        producer.setSendMsgTimeout(10_000);
        // Apache's broker turns sends away while it is busy.
        producer.setRetryTimesWhenSendFailed(5);
        producer.start();
        return producer;
    }

    static DefaultMQPullConsumer puller(String group) throws MQClientException {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName(group);
        consumer.start();
        return consumer;
    }

    static DefaultMQPushConsumer pusher(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName(group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        return consumer;
    }

    static DefaultMQAdminExt admin(String instance) throws MQClientException {
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(server);
        admin.setInstanceName(instance);
        admin.start();
        return admin;
    }

    static MQClientAPIImpl api(DefaultMQProducer producer) {
        return producer.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl();
    }

    /** What the broker answers to a command that no client would send so. */
    static RemotingCommand ask(DefaultMQProducer producer, RemotingCommand command) throws Exception {
        return api(producer).getRemotingClient().invokeSync(broker, command, 10_000);
    }

    static Message message(String topic, String tag, String body) {
        return new Message(topic, tag, "key-" + body, body.getBytes(StandardCharsets.UTF_8));
    }

    static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    static MessageQueue queue(String topic, int id) {
        return new MessageQueue(topic, brokerName, id);
    }

    /** What a consumer sees of a message, without what can't be the same twice. */
    static Map<String, Object> describe(MessageExt message) {
        Map<String, Object> seen = new TreeMap<>();
        seen.put("topic", message.getTopic());
        seen.put("body", text(message));
        seen.put("flag", message.getFlag());
        seen.put("sys flag", message.getSysFlag());
        seen.put("times", message.getReconsumeTimes());
        seen.put("born at", message.getBornHostString());
        seen.put("born in time", Math.abs(System.currentTimeMillis() - message.getBornTimestamp()) < 600_000);
        seen.put("stored in time", Math.abs(System.currentTimeMillis() - message.getStoreTimestamp()) < 600_000);
        seen.put("prepared offset is zero", message.getPreparedTransactionOffset() == 0);
        seen.put("properties", properties(message));
        return seen;
    }

    static Map<String, String> properties(Message message) {
        Map<String, String> properties = new TreeMap<>();
        message.getProperties().forEach((name, value) -> properties.put(name, normal(name, value)));
        return properties;
    }

    private static String normal(String name, String value) {
        switch (name) {
            case "CLUSTER": return "(a name)";
            case "MIN_OFFSET":
            case "MAX_OFFSET": return "(an offset)";
            case "REAL_QID": return "(a queue)";
            default:
        }
        if (value.matches("[0-9]{13}")) return "(a time)";
        if (value.matches("[0-9A-Fa-f]{32,56}")) return "(an id)";
        return value;
    }

    /** All messages of a queue, from the beginning. */
    static List<MessageExt> all(DefaultMQPullConsumer consumer, MessageQueue queue) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        long end = consumer.maxOffset(queue);
        for (long offset = consumer.minOffset(queue); offset < end;) {
            org.apache.rocketmq.client.consumer.PullResult result = consumer.pull(queue, "*", offset, 32);
            if (result.getMsgFoundList() != null) messages.addAll(result.getMsgFoundList());
            offset = result.getNextBeginOffset();
        }
        return messages;
    }
}
