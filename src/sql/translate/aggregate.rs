//! Aggregate and window functions.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArgumentList,
    NullTreatment, OrderByExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec,
    WindowType,
};

use super::known::{is_ordered_set, lookup};
use super::place::Place;
use super::{Translator, Typed, names};
use crate::pg::types::calendar::MICROS_PER_DAY;
use crate::pg::types::interval::Interval;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, family};

/// What the offsets of a frame in RANGE are.
#[derive(Clone, Copy)]
enum Reach {
    Number(Oid),
    /// An interval, of days too only if all of them have 24 hours.
    Moment {
        days: bool,
    },
}

/// Whether a frame is bounded by how far the values are apart.
fn reaches(frame: &WindowFrame) -> bool {
    let far = |bound: &WindowFrameBound| {
        matches!(bound, WindowFrameBound::Preceding(Some(_)) | WindowFrameBound::Following(Some(_)))
    };
    frame.units == WindowFrameUnits::Range
        && (far(&frame.start_bound) || frame.end_bound.as_ref().is_some_and(far))
}

/// How far an interval reaches that a day of 24 hours and no month is in.
fn microseconds(reach: Interval, days: bool) -> Result<i64, SqlError> {
    if reach.months != 0 || (reach.days != 0 && !days) {
        return Err(SqlError::unsupported("RANGE over months, or over days of a time zone,"));
    }
    let days = i64::from(reach.days) * MICROS_PER_DAY;
    match days.checked_add(reach.micros) {
        Some(micros) if micros >= 0 => Ok(micros),
        _ => Err(SqlError::new(
            SqlState("22013"),
            "invalid preceding or following size in window function",
        )),
    }
}

