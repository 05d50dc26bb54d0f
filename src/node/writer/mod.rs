//! The writer: one OS thread that owns the read-write connection and does whatever
//! the node's role asks of it.
//!
//! ```text
//!              role = Opening                    role = Leader
//!   Following ───────────────► Opening ─────────────────────► Leading
//!       ▲  apply up to the       │ append the term-start        │ run groups and
//!       │  bound                 │ frame; once it is committed  │ loans in the order
//!       │                        │ apply what was inherited     │ of the queue
//!       └────────────────────────┴──────────────────────────────┘
//!                         role = Follower, or another term
//! ```
//!
//! The order of a write, in [`group`] and the end of a [`loan`] alike: run inside an
//! open SQLite transaction; append its frame; publish `end`; fdatasync while
//! followers receive it; publish `durable`; wait for `commit`; record the applied
//! LSN and COMMIT; publish `applied`; check the lease; reply.
//! So SQLite never holds what a failover could take back, and a deposed leader has
//! nothing to undo in it.
//!
//! Invariants:
//! - SQLite's applied LSN ≤ the commit LSN, at all times and after any crash.
//! - While leading, no transaction is open between two jobs.
//! - A reply to a client that tells of a change comes after the change is in SQLite.

mod apply;
mod ddl;
mod group;
mod job;
mod journal;
mod lend;
mod loan;
mod notify;
mod outcome;
mod queue;
mod sequence;
mod trial;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(super) use group::command_tag;
pub(super) use job::{Borrow, Claim, Done, Durability, Job, Note, Unit, UnitError};
pub(super) use journal::lock;
pub(super) use loan::Loan;
pub(super) use queue::WriterHandle;
pub(super) use trial::{Script, Statement, Trial, Tried};

use self::apply::Applier;
use self::journal::{Ended, Journal};
use super::execute::wall_clock_us;
use super::hub::{Hub, Space};
use super::readers::Readers;
use crate::cluster::Role;
use crate::gateway::Refusal;
use crate::log::{Entry, Lsn, Term, TermStart};
use crate::pg::{SqlError, SqlState};
use crate::storage::log_store::{LogReader, LogStore};
use crate::storage::sqlite::{ConnectionKind, Sqlite, SqliteError};

/// How the writer behaves.
#[derive(Clone, Debug)]
pub(super) struct WriterOptions {
    /// The database file.
    pub path: PathBuf,
    /// Known to be committed before the start (a lower bound).
    pub commit: Lsn,
    /// Jobs that wait at most; further ones wait outside, in order.
    pub queue: usize,
    /// How long a loan's holder may be idle while others wait.
    pub idle_while_others_wait: Duration,
}

/// What the writer tells the engine besides the hub.
#[derive(Default)]
pub(super) struct Shared {
    /// Set while this node's content is known to differ from the leader's.
    pub quarantined: AtomicBool,
    /// Set while a job runs, a loan is out, or one that was taken off the queue waits.
    busy: AtomicBool,
    /// The loan that is out: who queues a job tells it so.
    lent: Mutex<Option<loan::Lender>>,
}

impl Shared {
    fn lent(&self) -> std::sync::MutexGuard<'_, Option<loan::Lender>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the writer to go on with another database file.
pub(super) struct Reopen {
    pub path: PathBuf,
    /// Told the LSN that the file stands at.
    pub reply: oneshot::Sender<Result<Lsn, SqliteError>>,
}

/// Starts the writer thread. It ends when `stop` is cancelled, between two jobs.
pub(super) fn spawn(
    options: WriterOptions,
    hub: Arc<Hub>,
    log: Arc<Mutex<LogStore>>,
    readers: Readers,
    handle: Handle,
    stop: CancellationToken,
) -> Result<(WriterHandle, std::thread::JoinHandle<()>), SqliteError> {
    let mut sqlite = Sqlite::open(&options.path, ConnectionKind::Writer)?;
    let (term, applied) = sqlite.applied()?;
    hub.applied.send_replace(applied);
    let (jobs, queue) = mpsc::channel(options.queue);
    let (reopen, reopens) = mpsc::channel(1);
    let shared = Arc::new(Shared::default());
    // The file may have been edited while the node was down.
    shared.quarantined.store(hub.quarantine.borrow().is_some(), Ordering::SeqCst);
    let reader = lock(&log).reader();
    let writer = Writer {
        applier: Applier::new(term, applied),
        applied_at: Instant::now(),
        watched_at: Instant::now(),
        trouble: String::new(),
        journal: Journal::new(Arc::clone(&hub), log, handle.clone(), stop.clone()),
        hub,
        reader,
        readers,
        sqlite: Some(sqlite),
        queue,
        next: None,
        reopens,
        shared: Arc::clone(&shared),
        handle,
        stop,
        options,
    };
    let thread = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run())
        .expect("a thread can be started");
    Ok((WriterHandle::new(jobs, reopen, shared), thread))
}

