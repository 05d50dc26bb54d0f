//! JSON taken apart for functions that give rows and records, and put together from arrays.
//!
//! SQLite's `json_each` walks over what these give: containers whose values are the texts
//! of the parts, so that `json` keeps its spaces and `jsonb` its normal form.

use std::borrow::Cow;

use super::PURE;
use super::array_text::{self, Element};
use super::arrays::json_string;
use super::call::{Answer, Call, Registry, bad_argument, text};
use crate::log::Value;
use crate::pg::types::json::{self, Json, Parts, normalize_jsonb};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("towline_json_array_text", 2, array_text_of),
            ("towline_json_elements", 2, elements),
            ("towline_json_members", 2, members),
            ("towline_json_object_of", 1, object_of_pairs),
            ("towline_json_object_of", 2, object_of_lists),
            ("towline_json_record", 1, record),
            ("towline_json_records", 2, records),
            ("towline_jsonb_object_of", 1, |call| of_text(object_of_pairs(call)?)),
            ("towline_jsonb_object_of", 2, |call| of_text(object_of_lists(call)?)),
        ],
    )
}

/// A function's argument is to be of another kind.
fn misfit(function: &str, wanted: &str, is: &Parts<'_>) -> SqlError {
    let binary = function.starts_with("jsonb");
    bad_argument(match (function, is) {
        ("jsonb_array_elements" | "jsonb_array_elements_text", Parts::Scalar) => {
            "cannot extract elements from a scalar".to_owned()
        }
        ("jsonb_array_elements" | "jsonb_array_elements_text", _) => {
            "cannot extract elements from an object".to_owned()
        }
        ("json_each" | "json_each_text", Parts::Scalar) => "cannot deconstruct a scalar".to_owned(),
        ("json_each" | "json_each_text", _) => {
            "cannot deconstruct an array as an object".to_owned()
        }
        ("jsonb_each" | "jsonb_each_text", _) => format!("cannot call {function} on a non-object"),
        (_, Parts::Scalar) => format!("cannot call {function} on a scalar"),
        (_, Parts::Elements(_)) => format!("cannot call {function} on an array"),
        (_, Parts::Members(_)) if wanted == "array" && !binary && function.ends_with("set") => {
            format!("cannot call {function} on an object")
        }
        (_, Parts::Members(_)) => format!("cannot call {function} on a non-array"),
    })
}

/// For SQLite's `json_each`: an array of the elements' texts, as they stand there.
fn elements(call: &Call<'_, '_>) -> Answer {
    match json::parts(&call.text(0)?)? {
        Parts::Elements(elements) => text(array_of_texts(&elements)),
        other => Err(misfit(&call.text(1)?, "array", &other)),
    }
}

/// For SQLite's `json_each`: an object of the members' texts, as they stand there.
fn members(call: &Call<'_, '_>) -> Answer {
    match json::parts(&call.text(0)?)? {
        Parts::Members(members) => {
            let member = |(key, part): (Cow<'_, str>, &str)| {
                (key.into_owned(), Json::String(part.to_owned()))
            };
            text(Json::Object(members.into_iter().map(member).collect()).compact())
        }
        other => Err(misfit(&call.text(1)?, "object", &other)),
    }
}

/// The object that a function of one record is given.
fn record(call: &Call<'_, '_>) -> Answer {
    let json = call.text(0)?;
    match json::parts(&json)? {
        Parts::Members(_) => text(&*json),
        other => Err(misfit("populate_composite", "object", &other)),
    }
}

/// For SQLite's `json_each`: an array of the objects' texts that a function of a set of
/// records is given.
fn records(call: &Call<'_, '_>) -> Answer {
    let (json, function) = (call.text(0)?, call.text(1)?);
    match json::parts(&json)? {
        Parts::Elements(elements) if elements.iter().all(|element| element.starts_with('{')) => {
            text(array_of_texts(&elements))
        }
        Parts::Elements(_) => {
            Err(bad_argument(format!("argument of {function} must be an array of objects")))
        }
        other => Err(misfit(&function, "array", &other)),
    }
}

/// A JSON array as the text of an array; a string is that text itself.
fn array_text_of(call: &Call<'_, '_>) -> Answer {
    fn element(json: Json) -> Element {
        match json {
            Json::Null => Element::Null,
            Json::Array(elements) => Element::Array(elements.into_iter().map(element).collect()),
            Json::String(text) => Element::Text(text),
            other => Element::Text(other.to_string()),
        }
    }
    match Json::parse(&call.text(0)?)? {
        Json::Array(elements) => {
            let elements: Vec<_> = elements.into_iter().map(element).collect();
            text(array_text::print(&elements))
        }
        Json::String(literal) => text(literal),
        _ => Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array")
            .with_hint(format!("See the value of key \"{}\".", call.text(1)?))),
    }
}

