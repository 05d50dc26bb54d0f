use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A node's name, unique in its cluster: 1 to 63 of `a-z`, `0-9`, `-`, `_`, starting
/// with a letter. It is also the name in the node's certificate.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

/// The text is no node name.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid node name {0:?}: expected 1 to 63 of a-z, 0-9, '-' and '_', starting with a letter"
)]
pub struct InvalidNodeId(pub String);

impl NodeId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && text.len() <= 63 && text.chars().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidNodeId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = InvalidNodeId;

    fn try_from(text: String) -> Result<Self, InvalidNodeId> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "node1", "eu-west_2"] {
            assert_eq!(good.parse::<NodeId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "1node", "Node", "a b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad:?}");
        }
    }
}
