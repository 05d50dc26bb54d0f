//! The rows that Towline's catalog keeps of an object, as SQL.

use super::comment::PG_CLASS;
use crate::pg::Oid;
use crate::sql::catalog::{
    Attribute, CheckOption, Constraint, ConstraintKind, Field, Identity, Index, Relation, Sequence,
};
use crate::sql::translate::names::{quote, quote_literal};

/// OIDs allotted by one statement: the n-th is `next + n`.
#[derive(Default)]
pub(super) struct Oids {
    count: usize,
}

impl Oids {
    /// An expression for the next OID.
    pub(super) fn allot(&mut self) -> String {
        let text = match self.count {
            0 => "(SELECT next FROM towline_oid)".to_owned(),
            count => format!("(SELECT next + {count} FROM towline_oid)"),
        };
        self.count += 1;
        text
    }

    /// Moves the counter past what was allotted; none if nothing was.
    pub(super) fn taken(&self) -> Option<String> {
        (self.count > 0).then(|| format!("UPDATE towline_oid SET next = next + {}", self.count))
    }
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote_literal)
}

/// A JSON string.
fn json_string(item: &str) -> String {
    let mut text = String::from("\"");
    for char in item.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            char if char < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => text.push(char),
        }
    }
    text.push('"');
    text
}

/// A JSON array of strings.
pub(super) fn list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| json_string(item)).collect();
    quote_literal(&format!("[{}]", quoted.join(",")))
}

/// A JSON array of pairs of strings.
pub(super) fn pairs(items: &[(String, String)]) -> String {
    let quoted: Vec<String> = items
        .iter()
        .map(|(first, second)| format!("[{},{}]", json_string(first), json_string(second)))
        .collect();
    quote_literal(&format!("[{}]", quoted.join(",")))
}

/// A composite type's fields, as a JSON array of names, OIDs and modifiers.
pub(super) fn fields(fields: &[Field]) -> String {
    let written: Vec<String> = fields
        .iter()
        .map(|f| format!("[{},{},{}]", json_string(&f.name), f.oid.0, f.typmod))
        .collect();
    quote_literal(&format!("[{}]", written.join(",")))
}

/// The relation's own row; `oid` is an SQL expression.
pub(super) fn relation(oid: &str, name: &str, kind: char, definition: Option<&str>) -> String {
    format!(
        "INSERT INTO towline_relation (oid, name, kind, definition) VALUES ({oid}, {}, '{kind}', {})",
        quote_literal(name),
        optional(definition)
    )
}

/// A relation is populated or not, or its triggers are on or off.
pub(super) fn stored_kind(relation: &Relation) -> String {
    format!(
        "UPDATE towline_relation SET kind = '{}' WHERE name = {}",
        relation.stored_kind(),
        quote_literal(&relation.name)
    )
}

/// What a view asks of rows that are written through it.
pub(super) fn check_option(name: &str, option: CheckOption) -> String {
    format!(
        "UPDATE towline_relation SET check_option = '{}' WHERE name = {}",
        option.word(),
        quote_literal(name)
    )
}

/// What becomes of a temporary table when a transaction ends.
pub(super) fn on_commit(name: &str, letter: char) -> String {
    format!(
        "UPDATE towline_relation SET on_commit = '{letter}' WHERE name = {}",
        quote_literal(name)
    )
}

/// `(SELECT oid …)` of a relation by name.
pub(super) fn oid_of(name: &str) -> String {
    format!("(SELECT oid FROM towline_relation WHERE name = {})", quote_literal(name))
}

/// All of a relation's columns.
pub(super) fn attributes(relation: &str, attributes: &[Attribute]) -> Option<String> {
    let rows: Vec<String> = attributes
        .iter()
        .enumerate()
        .map(|(at, attribute)| {
            let identity = match attribute.identity {
                None => "NULL",
                Some(Identity::Always) => "'a'",
                Some(Identity::ByDefault) => "'d'",
            };
            format!(
                "({}, {}, {}, {}, {}, {}, {identity}, {})",
                at + 1,
                quote_literal(&attribute.name),
                attribute.oid.0,
                attribute.typmod,
                u8::from(attribute.not_null),
                optional(attribute.default.as_deref()),
                optional(attribute.generated.as_deref()),
            )
        })
        .collect();
    (!rows.is_empty()).then(|| {
        format!(
            "INSERT INTO towline_attribute (relation, number, name, type, typmod, not_null, \
             default_expr, identity, generated) SELECT {relation}, * FROM (VALUES {})",
            rows.join(", ")
        )
    })
}

