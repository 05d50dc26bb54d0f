//! PostgreSQL's aggregate functions that SQLite lacks or answers otherwise. All of
//! them are window functions too, so each can take back the oldest row.
//!
//! | file      | aggregates                                                      |
//! |-----------|-----------------------------------------------------------------|
//! | `mod`     | of truth values and bits; the only row of a subquery            |
//! | `sums`    | `sum` and `avg` of floats; `variance`, `stddev` and their kin   |
//! | `collect` | `array_agg`, `json_agg`, `json_object_agg`, `string_agg`        |
//! | `exact`   | `sum` and `avg` of integers, numerics and intervals             |
//! | `ordered` | `percentile_cont`, `percentile_disc`, `mode`                    |

mod collect;
mod exact;
mod ordered;
mod sums;

use std::ffi::c_int;
use std::marker::PhantomData;

use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};

use super::call::{Answer, Call, Output, Registry, boolean, integer};
use super::{PURE, Surroundings};
use crate::log::Value;
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<Only>(registry, "towline_only", 1)?;
    define::<Truth<false>>(registry, "bool_and", 1)?;
    define::<Truth<false>>(registry, "every", 1)?;
    define::<Truth<true>>(registry, "bool_or", 1)?;
    define::<Bits<AND>>(registry, "bit_and", 1)?;
    define::<Bits<OR>>(registry, "bit_or", 1)?;
    define::<Bits<XOR>>(registry, "bit_xor", 1)?;
    collect::register(registry)?;
    exact::register(registry)?;
    ordered::register(registry)?;
    sums::register(registry)
}

/// What a subquery in an expression gives: the value of its only row, NULL without one.
#[derive(Default)]
struct Only {
    value: Option<Value>,
}

impl Fold for Only {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if self.value.is_some() {
            return Err(SqlError::new(
                SqlState("21000"),
                "more than one row returned by a subquery used as an expression",
            ));
        }
        self.value = Some(call.value(0).to_owned());
        Ok(())
    }

    fn remove(&mut self, _: &Call<'_, '_>) -> Result<(), SqlError> {
        self.value = None;
        Ok(())
    }

    fn answer(&self) -> Answer {
        Ok(self.value.clone().unwrap_or(Value::Null))
    }
}

/// The state of an aggregate.
pub(super) trait Fold:
    Default + Send + std::panic::RefUnwindSafe + std::panic::UnwindSafe + 'static
{
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError>;
    /// Takes back the oldest row that was added.
    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError>;
    fn answer(&self) -> Answer;
}

struct Folded<F> {
    surroundings: Surroundings,
    kind: PhantomData<fn() -> F>,
}

pub(super) fn define<F: Fold>(
    registry: Registry<'_>,
    name: &str,
    arity: c_int,
) -> rusqlite::Result<()> {
    let folded = Folded::<F> { surroundings: registry.surroundings.clone(), kind: PhantomData };
    let flags = PURE | FunctionFlags::SQLITE_SUBTYPE;
    registry.connection.create_window_function(name, arity, flags, folded)
}

impl<F: Fold> Aggregate<F, Output> for Folded<F> {
    fn init(&self, _context: &mut Context<'_>) -> rusqlite::Result<F> {
        Ok(F::default())
    }

    fn step(&self, context: &mut Context<'_>, state: &mut F) -> rusqlite::Result<()> {
        let call = Call::new(context, &self.surroundings);
        state.add(&call).map_err(|error| self.surroundings.raise(error))
    }

    fn finalize(&self, _context: &mut Context<'_>, state: Option<F>) -> rusqlite::Result<Output> {
        self.value(state.as_ref())
    }
}

impl<F: Fold> WindowAggregate<F, Output> for Folded<F> {
    fn value(&self, state: Option<&mut F>) -> rusqlite::Result<Output> {
        Self::value(self, state.as_deref())
    }

    fn inverse(&self, context: &mut Context<'_>, state: &mut F) -> rusqlite::Result<()> {
        let call = Call::new(context, &self.surroundings);
        state.remove(&call).map_err(|error| self.surroundings.raise(error))
    }
}

impl<F: Fold> Folded<F> {
    fn value(&self, state: Option<&F>) -> rusqlite::Result<Output> {
        let answer = state.map_or_else(|| F::default().answer(), Fold::answer);
        Ok(Output(answer.map_err(|error| self.surroundings.raise(error))?, None))
    }
}

