//! PostgreSQL's regular expression functions and operators, on the `regex` crate.
//!
//! A pattern is PostgreSQL's "advanced" syntax, rewritten: `\y \m \M \Y \Z` and the
//! like have other names there, and brackets quote differently. What that crate lacks,
//! back references and look-around, is refused with 0A000. Among alternatives it takes
//! the first that matches where PostgreSQL takes the longest.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use lru::LruCache;
use regex::{Captures, Regex, RegexBuilder};
use rusqlite::Connection;

use super::array_text::{self, Element};
use super::call::{
    Answer, Call, LONGEST_RESULT, bad_argument, boolean, count, define_strict, text, too_long,
};
use super::{PURE, Surroundings};
use crate::log::{Value, ValueRef};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    define_strict(
        connection,
        surroundings,
        PURE,
        &[
            ("towline_similar", 2, similar),
            ("towline_similar", 3, similar),
            ("regexp_count", 2, regexp_count),
            ("regexp_count", 3, regexp_count),
            ("regexp_count", 4, regexp_count),
            ("regexp_instr", -1, regexp_instr),
            ("regexp_like", 2, regexp_like),
            ("regexp_like", 3, regexp_like),
            ("regexp_match", 2, regexp_match),
            ("regexp_match", 3, regexp_match),
            ("regexp_replace", 3, regexp_replace),
            ("regexp_replace", 4, regexp_replace),
            ("regexp_replace", 5, regexp_replace),
            ("regexp_replace", 6, regexp_replace),
            ("regexp_split_to_array", 2, regexp_split_to_array),
            ("regexp_split_to_array", 3, regexp_split_to_array),
            ("regexp_substr", -1, regexp_substr),
            ("towline_ilike", 2, |call| like(call, true)),
            ("towline_ilike", 3, |call| like(call, true)),
            ("towline_iregex", 2, |call| {
                let regex = compile(&call.text(1)?, "i")?;
                boolean(regex.is_match(&call.text(0)?))
            }),
            ("towline_like", 2, |call| like(call, false)),
            ("towline_like", 3, |call| like(call, false)),
            ("towline_regex", 2, |call| {
                let regex = compile(&call.text(1)?, "")?;
                boolean(regex.is_match(&call.text(0)?))
            }),
            ("towline_regexp_matches", 2, regexp_matches),
            ("towline_regexp_matches", 3, regexp_matches),
        ],
    )
}

/// Compiled patterns kept by each thread: a pattern is mostly the same for all rows.
const CACHED_PATTERNS: usize = 64;

/// Bound of a compiled pattern, in bytes.
const LARGEST_PATTERN: usize = 4 << 20;

thread_local! {
    static COMPILED: RefCell<LruCache<(String, String), Regex>> = RefCell::new(LruCache::new(
        NonZeroUsize::new(CACHED_PATTERNS).unwrap_or(NonZeroUsize::MIN),
    ));
}

/// Compiles a pattern under PostgreSQL's flags; `g` is the caller's affair.
pub(super) fn compile(pattern: &str, flags: &str) -> Result<Regex, SqlError> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(regex) = COMPILED.with_borrow_mut(|compiled| compiled.get(&key).cloned()) {
        return Ok(regex);
    }
    let mut literal = false;
    let (mut ignore_case, mut extended) = (false, false);
    // Whether `^` and `$` match at lines, and whether `.` stops at them.
    let (mut anchors, mut stops) = (false, false);
    for flag in flags.chars() {
        match flag {
            'g' | 'e' | 't' | 'b' => {}
            'i' => ignore_case = true,
            'c' => ignore_case = false,
            'n' | 'm' => (anchors, stops) = (true, true),
            's' => (anchors, stops) = (false, false),
            'p' => (anchors, stops) = (false, true),
            'w' => (anchors, stops) = (true, false),
            'x' => extended = true,
            'q' => literal = true,
            other => {
                return Err(bad_argument(format!(
                    "invalid regular expression option: \"{other}\""
                )));
            }
        }
    }
    let rewritten = match pattern.strip_prefix("***=") {
        Some(rest) => regex::escape(rest),
        None if literal => regex::escape(pattern),
        None => rewrite(pattern.strip_prefix("***:").unwrap_or(pattern))?,
    };
    let regex = RegexBuilder::new(&rewritten)
        .case_insensitive(ignore_case)
        .multi_line(anchors)
        .dot_matches_new_line(!stops)
        .ignore_whitespace(extended)
        .size_limit(LARGEST_PATTERN)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "regular expression is too complex")
            }
            _ => invalid_pattern(),
        })?;
    COMPILED.with_borrow_mut(|compiled| compiled.put(key, regex.clone()));
    Ok(regex)
}

