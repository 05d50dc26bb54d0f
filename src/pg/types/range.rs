//! Ranges. Their form in SQLite is the text that PostgreSQL prints, bounds in their
//! element's form, those of discrete elements as `[from,to)`. The binary form is a byte
//! of flags, then each bound that is finite, an i32 of its length before it:
//!
//! | flag | meaning                   |
//! |------|---------------------------|
//! | 0x01 | empty; nothing follows    |
//! | 0x02 | the lower bound is in it  |
//! | 0x04 | the upper bound is in it  |
//! | 0x08 | no lower bound            |
//! | 0x10 | no upper bound            |

use std::cmp::Ordering;

use bytes::{Buf, BufMut, BytesMut};

use super::{Oid, invalid_binary, numeric};
use crate::pg::{SqlError, SqlState};

const EMPTY: u8 = 0x01;
const LOWER_IN: u8 = 0x02;
const UPPER_IN: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// The element type of a range type.
pub fn subtype(range: Oid) -> Option<Oid> {
    RANGES.iter().find(|(oid, _)| *oid == range).map(|(_, element)| *element)
}

/// The range types and what they range over.
pub const RANGES: [(Oid, Oid); 6] = [
    (Oid::INT4RANGE, Oid::INT4),
    (Oid::NUMRANGE, Oid::NUMERIC),
    (Oid::TSRANGE, Oid::TIMESTAMP),
    (Oid::TSTZRANGE, Oid::TIMESTAMPTZ),
    (Oid::DATERANGE, Oid::DATE),
    (Oid::INT8RANGE, Oid::INT8),
];

/// A range over elements in their text form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Range {
    Empty,
    Between { lower: Bound, upper: Bound },
}

/// One end of a range.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bound {
    /// `None`: there is no end.
    pub value: Option<String>,
    pub inclusive: bool,
}

