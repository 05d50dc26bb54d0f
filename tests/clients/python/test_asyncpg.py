"""asyncpg: binary both ways, types looked up in the catalog, statements prepared."""

import asyncio
import datetime
import decimal
import io
import math
import uuid

import asyncpg

from checks import check, dsn, equal, main

UTC = datetime.timezone.utc


async def connect():
    return await asyncpg.connect(dsn(), timeout=15, server_settings={"timezone": "UTC"})


async def fails(state, awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as error:
        equal(error.sqlstate, state, f"SQLSTATE of {error}")
        return error
    raise AssertionError(f"no error where {state} was due")


VALUES = [
    ("boolean", True),
    ("smallint", -32768),
    ("integer", 2147483647),
    ("bigint", -9223372036854775808),
    ("oid", 4294967295),
    ("real", 1.5),
    ("double precision", 0.1),
    ("double precision", math.inf),
    ("double precision", math.nan),
    ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
    ("numeric", decimal.Decimal("-0.000100")),
    ("text", "it's \\ \u00e4\u20ac\U0001f600 \"quoted\"\n"),
    ("varchar", "short"),
    ("bytea", b"\0\xff'\\"),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(12, 34, 56, 789000)),
    ("timestamp", datetime.datetime(2024, 1, 31, 12, 34, 56, 789012)),
    ("timestamptz", datetime.datetime(2024, 1, 31, 12, 34, 56, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("json", '{"a":  1}'),
    ("jsonb", '{"a": 1}'),
    ("integer[]", [1, 2, None]),
    ("integer[]", [[1, 2], [3, 4]]),
    ("bigint[]", [1, -1]),
    ("text[]", ["a", 'b "c"', None, ""]),
    ("numeric[]", [decimal.Decimal("1.50")]),
    ("timestamptz[]", [datetime.datetime(2024, 1, 31, tzinfo=UTC)]),
    ("uuid[]", [uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
]


@check
async def every_type_comes_back_in_binary(connection):
    for name, value in VALUES:
        found = await connection.fetchval(f"SELECT $1::{name}", value)
        if isinstance(value, uuid.UUID):
            # A class of its own, equal to the usual one.
            found = uuid.UUID(bytes=found.bytes)
        equal(found, value, name)
    equal(await connection.fetchval("SELECT $1::integer", None), None, "NULL")


@check
async def every_type_is_stored_and_read(connection):
    columns = ", ".join(f"c{at} {name}" for at, (name, _) in enumerate(VALUES))
    await connection.execute("DROP TABLE IF EXISTS apg_types")
    await connection.execute(f"CREATE TABLE apg_types (id bigserial PRIMARY KEY, {columns})")
    try:
        names = ", ".join(f"c{at}" for at in range(len(VALUES)))
        marks = ", ".join(f"${at + 1}" for at in range(len(VALUES)))
        values = [value for _, value in VALUES]
        found = await connection.fetchrow(
            f"INSERT INTO apg_types ({names}) VALUES ({marks}) RETURNING id, {names}", *values)
        equal(found["id"], 1, "id")
        row = await connection.fetchrow(f"SELECT {names} FROM apg_types WHERE id = $1", 1)
        for at, (name, value) in enumerate(VALUES):
            for source in (found, row):
                if not isinstance(value, float) or value == value:
                    assert source[f"c{at}"] == value, f"{name}: {source[f'c{at}']!r}"
    finally:
        await connection.execute("DROP TABLE apg_types")


@check
async def far_dates_and_infinity_are_read(connection):
    equal(await connection.fetchval("SELECT 'infinity'::date"), datetime.date.max, "date")
    equal(await connection.fetchval("SELECT '-infinity'::timestamp"), datetime.datetime.min, "moment")
    equal(await connection.fetchval("SELECT '0001-01-01'::date"), datetime.date.min, "first")


@check
async def expressions_have_the_types_that_postgresql_gives_them(connection):
    for sql, name in [
        ("SELECT 1", "int4"),
        ("SELECT 10000000000", "int8"),
        ("SELECT 1.5", "numeric"),
        ("SELECT count(*) FROM (VALUES (1)) AS t (a)", "int8"),
        ("SELECT sum(a) FROM (VALUES (1)) AS t (a)", "int8"),
        ("SELECT avg(a) FROM (VALUES (1)) AS t (a)", "numeric"),
        ("SELECT 'a' || 'b'", "text"),
        ("SELECT now()", "timestamptz"),
        ("SELECT current_date", "date"),
        ("SELECT 1 = 1", "bool"),
        ("SELECT 1 / 2.0", "numeric"),
        ("SELECT '{1,2}'::integer[]", "int4[]"),
    ]:
        statement = await connection.prepare(sql)
        equal(statement.get_attributes()[0].type.name, name, sql)
        await statement.fetchval()


@check
async def prepared_statements_tell_their_parameters(connection):
    await connection.execute("DROP TABLE IF EXISTS apg_described")
    await connection.execute("CREATE TABLE apg_described (a integer, b text)")
    statement = await connection.prepare("INSERT INTO apg_described VALUES ($1, $2)")
    equal([kind.name for kind in statement.get_parameters()], ["int4", "text"], "parameters")
    await statement.fetch(1, "x")
    statement = await connection.prepare("SELECT a, b FROM apg_described WHERE a = $1::bigint")
    equal([kind.name for kind in statement.get_parameters()], ["int8"], "parameters")
    equal([(column.name, column.type.name) for column in statement.get_attributes()],
          [("a", "int4"), ("b", "text")], "columns")
    equal(tuple(await statement.fetchrow(1)), (1, "x"), "row")
    await connection.execute("DROP TABLE apg_described")


@check
async def errors_have_their_sqlstate_and_fields(connection):
    await connection.execute("DROP TABLE IF EXISTS apg_unique")
    await connection.execute("CREATE TABLE apg_unique (id integer PRIMARY KEY, name text NOT NULL)")
    try:
        insert = "INSERT INTO apg_unique VALUES ($1, $2)"
        equal(await connection.execute(insert, 1, "a"), "INSERT 0 1", "tag")
        error = await fails("23505", connection.execute(insert, 1, "b"))
        equal(error.constraint_name, "apg_unique_pkey", "constraint")
        equal(error.detail, "Key (id)=(1) already exists.", "detail")
        error = await fails("23502", connection.execute(insert, 2, None))
        equal(error.column_name, "name", "column")
        await fails("42P01", connection.fetch("SELECT * FROM apg_missing"))
        await fails("42703", connection.fetch("SELECT missing FROM apg_unique"))
        await fails("42601", connection.fetch("SELECT 1 +"))
        await fails("22012", connection.fetch("SELECT 1 / $1::integer", 0))
        await fails("22P02", connection.fetch("SELECT $1::text::integer", "abc"))
        equal(await connection.fetchval("SELECT 1"), 1, "the session goes on")
    finally:
        await connection.execute("DROP TABLE apg_unique")


@check
async def transactions_nest(connection):
    await connection.execute("DROP TABLE IF EXISTS apg_tx")
    await connection.execute("CREATE TABLE apg_tx (v integer)")
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO apg_tx VALUES (1)")
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO apg_tx VALUES (2)")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        equal([row["v"] for row in await connection.fetch("SELECT v FROM apg_tx")], [1], "rows")
        async with connection.transaction(isolation="serializable", readonly=True):
            equal(await connection.fetchval("SHOW transaction_isolation"), "serializable", "level")
            await fails("25006", connection.execute("INSERT INTO apg_tx VALUES (3)"))
    finally:
        await connection.execute("DROP TABLE apg_tx")


@check
async def a_cursor_fetches_in_parts(connection):
    async with connection.transaction():
        cursor = await connection.cursor("SELECT generate_series(1, $1::integer)", 100)
        equal(tuple(await cursor.fetchrow()), (1,), "first")
        equal(len(await cursor.fetch(10)), 10, "ten")
        await cursor.forward(9)
        equal(tuple(await cursor.fetchrow()), (21,), "after the jump")
        total = 0
        async for (value,) in connection.cursor("SELECT generate_series(1, 100)", prefetch=7):
            total += value
        equal(total, 5050, "sum")


@check
async def many_rows_go_in_one_call(connection):
    await connection.execute("DROP TABLE IF EXISTS apg_many")
    await connection.execute("CREATE TABLE apg_many (id integer, name text)")
    await connection.executemany("INSERT INTO apg_many VALUES ($1, $2)",
                                 [(at, str(at)) for at in range(300)])
    equal(await connection.fetchval("SELECT sum(id) FROM apg_many"), sum(range(300)), "sum")
    found = await connection.fetch("SELECT name FROM apg_many WHERE id = ANY($1::integer[]) ORDER BY id",
                                   [3, 1, 2])
    equal([row["name"] for row in found], ["1", "2", "3"], "ANY")
    await connection.execute("DROP TABLE apg_many")


@check
async def copy_goes_in_and_out(connection):
    await connection.execute("DROP TABLE IF EXISTS apg_copy")
    await connection.execute("CREATE TABLE apg_copy (id integer, name text, at timestamptz)")
    try:
        rows = [(1, "a\tb", datetime.datetime(2024, 1, 31, tzinfo=UTC)), (2, None, None)]
        tag = await connection.copy_records_to_table("apg_copy", records=rows)
        equal(tag, "COPY 2", "tag")
        found = await connection.fetch("SELECT * FROM apg_copy ORDER BY id")
        equal([tuple(row) for row in found], rows, "binary in")
        tag = await connection.copy_to_table("apg_copy", source=io.BytesIO(b"3,c,\n"), format="csv")
        equal(tag, "COPY 1", "tag")
        out = io.BytesIO()
        await connection.copy_from_query("SELECT id, name FROM apg_copy WHERE id > $1 ORDER BY id", 1,
                                         output=out, format="csv", header=True)
        equal(out.getvalue(), b"id,name\n2,\n3,c\n", "csv out")
        out = io.BytesIO()
        await connection.copy_from_table("apg_copy", output=out, format="binary", columns=["id"])
        equal(out.getvalue()[:11], b"PGCOPY\n\xff\r\n\0", "signature")
        equal(out.getvalue()[19:29], b"\0\x01\0\0\0\x04\0\0\0\x01", "row")
    finally:
        await connection.execute("DROP TABLE apg_copy")


@check
async def a_running_statement_is_cancelled(connection):
    query = "SELECT count(*) FROM generate_series(1, 2000000000) AS g WHERE g % 3 = 5"
    try:
        await connection.fetchval(query, timeout=0.5)
        raise AssertionError("it was not cancelled")
    except asyncio.TimeoutError:
        pass
    equal(await connection.fetchval("SELECT 1"), 1, "the session goes on")


@check
async def a_pool_resets_its_connections(_):
    async with asyncpg.create_pool(dsn(), min_size=2, max_size=2) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET application_name = 'changed'")
        for _ in range(4):
            async with pool.acquire() as connection:
                name = await connection.fetchval("SHOW application_name")
                assert name != "changed", "the setting stayed"
        totals = await asyncio.gather(*(pool.fetchval("SELECT $1::integer + 1", at)
                                        for at in range(20)))
        equal(totals, list(range(1, 21)), "concurrent")


if __name__ == "__main__":
    main(connect, lambda connection: connection.close())
