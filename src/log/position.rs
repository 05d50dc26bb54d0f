use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A leadership term. Increases with every appointment and is never reused; 0 is
/// "before the first leader".
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A byte offset in the cluster's one logical log stream. Printed as PostgreSQL
/// prints a `pg_lsn`: the high and low 32 bits in hexadecimal.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// The text was not two hexadecimal numbers with a slash between.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid LSN {0:?}: expected hexadecimal HIGH/LOW")]
pub struct InvalidLsn(pub String);

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, InvalidLsn> {
        let invalid = || InvalidLsn(text.to_owned());
        let (high, low) = text.split_once('/').ok_or_else(invalid)?;
        let part = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| invalid());
        Ok(Self(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a log ends: the term of the last frame held, and the LSN after it.
/// Ordered by term, then LSN: of two logs the greater end is the later update.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct LogEnd {
    pub term: Term,
    pub lsn: Lsn,
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.lsn, self.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_prints_and_parses_like_pg_lsn() {
        for (lsn, text) in [(0, "0/0"), (0x16B3748, "0/16B3748"), (0x1_0000_00FF, "1/FF")] {
            assert_eq!(Lsn(lsn).to_string(), text);
            assert_eq!(text.parse(), Ok(Lsn(lsn)));
        }
        for bad in ["", "1", "1/", "/1", "1/2/3", "g/0", "1/100000000"] {
            assert_eq!(bad.parse::<Lsn>(), Err(InvalidLsn(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn a_later_term_beats_a_longer_log() {
        let end = |term, lsn| LogEnd { term: Term(term), lsn: Lsn(lsn) };
        assert!(end(2, 10) > end(1, 99));
        assert!(end(2, 11) > end(2, 10));
    }
}
