//! PostgreSQL's mathematical functions: on numerics exactly, on floats as C does.
//!
//! SQLite has functions of most of these names, which work on floats only and answer
//! NULL where PostgreSQL raises an error; the translator calls ours instead:
//!
//! | PostgreSQL                          | here                              |
//! |-------------------------------------|-----------------------------------|
//! | `abs ceil floor round trunc sign`   | `towline_abs` and so on           |
//! | `sqrt exp ln power`                 | `towline_sqrt` and so on          |
//! | `asinh atan atan2 cos cosh …`, which SQLite answers NaN with NULL | `towline_sin` and so on |
//! | `log`, `log10`                      | `towline_log`                     |
//! | `acos asin cot div factorial gcd lcm mod scale trim_scale width_bucket` | the same |

use std::cmp::Ordering;

use bigdecimal::{BigDecimal, RoundingMode, Signed, Zero};

use super::PURE;
use super::call::{Answer, Call, Registry, integer, real};
use super::numeric::{self, Number, division_by_zero, printed};
use crate::log::Value;
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("acos", 1, |call| in_unit(call, f64::acos)),
            ("asin", 1, |call| in_unit(call, f64::asin)),
            ("cbrt", 1, |call| Ok(Value::Real(call.real(0)?.cbrt()))),
            ("cot", 1, |call| Ok(Value::Real(1.0 / call.real(0)?.tan()))),
            ("div", 2, div),
            ("factorial", 1, factorial),
            ("gcd", 2, |call| integers(call, |left, right| gcd(left.into(), right.into()))),
            ("lcm", 2, |call| integers(call, lcm)),
            ("min_scale", 1, |call| scale_of(call, true)),
            ("mod", 2, modulo),
            ("scale", 1, |call| scale_of(call, false)),
            ("towline_abs", 1, abs),
            ("towline_acosh", 1, acosh),
            ("towline_asinh", 1, |call| real(call.real(0)?.asinh())),
            ("towline_atan", 1, |call| real(call.real(0)?.atan())),
            ("towline_atan2", 2, |call| real(call.real(0)?.atan2(call.real(1)?))),
            ("towline_cos", 1, |call| circular(call, f64::cos)),
            ("towline_cosh", 1, |call| real(call.real(0)?.cosh())),
            ("towline_degrees", 1, |call| {
                let value = call.real(0)?;
                finite(value.to_degrees(), &[value])
            }),
            ("towline_radians", 1, |call| real(call.real(0)?.to_radians())),
            ("towline_sin", 1, |call| circular(call, f64::sin)),
            ("towline_sinh", 1, |call| real(call.real(0)?.sinh())),
            ("towline_tan", 1, |call| circular(call, f64::tan)),
            ("towline_tanh", 1, |call| real(call.real(0)?.tanh())),
            ("towline_atanh", 1, |call| in_unit(call, f64::atanh)),
            ("towline_ceil", 1, |call| to_whole(call, f64::ceil, RoundingMode::Ceiling)),
            ("towline_exp", 1, exp),
            ("towline_floor", 1, |call| to_whole(call, f64::floor, RoundingMode::Floor)),
            ("towline_ln", 1, ln),
            ("towline_log", 1, log10),
            ("towline_log", 2, log),
            ("towline_power", 2, power),
            ("power", 2, power),
            ("towline_round", 1, |call| to_whole(call, f64::round_ties_even, RoundingMode::HalfUp)),
            ("towline_round", 2, |call| to_scale(call, RoundingMode::HalfUp)),
            ("towline_sign", 1, sign),
            ("towline_sqrt", 1, sqrt),
            ("towline_trunc", 1, |call| to_whole(call, f64::trunc, RoundingMode::Down)),
            ("towline_trunc", 2, |call| to_scale(call, RoundingMode::Down)),
            ("trim_scale", 1, trim_scale),
            ("width_bucket", 4, width_bucket),
        ],
    )
}

fn number(call: &Call<'_, '_>, at: usize) -> Result<Number, SqlError> {
    Number::of(call.value(at))
}

fn out_of_range(kind: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{kind} out of range"))
}

