//! Interactive transactions that hold nothing while their client thinks.
//!
//! A statement of such a transaction is tried: on the committed state the writer runs
//! the transaction's statements so far again, then the new one, hands out its result
//! and undoes it all. At COMMIT the whole script runs once more as a member of a
//! group, and only that run is kept and logged.
//!
//! ```text
//!   statement 1          statement 2            COMMIT
//!   ┌ BEGIN              ┌ BEGIN                ┌ member of a group
//!   │ run 1 ──► client   │ run 1 again, compare │ run 1, 2 again, compare
//!   └ undo               │ run 2 ──► client     │ append, sync, commit ──► client
//!                        └ undo                 └ one differs: 40001, undone alone
//! ```
//!
//! What a client has seen is what commits: every run after the first repeats the
//! first one's contexts (clock, seed, values drawn from sequences), and its count and
//! rows must be the same; where another transaction came between and made them
//! differ the answer is 40001, for the result is already with the client and can't be
//! taken back. So the transaction takes place as a whole at its COMMIT, which keeps
//! what READ COMMITTED promises, its own writes included. `last_insert_rowid` is not
//! compared: it follows the run that counts, and where a statement shows it the rows
//! are compared.
//!
//! Only statements that visit few rows are tried, for each runs again at each that
//! follows it, and the fewer rows it looks at the less likely it comes out otherwise.
//! A write that returns rows is tried only if it drew its keys from sequences: a rowid
//! that SQLite chose is likely another at the next run. Everything else (scans, DDL,
//! COPY, cursors FOR UPDATE, savepoints, long scripts, REPEATABLE READ) takes the
//! [`loan`](super::loan), whose session runs the script on it once more, first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::Writer;
use super::job::{Claim, UnitError};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::{self, Context, Term, Value};
use crate::node::execute::{self, Failure, Limits, Ran, Registers, Work};
use crate::node::plan::Plan;
use crate::node::rows::{RowBuffer, RowFormat};
use crate::pg::{SqlError, SqlState};
use crate::sql::Tag;
use crate::storage::sqlite::{Environment, Sqlite};

/// What a transaction has done so far, so that it can be done again.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: Vec<Step>,
    /// Memory of the steps, about, bytes.
    bytes: usize,
    /// The session's when the transaction first wrote.
    start: Registers,
}

/// One statement to be run: its plan with everything that it depends on.
#[derive(Debug)]
pub(crate) struct Statement {
    pub plan: Arc<Plan>,
    pub params: Vec<Value>,
    pub format: RowFormat,
    /// Where the plan asks for it.
    pub environment: Option<Arc<Environment>>,
}

/// A statement that was run, and what its client has seen of it.
#[derive(Debug)]
struct Step {
    statement: Statement,
    /// As drawn by the first run, one for each statement of the plan.
    contexts: Vec<Context>,
    count: i64,
    rows: u64,
    /// Of the rows as they were sent.
    rows_hash: u64,
}

impl Script {
    /// Statements that are run again and again at most; the next takes the loan.
    const STEPS_MAX: usize = 24;
    /// Bytes of parameters and the like at most.
    const BYTES_MAX: usize = 256 << 10;

