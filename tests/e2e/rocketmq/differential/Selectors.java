import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.filter.FilterAPI;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;

/** SQL92: which of some messages each of many expressions takes, or how it is refused. */
final class Selectors {
    private static final String TOPIC = "differential-selectors";
    /** Of the property a; b, c and d are there in some. */
    private static final String[] VALUES = {
        "1", "2", "10", "-5", "0", "1.5", "1e3", "3000000000", "9223372036854775808", "007", "1f", "1d", "5L", " 5", "0x10", "NaN", "Infinity",
        "true", "false", "TRUE", "null", "NULL", "x", "X", "xyz", "x y", "a'b", "ü", "日本", "%", "_",
    };
    private static final String[] WRITTEN = {
        "a = 1", "a = '1'", "a <> 1", "a <> '1'", "a > 1", "a >= 1", "a < 1", "a <= 1", "a > 1.0", "a < 2.5", "a = 1.5", "a = 1e3", "a = -5",
        "a > -6", "a = 5L", "a = 3000000000", "a > 3000000000", "a = TRUE", "a = FALSE", "a = true", "a <> TRUE", "a = NULL", "a <> NULL",
        "a IS NULL", "a IS NOT NULL", "b IS NULL", "NOT a IS NULL", "NOT (a = 1)", "NOT a = 1", "NOT NOT a = 1", "a = b", "a > b", "a < b",
        "a BETWEEN 1 AND 10", "a NOT BETWEEN 1 AND 10", "a BETWEEN 1.0 AND 10.0", "a BETWEEN 10 AND 1", "a BETWEEN '1' AND '2'",
        "a IN ('1', '2')", "a NOT IN ('1', '2')", "a IN ('x')", "a IN (1, 2)", "a IN ()", "a IN ('1', 2)", "b IN ('y')", "b NOT IN ('y')",
        "a CONTAINS 'x'", "a NOT CONTAINS 'x'", "a STARTSWITH 'x'", "a NOT STARTSWITH 'x'", "a ENDSWITH 'z'", "a NOT ENDSWITH 'z'",
        "b CONTAINS 'y'", "b NOT CONTAINS 'y'", "a CONTAINS ''", "a CONTAINS 1", "a CONTAINS b", "'xyz' CONTAINS 'x'",
        "a = 1 AND b = 'y'", "a = 1 OR b = 'y'", "a = 1 AND b = 'y' OR c = 2", "a = 1 OR b = 'y' AND c = 2", "(a = 1 OR b = 'y') AND c = 2",
        "a > 1 OR b = 'y'", "b = 'y' OR a > 1", "a > 1 AND b = 'y'", "b = 'y' AND a > 1", "NOT (a > 1 OR b = 'y')", "TRUE", "FALSE", "NULL",
        "NOT TRUE", "TRUE AND a = 1", "FALSE OR a = 1", "NULL OR a = 1", "NULL AND a = 1", "1 = 1", "1 = 2", "'a' = 'a'", "'a' < 'b'", "1 < 2",
        "1 < 2.0", "1 = 1.0", "1 = '1'", "TRUE = TRUE", "NULL = NULL", "a", "NOT a", "b", "5", "'x'", "a AND b = 'y'", "TAGS = 't1'", "TAGS IN ('t1')",
        "KEYS IS NOT NULL", "UNIQ_KEY IS NOT NULL", "MSG_REGION IS NOT NULL", "A = 1", "a = 'a''b'", "a = 'ü'", "a = '日本'", "a = \"1\"",
        "a == 1", "a != 1", "a =", "= 1", "a 1", "a = 1 b", "a LIKE 'x%'", "a + 1 = 2", "a = 1 +", "(a = 1", "a = 1)", "()", "", " ", "a = 'x",
        "a = 1; b = 2", "a = 007", "a = 1.", "a = .5", "a = 1e", "a = 0.0", "a = 1.50", "a = 99999999999999999999", "a = 1E3", "a = +1", "a = - 5",
        "a = 1 -- comment", "a = 1 /* comment */", "a = /* within */ 1", "a in ('1')", "a is null", "not a = 1", "a between 1 and 2",
        "a = 1 and b = 'y'", "a = 1 or a = 2", "a Is Not Null", "a = True", "-(a = 1)", "- a = 1", "a.b = 1", "a$b = 1", "a_b = 1", "$a = 1", "_a = 1",
        "a-b = 1", "1a = 1", "ü = 1", "a > TRUE", "a BETWEEN TRUE AND FALSE", "a > 'x'", "'x' < a", "a >= b AND b IS NOT NULL", "c > 1", "c >= 2 AND c <= 2",
        "c > d", "c = d", "c <> d", "d > 1.0", "d > 1", "d BETWEEN 1 AND 3", "c BETWEEN d AND 3", "c BETWEEN 1 AND d",
    };
    private static final int RANDOM = 300;

    private Selectors() {}

