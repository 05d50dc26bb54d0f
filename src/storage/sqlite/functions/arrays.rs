//! PostgreSQL's array functions and operators, on arrays as texts.
//!
//! `towline_array_json` turns an array into a JSON array for SQLite's `json_each`:
//! that is how `unnest` and `= ANY (…)` walk over elements.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::PURE;
use super::array_text::{self, Bounds, Element, flatten};
use super::call::{Answer, Call, Registry, bad_argument, boolean, count, integer, text, too_long};
use super::json::json_of_kind;
use crate::log::{Value, ValueRef};
use crate::pg::types::array::Array;
use crate::pg::types::json::{Json, print_json_string};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.connection.create_collation("numbers", |left, right| in_order(left, right, true))?;
    registry.connection.create_collation("texts", |left, right| in_order(left, right, false))?;
    registry.define_strict(
        PURE,
        &[
            ("array_dims", 1, dims),
            ("array_length", 2, length),
            ("array_lower", 2, lower),
            ("array_ndims", 1, ndims),
            ("array_upper", 2, upper),
            ("cardinality", 1, |call| count(flatten(array(call, 0)?).len())),
            ("towline_array_bool", 1, |call| text(if call.boolean(0) { "t" } else { "f" })),
            ("towline_array_contains", 2, contains::<false>),
            ("towline_numeric_array_contains", 2, contains::<true>),
            ("towline_array_get", 2, get),
            ("towline_array_get", 3, get),
            ("towline_array_at", -1, at),
            ("towline_array_overlaps", 2, overlaps::<false>),
            ("towline_numeric_array_overlaps", 2, overlaps::<true>),
            ("towline_array_slice", -1, slice),
            ("towline_vector_array", 1, |call| text(array_text::print(&array(call, 0)?))),
            ("trim_array", 2, trim),
        ],
    )?;
    registry.define(
        PURE,
        &[
            ("array_append", 2, append),
            ("array_cat", 2, concatenate),
            ("array_position", 2, position::<false>),
            ("towline_numeric_array_position", 2, position::<true>),
            ("array_position", 3, position::<false>),
            ("towline_numeric_array_position", 3, position::<true>),
            ("array_positions", 2, positions::<false>),
            ("towline_numeric_array_positions", 2, positions::<true>),
            ("array_prepend", 2, prepend),
            ("array_remove", 2, remove::<false>),
            ("towline_numeric_array_remove", 2, remove::<true>),
            ("array_replace", 3, replace::<false>),
            ("towline_numeric_array_replace", 3, replace::<true>),
            ("array_to_string", 2, to_string),
            ("array_to_string", 3, to_string),
            ("string_to_array", 2, split),
            ("string_to_array", 3, split),
            ("towline_array", -1, build),
            ("towline_array_any", 2, any::<false>),
            ("towline_numeric_array_any", 2, any::<true>),
            ("towline_array_append", 2, append),
            ("towline_array_cat", 2, concatenate),
            ("towline_array_json", 2, as_json),
            ("towline_array_set", -1, set),
            ("towline_array_set_slice", -1, set_slice),
            ("towline_array_to_json", 3, to_json),
            ("towline_array_nest", -1, nest),
            ("towline_array_prepend", 2, prepend),
            ("array_fill", 2, fill),
            ("array_fill", 3, fill),
            ("towline_arrays_json", -1, side_by_side),
            ("towline_row_field", 2, row_field),
        ],
    )
}

fn array(call: &Call<'_, '_>, at: usize) -> Result<Vec<Element>, SqlError> {
    array_text::parse(&call.text(at)?)
}

/// An argument as an element.
pub(super) fn element(call: &Call<'_, '_>, at: usize) -> Result<Element, SqlError> {
    Ok(call.optional_text(at)?.map_or(Element::Null, |text| Element::Text(text.into_owned())))
}

/// Where an array's subscripts begin.
fn bounds(call: &Call<'_, '_>, at: usize) -> Result<Bounds, SqlError> {
    Ok(Bounds::of(&call.text(at)?))
}

/// Where those of its first dimension do.
fn base(call: &Call<'_, '_>, at: usize) -> Result<i64, SqlError> {
    Ok(bounds(call, at)?.lower(0))
}

