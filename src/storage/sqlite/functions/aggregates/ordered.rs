//! Aggregates over rows in an order: WITHIN GROUP.

use std::collections::VecDeque;

use super::super::call::{Answer, Call, LONGEST_RESULT, Registry, too_long};
use super::{Fold, define};
use crate::log::{Value, ValueRef};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<Ordered<CONTINUOUS>>(registry, "towline_percentile_cont", 2)?;
    define::<Ordered<DISCRETE>>(registry, "towline_percentile_disc", 2)?;
    define::<Ordered<MODE>>(registry, "towline_mode", 1)
}

const CONTINUOUS: u8 = 0;
const DISCRETE: u8 = 1;
const MODE: u8 = 2;

/// `percentile_cont`, `percentile_disc` and `mode`: SQLite hands the rows over in the
/// order of WITHIN GROUP, the fraction with each of them.
#[derive(Default)]
struct Ordered<const WHICH: u8> {
    values: VecDeque<Value>,
    bytes: usize,
    fraction: Option<f64>,
}

impl<const WHICH: u8> Fold for Ordered<WHICH> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if WHICH != MODE && self.values.is_empty() && !call.is_null(1) {
            let fraction = call.real(1)?;
            if !(0.0..=1.0).contains(&fraction) {
                return Err(SqlError::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("percentile value {fraction} is not between 0 and 1"),
                ));
            }
            self.fraction = Some(fraction);
        }
        let value = match call.value(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Real(value) => Value::Real(value),
            ValueRef::Text(text) => Value::Text(text.to_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        };
        self.bytes += 16
            + match &value {
                Value::Text(text) => text.len(),
                Value::Blob(bytes) => bytes.len(),
                _ => 0,
            };
        if self.bytes > LONGEST_RESULT {
            return Err(too_long());
        }
        self.values.push_back(value);
        Ok(())
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        // PostgreSQL has no such window function: the translator refuses it.
        self.values.pop_front();
        Ok(())
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn answer(&self) -> Answer {
        let count = self.values.len();
        let nth = |at: usize| self.values.get(at).cloned().unwrap_or(Value::Null);
        if WHICH == MODE {
            // Equal values lie side by side; of the longest runs the first.
            let (mut best, mut longest, mut begin) = (0, 0, 0);
            for at in 1..=count {
                if at == count || self.values[at] != self.values[begin] {
                    if at - begin > longest {
                        (best, longest) = (begin, at - begin);
                    }
                    begin = at;
                }
            }
            return Ok(nth(best));
        }
        let (Some(fraction), true) = (self.fraction, count > 0) else { return Ok(Value::Null) };
        if WHICH == DISCRETE {
            return Ok(nth(((fraction * count as f64).ceil() as usize).max(1) - 1));
        }
        let place = fraction * (count - 1) as f64;
        let number = |at: f64| match nth(at as usize) {
            Value::Real(value) => value,
            Value::Integer(value) => value as f64,
            _ => f64::NAN,
        };
        let (low, high) = (number(place.floor()), number(place.ceil()));
        if place.floor() == place.ceil() {
            return Ok(Value::Real(low));
        }
        Ok(Value::Real(low + (place - place.floor()) * (high - low)))
    }
}
