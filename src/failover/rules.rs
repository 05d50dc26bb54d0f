//! The rules that decisions cite, and the transitions that they allow (rule 31).
//! `docs/failover-rules.md` shows both, and is generated from here.
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A rule that a decision rests on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    Terms,
    Suspicion,
    Veto,
    HoldOff,
    Restarted,
    Unproven,
    AcceptedLoss,
    Fetch,
    LagGuard,
    Weakened,
    Switchover,
    Handover,
    Maintenance,
    AntiFlap,
    Trigger,
    Fence,
    Data,
    Choose,
    Recorded,
    Silent,
    Opened,
    Restored,
    Resumed,
    Members,
    StateLost,
    Adopted,
    OneMonitor,
    /// Of nodes: what they saw themselves.
    Rejoin,
    Drift,
    Space,
    Archive,
}

/// (rule, number as operators know it, what it says).
const RULES: &[(Rule, &str, &str)] = &[
    (Rule::Terms, "2", "a lower term is refused, a higher one is adopted"),
    (Rule::Suspicion, "6", "own probe failing and silence towards the others"),
    (Rule::Veto, "7", "a follower that saw the leader within the suspicion time vetoes"),
    (Rule::HoldOff, "9", "a monitor that just started or woke hears the nodes first"),
    (Rule::Restarted, "10", "a restarted leader never resumes its term"),
    (Rule::Unproven, "16a", "a new, re-seeded or cut node counts for no election"),
    (Rule::AcceptedLoss, "17", "loss is accepted by an explicit command only"),
    (Rule::Fetch, "18", "who is preferred fetches the tail that it lacks before it opens"),
    (Rule::LagGuard, "19", "in async a candidate far behind the leader is refused"),
    (Rule::Weakened, "20", "a weaker sync policy is recorded before it is practised"),
    (Rule::Switchover, "24", "drain, freeze, equal LSN, hand over; on doubt go back"),
    (Rule::Handover, "25", "a leader that is stopped hands over first"),
    (Rule::Maintenance, "26", "who is in maintenance or has priority 0 never leads"),
    (Rule::AntiFlap, "28", "only so many automatic failovers within a time"),
    (
        Rule::Trigger,
        "P6",
        "a term above the recorded one, or the leader's own word, starts an election",
    ),
    (Rule::Fence, "P9", "no majority may be left that could renew the old lease"),
    (Rule::Data, "P10", "one of the reports must hold every acknowledged write"),
    (Rule::Choose, "P11", "the latest log leads"),
    (Rule::Recorded, "P13", "an appointment is durable before it is sent"),
    (Rule::Silent, "P14", "a chosen node that stays silent costs a new term"),
    (Rule::Opened, "P16", "open when older leases are over and the term-start frame is committed"),
    (Rule::Restored, "P19", "the record is never stronger than the practice"),
    (
        Rule::Members,
        "P22",
        "members change one at a time; until the leader confirms, elections satisfy both lists",
    ),
    (Rule::Resumed, "P23", "a restarted monitor owes one full lease wait"),
    (
        Rule::StateLost,
        "P24",
        "a monitor without state is a new incarnation and hears a majority first",
    ),
    (
        Rule::Adopted,
        "P25",
        "the leader of the highest term is adopted; else every member must report",
    ),
    (Rule::OneMonitor, "P26", "one live monitor; nodes obey the newest incarnation"),
    (Rule::Rejoin, "23", "a returning leader saves its diverged tail, cuts, follows"),
    (Rule::Drift, "drift", "a node whose content differs serves nothing until it is re-seeded"),
    (Rule::Archive, "archive", "what is committed is archived, without a gap"),
    (Rule::Space, "space", "writes stop before the disk is full, and go on when it is not"),
];

impl Rule {
    /// Every rule, as (number, sentence).
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        RULES.iter().map(|(_, number, sentence)| (*number, *sentence))
    }

    /// As operators know it: `6`, `P13`.
    pub fn number(self) -> &'static str {
        self.entry().1
    }

    /// What it says.
    pub fn sentence(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> &'static (Self, &'static str, &'static str) {
        RULES.iter().find(|entry| entry.0 == self).expect("every rule stands in the table")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.number())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = String::deserialize(deserializer)?;
        let entry = RULES.iter().find(|entry| entry.1 == number);
        entry.map(|entry| entry.0).ok_or_else(|| serde::de::Error::custom("unknown rule"))
    }
}

/// A change of the monitor's phase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transition {
    pub from: &'static str,
    pub to: &'static str,
    pub rule: Rule,
}

const fn allow(from: &'static str, to: &'static str, rule: Rule) -> Transition {
    Transition { from, to, rule }
}

/// Every change of phase that the monitor may make, and by which rule. The machine
/// asserts that it makes no other.
pub const TRANSITIONS: &[Transition] = &[
    allow("starting", "watching", Rule::Resumed),
    allow("starting", "watching", Rule::Adopted),
    allow("starting", "promising", Rule::Resumed),
    allow("starting", "promising", Rule::Adopted),
    allow("starting", "promising", Rule::AcceptedLoss),
    allow("watching", "promising", Rule::Suspicion),
    allow("watching", "promising", Rule::Restarted),
    allow("watching", "promising", Rule::Trigger),
    allow("watching", "promising", Rule::AcceptedLoss),
    allow("watching", "draining", Rule::Switchover),
    allow("watching", "draining", Rule::Handover),
    allow("watching", "draining", Rule::Maintenance),
    allow("watching", "draining", Rule::Members),
    allow("draining", "promising", Rule::Switchover),
    allow("draining", "promising", Rule::Maintenance),
    allow("draining", "promising", Rule::Members),
    allow("draining", "promising", Rule::Handover),
    allow("draining", "promising", Rule::Suspicion),
    allow("draining", "promising", Rule::Restarted),
    allow("draining", "promising", Rule::Trigger),
    allow("draining", "promising", Rule::AcceptedLoss),
    allow("draining", "watching", Rule::Switchover),
    allow("promising", "promising", Rule::Terms),
    allow("promising", "appointing", Rule::Choose),
    allow("promising", "appointing", Rule::AcceptedLoss),
    allow("promising", "fetching", Rule::Fetch),
    allow("fetching", "appointing", Rule::Fetch),
    allow("fetching", "appointing", Rule::Choose),
    allow("fetching", "promising", Rule::Silent),
    allow("fetching", "promising", Rule::Trigger),
    allow("fetching", "promising", Rule::AcceptedLoss),
    allow("appointing", "watching", Rule::Recorded),
    allow("appointing", "promising", Rule::Silent),
    allow("appointing", "promising", Rule::Trigger),
    allow("appointing", "promising", Rule::AcceptedLoss),
    allow("watching", "starting", Rule::OneMonitor),
    allow("draining", "starting", Rule::OneMonitor),
    allow("promising", "starting", Rule::OneMonitor),
    allow("fetching", "starting", Rule::OneMonitor),
    allow("appointing", "starting", Rule::OneMonitor),
    allow("starting", "starting", Rule::OneMonitor),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_lead_back_to_their_rule() {
        for (rule, number, sentence) in RULES {
            let json = serde_json::to_string(rule).expect("a string");
            assert_eq!(json, format!("{number:?}"));
            assert_eq!(serde_json::from_str::<Rule>(&json).expect("known"), *rule);
            assert!(!sentence.is_empty());
        }
    }
}
