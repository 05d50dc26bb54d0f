//! What may stand in a grouped query: SQLite answers a column that is neither grouped
//! nor aggregated with any row's value, PostgreSQL refuses it (42803).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    OrderByKind, Query, Select, SelectItem, Value, visit_expressions_mut,
};

use super::scope::{self, Found};
use super::{Translator, function, known, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::ConstraintKind;

/// The keys of a grouped query.
#[derive(Default)]
struct Keys<'q> {
    expressions: Vec<&'q Expr>,
    /// Those that are no columns, every column named with its table.
    spelled: Vec<Expr>,
    /// As (source, column).
    columns: BTreeSet<(String, String)>,
}

impl Translator<'_> {
    /// Checks the select list, HAVING and ORDER BY of a query whose FROM is in scope. Answers
    /// whether it makes one row of all.
    pub(super) fn check_grouping(&self, select: &Select, query: &Query) -> Result<bool, SqlError> {
        let GroupByExpr::Expressions(group_by, _) = &select.group_by else { return Ok(false) };
        let projected = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let projected: Vec<&Expr> = projected.collect();
        let having = select.having.iter();
        if group_by.is_empty() && projected.iter().copied().chain(having).any(calls_grouping) {
            return Err(not_grouping());
        }
        let grouped = !group_by.is_empty()
            || select.having.is_some()
            || projected.iter().any(|expr| has_aggregate(expr));
        if !grouped {
            return Ok(false);
        }
        let mut keys = Keys::default();
        for key in group_by {
            let key = self.meant(key, select);
            keys.expressions.push(key);
            match self.own_column(key) {
                Some(column) => drop(keys.columns.insert(column)),
                None => keys.spelled.push(self.spelled_out(key)),
            }
        }
        for expr in projected {
            self.check_grouped(expr, &keys)?;
        }
        for item in &select.projection {
            if let SelectItem::Wildcard(_) = item {
                self.check_wildcard(&keys)?;
            }
        }
        if let Some(having) = &select.having {
            self.check_grouped(having, &keys)?;
        }
        let order = query.order_by.as_ref().map(|order| &order.kind);
        if let Some(OrderByKind::Expressions(order)) = order {
            for item in order {
                if !is_output(&item.expr, select) {
                    self.check_grouped(&item.expr, &keys)?;
                }
            }
        }
        Ok(group_by.is_empty())
    }

    /// A key as it is meant: a position or an output name stands for an item.
    pub(super) fn meant<'q>(&self, key: &'q Expr, select: &'q Select) -> &'q Expr {
        let item = match key {
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => text
                    .parse::<usize>()
                    .ok()
                    .and_then(|at| select.projection.get(at.checked_sub(1)?)),
                _ => None,
            },
            // An input column comes before an output name.
            Expr::Identifier(ident) if self.own_column(key).is_none() => {
                let name = names::fold(ident);
                select.projection.iter().find(|item| {
                    matches!(item, SelectItem::ExprWithAlias { alias, .. } if names::fold(alias) == name)
                })
            }
            _ => None,
        };
        match item {
            Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => expr,
            _ => key,
        }
    }

    /// The column of this query's own FROM that an expression is.
    pub(super) fn own_column(&self, expr: &Expr) -> Option<(String, String)> {
        let idents: &[Ident] = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(idents) => idents,
            _ => return None,
        };
        let folded: Vec<String> = idents.iter().map(names::fold).collect();
        let found = match folded.as_slice() {
            [name] => scope::find(&self.scopes, name).ok()??,
            [.., table, name] => scope::find_qualified(&self.scopes, None, table, name).ok()?,
            [] => return None,
        };
        match found {
            Found::Column { source, column, level: 0, .. } => {
                Some((source.alias.clone(), column.name.clone()))
            }
            _ => None,
        }
    }

    fn check_grouped(&self, expr: &Expr, keys: &Keys<'_>) -> Result<(), SqlError> {
        super::limits::with_stack(|| {
            if is_aggregate(expr) || keys.expressions.iter().any(|key| same(key, expr)) {
                return Ok(());
            }
            if let Some((source, column)) = self.own_column(expr) {
                return self.check_column(&source, &column, keys);
            }
            let children = children(expr);
            if !children.is_empty() && !keys.spelled.is_empty() {
                let spelled = self.spelled_out(expr);
                if keys.spelled.iter().any(|key| same(key, &spelled)) {
                    return Ok(());
                }
            }
            for child in children {
                self.check_grouped(child, keys)?;
            }
            Ok(())
        })
    }

    /// An expression whose columns are all named with their table.
    fn spelled_out(&self, expr: &Expr) -> Expr {
        let mut spelled = expr.clone();
        let _ = visit_expressions_mut(&mut spelled, |expr| {
            if let Some((source, column)) = self.own_column(expr) {
                let part = |name: String| Ident::with_quote('"', name);
                *expr = Expr::CompoundIdentifier(vec![part(source), part(column)]);
            }
            ControlFlow::<()>::Continue(())
        });
        spelled
    }

    fn check_column(&self, source: &str, column: &str, keys: &Keys<'_>) -> Result<(), SqlError> {
        let grouped = keys.columns.contains(&(source.to_owned(), column.to_owned()))
            // Namesakes that USING has merged are one column.
            || (self.is_merged(column) && keys.columns.iter().any(|(_, name)| name == column))
            || self.depends_on_key(source, keys);
        if grouped {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::GROUPING_ERROR,
            format!(
                "column \"{source}.{column}\" must appear in the GROUP BY clause or be used in an \
                 aggregate function"
            ),
        ))
    }

    fn check_wildcard(&self, keys: &Keys<'_>) -> Result<(), SqlError> {
        for source in self.scopes.last().map_or(&[][..], |scope| &scope.sources) {
            for column in source.columns.iter().filter(|column| !column.merged) {
                self.check_column(&source.alias, &column.name, keys)?;
            }
        }
        Ok(())
    }

    fn is_merged(&self, name: &str) -> bool {
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        sources
            .iter()
            .flat_map(|source| &source.columns)
            .any(|column| column.merged && column.name == name)
    }

    /// Whether the whole primary key of a source is among the keys: then its other
    /// columns follow from them.
    fn depends_on_key(&self, source: &str, keys: &Keys<'_>) -> bool {
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        let Some(found) = sources.iter().find(|other| other.alias == source) else { return false };
        let Some(oid) =
            found.columns.first().map(|column| column.origin.0).filter(|oid| oid.0 != 0)
        else {
            return false;
        };
        let relation = self.context.catalog.relations.values().find(|relation| relation.oid == oid);
        let primary = relation.and_then(|relation| {
            relation
                .constraints
                .iter()
                .filter(|constraint| !constraint.deferrable)
                .find(|constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey))
        });
        primary.is_some_and(|primary| {
            primary
                .columns
                .iter()
                .all(|column| keys.columns.contains(&(source.to_owned(), column.clone())))
        })
    }
}

