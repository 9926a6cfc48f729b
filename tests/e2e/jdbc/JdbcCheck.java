import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** What a Java program does with the stock Flight SQL JDBC driver. Prints one line a check; any failure throws. */
public final class JdbcCheck {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:arrow-flight-sql://" + arguments[0] + "/?" + arguments[1];
        try (Connection connection = DriverManager.getConnection(url)) {
            listings(connection.getMetaData());
            query(connection);
            parameters(connection);
            errors(connection);
            update(connection);
        }
        // Without users nobody checks passwords: a user without one is taken, and a password is refused.
        try (Connection connection = DriverManager.getConnection(url, "somebody", "")) {
            query(connection);
        }
        try (Connection connection = DriverManager.getConnection(url, "somebody", "secret")) {
            query(connection);
            throw new AssertionError("a password was taken");
        } catch (SQLException expected) {
            System.out.println("password refused");
        }
    }

    private static void listings(DatabaseMetaData metadata) throws SQLException {
        System.out.println("product " + metadata.getDatabaseProductName());
        try (ResultSet tables = metadata.getTables("millstream", "public", "flights", null)) {
            tables.next();
            System.out.println("table " + tables.getString("TABLE_NAME"));
        }
        int columns = 0;
        try (ResultSet rows = metadata.getColumns("millstream", "public", "flights", null)) {
            while (rows.next()) columns++;
        }
        System.out.println("columns " + columns);
    }

    private static void query(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT carrier, dep_delay, ts FROM flights WHERE dep_delay > 60")) {
            int count = 0;
            while (rows.next()) {
                if (rows.getDouble("dep_delay") <= 60) throw new AssertionError("dep_delay");
                count++;
            }
            System.out.println("late " + count);
        }
    }

    private static void parameters(Connection connection) throws SQLException {
        String sql = "SELECT count(*) AS n FROM flights WHERE carrier = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setString(1, "UA");
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                System.out.println("ua " + rows.getLong("n"));
            }
        }
    }

    private static void errors(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT * FROM no_such");
            throw new AssertionError("no error");
        } catch (SQLException expected) {
            System.out.println("error " + expected.getMessage().contains("no_such"));
        }
    }

    private static void update(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE from_jdbc (id BIGINT NOT NULL, name VARCHAR)");
            statement.execute("INSERT INTO from_jdbc VALUES (1, 'a'), (2, NULL)");
            try (ResultSet rows = statement.executeQuery("SELECT sum(id) AS s, count(name) AS n FROM from_jdbc")) {
                rows.next();
                System.out.println("inserted " + rows.getLong("s") + " " + rows.getLong("n"));
            }
        }
    }
}
