//! SQLite's errors as PostgreSQL tells them: SQLSTATE, wording, and the names of the
//! table, column and constraint, which clients read.

use bytes::BytesMut;

use super::plan::Plan;
use crate::log::Value;
use crate::pg::types::{self, Display};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Catalog, ConstraintKind, Index, PUBLIC, Relation};
use crate::storage::sqlite::{BrokenKey, FailingRow, KeyRole, SqliteError, SqliteErrorKind};

/// What the client is told of `error`, raised by running `plan`.
pub(super) fn translate(error: &SqliteError, plan: &Plan, params: &[Value]) -> SqlError {
    let catalog = &plan.catalog;
    let mut told = match &error.raised {
        Some(raised) => with_row((**raised).clone(), plan, params),
        None => translate_kind(error, plan, params),
    };
    if let Some(stored) = told.table.take() {
        let (schema, table) = catalog.split_name(&stored);
        if table != stored {
            told.message = told.message.replace(&format!("\"{stored}\""), &format!("\"{table}\""));
        }
        told.schema = Some(schema.to_owned());
        told.table = Some(table.to_owned());
    }
    told
}

/// What the client is told of a key that breaks a constraint at the end of a statement or
/// transaction.
pub(super) fn broken_key(broken: &BrokenKey, catalog: &Catalog, display: &Display) -> SqlError {
    let key = &broken.key;
    let (schema, table) = catalog.split_name(&key.table);
    let (referred, referred_columns) = match &key.target {
        Some((table, columns)) => (catalog.bare(table), columns.join(", ")),
        None => ("", String::new()),
    };
    let values: Vec<String> = key
        .columns
        .iter()
        .zip(&broken.values)
        .map(|(column, value)| shown(value, (column.oid, column.typmod), catalog, display))
        .collect();
    let (name, values) = (&key.name, values.join(", "));
    let columns: Vec<&str> = key.columns.iter().map(|column| column.name.as_str()).collect();
    let columns = columns.join(", ");
    let error = match broken.role {
        KeyRole::Unique => {
            let text = format!("duplicate key value violates unique constraint \"{name}\"");
            SqlError::new(SqlState::UNIQUE_VIOLATION, text)
                .with_detail(format!("Key ({columns})=({values}) already exists."))
        }
        KeyRole::Referring => referring(table, name).with_detail(format!(
            "Key ({columns})=({values}) is not present in table \"{referred}\"."
        )),
        KeyRole::Referred => referred_by(referred, name, table).with_detail(format!(
            "Key ({referred_columns})=({values}) is still referenced from table \"{table}\"."
        )),
    };
    SqlError {
        schema: Some(schema.to_owned()),
        table: Some(table.to_owned()),
        constraint: Some(name.clone()),
        ..error
    }
}

/// The tables, with their columns, of which a row may have failed so. None where PostgreSQL
/// tells no row.
pub(super) fn tables_at_fault<'c>(
    told: &SqlError,
    catalog: &'c Catalog,
) -> Vec<(&'c str, Vec<&'c str>)> {
    let (Some(schema), Some(table)) = (&told.schema, &told.table) else { return Vec::new() };
    let stored = catalog.stored_name(schema, table);
    // A check's name may be that of others too.
    let named = |relation: &&Relation| match &told.constraint {
        Some(name) if told.state == SqlState::CHECK_VIOLATION => {
            relation.constraints.iter().any(|constraint| constraint.name == *name)
        }
        _ => relation.name == stored,
    };
    let columns = |relation: &'c Relation| {
        let names = relation.attributes.iter().map(|attribute| attribute.name.as_str());
        (relation.name.as_str(), names.collect())
    };
    catalog.relations.values().filter(named).map(columns).collect()
}

