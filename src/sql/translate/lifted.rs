//! What is computed around a derived table that has the rest of a SELECT: window functions
//! over grouping sets, which see the rows of all sets together, and functions that give
//! rows beside aggregates and window functions, which count the rows before that.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableAlias, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::expression::type_column_name;
use super::grouping::{holds, same};
use super::names;
use super::query::plain_query;
use crate::pg::SqlError;
use crate::sql::types::resolve;

/// The SELECT and the query's tail, rewritten for window functions over grouping sets.
/// `None` without a window function.
pub(super) fn windows(select: &Select, query: &Query) -> Result<Option<(Select, Query)>, SqlError> {
    around(select, query, &has_window, "a window function over grouping sets")
}

/// The SELECT and the query's tail, rewritten: what holds nothing that `stays` is a column
/// of a derived table, which has the grouping. `None` if nothing stays.
pub(super) fn around(
    select: &Select,
    query: &Query,
    stays: &dyn Fn(&Expr) -> bool,
    what: &str,
) -> Result<Option<(Select, Query)>, SqlError> {
    let order = match &query.order_by {
        Some(OrderBy { kind: OrderByKind::Expressions(terms), .. }) => terms.as_slice(),
        _ => &[],
    };
    let staying = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => stays(expr),
        _ => false,
    };
    if !select.projection.iter().any(staying) && !order.iter().any(|term| stays(&term.expr)) {
        return Ok(None);
    }
    let mut lift = Lift { lifted: Vec::new(), stays };
    let mut outer = select.clone();
    for item in &mut outer.projection {
        match item {
            SelectItem::UnnamedExpr(expr) if !stays(expr) => {
                let alias = output_name(expr);
                let expr = lift.column(expr);
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => lift.visit(item),
            _ => {
                return Err(SqlError::unsupported(format_args!("* beside {what}")));
            }
        }
    }
    // Windows belong to what they are used by.
    let uses_windows = |expr: &Expr| stays(expr) && has_window(expr);
    let windows_stay = order.iter().any(|term| uses_windows(&term.expr))
        || select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                uses_windows(expr)
            }
            _ => false,
        });
    let inner_windows = if windows_stay {
        outer.named_window.iter_mut().for_each(|window| lift.visit(window));
        Vec::new()
    } else {
        std::mem::take(&mut outer.named_window)
    };
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
        named_window: inner_windows,
        projection: lift.columns(),
        ..select.clone()
    };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(plain_query(SetExpr::Select(Box::new(inner)))),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new(LIFTED),
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

/// The derived table.
const LIFTED: &str = "towline_lifted";

/// Whether a SELECT was rewritten: what it still holds is what stays.
pub(super) fn is_rewritten(select: &Select) -> bool {
    let [TableWithJoins { relation, .. }] = select.from.as_slice() else { return false };
    matches!(relation, TableFactor::Derived { alias: Some(alias), .. } if alias.name.value == LIFTED)
}

/// Whether a window function is called, subqueries apart.
pub(super) fn has_window(expr: &Expr) -> bool {
    holds(expr, &|expr| matches!(expr, Expr::Function(call) if call.over.is_some()))
}

/// The expressions that the derived table computes: `w1`, `w2`, …
struct Lift<'a> {
    lifted: Vec<Expr>,
    stays: &'a dyn Fn(&Expr) -> bool,
}

impl Lift<'_> {
    /// The column that stands for an expression.
    fn column(&mut self, expr: &Expr) -> Expr {
        let at = self.lifted.iter().position(|known| same(known, expr)).unwrap_or_else(|| {
            self.lifted.push(expr.clone());
            self.lifted.len() - 1
        });
        Expr::Identifier(Ident::new(format!("w{}", at + 1)))
    }

    fn columns(self) -> Vec<SelectItem> {
        let named = |(at, expr)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(format!("w{}", at + 1)),
        };
        self.lifted.into_iter().enumerate().map(named).collect()
    }

    fn visit(&mut self, within: &mut impl VisitMut) {
        let _ = within.visit(self);
    }
}

impl VisitorMut for Lift<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // A literal may be a position.
        if !matches!(expr, Expr::Value(_)) && !(self.stays)(expr) {
            *expr = self.column(expr);
        }
        ControlFlow::Continue(())
    }
}

/// What a column without an alias is called.
fn output_name(expr: &Expr) -> Ident {
    let of_type = |data_type| resolve(data_type).ok().map(|ty| type_column_name(ty.oid));
    let name = match expr {
        Expr::Identifier(ident) => return ident.clone(),
        Expr::CompoundIdentifier(parts) if !parts.is_empty() => {
            return parts[parts.len() - 1].clone();
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return output_name(inner),
        Expr::Function(call) => match call.name.0.last() {
            Some(ObjectNamePart::Identifier(ident)) => return ident.clone(),
            _ => None,
        },
        Expr::Cast { expr: inner, data_type, .. } => match output_name(inner) {
            name if name.value == NAMELESS => of_type(data_type),
            name => return name,
        },
        Expr::TypedString(literal) => of_type(&literal.data_type),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        _ => None,
    };
    Ident::with_quote('"', name.unwrap_or_else(|| NAMELESS.to_owned()))
}

/// The name of what has none.
const NAMELESS: &str = "?column?";
