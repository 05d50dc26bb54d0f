//! PostgreSQL's aggregate functions that SQLite lacks or answers otherwise. All of
//! them are window functions too, so each can take back the oldest row.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::marker::PhantomData;

use bigdecimal::{BigDecimal, Signed, Zero};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};

use super::array_text::{self, Element};
use super::arrays::element;
use super::call::{
    Answer, Call, LONGEST_RESULT, Output, bad_argument, boolean, integer, real, text, too_long,
};
use super::json::{argument_json, key};
use super::json_text::Json;
use super::numeric::{self, Number, printed};
use super::operators::float_out_of_range;
use super::regression::Running;
use super::{PURE, Surroundings};
use crate::log::{Value, ValueRef};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    let c = (connection, surroundings);
    define::<Only>(c, "towline_only", 1)?;
    define::<ArrayAgg<false>>(c, "array_agg", 1)?;
    define::<ArrayAgg<true>>(c, "towline_array_nest_agg", 1)?;
    define::<JsonAgg<false>>(c, "json_agg", 1)?;
    define::<JsonAgg<true>>(c, "jsonb_agg", 1)?;
    define::<JsonLines>(c, "towline_json_agg_lines", 1)?;
    define::<JsonArrayAgg>(c, "towline_array_json_agg", 1)?;
    define::<JsonArrayLines>(c, "towline_array_json_lines", 1)?;
    define::<ObjectAgg<false>>(c, "json_object_agg", 2)?;
    define::<ObjectAgg<true>>(c, "jsonb_object_agg", 2)?;
    define::<Truth<false>>(c, "bool_and", 1)?;
    define::<Truth<false>>(c, "every", 1)?;
    define::<Truth<true>>(c, "bool_or", 1)?;
    define::<Bits<AND>>(c, "bit_and", 1)?;
    define::<Bits<OR>>(c, "bit_or", 1)?;
    define::<Bits<XOR>>(c, "bit_xor", 1)?;
    define::<Spread<VARIANCE_SAMPLE>>(c, "variance", 1)?;
    define::<Spread<VARIANCE_SAMPLE>>(c, "var_samp", 1)?;
    define::<Spread<VARIANCE_ALL>>(c, "var_pop", 1)?;
    define::<Spread<DEVIATION_SAMPLE>>(c, "stddev", 1)?;
    define::<Spread<DEVIATION_SAMPLE>>(c, "stddev_samp", 1)?;
    define::<Spread<DEVIATION_ALL>>(c, "stddev_pop", 1)?;
    define::<Ordered<CONTINUOUS>>(c, "towline_percentile_cont", 2)?;
    define::<Ordered<DISCRETE>>(c, "towline_percentile_disc", 2)?;
    define::<Ordered<MODE>>(c, "towline_mode", 1)?;
    define::<Joined>(c, "towline_string_agg_distinct", 2)?;
    define::<FloatSum<SUM>>(c, "towline_float_sum", 1)?;
    define::<FloatSum<SINGLE_SUM>>(c, "towline_real_sum", 1)?;
    define::<FloatSum<AVERAGE>>(c, "towline_float_avg", 1)?;
    define::<FloatFrame<SUM>>(c, "towline_float_sum_over", 1)?;
    define::<FloatFrame<SINGLE_SUM>>(c, "towline_real_sum_over", 1)?;
    define::<FloatFrame<AVERAGE>>(c, "towline_float_avg_over", 1)
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
    (connection, surroundings): (&Connection, &Surroundings),
    name: &str,
    arity: c_int,
) -> rusqlite::Result<()> {
    let folded = Folded::<F> { surroundings: surroundings.clone(), kind: PhantomData };
    let flags = PURE | FunctionFlags::SQLITE_SUBTYPE;
    connection.create_window_function(name, arity, flags, folded)
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
struct ArrayAgg<const NESTED: bool> {
    elements: VecDeque<Element>,
    bytes: usize,
}

/// An array as an element of an array with one dimension more, whose first is given.
fn row_of(array: Element, first: Option<&Element>) -> Result<Element, SqlError> {
    let Element::Text(text) = array else {
        return Err(SqlError::new(SqlState("22004"), "cannot accumulate null arrays"));
    };
    let row = array_text::parse(&text)?;
    let refused = |message| Err(SqlError::new(SqlState("2202E"), message));
    if row.is_empty() {
        return refused("cannot accumulate empty arrays");
    }
    let row = Element::Array(row);
    if first.is_some_and(|first| lengths(first) != lengths(&row)) {
        return refused("cannot accumulate arrays of different dimensionality");
    }
    Ok(row)
}

/// How long an array is in each of its dimensions.
fn lengths(array: &Element) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut inner = array;
    while let Element::Array(elements) = inner {
        lengths.push(elements.len());
        let Some(first) = elements.first() else { break };
        inner = first;
    }
    lengths
}

fn size(element: &Element) -> usize {
    match element {
        Element::Text(text) => text.len() + 4,
        _ => 5,
    }
}

