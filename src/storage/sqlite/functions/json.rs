//! PostgreSQL's functions and operators on json and jsonb.
//!
//! `json` keeps its text: what is taken out of it is a piece of that text. `jsonb` is
//! kept in its normal form, so that pieces of it are in normal form as well.
//!
//! Values that are to become JSON lose their type in SQLite; the translator passes
//! those through `towline_json_value`, whose result carries SQLite's JSON subtype.

use super::PURE;
use super::array_text::{self, Element};
use super::arrays::json_string;
use super::call::{
    Answer, Call, JSON_SUBTYPE, Output, Registry, bad_argument, boolean, count, text, text_of,
};
use crate::log::{Value, ValueRef};
use crate::pg::types::json::{self, Json, Parts, Step, child, element_position, normalize_jsonb};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.connection.create_collation("jsonb", json::compare)?;
    registry.define_strict(
        PURE,
        &[
            ("json_array_length", 1, array_length),
            ("json_extract_path", -1, |call| path(call, &arguments(call)?, false)),
            ("json_extract_path_text", -1, |call| path(call, &arguments(call)?, true)),
            ("json_strip_nulls", 1, |call| {
                text(strip_nulls(Json::parse(&call.text(0)?)?).compact())
            }),
            ("json_typeof", 1, |call| text(Json::parse(&call.text(0)?)?.kind())),
            ("jsonb_array_length", 1, array_length),
            ("jsonb_extract_path", -1, |call| path(call, &arguments(call)?, false)),
            ("jsonb_extract_path_text", -1, |call| path(call, &arguments(call)?, true)),
            ("jsonb_pretty", 1, |call| text(jsonb(call, 0)?.pretty())),
            ("jsonb_strip_nulls", 1, |call| text(strip_nulls(jsonb(call, 0)?).to_string())),
            ("jsonb_typeof", 1, |call| text(Json::parse(&call.text(0)?)?.kind())),
            ("towline_json_array_length", 1, array_length),
            ("towline_json_get", 2, |call| get(call, false)),
            ("towline_json_get_text", 2, |call| get(call, true)),
            ("towline_json_path", 2, |call| array_path(call, false)),
            ("towline_json_path_text", 2, |call| array_path(call, true)),
            ("towline_json_text", 1, |call| piece(Some(&call.text(0)?), true)),
            ("towline_jsonb_concat", 2, concatenate),
            ("towline_jsonb_contains", 2, |call| {
                let wanted = call.read_once(1, |text| Json::parse(text)?.normalized())?;
                boolean(text_contains(&call.text(0)?, &wanted, true)?)
            }),
            ("towline_jsonb_delete", 2, delete),
            ("towline_jsonb_delete_keys", 2, |call| delete_names(call, &call.read_once(1, steps)?)),
            ("towline_jsonb_delete_path", 2, delete_path),
            ("towline_jsonb_exists", 2, |call| boolean(has(&jsonb(call, 0)?, &call.text(1)?))),
            ("towline_jsonb_exists_all", 2, |call| {
                let json = jsonb(call, 0)?;
                boolean(call.read_once(1, steps)?.iter().all(|key| has(&json, key)))
            }),
            ("towline_jsonb_exists_any", 2, |call| {
                let json = jsonb(call, 0)?;
                boolean(call.read_once(1, steps)?.iter().any(|key| has(&json, key)))
            }),
            ("towline_jsonb_insert", 3, insert),
            ("towline_jsonb_insert", 4, insert),
            ("towline_jsonb_set", 3, set),
            ("towline_jsonb_set", 4, set),
            ("towline_jsonb_subscript", 2, subscript),
        ],
    )?;
    let with_subtype = PURE
        | rusqlite::functions::FunctionFlags::SQLITE_SUBTYPE
        | rusqlite::functions::FunctionFlags::SQLITE_RESULT_SUBTYPE;
    registry.define(
        with_subtype,
        &[
            ("json_build_array", -1, |call| text(build_array(call)?)),
            ("json_build_object", -1, |call| text(build_object(call, " : ", ", ")?)),
            ("towline_json_object", -1, |call| text(build_object(call, ":", ",")?)),
            ("towline_json_object_lines", -1, |call| text(build_object(call, ":", ",\n ")?)),
            ("towline_jsonb_assign", -1, assign),
            ("towline_jsonb_set_lax", -1, set_lax),
            ("jsonb_build_array", -1, |call| text(normalize_jsonb(&build_array(call)?)?)),
            ("jsonb_build_object", -1, |call| {
                if let Some(at) = (0..call.len()).step_by(2).find(|at| call.is_null(*at))
                    && call.len().is_multiple_of(2)
                {
                    let message = format!("argument {}: key must not be null", at + 1);
                    return Err(bad_argument(message));
                }
                text(normalize_jsonb(&build_object(call, ":", ",")?)?)
            }),
            ("to_json", 1, |call| of_argument(call, 0, Ok)),
            ("to_jsonb", 1, |call| of_argument(call, 0, |json| normalize_jsonb(&json))),
        ],
    )?;
    let surroundings = registry.surroundings.clone();
    registry.connection.create_scalar_function(
        "towline_json_value",
        2,
        with_subtype,
        move |context| {
            let call = Call::new(context, &surroundings);
            match typed(&call) {
                Ok(Some(json)) => Ok(Output(Value::Text(json), Some(JSON_SUBTYPE))),
                Ok(None) => Ok(Output(Value::Null, None)),
                Err(error) => Err(surroundings.raise(error)),
            }
        },
    )
}

