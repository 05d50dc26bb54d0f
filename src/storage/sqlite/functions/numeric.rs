//! Exact arithmetic on numerics, with the scales that PostgreSQL gives its results.
//!
//! PostgreSQL counts a numeric in digits of base 10000, and chooses how many decimals
//! a quotient or root shows by the weight of the first such digit: that is why the
//! average of 1 and 2 prints as 1.5000000000000000.

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, One, RoundingMode, Signed, ToPrimitive, Zero};

use super::call::{float_text, invalid};
use crate::log::{Value, ValueRef};
use crate::pg::types::numeric::canonical;
use crate::pg::{SqlError, SqlState};

/// Significant digits that an inexact result has at least.
const SIGNIFICANT_DIGITS: i64 = 16;
/// Decimals that it has at most.
const SCALE_MAX: i64 = 1000;
/// Digits beyond those of a result that it is worked out with.
const GUARD_DIGITS: i64 = 30;

/// A number as SQLite holds it.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Integer(i64),
    Real(f64),
    Numeric(BigDecimal),
    /// `NaN`, `Infinity` or `-Infinity`, as a numeric.
    Special(String),
}

impl Number {
    pub(super) fn of(value: ValueRef<'_>) -> Result<Self, SqlError> {
        match value {
            ValueRef::Integer(value) => Ok(Self::Integer(value)),
            ValueRef::Real(value) => Ok(Self::Real(value)),
            ValueRef::Text(text) => {
                let canonical = canonical(text)?;
                match canonical.parse() {
                    Ok(value) => Ok(Self::Numeric(value)),
                    Err(_) => Ok(Self::Special(canonical)),
                }
            }
            ValueRef::Null | ValueRef::Blob(_) => Err(invalid("numeric", "")),
        }
    }

    /// As a numeric; `None` for NaN and the infinities.
    pub(super) fn exact(&self) -> Option<BigDecimal> {
        match self {
            Self::Integer(value) => Some(BigDecimal::from(*value)),
            Self::Real(value) => float_text(*value).parse().ok(),
            Self::Numeric(value) => Some(value.clone()),
            Self::Special(_) => None,
        }
    }

    pub(super) fn real(&self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(value) => *value as f64,
            Self::Real(value) => *value,
            Self::Numeric(value) => value.to_f64().unwrap_or(f64::NAN),
            Self::Special(text) => match text.as_str() {
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => f64::NAN,
            },
        }
    }
}

/// A numeric's canonical text.
pub(super) fn printed(value: &BigDecimal) -> Value {
    // A scale below zero only says that the digits end in zeros.
    let plain =
        if value.fractional_digit_count() < 0 { value.with_scale(0) } else { value.clone() };
    Value::Text(if plain.is_zero() {
        plain.abs().to_plain_string()
    } else {
        plain.to_plain_string()
    })
}

/// As many digits as a numeric may have before the point, and behind it.
const WHOLE_DIGITS_MAX: i64 = 131_073;
const DECIMALS_MAX: i64 = 16_383;

/// Rounds, half away from zero, to so many decimals (tens, hundreds, … if negative).
pub(super) fn rounded(value: &BigDecimal, scale: i64) -> BigDecimal {
    at_scale(value, scale, RoundingMode::HalfUp)
}

pub(super) fn at_scale(value: &BigDecimal, scale: i64, mode: RoundingMode) -> BigDecimal {
    let scale = scale.clamp(-WHOLE_DIGITS_MAX, DECIMALS_MAX);
    let rounded = value.with_scale_round(scale, mode);
    if scale < 0 { rounded.with_scale(0) } else { rounded }
}

/// Weight of the first digit in base 10000, and that digit.
fn first_digit(value: &BigDecimal) -> (i64, i64) {
    let (digits, scale) = value.as_bigint_and_exponent();
    if digits.is_zero() {
        return (0, 0);
    }
    let text = digits.magnitude().to_string();
    let whole = i64::try_from(text.len()).unwrap_or(i64::MAX) - scale;
    let weight = (whole - 1).div_euclid(4);
    let length = usize::try_from(whole - weight * 4).unwrap_or(4);
    let mut group: String = text.chars().take(length).collect();
    while group.len() < length {
        group.push('0');
    }
    (weight, group.parse().unwrap_or(0))
}

fn scale_of(value: &BigDecimal) -> i64 {
    value.fractional_digit_count().max(0)
}

