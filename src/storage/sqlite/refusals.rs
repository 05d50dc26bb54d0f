//! What a client's statement may not do, because it would reach beyond the database,
//! change how the node keeps it, or give other results on other nodes.

use crate::pg::{SqlError, SqlState};
use crate::sql::asks_for_surroundings;

/// What a statement contains, as SQLite's authorizer tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action<'a> {
    Attach,
    Detach,
    Pragma {
        name: &'a str,
        argument: Option<&'a str>,
    },
    Function(&'a str),
    Read {
        schema: &'a str,
    },
    /// CREATE, ALTER, DROP.
    Schema,
    /// Makes or drops a trigger of the connection's own.
    TempTrigger,
    Savepoint {
        rollback: bool,
    },
    Other,
}

/// Pragmas that only answer, with or without an argument.
const QUERY_PRAGMAS: &[&str] = &[
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Settings that may be asked for, and are refused an argument.
const SETTING_PRAGMAS: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "busy_timeout",
    "cache_size",
    "defer_foreign_keys",
    "encoding",
    "foreign_keys",
    "journal_mode",
    "journal_size_limit",
    "mmap_size",
    "page_size",
    "query_only",
    "recursive_triggers",
    "schema_version",
    "synchronous",
    "temp_store",
    "trusted_schema",
    "user_version",
    "wal_autocheckpoint",
];

/// Judges what a client's statement contains.
pub(super) fn judge(action: Action<'_>) -> Result<(), SqlError> {
    match action {
        // VACUUM attaches a database too, under the cover.
        Action::Attach => Err(SqlError::unsupported("ATTACH, or SQLite's own VACUUM,")),
        Action::Detach => Err(SqlError::unsupported("DETACH")),
        Action::Pragma { name, argument } => judge_pragma(name, argument),
        Action::Function(name) => judge_function(name),
        Action::Read { .. }
        | Action::Schema
        | Action::TempTrigger
        | Action::Savepoint { .. }
        | Action::Other => Ok(()),
    }
}

fn judge_pragma(name: &str, argument: Option<&str>) -> Result<(), SqlError> {
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if QUERY_PRAGMAS.iter().any(is) {
        return Ok(());
    }
    if SETTING_PRAGMAS.iter().any(is) {
        return match argument {
            None => Ok(()),
            Some(_) => Err(SqlError::unsupported(format!("changing PRAGMA {name}"))),
        };
    }
    Err(SqlError::unsupported(format!("PRAGMA {name}")))
}

fn judge_function(name: &str) -> Result<(), SqlError> {
    let refused = ["load_extension", "fts3_tokenizer", "total_changes", "sqlite_offset"];
    match refused.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(name) => Err(SqlError::unsupported(format!("{name}()"))),
        None => Ok(()),
    }
}

/// Whether a function reads the catalog of its connection's surroundings.
pub(super) fn needs_catalog(name: &str) -> bool {
    const PREFIXES: [&str; 4] = ["pg_", "has_", "obj_desc", "col_desc"];
    let name = name.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || asks_for_surroundings(&name)
}

/// Whether a function may take long however few rows it is called for.
pub(super) fn is_slow(name: &str) -> bool {
    let slow = ["pg_sleep", "pg_sleep_for", "pg_sleep_until", "zeroblob"];
    slow.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Refuses clauses which make SQLite undo the whole transaction, and with it other
/// sessions' members of the group: `OR ROLLBACK`, `ON CONFLICT ROLLBACK` and
/// `RAISE(ROLLBACK, …)`.
pub(super) fn refuse_rollback_clauses(sql: &str) -> Result<(), SqlError> {
    let mut before: [&str; 2] = ["", ""];
    for token in Tokens(sql) {
        if token.eq_ignore_ascii_case("rollback") {
            let [older, newer] = before;
            let conflict = newer.eq_ignore_ascii_case("or")
                || newer.eq_ignore_ascii_case("conflict") && older.eq_ignore_ascii_case("on");
            let raise = newer == "(" && older.eq_ignore_ascii_case("raise");
            if conflict || raise {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "conflict resolution ROLLBACK is not supported",
                )
                .with_hint("Use ABORT, which undoes the statement."));
            }
        }
        before = [before[1], token];
    }
    Ok(())
}

/// SQLite's tokens, roughly: words, and single characters of all else. Comments,
/// white space, strings and quoted names are passed over, the last two leaving an
/// empty token so that what is around them does not seem adjacent.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let text = self.0.trim_start();
            let first = text.chars().next()?;
            if text.starts_with("--") {
                self.0 = text.find('\n').map_or("", |end| &text[end..]);
            } else if let Some(comment) = text.strip_prefix("/*") {
                self.0 = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else if matches!(first, '\'' | '"' | '`' | '[') {
                let close = if first == '[' { ']' } else { first };
                let inner = &text[1..];
                self.0 = inner.find(close).map_or("", |end| &inner[end + 1..]);
                return Some("");
            } else {
                let in_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
                let end = text.find(|char| !in_word(char)).unwrap_or(text.len());
                let end = if end == 0 { first.len_utf8() } else { end };
                self.0 = &text[end..];
                return Some(&text[..end]);
            }
        }
    }
}

/// Whether nothing but white space, comments and semicolons is in `sql`.
pub(super) fn is_blank(sql: &str) -> bool {
    Tokens(sql).all(|token| token == ";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_that_undo_the_whole_transaction_are_refused_and_look_alikes_are_not() {
        for refused in [
            "INSERT OR ROLLBACK INTO t VALUES (1)",
            "update or /* c */ rollback t set a = 1",
            "CREATE TABLE t (a UNIQUE ON CONFLICT\n ROLLBACK)",
            "CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE ( rollback, 'x'); END",
        ] {
            assert!(refuse_rollback_clauses(refused).is_err(), "{refused}");
        }
        for fine in [
            "ROLLBACK",
            "ROLLBACK TO s",
            "SELECT 'or', rollback FROM t",
            "INSERT INTO t VALUES ('OR ROLLBACK')",
            "SELECT 1 -- or rollback\n",
            "SELECT a OR \"rollback\" FROM t",
            "INSERT OR ABORT INTO t VALUES ('it''s', 'on conflict rollback')",
        ] {
            assert!(refuse_rollback_clauses(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn pragmas_may_ask_and_not_change() {
        let pragma = |name, argument| judge(Action::Pragma { name, argument });
        assert!(pragma("table_info", Some("t")).is_ok());
        assert!(pragma("JOURNAL_MODE", None).is_ok());
        assert!(pragma("journal_mode", Some("delete")).is_err());
        assert!(pragma("query_only", Some("0")).is_err());
        assert!(pragma("optimize", None).is_err());
        assert!(pragma("wal_checkpoint", None).is_err());
        assert!(pragma("writable_schema", Some("1")).is_err());
    }

    #[test]
    fn only_comments_and_semicolons_are_blank() {
        assert!(is_blank(" ; -- x\n /* y */ ;"));
        assert!(!is_blank("; SELECT 1"));
        assert!(!is_blank("''"));
    }
}