/// Adds the row that a statement failed at, of which SQLite has said `message`.
pub(super) fn add_row(
    told: &mut SqlError,
    message: &str,
    (stored, values): &FailingRow,
    catalog: &Catalog,
    display: &Display,
) {
    let Some(relation) = catalog.relations.get(stored) else { return };
    let shown: Vec<String> = relation
        .attributes
        .iter()
        .zip(values)
        .map(|(attribute, value)| shown(value, (attribute.oid, attribute.typmod), catalog, display))
        .collect();
    if told.state == SqlState::UNIQUE_VIOLATION {
        let columns: Vec<&str> = match failed_index(message) {
            Some(name) => index_named(catalog, name)
                .map(|(_, index)| index.columns.iter().map(String::as_str).collect())
                .unwrap_or_default(),
            None => failed_columns(message).map(|(_, columns)| columns).unwrap_or_default(),
        };
        // The value of an expression is not known.
        if columns.is_empty() || columns.iter().any(|name| relation.attribute(name).is_none()) {
            return;
        }
        let of = |column: &&str| {
            let at = relation.attributes.iter().position(|attribute| attribute.name == **column);
            at.and_then(|at| shown.get(at)).map_or("", String::as_str)
        };
        let values: Vec<&str> = columns.iter().map(of).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        told.detail = Some(format!("Key ({columns})=({values}) already exists."));
        return;
    }
    let cut: Vec<String> = shown.into_iter().map(cut_off).collect();
    told.detail = Some(format!("Failing row contains ({}).", cut.join(", ")));
    let (schema, table) = catalog.split_name(stored);
    if let (SqlState::CHECK_VIOLATION, Some(name)) = (told.state, &told.constraint) {
        told.message = check_message(table, name);
    }
    (told.schema, told.table) = (Some(schema.to_owned()), Some(table.to_owned()));
}

/// A stored value of a type, with its modifier, as a client reads it.
fn shown(value: &Value, ty: (Oid, i32), catalog: &Catalog, display: &Display) -> String {
    if *value == Value::Null {
        return "null".to_owned();
    }
    let mut out = BytesMut::new();
    let written = match catalog.made_of(ty.0) {
        Some(made) => types::made::encode_made_text(value.as_ref(), &made, display, &mut out),
        None => types::encode_text(value.as_ref(), ty.0, ty.1, display, &mut out),
    };
    match written {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => "?".to_owned(),
    }
}

fn translate_kind(error: &SqliteError, plan: &Plan, params: &[Value]) -> SqlError {
    let message = error.message.as_str();
    let catalog = &plan.catalog;
    match error.kind {
        SqliteErrorKind::Unique => unique(message, catalog, plan, params),
        SqliteErrorKind::NotNull => with_row(not_null(message, catalog), plan, params),
        SqliteErrorKind::Check => with_row(check(message, catalog), plan, params),
        SqliteErrorKind::ForeignKey => foreign_key(catalog, plan, params),
        SqliteErrorKind::Interrupted => {
            SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
        }
        SqliteErrorKind::ReadOnly => SqlError::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            "cannot execute the statement in a read-only transaction",
        ),
        SqliteErrorKind::Schema => SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cached plan must not change result type",
        ),
        SqliteErrorKind::Full => {
            tracing::error!(%error, "no space left for the database");
            SqlError::new(SqlState::DISK_FULL, "no space left for the database")
        }
        SqliteErrorKind::Io => {
            tracing::error!(%error, "the database can't be read or written");
            SqlError::new(SqlState::IO_ERROR, "the database can't be read or written")
        }
        // The readers, or the writer, say it of the file.
        SqliteErrorKind::Corrupt => {
            SqlError::new(SqlState::DATA_CORRUPTED, "the database is damaged")
        }
        SqliteErrorKind::Statement => statement(message),
    }
}

/// As [`translate`], where no plan exists yet.
pub(super) fn translate_bare(error: &SqliteError) -> SqlError {
    match (&error.raised, error.kind) {
        (Some(raised), _) => (**raised).clone(),
        (None, SqliteErrorKind::Interrupted) => {
            SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
        }
        (None, _) => statement(&error.message),
    }
}

/// The columns that `UNIQUE constraint failed: t.a, t.b` names, and their table.
fn failed_columns(message: &str) -> Option<(&str, Vec<&str>)> {
    let (_, list) = message.split_once("failed: ")?;
    let mut table = None;
    let mut columns = Vec::new();
    for item in list.split(", ") {
        // The last dot: a table of another schema has one in its stored name.
        let (owner, column) = item.rsplit_once('.')?;
        table = Some(owner);
        columns.push(column);
    }
    Some((table?, columns))
}

