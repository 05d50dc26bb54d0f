"""psycopg 3: the extended protocol, text and binary, pipelines, prepared statements."""

import datetime
import decimal
import math
import threading
import uuid

import psycopg
from psycopg.types.json import Json, Jsonb

from checks import check, dsn, equal, fails_with, main

UTC = datetime.timezone.utc


def connect():
    return psycopg.connect(dsn(), connect_timeout=15, options="-c timezone=UTC")


def fails(connection, state, sql, values=None):
    return fails_with(
        state, psycopg.Error, lambda: connection.execute(sql, values), lambda error: error.sqlstate
    )


VALUES = [
    ("boolean", True),
    ("smallint", -32768),
    ("integer", 2147483647),
    ("bigint", -9223372036854775808),
    ("oid", 4294967295),
    ("real", 1.5),
    ("double precision", 0.1),
    ("double precision", -math.inf),
    ("double precision", math.nan),
    ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
    ("numeric", decimal.Decimal("-0.000100")),
    ("text", "it's \\ \u00e4\u20ac\U0001f600 \"quoted\"\n"),
    ("varchar(20)", "short"),
    ("bytea", b"\0\xff'\\"),
    ("date", datetime.date(2024, 2, 29)),
    ("date", datetime.date(1, 1, 1)),
    ("time", datetime.time(12, 34, 56, 789000)),
    ("timetz", datetime.time(12, 34, 56, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))),
    ("timestamp", datetime.datetime(2024, 1, 31, 12, 34, 56, 789012)),
    ("timestamptz", datetime.datetime(2024, 1, 31, 12, 34, 56, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("integer[]", [1, 2, None]),
    ("integer[]", [[1, 2], [3, 4]]),
    ("text[]", ["a", 'b "c"', None, ""]),
    ("timestamptz[]", [datetime.datetime(2024, 1, 31, tzinfo=UTC)]),
]


@check
def every_type_comes_back_in_text_and_binary(connection):
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        for mark in ("%s", "%t", "%b"):
            for name, value in VALUES:
                cursor.execute(f"SELECT {mark}::{name}", (value,))
                equal(cursor.fetchone()[0], value, f"{name}, {mark}, binary result {binary}")
            document = {"a": [1, 2.5, None, "x"], "b": {"c": True}}
            for name, value in (("json", Json(document)), ("jsonb", Jsonb(document))):
                cursor.execute(f"SELECT {mark}::{name}", (value,))
                equal(cursor.fetchone()[0], document, f"{name}, {mark}, binary result {binary}")
        cursor.execute("SELECT %s::integer", (None,))
        equal(cursor.fetchone()[0], None, "NULL")


@check
def every_type_is_stored_and_read(connection):
    columns = ", ".join(f"c{at} {name}" for at, (name, _) in enumerate(VALUES))
    connection.execute(f"CREATE TABLE p3_types (id serial PRIMARY KEY, {columns})")
    names = ", ".join(f"c{at}" for at in range(len(VALUES)))
    marks = ", ".join(["%s"] * len(VALUES))
    values = [value for _, value in VALUES]
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        cursor.execute(f"INSERT INTO p3_types ({names}) VALUES ({marks}) RETURNING {names}", values)
        for found, (name, value) in zip(cursor.fetchone(), VALUES):
            equal(found, value, f"RETURNING {name}")
        cursor.execute(f"SELECT {names} FROM p3_types ORDER BY id DESC LIMIT 1")
        for found, (name, value) in zip(cursor.fetchone(), VALUES):
            equal(found, value, name)
    connection.rollback()


@check
def parameters_without_types_take_those_of_their_place(connection):
    connection.execute("CREATE TABLE p3_untyped (a integer, b text, c date)")
    connection.execute("INSERT INTO p3_untyped VALUES (%s, %s, %s)", ("7", "x", "2024-01-31"))
    row = connection.execute("SELECT * FROM p3_untyped WHERE a = %s AND c < %s", ("7", "2025-01-01"))
    equal(row.fetchone(), (7, "x", datetime.date(2024, 1, 31)), "row")
    connection.rollback()


@check
def errors_have_their_sqlstate_and_fields(connection):
    connection.autocommit = True
    connection.execute("CREATE TABLE p3_unique (id integer PRIMARY KEY, name text NOT NULL)")
    try:
        connection.execute("INSERT INTO p3_unique VALUES (%s, %s)", (1, "a"))
        error = fails(connection, "23505", "INSERT INTO p3_unique VALUES (%s, %s)", (1, "b"))
        equal(error.diag.constraint_name, "p3_unique_pkey", "constraint")
        equal(error.diag.message_detail, "Key (id)=(1) already exists.", "detail")
        equal(isinstance(error, psycopg.errors.UniqueViolation), True, "class")
        error = fails(connection, "23502", "INSERT INTO p3_unique VALUES (%s, %s)", (2, None))
        equal(error.diag.column_name, "name", "column")
        fails(connection, "42P01", "SELECT * FROM p3_missing WHERE a = %s", (1,))
        fails(connection, "42703", "SELECT missing FROM p3_unique WHERE id = %s", (1,))
        fails(connection, "22P02", "SELECT %s::integer", ("abc",))
        fails(connection, "22003", "SELECT %s::smallint", (40000,))
        fails(connection, "22012", "SELECT 1 / %s", (0,))
        fails(connection, "22007", "SELECT %s::date", ("soon",))
        fails(connection, "22008", "SELECT %s::date", ("2024-02-30",))
        equal(connection.execute("SELECT 1").fetchone(), (1,), "the session goes on")
    finally:
        connection.execute("DROP TABLE p3_unique")


@check
def transactions_nest(connection):
    connection.execute("CREATE TABLE p3_tx (v integer)")
    with connection.transaction():
        connection.execute("INSERT INTO p3_tx VALUES (1)")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO p3_tx VALUES (2)")
                connection.execute("SELECT 1 / 0")
        except psycopg.errors.DivisionByZero:
            pass
        with connection.transaction():
            connection.execute("INSERT INTO p3_tx VALUES (3)")
    found = connection.execute("SELECT v FROM p3_tx ORDER BY v").fetchall()
    equal(found, [(1,), (3,)], "rows")
    connection.rollback()
    equal(connection.info.transaction_status.name, "IDLE", "status")
    connection.execute("SELECT 1")
    equal(connection.info.transaction_status.name, "INTRANS", "status")
    fails(connection, "22012", "SELECT 1 / 0")
    equal(connection.info.transaction_status.name, "INERROR", "status")
    fails(connection, "25P02", "SELECT 1")


@check
def statements_prepare_themselves_after_some_runs(connection):
    connection.execute("CREATE TABLE p3_prepared (id integer, name text)")
    for at in range(20):
        connection.execute("INSERT INTO p3_prepared VALUES (%s, %s)", (at, f"n{at}"))
        found = connection.execute("SELECT name FROM p3_prepared WHERE id = %s", (at,)).fetchone()
        equal(found, (f"n{at}",), "row")
    found = connection.execute("SELECT count(*) FROM p3_prepared WHERE id < %s", (5,), prepare=True)
    equal(found.fetchone(), (5,), "prepared at once")
    # The schema changes under the prepared statement.
    connection.execute("ALTER TABLE p3_prepared ADD COLUMN more integer DEFAULT 7")
    found = connection.execute("SELECT more FROM p3_prepared WHERE id = %s", (3,)).fetchone()
    equal(found, (7,), "new column")
    connection.rollback()


@check
def a_pipeline_sends_without_waiting(connection):
    connection.autocommit = True
    connection.execute("CREATE TABLE p3_pipe (v integer PRIMARY KEY)")
    try:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("INSERT INTO p3_pipe VALUES (%s) RETURNING v", (at,))
                       for at in range(50)]
            pipeline.sync()
            equal([cursor.fetchone()[0] for cursor in cursors], list(range(50)), "returned")
        # What fails takes what follows with it, up to the Sync.
        try:
            with connection.pipeline() as pipeline:
                connection.execute("INSERT INTO p3_pipe VALUES (100)")
                connection.execute("INSERT INTO p3_pipe VALUES (0)")
                connection.execute("INSERT INTO p3_pipe VALUES (101)")
                pipeline.sync()
            raise AssertionError("the pipeline did not fail")
        except psycopg.errors.UniqueViolation:
            pass
        equal(connection.execute("SELECT count(*) FROM p3_pipe").fetchone(), (50,), "rows")
    finally:
        connection.execute("DROP TABLE p3_pipe")