fn invalid_pattern() -> SqlError {
    SqlError::new(SqlState("2201B"), "invalid regular expression")
}

/// Rewrites PostgreSQL's syntax to the crate's.
fn rewrite(pattern: &str) -> Result<String, SqlError> {
    let mut result = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let Some(escaped) = chars.next() else {
                    return Err(SqlError::new(
                        SqlState("2201B"),
                        "invalid regular expression: invalid escape \\ sequence",
                    ));
                };
                match escaped {
                    'y' => result.push_str("\\b"),
                    'Y' => result.push_str("\\B"),
                    'm' => result.push_str("\\b{start}"),
                    'M' => result.push_str("\\b{end}"),
                    'Z' => result.push_str("\\z"),
                    'A' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 't' | 'r' | 'f' | 'v' | 'a'
                    | 'x' => {
                        result.push('\\');
                        result.push(escaped);
                    }
                    'e' => result.push_str("\\x1B"),
                    'b' => result.push_str("\\x08"),
                    'B' => result.push_str("\\\\"),
                    'u' | 'U' => {
                        let length = if escaped == 'u' { 4 } else { 8 };
                        let digits: String = chars.by_ref().take(length).collect();
                        result.push_str(&format!("\\x{{{digits}}}"));
                    }
                    '1'..='9' => {
                        return Err(SqlError::unsupported(
                            "a back reference in a regular expression",
                        ));
                    }
                    '0' => result.push_str("\\x00"),
                    other => result.push_str(&regex::escape(&other.to_string())),
                }
            }
            '[' => rewrite_bracket(&mut chars, &mut result)?,
            '(' if chars.peek() == Some(&'?') => {
                let mut ahead = chars.clone();
                ahead.next();
                if matches!(ahead.peek(), Some('=' | '!' | '<')) {
                    return Err(SqlError::unsupported("look-around in a regular expression"));
                }
                result.push('(');
            }
            char => result.push(char),
        }
    }
    Ok(result)
}

/// Rewrites a bracket expression, of which `[` is read.
fn rewrite_bracket(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    result: &mut String,
) -> Result<(), SqlError> {
    let mut inside = String::from("[");
    if chars.peek() == Some(&'^') {
        chars.next();
        inside.push('^');
    }
    let mut first = true;
    loop {
        let Some(char) = chars.next() else {
            return Err(SqlError::new(
                SqlState("2201B"),
                "invalid regular expression: brackets [] not balanced",
            ));
        };
        match char {
            ']' if !first => break,
            '[' if matches!(chars.peek(), Some(':' | '.' | '=')) => {
                let kind = chars.next().unwrap_or(':');
                let mut name = String::new();
                loop {
                    match chars.next() {
                        Some(char) if char == kind && chars.peek() == Some(&']') => {
                            chars.next();
                            break;
                        }
                        Some(char) => name.push(char),
                        None => return Err(invalid_pattern()),
                    }
                }
                match (kind, name.as_str()) {
                    // The whole bracket means a word's start or end.
                    (':', "<" | ">") => {
                        let edge = if name == "<" { "\\b{start}" } else { "\\b{end}" };
                        if chars.next() != Some(']') {
                            return Err(invalid_pattern());
                        }
                        result.push_str(edge);
                        return Ok(());
                    }
                    (':', name) => inside.push_str(&format!("[:{name}:]")),
                    (_, name) => inside.push_str(&regex::escape(name)),
                }
            }
            '\\' => match chars.next() {
                Some(class @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 't' | 'r' | 'f' | 'v')) => {
                    inside.push('\\');
                    inside.push(class);
                }
                Some(char) => inside.push_str(&regex::escape(&char.to_string())),
                None => return Err(invalid_pattern()),
            },
            '[' | '&' | '~' | ']' => {
                inside.push('\\');
                inside.push(char);
            }
            // At an edge of the brackets it stands for itself.
            '-' if first || chars.peek() == Some(&']') => inside.push_str("\\-"),
            char => inside.push(char),
        }
        first = false;
    }
    result.push_str(&inside);
    result.push(']');
    Ok(())
}

