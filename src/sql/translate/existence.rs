//! EXISTS over rows that no index leads to. SQLite would read them all again for each row
//! around; a list of their columns it makes once.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, visit_expressions,
};

use super::operator::conjuncts;
use super::query::plain_query;
use super::scope::{self, Found, Scope, Source};
use super::{Translator, Typed, names};
use crate::pg::{Oid, SqlError};
use crate::sql::catalog::RelationKind;

/// What a subquery's rows are found by.
#[derive(Default)]
struct Keys {
    /// Columns of its table.
    inner: Vec<Expr>,
    /// Columns around it that equal them.
    outer: Vec<Expr>,
    /// What else it asks of its rows, by themselves.
    rest: Vec<Expr>,
}

impl Translator<'_> {
    /// `EXISTS (query)`, `NOT EXISTS (query)`.
    pub(super) fn exists(&mut self, query: &Query, negated: bool) -> Result<Typed, SqlError> {
        let exists = match self.listed(query)? {
            Some(found) => {
                let (found_so, else_so) =
                    if negated { ("FALSE", "TRUE") } else { ("TRUE", "FALSE") };
                // A NULL on either side equals nothing.
                let sql = format!("CASE WHEN {found} THEN {found_so} ELSE {else_so} END");
                Typed::plain(sql, Oid::BOOL)
            }
            None => {
                let query = self.subquery(query)?.sql;
                match negated {
                    true => Typed::compound(format!("NOT EXISTS ({query})"), Oid::BOOL),
                    false => Typed::plain(format!("EXISTS ({query})"), Oid::BOOL),
                }
            }
        };
        Ok(if negated { exists } else { exists.named("exists") })
    }

    /// Whether a query has rows, as a test for a list; `None` where they depend on those
    /// around them by more than equal columns, or an index may lead to them.
    fn listed(&mut self, query: &Query) -> Result<Option<String>, SqlError> {
        let Some((select, table)) = self.rows_of_one_table(query)? else { return Ok(None) };
        let Some(condition) = &select.selection else { return Ok(None) };
        if !conjuncts(condition).iter().any(|part| equal_names(part).is_some()) {
            return Ok(None);
        }
        self.scopes.push(Scope::default());
        let keys = self.from(&select.from).map(|_| self.keys(condition, table));
        self.scopes.pop();
        let Some(keys) = keys? else { return Ok(None) };
        let one = |mut exprs: Vec<Expr>| match exprs.len() {
            1 => exprs.remove(0),
            _ => Expr::Tuple(exprs),
        };
        let list = Select {
            projection: keys.inner.into_iter().map(SelectItem::UnnamedExpr).collect(),
            selection: keys.rest.into_iter().reduce(|left, right| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::And,
                right: Box::new(right),
            }),
            ..select.clone()
        };
        let list = plain_query(SetExpr::Select(Box::new(list)));
        Ok(Some(self.in_subquery(&one(keys.outer), &list, false)?.sql))
    }

    /// The SELECT of a query that gives a row for each that its condition takes of a table.
    fn rows_of_one_table<'q>(
        &mut self,
        query: &'q Query,
    ) -> Result<Option<(&'q Select, &'q TableFactor)>, SqlError> {
        let SetExpr::Select(select) = &*query.body else { return Ok(None) };
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return Ok(None) };
        let constant = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                matches!(expr, Expr::Value(_))
            }
            // A view's is written out.
            SelectItem::Wildcard(_) => self.stars.is_none(),
            _ => false,
        };
        let plain = query.with.is_none()
            && query.order_by.is_none()
            && query.fetch.is_none()
            && query.locks.is_empty()
            && select.distinct.is_none()
            && select.having.is_none()
            && select.into.is_none()
            && joins.is_empty()
            && matches!(relation, TableFactor::Table { args: None, sample: None, .. })
            && matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
            && select.projection.iter().all(constant);
        if !plain {
            return Ok(None);
        }
        let some = match self.bounds(query)? {
            (None, None) => true,
            (Some(limit), None) => limit.parse::<i64>().is_ok_and(|limit| limit > 0),
            _ => false,
        };
        Ok(some.then_some((&**select, relation)))
    }

    /// Takes a condition on the rows of the innermost scope's table apart.
    fn keys(&self, condition: &Expr, table: &TableFactor) -> Option<Keys> {
        let source = self.scopes.last()?.sources.first()?;
        let mut keys = Keys::default();
        for part in conjuncts(condition) {
            if let Some((left, right)) = equal_names(part)
                && let (Some(one), Some(other)) =
                    (self.named_column(left), self.named_column(right))
                && one.inside != other.inside
            {
                let own = if one.inside { &one.name } else { &other.name };
                let simple = one.oid == other.oid
                    && !matches!(one.oid, Oid::BPCHAR | Oid::INTERVAL)
                    && !self.is_row(one.oid);
                if !simple || !self.without_index(source, own, table) {
                    return None;
                }
                let (inner, outer) = if one.inside { (left, right) } else { (right, left) };
                keys.inner.push(inner.clone());
                keys.outer.push(outer.clone());
            } else if self.stands_alone(part) {
                keys.rest.push(Expr::Nested(Box::new(part.clone())));
            } else {
                return None;
            }
        }
        (!keys.inner.is_empty()).then_some(keys)
    }

    /// The column that a name is.
    fn named_column(&self, name: &Expr) -> Option<NamedColumn> {
        let found = match name {
            Expr::Identifier(ident) => scope::find(&self.scopes, &names::fold(ident)).ok()??,
            Expr::CompoundIdentifier(parts) => {
                let [table, column] = parts.as_slice() else { return None };
                let (table, column) = (names::fold(table), names::fold(column));
                scope::find_qualified(&self.scopes, None, &table, &column).ok()?
            }
            _ => return None,
        };
        match found {
            Found::Column { column, level, .. } => Some(NamedColumn {
                inside: level == 0,
                name: column.name.clone(),
                oid: column.ty.oid,
            }),
            Found::Open { .. } => None,
        }
    }

    /// Whether a condition reads nothing but the innermost scope's table.
    fn stands_alone(&self, condition: &Expr) -> bool {
        visit_expressions(condition, |expr| match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                ControlFlow::Break(())
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_)
                if !self.named_column(expr).is_some_and(|column| column.inside) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_continue()
    }

    /// Whether no index of a table, or common table, begins with a column.
    fn without_index(&self, source: &Source, column: &str, table: &TableFactor) -> bool {
        let TableFactor::Table { name, .. } = table else { return false };
        let Some(oid) = source.relation else {
            let name = names::last(name);
            return self.ctes.iter().any(|cte| Some(&cte.name) == name.as_ref());
        };
        let Some(relation) = self.context.catalog.relation(oid) else { return false };
        let keys = relation.constraints.iter().filter(|constraint| constraint.kind.is_key());
        let indexes = relation.indexes.iter().map(|index| &index.columns);
        let mut first =
            keys.map(|key| &key.columns).chain(indexes).filter_map(|columns| columns.first());
        relation.kind != RelationKind::View && first.all(|first| first != column)
    }
}

/// A column: of the innermost scope's table or of one around it, with its type.
struct NamedColumn {
    inside: bool,
    name: String,
    oid: Oid,
}

/// The sides of `name = name`.
fn equal_names(condition: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let name = |side: &'_ Expr| matches!(side, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let (left, right) = (bare(left), bare(right));
    (name(left) && name(right)).then_some((left, right))
}

/// Without parentheses.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        expr => expr,
    }
}
