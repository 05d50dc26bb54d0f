//! `json` is kept as written, `jsonb` in PostgreSQL's normal form: members sorted
//! by the length of their key in bytes, then by its bytes; of equal keys the last
//! wins; numbers as numerics, which keep their trailing zeros; one space behind
//! `:` and `,`; only what must be escaped is.

mod parse;

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

pub use parse::{Parts, check_json, parts};

use super::numeric;
use crate::pg::SqlError;

/// The normal form of a JSON text.
pub fn normalize_jsonb(text: &str) -> Result<String, SqlError> {
    Ok(Json::parse(text)?.normalized()?.to_string())
}

/// A JSON value: its numbers with all their digits, its members in the order in which
/// they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// As `jsonb` holds it.
    pub fn normalized(mut self) -> Result<Self, SqlError> {
        self.normalize()?;
        Ok(self)
    }

    fn normalize(&mut self) -> Result<(), SqlError> {
        match self {
            Self::Array(elements) => elements.iter_mut().try_for_each(Self::normalize),
            Self::Object(members) => {
                normalize_members(members);
                members.iter_mut().try_for_each(|(_, value)| value.normalize())
            }
            Self::Number(number) => {
                if !is_plain(number) {
                    *number = numeric::canonical(number)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Without spaces, as `json` functions print what they build from arrays.
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, ",", ":");
        text
    }

    /// Over several lines, as `jsonb_pretty` prints.
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write_pretty(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, comma: &str, colon: &str) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => text.push_str(number),
            Self::String(string) => print_json_string(string, text),
            Self::Array(elements) => {
                text.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        text.push_str(comma);
                    }
                    element.write(text, comma, colon);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        text.push_str(comma);
                    }
                    print_json_string(key, text);
                    text.push_str(colon);
                    value.write(text, comma, colon);
                }
                text.push('}');
            }
        }
    }

    fn write_pretty(&self, text: &mut String, depth: usize) {
        let indent = |text: &mut String, depth: usize| {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', depth * 4));
        };
        match self {
            Self::Array(elements) => {
                text.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    indent(text, depth + 1);
                    element.write_pretty(text, depth + 1);
                }
                indent(text, depth);
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    indent(text, depth + 1);
                    print_json_string(key, text);
                    text.push_str(": ");
                    value.write_pretty(text, depth + 1);
                }
                indent(text, depth);
                text.push('}');
            }
            other => other.write(text, ", ", ": "),
        }
    }

    /// What `->` finds: a member by name, or an element by number as text.
    pub fn step(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Self::Array(_) => self.element(key.trim().parse().ok()?),
            _ => None,
        }
    }

    /// An element by number, from the end if negative.
    pub fn element(&self, number: i64) -> Option<&Self> {
        let Self::Array(elements) = self else { return None };
        elements.get(element_position(elements.len(), number)?)
    }

    /// What `->>` gives: a string bare, null as nothing.
    pub fn bare(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(string) => Some(string.clone()),
            other => Some(other.to_string()),
        }
    }

    fn is_empty_array(&self) -> bool {
        matches!(self, Self::Array(elements) if elements.is_empty())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }

    /// As [`compare`] orders what is inside of a value.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => numeric::compare(left, right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => {
                left.len().cmp(&right.len()).then_with(|| {
                    let orders = left.iter().zip(right).map(|(left, right)| left.order(right));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                })
            }
            (Self::Object(left), Self::Object(right)) => {
                left.len().cmp(&right.len()).then_with(|| {
                    let orders = left.iter().zip(right).map(|(left, right)| {
                        left.0.cmp(&right.0).then_with(|| left.1.order(&right.1))
                    });
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// A part of a JSON text, as it stands there: a member by name, or an element by
/// number (as text, for a path).
pub fn child<'a>(text: &'a str, step: &Step<'_>) -> Result<Option<&'a str>, SqlError> {
    let number = match step {
        Step::Element(number) => Some(*number),
        Step::Key(key) => key.trim().parse().ok(),
        Step::Member(_) => None,
    };
    Ok(match parts(text)? {
        Parts::Elements(elements) => number
            .and_then(|number| element_position(elements.len(), number))
            .map(|at| elements[at]),
        Parts::Members(members) => {
            let (Step::Key(name) | Step::Member(name)) = step else { return Ok(None) };
            members.iter().rev().find(|(key, _)| key == name).map(|(_, part)| *part)
        }
        Parts::Scalar => None,
    })
}

/// The order of `jsonb` values (null, strings, numbers, truth values, arrays, objects; of
/// two containers the one with fewer parts is first), over all texts: what is no JSON
/// comes before what is. Source: PostgreSQL's `compareJsonbContainers`.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    match (Json::parse(left), Json::parse(right)) {
        (Ok(left), Ok(right)) => {
            // An empty array is before the scalars, if it is the whole value.
            let rank = |json: &Json| if json.is_empty_array() { 0 } else { json.rank().max(1) };
            match (left.is_empty_array(), right.is_empty_array()) {
                (false, false) => left.order(&right),
                _ => rank(&left).cmp(&rank(&right)),
            }
        }
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

/// A way into a JSON value.
pub enum Step<'a> {
    /// `-> 1`: an element of an array.
    Element(i64),
    /// `-> 'a'`: a member of an object.
    Member(&'a str),
    /// In a path: either, by what is there.
    Key(&'a str),
}

/// The place of element `number`, which counts from the end if negative.
pub fn element_position(length: usize, number: i64) -> Option<usize> {
    let at = if number < 0 { i64::try_from(length).ok()?.checked_add(number)? } else { number };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// As `jsonb` prints: a space behind commas and colons.
impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text, ", ", ": ");
        formatter.write_str(&text)
    }
}

/// Sorts members by key, the last of equals kept.
fn normalize_members(members: &mut Vec<(String, Json)>) {
    let order = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    if members.is_sorted_by(|(a, _), (b, _)| order(a, b).is_lt()) {
        return;
    }
    // The sort is stable, so that of equal keys the last written stands last.
    members.sort_by(|(a, _), (b, _)| order(a, b));
    let mut kept: Vec<(String, Json)> = Vec::with_capacity(members.len());
    for member in members.drain(..) {
        match kept.last_mut() {
            Some(last) if last.0 == member.0 => *last = member,
            _ => kept.push(member),
        }
    }
    *members = kept;
}

/// Whether a number's text in JSON is surely numeric's canonical form, too.
fn is_plain(number: &str) -> bool {
    number.len() < 1000 && !number.starts_with("-0") && !number.contains(['e', 'E'])
}

/// Appends a string in quotes, escaped as PostgreSQL does.
pub fn print_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to memory does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_nested_deeply_is_refused_on_a_small_stack() {
        let nested = || {
            ["[", "{\"a\":"].map(|open| Json::parse(&open.repeat(10_000)).map_err(|e| e.message))
        };
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(nested);
        for said in thread.expect("a thread").join().expect("no panic") {
            let too_deep = "a JSON value is nested more than 256 levels deep";
            assert_eq!(said.expect_err("refused"), too_deep);
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in any::<String>()) {
            let _ = Json::parse(&text);
        }

        #[test]
        fn what_is_printed_reads_back(text in any::<String>(), number in any::<i32>()) {
            let value = Json::Object(vec![
                (text.clone(), Json::Array(vec![Json::String(text), Json::Null])),
                ("n".to_owned(), Json::Number(number.to_string())),
            ]);
            prop_assume!(!value.to_string().contains("\\u0000"));
            for printed in [value.to_string(), value.compact(), value.pretty()] {
                prop_assert_eq!(&Json::parse(&printed).expect("reads"), &value);
            }
        }
    }

    #[test]
    fn jsonb_is_ordered_as_in_postgresql() {
        let ordered = [
            "no JSON",
            "[]",
            "null",
            "\"\"",
            "\"B\"",
            "\"a\"",
            "-1",
            "2",
            "10",
            "false",
            "true",
            "[null]",
            "[[]]",
            "[{}]",
            "[1, 2]",
            "{}",
            "{\"b\": 1}",
            "{\"b\": 2}",
            "{\"c\": 1}",
            "{\"a\": 1, \"b\": 1}",
        ];
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
        assert_eq!(compare("{\"a\": [1.0]}", "{\"a\": [1.00]}"), Ordering::Equal);
    }

    #[test]
    fn jsonb_is_normalized_as_in_postgresql() {
        let normalized = |text| normalize_jsonb(text).expect("reads");
        assert_eq!(
            normalized(r#"{"bb":1, "a":2, "c":[1, 2], "a":3}"#),
            r#"{"a": 3, "c": [1, 2], "bb": 1}"#
        );
        assert_eq!(normalized("1.50e2"), "150");
        assert_eq!(normalized("1.5e-3"), "0.0015");
        assert_eq!(normalized("1.10"), "1.10");
        assert_eq!(normalized("-0"), "0");
        assert_eq!(normalized(r#""\u00e9\ud83d\ude00\/""#), "\"é😀/\"");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for wrong in
            ["", "{", "[1,]", "{\"a\"}", "01", "1.", "nul", "\"", "\"\\x\"", "1 2", "\"\\ud800\""]
        {
            assert!(Json::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }
}
