//! What names mean inside a query: the tables of each FROM clause, innermost last,
//! with their columns' types.

use std::fmt::Display;
use std::ops::Range;

use super::names;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::Type;

/// The tables of one FROM clause.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub sources: Vec<Source>,
    /// Being read by a LATERAL subquery that is tried without its neighbours: a name that is
    /// found here is undefined, whatever it would mean further out.
    pub hidden: bool,
    /// Rows of functions in the select list will stand beside the sources: columns are
    /// spelled with their tables.
    pub joined: bool,
    /// Sources on the left of a RIGHT or FULL JOIN while its right side is read.
    pub barred: Range<usize>,
}

impl Scope {
    /// Whether a name that was found in source `at` may be used.
    fn check(&self, at: usize) -> Result<(), SqlError> {
        let name = &self.sources[at].alias;
        if self.hidden {
            return Err(missing_entry(name));
        }
        if self.barred.contains(&at) {
            return Err(SqlError::new(
                SqlState("42P10"),
                format!("invalid reference to FROM-clause entry for table \"{name}\""),
            )
            .with_detail(
                "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
            ));
        }
        Ok(())
    }
}

/// The error of a column that is not there; `shown` is how messages call it.
pub(super) fn missing_column(name: &str, shown: impl Display) -> SqlError {
    // Versions of rows, which SQLite has none of.
    if matches!(name, "xmin" | "cmin" | "xmax" | "cmax" | "ctid") {
        return SqlError::unsupported(format_args!("the system column {name}"));
    }
    SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column {shown} does not exist"))
}

fn missing_entry(table: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_TABLE,
        format!("missing FROM-clause entry for table \"{table}\""),
    )
}

/// A table, subquery, or function in FROM, under the name that it goes by.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub alias: String,
    /// The schema, for a table that was given no alias: `public.t.a` is legal.
    pub schema: Option<String>,
    pub columns: Vec<SourceColumn>,
    /// Columns are not known: every name may be one.
    pub open: bool,
    /// The table or view that it is.
    pub relation: Option<Oid>,
    /// SQL that is true where an outer join found no row of it.
    pub missing: Option<String>,
}

/// A column of a [`Source`].
#[derive(Clone, Debug)]
pub(super) struct SourceColumn {
    pub name: String,
    pub ty: Type,
    /// Its relation's OID and its number, or zeros.
    pub origin: (Oid, i16),
    pub not_null: bool,
    /// What SQLite calls it, where that isn't its name: a namesake stands before it.
    pub called: Option<String>,
    /// How SQLite spells it, where that isn't `alias.name`.
    pub sql: Option<String>,
    /// Merged into its namesake by USING or NATURAL: reachable by qualified name only.
    pub merged: bool,
}

impl SourceColumn {
    pub(super) fn new(name: impl Into<String>, ty: Type) -> Self {
        Self {
            name: name.into(),
            ty,
            origin: (Oid(0), 0),
            not_null: false,
            called: None,
            sql: None,
            merged: false,
        }
    }

    /// How SQLite spells it, in a source of that name.
    pub(super) fn spelled(&self, alias: &str) -> String {
        let name = self.called.as_ref().unwrap_or(&self.name);
        match &self.sql {
            Some(sql) => sql.clone(),
            None if alias.is_empty() => names::quote(name),
            None => format!("{}.{}", names::quote(alias), names::quote(name)),
        }
    }
}

/// A name, found.
pub(super) enum Found<'a> {
    /// Column `column` of `source`, `level` scopes out (0: the innermost).
    Column { source: &'a Source, column: &'a SourceColumn, level: usize, only: bool },
    /// In a source whose columns are not known.
    Open { source: &'a Source, level: usize },
}

/// Finds an unqualified column.
pub(super) fn find<'a>(scopes: &'a [Scope], name: &str) -> Result<Option<Found<'a>>, SqlError> {
    for (level, scope) in scopes.iter().rev().enumerate() {
        let mut found = None;
        for (at, source) in scope.sources.iter().enumerate() {
            for column in &source.columns {
                if column.name != name || column.merged {
                    continue;
                }
                scope.check(at)?;
                if found.is_some() {
                    return Err(SqlError::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("column reference \"{name}\" is ambiguous"),
                    ));
                }
                let only = scope.sources.len() == 1 && !scope.joined;
                found = Some(Found::Column { source, column, level, only });
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        if let Some(at) = scope.sources.iter().position(|source| source.open) {
            scope.check(at)?;
            return Ok(Some(Found::Open { source: &scope.sources[at], level }));
        }
    }
    Ok(None)
}

/// Finds `[schema.]table.column`.
pub(super) fn find_qualified<'a>(
    scopes: &'a [Scope],
    schema: Option<&str>,
    table: &str,
    name: &str,
) -> Result<Found<'a>, SqlError> {
    for (level, scope) in scopes.iter().rev().enumerate() {
        let Some(at) = scope.sources.iter().position(|source| {
            source.alias == table
                && schema.is_none_or(|schema| source.schema.as_deref() == Some(schema))
        }) else {
            continue;
        };
        scope.check(at)?;
        let source = &scope.sources[at];
        if let Some(column) = source.columns.iter().find(|column| column.name == name) {
            return Ok(Found::Column { source, column, level, only: false });
        }
        if source.open {
            return Ok(Found::Open { source, level });
        }
        return Err(missing_column(name, format_args!("{table}.{name}")));
    }
    Err(missing_entry(table))
}
