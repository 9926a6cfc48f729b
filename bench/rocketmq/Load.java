import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Load ADDRESS SECONDS MESSAGES: what RocketMQ's own client gets out of a server, one line a workload: its name, messages per second, and
 * milliseconds below which half, 99 % and 99.9 % of the answers came (0 where there are none).
 */
public final class Load {
    private static final int BODY_BYTES = 1024;
    private static final int THREADS = 64;
    private static final int WINDOW = 1000;
    private static final int GROUPS = 10;
    private static String server;

    public static void main(String[] arguments) {
        try {
            run(arguments);
        } catch (Throwable failed) {
            // Threads of consumers would keep the program.
            fail(failed);
        }
    }

    private static void run(String[] arguments) throws Exception {
        server = arguments[0];
        double seconds = Double.parseDouble(arguments[1]);
        long messages = Long.parseLong(arguments[2]);
        DefaultMQProducer producer = new DefaultMQProducer("load");
        producer.setNamesrvAddr(server);
        producer.setSendMsgTimeout(10_000);
        producer.setMqClientApiTimeout(10_000);
        // Bodies that don't compress would only be tried to.
        producer.setCompressMsgBodyOverHowmuch(1 << 22);
        producer.start();
        // The topics are there, and the code is compiled, once it counts.
        for (String topic : new String[] {"load", "drained"}) first(producer, topic);
        sync(producer, seconds / 3);
        print("sync", sync(producer, seconds));
        async(producer, seconds / 3, Long.MAX_VALUE, "load");
        print("async", async(producer, seconds, Long.MAX_VALUE, "load"));
        async(producer, Double.MAX_VALUE, messages - 1, "drained");
        print("drain", drain(1, messages));
        print("fan_out", drain(GROUPS, messages));
        Runtime.getRuntime().halt(0);
    }

    /** A broker of Apache's may be there before its name server knows of it. */
    private static void first(DefaultMQProducer producer, String topic) throws Exception {
        for (int attempt = 1; ; attempt++) {
            try {
                producer.send(new Message(topic, body()));
                return;
            } catch (MQClientException noRoute) {
                if (attempt == 30) throw noRoute;
                Thread.sleep(1000);
            }
        }
    }

    private static void print(String workload, double[] figures) {
        System.out.println(workload + " " + figures[0] + " " + figures[1] + " " + figures[2] + " " + figures[3]);
        System.out.flush();
    }

    private static byte[] body() {
        byte[] body = new byte[BODY_BYTES];
        new Random(7).nextBytes(body);
        return body;
    }

    /** Nanoseconds that were taken, by several threads. */
    private static final class Times {
        private final List<long[]> parts = new ArrayList<>();

        synchronized void add(long[] part, int count) {
            parts.add(Arrays.copyOf(part, count));
        }

        synchronized double[] figures(double seconds) {
            long[] all = parts.stream().flatMapToLong(Arrays::stream).sorted().toArray();
            return new double[] {all.length / seconds, at(all, 0.5), at(all, 0.99), at(all, 0.999)};
        }

        private static double at(long[] sorted, double share) {
            return sorted.length == 0 ? 0 : sorted[(int) Math.round((sorted.length - 1) * share)] / 1e6;
        }
    }

    private static double[] sync(DefaultMQProducer producer, double seconds) throws Exception {
        byte[] body = body();
        Times times = new Times();
        long begun = System.nanoTime();
        long end = begun + (long) (seconds * 1e9);
        Thread[] threads = new Thread[THREADS];
        for (int i = 0; i < THREADS; i++) {
            threads[i] = new Thread(() -> {
                long[] taken = new long[1 << 20];
                int count = 0;
                try {
                    while (System.nanoTime() < end && count < taken.length) {
                        long at = System.nanoTime();
                        producer.send(new Message("load", body));
                        taken[count++] = System.nanoTime() - at;
                    }
                } catch (Exception failed) {
                    fail(failed);
                }
                times.add(taken, count);
            });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        return times.figures((System.nanoTime() - begun) / 1e9);
    }

    private static double[] async(DefaultMQProducer producer, double seconds, long most, String topic) throws Exception {
        byte[] body = body();
        Semaphore window = new Semaphore(WINDOW);
        long[] taken = new long[1 << 22];
        AtomicLong answered = new AtomicLong();
        long begun = System.nanoTime();
        for (long sent = 0; sent < Math.min(most, taken.length) && System.nanoTime() - begun < seconds * 1e9; sent++) {
            window.acquire();
            long at = System.nanoTime();
            producer.send(new Message(topic, body), new SendCallback() {
                @Override public void onSuccess(SendResult result) {
                    taken[(int) answered.getAndIncrement()] = System.nanoTime() - at;
                    window.release();
                }

                @Override public void onException(Throwable failed) {
                    fail(failed);
                }
            });
        }
        if (!window.tryAcquire(WINDOW, 60, TimeUnit.SECONDS)) throw new IllegalStateException("answers are missing");
        double took = (System.nanoTime() - begun) / 1e9;
        Times times = new Times();
        times.add(taken, (int) answered.get());
        return times.figures(took);
    }

    /** So many groups read all of what there is: messages per second together, from the first one to the last. */
    private static double[] drain(int groups, long messages) throws Exception {
        AtomicLong first = new AtomicLong();
        CountDownLatch left = new CountDownLatch(groups);
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        List<AtomicLong> counts = new ArrayList<>();
        for (int i = 0; i < groups; i++) {
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("drain-" + groups + "-" + i);
            consumer.setNamesrvAddr(server);
            consumer.setInstanceName("drain-" + groups + "-" + i);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setConsumeMessageBatchMaxSize(32);
            consumer.subscribe("drained", "*");
            AtomicLong came = new AtomicLong();
            counts.add(came);
            consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
                first.compareAndSet(0, System.nanoTime());
                long now = came.addAndGet(batch.size());
                if (now >= messages && now - batch.size() < messages) left.countDown();
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumers.add(consumer);
        }
        for (DefaultMQPushConsumer consumer : consumers) consumer.start();
        if (!left.await(300, TimeUnit.SECONDS)) throw new IllegalStateException("of " + messages + " messages came " + counts);
        double seconds = (System.nanoTime() - first.get()) / 1e9;
        for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
        return new double[] {groups * messages / seconds, 0, 0, 0};
    }

    private static void fail(Throwable failed) {
        failed.printStackTrace();
        Runtime.getRuntime().halt(1);
    }
}