/// One constraint; one that was there before keeps its OID.
pub(super) fn constraint(relation: &str, constraint: &Constraint, oids: &mut Oids) -> String {
    let oid = if constraint.oid.0 == 0 { oids.allot() } else { constraint.oid.0.to_string() };
    let (kind, expression, target) = match &constraint.kind {
        ConstraintKind::PrimaryKey => ('p', None, None),
        ConstraintKind::Unique => ('u', None, None),
        ConstraintKind::Check(expression) => ('c', Some(expression.as_str()), None),
        ConstraintKind::ForeignKey { table, columns, on_update, on_delete } => {
            ('f', None, Some((table, columns, on_update, on_delete)))
        }
    };
    let target = match target {
        None => "NULL, NULL, NULL, NULL".to_owned(),
        Some((table, columns, on_update, on_delete)) => {
            format!("{}, {}, '{on_update}', '{on_delete}'", quote_literal(table), list(columns))
        }
    };
    format!(
        "INSERT INTO towline_constraint (oid, relation, name, kind, columns, expression, target, \
         target_columns, on_update, on_delete, is_deferrable, is_deferred, nulls_equal, included) \
         VALUES ({oid}, {relation}, {}, '{kind}', {}, {}, {target}, {}, {}, {}, {})",
        quote_literal(&constraint.name),
        list(&constraint.columns),
        optional(expression),
        u8::from(constraint.deferrable),
        u8::from(constraint.deferred),
        u8::from(constraint.nulls_equal),
        list(&constraint.included),
    )
}

/// One index.
pub(super) fn index(relation: &str, index: &Index, oids: &mut Oids) -> String {
    let oid = if index.oid.0 == 0 { oids.allot() } else { index.oid.0.to_string() };
    format!(
        "INSERT INTO towline_index (oid, relation, name, is_unique, is_primary, columns, predicate, \
         nulls_equal, included, method, classes) \
         VALUES ({oid}, {relation}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
        quote_literal(&index.name),
        u8::from(index.unique),
        u8::from(index.primary),
        list(&index.columns),
        optional(index.predicate.as_deref()),
        u8::from(index.nulls_equal),
        list(&index.included),
        quote_literal(&index.method),
        list(&index.classes),
    )
}

/// One sequence.
pub(super) fn sequence(sequence: &Sequence, oids: &mut Oids) -> String {
    let (table, column) = match &sequence.owner {
        None => ("NULL".to_owned(), "NULL".to_owned()),
        Some((table, column)) => (quote_literal(table), quote_literal(column)),
    };
    format!(
        "INSERT INTO towline_sequence (oid, name, start, increment, min, max, cycle, owner_table, \
         owner_column, type) VALUES ({}, {}, {}, {}, {}, {}, {}, {table}, {column}, {})",
        oids.allot(),
        quote_literal(&sequence.name),
        sequence.start,
        sequence.increment,
        sequence.min,
        sequence.max,
        u8::from(sequence.cycle),
        sequence.kind.0,
    )
}

/// A new sequence goes on behind the values that each row of `table` has got from it.
pub(super) fn drawn_for_all(sequence: &Sequence, table: &str) -> String {
    let count = format!("(SELECT count(*) FROM {})", quote(table));
    format!(
        "UPDATE towline_sequence SET reserved = start + increment * ({count} - 1) WHERE name = {} \
         AND {count} > 0",
        quote_literal(&sequence.name)
    )
}

/// Forgets the sequences that belong to a column.
pub(super) fn forget_owned(table: &str, column: &str) -> String {
    format!(
        "DELETE FROM towline_sequence WHERE owner_table = {} AND owner_column = {}",
        quote_literal(table),
        quote_literal(column)
    )
}

/// Forgets the comment on a column that goes, and the rights on it; those behind it move
/// up.
pub(super) fn forget_said(table: &str, number: usize) -> Vec<String> {
    let oid = oid_of(table);
    let of_table = [
        ("comment", format!("object = {oid} AND class = {PG_CLASS}")),
        ("column_access", format!("relation = {oid}")),
    ];
    let forget = |(table, of): (&str, String)| {
        [
            format!("DELETE FROM towline_{table} WHERE {of} AND number = {number}"),
            format!(
                "UPDATE towline_{table} SET number = number - 1 WHERE {of} AND number > {number}"
            ),
        ]
    };
    of_table.into_iter().flat_map(forget).collect()
}

/// Forgets a relation and all that hangs on it.
pub(super) fn forget_relation(name: &str) -> Vec<String> {
    let oid = oid_of(name);
    vec![
        format!(
            "DELETE FROM towline_comment WHERE object IN (SELECT {oid} UNION ALL SELECT oid FROM \
             towline_constraint WHERE relation = {oid})"
        ),
        format!("DELETE FROM towline_attribute WHERE relation = {oid}"),
        format!("DELETE FROM towline_constraint WHERE relation = {oid}"),
        format!("DELETE FROM towline_index WHERE relation = {oid}"),
        format!("DELETE FROM towline_sequence WHERE owner_table = {}", quote_literal(name)),
        format!("DELETE FROM towline_relation WHERE name = {}", quote_literal(name)),
    ]
}

/// Forgets a function or procedure.
pub(super) fn forget_routine(routine: Oid) -> [String; 2] {
    let oid = routine.0;
    [
        format!("DELETE FROM towline_comment WHERE object = {oid}"),
        format!("DELETE FROM towline_routine WHERE oid = {oid}"),
    ]
}

/// Catalogs are cached by SQLite's schema version: a change that SQLite's schema
/// doesn't show moves it by a view made and dropped.
pub(in crate::sql::translate) fn touch() -> Vec<String> {
    vec!["CREATE VIEW towline_touch AS SELECT 1".to_owned(), "DROP VIEW towline_touch".to_owned()]
}
