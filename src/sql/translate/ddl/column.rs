//! What the options of a column may say together.

use std::ops::ControlFlow;

use sqlparser::ast::{ColumnDef, ColumnOption, Expr};

use super::create_table::is_serial;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::Relation;
use crate::sql::translate::{names, syntax};

/// Fails where options of a column contradict each other.
pub(super) fn check_options(column: &ColumnDef, table: &str) -> Result<(), SqlError> {
    let name = names::fold(&column.name);
    let wrong = |what: &str| {
        let text = format!("{what} for column \"{name}\" of table \"{table}\"");
        Err(SqlError::new(SqlState::SYNTAX_ERROR, text))
    };
    // What a serial column says by itself.
    let serial = is_serial(&column.data_type);
    let (mut default, mut identity, mut generated) = (serial, false, false);
    let mut nullable = serial.then_some(false);
    for option in &column.options {
        let null = match &option.option {
            ColumnOption::Null => Some(true),
            ColumnOption::NotNull => Some(false),
            ColumnOption::Default(_) if default => {
                return wrong("multiple default values specified");
            }
            ColumnOption::Default(_) => {
                default = true;
                None
            }
            ColumnOption::Generated { generation_expr: Some(_), .. } if generated => {
                return wrong("multiple generation clauses specified");
            }
            ColumnOption::Generated { generation_expr: Some(_), .. } => {
                generated = true;
                None
            }
            ColumnOption::Generated { .. } if identity => {
                return wrong("multiple identity specifications");
            }
            ColumnOption::Generated { .. } => {
                identity = true;
                Some(false)
            }
            _ => None,
        };
        if null.is_some() && nullable.is_some_and(|said| Some(said) != null) {
            return wrong("conflicting NULL/NOT NULL declarations");
        }
        nullable = null.or(nullable);
    }
    match (default, identity, generated) {
        (true, true, _) => wrong("both default and identity specified"),
        (true, _, true) => wrong("both default and generation expression specified"),
        (_, true, true) => wrong("both identity and generation expression specified"),
        _ => Ok(()),
    }
}

/// A generated column reads no other, nor itself.
pub(super) fn check_generation(relation: &Relation, at: usize) -> Result<(), SqlError> {
    let reads = |text: &Option<String>, column: &str| {
        let parsed = text.as_deref().map(syntax::parse_expression);
        matches!(parsed, Some(Ok(expr)) if reads_column(&expr, column))
    };
    let (made, own) = (&relation.attributes[at].generated, &relation.attributes[at].name);
    let mut others = relation.attributes.iter().filter(|other| other.generated.is_some());
    let wrong = others.find_map(|other| {
        let name = reads(made, &other.name).then_some(&other.name);
        name.or_else(|| reads(&other.generated, own).then_some(own))
    });
    match wrong {
        None => Ok(()),
        Some(name) => Err(SqlError::new(
            SqlState("42P17"),
            format!("cannot use generated column \"{name}\" in column generation expression"),
        )
        .with_detail("A generated column cannot reference another generated column.")),
    }
}

fn reads_column(expr: &Expr, column: &str) -> bool {
    let found = sqlparser::ast::visit_expressions(expr, |expr| {
        let name = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(idents) => idents.last(),
            _ => None,
        };
        match name.is_some_and(|name| names::fold(name) == column) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// Refuses the names of PostgreSQL's own columns.
pub(super) fn check_column_name(name: &str) -> Result<(), SqlError> {
    if matches!(name, "tableoid" | "xmin" | "cmin" | "xmax" | "cmax" | "ctid") {
        let message = format!("column name \"{name}\" conflicts with a system column name");
        return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
    }
    Ok(())
}
