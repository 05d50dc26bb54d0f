//! PostgreSQL's text and bytea functions.
//!
//! `length`, `char_length`, `octet_length`, `concat`, `concat_ws` and `replace` are
//! SQLite's own where they mean the same.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::PURE;
use super::call::{
    Answer, Call, LONGEST_RESULT, Registry, bad_argument, boolean, count, integer, text, too_long,
};
use crate::log::{Value, ValueRef};
use crate::pg::types::array::Array;
use crate::pg::types::number::parse_integer;
use crate::pg::types::unicode;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("ascii", 1, ascii),
            ("bit_count", 1, |call| {
                count(call.bytes(0)?.iter().map(|byte| byte.count_ones() as usize).sum())
            }),
            ("towline_unistr", 1, |call| text(unicode::unistr(&call.text(0)?)?)),
            ("bit_length", 1, |call| count(call.bytes(0)?.len() * 8)),
            ("btrim", 1, |call| trim(call, true, true)),
            ("btrim", 2, |call| trim(call, true, true)),
            ("char_length", 1, |call| count(call.text(0)?.chars().count())),
            ("character_length", 1, |call| count(call.text(0)?.chars().count())),
            ("chr", 1, chr),
            ("convert_from", 2, |call| text(call.text(0)?.into_owned())),
            ("convert_to", 2, |call| Ok(Value::Blob(call.bytes(0)?.into_owned()))),
            ("decode", 2, decode),
            ("encode", 2, encode),
            ("get_bit", 2, |call| bit(call, None)),
            ("get_byte", 2, get_byte),
            ("initcap", 1, initcap),
            ("left", 2, left),
            ("lower", 1, |call| text(map_chars(&call.text(0)?, lower))),
            ("ltrim", 1, |call| trim(call, true, false)),
            ("ltrim", 2, |call| trim(call, true, false)),
            ("lpad", 2, |call| pad(call, true)),
            ("lpad", 3, |call| pad(call, true)),
            ("overlay", 3, overlay),
            ("overlay", 4, overlay),
            ("parse_ident", 1, parse_ident),
            ("parse_ident", 2, parse_ident),
            ("quote_ident", 1, |call| text(catalog::quote_ident(&call.text(0)?))),
            ("quote_literal", 1, |call| text(catalog::quote_literal(&call.text(0)?))),
            ("repeat", 2, repeat),
            ("replace", 3, replace),
            ("reverse", 1, |call| text(call.text(0)?.chars().rev().collect::<String>())),
            ("right", 2, right),
            ("rpad", 2, |call| pad(call, false)),
            ("rpad", 3, |call| pad(call, false)),
            ("rtrim", 1, |call| trim(call, false, true)),
            ("rtrim", 2, |call| trim(call, false, true)),
            ("set_bit", 3, |call| bit(call, Some(call.integer(2)?))),
            ("set_byte", 3, set_byte),
            ("split_part", 3, split_part),
            ("starts_with", 2, |call| boolean(call.text(0)?.starts_with(call.text(1)?.as_ref()))),
            ("strpos", 2, strpos),
            ("substring", 2, substring),
            ("substring", 3, substring),
            ("to_hex", 1, to_hex),
            ("translate", 3, translate),
            ("upper", 1, |call| text(map_chars(&call.text(0)?, upper))),
        ],
    )?;
    registry.define(
        PURE,
        &[
            ("num_nonnulls", -1, |call| {
                count((0..call.len()).filter(|at| !call.is_null(*at)).count())
            }),
            ("num_nulls", -1, |call| count((0..call.len()).filter(|at| call.is_null(*at)).count())),
            ("quote_nullable", 1, |call| match call.optional_text(0)? {
                Some(value) => text(catalog::quote_literal(&value)),
                None => text("NULL"),
            }),
            ("towline_format", -1, format),
            ("towline_format_array", 2, format_array),
        ],
    )
}

fn ascii(call: &Call<'_, '_>) -> Answer {
    let first = call.text(0)?.chars().next();
    integer(first.map_or(0, |char| i64::from(u32::from(char))))
}

fn chr(call: &Call<'_, '_>) -> Answer {
    let code = call.integer(0)?;
    if code == 0 {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "null character not permitted",
        ));
    }
    let char = u32::try_from(code).ok().and_then(char::from_u32);
    match char {
        Some(char) => text(char),
        None => Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        )),
    }
}