/// The flags in argument `at`, if it is given.
fn flags(call: &Call<'_, '_>, at: usize) -> Result<String, SqlError> {
    Ok(call.optional_text(at)?.map(std::borrow::Cow::into_owned).unwrap_or_default())
}

/// `substring(text from pattern)`: the first group if there is one, else the match.
pub(super) fn substring(call: &Call<'_, '_>, pattern: &str) -> Answer {
    let value = call.text(0)?;
    let found = compile(pattern, "")?.captures(&value);
    let found = found.and_then(|groups| {
        let group = if groups.len() > 1 { groups.get(1) } else { groups.get(0) };
        group.map(|group| group.as_str().to_owned())
    });
    Ok(found.map_or(Value::Null, Value::Text))
}

fn regexp_like(call: &Call<'_, '_>) -> Answer {
    boolean(compile(&call.text(1)?, &flags(call, 2)?)?.is_match(&call.text(0)?))
}

/// A whole number in argument `at`, at least `least`; `least` where it is not given.
fn parameter(
    call: &Call<'_, '_>,
    at: usize,
    name: &str,
    least: usize,
    most: usize,
) -> Result<usize, SqlError> {
    if call.len() <= at {
        return Ok(least);
    }
    let given = call.integer(at)?;
    usize::try_from(given)
        .ok()
        .filter(|given| (least..=most).contains(given))
        .ok_or_else(|| bad_argument(format!("invalid value for parameter \"{name}\": {given}")))
}

/// Where the search begins that argument `at` names, in bytes.
fn start(call: &Call<'_, '_>, at: usize, value: &str) -> Result<usize, SqlError> {
    let skip = parameter(call, at, "start", 1, usize::MAX)? - 1;
    Ok(value.char_indices().nth(skip).map_or(value.len(), |(at, _)| at))
}

fn regexp_count(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let start = start(call, 2, &value)?;
    let regex = compile(&call.text(1)?, &flags(call, 3)?)?;
    count(matches_of(&regex, &value, start).count())
}

/// `(string, pattern, start, n, …, flags, group)`: the n-th match's group, in bytes.
fn nth_group(
    call: &Call<'_, '_>,
    value: &str,
    flags_at: usize,
) -> Result<Option<std::ops::Range<usize>>, SqlError> {
    let start = start(call, 2, value)?;
    let n = parameter(call, 3, "n", 1, usize::MAX)?;
    let group = parameter(call, flags_at + 1, "subexpr", 0, usize::MAX)?;
    let regex = compile(&call.text(1)?, &flags(call, flags_at)?)?;
    let found = matches_of(&regex, value, start).nth(n - 1);
    Ok(found.and_then(|captures| captures.get(group).map(|group| group.range())))
}

fn regexp_substr(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let found = nth_group(call, &value, 4)?;
    Ok(found.map_or(Value::Null, |range| Value::Text(value[range].to_owned())))
}

/// Where a match begins or, by argument 4, where the rest begins; counted in characters
/// from 1. 0: nowhere.
fn regexp_instr(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let behind = parameter(call, 4, "endoption", 0, 1)? == 1;
    let found = nth_group(call, &value, 5)?;
    count(found.map_or(0, |range| {
        let at = if behind { range.end } else { range.start };
        value[..at].chars().count() + 1
    }))
}

