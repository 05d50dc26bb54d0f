//! Numerics of at most 37 digits, in a machine word: nearly all that are stored. What
//! does not fit is `None`, and left to arithmetic without a bound.

use std::fmt;

/// Most digits that are read: any of so many fit.
const DIGITS_MAX: usize = 37;
/// Longest text: a sign, a digit, a point and the most decimals.
const TEXT_MAX: usize = 3 + u8::MAX as usize;
/// Most of them that fit 64 bits, in which they are read faster.
const WORD_DIGITS: usize = 19;

/// `unscaled` / 10^`scale`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed {
    unscaled: i128,
    scale: u8,
}

impl Fixed {
    /// Reads the canonical form (see [`super::numeric`]).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, magnitude) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            all => (false, all),
        };
        let (mut word, mut wide) = (0_u64, 0_i128);
        let (mut digits, mut point) = (0, None);
        for &byte in magnitude {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                digits += 1;
                if digits <= WORD_DIGITS {
                    word = word * 10 + u64::from(digit);
                } else {
                    if digits == WORD_DIGITS + 1 {
                        wide = i128::from(word);
                    } else if digits > DIGITS_MAX {
                        return None;
                    }
                    wide = wide * 10 + i128::from(digit);
                }
            } else if byte == b'.' && point.is_none() && digits > 0 {
                point = Some(digits);
            } else {
                return None;
            }
        }
        let unscaled = if digits > WORD_DIGITS { wide } else { i128::from(word) };
        let scale = digits - point.unwrap_or(digits);
        let unscaled = if negative { -unscaled } else { unscaled };
        (digits > 0).then_some(Self { unscaled, scale: scale as u8 })
    }

    /// Its value times 10^[`Fixed::scale`].
    pub fn unscaled(self) -> i128 {
        self.unscaled
    }

    /// Digits behind the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { unscaled: left.checked_add(right)?, scale })
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(other.checked_neg()?)
    }

    pub fn checked_neg(self) -> Option<Self> {
        Some(Self { unscaled: self.unscaled.checked_neg()?, ..self })
    }

    /// The product, with as many decimals as the factors together.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let unscaled = self.unscaled.checked_mul(other.unscaled)?;
        Some(Self { unscaled, scale: self.scale.checked_add(other.scale)? })
    }

    /// Both unscaled values at the larger scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u8)> {
        let at = |value: Self, scale: u8| match scale - value.scale {
            0 => Some(value.unscaled),
            more => value.unscaled.checked_mul(10_i128.checked_pow(more.into())?),
        };
        let scale = self.scale.max(other.scale);
        Some((at(self, scale)?, at(other, scale)?, scale))
    }
}

impl From<i64> for Fixed {
    fn from(value: i64) -> Self {
        Self { unscaled: value.into(), scale: 0 }
    }
}

/// The canonical form.
impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From the last digit to the first, a leading zero and the sign.
        let mut text = [0; TEXT_MAX];
        let (mut start, scale) = (TEXT_MAX, usize::from(self.scale));
        let mut put = |byte| {
            start -= 1;
            text[start] = byte;
        };
        let mut wide = self.unscaled.unsigned_abs();
        let mut word = 0;
        let mut digits = 0;
        while digits <= scale || wide > 0 || word > 0 {
            if digits == scale && scale > 0 {
                put(b'.');
            }
            // Division by 64 bits is several times faster.
            let digit = if let Ok(rest) = u64::try_from(wide) {
                if rest > 0 {
                    (word, wide) = (rest, 0);
                }
                let digit = word % 10;
                word /= 10;
                digit as u8
            } else {
                let digit = wide % 10;
                wide /= 10;
                digit as u8
            };
            put(b'0' + digit);
            digits += 1;
        }
        if self.unscaled < 0 {
            put(b'-');
        }
        f.write_str(std::str::from_utf8(&text[start..]).expect("digits"))
    }
}

#[cfg(test)]
mod tests {
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    use super::*;
    use crate::pg::types::numeric;

    #[test]
    fn what_is_no_short_number_is_left_to_others() {
        for text in ["", "-", ".5", "1e3", "NaN", "Infinity", "-Infinity", "1.2.3", "+1", "1 "] {
            assert!(Fixed::parse(text).is_none(), "{text}");
        }
        let most = "9".repeat(DIGITS_MAX);
        assert_eq!(Fixed::parse(&most).expect("it fits").to_string(), most);
        assert!(Fixed::parse(&format!("1{most}")).is_none());
    }

    #[test]
    fn what_does_not_fit_is_no_wrong_result() {
        let most = Fixed::parse(&"9".repeat(DIGITS_MAX)).expect("it fits");
        let least = Fixed::parse(&format!("0.{}1", "0".repeat(DIGITS_MAX - 2))).expect("it fits");
        assert!(most.checked_mul(most).is_none());
        assert!(most.checked_add(least).is_none());
        let mut sum = most;
        while let Some(more) = sum.checked_add(most) {
            sum = more;
        }
        assert!(sum.checked_sub(most).is_some());
    }

    proptest! {
        #[test]
        fn it_computes_as_decimals_without_a_bound_do(
            a in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,10})?", b in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,10})?",
        ) {
            let (a, b) = (numeric::canonical(&a).expect("valid"), numeric::canonical(&b).expect("valid"));
            let (x, y) = (Fixed::parse(&a).expect("short"), Fixed::parse(&b).expect("short"));
            prop_assert_eq!(x.to_string(), a.as_str());
            let wide = |text: &str| text.parse::<BigDecimal>().expect("a decimal");
            let (big, other) = (wide(&a), wide(&b));
            // 26 digits before the point and 10 behind it fit, whatever is added.
            prop_assert_eq!(numeric::compare(&a, &b), big.cmp(&other));
            let is = |result: Fixed, exact: BigDecimal| {
                let text = result.to_string();
                text == numeric::canonical(&text).expect("canonical") && wide(&text) == exact
            };
            prop_assert!(is(x.checked_add(y).expect("it fits"), &big + &other));
            prop_assert!(is(x.checked_sub(y).expect("it fits"), &big - &other));
            match x.checked_mul(y) {
                Some(product) => prop_assert!(is(product, &big * &other)),
                None => prop_assert!(a.len() + b.len() > DIGITS_MAX),
            }
        }
    }
}
