//! The virtual tables of the schemas `pg_catalog` and `information_schema`, and
//! the table-valued functions.

mod series;
mod system;
pub(super) mod table;

use rusqlite::Connection;
use rusqlite::vtab::Module;

use self::series::Series;
pub use self::system::LiveRelations;
use self::system::SystemTable;
use super::ffi::TableOf;
use super::functions::Surroundings;
use crate::sql::catalog::system_relations;

/// Registers every module and creates the catalog tables in their attached schemas.
pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    const SYSTEM: Module<'static, TableOf<SystemTable>> = Module::read_only_module();
    const SERIES: Module<'static, TableOf<Series>> = Module::eponymous_only_module();

    connection.create_module("towline_system", &SYSTEM, Some(surroundings.clone()))?;
    for name in series::NAMES {
        connection.create_module(name, &SERIES, Some((surroundings.clone(), name)))?;
    }
    let mut sql = String::from("BEGIN;");
    for relation in system_relations() {
        sql.push_str("CREATE VIRTUAL TABLE ");
        sql.push_str(relation.schema);
        sql.push('.');
        sql.push_str(relation.name);
        sql.push_str(" USING towline_system;");
    }
    sql.push_str("COMMIT;");
    connection.execute_batch(&sql)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{ConnectionKind, Sqlite, SqliteError};
    use crate::log::{Value, ValueRef};

    fn open() -> Sqlite {
        Sqlite::open(Path::new(":memory:"), ConnectionKind::Writer).expect("opens")
    }

    fn query(sqlite: &mut Sqlite, sql: &str) -> Result<Vec<Vec<Value>>, SqliteError> {
        let mut statement = sqlite.prepare(sql)?;
        let mut rows = Vec::new();
        while statement.step()? {
            let columns = 0..statement.column_count();
            rows.push(columns.map(|column| statement.column(column).to_owned()).collect());
        }
        Ok(rows)
    }

    fn numbers(sqlite: &mut Sqlite, sql: &str) -> Vec<i64> {
        let rows = query(sqlite, sql).expect("runs");
        let number = |row: Vec<Value>| match row[0].as_ref() {
            ValueRef::Integer(number) => number,
            other => panic!("{other:?} is no integer"),
        };
        rows.into_iter().map(number).collect()
    }

    #[test]
    fn catalog_tables_resolve_with_and_without_their_schema() {
        let mut sqlite = open();
        let by_name = "SELECT oid FROM pg_catalog.pg_class WHERE relname = 'pg_class'";
        assert_eq!(numbers(&mut sqlite, by_name), [1259]);
        assert_eq!(numbers(&mut sqlite, "SELECT oid FROM pg_type WHERE typname = 'int4'"), [23]);
        let count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
        assert_eq!(numbers(&mut sqlite, count), [0]);
    }

    #[test]
    fn rows_are_found_by_value_whatever_the_affinity_of_what_is_asked_for() {
        let mut sqlite = open();
        for sql in [
            "SELECT count(*) FROM pg_type WHERE oid = 23",
            "SELECT count(*) FROM pg_type WHERE oid = '23'",
            "SELECT count(*) FROM pg_type WHERE oid = 23.0",
            "SELECT count(*) FROM pg_type WHERE oid IN (23, 9999999)",
            "SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE t.typname = 'int4' AND n.nspname = 'pg_catalog'",
        ] {
            assert_eq!(numbers(&mut sqlite, sql), [1], "{sql}");
        }
        let outer = "SELECT count(*) FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                     WHERE c.oid IS NULL";
        assert_eq!(
            numbers(&mut sqlite, outer),
            numbers(&mut sqlite, "SELECT count(*) FROM pg_type")
        );
    }

    #[test]
    fn tables_of_sqlites_dialect_are_described_from_its_schema() {
        let mut sqlite = open();
        sqlite
            .execute_batch(
                "CREATE TABLE parent(id INTEGER PRIMARY KEY, code VARCHAR(3) UNIQUE);
                 CREATE TABLE child(a INT REFERENCES parent ON DELETE CASCADE, b BLOB NOT NULL);
                 CREATE INDEX child_a ON child(a);
                 CREATE VIEW v AS SELECT id FROM parent;",
            )
            .expect("runs");
        let kinds = "SELECT count(*) FROM pg_class WHERE relnamespace = 2200 AND relkind = ";
        assert_eq!(numbers(&mut sqlite, &format!("{kinds}'r'")), [2]);
        assert_eq!(numbers(&mut sqlite, &format!("{kinds}'v'")), [1]);
        assert_eq!(numbers(&mut sqlite, &format!("{kinds}'i'")), [3]);
        let types = "SELECT atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     WHERE c.relname = 'child' ORDER BY attnum";
        assert_eq!(numbers(&mut sqlite, types), [20, 17]);
        let key = "SELECT k.confrelid = c.oid AND confdeltype = 'c' AND confkey = '{1}'
                   FROM pg_constraint k, pg_class c
                   WHERE k.contype = 'f' AND c.relname = 'parent'";
        assert_eq!(numbers(&mut sqlite, key), [1]);
    }

    #[test]
    fn the_catalog_follows_changes_of_the_schema() {
        let mut sqlite = open();
        let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(numbers(&mut sqlite, count), [0]);
        sqlite.execute_batch("CREATE TABLE a(x)").expect("runs");
        assert_eq!(numbers(&mut sqlite, count), [1]);
        sqlite.execute_batch("DROP TABLE a").expect("runs");
        assert_eq!(numbers(&mut sqlite, count), [0]);
    }

    #[test]
    fn series_count_up_down_and_not_at_all() {
        let mut sqlite = open();
        let series = |arguments: &str| format!("SELECT value FROM generate_series({arguments})");
        assert_eq!(numbers(&mut sqlite, &series("1, 3")), [1, 2, 3]);
        assert_eq!(numbers(&mut sqlite, &series("5, 1, -2")), [5, 3, 1]);
        assert_eq!(numbers(&mut sqlite, &series("3, 1")), [0_i64; 0]);
        assert_eq!(numbers(&mut sqlite, &series("NULL, 1")), [0_i64; 0]);
        let edge = "9223372036854775806, 9223372036854775807";
        assert_eq!(numbers(&mut sqlite, &series(edge)), [i64::MAX - 1, i64::MAX]);
        let correlated = "SELECT s.value FROM generate_series(1, 2) AS g,
                          generate_series(g.value, 2) AS s ORDER BY 1";
        assert_eq!(numbers(&mut sqlite, correlated), [1, 2, 2]);
        let error = query(&mut sqlite, &series("1, 2, 0")).expect_err("refused");
        assert_eq!(error.raised.expect("raised").state.0, "22023");
    }

    fn texts(sqlite: &mut Sqlite, sql: &str) -> Vec<String> {
        let rows = query(sqlite, sql).expect("runs");
        let text = |row: Vec<Value>| match row[0].as_ref() {
            ValueRef::Text(text) => text.to_owned(),
            other => panic!("{other:?} is no text"),
        };
        rows.into_iter().map(text).collect()
    }

    #[test]
    fn series_of_timestamps_and_numerics_are_postgresqls() {
        let mut sqlite = open();
        let timestamps =
            |arguments: &str| format!("SELECT value FROM towline_generate_timestamps({arguments})");
        assert_eq!(
            texts(
                &mut sqlite,
                &timestamps("'2024-01-31 00:00:00', '2024-04-01 00:00:00', '1 mon'")
            ),
            ["2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-29 00:00:00"]
        );
        assert_eq!(
            texts(
                &mut sqlite,
                &timestamps(
                    "'2024-03-11 04:00:00+00', '2024-03-09 05:00:00+00', '-1 day', 'America/New_York'"
                )
            ),
            // A day of the zone, though the clock was put forward in it.
            ["2024-03-11 04:00:00+00", "2024-03-10 05:00:00+00", "2024-03-09 05:00:00+00"]
        );
        let numerics = "SELECT value FROM towline_generate_numerics('1.1', '2', '0.45')";
        assert_eq!(texts(&mut sqlite, numerics), ["1.1", "1.55", "2.00"]);
    }
}