    pub(crate) fn new(start: Registers) -> Self {
        Self { start, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.steps.len() >= Self::STEPS_MAX || self.bytes >= Self::BYTES_MAX
    }

    /// Notes a statement down that has run behind the others. `false` if it can't be
    /// repeated so that its result comes out the same.
    #[must_use]
    pub(crate) fn push(&mut self, statement: Statement, ran: &mut Ran) -> bool {
        let Some(rows_hash) = ran.rows.hash() else { return false };
        if !repeats(&statement.plan, ran) {
            return false;
        }
        let contexts = std::mem::take(&mut ran.contexts);
        let value = |value: &Value| match value {
            Value::Text(text) => text.len() + 32,
            Value::Blob(blob) => blob.len() + 32,
            _ => 32,
        };
        self.bytes += 512 + statement.params.iter().map(value).sum::<usize>();
        let (count, rows) = (ran.count, ran.rows.count);
        self.steps.push(Step { statement, contexts, count, rows, rows_hash });
        true
    }

    /// Runs every statement again; each must do what it did. What is left to log, and
    /// the registers behind the last one.
    pub(super) fn repeat(
        &self,
        sqlite: &mut Sqlite,
        limits: &Limits,
    ) -> Result<(Vec<log::Statement>, Registers), Failure> {
        let mut statements = Vec::with_capacity(self.steps.len());
        let mut registers = self.start;
        for step in &self.steps {
            let mut ran = step.repeat(sqlite, limits, registers)?;
            statements.append(&mut ran.statements);
            registers = ran.registers;
        }
        Ok((statements, registers))
    }

    /// As [`Script::repeat`], one statement at a time, by whoever runs them.
    pub(super) fn repeat_with<E: From<SqlError>>(
        &self,
        limits: &Limits,
        mut run: impl FnMut(&Work<'_>, Option<&Arc<Environment>>) -> Result<Ran, E>,
    ) -> Result<(), E> {
        let mut registers = self.start;
        for step in &self.steps {
            let ran = run(&step.work(limits, registers), step.statement.environment.as_ref())?;
            step.check(&ran)?;
            registers = ran.registers;
        }
        Ok(())
    }
}

/// Whether another run of what has run would show its client the same, as long as
/// nobody else changes the rows that it visits.
fn repeats(plan: &Plan, ran: &Ran) -> bool {
    let drew = ran.contexts.iter().any(|context| !context.sequences.is_empty());
    let invents = matches!(plan.translated.tag, Tag::Insert) && ran.rows.count > 0 && !drew;
    let mut steps = plan.translated.statements.iter();
    // What `setval` does to the ranges that this node draws from is not undone.
    !invents && !ran.read_local && steps.all(|s| !s.text.contains("setval("))
}

impl Step {
    fn work<'a>(&'a self, limits: &'a Limits, registers: Registers) -> Work<'a> {
        let Statement { plan, params, format, .. } = &self.statement;
        let now_us = self.contexts.first().map_or(0, |context| context.now_us);
        Work { plan, params, format, limits, now_us, registers, repeats: Some(&self.contexts) }
    }

    fn repeat(
        &self,
        sqlite: &mut Sqlite,
        limits: &Limits,
        registers: Registers,
    ) -> Result<Ran, Failure> {
        if let Some(environment) = &self.statement.environment {
            sqlite.set_environment(Arc::clone(environment));
        }
        let ran = match execute::run(sqlite, &self.work(limits, registers)) {
            Ok(ran) => ran,
            // It went well before: the cause is what others did since.
            Err(Failure::Statement(error)) if error.state != SqlState::QUERY_CANCELED => {
                return Err(Failure::Statement(differs()));
            }
            Err(failure) => return Err(failure),
        };
        self.check(&ran).map_err(Failure::Statement)?;
        Ok(ran)
    }

    fn check(&self, ran: &Ran) -> Result<(), SqlError> {
        let same = ran.count == self.count
            && ran.rows.count == self.rows
            && ran.rows.hash() == Some(self.rows_hash);
        if same { Ok(()) } else { Err(differs()) }
    }
}

/// What others committed since would change what the client has been told.
fn differs() -> SqlError {
    SqlError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
    .with_hint("The transaction might succeed if retried.")
}

/// A statement to be tried.
pub(crate) struct Trial {
    pub script: Script,
    pub statement: Statement,
    /// Start of the transaction.
    pub now_us: i64,
    pub limits: Limits,
    /// As in [`Unit`](super::Unit).
    pub claim: Arc<Claim>,
    pub reply: oneshot::Sender<Tried>,
}

/// What came of a trial.
pub(crate) enum Tried {
    /// The script has the statement at its end now.
    Ran(Script, Ran, Position),
    /// It can't be tried: take the loan and run it there.
    Unfit(Script, Statement),
    /// It failed, or could not be run. The transaction has failed.
    Failed(UnitError),
}

impl Writer {
    /// Runs trials one after the other on what is committed, and undoes each.
    pub(super) fn run_trials(&mut self, term: Term, trials: Vec<Trial>) {
        let position = Position { term, lsn: *self.hub.applied.borrow() };
        for trial in trials {
            let sqlite = self.sqlite();
            if !sqlite.in_transaction()
                && let Err(error) = sqlite.execute_batch("BEGIN IMMEDIATE")
            {
                tracing::error!(%error, "a transaction could not be begun");
                let told = SqlError::new(SqlState::IO_ERROR, "the database can't be written now");
                let _ = trial.reply.send(Tried::Failed(told.into()));
                continue;
            }
            let (reply, tried) = try_out(sqlite, trial, position);
            // The session may be gone.
            let _ = reply.send(tried);
        }
        let sqlite = self.sqlite();
        if sqlite.in_transaction()
            && let Err(error) = sqlite.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a trial could not be undone");
            self.journal.fail(term, &error);
        }
        self.sqlite().effect_reset();
    }

    pub(super) fn refuse_trial(trial: Trial, refusal: &Refusal) {
        let _ = trial.reply.send(Tried::Failed(refusal.clone().into()));
    }
}

/// Runs a trial inside the open transaction and undoes it.
fn try_out(
    sqlite: &mut Sqlite,
    trial: Trial,
    position: Position,
) -> (oneshot::Sender<Tried>, Tried) {
    let Trial { mut script, statement, now_us, limits, claim, reply } = trial;
    if claim.taken.swap(true, Ordering::AcqRel) {
        let told = SqlError::new(SqlState::QUERY_CANCELED, "the session has given up");
        return (reply, Tried::Failed(told.into()));
    }
    if let Err(error) = limits.check() {
        return (reply, Tried::Failed(error.into()));
    }
    if !execute::is_quick(sqlite, &statement.plan) {
        return (reply, Tried::Unfit(script, statement));
    }
    let savepoint = |sqlite: &mut Sqlite, text| {
        sqlite.execute_batch(text).map_err(|error| {
            tracing::error!(%error, text, "a savepoint failed");
            Failure::Undone(SqlError::new(SqlState::INTERNAL_ERROR, "the statement could not run"))
        })
    };
    sqlite.effect_reset();
    limits.set(sqlite);
    let ran = savepoint(sqlite, "SAVEPOINT towline_trial").and_then(|()| {
        let (_, registers) = script.repeat(sqlite, &limits)?;
        if let Some(environment) = &statement.environment {
            sqlite.set_environment(Arc::clone(environment));
        }
        let Statement { plan, params, format, .. } = &statement;
        let limits = &limits;
        let work = Work { plan, params, format, limits, now_us, registers, repeats: None };
        execute::run(sqlite, &work)
    });
    sqlite.set_cancel(None, None);
    let undone = sqlite.in_transaction()
        && savepoint(sqlite, "ROLLBACK TO towline_trial")
            .and_then(|()| savepoint(sqlite, "RELEASE towline_trial"))
            .is_err();
    if undone {
        let _ = sqlite.execute_batch("ROLLBACK");
    }
    let tried = match ran {
        Ok(mut ran) => {
            if repeats(&statement.plan, &ran) && ran.rows.hash().is_some() {
                let noted = script.push(statement, &mut ran);
                debug_assert!(noted, "looked at before");
                Tried::Ran(script, ran, position)
            } else {
                Tried::Unfit(script, statement)
            }
        }
        Err(Failure::NeedsRange(_)) => Tried::Unfit(script, statement),
        Err(Failure::Statement(error) | Failure::Undone(error)) => Tried::Failed(error.into()),
    };
    (reply, tried)
}

/// The rows of a result, in a form that can be compared.
impl RowBuffer {
    /// `None` where they are too many to be compared.
    fn hash(&self) -> Option<u64> {
        let rows = self.small(usize::MAX)?;
        Some(if rows.is_empty() { 0 } else { xxhash_rust::xxh3::xxh3_64(rows) })
    }
}