#[derive(Default)]
struct Truth<const ANY: bool> {
    holds: u64,
    fails: u64,
}

impl<const ANY: bool> Fold for Truth<ANY> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if !call.is_null(0) {
            let counted = if call.boolean(0) { &mut self.holds } else { &mut self.fails };
            *counted += 1;
        }
        Ok(())
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        if !call.is_null(0) {
            let counted = if call.boolean(0) { &mut self.holds } else { &mut self.fails };
            *counted -= 1;
        }
        Ok(())
    }

    fn answer(&self) -> Answer {
        match (self.holds, self.fails) {
            (0, 0) => Ok(Value::Null),
            (holds, fails) => boolean(if ANY { holds > 0 } else { fails == 0 }),
        }
    }
}

const AND: u8 = 0;
const OR: u8 = 1;
const XOR: u8 = 2;

/// How many of the rows have each bit.
struct Bits<const OPERATION: u8> {
    rows: u64,
    set: [u64; 64],
}

impl<const OPERATION: u8> Default for Bits<OPERATION> {
    fn default() -> Self {
        Self { rows: 0, set: [0; 64] }
    }
}

impl<const OPERATION: u8> Bits<OPERATION> {
    fn each(&mut self, call: &Call<'_, '_>, change: fn(&mut u64)) -> Result<(), SqlError> {
        if call.is_null(0) {
            return Ok(());
        }
        let value = call.integer(0)?;
        change(&mut self.rows);
        for (bit, set) in self.set.iter_mut().enumerate() {
            if (value >> bit) & 1 == 1 {
                change(set);
            }
        }
        Ok(())
    }
}

