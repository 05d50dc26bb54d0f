//! Operators whose meaning differs between PostgreSQL and SQLite, under the internal
//! names that the translator emits.
//!
//! | names | what they are |
//! |---|---|
//! | `towline_int2_add` … `towline_int8_shr` | integer arithmetic that overflows into 22003 and divides by zero into 22012 |
//! | `towline_float8_*`, `towline_float4_*` | float arithmetic with PostgreSQL's errors |
//! | `towline_numeric_*` | exact decimal arithmetic |
//! | `towline_date_*`, `towline_timestamp_*`, `towline_time_*`, `towline_interval_*` | dates, times and intervals |
//! | `towline_greatest`, `towline_least`, `towline_numeric_greatest`, … | the largest and smallest argument that isn't NULL |
//! | `towline_xor`, `towline_bytea_concat`, `towline_bytea_like` | the rest |
//!
//! All but those that pick an argument are NULL if any argument is.

use std::cmp::Ordering;

use bigdecimal::{BigDecimal, Zero};

use super::call::{Answer, Call, Registry, real};
use crate::log::{Value, ValueRef};
use crate::pg::types::fixed::Fixed;
use crate::pg::types::interval::{Interval, timestamp_minus, timestamp_plus, timestamptz_plus};
use crate::pg::types::number::check_integer;
use crate::pg::types::zone::Zone;
use crate::pg::types::{datetime, interval, numeric, out_of_range};
use crate::pg::{Oid, SqlError, SqlState};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Arguments read as the types that the translator has made sure of. A value of another kind
/// comes from a table that SQLite's own tools have written.
impl Call<'_, '_> {
    pub(super) fn decimal(&self, at: usize) -> Result<Decimal, SqlError> {
        Decimal::read(&self.text(at)?)
    }

    pub(super) fn interval(&self, at: usize) -> Result<Interval, SqlError> {
        Interval::parse(&self.text(at)?)
    }

    /// A date as days, a timestamp (with or without zone) as microseconds.
    pub(super) fn timestamp(&self, at: usize) -> Result<i64, SqlError> {
        let text = self.text(at)?;
        if datetime::shown(&text).trim_end_matches(" BC").ends_with("+00") {
            datetime::parse_timestamptz(&text, &Zone::UTC, None)
        } else {
            datetime::parse_timestamp(&text, &Zone::UTC, None)
        }
    }

    fn date(&self, at: usize) -> Result<i32, SqlError> {
        datetime::parse_date(&self.text(at)?, &Zone::UTC, None)
    }

    pub(super) fn zone(&self, at: usize) -> Result<Zone, SqlError> {
        let name = self.text(at)?;
        Zone::parse(&name).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{name}\" not recognized"),
            )
        })
    }
}

fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    register_integers(registry)?;
    register_floats(registry)?;
    register_numerics(registry)?;
    register_times(registry)?;
    register_intervals(registry)?;
    for (name, numeric, wanted) in [
        ("towline_greatest", false, Ordering::Greater),
        ("towline_least", false, Ordering::Less),
        ("towline_numeric_greatest", true, Ordering::Greater),
        ("towline_numeric_least", true, Ordering::Less),
    ] {
        registry.lenient(name, -1, move |call| {
            let mut best = ValueRef::Null;
            for at in 0..call.len() {
                let value = call.value(at);
                let is_better = || compare(value, best, numeric) == wanted;
                if value != ValueRef::Null && (best == ValueRef::Null || is_better()) {
                    best = value;
                }
            }
            Ok(best.to_owned())
        })?;
    }
    registry
        .strict("towline_xor", 2, |call| Ok(Value::Integer(call.integer(0)? ^ call.integer(1)?)))?;
    for count in [2, 3] {
        registry.strict("towline_bytea_like", count, |call| {
            let bytes = |at| match call.value(at) {
                ValueRef::Text(text) => text.as_bytes(),
                ValueRef::Blob(bytes) => bytes,
                _ => &[][..],
            };
            let escape = match (call.len(), bytes(call.len() - 1)) {
                (2, _) => Some(b'\\'),
                (_, []) => None,
                (_, [escape]) => Some(*escape),
                _ => {
                    return Err(SqlError::new(SqlState("22025"), "invalid escape string")
                        .with_hint("Escape string must be empty or one character."));
                }
            };
            bytes_like(bytes(0), bytes(1), escape).map(|found| Value::Integer(found.into()))
        })?;
    }
    registry.strict("towline_bytea_concat", 2, |call| {
        Ok(Value::Blob([call.bytes(0)?, call.bytes(1)?].concat()))
    })
}

