//! SET CONSTRAINTS: which constraints a transaction holds rows against at its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pg::Oid;

/// What SET CONSTRAINTS has said in a transaction. Without a word, each constraint is as it
/// was declared.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Deferral {
    /// All that are deferrable.
    all: Option<bool>,
    /// What was said of single ones since, by OID.
    named: BTreeMap<u32, bool>,
}

impl Deferral {
    /// Under which nothing is deferred.
    pub const NOTHING: Self = Self { all: Some(false), named: BTreeMap::new() };

    /// Whether a constraint that is declared so waits for the end of the transaction.
    pub fn defers(&self, constraint: Oid, deferrable: bool, deferred: bool) -> bool {
        let said = self.named.get(&constraint.0).copied().or(self.all);
        deferrable && said.unwrap_or(deferred)
    }

    /// SET CONSTRAINTS, of all or of these.
    pub fn set(&mut self, constraints: Option<&[Oid]>, deferred: bool) {
        match constraints {
            None => *self = Self { all: Some(deferred), named: BTreeMap::new() },
            Some(named) => self.named.extend(named.iter().map(|oid| (oid.0, deferred))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_holds() {
        let mut deferral = Deferral::default();
        let (one, other) = (Oid(1), Oid(2));
        assert!(deferral.defers(one, true, true));
        assert!(!deferral.defers(other, true, false));
        deferral.set(Some(&[other]), true);
        assert!(deferral.defers(other, true, false));
        deferral.set(None, false);
        assert!(!deferral.defers(one, true, true) && !deferral.defers(other, true, false));
        deferral.set(Some(&[one]), true);
        assert!(deferral.defers(one, true, true) && !deferral.defers(one, false, false));
        assert!(!Deferral::NOTHING.defers(one, true, true));
    }
}
