//! `bytea` and `uuid`: text in and out.
use bytes::{BufMut, BytesMut};

use super::invalid_text;
use crate::pg::{SqlError, SqlState};

/// Reads the hex format (`\x0a0b`, spaces between bytes allowed) or the escape
/// format (`\\`, `\ooo`).
pub fn parse_bytea(text: &str) -> Result<Vec<u8>, SqlError> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
        }
    }
    Ok(bytes)
}

fn parse_hex(hex: &str) -> Result<Vec<u8>, SqlError> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut high = None;
    for c in hex.chars() {
        if c.is_ascii_whitespace() && high.is_none() {
            continue;
        }
        let digit = c.to_digit(16).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid hexadecimal digit: \"{c}\""),
            )
        })? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid hexadecimal data: odd number of digits",
        ));
    }
    Ok(bytes)
}

/// Prints in hex.
pub fn print_hex(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(2 + bytes.len() * 2);
    out.put_slice(b"\\x");
    put_hex(bytes, out);
}

/// Prints in the escape format.
pub fn print_escape(bytes: &[u8], out: &mut BytesMut) {
    for &byte in bytes {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            0x20..=0x7e => out.put_u8(byte),
            _ => out.put_slice(&[
                b'\\',
                b'0' + (byte >> 6),
                b'0' + (byte >> 3 & 7),
                b'0' + (byte & 7),
            ]),
        }
    }
}

/// Reads a UUID in any of PostgreSQL's spellings: braces around, hyphens behind
/// any four digits or none, any case.
pub fn parse_uuid(text: &str) -> Result<[u8; 16], SqlError> {
    let invalid = || invalid_text("uuid", text);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(invalid)?,
        None => text,
    };
    let mut bytes = [0; 16];
    let mut digits = 0;
    for c in inner.chars() {
        if c == '-' && digits > 0 && digits < 32 && digits % 4 == 0 && !inner.ends_with('-') {
            continue;
        }
        let digit = c.to_digit(16).filter(|_| digits < 32).ok_or_else(invalid)? as u8;
        bytes[digits / 2] |= if digits % 2 == 0 { digit << 4 } else { digit };
        digits += 1;
    }
    if digits != 32 || inner.contains("--") {
        return Err(invalid());
    }
    Ok(bytes)
}

/// Prints a UUID in lower case with hyphens.
pub fn print_uuid(bytes: &[u8; 16], out: &mut BytesMut) {
    for (at, part) in [(0, 4), (4, 6), (6, 8), (8, 10), (10, 16)].iter().enumerate() {
        if at > 0 {
            out.put_u8(b'-');
        }
        put_hex(&bytes[part.0..part.1], out);
    }
}

fn put_hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.put_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
