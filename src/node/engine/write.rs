//! Statements that change the database: one that is a unit of its own goes through
//! the writer's queue, any other runs as its transaction does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::portal::{CompleteRows, Source};
use super::session::{Cancel, EngineSession, Stop, unless_cancelled};
use crate::gateway::Mode;
use crate::log::Value;
use crate::node::execute::Limits;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::node::writer::{Claim, Done, Script, Unit, command_tag};
use crate::pg::SqlError;
use crate::pg::SqlState;
use crate::sql::{Tag, TransactionModes};

/// How often a session that gave up looks whether its unit has been logged.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a write has to tell.
pub(super) struct Written {
    pub(super) rows: CompleteRows,
    pub(super) tag: String,
}

impl Written {
    pub(super) fn into_source(self) -> Source {
        Source::Complete(self.rows)
    }
}

impl EngineSession {
    /// Carries out a write.
    pub(super) async fn write(
        &mut self,
        plan: &Arc<Plan>,
        mut params: Vec<Value>,
        format: &RowFormat,
        alone: bool,
    ) -> Result<Written, Stop> {
        self.check_may_write(verb(&plan.translated.tag))?;
        if let Some(current) = &plan.translated.current_of {
            params.push(Value::Integer(self.current_row(current)?));
        }
        if self.mode == Mode::Lookup || (alone && self.open.is_none()) {
            let done = self.run_unit(None, plan, params, format).await?;
            self.saw(done.position);
            self.registers = done.registers;
            self.note_drawn(done.drawn);
            self.take_over(done.settings).await?;
            let tag = done
                .recorded_tag
                .unwrap_or_else(|| command_tag(&plan.translated.tag, done.count, done.rows.count));
            return Ok(Written { rows: CompleteRows::new(done.rows)?, tag });
        }
        self.open(false, TransactionModes::default());
        let ran = self.run_written(plan, params, format).await?;
        let tag = command_tag(&plan.translated.tag, ran.count, ran.rows.count);
        Ok(Written { rows: CompleteRows::new(ran.rows)?, tag })
    }

    /// Queues a unit and waits for its result, or until it may give up.
    pub(super) async fn run_unit(
        &mut self,
        script: Option<Script>,
        plan: &Arc<Plan>,
        params: Vec<Value>,
        format: &RowFormat,
    ) -> Result<Done, Stop> {
        let limits = self.limits();
        let lock_deadline = self.lock_patience().map(|patience| Instant::now() + patience);
        let claim = Arc::new(Claim::default());
        let (reply, answer) = oneshot::channel();
        let unit = Unit {
            script,
            plan: Arc::clone(plan),
            database: self.place.number(),
            params,
            format: format.clone(),
            token: self.token,
            lookup: self.mode == Mode::Lookup,
            durability: self.settings.durability(),
            limits: limits.clone(),
            lock_deadline,
            environment: if plan.needs_environment { self.environment() } else { Arc::default() },
            registers: self.registers,
            claim: Arc::clone(&claim),
            begun: false,
            reply,
        };
        let running = self.inner.writer.run(unit, answer);
        let done = wait_for_writer(&self.cancel, running, &claim, lock_deadline, &limits).await?;
        Ok(done?)
    }

    /// What is recorded for the request's token: the tag of a COMMIT.
    pub(super) async fn look_up_commit(&mut self) -> Result<String, Stop> {
        self.leading_term()?;
        let plan = Arc::new(Plan::nothing());
        let done = self.run_unit(None, &plan, Vec::new(), &RowFormat::default()).await;
        match done {
            Ok(Done { recorded_tag: Some(tag), .. }) => Ok(tag),
            Ok(_) => Err(SqlError::new(
                SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
                "the transaction's outcome is unknown",
            )
            .into()),
            Err(stop) => Err(stop),
        }
    }
}

/// Waits for the answer to a job, or until it may give up: cancelled, or out of time.
pub(super) async fn wait_for_writer<T>(
    cancel: &Cancel,
    running: impl Future<Output = T>,
    claim: &Claim,
    lock_deadline: Option<Instant>,
    limits: &Limits,
) -> Result<T, SqlError> {
    tokio::pin!(running);
    let deadline = lock_deadline.into_iter().chain(limits.deadline).min();
    let bounded = async {
        match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), &mut running).await.ok(),
            None => Some((&mut running).await),
        }
    };
    match unless_cancelled(cancel, bounded).await {
        Some(Some(answer)) => Ok(answer),
        // Not begun yet: it never will be.
        gave_up if !claim.taken.swap(true, Ordering::AcqRel) => {
            let lock = gave_up.is_some() && limits.check().is_ok();
            Err(if lock { lock_timeout() } else { limits.interrupted() })
        }
        // The writer has it, and heeds cancel and timeout itself while it runs; once it
        // is logged nothing can be taken back: the wait ends, not the write.
        _ => loop {
            tokio::select! {
                answer = &mut running => return Ok(answer),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let gave_up = cancel.flag.load(Ordering::Relaxed) || limits.check().is_err();
                    if gave_up && claim.logged.load(Ordering::Acquire) {
                        return Err(wait_given_up());
                    }
                }
            }
        },
    }
}

/// Whoever gives up the wait for followers is not told what came of the write (rule 21).
pub(super) fn wait_given_up() -> SqlError {
    SqlError::new(
        SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
        "canceling the wait for synchronous replication: the transaction is logged, and its \
         outcome is unknown",
    )
}

fn lock_timeout() -> SqlError {
    SqlError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
}

/// The command by which an error names a statement.
fn verb(tag: &Tag) -> &'static str {
    match tag {
        Tag::Insert => "INSERT",
        Tag::Update => "UPDATE",
        Tag::Delete => "DELETE",
        Tag::Merge => "MERGE",
        Tag::Copy => "COPY FROM",
        Tag::SelectInto => "CREATE TABLE AS",
        Tag::Fixed(text) => text,
        Tag::Select | Tag::Fetch | Tag::Move => "SELECT FOR UPDATE",
    }
}
