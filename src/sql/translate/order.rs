//! GROUP BY, ORDER BY, LIMIT and FETCH, and what SQLite needs a numbering of the rows for:
//! DISTINCT ON and WITH TIES.

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, LimitClause, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    OrderBySort, Query, UnaryOperator, Value,
};

use super::place::{self, Place};
use super::query::{Item, Selected, Tail, Wish};
use super::scope::Scope;
use super::source::called;
use super::{Form, Translator, Typed, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{Family, Type, family};

impl Translator<'_> {
    pub(super) fn group_by(
        &mut self,
        group_by: &GroupByExpr,
        items: &[Item],
        written: usize,
    ) -> Result<String, SqlError> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with a modifier"));
        }
        if exprs.is_empty() {
            return Ok(String::new());
        }
        let mut texts = Vec::with_capacity(exprs.len());
        for expr in exprs {
            if let Some(position) = position_of(expr) {
                let position = checked_position(position, items.len().max(written), "GROUP BY")?;
                let item = items.get(position - 1).map(|item| item.typed.clone());
                let collated = item.filter(|item| self.collation(item.ty).is_some());
                texts.push(collated.map_or(position.to_string(), |item| self.distinct(&item)));
                continue;
            }
            let place = Place::Clause(place::GROUP_BY);
            let typed = match (expr, self.standing(place, |this| this.settled(expr))) {
                (_, Ok(typed)) => typed,
                // A name that is no input column may be an output column.
                (Expr::Identifier(ident), Err(error)) => match output_position(ident, items) {
                    Some(at) => {
                        texts.push((at + 1).to_string());
                        continue;
                    }
                    None => return Err(error),
                },
                (_, Err(error)) => return Err(error),
            };
            if matches!(typed.form, Form::Number(_) | Form::Text(_)) {
                continue;
            }
            texts.push(self.distinct(&typed));
        }
        if texts.is_empty() {
            return Ok(" GROUP BY NULL".to_owned());
        }
        Ok(format!(" GROUP BY {}", texts.join(", ")))
    }

    /// The terms of ORDER BY over a select list.
    pub(super) fn order_by(
        &mut self,
        order_by: Option<&OrderBy>,
        items: &[Item],
    ) -> Result<Vec<String>, SqlError> {
        let Some(order_by) = order_by else { return Ok(Vec::new()) };
        let OrderByKind::Expressions(exprs) = &order_by.kind else {
            return Err(SqlError::unsupported("ORDER BY ALL"));
        };
        let mut terms = Vec::with_capacity(exprs.len());
        for item in exprs {
            let at = match (&item.expr, position_of(&item.expr)) {
                (_, Some(position)) => {
                    Some(checked_position(position, items.len(), "ORDER BY")? - 1)
                }
                (Expr::Identifier(ident), None) => output_position(ident, items),
                _ => None,
            };
            let typed = match at {
                Some(at) => {
                    let item = &items[at];
                    // A column sorts under its own name, so that its index serves.
                    match item.typed.form {
                        Form::Column { .. } => item.typed.clone(),
                        _ => {
                            Typed { sql: (at + 1).to_string(), atomic: true, ..item.typed.clone() }
                        }
                    }
                }
                None => self.settled(&item.expr)?,
            };
            // A constant that is no position puts nothing in order.
            if at.is_none() && matches!(typed.form, Form::Number(_)) {
                continue;
            }
            let typed = match at {
                // By number alone it can't be ranked.
                Some(at) if self.is_enum(typed.oid()) => self.ranked(items[at].typed.clone()),
                _ => self.ranked(typed),
            };
            terms.push(self.order_item(&typed, item)?);
        }
        Ok(terms)
    }

    /// ` LIMIT … OFFSET …`.
    pub(super) fn limit(&mut self, query: &Query) -> Result<String, SqlError> {
        if query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties) {
            return Err(SqlError::unsupported("FETCH … WITH TIES of this kind of query"));
        }
        let (limit, offset) = self.bounds(query)?;
        Ok(match (limit, offset) {
            (None, None) => String::new(),
            (Some(limit), None) => format!(" LIMIT {limit}"),
            (limit, Some(offset)) => {
                format!(" LIMIT {} OFFSET {offset}", limit.as_deref().unwrap_or("-1"))
            }
        })
    }

    /// How many rows, and behind how many.
    pub(super) fn bounds(
        &mut self,
        query: &Query,
    ) -> Result<(Option<String>, Option<String>), SqlError> {
        let (limit, offset) = match (&query.limit_clause, &query.fetch) {
            (None, None) => return Ok((None, None)),
            (_, Some(fetch)) if fetch.percent => {
                return Err(SqlError::unsupported("FETCH … PERCENT"));
            }
            (Some(LimitClause::LimitOffset { limit, offset, limit_by }), fetch) => {
                if !limit_by.is_empty() {
                    return Err(SqlError::unsupported("LIMIT BY"));
                }
                let fetch = fetch.as_ref().map(|fetch| &fetch.quantity);
                (
                    limit.as_ref().or_else(|| fetch?.as_ref()),
                    offset.as_ref().map(|offset| &offset.value),
                )
            }
            (Some(LimitClause::OffsetCommaLimit { offset, limit }), _) => {
                (Some(limit), Some(offset))
            }
            (None, Some(fetch)) => (fetch.quantity.as_ref(), None),
        };
        let one_row = query.fetch.as_ref().is_some_and(|fetch| fetch.quantity.is_none());
        let mut bound = |expr: Option<&Expr>, all: &str| -> Result<Option<String>, SqlError> {
            let Some(expr) = expr else { return Ok(None) };
            let place = Place::Clause(if all == "-1" { "LIMIT" } else { "OFFSET" });
            let typed = self.standing(place, |this| this.expression(expr))?;
            let typed =
                self.convert(typed, Type::plain(Oid::INT8), super::cast::How::Assignment)?;
            Ok(match &typed.form {
                Form::Null => None,
                Form::Number(text) if text.starts_with('-') => {
                    let (state, word) =
                        if all == "-1" { ("2201W", "LIMIT") } else { ("2201X", "OFFSET") };
                    return Err(SqlError::new(
                        SqlState(state),
                        format!("{word} must not be negative"),
                    ));
                }
                Form::Number(text) => Some(text.clone()),
                // NULL means none.
                _ => Some(format!("coalesce({}, {all})", typed.sql)),
            })
        };
        let limit = match bound(limit, "-1")? {
            None if one_row => Some("1".to_owned()),
            limit => limit,
        };
        Ok((limit, bound(offset, "0")?))
    }

    /// ORDER BY and LIMIT behind something that isn't a plain SELECT.
    pub(super) fn with_tail(
        &mut self,
        selected: Selected,
        tail: Tail<'_>,
    ) -> Result<Selected, SqlError> {
        if tail.is_empty() {
            return Ok(selected);
        }
        let items: Vec<Item> = selected
            .columns
            .iter()
            .map(|column| {
                let typed = Typed::of(names::quote(&column.name), column.ty);
                Item { typed, column: column.clone() }
            })
            .collect();
        // Names of the result are in sight, and only they.
        self.scopes.push(Scope::default());
        let order = self.order_by(tail.query.order_by.as_ref(), &items);
        self.scopes.pop();
        let mut sql = selected.sql;
        let order = order?;
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        sql.push_str(&self.limit(tail.query)?);
        Ok(Selected { sql, ..selected })
    }

    /// DISTINCT ON: the first row of each group, in the query's order.
    pub(super) fn distinct_on(
        &mut self,
        keys: &[Expr],
        items: Vec<Item>,
        rest: &str,
        tail: Tail<'_>,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        let (mut texts, mut partition) = (Vec::new(), Vec::new());
        for key in keys {
            let typed = match output_item(key, &items) {
                Some(item) => item.typed.clone(),
                None => self.settled(key)?,
            };
            partition.push(self.distinct(&typed));
            texts.push(typed.sql);
        }
        let ordered = self.ordered_by_keys(keys, &texts, &items, tail)?;
        let tail = Tail { query: &ordered };
        let limit = self.limit(tail.query)?;
        self.numbered(items, rest, tail, wish, |order| {
            // A window sorts by its partition first: upwards, NULL before all.
            let first = order.iter().take_while(|term| partition.contains(term)).count();
            let (first, behind) = order.split_at(first);
            let in_order = partition.iter().all(|key| first.contains(key));
            let (partition, order) = if in_order { (first, behind) } else { (&*partition, order) };
            let window = format!("PARTITION BY {}{}", partition.join(", "), by(order));
            let numbers = format!("row_number() OVER ({window}) AS towline_row");
            Numbering { numbers, wanted: "towline_row = 1".to_owned(), limit, in_order }
        })
    }

    /// The query in the order in which DISTINCT ON gives its rows: what it names must come
    /// first in ORDER BY, in whatever order, and comes behind where it does not.
    fn ordered_by_keys(
        &mut self,
        named: &[Expr],
        keys: &[String],
        items: &[Item],
        tail: Tail<'_>,
    ) -> Result<Query, SqlError> {
        let mut exprs = match &tail.query.order_by {
            Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) => exprs.clone(),
            _ => Vec::new(),
        };
        let mut order = Vec::with_capacity(exprs.len());
        for item in &exprs {
            order.push(match output_item(&item.expr, items) {
                Some(item) => item.typed.sql.clone(),
                None => self.settled(&item.expr)?.sql,
            });
        }
        let first = order.iter().take_while(|sql| keys.contains(sql)).count();
        let (first, behind) = order.split_at(first);
        let all = keys.iter().all(|key| first.contains(key));
        if !all && !behind.is_empty() {
            return Err(SqlError::new(
                SqlState("42P10"),
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            ));
        }
        let missing = named.iter().zip(keys).filter(|(_, key)| !first.contains(key));
        exprs.extend(missing.map(|(expr, _)| OrderByExpr {
            expr: expr.clone(),
            options: OrderByOptions::default(),
            with_fill: None,
        }));
        let order_by = OrderBy { kind: OrderByKind::Expressions(exprs), interpolate: None };
        Ok(Query { order_by: Some(order_by), ..tail.query.clone() })
    }

    /// FETCH FIRST … WITH TIES: also the rows that are no further behind than the last.
    pub(super) fn with_ties(
        &mut self,
        items: Vec<Item>,
        rest: &str,
        tail: Tail<'_>,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        if tail.query.order_by.is_none() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        }
        let (limit, offset) = self.bounds(tail.query)?;
        let limit = limit.ok_or_else(|| {
            SqlError::new(
                SqlState("2201W"),
                "row count cannot be null in FETCH FIRST ... WITH TIES clause",
            )
        })?;
        let offset = offset.unwrap_or_else(|| "0".to_owned());
        self.numbered(items, rest, tail, wish, |order| {
            let order = by(order);
            let order = order.trim_start();
            let numbers = format!(
                "rank() OVER ({order}) AS towline_rank, row_number() OVER ({order}) AS towline_row"
            );
            let wanted = format!("towline_rank <= {limit} + {offset} AND towline_row > {offset}");
            Numbering { numbers, wanted, limit: String::new(), in_order: true }
        })
    }

    /// A query whose rows are numbered in its order by window functions, some of them
    /// picked by their numbers. `pick` is given the terms of the windows' ORDER BY.
    fn numbered(
        &mut self,
        mut items: Vec<Item>,
        rest: &str,
        tail: Tail<'_>,
        wish: Wish<'_>,
        pick: impl FnOnce(&[String]) -> Numbering,
    ) -> Result<Selected, SqlError> {
        // Inside a window an output column has no number: its expression stands.
        let mut order = Vec::new();
        let mut keys_outside = Vec::new();
        let mut sorted = Vec::new();
        if let Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) = &tail.query.order_by {
            for item in exprs {
                let typed = match output_item(&item.expr, &items) {
                    Some(item) => item.typed.clone(),
                    None => self.settled(&item.expr)?,
                };
                let typed = self.ranked(typed);
                order.push(self.order_item(&typed, item)?);
                let key = format!("towline_key{}", sorted.len() + 1);
                keys_outside.push(self.order_item(
                    &Typed { sql: key.clone(), form: Form::Plain, ..typed.clone() },
                    item,
                )?);
                sorted.push(format!("{} AS {key}", typed.sql));
            }
        }
        self.settle_items(&mut items, wish)?;
        let Numbering { numbers, wanted, limit, in_order } = pick(&order);
        if in_order {
            // SQLite gives rows in the order of the first window, and takes some of them so.
            (sorted, keys_outside) = Default::default();
        }
        let (mut inside, mut outside) = (vec![numbers], Vec::new());
        for (item, called) in items.iter().zip(called(items.iter().map(|item| &item.column))) {
            let (name, called) = (names::quote(&item.column.name), names::quote(&called));
            inside.push(format!("{} AS {called}", item.typed.sql));
            outside.push(if name == called { name } else { format!("{called} AS {name}") });
        }
        inside.extend(sorted);
        let sql = format!(
            "SELECT {} FROM (SELECT {}{rest}) WHERE {wanted}{}{limit}",
            outside.join(", "),
            inside.join(", "),
            by(&keys_outside),
        );
        Ok(Selected { sql, columns: items.into_iter().map(|item| item.column).collect() })
    }
}

