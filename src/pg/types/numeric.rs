//! Numerics, exactly: canonical text, base-10000 binary, order, rounding.
//!
//! The canonical form is what PostgreSQL prints: an optional `-`, digits without
//! leading zeros (at least one), and, when the scale is not zero, a point and as
//! many digits as the scale says; or `NaN`, `Infinity`, `-Infinity`. There is no
//! `-0`. Trailing zeros stay, since they are the scale.
//!
//! Binary form, after PostgreSQL's `numeric_send`:
//!
//! | bytes | meaning                                                            |
//! |-------|--------------------------------------------------------------------|
//! | i16   | number of base-10000 digits                                        |
//! | i16   | weight: the first digit counts 10000^weight                        |
//! | u16   | 0 positive, 0x4000 negative, 0xC000 NaN, 0xD000 ∞, 0xF000 -∞       |
//! | u16   | scale: decimal digits behind the point to show                     |
//! | u16 × | the digits, most significant first                                 |
use std::cmp::Ordering;

use bytes::{BufMut, BytesMut};

use super::number::trim;
use super::{invalid_binary, invalid_text};
use crate::pg::{SqlError, SqlState};

/// Most decimal digits before and behind the point.
const WHOLE_MAX: usize = 131_072;
const SCALE_MAX: usize = 16_383;

/// Most zeros that an exponent (or binary weight) may stand for. PostgreSQL allows
/// as many as fit the type; here a few bytes shall not become many.
const ZEROS_MAX: usize = 2_000;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// Reads any spelling (`1e3`, ` +007.50 `, `.5`, `nan`, `inf`) into the canonical form.
pub fn canonical(text: &str) -> Result<String, SqlError> {
    let word = trim(text);
    let invalid = || invalid_text("numeric", text);
    let (negative, magnitude) = match word.as_bytes().first() {
        Some(b'-') => (true, &word[1..]),
        Some(b'+') => (false, &word[1..]),
        _ => (false, word),
    };
    match magnitude.to_ascii_lowercase().as_str() {
        "nan" if magnitude.len() == word.len() => return Ok("NaN".to_owned()),
        "inf" | "infinity" => {
            return Ok(if negative { "-Infinity" } else { "Infinity" }.to_owned());
        }
        _ => {}
    }
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid());
            }
            // Too long for an i64 is certainly too much.
            (mantissa, exponent.parse::<i64>().map_err(|_| overflow())?)
        }
        None => (magnitude, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return Err(invalid());
    }
    if exponent == 0 {
        return layout(negative, whole, 0, fraction, 0);
    }
    // Move the point: digits are `whole` and `fraction` end to end.
    let digits = [whole, fraction].concat();
    let point = whole.len() as i64 + exponent;
    let scale = (fraction.len() as i64 - exponent).max(0);
    if point <= 0 {
        let zeros = usize::try_from(-point).map_err(|_| overflow())?;
        if scale as usize > SCALE_MAX || zeros > ZEROS_MAX {
            return Err(overflow());
        }
        layout(negative, "", 0, &["0".repeat(zeros), digits].concat(), 0)
    } else if let Some((whole, fraction)) = digits.split_at_checked(point as usize) {
        layout(negative, whole, 0, fraction, 0)
    } else {
        layout(negative, &digits, point as usize - digits.len(), "", 0)
    }
}

/// Puts the parts together: `whole`, `whole_zeros` zeros, a point, `fraction`,
/// `fraction_zeros` zeros.
fn layout(
    negative: bool,
    whole: &str,
    whole_zeros: usize,
    fraction: &str,
    fraction_zeros: usize,
) -> Result<String, SqlError> {
    let whole = whole.trim_start_matches('0');
    let whole_zeros = if whole.is_empty() { 0 } else { whole_zeros };
    if whole_zeros > ZEROS_MAX
        || fraction_zeros > ZEROS_MAX
        || whole.len() + whole_zeros > WHOLE_MAX
        || fraction.len() + fraction_zeros > SCALE_MAX
    {
        return Err(overflow());
    }
    let is_zero = whole.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    let mut text =
        String::with_capacity(whole.len() + whole_zeros + fraction.len() + fraction_zeros + 3);
    if negative && !is_zero {
        text.push('-');
    }
    text.push_str(if whole.is_empty() { "0" } else { whole });
    text.extend(std::iter::repeat_n('0', whole_zeros));
    if fraction.len() + fraction_zeros > 0 {
        text.push('.');
        text.push_str(fraction);
        text.extend(std::iter::repeat_n('0', fraction_zeros));
    }
    Ok(text)
}

