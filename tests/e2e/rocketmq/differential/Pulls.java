import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.sysflag.PullSysFlag;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SearchOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.UpdateConsumerOffsetRequestHeader;

/** Pulls at all edges, by tags, and offsets: kept, asked for, found by time. */
final class Pulls {
    private static final String TOPIC = "differential-pulls";
    private static DefaultMQProducer producer;
    private static DefaultMQPullConsumer consumer;

    private Pulls() {}

    static void run() throws Exception {
        producer = Clients.producer("differential-pull-senders");
        consumer = Clients.puller("differential-pullers");
        long before = System.currentTimeMillis() - 1000;
        String[] tags = {"a", "b", "c", null, "a b"};
        for (int i = 0; i < 10; i++) {
            producer.send(Clients.message(TOPIC, tags[i % tags.length], "pulled " + i), (queues, m, of) -> queues.get(0), null);
        }
        Thread.sleep(50);
        long middle = System.currentTimeMillis();
        Thread.sleep(50);
        producer.send(Clients.message(TOPIC, "a", "pulled later"), (queues, m, of) -> queues.get(0), null);
        edges();
        tags();
        times(before, middle);
        offsets();
        raw();
    }

    private static Object shown(PullResult result) {
        List<String> bodies = new ArrayList<>();
        if (result.getMsgFoundList() != null) {
            for (MessageExt message : result.getMsgFoundList()) bodies.add(Clients.text(message));
        }
        return Arrays.asList(result.getPullStatus().name(), result.getNextBeginOffset(), result.getMinOffset(), result.getMaxOffset(), bodies);
    }

    private static void pull(String what, MessageQueue queue, String tags, long offset, int most) {
        Clients.report("pulls: " + what, Clients.outcome(() -> shown(consumer.pull(queue, tags, offset, most))));
    }

    private static void edges() {
        MessageQueue queue = Clients.queue(TOPIC, 0);
        pull("from the beginning", queue, "*", 0, 3);
        pull("in the middle", queue, "*", 4, 2);
        pull("the last", queue, "*", 10, 32);
        pull("at the end", queue, "*", 11, 32);
        pull("one behind the end", queue, "*", 12, 32);
        pull("far behind the end", queue, "*", 1000, 32);
        pull("one", queue, "*", 0, 1);
        pull("an empty queue", Clients.queue(TOPIC, 3), "*", 0, 32);
        pull("an empty queue behind its end", Clients.queue(TOPIC, 3), "*", 5, 32);
        pull("a queue that is not there", Clients.queue(TOPIC, 99), "*", 0, 32);
        pull("no topic", Clients.queue("differential-nowhere", 0), "*", 0, 32);
    }

    private static void tags() {
        MessageQueue queue = Clients.queue(TOPIC, 0);
        pull("by a tag", queue, "a", 0, 32);
        pull("by two tags", queue, "a || c", 0, 32);
        pull("by tags with spaces about them", queue, "  b  ||a", 0, 32);
        pull("by a tag that has a space", queue, "a b", 0, 32);
        pull("by a tag that nobody has", queue, "nobody", 0, 32);
        pull("by nothing", queue, "", 0, 32);
        pull("by tags whose hashes are equal", queue, "Aa", 0, 32);
        Clients.report("pulls: by another tag with the same hash", Clients.outcome(() -> {
            producer.send(Clients.message("differential-hashes", "BB", "BB"), (queues, m, of) -> queues.get(0), null);
            return shown(consumer.pull(Clients.queue("differential-hashes", 0), "Aa", 0, 32));
        }));
    }

    private static void times(long before, long middle) {
        MessageQueue queue = Clients.queue(TOPIC, 0);
        Clients.report("offsets: least", Clients.outcome(() -> consumer.minOffset(queue)));
        Clients.report("offsets: greatest", Clients.outcome(() -> consumer.maxOffset(queue)));
        Clients.report("offsets: greatest of an empty queue", Clients.outcome(() -> consumer.maxOffset(Clients.queue(TOPIC, 3))));
        Clients.report("offsets: greatest of no queue", Clients.outcome(() -> consumer.maxOffset(Clients.queue(TOPIC, 99))));
        Clients.report("offsets: greatest of no topic", Clients.outcome(() -> consumer.maxOffset(Clients.queue("differential-nowhere", 0))));
        Clients.report("offsets: at a time before all", Clients.outcome(() -> consumer.searchOffset(queue, before)));
        Clients.report("offsets: at a time between", Clients.outcome(() -> consumer.searchOffset(queue, middle)));
        Clients.report("offsets: at a time after all", Clients.outcome(() -> consumer.searchOffset(queue, System.currentTimeMillis() + 60_000)));
        Clients.report("offsets: at a time of an empty queue", Clients.outcome(() -> consumer.searchOffset(Clients.queue(TOPIC, 3), middle)));
        Clients.report("offsets: time of the first", Clients.outcome(() -> {
            long time = consumer.earliestMsgStoreTime(queue);
            return time >= before && time <= middle;
        }));
        Clients.report("offsets: time of the first of an empty queue", Clients.outcome(() -> consumer.earliestMsgStoreTime(Clients.queue(TOPIC, 3))));
    }

