import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * KillCheck ADDRESS TOPIC: sends numbers until standard input ends, and prints each that was acknowledged and when it is due, 0 for at
 * once. What becomes of a number follows from its last digit: 9 is delayed, 3 a transaction that is committed, 5 one that is committed
 * when the server asks, 7 one that is rolled back, all others are plain.
 */
public final class KillCheck {
    public static void main(String[] arguments) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("kill-senders");
        producer.setNamesrvAddr(arguments[0]);
        producer.setRetryTimesWhenSendFailed(0);
        producer.setSendMsgTimeout(1000);
        // A server that was started anew asks whom it has heard of.
        producer.setHeartbeatBrokerInterval(1000);
        producer.setTransactionListener(new TransactionListener() {
            @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return digit(message) == 5 ? LocalTransactionState.UNKNOW : decided(message);
            }

            @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return decided(message);
            }
        });
        producer.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (int number = 0; !input.ready(); number++) {
            String body = String.valueOf(number);
            Message message = new Message(arguments[1], "t", "key-" + body, body.getBytes(StandardCharsets.UTF_8));
            long due = 0;
            if (digit(message) == 9) {
                due = System.currentTimeMillis() + 3000;
                MessageAccessor.putProperty(message, "TIMER_DELIVER_MS", String.valueOf(due));
            }
            try {
                boolean half = digit(message) == 3 || digit(message) == 5 || digit(message) == 7;
                SendResult result = half ? producer.sendMessageInTransaction(message, null) : producer.send(message);
                if (result.getSendStatus() == SendStatus.SEND_OK) {
                    System.out.println(number + " " + due);
                    System.out.flush();
                }
            } catch (Exception broken) {
                // Whether it is there is not known. The next one goes on.
                Thread.sleep(20);
            }
        }
        // Goes on being asked until it is killed.
        while (true) Thread.sleep(1000);
    }

    private static int digit(Message message) {
        return (message.getBody()[message.getBody().length - 1] - '0') % 10;
    }

    private static LocalTransactionState decided(Message message) {
        return digit(message) == 7 ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.COMMIT_MESSAGE;
    }
}
