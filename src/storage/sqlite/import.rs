//! A database file that another program made, taken over: copied page by page, so that
//! nothing in it is renumbered or retyped, checked, and given Towline's own tables.

use std::path::{Path, PathBuf};

use super::connection::{ConnectionKind, Sqlite};
use super::error::SqliteError;
use super::shape::quote;
use crate::log::{Lsn, Term, ValueRef};
use crate::sql::catalog::{FIRST_DATABASE, RESERVED_PREFIX, split_database};

/// Why a file can't become a cluster's database.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {source}")]
    Sqlite { path: PathBuf, source: SqliteError },
    #[error("{path}: damaged: {}", found.join("; "))]
    Damaged { path: PathBuf, found: Vec<String> },
    #[error("{path}: its texts are {encoding}, and only UTF-8 can be served")]
    Encoding { path: PathBuf, encoding: String },
    /// A table or view that can't be read here: a module, collation or function is missing.
    #[error("{path}: {name} can't be read: {source}")]
    Unreadable { path: PathBuf, name: String, source: SqliteError },
    #[error("{path}: the name {name:?} is reserved")]
    Reserved { path: PathBuf, name: String },
}

/// What was taken over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    pub tables: usize,
    pub views: usize,
    /// A row violates this foreign key (table, referenced table): from now on they are
    /// enforced, but what is there stays.
    pub violated: Option<(String, String)>,
    /// Free pages can be given back to the file system. Not where the file was made
    /// without, and a rebuild would give rows of some table other rowids.
    pub shrinks: bool,
}

/// Copies the database `from`, which other programs may be reading, to the new file
/// `to`, as the content of the log's position `at`.
pub fn import(from: &Path, to: &Path, at: (Term, Lsn)) -> Result<Imported, ImportError> {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |source| ImportError::Sqlite { path, source }
    };
    let mut source = Sqlite::open(from, ConnectionKind::Reader).map_err(of(from))?;
    check(&mut source, from)?;
    source.copy_pages_to(to).map_err(of(from))?;
    drop(source);
    let mut copy = Sqlite::open(to, ConnectionKind::Writer).map_err(of(to))?;
    let (tables, views) = check_readable(&mut copy, from)?;
    let shrinks = make_shrinkable(&mut copy).map_err(of(to))?;
    let violated = copy.foreign_key_check(None).map_err(of(to))?;
    let record = |copy: &mut Sqlite| {
        copy.execute_batch("BEGIN IMMEDIATE")?;
        copy.set_applied(at.0, at.1)?;
        copy.execute_batch("COMMIT")?;
        copy.checkpoint().map(drop)
    };
    record(&mut copy).map_err(of(to))?;
    Ok(Imported { tables, views, violated, shrinks })
}

fn check(source: &mut Sqlite, path: &Path) -> Result<(), ImportError> {
    let of = |source| ImportError::Sqlite { path: path.to_owned(), source };
    let found = source.integrity_check().map_err(of)?;
    if !found.is_empty() {
        return Err(ImportError::Damaged { path: path.to_owned(), found });
    }
    let encoding = texts(source, "PRAGMA main.encoding").map_err(of)?.concat();
    if encoding != "UTF-8" {
        return Err(ImportError::Encoding { path: path.to_owned(), encoding });
    }
    let names = texts(source, "SELECT name FROM main.sqlite_schema").map_err(of)?;
    let reserved = |name: &String| {
        name.to_ascii_lowercase().starts_with(RESERVED_PREFIX)
            || split_database(name).0 != FIRST_DATABASE
    };
    match names.into_iter().find(reserved) {
        Some(name) => Err(ImportError::Reserved { path: path.to_owned(), name }),
        None => Ok(()),
    }
}

/// Counts tables and views, and prepares a look at each.
fn check_readable(copy: &mut Sqlite, path: &Path) -> Result<(usize, usize), ImportError> {
    let mut counts = [0; 2];
    for (count, kind) in counts.iter_mut().zip(["table", "view"]) {
        let list = format!(
            "SELECT name FROM main.sqlite_schema WHERE type = '{kind}'
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             AND name NOT LIKE '{RESERVED_PREFIX}%'"
        );
        let names = texts(copy, &list);
        let names =
            names.map_err(|source| ImportError::Sqlite { path: path.to_owned(), source })?;
        for name in names {
            let look = format!("SELECT * FROM main.{}", quote(&name));
            copy.prepare_once(&look).map_err(|source| {
                let path = path.to_owned();
                ImportError::Unreadable { path, name: name.clone(), source }
            })?;
            *count += 1;
        }
    }
    Ok((counts[0], counts[1]))
}

