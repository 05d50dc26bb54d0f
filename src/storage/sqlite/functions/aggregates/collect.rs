//! What makes one value of all: arrays, JSON, text.

use std::collections::VecDeque;

use super::super::array_text::{self, Element};
use super::super::arrays::element;
use super::super::call::{Answer, Call, LONGEST_RESULT, Registry, bad_argument, text, too_long};
use super::super::json::{argument_json, key};
use super::{Fold, define};
use crate::log::Value;
use crate::pg::types::json::normalize_jsonb;
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    define::<ArrayAgg<false>>(registry, "array_agg", 1)?;
    define::<ArrayAgg<true>>(registry, "towline_array_nest_agg", 1)?;
    define::<JsonAgg<false>>(registry, "json_agg", 1)?;
    define::<JsonAgg<true>>(registry, "jsonb_agg", 1)?;
    define::<JsonLines>(registry, "towline_json_agg_lines", 1)?;
    define::<JsonArrayAgg>(registry, "towline_array_json_agg", 1)?;
    define::<JsonArrayLines>(registry, "towline_array_json_lines", 1)?;
    define::<ObjectAgg<false>>(registry, "json_object_agg", 2)?;
    define::<ObjectAgg<true>>(registry, "jsonb_object_agg", 2)?;
    define::<Joined>(registry, "towline_string_agg_distinct", 2)
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
        if normal { text(normalize_jsonb(&json)?) } else { text(json) }
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
