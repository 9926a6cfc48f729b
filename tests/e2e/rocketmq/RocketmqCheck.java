import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.RequestFutureHolder;
import org.apache.rocketmq.client.producer.RequestResponseFuture;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/** What Java programs do with RocketMQ's own client, one part a run. Prints a line a check; any failure throws. */
public final class RocketmqCheck {
    private static String server;

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        String[] rest = Arrays.copyOfRange(arguments, 2, arguments.length);
        switch (arguments[1]) {
            case "concurrent": concurrent(); break;
            case "orderly": orderly(); break;
            case "delayed": delayed(); break;
            case "transactions": transactions(); break;
            case "broadcast": broadcast(); break;
            case "rebalance": rebalance(); break;
            case "lite": lite(); break;
            case "dead": dead(); break;
            case "steps": steps(); break;
            case "traced": traced(); break;
            case "refused": refused(); break;
            case "selectors": selectors(); break;
            case "lookups": lookups(); break;
            case "requests": requests(); break;
            case "inserts": inserts(rest[0]); break;
            case "reads": reads(rest[0], rest[1]); break;
            case "halves": halves(rest[0], Arrays.copyOfRange(rest, 1, rest.length)); break;
            default: throw new AssertionError(arguments[1]);
        }
        // Some of the client's threads would keep the program.
        System.exit(0);
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

    /** Signs by the key of the environment, if there is one. */
    private static RPCHook hook() {
        String key = System.getenv("ROCKETMQ_ACCESS_KEY");
        return key == null ? null : new AclClientRPCHook(new SessionCredentials(key, System.getenv("ROCKETMQ_SECRET_KEY")));
    }