impl<const NESTED: bool> Fold for ArrayAgg<NESTED> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        let mut element = element(call, 0)?;
        if NESTED {
            element = row_of(element, self.elements.front())?;
        }
        self.bytes += size(&element);
        if self.bytes > LONGEST_RESULT {
            return Err(too_long());
        }
        self.elements.push_back(element);
        Ok(())
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.bytes -= self.elements.pop_front().as_ref().map_or(0, size);
        Ok(())
    }

    fn answer(&self) -> Answer {
        if self.elements.is_empty() {
            return Ok(Value::Null);
        }
        let elements: Vec<_> = self.elements.iter().cloned().collect();
        text(array_text::print(&elements))
    }
}

/// Pieces of JSON, joined at the end.
#[derive(Default)]
struct Pieces {
    pieces: VecDeque<String>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, piece: String) -> Result<(), SqlError> {
        self.bytes += piece.len() + 2;
        if self.bytes > LONGEST_RESULT {
            return Err(too_long());
        }
        self.pieces.push_back(piece);
        Ok(())
    }

    fn pop(&mut self) {
        self.bytes -= self.pieces.pop_front().map_or(0, |piece| piece.len() + 2);
    }

    fn answer(&self, open: &str, comma: &str, close: &str, normal: bool) -> Answer {
        if self.pieces.is_empty() {
            return Ok(Value::Null);
        }
        let pieces: Vec<_> = self.pieces.iter().map(String::as_str).collect();
        let json = format!("{open}{}{close}", pieces.join(comma));
        if normal { text(Json::parse(&json)?.normalized().to_string()) } else { text(json) }
    }
}

#[derive(Default)]
struct JsonAgg<const NORMAL: bool>(Pieces);

impl<const NORMAL: bool> Fold for JsonAgg<NORMAL> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.push(argument_json(call, 0)?)
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.pop();
        Ok(())
    }

    fn answer(&self) -> Answer {
        self.0.answer("[", ", ", "]", NORMAL)
    }
}

/// JSON arrays that are set out otherwise; see [`SEPARATORS`].
#[derive(Default)]
struct JsonAggBy<const SEPARATOR: usize>(Pieces);

/// `json_agg` of rows and arrays: each but NULL on its own line.
#[derive(Default)]
struct JsonLines(Pieces);

impl Fold for JsonLines {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        let line = if call.is_null(0) { "" } else { "\n " };
        self.0.push(format!("{line}{}", argument_json(call, 0)?))
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.pop();
        Ok(())
    }

    fn answer(&self) -> Answer {
        self.0.answer("[", ", ", "]", false).map(|value| match value {
            Value::Text(text) => Value::Text(match text.strip_prefix("[\n ") {
                Some(rest) => format!("[{rest}"),
                None => text,
            }),
            other => other,
        })
    }
}

/// `array_to_json(array_agg(…))`.
type JsonArrayAgg = JsonAggBy<0>;

/// `array_to_json(array_agg(…), true)`.
type JsonArrayLines = JsonAggBy<1>;

const SEPARATORS: [&str; 2] = [",", ",\n "];

impl<const SEPARATOR: usize> Fold for JsonAggBy<SEPARATOR> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.push(argument_json(call, 0)?)
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.pop();
        Ok(())
    }

    fn answer(&self) -> Answer {
        self.0.answer("[", SEPARATORS[SEPARATOR], "]", false)
    }
}

#[derive(Default)]
struct ObjectAgg<const NORMAL: bool>(Pieces);

impl<const NORMAL: bool> Fold for ObjectAgg<NORMAL> {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.push(format!(
            "{} : {}",
            key(call, 0, || bad_argument("field name must not be null"))?,
            argument_json(call, 1)?
        ))
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        self.0.pop();
        Ok(())
    }

    fn answer(&self) -> Answer {
        self.0.answer("{ ", ", ", " }", NORMAL)
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

/// `string_agg(DISTINCT text, separator)`, of which SQLite's own DISTINCT allows no second
/// argument. Equal rows come one after another, since they come in order.
#[derive(Default)]
struct Joined {
    last: Option<Value>,
    joined: Vec<u8>,
    binary: bool,
}

impl Fold for Joined {
    fn add(&mut self, call: &Call<'_, '_>) -> Result<(), SqlError> {
        let value = call.value(0).to_owned();
        if call.is_null(0) || self.last.as_ref() == Some(&value) {
            return Ok(());
        }
        self.binary |= matches!(value, Value::Blob(_));
        if self.last.is_some() {
            self.joined.extend_from_slice(&call.bytes(1)?);
        }
        self.joined.extend_from_slice(&call.bytes(0)?);
        if self.joined.len() > LONGEST_RESULT {
            return Err(too_long());
        }
        self.last = Some(value);
        Ok(())
    }

    fn remove(&mut self, _call: &Call<'_, '_>) -> Result<(), SqlError> {
        // DISTINCT is no part of a window function: the translator refuses it.
        Ok(())
    }

    fn answer(&self) -> Answer {
        if self.last.is_none() {
            return Ok(Value::Null);
        }
        if self.binary {
            return Ok(Value::Blob(self.joined.clone()));
        }
        text(String::from_utf8_lossy(&self.joined).into_owned())
    }
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