/// Maps letters one to one: a letter whose other case is several letters stays.
fn map_chars(value: &str, map: fn(char) -> char) -> String {
    value.chars().map(map).collect()
}

fn lower(char: char) -> char {
    let mut mapped = char.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => char,
    }
}

fn upper(char: char) -> char {
    let mut mapped = char.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => char,
    }
}

fn initcap(call: &Call<'_, '_>) -> Answer {
    let mut in_word = false;
    let value = call.text(0)?;
    let capitalized = value.chars().map(|char| {
        let mapped = if in_word { lower(char) } else { upper(char) };
        in_word = char.is_alphanumeric();
        mapped
    });
    text(capitalized.collect::<String>())
}

/// How many of `length` things a count means that, if negative, leaves out so many.
fn kept(wanted: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let kept = if wanted < 0 { length.saturating_add(wanted) } else { wanted.min(length) };
    usize::try_from(kept).unwrap_or(0)
}

fn left(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let kept = kept(call.integer(1)?, value.chars().count());
    text(value.chars().take(kept).collect::<String>())
}

fn right(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let length = value.chars().count();
    let kept = kept(call.integer(1)?, length);
    text(value.chars().skip(length - kept).collect::<String>())
}

/// A length asked for; negative is none.
fn asked_length(call: &Call<'_, '_>, at: usize) -> Result<usize, SqlError> {
    let length = usize::try_from(call.integer(at)?.max(0)).unwrap_or(usize::MAX);
    // A character takes up to four bytes.
    if length > LONGEST_RESULT / 4 { Err(too_long()) } else { Ok(length) }
}

fn pad(call: &Call<'_, '_>, at_left: bool) -> Answer {
    let value = call.text(0)?;
    let length = asked_length(call, 1)?;
    let fill = if call.len() > 2 { call.text(2)? } else { Cow::Borrowed(" ") };
    let own = value.chars().count();
    if own >= length || fill.is_empty() {
        return text(value.chars().take(length).collect::<String>());
    }
    let filling: String = fill.chars().cycle().take(length - own).collect();
    text(if at_left { filling + &value } else { value.into_owned() + &filling })
}

/// An empty text is nowhere to be replaced.
fn replace(call: &Call<'_, '_>) -> Answer {
    let (value, from, to) = (call.text(0)?, call.text(1)?, call.text(2)?);
    if from.is_empty() || !value.contains(from.as_ref()) {
        return text(value);
    }
    let grown = value.matches(from.as_ref()).count().saturating_mul(to.len());
    if grown.saturating_add(value.len()) > LONGEST_RESULT {
        return Err(too_long());
    }
    text(value.replace(from.as_ref(), &to))
}

fn repeat(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let times = usize::try_from(call.integer(1)?.max(0)).unwrap_or(usize::MAX);
    match value.len().checked_mul(times) {
        Some(length) if length <= LONGEST_RESULT => text(value.repeat(times)),
        _ => Err(too_long()),
    }
}

fn trim(call: &Call<'_, '_>, at_start: bool, at_end: bool) -> Answer {
    if let ValueRef::Blob(bytes) = call.value(0) {
        let set = call.bytes(1)?;
        let keep = |byte: &u8| !set.contains(byte);
        let (mut start, mut end) = (0, bytes.len());
        if at_start {
            start = bytes.iter().position(keep).unwrap_or(end);
        }
        if at_end {
            end = bytes.iter().rposition(keep).map_or(start, |at| at + 1);
        }
        return Ok(Value::Blob(bytes[start..end].to_vec()));
    }
    let value = call.text(0)?;
    let set = if call.len() > 1 { call.text(1)? } else { Cow::Borrowed(" ") };
    let mut trimmed: &str = &value;
    if at_start {
        trimmed = trimmed.trim_start_matches(|char| set.contains(char));
    }
    if at_end {
        trimmed = trimmed.trim_end_matches(|char| set.contains(char));
    }
    text(trimmed)
}

