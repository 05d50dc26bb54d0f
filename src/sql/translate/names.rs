//! Names: folded as PostgreSQL folds them, quoted as SQLite needs it.

use std::collections::BTreeSet;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::sql::catalog::quote_ident;
use crate::sql::scan::fold as fold_text;

/// An identifier's name: folded unless it was quoted.
pub(in crate::sql) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { fold_text(&ident.value) }
}

/// The parts of a name, folded.
pub(in crate::sql) fn parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => fold(ident),
            ObjectNamePart::Function(function) => fold(&function.name),
        })
        .collect()
}

/// The last part of a name, folded.
pub(in crate::sql) fn last(name: &ObjectName) -> Option<String> {
    parts(name).pop()
}

/// Whether SQLite and PostgreSQL read `name` as an identifier without quotes.
fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
        && KEYWORDS.binary_search(&name).is_err()
}

/// `name` as an SQLite identifier.
pub(in crate::sql) fn quote(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Names as SQLite tells them apart: a later namesake is numbered, in a way that no client
/// writes.
pub(in crate::sql) fn told_apart<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let called = |name: &str| {
        let numbered = (2..).map(|number: usize| format!("{name}\u{1}{number}"));
        let mut free = std::iter::once(name.to_owned()).chain(numbered);
        free.find(|called| seen.insert(called.to_ascii_lowercase())).unwrap_or_default()
    };
    names.into_iter().map(called).collect()
}

/// `text` as an SQLite string literal. A NUL would end SQLite's text; PostgreSQL
/// refuses it before it gets here.
pub(in crate::sql) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as an identifier, quoted where it must be.
pub(in crate::sql) fn ident(name: &str) -> Ident {
    if quote_ident(name) == name { Ident::new(name) } else { Ident::with_quote('"', name) }
}

/// Names, quoted and separated by commas.
pub(in crate::sql) fn quote_all<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| quote(name)).collect();
    quoted.join(", ")
}

/// SQLite's keywords.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "abort", "action", "add", "after", "all", "alter", "always", "analyze", "and", "as", "asc",
    "attach", "autoincrement", "before", "begin", "between", "by", "cascade", "case", "cast",
    "check", "collate", "column", "commit", "conflict", "constraint", "create", "cross", "current",
    "current_date", "current_time", "current_timestamp", "database", "default", "deferrable",
    "deferred", "delete", "desc", "detach", "distinct", "do", "drop", "each", "else", "end",
    "escape", "except", "exclude", "exclusive", "exists", "explain", "fail", "false", "filter",
    "first", "following", "for", "foreign", "from", "full", "generated", "glob", "group", "groups",
    "having", "if", "ignore", "immediate", "in", "index", "indexed", "initially", "inner",
    "insert", "instead", "intersect", "into", "is", "isnull", "join", "key", "last", "left",
    "like", "limit", "match", "materialized", "natural", "no", "not", "nothing", "notnull", "null",
    "nulls", "of", "offset", "on", "or", "order", "others", "outer", "over", "partition", "plan",
    "pragma", "preceding", "primary", "query", "raise", "range", "recursive", "references",
    "regexp", "reindex", "release", "rename", "replace", "restrict", "returning", "right",
    "rollback", "row", "rowid", "rows", "savepoint", "select", "set", "table", "temp", "temporary",
    "then", "ties", "to", "transaction", "trigger", "true", "unbounded", "union", "unique",
    "update", "using", "vacuum", "values", "view", "virtual", "when", "where", "window", "with",
    "without",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_and_quoted() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!(quote("aid"), "aid");
        assert_eq!(quote("order"), "\"order\"");
        assert_eq!(quote("Aid"), "\"Aid\"");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
    }

    #[test]
    fn namesakes_are_told_apart() {
        assert_eq!(told_apart(["a", "b", "A", "a"]), ["a", "b", "A\u{1}2", "a\u{1}3"]);
    }
}
