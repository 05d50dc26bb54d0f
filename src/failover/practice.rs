//! What a leader demands of its followers, in its term (P19, P20).
use super::Appointment;
use crate::log::{Lsn, Term};

/// A leader's sync policy.
///
/// ```text
///              a higher version                    restore, same version
///  practised ───────────────────► fewer demanded ─────────────────────────► restoring
///      ▲                                                                        │
///      └────── all that was acknowledged is held by as many as demanded ────────┘
/// ```
///
/// Invariant: what it vouches for is never more than what everything acknowledged in its
/// term is held by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Practice {
    term: Term,
    /// The newest record adopted.
    version: u64,
    /// Follower acknowledgements that a write needs from here on.
    demanded: usize,
    /// Those that all writes have had since the term began, or since the last restoration.
    vouched: usize,
    /// While restoring: what was acknowledged under less ends here.
    until: Option<Lsn>,
}

impl Practice {
    /// As appointed.
    pub fn new(appointment: &Appointment) -> Self {
        Self {
            term: appointment.term,
            version: appointment.policy_version,
            demanded: appointment.acks,
            vouched: appointment.acks,
            until: None,
        }
    }

    /// Has any record pass for news, as it must not (P20).
    #[cfg(test)]
    pub(crate) fn forget_version(&mut self) {
        self.version = 0;
    }

    /// Follower acknowledgements that a write needs.
    pub fn demanded(&self) -> usize {
        self.demanded
    }

    /// Follower acknowledgements that everything acknowledged has.
    pub fn vouched(&self) -> usize {
        self.vouched
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Where what must come to be held by [`Practice::demanded`] followers ends, while the
    /// policy is being restored.
    pub fn restoring(&self) -> Option<Lsn> {
        self.until
    }

    /// The monitor has recorded a policy that is not stronger. True if it is adopted: P20,
    /// only a higher version is. It never raises what is demanded.
    pub fn weaken(&mut self, term: Term, acks: usize, version: u64) -> bool {
        if term != self.term || version <= self.version {
            return false;
        }
        self.version = version;
        self.vouched = self.vouched.min(acks);
        if acks < self.demanded {
            self.demanded = acks;
            self.until = None;
        }
        true
    }

    /// The monitor wants `acks` demanded again. True if that is more than now: the caller
    /// demands it first, and then says with [`Practice::tightened`] what is acknowledged.
    pub fn restore(&mut self, term: Term, acks: usize, version: u64) -> bool {
        if term != self.term || version != self.version || acks <= self.demanded {
            return false;
        }
        self.demanded = acks;
        true
    }

    /// What was acknowledged under less than is demanded now ends at `commit`.
    pub fn tightened(&mut self, commit: Lsn) {
        self.until = Some(commit);
    }

    /// As many followers as are demanded hold everything up to `held`. True if that
    /// restores the policy.
    pub fn held(&mut self, held: Lsn) -> bool {
        let restored = self.until.is_some_and(|until| held >= until);
        if restored {
            self.until = None;
            self.vouched = self.demanded;
        }
        restored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Configuration;

    fn practice(acks: usize, policy_version: u64) -> Practice {
        let (term, incarnation, wait_ns) = (Term(3), 1, 0);
        let configuration = Configuration::default();
        Practice::new(&Appointment {
            term,
            incarnation,
            wait_ns,
            acks,
            policy_version,
            configuration,
        })
    }

    #[test]
    fn a_policy_is_weakened_at_once_and_restored_when_all_is_held() {
        let mut practice = practice(2, 7);
        assert!(practice.weaken(Term(3), 0, 8));
        assert_eq!((practice.demanded(), practice.vouched(), practice.version()), (0, 0, 8));
        assert!(practice.restore(Term(3), 2, 8));
        practice.tightened(Lsn(50));
        assert_eq!((practice.demanded(), practice.vouched()), (2, 0));
        assert!(!practice.held(Lsn(49)) && practice.vouched() == 0);
        assert!(practice.held(Lsn(50)) && practice.vouched() == 2);
        assert!(!practice.held(Lsn(60)), "once");
    }

    #[test]
    fn stale_and_repeated_records_are_not_adopted() {
        let mut practice = practice(1, 7);
        assert!(!practice.weaken(Term(2), 0, 8), "another term");
        assert!(!practice.weaken(Term(3), 0, 7), "P20: the same version");
        assert!(practice.weaken(Term(3), 0, 8));
        assert!(!practice.restore(Term(3), 1, 7), "another version");
        assert!(practice.restore(Term(3), 1, 8) && !practice.restore(Term(3), 1, 8));
        practice.tightened(Lsn(9));
        // The schedule behind P20: the reply to the weakening comes late.
        assert!(!practice.weaken(Term(3), 0, 8));
        assert_eq!(practice.demanded(), 1);
        // A newer record of the same strength only counts as heard.
        let mut again = practice;
        assert!(again.weaken(Term(3), 1, 9) && again.held(Lsn(9)) && again.vouched() == 1);
        // A weaker one ends a restoration.
        assert!(practice.weaken(Term(3), 0, 9) && practice.restoring().is_none());
        assert!(!practice.held(Lsn(99)) && practice.vouched() == 0);
    }
}