fn split_part(call: &Call<'_, '_>) -> Answer {
    let (value, delimiter) = (call.text(0)?, call.text(1)?);
    let field = call.integer(2)?;
    if field == 0 {
        return Err(bad_argument("field position must not be zero"));
    }
    if delimiter.is_empty() {
        return text(if matches!(field, 1 | -1) { value.as_ref() } else { "" });
    }
    let steps = usize::try_from(field.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let part = if field > 0 {
        value.split(delimiter.as_ref()).nth(steps)
    } else {
        value.rsplit(delimiter.as_ref()).nth(steps)
    };
    text(part.unwrap_or(""))
}

fn strpos(call: &Call<'_, '_>) -> Answer {
    if let (ValueRef::Blob(hay), ValueRef::Blob(needle)) = (call.value(0), call.value(1)) {
        let found = (0..=hay.len()).find(|at| hay[*at..].starts_with(needle));
        return count(found.map_or(0, |at| at + 1));
    }
    let (value, wanted) = (call.text(0)?, call.text(1)?);
    let found = value.find(wanted.as_ref());
    count(found.map_or(0, |at| value[..at].chars().count() + 1))
}

/// The part of `length` things that starts at the first-th, from 1, which may lie
/// before them: (how many to skip, how many to take).
fn slice(start: i64, length: Option<i64>) -> Result<(usize, usize), SqlError> {
    if length.is_some_and(|length| length < 0) {
        return Err(SqlError::new(SqlState("22011"), "negative substring length not allowed"));
    }
    let end = length.map_or(i64::MAX, |length| start.saturating_add(length));
    let first = start.max(1);
    let size = |number: i64| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
    Ok((size(first - 1), size(end.saturating_sub(first))))
}

fn substring(call: &Call<'_, '_>) -> Answer {
    if let ValueRef::Text(_) = call.value(1) {
        return super::regex::substring(call);
    }
    let length = if call.len() > 2 { Some(call.integer(2)?) } else { None };
    let (skip, take) = slice(call.integer(1)?, length)?;
    if let ValueRef::Blob(bytes) = call.value(0) {
        return Ok(Value::Blob(bytes.iter().skip(skip).take(take).copied().collect()));
    }
    text(call.text(0)?.chars().skip(skip).take(take).collect::<String>())
}

fn overlay(call: &Call<'_, '_>) -> Answer {
    let start = call.integer(2)?;
    if start <= 0 {
        return Err(SqlError::new(SqlState("22011"), "negative substring length not allowed"));
    }
    if let (ValueRef::Blob(bytes), ValueRef::Blob(new)) = (call.value(0), call.value(1)) {
        let length = if call.len() > 3 { Some(call.integer(3)?) } else { None };
        let length = length.unwrap_or_else(|| i64::try_from(new.len()).unwrap_or(i64::MAX));
        let (skip, take) = slice(start, Some(length))?;
        let end = skip.saturating_add(take).min(bytes.len());
        let mut result = bytes[..skip.min(bytes.len())].to_vec();
        result.extend_from_slice(new);
        result.extend_from_slice(&bytes[end..]);
        return Ok(Value::Blob(result));
    }
    let (value, new) = (call.text(0)?, call.text(1)?);
    let length = match call.len() {
        4 => call.integer(3)?,
        _ => i64::try_from(new.chars().count()).unwrap_or(i64::MAX),
    };
    let (skip, _) = slice(start, None)?;
    let resume = usize::try_from(start.saturating_add(length).saturating_sub(1).max(0));
    let before = value.chars().take(skip);
    let after = value.chars().skip(resume.unwrap_or(usize::MAX));
    text(before.chain(new.chars()).chain(after).collect::<String>())
}

fn translate(call: &Call<'_, '_>) -> Answer {
    let from: Vec<_> = call.text(1)?.chars().collect();
    let to: Vec<_> = call.text(2)?.chars().collect();
    let mapped = call
        .text(0)?
        .chars()
        .filter_map(|char| match from.iter().position(|known| *known == char) {
            Some(at) => to.get(at).copied(),
            None => Some(char),
        })
        .collect::<String>();
    text(mapped)
}

fn to_hex(call: &Call<'_, '_>) -> Answer {
    let value = call.integer(0)?;
    // A negative int4 has 32 bits.
    match i32::try_from(value) {
        Ok(value) => text(format!("{value:x}")),
        Err(_) => text(format!("{value:x}")),
    }
}

/// The index in argument 1, of something of that length.
fn index(call: &Call<'_, '_>, length: usize) -> Result<usize, SqlError> {
    let at = call.integer(1)?;
    usize::try_from(at).ok().filter(|at| *at < length).ok_or_else(|| {
        let last = i64::try_from(length).unwrap_or(i64::MAX) - 1;
        SqlError::new(SqlState("2202E"), format!("index {at} out of valid range, 0..{last}"))
    })
}

fn get_byte(call: &Call<'_, '_>) -> Answer {
    let bytes = call.bytes(0)?;
    integer(i64::from(bytes[index(call, bytes.len())?]))
}

fn set_byte(call: &Call<'_, '_>) -> Answer {
    let mut bytes = call.bytes(0)?.into_owned();
    let at = index(call, bytes.len())?;
    bytes[at] = call.integer(2)?.to_le_bytes()[0];
    Ok(Value::Blob(bytes))
}

/// Bit `n`, or the value with that bit `set`: of bits counted from the left, of each byte
/// of bytea from its lowest.
fn bit(call: &Call<'_, '_>, set: Option<i64>) -> Answer {
    if set.is_some_and(|bit| !matches!(bit, 0 | 1)) {
        return Err(bad_argument("new bit must be 0 or 1"));
    }
    let mut bytes = call.bytes(0)?.into_owned();
    if let ValueRef::Text(_) = call.value(0) {
        let at = index(call, bytes.len())?;
        return match set {
            None => boolean(bytes[at] == b'1'),
            Some(bit) => {
                bytes[at] = if bit == 1 { b'1' } else { b'0' };
                text(String::from_utf8_lossy(&bytes).into_owned())
            }
        };
    }
    let at = index(call, bytes.len().saturating_mul(8))?;
    let mask = 1 << (at % 8);
    match set {
        None => boolean(bytes[at / 8] & mask != 0),
        Some(bit) => {
            bytes[at / 8] = if bit == 1 { bytes[at / 8] | mask } else { bytes[at / 8] & !mask };
            Ok(Value::Blob(bytes))
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn encode(call: &Call<'_, '_>) -> Answer {
    let bytes = call.bytes(0)?;
    match call.text(1)?.to_ascii_lowercase().as_str() {
        "hex" => text(hex(&bytes)),
        "base64" => {
            // PostgreSQL breaks lines after 76 characters, as MIME does.
            let plain = BASE64.encode(&bytes);
            let lines: Vec<_> =
                plain.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect();
            text(lines.join("\n"))
        }
        "escape" => {
            let mut escaped = String::with_capacity(bytes.len());
            for &byte in bytes.iter() {
                match byte {
                    b'\\' => escaped.push_str("\\\\"),
                    0 | 0x80.. => escaped.push_str(&format!("\\{byte:03o}")),
                    byte => escaped.push(char::from(byte)),
                }
            }
            text(escaped)
        }
        other => Err(bad_argument(format!("unrecognized encoding: \"{other}\""))),
    }
}

fn decode(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let format = call.text(1)?.to_ascii_lowercase();
    let compact: String = value.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    match format.as_str() {
        "hex" => decode_hex(&compact).map(Value::Blob),
        "base64" => BASE64
            .decode(&compact)
            .map(Value::Blob)
            .map_err(|_| bad_argument("invalid base64 end sequence")),
        "escape" => decode_escape(&value).map(Value::Blob),
        other => Err(bad_argument(format!("unrecognized encoding: \"{other}\""))),
    }
}

fn decode_hex(digits: &str) -> Result<Vec<u8>, SqlError> {
    if let Some(wrong) = digits.chars().find(|char| !char.is_ascii_hexdigit()) {
        return Err(bad_argument(format!("invalid hexadecimal digit: \"{wrong}\"")));
    }
    if !digits.len().is_multiple_of(2) {
        return Err(bad_argument("invalid hexadecimal data: odd number of digits"));
    }
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| str::from_utf8(pair).ok());
    Ok(pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect())
}

fn decode_escape(value: &str) -> Result<Vec<u8>, SqlError> {
    let wrong = || {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
        } else if after.first() == Some(&b'\\') {
            bytes.push(b'\\');
            rest = &after[1..];
        } else {
            let digits = after.get(..3).and_then(|digits| str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
            bytes.push(byte.ok_or_else(wrong)?);
            rest = &after[3..];
        }
    }
    Ok(bytes)
}

/// `format(template, …)`: `%[position$][-][width]type`, the type one of `s`, `I`, `L`.
/// `parse_ident(name [, strict])`: the parts of a qualified name.
fn parse_ident(call: &Call<'_, '_>) -> Answer {
    let written = call.text(0)?;
    let strict = call.len() < 2 || call.integer(1)? != 0;
    let invalid = |detail: Option<String>| {
        let error = bad_argument(format!("string is not a valid identifier: \"{written}\""));
        Err(match detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        })
    };
    let is_start = |char: char| char.is_ascii_alphabetic() || char == '_' || !char.is_ascii();
    let is_part = |char: char| is_start(char) || char.is_ascii_digit() || char == '$';
    let mut parts = Vec::new();
    let mut rest = written.trim_ascii_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '"')) if chars.next_if(|(_, next)| *next == '"').is_some() => {
                        part.push('"');
                    }
                    Some((at, '"')) => break at,
                    Some((_, char)) => part.push(char),
                    None => return invalid(Some("String has unclosed double quotes.".to_owned())),
                }
            };
            if part.is_empty() {
                return invalid(Some("Quoted identifier must not be empty.".to_owned()));
            }
            rest = &quoted[end + 1..];
            parts.push(Some(part));
        } else if rest.starts_with(is_start) {
            let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
            parts.push(Some(rest[..end].to_ascii_lowercase()));
            rest = &rest[end..];
        } else if rest.starts_with('.') {
            return invalid(Some("No valid identifier before \".\".".to_owned()));
        } else if !parts.is_empty() {
            return invalid(Some("No valid identifier after \".\".".to_owned()));
        } else {
            return invalid(None);
        }
        rest = rest.trim_ascii_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_ascii_start(),
            None if rest.is_empty() || !strict => break,
            None => return invalid(None),
        }
    }
    let mut array = String::new();
    Array::new(parts).print(&mut array);
    text(array)
}

