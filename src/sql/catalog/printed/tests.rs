use super::*;

fn table() -> Relation {
    let columns = [
        ("a", Oid::INT4),
        ("b", Oid::INT8),
        ("n", Oid::NUMERIC),
        ("r", Oid::FLOAT8),
        ("s", Oid::TEXT),
        ("v", Oid::VARCHAR),
        ("c", Oid::BPCHAR),
        ("d", Oid::DATE),
        ("ts", Oid::TIMESTAMP),
        ("tz", Oid::TIMESTAMPTZ),
        ("f", Oid::BOOL),
        ("j", Oid::JSONB),
        ("ar", Oid::INT4_ARRAY),
        ("iv", Oid::INTERVAL),
        ("Mixed", Oid::INT4),
    ];
    Relation::of_columns("t", &columns)
}

fn printed(written: &str, pretty: bool) -> Option<String> {
    let (catalog, table) = (Catalog::default(), table());
    Place::of_row(&catalog, &table).printed(written, Some(Oid::BOOL), pretty)
}

/// What PostgreSQL 15 prints.
#[test]
fn conditions_print_as_in_postgresql() {
    for (written, expected) in [
        ("a > 0 and b < 10 or not f", "(((a > 0) AND (b < 10)) OR (NOT f))"),
        ("(a = 1 and b = 2) and n = 3", "((a = 1) AND (b = 2) AND (n = (3)::numeric))"),
        ("a > 0 and (b > 0 and f)", "((a > 0) AND ((b > 0) AND f))"),
        ("r > 0", "(r > (0)::double precision)"),
        ("v <> ''", "((v)::text <> ''::text)"),
        ("c = 'x'", "(c = 'x'::bpchar)"),
        ("s in ('a', 'b')", "(s = ANY (ARRAY['a'::text, 'b'::text]))"),
        (
            "v not in ('a', 'b')",
            "((v)::text <> ALL ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
        ),
        ("b in (1, 2)", "(b = ANY (ARRAY[(1)::bigint, (2)::bigint]))"),
        ("s in ('a')", "(s = 'a'::text)"),
        ("a in (1, b)", "((a = 1) OR (a = b))"),
        ("v = any (array['a'])", "((v)::text = ANY (ARRAY['a'::text]))"),
        ("a = any ('{1,2}')", "(a = ANY ('{1,2}'::integer[]))"),
        ("a between 1 and 9", "((a >= 1) AND (a <= 9))"),
        ("a not between 1 and 9", "((a < 1) OR (a > 9))"),
        ("v not like 'a%'", "((v)::text !~~ 'a%'::text)"),
        ("d > '2020-1-2'", "(d > '2020-01-02'::date)"),
        ("iv > interval '1 day'", "(iv > '1 day'::interval)"),
        ("ts > d", "(ts > d)"),
        ("a + b > n", "(((a + b))::numeric > n)"),
        ("a = -1 or -a < 5", "((a = '-1'::integer) OR ((- a) < 5))"),
        ("a > 3000000000", "(a > '3000000000'::bigint)"),
        ("length(v) > 3", "(length((v)::text) > 3)"),
        ("coalesce(a, b, 0) > 0", "(COALESCE((a)::bigint, b, (0)::bigint) > 0)"),
        ("nullif(a, 0) > 1", "(NULLIF(a, 0) > 1)"),
        ("j->>'x' = 'y'", "((j ->> 'x'::text) = 'y'::text)"),
        ("j @> '{\"a\":1}'", "(j @> '{\"a\": 1}'::jsonb)"),
        ("(a is null) = (b is null)", "((a IS NULL) = (b IS NULL))"),
        ("f is not true", "(f IS NOT TRUE)"),
        ("a is not distinct from b", "(NOT (a IS DISTINCT FROM b))"),
        ("trim(s) <> ''", "(TRIM(BOTH FROM s) <> ''::text)"),
        ("position('x' in s) = 0", "(POSITION(('x'::text) IN (s)) = 0)"),
        ("extract(year from d) > 2000", "(EXTRACT(year FROM d) > (2000)::numeric)"),
        ("substring(s from 1 for 2) = 'a'", "(SUBSTRING(s FROM 1 FOR 2) = 'a'::text)"),
        ("tz at time zone 'UTC' > ts", "((tz AT TIME ZONE 'UTC'::text) > ts)"),
        ("s collate \"C\" > 'a'", "((s COLLATE \"C\") > 'a'::text)"),
        ("ar[1] > 0 and array_length(ar, 1) > 0", "((ar[1] > 0) AND (array_length(ar, 1) > 0))"),
        ("cast(s as int) > 0", "((s)::integer > 0)"),
        ("s::varchar(3) = 'a'", "(((s)::character varying(3))::text = 'a'::text)"),
        ("\"Mixed\" > 0", "(\"Mixed\" > 0)"),
        (
            "case when a > 0 then b > 0 else true end",
            "\nCASE\n    WHEN (a > 0) THEN (b > 0)\n    ELSE true\nEND",
        ),
    ] {
        assert_eq!(printed(written, false).as_deref(), Some(expected), "{written}");
    }
}

