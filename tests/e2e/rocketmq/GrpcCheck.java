import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientConfigurationBuilder;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.StaticSessionCredentialsProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.RecallReceipt;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionChecker;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;

/** What Java programs do with RocketMQ's client over gRPC, one part a run. Prints a line a check; any failure throws. */
public final class GrpcCheck {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static ClientConfiguration configuration;

    public static void main(String[] arguments) throws Exception {
        ClientConfigurationBuilder settings = ClientConfiguration.newBuilder().setEndpoints(arguments[0])
            .enableSsl(Boolean.getBoolean("millstream.ssl")).setRequestTimeout(Duration.ofSeconds(10));
        String key = System.getenv("ROCKETMQ_ACCESS_KEY");
        if (key != null) {
            settings.setCredentialProvider(new StaticSessionCredentialsProvider(key, System.getenv("ROCKETMQ_SECRET_KEY")));
        }
        configuration = settings.build();
        String[] rest = Arrays.copyOfRange(arguments, 2, arguments.length);
        switch (arguments[1]) {
            case "sends": sends(); break;
            case "transactions": transactions(); break;
            case "orphaned": orphaned(rest); break;
            case "simple": simple(); break;
            case "push": push(); break;
            case "ordered": ordered(); break;
            case "dead": dead(); break;
            case "holds": holds(rest[0], rest[1]); break;
            case "numbers": numbers(rest[0]); break;
            case "receives": receives(rest[0], rest[1], Integer.parseInt(rest[2])); break;
            default: throw new IllegalArgumentException(arguments[1]);
        }
        System.exit(0);
    }

    private static void check(boolean is, String what) {
        if (!is) {
            throw new AssertionError(what);
        }
    }

    private static void eventually(BooleanSupplier is, int seconds, String what) throws InterruptedException {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (!is.getAsBoolean()) {
            check(System.nanoTime() < end, what);
            Thread.sleep(20);
        }
    }

    private static void refused(int code, ThrowingRunnable call) throws Exception {
        try {
            call.run();
        } catch (ClientException refused) {
            check(refused.getMessage().contains("response-code=" + code), "instead of " + code + ": " + refused.getMessage());
            return;
        }
        throw new AssertionError("not refused with " + code);
    }

    private interface ThrowingRunnable {
        void run() throws Exception;
    }

    private static Producer producer(String... topics) throws ClientException {
        return PROVIDER.newProducerBuilder().setClientConfiguration(configuration).setTopics(topics).build();
    }

    private static MessageBuilder message(String topic, String body) {
        return PROVIDER.newMessageBuilder().setTopic(topic).setBody(body.getBytes(StandardCharsets.UTF_8));
    }

    private static SimpleConsumer simpleConsumer(String group, String topic, FilterExpression filter) throws ClientException {
        return PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(configuration).setConsumerGroup(group)
            .setAwaitDuration(Duration.ofSeconds(5)).setSubscriptionExpressions(Collections.singletonMap(topic, filter)).build();
    }

    private static PushConsumer pushConsumer(String group, String topic, FilterExpression filter, MessageListener listener)
        throws ClientException {
        return PROVIDER.newPushConsumerBuilder().setClientConfiguration(configuration).setConsumerGroup(group)
            .setSubscriptionExpressions(Collections.singletonMap(topic, filter)).setMessageListener(listener).build();
    }

