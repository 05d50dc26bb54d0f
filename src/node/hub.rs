use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast, watch};

use super::replicate::{Commits, Progress};
use super::verify::Look;
use crate::cluster::{Configuration, NodeId, Policy, Role, Roll, View};
use crate::failover::{Fetch, Notice, Rule};
use crate::log::{LogEnd, Lsn, Term};
use crate::routing::link::Notification;

/// Notices kept while the monitor is away; then the oldest go.
const NOTICES_MAX: usize = 64;

/// What this node does in its current term.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leadership {
    pub term: Term,
    pub role: Role,
    /// Whom it follows, or itself; `None` while nobody is known.
    pub leader: Option<NodeId>,
}

/// Why a node's databases can't be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quarantine {
    /// The frame at this LSN had another effect than on the leader.
    Differs(Lsn),
    /// Another program changed the file, which stood at this LSN.
    Edited(Lsn),
    /// SQLite found the file, which stood at this LSN, to be damaged.
    Damaged(Lsn),
    /// The file stands at this LSN, and the log that comes next is held no longer.
    LeftBehind(Lsn),
}

/// How much of the disk is left, against the reserve that is kept free.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Space {
    Enough,
    /// Less than the reserve: a leader takes no writes. A follower still takes what a leader
    /// whose disk is as full had taken before, or those writes would wait for room.
    Low,
    /// Less than half of it: nothing is appended.
    Scarce,
}