/// LIKE over bytes.
fn bytes_like(value: &[u8], pattern: &[u8], escape: Option<u8>) -> Result<bool, SqlError> {
    let (mut at, mut place) = (0, 0);
    // Where the last `%` stands, and how much of the value it has taken.
    let mut wild: Option<(usize, usize)> = None;
    loop {
        let escaped = escape.is_some() && pattern.get(place).copied() == escape;
        let wanted = pattern.get(place + usize::from(escaped));
        if escaped && wanted.is_none() {
            return Err(SqlError::new(
                SqlState("22025"),
                "LIKE pattern must not end with escape character",
            ));
        }
        match (wanted, value.get(at)) {
            (Some(b'%'), _) if !escaped => {
                wild = Some((place, at));
                place += 1;
                continue;
            }
            (None, None) => return Ok(true),
            (Some(wanted), Some(byte)) if wanted == byte || (*wanted == b'_' && !escaped) => {
                place += 1 + usize::from(escaped);
                at += 1;
                continue;
            }
            _ => {}
        }
        match &mut wild {
            Some((percent, taken)) if *taken < value.len() => {
                *taken += 1;
                (place, at) = (*percent + 1, *taken);
            }
            _ => return Ok(false),
        }
    }
}

/// Orders two values of one type.
fn compare(left: ValueRef<'_>, right: ValueRef<'_>, decimal: bool) -> Ordering {
    match (left, right) {
        (ValueRef::Integer(left), ValueRef::Integer(right)) => left.cmp(&right),
        (ValueRef::Integer(left), ValueRef::Real(right)) => (left as f64).total_cmp(&right),
        (ValueRef::Real(left), ValueRef::Integer(right)) => left.total_cmp(&(right as f64)),
        (ValueRef::Real(left), ValueRef::Real(right)) => left.total_cmp(&right),
        (ValueRef::Text(left), ValueRef::Text(right)) if decimal => numeric::compare(left, right),
        (ValueRef::Text(left), ValueRef::Text(right)) => left.cmp(right),
        (ValueRef::Blob(left), ValueRef::Blob(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

fn register_integers(registry: Registry<'_>) -> rusqlite::Result<()> {
    type Operation = fn(i64, i64) -> Option<i64>;
    let operations: [(&str, Operation); 5] = [
        ("add", i64::checked_add),
        ("sub", i64::checked_sub),
        ("mul", i64::checked_mul),
        ("div", i64::checked_div),
        // The remainder of the smallest number by -1 is 0, not an overflow.
        ("mod", |left, right| Some(left.checked_rem(right).unwrap_or(0))),
    ];
    for (name, oid, long) in [
        ("int2", Oid::INT2, "smallint"),
        ("int4", Oid::INT4, "integer"),
        ("int8", Oid::INT8, "bigint"),
    ] {
        for (operator, operation) in operations {
            let divides = matches!(operator, "div" | "mod");
            registry.strict(&format!("towline_{name}_{operator}"), 2, move |call| {
                let (left, right) = (call.integer(0)?, call.integer(1)?);
                if divides && right == 0 {
                    return Err(division_by_zero());
                }
                let result = operation(left, right).ok_or_else(|| out_of_range(long))?;
                check_integer(result, oid).map(Value::Integer)
            })?;
        }
        let bits: u32 = match oid {
            Oid::INT2 => 16,
            Oid::INT4 => 32,
            _ => 64,
        };
        // As the processor shifts: the count is taken modulo the width.
        let wrap = move |value: i64| match bits {
            16 => i64::from(value as i16),
            32 => i64::from(value as i32),
            _ => value,
        };
        registry.strict(&format!("towline_{name}_shl"), 2, move |call| {
            let count = call.integer(1)? as u32 & (bits.max(32) - 1);
            Ok(Value::Integer(wrap(call.integer(0)?.wrapping_shl(count))))
        })?;
        registry.strict(&format!("towline_{name}_shr"), 2, move |call| {
            let count = call.integer(1)? as u32 & (bits.max(32) - 1);
            Ok(Value::Integer(wrap(call.integer(0)?.wrapping_shr(count))))
        })?;
    }
    Ok(())
}

fn register_floats(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_float8_pow", 2, move |call| {
        power(call.real(0)?, call.real(1)?).and_then(real)
    })?;
    type Operation = fn(f64, f64) -> f64;
    let operations: [(&str, Operation); 4] = [
        ("add", |left, right| left + right),
        ("sub", |left, right| left - right),
        ("mul", |left, right| left * right),
        ("div", |left, right| left / right),
    ];
    for (operator, operation) in operations {
        for single in [false, true] {
            let width = if single { 4 } else { 8 };
            let name = format!("towline_float{width}_{operator}");
            registry.strict(&name, 2, move |call| {
                let (left, right) = (call.real(0)?, call.real(1)?);
                if operator == "div" && right == 0.0 && !left.is_nan() {
                    return Err(division_by_zero());
                }
                // A double has room enough for one operation on singles to round but once.
                let mut result = operation(left, right);
                if single {
                    result = f64::from(result as f32);
                }
                if result.is_infinite() && left.is_finite() && right.is_finite() {
                    return Err(float_out_of_range("overflow"));
                }
                let factors = operator == "mul" || operator == "div" && right.is_finite();
                if result == 0.0 && factors && left != 0.0 && right != 0.0 {
                    return Err(float_out_of_range("underflow"));
                }
                real(result)
            })?;
        }
    }
    Ok(())
}

/// A float's value that its type can't hold.
pub(super) fn float_out_of_range(how: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {how}"))
}

/// `base ^ exponent`, with PostgreSQL's errors.
fn power(base: f64, exponent: f64) -> Result<f64, SqlError> {
    let invalid = |message| Err(SqlError::new(SqlState("2201F"), message));
    if base == 0.0 && exponent < 0.0 {
        return invalid("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.fract() != 0.0 {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: overflow",
        ));
    }
    Ok(result)
}

/// A numeric value: a decimal, or one of the three that are no number.
#[derive(Clone, Debug)]
pub(super) enum Decimal {
    Finite(BigDecimal),
    Special(f64),
}

impl Decimal {
    pub(super) fn read(text: &str) -> Result<Self, SqlError> {
        if let Ok(value) = text.parse::<BigDecimal>()
            && !text.contains(['e', 'E'])
        {
            return Ok(Self::Finite(value));
        }
        let text = numeric::canonical(text)?;
        match text.parse::<BigDecimal>() {
            Ok(value) => Ok(Self::Finite(value)),
            Err(_) if text.starts_with('-') => Ok(Self::Special(f64::NEG_INFINITY)),
            Err(_) if text.ends_with("Infinity") => Ok(Self::Special(f64::INFINITY)),
            Err(_) => Ok(Self::Special(f64::NAN)),
        }
    }

    pub(super) fn write(self) -> Answer {
        match self {
            Self::Finite(value) => numeric::canonical(&value.to_plain_string()).map(Value::Text),
            Self::Special(value) if value.is_nan() => Ok(Value::Text("NaN".to_owned())),
            Self::Special(value) if value > 0.0 => Ok(Value::Text("Infinity".to_owned())),
            Self::Special(_) => Ok(Value::Text("-Infinity".to_owned())),
        }
    }

    /// Its value among floats: exact for what is no number.
    fn as_float(&self) -> f64 {
        match self {
            Self::Finite(value) if value.is_zero() => 0.0,
            Self::Finite(value) if value.sign() == bigdecimal::num_bigint::Sign::Minus => -1.0,
            Self::Finite(_) => 1.0,
            Self::Special(value) => *value,
        }
    }
}

/// A product has as many decimals as its factors together, also where one of them is 1.
fn multiply(left: &BigDecimal, right: &BigDecimal) -> BigDecimal {
    let ((left, scale), (right, more)) =
        (left.as_bigint_and_exponent(), right.as_bigint_and_exponent());
    BigDecimal::new(left * right, scale + more)
}

fn register_numerics(registry: Registry<'_>) -> rusqlite::Result<()> {
    type Exact = fn(&BigDecimal, &BigDecimal) -> Result<BigDecimal, SqlError>;
    type Limit = fn(f64, f64) -> f64;
    type Short = fn(Fixed, Fixed) -> Option<Fixed>;
    let operations: [(&str, Short, Exact, Limit); 5] = [
        ("add", Fixed::checked_add, |left, right| Ok(left + right), |left, right| left + right),
        ("sub", Fixed::checked_sub, |left, right| Ok(left - right), |left, right| left - right),
        (
            "mul",
            Fixed::checked_mul,
            |left, right| Ok(multiply(left, right)),
            |left, right| left * right,
        ),
        ("div", |_, _| None, super::numeric::divide, |left, right| left / right),
        ("mod", |_, _| None, remainder, |left, right| left % right),
    ];
    for (operator, short, exact, limit) in operations {
        registry.strict(&format!("towline_numeric_{operator}"), 2, move |call| {
            let (left, right) = (call.text(0)?, call.text(1)?);
            if let (Some(left), Some(right)) = (Fixed::parse(&left), Fixed::parse(&right))
                && let Some(result) = short(left, right)
            {
                return Ok(Value::Text(result.to_string()));
            }
            let (left, right) = (Decimal::read(&left)?, Decimal::read(&right)?);
            let result = match (&left, &right) {
                (Decimal::Finite(left), Decimal::Finite(right)) => {
                    Decimal::Finite(exact(left, right)?)
                }
                _ if matches!(operator, "div" | "mod")
                    && right.as_float() == 0.0
                    && !left.as_float().is_nan() =>
                {
                    return Err(division_by_zero());
                }
                // Nothing finite is as large as an infinity: it remains whole.
                (Decimal::Finite(left), Decimal::Special(right))
                    if operator == "mod" && right.is_infinite() =>
                {
                    Decimal::Finite(left.clone())
                }
                _ => {
                    let value = limit(left.as_float(), right.as_float());
                    if value.is_finite() {
                        Decimal::Finite(BigDecimal::zero())
                    } else {
                        Decimal::Special(value)
                    }
                }
            };
            result.write()
        })?;
    }
    registry.strict("towline_numeric_neg", 1, |call| match call.decimal(0)? {
        Decimal::Finite(value) => Decimal::Finite(-value).write(),
        Decimal::Special(value) => Decimal::Special(-value).write(),
    })?;
    registry.strict("towline_numeric_pow", 2, |call| match (call.decimal(0)?, call.decimal(1)?) {
        (Decimal::Finite(base), Decimal::Finite(exponent)) => {
            Decimal::Finite(super::numeric::power(&base, &exponent)?).write()
        }
        (base, exponent) => {
            let value = power(base.as_float(), exponent.as_float())?;
            if value.is_finite() {
                Decimal::read(&value.to_string())?.write()
            } else {
                Decimal::Special(value).write()
            }
        }
    })
}

fn remainder(left: &BigDecimal, right: &BigDecimal) -> Result<BigDecimal, SqlError> {
    if right.is_zero() {
        return Err(division_by_zero());
    }
    Ok(left % right)
}

pub(super) fn date_text(days: i64) -> Answer {
    let days = i32::try_from(days)
        .ok()
        .filter(|days| datetime::date_in_range(i64::from(*days)))
        .ok_or_else(|| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"))?;
    let mut text = String::new();
    datetime::print_date(days, &mut text);
    Ok(Value::Text(text))
}

pub(super) fn timestamp_text(micros: i64) -> Answer {
    let mut text = String::new();
    datetime::print_timestamp(micros, &mut text);
    Ok(Value::Text(text))
}

pub(super) fn timestamptz_text(micros: i64) -> Answer {
    let mut text = String::new();
    datetime::print_timestamptz(micros, &Zone::UTC, &mut text);
    Ok(Value::Text(text))
}

pub(super) fn time_text(micros: i64) -> Answer {
    let mut text = String::new();
    datetime::print_time(micros, &mut text);
    Ok(Value::Text(text))
}

pub(super) fn interval_text(interval: Option<Interval>) -> Answer {
    let interval = interval.ok_or_else(interval::interval_out_of_range)?;
    Ok(Value::Text(interval.to_string()))
}

fn register_times(registry: Registry<'_>) -> rusqlite::Result<()> {
    let infinite = |date: i32| matches!(date, i32::MIN | i32::MAX);
    for (function, sign) in [("towline_date_add", 1), ("towline_date_sub", -1)] {
        registry.strict(function, 2, move |call| {
            let (date, days) = (call.date(0)?, call.integer(1)?);
            if infinite(date) {
                return call.text(0).map(|text| Value::Text(text.into_owned()));
            }
            date_text(i64::from(date).saturating_add(days.saturating_mul(sign)))
        })?;
    }
    // Where no such moment is, infinity is as good.
    registry.strict("towline_days_off", 2, |call| {
        let (moment, days) = (call.timestamp(0)?, call.integer(1)?);
        let moved = days.checked_mul(DAY_US).and_then(|off| moment.checked_add(off));
        let limit = if days > 0 { i64::MAX } else { i64::MIN };
        timestamp_text(
            moved.filter(|micros| datetime::timestamp_in_range(*micros)).unwrap_or(limit),
        )
    })?;
    registry.strict("towline_date_timetz", 2, |call| {
        let (time, offset) = datetime::parse_timetz(&call.text(1)?, &Zone::UTC, None)?;
        let micros = i64::from(call.date(0)?)
            .checked_mul(DAY_US)
            .and_then(|day| day.checked_add(time - i64::from(offset) * 1_000_000))
            .filter(|micros| datetime::timestamp_in_range(*micros))
            .ok_or_else(|| {
                SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
            })?;
        timestamptz_text(micros)
    })?;
    registry.strict("towline_date_diff", 2, move |call| {
        let (left, right) = (call.date(0)?, call.date(1)?);
        if infinite(left) || infinite(right) {
            let message = "cannot subtract infinite dates";
            return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
        }
        Ok(Value::Integer(i64::from(left) - i64::from(right)))
    })?;
    registry.strict("towline_timestamp_diff", 2, |call| {
        interval_text(Some(timestamp_minus(call.timestamp(0)?, call.timestamp(1)?)?))
    })?;
    // With a zone as third argument the timestamp has one, and days are that zone's.
    for count in [2, 3] {
        registry.strict("towline_timestamp_add", count, |call| {
            let (moment, interval) = (call.timestamp(0)?, call.interval(1)?);
            if call.len() == 2 {
                return timestamp_text(timestamp_plus(moment, interval)?);
            }
            timestamptz_text(timestamptz_plus(moment, interval, &call.zone(2)?)?)
        })?;
    }
    registry.strict("towline_time_add", 2, |call| {
        let text = call.text(0)?;
        let interval = call.interval(1)?;
        // A time with a zone keeps it.
        if text.len() > 8 && text[8..].contains(['+', '-']) {
            let (time, offset) = datetime::parse_timetz(&text, &Zone::UTC, None)?;
            let mut out = String::new();
            datetime::print_timetz(
                (time + interval.micros % DAY_US).rem_euclid(DAY_US),
                offset,
                &mut out,
            );
            return Ok(Value::Text(out));
        }
        let time = datetime::parse_time(&text, &Zone::UTC, None)?;
        time_text((time + interval.micros % DAY_US).rem_euclid(DAY_US))
    })?;
    registry.strict("towline_time_diff", 2, |call| {
        let left = datetime::parse_time(&call.text(0)?, &Zone::UTC, None)?;
        let right = datetime::parse_time(&call.text(1)?, &Zone::UTC, None)?;
        interval_text(Some(Interval { micros: left - right, ..Interval::default() }))
    })
}

fn register_intervals(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_interval_add", 2, |call| {
        interval_text(call.interval(0)?.checked_add(call.interval(1)?))
    })?;
    registry
        .strict("towline_interval_neg", 1, |call| interval_text(call.interval(0)?.checked_neg()))?;
    registry.strict("towline_interval_mul", 2, |call| {
        interval_text(call.interval(0)?.checked_mul(call.real(1)?))
    })?;
    registry.strict("towline_interval_div", 2, |call| {
        let divisor = call.real(1)?;
        if divisor == 0.0 {
            return Err(division_by_zero());
        }
        interval_text(call.interval(0)?.checked_mul(1.0 / divisor))
    })?;
    registry.connection.create_collation("interval", |left, right| {
        let estimate = |text| Interval::parse(text).map(Interval::estimate).ok();
        estimate(left).cmp(&estimate(right))
    })?;
    registry.strict("towline_interval_fit", 2, |call| {
        let modifier = i32::try_from(call.integer(1)?).unwrap_or(-1);
        interval_text(Some(call.interval(0)?.fit(modifier)))
    })?;
    // What intervals compare and sort by.
    registry.strict("towline_interval_us", 1, |call| {
        let estimate = call.interval(0)?.estimate();
        let bounded = estimate.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Ok(Value::Integer(bounded as i64))
    })
}
