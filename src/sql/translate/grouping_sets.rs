//! GROUPING SETS, ROLLUP and CUBE, which SQLite lacks: one grouped query a set, put
//! together by UNION ALL. In the query of one set the keys of the others are NULL, of
//! their own types, except inside aggregates; what ORDER BY needs rides along in columns
//! that the query around all of them leaves out.

use sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, OrderBy, OrderByKind, Select, SelectItem, Value,
};

use super::grouping::{children, not_grouping, same};
use super::order::position_of;
use super::query::{Item, Selected, Tail, Wish, plain_query, printed_reference};
use super::scope::Scope;
use super::{Form, OutputColumn, Translator, Typed, lifted, names};
use crate::pg::{Oid, SqlError, SqlState};

/// No query has more sets, as in PostgreSQL.
const SETS_MAX: usize = 4096;

/// The keys of one set, and those of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupingSet {
    kept: Vec<Expr>,
    nulled: Vec<Expr>,
}

/// Whether a GROUP BY has more than one set.
pub(super) fn are_in(group_by: &GroupByExpr) -> bool {
    let GroupByExpr::Expressions(exprs, _) = group_by else { return false };
    exprs.iter().any(|expr| {
        matches!(expr, Expr::GroupingSets(_) | Expr::Rollup(_) | Expr::Cube(_))
            || matches!(expr, Expr::Tuple(fields) if fields.is_empty())
    })
}

