use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many followers must hold a write durably before it counts as committed.
/// Spelled `async`, `any N` or `quorum`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Policy {
    /// None: the leader's own durability is enough.
    Async,
    /// Any `n` of them; at least 1.
    Any(usize),
    /// Any ⌊members / 2⌋ of them, the default.
    Quorum,
}

/// The text is no policy.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid policy {0:?}: expected \"async\", \"quorum\" or \"any N\" with N of at least 1")]
pub struct InvalidPolicy(pub String);

impl Policy {
    /// Follower acknowledgements demanded in a cluster of `members` nodes: the k
    /// of the failover protocol.
    pub fn acks(self, members: usize) -> usize {
        match self {
            Self::Async => 0,
            Self::Any(n) => n,
            Self::Quorum => members / 2,
        }
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = || InvalidPolicy(text.to_owned());
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["async"] => Ok(Self::Async),
            ["quorum"] => Ok(Self::Quorum),
            ["any", n] => match n.parse() {
                Ok(0) | Err(_) => Err(invalid()),
                Ok(n) => Ok(Self::Any(n)),
            },
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Policy {
    type Error = InvalidPolicy;

    fn try_from(text: String) -> Result<Self, InvalidPolicy> {
        text.parse()
    }
}

impl From<Policy> for String {
    fn from(policy: Policy) -> Self {
        policy.to_string()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Async => f.write_str("async"),
            Self::Any(n) => write!(f, "any {n}"),
            Self::Quorum => f.write_str("quorum"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_print_as_they_are_written() {
        for text in ["async", "any 1", "any 12", "quorum"] {
            assert_eq!(text.parse::<Policy>().map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for bad in ["", "any", "any 0", "any -1", "all", "any 1 2"] {
            assert_eq!(bad.parse::<Policy>(), Err(InvalidPolicy(bad.to_owned())));
        }
        assert_eq!(Policy::Quorum.acks(3), 1);
        assert_eq!(Policy::Quorum.acks(5), 2);
    }
}
