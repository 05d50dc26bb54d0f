//! A SQLite as other programs have it, without Towline's functions and collations: what
//! it accepts, any SQLite of its version does.

use rusqlite::Connection;

use super::SqliteError;

/// An empty database in memory.
pub struct PlainSqlite(Connection);

impl PlainSqlite {
    pub fn open() -> Result<Self, SqliteError> {
        Ok(Self(Connection::open_in_memory()?))
    }

    /// Runs statements; an error undoes those of them that ran.
    pub fn run(&self, sql: &str) -> Result<(), SqliteError> {
        let undone = self.0.unchecked_transaction()?;
        undone.execute_batch(sql)?;
        Ok(undone.commit()?)
    }

    /// Whether it would run them; nothing stays of it.
    pub fn accepts(&self, sql: &str) -> bool {
        let Ok(_undone) = self.0.unchecked_transaction() else { return false };
        self.0.execute_batch(sql).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_knows_and_keeps_only_what_it_is_told_to() {
        let plain = PlainSqlite::open().expect("a database");
        assert!(plain.accepts("CREATE TABLE t (a numeric(3,1))"));
        assert!(!plain.accepts("SELECT * FROM t"));
        plain.run("CREATE TABLE t (a numeric(3,1))").expect("made");
        assert!(plain.accepts("SELECT a FROM t"));
        assert!(!plain.accepts("SELECT a::text FROM t"));
        assert!(!plain.accepts("SELECT now()"));
        plain.run("CREATE TABLE u (b); SELECT nothing").expect_err("no such column");
        assert!(!plain.accepts("SELECT b FROM u"));
    }
}
