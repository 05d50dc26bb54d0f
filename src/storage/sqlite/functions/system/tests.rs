use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::call::tests::evaluate_on;
use crate::log::{Lsn, ValueRef};
use crate::storage::sqlite::{ConnectionKind, Environment, Sqlite};

fn open() -> Sqlite {
    let path = Path::new(":memory:");
    let mut sqlite = Sqlite::open(path, ConnectionKind::Writer).expect("opens");
    sqlite
        .execute_batch(
            "CREATE TABLE parent(id INTEGER PRIMARY KEY, code TEXT UNIQUE);
             CREATE TABLE \"Child\"(a INT REFERENCES parent(id) ON DELETE CASCADE);
             CREATE VIEW v AS SELECT id FROM parent;",
        )
        .expect("runs");
    sqlite.set_environment(environment(false));
    sqlite
}

pub(super) fn environment(in_recovery: bool) -> Environment {
    Environment {
        user: "ann".to_owned(),
        session_user: "ann".to_owned(),
        owner: "ann".to_owned(),
        database: "shop".to_owned(),
        in_recovery,
        backend_pid: 42,
        commit_lsn: Lsn(0x0001_0000_0010),
        applied_lsn: Lsn(16),
        settings: Arc::new(BTreeMap::from([("TimeZone".to_owned(), "UTC".to_owned())])),
        ..Environment::default()
    }
}

fn check(sqlite: &mut Sqlite, cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(evaluate_on(sqlite, expression), *expected, "{expression}");
    }
}

#[test]
fn the_session_is_told_who_and_where_it_is() {
    check(
        &mut open(),
        &[
            ("current_database()", "shop"),
            ("current_user()", "ann"),
            ("pg_backend_pid()", "42"),
            ("current_schema()", "public"),
            ("current_schemas(1)", "{pg_catalog,public}"),
            ("current_schemas(0)", "{public}"),
            ("current_setting('timezone')", "UTC"),
            ("current_setting('server_version_num')", "150018"),
            ("current_setting('nonsense')", "42704"),
            ("current_setting('nonsense', 1)", "NULL"),
            ("version() GLOB 'PostgreSQL 15.* (Towline *'", "1"),
            ("pg_database_size('shop') > 4096", "1"),
            ("pg_get_userbyid(10)", "ann"),
            ("pg_get_userbyid(77)", "unknown (OID=77)"),
        ],
    );
}

#[test]
fn positions_are_told_by_role() {
    let mut sqlite = open();
    check(
        &mut sqlite,
        &[
            ("pg_is_in_recovery()", "0"),
            ("pg_current_wal_lsn()", "1/10"),
            ("pg_last_wal_replay_lsn()", "NULL"),
            ("pg_wal_lsn_diff('1/10', '0/10')", "4294967296"),
            ("pg_wal_lsn_diff('x', '0/10')", "22P02"),
        ],
    );
    sqlite.set_environment(environment(true));
    check(
        &mut sqlite,
        &[
            ("pg_is_in_recovery()", "1"),
            ("pg_current_wal_lsn()", "55000"),
            ("pg_last_wal_replay_lsn()", "0/10"),
        ],
    );
}

#[test]
fn names_become_oids_and_back() {
    check(
        &mut open(),
        &[
            ("towline_regclass('pg_class')", "1259"),
            ("towline_regclass('pg_catalog.pg_class')", "1259"),
            ("towline_regclass('1259')", "1259"),
            ("towline_text_regclass(towline_regclass('public.parent'))", "parent"),
            ("towline_text_regclass(towline_regclass('\"Child\"'))", "\"Child\""),
            (
                "towline_text_regclass(to_regclass('information_schema.tables'))",
                "information_schema.tables",
            ),
            ("towline_regclass('nonsense')", "42P01"),
            ("towline_regclass('other.parent')", "42P01"),
            ("to_regclass('child')", "NULL"),
            ("towline_text_regclass(0)", "-"),
            ("towline_text_regclass(4000000)", "4000000"),
            ("to_regtype('int4')", "23"),
            ("to_regtype('nonsense')", "NULL"),
            ("towline_regtype('nonsense')", "42704"),
            ("towline_text_regtype(1043)", "character varying"),
            ("towline_text_regnamespace(11)", "pg_catalog"),
            ("towline_regnamespace('nonsense')", "3F000"),
            ("towline_regrole('ann')", "10"),
            ("to_regproc('pg_catalog.lower')", "lower"),
            ("format_type(1043, 14)", "character varying(10)"),
            ("format_type(NULL, 14)", "NULL"),
            ("format_type(1042, NULL)", "character"),
        ],
    );
}

#[test]
fn definitions_are_printed() {
    let class = |name: &str| format!("towline_regclass('{name}')");
    check(
        &mut open(),
        &[
            (
                "(SELECT pg_get_constraintdef(oid, 1) FROM pg_constraint WHERE contype = 'f')",
                "FOREIGN KEY (a) REFERENCES parent(id) ON DELETE CASCADE",
            ),
            (
                &format!("pg_get_indexdef({}, 0, 1)", class("parent_code_key")),
                "CREATE UNIQUE INDEX parent_code_key ON parent USING btree (code)",
            ),
            (&format!("pg_get_indexdef({}, 1, 1)", class("parent_code_key")), "code"),
            (&format!("pg_get_viewdef({})", class("v")), " SELECT id FROM parent;"),
            (&format!("pg_table_is_visible({})", class("parent")), "1"),
            ("pg_table_is_visible(1259)", "1"),
            ("pg_table_is_visible(to_regclass('information_schema.tables'))", "0"),
            ("pg_table_is_visible(4000000)", "NULL"),
            ("pg_get_serial_sequence('parent', 'id')", "NULL"),
            ("pg_get_serial_sequence('parent', 'x')", "42703"),
            ("pg_get_serial_sequence('x', 'x')", "42P01"),
            ("pg_get_function_result(870)", "text"),
            ("obj_description(1, 'pg_class')", "NULL"),
        ],
    );
}

#[test]
fn sizes_print_as_in_postgresql() {
    check(
        &mut open(),
        &[
            ("pg_size_pretty(10239)", "10239 bytes"),
            ("pg_size_pretty(10240)", "10 kB"),
            ("pg_size_pretty(10485247)", "10239 kB"),
            ("pg_size_pretty(10485248)", "10 MB"),
            ("pg_size_pretty(-10240)", "-10 kB"),
            ("pg_size_pretty(1234567890123)", "1150 GB"),
        ],
    );
}

#[test]
fn who_asks_for_its_surroundings_is_known_to() {
    let mut sqlite = open();
    let mut functions = Vec::new();
    let listed = "SELECT DISTINCT name, narg FROM pragma_function_list WHERE type = 's' AND \
                  builtin = 0 AND narg >= 0 AND name NOT LIKE 'pg_sleep%'";
    let mut statement = sqlite.prepare(listed).expect("prepares");
    while statement.step().expect("steps") {
        let (ValueRef::Text(name), ValueRef::Integer(count)) =
            (statement.column(0), statement.column(1))
        else {
            panic!("no function");
        };
        functions.push((name.to_owned(), count));
    }
    drop(statement);
    assert!(functions.len() > 500, "{}", functions.len());
    for (name, count) in functions {
        for argument in ["'parent'", "16385", "'r'", "'{a}'"] {
            let arguments = vec![argument; usize::try_from(count).expect("a count")].join(", ");
            let call = format!("\"{name}\"({arguments})");
            evaluate_on(&mut sqlite, &call);
            assert!(!sqlite.handle.surroundings().take_asked_unknown(), "{call}");
        }
    }
}