/// The canonical form of a float, by its shortest digits (15 for a float8, as
/// PostgreSQL's cast to numeric does).
pub fn from_float8(value: f64) -> Result<String, SqlError> {
    if value.is_finite() {
        let mut digits = BytesMut::new();
        super::number::print_float8(value, true, &mut digits);
        canonical(std::str::from_utf8(&digits).unwrap_or_default())
    } else {
        canonical(&value.to_string())
    }
}

/// Orders two canonical forms as numbers: `NaN` above all, trailing zeros without
/// meaning. A total order on all texts (a collation needs one): what is no number
/// comes behind the numbers, by its bytes.
pub fn compare(left: &str, right: &str) -> Ordering {
    if let Some(order) = compare_plain(left.as_bytes(), right.as_bytes()) {
        return order;
    }
    let (a, b) = (Parts::of(left), Parts::of(right));
    match (&a, &b) {
        (Some(a), Some(b)) => a.compare(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.as_bytes().cmp(right.as_bytes()),
    }
}

/// Orders two numbers of one sign that are written as they are stored.
fn compare_plain(left: &[u8], right: &[u8]) -> Option<Ordering> {
    match (left, right) {
        ([b'-', left @ ..], [b'-', right @ ..]) => {
            compare_sizes(left, right).map(Ordering::reverse)
        }
        _ => compare_sizes(left, right),
    }
}

fn compare_sizes(left: &[u8], right: &[u8]) -> Option<Ordering> {
    let by_length = whole_digits(left)?.cmp(&whole_digits(right)?);
    if by_length.is_ne() {
        return Some(by_length);
    }
    // Digit stands beside digit, and point beside point.
    let both = left.len().min(right.len());
    let more = |rest: &[u8]| rest.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    Some(
        left[..both]
            .cmp(&right[..both])
            .then_with(|| more(&left[both..]).cmp(&more(&right[both..]))),
    )
}

/// How many digits are before the point, of a number without sign and needless zeros there.
fn whole_digits(number: &[u8]) -> Option<usize> {
    let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let whole = number.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(number.len());
    let plain = match number {
        [] | [b'0', b'0'..=b'9', ..] => false,
        _ => matches!(number[whole..].split_first(), None | Some((b'.', _))),
    };
    (plain && whole > 0 && is_digits(number.get(whole + 1..).unwrap_or_default())).then_some(whole)
}

/// A number taken apart for comparing, without zeros that have no meaning.
struct Parts<'a> {
    /// -2 for -∞, -1, 0, 1 by sign, 2 for ∞, 3 for NaN.
    class: i8,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let special = |class| Some(Self { class, whole: &[], fraction: &[] });
        match text {
            "NaN" => return special(3),
            "Infinity" => return special(2),
            "-Infinity" => return special(-2),
            _ => {}
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits == "." || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').as_bytes();
        let fraction = fraction.trim_end_matches('0').as_bytes();
        let class = match (whole.is_empty() && fraction.is_empty(), negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        Some(Self { class, whole, fraction })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let magnitude = || {
            self.whole
                .len()
                .cmp(&other.whole.len())
                .then_with(|| self.whole.cmp(other.whole))
                .then_with(|| self.fraction.cmp(other.fraction))
        };
        self.class.cmp(&other.class).then_with(|| match self.class {
            1 => magnitude(),
            -1 => magnitude().reverse(),
            _ => Ordering::Equal,
        })
    }
}

/// Precision and scale of a `numeric(p,s)` modifier (which must not be -1).
pub fn precision_and_scale(typmod: i32) -> (i32, i32) {
    let packed = typmod.wrapping_sub(4);
    // The scale is eleven bits with a sign.
    ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
}

/// The modifier of `numeric(precision, scale)`.
pub fn typmod(precision: i32, scale: i32) -> i32 {
    ((precision << 16) | (scale & 0x7ff)) + 4
}

/// Fits a canonical form into `numeric(p,s)`: rounds to the scale, fails (22003)
/// when the precision is exceeded. -1 leaves it as it is.
pub fn fit(text: &str, typmod: i32) -> Result<String, SqlError> {
    if typmod < 0 || text == "NaN" {
        return Ok(text.to_owned());
    }
    let (precision, scale) = precision_and_scale(typmod);
    let overflow = || SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow");
    if text.ends_with("Infinity") {
        return Err(overflow().with_detail(format!(
            "A field with precision {precision}, scale {scale} cannot hold an infinite value."
        )));
    }
    let rounded = round(text, scale);
    let whole = rounded.trim_start_matches('-').split('.').next().unwrap_or_default();
    let whole = whole.trim_start_matches('0');
    let most = precision - scale;
    let fits = if most >= 0 {
        whole.len() as i32 <= most
    } else {
        // Scale above precision: the first digits behind the point must be zeros.
        let fraction = rounded.split_once('.').map_or("", |(_, fraction)| fraction);
        whole.is_empty()
            && fraction.bytes().take(most.unsigned_abs() as usize).all(|byte| byte == b'0')
    };
    if fits {
        return Ok(rounded);
    }
    let bound = if most == 0 { "1".to_owned() } else { format!("10^{most}") };
    Err(overflow().with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    )))
}

