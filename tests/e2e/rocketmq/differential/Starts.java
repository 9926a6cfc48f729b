import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Where a group begins, and where it goes on when its offset was set. */
final class Starts {
    private static final String TOPIC = "differential-starts";
    private static DefaultMQProducer producer;

    private Starts() {}

    static void run() throws Exception {
        producer = Clients.producer("differential-starters");
        for (int i = 0; i < 8; i++) producer.send(Clients.message(TOPIC, "t", "before " + i));
        Thread.sleep(1500);
        Map<String, List<String>> came = new TreeMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (ConsumeFromWhere where : new ConsumeFromWhere[] {
            ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP,
        }) {
            for (MessageModel model : MessageModel.values()) {
                String name = where + " " + model;
                List<String> bodies = Collections.synchronizedList(new ArrayList<>());
                came.put(name, bodies);
                consumers.add(start(where, model, bodies));
            }
        }
        for (DefaultMQPushConsumer consumer : consumers) {
            // From then on it knows where it begins.
            int queues = consumer.fetchSubscribeMessageQueues(TOPIC).size();
            Clients.await(60, "its queues", () ->
                consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
                    .filter(queue -> queue.getTopic().equals(TOPIC)).count() == queues);
        }
        for (int i = 0; i < 4; i++) producer.send(Clients.message(TOPIC, "t", "after " + i));
        for (List<String> bodies : came.values()) {
            Clients.await(60, "the last ones", () -> bodies.stream().filter(body -> body.startsWith("after")).count() == 4);
        }
        Thread.sleep(2000);
        came.forEach((name, bodies) -> Clients.report("starts: " + name, new TreeSet<>(bodies).size() + " of 12"));
        for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
        resets();
    }

    private static DefaultMQPushConsumer start(ConsumeFromWhere where, MessageModel model, List<String> bodies) throws Exception {
        DefaultMQPushConsumer consumer = Clients.pusher("differential-" + where + "-" + model);
        consumer.setConsumeFromWhere(where);
        // Broadcasting consumers keep offsets themselves, in the home directory.
        consumer.setConsumeTimestamp(UtilAll.timeMillisToHumanString3(System.currentTimeMillis()));
        consumer.setMessageModel(model);
        consumer.subscribe(TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) bodies.add(Clients.text(message));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static void resets() throws Exception {
        String topic = "differential-resets";
        String group = "differential-reset";
        for (int i = 0; i < 8; i++) producer.send(Clients.message(topic, "t", "early " + i));
        Thread.sleep(50);
        long between = System.currentTimeMillis();
        Thread.sleep(50);
        for (int i = 0; i < 4; i++) producer.send(Clients.message(topic, "t", "late " + i));
        List<String> came = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = Clients.pusher(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) came.add(Clients.text(message));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Clients.await(60, "all once", () -> came.size() == 12);
        // Apache resets what is committed.
        consumer.getDefaultMQPushConsumerImpl().getOffsetStore().persistAll(new java.util.HashSet<>(consumer.fetchSubscribeMessageQueues(topic)));
        DefaultMQAdminExt admin = Clients.admin("differential-resetter");
        Clients.report("resets: to a time", Clients.outcome(() -> admin.resetOffsetByTimestamp(topic, group, between, true).size()));
        Clients.await(60, "four again", () -> came.size() == 16);
        Thread.sleep(1000);
        Clients.report("resets: what came again", new TreeSet<>(came.subList(12, came.size())));
        consumer.shutdown();
    }
}
