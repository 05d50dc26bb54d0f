//! A table as both databases make it. What SQLite does not know is PostgreSQL's alone;
//! which that is, a SQLite says.

use std::collections::HashMap;

use super::schema::{
    Column, Constraint, ConstraintKind, Identity, Index, Relation, RelationKind, Sequence,
};
use super::script::{Marks, Reader, can_be_commented};
use crate::sql::portable::{for_sqlite, quoted};
use crate::storage::sqlite::PlainSqlite;

/// More digits than these a number loses in SQLite, where it is a float.
const SQLITE_DIGITS: u32 = 15;

/// Makes statements, and what they make in SQLite.
pub(super) struct Maker {
    marks: Marks,
    plain: PlainSqlite,
}

/// How a column's values are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Boolean,
    /// Digits need no quotes.
    Number,
    Bytes,
    /// A moment in UTC.
    Moment,
    Text,
}

/// A column that rows are written with.
pub(super) struct Filled<'a> {
    pub column: &'a Column,
    pub kind: Kind,
    /// PostgreSQL makes this value itself, SQLite could not.
    pub sqlite_only: bool,
}

impl Maker {
    pub(super) fn new(marks: Marks) -> anyhow::Result<Self> {
        Ok(Self { marks, plain: PlainSqlite::open()? })
    }

