//! WITH: common tables, recursive ones too.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, CteAsMaterialized, Expr, Query, SetExpr, SetOperator, SetQuantifier, With,
};

use super::query::{Selected, Tail, Wish, plain_query};
use super::source::{called, source_columns};
use super::{CommonTable, OutputColumn, Translator, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::determinism;
use crate::sql::types::{self, Family, Type, family};

impl Translator<'_> {
    /// `WITH …`, with a blank behind it; its tables come into sight.
    pub(super) fn with(&mut self, with: Option<&With>) -> Result<String, SqlError> {
        let Some(with) = with else { return Ok(String::new()) };
        let mut texts = Vec::with_capacity(with.cte_tables.len());
        for cte in &with.cte_tables {
            texts.push(self.common_table(cte, with.recursive)?);
        }
        let recursive = if with.recursive { "RECURSIVE " } else { "" };
        Ok(format!("WITH {recursive}{} ", texts.join(", ")))
    }

    pub(super) fn common_table(&mut self, cte: &Cte, recursive: bool) -> Result<String, SqlError> {
        let name = names::fold(&cte.alias.name);
        let renamed: Vec<String> =
            cte.alias.columns.iter().map(|column| names::fold(&column.name)).collect();
        let wish = Wish { inner: true, names: Some(&renamed), ..Wish::default() };
        let named = |selected: &Selected| CommonTable {
            name: name.clone(),
            columns: source_columns(&selected.columns),
        };
        let selected = match &*cte.query.body {
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right }
                if recursive && mentions(right, &name) =>
            {
                let right = without_parentheses(right);
                let outer = self.ctes.len();
                let with = self.with(cte.query.with.as_ref())?;
                let tail = Tail { query: &cte.query };
                let plain = plain_query((**left).clone());
                let first = self.query(&plain, wish)?;
                let first = self.settle_columns(first)?;
                self.ctes.push(named(&first));
                let wanted: Vec<Type> = first.columns.iter().map(|column| column.ty).collect();
                let plain = plain_query(right.clone());
                let second = self
                    .query(&plain, Wish { inner: true, types: Some(&wanted), ..Wish::default() })?;
                for (column, ty) in second.columns.iter().zip(&wanted) {
                    let untyped = types::is_unknown(column.ty.oid);
                    let alike =
                        family(column.ty.oid) == Family::String && family(ty.oid) == Family::String;
                    if column.ty.oid != ty.oid && !untyped && !alike {
                        return Err(SqlError::new(
                            SqlState::DATATYPE_MISMATCH,
                            format!(
                                "recursive query \"{name}\" column \"{}\" has type {} in non-recursive \
                                 term but type {} overall",
                                column.name,
                                types::display_name(ty.oid),
                                types::display_name(column.ty.oid)
                            ),
                        )
                        .with_hint("Cast the output of the non-recursive term to the correct type."));
                    }
                }
                // SQLite wants the recursive table right in this SELECT's FROM.
                let second = match right {
                    SetExpr::Select(_) => second.sql,
                    _ => self.branch(second, &wanted)?,
                };
                self.ctes.truncate(outer);
                let all = if *set_quantifier == SetQuantifier::All { " ALL" } else { "" };
                let sql = format!("{with}{} UNION{all} {second}", first.sql);
                self.with_tail(Selected { sql, ..first }, tail)?
            }
            _ => {
                let selected = self.query(&cte.query, wish)?;
                self.settle_columns(selected)?
            }
        };
        let columns = names::quote_all(&called(&selected.columns));
        let materialized = match cte.materialized {
            Some(CteAsMaterialized::Materialized) => "MATERIALIZED ",
            _ if calls_volatile(&cte.query) => "MATERIALIZED ",
            Some(CteAsMaterialized::NotMaterialized) => "NOT MATERIALIZED ",
            None => "",
        };
        let text =
            format!("{}({columns}) AS {materialized}({})", names::quote(&name), selected.sql);
        self.ctes.push(named(&selected));
        Ok(text)
    }

    /// Gives columns without a type the type text.
    pub(super) fn settle_columns(&mut self, selected: Selected) -> Result<Selected, SqlError> {
        let columns = selected
            .columns
            .into_iter()
            .map(|column| match column.ty.oid {
                Oid::UNKNOWN => OutputColumn { ty: Type::TEXT, ..column },
                _ => column,
            })
            .collect();
        Ok(Selected { columns, ..selected })
    }
}

/// Whether a query gives other rows when it is run again: who reads it twice must find the
/// same.
pub(super) fn calls_volatile(query: &Query) -> bool {
    let found = sqlparser::ast::visit_expressions(query, |expr| match expr {
        Expr::Function(call)
            if names::last(&call.name).is_some_and(|name| determinism::is_volatile(&name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The body inside parentheses that hold nothing else.
fn without_parentheses(mut body: &SetExpr) -> &SetExpr {
    while let SetExpr::Query(query) = body
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
    {
        body = &query.body;
    }
    body
}

/// Whether a body reads from a table named `name`.
fn mentions(body: &SetExpr, name: &str) -> bool {
    let found = sqlparser::ast::visit_relations(body, |relation| {
        if names::last(relation).as_deref() == Some(name) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found.is_break()
}
