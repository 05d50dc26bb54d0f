//! What steps of a path do with single values.

use bigdecimal::{BigDecimal, RoundingMode, Zero};

use super::super::numeric;
use super::{Failure, soft};
use crate::log::Value;
use crate::pg::types::json::Json;
use crate::pg::types::jsonpath::{Arithmetic, Comparison, Method, RegexFlags};
use crate::pg::types::numeric::{compare, from_float8};
use crate::pg::{SqlError, SqlState};

/// What a method gives of one value; nothing, where that is passed over (`forgiving`).
pub(super) fn method(
    method: Method,
    value: &Json,
    strict: bool,
    forgiving: bool,
) -> Result<Option<Json>, Failure> {
    let name = method.name();
    Ok(Some(match (method, value) {
        (Method::Type, value) => Json::String(value.kind().to_owned()),
        (Method::Size, Json::Array(elements)) => Json::Number(elements.len().to_string()),
        (Method::Size, _) if !strict => Json::Number("1".to_owned()),
        (Method::Size, _) if forgiving => return Ok(None),
        (Method::Size, _) => {
            return soft("22039", "jsonpath item method .size() can only be applied to an array");
        }
        (Method::Double, Json::Number(digits)) => {
            if !digits.parse().is_ok_and(f64::is_finite) {
                return soft(
                    "22036",
                    "numeric argument of jsonpath item method .double() is out of range for \
                     type double precision",
                );
            }
            value.clone()
        }
        (Method::Double, Json::String(string)) => match string.trim().parse::<f64>() {
            Ok(float) if float.is_finite() => {
                Json::Number(from_float8(float).map_err(Failure::Soft)?)
            }
            _ => {
                return soft(
                    "22036",
                    "string argument of jsonpath item method .double() is not a valid \
                     representation of a double precision number",
                );
            }
        },
        (Method::Double, _) => {
            return soft(
                "22036",
                "jsonpath item method .double() can only be applied to a string or numeric value",
            );
        }
        (_, Json::Number(digits)) => {
            let value = decimal(digits)?;
            number(&match method {
                Method::Ceiling => numeric::at_scale(&value, 0, RoundingMode::Ceiling),
                Method::Floor => numeric::at_scale(&value, 0, RoundingMode::Floor),
                _ => value.abs(),
            })
        }
        _ => {
            return soft(
                "22036",
                format!("jsonpath item method .{name}() can only be applied to a numeric value"),
            );
        }
    }))
}

/// Values of different kinds compare only with null, which they are not.
pub(super) fn compared(op: Comparison, left: &Json, right: &Json) -> Result<Option<bool>, Failure> {
    let order = match (left, right) {
        (Json::Null, Json::Null) => std::cmp::Ordering::Equal,
        (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
        (Json::Number(left), Json::Number(right)) => compare(left, right),
        (Json::String(left), Json::String(right)) => left.cmp(right),
        (Json::Null, _) | (_, Json::Null) => return Ok(Some(op == Comparison::NotEqual)),
        _ => return Ok(None),
    };
    Ok(Some(match op {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }))
}

/// XQuery's flags as PostgreSQL's regular expressions have them.
pub(super) fn letters(flags: RegexFlags) -> &'static str {
    match (flags.ignore_case, flags.literal, flags.dot_matches_all, flags.lines) {
        (false, true, ..) => "q",
        (true, true, ..) => "iq",
        (false, false, false, false) => "p",
        (false, false, false, true) => "n",
        (false, false, true, false) => "s",
        (false, false, true, true) => "w",
        (true, false, false, false) => "ip",
        (true, false, false, true) => "in",
        (true, false, true, false) => "is",
        (true, false, true, true) => "iw",
    }
}

pub(super) fn decimal(digits: &str) -> Result<BigDecimal, Failure> {
    digits.parse().map_err(|_| {
        Failure::Soft(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value overflows numeric format",
        ))
    })
}

pub(super) fn number(value: &BigDecimal) -> Json {
    match numeric::printed(value) {
        Value::Text(digits) => Json::Number(digits),
        _ => Json::Null,
    }
}

pub(super) fn calculate(
    op: Arithmetic,
    left: &BigDecimal,
    right: &BigDecimal,
) -> Result<BigDecimal, Failure> {
    Ok(match op {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => numeric::divide(left, right).map_err(Failure::Soft)?,
        Arithmetic::Modulo if right.is_zero() => {
            return Err(Failure::Soft(numeric::division_by_zero()));
        }
        Arithmetic::Modulo => left % right,
    })
}
