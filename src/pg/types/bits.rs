//! `bit` and `bit varying`. Their form in SQLite is a text of `0` and `1`; the binary
//! form is the count of bits as an i32, then the bits, the last byte filled up with
//! zeroes.

use bytes::{BufMut, BytesMut};

use super::invalid_binary;
use crate::pg::{SqlError, SqlState};

/// Reads `0101`, `b0101` or `x1f`.
pub fn parse_bits(text: &str) -> Result<String, SqlError> {
    let (digits, radix) = match text.as_bytes() {
        [b'x' | b'X', ..] => (&text[1..], 16),
        [b'b' | b'B', ..] => (&text[1..], 2),
        _ => (text, 2),
    };
    let mut bits = String::with_capacity(digits.len() * if radix == 16 { 4 } else { 1 });
    for char in digits.chars() {
        let digit = char.to_digit(radix).ok_or_else(|| {
            let kind = if radix == 16 { "hexadecimal" } else { "binary" };
            SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("\"{char}\" is not a valid {kind} digit"),
            )
        })?;
        match radix {
            16 => bits.push_str(&format!("{digit:04b}")),
            _ => bits.push(char),
        }
    }
    Ok(bits)
}

/// Holds bits to the `length` of their type. A conversion that was asked for fits them
/// to it; any other refuses what does not fit.
pub fn fit_bits(
    bits: &str,
    length: usize,
    varying: bool,
    explicit: bool,
) -> Result<String, SqlError> {
    let count = bits.len();
    if count <= length && varying {
        return Ok(bits.to_owned());
    }
    if !explicit && count != length {
        return Err(if varying {
            SqlError::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("bit string too long for type bit varying({length})"),
            )
        } else {
            SqlError::new(
                SqlState("22026"),
                format!("bit string length {count} does not match type bit({length})"),
            )
        });
    }
    let kept = &bits[..count.min(length)];
    Ok(format!("{kept:0<length$}"))
}

pub fn encode_binary(bits: &str, out: &mut BytesMut) {
    out.put_i32(bits.len() as i32);
    for chunk in bits.as_bytes().chunks(8) {
        let byte = chunk.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit == b'1'));
        out.put_u8(byte << (8 - chunk.len()));
    }
}

pub fn decode_binary(bytes: &[u8], name: &str) -> Result<String, SqlError> {
    let Some((count, bytes)) = bytes.split_first_chunk::<4>() else {
        return Err(invalid_binary(name));
    };
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| invalid_binary(name))?;
    if bytes.len() != count.div_ceil(8) {
        return Err(invalid_binary(name));
    }
    let mut bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    bits.truncate(count);
    Ok(bits)
}