/// What the tasks of a node tell each other. Every field has one writer, named here.
///
/// Order of positions at all times: `applied ≤ commit ≤ durable ≤ end` on a leader;
/// on a follower `commit` may run ahead of `durable` (told by the leader), and
/// application is bounded by both (see [`Hub::apply_bound`]).
pub struct Hub {
    pub me: NodeId,
    /// The members that it knows, and those that it acts upon while it leads. Written by
    /// `control`.
    pub roll: watch::Sender<Roll>,
    /// The newest configuration that was read in the committed log, or written into it.
    /// Written by the writer.
    pub configured: watch::Sender<Option<Configuration>>,
    /// The monitor has shown a view without this node: it was dropped. Written by `control`.
    pub dropped: watch::Sender<bool>,
    pub policy: Policy,
    /// Written by `control`.
    pub leadership: watch::Sender<Leadership>,
    /// The last frame appended. Written by whoever appends: the writer when
    /// leading, `replicate::follow` when following.
    pub end: watch::Sender<LogEnd>,
    /// Fsynced. Written as `end`.
    pub durable: watch::Sender<Lsn>,
    /// Safe to apply and acknowledge. Written by [`Hub::count`] when leading, from
    /// own durability and acknowledgements; by `replicate::follow`, as told in the
    /// current term, when following.
    pub commit: watch::Sender<Lsn>,
    /// Follower acknowledgements that a commit needs while this node leads: as appointed,
    /// weakened or restored. Written by `control`.
    acks: AtomicUsize,
    /// Durable here and written by as many followers as the policy demands; kept while
    /// somebody waits for it. Written by [`Hub::count`].
    pub written: watch::Sender<Lsn>,
    /// Writes that wait for `written` to move.
    awaiting_written: AtomicUsize,
    /// The leader's accounting behind `commit`.
    pub(super) commits: Mutex<Commits>,
    /// Up to where the own log is verified to equal the current leader's. Written
    /// by `replicate::follow`; a leader's own log is its own.
    pub verified: watch::Sender<Lsn>,
    /// In SQLite, visible to readers. Written by the writer thread.
    pub applied: watch::Sender<Lsn>,
    /// Up to where a follower last ran parts of a transaction whose end had not come yet:
    /// nobody sees them. Written as `applied`.
    pub run: watch::Sender<Lsn>,
    /// Sessions that wait for `applied` to move, and what tells the writer of a new one.
    awaiting: AtomicUsize,
    pub(super) awaited: Notify,
    /// The followers connected to this leader, each with the number of its connection.
    /// Written by `replicate`.
    pub(super) followers: Mutex<BTreeMap<NodeId, (u64, Progress)>>,
    /// Applied by as many followers as the policy demands. Written by `replicate`.
    pub visible: watch::Sender<Lsn>,
    /// The newest view heard. Written by `control`.
    pub view: watch::Sender<View>,
    /// Until when (CLOCK_BOOTTIME, ns) this leader may acknowledge. Written by `control`.
    lease_until_ns: AtomicI64,
    /// When the leader was last heard (CLOCK_BOOTTIME, ns); `i64::MIN`: not at all, or
    /// its stream has ended since. Written by `replicate::follow`.
    leader_seen_ns: AtomicI64,
    leader_lost: Notify,
    /// Whose stream this follower takes, and in which term. Written by `replicate::follow`.
    pub upstream: watch::Sender<Option<(Term, NodeId)>>,
    /// The tail that this node is to get before anybody leads (rule 18). Written by `control`.
    pub fetch: watch::Sender<Option<Fetch>>,
    /// What came of that: the term, and why it was not got. Written by `replicate::follow`.
    pub fetched: watch::Sender<Option<(Term, Result<(), String>)>>,
    /// The newest term in which the own log, durable and verified, has reached the commit
    /// LSN that the leader told on its stream. Written by `replicate::follow`.
    pub caught_up: watch::Sender<Term>,
    /// The end of the first frame of a term that this node leads. Written by the writer
    /// as soon as it has appended it.
    pub term_start: watch::Sender<(Term, Lsn)>,
    /// While true the leader's writer begins nothing new: what clients ask waits. Written
    /// by `control`, for a planned hand-over.
    pub frozen: watch::Sender<bool>,
    /// Where this leader's last transaction, or group of them, that is whole in the log
    /// begins. Written by the writer, before it appends it.
    logged: AtomicU64,
    /// True while the writer is frozen and nothing that it began is unfinished. Written
    /// by the writer.
    pub resting: watch::Sender<bool>,
    /// The leader of this term can't go on, and why: `control` ends the term. Written by
    /// the writer and `replicate`.
    pub failed: watch::Sender<Option<(Term, String)>>,
    /// Why this node applies nothing and serves no reads until a snapshot replaces its
    /// databases. Written by the writer, heeded by `replicate`.
    pub quarantine: watch::Sender<Option<Quarantine>>,
    /// Up to where the log is archived, while this node archives it. Written by `archive`.
    pub archived: watch::Sender<Option<Lsn>>,
    /// How much of the disk is left. Written by `replicate`.
    pub space: watch::Sender<Space>,
    /// Free pages of the database file that its writer gives back when it has nothing
    /// else to do. Written by the checkpoint task and VACUUM, counted down by the writer.
    pub surplus: watch::Sender<u64>,
    /// SQLite's WAL is long, and grows faster than a checkpoint beside the writer gets to its
    /// end: what is left of it is the writer's to move. Set by the checkpoint task, which
    /// does nothing meanwhile, cleared by the writer.
    pub wal_is_long: watch::Sender<bool>,
    /// The databases as they were at the newest marker. Written by the writer.
    pub(super) look: watch::Sender<Option<Arc<Look>>>,
    /// How often, since its start, this node began to replace what it holds by a
    /// snapshot: `control` marks it as unproven. Written by `replicate::follow`.
    pub reseeding: watch::Sender<u64>,
    /// Why this node does not serve or follow, for `status`; empty when all is well.
    pub reason: watch::Sender<String>,
    /// What NOTIFY sent, each once the frame that it came in is in SQLite. Written by the
    /// writer. Who is slower than `NOTIFICATIONS` misses some, and is told so.
    pub notifications: broadcast::Sender<Arc<Notification>>,
    /// What operators should read of, oldest first. Pushed by any task, see
    /// [`Hub::notice`]; `control` passes it on.
    notices: Mutex<VecDeque<Notice>>,
}

impl Hub {
    /// Notifications that a listener may be behind.
    const NOTIFICATIONS: usize = 16_384;