fn jsonb(call: &Call<'_, '_>, at: usize) -> Result<Json, SqlError> {
    Json::parse(&call.text(at)?)?.normalized()
}

/// A value as JSON, by the kind that the translator knows its type to be.
fn typed(call: &Call<'_, '_>) -> Result<Option<String>, SqlError> {
    if call.is_null(0) {
        return Ok(None);
    }
    Ok(Some(json_of_kind(&call.text(0)?, &call.text(1)?)))
}

/// The text of a value as JSON: of a truth value, of JSON, of a number, of a date or
/// timestamp, or of anything else.
pub(super) fn json_of_kind(value: &str, kind: &str) -> String {
    match kind {
        "bool" => (if matches!(value, "1" | "t" | "true") { "true" } else { "false" }).to_owned(),
        "json" => value.to_owned(),
        "number" if matches!(Json::parse(value), Ok(Json::Number(_))) => value.to_owned(),
        "time" => json_string(&iso_time(value)),
        _ => json_string(value),
    }
}

/// A date or time as ISO 8601 writes it: with a `T`, and minutes in the offset.
fn iso_time(printed: &str) -> String {
    let moment = printed.strip_suffix(" BC").unwrap_or(printed);
    let era = &printed[moment.len()..];
    let joined =
        moment.replacen(' ', "T", usize::from(moment.starts_with(|c: char| c.is_ascii_digit())));
    let offset = joined.rfind(['+', '-']).filter(|at| joined.contains(':') && *at > 7);
    match offset {
        Some(at) if joined.len() - at == 3 => joined + ":00" + era,
        _ => joined + era,
    }
}

/// An argument as JSON: what carries the subtype as it stands, else by its form.
pub(super) fn argument_json(call: &Call<'_, '_>, at: usize) -> Result<String, SqlError> {
    Ok(match call.value(at) {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Text(json) if call.is_json(at) => json.to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_finite() => text_of(ValueRef::Real(value))?.into_owned(),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json_string(&format!("\\x{hex}"))
        }
        other => json_string(&text_of(other)?),
    })
}

fn of_argument(
    call: &Call<'_, '_>,
    at: usize,
    finish: fn(String) -> Result<String, SqlError>,
) -> Answer {
    if call.is_null(at) {
        return Ok(Value::Null);
    }
    text(finish(argument_json(call, at)?)?)
}

fn build_array(call: &Call<'_, '_>) -> Result<String, SqlError> {
    let elements: Result<Vec<_>, _> = (0..call.len()).map(|at| argument_json(call, at)).collect();
    Ok(format!("[{}]", elements?.join(", ")))
}

