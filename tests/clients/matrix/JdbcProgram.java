import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.sql.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

/** pgjdbc. The first argument is this file's directory. */
class JdbcProgram {
    interface Check {
        void run(Connection connection) throws Exception;
    }

    static Path here;

    static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        for (int at = 0; at < options.length; at += 2) {
            properties.setProperty(options[at], options[at + 1]);
        }
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT")
            + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection(url, properties);
    }

    static List<String> lines(String name) throws IOException {
        return Files.readAllLines(here.resolve(name));
    }

    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    /** The rows, their values separated by commas. */
    static List<String> rows(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            return rows(result);
        }
    }

    static List<String> rows(ResultSet result) throws SQLException {
        List<String> rows = new ArrayList<>();
        while (result.next()) {
            StringJoiner row = new StringJoiner(",");
            for (int at = 1; at <= result.getMetaData().getColumnCount(); at++) {
                row.add(result.getString(at));
            }
            rows.add(row.toString());
        }
        return rows;
    }

    static void expect(Object found, Object wanted, String what) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(what + ": " + found + " instead of " + wanted);
        }
    }

    static PSQLException fails(Connection connection, String sql, String state) {
        try {
            run(connection, sql);
        } catch (SQLException error) {
            expect(error.getSQLState(), state, sql);
            return (PSQLException) error;
        }
        throw new AssertionError(sql + " did not fail");
    }

    static void roundTrip(Connection connection, String prefix) throws Exception {
        int number = 0;
        for (String line : lines("types.tsv")) {
            String name = line.split("\t")[0];
            String literal = line.split("\t", 2)[1];
            String table = prefix + number++;
            run(connection, "CREATE TABLE " + table + " (v " + name + ", w " + name + ")");
            run(connection, "INSERT INTO " + table + " (v) VALUES ('" + literal.replace("'", "''") + "')");
            Object value;
            try (PreparedStatement read = connection.prepareStatement("SELECT v FROM " + table);
                    ResultSet result = read.executeQuery()) {
                result.next();
                value = result.getObject(1);
                if (name.equals("mood")) {
                    PGobject label = new PGobject();
                    label.setType(name);
                    label.setValue((String) value);
                    value = label;
                }
            }
            try (PreparedStatement write = connection.prepareStatement("UPDATE " + table + " SET w = ?")) {
                write.setObject(1, value);
                write.executeUpdate();
            }
            expect(rows(connection, "SELECT v::text = w::text FROM " + table), List.of("t"), name);
            run(connection, "UPDATE " + table + " SET w = NULL");
            try (PreparedStatement read = connection.prepareStatement("SELECT w FROM " + table);
                    ResultSet result = read.executeQuery()) {
                result.next();
                expect(result.getObject(1), null, name);
            }
        }
    }

    static final Map<String, Check> CHECKS = new HashMap<>();

    static {
        CHECKS.put("connect", connection -> {
            expect(rows(connection, "SELECT 1"), List.of("1"), "SELECT 1");
            expect(connection.getMetaData().getDatabaseMajorVersion(), 15, "its version");
            try {
                connect("password", "wrong");
            } catch (SQLException error) {
                expect(error.getSQLState(), "28P01", "a wrong password");
                return;
            }
            throw new AssertionError("a wrong password was taken");
        });
        CHECKS.put("migrate", connection -> {
            connection.setAutoCommit(false);
            for (String statement : lines("migrate.sql")) {
                run(connection, statement);
            }
            connection.commit();
            expect(rows(connection, "SELECT * FROM both ORDER BY 1"), List.of("one,1", "two,2"), "the view");
        });
        CHECKS.put("types", connection -> {
            try (Connection text = connect("binaryTransfer", "false")) {
                roundTrip(text, "typedt");
            }
        });
        CHECKS.put("binary types", connection -> {
            try (Connection binary = connect("prepareThreshold", "-1")) {
                roundTrip(binary, "typedb");
            }
        });
        CHECKS.put("errors", connection -> {
            PSQLException error = fails(connection, "INSERT INTO parent (name) VALUES ('one')", "23505");
            expect(error.getServerErrorMessage().getConstraint(), "parent_name_key", "the constraint");
            fails(connection, "INSERT INTO child (parent, amount) VALUES (99, 1)", "23503");
            fails(connection, "INSERT INTO child (parent, amount) VALUES (1, 0)", "23514");
            fails(connection, "INSERT INTO parent (name) VALUES (NULL)", "23502");
            fails(connection, "SELECT 'x'::integer", "22P02");
            fails(connection, "SELECT 1 / 0", "22012");
            fails(connection, "SELECT * FROM nowhere", "42P01");
            error = fails(connection, "SELEC 1", "42601");
            expect(error.getServerErrorMessage().getPosition(), 1, "its position");
        });
        CHECKS.put("transactions", connection -> {
            connection.setAutoCommit(false);
            run(connection, "INSERT INTO written VALUES (-1)");
            connection.rollback();
            run(connection, "INSERT INTO written VALUES (-2)");
            Savepoint savepoint = connection.setSavepoint();
            fails(connection, "INSERT INTO written VALUES (-2)", "23505");
            fails(connection, "SELECT 1", "25P02");
            connection.rollback(savepoint);
            try (PreparedStatement batch = connection.prepareStatement("INSERT INTO written VALUES (?)")) {
                for (int i = -5; i < -2; i++) {
                    batch.setInt(1, i);
                    batch.addBatch();
                }
                expect(batch.executeBatch().length, 3, "a batch");
            }
            connection.commit();
            expect(rows(connection, "SELECT i FROM written WHERE i < 0 ORDER BY i"),
                List.of("-5", "-4", "-3", "-2"), "rows");
        });
        CHECKS.put("cursors", connection -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(100);
                int seen = 0;
                ResultSet result = statement.executeQuery("SELECT i FROM many ORDER BY i");
                while (result.next()) {
                    expect(result.getInt(1), ++seen, "a row");
                }
                expect(seen, 1000, "rows");
            }
        });
        CHECKS.put("copy", connection -> {
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            expect(copy.copyIn("COPY child (parent, amount) FROM STDIN", new StringReader("1\t10\n2\t\\N\n")), 2L,
                "copied");
            StringWriter out = new StringWriter();
            copy.copyOut("COPY (SELECT parent, amount FROM child ORDER BY id) TO STDOUT CSV", out);
            expect(out.toString(), "1,1\n2,2\n1,10\n2,\n", "what came out");
        });
        CHECKS.put("cancel", connection -> {
            try (Statement statement = connection.createStatement()) {
                CountDownLatch over = new CountDownLatch(1);
                // One that comes before the statement is for nothing.
                Thread cancel = new Thread(() -> {
                    try {
                        while (!over.await(100, TimeUnit.MILLISECONDS)) {
                            statement.cancel();
                        }
                    } catch (Exception error) {
                        error.printStackTrace();
                    }
                });
                cancel.start();
                try {
                    statement.execute("SELECT pg_sleep(60)");
                    throw new AssertionError("it slept");
                } catch (SQLException error) {
                    expect(error.getSQLState(), "57014", "its SQLSTATE");
                } finally {
                    over.countDown();
                    cancel.join();
                }
            }
            expect(rows(connection, "SELECT 1"), List.of("1"), "afterwards");
        });
        CHECKS.put("introspection", connection -> {
            DatabaseMetaData data = connection.getMetaData();
            List<String> columns = new ArrayList<>();
            try (ResultSet result = data.getColumns(null, "public", "parent", "%")) {
                while (result.next()) {
                    columns.add(result.getString("COLUMN_NAME") + " " + result.getString("TYPE_NAME") + " "
                        + result.getString("IS_NULLABLE") + " " + result.getString("IS_AUTOINCREMENT"));
                }
            }
            expect(columns, List.of("id int4 NO YES", "name varchar NO NO", "renamed int8 YES NO", "kept mood NO NO",
                "made timestamptz NO NO"), "columns");
            try (ResultSet result = data.getPrimaryKeys(null, "public", "child")) {
                expect(result.next() ? result.getString("PK_NAME") : null, "child_pkey", "the key");
            }
            try (ResultSet result = data.getImportedKeys(null, "public", "child")) {
                expect(result.next() ? result.getString("FK_NAME") : null, "child_parent_fkey", "a foreign key");
            }
            try (ResultSet result = data.getIndexInfo(null, "public", "child", false, false)) {
                List<String> names = new ArrayList<>();
                while (result.next()) {
                    names.add(result.getString("INDEX_NAME"));
                }
                expect(names, List.of("child_pkey", "child_parent"), "indexes");
            }
            try (ResultSet result = data.getTables(null, "public", "%", new String[] {"VIEW"})) {
                expect(result.next() ? result.getString("TABLE_NAME") : null, "both", "views");
            }
        });
        CHECKS.put("new leader", connection -> {
            Process change = new ProcessBuilder("sh", "-c", System.getenv("TOWLINE_TEST_NEW_LEADER"))
                .inheritIO().start();
            int number = 0;
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO written VALUES (?)")) {
                for (int after = 0; after < 20; number++) {
                    insert.setInt(1, number);
                    insert.executeUpdate();
                    after += change.isAlive() ? 0 : 1;
                }
            }
            expect(change.waitFor(), 0, "the change of leader");
            expect(rows(connection, "SELECT count(*) FROM written WHERE i >= 0"), List.of("" + number), "rows");
        });
    }

    public static void main(String[] arguments) throws Exception {
        here = Path.of(arguments[0]);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String name : lines("checks")) {
            try (Connection connection = connect()) {
                CHECKS.get(name).run(connection);
                out.println("ok " + name);
            } catch (Exception | AssertionError error) {
                error.printStackTrace();
                out.println("fails " + name + ": " + String.valueOf(error.getMessage()).replaceAll("\\s+", " "));
            }
        }
    }
}
