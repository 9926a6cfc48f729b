import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** What push consumers are given, and when: delays, retries, dead letters, order, and what was recalled. */
final class Deliveries {
    private static DefaultMQProducer producer;

    private Deliveries() {}

    static void run() throws Exception {
        producer = Clients.producer("differential-delivery-senders");
        delays();
        retries();
        refusedInOrder();
        recalls();
    }

    private static DefaultMQPushConsumer concurrently(String group, String topic, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = Clients.pusher(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        return consumer;
    }

    private static void delays() throws Exception {
        String topic = "differential-delays";
        Map<String, MessageExt> came = new ConcurrentHashMap<>();
        Map<String, Long> at = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = concurrently("differential-delayed", topic, (messages, context) -> {
            for (MessageExt message : messages) {
                at.putIfAbsent(Clients.text(message), System.currentTimeMillis());
                came.put(Clients.text(message), message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        producer.send(Clients.message(topic, "t", "at once"));
        consumer.start();
        Clients.await(60, "the first", () -> came.containsKey("at once"));
        // Apache's timers begin some while after the broker.
        Message first = Clients.message(topic, "t", "the first timer");
        first.setDelayTimeMs(1000);
        producer.send(first);
        Clients.await(90, "the first timer", () -> came.containsKey("the first timer"));
        long now = System.currentTimeMillis();
        Map<String, String[]> delayed = new TreeMap<>();
        delayed.put("level 0", new String[] {"DELAY", "0"});
        delayed.put("level -1", new String[] {"DELAY", "-1"});
        delayed.put("level 1", new String[] {"DELAY", "1"});
        delayed.put("level 2", new String[] {"DELAY", "2"});
        delayed.put("seconds", new String[] {"TIMER_DELAY_SEC", "3"});
        delayed.put("milliseconds", new String[] {"TIMER_DELAY_MS", "3000"});
        delayed.put("at a time", new String[] {"TIMER_DELIVER_MS", String.valueOf(now + 4000)});
        delayed.put("at a time gone by", new String[] {"TIMER_DELIVER_MS", String.valueOf(now - 10_000)});
        delayed.put("start of delivery", new String[] {"__STARTDELIVERTIME", String.valueOf(now + 4000)});
        Map<String, Object> sent = new TreeMap<>();
        Map<String, Long> sentAt = new TreeMap<>();
        delayed.forEach((what, property) -> {
            Message message = Clients.message(topic, "t", what);
            message.putUserProperty("own", "1");
            MessageAccessor.putProperty(message, property[0], property[1]);
            sentAt.put(what, System.currentTimeMillis());
            sent.put(what, Clients.outcome(() -> producer.send(message).getSendStatus().name()));
        });
        long end = System.nanoTime() + 15_000_000_000L;
        while (came.size() < delayed.size() + 2 && System.nanoTime() < end) Thread.sleep(50);
        for (String what : delayed.keySet()) {
            Clients.report("delays: send with " + what, sent.get(what));
            MessageExt message = came.get(what);
            if (message == null) {
                Clients.report("delays: delivered with " + what, "not within 15 s");
                continue;
            }
            // Apache's clock steps by seconds.
            Clients.report("delays: delivered with " + what, "after " + Math.round((at.get(what) - sentAt.get(what) - 400) / 1000.0) + " s");
            Clients.report("delays: seen of " + what, Clients.describe(message));
        }
        consumer.shutdown();
    }

    private static void retries() throws Exception {
        String topic = "differential-retries";
        String group = "differential-retried";
        List<Map<String, Object>> tries = Collections.synchronizedList(new ArrayList<>());
        List<Long> times = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = concurrently(group, topic, (messages, context) -> {
            times.add(System.currentTimeMillis());
            tries.add(Clients.describe(messages.get(0)));
            context.setDelayLevelWhenNextConsume(tries.size() == 1 ? 1 : 0);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.setMaxReconsumeTimes(2);
        Message message = Clients.message(topic, "t", "fails");
        message.putUserProperty("own", "1");
        producer.send(message);
        consumer.start();
        Clients.await(90, "three tries", () -> tries.size() >= 3);
        for (int i = 0; i < 3; i++) Clients.report("retries: try " + i, tries.get(i));
        Clients.report("retries: times between in seconds", Arrays.asList((times.get(1) - times.get(0)) / 1000, "about " + (times.get(2) - times.get(1)) / 5000 * 5));
        DefaultMQPullConsumer undertaker = Clients.puller("differential-undertakers");
        String letters = "%DLQ%" + group;
        List<MessageExt> found = new ArrayList<>();
        Clients.await(30, "a dead letter", () -> {
            try {
                found.addAll(Clients.all(undertaker, Clients.queue(letters, 0)));
            } catch (Exception notYet) {
                // The topic is made by its first letter.
            }
            return !found.isEmpty();
        });
        Clients.report("retries: dead letters", found.size());
        Clients.report("retries: a dead letter", Clients.describe(found.get(0)));
        Clients.report("retries: no more tries", tries.size());
        consumer.shutdown();
        AtomicInteger dead = new AtomicInteger();
        DefaultMQPushConsumer atOnce = concurrently("differential-dead-at-once", topic, (messages, context) -> {
            dead.incrementAndGet();
            context.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        atOnce.start();
        Clients.await(60, "a try", () -> dead.get() == 1);
        List<MessageExt> given = new ArrayList<>();
        Clients.await(30, "a dead letter", () -> {
            try {
                given.addAll(Clients.all(undertaker, Clients.queue("%DLQ%differential-dead-at-once", 0)));
            } catch (Exception notYet) {
                // As above.
            }
            return !given.isEmpty();
        });
        Clients.report("retries: given up at once", Clients.describe(given.get(0)));
        atOnce.shutdown();
    }

    private static void refusedInOrder() throws Exception {
        String topic = "differential-ordered";
        for (int i = 0; i < 10; i++) {
            Message message = Clients.message(topic, "t", String.valueOf(i));
            producer.send(message, (queues, m, of) -> queues.get(0), null);
        }
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        List<Integer> times = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = Clients.pusher("differential-in-order");
        consumer.subscribe(topic, "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            MessageExt message = messages.get(0);
            order.add(Clients.text(message));
            if (!Clients.text(message).equals("4")) return ConsumeOrderlyStatus.SUCCESS;
            times.add(message.getReconsumeTimes());
            return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
        });
        consumer.start();
        Clients.await(60, "the last", () -> order.contains("9"));
        Clients.report("ordered: what was given", new ArrayList<>(order));
        Clients.report("ordered: times of what failed", new ArrayList<>(times));
        DefaultMQPullConsumer undertaker = Clients.puller("differential-ordered-undertakers");
        List<MessageExt> found = new ArrayList<>();
        Clients.await(30, "a dead letter", () -> {
            try {
                found.addAll(Clients.all(undertaker, Clients.queue("%DLQ%differential-in-order", 0)));
            } catch (Exception notYet) {
                // The topic is made by its first letter.
            }
            return !found.isEmpty();
        });
        Clients.report("ordered: a dead letter", Clients.describe(found.get(0)));
        consumer.shutdown();
    }

    private static void recalls() throws Exception {
        String topic = "differential-recalls";
        Message later = Clients.message(topic, "t", "later");
        later.setDelayTimeSec(3600);
        SendResult sent = producer.send(later);
        Clients.report("recalls: of a delayed message", Clients.outcome(() ->
            producer.recallMessage(topic, sent.getRecallHandle()).equals(sent.getMsgId())));
        Clients.report("recalls: of another topic", Clients.outcome(() -> producer.recallMessage("differential-delays", sent.getRecallHandle()) != null));
        Clients.report("recalls: by a handle that is none", Clients.outcome(() -> producer.recallMessage(topic, "none") != null));
        Message soon = Clients.message(topic, "t", "soon");
        soon.setDelayTimeMs(1000);
        SendResult gone = producer.send(soon);
        Thread.sleep(3000);
        Clients.report("recalls: of a delivered message", Clients.outcome(() -> producer.recallMessage(topic, gone.getRecallHandle()) != null));
    }
}