/// How the rows of a query are numbered, and which of them are wanted.
struct Numbering {
    /// Output columns with the numbers.
    numbers: String,
    wanted: String,
    limit: String,
    /// Whether the windows put the rows into the query's order.
    in_order: bool,
}

/// ` ORDER BY …`, if there are terms.
fn by(terms: &[String]) -> String {
    if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
}

/// The output column that an expression names, or gives the position of.
fn output_item<'i>(expr: &Expr, items: &'i [Item]) -> Option<&'i Item> {
    let at = position_of(expr).and_then(|position| usize::try_from(position - 1).ok());
    let at = at.or_else(|| match expr {
        Expr::Identifier(ident) => output_position(ident, items),
        _ => None,
    });
    items.get(at?)
}

impl Translator<'_> {
    /// A term of ORDER BY. PostgreSQL sorts NULL as larger than everything, SQLite as
    /// smaller: said only where there can be NULLs, so that indexes serve.
    pub(super) fn order_item(&self, typed: &Typed, item: &OrderByExpr) -> Result<String, SqlError> {
        let mut sql = match family(typed.oid()) {
            Family::Interval => format!("towline_interval_us({})", typed.sql),
            _ => self.in_order(typed),
        };
        let descending = match &item.options.sort {
            None | Some(OrderBySort::Asc) => false,
            Some(OrderBySort::Desc) => true,
            Some(OrderBySort::Using(operator)) => match names::last(operator).as_deref() {
                Some("<") => false,
                Some(">") => true,
                _ => return Err(SqlError::unsupported("ORDER BY USING this operator")),
            },
        };
        if descending {
            sql.push_str(" DESC");
        }
        let never_null = matches!(typed.form, Form::Column { not_null: true });
        match item.options.nulls_first {
            Some(first) => sql.push_str(if first { " NULLS FIRST" } else { " NULLS LAST" }),
            None if never_null => {}
            None => sql.push_str(if descending { " NULLS FIRST" } else { " NULLS LAST" }),
        }
        Ok(sql)
    }
}

/// A select-list position, if the expression is an integer literal.
pub(super) fn position_of(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => position_of(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => position_of(expr)?.checked_neg(),
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn checked_position(position: i64, count: usize, clause: &str) -> Result<usize, SqlError> {
    match usize::try_from(position) {
        Ok(position) if (1..=count).contains(&position) => Ok(position),
        _ => Err(SqlError::new(
            SqlState("42P10"),
            format!("{clause} position {position} is not in select list"),
        )),
    }
}

fn output_position(ident: &Ident, items: &[Item]) -> Option<usize> {
    let name = names::fold(ident);
    items.iter().position(|item| item.column.name == name)
}