fn unique(message: &str, catalog: &Catalog, plan: &Plan, params: &[Value]) -> SqlError {
    let named = |constraint: &str| {
        let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
        SqlError {
            constraint: Some(constraint.to_owned()),
            ..SqlError::new(SqlState::UNIQUE_VIOLATION, message)
        }
    };
    // An index over expressions is named itself.
    if let Some(index) = failed_index(message) {
        let table = index_named(catalog, index).map(|(relation, _)| relation.name.clone());
        return SqlError { table, ..named(catalog.bare(index)) };
    }
    let Some((table, columns)) = failed_columns(message) else {
        return SqlError::new(SqlState::UNIQUE_VIOLATION, "duplicate key value");
    };
    let relation = catalog.relations.get(table);
    let constraint = relation
        .and_then(|relation| unique_name(relation, &columns))
        .unwrap_or_else(|| format!("{}_{}_key", catalog.bare(table), columns.join("_")));
    let detail = values_of(plan, params, &columns).map(|values| {
        format!("Key ({})=({}) already exists.", columns.join(", "), values.join(", "))
    });
    SqlError { table: Some(table.to_owned()), detail, ..named(catalog.bare(&constraint)) }
}

/// The index that `UNIQUE constraint failed: index 'i'` names.
fn failed_index(message: &str) -> Option<&str> {
    Some(message.split_once("failed: index '")?.1.trim_end_matches('\''))
}

/// An index and its table, by the index's name in SQLite. That of a constraint has its name.
fn index_named<'c>(catalog: &'c Catalog, stored: &str) -> Option<(&'c Relation, &'c Index)> {
    catalog.relations.values().find_map(|relation| {
        let schema = catalog.split_name(&relation.name).0;
        let is_named = |index: &&Index| {
            index.name == stored || catalog.stored_name(schema, &index.name) == stored
        };
        Some((relation, relation.indexes.iter().find(is_named)?))
    })
}

fn unique_name(relation: &Relation, columns: &[&str]) -> Option<String> {
    let same = |held: &[String]| held.iter().map(String::as_str).eq(columns.iter().copied());
    let constraint = relation.constraints.iter().find(|constraint| {
        matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
            && same(&constraint.columns)
    });
    let index = || relation.indexes.iter().find(|index| index.unique && same(&index.columns));
    constraint.map(|c| c.name.clone()).or_else(|| index().map(|i| i.name.clone()))
}

/// The values that a single-row INSERT gives to `columns`, where its text says so
/// plainly: each a parameter or a literal.
fn values_of(plan: &Plan, params: &[Value], columns: &[&str]) -> Option<Vec<String>> {
    let (names, row) = inserted(plan)?;
    columns
        .iter()
        .map(|column| {
            let at = names.iter().position(|name| name == column)?;
            literal(row.get(at)?, params)
        })
        .collect()
}

/// The columns and the one row of a single-row INSERT, as the items of its text.
fn inserted(plan: &Plan) -> Option<(Vec<String>, Vec<&str>)> {
    let text = &plan.translated.statements.last()?.text;
    let (head, tail) = text.split_once(" VALUES ")?;
    let listed = head.rsplit_once('(')?.1.trim_end().strip_suffix(')')?;
    let names = listed.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    Some((names, first_row(tail)?))
}

/// The items of the first parenthesised row in `text`, if it is the only one.
fn first_row(text: &str) -> Option<Vec<&str>> {
    let text = text.trim_start().strip_prefix('(')?;
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    let mut items = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b')' => {
                items.push(text[start..at].trim());
                let more = text[at + 1..].trim_start().starts_with(',');
                return (!more).then_some(items);
            }
            b',' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn literal(item: &str, params: &[Value]) -> Option<String> {
    if let Some(number) = item.strip_prefix('?') {
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        return Some(match params.get(index)? {
            Value::Null => "null".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Text(value) => value.clone(),
            Value::Blob(_) => return None,
        });
    }
    if let Some((function, rest)) = item.split_once('(')
        && let Some(inner) = rest.strip_suffix(')')
        && (function.starts_with("towline_") || function.eq_ignore_ascii_case("cast"))
        && !["towline_record", "towline_array"].iter().any(|made| function.starts_with(made))
    {
        // A conversion to the column's type, which says nothing about the value.
        let argument = first_row(&format!("({inner})"))?.first().copied()?.to_owned();
        let value = argument.rsplit_once(" AS ").map_or(argument.as_str(), |(value, _)| value);
        return literal(value, params);
    }
    if let Some(quoted) = item.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Some(quoted.replace("''", "'"));
    }
    if matches!(item, "TRUE" | "FALSE") {
        return Some(item.to_ascii_lowercase());
    }
    item.parse::<f64>().is_ok().then(|| item.to_owned())
}

