import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

// What an application does with JDBC: batches, prepared statements that the server keeps, a cursor, an error with its SQLSTATE.
public class Query {
    public static void main(String[] args) throws SQLException {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE") + "?" + args[0];
        try (Connection c = DriverManager.getConnection(url, System.getenv("PGUSER"), System.getenv("PGPASSWORD"))) {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.execute("CREATE TEMP TABLE t (n int, v text)");
            }
            try (PreparedStatement p = c.prepareStatement("INSERT INTO t VALUES (?, ?)")) {
                for (int n = 0; n < 1000; n++) {
                    p.setInt(1, n);
                    p.setString(2, "wért " + n);
                    p.addBatch();
                }
                p.executeBatch();
            }
            c.commit();
            long sum = 0;
            try (PreparedStatement p = c.prepareStatement("SELECT n FROM t WHERE n >= ? ORDER BY n")) {
                p.setFetchSize(100);
                for (int round = 0; round < 8; round++) {
                    p.setInt(1, 500);
                    try (ResultSet r = p.executeQuery()) {
                        while (r.next()) {
                            sum += r.getInt(1);
                        }
                    }
                }
            }
            String code = "";
            try (Statement s = c.createStatement()) {
                s.execute("SELECT 1/0");
            } catch (SQLException e) {
                code = e.getSQLState();
            }
            c.rollback();
            System.out.println(sum + " " + code);
        }
    }
}
