import asyncio
import io
import ssl

import asyncpg

from matrix import ENVIRONMENT, ERRORS, NotThere, check, expect, main, new_leader, quoted, statements, types


async def connect(**options):
    trusted = ssl.create_default_context(cafile=ENVIRONMENT["PGSSLROOTCERT"])
    return await asyncpg.connect(ssl=trusted, server_settings={"timezone": "UTC"}, **options)


def on_a_connection(function):
    """Marks a check that is given a connection."""

    async def whole():
        connection = await connect()
        try:
            await function(connection)
        finally:
            await connection.close()

    def run():
        asyncio.run(asyncio.wait_for(whole(), 120))

    run.__name__ = function.__name__
    return check(run)


async def fails(connection, query, state):
    try:
        await connection.execute(query)
    except asyncpg.PostgresError as error:
        expect(error.sqlstate, state, query)
        return error
    raise AssertionError(f"{query} did not fail")


@on_a_connection
async def connect_(connection):
    expect(await connection.fetchval("SELECT 1"), 1, "SELECT 1")
    expect(connection.get_server_version().major, 15, "its version")
    try:
        await connect(password="wrong")
    except asyncpg.InvalidPasswordError as error:
        expect(error.sqlstate, "28P01", "a wrong password")
    else:
        raise AssertionError("a wrong password was taken")


@on_a_connection
async def migrate(connection):
    async with connection.transaction():
        for statement in statements():
            await connection.execute(statement)
    found = await connection.fetch("SELECT * FROM both ORDER BY 1")
    expect([tuple(row) for row in found], [("one", 1), ("two", 2)], "the view")


@check
def types_():
    raise NotThere("it speaks binary")


@on_a_connection
async def binary_types(connection):
    for name, literal in types():
        await connection.execute(f"CREATE TEMP TABLE typed (v {name}, w {name})")
        await connection.execute(f"INSERT INTO typed (v) VALUES ({quoted(literal)})")
        value = await connection.fetchval("SELECT v FROM typed")
        await connection.execute("UPDATE typed SET w = $1", value)
        same = await connection.fetchval("SELECT v::text = w::text FROM typed")
        expect(same, True, name)
        await connection.execute("UPDATE typed SET w = $1", None)
        expect(await connection.fetchval("SELECT w FROM typed"), None, name)
        await connection.execute("DROP TABLE typed")


@on_a_connection
async def errors(connection):
    for query, state in ERRORS:
        await fails(connection, query, state)
    error = await fails(connection, ERRORS[0][0], "23505")
    expect(error.constraint_name, "parent_name_key", "the constraint")


@on_a_connection
async def transactions(connection):
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO written VALUES (-1)")
    await transaction.rollback()
    async with connection.transaction():
        await connection.execute("INSERT INTO written VALUES (-2)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO written VALUES (-2)")
        except asyncpg.UniqueViolationError:
            pass
        await connection.execute("INSERT INTO written VALUES (-3)")
    found = await connection.fetch("SELECT i FROM written WHERE i < 0 ORDER BY i")
    expect([row[0] for row in found], [-3, -2], "rows")


@on_a_connection
async def cursors(connection):
    async with connection.transaction():
        found = [row[0] async for row in connection.cursor("SELECT i FROM many ORDER BY i", prefetch=100)]
    expect(found, list(range(1, 1001)), "rows")


@on_a_connection
async def copy(connection):
    await connection.copy_records_to_table(
        "child", records=[(1, 10), (2, None)], columns=["parent", "amount"]
    )
    out = io.BytesIO()
    query = "SELECT parent, amount FROM child ORDER BY id"
    await connection.copy_from_query(query, output=out, format="csv")
    expect(out.getvalue(), b"1,1\n2,2\n1,10\n2,\n", "what came out")


@on_a_connection
async def cancel(connection):
    try:
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.5)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("it slept")
    expect(await connection.fetchval("SELECT 1"), 1, "afterwards")


@on_a_connection
async def introspection(connection):
    prepared = await connection.prepare("SELECT * FROM parent WHERE kept = $1")
    expect([it.type.name for it in prepared.get_attributes()][:4], ["int4", "varchar", "int8", "mood"], "types")
    expect(prepared.get_parameters()[0].kind, "scalar", "the parameter")


@on_a_connection
async def new_leader_(connection):
    for number in new_leader():
        await connection.execute("INSERT INTO written VALUES ($1)", number)
    found = await connection.fetchval("SELECT count(*) FROM written WHERE i >= 0")
    expect(found, number + 1, "rows")


main()