    private static DefaultMQProducer producer(String group) throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(group, hook());
        producer.setNamesrvAddr(server);
        producer.setInstanceName(group);
        producer.start();
        return producer;
    }

    private static DefaultMQPushConsumer pusher(String group, String instance) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, hook(), new AllocateMessageQueueAveragely());
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName(instance);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    private static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static Message message(String topic, String tag, String body) {
        return new Message(topic, tag, "key-" + body, body.getBytes(StandardCharsets.UTF_8));
    }

    private static void concurrent() throws Exception {
        DefaultMQProducer producer = producer("java-senders");
        Set<String> expected = new HashSet<>();
        SendResult last = null;
        for (int i = 0; i < 10; i++) {
            for (String tag : new String[] {"a", "b", "c"}) {
                Message message = message("java-normal", tag, tag + i);
                message.putUserProperty("number", String.valueOf(i));
                last = producer.send(message);
                check(last.getSendStatus() == SendStatus.SEND_OK, last.toString());
                if (!tag.equals("c")) expected.add(tag + i);
            }
        }
        MessageExt seen = producer.viewMessage("java-normal", last.getOffsetMsgId());
        check(text(seen).equals("c9") && seen.getKeys().equals("key-c9"), "viewed " + seen);
        check(seen.getQueueOffset() == last.getQueueOffset(), "offset of " + seen);
        check(seen.getBornHostString().equals("127.0.0.1"), "born at " + seen.getBornHostString());
        say("sent and viewed");

        for (int i = 0; i < 5; i++) producer.sendOneway(message("java-normal", "a", "oneway" + i));
        AtomicInteger answered = new AtomicInteger();
        for (int i = 0; i < 20; i++) {
            expected.add("async" + i);
            producer.send(message("java-normal", "a", "async" + i), new SendCallback() {
                @Override public void onSuccess(SendResult result) {
                    if (result.getSendStatus() == SendStatus.SEND_OK) answered.incrementAndGet();
                }

                @Override public void onException(Throwable error) {
                    error.printStackTrace();
                }
            });
        }
        await(30, "answers to async sends", () -> answered.get() == 20);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 10; i++) batch.add(message("java-normal", "b", "batch" + i));
        check(producer.send(batch).getMsgId().split(",").length == 10, "ids of a batch");
        for (int i = 0; i < 5; i++) expected.add("oneway" + i);
        for (int i = 0; i < 10; i++) expected.add("batch" + i);
        byte[] large = new byte[1 << 20];
        new Random(7).nextBytes(large);
        Arrays.fill(large, 0, large.length / 2, (byte) 'x');
        Message big = new Message("java-normal", "a", large);
        big.setFlag(7);
        producer.send(big);

        Set<String> got = Collections.newSetFromMap(new ConcurrentHashMap<>());
        Set<String> strange = Collections.newSetFromMap(new ConcurrentHashMap<>());
        AtomicInteger again = new AtomicInteger();
        AtomicInteger whole = new AtomicInteger();
        DefaultMQPushConsumer consumer = pusher("java-group", "concurrent");
        consumer.subscribe("java-normal", "a || b");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                if (message.getBody().length == large.length) {
                    if (Arrays.equals(message.getBody(), large) && message.getFlag() == 7) whole.incrementAndGet();
                    continue;
                }
                String body = text(message);
                if (body.equals("a3") && message.getReconsumeTimes() == 0) return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                if (body.equals("a3")) {
                    boolean same = message.getTopic().equals("java-normal") && "a".equals(message.getTags())
                        && "3".equals(message.getUserProperty("number")) && message.getReconsumeTimes() == 1;
                    if (same) again.incrementAndGet(); else strange.add(message.toString());
                }
                if (!expected.contains(body)) strange.add(body);
                got.add(body);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.start();
        await(90, "all of " + expected.size(), () -> got.containsAll(expected) && again.get() == 1 && whole.get() == 1);
        check(strange.isEmpty(), "strange: " + strange);
        say("consumed by tags, one again");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void orderly() throws Exception {
        DefaultMQProducer producer = producer("java-ordered-senders");
        int keys = 6;
        int each = 40;
        for (int i = 0; i < each; i++) {
            for (int key = 0; key < keys; key++) {
                Message message = message("java-ordered", "t", key + ":" + i);
                producer.send(message, (queues, m, of) -> queues.get((Integer) of % queues.size()), key);
            }
        }
        Map<Integer, List<Integer>> got = new ConcurrentHashMap<>();
        AtomicInteger suspended = new AtomicInteger();
        DefaultMQPushConsumer consumer = pusher("java-ordered-group", "orderly");
        consumer.subscribe("java-ordered", "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                String[] parts = text(message).split(":");
                int key = Integer.parseInt(parts[0]);
                int number = Integer.parseInt(parts[1]);
                if (key == 2 && number == 5 && suspended.getAndIncrement() < 2) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                got.computeIfAbsent(key, k -> Collections.synchronizedList(new ArrayList<>())).add(number);
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.start();
        await(60, "all in order", () -> got.values().stream().mapToInt(List::size).sum() >= keys * each);
        for (Map.Entry<Integer, List<Integer>> entry : got.entrySet()) {
            for (int i = 0; i < each; i++) check(entry.getValue().get(i) == i, entry.toString());
        }
        say("consumed in order");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void delayed() throws Exception {
        Map<String, Long> due = new ConcurrentHashMap<>();
        Map<String, Long> came = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = pusher("java-delayed-group", "delayed");
        consumer.subscribe("java-delayed", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) came.put(text(message), System.currentTimeMillis());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = producer("java-delayed-senders");
        producer.send(message("java-delayed", "t", "now"));
        consumer.start();
        await(30, "the first message", () -> came.containsKey("now"));
        Message level = message("java-delayed", "t", "level");
        level.setDelayTimeLevel(2);
        Message past = message("java-delayed", "t", "past");
        MessageAccessor.putProperty(past, "__STARTDELIVERTIME", String.valueOf(System.currentTimeMillis() - 1000));
        Message timer = message("java-delayed", "t", "timer");
        MessageAccessor.putProperty(timer, "TIMER_DELIVER_MS", String.valueOf(System.currentTimeMillis() + 4000));
        Message start = message("java-delayed", "t", "start");
        MessageAccessor.putProperty(start, "__STARTDELIVERTIME", String.valueOf(System.currentTimeMillis() + 3000));
        Message seconds = message("java-delayed", "t", "seconds");
        MessageAccessor.putProperty(seconds, "TIMER_DELAY_SEC", "2");
        due.put("level", System.currentTimeMillis() + 5000);
        due.put("past", 0L);
        due.put("timer", Long.parseLong(timer.getProperty("TIMER_DELIVER_MS")));
        due.put("start", Long.parseLong(start.getProperty("__STARTDELIVERTIME")));
        due.put("seconds", System.currentTimeMillis() + 2000);
        for (Message each : new Message[] {level, past, timer, start, seconds}) {
            check(producer.send(each).getSendStatus() == SendStatus.SEND_OK, text(each));
        }
        await(30, "what is due", () -> came.keySet().containsAll(due.keySet()));
        for (Map.Entry<String, Long> entry : due.entrySet()) {
            long late = came.get(entry.getKey()) - entry.getValue();
            check(late >= 0, entry.getKey() + " was early by " + -late + " ms");
            check(entry.getValue() == 0 || late < 5000, entry.getKey() + " was late by " + late + " ms");
        }
        say("none early");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void broadcast() throws Exception {
        DefaultMQProducer producer = producer("java-broadcast-senders");
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 40; i++) {
            expected.add("all" + i);
            producer.send(message("java-broadcast", "t", "all" + i));
        }
        List<Map<String, Integer>> came = new ArrayList<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (String instance : new String[] {"broadcast-1", "broadcast-2"}) {
            Map<String, Integer> mine = new ConcurrentHashMap<>();
            came.add(mine);
            DefaultMQPushConsumer consumer = pusher("java-broadcast-group", instance);
            broadcasts(consumer);
            consumer.subscribe("java-broadcast", "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt message : messages) mine.merge(text(message), 1, Integer::sum);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        await(60, "all for each", () -> came.stream().allMatch(mine -> mine.keySet().containsAll(expected)));
        check(came.stream().allMatch(mine -> mine.values().stream().allMatch(times -> times == 1)), "came: " + came);
        say("all for each");
        for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
        producer.shutdown();
    }

    /** The model's type is in another package in each release. */
    private static void broadcasts(DefaultMQPushConsumer consumer) throws ReflectiveOperationException {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if (!method.getName().equals("setMessageModel")) continue;
            for (Object model : method.getParameterTypes()[0].getEnumConstants()) {
                if (model.toString().equals("BROADCASTING")) method.invoke(consumer, model);
            }
        }
        check(consumer.getMessageModel().toString().equals("BROADCASTING"), "the model");
    }

    private static void transactions() throws Exception {
        Map<String, Integer> asked = new ConcurrentHashMap<>();
        TransactionMQProducer producer = new TransactionMQProducer("java-deal-senders", hook());
        producer.setNamesrvAddr(server);
        producer.setInstanceName("java-deal-senders");
        producer.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                String body = text(message);
                if (body.startsWith("commit")) return LocalTransactionState.COMMIT_MESSAGE;
                if (body.startsWith("rollback")) return LocalTransactionState.ROLLBACK_MESSAGE;
                return LocalTransactionState.UNKNOW;
            }

            @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String body = text(message);
                boolean same = message.getTopic().equals("java-deals") && "t".equals(message.getTags())
                    && ("key-" + body).equals(message.getKeys()) && message.getTransactionId() != null;
                asked.merge(same ? body : "not as it was sent: " + message, 1, Integer::sum);
                return body.startsWith("late") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        producer.start();
        Map<String, Integer> came = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = pusher("java-deal-group", "deals");
        consumer.subscribe("java-deals", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) came.merge(text(message), 1, Integer::sum);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Set<String> expected = new HashSet<>();
        Set<String> open = new HashSet<>();
        for (int i = 0; i < 5; i++) {
            for (String kind : new String[] {"commit", "rollback", "late", "never"}) {
                String body = kind + i;
                TransactionSendResult sent = producer.sendMessageInTransaction(message("java-deals", "t", body), null);
                check(sent.getSendStatus() == SendStatus.SEND_OK && sent.getTransactionId() != null, sent.toString());
                if (kind.equals("commit") || kind.equals("late")) expected.add(body);
                if (kind.equals("late") || kind.equals("never")) open.add(body);
            }
        }
        consumer.start();
        await(30, "what is committed at once", () -> came.size() >= 5);
        await(60, "the questions", () -> asked.keySet().containsAll(open));
        check(asked.keySet().equals(open), "asked about " + asked);
        await(30, "what is committed later", () -> came.keySet().containsAll(expected));
        Thread.sleep(1000);
        check(came.keySet().equals(expected), "came: " + came);
        check(came.values().stream().allMatch(times -> times == 1), "came: " + came);
        say("committed, and nothing else");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void rebalance() throws Exception {
        DefaultMQProducer producer = producer("java-shared-senders");
        for (int i = 0; i < 80; i++) producer.send(message("java-shared", "t", "first" + i));
        Map<String, Set<Integer>> queues = new ConcurrentHashMap<>();
        Set<String> got = Collections.newSetFromMap(new ConcurrentHashMap<>());
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (String name : new String[] {"one", "two"}) {
            DefaultMQPushConsumer consumer = pusher("java-shared-group", name);
            consumer.subscribe("java-shared", "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt message : messages) {
                    got.add(text(message));
                    queues.computeIfAbsent(name, n -> Collections.newSetFromMap(new ConcurrentHashMap<>())).add(message.getQueueId());
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        await(30, "the first ones", () -> got.size() == 80);
        // Both know of each other by now.
        Thread.sleep(3000);
        queues.clear();
        for (int i = 0; i < 80; i++) producer.send(message("java-shared", "t", "second" + i));
        await(30, "the second ones", () -> got.size() == 160);
        Set<Integer> one = queues.get("one");
        Set<Integer> two = queues.get("two");
        check(one != null && two != null && one.size() == 4 && two.size() == 4, "shared out: " + queues);
        check(Collections.disjoint(one, two), "a queue has two consumers: " + queues);
        consumers.get(0).shutdown();
        queues.clear();
        Thread.sleep(2000);
        for (int i = 0; i < 80; i++) producer.send(message("java-shared", "t", "third" + i));
        await(40, "the third ones", () -> got.size() == 240);
        check(queues.get("two").size() == 8 && !queues.containsKey("one"), "after one has left: " + queues);
        say("shared out");
        consumers.get(1).shutdown();
        producer.shutdown();
    }

    private static void lite() throws Exception {
        DefaultMQProducer producer = producer("java-lite-senders");
        for (int i = 0; i < 50; i++) producer.send(message("java-lite", i % 2 == 0 ? "even" : "odd", "m" + i));
        Set<String> got = new HashSet<>();
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer("java-lite-group", hook());
        consumer.setNamesrvAddr(server);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.subscribe("java-lite", "even");
        consumer.start();
        long end = System.currentTimeMillis() + 30_000;
        while (got.size() < 25 && System.currentTimeMillis() < end) {
            for (MessageExt message : consumer.poll(1000)) got.add(text(message));
        }
        check(got.size() == 25, "by tag: " + got);
        consumer.commitSync();
        Thread.sleep(1000);
        consumer.shutdown();
        say("polled by tag");

        consumer = new DefaultLitePullConsumer("java-lite-group", hook());
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName("assigned");
        consumer.setAutoCommit(false);
        consumer.start();
        List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues("java-lite"));
        check(queues.size() == 4, "as many as its producer has said: " + queues);
        consumer.assign(queues);
        long committed = 0;
        for (MessageQueue queue : queues) committed += Math.max(0, consumer.committed(queue));
        check(committed >= 25 && committed <= 50, "committed " + committed);
        for (MessageQueue queue : queues) consumer.seekToBegin(queue);
        Set<String> all = new HashSet<>();
        end = System.currentTimeMillis() + 30_000;
        while (all.size() < 50 && System.currentTimeMillis() < end) {
            for (MessageExt message : consumer.poll(1000)) all.add(text(message));
        }
        check(all.size() == 50, "from the beginning: " + all.size());
        for (MessageQueue queue : queues) check(consumer.offsetForTimestamp(queue, 0L) == 0, "the offset of a time");
        say("assigned, from the beginning");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void dead() throws Exception {
        DefaultMQProducer producer = producer("java-dead-senders");
        producer.send(message("java-dead", "t", "given up"));
        producer.send(message("java-dead-ordered", "t", "given up in order"));
        DefaultMQPushConsumer consumer = pusher("java-dead-group", "dead");
        consumer.setMaxReconsumeTimes(0);
        consumer.subscribe("java-dead", "*");
        consumer.registerMessageListener(
            (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.RECONSUME_LATER);
        consumer.start();
        DefaultMQPushConsumer ordered = pusher("java-dead-ordered-group", "dead-ordered");
        ordered.setMaxReconsumeTimes(2);
        ordered.setSuspendCurrentQueueTimeMillis(200);
        ordered.subscribe("java-dead-ordered", "*");
        ordered.registerMessageListener(
            (MessageListenerOrderly) (messages, context) -> ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        ordered.start();
        Map<String, String> letters = new ConcurrentHashMap<>();
        DefaultMQPushConsumer reader = null;
        for (int attempt = 0; letters.size() < 2; attempt++) {
            check(attempt < 90, "dead letters: " + letters);
            try {
                if (reader == null) {
                    producer.fetchPublishMessageQueues("%DLQ%java-dead-group");
                    producer.fetchPublishMessageQueues("%DLQ%java-dead-ordered-group");
                    reader = pusher("java-dead-reader", "reader");
                    reader.subscribe("%DLQ%java-dead-group", "*");
                    reader.subscribe("%DLQ%java-dead-ordered-group", "*");
                    reader.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                        for (MessageExt message : messages) letters.put(text(message), message.getKeys());
                        return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
                    });
                    reader.start();
                }
            } catch (MQClientException notYet) {
                // They are made with their first letter.
            }
            Thread.sleep(1000);
        }
        check(letters.equals(new TreeMap<>(Map.of("given up", "key-given up", "given up in order", "key-given up in order"))),
            letters.toString());
        say("dead letters");
        consumer.shutdown();
        ordered.shutdown();
        reader.shutdown();
        producer.shutdown();
    }

    /** The group is set to one second, then three, and to three tries; the server's own are 10 s and 30 s. */
    private static void steps() throws Exception {
        DefaultMQProducer producer = producer("java-steps-senders");
        producer.send(message("java-steps", "t", "fails"));
        List<Long> tries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = pusher("java-steps-group", "steps");
        consumer.subscribe("java-steps", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            tries.add(System.nanoTime());
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        await(60, "three tries", () -> tries.size() >= 3);
        double first = (tries.get(1) - tries.get(0)) / 1e9;
        double second = (tries.get(2) - tries.get(1)) / 1e9;
        check(first >= 1 && first < 10 && second >= 3 && second < 30, "tries came after " + first + " s and " + second + " s");
        say("tried by the group's steps");
        consumer.shutdown();
        producer.shutdown();
    }

    /** With the client's own tracing on. Prints the message's id. */
    private static void traced() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-traced-senders", true, null);
        producer.setNamesrvAddr(server);
        producer.start();
        SendResult sent = producer.send(message("java-traced", "t", "traced"));
        AtomicInteger seen = new AtomicInteger();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-traced-group", true, null);
        consumer.setNamesrvAddr(server);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe("java-traced", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            seen.addAndGet(messages.size());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        await(60, "the message", () -> seen.get() == 1);
        // What was traced goes out with the end of the client, to a topic that is there: 5.3.3 does not wait until one is made.
        await(60, "the topic of traces", () -> {
            try {
                return !producer.fetchPublishMessageQueues("RMQ_SYS_TRACE_TOPIC").isEmpty();
            } catch (MQClientException notYet) {
                return false;
            }
        });
        consumer.shutdown();
        producer.shutdown();
        say("id " + sent.getMsgId());
    }

    private static void refused() throws Exception {
        DefaultMQProducer producer = producer("java-refused-senders");
        producer.setMaxMessageSize(8 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        check(code(producer, new Message("java-refused", new byte[(4 << 20) + 1])) == 13, "a large body");
        Message far = message("java-refused", "t", "far");
        MessageAccessor.putProperty(far, "TIMER_DELAY_SEC", String.valueOf(41L * 24 * 3600));
        check(code(producer, far) == 13, "a long delay");
        check(code(producer, message("flights", "t", "x")) == 13, "a table without messages");
        say("refused");
        producer.shutdown();
    }

    /** Conditions over properties. The table `java-flights` and the plugin `united_late` are there. */
    private static void selectors() throws Exception {
        DefaultMQProducer producer = producer("java-selector-senders");
        for (int i = 0; i < 300; i++) {
            Message message = message("java-flights", i % 2 == 0 ? "even" : "odd", "m" + i);
            message.putUserProperty("carrier", i % 3 == 0 ? "UA" : "AA");
            message.putUserProperty("dep_delay", String.valueOf(i));
            if (i % 10 != 9) message.putUserProperty("number", i == 7 ? "seven" : String.valueOf(i));
            producer.send(message);
        }
        // Property 9, 19, … is null, and 7 is no number.
        String between = "number BETWEEN 5 AND 20 AND carrier <> 'UA' OR TAGS = 'odd' AND KEYS ENDSWITH 'm299'";
        Set<String> expected = new HashSet<>();
        for (int i = 5; i <= 20; i++) if (i % 3 != 0 && i != 7 && i % 10 != 9) expected.add("m" + i);
        expected.add("m299");
        pushed("java-between", between, expected);
        say("pushed by a condition");

        Set<String> late = new HashSet<>();
        for (int i = 63; i < 250; i += 3) if (i % 10 != 9) late.add("m" + i);
        pushed("java-late", "number < 250 AND united_late(carrier, dep_delay)", late);
        say("pushed by a plugin");

        DefaultMQPullConsumer puller = new DefaultMQPullConsumer("java-pullers");
        puller.setNamesrvAddr(server);
        // The client learns from the answer to a heartbeat that conditions are served, and sends one once it knows the route.
        puller.setHeartbeatBrokerInterval(500);
        puller.start();
        MessageQueue first = puller.fetchSubscribeMessageQueues("java-flights").iterator().next();
        await(30, "a heartbeat of the puller", () -> {
            try {
                return puller.pull(first, MessageSelector.bySql(between), 0, 3) != null;
            } catch (MQClientException notYet) {
                return false;
            } catch (Exception broken) {
                throw new AssertionError(broken);
            }
        });
        Set<String> pulled = new HashSet<>();
        for (MessageQueue queue : puller.fetchSubscribeMessageQueues("java-flights")) {
            long offset = 0;
            for (PullStatus status = PullStatus.FOUND; status != PullStatus.NO_NEW_MSG; ) {
                PullResult result = puller.pull(queue, MessageSelector.bySql(between), offset, 3);
                status = result.getPullStatus();
                offset = result.getNextBeginOffset();
                if (status == PullStatus.FOUND) for (MessageExt message : result.getMsgFoundList()) pulled.add(text(message));
            }
            check(offset == puller.maxOffset(queue), "pulled up to " + offset);
        }
        check(pulled.equals(expected), "pulled " + pulled);
        int refused = 0;
        try {
            puller.pull(first, MessageSelector.bySql("number >"), 0, 3);
        } catch (MQBrokerException answer) {
            refused = answer.getResponseCode();
        }
        check(refused == 23, "a bad expression in a pull: " + refused);
        puller.shutdown();
        say("pulled by a condition");

        DefaultLitePullConsumer lite = new DefaultLitePullConsumer("java-lite-selectors");
        lite.setNamesrvAddr(server);
        lite.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        lite.subscribe("java-flights", MessageSelector.bySql(between));
        lite.start();
        Set<String> polled = new HashSet<>();
        long end = System.currentTimeMillis() + 30_000;
        while (polled.size() < expected.size() && System.currentTimeMillis() < end) {
            for (MessageExt message : lite.poll(1000)) polled.add(text(message));
        }
        check(polled.equals(expected), "polled " + polled);
        lite.shutdown();
        say("polled by a condition");

        String[][] bad = {
            {"number LIKE 'x'", "LIKE"}, {"number BETWEEN 9 AND 1", "BETWEEN"}, {"no_such_plugin(carrier)", "no_such_plugin"}
        };
        for (String[] each : bad) {
            DefaultMQPushConsumer consumer = pusher("java-bad-selectors", each[1]);
            consumer.subscribe("java-flights", MessageSelector.bySql(each[0]));
            consumer.registerMessageListener(
                (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
            try {
                consumer.start();
                check(false, "started with " + each[0]);
            } catch (MQClientException answer) {
                check(answer.getResponseCode() == 23 && answer.getErrorMessage().contains(each[1]), "refused: " + answer);
            }
            consumer.shutdown();
        }
        say("bad expressions are refused");
        producer.shutdown();
    }

    private static void pushed(String group, String expression, Set<String> expected) throws Exception {
        Set<String> got = Collections.newSetFromMap(new ConcurrentHashMap<>());
        DefaultMQPushConsumer consumer = pusher(group, group);
        consumer.subscribe("java-flights", MessageSelector.bySql(expression));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) got.add(text(message));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        await(60, "all of " + expected.size() + " by " + expression, () -> got.containsAll(expected));
        Thread.sleep(1000);
        check(got.equals(expected), "more than by " + expression + ": " + got);
        consumer.shutdown();
    }

    private static int code(DefaultMQProducer producer, Message message) throws Exception {
        try {
            producer.send(message);
            return 0;
        } catch (MQBrokerException refused) {
            return refused.getResponseCode();
        } catch (MQClientException refused) {
            if (refused.getCause() instanceof MQBrokerException) return ((MQBrokerException) refused.getCause()).getResponseCode();
            throw refused;
        }
    }

    /** Sends numbers one by one until standard input ends, and prints those that were acknowledged; every tenth is delayed. */
    private static void lookups() throws Exception {
        DefaultMQProducer producer = producer("java-lookups");
        String topic = "java-lookups";
        long begin = System.currentTimeMillis();
        List<SendResult> sent = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Message message = new Message(topic, "a", "order-" + i + " all", ("body " + i).getBytes(StandardCharsets.UTF_8));
            sent.add(producer.send(message));
        }
        long end = System.currentTimeMillis();
        MessageExt byId = producer.viewMessage(topic, sent.get(17).getMsgId());
        check(text(byId).equals("body 17"), "by its unique id: " + byId);
        check(byId.getQueueOffset() == sent.get(17).getQueueOffset(), "its offset: " + byId);
        MessageExt byPlace = producer.viewMessage(topic, sent.get(18).getOffsetMsgId());
        check(text(byPlace).equals("body 18"), "by where it is stored: " + byPlace);
        say("by id");

        List<MessageExt> found = producer.queryMessage(topic, "order-7", 32, begin - 1000, end + 1000).getMessageList();
        check(found.size() == 1 && text(found.get(0)).equals("body 7"), "by its first key: " + found);
        check(producer.queryMessage(topic, "all", 32, begin - 1000, end + 1000).getMessageList().size() == 32, "32 of 50");
        check(producer.queryMessage(topic, "all", 64, begin - 1000, end + 1000).getMessageList().size() == 50, "all");
        say("by each key");

        for (String nothing : new String[] {"order-50", "order"}) {
            try {
                found = producer.queryMessage(topic, nothing, 32, begin - 1000, end + 1000).getMessageList();
                throw new AssertionError(nothing + " is found: " + found);
            } catch (MQClientException error) {
                check(error.getResponseCode() == 208, "not found: " + error);
            }
        }
        try {
            producer.queryMessage(topic, "order-7", 32, begin - 5000, begin - 1000);
            throw new AssertionError("before it was sent");
        } catch (MQClientException error) {
            check(error.getResponseCode() == 208, "not found: " + error);
        }
        say("nothing else");
        producer.shutdown();
    }

    private static void requests() throws Exception {
        DefaultMQProducer replier = producer("java-repliers");
        Map<String, String> replied = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = pusher("java-replies", "java-replies");
        consumer.subscribe("java-requests", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    Message reply = MessageUtil.createReplyMessage(message, ("to " + text(message)).getBytes(StandardCharsets.UTF_8));
                    replied.put(text(message), replier.send(reply, 5000).getSendStatus().toString());
                } catch (Exception error) {
                    replied.put(text(message), error.toString());
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = producer("java-requesters");
        producer.send(plain("first"));
        consumer.start();
        // What waits for the answer is the client's own. Its request() begins the same, and gives null once the request is sent.
        producer.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
        for (int i = 0; i < 5; i++) {
            Message request = plain("request " + i);
            String id = "correlation-" + i;
            MessageAccessor.putProperty(request, "CORRELATION_ID", id);
            MessageAccessor.putProperty(request, "REPLY_TO_CLIENT", producer.getDefaultMQProducerImpl().getMqClientFactory().getClientId());
            MessageAccessor.putProperty(request, "TTL", "20000");
            RequestResponseFuture future = new RequestResponseFuture(id, 20000, null);
            RequestFutureHolder.getInstance().getRequestFutureTable().put(id, future);
            producer.send(request);
            Message answer = future.waitResponseMessage(20000);
            check(answer != null && text(answer).equals("to request " + i), "answered: " + answer + ", " + replied);
        }
        say("answered");
        await(10, "the answers' results, " + replied, () -> replied.size() == 6);
        check(!replied.remove("first").equals("SEND_OK"), "nobody waits for an answer to the first");
        check(new HashSet<>(replied.values()).equals(Collections.singleton("SEND_OK")), replied.toString());
        say("handed on");
        consumer.shutdown();
        producer.shutdown();
        replier.shutdown();
    }

    private static Message plain(String body) {
        return new Message("java-requests", body.getBytes(StandardCharsets.UTF_8));
    }

    private static void inserts(String topic) throws Exception {
        DefaultMQProducer producer = producer("java-inserters");
        producer.setRetryTimesWhenSendFailed(0);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (int number = 0; !input.ready(); number++) {
            Message message = message(topic, "t", String.valueOf(number));
            long at = 0;
            if (number % 10 == 9) {
                at = System.currentTimeMillis() + 5000;
                MessageAccessor.putProperty(message, "TIMER_DELIVER_MS", String.valueOf(at));
            }
            try {
                if (producer.send(message, 1000).getSendStatus() == SendStatus.SEND_OK) say(number + " " + at);
            } catch (Exception broken) {
                // Whether it is there is not known. The next one goes on.
                Thread.sleep(20);
            }
        }
        producer.shutdown();
    }

    /** Sends a half message for each key, says so, and never what became of them: it waits to be killed. */
    private static void halves(String topic, String[] keys) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("java-halves");
        producer.setNamesrvAddr(server);
        producer.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        for (int number = 0; number < keys.length; number++) {
            Message message = new Message(topic, "t", keys[number], keys[number].getBytes(StandardCharsets.UTF_8));
            check(producer.sendMessageInTransaction(message, null).getSendStatus() == SendStatus.SEND_OK, keys[number]);
            say(number + " 0");
        }
        while (System.in.read() >= 0) {
            // Only its end counts.
        }
        producer.shutdown();
    }

    /** Prints the numbers that come, and when, until standard input ends. */
    private static void reads(String topic, String group) throws Exception {
        DefaultMQPushConsumer consumer = pusher(group, group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) say(text(message) + " " + System.currentTimeMillis());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        while (System.in.read() >= 0) {
            // Only its end counts.
        }
        consumer.shutdown();
    }
}