/// A member's name, from any value but NULL (which fails as the caller says) and JSON that
/// is no scalar.
pub(super) fn key(
    call: &Call<'_, '_>,
    at: usize,
    of_null: impl FnOnce() -> SqlError,
) -> Result<String, SqlError> {
    if call.is_null(at) {
        return Err(of_null());
    }
    if call.is_json(at) && call.text(at)?.starts_with(['{', '[']) {
        return Err(bad_argument("key value must be scalar, not array, composite, or json"));
    }
    if call.is_json(at) && call.text(at)?.starts_with('"') {
        return Ok(call.text(at)?.into_owned());
    }
    Ok(json_string(&call.text(at)?))
}

/// `json_build_object` sets its members apart; a row's are not.
fn build_object(call: &Call<'_, '_>, colon: &str, comma: &str) -> Result<String, SqlError> {
    if !call.len().is_multiple_of(2) {
        return Err(bad_argument("argument list must have even number of elements").with_hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut members = Vec::with_capacity(call.len() / 2);
    for at in (0..call.len()).step_by(2) {
        let of_null = || {
            bad_argument(format!("argument {} cannot be null", at + 1))
                .with_hint("Object keys should be text.")
        };
        let key = key(call, at, of_null)?;
        members.push(format!("{key}{colon}{}", argument_json(call, at + 1)?));
    }
    Ok(format!("{{{}}}", members.join(comma)))
}

fn array_length(call: &Call<'_, '_>) -> Answer {
    match Json::parse(&call.text(0)?)? {
        Json::Array(elements) => count(elements.len()),
        Json::Object(_) => Err(bad_argument("cannot get array length of a non-array")),
        _ => Err(bad_argument("cannot get array length of a scalar")),
    }
}

/// A piece of JSON, as JSON or as `->>` gives it.
fn piece(found: Option<&str>, bare: bool) -> Answer {
    let Some(found) = found else { return Ok(Value::Null) };
    if !bare {
        return text(found);
    }
    match found.bytes().next() {
        Some(b'"') => Ok(Json::parse(found)?.bare().map_or(Value::Null, Value::Text)),
        _ if found == "null" => Ok(Value::Null),
        _ => text(found),
    }
}

fn get(call: &Call<'_, '_>, bare: bool) -> Answer {
    let json = call.text(0)?;
    let found = match call.value(1) {
        ValueRef::Integer(number) => child(&json, &Step::Element(number))?,
        other => child(&json, &Step::Member(&text_of(other)?))?,
    };
    piece(found, bare)
}

/// `json['key']`: unlike `->`, a text may number an element.
fn subscript(call: &Call<'_, '_>) -> Answer {
    piece(child(&call.text(0)?, &Step::Key(&call.text(1)?))?, false)
}

fn arguments(call: &Call<'_, '_>) -> Result<Vec<String>, SqlError> {
    (1..call.len()).map(|at| call.text(at).map(std::borrow::Cow::into_owned)).collect()
}

/// The texts in an array, without its NULLs.
fn steps(array: &str) -> Result<Vec<String>, SqlError> {
    let elements = array_text::flatten(array_text::parse(array)?);
    let text = |element| match element {
        Element::Text(text) => Some(text),
        _ => None,
    };
    Ok(elements.into_iter().filter_map(text).collect())
}

/// The steps of a path that is to change a value.
fn path_to_change(call: &Call<'_, '_>, at: usize) -> Result<Vec<String>, SqlError> {
    let elements = array_text::flatten(array_text::parse(&call.text(at)?)?);
    let step = |(at, element): (usize, Element)| match element {
        Element::Text(text) => Ok(text),
        _ => Err(SqlError::new(
            SqlState("22004"),
            format!("path element at position {} is null", at + 1),
        )),
    };
    elements.into_iter().enumerate().map(step).collect()
}

/// `#>`: nothing is at the end of a path with a NULL in it.
fn array_path(call: &Call<'_, '_>, bare: bool) -> Answer {
    let steps = call.read_once(1, |array| {
        let steps = array_text::flatten(array_text::parse(array)?).into_iter();
        let steps = steps.map(|element| match element {
            Element::Text(text) => Some(text),
            _ => None,
        });
        Ok(steps.collect::<Option<Vec<_>>>())
    })?;
    steps.as_ref().as_ref().map_or(Ok(Value::Null), |steps| path(call, steps, bare))
}

fn path(call: &Call<'_, '_>, steps: &[String], bare: bool) -> Answer {
    let json = call.text(0)?;
    let mut found: Option<&str> = Some(json.trim());
    for step in steps {
        let Some(here) = found else { break };
        found = child(here, &Step::Key(step))?;
    }
    piece(found, bare)
}

fn strip_nulls(json: Json) -> Json {
    match json {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Json::Array(elements) => Json::Array(elements.into_iter().map(strip_nulls).collect()),
        other => other,
    }
}

/// `@>` of a text, of which only those members are read that are asked for.
fn text_contains(text: &str, wanted: &Json, at_top: bool) -> Result<bool, SqlError> {
    let Json::Object(wanted) = wanted else {
        return Ok(contains(&Json::parse(text)?.normalized()?, wanted, at_top));
    };
    let Parts::Members(members) = json::parts(text)? else { return Ok(false) };
    for (key, wanted) in wanted {
        match members.iter().rev().find(|(name, _)| name == key) {
            Some((_, part)) if text_contains(part, wanted, false)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// `@>`. An array at the top contains a scalar that is one of its elements.
fn contains(left: &Json, right: &Json, at_top: bool) -> bool {
    match (left, right) {
        (Json::Object(_), Json::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            left.step(key).is_some_and(|value| contains(value, wanted, false))
        }),
        (Json::Array(elements), Json::Array(wanted)) => wanted
            .iter()
            .all(|wanted| elements.iter().any(|element| contains(element, wanted, false))),
        (Json::Array(elements), scalar) if at_top => {
            !matches!(scalar, Json::Object(_))
                && elements.iter().any(|element| contains(element, scalar, false))
        }
        (Json::Number(left), Json::Number(right)) => {
            crate::pg::types::numeric::compare(left, right).is_eq()
        }
        (left, right) => left == right,
    }
}

/// Whether a text is a member's name, or a string that is the value or an element.
fn has(json: &Json, wanted: &str) -> bool {
    match json {
        Json::Object(members) => members.iter().any(|(key, _)| key == wanted),
        Json::Array(elements) => elements.iter().any(|element| has_string(element, wanted)),
        scalar => has_string(scalar, wanted),
    }
}

fn has_string(json: &Json, wanted: &str) -> bool {
    matches!(json, Json::String(string) if string == wanted)
}

fn concatenate(call: &Call<'_, '_>) -> Answer {
    let joined = match (jsonb(call, 0)?, jsonb(call, 1)?) {
        (Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            Json::Object(left)
        }
        (left, right) => {
            let elements = |json| match json {
                Json::Array(elements) => elements,
                other => vec![other],
            };
            let mut left = elements(left);
            left.extend(elements(right));
            Json::Array(left)
        }
    };
    text(joined.normalized()?.to_string())
}

/// `-`: a member or string by name, an element by number.
fn delete(call: &Call<'_, '_>) -> Answer {
    let mut json = jsonb(call, 0)?;
    if let ValueRef::Integer(number) = call.value(1) {
        match &mut json {
            Json::Array(elements) => {
                if let Some(at) = element_position(elements.len(), number) {
                    elements.remove(at);
                }
            }
            Json::Object(_) => {
                return Err(bad_argument("cannot delete from object using integer index"));
            }
            _ => return Err(bad_argument("cannot delete from scalar")),
        }
        return text(json.to_string());
    }
    delete_names(call, &[call.text(1)?.into_owned()])
}

fn delete_names(call: &Call<'_, '_>, names: &[String]) -> Answer {
    let mut json = jsonb(call, 0)?;
    match &mut json {
        Json::Object(members) => members.retain(|(key, _)| !names.contains(key)),
        Json::Array(elements) => {
            elements.retain(|element| !names.iter().any(|name| has_string(element, name)));
        }
        _ => return Err(bad_argument("cannot delete from scalar")),
    }
    text(json.to_string())
}

fn delete_path(call: &Call<'_, '_>) -> Answer {
    let json = jsonb(call, 0)?;
    let path = path_to_change(call, 1)?;
    match &json {
        Json::Array(elements) if elements.is_empty() => return text("[]"),
        Json::Array(_) | Json::Object(_) => {}
        _ => return Err(bad_argument("cannot delete path in scalar")),
    }
    text(change(json, &path, 1, &Change::Delete)?.to_string())
}

/// What happens at the end of a path.
enum Change {
    Delete,
    /// Replace what is there; with `create`, add what is not.
    Set {
        value: Json,
        create: bool,
    },
    /// Add before, or with `after` behind, what is there.
    Insert {
        value: Json,
        after: bool,
    },
}

fn set(call: &Call<'_, '_>) -> Answer {
    let create = call.len() < 4 || call.boolean(3);
    let change_here = Change::Set { value: jsonb(call, 2)?, create };
    let json = jsonb(call, 0)?;
    text(change(json, &path_to_change(call, 1)?, 1, &change_here)?.normalized()?.to_string())
}

/// `SET doc['a'][1] = value`: the document, the value, and the subscripts.
fn assign(call: &Call<'_, '_>) -> Answer {
    let mut path = Vec::new();
    for at in 2..call.len() {
        let step = call.optional_text(at)?.ok_or_else(|| {
            SqlError::new(SqlState("22004"), "jsonb subscript in assignment must not be null")
        })?;
        path.push(step.into_owned());
    }
    let value = match call.optional_text(1)? {
        Some(text) => Json::parse(&text)?,
        None => Json::Null,
    };
    let document = match call.optional_text(0)? {
        Some(text) => Json::parse(&text)?,
        None if matches!(call.value(2), ValueRef::Integer(_)) => Json::Array(Vec::new()),
        None => Json::Object(Vec::new()),
    };
    text(assigned(document, &path, 1, value)?.normalized()?.to_string())
}

/// Elements that an assignment may make.
const ELEMENTS_MAX: usize = 1 << 20;

fn assigned(json: Json, path: &[String], depth: usize, value: Json) -> Result<Json, SqlError> {
    let Some((step, rest)) = path.split_first() else { return Ok(value) };
    match json {
        Json::Object(mut members) => {
            match members.iter().position(|(key, _)| key == step) {
                Some(at) => {
                    let old = std::mem::replace(&mut members[at].1, Json::Null);
                    members[at].1 = assigned(old, rest, depth + 1, value)?;
                }
                None => members.push((step.clone(), around(rest, value)?)),
            }
            Ok(Json::Object(members))
        }
        Json::Array(mut elements) => {
            let Ok(number) = step.trim().parse::<i64>() else {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("path element at position {depth} is not an integer: \"{step}\""),
                ));
            };
            match element_position(elements.len(), number) {
                Some(at) => {
                    let old = std::mem::replace(&mut elements[at], Json::Null);
                    elements[at] = assigned(old, rest, depth + 1, value)?;
                }
                None if number < 0 => {
                    return Err(bad_argument(format!(
                        "path element at position {depth} is out of range: {number}"
                    )));
                }
                None => put_at(&mut elements, number, around(rest, value)?)?,
            }
            Ok(Json::Array(elements))
        }
        _ => Err(bad_argument("cannot replace existing key")
            .with_detail("The path assumes key is a composite object, but it is a scalar value.")),
    }
}

/// A value inside what a path to it needs: arrays for numbers, objects for names.
fn around(path: &[String], value: Json) -> Result<Json, SqlError> {
    path.iter().rev().try_fold(value, |value, step| match step.parse::<i64>() {
        Ok(number) if number >= 0 => {
            let mut elements = Vec::new();
            put_at(&mut elements, number, value)?;
            Ok(Json::Array(elements))
        }
        _ => Ok(Json::Object(vec![(step.clone(), value)])),
    })
}

/// Puts an element behind the last, at its number: the gap is filled with null.
fn put_at(elements: &mut Vec<Json>, number: i64, value: Json) -> Result<(), SqlError> {
    let at = usize::try_from(number).unwrap_or(usize::MAX);
    if at > ELEMENTS_MAX {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "total size of jsonb array elements exceeds the maximum of 268435455 bytes",
        ));
    }
    elements.resize(at, Json::Null);
    elements.push(value);
    Ok(())
}