/// The error with the row that a single-row INSERT was about to write, as its Detail,
/// where that can be read off its text and parameters.
fn with_row(error: SqlError, plan: &Plan, params: &[Value]) -> SqlError {
    let row_broke =
        error.state == SqlState::NOT_NULL_VIOLATION || error.state == SqlState::CHECK_VIOLATION;
    let relation = match (&error.table, target(&plan.text)) {
        (Some(table), Some((verb, written))) if verb.eq_ignore_ascii_case("insert") => plan
            .catalog
            .relations
            .get(table)
            .filter(|relation| plan.catalog.bare(&relation.name) == plan.catalog.bare(&written)),
        _ => None,
    };
    let (true, None, Some(relation)) = (row_broke, &error.detail, relation) else { return error };
    let Some(values) = row_of(relation, plan, params) else { return error };
    error.with_detail(format!("Failing row contains ({}).", values.join(", ")))
}

/// Longest value that a Detail shows whole, in characters.
const SHOWN_MAX: usize = 64;

/// The whole row that a single-row INSERT gives to its table, as PostgreSQL prints it.
/// `None` where a value is no plain one.
fn row_of(relation: &Relation, plan: &Plan, params: &[Value]) -> Option<Vec<String>> {
    let (names, row) = inserted(plan)?;
    relation
        .attributes
        .iter()
        .map(|attribute| {
            let item = names.iter().position(|name| *name == attribute.name);
            let value = match item.and_then(|at| row.get(at).copied()) {
                Some("NULL") => "null".to_owned(),
                Some(item) => literal(item, params)?,
                None if attribute.generated.is_some() || attribute.identity.is_some() => {
                    return None;
                }
                None => match attribute.default.as_deref() {
                    None => "null".to_owned(),
                    Some(default) => {
                        literal(default.rsplit_once("::").map_or(default, |(value, _)| value), &[])?
                    }
                },
            };
            let null = value == "null";
            Some(match attribute.oid {
                _ if null => value,
                Oid::BOOL => match value.to_ascii_lowercase().as_str() {
                    "1" | "true" => "t".to_owned(),
                    "0" | "false" => "f".to_owned(),
                    _ => return None,
                },
                // Printed otherwise than they are stored or written.
                Oid::BYTEA | Oid::FLOAT4 | Oid::FLOAT8 | Oid::BPCHAR | Oid::TIMESTAMPTZ => {
                    return None;
                }
                _ => cut_off(value),
            })
        })
        .collect()
}

/// A value as a Detail shows it.
fn cut_off(value: String) -> String {
    match value.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value,
    }
}

fn not_null(message: &str, catalog: &Catalog) -> SqlError {
    match failed_columns(message) {
        Some((table, columns)) => {
            let column = columns[0];
            let relation = catalog.relations.get(table);
            let attribute = relation.and_then(|relation| relation.attribute(column));
            let nullable = attribute.filter(|attribute| !attribute.not_null);
            if let Some(domain) = nullable.and_then(|it| catalog.user_type(it.oid)) {
                let domain = catalog.bare(&domain.name);
                let text = format!("domain {domain} does not allow null values");
                return SqlError::new(SqlState::NOT_NULL_VIOLATION, text);
            }
            let text = format!(
                "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
            );
            SqlError {
                table: Some(table.to_owned()),
                column: Some(column.to_owned()),
                ..SqlError::new(SqlState::NOT_NULL_VIOLATION, text)
            }
        }
        None => {
            SqlError::new(SqlState::NOT_NULL_VIOLATION, "null value violates not-null constraint")
        }
    }
}