    pub fn new(me: NodeId, roll: Roll, policy: Policy, end: LogEnd, applied: Lsn) -> Self {
        let acks = policy.acks(roll.newest().size());
        let follower = Leadership { term: Term(0), role: Role::Follower, leader: None };
        Self {
            me,
            roll: watch::Sender::new(roll),
            configured: watch::Sender::new(None),
            dropped: watch::Sender::new(false),
            policy,
            leadership: watch::Sender::new(follower),
            end: watch::Sender::new(end),
            durable: watch::Sender::new(end.lsn),
            commit: watch::Sender::new(applied),
            acks: AtomicUsize::new(acks),
            written: watch::Sender::new(Lsn(0)),
            awaiting_written: AtomicUsize::new(0),
            commits: Mutex::default(),
            verified: watch::Sender::new(Lsn(0)),
            applied: watch::Sender::new(applied),
            run: watch::Sender::new(applied),
            awaiting: AtomicUsize::new(0),
            awaited: Notify::new(),
            followers: Mutex::default(),
            visible: watch::Sender::new(Lsn(0)),
            view: watch::Sender::new(View::default()),
            lease_until_ns: AtomicI64::new(i64::MIN),
            leader_seen_ns: AtomicI64::new(i64::MIN),
            leader_lost: Notify::new(),
            upstream: watch::Sender::new(None),
            fetch: watch::Sender::new(None),
            fetched: watch::Sender::new(None),
            caught_up: watch::Sender::new(Term(0)),
            term_start: watch::Sender::new((Term(0), Lsn(0))),
            frozen: watch::Sender::new(false),
            logged: AtomicU64::new(0),
            resting: watch::Sender::new(false),
            failed: watch::Sender::new(None),
            quarantine: watch::Sender::new(None),
            space: watch::Sender::new(Space::Enough),
            surplus: watch::Sender::new(0),
            wal_is_long: watch::Sender::new(false),
            look: watch::Sender::new(None),
            archived: watch::Sender::new(None),
            reseeding: watch::Sender::new(0),
            reason: watch::Sender::new(String::new()),
            notifications: broadcast::Sender::new(Self::NOTIFICATIONS),
            notices: Mutex::default(),
        }
    }

    /// The followers whose acknowledgements count while this node leads, in the policy's
    /// order.
    pub fn followers_counted(&self) -> Vec<NodeId> {
        let roll = self.roll.borrow();
        self.policy.followers(roll.newest().counting(), &self.me).into_iter().cloned().collect()
    }

    /// Whether another node is there to have databases from: the leader that this one
    /// follows, or a follower of its own.
    pub fn has_source(&self) -> bool {
        match self.leadership.borrow().role {
            Role::Follower => self.upstream.borrow().is_some(),
            Role::Opening | Role::Leader => {
                let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
                followers.values().any(|(_, progress)| !progress.seeding)
            }
        }
    }

    /// The other members that count, and where they are.
    pub fn others(&self) -> BTreeMap<NodeId, String> {
        let roll = self.roll.borrow();
        let others = roll.newest().members.iter().filter(|it| it.counts && it.name != self.me);
        others.map(|member| (member.name.clone(), member.peer.clone())).collect()
    }

    /// Where another node is, as the members say, or else the view: of a change that this
    /// node has not read yet.
    pub fn address(&self, name: &NodeId) -> Option<String> {
        let listed = self.roll.borrow().get(name).map(|member| member.peer.clone());
        let seen = || {
            let view = self.view.borrow();
            view.nodes.iter().find(|node| node.name == *name).map(|node| node.peer.clone())
        };
        listed.or_else(seen).filter(|_| *name != self.me)
    }

    /// Has `reason`, one sentence, told to operators as an event.
    pub fn notice(&self, rule: Rule, lsn: Option<Lsn>, reason: String) {
        let term = self.leadership.borrow().term;
        tracing::warn!(%rule, %term, reason);
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == NOTICES_MAX {
            notices.pop_front();
        }
        notices.push_back(Notice { rule, term, lsn, reason });
    }

    /// Takes what operators have not been told yet.
    pub(super) fn take_notices(&self) -> VecDeque<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Up to where a follower may apply now.
    pub fn apply_bound(&self) -> Lsn {
        let (commit, durable, verified) =
            (*self.commit.borrow(), *self.durable.borrow(), *self.verified.borrow());
        commit.min(durable).min(verified)
    }