/// `jsonb_set_lax`: what a NULL as the new value means, its fifth argument says.
fn set_lax(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) || call.is_null(1) || (call.len() > 3 && call.is_null(3)) {
        return Ok(Value::Null);
    }
    if !call.is_null(2) {
        return set(call);
    }
    let treatment = if call.len() > 4 { call.text(4)? } else { "use_json_null".into() };
    let change_here = match &*treatment {
        "use_json_null" => {
            Change::Set { value: Json::Null, create: call.len() < 4 || call.boolean(3) }
        }
        "delete_key" => Change::Delete,
        "return_target" => return text(jsonb(call, 0)?.to_string()),
        "raise_exception" => {
            return Err(SqlError::new(SqlState("22004"), "JSON value must not be null")
                .with_detail("Exception was raised because null_value_treatment is \"raise_exception\".")
                .with_hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed."));
        }
        _ => {
            return Err(bad_argument(
                "null_value_treatment must be \"delete_key\", \"return_target\", \
                 \"use_json_null\", or \"raise_exception\"",
            ));
        }
    };
    let path = path_to_change(call, 1)?;
    text(change(jsonb(call, 0)?, &path, 1, &change_here)?.normalized()?.to_string())
}

fn insert(call: &Call<'_, '_>) -> Answer {
    let after = call.len() > 3 && call.boolean(3);
    let change_here = Change::Insert { value: jsonb(call, 2)?, after };
    let json = jsonb(call, 0)?;
    text(change(json, &path_to_change(call, 1)?, 1, &change_here)?.normalized()?.to_string())
}

