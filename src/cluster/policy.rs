use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// Which followers must hold a write durably before it counts as committed.
///
/// | spelling          | means                                                          |
/// |-------------------|----------------------------------------------------------------|
/// | `async`           | none                                                           |
/// | `any N`           | any N                                                          |
/// | `any N (a, b, c)` | any N of those named                                           |
/// | `first N (a, b, c)` | the first N of those named that are connected                |
/// | `quorum`          | any ⌊members / 2⌋, the default                                 |
///
/// A name may be the leader's: then it is passed over. Whatever the policy, a
/// committed write is on the leader and N others, so that N members fewer than all
/// are sure to hold it among them: elections count on nothing else.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Policy {
    /// The leader's own durability is enough.
    Async,
    /// Any so many of the followers; at least 1.
    Any(usize),
    /// Any so many of these.
    AnyOf(usize, Arc<[NodeId]>),
    /// The first so many of these that are connected.
    First(usize, Arc<[NodeId]>),
    Quorum,
}

/// The text is no policy.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid policy {0:?}: expected \"async\", \"quorum\", \"any N\", \"any N (names)\" or \
     \"first N (names)\", with N of at least 1 and no more than there are names"
)]
pub struct InvalidPolicy(pub String);

impl Policy {
    /// Follower acknowledgements demanded in a cluster of `members` nodes: the k
    /// of the failover protocol.
    pub fn acks(&self, members: usize) -> usize {
        match self {
            Self::Async => 0,
            Self::Any(n) | Self::AnyOf(n, _) | Self::First(n, _) => *n,
            Self::Quorum => members / 2,
        }
    }

    /// Those whose acknowledgements alone count, in order; `None` is everybody.
    pub fn names(&self) -> Option<&[NodeId]> {
        match self {
            Self::AnyOf(_, names) | Self::First(_, names) => Some(names),
            Self::Async | Self::Any(_) | Self::Quorum => None,
        }
    }

    /// The followers that count while `leader` leads, in the policy's order.
    pub fn followers<'a>(
        &'a self,
        members: impl Iterator<Item = &'a NodeId>,
        leader: &NodeId,
    ) -> Vec<&'a NodeId> {
        let named: Vec<&NodeId> = match self.names() {
            Some(names) => {
                let members: Vec<_> = members.collect();
                names.iter().filter(|name| members.contains(name)).collect()
            }
            None => members.collect(),
        };
        named.into_iter().filter(|name| *name != leader).collect()
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = || InvalidPolicy(text.to_owned());
        let (front, names) = match text.split_once('(') {
            Some((front, rest)) => {
                let inside = rest.trim_end().strip_suffix(')').ok_or_else(invalid)?;
                let names = inside.split(',').map(|name| name.trim().parse::<NodeId>());
                let names: Vec<_> = names.collect::<Result<_, _>>().map_err(|_| invalid())?;
                let twice = (1..names.len()).any(|n| names[..n].contains(&names[n]));
                if twice {
                    return Err(invalid());
                }
                (front, Some(Arc::<[NodeId]>::from(names)))
            }
            None => (text, None),
        };
        let count = |n: &str, most: usize| match n.parse() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(invalid()),
        };
        match (&front.split_whitespace().collect::<Vec<_>>()[..], names) {
            (["async"], None) => Ok(Self::Async),
            (["quorum"], None) => Ok(Self::Quorum),
            (["any", n], None) => Ok(Self::Any(count(n, usize::MAX)?)),
            (["any", n], Some(names)) => Ok(Self::AnyOf(count(n, names.len())?, names)),
            (["first", n], Some(names)) => Ok(Self::First(count(n, names.len())?, names)),
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
        let listed =
            |names: &[NodeId]| names.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Async => f.write_str("async"),
            Self::Any(n) => write!(f, "any {n}"),
            Self::AnyOf(n, names) => write!(f, "any {n} ({})", listed(names)),
            Self::First(n, names) => write!(f, "first {n} ({})", listed(names)),
            Self::Quorum => f.write_str("quorum"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_print_as_they_are_written() {
        for text in ["async", "any 1", "any 12", "quorum", "any 1 (a)", "first 2 (b, a, c)"] {
            assert_eq!(text.parse::<Policy>().map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "any",
            "any 0",
            "any -1",
            "all",
            "any 1 2",
            "first 1",
            "any 1 ()",
            "any 2 (a)",
            "first 1 (a",
            "first 1 (a, a)",
            "async (a)",
            "any 1 (A)",
        ] {
            assert_eq!(bad.parse::<Policy>(), Err(InvalidPolicy(bad.to_owned())));
        }
        assert_eq!(Policy::Quorum.acks(3), 1);
        assert_eq!(Policy::Quorum.acks(5), 2);
    }

    #[test]
    fn only_named_followers_count_and_never_the_leader() {
        let ids: Vec<NodeId> = ["a", "b", "c"].map(|name| name.parse().expect("a name")).into();
        let counted = |policy: &str, leader: usize| {
            let policy: Policy = policy.parse().expect("a policy");
            let followers = policy.followers(ids.iter(), &ids[leader]);
            followers.iter().map(|name| name.as_str().to_owned()).collect::<String>()
        };
        assert_eq!(counted("any 1", 0), "bc");
        assert_eq!(counted("first 1 (c, b)", 0), "cb");
        assert_eq!(counted("first 1 (c, b)", 1), "c");
        assert_eq!(counted("any 1 (c, x)", 0), "c");
    }
}
