//! Which logged statements change the schema, told from their text alone so that
//! leader and followers agree: such a transaction's effect also covers the schema,
//! and the rows of tables that SQLite fills or rewrites without telling its hooks.

use std::collections::BTreeSet;

use crate::log::Statement;
use crate::storage::sqlite::{Sqlite, SqliteError};

/// The changes of the schema among a transaction's statements.
#[derive(Clone, Debug, Default)]
pub(super) struct SchemaChanges {
    any: bool,
    /// Made with CREATE TABLE AS, or rewritten by ALTER TABLE.
    tables: BTreeSet<String>,
}

impl SchemaChanges {
    pub(super) fn note(&mut self, statement: &Statement) {
        let mut words = Words(&statement.text);
        let verb = words.word().to_ascii_lowercase();
        if !matches!(verb.as_str(), "create" | "alter" | "drop") {
            return;
        }
        self.any = true;
        let object = words.word().to_ascii_lowercase();
        match (verb.as_str(), object.as_str()) {
            ("create", "table") => {
                let name = words.name();
                if words.word().eq_ignore_ascii_case("as") {
                    self.tables.insert(name);
                }
            }
            ("alter", "table") => {
                let name = words.name();
                if words.word().eq_ignore_ascii_case("drop") {
                    self.tables.insert(name);
                }
            }
            _ => {}
        }
    }

    /// Adds them to the effect of the open transaction.
    pub(super) fn add_effect(&self, sqlite: &mut Sqlite) -> Result<(), SqliteError> {
        if !self.any {
            return Ok(());
        }
        let tables: Vec<&str> = self.tables.iter().map(String::as_str).collect();
        sqlite.effect_add_schema(&tables)
    }
}

/// Reads words and names off the front of a statement.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// The next run of letters.
    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        self.0 = &text[end..];
        &text[..end]
    }

    /// The next table name: IF NOT EXISTS and `main.` skipped, quotes taken off.
    fn name(&mut self) -> String {
        let before = self.0;
        if self.word().eq_ignore_ascii_case("if") {
            let next = self.word();
            if next.eq_ignore_ascii_case("not") {
                self.word();
            }
        } else {
            self.0 = before;
        }
        let first = self.identifier();
        if first.eq_ignore_ascii_case("main")
            && let Some(rest) = self.0.strip_prefix('.')
        {
            self.0 = rest;
            return self.identifier();
        }
        first
    }

    fn identifier(&mut self) -> String {
        let text = self.0.trim_start();
        let Some(quoted) = text.strip_prefix('"') else { return self.word().to_owned() };
        let mut name = String::new();
        let mut rest = quoted;
        while let Some(at) = rest.find('"') {
            name.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        self.0 = rest;
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(text: &str) -> (bool, Vec<String>) {
        let mut changes = SchemaChanges::default();
        changes.note(&Statement { text: text.into(), ..Statement::default() });
        (changes.any, changes.tables.into_iter().collect())
    }

    #[test]
    fn tables_that_the_hooks_miss_are_named() {
        let named = |name: &str| (true, vec![name.to_owned()]);
        assert_eq!(noted("CREATE TABLE t AS SELECT 1"), named("t"));
        assert_eq!(noted("create table if not exists \"a \"\"b\" AS SELECT 1"), named("a \"b"));
        assert_eq!(noted("ALTER TABLE main.t DROP COLUMN c"), named("t"));
        assert_eq!(noted("CREATE TABLE t(a)"), (true, vec![]));
        assert_eq!(noted("INSERT INTO t VALUES (1)"), (false, vec![]));
    }
}
