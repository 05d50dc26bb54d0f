//! Sums and averages whose result is numeric, or an interval.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;

use super::super::call::{Answer, Call, Registry, text_of};
use super::super::numeric::divide;
use super::super::operators::{Decimal, interval_text};
use super::{Fold, define};
use crate::log::{Value, ValueRef};
use crate::pg::SqlError;
use crate::pg::types::fixed::Fixed;
use crate::pg::types::interval::{Interval, interval_out_of_range};
use crate::pg::types::numeric;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<Total<false>>(registry, "towline_sum", 1)?;
    define::<Total<true>>(registry, "towline_avg", 1)?;
    define::<Intervals<false>>(registry, "towline_interval_sum", 1)?;
    define::<Intervals<true>>(registry, "towline_interval_avg", 1)
}

/// Numbers add up in a machine word for as long as they fit.
#[derive(Default)]
struct Total<const AVERAGE: bool> {
    count: i64,
    short: Fixed,
    /// The rest of the sum: values too long for that, and earlier sums.
    long: Option<BigDecimal>,
    /// How many values have so many decimals: the sum shows as many as any.
    scales: BTreeMap<u64, i64>,
    /// Values that are no number: NaN, and both infinities, by how many there are.
    special: [i64; 3],
}

impl<const AVERAGE: bool> Total<AVERAGE> {
    fn take(&mut self, value: ValueRef<'_>, sign: i64) -> Result<(), SqlError> {
        let text = match value {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(value) => {
                self.count += sign;
                self.take_short(value.into(), sign);
                return Ok(());
            }
            ValueRef::Real(value) => numeric::from_float8(value)?.into(),
            other => text_of(other)?,
        };
        self.count += sign;
        if let Some(value) = Fixed::parse(&text) {
            self.take_scale(value.scale().into(), sign);
            self.take_short(value, sign);
            return Ok(());
        }
        match Decimal::read(&text)? {
            Decimal::Finite(value) => {
                self.take_scale(value.fractional_digit_count().max(0).cast_unsigned(), sign);
                self.take_long(if sign > 0 { value } else { -value });
            }
            Decimal::Special(value) => {
                let at = match value {
                    value if value.is_nan() => 0,
                    value if value > 0.0 => 1,
                    _ => 2,
                };
                self.special[at] += sign;
            }
        }
        Ok(())
    }

    fn take_short(&mut self, value: Fixed, sign: i64) {
        let sum =
            if sign > 0 { self.short.checked_add(value) } else { self.short.checked_sub(value) };
        match sum {
            Some(sum) => self.short = sum,
            None => {
                self.take_long(decimal_of(self.short));
                let value = decimal_of(value);
                self.take_long(if sign > 0 { value } else { -value });
                self.short = Fixed::default();
            }
        }
    }

    fn take_long(&mut self, value: BigDecimal) {
        *self.long.get_or_insert_default() += value;
    }

    fn take_scale(&mut self, scale: u64, sign: i64) {
        let count = self.scales.entry(scale).or_default();
        *count += sign;
        if *count == 0 {
            self.scales.remove(&scale);
        }
    }
}

fn decimal_of(value: Fixed) -> BigDecimal {
    BigDecimal::new(value.unscaled().into(), value.scale().into())
}

impl<const AVERAGE: bool> Fold for Total<AVERAGE> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.take(call.value(0), 1)
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.take(call.value(0), -1)
    }

    fn answer(&self) -> Answer {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        match self.special {
            [0, 0, 0] => {}
            [0, _, 0] => return Decimal::Special(f64::INFINITY).write(),
            [0, 0, _] => return Decimal::Special(f64::NEG_INFINITY).write(),
            _ => return Decimal::Special(f64::NAN).write(),
        }
        let mut total = decimal_of(self.short);
        if let Some(long) = &self.long {
            total += long;
        }
        let scale = self.scales.last_key_value().map_or(0, |(scale, _)| *scale);
        total = total.with_scale(scale.cast_signed());
        if AVERAGE {
            total = divide(&total, &BigDecimal::from(self.count))?;
        }
        Decimal::Finite(total).write()
    }
}

#[derive(Default)]
struct Intervals<const AVERAGE: bool> {
    count: i64,
    sum: Interval,
}

impl<const AVERAGE: bool> Intervals<AVERAGE> {
    fn take(&mut self, call: &Call<'_, '_>, sign: i64) -> Result<(), SqlError> {
        if call.is_null(0) {
            return Ok(());
        }
        let value = call.interval(0)?;
        let value = if sign < 0 { value.checked_neg() } else { Some(value) };
        let sum = value.and_then(|value| self.sum.checked_add(value));
        self.sum = sum.ok_or_else(interval_out_of_range)?;
        self.count += sign;
        Ok(())
    }
}

impl<const AVERAGE: bool> Fold for Intervals<AVERAGE> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.take(call, 1)
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.take(call, -1)
    }

    #[allow(clippy::cast_precision_loss)]
    fn answer(&self) -> Answer {
        match self.count {
            0 => Ok(Value::Null),
            count if AVERAGE => interval_text(self.sum.checked_mul(1.0 / count as f64)),
            _ => interval_text(Some(self.sum)),
        }
    }
}
