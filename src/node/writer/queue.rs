use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::{Borrow, Done, Job, Loan, Note, Reopen, Shared, Trial, Tried, Unit, UnitError};
use crate::gateway::Refusal;
use crate::log::{Entry, Lsn};
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
        if !self.queue(Job::Unit(Box::new(unit))).await {
            return Err(stopping().into());
        }
        // A thread that ended with the unit queued has not begun it, but one that
        // ended while running it can't be told apart.
        answer.await.unwrap_or(Err(Refusal::Unknown.into()))
    }

    /// Tries a statement; `answer` belongs to its `reply`.
    pub(crate) async fn try_out(&self, trial: Trial, answer: oneshot::Receiver<Tried>) -> Tried {
        if !self.queue(Job::Trial(Box::new(trial))).await {
            return Tried::Failed(stopping().into());
        }
        answer.await.unwrap_or(Tried::Failed(stopping().into()))
    }

    /// Whether nobody wants anything of the writer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_empty() && !self.shared.busy.load(Ordering::Relaxed)
    }

    /// Whether nobody waits for the writer.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.capacity() == self.jobs.max_capacity()
    }

    /// Queues a job, and tells whoever holds the connection. `false` where the writer
    /// is stopping.
    async fn queue(&self, job: Job) -> bool {
        if self.jobs.send(job).await.is_err() {
            return false;
        }
        if let Some(lender) = &*self.shared.lent() {
            lender.poke();
        }
        true
    }

    /// Takes the writer's connection once everything queued before is done.
    pub(crate) async fn borrow(
        &self,
        borrow: Borrow,
        answer: oneshot::Receiver<Result<Loan, UnitError>>,
    ) -> Result<Loan, UnitError> {
        if !self.queue(Job::Borrow(Box::new(borrow))).await {
            return Err(stopping().into());
        }
        answer.await.unwrap_or(Err(stopping().into()))
    }

    /// Puts a marker or a configuration into the log; returns its end once it is
    /// committed, `None` where this node does not lead.
    pub(crate) async fn note(&self, entry: Entry) -> Option<Lsn> {
        let (reply, answer) = oneshot::channel();
        self.queue(Job::Note(Note { entry, reply })).await.then_some(())?;
        answer.await.ok()
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