/// All matches from `start` on. Behind an empty one the search goes on a character later, so
/// there may be one right behind a match that is not empty.
fn matches_of<'r, 'v>(
    regex: &'r Regex,
    value: &'v str,
    start: usize,
) -> impl Iterator<Item = Captures<'v>> + use<'r, 'v> {
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let captures = regex.captures_at(value, next?)?;
        let found = captures.get(0)?;
        next = match found.is_empty() {
            false => Some(found.end()),
            true => value[found.end()..].chars().next().map(|char| found.end() + char.len_utf8()),
        };
        Some(captures)
    })
}

/// The groups of a match, or all of it where the pattern has none.
fn groups(captures: &Captures<'_>) -> Vec<Element> {
    let start = usize::from(captures.len() > 1);
    let element = |group: Option<regex::Match<'_>>| match group {
        Some(group) => Element::Text(group.as_str().to_owned()),
        None => Element::Null,
    };
    captures.iter().skip(start).map(element).collect()
}

fn regexp_match(call: &Call<'_, '_>) -> Answer {
    let flags = flags(call, 2)?;
    if flags.contains('g') {
        return Err(bad_argument("regexp_match() does not support the \"global\" option")
            .with_hint("Use the regexp_matches function instead."));
    }
    let value = call.text(0)?;
    match compile(&call.text(1)?, &flags)?.captures(&value) {
        Some(captures) => text(array_text::print(&groups(&captures))),
        None => Ok(Value::Null),
    }
}

/// All matches, each an array of its groups; the set-returning function's rows.
fn regexp_matches(call: &Call<'_, '_>) -> Answer {
    let flags = flags(call, 2)?;
    let regex = compile(&call.text(1)?, &flags)?;
    let value = call.text(0)?;
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let rows = matches_of(&regex, &value, 0).take(limit);
    let rows: Vec<_> =
        rows.map(|captures| Element::Text(array_text::print(&groups(&captures)))).collect();
    text(array_text::print(&rows))
}

fn regexp_split_to_array(call: &Call<'_, '_>) -> Answer {
    let regex = compile(&call.text(1)?, &flags(call, 2)?)?;
    let value = call.text(0)?;
    let mut parts = Vec::new();
    let mut start = 0;
    for found in matches_of(&regex, &value, 0).filter_map(|captures| captures.get(0)) {
        // An empty match at either end, or right behind a match, splits nothing.
        if found.is_empty() && (found.start() == start || found.end() == value.len()) {
            continue;
        }
        parts.push(Element::Text(value[start..found.start()].to_owned()));
        start = found.end();
    }
    parts.push(Element::Text(value[start..].to_owned()));
    text(array_text::print(&parts))
}

fn regexp_replace(call: &Call<'_, '_>) -> Answer {
    let (value, replacement) = (call.text(0)?, call.text(2)?);
    // `(…, flags)`, or `(…, start, n, flags)`, of which n = 0 replaces all.
    let by_place = matches!(call.value(call.len() - 1), ValueRef::Integer(_)) || call.len() > 4;
    let (flags_at, offset) = if by_place { (5, start(call, 3, &value)?) } else { (3, 0) };
    let flags = flags(call, flags_at)?;
    let (skip, limit) = match by_place && call.len() > 4 {
        true => match parameter(call, 4, "n", 0, usize::MAX)? {
            0 => (0, usize::MAX),
            n => (n - 1, 1),
        },
        false if flags.contains('g') => (0, usize::MAX),
        false => (0, 1),
    };
    let regex = compile(&call.text(1)?, &flags)?;
    let mut result = String::with_capacity(value.len());
    let mut start = 0;
    for captures in matches_of(&regex, &value, offset).skip(skip).take(limit) {
        let Some(found) = captures.get(0) else { continue };
        result.push_str(&value[start..found.start()]);
        insert_replacement(&mut result, &replacement, &captures);
        start = found.end();
        if result.len() > LONGEST_RESULT {
            return Err(too_long());
        }
    }
    result.push_str(&value[start..]);
    text(result)
}

