import io

import psycopg2
import psycopg2.extras
from psycopg2 import errors, extensions

from matrix import ERRORS, NotThere, cancelling, check, expect, main, new_leader, quoted, statements, types


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def run(connection, query, values=None):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else None


def fails(connection, query, state):
    try:
        run(connection, query)
    except psycopg2.Error as error:
        expect(error.pgcode, state, query)
        return error
    raise AssertionError(f"{query} did not fail")


@check
def connect_():
    expect(run(connect(), "SELECT 1"), [(1,)], "SELECT 1")
    expect(connect().info.ssl_in_use, True, "TLS")
    try:
        psycopg2.connect("", password="wrong")
    except psycopg2.OperationalError as error:
        expect("password authentication failed" in str(error), True, str(error))
    else:
        raise AssertionError("a wrong password was taken")


@check
def migrate():
    connection = connect()
    connection.autocommit = False
    for statement in statements():
        run(connection, statement)
    connection.commit()
    expect(run(connection, "SELECT * FROM both ORDER BY 1"), [("one", 1), ("two", 2)], "the view")


@check
def types_():
    connection = connect()
    for table, (name, literal) in enumerate(types()):
        table = f"typed{table}"
        run(connection, f"CREATE TEMP TABLE {table} (v {name}, w {name})")
        run(connection, f"INSERT INTO {table} (v) VALUES ({quoted(literal)})")
        [(value,)] = run(connection, f"SELECT v FROM {table}")
        if name.startswith("json"):
            value = psycopg2.extras.Json(value)
        run(connection, f"UPDATE {table} SET w = %s", (value,))
        expect(run(connection, f"SELECT v::text, w::text FROM {table} WHERE v::text = w::text") != [], True, name)
        run(connection, f"UPDATE {table} SET w = %s", (None,))
        expect(run(connection, f"SELECT w FROM {table}"), [(None,)], name)
        run(connection, f"DROP TABLE {table}")


@check
def binary_types():
    raise NotThere("it speaks text")


@check
def errors_():
    connection = connect()
    for query, state in ERRORS:
        fails(connection, query, state)
    error = fails(connection, ERRORS[0][0], "23505")
    expect(type(error), errors.UniqueViolation, "its class")
    expect(error.diag.constraint_name, "parent_name_key", "the constraint")


@check
def transactions():
    connection = connect()
    connection.autocommit = False
    run(connection, "INSERT INTO written VALUES (-1)")
    connection.rollback()
    run(connection, "INSERT INTO written VALUES (-2)")
    run(connection, "SAVEPOINT s")
    fails(connection, "INSERT INTO written VALUES (-2)", "23505")
    fails(connection, "SELECT 1", "25P02")
    run(connection, "ROLLBACK TO s")
    run(connection, "INSERT INTO written VALUES (-3)")
    connection.commit()
    expect(connection.info.transaction_status, extensions.TRANSACTION_STATUS_IDLE, "status")
    expect(run(connection, "SELECT i FROM written WHERE i < 0 ORDER BY i"), [(-3,), (-2,)], "rows")


@check
def cursors():
    connection = connect()
    connection.autocommit = False
    cursor = connection.cursor("named")
    cursor.itersize = 100
    cursor.execute("SELECT i FROM many ORDER BY i")
    expect([row[0] for row in cursor], list(range(1, 1001)), "rows")
    connection.rollback()


@check
def copy():
    connection = connect()
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY child (parent, amount) FROM STDIN", io.StringIO("1\t10\n2\t\\N\n"))
        expect(cursor.rowcount, 2, "copied")
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT parent, amount FROM child ORDER BY id) TO STDOUT CSV", out)
    expect(out.getvalue(), "1,1\n2,2\n1,10\n2,\n", "what came out")


@check
def cancel():
    connection = connect()
    with cancelling(connection.cancel):
        fails(connection, "SELECT pg_sleep(60)", "57014")
    expect(run(connection, "SELECT 1"), [(1,)], "afterwards")


@check
def introspection():
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM parent LIMIT 0")
        expect([column.type_code for column in cursor.description][:3], [23, 1043, 20], "types")


@check
def new_leader_():
    connection = connect()
    for number in new_leader():
        run(connection, "INSERT INTO written VALUES (%s)", (number,))
    expect(run(connection, "SELECT count(*) FROM written WHERE i >= 0"), [(number + 1,)], "rows")



main()