/// The decimals of a quotient (`select_div_scale`).
fn quotient_scale(dividend: &BigDecimal, divisor: &BigDecimal) -> i64 {
    let ((weight, digit), (other_weight, other_digit)) =
        (first_digit(dividend), first_digit(divisor));
    let weight = weight - other_weight - i64::from(digit <= other_digit);
    (SIGNIFICANT_DIGITS - weight * 4)
        .max(scale_of(dividend))
        .max(scale_of(divisor))
        .clamp(0, SCALE_MAX)
}

pub(super) fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// A quotient, with PostgreSQL's scale.
pub(super) fn divide(dividend: &BigDecimal, divisor: &BigDecimal) -> Result<BigDecimal, SqlError> {
    if divisor.is_zero() {
        return Err(division_by_zero());
    }
    Ok(quotient(dividend, divisor, quotient_scale(dividend, divisor)))
}

/// A quotient rounded to `scale` decimals; the divisor is not zero.
fn quotient(dividend: &BigDecimal, divisor: &BigDecimal, scale: i64) -> BigDecimal {
    let (mut top, top_scale) = dividend.as_bigint_and_exponent();
    let (mut bottom, bottom_scale) = divisor.as_bigint_and_exponent();
    let shift = scale - top_scale + bottom_scale;
    let power = |exponent: i64| BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0));
    if shift >= 0 {
        top *= power(shift);
    } else {
        bottom *= power(-shift);
    }
    let negative = (top.sign() == Sign::Minus) != (bottom.sign() == Sign::Minus);
    let (top, bottom) = (top.abs(), bottom.abs());
    let mut result = &top / &bottom;
    if (&top - &result * &bottom) * 2 >= bottom {
        result += 1;
    }
    BigDecimal::new(if negative { -result } else { result }, scale)
}

/// The integer part of a quotient, and what remains.
pub(super) fn divide_whole(
    dividend: &BigDecimal,
    divisor: &BigDecimal,
) -> Result<(BigDecimal, BigDecimal), SqlError> {
    if divisor.is_zero() {
        return Err(division_by_zero());
    }
    let scale = scale_of(dividend).max(scale_of(divisor));
    let (top, _) = dividend.with_scale(scale).into_bigint_and_exponent();
    let (bottom, _) = divisor.with_scale(scale).into_bigint_and_exponent();
    let whole = &top / &bottom;
    let rest = BigDecimal::new(&top - &whole * &bottom, scale);
    Ok((BigDecimal::new(whole, 0), rest))
}

fn significant_scale(weight: i64, scales: &[i64]) -> i64 {
    let least = scales.iter().copied().max().unwrap_or(0);
    (SIGNIFICANT_DIGITS - weight).max(least).clamp(0, SCALE_MAX)
}

pub(super) fn square_root(value: &BigDecimal) -> Result<BigDecimal, SqlError> {
    if value.is_negative() {
        return Err(SqlError::new(
            SqlState("2201F"),
            "cannot take square root of a negative number",
        ));
    }
    let weight = (first_digit(value).0 + 1) * 2 - 1;
    let scale = significant_scale(weight, &[scale_of(value)]);
    Ok(root_to(value, scale))
}

/// The square root of a value that is not negative, rounded to `scale` decimals.
pub(super) fn root_to(value: &BigDecimal, scale: i64) -> BigDecimal {
    // The integer root of the value scaled up by twice the decimals, one in reserve.
    let (digits, _) =
        at_scale(value, 2 * (scale + 1), RoundingMode::Down).into_bigint_and_exponent();
    rounded(&BigDecimal::new(digits.sqrt(), scale + 1), scale)
}

/// How large the argument of an exponential may become, and the weight of its result.
const EXPONENT_MAX: f64 = 6000.0;
const RESULT_SCALE_MAX: f64 = 2000.0;

fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// `e` to a power, to so many significant digits.
fn exponential_of(value: &BigDecimal, digits: i64) -> Result<BigDecimal, SqlError> {
    let size = value.to_f64().unwrap_or(f64::INFINITY);
    if size >= EXPONENT_MAX {
        return Err(overflow());
    }
    if size <= -EXPONENT_MAX {
        return Ok(BigDecimal::zero());
    }
    // Halving the argument first keeps the series short.
    let scale = digits + GUARD_DIGITS;
    let kept = u64::try_from(scale).unwrap_or(1);
    let mut halvings = 0;
    let bound = BigDecimal::new(1.into(), 2);
    let mut small = shortened(value.clone(), kept + 10);
    while small.abs() > bound {
        small = quotient(&small, &BigDecimal::from(2), scale + 10);
        halvings += 1;
    }
    let (mut sum, mut term) = (BigDecimal::from(1), BigDecimal::from(1));
    for step in 1_u32.. {
        term = quotient(&(&term * &small), &BigDecimal::from(step), scale + 10);
        if term.is_zero() {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = shortened(&sum * &sum, kept);
    }
    Ok(sum)
}

pub(super) fn exponential(value: &BigDecimal) -> Result<BigDecimal, SqlError> {
    let (scale, digits) = exponential_scale(value, &[scale_of(value)]);
    Ok(rounded(&exponential_of(value, digits)?, scale))
}

/// The decimals that an exponential shows, and its significant digits.
fn exponential_scale(exponent: &BigDecimal, scales: &[i64]) -> (i64, i64) {
    let weight = exponent.to_f64().unwrap_or(0.0) * std::f64::consts::LOG10_E;
    let weight = truncated(weight.clamp(-RESULT_SCALE_MAX, RESULT_SCALE_MAX));
    let scale = significant_scale(weight, scales);
    (scale, (scale + weight).max(0))
}

#[allow(clippy::cast_possible_truncation)]
fn truncated(value: f64) -> i64 {
    value as i64
}

fn check_logarithm(value: &BigDecimal) -> Result<(), SqlError> {
    if value.is_zero() {
        return Err(SqlError::new(SqlState("2201E"), "cannot take logarithm of zero"));
    }
    if value.is_negative() {
        return Err(SqlError::new(SqlState("2201E"), "cannot take logarithm of a negative number"));
    }
    Ok(())
}

/// The natural logarithm, to so many significant digits; the value is positive.
fn logarithm_of(value: &BigDecimal, digits: i64) -> Result<BigDecimal, SqlError> {
    // x = m · 10^k with m near 1, and ln 10 worked out the same way.
    let (coefficient, scale) = value.as_bigint_and_exponent();
    let length = i64::try_from(coefficient.magnitude().to_string().len()).unwrap_or(0);
    let exponent = if value >= &BigDecimal::new(1.into(), 1) && value < &BigDecimal::from(10) {
        0
    } else {
        length - scale - 1
    };
    let mantissa = BigDecimal::new(coefficient, scale + exponent);
    let mut result = newton_logarithm(&mantissa, digits)?;
    if exponent != 0 {
        result += newton_logarithm(&BigDecimal::from(10), digits)? * BigDecimal::from(exponent);
    }
    Ok(result)
}

/// `y ← y + 2 (x − e^y) / (x + e^y)` triples the correct digits at each step.
fn newton_logarithm(value: &BigDecimal, digits: i64) -> Result<BigDecimal, SqlError> {
    // A value near 1 has a logarithm about as small as what it differs by.
    let difference = value - BigDecimal::from(1);
    if difference.is_zero() {
        return Ok(BigDecimal::zero());
    }
    let small = (first_digit(&difference).0 * 4).min(0);
    let near = difference.to_f64().unwrap_or(1.0);
    let start = if near.abs() < 0.1 { near.ln_1p() } else { value.to_f64().unwrap_or(1.0).ln() };
    let mut result: BigDecimal = float_text(start).parse().unwrap_or_default();
    let scale = digits - small + GUARD_DIGITS;
    // A start of 15 correct digits.
    let mut correct = 15;
    while correct < scale {
        let power = exponential_of(&result, scale)?;
        result += quotient(
            &((value - &power) * BigDecimal::from(2)),
            &(value + &power),
            scale + GUARD_DIGITS,
        );
        correct *= 3;
    }
    Ok(result)
}

/// The decimal weight of a positive value's logarithm, as PostgreSQL estimates it.
fn logarithm_weight(value: &BigDecimal) -> i64 {
    let near = value - BigDecimal::from(1);
    if near.abs() <= BigDecimal::new(1.into(), 1) {
        // About as large as what the value differs from 1 by.
        let (weight, digit) = first_digit(&near);
        return if digit == 0 { 0 } else { weight * 4 + i64::from(digit.ilog10()) };
    }
    let (weight, digit) = first_digit(value);
    let rest = value - BigDecimal::new(digit.into(), -weight * 4);
    let (next_weight, next) = first_digit(&rest);
    #[allow(clippy::cast_precision_loss)]
    let logarithm = if rest.is_zero() {
        (digit as f64).ln() + (weight * 4) as f64 * std::f64::consts::LN_10
    } else {
        let next = if next_weight == weight - 1 { next } else { 0 };
        ((digit * 10_000 + next) as f64).ln() + ((weight - 1) * 4) as f64 * std::f64::consts::LN_10
    };
    if logarithm == 0.0 { 0 } else { truncated(logarithm.abs().log10()) }
}

pub(super) fn natural_logarithm(value: &BigDecimal) -> Result<BigDecimal, SqlError> {
    check_logarithm(value)?;
    let weight = logarithm_weight(value);
    let scale = significant_scale(weight, &[scale_of(value)]);
    Ok(rounded(&logarithm_of(value, scale + weight)?, scale))
}

/// The logarithm to a base.
pub(super) fn logarithm(base: &BigDecimal, value: &BigDecimal) -> Result<BigDecimal, SqlError> {
    check_logarithm(base)?;
    check_logarithm(value)?;
    if base.is_one() {
        return Err(division_by_zero());
    }
    let weight = logarithm_weight(value) - logarithm_weight(base);
    let scale = significant_scale(weight, &[scale_of(base), scale_of(value)]);
    let digits = (scale + weight).max(0);
    let (top, bottom) = (logarithm_of(value, digits)?, logarithm_of(base, digits)?);
    Ok(quotient(&top, &bottom, scale))
}

pub(super) fn power(base: &BigDecimal, exponent: &BigDecimal) -> Result<BigDecimal, SqlError> {
    let is_whole = exponent.is_integer();
    if base.is_zero() && exponent.is_negative() {
        return Err(SqlError::new(
            SqlState("2201F"),
            "zero raised to a negative power is undefined",
        ));
    }
    if base.is_negative() && !is_whole {
        return Err(SqlError::new(
            SqlState("2201F"),
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    if let Some(exponent) = exponent.to_i32().filter(|_| is_whole) {
        return whole_power(base, exponent);
    }
    let scales = [scale_of(base), scale_of(exponent)];
    if base.is_zero() {
        return Ok(BigDecimal::zero().with_scale(significant_scale(0, &scales)));
    }
    let size = base.abs();
    let rough = logarithm_of(&size, SIGNIFICANT_DIGITS)? * exponent;
    let (scale, digits) = exponential_scale(&rough, &scales);
    let exponent_digits = i64::try_from(exponent.digits()).unwrap_or(0);
    let logarithm = logarithm_of(&size, digits + exponent_digits)? * exponent;
    let result = exponential_of(&logarithm, digits)?;
    let odd = base.is_negative() && !(exponent / BigDecimal::from(2)).is_integer();
    Ok(rounded(&if odd { -result } else { result }, scale))
}

/// A power by squaring, with all digits that are shown.
fn whole_power(base: &BigDecimal, exponent: i32) -> Result<BigDecimal, SqlError> {
    let scale = SIGNIFICANT_DIGITS.max(scale_of(base)).min(SCALE_MAX);
    if base.is_zero() {
        let result = if exponent == 0 { BigDecimal::from(1) } else { BigDecimal::zero() };
        return Ok(result.with_scale(scale));
    }
    if exponent == 1 {
        return Ok(rounded(base, scale));
    }
    let digits = decimal_logarithm(base) * f64::from(exponent);
    if digits > WHOLE_DIGITS_MAX as f64 {
        return Err(overflow());
    }
    if digits + 1.0 < -(scale as f64) {
        return Ok(BigDecimal::zero().with_scale(scale));
    }
    let kept = u64::try_from(truncated(digits.abs()) + scale + GUARD_DIGITS).unwrap_or(1);
    let (mut result, mut square) = (BigDecimal::from(1), base.clone());
    let mut rest = exponent.unsigned_abs();
    while rest > 0 {
        if rest & 1 == 1 {
            result = shortened(&result * &square, kept);
        }
        square = shortened(&square * &square, kept);
        rest >>= 1;
    }
    if exponent < 0 {
        return Ok(quotient(&BigDecimal::from(1), &result, scale));
    }
    Ok(rounded(&result, scale))
}

/// The decimal logarithm of a value's size, roughly; the value is not zero.
fn decimal_logarithm(value: &BigDecimal) -> f64 {
    let (digits, scale) = value.as_bigint_and_exponent();
    let text = digits.magnitude().to_string();
    let (first, rest) = text.split_at(text.len().min(17));
    first.parse::<f64>().unwrap_or(1.0).log10() + (rest.len() as f64 - scale as f64)
}

fn shortened(value: BigDecimal, digits: u64) -> BigDecimal {
    if value.digits() > digits { value.with_prec(digits) } else { value }
}
