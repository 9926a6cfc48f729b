import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;

/** Sends of all kinds: their results, what consumers see of them, and what is refused. */
final class Sends {
    private static final String TOPIC = "differential-sends";
    private static DefaultMQProducer producer;

    private Sends() {}

    static void run() throws Exception {
        producer = Clients.producer("differential-senders");
        producer.setMaxMessageSize(64 << 20);
        results();
        seen();
        refused();
        lookups();
    }

    private static Object result(SendResult result, Message message) {
        Map<String, Object> said = new TreeMap<>();
        said.put("status", result.getSendStatus().name());
        said.put("id is the message's", result.getMsgId().equals(message.getProperty("UNIQ_KEY")));
        said.put("offset id", result.getOffsetMsgId() == null ? "none" : result.getOffsetMsgId().length() + " characters");
        said.put("transaction is the message", message.getProperty("UNIQ_KEY").equals(result.getTransactionId()));
        said.put("region", result.getRegionId());
        said.put("trace", result.isTraceOn());
        said.put("recall handle", result.getRecallHandle() != null);
        return said;
    }

    private static void results() throws Exception {
        Message normal = Clients.message(TOPIC, "a", "normal");
        Clients.report("sends: normal", result(producer.send(normal), normal));
        List<Long> offsets = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            offsets.add(producer.send(Clients.message("differential-offsets", "a", "chosen " + i), (queues, m, of) -> queues.get(0), null)
                .getQueueOffset());
        }
        Clients.report("sends: offsets in a queue", offsets);
        Message callback = Clients.message(TOPIC, "a", "async");
        Object[] answer = new Object[1];
        producer.send(callback, new SendCallback() {
            @Override public void onSuccess(SendResult result) {
                answer[0] = result(result, callback);
            }

            @Override public void onException(Throwable error) {
                answer[0] = error.getClass().getSimpleName();
            }
        });
        Clients.await(20, "an answer", () -> answer[0] != null);
        Clients.report("sends: async", answer[0]);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 3; i++) batch.add(Clients.message(TOPIC, "a", "batch " + i));
        SendResult batched = producer.send(batch);
        Clients.report("sends: batch", Arrays.asList(batched.getSendStatus().name(), batched.getMsgId().split(",").length,
            batched.getOffsetMsgId().split(",").length));
        Message delayed = Clients.message("differential-later", "a", "delayed");
        delayed.setDelayTimeLevel(18);
        Clients.report("sends: delayed by a level", result(producer.send(delayed), delayed));
        Message timed = Clients.message("differential-later", "a", "timed");
        timed.setDelayTimeSec(3600);
        Clients.report("sends: delayed by seconds", result(producer.send(timed), timed));
    }

    private static void seen() throws Exception {
        String topic = "differential-seen";
        List<Message> messages = new ArrayList<>();
        messages.add(Clients.message(topic, "a", "plain"));
        messages.add(new Message(topic, "nothing but a body".getBytes(StandardCharsets.UTF_8)));
        messages.add(new Message(topic, "", "", "empty".getBytes(StandardCharsets.UTF_8)));
        Message full = new Message(topic, "a", "k1 k2", 7, "full".getBytes(StandardCharsets.UTF_8), false);
        full.putUserProperty("own", "1");
        full.putUserProperty("with space", " x y ");
        full.putUserProperty("grün", "日本 & <ü>");
        full.setBuyerId("buyer");
        MessageAccessor.putProperty(full, "__SHARDINGKEY", "shard");
        MessageAccessor.putProperty(full, "MSG_REGION", "mine");
        MessageAccessor.putProperty(full, "TRACE_ON", "false");
        messages.add(full);
        Message compressed = Clients.message(topic, "a", "compressed");
        compressed.setBody(new String(new char[5000]).replace("\0", "x").getBytes(StandardCharsets.UTF_8));
        messages.add(compressed);
        for (Message message : messages) producer.send(message, (queues, m, of) -> queues.get(0), null);
        DefaultMQPullConsumer consumer = Clients.puller("differential-seers");
        MessageQueue queue = Clients.queue(topic, 0);
        List<MessageExt> found = Clients.all(consumer, queue);
        for (int i = 0; i < messages.size(); i++) {
            MessageExt message = found.get(i);
            Map<String, Object> described = Clients.describe(message);
            described.put("body", message.getBody().length + " bytes");
            Clients.report("sends: what is seen of message " + i, described);
        }
    }

    private static String repeated(char letter, int count) {
        char[] letters = new char[count];
        Arrays.fill(letters, letter);
        return new String(letters);
    }

    /** A send past the client's own checks. */
    private static Object raw(String topic, int queue, byte[] body, String properties, int sysFlag) {
        return Clients.outcome(() -> {
            SendMessageRequestHeader header = new SendMessageRequestHeader();
            header.setProducerGroup("differential-senders");
            header.setTopic(topic);
            header.setDefaultTopic("TBW102");
            header.setDefaultTopicQueueNums(4);
            header.setQueueId(queue);
            header.setSysFlag(sysFlag);
            header.setBornTimestamp(System.currentTimeMillis());
            header.setFlag(0);
            header.setProperties(properties);
            header.setReconsumeTimes(0);
            header.setUnitMode(false);
            header.setBatch(false);
            RemotingCommand command = RemotingCommand.createRequestCommand(10, header);
            command.setBody(body);
            return "answered " + Clients.ask(producer, command).getCode();
        });
    }

    private static void refused() {
        byte[] body = "x".getBytes(StandardCharsets.UTF_8);
        Clients.report("sends: a body of 4 MiB", raw(TOPIC, 0, new byte[4 << 20], "", 0));
        Clients.report("sends: a body of more than 4 MiB", raw(TOPIC, 0, new byte[(4 << 20) + 1], "", 0));
        Clients.report("sends: a topic of 127 characters", raw(repeated('t', 127), 0, body, "", 0));
        Clients.report("sends: a topic of 128 characters", raw(repeated('t', 128), 0, body, "", 0));
        Clients.report("sends: a topic with a space", raw("a topic", 0, body, "", 0));
        Clients.report("sends: a topic of other letters", raw("thème", 0, body, "", 0));
        Clients.report("sends: the topic that others are made of", raw("TBW102", 0, body, "", 0));
        Clients.report("sends: an empty topic", raw("", 0, body, "", 0));
        Clients.report("sends: a queue that is not there", raw(TOPIC, 99, body, "", 0));
        Clients.report("sends: any queue", raw(TOPIC, -1, body, "", 0));
        Clients.report("sends: properties of 32 KiB", raw(TOPIC, 0, body, "p\u0001" + repeated('v', 32 << 10) + "\u0002", 0));
        Clients.report("sends: properties with an end missing", raw(TOPIC, 0, body, "p\u0001v\u0002q\u0001w", 0));
        Clients.report("sends: no body", raw(TOPIC, 0, new byte[0], "", 0));
        Clients.report("sends: a body that is not compressed as it says", raw(TOPIC, 0, body, "", 1));
        Clients.report("sends: a delay level of 19", raw(TOPIC, 0, body, "DELAY\u000119\u0002", 0));
        Clients.report("sends: a delay level that is no number", raw(TOPIC, 0, body, "DELAY\u0001x\u0002", 0));
        long days = System.currentTimeMillis() + 24L * 3_600_000;
        Clients.report("sends: at a time in 2 days", raw(TOPIC, 0, body, "TIMER_DELIVER_MS\u0001" + (days + 24L * 3_600_000) + "\u0002", 0));
        Clients.report("sends: at a time in 5 days", raw(TOPIC, 0, body, "TIMER_DELIVER_MS\u0001" + (days + 96L * 3_600_000) + "\u0002", 0));
        Clients.report("sends: at a time in 50 days", raw(TOPIC, 0, body, "TIMER_DELIVER_MS\u0001" + (days + 49L * 86_400_000) + "\u0002", 0));
        Clients.report("sends: at a time that is no number", raw(TOPIC, 0, body, "TIMER_DELIVER_MS\u0001x\u0002", 0));
        Clients.report("sends: a batch as C++ clients say it", Clients.outcome(() -> {
            List<Message> batch = Arrays.asList(Clients.message("differential-cpp", "t", "one"), Clients.message("differential-cpp", "t", "two"));
            RemotingCommand command = RemotingCommand.createRequestCommand(10, null);
            String[] fields = {"producerGroup", "x", "topic", "differential-cpp", "defaultTopic", "TBW102", "defaultTopicQueueNums", "4", "queueId", "0",
                "sysFlag", "0", "bornTimestamp", String.valueOf(System.currentTimeMillis()), "flag", "0", "properties", "", "reconsumeTimes", "0",
                "unitMode", "0", "batch", "1"};
            for (int i = 0; i < fields.length; i += 2) command.addExtField(fields[i], fields[i + 1]);
            command.setBody(MessageDecoder.encodeMessages(batch));
            Clients.ask(producer, command);
            DefaultMQPullConsumer reader = Clients.puller("differential-cpp-readers");
            return Clients.all(reader, Clients.queue("differential-cpp", 0)).size();
        }));
        for (String name : Arrays.asList("SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "rmq_sys_wheel_timer")) {
            Clients.report("sends: to " + name, raw(name, 0, body, "", 0));
        }
    }

    private static void lookups() throws Exception {
        String topic = "differential-lookups";
        long begin = System.currentTimeMillis() - 1000;
        Message message = new Message(topic, "a", "order-1 all", "found".getBytes(StandardCharsets.UTF_8));
        SendResult sent = producer.send(message);
        producer.send(new Message(topic, "a", "order-2 all", "other".getBytes(StandardCharsets.UTF_8)));
        // Apache's index is written behind.
        Clients.await(20, "the index", () -> "2".equals(Clients.outcome(() -> "" + count(topic, "all", begin))));
        Clients.report("lookups: by a key", Clients.outcome(() -> count(topic, "order-1", begin)));
        Clients.report("lookups: by a key of several", Clients.outcome(() -> count(topic, "all", begin)));
        Clients.report("lookups: by a part of a key", Clients.outcome(() -> count(topic, "order", begin)));
        Clients.report("lookups: by its unique id", Clients.outcome(() -> Clients.text(producer.viewMessage(topic, sent.getMsgId()))));
        Clients.report("lookups: by its unique id as a key", Clients.outcome(() -> count(topic, sent.getMsgId(), begin)));
        Clients.report("lookups: by its offset id", Clients.outcome(() -> Clients.text(producer.viewMessage(topic, sent.getOffsetMsgId()))));
        Clients.report("lookups: before it was sent", Clients.outcome(() ->
            producer.queryMessage(topic, "order-1", 32, begin - 2000, begin - 1000).getMessageList().size()));
        Clients.report("lookups: in no topic", Clients.outcome(() -> count("differential-nowhere", "order-1", begin)));
        String offsetId = sent.getOffsetMsgId();
        Clients.report("lookups: by an offset id of nothing", Clients.outcome(() ->
            Clients.text(MessageDecoder.decode(java.nio.ByteBuffer.wrap(viewed(offsetId))))));
    }

    private static byte[] viewed(String offsetId) throws Exception {
        org.apache.rocketmq.remoting.protocol.header.ViewMessageRequestHeader header =
            new org.apache.rocketmq.remoting.protocol.header.ViewMessageRequestHeader();
        header.setOffset(MessageDecoder.decodeMessageId(offsetId).getOffset() + (1L << 40));
        RemotingCommand answer = Clients.ask(producer, RemotingCommand.createRequestCommand(33, header));
        if (answer.getCode() != 0) throw new org.apache.rocketmq.client.exception.MQBrokerException(answer.getCode(), answer.getRemark());
        return answer.getBody();
    }

    private static int count(String topic, String key, long begin) throws Exception {
        return producer.queryMessage(topic, key, 32, begin, System.currentTimeMillis() + 1000).getMessageList().size();
    }
}