impl Translator<'_> {
    /// A SELECT with several grouping sets.
    pub(super) fn select_by_sets(
        &mut self,
        select: &Select,
        tail: Tail<'_>,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        if self.gives_rows(&select.projection) {
            return Err(SqlError::unsupported("a set-returning function over grouping sets"));
        }
        if let Some((outer, query)) = lifted::windows(select, tail.query)? {
            return self.select_of_set(&outer, Tail { query: &query }, wish, None);
        }
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return Err(SqlError::unsupported("DISTINCT ON with grouping sets"));
        }
        let sets = self.resolved_sets(select, tail)?;
        let mut keys: Vec<Expr> = Vec::new();
        for key in sets.iter().flatten() {
            if !keys.iter().any(|other| same(other, key)) {
                keys.push(key.clone());
            }
        }
        let (terms, order) = ordered_by(select, tail)?;
        let mut branch = select.clone();
        branch.distinct = None;
        for (at, term) in terms.iter().enumerate() {
            let alias = Ident::new(format!("towline_order{}", at + 1));
            branch.projection.push(SelectItem::ExprWithAlias { expr: term.clone(), alias });
        }
        for expr in expressions_of(&branch) {
            check(expr)?;
        }
        let alone = plain_query(sqlparser::ast::SetExpr::Select(Box::new(select.clone())));
        let inner = Wish { inner: true, printed: false, ..wish };
        let mut texts = Vec::with_capacity(sets.len());
        let mut columns: Vec<OutputColumn> = Vec::new();
        for kept in sets {
            let nulled = keys
                .iter()
                .filter(|key| !kept.iter().any(|other| same(other, key)))
                .cloned()
                .collect();
            branch.group_by = GroupByExpr::Expressions(kept.clone(), Vec::new());
            let set = GroupingSet { kept, nulled };
            let Selected { sql, columns: these } =
                self.select_of_set(&branch, Tail { query: &alone }, inner, Some(&set))?;
            // A set without keys has one row, even without rows or aggregates.
            texts.push(match set.kept.is_empty() {
                true => with_count(&sql),
                false => sql.replacen("SELECT ", "SELECT NULL AS towline_rows, ", 1),
            });
            columns = these;
        }
        let hidden = columns.split_off(columns.len() - terms.len());
        // A column's own name would stand for the client's table.
        for column in &mut columns {
            column.not_null = false;
        }
        let names: Vec<String> = columns.iter().map(|column| names::quote(&column.name)).collect();
        let listed: Vec<String> = (1..=columns.len())
            .map(|at| format!("c{at}"))
            .chain((1..=hidden.len()).map(|at| format!("k{at}")))
            .collect();
        let alias = self.fresh_name("sets");
        let shown: Vec<String> = names
            .iter()
            .zip(&columns)
            .enumerate()
            .map(|(at, (name, column))| {
                let typed = Typed::of(format!("c{}", at + 1), column.ty);
                let sql = if wish.printed { printed_reference(typed).sql } else { typed.sql };
                format!("{sql} AS {name}")
            })
            .collect();
        let distinct = if select.distinct.is_some() { "DISTINCT " } else { "" };
        let comma = if listed.is_empty() { "" } else { ", " };
        let mut sql = format!(
            "SELECT {distinct}{} FROM (WITH {alias}(towline_rows{comma}{}) AS ({}) SELECT * FROM {alias})",
            if shown.is_empty() { "NULL".to_owned() } else { shown.join(", ") },
            listed.join(", "),
            texts.join(" UNION ALL ")
        );
        let Some(order) = order else {
            sql.push_str(&self.limit(tail.query)?);
            return Ok(Selected { sql, columns });
        };
        let items: Vec<Item> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| (format!("c{}", at + 1), column))
            .chain(hidden.iter().enumerate().map(|(at, column)| (format!("k{}", at + 1), column)))
            .map(|(sql, column)| {
                let typed = Typed {
                    form: Form::Column { not_null: false },
                    ..Typed::of(sql.clone(), column.ty)
                };
                Item { typed, column: OutputColumn { name: sql, ..column.clone() } }
            })
            .collect();
        self.scopes.push(Scope::default());
        let terms = self.order_by(Some(&order), &items);
        self.scopes.pop();
        sql.push_str(&format!(" ORDER BY {}", terms?.join(", ")));
        sql.push_str(&self.limit(tail.query)?);
        Ok(Selected { sql, columns })
    }

    /// The sets of a GROUP BY, as lists of the expressions that are meant; the select
    /// list is checked against all of them together.
    fn resolved_sets(
        &mut self,
        select: &Select,
        tail: Tail<'_>,
    ) -> Result<Vec<Vec<Expr>>, SqlError> {
        let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return Ok(Vec::new()) };
        let written = expanded(exprs)?;
        self.scopes.push(Scope::default());
        let checked = self.from(&select.from).and_then(|_| {
            let sets: Vec<Vec<Expr>> = written
                .iter()
                .map(|set| set.iter().map(|key| self.meant(key, select).clone()).collect())
                .collect();
            let mut whole = select.clone();
            let all = sets.iter().flatten().cloned().collect();
            whole.group_by = GroupByExpr::Expressions(all, Vec::new());
            // With the empty set alone there still is a group.
            if whole.having.is_none() {
                whole.having = Some(Expr::value(Value::Boolean(true)));
            }
            self.check_grouping(&whole, tail.query)?;
            Ok(sets)
        });
        self.scopes.pop();
        checked
    }

    /// An expression of the select list or HAVING of one set.
    pub(super) fn expression_of_set(&mut self, expr: &Expr) -> Result<Typed, SqlError> {
        let Some(set) = &self.grouping_set else { return self.expression_here(expr) };
        let is = |key: &Expr| {
            same(key, expr)
                || self.own_column(key).is_some_and(|column| self.own_column(expr) == Some(column))
        };
        let kept = set.kept.iter().any(is);
        let nulled = !kept && set.nulled.iter().any(is);
        if !kept && !nulled {
            return self.expression_here(expr);
        }
        let set = self.grouping_set.take();
        let typed = self.expression_here(expr).and_then(|typed| self.settle(typed));
        self.grouping_set = set;
        let typed = typed?;
        if kept {
            return Ok(typed);
        }
        Ok(Typed { name: typed.name, weak_name: typed.weak_name, ..Typed::of("NULL", typed.ty) })
    }

    /// `GROUPING(a, b)`: a bit for each argument that this row is not grouped by.
    pub(super) fn grouping_call(
        &mut self,
        list: Option<&FunctionArgumentList>,
    ) -> Result<Typed, SqlError> {
        let mut bits = 0_i64;
        for argument in list.map_or(&[][..], |list| &list.args) {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else {
                return Err(super::syntax::syntax_error("GROUPING", None));
            };
            let set = self.grouping_set.as_ref();
            let column = self.own_column(expr);
            let is =
                |key: &Expr| same(key, expr) || column.is_some() && self.own_column(key) == column;
            let nulled = set.is_some_and(|set| set.nulled.iter().any(is));
            if !nulled && set.is_some_and(|set| !set.kept.iter().any(is)) {
                return Err(not_grouping());
            }
            bits = bits << 1 | i64::from(nulled);
        }
        Ok(Typed::plain(bits.to_string(), Oid::INT4))
    }
}

/// The query with a count in front of its columns, which makes it one of a single group.
fn with_count(sql: &str) -> String {
    sql.replacen("SELECT ", "SELECT count(*) AS towline_rows, ", 1)
}