/// The length of dimension `wanted`, from 1.
fn dimension(elements: &[Element], wanted: i64) -> Option<usize> {
    if elements.is_empty() {
        return None;
    }
    match (wanted, elements.first()) {
        (1, _) => Some(elements.len()),
        (2.., Some(Element::Array(inner))) => dimension(inner, wanted - 1),
        _ => None,
    }
}

fn dims(call: &Call<'_, '_>) -> Answer {
    let (elements, bounds) = (array(call, 0)?, bounds(call, 0)?);
    let lengths = (1..).map_while(|wanted| dimension(&elements, wanted));
    let printed: String = lengths
        .enumerate()
        .map(|(at, length)| {
            let lower = bounds.lower(at);
            format!("[{lower}:{}]", lower + as_i64(length) - 1)
        })
        .collect();
    if printed.is_empty() { Ok(Value::Null) } else { text(printed) }
}

fn as_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn ndims(call: &Call<'_, '_>) -> Answer {
    let elements = array(call, 0)?;
    match (1..).map_while(|wanted| dimension(&elements, wanted)).count() {
        0 => Ok(Value::Null),
        dimensions => count(dimensions),
    }
}

fn length(call: &Call<'_, '_>) -> Answer {
    dimension(&array(call, 0)?, call.integer(1)?).map_or(Ok(Value::Null), count)
}

fn lower(call: &Call<'_, '_>) -> Answer {
    let wanted = call.integer(1)?;
    let lower = lower_of(call, wanted)?;
    dimension(&array(call, 0)?, wanted).map_or(Ok(Value::Null), |_| integer(lower))
}

/// Where the subscripts of dimension `wanted` begin, from 1.
fn lower_of(call: &Call<'_, '_>, wanted: i64) -> Result<i64, SqlError> {
    Ok(bounds(call, 0)?.lower(usize::try_from(wanted.saturating_sub(1)).unwrap_or(0)))
}

fn upper(call: &Call<'_, '_>) -> Answer {
    let wanted = call.integer(1)?;
    let lower = lower_of(call, wanted)?;
    let length = dimension(&array(call, 0)?, wanted);
    length.map_or(Ok(Value::Null), |length| integer(lower + as_i64(length) - 1))
}

fn get(call: &Call<'_, '_>) -> Answer {
    let elements = array(call, 0)?;
    let bounds = bounds(call, 0)?;
    // A vector that is cast to an array counts from 0 still.
    let base = match bounds.lower(0) {
        1 if call.len() > 2 => call.integer(2)?,
        lower => lower,
    };
    let at = call.integer(1)?.checked_sub(base).and_then(|at| usize::try_from(at).ok());
    Ok(match at.and_then(|at| elements.into_iter().nth(at)) {
        Some(Element::Text(text)) => Value::Text(text),
        Some(Element::Null | Element::Array(_)) | None => Value::Null,
    })
}

/// `array[i][j]…`: an element by its subscript in each dimension.
fn at(call: &Call<'_, '_>) -> Answer {
    let (mut elements, bounds) = (array(call, 0)?, bounds(call, 0)?);
    for dimension in 0..call.len() - 1 {
        let from_start = call.integer(dimension + 1)?.checked_sub(bounds.lower(dimension));
        let place = from_start.and_then(|place| usize::try_from(place).ok());
        let last = dimension == call.len() - 2;
        match place.and_then(|place| elements.into_iter().nth(place)) {
            Some(Element::Text(text)) if last => return Ok(Value::Text(text)),
            Some(Element::Array(inner)) if !last => elements = inner,
            _ => return Ok(Value::Null),
        }
    }
    Ok(Value::Null)
}

/// `array[at]… = value`.
fn set(call: &Call<'_, '_>) -> Answer {
    let mut array = whole(call, 0)?;
    let value = match call.is_null(1) {
        true => None,
        false => Some(call.text(1)?.into_owned()),
    };
    let subscripts =
        (2..call.len()).map(|at| subscript(call, at)).collect::<Result<Vec<_>, _>>()?;
    array.set(&subscripts, value)?;
    printed(&array)
}