/// Rounds a canonical form half away from zero, to `scale` digits behind the point
/// (before it, when negative). What is no finite number stays as it is.
pub fn round(text: &str, scale: i32) -> String {
    cut(text, scale, true)
}

/// As [`round`], but towards zero.
pub fn truncate(text: &str, scale: i32) -> String {
    cut(text, scale, false)
}

fn cut(text: &str, scale: i32, rounds: bool) -> String {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return text.to_owned();
    }
    let scale = scale.clamp(-(WHOLE_MAX as i32), SCALE_MAX as i32);
    let kept_fraction = scale.max(0) as usize;
    if kept_fraction >= fraction.len() && scale >= 0 {
        let zeros = kept_fraction - fraction.len();
        let mut text = text.to_owned();
        if fraction.is_empty() && zeros > 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', zeros));
        return text;
    }
    let mut kept = [whole, fraction].concat().into_bytes();
    let point = whole.len();
    let keep = point as i64 + i64::from(scale);
    let mut carry = false;
    if keep < 0 {
        kept.fill(b'0');
    } else {
        let keep = keep as usize;
        carry = rounds && kept.get(keep).is_some_and(|digit| *digit >= b'5');
        kept[keep..].fill(b'0');
        for digit in kept[..keep].iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
    }
    kept.truncate(point + kept_fraction);
    if carry {
        // A one in front, of a weight of its own when all digits were cut.
        kept.insert(0, b'1');
    }
    let point = kept.len() - kept_fraction;
    let kept = String::from_utf8(kept).unwrap_or_default();
    // The parts are within the bounds, since the number was.
    layout(negative, &kept[..point], 0, &kept[point..], 0).unwrap_or_else(|_| text.to_owned())
}

