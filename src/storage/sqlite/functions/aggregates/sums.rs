//! Sums and averages of floats, and how far values spread.

use std::collections::VecDeque;

use bigdecimal::{BigDecimal, Signed, Zero};

use super::super::call::{Answer, Call, Registry, real, text};
use super::super::numeric::{self, Number, printed};
use super::super::operators::float_out_of_range;
use super::super::regression::Running;
use super::{Fold, define};
use crate::log::Value;
use crate::pg::SqlError;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<Spread<VARIANCE_SAMPLE>>(registry, "variance", 1)?;
    define::<Spread<VARIANCE_SAMPLE>>(registry, "var_samp", 1)?;
    define::<Spread<VARIANCE_ALL>>(registry, "var_pop", 1)?;
    define::<Spread<DEVIATION_SAMPLE>>(registry, "stddev", 1)?;
    define::<Spread<DEVIATION_SAMPLE>>(registry, "stddev_samp", 1)?;
    define::<Spread<DEVIATION_ALL>>(registry, "stddev_pop", 1)?;
    define::<FloatSum<SUM>>(registry, "towline_float_sum", 1)?;
    define::<FloatSum<SINGLE_SUM>>(registry, "towline_real_sum", 1)?;
    define::<FloatSum<AVERAGE>>(registry, "towline_float_avg", 1)?;
    define::<FloatFrame<SUM>>(registry, "towline_float_sum_over", 1)?;
    define::<FloatFrame<SINGLE_SUM>>(registry, "towline_real_sum_over", 1)?;
    define::<FloatFrame<AVERAGE>>(registry, "towline_float_avg_over", 1)
}

const SUM: u8 = 0;
/// A sum of singles, rounded to one at each step.
const SINGLE_SUM: u8 = 1;
const AVERAGE: u8 = 2;

/// Sums floats in the order of the rows, without the compensation for rounding that SQLite
/// does. It takes nothing back: what is over a window is a [`FloatFrame`].
#[derive(Clone, Copy, Default)]
struct FloatSum<const WHICH: u8> {
    rows: u64,
    sum: f64,
}

impl<const WHICH: u8> FloatSum<WHICH> {
    fn take(&mut self, value: f64) -> Result<(), SqlError> {
        let finite = value.is_finite() && self.sum.is_finite();
        self.rows += 1;
        self.sum += value;
        if WHICH == SINGLE_SUM {
            self.sum = f64::from(self.sum as f32);
        }
        if finite && self.sum.is_infinite() { Err(float_out_of_range("overflow")) } else { Ok(()) }
    }
}

#[allow(clippy::cast_precision_loss)]
impl<const WHICH: u8> Fold for FloatSum<WHICH> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if call.is_null(0) { Ok(()) } else { self.take(call.real(0)?) }
    }

    fn remove(&mut self, _: &Call<'_, '_>) -> Result<(), SqlError> {
        Err(SqlError::unsupported("a sum of floats that takes rows back"))
    }

    fn answer(&self) -> Answer {
        match WHICH {
            _ if self.rows == 0 => Ok(Value::Null),
            AVERAGE => real(self.sum / self.rows as f64),
            _ => real(self.sum),
        }
    }
}

/// A [`FloatSum`] over the rows of a window's frame: summed anew once the frame has lost
/// some, for taking a float back would leave what its rounding did.
#[derive(Default)]
struct FloatFrame<const WHICH: u8> {
    values: VecDeque<f64>,
    sum: FloatSum<WHICH>,
    stale: bool,
}

impl<const WHICH: u8> Fold for FloatFrame<WHICH> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if call.is_null(0) {
            return Ok(());
        }
        let value = call.real(0)?;
        self.values.push_back(value);
        if self.stale { Ok(()) } else { self.sum.take(value) }
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if !call.is_null(0) {
            self.values.pop_front();
            self.stale = true;
        }
        Ok(())
    }

    fn answer(&self) -> Answer {
        if !self.stale {
            return self.sum.answer();
        }
        let mut sum = FloatSum::<WHICH>::default();
        self.values.iter().try_for_each(|value| sum.take(*value))?;
        sum.answer()
    }
}