/// `array[lower:upper]… = source`: pairs of bounds; an empty text is the dimension's own.
fn set_slice(call: &Call<'_, '_>) -> Answer {
    if call.is_null(1) {
        return Ok(match call.is_null(0) {
            true => Value::Null,
            false => Value::Text(call.text(0)?.into_owned()),
        });
    }
    let mut array = whole(call, 0)?;
    let bound = |at| match call.value(at) {
        ValueRef::Text("") => Ok(None),
        _ => subscript(call, at).map(Some),
    };
    let bounds = (2..call.len())
        .step_by(2)
        .map(|at| Ok((bound(at)?, bound(at + 1)?)))
        .collect::<Result<Vec<_>, SqlError>>()?;
    array.set_slice(&bounds, &whole(call, 1)?)?;
    printed(&array)
}

/// An array with its bounds; none is an empty one.
fn whole(call: &Call<'_, '_>, at: usize) -> Result<Array, SqlError> {
    if call.is_null(at) { Ok(Array::default()) } else { Array::parse(&call.text(at)?) }
}

fn subscript(call: &Call<'_, '_>, at: usize) -> Result<i32, SqlError> {
    if call.is_null(at) {
        return Err(SqlError::new(
            SqlState("22004"),
            "array subscript in assignment must not be null",
        ));
    }
    i32::try_from(call.integer(at)?)
        .map_err(|_| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
}

fn printed(array: &Array) -> Answer {
    let mut text = String::new();
    array.print(&mut text);
    Ok(Value::Text(text))
}

/// `array[first:last]…`, a pair of bounds for each dimension; an empty text is the
/// dimension's own.
fn slice(call: &Call<'_, '_>) -> Answer {
    let lower = bounds(call, 0)?;
    let mut bounds = Vec::with_capacity(call.len() / 2);
    for (dimension, at) in (1..call.len()).step_by(2).enumerate() {
        let base = lower.lower(dimension);
        let first = given_bound(call, at)?.unwrap_or(base);
        let last = given_bound(call, at + 1)?.unwrap_or(i64::MAX);
        let skip = usize::try_from(first.saturating_sub(base)).unwrap_or(0);
        let end = usize::try_from(last.saturating_sub(base).saturating_add(1)).unwrap_or(0);
        bounds.push((skip, end));
    }
    text(array_text::print(&cut(array(call, 0)?, &bounds)))
}

/// A bound of a slice; `None` where it is left out.
pub(super) fn given_bound(call: &Call<'_, '_>, at: usize) -> Result<Option<i64>, SqlError> {
    match call.value(at) {
        ValueRef::Text("") => Ok(None),
        _ => call.integer(at).map(Some),
    }
}

/// The part within the bounds; nothing where there is nothing in some dimension.
fn cut(elements: Vec<Element>, bounds: &[(usize, usize)]) -> Vec<Element> {
    let Some(((skip, end), inner)) = bounds.split_first() else { return elements };
    let kept = elements.into_iter().take(*end).skip(*skip);
    if inner.is_empty() {
        return kept.collect();
    }
    let rows = kept.filter_map(|element| match element {
        Element::Array(row) => Some(cut(row, inner)).filter(|row| !row.is_empty()),
        _ => None,
    });
    rows.map(Element::Array).collect()
}

/// The most elements that an array may have.
const MOST_ELEMENTS: usize = 134_217_727;

/// An array of the lengths in argument 1 with the same value everywhere.
fn fill(call: &Call<'_, '_>) -> Answer {
    if (1..call.len()).any(|at| call.is_null(at)) {
        let message = "dimension array or low bound array cannot be null";
        return Err(SqlError::new(SqlState("22004"), message));
    }
    let lengths = array(call, 1)?;
    let lower = if call.len() > 2 { array(call, 2)? } else { Vec::new() };
    if call.len() > 2 && lower.len() != lengths.len() {
        return Err(SqlError::new(SqlState("2202E"), "wrong number of array subscripts")
            .with_detail("Low bound array has different size than dimensions array."));
    }
    let bounds: String = lower
        .iter()
        .map(|bound| match bound {
            Element::Text(bound) => format!("[{bound}:]"),
            _ => "[1:]".to_owned(),
        })
        .collect();
    let bounds = Bounds::of(&format!("{bounds}="));
    let mut filled = Some(element(call, 0)?);
    let mut total = 1usize;
    for length in lengths.iter().rev() {
        let Element::Text(length) = length else {
            return Err(SqlError::new(SqlState("22004"), "dimension values cannot be null"));
        };
        let length = length.parse::<usize>().unwrap_or(0);
        total = total.saturating_mul(length);
        if total > MOST_ELEMENTS {
            return Err(too_long());
        }
        filled = filled
            .filter(|_| length > 0)
            .map(|inner| Element::Array(std::iter::repeat_n(inner, length).collect()));
    }
    match filled {
        Some(Element::Array(elements)) if lower.is_empty() => text(array_text::print(&elements)),
        Some(Element::Array(elements)) => text(bounds.print(&elements)),
        _ => text("{}"),
    }
}

fn append(call: &Call<'_, '_>) -> Answer {
    let mut elements =
        array(call, 0).map(|array| if call.is_null(0) { Vec::new() } else { array })?;
    elements.push(element(call, 1)?);
    text(if call.is_null(0) {
        array_text::print(&elements)
    } else {
        bounds(call, 0)?.print(&elements)
    })
}

fn prepend(call: &Call<'_, '_>) -> Answer {
    let mut elements = if call.is_null(1) { Vec::new() } else { array(call, 1)? };
    elements.insert(0, element(call, 0)?);
    text(if call.is_null(1) {
        array_text::print(&elements)
    } else {
        bounds(call, 1)?.print(&elements)
    })
}

fn concatenate(call: &Call<'_, '_>) -> Answer {
    match (call.is_null(0), call.is_null(1)) {
        (true, true) => return Ok(Value::Null),
        (true, false) => return text(call.text(1)?),
        (false, true) => return text(call.text(0)?),
        (false, false) => {}
    }
    let (mut left, mut right) = (array(call, 0)?, array(call, 1)?);
    // What the other is added to keeps its subscripts.
    let mut bounds = bounds(call, 0)?;
    if left.is_empty() {
        bounds = Bounds::of(&call.text(1)?);
    }
    let nested = |elements: &[Element]| matches!(elements.first(), Some(Element::Array(_)));
    let joined = match (nested(&left), nested(&right)) {
        // A row joins an array of rows.
        (true, false) if !right.is_empty() => {
            left.push(Element::Array(right));
            left
        }
        (false, true) if !left.is_empty() => {
            bounds = Bounds::of(&call.text(1)?);
            right.insert(0, Element::Array(left));
            right
        }
        _ => {
            left.append(&mut right);
            left
        }
    };
    text(bounds.print(&joined))
}

fn build(call: &Call<'_, '_>) -> Answer {
    let elements: Result<Vec<_>, _> = (0..call.len()).map(|at| element(call, at)).collect();
    text(array_text::print(&elements?))
}

fn nest(call: &Call<'_, '_>) -> Answer {
    let mut rows = Vec::with_capacity(call.len());
    for at in 0..call.len() {
        let row = array(call, at)?;
        if rows.first().is_some_and(
            |first| !matches!(first, Element::Array(first) if first.len() == row.len()),
        ) {
            return Err(SqlError::new(
                SqlState("2202E"),
                "multidimensional arrays must have array expressions with matching dimensions",
            ));
        }
        rows.push(Element::Array(row));
    }
    text(array_text::print(&rows))
}

fn position<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let (elements, wanted, base) =
        (flat(call, "searching for")?, element(call, 1)?, base(call, 0)?);
    let start = if call.len() > 2 { call.integer(2)?.saturating_sub(base) } else { 0 };
    let start = usize::try_from(start).unwrap_or(0);
    let mut found = elements.iter().enumerate().skip(start);
    let found = found.find(|(_, element)| same::<NUMBERS>(element, &wanted));
    found.map_or(Ok(Value::Null), |(at, _)| integer(as_i64(at) + base))
}