/// Appends the binary form of a canonical form.
pub fn encode_binary(text: &str, out: &mut BytesMut) -> Result<(), SqlError> {
    let mut header = |digits: usize, weight: i16, sign: u16, scale: usize| {
        out.put_i16(digits as i16);
        out.put_i16(weight);
        out.put_u16(sign);
        out.put_u16(scale as u16);
    };
    match text {
        "NaN" => header(0, 0, NAN, 0),
        // The scale is a leftover in PostgreSQL's encoder; it has no meaning.
        "Infinity" => header(0, 0, INFINITY, 0x20),
        "-Infinity" => header(0, 0, NEGATIVE_INFINITY, 0x20),
        _ => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(rest) => (NEGATIVE, rest),
                None => (0, text),
            };
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
                return Err(invalid_text("numeric", text));
            }
            if whole.len() > WHOLE_MAX || fraction.len() > SCALE_MAX {
                return Err(overflow());
            }
            // Groups of four, aligned at the point.
            let pad = (4 - whole.len() % 4) % 4;
            let at = |index: usize| -> u16 {
                let digit = index.checked_sub(pad).and_then(|index| {
                    let bytes = whole.as_bytes();
                    bytes.get(index).or_else(|| fraction.as_bytes().get(index - bytes.len()))
                });
                digit.map_or(0, |digit| u16::from(digit - b'0'))
            };
            let whole_groups = (whole.len() + pad) / 4;
            let groups = whole_groups + fraction.len().div_ceil(4);
            let group =
                |index: usize| (0..4).fold(0, |value, digit| value * 10 + at(index * 4 + digit));
            let first = (0..groups).find(|index| group(*index) != 0).unwrap_or(groups);
            let last = (first..groups).rfind(|index| group(*index) != 0).map_or(first, |i| i + 1);
            let weight = if first == last { 0 } else { whole_groups as i64 - 1 - first as i64 };
            let sign = if first == last { 0 } else { sign };
            header(last - first, weight as i16, sign, fraction.len());
            (first..last).for_each(|index| out.put_u16(group(index)));
        }
    }
    Ok(())
}

/// Reads the binary form into the canonical one.
pub fn decode_binary(bytes: &[u8]) -> Result<String, SqlError> {
    let mut words = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (Some(count), Some(weight), Some(sign), Some(scale)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid_binary("numeric"));
    };
    if bytes.len() != 8 + 2 * usize::from(count) {
        return Err(invalid_binary("numeric"));
    }
    let problem = |part: &str| {
        SqlError::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {part} in external \"numeric\" value"),
        )
    };
    let negative = match sign {
        0 => false,
        NEGATIVE => true,
        NAN => return Ok("NaN".to_owned()),
        INFINITY => return Ok("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Ok("-Infinity".to_owned()),
        _ => return Err(problem("sign")),
    };
    let scale = usize::from(scale);
    if scale > SCALE_MAX {
        return Err(problem("scale"));
    }
    let mut digits = String::with_capacity(usize::from(count) * 4);
    for word in words {
        if word > 9999 {
            return Err(problem("digit"));
        }
        for unit in [1000, 100, 10, 1] {
            digits.push(char::from(b'0' + (word / unit % 10) as u8));
        }
    }
    // Decimal digits before the point; may be beyond both ends of `digits`.
    let point = (i64::from(weight as i16) + 1) * 4;
    if count == 0 {
        return layout(negative, "", 0, "", scale);
    }
    if point < 0 {
        let zeros = usize::try_from(-point).map_err(|_| overflow())?.min(scale);
        let rest = scale - zeros;
        if zeros > ZEROS_MAX {
            return Err(overflow());
        }
        let digits = digits.get(..rest).unwrap_or(&digits);
        let fraction = ["0".repeat(zeros), digits.to_owned()].concat();
        let missing = scale - fraction.len();
        return layout(negative, "", 0, &fraction, missing);
    }
    match digits.split_at_checked(point as usize) {
        Some((whole, fraction)) => {
            let fraction = fraction.get(..scale).unwrap_or(fraction);
            layout(negative, whole, 0, fraction, scale - fraction.len())
        }
        None => layout(negative, &digits, point as usize - digits.len(), "", scale),
    }
}

fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_as_stored_are_in_the_order_of_any_others(
            left in "-?[0-9.]{0,4}", right in "-?[0-9.]{0,4}",
        ) {
            if let Some(order) = compare_plain(left.as_bytes(), right.as_bytes()) {
                let (left, right) = (Parts::of(&left), Parts::of(&right));
                prop_assert_eq!(Some(order), left.zip(right).map(|(left, right)| left.compare(&right)));
            }
        }
    }
}
