//! Booleans, integers, floats: text in and out.
use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

use super::{Oid, invalid_text, out_of_range, type_name};
use crate::pg::{SqlError, SqlState};

/// Reads `t`, `true`, `yes`, `on`, `1`, their opposites, and unambiguous beginnings.
pub fn parse_bool(text: &str) -> Result<bool, SqlError> {
    let word = trim(text).to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&*word);
    match () {
        () if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" => Ok(true),
        () if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" => Ok(false),
        () => Err(invalid_text("boolean", text)),
    }
}

/// Reads an integer of type `oid` (int2, int4, int8, oid and the like), in range.
pub fn parse_integer(text: &str, oid: Oid) -> Result<i64, SqlError> {
    let word = trim(text);
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_text(type_name(oid), text));
    }
    let beyond = || {
        SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {}", type_name(oid)),
        )
    };
    let value: i64 = word.parse().map_err(|_| beyond())?;
    let (least, most) = integer_range(oid);
    // `-1` is a way to write the greatest OID.
    let value = if oid == Oid::OID && (i64::from(i32::MIN)..0).contains(&value) {
        value & 0xffff_ffff
    } else {
        value
    };
    if (least..=most).contains(&value) { Ok(value) } else { Err(beyond()) }
}

/// Reads an unsigned number as C's `strtoull` does, which is how PostgreSQL reads the
/// transaction's types: decimal, octal behind `0`, hexadecimal behind `0x`; a sign wraps
/// round, and what follows the digits is ignored.
pub fn parse_unsigned(text: &str) -> u64 {
    let word = trim(text);
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let (digits, radix) = match digits.strip_prefix('0') {
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16),
            None => (rest, 8),
        },
        None => (digits, 10),
    };
    let value = digits
        .chars()
        .map_while(|digit| digit.to_digit(radix))
        .try_fold(0_u64, |value, digit| value.checked_mul(radix.into())?.checked_add(digit.into()));
    match value {
        None => u64::MAX,
        Some(value) if word.starts_with('-') => value.wrapping_neg(),
        Some(value) => value,
    }
}

/// The byte that `\ooo` stands for, three octal digits.
pub fn parse_octal(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('\\').filter(|digits| digits.len() == 3)?;
    u8::from_str_radix(digits, 8).ok()
}

/// The least and greatest value of an integer type.
pub fn integer_range(oid: Oid) -> (i64, i64) {
    match oid {
        Oid::INT2 => (i16::MIN.into(), i16::MAX.into()),
        Oid::INT4 => (i32::MIN.into(), i32::MAX.into()),
        Oid::INT8 => (i64::MIN, i64::MAX),
        _ => (0, u32::MAX.into()),
    }
}

/// Fails with PostgreSQL's words where the value does not fit the integer type.
pub fn check_integer(value: i64, oid: Oid) -> Result<i64, SqlError> {
    let (least, most) = integer_range(oid);
    if (least..=most).contains(&value) { Ok(value) } else { Err(out_of_range(type_name(oid))) }
}

/// Reads a float8.
pub fn parse_float8(text: &str) -> Result<f64, SqlError> {
    let word = float_word(text, "double precision")?;
    let value: f64 = word.parse().map_err(|_| invalid_text("double precision", text))?;
    check_parsed(word, text, value.is_infinite(), value == 0.0, "double precision")?;
    Ok(value)
}

/// Reads a float4: rounded once, not by way of float8.
pub fn parse_float4(text: &str) -> Result<f32, SqlError> {
    let word = float_word(text, "real")?;
    let value: f32 = word.parse().map_err(|_| invalid_text("real", text))?;
    check_parsed(word, text, value.is_infinite(), value == 0.0, "real")?;
    Ok(value)
}

/// Appends the shortest digits that read back as the same float8, or 15 of them.
pub fn print_float8(value: f64, short: bool, out: &mut BytesMut) {
    if print_special(value, out) {
        return;
    }
    let digits = if short { format!("{value:.14e}") } else { format!("{value:e}") };
    print_digits(&digits, 15, out);
}

/// As [`print_float8`], of a float4 or 6 digits.
pub fn print_float4(value: f32, short: bool, out: &mut BytesMut) {
    if print_special(value.into(), out) {
        return;
    }
    let digits = if short { format!("{value:.5e}") } else { format!("{value:e}") };
    print_digits(&digits, 6, out);
}

/// Appends an integer.
pub fn print_integer(value: i64, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Without the white space that PostgreSQL ignores around numbers.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}

/// The part of `text` that Rust's parser shall judge; it takes the same words as
/// `strtod` but for hexadecimal ones, and knows no `1.e5` with a space in it either.
fn float_word<'a>(text: &'a str, name: &str) -> Result<&'a str, SqlError> {
    let word = trim(text);
    if word.is_empty() { Err(invalid_text(name, text)) } else { Ok(word) }
}

/// A number written as finite may not become infinite, nor one that is not zero zero.
fn check_parsed(
    word: &str,
    text: &str,
    infinite: bool,
    zero: bool,
    name: &str,
) -> Result<(), SqlError> {
    let mantissa = word.split(['e', 'E']).next().unwrap_or_default();
    let overflow = infinite && word.bytes().any(|byte| byte.is_ascii_digit());
    let underflow = zero && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if overflow || underflow {
        return Err(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{text}\" is out of range for type {name}"),
        ));
    }
    Ok(())
}

fn print_special(value: f64, out: &mut BytesMut) -> bool {
    let word = if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "Infinity"
    } else if value == f64::NEG_INFINITY {
        "-Infinity"
    } else {
        return false;
    };
    out.put_slice(word.as_bytes());
    true
}

/// Lays `d.ddde±x` out as C's `%g` does: plainly when the exponent is at least -4
/// and below `precision`, else with an exponent of at least two digits.
fn print_digits(scientific: &str, precision: i32, out: &mut BytesMut) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    out.put_slice(sign.as_bytes());
    if !(-4..precision).contains(&exponent) {
        out.put_slice(whole.as_bytes());
        if !fraction.is_empty() {
            out.put_u8(b'.');
            out.put_slice(fraction.as_bytes());
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to memory does not fail.
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    } else if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exponent - 1) as usize);
        out.put_slice(whole.as_bytes());
        out.put_slice(fraction.as_bytes());
    } else {
        let exponent = exponent as usize;
        out.put_slice(whole.as_bytes());
        if fraction.len() <= exponent {
            out.put_slice(fraction.as_bytes());
            out.put_bytes(b'0', exponent - fraction.len());
        } else {
            out.put_slice(&fraction.as_bytes()[..exponent]);
            out.put_u8(b'.');
            out.put_slice(&fraction.as_bytes()[exponent..]);
        }
    }
}
