//! Statements that only read, on a reader: the snapshot of the moment, or that of the
//! transaction.

use std::sync::Arc;

use super::portal::{CompleteRows, Source};
use super::session::{EngineSession, Stop};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::Value;
use crate::node::errors;
use crate::node::execute::{self, Limits, Work};
use crate::node::plan::{Plan, read_through};
use crate::node::rows::RowFormat;
use crate::storage::sqlite::{Sqlite, Statement};

impl EngineSession {
    /// Begins a read: the source of its rows, of which none is fetched yet.
    pub(super) async fn begin_read(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
    ) -> Result<Source, Stop> {
        if self.has_written() {
            let ran = self.run_written(plan, params.to_vec(), format).await?;
            return Ok(Source::Complete(CompleteRows::of(plan, ran.rows)?));
        }
        let strong = self.settings.strong_reads();
        if strong {
            let (term, lsn) = (self.leading_term()?, self.inner.hub.shown());
            self.await_position(Position { term, lsn }).await?;
        }
        let limits = self.limits();
        let now_us = self.now_us();
        if self.keeps_snapshot() {
            let environment = plan.needs_environment.then(|| self.environment());
            self.snapshot().await?;
            if strong {
                self.check_lease()?;
            }
            let snapshot = self.snapshot().await?;
            if let Some(environment) = environment {
                snapshot.reader.set_environment(environment);
            }
            let reader = &mut snapshot.reader;
            let prepare = || prepare(reader, plan, params, &limits, now_us);
            let statement = read_through(&plan.text, prepare)?;
            let lsn = snapshot.lsn;
            let term = self.inner.hub.leadership.borrow().term;
            self.saw(Position { term, lsn });
            if let Some(open) = &mut self.open {
                open.begun = true;
            }
            return Ok(Source::Live { statement, _reader: None, limits });
        }
        // What it sees is at least what is applied before it begins.
        let seen = Position {
            term: self.inner.hub.leadership.borrow().term,
            lsn: *self.inner.hub.applied.borrow(),
        };
        let mut reader = self.reader().await?;
        if strong {
            let snapshot = reader.execute_batch("BEGIN").and_then(|()| reader.applied());
            snapshot.map_err(|error| errors::translate_bare(&error))?;
            self.check_lease()?;
        }
        self.surround(&mut reader, plan);
        let prepare = || prepare(&mut reader, plan, params, &limits, now_us);
        let statement = read_through(&plan.text, prepare)?;
        self.saw(seen);
        if let Some(open) = &mut self.open {
            open.begun = true;
        }
        Ok(Source::Live { statement, _reader: Some(reader), limits })
    }

    /// Runs a plan on the loan, which is held.
    pub(super) async fn run_on_loan(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
    ) -> Result<execute::Ran, Stop> {
        let limits = self.limits();
        let environment = plan.needs_environment.then(|| self.environment());
        let registers = self.registers;
        let open = self.open.as_mut().expect("a loan belongs to a transaction");
        open.begun = true;
        let loan = open.loan.as_mut().expect("the caller has taken it");
        let quick = {
            let mut taken = loan.take().map_err(|revoked| revoked.error())?;
            if let Some(environment) = environment {
                taken.set_environment(environment);
            }
            execute::is_quick(&mut taken, plan)
        };
        let now_us = loan.now_us();
        let limits = &limits;
        let work = Work { plan, params, format, limits, now_us, registers, repeats: None };
        let mut ran =
            if quick { loan.run(&work)? } else { tokio::task::block_in_place(|| loan.run(&work))? };
        self.took(&mut ran).await?;
        Ok(ran)
    }

    /// Notes what a statement that was run on the writer leaves to the session.
    pub(super) async fn took(&mut self, ran: &mut execute::Ran) -> Result<(), Stop> {
        self.registers = ran.registers;
        self.note_drawn(ran.drawn.take());
        self.take_over(std::mem::take(&mut ran.settings)).await?;
        Ok(())
    }

    /// A strong read is the leader's, inside its lease: looked at once it has its snapshot,
    /// so that nobody else led before.
    fn check_lease(&self) -> Result<(), Refusal> {
        let term = self.leading_term()?;
        if self.inner.hub.check_lease(term) {
            Ok(())
        } else {
            Err(Refusal::Unavailable(format!("the lease of term {term} has run out")))
        }
    }
}

/// Prepares a plan's statements; those before the last are run.
fn prepare(
    sqlite: &mut Sqlite,
    plan: &Arc<Plan>,
    params: &[Value],
    limits: &Limits,
    now_us: i64,
) -> Result<Statement, Stop> {
    let told = |error| errors::translate(&error, plan, params);
    sqlite.set_database(plan.database());
    sqlite.set_context(&execute::fresh_context(now_us, execute::Registers::default()));
    let steps = &plan.translated.statements;
    let Some((last, before)) = steps.split_last() else {
        return Err(crate::pg::SqlError::unsupported("this statement").into());
    };
    for step in before {
        let mut statement = sqlite.prepare(&step.text).map_err(told)?;
        statement.bind_all(params).map_err(told)?;
        while statement.step().map_err(told)? {}
    }
    let mut statement = sqlite.prepare(&last.text).map_err(told)?;
    if !statement.is_point() {
        limits.set(sqlite);
    }
    statement.bind_all(params).map_err(told)?;
    Ok(statement)
}