@check
def many_rows_are_inserted_at_once(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE p3_many (id integer, name text)")
        cursor.executemany("INSERT INTO p3_many VALUES (%s, %s)",
                           [(at, str(at)) for at in range(500)])
        equal(cursor.rowcount, 500, "rows")
    connection.rollback()


@check
def copy_goes_in_and_out_in_text_and_binary(connection):
    rows = [(1, "a\tb\\", decimal.Decimal("1.50"), datetime.date(2024, 1, 31)),
            (2, None, decimal.Decimal("-3"), None)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE p3_copy (id integer, name text, price numeric, day date)")
        for form in ("", " (FORMAT BINARY)"):
            with cursor.copy(f"COPY p3_copy FROM STDIN{form}") as copy:
                copy.set_types(["int4", "text", "numeric", "date"])
                for row in rows:
                    copy.write_row(row)
            equal(cursor.rowcount, 2, f"rows in{form}")
            with cursor.copy(f"COPY (SELECT * FROM p3_copy ORDER BY id) TO STDOUT{form}") as copy:
                copy.set_types(["int4", "text", "numeric", "date"])
                equal(list(copy.rows()), rows, f"rows out{form}")
            cursor.execute("DELETE FROM p3_copy")
        # The client gives up in the middle.
        try:
            with cursor.copy("COPY p3_copy FROM STDIN") as copy:
                copy.write_row(rows[0])
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    connection.rollback()
    equal(connection.execute("SELECT 1").fetchone(), (1,), "the session goes on")


@check
def a_server_side_cursor_fetches_in_parts(connection):
    with connection.cursor("p3_cursor") as cursor:
        cursor.execute("SELECT g, 'row ' || g FROM generate_series(1, %s) AS g", (100,))
        equal(cursor.fetchone(), (1, "row 1"), "first")
        equal(len(cursor.fetchmany(10)), 10, "ten")
        equal(len(cursor.fetchall()), 89, "rest")
    with connection.cursor("p3_binary", binary=True) as cursor:
        cursor.execute("SELECT generate_series(1, 5)")
        equal([row[0] for row in cursor], [1, 2, 3, 4, 5], "binary")


@check
def rows_stream(connection):
    with connection.cursor() as cursor:
        total = 0
        for (value,) in cursor.stream("SELECT generate_series(1, 5000)"):
            total += value
        equal(total, 12502500, "sum")


@check
def a_running_statement_is_cancelled(connection):
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    fails(connection, "57014",
          "SELECT count(*) FROM generate_series(1, 2000000000) AS g WHERE g % 3 = 5")
    timer.join()
    connection.rollback()
    equal(connection.execute("SELECT 1").fetchone(), (1,), "the session goes on")


@check
def notices_and_empty_queries_are_no_errors(connection):
    notices = []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.sqlstate))
    connection.execute("DROP TABLE IF EXISTS p3_never")
    equal(notices, ["00000"], "notice")
    equal(connection.execute("").statusmessage, None, "empty")
    equal(connection.execute("SELECT 1").statusmessage, "SELECT 1", "tag")


if __name__ == "__main__":
    main(connect, lambda connection: connection.close())