    private static String body(MessageView view) {
        ByteBuffer body = view.getBody();
        byte[] bytes = new byte[body.remaining()];
        body.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** The next messages of a consumer, so many of them. */
    private static List<MessageView> take(SimpleConsumer consumer, int count, Duration invisible) throws Exception {
        List<MessageView> taken = new ArrayList<>();
        long end = System.nanoTime() + 60_000_000_000L;
        while (taken.size() < count) {
            check(System.nanoTime() < end, taken.size() + " messages instead of " + count);
            taken.addAll(consumer.receive(16, invisible));
        }
        return taken;
    }

    private static void sends() throws Exception {
        Producer producer = producer("grpc-sends", "grpc-normal");
        Message normal = message("grpc-sends", "one").setTag("a").setKeys("k1", "k2").addProperty("amount", "120").build();
        SendReceipt receipt = producer.send(normal);
        check(receipt.getMessageId().toString().length() == 34, receipt.toString());
        for (int i = 0; i < 8; i++) {
            producer.send(message("grpc-sends", "in order " + i).setMessageGroup("g").build());
        }
        List<SendReceipt> receipts = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            receipts.add(producer.sendAsync(message("grpc-sends", "async " + i).build()).join());
        }
        check(receipts.size() == 4, "asynchronous sends");
        System.out.println("sent");
        long at = System.currentTimeMillis() + 3_000;
        producer.send(message("grpc-sends", "late").setDeliveryTimestamp(at).build());
        refused(40012, () -> producer.send(
            message("grpc-sends", "never").setDeliveryTimestamp(System.currentTimeMillis() + 41L * 24 * 3_600_000).build()));
        refused(40007, () -> producer.send(message("grpc-sends", "x").addProperty("UNIQ_KEY", "mine").build()));
        try {
            producer.send(message("grpc-normal", "x").setMessageGroup("g").build());
            throw new AssertionError("a message of another kind was taken");
        } catch (IllegalArgumentException | ClientException refused) {
            check(refused.getMessage().contains("type"), refused.toString());
        }
        System.out.println("refused");
        producer.close();
    }