    /// `CREATE TABLE`, and the columns that its rows are written with.
    pub(super) fn table<'a>(
        &self,
        table: &'a Relation,
        sequences: &[Sequence],
    ) -> (String, Vec<Filled<'a>>) {
        let name = self.marks.either(&table.name.postgresql(), &table.name.sqlite());
        let identities: HashMap<&str, &Sequence> = sequences
            .iter()
            .filter_map(|sequence| Some((sequence.owner.as_ref()?, sequence)))
            .filter(|(owner, _)| owner.table == table.oid && owner.is_identity)
            .map(|(owner, sequence)| (owner.column.as_str(), sequence))
            .collect();
        let mut items = Vec::new();
        let mut sqlite_items: Vec<String> = Vec::new();
        let mut filled = Vec::new();
        for column in &table.columns {
            let sqlite_type = sqlite_type(column, table);
            let mut item = quoted(&column.name);
            let mut sqlite_item = format!("{item} {sqlite_type}");
            add(&mut item, &self.marks.either(&column.written, &sqlite_type));
            if column.not_null {
                add(&mut item, "NOT NULL");
                sqlite_item.push_str(" NOT NULL");
            }
            let identity = identities.get(column.name.as_str()).copied();
            let (postgresql, sqlite) = self.expression(column, identity, |tried| {
                let mut items = sqlite_items.clone();
                items.push(format!("{sqlite_item} {tried}"));
                self.makes(&items)
            });
            let sqlite_only = column.is_generated && sqlite.is_empty();
            if !column.is_generated || sqlite_only {
                filled.push(Filled { column, kind: kind(column), sqlite_only });
            }
            add(&mut item, &self.marks.either(&postgresql, &sqlite));
            sqlite_items.push(format!("{sqlite_item} {sqlite}"));
            items.push(item.trim_end_matches('\n').to_owned());
        }
        // A constraint that only one of them has brings its own comma.
        let mut list = items.join("\n    , ");
        for constraint in &table.constraints {
            let (postgresql, sqlite) = self.constraint(table, constraint);
            let tried = sqlite.filter(|it| {
                let mut items = sqlite_items.clone();
                items.push(it.clone());
                self.makes(&items)
            });
            if let Some(it) = &tried {
                sqlite_items.push(it.clone());
            }
            let with_comma = |it: String| if it.is_empty() { it } else { format!(", {it}") };
            let item =
                self.marks.either(&with_comma(postgresql), &with_comma(tried.unwrap_or_default()));
            if !item.is_empty() {
                list.push_str("\n    ");
                list.push_str(item.trim_end_matches('\n'));
            }
        }
        let made = format!("CREATE TABLE {} ({})", table.name.sqlite(), sqlite_items.join(", "));
        // What it has not made, nothing that reads it will be made for it.
        let _ = self.plain.run(&made);
        (format!("CREATE TABLE {name} (\n      {list}\n)"), filled)
    }

    /// A default, a generated column's expression or an identity, as each reads it.
    fn expression(
        &self,
        column: &Column,
        identity: Option<&Sequence>,
        makes: impl Fn(&str) -> bool,
    ) -> (String, String) {
        if let (Some(kind), Some(sequence)) = (column.identity, identity) {
            let kind = match kind {
                Identity::Always => "ALWAYS",
                Identity::ByDefault => "BY DEFAULT",
            };
            let (name, options) = (sequence.name.postgresql(), &sequence.options);
            let made = format!("GENERATED {kind} AS IDENTITY (SEQUENCE NAME {name} {options})");
            return (made, String::new());
        }
        let Some(expression) = &column.expression else { return Default::default() };
        let sqlite = for_sqlite(expression);
        let (postgresql, sqlite) = if column.is_generated {
            let generated = |it: &str| format!("GENERATED ALWAYS AS ({it}) STORED");
            (generated(expression), generated(&sqlite))
        } else {
            let known = self.plain.accepts(&format!("SELECT {sqlite}"));
            // Without parentheses a literal, or what both know as one.
            let is_plain =
                known && self.plain.accepts(&format!("CREATE TABLE t (c DEFAULT {sqlite})"));
            if is_plain && (sqlite.ends_with('\'') || sqlite == *expression) {
                let both = format!("DEFAULT {sqlite}");
                (both.clone(), both)
            } else {
                // What is no literal stands in parentheses for SQLite, and so for both.
                match known {
                    true => (format!("DEFAULT ({expression})"), format!("DEFAULT ({sqlite})")),
                    false => (format!("DEFAULT {expression}"), String::new()),
                }
            }
        };
        let sqlite = if makes(&sqlite) { sqlite } else { String::new() };
        // It can't be hidden from PostgreSQL, which reads all of it alike but for this word.
        if !can_be_commented(&sqlite) && !sqlite.contains("LIKE") {
            return (sqlite.clone(), sqlite);
        }
        (postgresql, sqlite)
    }

    /// A constraint as `CREATE TABLE` has it, if it is to be there for that reader.
    fn constraint(&self, table: &Relation, constraint: &Constraint) -> (String, Option<String>) {
        let columns = list(&constraint.columns);
        let named = |what: String| format!("CONSTRAINT {} {what}", quoted(&constraint.name));
        match &constraint.kind {
            ConstraintKind::Primary => {
                let sqlite = named(format!("PRIMARY KEY {columns}"));
                (self.spelled(constraint, &sqlite), Some(sqlite))
            }
            ConstraintKind::Unique => {
                let sqlite = named(format!("UNIQUE {columns}"));
                let distinct = !constraint.definition.contains("NULLS NOT DISTINCT");
                (self.spelled(constraint, &sqlite), distinct.then_some(sqlite))
            }
            ConstraintKind::Check => {
                // Digits that are text in SQLite compare as text.
                let is_text = |name: &String| {
                    let column = table.columns.iter().find(|it| it.name == *name);
                    column
                        .is_some_and(|it| it.base == "numeric" && sqlite_type(it, table) == "TEXT")
                };
                let compares = !constraint.columns.iter().any(is_text);
                let postgresql = named(constraint.definition.clone());
                let sqlite = named(for_sqlite(&constraint.definition));
                (postgresql, compares.then_some(sqlite))
            }
            // PostgreSQL's come when the rows are there.
            ConstraintKind::Foreign { .. } => {
                let sqlite = foreign(constraint, Reader::Sqlite).map(named);
                (String::new(), sqlite)
            }
        }
    }

    /// A key as PostgreSQL needs it: as SQLite, unless there is more to it.
    fn spelled(&self, constraint: &Constraint, sqlite: &str) -> String {
        match constraint.definition.ends_with(')') && !constraint.definition.contains(" INCLUDE ") {
            true if !constraint.definition.contains("NULLS NOT DISTINCT") => sqlite.to_owned(),
            _ => format!("CONSTRAINT {} {}", quoted(&constraint.name), constraint.definition),
        }
    }

    fn makes(&self, items: &[String]) -> bool {
        let made =
            format!("CREATE TABLE made_to_try ({}); SELECT * FROM made_to_try", items.join(", "));
        self.plain.accepts(&made)
    }

    /// `CREATE INDEX`, as each reads it.
    pub(super) fn index(&self, table: &Relation, index: &Index) -> (String, String) {
        let unique = if index.is_unique { "UNIQUE " } else { "" };
        let create = format!("CREATE {unique}INDEX ");
        let definition = &index.definition;
        let name = table.name.beside(&index.name);
        let using = match index.method.as_str() {
            "btree" => String::new(),
            method => format!("USING {method} "),
        };
        let on = table.name.postgresql();
        let postgresql = format!("{create}{} ON {on} {using}{definition}", quoted(&index.name));
        let (on, definition) = (table.name.sqlite(), for_sqlite(definition));
        let sqlite = format!("{create}{} ON {on} {definition}", name.sqlite());
        let known = using.is_empty() && self.plain.run(&sqlite).is_ok();
        (postgresql, if known { sqlite } else { String::new() })
    }

    /// `CREATE VIEW` and its kin, as each reads it.
    pub(super) fn view(&self, view: &Relation) -> (String, String) {
        let names: Vec<String> = view.columns.iter().map(|column| column.name.clone()).collect();
        let (what, data) = match view.kind {
            RelationKind::Materialized(true) => ("MATERIALIZED VIEW", " WITH DATA"),
            RelationKind::Materialized(false) => ("MATERIALIZED VIEW", " WITH NO DATA"),
            RelationKind::View | RelationKind::Table => ("VIEW", ""),
        };
        let (names, query) = (list(&names), &view.query);
        let name = view.name.postgresql();
        let postgresql = format!("CREATE {what} {name} {names} AS {query}{data}");
        let (name, query) = (view.name.sqlite(), for_sqlite(query));
        let sqlite = format!("CREATE VIEW {name} {names} AS {query}");
        let known = self.plain.run(&format!("{sqlite}; SELECT * FROM {name}")).is_ok();
        (postgresql, if known { sqlite } else { String::new() })
    }
}