fn change(json: Json, path: &[String], depth: usize, what: &Change) -> Result<Json, SqlError> {
    let Some((step, rest)) = path.split_first() else { return Ok(json) };
    match json {
        Json::Object(members) => change_member(members, step, rest, depth, what),
        Json::Array(elements) => change_element(elements, step, rest, depth, what),
        _ if depth == 1 => Err(bad_argument("cannot set path in scalar")),
        other => Ok(other),
    }
}

fn change_member(
    mut members: Vec<(String, Json)>,
    step: &str,
    rest: &[String],
    depth: usize,
    what: &Change,
) -> Result<Json, SqlError> {
    let at = members.iter().position(|(key, _)| key == step);
    match (at, what) {
        (Some(at), _) if !rest.is_empty() => {
            let value = std::mem::replace(&mut members[at].1, Json::Null);
            members[at].1 = change(value, rest, depth + 1, what)?;
        }
        (None, _) if !rest.is_empty() => {}
        (Some(at), Change::Delete) => {
            members.remove(at);
        }
        (Some(at), Change::Set { value, .. }) => members[at].1 = value.clone(),
        (Some(_), Change::Insert { .. }) => {
            return Err(bad_argument("cannot replace existing key")
                .with_hint("Try using the function jsonb_set to replace key value."));
        }
        (None, Change::Set { value, create: true } | Change::Insert { value, .. }) => {
            members.push((step.to_owned(), value.clone()));
        }
        (None, _) => {}
    }
    Ok(Json::Object(members))
}

