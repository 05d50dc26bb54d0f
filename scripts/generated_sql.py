"""Statements from a grammar of what PostgreSQL and Towline both speak, for
`scripts/differential generate`. A seed and a count give the same statements everywhere."""
import random

TABLES = [
    "create type gt as (x int, y text)",
    "create table ga (id int primary key, i int, b bigint, s smallint, n numeric(10,2), f float8,"
    " t text, v varchar(20), d date, ts timestamp, tz timestamptz, bo boolean, iv interval,"
    " ar int[], c gt, cs gt[], j jsonb)",
    "create table gb (id int primary key, a_id int references ga, x int, y text, z numeric)",
    "create table gc (k int, l text, m int, primary key (k, l))",
]
COLUMNS = {
    "ga": {
        "id": "int", "i": "int", "b": "bigint", "s": "smallint", "n": "numeric", "f": "float",
        "t": "text", "v": "text", "d": "date", "ts": "timestamp", "tz": "timestamptz",
        "bo": "bool", "iv": "interval", "ar": "array", "c": "row", "cs": "rows", "j": "jsonb",
    },
    "gb": {"id": "int", "a_id": "int", "x": "int", "y": "text", "z": "numeric"},
    "gc": {"k": "int", "l": "text", "m": "int"},
}
LITERALS = {
    "int": ["0", "1", "2", "3", "-1", "7", "10", "100", "-25", "2147483647", "null::int"],
    "smallint": ["1::smallint", "-3::smallint", "12::smallint"],
    "bigint": ["0::bigint", "5000000000", "-7::bigint", "9223372036854775807"],
    "numeric": ["0.0", "1.5", "-2.25", "10.00", "0.001", "123456789.123456789", "1e10", "3::numeric"],
    "float": ["0::float8", "1.5::float8", "-0.25::float8", "1e10::float8", "'nan'::float8", "'inf'::float8"],
    "text": ["''", "'a'", "'Abc'", "'x y'", "'100'", "'%a_'", "'ß'", "'it''s'", "null::text", "'10'", "'9'"],
    "date": ["date '2024-01-31'", "date '1999-12-31'", "date '2000-02-29'", "'infinity'::date"],
    "timestamp": ["timestamp '2024-01-31 23:59:59.5'", "timestamp '2000-01-01'"],
    "timestamptz": ["timestamptz '2024-03-31 01:30:00+00'", "timestamptz '2000-01-01 12:00:00+02'"],
    "bool": ["true", "false", "null::boolean"],
    "interval": ["interval '1 day'", "interval '1 month -2 days 03:04:05'", "interval '90 minutes'",
                 "interval '-1 year'", "interval '0'"],
    "array": ["array[1,2,3]", "'{}'::int[]", "array[5,null]", "array[10,9]"],
    "row": ["row(1, 'a')::gt", "row(2, null)::gt", "'(10,\"b c\")'::gt", "row(null, '')::gt", "null::gt"],
    "rows": ["array[row(1, 'a')::gt]", "'{\"(2,x)\",NULL}'::gt[]", "'{}'::gt[]"],
    "jsonb": ["'{\"a\": 1, \"b\": [1, 2]}'::jsonb", "'[1, \"x\", null]'::jsonb", "'3'::jsonb", "'null'::jsonb"],
}
TYPES = list(LITERALS)
NUMBERS = ["int", "bigint", "smallint", "numeric", "float"]
# What makes a value of a type out of others: the text, with the types of its holes.
FORMS = {
    "int": [
        ("({} + {})", "int int"), ("({} - {})", "int int"), ("({} * {})", "int int"),
        ("({} / {})", "int int"), ("({} % {})", "int int"), ("abs({})", "int"), ("(- {})", "int"),
        ("length({})", "text"), ("strpos({}, {})", "text text"), ("ascii({})", "text"),
        ("extract(year from {})::int", "timestamp"), ("extract(dow from {})::int", "date"),
        ("({} - {})", "date date"), ("array_length({}, 1)", "array"), ("cardinality({})", "array"),
        ("{}[{}]", "array int"), ("coalesce({}, {})", "int int"), ("nullif({}, {})", "int int"),
        ("greatest({}, {}, {})", "int int int"), ("least({}, {})", "int int"),
        ("case when {} then {} else {} end", "bool int int"), ("{}::int", "bool"),
        ("round({})::int", "numeric"), ("{}::int", "smallint"), ("sign({})::int", "numeric"),
        ("array_position({}, {})", "array int"), ("({} & {})", "int int"), ("({} | {})", "int int"),
        ("({} << 2)", "int"), ("({}->>'a')::int", "jsonb"), ("jsonb_array_length('[1,2]'::jsonb)", ""),
        ("octet_length({})", "text"), ("char_length({})", "text"), ("({}).x", "row"), ("({})[1].x", "rows"),
    ],
    "bigint": [("({} + {})", "bigint int"), ("({} * {})", "int bigint"), ("{}::bigint", "int"),
               ("({} / {})", "bigint int"), ("mod({}, {})", "bigint bigint"), ("abs({})", "bigint"),
               ("coalesce({}, {})", "bigint int")],
    "smallint": [("({} + {})", "smallint smallint"), ("{}::smallint", "int"), ("abs({})", "smallint")],
    "numeric": [
        ("({} + {})", "numeric numeric"), ("({} - {})", "numeric int"), ("({} * {})", "numeric numeric"),
        ("({} / {})", "numeric numeric"), ("({} % {})", "numeric numeric"), ("round({}, 1)", "numeric"),
        ("trunc({})", "numeric"), ("ceil({})", "numeric"), ("floor({})", "numeric"), ("abs({})", "numeric"),
        ("{}::numeric", "int"), ("coalesce({}, {})", "numeric int"), ("greatest({}, {})", "numeric int"),
        ("case when {} then {} else {} end", "bool numeric int"), ("{}::numeric(8,3)", "numeric"),
        ("extract(epoch from {})", "interval"), ("extract(second from {})", "timestamp"),
        ("trim_scale({})", "numeric"), ("div({}, {})", "numeric numeric"), ("{}::numeric", "float"),
    ],
    "float": [("({} + {})", "float float"), ("({} - {})", "float int"), ("({} * {})", "float float"),
              ("({} / {})", "float float"), ("sqrt(abs({}))", "float"), ("round({})", "float"),
              ("{}::float8", "numeric"), ("{}::float8", "int"), ("floor({})", "float"),
              ("greatest({}, {})", "float int"), ("coalesce({}, {})", "float int")],
    "text": [
        ("({} || {})", "text text"), ("upper({})", "text"), ("lower({})", "text"), ("initcap({})", "text"),
        ("substr({}, 2, 2)", "text"), ("substring({} from {})", "text smallint"), ("replace({}, {}, {})", "text text text"),
        ("left({}, 2)", "text"), ("right({}, -1)", "text"), ("lpad({}, 5, '*')", "text"), ("trim({})", "text"),
        ("reverse({})", "text"), ("split_part({}, ' ', 1)", "text"), ("concat({}, {}, {})", "text int bool"),
        ("concat_ws('-', {}, {})", "text text"), ("coalesce({}, {})", "text text"), ("nullif({}, {})", "text text"),
        ("{}::text", "int"), ("{}::text", "numeric"), ("{}::text", "float"), ("{}::text", "bool"), ("{}::text", "date"),
        ("{}::text", "timestamp"), ("{}::text", "interval"), ("{}::text", "array"), ("{}::text", "jsonb"),
        ("to_char({}, 'YYYY-MM-DD HH24:MI')", "timestamp"), ("to_char({}, 'FM990.00')", "numeric"),
        ("case when {} then {} else {} end", "bool text text"), ("({} || {})", "text int"),
        ("array_to_string({}, ',', '?')", "array"), ("({}->>'b')", "jsonb"), ("md5({})", "text"),
        ("regexp_replace({}, '[a-c]+', '<\\&>', 'g')", "text"), ("translate({}, 'abx', 'AB')", "text"),
        ("greatest({}, {})", "text text"), ("quote_literal({})", "text"), ("format('%s|%L', {}, {})", "int text"),
        ("{}::varchar(3)", "text"), ("{}::char(4)::text", "text"), ("jsonb_typeof({})", "jsonb"), ("({}).y", "row"), ("{}::text", "row"), ("{}::text", "rows"), ("row({}, {})::text", "numeric date"),
    ],
    "date": [("({} + {})", "date smallint"), ("({} - {})", "date smallint"), ("{}::date", "timestamp"),
             ("coalesce({}, {})", "date date"), ("greatest({}, {})", "date date"),
             ("date_trunc('month', {})::date", "timestamp"), ("make_date(2020, 2, 3)", "")],
    "timestamp": [("({} + {})", "timestamp interval"), ("({} - {})", "timestamp interval"), ("date_trunc('hour', {})", "timestamp"),
                  ("{}::timestamp", "date"), ("({} at time zone 'UTC')", "timestamptz"), ("({} + {})", "date interval"),
                  ("date_trunc('week', {})", "timestamp")],
    "timestamptz": [("({} + {})", "timestamptz interval"), ("({} at time zone 'Europe/Berlin')", "timestamp"),
                    ("date_trunc('day', {})", "timestamptz"), ("{}::timestamptz", "timestamp")],
    "bool": [
        ("({} and {})", "bool bool"), ("({} or {})", "bool bool"), ("(not {})", "bool"), ("({} is true)", "bool"),
        ("({} like {})", "text text"), ("({} ilike '%a%')", "text"), ("({} ~ '[a-c]')", "text"), ("({} is null)", "text"),
        ("({} between {} and {})", "int int int"), ("({} in ({}, {}))", "int int int"), ("({} not in ({}, {}))", "text text text"),
        ("({} = any({}))", "int array"), ("({} < all({}))", "int array"), ("({} @> {})", "array array"), ("({} && {})", "array array"),
        ("({} @> {})", "jsonb jsonb"), ("({} ? 'a')", "jsonb"), ("(({}, {}) < ({}, {}))", "int text int text"),
        ("exists (select 1 from gb q where q.x > {})", "int"), ("({} in (select q.x from gb q))", "int"),
        ("coalesce({}, {})", "bool bool"), ("starts_with({}, {})", "text text"), ("({} similar to '%(a|b)%')", "text"),
        ("(({}, {}) overlaps ({}, {}))", "date date date date"), ("({} is null)", "row"), ("({} is not null)", "row"),
        ("({} in ({}, {}))", "row row row"), ("({} = any({}))", "row rows"), ("(row({}, {}) = row({}, {}))", "int text int text"),
        ("(row({0}, {1}) is distinct from row({0}, {2}))", "numeric text text"), ("({} between {} and {})", "row row row"),
    ],
    "interval": [("({} + {})", "interval interval"), ("({} * 2)", "interval"), ("(- {})", "interval"), ("({} - {})", "timestamp timestamp"),
                 ("age({}, {})", "timestamp timestamp"), ("justify_hours({})", "interval"), ("({} / 3)", "interval"),
                 ("make_interval(days => {})", "smallint"), ("date_trunc('hour', {})", "interval")],
    "array": [("({} || {})", "array array"), ("array_append({}, {})", "array int"), ("array_remove({}, {})", "array int"),
              ("{}[2:3]", "array"), ("array[{}, {}]", "int int"), ("coalesce({}, {})", "array array"), ("array_prepend({}, {})", "int array"),
              ("string_to_array('1,2', ',')::int[]", ""), ("array(select q.x from gb q order by q.id)", ""), ("array_replace({}, 1, {})", "array int")],
    "jsonb": [("({} -> 'b')", "jsonb"), ("jsonb_build_object('k', {}, 'l', {})", "int text"), ("to_jsonb({})", "array"), ("to_jsonb({})", "numeric"),
              ("to_jsonb({})", "timestamp"), ("({} || {})", "jsonb jsonb"), ("jsonb_set({}, '{{a}}', to_jsonb({}))", "jsonb text"),
              ("jsonb_build_array({}, {})", "date bool"), ("({} #> '{{b,0}}')", "jsonb"), ("to_jsonb({})", "row"), ("to_jsonb({})", "rows"), ("to_jsonb(row({}, {}))", "int text")],
    "row": [("row({}, {})::gt", "int text"), ("coalesce({}, {})", "row row"), ("case when {} then {} else {} end", "bool row row"),
            ("({})[1]", "rows"), ("greatest({}, {})", "row row"), ("nullif({}, {})", "row row"), ("('(' || {} || ',z)')::gt", "int")],
    "rows": [("array[{}, {}]", "row row"), ("({} || {})", "rows rows"), ("({})[1:1]", "rows"), ("array_append({}, {})", "rows row")],
}
AGGREGATES = [
    ("count(*)", ""), ("count({})", "text"), ("count(distinct {})", "int"), ("sum({})", "int"), ("sum({})", "bigint"), ("sum({})", "numeric"),
    ("sum({})", "float"), ("avg({})", "int"), ("avg({})", "numeric"), ("avg({})", "float"), ("min({})", "text"), ("max({})", "text"),
    ("min({})", "date"), ("max({})", "timestamp"), ("max({})", "numeric"), ("min({})", "float"), ("bool_and({})", "bool"), ("bool_or({})", "bool"),
    ("sum({})", "interval"), ("max({})", "interval"), ("count(*) filter (where {})", "bool"), ("sum({}) filter (where {})", "int bool"),
    ("stddev({})", "numeric"), ("var_pop({})", "int"), ("bit_or({})", "int"), ("max({})", "array"),
    ("count(distinct {})", "row"), ("count({})", "row"),
]
ORDERED = [("string_agg({}, ',' order by {0}.id)", "text"), ("array_agg({} order by {0}.id)", "int"), ("jsonb_agg({} order by {0}.id)", "numeric"),
           ("array_agg({} order by {0}.id desc)", "date"), ("json_agg({} order by {0}.id)", "text"), ("json_agg({} order by {0}.id)", "row"), ("array_agg({} order by {0}.id)", "row")]
