import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;

/**
 * The same programs against any RocketMQ server: Differential ADDRESS [GROUP]... Prints a JSON line for each thing that is compared,
 * {"key": ..., "value": ...}, and last one with the key "finished".
 */
public final class Differential {
    private interface Group {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Clients.server = arguments[0];
        Map<String, Group> groups = new LinkedHashMap<>();
        groups.put("deliveries", Deliveries::run);
        groups.put("transactions", Transactions::run);
        groups.put("starts", Starts::run);
        groups.put("selectors", Selectors::run);
        groups.put("sends", Sends::run);
        groups.put("pulls", Pulls::run);
        groups.put("administration", Administration::run);
        if (arguments.length > 1) groups.keySet().retainAll(java.util.Arrays.asList(arguments).subList(1, arguments.length));
        DefaultMQProducer producer = Clients.producer("differential-routes");
        BrokerData data = Clients.api(producer).getDefaultTopicRouteInfoFromNameServer(10_000).getBrokerDatas().get(0);
        Clients.broker = data.selectBrokerAddr();
        Clients.brokerName = data.getBrokerName();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        groups.forEach((name, group) -> threads.submit(() -> {
            try {
                group.run();
            } catch (Throwable error) {
                error.printStackTrace();
                Clients.report(name + ": failed", error.toString());
            }
        }));
        threads.shutdown();
        boolean finished = threads.awaitTermination(10, TimeUnit.MINUTES);
        Clients.report("finished", finished);
        // Some of the clients' threads would keep the program.
        Runtime.getRuntime().halt(0);
    }
}
