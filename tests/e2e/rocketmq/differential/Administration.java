import java.util.Arrays;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What administrators see of topics and groups, and how they are refused. */
final class Administration {
    private Administration() {}

    static void run() throws Exception {
        DefaultMQProducer producer = Clients.producer("differential-administered");
        DefaultMQAdminExt admin = Clients.admin("differential-administrator");
        String topic = "differential-made";
        Clients.report("topics: made with three queues", Clients.outcome(() -> {
            TopicConfig config = new TopicConfig(topic, 3, 3, 6);
            admin.createAndUpdateTopicConfig(Clients.broker, config);
            return "made";
        }));
        Clients.await(60, "its route", () -> !String.valueOf(Clients.outcome(() -> admin.examineTopicRouteInfo(topic))).startsWith("refused"));
        Clients.report("topics: route", Clients.outcome(() -> {
            QueueData queues = admin.examineTopicRouteInfo(topic).getQueueDatas().get(0);
            return Arrays.asList(queues.getReadQueueNums(), queues.getWriteQueueNums(), queues.getPerm(), queues.getTopicSysFlag());
        }));
        producer.send(Clients.message("differential-first-use", "t", "first"));
        Clients.await(60, "its route", () -> !String.valueOf(Clients.outcome(() -> admin.examineTopicRouteInfo("differential-first-use"))).startsWith("refused"));
        Clients.report("topics: queues of one that was made on first use", Clients.outcome(() ->
            admin.examineTopicRouteInfo("differential-first-use").getQueueDatas().get(0).getWriteQueueNums()));
        Clients.report("topics: route of none", Clients.outcome(() -> admin.examineTopicRouteInfo("differential-nowhere") != null));
        Clients.report("topics: status", Clients.outcome(() -> admin.examineTopicStats(topic).getOffsetTable().size()));
        Clients.report("topics: status of none", Clients.outcome(() -> admin.examineTopicStats("differential-nowhere").getOffsetTable().size()));
        Clients.report("topics: more queues", Clients.outcome(() -> {
            admin.createAndUpdateTopicConfig(Clients.broker, new TopicConfig(topic, 5, 5, 6));
            return "made";
        }));
        Clients.report("topics: fewer queues", Clients.outcome(() -> {
            admin.createAndUpdateTopicConfig(Clients.broker, new TopicConfig(topic, 2, 2, 6));
            return "made";
        }));
        Clients.report("topics: to read alone", Clients.outcome(() -> {
            admin.createAndUpdateTopicConfig(Clients.broker, new TopicConfig(topic, 5, 5, 4));
            return "made";
        }));
        Clients.report("topics: a bad name", Clients.outcome(() -> {
            admin.createAndUpdateTopicConfig(Clients.broker, new TopicConfig("a b", 1, 1, 6));
            return "made";
        }));
        Clients.report("topics: deleted", Clients.outcome(() -> {
            admin.deleteTopicInBroker(java.util.Collections.singleton(Clients.broker), topic);
            return "deleted";
        }));
        Clients.report("topics: one that is not there deleted", Clients.outcome(() -> {
            admin.deleteTopicInBroker(java.util.Collections.singleton(Clients.broker), "differential-nowhere");
            return "deleted";
        }));
        Clients.report("groups: made", Clients.outcome(() -> {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName("differential-made-group");
            admin.createAndUpdateSubscriptionGroupConfig(Clients.broker, config);
            return "made";
        }));
        Clients.report("groups: connections of one that has none", Clients.outcome(() ->
            admin.examineConsumerConnectionInfo("differential-made-group").getConnectionSet().size()));
        Clients.report("groups: connections of one that is not there", Clients.outcome(() ->
            admin.examineConsumerConnectionInfo("differential-nobody").getConnectionSet().size()));
        Clients.report("groups: progress of one that is not there", Clients.outcome(() ->
            admin.examineConsumeStats("differential-nobody").getOffsetTable().size()));
        Clients.report("groups: deleted", Clients.outcome(() -> {
            admin.deleteSubscriptionGroup(Clients.broker, "differential-made-group");
            return "deleted";
        }));
    }
}
