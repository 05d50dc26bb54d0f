//! JSON values that keep what PostgreSQL keeps: numbers with all their digits, and
//! members in the order in which they were written.

use std::cmp::Ordering;
use std::fmt;

use crate::pg::types::numeric;
use crate::pg::{SqlError, SqlState};

/// A JSON value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Deeper values are refused: reading and printing recurse.
const DEPTH_MAX: usize = 256;

fn invalid(detail: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
        .with_detail(detail)
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, SqlError> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.skip_white();
        match parser.rest().chars().next() {
            None => Ok(value),
            Some(char) => Err(invalid(format!("Expected end of input, but found \"{char}\"."))),
        }
    }

    /// As `jsonb` holds it: members ordered by length of key, then key, the last of
    /// equals kept; numbers as numeric prints them.
    pub(super) fn normalized(self) -> Self {
        match self {
            Self::Array(elements) => {
                Self::Array(elements.into_iter().map(Self::normalized).collect())
            }
            Self::Object(members) => {
                let mut members: Vec<_> =
                    members.into_iter().map(|(key, value)| (key, value.normalized())).collect();
                let order = |key: &String| (key.len(), key.clone());
                members.sort_by_key(|(key, _)| order(key));
                let mut kept: Vec<(String, Self)> = Vec::with_capacity(members.len());
                for (key, value) in members {
                    match kept.last_mut() {
                        Some(last) if last.0 == key => last.1 = value,
                        _ => kept.push((key, value)),
                    }
                }
                Self::Object(kept)
            }
            Self::Number(number) => Self::Number(plain_number(&number)),
            other => other,
        }
    }

    /// Without spaces, as `json` functions print what they build from arrays.
    pub(super) fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, ",", ":");
        text
    }

    /// Over several lines, as `jsonb_pretty` prints.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        self.write_pretty(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, comma: &str, colon: &str) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => text.push_str(number),
            Self::String(string) => write_string(string, text),
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
                    write_string(key, text);
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
                    write_string(key, text);
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
    pub(super) fn step(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Self::Array(_) => self.element(key.trim().parse().ok()?),
            _ => None,
        }
    }

    /// An element by number, from the end if negative.
    pub(super) fn element(&self, number: i64) -> Option<&Self> {
        let Self::Array(elements) = self else { return None };
        elements.get(element_position(elements.len(), number)?)
    }

    /// What `->>` gives: a string bare, null as nothing.
    pub(super) fn bare(&self) -> Option<String> {
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

    pub(super) fn kind(&self) -> &'static str {
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
pub(super) fn child<'a>(text: &'a str, step: &Step<'_>) -> Result<Option<&'a str>, SqlError> {
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

/// What a JSON text is made of, each part as it stands there.
pub(super) enum Parts<'a> {
    Scalar,
    Elements(Vec<&'a str>),
    Members(Vec<(String, &'a str)>),
}

pub(super) fn parts(text: &str) -> Result<Parts<'_>, SqlError> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_white();
    let (open, close) = match parser.rest().bytes().next() {
        Some(b'{') => ("{", "}"),
        Some(b'[') => ("[", "]"),
        _ => return Ok(Parts::Scalar),
    };
    parser.take(open);
    let (mut elements, mut members) = (Vec::new(), Vec::new());
    loop {
        parser.skip_white();
        if parser.take(close) {
            break;
        }
        let key = if open == "{" { Some(parser.string()?) } else { None };
        parser.skip_white();
        parser.take(":");
        parser.skip_white();
        let start = parser.at;
        parser.value(1)?;
        let part = &text[start..parser.at];
        match key {
            Some(key) => members.push((key, part)),
            None => elements.push(part),
        }
        parser.skip_white();
        if !parser.take(",") && !parser.rest().starts_with(close) {
            return Err(parser.unexpected());
        }
    }
    Ok(if open == "{" { Parts::Members(members) } else { Parts::Elements(elements) })
}

/// The order of `jsonb` values (null, strings, numbers, truth values, arrays, objects; of
/// two containers the one with fewer parts is first), over all texts: what is no JSON
/// comes before what is. Source: PostgreSQL's `compareJsonbContainers`.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
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
pub(super) enum Step<'a> {
    /// `-> 1`: an element of an array.
    Element(i64),
    /// `-> 'a'`: a member of an object.
    Member(&'a str),
    /// In a path: either, by what is there.
    Key(&'a str),
}

/// The place of element `number`, which counts from the end if negative.
pub(super) fn element_position(length: usize, number: i64) -> Option<usize> {
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

/// Appends a JSON string.
pub(super) fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for char in string.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            char if char < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => text.push(char),
        }
    }
    text.push('"');
}

/// A JSON number as numeric prints it: without exponent. Longer than this it stays.
const PLAIN_DIGITS_MAX: i64 = 1000;

fn plain_number(number: &str) -> String {
    let negative = number.starts_with('-');
    let unsigned = number.trim_start_matches('-');
    let lower = unsigned.to_ascii_lowercase();
    let (mantissa, exponent) = match lower.split_once('e') {
        Some((mantissa, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) if exponent.abs() <= PLAIN_DIGITS_MAX => (mantissa, exponent),
            _ => return number.to_owned(),
        },
        None => (lower.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(0) + exponent;
    let length = i64::try_from(digits.len()).unwrap_or(0);
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let (whole, fraction) = if point <= 0 {
        (String::new(), zeros(-point) + &digits)
    } else if point >= length {
        (digits + &zeros(point - length), String::new())
    } else {
        let point = usize::try_from(point).unwrap_or(0);
        (digits[..point].to_owned(), digits[point..].to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let sign = if negative && !is_zero { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_white(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - trimmed.len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn unexpected(&self) -> SqlError {
        match self.rest().chars().next() {
            Some(char) => invalid(format!("Expected JSON value, but found \"{char}\".")),
            None => invalid("The input string ended unexpectedly."),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, SqlError> {
        if depth > DEPTH_MAX {
            return Err(SqlError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("JSON is nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        self.skip_white();
        match self.rest().bytes().next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ if self.take("null") => Ok(Json::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, SqlError> {
        self.take("[");
        let mut elements = Vec::new();
        self.skip_white();
        if self.take("]") {
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.skip_white();
            if self.take("]") {
                return Ok(Json::Array(elements));
            }
            if !self.take(",") {
                return Err(self.unexpected());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, SqlError> {
        self.take("{");
        let mut members = Vec::new();
        self.skip_white();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_white();
            if !self.rest().starts_with('"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.skip_white();
            if !self.take(":") {
                return Err(self.unexpected());
            }
            members.push((key, self.value(depth + 1)?));
            self.skip_white();
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            if !self.take(",") {
                return Err(self.unexpected());
            }
        }
    }

    fn number(&mut self) -> Result<Json, SqlError> {
        let start = self.at;
        self.take("-");
        if !self.take("0") && self.digits() == 0 {
            return Err(self.unexpected());
        }
        if self.take(".") && self.digits() == 0 {
            return Err(self.unexpected());
        }
        if self.take("e") || self.take("E") {
            let _sign = self.take("+") || self.take("-");
            if self.digits() == 0 {
                return Err(self.unexpected());
            }
        }
        let follows = self.rest().chars().next();
        if follows.is_some_and(|char| char.is_alphanumeric() || char == '_') {
            return Err(self.unexpected());
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    fn string(&mut self) -> Result<String, SqlError> {
        self.take("\"");
        let mut string = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|char: char| matches!(char, '"' | '\\') || char < ' ');
            let Some(plain) = plain else { return Err(invalid("Token is unterminated.")) };
            string.push_str(&rest[..plain]);
            self.at += plain;
            if self.take("\"") {
                return Ok(string);
            }
            if !self.take("\\") {
                return Err(invalid("Character with value below 0x20 must be escaped."));
            }
            string.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, SqlError> {
        let escaped = self.rest().chars().next().ok_or_else(|| self.unexpected())?;
        self.at += escaped.len_utf8();
        Ok(match escaped {
            '"' | '\\' | '/' => escaped,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            other => return Err(invalid(format!("Escape sequence \"\\{other}\" is invalid."))),
        })
    }

    fn unicode(&mut self) -> Result<char, SqlError> {
        let first = self.hex()?;
        let code = match first {
            // A pair of surrogates is one character.
            0xd800..0xdc00 if self.take("\\u") => {
                let second = self.hex()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(invalid("Unicode low surrogate must follow a high surrogate."));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        match char::from_u32(code) {
            Some('\0') => {
                Err(SqlError::new(SqlState("22P05"), "unsupported Unicode escape sequence")
                    .with_detail("\\u0000 cannot be converted to text."))
            }
            Some(char) => Ok(char),
            None => Err(invalid("Unicode low surrogate must follow a high surrogate.")),
        }
    }

    fn hex(&mut self) -> Result<u32, SqlError> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4 * usize::from(code.is_some());
        code.ok_or_else(|| invalid("\"\\u\" must be followed by four hexadecimal digits."))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        let normalized = |text| Json::parse(text).expect("reads").normalized().to_string();
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