fn check(message: &str, catalog: &Catalog) -> SqlError {
    let name = message.split_once("failed: ").map_or("", |(_, name)| name);
    if let Some((domain, check)) =
        name.strip_prefix("towline_domain ").and_then(|rest| rest.split_once(' '))
    {
        return SqlError {
            constraint: Some(check.to_owned()),
            ..SqlError::new(
                SqlState::CHECK_VIOLATION,
                format!("value for domain {domain} violates check constraint \"{check}\""),
            )
        };
    }
    let owner = catalog
        .relations
        .values()
        .find(|relation| relation.constraints.iter().any(|constraint| constraint.name == name));
    let text = match owner {
        Some(relation) => check_message(&relation.name, name),
        None => format!("new row violates check constraint \"{name}\""),
    };
    SqlError {
        table: owner.map(|relation| relation.name.clone()),
        constraint: Some(name.to_owned()),
        ..SqlError::new(SqlState::CHECK_VIOLATION, text)
    }
}

fn check_message(table: &str, name: &str) -> String {
    format!("new row for relation \"{table}\" violates check constraint \"{name}\"")
}

/// SQLite doesn't say which foreign key failed. It is told where only one can have.
fn foreign_key(catalog: &Catalog, plan: &Plan, params: &[Value]) -> SqlError {
    let bare = || {
        SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            "the statement violates a foreign key constraint",
        )
    };
    let Some((verb, written)) = target(&plan.text) else { return bare() };
    let table = catalog.stored_name(PUBLIC, &written);
    let foreign = |relation: &Relation| {
        let keys = relation.constraints.iter();
        keys.filter_map(|c| match &c.kind {
            ConstraintKind::ForeignKey { table, .. } => Some((c.name.clone(), table.clone())),
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    let own = catalog.relations.get(&table).map(&foreign).unwrap_or_default();
    let of_others: Vec<(String, String)> = catalog
        .relations
        .values()
        .flat_map(|relation| {
            let refer = foreign(relation).into_iter().filter(|(_, target)| *target == table);
            refer.map(|(name, _)| (name, relation.name.clone())).collect::<Vec<_>>()
        })
        .collect();
    let inserts = verb.eq_ignore_ascii_case("insert");
    let deletes = verb.eq_ignore_ascii_case("delete");
    match (&own[..], &of_others[..]) {
        ([(name, target)], _) if inserts => {
            let constraints = catalog.relations.get(&table).map(|relation| &relation.constraints);
            let constraint = constraints.and_then(|all| all.iter().find(|c| c.name == *name));
            let detail = constraint.and_then(|constraint| {
                let columns: Vec<&str> = constraint.columns.iter().map(String::as_str).collect();
                let values = values_of(plan, params, &columns)?;
                Some(format!(
                    "Key ({})=({}) is not present in table \"{}\".",
                    columns.join(", "),
                    values.join(", "),
                    catalog.bare(target)
                ))
            });
            SqlError { detail, ..referring(&table, name) }
        }
        ([(name, _)], []) if !deletes => referring(&table, name),
        ([], [(name, other)]) => referred_by(&table, name, other),
        (_, [(name, other)]) if deletes => referred_by(&table, name, other),
        _ => SqlError { table: Some(table), ..bare() },
    }
}

fn referring(table: &str, name: &str) -> SqlError {
    let text =
        format!("insert or update on table \"{table}\" violates foreign key constraint \"{name}\"");
    SqlError {
        table: Some(table.to_owned()),
        constraint: Some(name.to_owned()),
        ..SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, text)
    }
}

fn referred_by(table: &str, name: &str, other: &str) -> SqlError {
    let text = format!(
        "update or delete on table \"{table}\" violates foreign key constraint \"{name}\" on table \"{other}\""
    );
    SqlError {
        table: Some(other.to_owned()),
        constraint: Some(name.to_owned()),
        ..SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, text)
    }
}

/// A statement's verb and the table that it changes.
fn target(text: &str) -> Option<(&str, String)> {
    let mut words = text.split_whitespace();
    let verb = words.next()?;
    let word = match verb.to_ascii_lowercase().as_str() {
        "insert" | "delete" => words.nth(1)?,
        "update" => words.next()?,
        _ => return None,
    };
    let word = word.split('(').next()?;
    let name = word.rsplit('.').next()?.trim_end_matches(';');
    let name = match name.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').to_owned(),
        None => name.to_ascii_lowercase(),
    };
    Some((verb, name))
}