struct Writer {
    hub: Arc<Hub>,
    reader: LogReader,
    journal: Journal,
    readers: Readers,
    /// `None` while on loan.
    sqlite: Option<Sqlite>,
    applier: Applier,
    /// When a follower last began to apply.
    applied_at: Instant,
    /// When the databases were last looked at for another program's changes.
    watched_at: Instant,
    /// Why the log can't be applied, as told; empty while it can.
    trouble: String,
    queue: mpsc::Receiver<Job>,
    /// Taken off the queue and not begun.
    next: Option<Job>,
    reopens: mpsc::Receiver<Reopen>,
    shared: Arc<Shared>,
    handle: Handle,
    stop: CancellationToken,
    options: WriterOptions,
}

/// What ended a wait.
enum Wake {
    Job(Job),
    Reopen(Reopen),
    /// Something in the hub moved, or time passed: look again.
    Look,
}

impl Writer {
    /// A follower applies no more often than this, so that what came meanwhile goes into
    /// one SQLite transaction: each costs more than the frames of a small group do.
    const APPLY_EVERY: Duration = Duration::from_millis(3);
    /// Log bytes that are applied without waiting for more.
    const APPLY_AT_ONCE: u64 = 64 * 1024;
    /// Free pages given back in one transaction: a few milliseconds' work.
    const PAGES_AT_ONCE: u64 = 256;
    /// How long to wait before applying is tried again after SQLite failed.
    const RETRY: Duration = Duration::from_millis(200);

    fn run(mut self) {
        while !self.stop.is_cancelled() {
            let leadership = self.hub.leadership.borrow().clone();
            match leadership.role {
                Role::Follower => self.follow(),
                Role::Opening => self.open(leadership.term),
                Role::Leader => self.lead(leadership.term),
            }
        }
        self.refuse_all(&Refusal::Unavailable("the node is stopping".to_owned()));
    }

    fn sqlite(&mut self) -> &mut Sqlite {
        self.sqlite.as_mut().expect("not on loan")
    }

    /// Following: applies what is safe, refuses jobs.
    fn follow(&mut self) {
        self.pace();
        self.shorten_wal();
        let bound = self.bound();
        let applied = self.apply(bound);
        self.tell_trouble(applied.as_ref().err());
        let patience = match applied {
            Ok(()) | Err(apply::ApplyError::Quarantined) => None,
            Err(_) => Some(Self::RETRY),
        };
        let more = !self.shared.quarantined.load(Ordering::Relaxed)
            && self.applier.scanned() < self.bound();
        if more && patience.is_none() {
            return;
        }
        match self.wait(Role::Follower, patience) {
            Wake::Job(job) => {
                let refusal = self.not_leading();
                refuse(job, &refusal);
            }
            Wake::Reopen(reopen) => self.reopen(reopen),
            Wake::Look => {}
        }
    }

    /// Says why the log can't be applied, once, and in `status` for as long as that lasts.
    fn tell_trouble(&mut self, error: Option<&apply::ApplyError>) {
        let error = error.filter(|error| !matches!(error, apply::ApplyError::Quarantined));
        let trouble = error.map_or_else(String::new, |it| format!("cannot apply the log: {it}"));
        if trouble == self.trouble {
            return;
        }
        if error.is_some() {
            tracing::error!("{trouble}");
        }
        let before = std::mem::replace(&mut self.trouble, trouble.clone());
        self.hub.reason.send_if_modified(|held| {
            let ours = *held == before;
            if ours {
                *held = trouble;
            }
            ours
        });
    }