fn positions<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let (elements, wanted, base) =
        (flat(call, "searching for")?, element(call, 1)?, base(call, 0)?);
    let found =
        elements.iter().enumerate().filter(|(_, element)| same::<NUMBERS>(element, &wanted));
    let found = found.map(|(at, _)| Element::Text((as_i64(at) + base).to_string()));
    text(array_text::print(&found.collect::<Vec<_>>()))
}

fn remove<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let unwanted = element(call, 1)?;
    let mut elements = flat(call, "removing")?;
    elements.retain(|element| !same::<NUMBERS>(element, &unwanted));
    text(bounds(call, 0)?.print(&elements))
}

fn replace<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let (from, to) = (element(call, 1)?, element(call, 2)?);
    let mut elements = array(call, 0)?;
    for element in elements.iter_mut().filter(|element| same::<NUMBERS>(element, &from)) {
        *element = to.clone();
    }
    text(bounds(call, 0)?.print(&elements))
}

fn trim(call: &Call<'_, '_>) -> Answer {
    let mut elements = array(call, 0)?;
    let removed = usize::try_from(call.integer(1)?).ok().filter(|count| *count <= elements.len());
    let Some(removed) = removed else {
        return Err(SqlError::new(
            SqlState("2202E"),
            format!("number of elements to trim must be between 0 and {}", elements.len()),
        ));
    };
    elements.truncate(elements.len() - removed);
    text(array_text::print(&elements))
}