/// Appends a replacement, in which `\1` is a group, `\&` the match.
fn insert_replacement(result: &mut String, replacement: &str, captures: &Captures<'_>) {
    let mut chars = replacement.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            result.push(char);
            continue;
        }
        match chars.next() {
            Some('&') => result.push_str(captures.get(0).map_or("", |group| group.as_str())),
            Some(digit @ '1'..='9') => {
                let group = digit.to_digit(10).and_then(|digit| captures.get(digit as usize));
                result.push_str(group.map_or("", |group| group.as_str()));
            }
            Some('\\') | None => result.push('\\'),
            Some(other) => {
                result.push('\\');
                result.push(other);
            }
        }
    }
}

/// The escape character of LIKE in argument 2: a backslash unless given, perhaps none.
fn escape(call: &Call<'_, '_>) -> Result<Option<char>, SqlError> {
    if call.len() < 3 {
        return Ok(Some('\\'));
    }
    let Some(given) = call.optional_text(2)? else { return Ok(None) };
    let mut chars = given.chars();
    match (chars.next(), chars.next()) {
        (escape, None) => Ok(escape),
        _ => Err(SqlError::new(SqlState("22025"), "invalid escape string")
            .with_hint("Escape string must be empty or one character.")),
    }
}

fn like(call: &Call<'_, '_>, ignore_case: bool) -> Answer {
    let escape = escape(call)?;
    let (mut value, mut pattern) = (call.text(0)?, call.text(1)?);
    if ignore_case {
        value = value.to_lowercase().into();
        pattern = pattern.to_lowercase().into();
    }
    let value: Vec<_> = value.chars().collect();
    let pattern = like_pattern(&pattern, escape)?;
    boolean(like_matches(&value, &pattern))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LikePart {
    Char(char),
    Any,
    Many,
}

fn like_pattern(pattern: &str, escape: Option<char>) -> Result<Vec<LikePart>, SqlError> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        parts.push(if Some(char) == escape {
            match chars.next() {
                Some(char) => LikePart::Char(char),
                None => {
                    return Err(SqlError::new(
                        SqlState("22025"),
                        "LIKE pattern must not end with escape character",
                    ));
                }
            }
        } else {
            match char {
                '%' => LikePart::Many,
                '_' => LikePart::Any,
                char => LikePart::Char(char),
            }
        });
    }
    Ok(parts)
}

/// Matches in time proportional to the product of the lengths at worst: on a mismatch
/// only the last `%` can take more.
fn like_matches(value: &[char], pattern: &[LikePart]) -> bool {
    let (mut at, mut part) = (0, 0);
    let mut resume = None;
    while at < value.len() {
        match pattern.get(part) {
            Some(LikePart::Many) => {
                resume = Some((at, part));
                part += 1;
            }
            Some(LikePart::Any) => (at, part) = (at + 1, part + 1),
            Some(LikePart::Char(char)) if *char == value[at] => {
                (at, part) = (at + 1, part + 1);
            }
            _ => match resume {
                Some((from, many)) => {
                    resume = Some((from + 1, many));
                    (at, part) = (from + 1, many + 1);
                }
                None => return false,
            },
        }
    }
    pattern[part..].iter().all(|part| *part == LikePart::Many)
}

/// `value SIMILAR TO pattern`.
fn similar(call: &Call<'_, '_>) -> Answer {
    let pattern = similar_pattern(&call.text(1)?, escape(call)?)?;
    boolean(compile(&pattern, "")?.is_match(&call.text(0)?))
}