/// `ALTER TABLE … ADD` of a foreign key, for PostgreSQL.
pub(super) fn add_foreign_key(table: &Relation, constraint: &Constraint) -> Option<String> {
    let foreign = foreign(constraint, Reader::Postgresql)?;
    let (table, name) = (table.name.postgresql(), quoted(&constraint.name));
    Some(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {foreign}"))
}

fn foreign(constraint: &Constraint, reader: Reader) -> Option<String> {
    let ConstraintKind::Foreign { table, columns, actions, is_valid } = &constraint.kind else {
        return None;
    };
    let (own, other) = (list(&constraint.columns), list(columns));
    let (table, end) = match reader {
        Reader::Postgresql => (table.postgresql(), if *is_valid { "" } else { " NOT VALID" }),
        Reader::Sqlite => (table.sqlite(), ""),
    };
    Some(format!("FOREIGN KEY {own} REFERENCES {table} {other}{actions}{end}"))
}

/// Names in parentheses.
fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("({})", names.join(", "))
}

/// Appends a part, on a line of its own where the last one ended its line.
fn add(item: &mut String, part: &str) {
    if !part.is_empty() {
        item.push_str(if item.ends_with('\n') { "      " } else { " " });
        item.push_str(part);
    }
}

/// The type that SQLite gets, for what it makes of a value.
///
/// A name decides there what text becomes a number: what must not gets TEXT.
fn sqlite_type(column: &Column, table: &Relation) -> String {
    let is_key = |it: &Constraint| {
        matches!(it.kind, ConstraintKind::Primary) && it.columns == [column.name.as_str()]
    };
    match column.base.as_str() {
        // Of this name alone it gives numbers itself.
        "int2" | "int8" if table.constraints.iter().any(is_key) => "INTEGER",
        "int2" | "int4" | "int8" | "float4" | "float8" | "bool" | "text" | "varchar" | "bpchar"
        | "date" | "uuid" | "interval" => return column.base_written.clone(),
        "time" | "timetz" | "timestamp" | "timestamptz" if !column.base_written.contains('(') => {
            return column.base_written.clone();
        }
        "numeric" => match digits(&column.base_written) {
            Some(digits) if digits <= SQLITE_DIGITS => return column.base_written.clone(),
            _ => "TEXT",
        },
        "oid" => "INTEGER",
        "bytea" => "BLOB",
        _ if column.is_array && !column.base_written.contains(['(', '.', '"']) => {
            return column.base_written.clone();
        }
        _ => "TEXT",
    }
    .to_owned()
}

/// The precision in `numeric(p,s)`.
fn digits(written: &str) -> Option<u32> {
    let inside = written.split_once('(')?.1.trim_end_matches(')');
    inside.split(',').next()?.trim().parse().ok()
}

fn kind(column: &Column) -> Kind {
    match column.base.as_str() {
        "bool" => Kind::Boolean,
        "int2" | "int4" | "int8" | "oid" | "float4" | "float8" => Kind::Number,
        "bytea" => Kind::Bytes,
        "timestamptz" => Kind::Moment,
        _ => Kind::Text,
    }
}
