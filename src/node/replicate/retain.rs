use super::{Replication, StreamError, lock};
use crate::cluster::Role;
use crate::log::Lsn;
use crate::storage::sqlite::sync_wal;

/// A connected follower that lags may keep so many times the configured bytes of the
/// log; then it re-seeds.
const LAGGING_KEEPS: u64 = 4;

impl Replication {
    /// Records the commit LSN and releases old segments, each time the log has grown
    /// by about a segment and whenever the leadership changes.
    pub(super) async fn retain(&self) {
        let mut applied = self.hub.applied.subscribe();
        let mut leadership = self.hub.leadership.subscribe();
        leadership.mark_unchanged();
        loop {
            let next = Lsn(self.hub.applied.borrow().0 + self.segment_bytes);
            tokio::select! {
                _ = applied.wait_for(|applied| *applied >= next) => {}
                _ = leadership.changed() => {}
            }
            if let Err(error) = tokio::task::block_in_place(|| self.record_commit()) {
                tracing::warn!(%error, "the commit LSN could not be recorded");
            }
            if let Err(error) = tokio::task::block_in_place(|| self.release(self.releasable())) {
                tracing::warn!(%error, "old segments could not be released");
            }
        }
    }

    /// Releases the log's segments before `before`, which is applied: what the databases have
    /// made of it is durable first, which SQLite leaves to its next checkpoint.
    pub(super) fn release(&self, before: Lsn) -> Result<(), StreamError> {
        if before > self.reader.first() {
            let path = self.database_path(lock(&self.control).get().generation);
            sync_wal(&*self.fs, &path).map_err(|source| StreamError::File { path, source })?;
            lock(&self.log).release_before(before)?;
        }
        Ok(())
    }

    /// Up to where the log may go: what is applied here, less what is retained for
    /// followers to come, and less what connected ones, and the archive, still need.
    fn releasable(&self) -> Lsn {
        let applied = self.hub.applied.borrow().0;
        let wished = applied.saturating_sub(self.retain_bytes);
        let limit = applied.saturating_sub(self.retain_bytes.saturating_mul(LAGGING_KEEPS));
        let connected = lock(&self.hub.followers).values().map(|(_, p)| p.durable.0).min();
        let archived = self.hub.archived.borrow().map(|archived| archived.0);
        let needed = connected.into_iter().chain(archived).min();
        Lsn(wished.min(needed.unwrap_or(wished).max(limit)))
    }

    /// Records what is known to be committed, as a floor for the next start.
    pub(super) fn record_commit(&self) -> Result<(), StreamError> {
        let mut control = lock(&self.control);
        // Computed under the lock: a cut lowers the hub's commit LSN first.
        let commit = self.known_commit();
        if commit > control.get().commit {
            control.update(|control| control.commit = commit)?;
        }
        Ok(())
    }

    /// What is committed and held here durably.
    fn known_commit(&self) -> Lsn {
        match self.hub.leadership.borrow().role {
            Role::Follower => self.hub.apply_bound(),
            Role::Opening | Role::Leader => {
                (*self.hub.commit.borrow()).min(*self.hub.durable.borrow())
            }
        }
    }
}