fn to_string(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) || call.is_null(1) {
        return Ok(Value::Null);
    }
    let null = call.optional_text(2)?;
    let parts: Vec<_> = flatten(array(call, 0)?)
        .into_iter()
        .filter_map(|element| match element {
            Element::Text(text) => Some(text),
            _ => null.as_ref().map(|null| null.clone().into_owned()),
        })
        .collect();
    text(parts.join(&call.text(1)?))
}

fn split(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let value = call.text(0)?;
    let null = call.optional_text(2)?;
    let parts: Vec<String> = match call.optional_text(1)? {
        _ if value.is_empty() => Vec::new(),
        // Without a delimiter every character is a part; an empty one splits nothing.
        None => value.chars().map(String::from).collect(),
        Some(delimiter) if delimiter.is_empty() => vec![value.into_owned()],
        Some(delimiter) => value.split(delimiter.as_ref()).map(str::to_owned).collect(),
    };
    let elements: Vec<_> = parts
        .into_iter()
        .map(|part| match &null {
            Some(null) if *null == part => Element::Null,
            _ => Element::Text(part),
        })
        .collect();
    text(array_text::print(&elements))
}

/// Equality of elements' texts is equality of values, for their form is canonical; but for
/// numerics, which keep the zeroes at their end.
fn same<const NUMBERS: bool>(left: &Element, right: &Element) -> bool {
    match (left, right) {
        (Element::Text(left), Element::Text(right)) => same_text::<NUMBERS>(left, right),
        _ => left == right,
    }
}

/// As [`same`], of texts.
fn same_text<const NUMBERS: bool>(left: &str, right: &str) -> bool {
    left == right || (NUMBERS && compare_numbers(left, right).is_eq())
}

/// Whether one of the elements is that which is wanted.
fn holds<const NUMBERS: bool>(elements: &[Option<Cow<'_, str>>], wanted: &str) -> bool {
    elements.iter().flatten().any(|element| same_text::<NUMBERS>(element, wanted))
}

/// The elements of an array of one dimension at most.
fn flat(call: &Call<'_, '_>, doing: &str) -> Result<Vec<Element>, SqlError> {
    let elements = array(call, 0)?;
    if matches!(elements.first(), Some(Element::Array(_))) {
        return Err(SqlError::unsupported(format_args!(
            "{doing} elements in multidimensional arrays"
        )));
    }
    Ok(elements)
}

/// Whether each element of the right array is in the left one; NULL is in none.
fn contains<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    let (array, wanted) = (call.text(0)?, call.read_once(1, owned_texts)?);
    let elements = array_text::texts(&array)?;
    let held = |wanted: &Option<String>| {
        wanted.as_ref().is_some_and(|wanted| holds::<NUMBERS>(&elements, wanted))
    };
    boolean(wanted.iter().all(held))
}

fn overlaps<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    let (array, wanted) = (call.text(0)?, call.read_once(1, owned_texts)?);
    let elements = array_text::texts(&array)?;
    boolean(wanted.iter().flatten().any(|wanted| holds::<NUMBERS>(&elements, wanted)))
}