    /// Notes that what the log holds from `start` on will be whole.
    pub(super) fn logs(&self, start: Lsn) {
        self.logged.store(start.0, Ordering::SeqCst);
    }

    /// What this leader must have applied to be behind no other node: who is told that
    /// something is committed may show it before SQLite here has committed it.
    pub(super) fn shown(&self) -> Lsn {
        // In this order: the beginning of what is committed was noted before.
        let commit = *self.commit.borrow();
        let logged = self.logged.load(Ordering::SeqCst);
        if commit.0 > logged { Lsn(logged + 1) } else { Lsn(0) }
    }

    /// Says, while it lives, that somebody waits for `applied` to move.
    pub(super) fn awaiting_applied(&self) -> Awaiting<'_> {
        self.awaiting.fetch_add(1, Ordering::SeqCst);
        self.awaited.notify_one();
        Awaiting(&self.awaiting)
    }

    /// Says, while it lives, that somebody waits for `written` to move: followers are
    /// asked to tell at once what they have written.
    pub(super) fn awaiting_written(&self) -> Awaiting<'_> {
        self.awaiting_written.fetch_add(1, Ordering::SeqCst);
        Awaiting(&self.awaiting_written)
    }

    pub(super) fn is_written_awaited(&self) -> bool {
        self.awaiting_written.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_applied_awaited(&self) -> bool {
        self.awaiting.load(Ordering::SeqCst) > 0
    }

    /// Follower acknowledgements that a commit needs while this node leads.
    pub fn acks(&self) -> usize {
        self.acks.load(Ordering::SeqCst)
    }

    /// Demands another number of them from here on.
    pub fn demand_acks(&self, acks: usize) {
        self.acks.store(acks, Ordering::SeqCst);
        self.count(None);
    }

    /// Whether the lease holds at `now_ns` (CLOCK_BOOTTIME).
    pub fn lease_holds(&self, now_ns: i64) -> bool {
        now_ns < self.lease_until_ns.load(Ordering::SeqCst)
    }

    /// Whether the lease holds now: the last check before a reply of `term`. It is logged,
    /// at trace level, so that drills can hold the terms' replies against each other.
    pub fn check_lease(&self, term: Term) -> bool {
        let at_ns = boottime_ns();
        let holds = self.lease_holds(at_ns);
        if holds {
            tracing::trace!(target: "towline::lease", lease_term = term.0, at_ns);
        }
        holds
    }

    /// Notes a sign of life of the leader that is followed: any message on its stream.
    pub fn saw_leader(&self, now_ns: i64) {
        self.leader_seen_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Notes that the leader's stream has ended, which `control` reports at once.
    pub fn lost_leader(&self) {
        self.forget_leader();
        self.leader_lost.notify_one();
    }

    /// Notes that another leader is followed, or none.
    pub fn forget_leader(&self) {
        self.leader_seen_ns.store(i64::MIN, Ordering::Relaxed);
    }

    /// Waits until the leader's stream has ended.
    pub async fn leader_lost(&self) {
        self.leader_lost.notified().await;
    }

    /// The follower by way of which this one follows, if it does not follow the leader.
    pub fn through(&self) -> Option<NodeId> {
        let upstream = self.upstream.borrow().clone();
        let leader = self.leadership.borrow().leader.clone();
        upstream.map(|(_, node)| node).filter(|node| Some(node) != leader.as_ref())
    }

    /// When the leader that is followed was last heard.
    pub fn leader_seen_ns(&self) -> Option<i64> {
        let seen = self.leader_seen_ns.load(Ordering::Relaxed);
        (seen != i64::MIN).then_some(seen)
    }

    /// Moves the end of the lease; `i64::MIN` ends it.
    pub fn set_lease_until(&self, until_ns: i64) {
        self.lease_until_ns.store(until_ns, Ordering::SeqCst);
    }
}

/// Somebody's wait, counted while it lasts.
pub(super) struct Awaiting<'a>(&'a AtomicUsize);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Nanoseconds on the clock that leases are measured by; it runs during suspend.
pub fn boottime_ns() -> i64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .expect("CLOCK_BOOTTIME exists on Linux");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}
