//! Holds encoders to `docs/format.md`: its tables of offsets are read, and compared
//! with bytes that an encoder wrote. Each encoder's own tests ask.

use std::collections::BTreeSet;

use bytes::{BufMut, BytesMut};

use super::wire::{put_bytes, put_varint, put_zigzag};

const PAGE: &str = include_str!("../../docs/format.md");

/// What a field was encoded from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    Number(u128),
    Signed(i64),
    Raw(&'a [u8]),
}

use Known::{Number, Raw, Signed};

/// Asserts that `encoded` is, byte for byte, what the page's table below `heading` says
/// of `fields`: every field of the table but constants, by name, in its order.
pub(crate) fn assert_table(heading: &str, encoded: &[u8], fields: &[(&str, Known<'_>)]) {
    let mut fields = fields.iter();
    let mut at = 0;
    // Whether a piece of varying length lies before.
    let mut shifted = false;
    for row in rows(heading, "offset") {
        let [offset, length, form, field, _] = row[..] else { panic!("{heading}: {row:?}") };
        let (name, known) = match field.split_once(" = ") {
            Some((name, constant)) => (name, Ok(constant)),
            None => {
                let known = fields.next().unwrap_or_else(|| panic!("{heading}: {field}: untested"));
                assert_eq!(field, known.0, "{heading}: order of fields");
                (field, Err(known.1))
            }
        };
        let constant = known.ok().map(unquoted);
        let known = match (&constant, known) {
            (Some(Ok(number)), _) => Number(*number),
            (Some(Err(text)), _) => Raw(text),
            (None, Err(known)) => known,
            (None, Ok(_)) => unreachable!("a constant was read"),
        };
        let expected = spelled(form, known)
            .unwrap_or_else(|| panic!("{heading}: {name}: {known:?} is no {form}"));
        match offset.parse::<usize>() {
            Ok(offset) => assert_eq!((offset, shifted), (at, false), "{heading}: {name}: offset"),
            Err(_) => assert!(offset == "…" && shifted, "{heading}: {name}: offset {at}"),
        }
        match length.parse::<usize>() {
            Ok(length) => assert_eq!(length, expected.len(), "{heading}: {name}: length"),
            Err(_) => {
                assert_eq!(length, "…", "{heading}: {name}");
                shifted = true;
            }
        }
        let end = at + expected.len();
        assert_eq!(encoded.get(at..end), Some(&expected[..]), "{heading}: {name}: bytes at {at}");
        at = end;
    }
    assert_eq!(fields.next().map(|field| field.0), None, "{heading}: not on the page");
    assert_eq!(encoded.len(), at, "{heading}: bytes that the page doesn't know");
}

/// Asserts the page's value of a limit.
pub(crate) fn assert_limit(name: &str, value: u64) {
    let limits = rows("Limits", "limit");
    let row = limits.iter().find(|row| row[0] == name);
    let row = row.unwrap_or_else(|| panic!("the page has no limit {name:?}"));
    assert_eq!(row[1], value.to_string(), "{name}");
}

/// Asserts that the table below `heading` whose first column is named `column` has these
/// numbers and names in its first two columns, in this order, and no others.
pub(crate) fn assert_numbers(heading: &str, column: &str, held: &[(u8, &str)]) {
    let rows = rows(heading, column);
    let page: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[1])).collect();
    let held: Vec<_> = held.iter().map(|(number, name)| (number.to_string(), *name)).collect();
    assert_eq!(page, held, "{heading}");
}

/// Asserts that the table below `heading` whose first column is named `column` names
/// exactly these, in whatever order.
pub(crate) fn assert_names(heading: &str, column: &str, held: &[&str]) {
    let rows = rows(heading, column);
    let page: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(page, held.iter().copied().collect(), "{heading}");
}

/// Asserts that the table of fields below `heading` names those of a JSON object.
pub(crate) fn assert_object(heading: &str, json: &impl serde::Serialize) {
    let json = serde_json::to_value(json).expect("it is JSON");
    let object = json.as_object().expect("an object");
    assert_names(heading, "field", &object.keys().map(String::as_str).collect::<Vec<_>>());
}

/// The rows of the table below `heading` whose first column is named `column`.
fn rows(heading: &str, column: &str) -> Vec<Vec<&'static str>> {
    let is_heading = |line: &str| line.trim_start_matches('#').trim() == heading;
    let mut section = PAGE.lines().skip_while(|line| !line.starts_with('#') || !is_heading(line));
    assert!(section.next().is_some(), "the page has no heading {heading:?}");
    let first = format!("| {column} |");
    let lines: Vec<_> = section.take_while(|line| !line.starts_with('#')).collect();
    // A table's head, not a row that begins with the same word.
    let head = |pair: &[&str]| pair[0].starts_with(&first) && pair[1].starts_with("|---");
    let start = lines.windows(2).position(head);
    let start = start.unwrap_or_else(|| panic!("{heading}: no table of {column}"));
    let rows: Vec<_> = lines[start + 2..]
        .iter()
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    rows
}

/// A constant: a number, or text between back quotes.
fn unquoted(constant: &str) -> Result<u128, Vec<u8>> {
    constant.parse().map_err(|_| constant.trim_matches('`').replace("\\n", "\n").into_bytes())
}

fn spelled(form: &str, known: Known<'_>) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    match (form, known) {
        ("u8", Number(n)) => out.put_u8(n.try_into().ok()?),
        ("u32", Number(n)) => out.put_u32_le(n.try_into().ok()?),
        ("u64", Number(n)) => out.put_u64_le(n.try_into().ok()?),
        ("u128", Number(n)) => out.put_u128_le(n),
        ("be16", Number(n)) => out.put_u16(n.try_into().ok()?),
        ("be32", Number(n)) => out.put_u32(n.try_into().ok()?),
        ("be64", Number(n)) => out.put_u64(n.try_into().ok()?),
        ("be128", Number(n)) => out.put_u128(n),
        ("hex", Number(n)) => out.put_slice(format!("{n:016x}").as_bytes()),
        ("varint", Number(n)) => put_varint(&mut out, n.try_into().ok()?),
        ("zigzag", Signed(n)) => put_zigzag(&mut out, n),
        ("bytes", Raw(bytes)) => put_bytes(&mut out, bytes),
        // As the first sight of a text is written.
        ("text", Raw(bytes)) => {
            out.put_u8(0);
            put_bytes(&mut out, bytes);
        }
        ("raw", Raw(bytes)) => out.put_slice(bytes),
        _ => return None,
    }
    Some(out)
}