    static void run() throws Exception {
        DefaultMQProducer producer = Clients.producer("differential-selected");
        int number = 0;
        for (String value : VALUES) {
            Message message = Clients.message(TOPIC, "t" + number % 3, "a is " + value);
            message.putUserProperty("a", value);
            if (number % 2 == 0) message.putUserProperty("b", number % 4 == 0 ? "y" : "1");
            if (number % 3 != 0) message.putUserProperty("c", String.valueOf(number % 4));
            if (number % 5 < 3) message.putUserProperty("d", number % 2 == 0 ? "2" : "2.5");
            message.putUserProperty("a$b", "1");
            message.putUserProperty("a_b", "1");
            producer.send(message, (queues, m, of) -> queues.get(0), null);
            number++;
        }
        producer.send(Clients.message(TOPIC, "t1", "has none"), (queues, m, of) -> queues.get(0), null);
        DefaultMQPullConsumer consumer = Clients.puller("differential-selecting");
        // Heartbeats tell the client whether the broker is new enough for conditions.
        consumer.maxOffset(Clients.queue(TOPIC, 0));
        Clients.await(60, "a heartbeat", () -> {
            consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
            return String.valueOf(taken(consumer, "TRUE")).startsWith("[");
        });
        Set<String> expressions = new LinkedHashSet<>(Arrays.asList(WRITTEN));
        Random random = new Random(Long.getLong("seed", 7));
        while (expressions.size() < WRITTEN.length + RANDOM) expressions.add(condition(random, 3));
        for (String expression : expressions) report(consumer, expression);
    }

    private static void report(DefaultMQPullConsumer consumer, String expression) {
        Clients.report("selectors: " + expression, taken(consumer, expression));
        // As push consumers ask it when they start.
        Clients.report("conditions: " + expression, Clients.outcome(() -> {
            SubscriptionData subscription = FilterAPI.build(TOPIC, expression, "SQL92");
            MQClientInstance client = consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory();
            client.getMQClientAPIImpl().checkClientInBroker(Clients.broker, consumer.getConsumerGroup(), client.getClientId(), subscription, 10_000);
            return "taken";
        }));
    }

    private static Object taken(DefaultMQPullConsumer consumer, String expression) {
        return Clients.outcome(() -> {
            MessageQueue queue = Clients.queue(TOPIC, 0);
            List<String> taken = new ArrayList<>();
            for (long offset = 0; offset < VALUES.length + 1;) {
                PullResult result = consumer.pull(queue, MessageSelector.bySql(expression), offset, 32);
                if (result.getMsgFoundList() != null) {
                    for (MessageExt message : result.getMsgFoundList()) taken.add(Clients.text(message));
                }
                if (result.getNextBeginOffset() <= offset) throw new IllegalStateException("no way on from " + offset);
                offset = result.getNextBeginOffset();
            }
            return taken;
        });
    }

    private static <T> T any(Random random, List<T> of) {
        return of.get(random.nextInt(of.size()));
    }

    /** Conditions that can be read; whether they can be answered is another matter. */
    private static String condition(Random random, int depth) {
        switch (depth == 0 ? 4 : random.nextInt(6)) {
            case 0: return condition(random, depth - 1) + " AND " + condition(random, depth - 1);
            case 1: return condition(random, depth - 1) + " OR " + condition(random, depth - 1);
            case 2: return "NOT (" + condition(random, depth - 1) + ")";
            case 3: return "(" + condition(random, depth - 1) + ")";
            default: return comparison(random);
        }
    }

    private static String comparison(Random random) {
        String property = any(random, Arrays.asList("a", "a", "b", "c", "d", "e", "TAGS"));
        String not = random.nextInt(3) == 0 ? "NOT " : "";
        String text = any(random, Arrays.asList("'x'", "'y'", "'1'", "'t1'", "'true'", "'2'"));
        String number = any(random, Arrays.asList("1", "2", "10", "1.5", "2.0", "3000000000", "-5", "1e2"));
        String least = any(random, Arrays.asList("1", "0.5", "-10"));
        String order = any(random, Arrays.asList("<", "<=", ">", ">="));
        switch (random.nextInt(9)) {
            case 0: return property + " = " + any(random, Arrays.asList(text, number, "TRUE", "NULL"));
            case 1: return property + " <> " + any(random, Arrays.asList(text, number, "FALSE", "NULL"));
            case 2: return property + " " + order + " " + number;
            case 3: return number + " " + order + " " + property;
            case 4: return property + " " + not + "BETWEEN " + least + " AND " + number;
            case 5: return property + " " + not + "IN (" + text + ", 'z')";
            case 6: return property + " IS " + not + "NULL";
            case 7: return property + " " + not + any(random, Arrays.asList("CONTAINS ", "STARTSWITH ", "ENDSWITH ")) + text;
            default: return property + " " + any(random, Arrays.asList("=", "<>", order)) + " " + any(random, Arrays.asList("b", "c", "d"));
        }
    }
}