#[test]
fn pretty_conditions_have_few_parentheses() {
    for (written, expected) in [
        ("a > 0 and b < 10 or not f", "a > 0 AND b < 10 OR NOT f"),
        ("(f or a > 0) and b > 0", "(f OR a > 0) AND b > 0"),
        ("a % 2 = 0", "(a % 2) = 0"),
        ("a + b * 2 - 1 > n", "(a + b * 2 - 1)::numeric > n"),
        ("v <> ''", "v::text <> ''::text"),
        ("(a is null) = (b is null)", "(a IS NULL) = (b IS NULL)"),
        ("s in ('a', 'b') and f", "(s = ANY (ARRAY['a'::text, 'b'::text])) AND f"),
        ("not (a = 1)", "NOT a = 1"),
    ] {
        assert_eq!(printed(written, true).as_deref(), Some(expected), "{written}");
    }
}

#[test]
fn what_is_not_known_is_not_printed() {
    for written in ["made_by_a_client(a)", "d > 'now'", "tz > '2020-01-01'", "other > 0", "a +"] {
        assert_eq!(printed(written, false), None, "{written}");
    }
}

#[test]
fn defaults_are_literals_of_the_columns_type() {
    let (catalog, table) = (Catalog::default(), table());
    let place = Place::of_row(&catalog, &table);
    for (written, oid, expected) in [
        ("'x'", Oid::VARCHAR, "'x'::character varying"),
        ("'5'", Oid::INT4, "5"),
        ("'5'", Oid::NUMERIC, "'5'::numeric"),
        ("0", Oid::NUMERIC, "0"),
        ("-1", Oid::INT8, "'-1'::integer"),
        ("'t'", Oid::BOOL, "true"),
        ("'{}'", Oid::JSONB, "'{}'::jsonb"),
        ("now()", Oid::TIMESTAMPTZ, "now()"),
        ("current_timestamp", Oid::TIMESTAMPTZ, "CURRENT_TIMESTAMP"),
        ("(now() at time zone 'utc')", Oid::TIMESTAMP, "(now() AT TIME ZONE 'utc'::text)"),
        ("timezone('utc', now())", Oid::TIMESTAMP, "timezone('utc'::text, now())"),
        ("nextval('t_a_seq')", Oid::INT4, "nextval('t_a_seq'::regclass)"),
        ("1 + 2", Oid::INT4, "(1 + 2)"),
    ] {
        assert_eq!(
            place.printed(written, Some(oid), false).as_deref(),
            Some(expected),
            "{written}"
        );
    }
}

#[test]
fn keys_of_indexes_stand_in_parentheses_unless_they_are_calls() {
    let (catalog, table) = (Catalog::default(), table());
    let key = |written, pretty| Place::of_row(&catalog, &table).printed_key(written, pretty);
    assert_eq!(key("lower(v)", false).as_deref(), Some("lower((v)::text)"));
    assert_eq!(key("a + 1", false).as_deref(), Some("((a + 1))"));
    assert_eq!(key("a + 1", true).as_deref(), Some("(a + 1)"));
    assert_eq!(key("s collate \"C\"", true).as_deref(), Some("s COLLATE \"C\""));
    assert_eq!(key("j ->> 'x'", false).as_deref(), Some("((j ->> 'x'::text))"));
}
