"""psycopg2: the simple protocol, values in text, quoted by the client."""

import datetime
import decimal
import io
import math
import select
import threading
import time
import uuid

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from checks import check, dsn, equal, fails_with, main

psycopg2.extras.register_uuid()

UTC = datetime.timezone.utc


def connect():
    return psycopg2.connect(dsn(), connect_timeout=15, options="-c timezone=UTC")


def fails(connection, state, sql, values=None):
    cursor = connection.cursor()
    return fails_with(
        state, psycopg2.Error, lambda: cursor.execute(sql, values), lambda error: error.pgcode
    )


def one(connection, sql, values=None):
    cursor = connection.cursor()
    cursor.execute(sql, values)
    row = cursor.fetchone()
    cursor.close()
    return row[0]


VALUES = [
    ("boolean", True),
    ("smallint", -32768),
    ("integer", 2147483647),
    ("bigint", -9223372036854775808),
    ("real", 1.5),
    ("double precision", 0.1),
    ("double precision", math.inf),
    ("double precision", math.nan),
    ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
    ("numeric(10,2)", decimal.Decimal("12.50")),
    ("text", "it's \\ \u00e4\u20ac\U0001f600 \"quoted\"\n"),
    ("varchar(20)", "short"),
    ("char(5)", "ab   "),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(12, 34, 56, 789000)),
    ("timestamp", datetime.datetime(2024, 1, 31, 12, 34, 56, 789012)),
    ("timestamptz", datetime.datetime(2024, 1, 31, 12, 34, 56, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("integer[]", [1, 2, None]),
    ("text[]", ["a", 'b "c"', None, ""]),
]


@check
def every_type_comes_back_as_it_went(connection):
    for name, value in VALUES:
        equal(one(connection, f"SELECT CAST(%s AS {name})", (value,)), value, name)
    equal(bytes(one(connection, "SELECT %s::bytea", (b"\0\xff'\\",))), b"\0\xff'\\", "bytea")
    document = {"a": [1, 2.5, None, "x"], "b": {"c": True}}
    for name in ("json", "jsonb"):
        value = psycopg2.extras.Json(document)
        equal(one(connection, f"SELECT %s::{name}", (value,)), document, name)
    equal(one(connection, "SELECT NULL::integer"), None, "NULL")


@check
def every_type_is_stored_and_read(connection):
    cursor = connection.cursor()
    columns = ", ".join(f"c{at} {name}" for at, (name, _) in enumerate(VALUES))
    cursor.execute(f"CREATE TABLE p2_types (id serial PRIMARY KEY, {columns})")
    try:
        names = ", ".join(f"c{at}" for at in range(len(VALUES)))
        marks = ", ".join(["%s"] * len(VALUES))
        values = [value for _, value in VALUES]
        cursor.execute(f"INSERT INTO p2_types ({names}) VALUES ({marks}) RETURNING id", values)
        equal(cursor.fetchone(), (1,), "RETURNING")
        cursor.execute(f"SELECT {names} FROM p2_types")
        for found, (name, value) in zip(cursor.fetchone(), VALUES):
            equal(found, value, name)
    finally:
        connection.rollback()


@check
def result_columns_have_names_and_types(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT 1 AS a, 'x'::text AS b, 2.5 AS c, now() AS d, true AS e, 1::bigint AS f")
    equal([column.name for column in cursor.description], list("abcdef"), "names")
    equal([column.type_code for column in cursor.description], [23, 25, 1700, 1184, 16, 20], "types")


@check
def errors_have_their_sqlstate_and_fields(connection):
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS p2_child, p2_parent")
    cursor.execute("CREATE TABLE p2_parent (id integer PRIMARY KEY, name text NOT NULL,"
                   " age integer CONSTRAINT p2_age CHECK (age > 0))")
    cursor.execute("CREATE TABLE p2_child (parent integer REFERENCES p2_parent (id))")
    try:
        cursor.execute("INSERT INTO p2_parent VALUES (1, 'a', 1)")
        error = fails(connection, "23505", "INSERT INTO p2_parent VALUES (1, 'b', 1)")
        equal(error.diag.constraint_name, "p2_parent_pkey", "constraint")
        equal(error.diag.table_name, "p2_parent", "table")
        equal(error.diag.message_detail, "Key (id)=(1) already exists.", "detail")
        error = fails(connection, "23502", "INSERT INTO p2_parent VALUES (2, NULL, 1)")
        equal(error.diag.column_name, "name", "column")
        error = fails(connection, "23514", "INSERT INTO p2_parent VALUES (2, 'b', 0)")
        equal(error.diag.constraint_name, "p2_age", "constraint")
        fails(connection, "23503", "INSERT INTO p2_child VALUES (9)")
        cursor.execute("INSERT INTO p2_child VALUES (1)")
        fails(connection, "23503", "DELETE FROM p2_parent WHERE id = 1")
        fails(connection, "42P01", "SELECT * FROM p2_missing")
        fails(connection, "42703", "SELECT missing FROM p2_parent")
        fails(connection, "42883", "SELECT missing_function(1)")
        error = fails(connection, "42601", "SELECT 1 FORM t ORDER")
        equal(error.diag.statement_position is not None, True, "position")
        fails(connection, "42P07", "CREATE TABLE p2_parent (id integer)")
        fails(connection, "22012", "SELECT 1 / 0")
        fails(connection, "22P02", "SELECT 'abc'::integer")
        fails(connection, "22003", "SELECT 2147483647 + 1")
    finally:
        cursor.execute("DROP TABLE p2_child, p2_parent")


@check
def transactions_commit_roll_back_and_fail(connection):
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS p2_tx")
    cursor.execute("CREATE TABLE p2_tx (v integer)")
    connection.commit()
    try:
        cursor.execute("INSERT INTO p2_tx VALUES (1)")
        connection.rollback()
        equal(one(connection, "SELECT count(*) FROM p2_tx"), 0, "rolled back")
        cursor.execute("INSERT INTO p2_tx VALUES (1)")
        cursor.execute("SAVEPOINT s")
        fails(connection, "22012", "SELECT 1 / 0")
        fails(connection, "25P02", "SELECT 1")
        equal(connection.info.transaction_status,
              psycopg2.extensions.TRANSACTION_STATUS_INERROR, "status")
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        cursor.execute("INSERT INTO p2_tx VALUES (2)")
        cursor.execute("RELEASE SAVEPOINT s")
        connection.commit()
        equal(one(connection, "SELECT array_agg(v ORDER BY v) FROM p2_tx"), [1, 2], "kept")
        connection.rollback()
        connection.set_session(readonly=True)
        fails(connection, "25006", "INSERT INTO p2_tx VALUES (3)")
        connection.rollback()
        connection.set_session(readonly=False, isolation_level="SERIALIZABLE")
        equal(one(connection, "SHOW transaction_isolation"), "serializable", "isolation")
        connection.rollback()
    finally:
        connection.rollback()
        connection.set_session(readonly=False)
        cursor.execute("DROP TABLE p2_tx")
        connection.commit()


@check
def a_named_cursor_fetches_in_parts(connection):
    cursor = connection.cursor("p2_cursor")
    cursor.itersize = 7
    cursor.execute("SELECT generate_series(1, 100)")
    equal(cursor.fetchone(), (1,), "first")
    equal(cursor.fetchmany(2), [(2,), (3,)], "two")
    equal(sum(row[0] for row in cursor), 5050 - 6, "rest")
    cursor.close()
    held = connection.cursor("p2_held", withhold=True)
    held.execute("SELECT generate_series(1, 5)")
    connection.commit()
    equal(len(held.fetchall()), 5, "held")
    held.close()


@check
def copy_goes_in_and_out(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE p2_copy (id integer, name text)")
    text = "1\ta\\tb\n2\t\\N\n3\tc\\\\d\n"
    cursor.copy_expert("COPY p2_copy FROM STDIN", io.StringIO(text))
    equal(cursor.rowcount, 3, "rows")
    out = io.StringIO()
    cursor.copy_expert("COPY p2_copy TO STDOUT", out)
    equal(out.getvalue(), text, "text")
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT * FROM p2_copy ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)", out)
    equal(out.getvalue(), "id,name\n1,a\tb\n2,\n3,c\\d\n", "csv")
    cursor.copy_expert("COPY p2_copy (name, id) FROM STDIN WITH CSV HEADER",
                       io.StringIO('name,id\n"x, ""y""\nz",4\n'))
    equal(one(connection, "SELECT name FROM p2_copy WHERE id = 4"), 'x, "y"\nz', "csv in")
    cursor.copy_from(io.StringIO("5|e\n"), "p2_copy", sep="|", columns=("id", "name"))
    equal(one(connection, "SELECT count(*) FROM p2_copy"), 5, "rows")
    connection.commit()
    error = fails_with("22P04", psycopg2.Error,
                       lambda: cursor.copy_expert("COPY p2_copy FROM STDIN", io.StringIO("1\n")),
                       lambda error: error.pgcode)
    equal("line 1" in error.diag.context, True, "context")
    connection.rollback()
    fails_with("22P02", psycopg2.Error,
               lambda: cursor.copy_expert("COPY p2_copy FROM STDIN", io.StringIO("x\ty\n")),
               lambda error: error.pgcode)
    connection.rollback()
    equal(one(connection, "SELECT count(*) FROM p2_copy"), 5, "nothing of it stays")
    cursor.execute("DROP TABLE p2_copy")
    connection.commit()


@check
def many_rows_are_copied(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE p2_many (id integer, filler text)")
    data = "".join(f"{at}\trow number {at}\n" for at in range(20000))
    cursor.copy_expert("COPY p2_many FROM STDIN", io.StringIO(data))
    equal(one(connection, "SELECT sum(id) FROM p2_many"), sum(range(20000)), "sum")
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT * FROM p2_many ORDER BY id) TO STDOUT", out)
    equal(out.getvalue(), data, "all of it")
    connection.rollback()


@check
def a_running_statement_is_cancelled(connection):
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    started = time.monotonic()
    fails(connection, "57014", "SELECT count(*) FROM generate_series(1, 2000000000) AS g WHERE g % 3 = 5")
    timer.join()
    equal(time.monotonic() - started < 20, True, "soon")
    connection.rollback()
    equal(one(connection, "SELECT 1"), 1, "the session goes on")


@check
def a_statement_times_out(connection):
    cursor = connection.cursor()
    cursor.execute("SET LOCAL statement_timeout = '300ms'")
    fails(connection, "57014", "SELECT count(*) FROM generate_series(1, 2000000000) AS g WHERE g % 3 = 5")
    connection.rollback()
    equal(one(connection, "SHOW statement_timeout"), "0", "only for the transaction")


@check
def several_statements_go_in_one_query(connection):
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE p2_multi (v integer); INSERT INTO p2_multi VALUES (1), (2);"
                   " SELECT sum(v) FROM p2_multi")
    equal(cursor.fetchone(), (3,), "last result")
    # They are one transaction: the failure takes all of it back.
    fails(connection, "22012", "INSERT INTO p2_multi VALUES (3); SELECT 1 / 0")
    equal(one(connection, "SELECT count(*) FROM p2_multi"), 2, "rows")
    cursor.execute("DROP TABLE p2_multi")


@check
def statements_prepared_in_sql_run(connection):
    cursor = connection.cursor()
    cursor.execute("PREPARE p2_add (integer, integer) AS SELECT $1 + $2")
    cursor.execute("EXECUTE p2_add (1, 2)")
    equal(cursor.fetchone(), (3,), "sum")
    cursor.execute("DEALLOCATE p2_add")
    fails(connection, "26000", "EXECUTE p2_add (1, 2)")


@check
def settings_are_reported(connection):
    cursor = connection.cursor()
    cursor.execute("SET TimeZone TO 'Europe/Berlin'")
    equal(connection.info.parameter_status("TimeZone"), "Europe/Berlin", "status")
    moment = one(connection, "SELECT '2024-07-31 12:00:00+00'::timestamptz::text")
    equal(moment, "2024-07-31 14:00:00+02", "text")
    connection.rollback()
    equal(connection.info.parameter_status("TimeZone"), "UTC", "rolled back")
    equal(connection.info.parameter_status("standard_conforming_strings"), "on", "strings")
    equal(connection.info.parameter_status("integer_datetimes"), "on", "datetimes")
    equal(connection.server_version // 10000, 15, "version")


@check
def large_objects_are_files_in_the_database(connection):
    connection.set_session(autocommit=False)
    large = connection.lobject(0, "wb")
    equal(large.write(b"some " * 4000), 20000, "bytes written")
    large.seek(19_000)
    large.write(b"X" * 10_000)
    equal(large.tell(), 29_000, "position")
    connection.commit()
    large = connection.lobject(large.oid, "rwb")
    equal(large.seek(0, 2), 29_000, "size")
    large.seek(8190)
    equal(large.read(5), (b"some " * 4000)[8190:8195], "across pages")
    large.truncate(10)
    connection.rollback()
    large = connection.lobject(large.oid, "rwb")
    equal(len(large.read()), 29_000, "a truncation that was rolled back")
    large.truncate(8)
    large.seek(0)
    equal(large.read(), b"some som", "after the truncation")
    oid = large.oid
    large.unlink()
    connection.commit()
    try:
        connection.lobject(oid)
    except psycopg2.OperationalError:
        connection.rollback()
    else:
        raise AssertionError("it is still there")


@check
def notifications_come_to_idle_sessions_and_from_oneself(connection):
    connection.set_session(autocommit=True)
    cursor = connection.cursor()
    cursor.execute("listen news")
    cursor.execute("notify news, 'own'")
    equal([(n.pid, n.payload) for n in connection.notifies], [(connection.info.backend_pid, "own")])
    connection.notifies.clear()
    other = connect()
    other.set_session(autocommit=True)
    other.cursor().execute("notify news, 'other'")
    pid = other.info.backend_pid
    other.close()
    select.select([connection], [], [], 30)
    connection.poll()
    equal([(n.pid, n.channel, n.payload) for n in connection.notifies], [(pid, "news", "other")])
    fails(connection, "22023", "select pg_notify('', 'x')")
    fails(connection, "22023", "select pg_notify('news', repeat('x', 8000))")


@check
def sessions_can_be_cancelled_and_ended_by_others(connection):
    connection.set_session(autocommit=True)
    other = connect()
    other.set_session(autocommit=True)
    caught = []

    def sleep():
        try:
            other.cursor().execute("select pg_sleep(60)")
        except psycopg2.Error as error:
            caught.append(error.pgcode)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    cursor = connection.cursor()
    while sleeper.is_alive():
        cursor.execute("select pg_cancel_backend(%s)", (other.info.backend_pid,))
        sleeper.join(0.1)
    equal(caught, ["57014"])
    cursor.execute("select pg_terminate_backend(%s)", (other.info.backend_pid,))
    try:
        other.cursor().execute("select 1")
    except psycopg2.OperationalError:
        assert other.closed
    else:
        raise AssertionError("it still lives")


if __name__ == "__main__":
    main(connect, lambda connection: connection.close())
