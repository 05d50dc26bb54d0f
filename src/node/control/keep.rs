//! What the oath commands, done to disk, in order.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::KeepError;
use crate::cluster::Roll;
use crate::failover::Bound;
use crate::log::{LogEnd, Term};
use crate::storage::control_file::{Control, ControlFile};
use crate::storage::log_store::LogStore;

/// The files in which a node keeps its word.
#[derive(Clone)]
pub(super) struct Keep {
    pub control: Arc<Mutex<ControlFile>>,
    pub log: Arc<Mutex<LogStore>>,
}

impl Keep {
    /// What the node is bound to, as recorded.
    pub(super) fn bound(&self) -> Bound {
        let file = lock(&self.control);
        let Control { term, promised, led, unproven, .. } = file.get().clone();
        // A node that never heard of a term is new (P21).
        let unproven = unproven || (term == Term(0) && promised.is_none());
        Bound { term, promised, led, unproven }
    }

    /// From here on the log takes nothing of a term below; returns when that holds.
    pub(super) async fn fence(&self, term: Term) {
        let log = Arc::clone(&self.log);
        blocking(move || lock(&log).fence(term)).await;
    }

    /// Makes the log durable.
    pub(super) async fn sync_log(&self) -> Result<(), KeepError> {
        let log = Arc::clone(&self.log);
        let syncer = blocking(move || lock(&log).syncer()).await;
        blocking(move || syncer.sync()).await?;
        Ok(())
    }

    /// Where the log ends. Durable when asked between a sync and the next append.
    pub(super) async fn end(&self) -> LogEnd {
        let log = Arc::clone(&self.log);
        blocking(move || lock(&log).end()).await
    }

    /// Records the members durably.
    pub(super) async fn persist_roll(&self, roll: Roll) -> Result<(), KeepError> {
        let control = Arc::clone(&self.control);
        let update = move || lock(&control).update(|control| control.roll = roll);
        Ok(blocking(update).await?)
    }

    /// Records durably.
    pub(super) async fn persist(&self, bound: Bound) -> Result<(), KeepError> {
        let control = Arc::clone(&self.control);
        let update = move || {
            lock(&control).update(|control| {
                control.term = bound.term;
                control.promised = bound.promised;
                control.led = bound.led;
                control.unproven = bound.unproven;
            })
        };
        Ok(blocking(update).await?)
    }
}

/// What is behind the lock is changed by single calls that leave it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the blocking pool outlives its users")
}
