//! PostgreSQL's regular expression functions and operators, LIKE and SIMILAR TO.

mod like;
mod pattern;

use std::borrow::Cow;

use self::like::{like, like_escape, similar, similar_part, similar_to_escape};
use self::pattern::Match;
pub(super) use self::pattern::compile;
use super::PURE;
use super::array_text::{self, Element};
use super::call::{
    Answer, Call, LONGEST_RESULT, Registry, bad_argument, boolean, count, text, too_long,
};
use crate::log::{Value, ValueRef};
use crate::pg::SqlError;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        PURE,
        &[
            ("like_escape", 2, like_escape),
            ("similar_to_escape", 1, similar_to_escape),
            ("similar_to_escape", 2, similar_to_escape),
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
            ("towline_iregex", 2, |call| matches(call, "i")),
            ("towline_like", 2, |call| like(call, false)),
            ("towline_like", 3, |call| like(call, false)),
            ("towline_regex", 2, |call| matches(call, "")),
            ("towline_regexp_matches", 2, regexp_matches),
            ("towline_regexp_matches", 3, regexp_matches),
        ],
    )
}

/// The flags in argument `at`, if it is given.
fn flags(call: &Call<'_, '_>, at: usize) -> Result<String, SqlError> {
    Ok(call.optional_text(at)?.map(Cow::into_owned).unwrap_or_default())
}

/// The flags of a function that has no use for `g`.
fn flags_of_one(call: &Call<'_, '_>, at: usize, function: &str) -> Result<String, SqlError> {
    let flags = flags(call, at)?;
    if flags.contains('g') {
        let message = format!("{function}() does not support the \"global\" option");
        return Err(bad_argument(message));
    }
    Ok(flags)
}

fn matches(call: &Call<'_, '_>, flags: &str) -> Answer {
    boolean(compile(&call.text(1)?, flags)?.is_match(&call.text(0)?)?)
}

/// `substring(text from pattern)`: the first group if there is one, else the match; and
/// `substring(text similar pattern escape character)`.
pub(super) fn substring(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let pattern: Cow<'_, str> = match call.optional_text(2)? {
        Some(escape) => similar_part(&call.text(1)?, &escape)?.into(),
        None => call.text(1)?,
    };
    let found = compile(&pattern, "")?.find(&value, 0)?;
    let found = found.and_then(|found| found.group(found.group_count().min(1)));
    Ok(found.map_or(Value::Null, |found| Value::Text(found.to_owned())))
}

fn regexp_like(call: &Call<'_, '_>) -> Answer {
    matches(call, &flags_of_one(call, 2, "regexp_like")?)
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
    let regex = compile(&call.text(1)?, &flags_of_one(call, 3, "regexp_count")?)?;
    let found: Vec<Match<'_>> = regex.find_all(&value, start).collect::<Result<_, _>>()?;
    count(found.len())
}

/// `(string, pattern, start, n, …, flags, group)`: the n-th match's group, in bytes.
fn nth_group(
    call: &Call<'_, '_>,
    value: &str,
    flags_at: usize,
    function: &str,
) -> Result<Option<std::ops::Range<usize>>, SqlError> {
    let start = start(call, 2, value)?;
    let n = parameter(call, 3, "n", 1, usize::MAX)?;
    let group = parameter(call, flags_at + 1, "subexpr", 0, usize::MAX)?;
    let regex = compile(&call.text(1)?, &flags_of_one(call, flags_at, function)?)?;
    let found = regex.find_all(value, start).nth(n - 1).transpose()?;
    Ok(found.and_then(|found| found.group_range(group)))
}

fn regexp_substr(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let found = nth_group(call, &value, 4, "regexp_substr")?;
    Ok(found.map_or(Value::Null, |range| Value::Text(value[range].to_owned())))
}

/// Where a match begins or, by argument 4, where the rest begins; counted in characters
/// from 1. 0: nowhere.
fn regexp_instr(call: &Call<'_, '_>) -> Answer {
    let value = call.text(0)?;
    let behind = parameter(call, 4, "endoption", 0, 1)? == 1;
    let found = nth_group(call, &value, 5, "regexp_instr")?;
    count(found.map_or(0, |range| {
        let at = if behind { range.end } else { range.start };
        value[..at].chars().count() + 1
    }))
}

/// The groups of a match, or all of it where the pattern has none.
fn groups(found: &Match<'_>) -> Vec<Element> {
    let element = |at: usize| match found.group(at) {
        Some(group) => Element::Text(group.to_owned()),
        None => Element::Null,
    };
    match found.group_count() {
        0 => vec![element(0)],
        groups => (1..=groups).map(element).collect(),
    }
}

fn regexp_match(call: &Call<'_, '_>) -> Answer {
    let flags = flags(call, 2)?;
    if flags.contains('g') {
        return Err(bad_argument("regexp_match() does not support the \"global\" option")
            .with_hint("Use the regexp_matches function instead."));
    }
    match compile(&call.text(1)?, &flags)?.find(&call.text(0)?, 0)? {
        Some(found) => text(array_text::print(&groups(&found))),
        None => Ok(Value::Null),
    }
}