fn of_text(json: Value) -> Answer {
    match json {
        Value::Text(json) => text(normalize_jsonb(&json)?),
        other => Ok(other),
    }
}

/// `json_object(array)`: of `{k,v,…}` or `{{k,v},…}`.
fn object_of_pairs(call: &Call<'_, '_>) -> Answer {
    let wrong = |message: &str| SqlError::new(SqlState("2202E"), message);
    let elements = array_text::parse(&call.text(0)?)?;
    let mut flat = Vec::new();
    for element in &elements {
        match element {
            Element::Array(pair) if pair.iter().any(|part| matches!(part, Element::Array(_))) => {
                return Err(wrong("wrong number of array subscripts"));
            }
            Element::Array(pair) if pair.len() != 2 => {
                return Err(wrong("array must have two columns"));
            }
            Element::Array(pair) => flat.extend(pair.iter()),
            other => flat.push(other),
        }
    }
    if !flat.len().is_multiple_of(2) {
        return Err(wrong("array must have even number of elements"));
    }
    object_of(flat.chunks(2).map(|pair| (pair[0], pair[1])))
}

/// `json_object(keys, values)`.
fn object_of_lists(call: &Call<'_, '_>) -> Answer {
    let (keys, values) = (array_text::parse(&call.text(0)?)?, array_text::parse(&call.text(1)?)?);
    let wrong = |message: &str| Err(SqlError::new(SqlState("2202E"), message));
    if keys.iter().chain(&values).any(|element| matches!(element, Element::Array(_))) {
        return wrong("wrong number of array subscripts");
    }
    if keys.len() != values.len() {
        return wrong("mismatched array dimensions");
    }
    object_of(keys.iter().zip(&values))
}

fn object_of<'a>(members: impl Iterator<Item = (&'a Element, &'a Element)>) -> Answer {
    let mut texts = Vec::new();
    for (key, value) in members {
        let Element::Text(key) = key else {
            return Err(SqlError::new(SqlState("22004"), "null value not allowed for object key"));
        };
        let value = match value {
            Element::Text(value) => json_string(value),
            _ => "null".to_owned(),
        };
        texts.push(format!("{} : {value}", json_string(key)));
    }
    text(format!("{{{}}}", texts.join(", ")))
}

/// For SQLite's `json_each`: an array of texts.
pub(super) fn array_of_texts(texts: &[&str]) -> String {
    Json::Array(texts.iter().map(|text| Json::String((*text).to_owned())).collect()).compact()
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("towline_json_elements('[1, [2,  3]]', 'json_array_elements')", "[\"1\",\"[2,  3]\"]"),
            ("towline_json_elements('{}', 'json_array_elements')", "22023"),
            ("towline_json_members('{\"a\": [1,2]}', 'json_each')", "{\"a\":\"[1,2]\"}"),
            ("towline_json_members('[]', 'json_each')", "22023"),
            ("towline_json_record('{\"a\": 1}')", "{\"a\": 1}"),
            ("towline_json_record('[]')", "22023"),
            ("towline_json_records('[{\"a\": 1}]', 'json_to_recordset')", "[\"{\\\"a\\\": 1}\"]"),
            ("towline_json_records('[1]', 'json_to_recordset')", "22023"),
            ("towline_json_array_text('[1,[2,null],\"a b\"]', 'k')", "{1,{2,NULL},\"a b\"}"),
            ("towline_json_array_text('5', 'k')", "22P02"),
            ("towline_json_object_of('{a,1,b,NULL}')", "{\"a\" : \"1\", \"b\" : null}"),
            ("towline_json_object_of('{{a,1},{b,2}}')", "{\"a\" : \"1\", \"b\" : \"2\"}"),
            ("towline_json_object_of('{a,b,c}')", "2202E"),
            ("towline_json_object_of('{a,b}', '{1}')", "2202E"),
            ("towline_json_object_of('{NULL}', '{1}')", "22004"),
            ("towline_jsonb_object_of('{b,a}', '{1,2}')", "{\"a\": \"2\", \"b\": \"1\"}"),
        ]);
    }
}
