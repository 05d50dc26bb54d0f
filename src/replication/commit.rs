use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::NodeId;
use crate::log::Lsn;

/// What the policy demands of the followers that count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// Any so many of them: the k of the failover protocol.
    Any(usize),
    /// The first so many that are connected, in their order.
    First(usize),
}

impl Demand {
    fn acks(self) -> usize {
        match self {
            Self::Any(acks) | Self::First(acks) => acks,
        }
    }
}

/// Computes a leader's commit LSN from its own durability and its followers'
/// acknowledgements, for one term.
///
/// ```text
///            leader durable ──────────────┐
///   n2 acks ──────────┐                   │      1 ack demanded:  commit = the further follower
///   n3 acks ────┐     │                   │      2 acks demanded: commit = the nearer one
///               ▼     ▼                   ▼
///   log ──┬─────┴─────┴───────────────────┴────►
///         └ end of the term-start frame: below it nothing is committed by counting
/// ```
///
/// The log inherited from earlier terms is committed together with the term-start
/// frame or not at all (P4, rule 4a): a count of holders says nothing about frames of
/// an earlier term, which another leader could still cut.
///
/// Invariants:
///
/// * `commit` never decreases.
/// * Unless it is what it was at the start: `term start ≤ commit ≤ durable`, and the
///   number of followers that was demanded when it moved is durable at `commit`.
#[derive(Debug)]
pub struct CommitTracker {
    demand: Demand,
    /// The followers that count, in the policy's order, and those connected.
    followers: Vec<NodeId>,
    connected: BTreeSet<NodeId>,
    /// End of the term-start frame; `None` until it is appended.
    term_start: Option<Lsn>,
    /// The leader's own durable LSN.
    durable: Lsn,
    /// The last LSN that each node reported durable in this term, whether it counts or not.
    acked: BTreeMap<NodeId, Lsn>,
    /// And written, durable or not, where that is further: what `remote_write` waits for.
    written: BTreeMap<NodeId, Lsn>,
    commit: Lsn,
}

impl CommitTracker {
    /// Starts a term whose leader is durable up to `durable`, of which only the part
    /// up to `commit` is known to be committed. Acks of earlier terms don't count.
    pub fn new(
        demand: Demand,
        followers: impl IntoIterator<Item = NodeId>,
        durable: Lsn,
        commit: Lsn,
    ) -> Self {
        let followers: Vec<NodeId> = followers.into_iter().collect();
        let (connected, acked) = (BTreeSet::new(), BTreeMap::new());
        let commit = commit.min(durable);
        Self {
            demand,
            followers,
            connected,
            term_start: None,
            durable,
            acked,
            written: BTreeMap::new(),
            commit,
        }
    }

    /// Other followers count from here on (P22). What is committed stays so. Returns the
    /// commit LSN if it moved.
    pub fn follow(&mut self, followers: impl IntoIterator<Item = NodeId>) -> Option<Lsn> {
        self.followers = followers.into_iter().collect();
        self.advance()
    }

    /// Forgets what others than these acknowledged: who comes back as a new node begins anew.
    pub fn forget_others(&mut self, listed: impl Fn(&NodeId) -> bool) {
        self.acked.retain(|node, _| listed(node));
        self.written.retain(|node, _| listed(node));
        self.connected.retain(|node| listed(node));
    }

    /// The commit LSN.
    pub fn commit(&self) -> Lsn {
        self.commit
    }

    /// What `follower` has acknowledged in this term.
    pub fn acked(&self, follower: &NodeId) -> Option<Lsn> {
        self.acked.get(follower).copied()
    }

    /// Demands another number of acknowledgements from here on. What is committed stays so.
    /// Returns the commit LSN if it moved.
    pub fn demand(&mut self, acks: usize) -> Option<Lsn> {
        self.demand = match self.demand {
            Demand::Any(_) => Demand::Any(acks),
            Demand::First(_) => Demand::First(acks),
        };
        self.advance()
    }