/// Equal but for parentheses.
pub(super) fn same(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Nested(left), right) => same(left, right),
        (left, Expr::Nested(right)) => same(left, right),
        (left, right) => left == right,
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(call)
    if call.over.is_none()
        && function::function_name(&call.name).is_ok_and(|name| {
            known::is_aggregate(&name) || name == "grouping"
        }))
}

/// The error of what GROUPING is asked about that the query is not grouped by.
pub(super) fn not_grouping() -> SqlError {
    SqlError::new(
        SqlState::GROUPING_ERROR,
        "arguments to GROUPING must be grouping expressions of the associated query level",
    )
}

fn calls_grouping(expr: &Expr) -> bool {
    super::limits::with_stack(|| {
        matches!(expr, Expr::Function(call) if names::last(&call.name).as_deref() == Some("grouping"))
            || children(expr).into_iter().any(calls_grouping)
    })
}

/// Whether a SELECT has groups by its own keys, or by the aggregates of its list.
pub(super) fn is_aggregated(select: &Select) -> bool {
    let keys = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let aggregates = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            has_aggregate(expr)
        }
        _ => false,
    };
    !keys || select.projection.iter().any(aggregates)
}

/// Whether an aggregate is called, subqueries apart.
pub(in crate::sql) fn has_aggregate(expr: &Expr) -> bool {
    holds(expr, &is_aggregate)
}

/// Whether an expression is such, or holds such, subqueries apart.
pub(super) fn holds(expr: &Expr, such: &dyn Fn(&Expr) -> bool) -> bool {
    super::limits::with_stack(|| {
        such(expr) || children(expr).into_iter().any(|child| holds(child, such))
    })
}

fn is_output(expr: &Expr, select: &Select) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Identifier(ident) => {
            let name = names::fold(ident);
            select.projection.iter().any(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => names::fold(alias) == name,
                SelectItem::UnnamedExpr(_) => false,
                _ => true,
            })
        }
        _ => false,
    }
}

/// The expressions right inside one; a subquery is a world of its own.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::Cast { expr: inner, .. }
        | Expr::Collate { expr: inner, .. }
        | Expr::Extract { expr: inner, .. }
        | Expr::Ceil { expr: inner, .. }
        | Expr::Floor { expr: inner, .. }
        | Expr::InSubquery { expr: inner, .. } => vec![inner],
        Expr::BinaryOp { left, right, .. }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right)
        | Expr::AnyOp { left, right, .. }
        | Expr::AllOp { left, right, .. } => vec![left, right],
        Expr::AtTimeZone { timestamp, time_zone } => vec![timestamp, time_zone],
        Expr::Position { expr, r#in } => vec![expr, r#in],
        Expr::Like { expr, pattern, .. }
        | Expr::ILike { expr, pattern, .. }
        | Expr::SimilarTo { expr, pattern, .. } => vec![expr, pattern],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
        Expr::Tuple(fields) => fields.iter().collect(),
        Expr::Array(array) => array.elem.iter().collect(),
        Expr::Substring { expr, substring_from, substring_for, .. } => std::iter::once(&**expr)
            .chain(substring_from.as_deref())
            .chain(substring_for.as_deref())
            .collect(),
        Expr::Trim { expr, trim_what, .. } => {
            std::iter::once(&**expr).chain(trim_what.as_deref()).collect()
        }
        Expr::Case { operand, conditions, else_result, .. } => operand
            .as_deref()
            .into_iter()
            .chain(conditions.iter().flat_map(|when| [&when.condition, &when.result]))
            .chain(else_result.as_deref())
            .collect(),
        Expr::Function(call) => arguments(call),
        _ => Vec::new(),
    }
}

/// The arguments of a call.
pub(super) fn arguments(call: &Function) -> Vec<&Expr> {
    match &call.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