fn owned_texts(array: &str) -> Result<Vec<Option<String>>, SqlError> {
    let texts = array_text::texts(array)?.into_iter();
    Ok(texts.map(|text| text.map(Cow::into_owned)).collect())
}

/// `value = ANY (array)`: not known where a NULL may be the one.
fn any<const NUMBERS: bool>(call: &Call<'_, '_>) -> Answer {
    if call.is_null(1) {
        return Ok(Value::Null);
    }
    let array = call.text(1)?;
    let elements = array_text::texts(&array)?;
    match call.optional_text(0)? {
        _ if elements.is_empty() => boolean(false),
        Some(wanted) if holds::<NUMBERS>(&elements, &wanted) => boolean(true),
        Some(_) if elements.iter().all(Option::is_some) => boolean(false),
        _ => Ok(Value::Null),
    }
}

fn in_order(left: &str, right: &str, numbers: bool) -> Ordering {
    match (array_text::parse(left), array_text::parse(right)) {
        (Ok(left), Ok(right)) if numbers => compare_elements(&left, &right, &compare_numbers),
        (Ok(left), Ok(right)) => compare_elements(&left, &right, &str::cmp),
        _ => left.cmp(right),
    }
}

/// Order of arrays: by their first different element, else by length. NULL is
/// greater than any other.
pub(super) fn compare_elements(
    left: &[Element],
    right: &[Element],
    compare: &dyn Fn(&str, &str) -> Ordering,
) -> Ordering {
    for pair in left.iter().zip(right) {
        let order = match pair {
            (Element::Null, Element::Null) => Ordering::Equal,
            (Element::Null, _) => Ordering::Greater,
            (_, Element::Null) => Ordering::Less,
            (Element::Array(left), Element::Array(right)) => compare_elements(left, right, compare),
            (Element::Array(_), Element::Text(_)) => Ordering::Greater,
            (Element::Text(_), Element::Array(_)) => Ordering::Less,
            (Element::Text(left), Element::Text(right)) => compare(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

fn compare_numbers(left: &str, right: &str) -> Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    crate::pg::types::numeric::compare(left, right)
}

/// An element as JSON, by the kind that the translator knows its type to be.
fn element_json(element: Element, kind: &str) -> Json {
    match element {
        Element::Null => Json::Null,
        Element::Array(inner) => {
            Json::Array(inner.into_iter().map(|element| element_json(element, kind)).collect())
        }
        Element::Text(text) => match kind {
            "bool" => Json::Bool(matches!(text.as_str(), "t" | "true" | "1")),
            "int" | "float" if is_json_number(&text) => Json::Number(text),
            _ => Json::String(text),
        },
    }
}

fn is_json_number(text: &str) -> bool {
    matches!(Json::parse(text), Ok(Json::Number(_)))
}

/// The elements, of all dimensions, as a JSON array; NULL has none.
fn as_json(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return text("[]");
    }
    let kind = call.text(1)?;
    let elements = flatten(array(call, 0)?).into_iter();
    let elements = elements.map(|element| element_json(element, &kind)).collect();
    text(Json::Array(elements).to_string())
}

/// An array as JSON, its elements by the kind that the translator knows their type to be;
/// with a third argument that is true, each on its own line.
fn to_json(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let comma = if call.boolean(2) { ",\n " } else { "," };
    let mut json = String::new();
    print_json(&array(call, 0)?, &call.text(1)?, comma, &mut json)?;
    text(json)
}

fn print_json(
    elements: &[Element],
    kind: &str,
    comma: &str,
    json: &mut String,
) -> Result<(), SqlError> {
    json.push('[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            json.push_str(comma);
        }
        match element {
            Element::Null => json.push_str("null"),
            Element::Array(inner) => print_json(inner, kind, ",", json)?,
            Element::Text(text) => json.push_str(&json_of_kind(text, kind)),
        }
    }
    json.push(']');
    Ok(())
}

/// A JSON array of rows, each an array of the arrays' n-th elements.
fn side_by_side(call: &Call<'_, '_>) -> Answer {
    let mut arrays = Vec::with_capacity(call.len());
    for at in 0..call.len() {
        let elements = if call.is_null(at) { Vec::new() } else { array(call, at)? };
        arrays.push(flatten(elements).into_iter());
    }
    let mut rows = Vec::new();
    loop {
        let row: Vec<_> = arrays.iter_mut().map(Iterator::next).collect();
        if row.iter().all(Option::is_none) {
            break;
        }
        let fields = row.into_iter().map(|field| match field {
            Some(Element::Text(text)) => Json::String(text),
            _ => Json::Null,
        });
        rows.push(Json::Array(fields.collect()));
    }
    text(Json::Array(rows).to_string())
}

/// Field `at` (from 0) of a row of [`side_by_side`].
fn row_field(call: &Call<'_, '_>) -> Answer {
    let ValueRef::Text(row) = call.value(0) else { return Ok(Value::Null) };
    let at = usize::try_from(call.integer(1)?)
        .map_err(|_| bad_argument("a row has no field of a negative number"))?;
    let Json::Array(fields) = Json::parse(row)? else { return Ok(Value::Null) };
    Ok(match fields.into_iter().nth(at) {
        Some(Json::String(text)) => Value::Text(text),
        _ => Value::Null,
    })
}

/// A text as a JSON string.
pub(super) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    print_json_string(text, &mut json);
    json
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("array_length('{1,2,3}', 1)", "3"),
            ("array_length('{}', 1)", "NULL"),
            ("array_length('{{1,2},{3,4}}', 2)", "2"),
            ("array_upper('{1,2}', 1)", "2"),
            ("array_lower('{1,2}', 1)", "1"),
            ("array_lower('1 2', 1)", "0"),
            ("array_upper('1 2', 1)", "1"),
            ("array_dims('{{1,2,3},{4,5,6}}')", "[1:2][1:3]"),
            ("array_ndims('{{1},{2}}')", "2"),
            ("cardinality('{{1,2},{3,4}}')", "4"),
            ("cardinality('{}')", "0"),
            ("array_append('{1,2}', 3)", "{1,2,3}"),
            ("array_append(NULL, 3)", "{3}"),
            ("array_prepend(1, '{2,3}')", "{1,2,3}"),
            ("array_cat('{1,2}', '{3,4}')", "{1,2,3,4}"),
            ("array_cat('{{1,2}}', '{3,4}')", "{{1,2},{3,4}}"),
            ("array_cat(NULL, '{1}')", "{1}"),
            ("array_position('{sun,mon,tue}', 'mon')", "2"),
            ("array_position('{sun,mon}', 'x')", "NULL"),
            ("array_position('{1,4,2,4}', 4, 3)", "4"),
            ("array_position('2 3', 2)", "0"),
            ("array_positions('{A,A,B,A}', 'A')", "{1,2,4}"),
            ("array_remove('{1,2,3,2}', 2)", "{1,3}"),
            ("towline_numeric_array_remove('{1.0,2.1}', '1')", "{2.1}"),
            ("towline_numeric_array_contains('{1.50}', '{1.5}')", "1"),
            ("array_replace('{1,2,5,4}', 5, 3)", "{1,2,3,4}"),
            ("array_to_string('{1,2,NULL,5}', ',', '*')", "1,2,*,5"),
            ("array_to_string('{1,2,NULL,5}', ',')", "1,2,5"),
            ("string_to_array('xx~~yy~~zz', '~~', 'yy')", "{xx,NULL,zz}"),
            ("string_to_array('abc', NULL)", "{a,b,c}"),
            ("string_to_array('', ',')", "{}"),
            ("string_to_array('a b,c', ',')", "{\"a b\",c}"),
            ("trim_array('{1,2,3,4}', 2)", "{1,2}"),
            ("trim_array('{1}', 2)", "2202E"),
            ("towline_array(1, NULL, 'a b', 'null', '')", "{1,NULL,\"a b\",\"null\",\"\"}"),
            ("towline_array()", "{}"),
            ("towline_array_nest('{1}', '{2}')", "{{1},{2}}"),
            ("towline_array_get('{a,b}', 2, 1)", "b"),
            ("towline_array_get('{a,b}', 3, 1)", "NULL"),
            ("towline_array_get('7 8', 0)", "7"),
            ("towline_array_slice('{1,2,3,4}', 2, 3)", "{2,3}"),
            ("towline_array_slice('{1,2,3,4}', '', 2)", "{1,2}"),
            ("towline_array_slice('{1,2,3,4}', NULL, 2)", "NULL"),
            ("towline_array_slice('{{1,2,3},{4,5,6},{7,8,9}}', 1, 2, 2, '')", "{{2,3},{5,6}}"),
            (
                "towline_array_slice('[0:2][0:2]={{1,2,3},{4,5,6},{7,8,9}}', 1, 2, 1, 2)",
                "{{5,6},{8,9}}",
            ),
            ("towline_array_get('[0:1]={a,b}', 0)", "a"),
            ("array_lower('[0:1]={a,b}', 1)", "0"),
            ("array_dims('[0:1][2:2]={{a},{b}}')", "[0:1][2:2]"),
            ("array_append('[0:1]={a,b}', 'c')", "[0:2]={a,b,c}"),
            ("array_prepend('c', '[0:1]={a,b}')", "[0:2]={c,a,b}"),
            ("array_fill(7, '{2}', '{0}')", "[0:1]={7,7}"),
            ("towline_array_slice('{{1,2},{3,4}}', 1, 2, 3, 4)", "{}"),
            ("array_fill(7, '{2,2}')", "{{7,7},{7,7}}"),
            ("array_fill(NULL, '{2}')", "{NULL,NULL}"),
            ("array_fill(7, '{0}')", "{}"),
            ("array_fill(7, '{100000,100000}')", "54000"),
            ("towline_array_contains('{1,4,3}', '{3,1}')", "1"),
            ("towline_array_contains('{1}', '{}')", "1"),
            ("towline_array_contains('{1,NULL}', '{NULL}')", "0"),
            ("towline_array_contains('{a,,b}', '{a}')", "22P02"),
            ("towline_array_overlaps('{1,4,3}', '{2,1}')", "1"),
            ("towline_array_overlaps('{1,NULL}', '{NULL,1}')", "1"),
            ("towline_array_any('b c', '{a,\"b c\"}')", "1"),
            ("towline_array_any('b', '{{a},{b}}')", "1"),
            ("towline_array_any(4, '{3,4}')", "1"),
            ("towline_array_any('x', '{a,NULL}')", "NULL"),
            ("towline_array_any('null', '{a,\"null\"}')", "1"),
            ("towline_array_any('x', '{a,b}')", "0"),
            ("towline_array_any(NULL, '{a}')", "NULL"),
            ("towline_array_any(NULL, '{}')", "0"),
            ("towline_array_any('x', NULL)", "NULL"),
            ("towline_numeric_array_any('1.5', '{2,1.50}')", "1"),
            ("towline_array_overlaps('{1,4}', '{2}')", "0"),
            ("'{1,10}' > '{1,9}' COLLATE numbers", "1"),
            ("'{1,10}' > '{1,9}' COLLATE texts", "0"),
            ("'{1}' < '{1,NULL}' COLLATE numbers", "1"),
            ("towline_array_json('{1,NULL,x}', 'int')", "[1, null, \"x\"]"),
            ("towline_array_json('{t,f}', 'bool')", "[true, false]"),
            ("towline_array_json('{007}', 'text')", "[\"007\"]"),
            ("towline_array_json(NULL, 'text')", "[]"),
            ("towline_arrays_json('{1,2}', '{a}')", "[[\"1\", \"a\"], [\"2\", null]]"),
            ("towline_row_field('[\"1\", null]', 0)", "1"),
            ("towline_vector_array('1 2')", "{1,2}"),
            ("array_length('{1', 1)", "22P02"),
            ("towline_array_to_json('{{1,5},{99,100}}', 'number', 0)", "[[1,5],[99,100]]"),
            ("towline_array_to_json('{{1,5},{99,100}}', 'number', 1)", "[[1,5],\n [99,100]]"),
            ("towline_array_to_json('{t,NULL}', 'bool', 0)", "[true,null]"),
            ("towline_array_to_json('{1,NaN}', 'number', 0)", "[1,\"NaN\"]"),
            ("towline_array_to_json('{1,1 2}', 'text', 0)", "[\"1\",\"1 2\"]"),
        ]);
    }
}
