use std::fmt;

use crate::log::{LogEnd, Lsn, TermHistory};

/// The leader's log, as far as it matters to a follower that connects.
#[derive(Clone, Debug)]
pub struct LeaderLog<'a> {
    pub history: &'a TermHistory,
    pub end: Lsn,
    /// The first LSN that it still holds.
    pub first: Lsn,
}

/// The follower's log, as it tells.
#[derive(Clone, Debug)]
pub struct FollowerLog<'a> {
    pub history: &'a TermHistory,
    pub end: Lsn,
    /// What its databases contain.
    pub applied: Lsn,
}

/// How a follower comes to hold the leader's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejoin {
    /// Its log is the beginning of the leader's: send the rest.
    Stream { from: Lsn },
    /// Its log parts from the leader's at `at`, and nothing beyond is applied: it
    /// saves and cuts that, then gets the rest.
    CutAndStream { at: LogEnd },
    /// It needs a copy of the databases.
    Snapshot { why: SnapshotReason },
}

/// Why streaming is impossible.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotReason {
    /// The leader has released what the follower needs next.
    Released { needed: Lsn, first: Lsn },
    /// The follower's databases contain what the leader's log does not.
    AppliedBeyond { applied: Lsn, at: Lsn },
    /// The two histories have no term in common that could tell where they part.
    Unrelated,
    /// The bytes differ where the histories say that they are equal: one is damaged.
    Differs { at: Lsn },
    /// The follower asked for it: its databases can't be trusted.
    Asked,
}

/// Decides, from two term histories and ends.
pub fn rejoin(leader: &LeaderLog<'_>, follower: &FollowerLog<'_>) -> Rejoin {
    let snapshot = |why| Rejoin::Snapshot { why };
    let Some(at) = leader.history.divergence(leader.end, follower.history, follower.end) else {
        return snapshot(SnapshotReason::Unrelated);
    };
    if follower.applied > at.lsn {
        let applied = follower.applied;
        return snapshot(SnapshotReason::AppliedBeyond { applied, at: at.lsn });
    }
    if at.lsn < leader.first {
        return snapshot(SnapshotReason::Released { needed: at.lsn, first: leader.first });
    }
    if at.lsn == follower.end {
        Rejoin::Stream { from: at.lsn }
    } else {
        Rejoin::CutAndStream { at }
    }
}

impl SnapshotReason {
    /// What the follower, whose log ends at `end`, holds of the leader's until then: what it
    /// acknowledged counts no further.
    pub fn held(self, end: Lsn) -> Lsn {
        match self {
            Self::Released { needed: at, .. } | Self::AppliedBeyond { at, .. } => at.min(end),
            Self::Unrelated | Self::Differs { .. } => Lsn(0),
            Self::Asked => end,
        }
    }
}

impl fmt::Display for SnapshotReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released { needed, first } => {
                write!(f, "the log from {needed} is needed, but is held from {first} only")
            }
            Self::AppliedBeyond { applied, at } => {
                write!(f, "the logs part at {at}, but everything up to {applied} is applied")
            }
            Self::Unrelated => f.write_str("the two logs have no term in common"),
            Self::Differs { at } => write!(f, "the logs differ below {at}, in the same term"),
            Self::Asked => f.write_str("the follower can't trust its databases"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use test_each_file::test_each_path;

    use super::*;
    use crate::log::Term;

    test_each_path! { in "tests/golden/replication/rejoin" => golden }

    fn golden(path: &Path) {
        goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
    }

    #[derive(Default)]
    struct Runner {
        leader: (TermHistory, Lsn, Lsn),
    }

    #[derive(goldenscript::Command)]
    enum Command {
        /// The leader's log: terms as TERM@LSN, or empty.
        Leader {
            #[arg(key)]
            end: u64,
            #[arg(key)]
            first: Option<u64>,
            terms: Vec<String>,
        },
        /// A follower connects.
        Follower {
            #[arg(key)]
            end: u64,
            #[arg(key)]
            applied: u64,
            terms: Vec<String>,
        },
    }

    fn history(terms: &[String]) -> Result<TermHistory, Box<dyn Error>> {
        let mut history = TermHistory::default();
        for term in terms.iter().filter(|term| *term != "empty") {
            let (term, lsn) = term.split_once('@').ok_or("expected TERM@LSN")?;
            history.push(Term(term.parse()?), Lsn(lsn.parse()?));
        }
        Ok(history)
    }

    /// What it acknowledged beyond counts no more.
    #[test]
    fn who_gets_a_snapshot_holds_no_more_than_is_common() {
        let (at, end) = (Lsn(10), Lsn(30));
        let released = SnapshotReason::Released { needed: at, first: Lsn(20) };
        let beyond = SnapshotReason::AppliedBeyond { applied: Lsn(25), at };
        assert_eq!((released.held(end), beyond.held(end)), (at, at));
        assert_eq!((released.held(Lsn(5)), SnapshotReason::Asked.held(end)), (Lsn(5), end));
        assert_eq!(SnapshotReason::Unrelated.held(end), Lsn(0));
        assert_eq!(SnapshotReason::Differs { at }.held(end), Lsn(0));
    }

    impl goldenscript::Runner for Runner {
        type Command = Command;

        fn run(
            &mut self,
            command: &Command,
            _: &goldenscript::Context,
        ) -> Result<String, Box<dyn Error>> {
            match command {
                Command::Leader { end, first, terms } => {
                    self.leader = (history(terms)?, Lsn(*end), Lsn(first.unwrap_or_default()));
                    Ok(String::new())
                }
                Command::Follower { end, applied, terms } => {
                    let (leader, leader_end, first) = &self.leader;
                    let leader = LeaderLog { history: leader, end: *leader_end, first: *first };
                    let history = history(terms)?;
                    let (end, applied) = (Lsn(*end), Lsn(*applied));
                    let follower = FollowerLog { history: &history, end, applied };
                    Ok(match rejoin(&leader, &follower) {
                        Rejoin::Stream { from } => format!("stream from {}", from.0),
                        Rejoin::CutAndStream { at } => {
                            format!("cut at {} (term {}), stream", at.lsn.0, at.term)
                        }
                        Rejoin::Snapshot { why } => format!("snapshot: {why}"),
                    })
                }
            }
        }
    }
}
