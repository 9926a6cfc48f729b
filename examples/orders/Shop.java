import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A shop that sells seats, with RocketMQ's own client of 4.x. Nothing in here knows that it talks to Millstream: the address of
 * the name server is the first argument, what to do is the second one. Fields of lines are parted by tabs.
 */
public final class Shop {
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private static String server;

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        switch (arguments[1]) {
            case "orders": orders(); break;
            case "tickets": tickets(); break;
            case "halves": halves(); break;
            case "remind": remind(); break;
            case "reminded": reminded(); break;
            default: throw new IllegalArgumentException(arguments[1]);
        }
        // Some of the client's threads would keep the program.
        System.exit(0);
    }

    /** Sends an order for each line, and says its key once it is acknowledged. */
    private static void orders() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("shop");
        producer.setNamesrvAddr(server);
        producer.start();
        for (String line = INPUT.readLine(); line != null; line = INPUT.readLine()) {
            String[] order = line.split("\t");
            String customer = order[0];
            Message message = order(order[1], order[2], order[3], order[4]);
            // What a customer orders stays in order: it goes to one queue, and the message says whose it is.
            message.putUserProperty("__SHARDINGKEY", customer);
            acknowledged(producer.send(message, new SelectMessageQueueByHash(), customer));
            say(order[1]);
        }
        producer.shutdown();
    }

    /** Says the tickets that are to be issued, each customer's in order, until standard input ends. */
    private static void tickets() throws Exception {
        DefaultMQPushConsumer consumer = consumer("ticketing", "tickets");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) say(message.getKeys());
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        untilInputEnds();
        consumer.shutdown();
    }

    /** Sends a half message for each line, says so, and is still at its own work when it is killed: it never decides. */
    private static void halves() throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("counter");
        producer.setNamesrvAddr(server);
        producer.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                say(message.getKeys());
                try {
                    new CountDownLatch(1).await();
                } catch (InterruptedException stopped) {
                    Thread.currentThread().interrupt();
                }
                return LocalTransactionState.UNKNOW;
            }

            @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        for (String line = INPUT.readLine(); line != null; line = INPUT.readLine()) {
            String[] order = line.split("\t");
            Message message = order(order[1], order[2], order[3], order[4]);
            new Thread(() -> {
                try {
                    producer.sendMessageInTransaction(message, null);
                } catch (MQClientException error) {
                    error.printStackTrace();
                }
            }).start();
        }
    }

    /** Sends a reminder for each line, with a delay level, and says when its delay began at the earliest. */
    private static void remind() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("reminders");
        producer.setNamesrvAddr(server);
        producer.start();
        say("ready");
        for (String line = INPUT.readLine(); line != null; line = INPUT.readLine()) {
            String[] reminder = line.split("\t");
            Message message = new Message("reminders", "reminder", reminder[0], "your flight leaves".getBytes(StandardCharsets.UTF_8));
            message.setDelayTimeLevel(Integer.parseInt(reminder[1]));
            long begun = System.currentTimeMillis();
            acknowledged(producer.send(message));
            say(reminder[0] + "\t" + begun);
        }
        producer.shutdown();
    }

    /** Says which reminders come, and when, until standard input ends. */
    private static void reminded() throws Exception {
        DefaultMQPushConsumer consumer = consumer("reminding", "reminders");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) say(message.getKeys() + "\t" + System.currentTimeMillis());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        untilInputEnds();
        consumer.shutdown();
    }

    private static Message order(String key, String tag, String card, String body) {
        Message message = new Message("orders", tag, key, body.getBytes(StandardCharsets.UTF_8));
        message.putUserProperty("card", card);
        return message;
    }

    private static DefaultMQPushConsumer consumer(String group, String topic) throws MQClientException {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(server);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        return consumer;
    }

    private static void acknowledged(SendResult result) {
        if (result.getSendStatus() != SendStatus.SEND_OK) throw new IllegalStateException(result.toString());
    }

    private static void untilInputEnds() throws Exception {
        say("ready");
        while (INPUT.readLine() != null) {
            // Only its end counts.
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