impl<const OPERATION: u8> Fold for Bits<OPERATION> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.each(call, |count| *count += 1)
    }

    fn remove(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.each(call, |count| *count -= 1)
    }

    fn answer(&self) -> Answer {
        if self.rows == 0 {
            return Ok(Value::Null);
        }
        let holds = |set: u64| match OPERATION {
            AND => set == self.rows,
            OR => set > 0,
            _ => set % 2 == 1,
        };
        let bits = self.set.iter().enumerate().filter(|(_, set)| holds(**set));
        integer(bits.fold(0, |value, (bit, _)| value | (1 << bit)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        let over = |aggregate: &str, values: &str| {
            format!(
                "(SELECT {aggregate} FROM (SELECT column1 x, column2 y FROM (VALUES {values})))"
            )
        };
        let ints = "(1,0),(2,0),(4,0)";
        let numerics = "('1.5',0),('2.25',0),('4',0)";
        let floats = "(1.5,0),(2.25,0),(4.0,0)";
        let cases = [
            ("stddev(x)", ints, "1.5275252316519467"),
            ("variance(x)", ints, "2.3333333333333333"),
            ("stddev_pop(x)", ints, "1.2472191289246471"),
            ("var_pop(x)", ints, "1.5555555555555556"),
            ("towline_avg(x)", ints, "2.3333333333333333"),
            ("towline_sum(x)", ints, "7"),
            ("stddev(x)", numerics, "1.2829003598617210"),
            ("variance(x)", numerics, "1.6458333333333333"),
            ("stddev_pop(x)", numerics, "1.04748375749804455964"),
            ("var_pop(x)", numerics, "1.09722222222222222222"),
            ("towline_avg(x)", numerics, "2.5833333333333333"),
            ("towline_sum(x)", numerics, "7.75"),
            ("stddev(x)", floats, "1.282900359861721"),
            ("var_pop(x)", floats, "1.097222222222222"),
            ("stddev(x)", "(1,0)", "NULL"),
            ("var_pop(x)", "(1,0)", "0"),
            ("towline_sum(x)", "(NULL,0)", "NULL"),
            ("towline_sum(x)", "('NaN',0),(1,0)", "NaN"),
            ("array_agg(x)", "(1,0),(NULL,0),('a b',0)", "{1,NULL,\"a b\"}"),
            ("array_agg(x ORDER BY y DESC)", "(1,0),(2,5)", "{2,1}"),
            ("array_agg(x)", "('{a}',0),('{',0)", "{\"{a}\",\"{\"}"),
            ("towline_array_nest_agg(x)", "('{1}',0),('{2}',0)", "{{1},{2}}"),
            ("towline_only(x)", "(7,0)", "7"),
            ("towline_only(x) FILTER (WHERE x > 9)", "(7,0)", "NULL"),
            ("array_agg(x) FILTER (WHERE x > 9)", ints, "NULL"),
            ("json_agg(x)", "(1,0),('a',0),(NULL,0)", "[1, \"a\", null]"),
            ("json_agg(towline_json_value(x, 'bool'))", "(1,0),(0,0)", "[true, false]"),
            ("jsonb_agg(x)", ints, "[1, 2, 4]"),
            ("json_object_agg(x, y)", "(1,2),(2,4)", "{ \"1\" : 2, \"2\" : 4 }"),
            ("jsonb_object_agg(x, y)", "('b',1),('a',2)", "{\"a\": 2, \"b\": 1}"),
            ("var_pop(x)", "(9e999,0),(1.0,0)", "NaN"),
            ("stddev(x)", "(0.1,0),(0.2,0),(0.3,0)", "0.09999999999999996"),
            ("towline_float_sum(x)", "(0.1,0),(0.2,0),(0.3,0)", "0.6000000000000001"),
            ("towline_float_avg(x)", "(0.1,0),(0.2,0),(0.3,0)", "0.20000000000000004"),
            ("towline_float_sum(x)", "(0.5,0),('NaN',0)", "NaN"),
            ("towline_float_sum(x)", "(9e999,0),(-9e999,0)", "NaN"),
            ("towline_float_sum(x)", "(1e308,0),(1e308,0)", "22003"),
            ("towline_float_sum(x)", "(NULL,0)", "NULL"),
            (
                "var_pop(x)",
                "(100000003.0,0),(100000004.0,0),(100000006.0,0),(100000007.0,0)",
                "2.5",
            ),
            ("towline_string_agg_distinct(x, '-' ORDER BY x)", "('b',0),('a',0),('b',0)", "a-b"),
            ("bool_and(x)", "(1,0),(0,0)", "0"),
            ("bool_or(x)", "(1,0),(0,0)", "1"),
            ("bool_or(x)", "(NULL,0)", "NULL"),
            ("bit_and(x)", "(6,0),(3,0)", "2"),
            ("bit_or(x)", "(6,0),(3,0)", "7"),
            ("bit_xor(x)", "(6,0),(3,0)", "5"),
            ("bit_and(x)", "(-1,0),(-2,0)", "-2"),
            ("towline_percentile_cont(x, 0.5 ORDER BY x)", "(4,0),(NULL,0),(1,0)", "2.5"),
            ("towline_percentile_disc(x, 0.5 ORDER BY x)", ints, "2"),
            ("towline_percentile_disc(x, 0 ORDER BY x)", ints, "1"),
            ("towline_percentile_disc(x, 0.9 ORDER BY x DESC)", ints, "1"),
            ("towline_mode(x ORDER BY x)", "(3,0),(1,0),(3,0),(1,0),(2,0)", "1"),
            ("towline_mode(x ORDER BY x)", "(NULL,0)", "NULL"),
            ("towline_interval_sum(x)", "('1 day',0),('02:00:00',0)", "1 day 02:00:00"),
            ("towline_interval_avg(x)", "('1 day',0),('3 days',0)", "2 days"),
        ];
        let cases: Vec<_> =
            cases.iter().map(|(call, values, answer)| (over(call, values), *answer)).collect();
        let cases: Vec<_> =
            cases.iter().map(|(expression, answer)| (expression.as_str(), *answer)).collect();
        check(&cases);
    }

    #[test]
    fn windows_take_rows_back() {
        let over = |aggregate: &str| {
            format!(
                "(SELECT group_concat(a, ' ') FROM (SELECT {aggregate} OVER (ORDER BY x \
                 ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM \
                 (SELECT column1 x FROM (VALUES (1),(2),(4)))))"
            )
        };
        check(&[
            (&over("towline_sum(x)"), "1 3 6"),
            (&over("array_agg(x)"), "{1} {1,2} {2,4}"),
            (&over("bit_or(x)"), "1 3 6"),
            (&over("bool_and(x > 1)"), "0 0 1"),
            (&over("towline_float_sum_over(iif(x = 1, 1e20, x))"), "1.0e+20 1.0e+20 6.0"),
            (&over("variance(x)"), "0.50000000000000000000 2.0000000000000000"),
        ]);
    }
}
