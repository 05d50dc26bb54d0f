//! Aggregates of pairs of floats, `(y, x)`: `corr`, `covar_*` and `regr_*`; and the running
//! sums that they and the variances share.

use super::aggregates::{Fold, define};
use super::call::{Answer, Call, Registry, integer, real};
use crate::log::Value;
use crate::pg::SqlError;

/// Sum and sum of squared deviations of the rows so far, kept by the recurrence of Youngs
/// and Cramer (Technometrics 13, 1971), which loses no digits to cancellation.
#[derive(Clone, Copy, Default)]
pub(super) struct Running {
    pub(super) rows: u64,
    pub(super) sum: f64,
    pub(super) squares: f64,
}

#[allow(clippy::cast_precision_loss)]
impl Running {
    /// Answers by how much the row changed the sum of squares, as a deviation to be squared
    /// and a scale.
    ///
    /// PostgreSQL multiplies by the scale here, and divides by its reciprocal in
    /// [`Self::add_alone`], which shows in the last digit.
    fn add(&mut self, value: f64) -> (f64, f64) {
        self.rows += 1;
        self.sum += value;
        let (deviation, divisor) = self.change(value);
        self.squares += deviation * deviation * divisor.recip();
        (deviation, divisor.recip())
    }

    fn remove(&mut self, value: f64) -> (f64, f64) {
        let (deviation, divisor) = self.change(value);
        if self.rows <= 1 {
            *self = Self::default();
        } else {
            self.squares -= deviation * deviation * divisor.recip();
            self.rows -= 1;
            self.sum -= value;
        }
        (deviation, divisor.recip())
    }

    /// Adds a value that is not one of a pair.
    pub(super) fn add_alone(&mut self, value: f64) {
        self.rows += 1;
        self.sum += value;
        let (deviation, divisor) = self.change(value);
        self.squares += deviation * deviation / divisor;
    }

    pub(super) fn remove_alone(&mut self, value: f64) {
        self.remove(value);
    }

    fn change(&self, value: f64) -> (f64, f64) {
        let rows = self.rows as f64;
        if self.rows > 1 {
            (value * rows - self.sum, rows * (rows - 1.0))
        } else {
            // Of one row nothing, of an infinite one no number.
            (if value.is_finite() { 0.0 } else { f64::NAN }, 1.0)
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.rows as f64
    }
}

const CORR: u8 = 0;
const COVAR_POP: u8 = 1;
const COVAR_SAMP: u8 = 2;
const AVG_X: u8 = 3;
const AVG_Y: u8 = 4;
const COUNT: u8 = 5;
const INTERCEPT: u8 = 6;
const R2: u8 = 7;
const SLOPE: u8 = 8;
const SXX: u8 = 9;
const SXY: u8 = 10;
const SYY: u8 = 11;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<Pairs<CORR>>(registry, "corr", 2)?;
    define::<Pairs<COVAR_POP>>(registry, "covar_pop", 2)?;
    define::<Pairs<COVAR_SAMP>>(registry, "covar_samp", 2)?;
    define::<Pairs<AVG_X>>(registry, "regr_avgx", 2)?;
    define::<Pairs<AVG_Y>>(registry, "regr_avgy", 2)?;
    define::<Pairs<COUNT>>(registry, "regr_count", 2)?;
    define::<Pairs<INTERCEPT>>(registry, "regr_intercept", 2)?;
    define::<Pairs<R2>>(registry, "regr_r2", 2)?;
    define::<Pairs<SLOPE>>(registry, "regr_slope", 2)?;
    define::<Pairs<SXX>>(registry, "regr_sxx", 2)?;
    define::<Pairs<SXY>>(registry, "regr_sxy", 2)?;
    define::<Pairs<SYY>>(registry, "regr_syy", 2)
}

#[derive(Default)]
struct Pairs<const WHICH: u8> {
    x: Running,
    y: Running,
    products: f64,
}

/// The pair of a row; `None` where either is NULL.
fn pair(call: &Call<'_, '_>) -> Result<Option<(f64, f64)>, SqlError> {
    if call.is_null(0) || call.is_null(1) {
        return Ok(None);
    }
    Ok(Some((call.real(0)?, call.real(1)?)))
}

impl<const WHICH: u8> Fold for Pairs<WHICH> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if let Some((y, x)) = pair(call)? {
            let ((x, scale), (y, _)) = (self.x.add(x), self.y.add(y));
            self.products += x * y * scale;
        }
        Ok(())
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if let Some((y, x)) = pair(call)? {
            let ((x, scale), (y, _)) = (self.x.remove(x), self.y.remove(y));
            self.products -= x * y * scale;
            if self.x.rows == 0 {
                self.products = 0.0;
            }
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn answer(&self) -> Answer {
        let (x, y, products) = (&self.x, &self.y, self.products);
        let rows = x.rows as f64;
        let enough = if WHICH == COVAR_SAMP { 2 } else { 1 };
        let defined = match WHICH {
            COUNT => return integer(i64::try_from(x.rows).unwrap_or(i64::MAX)),
            CORR => x.squares != 0.0 && y.squares != 0.0,
            INTERCEPT | R2 | SLOPE => x.squares != 0.0,
            _ => true,
        };
        if x.rows < enough || !defined {
            return Ok(Value::Null);
        }
        real(match WHICH {
            CORR => products / (x.squares * y.squares).sqrt(),
            COVAR_POP => products / rows,
            COVAR_SAMP => products / (rows - 1.0),
            AVG_X => x.mean(),
            AVG_Y => y.mean(),
            INTERCEPT => (y.sum - x.sum * products / x.squares) / rows,
            R2 if y.squares == 0.0 => 1.0,
            R2 => (products * products) / (x.squares * y.squares),
            SLOPE => products / x.squares,
            SXX => x.squares,
            SYY => y.squares,
            _ => products,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        let over = |aggregate: &str| {
            let rows = "(10,150),(20,250),(30,350),(80,540),(100,200),(NULL,7)";
            format!(
                "(SELECT {aggregate}(y, x) FROM (SELECT column1 x, column2 y FROM (VALUES {rows})))"
            )
        };
        let cases = [
            ("regr_count", "5"),
            ("regr_sxx", "6280"),
            ("regr_syy", "95080"),
            ("regr_sxy", "8680"),
            ("regr_avgx", "48"),
            ("regr_avgy", "298"),
            ("regr_r2", "0.12618003210169645"),
            ("regr_slope", "1.3821656050955413"),
            ("regr_intercept", "231.656050955414"),
            ("covar_pop", "1736"),
            ("covar_samp", "2170"),
            ("corr", "0.3552183"),
        ];
        for (aggregate, answer) in cases {
            let expression = match aggregate {
                "corr" => format!("round({}, 7)", over(aggregate)),
                _ => over(aggregate),
            };
            check(&[(&expression, answer)]);
        }
    }

    #[test]
    fn windows_take_rows_back() {
        check(&[(
            "(SELECT group_concat(a, ' ') FROM (SELECT regr_sxx(x, x) OVER (ORDER BY x ROWS \
             BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM (SELECT column1 x FROM (VALUES \
             (1.0),(2.0),(4.0)))))",
            "0.0 0.5 2.0",
        )]);
    }
}
