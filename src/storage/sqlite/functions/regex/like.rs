//! LIKE and SIMILAR TO.

use super::super::call::{Answer, Call, boolean, text};
use super::pattern::{compile, invalid_pattern};
use crate::pg::{SqlError, SqlState};

/// The escape character in argument `at`: a backslash unless given, perhaps none.
fn escape(call: &Call<'_, '_>, at: usize) -> Result<Option<char>, SqlError> {
    if call.len() <= at {
        return Ok(Some('\\'));
    }
    call.optional_text(at)?.map_or(Ok(None), |given| escape_character(&given))
}

fn escape_character(given: &str) -> Result<Option<char>, SqlError> {
    let mut chars = given.chars();
    match (chars.next(), chars.next()) {
        (escape, None) => Ok(escape),
        _ => Err(SqlError::new(SqlState("22025"), "invalid escape string")
            .with_hint("Escape string must be empty or one character.")),
    }
}

pub(super) fn like(call: &Call<'_, '_>, ignore_case: bool) -> Answer {
    let escape = escape(call, 2)?;
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

/// `like_escape(pattern, escape)`: the pattern with backslashes for its own escapes.
pub(super) fn like_escape(call: &Call<'_, '_>) -> Answer {
    let mut pattern = String::new();
    for part in like_pattern(&call.text(0)?, escape(call, 1)?)? {
        match part {
            LikePart::Many => pattern.push('%'),
            LikePart::Any => pattern.push('_'),
            LikePart::Char(char) => {
                if matches!(char, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(char);
            }
        }
    }
    text(pattern)
}

/// `similar_to_escape(pattern, escape)`: a regular expression.
pub(super) fn similar_to_escape(call: &Call<'_, '_>) -> Answer {
    text(similar_pattern(&call.text(0)?, escape(call, 1)?)?)
}

/// `value SIMILAR TO pattern`.
pub(super) fn similar(call: &Call<'_, '_>) -> Answer {
    let pattern = similar_pattern(&call.text(1)?, escape(call, 2)?)?;
    boolean(compile(&pattern, "")?.is_match(&call.text(0)?)?)
}

/// A pattern of SIMILAR TO as a regular expression of PostgreSQL's.
fn similar_pattern(pattern: &str, escape: Option<char>) -> Result<String, SqlError> {
    let mut result = String::from("^(?:");
    translate_similar(pattern, escape, &mut result, false)?;
    result.push_str(")$");
    Ok(result)
}

/// A pattern of `substring(text similar pattern escape '#')`: what lies between two `#"` is
/// its group, or all of it; what is before them is as short as can be.
pub(super) fn similar_part(pattern: &str, escape: &str) -> Result<String, SqlError> {
    let escape = escape_character(escape)?;
    let parts: Vec<&str> = match escape {
        Some(escape) => split_at_separators(pattern, escape),
        None => vec![pattern],
    };
    let (before, part, behind) = match *parts.as_slice() {
        [before, part, behind] => (before, part, behind),
        [before, part] => (before, part, ""),
        [part] => ("", part, ""),
        _ => {
            return Err(SqlError::new(
                SqlState("2200C"),
                "SQL regular expression may not contain more than two escape-double-quote \
                 separators",
            ));
        }
    };
    let mut result = String::from("^(?:");
    translate_similar(before, escape, &mut result, true)?;
    result.push_str(")(");
    translate_similar(part, escape, &mut result, false)?;
    result.push_str(")(?:");
    translate_similar(behind, escape, &mut result, false)?;
    result.push_str(")$");
    Ok(result)
}

fn split_at_separators(pattern: &str, escape: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut chars) = (0, pattern.char_indices());
    while let Some((at, char)) = chars.next() {
        if char == escape
            && let Some((quote, '"')) = chars.next()
        {
            parts.push(&pattern[from..at]);
            from = quote + 1;
        }
    }
    parts.push(&pattern[from..]);
    parts
}

/// Appends the regular expression of a pattern, which matches as little as it can if it is
/// `lazy`.
fn translate_similar(
    pattern: &str,
    escape: Option<char>,
    result: &mut String,
    lazy: bool,
) -> Result<(), SqlError> {
    let mut in_brackets = false;
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        let quantifies = matches!(char, '*' | '+' | '?' | '}' | '%') && !in_brackets;
        match char {
            char if Some(char) == escape => {
                result.push('\\');
                result.push(chars.next().ok_or_else(invalid_pattern)?);
            }
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
        if lazy && quantifies && Some(char) != escape {
            result.push('?');
        }
    }
    Ok(())
}
