//! The leader's side of the log: append, sync, wait until it is safe.
//!
//! What has been appended may have left the node, so nothing after a successful
//! append may be told as failed: from there on an ended leadership means "outcome
//! unknown".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::job::{Done, Reply, UnitError};
use crate::cluster::Role;
use crate::gateway::Refusal;
use crate::log::{Entry, FrameSpan, Lsn, Term};
use crate::node::hub::Hub;
use crate::storage::log_store::{LogError, LogStore, LogSync};

/// The leadership ended, or can't go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// Before anything of this transaction could leave the node.
    Before,
    /// After that: it may come to be committed or not.
    Unknown,
}

/// Appends frames, and waits for them. Cheap to clone; only whoever holds the
/// writer's connection uses it.
#[derive(Clone)]
pub(super) struct Journal {
    hub: Arc<Hub>,
    log: Arc<Mutex<LogStore>>,
    sync: LogSync,
    handle: Handle,
    /// The node ends: nothing is waited for any more.
    stop: CancellationToken,
}

impl Journal {
    /// How often a lapsed lease is looked at again.
    const LEASE_POLL: Duration = Duration::from_millis(1);

    pub(super) fn new(
        hub: Arc<Hub>,
        log: Arc<Mutex<LogStore>>,
        handle: Handle,
        stop: CancellationToken,
    ) -> Self {
        let sync = lock(&log).syncer();
        Self { hub, log, sync, handle, stop }
    }

    /// Whether this node holds `term` as its leader, open or opening.
    pub(super) fn leads(&self, term: Term) -> bool {
        let leadership = self.hub.leadership.borrow();
        leadership.term == term && leadership.role != Role::Follower
    }

    /// Appends entries as frames of `term` and lets the senders see them.
    pub(super) fn append(&self, term: Term, entries: &[Entry]) -> Result<Vec<FrameSpan>, Ended> {
        if !self.leads(term) {
            return Err(Ended::Before);
        }
        let mut log = lock(&self.log);
        if !matches!(entries.last(), Some(Entry::TransactionPart { .. })) {
            self.hub.logs(log.end().lsn);
        }
        match log.append(term, entries) {
            Ok(spans) => {
                // Published under the lock: another appender can't come between.
                self.hub.end.send_replace(log.end());
                Ok(spans)
            }
            Err(LogError::Fenced { .. }) => Err(Ended::Before),
            Err(error) => {
                drop(log);
                self.fail(term, &error);
                Err(Ended::Unknown)
            }
        }
    }

    /// Makes durable what was appended. A failure is final for the term.
    pub(super) fn sync(&self, term: Term) -> Result<(), Ended> {
        match self.sync.sync() {
            Ok(durable) => {
                // A deposed leader's log may have been cut meanwhile by whoever
                // follows: what it says of durability then counts alone.
                let _log = lock(&self.log);
                if !self.leads(term) {
                    return Err(Ended::Unknown);
                }
                self.hub.durable.send_if_modified(|known| {
                    let later = durable > *known;
                    *known = durable.max(*known);
                    later
                });
                self.hub.count(None);
                Ok(())
            }
            Err(error) => {
                self.fail(term, &error);
                Err(Ended::Unknown)
            }
        }
    }

    /// Has what was appended made durable while the caller goes on: so followers run a
    /// large transaction's parts, which they may do once these are committed, while the
    /// leader makes the next ones.
    pub(super) fn sync_soon(&self, term: Term) {
        let journal = self.clone();
        self.handle.spawn_blocking(move || {
            // A failure ends the term, or it has ended; the caller finds that out itself.
            let _ = journal.sync(term);
        });
    }

    /// Waits until `lsn` is committed in `term`.
    pub(super) fn wait_commit(&self, term: Term, lsn: Lsn) -> Result<(), Ended> {
        // The leadership is looked at after the commit LSN: one that moved after
        // the leadership ended says nothing of this node's own frames.
        if *self.hub.commit.borrow() < lsn {
            let mut commit = self.hub.commit.subscribe();
            let mut leadership = self.hub.leadership.subscribe();
            self.handle.block_on(async {
                tokio::select! {
                    _ = commit.wait_for(|commit| *commit >= lsn) => {}
                    _ = leadership.wait_for(|l| l.term != term || l.role == Role::Follower) => {}
                    () = self.stop.cancelled() => {}
                }
            });
        }
        if self.leads(term) && *self.hub.commit.borrow() >= lsn {
            Ok(())
        } else {
            Err(Ended::Unknown)
        }
    }

    /// Waits until `lsn` is written by as many followers as the policy demands, or more.
    pub(super) fn wait_written(&self, term: Term, lsn: Lsn) -> Result<(), Ended> {
        let mut written = self.hub.written.subscribe();
        let mut commit = self.hub.commit.subscribe();
        let mut leadership = self.hub.leadership.subscribe();
        self.handle.block_on(async {
            tokio::select! {
                _ = written.wait_for(|written| *written >= lsn) => {}
                _ = commit.wait_for(|commit| *commit >= lsn) => {}
                _ = leadership.wait_for(|l| l.term != term || l.role == Role::Follower) => {}
                () = self.stop.cancelled() => {}
            }
        });
        let stopped = self.stop.is_cancelled();
        if self.leads(term) && !stopped { Ok(()) } else { Err(Ended::Unknown) }
    }

    /// Waits until the lease holds: the last check before a reply.
    pub(super) fn wait_lease(&self, term: Term) -> Result<(), Ended> {
        while self.leads(term) && !self.stop.is_cancelled() {
            if self.hub.check_lease(term) {
                return Ok(());
            }
            std::thread::sleep(Self::LEASE_POLL);
        }
        Err(Ended::Unknown)
    }

    /// Tells a committed write's result once it is visible on as many followers as the
    /// policy demands, or the leadership ends: the writer goes on meanwhile.
    pub(super) fn tell_visible(
        &self,
        term: Term,
        lsn: Lsn,
        mut reply: Reply,
        result: Result<Done, UnitError>,
    ) {
        let journal = self.clone();
        self.handle.spawn(async move {
            let mut visible = journal.hub.visible.subscribe();
            let mut leadership = journal.hub.leadership.subscribe();
            tokio::select! {
                _ = visible.wait_for(|visible| *visible >= lsn) => {}
                _ = leadership.wait_for(|l| l.term != term || l.role == Role::Follower) => {}
                // The session has given up.
                () = reply.closed() => return,
            }
            while journal.leads(term) && !journal.hub.check_lease(term) {
                tokio::time::sleep(Self::LEASE_POLL).await;
            }
            let unknown = || Err(Refusal::Unknown.into());
            let _ = reply.send(if journal.leads(term) { result } else { unknown() });
        });
    }

    /// Reports that the term can't go on, so that `control` ends it. The first cause counts.
    pub(super) fn fail(&self, term: Term, cause: &dyn std::fmt::Display) {
        self.hub.failed.send_if_modified(|failed| {
            let is_news = failed.as_ref().is_none_or(|(known, _)| *known != term);
            if is_news {
                tracing::error!(%term, %cause, "the leadership can't go on");
                *failed = Some((term, cause.to_string()));
            }
            is_news
        });
    }
}

/// Locks the log; a panic elsewhere while it was held doesn't make its bytes wrong.
pub(crate) fn lock(log: &Mutex<LogStore>) -> MutexGuard<'_, LogStore> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
