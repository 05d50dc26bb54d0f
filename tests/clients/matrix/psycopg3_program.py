import psycopg
from psycopg import errors
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Json, Jsonb

from matrix import ERRORS, cancelling, check, expect, main, new_leader, quoted, statements, types


def connect(**options):
    return psycopg.connect("", autocommit=True, **options)


def run(connection, query, values=None, **options):
    cursor = connection.execute(query, values, **options)
    return cursor.fetchall() if cursor.description else None


def fails(connection, query, state):
    try:
        run(connection, query)
    except psycopg.Error as error:
        expect(error.sqlstate, state, query)
        return error
    raise AssertionError(f"{query} did not fail")


@check
def connect_():
    connection = connect()
    expect(run(connection, "SELECT 1"), [(1,)], "SELECT 1")
    expect(connection.pgconn.ssl_in_use, True, "TLS")
    try:
        connect(password="wrong")
    except psycopg.OperationalError as error:
        expect("password authentication failed" in str(error), True, str(error))
    else:
        raise AssertionError("a wrong password was taken")


@check
def migrate():
    connection = connect()
    with connection.transaction():
        for statement in statements():
            run(connection, statement)
    expect(run(connection, "SELECT * FROM both ORDER BY 1"), [("one", 1), ("two", 2)], "the view")


def round_trip(binary):
    connection = connect()
    register_enum(EnumInfo.fetch(connection, "mood"), connection)
    place = "%b" if binary else "%t"
    for table, (name, literal) in enumerate(types()):
        table = f"typed{table}"
        run(connection, f"CREATE TEMP TABLE {table} (v {name}, w {name})")
        run(connection, f"INSERT INTO {table} (v) VALUES ({quoted(literal)})")
        [(value,)] = run(connection, f"SELECT v FROM {table}", binary=binary)
        value = {"json": Json, "jsonb": Jsonb}.get(name, lambda value: value)(value)
        run(connection, f"UPDATE {table} SET w = {place}", (value,))
        same = run(connection, f"SELECT v::text, w::text FROM {table} WHERE v::text = w::text")
        expect(same != [], True, name)
        run(connection, f"UPDATE {table} SET w = {place}", (None,))
        expect(run(connection, f"SELECT w FROM {table}", binary=binary), [(None,)], name)
        run(connection, f"DROP TABLE {table}")


@check
def types_():
    round_trip(False)


@check
def binary_types():
    round_trip(True)


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
    with connection.transaction(force_rollback=True):
        run(connection, "INSERT INTO written VALUES (-1)")
    with connection.transaction():
        run(connection, "INSERT INTO written VALUES (-2)")
        try:
            with connection.transaction():
                run(connection, "INSERT INTO written VALUES (-2)")
        except errors.UniqueViolation:
            pass
        run(connection, "INSERT INTO written VALUES (-3)")
    expect(run(connection, "SELECT i FROM written WHERE i < 0 ORDER BY i"), [(-3,), (-2,)], "rows")
    with connection.pipeline():
        connection.execute("SELECT 1")
        last = connection.execute("SELECT 2")
    expect(last.fetchall(), [(2,)], "a pipeline")


@check
def cursors():
    connection = connect()
    with connection.transaction(), connection.cursor("named", scrollable=True) as cursor:
        cursor.execute("SELECT i FROM many ORDER BY i")
        cursor.itersize = 100
        expect([row[0] for row in cursor], list(range(1, 1001)), "rows")
        cursor.scroll(4, mode="absolute")
        expect(cursor.fetchone(), (5,), "back again")


@check
def copy():
    connection = connect()
    cursor = connection.cursor()
    with cursor.copy("COPY child (parent, amount) FROM STDIN") as copy:
        copy.write_row((1, 10))
    with cursor.copy("COPY child (parent, amount) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "int4"])
        copy.write_row((2, None))
    with cursor.copy("COPY (SELECT parent, amount FROM child ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4", "int4"])
        expect(list(copy.rows()), [(1, 1), (2, 2), (1, 10), (2, None)], "what came out")


@check
def cancel():
    connection = connect()
    with cancelling(connection.cancel_safe):
        fails(connection, "SELECT pg_sleep(60)", "57014")
    expect(run(connection, "SELECT 1"), [(1,)], "afterwards")


@check
def introspection():
    connection = connect()
    described = connection.execute("SELECT * FROM parent LIMIT 0").description
    expect([column.type_display for column in described][:3], ["int4", "varchar(20)", "int8"], "types")
    expect(EnumInfo.fetch(connection, "mood").labels, ["sad", "it's ok"], "labels")


@check
def new_leader_():
    connection = connect()
    for number in new_leader():
        run(connection, "INSERT INTO written VALUES (%s)", (number,))
    expect(run(connection, "SELECT count(*) FROM written WHERE i >= 0"), [(number + 1,)], "rows")


main()
