import java.io.FileWriter;
import java.io.IOException;
import java.io.PrintStream;
import java.io.Writer;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Properties;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.BrokerStartup;
import org.apache.rocketmq.namesrv.NamesrvStartup;

/**
 * Apache RocketMQ, name server and broker in this process, on free ports of the loopback: ApacheBroker DIRECTORY [SETTING=VALUE]...
 * Says "ready remoting=ADDRESS" as Millstream does, and runs until its input ends. Settings are the broker's own.
 */
public final class ApacheBroker {
    public static void main(String[] arguments) throws Exception {
        Path directory = Paths.get(arguments[0]).toAbsolutePath();
        Files.createDirectories(directory);
        // Only the ready line is this program's output.
        PrintStream output = System.out;
        System.setOut(System.err);
        System.setProperty("rocketmq.home.dir", directory.toString());
        System.setProperty("user.home", directory.toString());

        int nameServer = freePorts(0, 0);
        Properties names = new Properties();
        names.setProperty("listenPort", String.valueOf(nameServer));
        names.setProperty("bindAddress", "127.0.0.1");
        names.setProperty("kvConfigPath", directory.resolve("names.json").toString());
        NamesrvStartup.main0(new String[] {"-c", write(directory.resolve("names.properties"), names)});

        Properties broker = new Properties();
        broker.setProperty("namesrvAddr", "127.0.0.1:" + nameServer);
        broker.setProperty("brokerIP1", "127.0.0.1");
        broker.setProperty("bindAddress", "127.0.0.1");
        // A second door is two below, that for replicas one above.
        broker.setProperty("listenPort", String.valueOf(freePorts(-2, 1)));
        broker.setProperty("storePathRootDir", directory.resolve("store").toString());
        broker.setProperty("storePathCommitLog", directory.resolve("store/commitlog").toString());
        broker.setProperty("enablePropertyFilter", "true");
        broker.setProperty("recallMessageEnable", "true");
        // It refuses sends beyond three quarters of a disk otherwise.
        broker.setProperty("diskMaxUsedSpaceRatio", "97");
        for (int i = 1; i < arguments.length; i++) {
            String[] setting = arguments[i].split("=", 2);
            broker.setProperty(setting[0], setting[1]);
        }
        BrokerController controller =
            BrokerStartup.createBrokerController(new String[] {"-c", write(directory.resolve("broker.properties"), broker)});
        BrokerStartup.start(controller);
        output.println("ready remoting=127.0.0.1:" + nameServer);
        output.flush();
        while (System.in.read() >= 0) {
            // Only its end counts.
        }
        Runtime.getRuntime().halt(0);
    }

    /** A port that is free, and those from so many below to so many above it too. */
    private static int freePorts(int below, int above) throws IOException {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        for (int tries = 0; tries < 100; tries++) {
            int port;
            try (ServerSocket socket = new ServerSocket(0, 1, loopback)) {
                port = socket.getLocalPort();
            }
            boolean free = true;
            for (int other = port + below; other <= port + above && free; other++) {
                try (ServerSocket socket = new ServerSocket(other, 1, loopback)) {
                    free = socket.isBound();
                } catch (IOException taken) {
                    free = false;
                }
            }
            if (free) return port;
        }
        throw new IOException("no free ports");
    }

    private static String write(Path path, Properties properties) throws IOException {
        try (Writer writer = new FileWriter(path.toFile())) {
            properties.store(writer, null);
        }
        return path.toString();
    }
}