/// Every combination of a set of each item.
fn expanded(exprs: &[Expr]) -> Result<Vec<Vec<Expr>>, SqlError> {
    let too_many = || {
        SqlError::new(
            SqlState::STATEMENT_TOO_COMPLEX,
            format!("too many grouping sets present (maximum {SETS_MAX})"),
        )
    };
    let mut all: Vec<Vec<Expr>> = vec![Vec::new()];
    for expr in exprs {
        let sets: Vec<Vec<Expr>> = match expr {
            Expr::GroupingSets(sets) => {
                let mut each = Vec::new();
                for set in sets {
                    each.extend(nested(set)?);
                }
                each
            }
            Expr::Rollup(keys) => rollup(keys),
            Expr::Cube(keys) => cube(keys).ok_or_else(too_many)?,
            Expr::Tuple(fields) => vec![fields.clone()],
            key => vec![vec![key.clone()]],
        };
        if all.len() * sets.len() > SETS_MAX {
            return Err(too_many());
        }
        all = all
            .iter()
            .flat_map(|left| sets.iter().map(|right| [left.as_slice(), right].concat()))
            .collect();
    }
    Ok(all)
}

/// A member of GROUPING SETS: keys, or ROLLUP, CUBE or GROUPING SETS again, which the
/// parser takes for calls.
fn nested(set: &[Expr]) -> Result<Vec<Vec<Expr>>, SqlError> {
    let [Expr::Function(Function { name, args: FunctionArguments::List(list), .. })] = set else {
        return Ok(vec![set.to_vec()]);
    };
    let word = names::last(name).unwrap_or_default();
    if !matches!(word.as_str(), "rollup" | "cube") {
        return Ok(vec![set.to_vec()]);
    }
    let keys: Vec<Vec<Expr>> = list
        .args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(fields))) => {
                Some(fields.clone())
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(vec![expr.clone()]),
            _ => None,
        })
        .collect();
    expanded(&[if word == "cube" { Expr::Cube(keys) } else { Expr::Rollup(keys) }])
}

/// `(a, b)`: `(a, b)`, `(a)`, `()`.
fn rollup(keys: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    (0..=keys.len()).rev().map(|count| keys[..count].concat()).collect()
}

/// Every subset; `None` where there are too many.
fn cube(keys: &[Vec<Expr>]) -> Option<Vec<Vec<Expr>>> {
    if 1_usize.checked_shl(u32::try_from(keys.len()).ok()?)? > SETS_MAX {
        return None;
    }
    let count = 1_usize << keys.len();
    Some(
        (0..count)
            .rev()
            .map(|subset| {
                let chosen = keys
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| subset >> (keys.len() - 1 - at) & 1 == 1);
                chosen.flat_map(|(_, key)| key.clone()).collect()
            })
            .collect(),
    )
}

/// The terms of ORDER BY that are no column of the result, and the order over the
/// columns `c1`, … of the result and `k1`, … of those terms.
fn ordered_by(select: &Select, tail: Tail<'_>) -> Result<(Vec<Expr>, Option<OrderBy>), SqlError> {
    let Some(order) = &tail.query.order_by else { return Ok((Vec::new(), None)) };
    let OrderByKind::Expressions(exprs) = &order.kind else {
        return Err(SqlError::unsupported("ORDER BY ALL"));
    };
    let mut terms = Vec::new();
    let mut outside = order.clone();
    let mut items = exprs.clone();
    for item in &mut items {
        if position_of(&item.expr).is_some() {
            continue;
        }
        let named = match &item.expr {
            Expr::Identifier(ident) => {
                select.projection.iter().find_map(|projected| match projected {
                    SelectItem::ExprWithAlias { expr, alias }
                        if names::fold(alias) == names::fold(ident) =>
                    {
                        Some(expr.clone())
                    }
                    _ => None,
                })
            }
            _ => None,
        };
        terms.push(named.unwrap_or_else(|| item.expr.clone()));
        item.expr = Expr::Identifier(Ident::new(format!("k{}", terms.len())));
    }
    outside.kind = OrderByKind::Expressions(items);
    Ok((terms, Some(outside)))
}

fn expressions_of(select: &Select) -> impl Iterator<Item = &Expr> {
    select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })
        .chain(&select.having)
}

/// Refuses what would see one set where PostgreSQL sees them all, or a key's value where
/// PostgreSQL sees NULL.
fn check(expr: &Expr) -> Result<(), SqlError> {
    super::limits::with_stack(|| {
        match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                return Err(SqlError::unsupported("a subquery beside grouping sets"));
            }
            _ => {}
        }
        children(expr).into_iter().try_for_each(check)
    })
}