WINDOWS = [("row_number() {}", ""), ("rank() {}", ""), ("dense_rank() {}", ""), ("ntile(3) {}", ""), ("lag({}) {}", "int"), ("lead({}, 1, {}) {}", "int int"),
           ("first_value({}) {}", "text"), ("last_value({}) {}", "numeric"), ("sum({}) {}", "int"), ("avg({}) {}", "numeric"), ("count(*) {}", ""),
           ("sum({}) {}", "float"), ("max({}) {}", "text"), ("nth_value({}, 2) {}", "int"), ("cume_dist() {}", ""), ("percent_rank() {}", "")]
FRAMES = ["", " rows between 1 preceding and current row", " rows between unbounded preceding and 1 following", " rows 2 preceding",
          " range between unbounded preceding and current row", " groups between 1 preceding and 1 following"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def setup(self):
        """The tables with their rows."""
        yield from TABLES
        r = self.random
        for number in range(1, 13):
            values = [str(number)]
            values += [self.constant(kind) for kind in list(COLUMNS["ga"].values())[1:]]
            # A constant that its column can't hold leaves it NULL.
            values[3] = r.choice(["1", "-3", "12", "null"])
            values[4] = r.choice(["1.50", "-2.25", "0", "12345.67", "null"])
            yield f"insert into ga values ({', '.join(values)})"
        for number in range(1, 21):
            x, y, z = self.constant("int"), self.constant("text"), self.constant("numeric")
            yield f"insert into gb values ({number}, {r.choice([1, 2, 3, 5, 8, 'null'])}, {x}, {y}, {z})"

        for number in range(1, 6):
            yield f"insert into gc values ({number}, {self.random.choice(LITERALS['text'][:4])}, {self.constant('int')})"

    def constant(self, kind):
        return "null" if self.random.random() < 0.15 else self.random.choice(LITERALS[kind])

    def expression(self, kind, scope, depth=2):
        """A value of a type over the columns of a scope: pairs of an alias and a table."""
        r = self.random
        roll = r.random()
        columns = [f"{a}.{c}" for a, table in scope for c, k in COLUMNS[table].items() if k == kind]
        if columns and (roll < 0.45 or depth == 0):
            return r.choice(columns)
        if depth == 0 or roll < 0.55:
            return r.choice(LITERALS[kind])
        if kind == "bool" and r.random() < 0.5:
            other = r.choice([k for k in TYPES if k not in ("bool",)])
            op = r.choice(["=", "<>", "<", "<=", ">", ">=", "is distinct from"])
            left, right = (self.expression(other, scope, depth - 1) for _ in "ab")
            return f"({left} {op} {right})"
        return self.fill(r.choice(FORMS[kind]), scope, depth - 1)

    def fill(self, form, scope, depth):
        text, holes = form
        values = [self.expression(kind, scope, depth) for kind in holes.split()]
        # A cast binds tighter than a sign.
        return text.format(*[f"({value})" if value.startswith("-") else value for value in values])

    def any(self, scope, depth=2):
        return self.expression(self.random.choice(TYPES), scope, depth)

    def source(self):
        """FROM, its scope, and what orders its rows wholly."""
        r = self.random
        on = lambda: self.expression("bool", [("a", "ga"), ("b", "gb")], 1)
        return r.choice([
            lambda: ("ga a", [("a", "ga")], "a.id"),
            lambda: ("gb b", [("b", "gb")], "b.id"),
            lambda: ("ga a join gb b on a.id = b.a_id", [("a", "ga"), ("b", "gb")], "a.id, b.id"),
            lambda: ("ga a left join gb b on a.id = b.a_id", [("a", "ga"), ("b", "gb")], "a.id, b.id"),
            lambda: ("ga a right join gb b on a.id = b.a_id", [("a", "ga"), ("b", "gb")], "a.id, b.id"),
            lambda: ("ga a full join gb b on a.id = b.a_id", [("a", "ga"), ("b", "gb")], "a.id, b.id"),
            lambda: (f"ga a join gb b on {on()}", [("a", "ga"), ("b", "gb")], "a.id, b.id"),
            lambda: (f"ga a cross join lateral (select q.* from gb q where q.a_id = a.id and {on().replace('b.', 'q.')}) b",
                     [("a", "ga"), ("b", "gb")], "a.id, b.id"),
        ])()

    def statement(self):
        r = self.random
        return r.choice([self.select, self.select, self.select, self.grouped, self.grouped, self.windowed, self.compound,
                         self.nested, self.upsert, self.update, self.delete])()

    def select(self):
        source, scope, order = self.source()
        r = self.random
        items = ", ".join(f"{self.any(scope, 3)} as c{n}" for n in range(r.randint(1, 4)))
        where = f" where {self.expression('bool', scope, 3)}" if r.random() < 0.7 else ""
        if r.random() < 0.2:
            return f"select distinct {items} from {source}{where}"
        kind = r.choice(TYPES[:-1])
        first = f"{self.expression(kind, scope, 1)} {r.choice(['', 'desc', 'nulls first', 'desc nulls last'])}, " if r.random() < 0.5 else ""
        # A bare number would be the place of a column.
        first = "" if first.split(" ")[0].lstrip("-").isdigit() else first
        limit = f" limit {r.randint(0, 7)} offset {r.randint(0, 3)}" if r.random() < 0.4 else ""
        return f"select {items} from {source}{where} order by {first}{order}{limit}"

    def grouped(self):
        source, scope, _ = self.source()
        r = self.random
        keys = [self.expression(r.choice(["int", "text", "date", "bool", "numeric", "row"]), scope, 1) for _ in range(r.randint(0, 2))]
        keys = [key for key in keys if any(f"{alias}." in key for alias, _ in scope)]
        aggregates = [self.fill(r.choice(AGGREGATES), scope, 2) for _ in range(r.randint(1, 3))]
        if len(scope) == 1:
            text, kind = r.choice(ORDERED)
            aggregates.append(text.replace("{0}", scope[0][0]).format(self.expression(kind, scope, 1)))
        group = f" group by {', '.join(keys)}" if keys else ""
        if len(keys) == 2 and r.random() < 0.3:
            group = f" group by {r.choice(['rollup', 'cube', 'grouping sets'])} ({', '.join(keys)})"
        having = f" having {self.fill(r.choice([('count(*) > 1', ''), ('max({}) is not null', 'text')]), scope, 1)}" if r.random() < 0.2 else ""
        where = f" where {self.expression('bool', scope, 2)}" if r.random() < 0.4 else ""
        return f"select {', '.join(keys + aggregates)} from {source}{where}{group}{having}"

    def windowed(self):
        source, scope, order = self.source()
        r = self.random
        items = []
        for _ in range(r.randint(1, 3)):
            text, holes = r.choice(WINDOWS)
            part = f"partition by {self.expression(r.choice(['int', 'text', 'bool']), scope, 1)} " if r.random() < 0.5 else ""
            over = f"over ({part}order by {order}{r.choice(FRAMES)})"
            values = [self.expression(kind, scope, 1) for kind in holes.split()]
            items.append(text.format(*values, over))
        return f"select {', '.join(items)} from {source} order by {order}"

    def compound(self):
        r = self.random
        kinds = [r.choice(TYPES) for _ in range(r.randint(1, 3))]
        def part():
            source, scope, _ = self.source()
            where = f" where {self.expression('bool', scope, 1)}"
            return f"select {', '.join(self.expression(kind, scope, 1) for kind in kinds)} from {source}{where}"
        op = r.choice(["union", "union all", "intersect", "except"])
        return f"{part()} {op} {part()}"

    def nested(self):
        source, scope, _ = self.source()
        r = self.random
        kinds = [r.choice(TYPES[:-1]) for _ in range(2)]
        inner = ", ".join(f"{self.expression(kind, scope, 2)} as c{n}" for n, kind in enumerate(kinds))
        outer = f"select q.c0, count(*), max(q.c1::text) from {{}} group by q.c0"
        if r.random() < 0.5:
            return outer.format(f"(select {inner} from {source}) q")
        return f"with q as (select {inner} from {source}) " + outer.format("q")

    def upsert(self):
        r = self.random
        k, m = r.randint(1, 3), self.expression("int", [], 1)
        rows = ", ".join(f"({n}, {r.choice(LITERALS['text'][:4])}, {self.expression('int', [], 1)})" for n in range(k, k + 2))
        action = r.choice(["do nothing", f"do update set m = excluded.m + coalesce(gc.m, {m})",
                           "do update set m = excluded.m where gc.m is distinct from excluded.m"])
        return f"insert into gc values {rows} on conflict (k, l) {action} returning k, l, m"

    def update(self):
        r = self.random
        scope = [("b", "gb")]
        if r.random() < 0.2:
            scope = [("a", "ga")]
            parts = {f"ar[{r.randint(1, 3)}]": "int", "c.x": "int", "c.y": "text", "cs[1]": "row", "cs[2].y": "text"}
            parts = r.sample(list(parts.items()), 2)
            sets = ", ".join(f"{part} = {self.expression(kind, scope, 1)}" for part, kind in parts)
            return f"update ga a set {sets} where {self.expression('bool', scope, 1)} returning id, ar, c, cs"
        column = r.choice(["x", "y", "z"])
        value = self.expression(COLUMNS["gb"][column], scope, 2)
        where = self.expression("bool", scope, 2)
        if r.random() < 0.3:
            return f"update gb b set {column} = {value} from ga a where a.id = b.a_id and {where} returning b.id, b.{column}, a.id"
        return f"update gb b set {column} = {value} where {where} returning id, {column}"

    def delete(self):
        where = self.expression("bool", [("b", "gb")], 2)
        return f"delete from gb b where b.id > 18 and {where} returning *"