/// Exact sums of numerics; what is not a number is counted apart.
#[derive(Default)]
struct Exact {
    rows: u64,
    specials: Specials,
    sum: BigDecimal,
    /// The most decimals of any row: a sum keeps them.
    scale: i64,
}

#[derive(Default)]
struct Specials {
    not_a_number: u64,
    positive: u64,
    negative: u64,
}

impl Specials {
    fn counter(&mut self, text: &str) -> &mut u64 {
        match text {
            "Infinity" => &mut self.positive,
            "-Infinity" => &mut self.negative,
            _ => &mut self.not_a_number,
        }
    }

    /// What the sum is, if that is no number.
    fn sum(&self) -> Option<&'static str> {
        match (self.not_a_number, self.positive, self.negative) {
            (0, 0, 0) => None,
            (0, _, 0) => Some("Infinity"),
            (0, 0, _) => Some("-Infinity"),
            _ => Some("NaN"),
        }
    }
}

impl Exact {
    fn add(&mut self, number: &Number) {
        self.rows += 1;
        match (number.exact(), number) {
            (Some(value), _) => {
                self.scale = self.scale.max(value.fractional_digit_count());
                self.sum += value;
            }
            (None, Number::Special(text)) => *self.specials.counter(text) += 1,
            (None, _) => self.specials.not_a_number += 1,
        }
    }

    fn remove(&mut self, number: &Number) {
        self.rows -= 1;
        match (number.exact(), number) {
            (Some(value), _) => self.sum -= value,
            (None, Number::Special(text)) => *self.specials.counter(text) -= 1,
            (None, _) => self.specials.not_a_number -= 1,
        }
    }
}

fn given(call: &Call<'_, '_>) -> Result<Option<Number>, SqlError> {
    if call.is_null(0) { Ok(None) } else { Number::of(call.value(0)).map(Some) }
}

const VARIANCE_SAMPLE: u8 = 0;
const VARIANCE_ALL: u8 = 1;
const DEVIATION_SAMPLE: u8 = 2;
const DEVIATION_ALL: u8 = 3;

/// Variance and standard deviation, for integers and numerics exactly.
#[derive(Default)]
struct Spread<const WHICH: u8> {
    exact: Exact,
    squares: BigDecimal,
    floats: Running,
}

#[allow(clippy::cast_precision_loss)]
impl<const WHICH: u8> Fold for Spread<WHICH> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        match given(call)? {
            None => {}
            Some(Number::Real(value)) => {
                self.floats.add_alone(value);
            }
            Some(number) => {
                if let Some(value) = number.exact() {
                    self.squares += value.square();
                }
                self.exact.add(&number);
            }
        }
        Ok(())
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        match given(call)? {
            None => {}
            Some(Number::Real(value)) => {
                self.floats.remove_alone(value);
            }
            Some(number) => {
                if let Some(value) = number.exact() {
                    self.squares -= value.square();
                }
                self.exact.remove(&number);
            }
        }
        Ok(())
    }

    fn answer(&self) -> Answer {
        let of_sample = matches!(WHICH, VARIANCE_SAMPLE | DEVIATION_SAMPLE);
        let of_root = matches!(WHICH, DEVIATION_SAMPLE | DEVIATION_ALL);
        let rows = self.floats.rows + self.exact.rows;
        if rows <= u64::from(of_sample) {
            return Ok(Value::Null);
        }
        if self.floats.rows > 0 {
            let variance = self.floats.squares / (rows - u64::from(of_sample)) as f64;
            return real(if of_root { variance.sqrt() } else { variance });
        }
        if self.exact.specials.sum().is_some() {
            return text("NaN");
        }
        let count = BigDecimal::from(rows);
        let sum = self.exact.sum.with_scale(self.exact.scale.max(0));
        let squares = self.squares.with_scale(2 * self.exact.scale.max(0));
        let top = &count * squares - sum.square();
        if !top.is_positive() {
            return text("0");
        }
        let other = BigDecimal::from(rows - u64::from(of_sample));
        let variance = numeric::divide(&top, &(count * other))?;
        debug_assert!(!variance.is_negative(), "a variance of numerics is exact");
        if variance.is_zero() || !of_root {
            return Ok(printed(&variance));
        }
        Ok(printed(&numeric::root_to(&variance, variance.fractional_digit_count().max(0))))
    }
}