    /// Waits, for a moment, for more to apply; not where a session waits for it.
    fn pace(&mut self) {
        let due = self.applied_at + Self::APPLY_EVERY;
        let waiting = self.bound().0.saturating_sub(self.applier.scanned().0);
        if waiting == 0 {
            return;
        }
        if waiting < Self::APPLY_AT_ONCE && !self.hub.is_applied_awaited() && Instant::now() < due {
            let hub = Arc::clone(&self.hub);
            let stop = self.stop.clone();
            let mut leadership = hub.leadership.subscribe();
            self.handle.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = hub.awaited.notified() => {}
                    _ = leadership.changed() => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        self.applied_at = Instant::now();
    }

    /// Up to where the log may be applied: as told, or as recorded before the start.
    fn bound(&self) -> Lsn {
        let recorded = self.options.commit.min(*self.hub.durable.borrow());
        self.hub.apply_bound().max(recorded)
    }

    /// Opening: the term-start frame first; what was inherited once that is committed.
    fn open(&mut self, term: Term) {
        if self.shared.quarantined.load(Ordering::Relaxed) {
            self.journal.fail(term, &apply::ApplyError::Quarantined);
            return self.pause(Role::Opening, term);
        }
        let known = *self.hub.term_start.borrow();
        let end = if known.0 == term {
            known.1
        } else {
            let leader = self.hub.me.as_str().to_owned();
            let start = Entry::TermStart(TermStart { leader, time_us: wall_clock_us() });
            let Ok(spans) = self.journal.append(term, &[start]) else {
                return self.pause(Role::Opening, term);
            };
            let end = spans[0].end;
            self.hub.term_start.send_replace((term, end));
            if self.journal.sync(term).is_err() {
                return self.pause(Role::Opening, term);
            }
            end
        };
        if self.journal.wait_commit(term, end).is_err() {
            return;
        }
        if let Err(error) = self.apply(end) {
            tracing::error!(%error, "cannot apply the inherited log");
            self.journal.fail(term, &error);
            return self.pause(Role::Opening, term);
        }
        self.tell_trouble(None);
        if self.applier.scanned() < end {
            return;
        }
        self.pause(Role::Opening, term);
    }

    /// Leading: jobs, one after the other.
    fn lead(&mut self, term: Term) {
        // A leader whose database lacks a part of its own log can't run anything.
        let end = self.hub.term_start.borrow().1;
        if self.hub.applied.borrow().0 < end.0 && self.apply(end).is_err() {
            self.journal.fail(term, &"the inherited log could not be applied");
            return self.pause(Role::Leader, term);
        }
        self.sqlite().sequence_ranges().clear();
        while self.leads(term) && !self.stop.is_cancelled() {
            if *self.hub.frozen.borrow() {
                self.rest(term);
                continue;
            }
            self.shorten_wal();
            let job = match self.next.take() {
                Some(job) => job,
                None => match self.take_queued() {
                    Some(job) => job,
                    None => match self.wait(Role::Leader, None) {
                        Wake::Job(job) => job,
                        Wake::Reopen(reopen) => {
                            // Only followers install snapshots.
                            drop(reopen);
                            continue;
                        }
                        Wake::Look => continue,
                    },
                },
            };
            let Some(job) = self.unless_full(job) else { continue };
            self.shared.busy.store(true, Ordering::Relaxed);
            let lost = match job {
                Job::Unit(_) | Job::Trial(_) => self.run_group(term, job),
                Job::Borrow(borrow) => self.lend(term, *borrow),
                Job::Note(note) => self.note(term, note),
            };
            self.shared.busy.store(self.next.is_some(), Ordering::Relaxed);
            if lost.is_err() {
                self.recover();
                break;
            }
        }
        self.sqlite().sequence_ranges().clear();
    }

    fn take_queued(&mut self) -> Option<Job> {
        self.queue.try_recv().ok()
    }

    /// The job, unless it may write and the disk is nearly full: then it is answered.
    fn unless_full(&self, job: Job) -> Option<Job> {
        let full = || SqlError::new(SqlState::DISK_FULL, "the leader's disk is nearly full");
        if *self.hub.space.borrow() == Space::Enough {
            return Some(job);
        }
        match job {
            Job::Unit(unit) if unit.lookup => return Some(Job::Unit(unit)),
            Job::Unit(unit) => drop(unit.reply.send(Err(full().into()))),
            Job::Trial(trial) => drop(trial.reply.send(Tried::Failed(full().into()))),
            Job::Borrow(borrow) => drop(borrow.reply.send(Err(full().into()))),
            Job::Note(note) => return Some(Job::Note(note)),
        }
        None
    }

    /// Frozen for a hand-over: begins nothing, and says that nothing is unfinished.
    fn rest(&mut self, term: Term) {
        self.hub.resting.send_replace(true);
        let mut frozen = self.hub.frozen.subscribe();
        let mut leadership = self.hub.leadership.subscribe();
        let stop = self.stop.clone();
        self.handle.block_on(async {
            tokio::select! {
                _ = frozen.wait_for(|frozen| !frozen) => {}
                _ = leadership.wait_for(|l| l.term != term || l.role != Role::Leader) => {}
                () = stop.cancelled() => {}
            }
        });
        self.hub.resting.send_replace(false);
    }

    fn leads(&self, term: Term) -> bool {
        let leadership = self.hub.leadership.borrow();
        leadership.term == term && leadership.role == Role::Leader
    }

    /// Rolls back whatever is open: it is in the log, and comes back from there once
    /// it is known to be committed.
    fn recover(&mut self) {
        let sqlite = self.sqlite();
        if sqlite.in_transaction() && sqlite.execute_batch("ROLLBACK").is_err() {
            tracing::error!("a transaction could not be rolled back");
        }
        self.sqlite().effect_reset();
        // Jobs behind it have not begun.
        let refusal = self.not_leading();
        self.refuse_all(&refusal);
    }

    fn refuse_all(&mut self, refusal: &Refusal) {
        if let Some(job) = self.next.take() {
            refuse(job, refusal);
        }
        while let Ok(job) = self.queue.try_recv() {
            refuse(job, refusal);
        }
    }

    fn not_leading(&self) -> Refusal {
        let leadership = self.hub.leadership.borrow();
        let leader = leadership.leader.clone().filter(|leader| *leader != self.hub.me);
        Refusal::NotLeader { term: leadership.term, leader }
    }

    /// Waits until the role or term is another, refusing nothing: jobs stay queued.
    fn pause(&mut self, role: Role, term: Term) {
        let mut leadership = self.hub.leadership.subscribe();
        let stop = self.stop.clone();
        self.handle.block_on(async {
            tokio::select! {
                _ = leadership.wait_for(|l| l.term != term || l.role != role) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Waits for a job, or for anything that this role looks at.
    fn wait(&mut self, role: Role, patience: Option<Duration>) -> Wake {
        let mut leadership = self.hub.leadership.subscribe();
        let mut commit = self.hub.commit.subscribe();
        let mut durable = self.hub.durable.subscribe();
        let mut verified = self.hub.verified.subscribe();
        let mut frozen = self.hub.frozen.subscribe();
        let mut surplus = self.hub.surplus.subscribe();
        let mut long = self.hub.wal_is_long.subscribe();
        let following = role == Role::Follower;
        if let Err(error) = self.watch()
            && role == Role::Leader
        {
            let term = leadership.borrow().term;
            self.journal.fail(term, &error);
        }
        // Subscribed first, looked at second: nothing is missed between.
        let quarantined = self.shared.quarantined.load(Ordering::Relaxed);
        let behind = following && !quarantined && self.applier.scanned() < self.bound();
        let freezes = role == Role::Leader && *self.hub.frozen.borrow();
        let moved = self.hub.leadership.borrow().role != role;
        if moved || freezes || (behind && patience.is_none()) {
            return Wake::Look;
        }
        if patience.is_none() && self.queue.is_empty() && self.give_back() {
            return Wake::Look;
        }
        let Self { queue, reopens, stop, handle, sqlite, .. } = self;
        let patience = patience.unwrap_or(Self::WATCH_EVERY);
        handle.block_on(async {
            tokio::select! {
                Some(job) = queue.recv() => Wake::Job(job),
                Some(reopen) = reopens.recv() => Wake::Reopen(reopen),
                _ = leadership.changed() => Wake::Look,
                _ = frozen.changed() => Wake::Look,
                _ = surplus.changed() => Wake::Look,
                _ = long.changed() => Wake::Look,
                _ = commit.changed(), if following && !quarantined => Wake::Look,
                _ = durable.changed(), if following && !quarantined => Wake::Look,
                _ = verified.changed(), if following && !quarantined => Wake::Look,
                () = tokio::time::sleep(patience) => {
                    // Who has nothing to do needs no pages at hand.
                    sqlite.iter().for_each(Sqlite::release_memory);
                    Wake::Look
                }
                () = stop.cancelled() => Wake::Look,
            }
        })
    }

    /// Moves what is left in a long WAL into the file, so that the next transaction starts
    /// it over: beside a writer that never rests no checkpoint gets to its end.
    fn shorten_wal(&mut self) {
        let Some(sqlite) = self.sqlite.as_mut().filter(|sqlite| !sqlite.in_transaction()) else {
            return;
        };
        if !*self.hub.wal_is_long.borrow() {
            return;
        }
        match sqlite.checkpoint() {
            // Another checkpoint runs.
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(error) => tracing::warn!(%error, "the WAL could not be checkpointed"),
        }
        self.hub.wal_is_long.send_replace(false);
    }

    /// Gives some of the file's free pages back, if there are too many; whether it did.
    fn give_back(&mut self) -> bool {
        let surplus = *self.hub.surplus.borrow();
        let Some(sqlite) = self.sqlite.as_mut().filter(|sqlite| !sqlite.in_transaction()) else {
            return false;
        };
        if surplus == 0 {
            return false;
        }
        let step = surplus.min(Self::PAGES_AT_ONCE);
        let given = sqlite.free_pages().and_then(|before| {
            sqlite.incremental_vacuum(u32::try_from(step).expect("a small step"))?;
            Ok(before - sqlite.free_pages()?)
        });
        let left = match given {
            // A file that can't shrink, or has.
            Ok(0) => 0,
            Ok(given) => surplus.saturating_sub(given),
            Err(error) => {
                tracing::warn!(%error, "free pages could not be given back");
                0
            }
        };
        self.hub.surplus.send_replace(left);
        true
    }

    /// Goes on with another file, after a snapshot was installed.
    fn reopen(&mut self, reopen: Reopen) {
        let opened = Sqlite::open(&reopen.path, ConnectionKind::Writer)
            .and_then(|mut sqlite| sqlite.applied().map(|applied| (sqlite, applied)));
        let answer = opened.map(|(sqlite, (term, lsn))| {
            self.sqlite = Some(sqlite);
            self.applier = Applier::new(term, lsn);
            self.options.path.clone_from(&reopen.path);
            self.readers.replace(reopen.path.clone());
            self.shared.quarantined.store(false, Ordering::SeqCst);
            self.hub.quarantine.send_replace(None);
            self.hub.reason.send_replace(String::new());
            self.hub.applied.send_replace(lsn);
            lsn
        });
        // The installer may have given up waiting; the file is in use all the same.
        let _ = reopen.reply.send(answer);
    }

    /// The leadership ended before this: what was asked has not begun.
    fn refusal(&self, ended: Ended) -> Refusal {
        match ended {
            Ended::Before => self.not_leading(),
            Ended::Unknown => Refusal::Unknown,
        }
    }
}

fn refuse(job: Job, refusal: &Refusal) {
    match job {
        Job::Unit(unit) => {
            let _ = unit.reply.send(Err(refusal.clone().into()));
        }
        Job::Trial(trial) => Writer::refuse_trial(*trial, refusal),
        Job::Borrow(borrow) => {
            let _ = borrow.reply.send(Err(refusal.clone().into()));
        }
        // Dropped: its asker hears that nothing came of it.
        Job::Note(_) => {}
    }
}

/// What ends a session that was idle in its transaction for too long.
pub(super) fn idle_too_long() -> SqlError {
    loan::Revoked::Idle.error()
}
