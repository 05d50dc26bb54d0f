//! FOR UPDATE and its kin: which tables' rows a query locks.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, NonBlock, Query, Select, SelectItem, SetExpr, TableFactor,
};

use super::grouping::has_aggregate;
use super::lifted::has_window;
use super::set_returning::returns_set;
use super::{Translator, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::Rights;

impl Translator<'_> {
    /// Asks for the right to change what a query locks: the tables of its own FROM, or
    /// those of them that OF names.
    pub(super) fn demand_locked(&mut self, query: &Query) -> Result<(), SqlError> {
        let SetExpr::Select(select) = &*query.body else { return Ok(()) };
        let factors: Vec<&TableFactor> = select
            .from
            .iter()
            .flat_map(|item| {
                std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation))
            })
            .collect();
        for lock in &query.locks {
            let of = lock.of.as_ref().and_then(names::last);
            let locked: Vec<_> = factors
                .iter()
                .filter(|factor| of.is_none() || visible_name(factor) == of)
                .collect();
            if let Some(of) = of.filter(|_| locked.is_empty() && !has_nested(&factors)) {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!(
                        "relation \"{of}\" in FOR {} clause not found in FROM clause",
                        lock.lock_type
                    ),
                ));
            }
            for factor in locked {
                if let TableFactor::Table { name, args: None, .. } = factor
                    && let Ok((schema, table)) = self.qualified(name)
                    && !(schema.is_none() && self.ctes.iter().any(|cte| cte.name == table))
                    && let Some(relation) = self.find_relation(schema.as_deref(), &table)
                {
                    self.demand_table(relation, Rights::UPDATE);
                    if lock.nonblock == Some(NonBlock::Nowait) {
                        let table = self.context.catalog.bare(&relation.name);
                        let text = format!("could not obtain lock on row in relation \"{table}\"");
                        self.no_wait.get_or_insert(text);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Fails where the rows that a query gives are not those of its tables.
pub(super) fn check_lockable(query: &Query) -> Result<(), SqlError> {
    let beside = match &*query.body {
        SetExpr::SetOperation { .. } => Some("UNION/INTERSECT/EXCEPT"),
        SetExpr::Select(select) => made_rows(select),
        _ => None,
    };
    match (query.locks.first(), beside) {
        (Some(lock), Some(beside)) => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("FOR {} is not allowed with {beside}", lock.lock_type),
        )),
        _ => Ok(()),
    }
}

/// What makes the rows that a SELECT gives others than its tables'.
pub(super) fn made_rows(select: &Select) -> Option<&'static str> {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let lists = |is: fn(&Expr) -> bool| {
        select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => is(expr),
            _ => false,
        })
    };
    if matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_))) {
        Some("DISTINCT clause")
    } else if grouped {
        Some("GROUP BY clause")
    } else if select.having.is_some() {
        Some("HAVING clause")
    } else if lists(has_window) {
        Some("window functions")
    } else if lists(has_aggregate) {
        Some("aggregate functions")
    } else if lists(returns_set) {
        Some("set-returning functions in the target list")
    } else {
        None
    }
}

fn has_nested(factors: &[&TableFactor]) -> bool {
    factors.iter().any(|factor| matches!(factor, TableFactor::NestedJoin { .. }))
}

fn visible_name(factor: &TableFactor) -> Option<String> {
    let (name, alias) = match factor {
        TableFactor::Table { name, alias, .. } => (names::last(name), alias),
        TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. } => (None, alias),
        _ => return None,
    };
    alias.as_ref().map(|alias| names::fold(&alias.name)).or(name)
}
