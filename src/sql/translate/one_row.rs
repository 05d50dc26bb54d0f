//! Subqueries that stand for a value, of which more than one row is an error.

use sqlparser::ast::{Expr, GroupByExpr, LimitClause, Query, Select, SelectItem, SetExpr};

use super::{Translator, grouping, set_returning};

impl Translator<'_> {
    /// A query of `width` columns whose rows may be one at most, as an expression's may.
    pub(super) fn only_row(&mut self, sql: &str, width: usize) -> String {
        let rows = self.fresh_name("only");
        let columns: Vec<String> = (1..=width).map(|at| format!("c{at}")).collect();
        let values: Vec<String> =
            columns.iter().map(|column| format!("towline_only({column})")).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        format!("WITH {rows}({columns}) AS ({sql}) SELECT {values} FROM {rows}")
    }
}

/// Whether a query can't give more than one row, whatever the tables hold.
pub(super) fn gives_one_row(query: &Query) -> bool {
    let one = |count: &Expr| matches!(count.to_string().as_str(), "0" | "1");
    let limited = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), .. }) => one(limit),
        _ => false,
    };
    let fetched = query
        .fetch
        .as_ref()
        .is_some_and(|fetch| !fetch.with_ties && fetch.quantity.as_ref().is_none_or(one));
    limited
        || fetched
        || match &*query.body {
            SetExpr::Select(select) => selects_one_row(select),
            SetExpr::Query(inner) => gives_one_row(inner),
            SetExpr::Values(values) => values.rows.len() == 1,
            _ => false,
        }
}

fn selects_one_row(select: &Select) -> bool {
    let items: Vec<&Expr> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })
        .collect();
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let aggregated = items.iter().any(|item| grouping::has_aggregate(item));
    !grouped
        && (select.from.is_empty() || aggregated)
        && !items.iter().any(|item| set_returning::returns_set(item))
}
