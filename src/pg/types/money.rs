//! `money`: hundredths, printed as PostgreSQL does in the locale `C`: `-$1,234.50`.

use super::invalid_text;
use crate::pg::{SqlError, SqlState};

/// Reads an amount; digits behind the hundredths round it.
pub fn parse_money(text: &str) -> Result<i64, SqlError> {
    let out_of_range = || {
        SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type money"),
        )
    };
    let blank = |char: char| char == '$' || char.is_ascii_whitespace();
    let unsigned = text.trim_start_matches(blank);
    let (mut negative, rest) = match unsigned.strip_prefix(['-', '(']) {
        Some(rest) => (true, rest),
        None => (false, unsigned.strip_prefix('+').unwrap_or(unsigned)),
    };
    let mut rest = rest.trim_start_matches(blank).chars();
    // Counted downwards, for there is one more below zero.
    let mut value: i64 = 0;
    let mut add = |digit: u32| {
        let sum = value.checked_mul(10).and_then(|value| value.checked_sub(digit.into()));
        sum.map(|sum| value = sum).ok_or_else(out_of_range)
    };
    let mut decimals = None;
    let mut carry = false;
    let end = loop {
        let before = rest.as_str();
        match rest.next() {
            Some('.') if decimals.is_none() => decimals = Some(0),
            Some(',') => {}
            Some(digit) if let Some(digit) = digit.to_digit(10) => match &mut decimals {
                Some(2) => {
                    carry = digit >= 5;
                    break rest.as_str().trim_start_matches(|char: char| char.is_ascii_digit());
                }
                Some(count) => {
                    *count += 1;
                    add(digit)?;
                }
                None => add(digit)?,
            },
            _ => break before,
        }
    };
    for _ in decimals.unwrap_or(0)..2 {
        add(0)?;
    }
    if carry {
        value = value.checked_sub(1).ok_or_else(out_of_range)?;
    }
    for char in end.chars() {
        match char {
            '-' => negative = true,
            ')' | '+' => {}
            char if blank(char) => {}
            _ => return Err(invalid_text("money", text)),
        }
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or_else(out_of_range) }
}

/// The amount's text.
pub fn print_money(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, part) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
    let digits = whole.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}${grouped}.{part:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("123", "$123.00"),
            ("$1,234.5", "$1,234.50"),
            (" $123.456 ", "$123.46"),
            ("-$.994", "-$0.99"),
            ("$ 0.995", "$1.00"),
            ("(12345.67)", "-$12,345.67"),
            ("12-", "-$12.00"),
            ("12$", "$12.00"),
            ("", "$0.00"),
            ("1.2.3", ""),
            ("12a", ""),
            ("92233720368547758.07", "$92,233,720,368,547,758.07"),
            ("-92233720368547758.08", "-$92,233,720,368,547,758.08"),
            ("92233720368547758.08", ""),
            ("-92233720368547758.085", ""),
        ] {
            let read = parse_money(text).map_or(String::new(), print_money);
            assert_eq!(read, expected, "{text}");
        }
    }
}