fn change_element(
    mut elements: Vec<Json>,
    step: &str,
    rest: &[String],
    depth: usize,
    what: &Change,
) -> Result<Json, SqlError> {
    let Ok(number) = step.trim().parse::<i64>() else {
        return Err(SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position {depth} is not an integer: \"{step}\""),
        ));
    };
    let at = element_position(elements.len(), number);
    match (at, what) {
        (Some(at), _) if !rest.is_empty() => {
            let value = std::mem::replace(&mut elements[at], Json::Null);
            elements[at] = change(value, rest, depth + 1, what)?;
        }
        (None, _) if !rest.is_empty() => {}
        (Some(at), Change::Delete) => {
            elements.remove(at);
        }
        (Some(at), Change::Set { value, .. }) => elements[at] = value.clone(),
        (Some(at), Change::Insert { value, after }) => {
            elements.insert(at + usize::from(*after), value.clone());
        }
        // Out of bounds is at the nearer end.
        (None, Change::Set { value, create: true } | Change::Insert { value, .. }) => {
            let end = if number < 0 { 0 } else { elements.len() };
            elements.insert(end, value.clone());
        }
        (None, _) => {}
    }
    Ok(Json::Array(elements))
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            (
                "json_build_object('a', 1, 'b', towline_json_value(1, 'bool'), 'c', NULL, 'd', 'x\"y')",
                r#"{"a" : 1, "b" : true, "c" : null, "d" : "x\"y"}"#,
            ),
            ("json_build_object('a')", "22023"),
            ("json_build_object(NULL, 1)", "22023"),
            ("json_build_object('e', towline_json_value('1.50', 'number'))", "{\"e\" : 1.50}"),
            (
                "json_build_array(1, 'a', NULL, towline_json_value('{\"x\":1}', 'json'))",
                "[1, \"a\", null, {\"x\":1}]",
            ),
            (
                "jsonb_build_object('bb', 1, 'a', towline_json_value('[1,2]', 'json'))",
                "{\"a\": [1, 2], \"bb\": 1}",
            ),
            ("to_json('a\"b')", "\"a\\\"b\""),
            (
                "to_json(towline_json_value('2024-01-31 12:34:56+00', 'time'))",
                "\"2024-01-31T12:34:56+00:00\"",
            ),
            ("to_json(towline_json_value('2024-01-31', 'time'))", "\"2024-01-31\""),
            ("towline_jsonb_set('{\"a\":{\"b\":1}}', '{a,b}', '2')", "{\"a\": {\"b\": 2}}"),
            ("towline_jsonb_set('{\"a\":1}', '{c}', '2')", "{\"a\": 1, \"c\": 2}"),
            ("towline_jsonb_set('{\"a\":1}', '{c}', '2', 0)", "{\"a\": 1}"),
            ("towline_jsonb_set('[1,2]', '{-1}', '9')", "[1, 9]"),
            (
                "towline_jsonb_insert('{\"a\":[0,1,2]}', '{a,1}', '\"new\"')",
                "{\"a\": [0, \"new\", 1, 2]}",
            ),
            (
                "towline_jsonb_insert('{\"a\":[0,1,2]}', '{a,1}', '\"new\"', 1)",
                "{\"a\": [0, 1, \"new\", 2]}",
            ),
            (
                "jsonb_pretty('{\"a\":[1,{\"b\":2}],\"c\":{}}')",
                "{\n    \"a\": [\n        1,\n        {\n            \"b\": 2\n        }\n    ],\n    \"c\": {\n    }\n}",
            ),
            ("json_typeof('[1]')", "array"),
            ("json_strip_nulls('{\"a\":null,\"b\":[null,{\"c\":null}]}')", "{\"b\":[null,{}]}"),
            ("jsonb_strip_nulls('{\"a\":null,\"b\":1}')", "{\"b\": 1}"),
            ("json_extract_path('{\"a\":{\"b\":[1,2]}}', 'a', 'b')", "[1,2]"),
            ("json_extract_path_text('{\"a\":{\"b\":\"x\"}}', 'a', 'b')", "x"),
            ("towline_json_path('{\"a\":[1,{\"b\":2}]}', '{a,1,b}')", "2"),
            ("towline_json_path_text('{\"a\":[1,null]}', '{a,1}')", "NULL"),
            ("towline_json_get('[1,2]', -1)", "2"),
            ("towline_json_get('[1,2]', '1')", "NULL"),
            ("towline_json_get('{\"a\": [1,2]}', 'a')", "[1,2]"),
            ("towline_json_get_text('{\"a\":\"x\"}', 'a')", "x"),
            ("towline_json_get_text('[1,null]', 1)", "NULL"),
            ("towline_json_get('5', 'a')", "NULL"),
            ("towline_jsonb_contains('{\"a\":[1,2]}', '{\"a\":[2]}')", "1"),
            ("towline_jsonb_contains('[1,[2]]', '[2]')", "0"),
            ("towline_jsonb_contains('[1]', '1')", "1"),
            ("towline_jsonb_contains('1.0', '1')", "1"),
            ("towline_jsonb_concat('{\"a\":1}', '{\"b\":2}')", "{\"a\": 1, \"b\": 2}"),
            ("towline_jsonb_concat('[1]', '2')", "[1, 2]"),
            ("towline_jsonb_concat('1', '[2]')", "[1, 2]"),
            ("towline_jsonb_delete('{\"a\":1,\"b\":2}', 'a')", "{\"b\": 2}"),
            ("towline_jsonb_delete('[\"a\",\"b\"]', 'a')", "[\"b\"]"),
            ("towline_jsonb_delete('[1,2,3]', 1)", "[1, 3]"),
            (
                "towline_jsonb_delete_path('{\"a\":{\"b\":1,\"c\":2}}', '{a,b}')",
                "{\"a\": {\"c\": 2}}",
            ),
            ("towline_jsonb_exists('[\"a\",\"b\"]', 'b')", "1"),
            ("towline_jsonb_exists('\"a\"', 'a')", "1"),
            ("towline_jsonb_exists_any('{\"a\":1}', '{x,a}')", "1"),
            ("towline_jsonb_exists_all('{\"a\":1}', '{x,a}')", "0"),
            ("jsonb_array_length('[1,2]')", "2"),
            ("jsonb_array_length('{}')", "22023"),
            ("towline_json_text('\"a\\nb\"')", "a\nb"),
            ("towline_json_path('{\"a\":1}', '{a,NULL}')", "NULL"),
            ("towline_jsonb_assign('{}', '1', 'a', 'b')", "{\"a\": {\"b\": 1}}"),
            ("towline_jsonb_assign('{\"a\": 1}', '2', 'a')", "{\"a\": 2}"),
            ("towline_jsonb_assign('{\"a\": 1}', '2', 'a', 'b')", "22023"),
            ("towline_jsonb_assign('[0]', '7', 3)", "[0, null, null, 7]"),
            ("towline_jsonb_assign('[0]', '7', -2)", "22023"),
            ("towline_jsonb_assign('[0]', '7', 'x')", "22P02"),
            ("towline_jsonb_assign(NULL, '7', 1)", "[null, 7]"),
            ("towline_jsonb_assign(NULL, NULL, 'a', 1)", "{\"a\": [null, null]}"),
            ("towline_jsonb_assign('{}', '1', NULL)", "22004"),
            ("towline_jsonb_set_lax('{\"a\": 1}', '{a}', NULL)", "{\"a\": null}"),
            ("towline_jsonb_set_lax('{\"a\": 1}', '{a}', NULL, 1, 'delete_key')", "{}"),
            ("towline_jsonb_set_lax('{\"a\": 1}', '{a}', NULL, 1, 'raise_exception')", "22004"),
            ("towline_jsonb_subscript('[1, \"2\"]', '1')", "\"2\""),
            ("towline_jsonb_delete('{\"{a}\": 1, \"a\": 2}', '{a}')", "{\"a\": 2}"),
            ("towline_jsonb_delete_keys('{\"{a}\": 1, \"a\": 2}', '{a}')", "{\"{a}\": 1}"),
            ("towline_jsonb_delete_path('{\"a\": 1}', '{a,NULL}')", "22004"),
            ("json_typeof('{')", "22P02"),
        ]);
    }
}
