//! `money`, kept as hundredths: conversions to and from numeric, multiples and parts.

use super::call::{Answer, Call, Registry};
use super::numeric::division_by_zero;
use crate::log::{Value, ValueRef};
use crate::pg::types::{numeric, out_of_range};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_money", 1, |call| {
        let digits = numeric::round(&numeric::canonical(&call.text(0)?)?, 2).replace('.', "");
        digits.parse().map(Value::Integer).map_err(|_| out_of_range("bigint"))
    })?;
    registry.strict("towline_money_numeric", 1, |call| {
        let hundredths = call.integer(0)?;
        let sign = if hundredths < 0 { "-" } else { "" };
        let (whole, part) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
        Ok(Value::Text(format!("{sign}{whole}.{part:02}")))
    })?;
    registry.strict("towline_money_mul", 2, |call| {
        scaled(call, i64::checked_mul, |hundredths, factor| hundredths * factor)
    })?;
    registry.strict("towline_money_div", 2, |call| {
        if call.real(1)? == 0.0 {
            return Err(division_by_zero());
        }
        scaled(call, i64::checked_div, |hundredths, divisor| hundredths / divisor)
    })
}

/// An amount and an integer, or a float, which rounds to whole hundredths.
fn scaled(
    call: &Call<'_, '_>,
    exact: fn(i64, i64) -> Option<i64>,
    float: fn(f64, f64) -> f64,
) -> Answer {
    let hundredths = call.integer(0)?;
    if let ValueRef::Integer(number) = call.value(1) {
        let result = exact(hundredths, number).map(Value::Integer);
        return result.ok_or_else(|| out_of_range("money"));
    }
    #[allow(clippy::cast_precision_loss)]
    let result = float(hundredths as f64, call.real(1)?).round_ties_even();
    // 2^63 itself does not fit.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&result) {
        return Err(out_of_range("money"));
    }
    #[allow(clippy::cast_possible_truncation)]
    Ok(Value::Integer(result as i64))
}
