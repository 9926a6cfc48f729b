import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.client.consumer.AckCallback;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PopCallback;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** What Java programs do with RocketMQ's own 5.x client by pop, one part a run. Prints a line a check; any failure throws. */
public final class PopCheck {
    private static final String BROKER = "millstream";
    private static String server;
    private static DefaultMQProducer producer;

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        producer = new DefaultMQProducer("pop-senders");
        producer.setNamesrvAddr(server);
        producer.start();
        // Some of the client's threads would keep the program.
        try {
            part(arguments[1], Arrays.copyOfRange(arguments, 2, arguments.length));
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private static void part(String name, String[] rest) throws Exception {
        switch (name) {
            case "pop": pop(); break;
            case "pop-filters": filters(); break;
            case "pop-dead": dead(); break;
            case "pop-receipts": receipts(); break;
            case "fill": fill(rest[0], Integer.parseInt(rest[1])); break;
            case "take": take(rest[0], rest[1], Integer.parseInt(rest[2]), Integer.parseInt(rest[3])); break;
            default: throw new AssertionError(name);
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    private static void await(int seconds, String what, BooleanSupplier holds) throws InterruptedException {
        long end = System.currentTimeMillis() + seconds * 1000L;
        while (!holds.getAsBoolean()) {
            check(System.currentTimeMillis() < end, "not within " + seconds + " s: " + what);
            Thread.sleep(50);
        }
    }

    private static MQClientAPIImpl api() {
        return producer.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl();
    }

    private static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static SendResult send(String topic, String tag, String body) throws Exception {
        Message message = new Message(topic, tag, "key-" + body, body.getBytes(StandardCharsets.UTF_8));
        String digits = body.replaceAll("\\D", "");
        if (!digits.isEmpty()) message.putUserProperty("number", digits);
        return producer.send(message);
    }

    /** One of a group that pops, as its client finds out by asking which queues it has. */
    private static DefaultMQPushConsumer popper(String topic, String group, String instance) throws Exception {
        api().setMessageRequestMode(server, topic, group, MessageRequestMode.POP, 0, 5000);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName(instance);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setClientRebalance(false);
        return consumer;
    }

    private static void pop() throws Exception {
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 60; i++) {
            expected.add("m" + i);
            send("java-pop", "a", "m" + i);
        }
        Map<String, Integer> times = new ConcurrentHashMap<>();
        Map<String, Integer> by = new ConcurrentHashMap<>();
        Map<Integer, Integer> again = new ConcurrentHashMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (String instance : new String[] {"one", "two"}) {
            DefaultMQPushConsumer consumer = popper("java-pop", "java-poppers", instance);
            consumer.subscribe("java-pop", "*");
            consumer.setPopBatchNums(4);
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                MessageExt message = messages.get(0);
                String body = text(message);
                by.merge(instance, 1, Integer::sum);
                int time = times.merge(body, 1, Integer::sum);
                if (body.equals("m7")) again.put(time, message.getReconsumeTimes());
                return body.equals("m7") && time == 1 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        await(60, "all, " + times, () -> times.keySet().containsAll(expected));
        say("popped");
        await(40, "the one that failed", () -> times.get("m7") == 2);
        check(again.get(1) == 0 && again.get(2) == 1, "times " + again);
        say("popped again");
        for (int i = 60; i < 90; i++) {
            expected.add("m" + i);
            send("java-pop", "a", "m" + i);
        }
        await(30, "those that were sent later", () -> times.keySet().containsAll(expected));
        Thread.sleep(1000);
        times.forEach((body, time) -> check(time == (body.equals("m7") ? 2 : 1), body + " came " + time + " times"));
        check(by.size() == 2, "shared " + by);
        say("each to one");
        consumers.forEach(DefaultMQPushConsumer::shutdown);
    }

    private static void filters() throws Exception {
        for (int i = 0; i < 10; i++) {
            for (String tag : new String[] {"a", "b", "c"}) send("java-pop-filters", tag, tag + i);
        }
        Set<String> tagged = Collections.newSetFromMap(new ConcurrentHashMap<>());
        Set<String> selected = Collections.newSetFromMap(new ConcurrentHashMap<>());
        DefaultMQPushConsumer byTag = popper("java-pop-filters", "java-pop-tags", "tags");
        byTag.subscribe("java-pop-filters", "a || b");
        byTag.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> tagged.add(text(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        byTag.start();
        DefaultMQPushConsumer bySelector = popper("java-pop-filters", "java-pop-selectors", "selectors");
        bySelector.subscribe("java-pop-filters", MessageSelector.bySql("number > 6 AND TAGS <> 'a'"));
        bySelector.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> selected.add(text(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        bySelector.start();
        Set<String> expected = new HashSet<>(Arrays.asList("b7", "b8", "b9", "c7", "c8", "c9"));
        await(60, "by tags and by a condition: " + tagged + selected, () -> tagged.size() == 20 && selected.size() == 6);
        Thread.sleep(1000);
        check(tagged.stream().noneMatch(body -> body.startsWith("c")) && tagged.size() == 20, "tagged " + tagged);
        check(selected.equals(expected), "selected " + selected);
        say("popped by tags and by a condition");
        byTag.shutdown();
        bySelector.shutdown();
    }

    /** The server hands each message out twice. */
    private static void dead() throws Exception {
        send("java-pop-dead", "a", "never");
        Map<String, Integer> times = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = popper("java-pop-dead", "java-pop-mourners", "mourner");
        consumer.subscribe("java-pop-dead", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> times.merge(text(message), 1, Integer::sum));
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        List<String> letters = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer undertaker = new DefaultMQPushConsumer("java-undertakers");
        undertaker.setNamesrvAddr(server);
        undertaker.setInstanceName("undertaker");
        undertaker.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        undertaker.subscribe("%DLQ%java-pop-mourners", "*");
        undertaker.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> letters.add(text(message) + " " + message.getReconsumeTimes() + " " + message.getProperty("DLQ_ORIGIN_TOPIC")));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        undertaker.start();
        await(120, "the dead letter, after " + times, () -> letters.contains("never 1 java-pop-dead"));
        check(times.get("never") == 2, "times " + times);
        say("popped twice, and dead");
        consumer.shutdown();
        undertaker.shutdown();
    }

    private static List<MessageExt> popped(String topic, String group, int most, long invisibleMs, long pollMs) throws Exception {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setMaxMsgNums(most);
        header.setInvisibleTime(invisibleMs);
        header.setPollTime(pollMs);
        header.setBornTime(System.currentTimeMillis());
        header.setInitMode(0);
        header.setExpType("TAG");
        header.setExp("*");
        header.setOrder(false);
        CompletableFuture<PopResult> answer = new CompletableFuture<>();
        api().popMessageAsync(BROKER, server, header, 30000, new PopCallback() {
            @Override public void onSuccess(PopResult result) {
                answer.complete(result);
            }

            @Override public void onException(Throwable error) {
                answer.completeExceptionally(error);
            }
        });
        PopResult result = answer.get(60, TimeUnit.SECONDS);
        return result.getPopStatus() == PopStatus.FOUND ? result.getMsgFoundList() : new ArrayList<>();
    }

    private static final class Answer implements AckCallback {
        private final CompletableFuture<AckResult> answer = new CompletableFuture<>();

        @Override public void onSuccess(AckResult result) {
            answer.complete(result);
        }

        @Override public void onException(Throwable error) {
            answer.completeExceptionally(error);
        }

        private AckResult get() throws Exception {
            return answer.get(60, TimeUnit.SECONDS);
        }
    }

    private static boolean acked(String topic, String group, String receipt) throws Exception {
        String[] parts = ExtraInfoUtil.split(receipt);
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(receipt);
        Answer answer = new Answer();
        api().ackMessageAsync(server, 10000, answer, header);
        return answer.get().getStatus() == AckStatus.OK;
    }

    private static String changed(String topic, String group, String receipt, long invisibleMs) throws Exception {
        String[] parts = ExtraInfoUtil.split(receipt);
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(receipt);
        header.setInvisibleTime(invisibleMs);
        Answer answer = new Answer();
        api().changeInvisibleTimeAsync(BROKER, server, header, 10000, answer);
        AckResult result = answer.get();
        return result.getStatus() == AckStatus.OK ? result.getExtraInfo() : null;
    }

    private static String receipt(MessageExt message) {
        return message.getProperty("POP_CK");
    }

    private static void receipts() throws Exception {
        String topic = "java-pop-receipts", group = "java-pop-takers";
        for (int i = 0; i < 6; i++) send(topic, "a", "m" + i);
        List<MessageExt> first = new ArrayList<>();
        while (first.size() < 6) first.addAll(popped(topic, group, 3, 8000, 5000));
        check(popped(topic, group, 8, 8000, 0).isEmpty(), "all are in flight");
        check(first.stream().allMatch(message -> message.getReconsumeTimes() == 0), "the first time");
        String[] receipts = first.stream().map(PopCheck::receipt).toArray(String[]::new);
        check(acked(topic, group, receipts[0]) && acked(topic, group, receipts[0]), "acknowledged, twice");
        Answer both = new Answer();
        api().batchAckMessageAsync(server, 10000, both, topic, group, Arrays.asList(receipts[1], receipts[2]));
        check(both.get().getStatus() == AckStatus.OK, "a batch");
        say("acknowledged");

        String longer = changed(topic, group, receipts[3], 60000);
        check(longer != null && changed(topic, group, receipts[3], 60000) == null, "changed once by a receipt");
        String sooner = changed(topic, group, receipts[4], 1000);
        long begun = System.currentTimeMillis();
        List<MessageExt> again = popped(topic, group, 8, 60000, 15000);
        check(again.size() == 1 && text(again.get(0)).equals(text(first.get(4))), "again " + again);
        check(again.get(0).getReconsumeTimes() == 1, "times of " + again);
        check(System.currentTimeMillis() - begun < 5000, "it is waited for");
        check(!acked(topic, group, receipts[4]) && !acked(topic, group, sooner), "by receipts of before");
        check(acked(topic, group, receipt(again.get(0))) && acked(topic, group, longer), "by those of now");
        say("changed");

        List<MessageExt> last = popped(topic, group, 8, 60000, 15000);
        check(last.size() == 1 && text(last.get(0)).equals(text(first.get(5))), "the last " + last);
        check(!acked(topic, group, receipts[5]) && acked(topic, group, receipt(last.get(0))), "its receipts");
        check(popped(topic, group, 8, 60000, 2000).isEmpty(), "nothing is left");
        say("handed out again");
    }

    private static void fill(String topic, int count) throws Exception {
        for (int i = 0; i < count; i++) say("1 " + send(topic, "a", String.valueOf(i)).getMsgId().length());
    }

    /** Takes all that there is for a while, acknowledges one of `each`, and prints a number with 1 once that is answered, and others with their times. */
    private static void take(String topic, String group, int each, int seconds) throws Exception {
        long end = System.currentTimeMillis() + seconds * 1000L;
        while (System.currentTimeMillis() < end) {
            List<MessageExt> messages;
            try {
                messages = popped(topic, group, 16, 6000, 1000);
            } catch (Exception error) {
                Thread.sleep(200);
                continue;
            }
            for (MessageExt message : messages) {
                int number = Integer.parseInt(text(message));
                if (number % each == 0) {
                    // Whoever is killed in between does not know what has become of it.
                    say(number + " 2000");
                    try {
                        say(number + (acked(topic, group, receipt(message)) ? " 1000" : " 3000"));
                    } catch (Exception unanswered) {
                        continue;
                    }
                } else {
                    say(number + " " + message.getReconsumeTimes());
                }
            }
        }
    }
}