fn format(call: &Call<'_, '_>) -> Answer {
    let Some(template) = call.optional_text(0)? else { return Ok(Value::Null) };
    format_values(&template, call.len() - 1, &|at| Ok(call.optional_text(at)?.map(Cow::into_owned)))
}

/// `format(template, VARIADIC array)`.
fn format_array(call: &Call<'_, '_>) -> Answer {
    let Some(template) = call.optional_text(0)? else { return Ok(Value::Null) };
    let elements = match call.optional_text(1)? {
        Some(array) => Array::parse(&array)?.elements,
        None => Vec::new(),
    };
    format_values(&template, elements.len(), &|at| Ok(elements.get(at - 1).cloned().flatten()))
}

/// Fills a template with `count` values, which are numbered from 1.
fn format_values(
    template: &str,
    count: usize,
    value: &dyn Fn(usize) -> Result<Option<String>, SqlError>,
) -> Answer {
    let mut result = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    let mut next_argument = 1;
    while let Some(char) = chars.next() {
        if char != '%' {
            result.push(char);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            result.push('%');
            continue;
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = None;
            while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
                chars.next();
                number = Some(number.unwrap_or(0_usize).saturating_mul(10) + digit as usize);
            }
            number
        };
        let mut width = number(&mut chars);
        let mut position = None;
        if chars.peek() == Some(&'$') {
            chars.next();
            position = width.take();
            if position == Some(0) {
                return Err(bad_argument(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
        }
        let mut at_left = false;
        while chars.peek() == Some(&'-') {
            chars.next();
            at_left = true;
        }
        if width.is_none() {
            width = number(&mut chars);
        }
        if chars.peek() == Some(&'*') {
            chars.next();
            let at = match number(&mut chars) {
                Some(0) => {
                    return Err(bad_argument(
                        "format specifies argument 0, but arguments are numbered from 1",
                    ));
                }
                Some(at) if chars.next() == Some('$') => at,
                Some(_) => {
                    return Err(bad_argument("width argument position must be ended by \"$\""));
                }
                None => next_argument,
            };
            if at > count {
                return Err(bad_argument("too few arguments for format()"));
            }
            let given = match value(at)? {
                Some(text) => parse_integer(&text, Oid::INT4)?,
                None => 0,
            };
            next_argument = at + 1;
            at_left |= given < 0;
            width = usize::try_from(given.unsigned_abs()).ok();
        }
        let Some(kind) = chars.next() else {
            return Err(bad_argument("unterminated format() type specifier")
                .with_hint("For a single \"%\" use \"%%\"."));
        };
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(bad_argument(format!("unrecognized format() type specifier \"{kind}\""))
                .with_hint("For a single \"%\" use \"%%\"."));
        }
        let at = position.unwrap_or(next_argument);
        next_argument = at + 1;
        if at > count {
            return Err(bad_argument("too few arguments for format()"));
        }
        let printed = match (kind, value(at)?) {
            ('s', value) => value.unwrap_or_default(),
            ('L', Some(value)) => catalog::quote_literal(&value),
            ('L', None) => "NULL".to_owned(),
            (_, Some(value)) => catalog::quote_ident(&value),
            (_, None) => {
                return Err(SqlError::new(
                    SqlState("22004"),
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
        };
        let padding = width.unwrap_or(0).saturating_sub(printed.chars().count());
        if padding + result.len() > LONGEST_RESULT {
            return Err(too_long());
        }
        let padding = " ".repeat(padding);
        let (before, after) = if at_left { ("", padding.as_str()) } else { (padding.as_str(), "") };
        result.push_str(before);
        result.push_str(&printed);
        result.push_str(after);
    }
    text(result)
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("ascii('x')", "120"),
            ("ascii('é')", "233"),
            ("ascii('')", "0"),
            ("chr(233)", "é"),
            ("chr(0)", "54000"),
            ("btrim('  a ')", "a"),
            ("btrim('xyxtrimyyx', 'xyz')", "trim"),
            ("initcap('hi THOMAS o''reilly')", "Hi Thomas O'Reilly"),
            ("left('abcde', 2)", "ab"),
            ("left('abcde', -2)", "abc"),
            ("left('abcde', -9)", ""),
            ("right('abcde', 2)", "de"),
            ("right('abcde', -2)", "cde"),
            ("lpad('hi', 5, 'xy')", "xyxhi"),
            ("lpad('hi', 1)", "h"),
            ("rpad('hi', 5, 'xy')", "hixyx"),
            ("rpad('hi', -1)", ""),
            ("lpad('hi', 2000000000)", "54000"),
            ("repeat('Pg', 4)", "PgPgPgPg"),
            ("repeat('Pg', -4)", ""),
            ("reverse('abcé')", "écba"),
            ("split_part('abc~@~def~@~ghi', '~@~', 2)", "def"),
            ("split_part('abc,def,ghi,jkl', ',', -2)", "ghi"),
            ("split_part('abc', ',', 0)", "22023"),
            ("split_part('abc', ',', 5)", ""),
            ("strpos('high', 'ig')", "2"),
            ("strpos('éa', 'a')", "2"),
            ("strpos('high', '')", "1"),
            ("substring('Thomas', 2, 3)", "hom"),
            ("substring('Thomas', -1, 4)", "Th"),
            ("substring('Thomas', 3)", "omas"),
            ("substring('Thomas', 3, -1)", "22011"),
            ("substring('Thomas', '...$')", "mas"),
            ("overlay('Txxxxas', 'hom', 2, 4)", "Thomas"),
            ("overlay('abcdef', 'ZZ', 3)", "abZZef"),
            ("translate('12345', '143', 'ax')", "a2x5"),
            ("to_hex(2147483647)", "7fffffff"),
            ("to_hex(-1)", "ffffffff"),
            ("encode(x'3132330001', 'base64')", "MTIzAAE="),
            ("encode(x'31320001', 'hex')", "31320001"),
            ("encode(x'31320001ff', 'escape')", "12\\000\u{1}\\377"),
            ("decode('MTIzAAE=', 'base64')", "\\x3132330001"),
            ("decode('3132zz', 'hex')", "22023"),
            ("decode('a\\\\b\\000', 'escape')", "\\x615c6200"),
            ("upper('straße é')", "STRAßE É"),
            ("lower('ÉA')", "éa"),
            ("quote_ident('Foo bar')", "\"Foo bar\""),
            ("quote_literal('O''Reilly')", "'O''Reilly'"),
            ("quote_literal('a\\b')", "E'a\\\\b'"),
            ("quote_nullable(NULL)", "NULL"),
            ("starts_with('alphabet', 'alph')", "1"),
            ("towline_format('Hello %s, %1$s', 'World')", "Hello World, World"),
            ("towline_format('%I %L %%', 'a b', 'c''d')", "\"a b\" 'c''d' %"),
            ("towline_format('|%10s|%-10s|', 'foo', 'bar')", "|       foo|bar       |"),
            ("towline_format('%s %s', 'x')", "22023"),
            ("towline_format('%L', NULL)", "NULL"),
            ("towline_format('|%*s|', 4, 'a')", "|   a|"),
            ("towline_format_array('%s %s', '{a,b}')", "a b"),
            ("towline_format_array('%s', '{}')", "22023"),
            ("num_nulls(1, NULL, 2)", "1"),
            ("num_nonnulls(1, NULL, 2)", "2"),
            ("lpad(NULL, 2)", "NULL"),
        ]);
    }
}
