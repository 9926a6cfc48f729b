import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;

/** Inserts ids one by one until standard input ends, each tried once, and prints those whose execute returned. */
public final class JdbcInserts {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:arrow-flight-sql://" + arguments[0] + "/?useEncryption=false";
        long first = Long.parseLong(arguments[1]);
        long end = first + Long.parseLong(arguments[2]);
        Connection connection = null;
        for (long id = first; id < end; id++) {
            try {
                if (connection == null) connection = DriverManager.getConnection(url);
                try (Statement statement = connection.createStatement()) {
                    statement.execute("INSERT INTO inserted VALUES (" + id + ")");
                }
                System.out.println(id);
                System.out.flush();
            } catch (Exception broken) {
                // The server was killed: whether this id is there is not known. The next one goes over a new connection.
                connection = null;
                Thread.sleep(20);
            }
        }
    }
}