/// Rebuilds the file so that it can give pages back, unless it can already, or rows
/// without a declared key would be renumbered by that. Says whether it can now.
fn make_shrinkable(copy: &mut Sqlite) -> Result<bool, SqliteError> {
    let mode = |copy: &mut Sqlite| Ok(texts(copy, "PRAGMA main.auto_vacuum")?.concat() == "2");
    if mode(copy)? {
        return Ok(true);
    }
    // SQLite keeps the rowids of tables that have an INTEGER PRIMARY KEY or an index.
    let renumbered = "SELECT name FROM pragma_table_list AS t
        WHERE schema = 'main' AND type = 'table' AND wr = 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name))
        AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE pk > 0)
        LIMIT 1";
    if !texts(copy, renumbered)?.is_empty() {
        return Ok(false);
    }
    copy.rebuild()?;
    mode(copy)
}

/// The first column of all rows.
fn texts(sqlite: &mut Sqlite, query: &str) -> Result<Vec<String>, SqliteError> {
    sqlite.trusted(|sqlite| {
        let mut statement = sqlite.prepare_once(query)?;
        let mut found = Vec::new();
        while statement.step()? {
            match statement.column(0) {
                ValueRef::Text(text) => found.push(text.to_owned()),
                ValueRef::Integer(value) => found.push(value.to_string()),
                _ => {}
            }
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dir: &Path, sql: &str) -> PathBuf {
        let path = dir.join("given.db");
        let connection = rusqlite::Connection::open(&path).expect("opens");
        connection.execute_batch(sql).expect("runs");
        path
    }

    const AT: (Term, Lsn) = (Term(1), Lsn(4096));

    #[test]
    fn a_file_is_taken_over_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let given = made(
            dir.path(),
            "CREATE TABLE a (id INTEGER PRIMARY KEY, n VARCHAR(20) NOT NULL DEFAULT 'x');
             CREATE TABLE log (at DATETIME);
             CREATE VIEW v AS SELECT n FROM a;
             CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log VALUES (datetime('now')); END;
             INSERT INTO a (n) VALUES ('one'), ('two'); DELETE FROM log WHERE rowid = 1;",
        );
        let to = dir.path().join("taken.db");
        let imported = import(&given, &to, AT).expect("imported");
        // `log` has rowids that a rebuild would change.
        let expected = Imported { tables: 2, views: 1, violated: None, shrinks: false };
        assert_eq!(imported, expected);
        let mut taken = Sqlite::open(&to, ConnectionKind::Writer).expect("opens");
        assert_eq!(taken.applied().expect("recorded"), AT);
        assert_eq!(texts(&mut taken, "SELECT rowid FROM log").expect("read"), ["2"]);
        assert_eq!(texts(&mut taken, "SELECT n FROM v").expect("read"), ["one", "two"]);
    }

    #[test]
    fn a_file_whose_rows_have_keys_can_shrink() {
        let dir = tempfile::tempdir().expect("a directory");
        let given = made(
            dir.path(),
            "PRAGMA foreign_keys = OFF;
             CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a UNIQUE);
             INSERT INTO b VALUES (7);",
        );
        let imported = import(&given, &dir.path().join("taken.db"), AT).expect("imported");
        assert!(imported.shrinks);
        assert_eq!(imported.violated, Some(("b".to_owned(), "a".to_owned())));
    }

    #[test]
    fn what_cannot_be_served_is_refused_and_named() {
        let refused = |sql: &str| {
            let dir = tempfile::tempdir().expect("a directory");
            let given = made(dir.path(), sql);
            import(&given, &dir.path().join("taken.db"), AT).expect_err("refused").to_string()
        };
        let said = refused("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)");
        assert!(said.contains("its texts are UTF-16"), "{said}");
        let said = refused("CREATE TABLE towline_oid (a)");
        assert!(said.contains("\"towline_oid\" is reserved"), "{said}");
        let said = refused("CREATE VIEW v AS SELECT no_such_function(1)");
        assert!(said.contains("v can't be read"), "{said}");
        let said = refused(
            "CREATE TABLE t (a);
             CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        );
        assert!(said.contains("ROLLBACK"), "{said}");
        let dir = tempfile::tempdir().expect("a directory");
        let no_database = dir.path().join("text");
        std::fs::write(&no_database, "x".repeat(5000)).expect("written");
        let said = import(&no_database, &dir.path().join("taken.db"), AT).expect_err("refused");
        assert!(said.to_string().contains("not a database"), "{said}");
    }
}
