//! Rows as one text each, for where SQLite carries a single value: what one statement
//! hands to the next, and LATERAL, which becomes `json_each` over packed rows.
//!
//! | in the text | is |
//! |---|---|
//! | `n` | NULL |
//! | `i` decimal digits `;` | an integer |
//! | `r` 16 hexadecimal digits | a float, by its bits |
//! | `t` length `:` bytes | text, its length in bytes |
//! | `b` length `:` digits | a blob, two hexadecimal digits a byte |
//!
//! Fields follow each other without anything between them. JSON would lose blobs, the
//! last bit of floats, and the difference between 1 and 1.0.

use super::call::{Answer, Call, LONGEST_RESULT, Registry, boolean, text, too_long};
use super::{IMPURE, PURE};
use crate::log::{Value, ValueRef};
use crate::pg::{SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define(
        PURE,
        &[("towline_pack", -1, pack), ("towline_unpack", 2, unpack), ("towline_once", 2, once)],
    )?;
    registry.define(
        IMPURE,
        &[
            ("towline_untouched", 2, untouched),
            ("towline_failing", -1, failing),
            ("towline_refuse", 6, refuse),
        ],
    )
}

fn pack(call: &Call<'_, '_>) -> Answer {
    use std::fmt::Write;
    let mut out = String::new();
    for at in 0..call.len() {
        // Writing to a String does not fail.
        let _ = match call.value(at) {
            ValueRef::Null => write!(out, "n"),
            ValueRef::Integer(value) => write!(out, "i{value};"),
            ValueRef::Real(value) => write!(out, "r{:016x}", value.to_bits()),
            ValueRef::Text(text) => write!(out, "t{}:{text}", text.len()),
            ValueRef::Blob(bytes) => {
                let _ = write!(out, "b{}:", bytes.len() * 2);
                bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
        };
        if out.len() > LONGEST_RESULT {
            return Err(too_long());
        }
    }
    text(out)
}

/// `towline_unpack(row, n)`: field `n`, from 0, of a packed row; NULL of NULL.
fn unpack(call: &Call<'_, '_>) -> Answer {
    if call.is_null(0) {
        return Ok(Value::Null);
    }
    let row = call.text(0)?;
    let number = call.integer(1)?;
    let mut rest = &*row;
    for _ in 0..number {
        rest = field(rest).ok_or_else(broken)?.1;
    }
    Ok(field(rest).ok_or_else(broken)?.0)
}

/// `towline_once(value, count)`: the value; more than one row that gives it is an error,
/// as in PostgreSQL's MERGE.
fn once(call: &Call<'_, '_>) -> Answer {
    if call.integer(1)? > 1 {
        return Err(SqlError::new(
            SqlState("21000"),
            "MERGE command cannot affect row a second time",
        )
        .with_hint("Ensure that not more than one source row matches any one target row."));
    }
    match call.value(0) {
        ValueRef::Integer(value) => Ok(Value::Integer(value)),
        _ => Ok(Value::Null),
    }
}

/// `towline_failing(table, part, value, …)`: NULL; notes a part of a row, from part 0 on, that
/// is about to be written.
fn failing(call: &Call<'_, '_>) -> Answer {
    let values = (2..call.len()).map(|at| call.value(at).to_owned()).collect();
    call.surroundings.note_failing(&call.text(0)?, call.integer(1)? == 0, values);
    Ok(Value::Null)
}

/// `towline_refuse(state, message, detail, table, column, constraint)`: fails so.
fn refuse(call: &Call<'_, '_>) -> Answer {
    let optional = |at: usize| -> Result<Option<String>, SqlError> {
        if call.is_null(at) { Ok(None) } else { Ok(Some(call.text(at)?.into_owned())) }
    };
    let state = match &*call.text(0)? {
        "23502" => SqlState::NOT_NULL_VIOLATION,
        "23505" => SqlState::UNIQUE_VIOLATION,
        _ => SqlState::CHECK_VIOLATION,
    };
    Err(SqlError {
        detail: optional(2)?,
        table: optional(3)?,
        column: optional(4)?,
        constraint: optional(5)?,
        ..SqlError::new(state, call.text(1)?)
    })
}

/// `towline_untouched(table, rowid)`: true; a row that the running statement has put in or
/// changed is an error, as in PostgreSQL's ON CONFLICT DO UPDATE.
fn untouched(call: &Call<'_, '_>) -> Answer {
    if call.surroundings.has_touched(&call.text(0)?, call.integer(1)?) {
        return Err(SqlError::new(
            SqlState("21000"),
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .with_hint(
            "Ensure that no rows proposed for insertion within the same command have duplicate \
             constrained values.",
        ));
    }
    boolean(true)
}

fn broken() -> SqlError {
    SqlError::new(SqlState::INTERNAL_ERROR, "a packed row is damaged")
}

/// The first field of a packed row, and what follows it.
fn field(row: &str) -> Option<(Value, &str)> {
    let mut chars = row.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    match kind {
        'n' => Some((Value::Null, rest)),
        'i' => {
            let (digits, rest) = rest.split_once(';')?;
            Some((Value::Integer(digits.parse().ok()?), rest))
        }
        'r' => {
            let bits = u64::from_str_radix(rest.get(..16)?, 16).ok()?;
            Some((Value::Real(f64::from_bits(bits)), &rest[16..]))
        }
        't' | 'b' => {
            let (length, rest) = rest.split_once(':')?;
            let length: usize = length.parse().ok()?;
            let (body, rest) = (rest.get(..length)?, &rest[length..]);
            if kind == 't' {
                return Some((Value::Text(body.to_owned()), rest));
            }
            let bytes = (0..length / 2)
                .map(|at| u8::from_str_radix(body.get(2 * at..2 * at + 2)?, 16).ok())
                .collect::<Option<Vec<u8>>>()?;
            Some((Value::Blob(bytes), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::check;

    #[test]
    fn fields_come_back_as_they_were() {
        let packed = "towline_pack(NULL, -5, 1.0, 'ä;:1', x'00ff', 0.1)";
        let cases: Vec<(String, &str)> = ["NULL", "-5", "1.0", "'ä;:1'", "x'00ff'", "0.1"]
            .iter()
            .enumerate()
            .map(|(at, value)| (format!("towline_unpack({packed}, {at}) IS {value}"), "1"))
            .chain([(format!("typeof(towline_unpack({packed}, 2))"), "real")])
            .collect();
        let cases: Vec<(&str, &str)> =
            cases.iter().map(|(call, answer)| (call.as_str(), *answer)).collect();
        check(&cases);
    }
}