    private static void transactions() throws Exception {
        Map<String, TransactionResolution> words = new ConcurrentHashMap<>();
        words.put("later committed", TransactionResolution.COMMIT);
        words.put("later rolled back", TransactionResolution.ROLLBACK);
        Map<String, MessageView> asked = new ConcurrentHashMap<>();
        TransactionChecker checker = view -> {
            asked.put(body(view), view);
            return words.get(body(view));
        };
        Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration).setTopics("grpc-halves")
            .setTransactionChecker(checker).build();
        Transaction commit = producer.beginTransaction();
        SendReceipt receipt = producer.send(message("grpc-halves", "committed").setTag("t").addProperty("own", "1").build(), commit);
        Transaction rollback = producer.beginTransaction();
        producer.send(message("grpc-halves", "rolled back").build(), rollback);
        commit.commit();
        rollback.rollback();
        for (String body : words.keySet()) {
            producer.send(message("grpc-halves", body).setTag("t").addProperty("own", "1").build(), producer.beginTransaction());
        }
        System.out.println("half messages sent");
        eventually(() -> asked.size() == words.size(), 60, "the producer is not asked");
        MessageView view = asked.get("later committed");
        check(view.getTopic().equals("grpc-halves") && view.getTag().get().equals("t"), view.toString());
        check(view.getProperties().equals(Collections.singletonMap("own", "1")), view.getProperties().toString());
        check(!receipt.getMessageId().equals(view.getMessageId()), "another message's id");
        System.out.println("asked");
        // The last answer is still on its way.
        Thread.sleep(1_000);
        producer.close();
    }

    /** Half messages that nobody decides on here, or words about those that others have left. */
    private static void orphaned(String[] arguments) throws Exception {
        Set<String> asked = ConcurrentHashMap.newKeySet();
        boolean sends = arguments[0].equals("leave");
        TransactionChecker checker = view -> {
            asked.add(body(view));
            return sends ? TransactionResolution.UNKNOWN : TransactionResolution.COMMIT;
        };
        Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration).setTopics("grpc-orphans")
            .setTransactionChecker(checker).build();
        if (sends) {
            producer.send(message("grpc-orphans", "left").build(), producer.beginTransaction());
            System.out.println("left");
            // Ended by its parent.
            new BufferedReader(new InputStreamReader(System.in)).readLine();
            return;
        }
        eventually(() -> asked.contains("left"), 90, "nobody is asked about what others have left");
        Thread.sleep(1_000);
        System.out.println("recovered");
        producer.close();
    }

    private static void simple() throws Exception {
        Producer producer = producer("grpc-simple");
        SimpleConsumer consumer = simpleConsumer("grpc-simple-group", "grpc-simple", new FilterExpression("a || b"));
        for (String tag : Arrays.asList("a", "b", "c")) {
            Message message = message("grpc-simple", tag).setTag(tag).setKeys("k1", "k2").addProperty("own", "1").build();
            producer.send(message);
        }
        List<MessageView> taken = take(consumer, 2, Duration.ofSeconds(10));
        Set<String> bodies = new TreeSet<>();
        for (MessageView view : taken) {
            bodies.add(body(view));
            check(view.getProperties().equals(Collections.singletonMap("own", "1")), view.getProperties().toString());
            check(view.getKeys().size() == 2 && view.getDeliveryAttempt() == 1, view.toString());
            consumer.ack(view);
        }
        check(bodies.equals(new TreeSet<>(Arrays.asList("a", "b"))), bodies.toString());
        check(consumer.receive(16, Duration.ofSeconds(10)).isEmpty(), "something was handed out twice");
        System.out.println("received by tags and acknowledged");
        producer.send(message("grpc-simple", "again").setTag("a").build());
        MessageView first = take(consumer, 1, Duration.ofSeconds(60)).get(0);
        consumer.changeInvisibleDuration(first, Duration.ofSeconds(2));
        long begun = System.nanoTime();
        MessageView second = take(consumer, 1, Duration.ofSeconds(60)).get(0);
        check(second.getMessageId().equals(first.getMessageId()) && second.getDeliveryAttempt() == 2, second.toString());
        check(System.nanoTime() - begun > 1_000_000_000L, "handed out too early");
        consumer.ack(second);
        System.out.println("visible again sooner");
        SimpleConsumer selecting = simpleConsumer("grpc-selecting-group", "grpc-simple",
            new FilterExpression("amount > 100", FilterExpressionType.SQL92));
        for (int amount : new int[] {50, 150}) {
            producer.send(message("grpc-simple", "amount " + amount).addProperty("amount", "" + amount).build());
        }
        MessageView chosen = take(selecting, 1, Duration.ofSeconds(10)).get(0);
        check(body(chosen).equals("amount 150"), body(chosen));
        selecting.ack(chosen);
        System.out.println("received by a condition");
        long at = System.currentTimeMillis() + 3_000;
        producer.send(message("grpc-simple", "late").setTag("a").setDeliveryTimestamp(at).build());
        MessageView late = take(consumer, 1, Duration.ofSeconds(10)).get(0);
        check(body(late).equals("late") && System.currentTimeMillis() >= at, "delivered early");
        check(late.getDeliveryTimestamp().get() == at, late.toString());
        consumer.ack(late);
        System.out.println("none early");
        SendReceipt receipt = producer.send(
            message("grpc-simple", "recalled").setTag("a").setDeliveryTimestamp(System.currentTimeMillis() + 60_000).build());
        RecallReceipt recalled = producer.recallMessage("grpc-simple", receipt.getRecallHandle());
        check(recalled.getMessageId().equals(receipt.getMessageId()), recalled.toString());
        System.out.println("recalled");
        selecting.close();
        consumer.close();
        producer.close();
    }

    private static void push() throws Exception {
        Producer producer = producer("grpc-push");
        Map<String, Integer> times = new ConcurrentHashMap<>();
        Map<String, Integer> attempts = new ConcurrentHashMap<>();
        MessageListener listener = view -> {
            attempts.put(body(view), view.getDeliveryAttempt());
            int count = times.merge(body(view), 1, Integer::sum);
            return body(view).equals("fails once") && count == 1 ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
        };
        PushConsumer consumer = pushConsumer("grpc-push-group", "grpc-push", new FilterExpression("*"), listener);
        for (int i = 0; i < 200; i++) {
            producer.send(message("grpc-push", "message " + i).build());
        }
        producer.send(message("grpc-push", "fails once").build());
        eventually(() -> times.size() == 201 && times.get("fails once") == 2, 60, "consumed: " + times.size());
        times.remove("fails once");
        check(Collections.max(times.values()) == 1, "consumed twice");
        check(attempts.get("fails once") == 2, "attempts: " + attempts.get("fails once"));
        System.out.println("consumed, one again");
        consumer.close();
        producer.close();
    }

    private static void ordered() throws Exception {
        Producer producer = producer("grpc-ordered");
        for (int i = 0; i < 40; i++) {
            producer.send(message("grpc-ordered", "" + i).setMessageGroup("g" + i % 4).build());
        }
        Map<String, List<Integer>> seen = new HashMap<>();
        AtomicInteger failures = new AtomicInteger();
        MessageListener listener = view -> {
            int number = Integer.parseInt(body(view));
            if (number == 20 && failures.getAndIncrement() == 0) {
                return ConsumeResult.FAILURE;
            }
            synchronized (seen) {
                seen.computeIfAbsent(view.getMessageGroup().get(), group -> new ArrayList<>()).add(number);
            }
            return ConsumeResult.SUCCESS;
        };
        PushConsumer consumer = pushConsumer("grpc-ordered-group", "grpc-ordered", new FilterExpression("*"), listener);
        eventually(() -> {
            synchronized (seen) {
                return seen.values().stream().mapToInt(List::size).sum() >= 40;
            }
        }, 60, "not all were consumed");
        synchronized (seen) {
            for (Map.Entry<String, List<Integer>> group : seen.entrySet()) {
                List<Integer> sorted = new ArrayList<>(group.getValue());
                Collections.sort(sorted);
                check(sorted.equals(group.getValue()) && sorted.size() == 10, group.toString());
            }
        }
        check(failures.get() == 2, "not consumed again in its place");
        System.out.println("consumed in order");
        consumer.close();
        producer.close();
    }

    private static void dead() throws Exception {
        Producer producer = producer("grpc-dead");
        SimpleConsumer consumer = simpleConsumer("grpc-dead-group", "grpc-dead", new FilterExpression("*"));
        producer.send(message("grpc-dead", "given up").setTag("a").addProperty("own", "1").build());
        int handed = 0;
        while (true) {
            List<MessageView> taken = consumer.receive(1, Duration.ofSeconds(10));
            if (taken.isEmpty()) {
                break;
            }
            handed += 1;
            check(taken.get(0).getDeliveryAttempt() == handed, taken.get(0).toString());
            consumer.changeInvisibleDuration(taken.get(0), Duration.ofMillis(1_000));
        }
        System.out.println("handed out " + handed + " times");
        consumer.close();
        producer.close();
    }

    /** Takes messages as a push consumer, and never says what became of them: it waits to be killed. */
    private static void holds(String topic, String group) throws Exception {
        pushConsumer(group, topic, new FilterExpression("*"), view -> {
            System.out.println("holding");
            try {
                Thread.sleep(600_000);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
            return ConsumeResult.FAILURE;
        });
        new BufferedReader(new InputStreamReader(System.in)).readLine();
    }

    private static void numbers(String topic) throws Exception {
        Producer producer = producer(topic);
        for (int i = 0; i < 10; i++) {
            producer.send(message(topic, String.valueOf(1_000_000 + i)).setTag("t").build());
        }
        System.out.println("sent");
        producer.close();
    }

    /** Prints the bodies of so many messages that a group is handed, a line each. */
    private static void receives(String topic, String group, int count) throws Exception {
        SimpleConsumer consumer = simpleConsumer(group, topic, new FilterExpression("*"));
        for (MessageView view : take(consumer, count, Duration.ofSeconds(30))) {
            System.out.println(body(view));
            consumer.ack(view);
        }
        consumer.close();
    }
}