/// Errors of compiling or running that SQLite tells apart by their text alone.
fn statement(message: &str) -> SqlError {
    let after = |mark: &str| message.strip_prefix(mark);
    if let Some(name) = after("no such table: ") {
        let name = name.strip_prefix("main.").unwrap_or(name);
        return SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        );
    }
    if let Some(name) = after("no such column: ") {
        let text = if name.contains('.') {
            format!("column {name} does not exist")
        } else {
            format!("column \"{name}\" does not exist")
        };
        return SqlError::new(SqlState::UNDEFINED_COLUMN, text);
    }
    if let Some(name) = after("ambiguous column name: ") {
        return SqlError::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{name}\" is ambiguous"),
        );
    }
    if let Some(name) = after("no such function: ") {
        return undefined_function(name);
    }
    if let Some(rest) = after("wrong number of arguments to function ") {
        return undefined_function(rest.trim_end_matches("()"));
    }
    if let Some(rest) = after("near \"")
        && let Some((near, _)) = rest.rsplit_once("\": syntax error")
    {
        return SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{near}\""),
        );
    }
    if message == "incomplete input" {
        return SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input");
    }
    if let Some(rest) = after("table ")
        && let Some((name, tail)) = rest.split_once(" has no column named ")
    {
        return SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{tail}\" of relation \"{name}\" does not exist"),
        );
    }
    for kind in ["table ", "view ", "index "] {
        if let Some(name) = after(kind).and_then(|rest| rest.strip_suffix(" already exists")) {
            let name = name.trim_matches('"');
            return SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{name}\" already exists"),
            );
        }
    }
    if let Some(name) = after("there is already an index named ") {
        return SqlError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{}\" already exists", name.trim_matches('"')),
        );
    }
    if let Some(name) = after("duplicate column name: ") {
        return SqlError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{name}\" specified more than once"),
        );
    }
    if let Some(rest) = after("no such index: ") {
        return SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("index \"{rest}\" does not exist"),
        );
    }
    if message == "integer overflow" {
        return SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range");
    }
    if message.starts_with("cannot store ") || message == "datatype mismatch" {
        return SqlError::new(SqlState::DATATYPE_MISMATCH, message);
    }
    if message.contains("too many") || message.contains("too big") || message.contains("too large")
    {
        return SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
    }
    if message.starts_with("not authorized") {
        return SqlError::unsupported("this statement");
    }
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

fn undefined_function(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist"))
        .with_hint(
            "No function matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_texts_become_sqlstates() {
        for (message, state, told) in [
            ("no such table: t", "42P01", "relation \"t\" does not exist"),
            ("no such column: x", "42703", "column \"x\" does not exist"),
            ("ambiguous column name: a", "42702", "column reference \"a\" is ambiguous"),
            ("no such function: f", "42883", "function f does not exist"),
            ("near \"selec\": syntax error", "42601", "syntax error at or near \"selec\""),
            ("table t already exists", "42P07", "relation \"t\" already exists"),
            ("integer overflow", "22003", "bigint out of range"),
        ] {
            let error = statement(message);
            assert_eq!((error.state.0, error.message.as_str()), (state, told));
        }
    }

    #[test]
    fn rows_are_cut_at_their_commas() {
        assert_eq!(first_row("(?1, 'a,b', f(1, 2)) "), Some(vec!["?1", "'a,b'", "f(1, 2)"]));
        assert_eq!(first_row("(1), (2)"), None);
        assert_eq!(first_row("(1"), None);
    }

    #[test]
    fn targets_are_read_from_the_text() {
        let name = |text| target(text).map(|(_, name)| name);
        assert_eq!(name("INSERT INTO public.Orders(id) VALUES (1)"), Some("orders".to_owned()));
        assert_eq!(name("update \"T\" set a = 1"), Some("T".to_owned()));
        assert_eq!(name("delete from t where x"), Some("t".to_owned()));
        assert_eq!(name("select 1"), None);
    }
}
