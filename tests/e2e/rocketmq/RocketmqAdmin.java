import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** What administrators do with RocketMQ's own tools of 5.x, one part a run. Prints a line a check; any failure throws. */
public final class RocketmqAdmin {
    private static final PrintStream OUT = System.out;
    private static String server;
    private static DefaultMQAdminExt admin;

    public static void main(String[] arguments) {
        try {
            run(arguments);
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        // Some of the client's threads would keep the program.
        System.exit(0);
    }

    private static void run(String[] arguments) throws Exception {
        server = arguments[0];
        admin = new DefaultMQAdminExt(hook(), 15_000);
        admin.setNamesrvAddr(server);
        admin.setInstanceName("admin");
        admin.start();
        switch (arguments[1]) {
            case "recall": recall(); break;
            case "mqadmin": mqadmin(); break;
            case "consumers": consumers(); break;
            case "definitions": definitions(); break;
            default: throw new AssertionError(arguments[1]);
        }
    }

    private static void say(String line) {
        OUT.println(line);
        OUT.flush();
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

    /** What mqadmin prints. */
    private static String tool(String... command) {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream both = new PrintStream(printed, true);
        PrintStream errors = System.err;
        System.setOut(both);
        System.setErr(both);
        try {
            String[] all = Arrays.copyOf(command, command.length + 2);
            all[command.length] = "-n";
            all[command.length + 1] = server;
            MQAdminStartup.main0(all, hook());
        } finally {
            System.setOut(OUT);
            System.setErr(errors);
        }
        return new String(printed.toByteArray(), StandardCharsets.UTF_8);
    }

    /** That mqadmin prints all of these, and of no failure. */
    private static String prints(String command, String... parts) {
        String printed = tool(command.split(" "));
        for (String part : parts) check(printed.contains(part), command + " has not printed " + part + ": " + printed);
        check(!printed.contains("Exception"), command + ": " + printed);
        return printed;
    }

    /** Signs by the key of the environment, if there is one. */
    private static RPCHook hook() {
        String key = System.getenv("ROCKETMQ_ACCESS_KEY");
        return key == null ? null : new AclClientRPCHook(new SessionCredentials(key, System.getenv("ROCKETMQ_SECRET_KEY")));
    }

    private static DefaultMQProducer producer(String group) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(group, hook());
        producer.setNamesrvAddr(server);
        producer.setInstanceName(group);
        producer.start();
        return producer;
    }

    private static DefaultMQPushConsumer pusher(String group, String topic, List<MessageExt> taken) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, hook(), new AllocateMessageQueueAveragely());
        consumer.setNamesrvAddr(server);
        consumer.setInstanceName(group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "a || b");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            taken.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static List<SendResult> send(DefaultMQProducer producer, String topic, int count) throws Exception {
        List<SendResult> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] body = ("body " + i).getBytes(StandardCharsets.UTF_8);
            sent.add(producer.send(new Message(topic, "a", "key-" + i, body)));
        }
        return sent;
    }

    private static void recall() throws Exception {
        DefaultMQProducer producer = producer("java-recallers");
        List<MessageExt> taken = Collections.synchronizedList(new ArrayList<>());
        List<String> handles = new ArrayList<>();
        long at = System.currentTimeMillis() + 8_000;
        String[] ids = new String[4];
        for (int i = 0; i < 4; i++) {
            Message message = new Message("java-recalled", "a", ("body " + i).getBytes(StandardCharsets.UTF_8));
            if (i < 3) message.setDeliverTimeMs(at); else message.setDelayTimeLevel(2);
            SendResult sent = producer.send(message);
            check(sent.getRecallHandle() != null, "no handle: " + sent);
            handles.add(sent.getRecallHandle());
            ids[i] = sent.getMsgId();
        }
        check(producer.send(new Message("java-recalled", "a", "now".getBytes(StandardCharsets.UTF_8))).getRecallHandle() == null, "of one that waits for nothing");
        check(producer.recallMessage("java-recalled", handles.get(1)).equals(ids[1]), "another message's id");
        check(producer.recallMessage("java-recalled", handles.get(3)).equals(ids[3]), "of a level");
        say("recalled");
        for (String handle : new String[] {handles.get(1), handles.get(0).replaceAll("[0-9]", "z")}) {
            try {
                producer.recallMessage("java-recalled", handle);
                throw new AssertionError("recalled again, or by a wrong handle");
            } catch (MQBrokerException error) {
                check(error.getResponseCode() == 604, error.toString());
            } catch (Exception error) {
                // The client itself looks at handles.
                check(handle.contains("z"), error.toString());
            }
        }
        try {
            producer.recallMessage("java-lookups", handles.get(0));
            throw new AssertionError("recalled from another topic");
        } catch (Exception error) {
            say("and nothing else");
        }
        DefaultMQPushConsumer consumer = pusher("java-recalls", "java-recalled", taken);
        await(40, "the others, of " + taken, () -> taken.size() >= 3);
        Thread.sleep(1_000);
        List<String> bodies = new ArrayList<>();
        for (MessageExt message : taken) bodies.add(new String(message.getBody(), StandardCharsets.UTF_8));
        Collections.sort(bodies);
        check(bodies.equals(Arrays.asList("body 0", "body 2", "now")), bodies.toString());
        say("the others are delivered");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void mqadmin() throws Exception {
        prints("clusterList", "millstream", server);
        prints("brokerStatus -b " + server, "brokerVersionDesc", "millstream");
        prints("getBrokerConfig -b " + server, "brokerName", "millstream");
        prints("updateTopic -c millstream -t java-admin -r 4 -w 4", "success");
        prints("updateTopic -b " + server + " -t java-admin -r 6 -w 6", "success");
        check(tool("updateTopic", "-b", server, "-t", "java-admin", "-r", "2", "-w", "2").contains("not taken away"), "fewer queues");
        prints("topicList", "java-admin");
        prints("topicRoute -t java-admin", server, "\"writeQueueNums\":6");
        prints("topicClusterList -t java-admin", "millstream");
        say("topics");

        DefaultMQProducer producer = producer("java-admins");
        List<SendResult> sent = send(producer, "java-admin", 12);
        prints("topicStatus -t java-admin", "millstream", "#Max Offset");
        SendResult one = sent.get(3);
        prints("queryMsgById -i " + one.getOffsetMsgId() + " -t java-admin", "key-3", one.getMsgId());
        prints("queryMsgByUniqueKey -i " + one.getMsgId() + " -t java-admin", "key-3");
        prints("queryMsgByKey -t java-admin -k key-3", one.getMsgId());
        prints("queryMsgByOffset -t java-admin -b millstream -i " + one.getMessageQueue().getQueueId() + " -o " + one.getQueueOffset(), one.getMsgId());
        String printed = prints("printMsg -t java-admin -d true", "body 3");
        check(printed.split("MSGID:", -1).length >= 12, printed);
        say("messages");

        prints("updateSubGroup -c millstream -g java-admin-group", "success");
        prints("updateSubGroup -c millstream -g java-admin-group -r 3", "success");
        prints("getConsumerConfig -g java-admin-group", "retryMaxTimes", "3");
        check(tool("updateSubGroup", "-c", "millstream", "-g", "java-admin-group", "-q", "2").contains("retryQueueNums"), "a setting that is not served");
        List<MessageExt> taken = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = pusher("java-admin-group", "java-admin", taken);
        await(30, "all", () -> taken.size() >= 12);
        prints("consumerConnection -g java-admin-group", "java-admin-group", "a || b", "CONSUME_PASSIVELY");
        producer.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
        prints("producerConnection -g java-admins -t java-admin", "java-admins");
        consumer.shutdown();
        String[] progress = new String[1];
        await(20, "progress", () -> (progress[0] = tool("consumerProgress", "-g", "java-admin-group")).contains("Diff Total: 0"));
        check(progress[0].contains("java-admin"), progress[0]);
        prints("consumerProgress", "java-admin-group");
        say("groups");

        prints("resetOffsetByTime -g java-admin-group -t java-admin -s -1", "java-admin");
        prints("resetOffsetByTime -g java-admin-group -t java-admin -s 0", "java-admin");
        prints("consumerProgress -g java-admin-group", "Diff Total: 12");
        taken.clear();
        consumer = pusher("java-admin-group", "java-admin", taken);
        await(30, "all again", () -> taken.size() >= 12);
        taken.clear();
        // While they are online.
        prints("resetOffsetByTime -g java-admin-group -t java-admin -s 0", "java-admin");
        await(40, "all once more", () -> taken.size() >= 12);
        say("offsets");

        check(tool("deleteTopic", "-c", "millstream", "-t", "java-admin").contains("java-admin-group"), "deleted under its consumers");
        check(tool("deleteSubGroup", "-c", "millstream", "-g", "java-admin-group").contains("stop them first"), "deleted while it consumes");
        consumer.shutdown();
        prints("deleteSubGroup -c millstream -g java-admin-group", "success");
        prints("deleteTopic -c millstream -t java-admin", "success");
        check(!prints("topicList").contains("java-admin"), "it is still there");
        say("deleted");
        producer.shutdown();
    }

    private static void consumers() throws Exception {
        DefaultMQProducer producer = producer("java-online");
        List<SendResult> sent = send(producer, "java-online", 8);
        List<MessageExt> taken = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = pusher("java-online-group", "java-online", taken);
        await(30, "all", () -> taken.size() >= 8);
        String clientId = consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
        ConsumerConnection connected = admin.examineConsumerConnectionInfo("java-online-group");
        check(connected.getConnectionSet().size() == 1, connected.toString());
        check(connected.getConnectionSet().iterator().next().getClientId().equals(clientId), connected.toString());
        check(connected.getConnectionSet().iterator().next().getVersion() == 479, "its version");
        check(connected.getSubscriptionTable().get("java-online").getTagsSet().equals(Set.of("a", "b")), connected.toString());
        ConsumerRunningInfo running = admin.getConsumerRunningInfo("java-online-group", clientId, true);
        check(running.getMqTable().size() > 0 && running.getJstack().contains("Thread"), running.getProperties().toString());
        int before = taken.size();
        ConsumeMessageDirectlyResult directly =
            admin.consumeMessageDirectly("java-online-group", clientId, "java-online", sent.get(5).getMsgId());
        check(directly.getConsumeResult() == CMResult.CR_SUCCESS, directly.toString());
        await(5, "one more", () -> taken.size() == before + 1);
        check(taken.get(before).getKeys().equals("key-5"), taken.get(before).toString());
        say("asked themselves");

        check(admin.queryTopicConsumeByWho("java-online").getGroupList().equals(new java.util.HashSet<>(List.of("java-online-group"))), "who consumes");
        check(admin.queryTopicsByConsumer("java-online-group").getTopicList().contains("java-online"), "what it consumes");
        check(admin.querySubscription("java-online-group", "java-online").getSubString().equals("a || b"), "by what");
        admin.getDefaultMQAdminExtImpl();
        consumer.getDefaultMQPushConsumerImpl().getmQClientFactory();
        await(20, "all are committed", () -> {
            try {
                ConsumeStats stats = admin.examineConsumeStats("java-online-group", "java-online");
                return stats.computeTotalDiff() == 0 && stats.getOffsetTable().size() > 0;
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        check(admin.queryConsumeTimeSpan("java-online", "java-online-group").size() > 0, "no spans");
        admin.messageTrackDetail(admin.queryMessage("millstream", "java-online", sent.get(5).getMsgId()))
            .forEach(track -> check(track.getTrackType().toString().equals("CONSUMED"), track.toString()));
        check(admin.getAllProducerInfo(server).getData() != null, "producers");
        say("followed");
        try {
            admin.getConsumerRunningInfo("java-online-group", "nobody", false);
            throw new AssertionError("nobody is there");
        } catch (Exception error) {
            check(error.toString().contains("206"), error.toString());
        }
        say("nobody else");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void definitions() throws Exception {
        List<TopicConfig> topics = new ArrayList<>();
        for (String name : new String[] {"java-first", "java-second"}) topics.add(new TopicConfig(name, 3, 3, 6));
        topics.get(1).setAttributes(Map.of("+message.type", "FIFO"));
        admin.createAndUpdateTopicConfigList(server, topics);
        TopicConfig second = admin.examineTopicConfig(server, "java-second");
        check(second.getWriteQueueNums() == 3 && second.getTopicMessageType().getValue().equals("FIFO"), second.toString());
        check(admin.getAllTopicConfig(server, 5_000).getTopicConfigTable().keySet().containsAll(Set.of("java-first", "java-second")), "all topics");
        for (TopicConfig wrong : new TopicConfig[] {new TopicConfig("java-third", 3, 4, 6), new TopicConfig("java-third", 3, 3, 4)}) {
            try {
                admin.createAndUpdateTopicConfig(server, wrong);
                throw new AssertionError("made: " + wrong);
            } catch (Exception error) {
                check(error.toString().contains("java-third"), error.toString());
            }
        }
        check(admin.fetchAllTopicList().getTopicList().containsAll(Set.of("java-first", "java-second")), "listed");
        check(admin.fetchTopicsByCLuster("millstream").getTopicList().contains("java-first"), "of the cluster");
        Map<MessageQueue, TopicOffset> offsets = admin.examineTopicStats("java-first").getOffsetTable();
        check(offsets.size() == 3, offsets.toString());
        say("topics");

        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName("java-defined");
        admin.createAndUpdateSubscriptionGroupConfig(server, group);
        check(admin.examineSubscriptionGroupConfig(server, "java-defined").getRetryMaxTimes() == 16, "its settings");
        check(admin.getAllSubscriptionGroup(server, 5_000).getSubscriptionGroupTable().containsKey("java-defined"), "listed");
        admin.deleteSubscriptionGroup(server, "java-defined", true);
        check(!admin.getAllSubscriptionGroup(server, 5_000).getSubscriptionGroupTable().containsKey("java-defined"), "deleted");
        say("groups");

        try {
            admin.updateBrokerConfig(server, new Properties());
            Properties some = new Properties();
            some.setProperty("defaultTopicQueueNums", "9");
            admin.updateBrokerConfig(server, some);
            throw new AssertionError("settings are not changed from here");
        } catch (MQBrokerException error) {
            check(error.getErrorMessage().contains("not changed from here"), error.toString());
        }
        check(admin.getBrokerConfig(server).getProperty("brokerName").equals("millstream"), "the broker's name");
        check(new ConcurrentHashMap<>(admin.examineBrokerClusterInfo().getBrokerAddrTable()).containsKey("millstream"), "the cluster");
        check(admin.fetchBrokerRuntimeStats(server).getTable().containsKey("putTps"), "figures");
        say("settings");
    }
}