    /// Up to where as many followers as are demanded hold the log.
    pub fn held(&self) -> Lsn {
        self.reached(|follower| self.acked(follower).unwrap_or_default())
    }

    /// Up to where the log is durable here and written, durable or not, by as many
    /// followers as are demanded. Nothing is committed by that.
    pub fn written(&self) -> Lsn {
        let written = |follower: &NodeId| {
            let acked = self.acked(follower).unwrap_or_default();
            self.written.get(follower).map_or(acked, |written| acked.max(*written))
        };
        self.reached(written).min(self.durable)
    }

    fn reached(&self, by: impl Fn(&NodeId) -> Lsn) -> Lsn {
        match self.demand {
            Demand::Any(0) | Demand::First(0) => self.durable,
            Demand::Any(acks) => nth_highest(self.followers.iter().map(by).collect(), acks),
            Demand::First(acks) => {
                let connected = self.followers.iter().filter(|f| self.connected.contains(*f));
                nth_highest(connected.take(acks).map(by).collect(), acks)
            }
        }
    }

    /// Notes where the term-start frame ends. Returns the commit LSN if it moved.
    pub fn term_started(&mut self, end: Lsn) -> Option<Lsn> {
        assert!(self.term_start.is_none_or(|known| known == end), "a second term-start frame");
        self.term_start = Some(end);
        self.advance()
    }

    /// Records a durable leader write. Returns the commit LSN if it moved.
    pub fn leader_durable(&mut self, lsn: Lsn) -> Option<Lsn> {
        // Reported by several tasks, in no order; only progress counts.
        self.durable = self.durable.max(lsn);
        self.advance()
    }

    /// Records a follower's ack of this term. Returns the commit LSN if it moved. That of
    /// a node that does not count is kept for when it does.
    pub fn follower_durable(&mut self, follower: &NodeId, lsn: Lsn) -> Option<Lsn> {
        let acked = self.acked.entry(follower.clone()).or_default();
        *acked = (*acked).max(lsn);
        self.advance()
    }

    /// Records what a follower has written in this term, but not made durable yet.
    pub fn follower_written(&mut self, follower: &NodeId, lsn: Lsn) {
        let written = self.written.entry(follower.clone()).or_default();
        *written = (*written).max(lsn);
    }

    /// A follower connected and told how far its log equals this one and is durable:
    /// what it acknowledged before counts no further than that (rule 16a). Returns
    /// what it had acknowledged beyond, which it must have lost.
    pub fn follower_rejoined(&mut self, follower: &NodeId, lsn: Lsn) -> Option<Lsn> {
        self.connected.insert(follower.clone());
        let acked = self.acked.entry(follower.clone()).or_default();
        let lost = (*acked > lsn).then_some(*acked);
        *acked = (*acked).min(lsn);
        self.written.remove(follower);
        lost
    }

    /// A follower's connection ended, and with it what it has written may be gone: those behind it in the policy's order move up.
    /// Returns the commit LSN if it moved.
    pub fn follower_left(&mut self, follower: &NodeId) -> Option<Lsn> {
        self.connected.remove(follower);
        self.written.remove(follower);
        self.advance()
    }

    fn advance(&mut self) -> Option<Lsn> {
        let term_start = self.term_start?;
        let commit = self.held().min(self.durable);
        if commit < term_start || commit <= self.commit {
            return None;
        }
        self.commit = commit;
        self.check();
        Some(commit)
    }

    fn check(&self) {
        let holds = |follower: &&NodeId| self.acked(follower) >= Some(self.commit);
        let holders = self.followers.iter().filter(holds).count();
        assert!(self.commit <= self.durable, "commit beyond the leader's own log");
        assert!(self.term_start <= Some(self.commit), "commit below the term's start");
        let acks = self.demand.acks();
        assert!(holders >= acks, "{} held by {holders} of {acks}", self.commit);
    }
}