/// All matches, each an array of its groups; the set-returning function's rows.
fn regexp_matches(call: &Call<'_, '_>) -> Answer {
    let flags = flags(call, 2)?;
    let regex = compile(&call.text(1)?, &flags)?;
    let value = call.text(0)?;
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let row = |found: Match<'_>| Element::Text(array_text::print(&groups(&found)));
    let rows = regex.find_all(&value, 0).take(limit).map(|found| found.map(row));
    text(array_text::print(&rows.collect::<Result<Vec<_>, _>>()?))
}

fn regexp_split_to_array(call: &Call<'_, '_>) -> Answer {
    let regex = compile(&call.text(1)?, &flags_of_one(call, 2, "regexp_split_to_array")?)?;
    let value = call.text(0)?;
    let mut parts = Vec::new();
    let mut start = 0;
    for found in regex.find_all(&value, 0) {
        let found = found?.range();
        // An empty match at either end, or right behind a match, splits nothing.
        if found.is_empty() && (found.start == start || found.end == value.len()) {
            continue;
        }
        parts.push(Element::Text(value[start..found.start].to_owned()));
        start = found.end;
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
    for found in regex.find_all(&value, offset).skip(skip).take(limit) {
        let found = found?;
        result.push_str(&value[start..found.range().start]);
        insert_replacement(&mut result, &replacement, &found);
        start = found.range().end;
        if result.len() > LONGEST_RESULT {
            return Err(too_long());
        }
    }
    result.push_str(&value[start..]);
    text(result)
}

/// Appends a replacement, in which `\1` is a group, `\&` the match.
fn insert_replacement(result: &mut String, replacement: &str, found: &Match<'_>) {
    let mut chars = replacement.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            result.push(char);
            continue;
        }
        match chars.next() {
            Some('&') => result.push_str(found.group(0).unwrap_or_default()),
            Some(digit @ '1'..='9') => {
                let group = digit.to_digit(10).and_then(|digit| found.group(digit as usize));
                result.push_str(group.unwrap_or_default());
            }
            Some('\\') | None => result.push('\\'),
            Some(other) => {
                result.push('\\');
                result.push(other);
            }
        }
    }
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
            ("towline_regex('abab', '(ab)\\1')", "1"),
            ("towline_regex('abba', '(ab)\\1')", "0"),
            ("regexp_match('xaabbc', '(.)\\1(.)\\2')", "{a,b}"),
            ("regexp_match('foobar', 'o(?=b)')", "{o}"),
            ("regexp_match('foobar', 'foo(?!bar)')", "NULL"),
            ("regexp_match('foobar', '(?<=o)b(a)')", "{a}"),
            ("regexp_match('foobar', '(?<!o)o(?=(o))')", "{o}"),
            ("regexp_replace('foobarfoo', 'foo(?=bar|$)', 'X', 'g')", "XbarX"),
            ("towline_regex(printf('%.*c', 60, 'a'), '(a|aa)+\\1$')", "1"),
            ("towline_regex(printf('%.*c', 60, 'a'), '((a|aa)+)+(?!a)b')", "2201B"),
            // The longest match, not the first.
            ("regexp_match('xfoobar', 'foo|foobar')", "{foobar}"),
            ("regexp_match('aab', 'a*(ab)?')", "{ab}"),
            ("regexp_replace('ab', 'a|ab', 'X')", "X"),
            ("regexp_match('XY1234Z', 'Y*([0-9]{1,3})')", "{123}"),
            ("regexp_match('XY1234Z', 'Y*?([0-9]{1,3})')", "{1}"),
            ("regexp_match('xxyyy', '(x*?)(y+)')", "{xx,y}"),
            ("regexp_match('abc01234xyz', '(?:(.*?)(\\d+)(.*)){1,1}')", "{abc,01234,xyz}"),
            ("regexp_match('abc', 'a{1}b*?')", "{a}"),
            ("regexp_match('aBc', '(?i)b')", "{B}"),
            ("regexp_match('ab', 'a b', 'x')", "{ab}"),
            ("regexp_match('a b', 'a[ ]b', 'x')", "{\"a b\"}"),
            ("regexp_match('a{b}', 'a{b}')", "{\"a{b}\"}"),
            ("towline_regex('a', 'a**')", "2201B"),
            ("towline_regex('a', '*a')", "2201B"),
            ("towline_regex('a', 'a{256}')", "2201B"),
            ("towline_regex('a', '(?P<a>a)')", "2201B"),
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
            ("like_escape('a#%_\\', '#')", "a\\%_\\\\"),
            ("similar_to_escape('a|b%')", "^(?:a|b.*)$"),
            ("towline_similar('abc', 'a.c')", "0"),
            ("towline_regex(NULL, 'a')", "NULL"),
            ("substring('abc123', '12')", "12"),
            ("substring('abc', '(b)(c)')", "b"),
            ("substring('abcdefg', 'a#\"(b_d)#\"%', '#')", "bcd"),
            ("substring('abcdefg', 'a*#\"%#\"g*', '#')", "abcdefg"),
            ("substring('abcdefg', 'a|b#\"%#\"g', '#')", "bcdef"),
            ("substring('abcdefg', '%', '#')", "abcdefg"),
            ("substring('abcdefg', 'a#\"b', '#')", "NULL"),
            ("substring('abc', 'a', '##')", "22025"),
            ("substring('abc', '#\"#\"#\"', '#')", "2200C"),
        ]);
    }
}