impl Range {
    /// Reads a literal whose bounds `read` takes to their form.
    pub fn parse(
        text: &str,
        mut read: impl FnMut(&str) -> Result<String, SqlError>,
    ) -> Result<Self, SqlError> {
        let malformed = |detail: &str| {
            SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("malformed range literal: \"{text}\""),
            )
            .with_detail(detail)
        };
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("empty") {
            return Ok(Self::Empty);
        }
        let mut chars = trimmed.chars();
        let lower_in = match chars.next() {
            Some('[') => true,
            Some('(') => false,
            _ => return Err(malformed("Missing left parenthesis or bracket.")),
        };
        let mut bound = |ends: &[char], missing: &str| {
            let mut value: Option<String> = None;
            let mut quoted = false;
            loop {
                let char = chars.next().ok_or_else(|| malformed("Unexpected end of input."))?;
                match char {
                    '"' if quoted && chars.as_str().starts_with('"') => {
                        chars.next();
                        value.get_or_insert_default().push('"');
                    }
                    '"' => {
                        quoted = !quoted;
                        value.get_or_insert_default();
                    }
                    '\\' => {
                        let next = chars.next();
                        let next = next.ok_or_else(|| malformed("Unexpected end of input."))?;
                        value.get_or_insert_default().push(next);
                    }
                    char if !quoted && ends.contains(&char) => return Ok((value, char)),
                    ',' | '(' | ')' | '[' | ']' if !quoted => return Err(malformed(missing)),
                    char => value.get_or_insert_default().push(char),
                }
            }
        };
        let (lower, _) = bound(&[','], "Missing comma after lower bound.")?;
        let (upper, end) = bound(&[')', ']'], "Too many commas.")?;
        if !chars.as_str().is_empty() {
            return Err(malformed("Junk after right parenthesis or bracket."));
        }
        let mut element = |value: Option<String>| value.map(|text| read(&text)).transpose();
        let lower = Bound { value: element(lower)?, inclusive: lower_in };
        let upper = Bound { value: element(upper)?, inclusive: end == ']' };
        Ok(Self::Between { lower, upper })
    }

    /// As PostgreSQL keeps it: discrete bounds as `[from,to)`, nothing in it as `empty`.
    pub fn canonical(self, element: Oid) -> Result<Self, SqlError> {
        let Self::Between { mut lower, mut upper } = self else { return Ok(self) };
        if let (Some(low), Some(high)) = (&lower.value, &upper.value)
            && compare_elements(low, high, element) == Ordering::Greater
        {
            return Err(SqlError::new(
                SqlState("22000"),
                "range lower bound must be less than or equal to range upper bound",
            ));
        }
        for bound in [&mut lower, &mut upper] {
            bound.inclusive &= bound.value.is_some();
        }
        if let (Some(value), false) = (&lower.value, lower.inclusive)
            && let Some(next) = successor(value, element)?
        {
            lower = Bound { value: Some(next), inclusive: true };
        }
        if let (Some(value), true) = (&upper.value, upper.inclusive)
            && let Some(next) = successor(value, element)?
        {
            upper = Bound { value: Some(next), inclusive: false };
        }
        Ok(Self::Between { lower, upper }.or_empty(element))
    }

    /// `empty` if nothing lies between its bounds.
    fn or_empty(self, element: Oid) -> Self {
        if let Self::Between { lower, upper } = &self
            && let (Some(low), Some(high)) = (&lower.value, &upper.value)
        {
            let nothing = match compare_elements(low, high, element) {
                Ordering::Less => false,
                Ordering::Equal => !(lower.inclusive && upper.inclusive),
                Ordering::Greater => true,
            };
            if nothing {
                return Self::Empty;
            }
        }
        self
    }

    /// Prints the literal.
    pub fn print(&self) -> String {
        let Self::Between { lower, upper } = self else { return "empty".to_owned() };
        let mut out = String::from(if lower.inclusive { "[" } else { "(" });
        for (bound, end) in [(lower, ","), (upper, if upper.inclusive { "]" } else { ")" })] {
            if let Some(value) = &bound.value {
                super::push_quoted(value, "()[],", &mut out);
            }
            out.push_str(end);
        }
        out
    }

    /// The same range with each bound as `change` says.
    pub fn map(
        &self,
        mut change: impl FnMut(&str) -> Result<String, SqlError>,
    ) -> Result<Self, SqlError> {
        let Self::Between { lower, upper } = self else { return Ok(Self::Empty) };
        let mut bound = |bound: &Bound| {
            let value = bound.value.as_deref().map(&mut change).transpose()?;
            Ok::<_, SqlError>(Bound { value, ..*bound })
        };
        Ok(Self::Between { lower: bound(lower)?, upper: bound(upper)? })
    }

    /// Appends the binary form; `encode` appends an element's.
    pub fn encode_binary(
        &self,
        out: &mut BytesMut,
        mut encode: impl FnMut(&str, &mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let Self::Between { lower, upper } = self else {
            out.put_u8(EMPTY);
            return Ok(());
        };
        let flag = |yes: bool, flag: u8| if yes { flag } else { 0 };
        out.put_u8(
            flag(lower.inclusive, LOWER_IN)
                | flag(upper.inclusive, UPPER_IN)
                | flag(lower.value.is_none(), LOWER_INFINITE)
                | flag(upper.value.is_none(), UPPER_INFINITE),
        );
        for value in [lower, upper].into_iter().filter_map(|bound| bound.value.as_deref()) {
            let begin = out.len();
            out.put_i32(0);
            encode(value, out)?;
            let length = (out.len() - begin - 4) as i32;
            out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// Reads the binary form; `decode` reads an element's.
    pub fn decode_binary(
        mut bytes: &[u8],
        name: &str,
        mut decode: impl FnMut(&[u8]) -> Result<String, SqlError>,
    ) -> Result<Self, SqlError> {
        let invalid = || invalid_binary(name);
        let flags = bytes.try_get_u8().map_err(|_| invalid())?;
        if flags & EMPTY != 0 {
            return if bytes.is_empty() { Ok(Self::Empty) } else { Err(invalid()) };
        }
        let mut bound = |infinite: u8, inclusive: u8| {
            if flags & infinite != 0 {
                return Ok::<_, SqlError>(Bound::default());
            }
            let length = bytes.try_get_i32().map_err(|_| invalid())?;
            let length = usize::try_from(length).map_err(|_| invalid())?;
            let value = bytes.split_off(..length).ok_or_else(invalid)?;
            Ok(Bound { value: Some(decode(value)?), inclusive: flags & inclusive != 0 })
        };
        let lower = bound(LOWER_INFINITE, LOWER_IN)?;
        let upper = bound(UPPER_INFINITE, UPPER_IN)?;
        if bytes.is_empty() { Ok(Self::Between { lower, upper }) } else { Err(invalid()) }
    }

    /// The order of PostgreSQL's ranges: empty ones first, then by lower, then by upper
    /// bound.
    pub fn compare(&self, other: &Self, element: Oid) -> Ordering {
        match (self, other) {
            (Self::Empty, Self::Empty) => Ordering::Equal,
            (Self::Empty, _) => Ordering::Less,
            (_, Self::Empty) => Ordering::Greater,
            (
                Self::Between { lower, upper },
                Self::Between { lower: other_lower, upper: other_upper },
            ) => compare_lower(lower, other_lower, element)
                .then_with(|| compare_upper(upper, other_upper, element)),
        }
    }

    /// Whether all of `other` is in it.
    pub fn contains(&self, other: &Self, element: Oid) -> bool {
        match (self, other) {
            (_, Self::Empty) => true,
            (Self::Empty, _) => false,
            (
                Self::Between { lower, upper },
                Self::Between { lower: other_lower, upper: other_upper },
            ) => {
                compare_lower(lower, other_lower, element).is_le()
                    && compare_upper(upper, other_upper, element).is_ge()
            }
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self, element: Oid) -> Self {
        let (
            Self::Between { lower, upper },
            Self::Between { lower: other_lower, upper: other_upper },
        ) = (self, other)
        else {
            return Self::Empty;
        };
        let larger = compare_lower(lower, other_lower, element).is_ge();
        let smaller = compare_upper(upper, other_upper, element).is_le();
        Self::Between {
            lower: if larger { lower } else { other_lower }.clone(),
            upper: if smaller { upper } else { other_upper }.clone(),
        }
        .or_empty(element)
    }

    /// The smallest range that both are in.
    #[must_use]
    pub fn merge(&self, other: &Self, element: Oid) -> Self {
        let (
            Self::Between { lower, upper },
            Self::Between { lower: other_lower, upper: other_upper },
        ) = (self, other)
        else {
            return if *self == Self::Empty { other.clone() } else { self.clone() };
        };
        let smaller = compare_lower(lower, other_lower, element).is_le();
        let larger = compare_upper(upper, other_upper, element).is_ge();
        Self::Between {
            lower: if smaller { lower } else { other_lower }.clone(),
            upper: if larger { upper } else { other_upper }.clone(),
        }
    }

    /// Whether one ends just where the other begins.
    pub fn is_adjacent(&self, other: &Self, element: Oid) -> bool {
        let (
            Self::Between { lower, upper },
            Self::Between { lower: other_lower, upper: other_upper },
        ) = (self, other)
        else {
            return false;
        };
        meets(upper, other_lower, element) || meets(other_upper, lower, element)
    }

    /// Whether all of it lies before all of `other`.
    pub fn is_before(&self, other: &Self, element: Oid) -> bool {
        let (Self::Between { upper, .. }, Self::Between { lower, .. }) = (self, other) else {
            return false;
        };
        match (&upper.value, &lower.value) {
            (Some(high), Some(low)) => match compare_elements(high, low, element) {
                Ordering::Less => true,
                Ordering::Equal => !(upper.inclusive && lower.inclusive),
                Ordering::Greater => false,
            },
            _ => false,
        }
    }

    /// Whether nothing of it lies behind all of `other`.
    pub fn ends_within(&self, other: &Self, element: Oid) -> bool {
        match (self, other) {
            (Self::Between { upper, .. }, Self::Between { upper: end, .. }) => {
                compare_upper(upper, end, element).is_le()
            }
            _ => false,
        }
    }

    /// Whether nothing of it lies before all of `other`.
    pub fn begins_within(&self, other: &Self, element: Oid) -> bool {
        match (self, other) {
            (Self::Between { lower, .. }, Self::Between { lower: start, .. }) => {
                compare_lower(lower, start, element).is_ge()
            }
            _ => false,
        }
    }
}

fn meets(upper: &Bound, lower: &Bound, element: Oid) -> bool {
    match (&upper.value, &lower.value) {
        (Some(high), Some(low)) => {
            compare_elements(high, low, element).is_eq() && upper.inclusive != lower.inclusive
        }
        _ => false,
    }
}

/// The order of elements in their text form.
pub fn compare_elements(left: &str, right: &str, element: Oid) -> Ordering {
    match element {
        Oid::INT4 | Oid::INT8 | Oid::NUMERIC => numeric::compare(left, right),
        // Moments are stored so that their texts are in order.
        _ => left.cmp(right),
    }
}

fn compare_lower(left: &Bound, right: &Bound, element: Oid) -> Ordering {
    match (&left.value, &right.value) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(low), Some(other)) => {
            compare_elements(low, other, element).then_with(|| right.inclusive.cmp(&left.inclusive))
        }
    }
}

fn compare_upper(left: &Bound, right: &Bound, element: Oid) -> Ordering {
    match (&left.value, &right.value) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(high), Some(other)) => compare_elements(high, other, element)
            .then_with(|| left.inclusive.cmp(&right.inclusive)),
    }
}

/// The next element of a discrete type; `None` of a continuous one, or where there is
/// none.
fn successor(value: &str, element: Oid) -> Result<Option<String>, SqlError> {
    let (max, name) = match element {
        Oid::INT4 => (i64::from(i32::MAX), "integer"),
        Oid::INT8 => (i64::MAX, "bigint"),
        Oid::DATE => return next_day(value),
        _ => return Ok(None),
    };
    let value: i64 = value.parse().map_err(|_| super::invalid_text(name, value))?;
    if value >= max {
        return Err(super::out_of_range(name));
    }
    Ok(Some((value + 1).to_string()))
}

fn next_day(text: &str) -> Result<Option<String>, SqlError> {
    use super::datetime::{DATE_INFINITY, DATE_NEGATIVE_INFINITY, parse_date, print_date};
    let day = parse_date(text, &super::zone::Zone::UTC, None)?;
    if matches!(day, DATE_INFINITY | DATE_NEGATIVE_INFINITY) {
        return Ok(None);
    }
    let mut next = String::new();
    print_date(day + 1, &mut next);
    Ok(Some(next))
}