impl Translator<'_> {
    /// An aggregate or window function.
    pub(super) fn aggregate(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        star: bool,
        list: Option<&FunctionArgumentList>,
        call: &Function,
    ) -> Result<Typed, SqlError> {
        if !call.within_group.is_empty() || is_ordered_set(name) {
            return self.ordered_set(name, arguments, call);
        }
        self.note_function(name);
        if name == "count" && arguments.is_empty() && !star {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "count(*) must be used to call a parameterless aggregate function",
            ));
        }
        let Some(known) = lookup(name) else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist"),
            ));
        };
        let set_apart = arguments.first().is_some_and(|first| self.is_set_apart(first));
        let (mut arguments, ty) = self.typed_arguments(known, arguments)?;
        if let ("max" | "min", Some(first)) = (name, arguments.first())
            && self.is_row(first.oid())
        {
            return Err(self.undefined(name, &arguments));
        }
        // The extreme of the labels' ranks, which becomes a label again below.
        let labels = matches!(name, "max" | "min")
            .then(|| self.unsorted_labels(arguments.first()?.oid()).map(<[String]>::to_vec))
            .flatten();
        if labels.is_some() {
            arguments = arguments.into_iter().map(|argument| self.ranked(argument)).collect();
        }
        let mut sqlite = if known.sqlite.is_empty() { known.name } else { known.sqlite };
        let first_type = arguments.first().map_or(Type::TEXT, |first| first.ty);
        let first = first_type.oid;
        match (name, first) {
            ("array_agg", _) => sqlite = self.array_aggregate(first),
            ("json_agg", _) if set_apart => sqlite = "towline_json_agg_lines",
            ("sum", Oid::INT8 | Oid::NUMERIC) => sqlite = "towline_sum",
            ("sum", Oid::FLOAT4) if call.over.is_some() => sqlite = "towline_real_sum_over",
            ("sum", Oid::FLOAT4) => sqlite = "towline_real_sum",
            ("sum", Oid::FLOAT8) if call.over.is_some() => sqlite = "towline_float_sum_over",
            ("sum", Oid::FLOAT8) => sqlite = "towline_float_sum",
            ("avg", Oid::FLOAT4 | Oid::FLOAT8) if call.over.is_some() => {
                sqlite = "towline_float_avg_over";
            }
            ("avg", Oid::FLOAT4 | Oid::FLOAT8) => sqlite = "towline_float_avg",
            ("sum", Oid::INTERVAL) => sqlite = "towline_interval_sum",
            ("avg", Oid::INTERVAL) => sqlite = "towline_interval_avg",
            ("avg", Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC) => sqlite = "towline_avg",
            _ => {}
        }
        let mut texts: Vec<String> = arguments.into_iter().map(|argument| argument.sql).collect();
        let distinct =
            list.and_then(|list| list.duplicate_treatment) == Some(DuplicateTreatment::Distinct);
        if (distinct || matches!(name, "max" | "min"))
            && let Some(collation) = self.order_collation(first_type)
            && let Some(text) = texts.first_mut()
        {
            *text = format!("({text}) COLLATE {collation}");
        }
        if star {
            texts.push("*".to_owned());
        }
        let mut sql = format!("{sqlite}(");
        if distinct && name == "string_agg" {
            sql = "towline_string_agg_distinct(".to_owned();
        } else if distinct {
            sql.push_str("DISTINCT ");
        }
        sql.push_str(&texts.join(", "));
        // PostgreSQL finds what is distinct by sorting, which shows in what is strung together.
        let ordered = list.is_some_and(|list| {
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        });
        if distinct
            && !ordered
            && matches!(name, "array_agg" | "json_agg" | "jsonb_agg" | "string_agg")
            && let Some(first) = texts.first()
        {
            sql.push_str(&format!(" ORDER BY {first} ASC NULLS LAST"));
        }
        for clause in list.map_or(&[][..], |list| &list.clauses) {
            match clause {
                FunctionArgumentClause::OrderBy(order) => {
                    sql.push_str(" ORDER BY ");
                    sql.push_str(&self.order_items(order)?);
                }
                other => {
                    return Err(SqlError::unsupported(format_args!("{other} in a function call")));
                }
            }
        }
        sql.push(')');
        if let Some(filter) = &call.filter {
            let condition = self.condition(filter, "FILTER")?;
            sql.push_str(&format!(" FILTER (WHERE {condition})"));
        }
        if let Some(NullTreatment::IgnoreNulls) = call.null_treatment {
            return Err(SqlError::unsupported("IGNORE NULLS"));
        }
        match &call.over {
            None => {}
            Some(WindowType::NamedWindow(window)) => {
                sql.push_str(&format!(" OVER {}", names::quote(&names::fold(window))));
            }
            Some(WindowType::WindowSpec(spec)) => {
                sql.push_str(&format!(" OVER ({})", self.window(spec)?));
            }
        }
        if let Some(labels) = labels {
            sql = super::user_type::label_of(&sql, &labels);
        }
        Ok(Typed::of(sql, ty))
    }

    /// `percentile_cont(f) WITHIN GROUP (ORDER BY x)` and its kin: aggregates of the
    /// value they order by.
    fn ordered_set(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        call: &Function,
    ) -> Result<Typed, SqlError> {
        let [order] = call.within_group.as_slice() else {
            if call.within_group.is_empty() {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
                ));
            }
            return Err(SqlError::unsupported(format_args!("WITHIN GROUP for {name}")));
        };
        if !is_ordered_set(name) {
            return Err(SqlError::unsupported(format_args!("WITHIN GROUP for {name}")));
        }
        if call.over.is_some() {
            return Err(SqlError::unsupported(format_args!(
                "OVER for ordered-set aggregate {name}"
            )));
        }
        let mut value = self.settled(&order.expr)?;
        if name == "percentile_cont" {
            if family(value.oid()) != Family::Number {
                return Err(SqlError::unsupported(format_args!(
                    "percentile_cont of type {}",
                    types::display_name(value.oid())
                )));
            }
            value = self.cast(value, Type::plain(Oid::FLOAT8))?;
        }
        let terms = self.order_item(&value, order)?;
        let fraction = match (name, arguments.len()) {
            ("mode", 0) => String::new(),
            ("percentile_cont" | "percentile_disc", 1) => {
                let [fraction] = <[Typed; 1]>::try_from(arguments).expect("its length is 1");
                if types::element_of(fraction.oid()).is_some() {
                    return Err(SqlError::unsupported(format_args!("{name} of several fractions")));
                }
                let fraction = self.coerce(fraction, Type::plain(Oid::FLOAT8))?;
                format!(", {}", fraction.sql)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {name} does not exist"),
                ));
            }
        };
        let mut sql = format!("towline_{name}({}{fraction} ORDER BY {terms})", value.sql);
        if let Some(filter) = &call.filter {
            let condition = self.condition(filter, "FILTER")?;
            sql.push_str(&format!(" FILTER (WHERE {condition})"));
        }
        Ok(Typed::of(sql, value.ty))
    }

    /// A window's definition, without parentheses.
    pub(super) fn window(&mut self, spec: &WindowSpec) -> Result<String, SqlError> {
        self.standing(Place::Definition, |this| this.window_here(spec))
    }

    fn window_here(&mut self, spec: &WindowSpec) -> Result<String, SqlError> {
        let mut parts = Vec::new();
        if let Some(base) = &spec.window_name {
            parts.push(names::quote(&names::fold(base)));
        }
        if !spec.partition_by.is_empty() {
            let mut texts = Vec::new();
            for expr in &spec.partition_by {
                texts.push(self.settled(expr)?.sql);
            }
            parts.push(format!("PARTITION BY {}", texts.join(", ")));
        }
        let (order, excluded) = super::tokens::taken_exclusion(&spec.order_by);
        if let Some(frame) = &spec.window_frame
            && frame.units == WindowFrameUnits::Groups
            && order.is_empty()
            && spec.window_name.is_none()
        {
            let message = "GROUPS mode requires an ORDER BY clause";
            return Err(SqlError::new(SqlState::WINDOWING_ERROR, message));
        }
        let reach = match &spec.window_frame {
            Some(frame) if reaches(frame) => Some(self.reach(order, &mut parts)?),
            _ => None,
        };
        if reach.is_none() && !order.is_empty() {
            parts.push(format!("ORDER BY {}", self.order_items(order)?));
        }
        if let Some(frame) = &spec.window_frame {
            parts.push(self.frame(frame, reach)?);
        }
        parts.extend(excluded);
        Ok(parts.join(" "))
    }

    /// Orders a window by a number, from which RANGE can reach so far.
    fn reach(&mut self, order: &[OrderByExpr], parts: &mut Vec<String>) -> Result<Reach, SqlError> {
        let [order] = order else {
            return Err(SqlError::new(
                SqlState::WINDOWING_ERROR,
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            ));
        };
        let mut key = self.settled(&order.expr)?;
        let reach = match key.oid() {
            oid if types::is_integer(oid) => Reach::Number(Oid::INT8),
            Oid::FLOAT4 | Oid::FLOAT8 => Reach::Number(Oid::FLOAT8),
            oid @ (Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ) => {
                key = Typed::plain(format!("towline_moment_us({})", key.sql), Oid::INT8);
                let utc = matches!(self.context.time_zone, "" | "UTC" | "Etc/UTC" | "GMT");
                Reach::Moment { days: oid != Oid::TIMESTAMPTZ || utc }
            }
            oid => {
                return Err(SqlError::unsupported(format_args!(
                    "RANGE with offset PRECEDING/FOLLOWING for column type {}",
                    types::display_name(oid)
                )));
            }
        };
        parts.push(format!("ORDER BY {}", self.order_item(&key, order)?));
        Ok(reach)
    }

    /// An offset of a frame's bound.
    fn offset(&mut self, expr: &Expr, reach: Option<Reach>) -> Result<String, SqlError> {
        let expr = self.expression(expr)?;
        Ok(match reach {
            None => self.coerce(expr, Type::plain(Oid::INT8))?.sql,
            Some(Reach::Number(oid)) => self.coerce(expr, Type::plain(oid))?.sql,
            Some(Reach::Moment { days }) => {
                let expr = self.coerce(expr, Type::plain(Oid::INTERVAL))?;
                // SQLite wants a constant.
                let literal = expr.sql.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let Some(literal) = literal else {
                    return Err(SqlError::unsupported("RANGE over an interval that is computed"));
                };
                microseconds(Interval::parse(literal)?, days)?.to_string()
            }
        })
    }

    fn frame(&mut self, frame: &WindowFrame, reach: Option<Reach>) -> Result<String, SqlError> {
        let units = match frame.units {
            WindowFrameUnits::Rows => "ROWS",
            WindowFrameUnits::Range => "RANGE",
            WindowFrameUnits::Groups => "GROUPS",
        };
        let bound = |this: &mut Self, bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => Ok("CURRENT ROW".to_owned()),
            WindowFrameBound::Preceding(None) => Ok("UNBOUNDED PRECEDING".to_owned()),
            WindowFrameBound::Following(None) => Ok("UNBOUNDED FOLLOWING".to_owned()),
            WindowFrameBound::Preceding(Some(expr)) => {
                Ok(format!("{} PRECEDING", this.offset(expr, reach)?))
            }
            WindowFrameBound::Following(Some(expr)) => {
                Ok::<_, SqlError>(format!("{} FOLLOWING", this.offset(expr, reach)?))
            }
        };
        let start = bound(self, &frame.start_bound)?;
        match &frame.end_bound {
            None => Ok(format!("{units} {start}")),
            Some(end) => {
                let end = bound(self, end)?;
                Ok(format!("{units} BETWEEN {start} AND {end}"))
            }
        }
    }

    pub(super) fn order_items(&mut self, order: &[OrderByExpr]) -> Result<String, SqlError> {
        let mut texts = Vec::with_capacity(order.len());
        for item in order {
            let typed = self.settled(&item.expr)?;
            texts.push(self.order_item(&typed, item)?);
        }
        Ok(texts.join(", "))
    }
}
