//! Window functions over grouping sets: they see the rows of all sets together, so they
//! are computed around a derived table that has these rows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::grouping::{children, same};
use super::names;
use super::query::plain_query;
use crate::pg::SqlError;

/// The SELECT and the query's tail, rewritten: what holds no window function is a column
/// of a derived table, which has the grouping. `None` without a window function.
pub(super) fn around(select: &Select, query: &Query) -> Result<Option<(Select, Query)>, SqlError> {
    let order = match &query.order_by {
        Some(OrderBy { kind: OrderByKind::Expressions(terms), .. }) => terms.as_slice(),
        _ => &[],
    };
    let windowed = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_window(expr),
        _ => false,
    };
    if !select.projection.iter().any(windowed) && !order.iter().any(|term| has_window(&term.expr)) {
        return Ok(None);
    }
    let mut lift = Lift::default();
    let mut outer = select.clone();
    for item in &mut outer.projection {
        match item {
            SelectItem::UnnamedExpr(expr) if !has_window(expr) => {
                let alias = output_name(expr);
                let expr = lift.column(expr);
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => lift.visit(item),
            _ => {
                return Err(SqlError::unsupported("* beside a window function over grouping sets"));
            }
        }
    }
    outer.named_window.iter_mut().for_each(|window| lift.visit(window));
    let mut tail = query.clone();
    if let Some(OrderBy { kind: OrderByKind::Expressions(terms), .. }) = &mut tail.order_by {
        let is_output = |expr: &Expr| match expr {
            Expr::Identifier(ident) => select.projection.iter().any(|item| {
                matches!(item, SelectItem::ExprWithAlias { alias, .. }
                    if names::fold(alias) == names::fold(ident))
            }),
            _ => false,
        };
        let terms = terms.iter_mut().filter(|term| !is_output(&term.expr));
        terms.for_each(|term| lift.visit(&mut term.expr));
    }
    let inner = Select {
        distinct: None,
        named_window: Vec::new(),
        projection: lift.columns(),
        ..select.clone()
    };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(plain_query(SetExpr::Select(Box::new(inner)))),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new("towline_windowed"),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    };
    outer.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    outer.selection = None;
    outer.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    outer.having = None;
    Ok(Some((outer, tail)))
}

fn has_window(expr: &Expr) -> bool {
    super::limits::with_stack(|| match expr {
        Expr::Function(call) if call.over.is_some() => true,
        expr => children(expr).into_iter().any(has_window),
    })
}

/// The expressions that the derived table computes: `w1`, `w2`, …
#[derive(Default)]
struct Lift(Vec<Expr>);

impl Lift {
    /// The column that stands for an expression.
    fn column(&mut self, expr: &Expr) -> Expr {
        let at = self.0.iter().position(|known| same(known, expr)).unwrap_or_else(|| {
            self.0.push(expr.clone());
            self.0.len() - 1
        });
        Expr::Identifier(Ident::new(format!("w{}", at + 1)))
    }

    fn columns(self) -> Vec<SelectItem> {
        let named = |(at, expr)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(format!("w{}", at + 1)),
        };
        self.0.into_iter().enumerate().map(named).collect()
    }

    fn visit(&mut self, within: &mut impl VisitMut) {
        let _ = within.visit(self);
    }
}

impl VisitorMut for Lift {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // A literal may be a position.
        if !matches!(expr, Expr::Value(_)) && !has_window(expr) {
            *expr = self.column(expr);
        }
        ControlFlow::Continue(())
    }
}

/// What a column without an alias is called.
fn output_name(expr: &Expr) -> Ident {
    match expr {
        Expr::Identifier(ident) => ident.clone(),
        Expr::CompoundIdentifier(parts) if !parts.is_empty() => parts[parts.len() - 1].clone(),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => output_name(inner),
        Expr::Function(call) => match call.name.0.last() {
            Some(ObjectNamePart::Identifier(ident)) => ident.clone(),
            _ => Ident::with_quote('"', "?column?"),
        },
        Expr::Case { .. } => Ident::with_quote('"', "case"),
        _ => Ident::with_quote('"', "?column?"),
    }
}