/// A float result, which must be finite if the arguments were.
fn finite(result: f64, arguments: &[f64]) -> Answer {
    if result.is_infinite() && arguments.iter().all(|argument| argument.is_finite()) {
        let message = "value out of range: overflow";
        return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    real(result)
}

pub(super) fn out_of_domain() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// A function of -1 to 1.
pub(super) fn in_unit(call: &Call<'_, '_>, function: fn(f64) -> f64) -> Answer {
    let value = call.real(0)?;
    if value.abs() > 1.0 { Err(out_of_domain()) } else { real(function(value)) }
}

/// A function of an angle, which is not infinite.
fn circular(call: &Call<'_, '_>, function: fn(f64) -> f64) -> Answer {
    let value = call.real(0)?;
    if value.is_infinite() { Err(out_of_domain()) } else { real(function(value)) }
}

fn acosh(call: &Call<'_, '_>) -> Answer {
    let value = call.real(0)?;
    if value < 1.0 { Err(out_of_domain()) } else { real(value.acosh()) }
}

fn abs(call: &Call<'_, '_>) -> Answer {
    Ok(match number(call, 0)? {
        Number::Integer(value) => {
            Value::Integer(value.checked_abs().ok_or_else(|| out_of_range("bigint"))?)
        }
        Number::Real(value) => Value::Real(value.abs()),
        Number::Numeric(value) => printed(&value.abs()),
        Number::Special(text) => Value::Text(text.trim_start_matches('-').to_owned()),
    })
}

fn sign(call: &Call<'_, '_>) -> Answer {
    #[allow(clippy::cast_precision_loss)]
    Ok(match number(call, 0)? {
        Number::Integer(value) => Value::Real(value.signum() as f64),
        Number::Real(0.0) => Value::Real(0.0),
        Number::Real(value) => Value::Real(value.signum()),
        Number::Numeric(value) => printed(&value.signum().with_scale(0)),
        Number::Special(text) => match text.as_str() {
            "Infinity" => Value::Text("1".to_owned()),
            "-Infinity" => Value::Text("-1".to_owned()),
            _ => Value::Text(text),
        },
    })
}

/// To a whole number: an integer is taken for a float, as PostgreSQL does.
fn to_whole(call: &Call<'_, '_>, float: fn(f64) -> f64, mode: RoundingMode) -> Answer {
    #[allow(clippy::cast_precision_loss)]
    Ok(match number(call, 0)? {
        Number::Integer(value) => Value::Real(value as f64),
        Number::Real(value) => Value::Real(float(value)),
        Number::Numeric(value) => printed(&numeric::at_scale(&value, 0, mode)),
        Number::Special(text) => Value::Text(text),
    })
}

fn to_scale(call: &Call<'_, '_>, mode: RoundingMode) -> Answer {
    let number = number(call, 0)?;
    let scale = call.integer(1)?;
    match number.exact() {
        Some(value) => Ok(printed(&numeric::at_scale(&value, scale, mode))),
        None => Ok(Value::Text(call.text(0)?.into_owned())),
    }
}

fn scale_of(call: &Call<'_, '_>, least: bool) -> Answer {
    match number(call, 0)?.exact() {
        Some(value) if least => integer(value.normalized().fractional_digit_count().max(0)),
        Some(value) => integer(value.fractional_digit_count().max(0)),
        None => Ok(Value::Null),
    }
}

fn trim_scale(call: &Call<'_, '_>) -> Answer {
    match number(call, 0)?.exact() {
        Some(value) => Ok(printed(&value.normalized())),
        None => Ok(Value::Text(call.text(0)?.into_owned())),
    }
}

/// A function of one argument: on numerics exactly, else on floats.
fn unary(
    call: &Call<'_, '_>,
    exact: fn(&BigDecimal) -> Result<BigDecimal, SqlError>,
    float: fn(f64) -> Result<f64, SqlError>,
) -> Answer {
    match number(call, 0)? {
        Number::Numeric(value) => exact(&value).map(|value| printed(&value)),
        Number::Special(text) if text == "NaN" => Ok(Value::Text(text)),
        other => finite(float(other.real())?, &[other.real()]),
    }
}

fn sqrt(call: &Call<'_, '_>) -> Answer {
    unary(call, numeric::square_root, |value| {
        if value < 0.0 {
            return Err(SqlError::new(
                SqlState("2201F"),
                "cannot take square root of a negative number",
            ));
        }
        Ok(value.sqrt())
    })
}

fn exp(call: &Call<'_, '_>) -> Answer {
    unary(call, numeric::exponential, |value| match value.exp() {
        0.0 if value.is_finite() => Err(super::operators::float_out_of_range("underflow")),
        result => Ok(result),
    })
}

fn check_logarithm(value: f64) -> Result<(), SqlError> {
    if value == 0.0 {
        return Err(SqlError::new(SqlState("2201E"), "cannot take logarithm of zero"));
    }
    if value < 0.0 {
        let message = "cannot take logarithm of a negative number";
        return Err(SqlError::new(SqlState("2201E"), message));
    }
    Ok(())
}

fn ln(call: &Call<'_, '_>) -> Answer {
    unary(call, numeric::natural_logarithm, |value| {
        check_logarithm(value)?;
        Ok(value.ln())
    })
}

fn log10(call: &Call<'_, '_>) -> Answer {
    unary(
        call,
        |value| numeric::logarithm(&BigDecimal::from(10), value),
        |value| {
            check_logarithm(value)?;
            Ok(value.log10())
        },
    )
}

/// `log(base, value)` exists for numerics only.
fn log(call: &Call<'_, '_>) -> Answer {
    let (base, value) = (number(call, 0)?, number(call, 1)?);
    if let (Some(base), Some(value)) = (base.exact(), value.exact()) {
        return numeric::logarithm(&base, &value).map(|value| printed(&value));
    }
    let (base, value) = (base.real(), value.real());
    if base.is_nan() || value.is_nan() {
        return special(f64::NAN);
    }
    let (base_sign, sign) = (signum(base), signum(value));
    check_logarithm(base_sign.min(sign))?;
    match (base.is_infinite(), value.is_infinite()) {
        (true, true) => special(f64::NAN),
        (true, false) => special(0.0),
        _ => special(f64::INFINITY),
    }
}

/// The sign of a number that isn't NaN: -1, 0 or 1.
fn signum(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

/// A numeric result that an infinity or NaN among the arguments has led to.
fn special(value: f64) -> Answer {
    Ok(Value::Text(if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        value.to_string()
    }))
}

/// `power` of numerics of which one at least is no finite number.
fn special_power(base: &Number, exponent: &Number) -> Answer {
    let is_odd = match exponent.exact() {
        Some(exponent) => exponent.is_integer() && !(exponent / BigDecimal::from(2)).is_integer(),
        None => false,
    };
    let is_whole = exponent.exact().is_none_or(|exponent| exponent.is_integer());
    // Of a finite number only its sign counts here, and whether its size is 1.
    let one = BigDecimal::from(1);
    let size = base.exact().map_or(f64::INFINITY, |base| match base.abs().cmp(&one) {
        Ordering::Less if base.is_zero() => 0.0,
        Ordering::Less => 0.5,
        Ordering::Equal => 1.0,
        Ordering::Greater => 2.0,
    });
    let (base, exponent) = (base.real(), exponent.real());
    if base.is_nan() {
        return special(if exponent == 0.0 { 1.0 } else { f64::NAN });
    }
    if exponent.is_nan() {
        return special(if base == 1.0 { 1.0 } else { f64::NAN });
    }
    if base == 0.0 && exponent < 0.0 {
        let message = "zero raised to a negative power is undefined";
        return Err(SqlError::new(SqlState("2201F"), message));
    }
    if base < 0.0 && !is_whole {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(SqlError::new(SqlState("2201F"), message));
    }
    if exponent == 0.0 || size == 1.0 {
        return special(1.0);
    }
    let grows = (size > 1.0) == (exponent > 0.0);
    special(match grows {
        true if base < 0.0 && is_odd => f64::NEG_INFINITY,
        true => f64::INFINITY,
        false => 0.0,
    })
}

fn power(call: &Call<'_, '_>) -> Answer {
    let (base, exponent) = (number(call, 0)?, number(call, 1)?);
    let is_numeric = |number: &Number| matches!(number, Number::Numeric(_) | Number::Special(_));
    let is_real = |number: &Number| matches!(number, Number::Real(_));
    if (is_numeric(&base) || is_numeric(&exponent)) && !is_real(&base) && !is_real(&exponent) {
        return match (base.exact(), exponent.exact()) {
            (Some(base), Some(exponent)) => {
                numeric::power(&base, &exponent).map(|value| printed(&value))
            }
            _ => special_power(&base, &exponent),
        };
    }
    let (base, exponent) = (base.real(), exponent.real());
    if base == 0.0 && exponent < 0.0 {
        let message = "zero raised to a negative power is undefined";
        return Err(SqlError::new(SqlState("2201F"), message));
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(SqlError::new(SqlState("2201F"), message));
    }
    finite(base.powf(exponent), &[base, exponent])
}

/// Quotient cut to a whole number.
fn div(call: &Call<'_, '_>) -> Answer {
    let (dividend, divisor) = (number(call, 0)?, number(call, 1)?);
    if let (Some(dividend), Some(divisor)) = (dividend.exact(), divisor.exact()) {
        return Ok(printed(&numeric::divide_whole(&dividend, &divisor)?.0));
    }
    let (dividend, divisor) = (dividend.real(), divisor.real());
    match divisor {
        0.0 if !dividend.is_nan() => Err(division_by_zero()),
        divisor if divisor.is_infinite() && dividend.is_finite() => special(0.0),
        divisor => special(dividend / divisor),
    }
}

fn modulo(call: &Call<'_, '_>) -> Answer {
    match (number(call, 0)?, number(call, 1)?) {
        (Number::Integer(_), Number::Integer(0)) => Err(division_by_zero()),
        // The least integer by -1 leaves nothing, though its quotient overflows.
        (Number::Integer(dividend), Number::Integer(divisor)) => {
            integer(dividend.wrapping_rem(divisor))
        }
        (dividend, divisor) => match (dividend.exact(), divisor.exact()) {
            (Some(dividend), Some(divisor)) => {
                Ok(printed(&numeric::divide_whole(&dividend, &divisor)?.1))
            }
            // Nothing finite is as large as an infinity: it remains whole.
            (Some(dividend), None) if divisor.real().is_infinite() => Ok(printed(&dividend)),
            (None, Some(divisor)) if divisor.is_zero() && !dividend.real().is_nan() => {
                Err(division_by_zero())
            }
            _ => special(f64::NAN),
        },
    }
}

/// A function of two integers, which numerics without decimals are too.
fn integers(call: &Call<'_, '_>, function: fn(i64, i64) -> Option<i128>) -> Answer {
    let result = function(call.integer(0)?, call.integer(1)?);
    let result = result.and_then(|result| i64::try_from(result).ok());
    result.map_or_else(|| Err(out_of_range("bigint")), integer)
}

fn gcd(left: i128, right: i128) -> Option<i128> {
    let (mut left, mut right) = (left.abs(), right.abs());
    while right != 0 {
        (left, right) = (right, left % right);
    }
    Some(left)
}

fn lcm(left: i64, right: i64) -> Option<i128> {
    let (left, right) = (i128::from(left), i128::from(right));
    match gcd(left, right)? {
        0 => Some(0),
        divisor => Some((left / divisor * right).abs()),
    }
}

/// More is 22003: `factorial` of a larger number would take very long.
const FACTORIAL_MAX: i64 = 5000;

fn factorial(call: &Call<'_, '_>) -> Answer {
    let value = call.integer(0)?;
    if value < 0 {
        let message = "factorial of a negative number is undefined";
        return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    if value > FACTORIAL_MAX {
        let message = "value overflows numeric format";
        return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    let product = (2..=value).fold(BigDecimal::from(1), |product, factor| product * factor);
    Ok(printed(&product))
}

fn width_bucket(call: &Call<'_, '_>) -> Answer {
    let bad = |message: &str| SqlError::new(SqlState("2201G"), message);
    let count = call.integer(3)?;
    if count <= 0 {
        return Err(bad("count must be greater than zero"));
    }
    let (value, low, high) = (number(call, 0)?, number(call, 1)?, number(call, 2)?);
    if [&value, &low, &high].iter().any(|number| number.real().is_nan()) {
        return Err(bad("operand, lower bound, and upper bound cannot be NaN"));
    }
    let (Some(low), Some(high)) = (low.exact(), high.exact()) else {
        return Err(bad("lower and upper bounds must be finite"));
    };
    if low == high {
        return Err(bad("lower bound cannot equal upper bound"));
    }
    let above = || count.checked_add(1).map_or_else(|| Err(out_of_range("integer")), integer);
    let Some(exact) = value.exact() else {
        return if (value.real() > 0.0) == (low < high) { above() } else { integer(0) };
    };
    let (distance, width) =
        if low < high { (&exact - &low, &high - &low) } else { (&low - &exact, &low - &high) };
    if distance.is_negative() {
        return integer(0);
    }
    if distance >= width {
        return above();
    }
    let (bucket, _) = numeric::divide_whole(&(distance * BigDecimal::from(count)), &width)?;
    debug_assert!(!width.is_zero(), "the bounds differ");
    bucket
        .to_plain_string()
        .parse::<i64>()
        .map_or_else(|_| Err(out_of_range("integer")), |bucket| integer(bucket + 1))
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    // Numerics are texts here, as SQLite holds them.
    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("towline_abs('-17.40')", "17.40"),
            ("towline_abs(-5)", "5"),
            ("towline_abs(-9223372036854775808)", "22003"),
            ("towline_ceil('42.2')", "43"),
            ("towline_ceil('-42.8')", "-42"),
            ("towline_ceil(42.2)", "43"),
            ("towline_floor('-42.8')", "-43"),
            ("towline_round('42.4382', 2)", "42.44"),
            ("towline_round('2.5')", "3"),
            ("towline_round('-2.5')", "-3"),
            ("towline_round(2.5)", "2"),
            ("towline_round('1234.56', -1)", "1230"),
            ("towline_round('1234.5', -2)", "1200"),
            ("towline_round('5', 2)", "5.00"),
            ("towline_round(5, 2)", "5.00"),
            ("towline_trunc('42.4382', 2)", "42.43"),
            ("towline_trunc('-42.8')", "-42"),
            ("towline_sign('-8.4')", "-1"),
            ("towline_sqrt(2.0)", "1.4142135623730951"),
            ("towline_sqrt('2')", "1.414213562373095"),
            ("towline_sqrt('100')", "10.000000000000000"),
            ("towline_sqrt('-1')", "2201F"),
            ("towline_exp('1.0')", "2.7182818284590452"),
            ("towline_exp(1.0)", "2.718281828459045"),
            ("towline_exp(1000.0)", "22003"),
            ("towline_ln('2.0')", "0.6931471805599453"),
            ("towline_ln('0')", "2201E"),
            ("towline_log('100')", "2.0000000000000000"),
            ("towline_log(100.0)", "2"),
            ("towline_log('2.0', '64.0')", "6.0000000000000000"),
            ("towline_power('9', '3')", "729.0000000000000000"),
            ("towline_power('2', '0.5')", "1.4142135623730950"),
            ("towline_power('10', '3')", "1000.0000000000000000"),
            ("towline_power(9, 3)", "729"),
            ("towline_power('-2', '3')", "-8.0000000000000000"),
            ("towline_power('-2', '0.5')", "2201F"),
            ("towline_power('0', '-1')", "2201F"),
            ("div('9', '4')", "2"),
            ("div('9.5', '0')", "22012"),
            ("mod(9, 4)", "1"),
            ("mod(-9, 4)", "-1"),
            ("mod(9, 0)", "22012"),
            ("mod('5.5', '2')", "1.5"),
            ("gcd(1071, 462)", "21"),
            ("lcm(1071, 462)", "23562"),
            ("factorial(5)", "120"),
            ("factorial(25)", "15511210043330985984000000"),
            ("factorial(-1)", "22003"),
            ("scale('8.4100')", "4"),
            ("min_scale('8.4100')", "2"),
            ("trim_scale('8.4100')", "8.41"),
            ("width_bucket('5.35', '0.024', '10.06', 5)", "3"),
            ("width_bucket(10.5, 10, 0, 5)", "0"),
            ("width_bucket('5', '0', '10', 0)", "2201G"),
            ("acos(2.0)", "22003"),
            ("cbrt(27.0)", "3"),
            ("mod('abc', 2)", "22P02"),
        ]);
    }
}