/// The highest LSN that at least `n` followers hold; 0 if there are fewer.
fn nth_highest(mut lsns: Vec<Lsn>, n: usize) -> Lsn {
    lsns.sort_unstable_by(|a, b| b.cmp(a));
    lsns.get(n - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use test_each_file::test_each_path;

    use super::*;

    test_each_path! { in "tests/golden/replication/commit" => golden }

    fn golden(path: &Path) {
        goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
    }

    #[derive(Default)]
    struct Runner {
        tracker: Option<CommitTracker>,
    }

    #[derive(goldenscript::Command)]
    enum Command {
        /// Starts a term with the given followers.
        Track {
            #[arg(key)]
            acks: Option<usize>,
            #[arg(key)]
            first: Option<usize>,
            #[arg(key)]
            durable: u64,
            #[arg(key)]
            commit: u64,
            followers: Vec<String>,
        },
        /// The term-start frame ends here.
        Start(u64),
        /// Advances the leader's durable LSN.
        Leader(u64),
        /// A follower reports a durable LSN.
        Ack(String, u64),
        /// A follower reports an LSN that it has written.
        Write(String, u64),
        /// Another number of acknowledgements is demanded.
        Demand(usize),
        /// Other followers count.
        Follow(Vec<String>),
        /// Nobody else is listed any more.
        Forget(Vec<String>),
        /// A follower connects with its log equal up to here.
        Rejoin(String, u64),
        /// A follower's connection ends.
        Leave(String),
    }

    impl goldenscript::Runner for Runner {
        type Command = Command;

        fn run(
            &mut self,
            command: &Command,
            _: &goldenscript::Context,
        ) -> Result<String, Box<dyn Error>> {
            if let Command::Track { acks, first, durable, commit, followers } = command {
                let demand = match first {
                    Some(acks) => Demand::First(*acks),
                    None => Demand::Any(acks.ok_or("acks or first is missing")?),
                };
                let followers: Result<Vec<NodeId>, _> =
                    followers.iter().map(|name| name.parse()).collect();
                let tracker = CommitTracker::new(demand, followers?, Lsn(*durable), Lsn(*commit));
                let commit = tracker.commit();
                self.tracker = Some(tracker);
                return Ok(format!("commit {}", commit.0));
            }
            let tracker = self.tracker.as_mut().ok_or("no tracker")?;
            let moved = match command {
                Command::Track { .. } => None,
                Command::Start(lsn) => tracker.term_started(Lsn(*lsn)),
                Command::Demand(acks) => tracker.demand(*acks),
                Command::Forget(listed) => {
                    tracker.forget_others(|node| listed.iter().any(|name| name == node.as_str()));
                    None
                }
                Command::Follow(followers) => {
                    let followers: Result<Vec<NodeId>, _> =
                        followers.iter().map(|name| name.parse()).collect();
                    tracker.follow(followers?)
                }
                Command::Leader(lsn) => tracker.leader_durable(Lsn(*lsn)),
                Command::Ack(name, lsn) => tracker.follower_durable(&name.parse()?, Lsn(*lsn)),
                Command::Write(name, lsn) => {
                    tracker.follower_written(&name.parse()?, Lsn(*lsn));
                    let (written, commit) = (tracker.written(), tracker.commit());
                    return Ok(format!("written {}, commit {}", written.0, commit.0));
                }
                Command::Leave(name) => tracker.follower_left(&name.parse()?),
                Command::Rejoin(name, lsn) => {
                    let lost = tracker.follower_rejoined(&name.parse()?, Lsn(*lsn));
                    return Ok(lost.map_or("-".into(), |lsn| format!("lost its ack of {}", lsn.0)));
                }
            };
            Ok(moved.map_or("-".into(), |lsn| format!("commit → {}", lsn.0)))
        }
    }
}