/// A pattern of SIMILAR TO as a regular expression of PostgreSQL's.
fn similar_pattern(pattern: &str, escape: Option<char>) -> Result<String, SqlError> {
    let mut result = String::from("^(?:");
    let mut in_brackets = false;
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            char if Some(char) == escape => match chars.next() {
                Some(char) => {
                    result.push('\\');
                    result.push(char);
                }
                None => return Err(invalid_pattern()),
            },
            ']' if in_brackets => {
                in_brackets = false;
                result.push(']');
            }
            char if in_brackets => result.push(char),
            '[' => {
                in_brackets = true;
                result.push('[');
            }
            '%' => result.push_str(".*"),
            '_' => result.push('.'),
            '(' => result.push_str("(?:"),
            '.' | '^' | '$' | '\\' => {
                result.push('\\');
                result.push(char);
            }
            char => result.push(char),
        }
    }
    result.push_str(")$");
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn answers_are_postgresqls() {
        check(&[
            ("towline_regex('pg_class', '^(pg_class)$')", "1"),
            ("towline_regex('thomas', 't.*ma')", "1"),
            ("towline_regex('thomas', 'T.*ma')", "0"),
            ("towline_iregex('thomas', 'T.*ma')", "1"),
            ("towline_regex('a' || char(10) || 'b', 'a.b')", "1"),
            ("towline_regex('a' || char(10) || 'b', '^b')", "0"),
            ("towline_regex('foo bar', '\\mbar\\M')", "1"),
            ("towline_regex('foo bar', '[[:<:]]bar')", "1"),
            ("towline_regex('a[b', '[[]')", "1"),
            ("towline_regex('a&b', '[&&]')", "1"),
            ("towline_regex('x-y', '[-]')", "1"),
            ("towline_regex('abab', '(ab)\\1')", "0A000"),
            ("towline_regex('abab', 'a(?=b)')", "0A000"),
            ("towline_regex('a', '(')", "2201B"),
            ("towline_regex('a', '[')", "2201B"),
            ("towline_regex('a.c', '***=a.c')", "1"),
            ("regexp_match('foobarbequebaz', '(bar)(beque)')", "{bar,beque}"),
            ("regexp_match('foobarbequebaz', 'bar.*que')", "{barbeque}"),
            ("regexp_match('abc', 'x')", "NULL"),
            ("regexp_match('abc', '(x)?b')", "{NULL}"),
            ("regexp_match('abc', 'b', 'g')", "22023"),
            (
                "towline_regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g')",
                "{\"{bar,beque}\",\"{bazil,barf}\"}",
            ),
            ("regexp_replace('foobarbaz', 'b..', 'X')", "fooXbaz"),
            ("regexp_replace('foobarbaz', 'b..', 'X', 'g')", "fooXX"),
            ("regexp_replace('foobarbaz', 'b(..)', 'X\\1Y', 'g')", "fooXarYXazY"),
            ("regexp_replace('Hello', 'l', '[\\&]', 'g')", "He[l][l]o"),
            ("regexp_replace('A', 'a', 'b', 'i')", "b"),
            ("regexp_split_to_array('hello world', '\\s+')", "{hello,world}"),
            ("regexp_split_to_array('abc', '')", "{a,b,c}"),
            ("regexp_split_to_array('ab', 'x')", "{ab}"),
            ("regexp_count('ABCABCAXYaxy', 'A.')", "3"),
            ("regexp_count('ABCABCAXYaxy', 'A.', 1, 'i')", "4"),
            ("towline_like('abc', 'a%')", "1"),
            ("towline_like('ABC', 'a%')", "0"),
            ("towline_ilike('ÄBC', 'ä_c')", "1"),
            ("towline_like('a%c', 'a\\%c')", "1"),
            ("towline_like('abc', 'a\\%c')", "0"),
            ("towline_like('a%c', 'a#%c', '#')", "1"),
            ("towline_like('a\\bc', 'a\\b%', '')", "1"),
            ("towline_like('abc', 'ab\\')", "22025"),
            ("towline_like('aaab', '%a%b')", "1"),
            ("towline_similar('abc', '%(b|d)%')", "1"),
            ("towline_similar('abc', '(b|c)%')", "0"),
            ("towline_similar('a.c', 'a.c')", "1"),
            ("towline_similar('abc', 'a.c')", "0"),
            ("towline_regex(NULL, 'a')", "NULL"),
        ]);
    }
}
