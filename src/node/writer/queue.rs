use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::{Borrow, Done, Job, Loan, Reopen, Shared, Unit, UnitError};
use crate::gateway::Refusal;
use crate::log::Lsn;
use crate::storage::sqlite::SqliteError;

/// The sessions' end of the writer's queue. Cheap to clone.
///
/// The queue is bounded and first come, first served; who finds it full waits in
/// order, too.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    jobs: mpsc::Sender<Job>,
    reopen: mpsc::Sender<Reopen>,
    shared: Arc<Shared>,
}

impl WriterHandle {
    pub(super) fn new(
        jobs: mpsc::Sender<Job>,
        reopen: mpsc::Sender<Reopen>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { jobs, reopen, shared }
    }

    /// Runs a unit; `answer` belongs to its `reply`.
    pub(crate) async fn run(
        &self,
        unit: Unit,
        answer: oneshot::Receiver<Result<Done, UnitError>>,
    ) -> Result<Done, UnitError> {
        if self.jobs.send(Job::Unit(Box::new(unit))).await.is_err() {
            return Err(stopping().into());
        }
        // A thread that ended with the unit queued has not begun it, but one that
        // ended while running it can't be told apart.
        answer.await.unwrap_or(Err(Refusal::Unknown.into()))
    }

    /// Takes the writer's connection once everything queued before is done.
    pub(crate) async fn borrow(
        &self,
        borrow: Borrow,
        answer: oneshot::Receiver<Result<Loan, UnitError>>,
    ) -> Result<Loan, UnitError> {
        if self.jobs.send(Job::Borrow(Box::new(borrow))).await.is_err() {
            return Err(stopping().into());
        }
        answer.await.unwrap_or(Err(stopping().into()))
    }

    /// Goes on with the database file at `path`; returns the LSN that it stands at.
    /// `None` where the writer is stopping.
    pub(crate) async fn reopen(&self, path: PathBuf) -> Option<Result<Lsn, SqliteError>> {
        let (reply, answer) = oneshot::channel();
        self.reopen.send(Reopen { path, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Whether this node's content is known to differ from the leader's.
    pub(crate) fn quarantined(&self) -> bool {
        self.shared.quarantined.load(Ordering::Acquire)
    }
}

fn stopping() -> Refusal {
    Refusal::Unavailable("the node is stopping".to_owned())
}
