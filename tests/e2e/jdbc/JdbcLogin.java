import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** Logs in with the stock Flight SQL JDBC driver: by user and password, and by a token. Prints one line a way. */
public final class JdbcLogin {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:arrow-flight-sql://" + arguments[0] + "/?useEncryption=false";
        String user = arguments[1], password = arguments[2], token = arguments[3];
        System.out.println("password " + rows(DriverManager.getConnection(url, user, password)));
        System.out.println("token for a password " + rows(DriverManager.getConnection(url, user, token)));
        System.out.println("token " + rows(DriverManager.getConnection(url + "&token=" + token)));
        refused("wrong password", () -> DriverManager.getConnection(url, user, "another password"));
        refused("wrong token", () -> DriverManager.getConnection(url + "&token=mst_other"));
        refused("nothing", () -> DriverManager.getConnection(url));
    }

    private interface Opened {
        Connection open() throws SQLException;
    }

    private static int rows(Connection opened) throws SQLException {
        try (Connection connection = opened;
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT id FROM t")) {
            int count = 0;
            while (rows.next()) count++;
            return count;
        }
    }

    private static void refused(String what, Opened opened) {
        try {
            rows(opened.open());
        } catch (SQLException expected) {
            System.out.println(what + " refused");
            return;
        }
        throw new AssertionError(what + " was taken");
    }
}