    private static Object kept(String group, String topic, int queue, Boolean zeroWhereNone) {
        return Clients.outcome(() -> {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(topic);
            header.setQueueId(queue);
            if (zeroWhereNone != null) header.setSetZeroIfNotFound(zeroWhereNone);
            RemotingCommand answer = Clients.ask(producer, RemotingCommand.createRequestCommand(14, header));
            return answer.getCode() == 0 ? "at " + answer.getExtFields().get("offset") : "answered " + answer.getCode();
        });
    }

    private static Object keep(String group, String topic, int queue, long offset) {
        return Clients.outcome(() -> {
            UpdateConsumerOffsetRequestHeader header = new UpdateConsumerOffsetRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(topic);
            header.setQueueId(queue);
            header.setCommitOffset(offset);
            return "answered " + Clients.ask(producer, RemotingCommand.createRequestCommand(15, header)).getCode();
        });
    }

    private static void offsets() {
        Clients.report("offsets: of a group that nobody has heard of", keep("differential-unheard", TOPIC, 0, 5));
        String group = "differential-pullers";
        consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
        Clients.report("offsets: of a group that has none, of a young queue", kept(group, TOPIC, 0, null));
        Clients.report("offsets: of a group that has none, not zero then", kept(group, TOPIC, 0, false));
        Clients.report("offsets: of a group that has none, of no topic", kept(group, "differential-nowhere", 0, null));
        Clients.report("offsets: kept", keep(group, TOPIC, 0, 5));
        Clients.report("offsets: asked for again", kept(group, TOPIC, 0, null));
        Clients.report("offsets: set back", keep(group, TOPIC, 0, 2));
        Clients.report("offsets: asked for once set back", kept(group, TOPIC, 0, null));
        Clients.report("offsets: behind the end", keep(group, TOPIC, 0, 1000));
        Clients.report("offsets: asked for behind the end", kept(group, TOPIC, 0, null));
        Clients.report("offsets: of no topic", keep(group, "differential-nowhere", 0, 1));
        Clients.report("offsets: of no queue", keep(group, TOPIC, 99, 1));
    }

    /** Pulls that no client sends, or only when it is in doubt. */
    private static Object rawPull(String group, long offset, int most, int flag, long subscription) {
        return Clients.outcome(() -> {
            PullMessageRequestHeader header = new PullMessageRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(TOPIC);
            header.setQueueId(0);
            header.setQueueOffset(offset);
            header.setMaxMsgNums(most);
            header.setSysFlag(flag);
            header.setCommitOffset(0L);
            header.setSuspendTimeoutMillis(500L);
            header.setSubscription("*");
            header.setSubVersion(subscription);
            header.setExpressionType("TAG");
            RemotingCommand answer = Clients.ask(producer, RemotingCommand.createRequestCommand(11, header));
            Object next = answer.getExtFields() == null ? null : answer.getExtFields().get("nextBeginOffset");
            return Arrays.asList("answered " + answer.getCode(), "" + next, answer.getBody() != null && answer.getBody().length > 0);
        });
    }

    private static void raw() {
        int plain = PullSysFlag.buildSysFlag(false, false, true, false);
        Clients.report("pulls: from before the beginning", rawPull("differential-raw", -1, 32, plain, 1));
        Clients.report("pulls: none at all", rawPull("differential-raw", 0, 0, plain, 1));
        Clients.report("pulls: very many", rawPull("differential-raw", 0, 100_000, plain, 1));
        Clients.report("pulls: a long poll of half a second", rawPull("differential-raw", 11, 32, PullSysFlag.buildSysFlag(false, true, true, false), 1));
        Clients.report("pulls: of a group of which nothing is known", rawPull("differential-unknown", 0, 32, PullSysFlag.buildSysFlag(false, false, false, false), 1));
        Clients.report("offsets: a search without a queue", Clients.outcome(() -> {
            SearchOffsetRequestHeader header = new SearchOffsetRequestHeader();
            header.setTopic(TOPIC);
            header.setQueueId(0);
            header.setTimestamp(-1L);
            return "at " + Clients.ask(producer, RemotingCommand.createRequestCommand(29, header)).getExtFields().get("offset");
        }));
        Clients.report("a code that nobody has", Clients.outcome(() ->
            "answered " + Clients.ask(producer, RemotingCommand.createRequestCommand(987_654, null)).getCode()));
    }
}
