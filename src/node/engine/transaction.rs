//! A session's transaction: when it begins, what it holds, how it ends.
//!
//! ```text
//!            first statement of a unit of several          BEGIN
//!    none ──────────────────────────────────► implicit ─────────► explicit
//!     ▲                 BEGIN ─────────────────────────────────────►  │
//!     │   Sync, or the Query's end                      COMMIT, END   │
//!     └──────────────────────────────────────────────── ROLLBACK ─────┘
//!                                            error: failed, until ROLLBACK (TO)
//! ```
//!
//! What it holds depends on what it has done: nothing (READ COMMITTED reads), a
//! reader with a snapshot (REPEATABLE READ), and from its first write on a loan of the
//! writer's connection, on which all of it then runs. A transaction whose statements
//! can be repeated keeps them as its script: it gives the loan up when others want the
//! writer, or never takes it, and goes on with trials (see [`Trial`]).
//!
//! | script | loan | a statement                                | COMMIT                 |
//! |--------|------|--------------------------------------------|------------------------|
//! | –      | –    | reads                                      | nothing to do          |
//! | yes    | –    | is tried                                   | a unit with the script |
//! | yes    | yes  | runs on the loan, which may be parked after | the loan's             |
//! | –      | yes  | runs on the loan                           | the loan's             |

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::activity;
use super::portal::State;
use super::session::{EngineSession, Stop, unless_cancelled};
use super::settings::Settings;
use super::write::{wait_for_writer, wait_given_up};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::{Lsn, Outcome, Value};
use crate::node::execute::{Ran, wall_clock_us};
use crate::node::plan::Plan;
use crate::node::readers::Reader;
use crate::node::rows::RowFormat;
use crate::node::writer::{Borrow, Claim, Loan, Script, Statement, Trial, Tried, UnitError};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Deferral;
use crate::sql::{Isolation, Kind, TransactionModes};

/// How many transactions take the writer at once after one that held nothing failed.
const CAUTION: u32 = 32;

/// How long whoever says NOWAIT waits for the writer: while it only runs what others have
/// queued, nobody holds it.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The open transaction.
pub(super) struct Open {
    /// Begun by the client, not by a unit.
    pub(super) explicit: bool,
    pub(super) failed: bool,
    pub(super) isolation: Isolation,
    pub(super) read_only: bool,
    /// As was said: nobody is waited for.
    pub(super) deferrable: bool,
    /// What `now()` answers.
    pub(super) now_us: i64,
    /// Whether a statement has run: isolation can't change any more.
    pub(super) begun: bool,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) loan: Option<Loan>,
    /// What it has done since its first write, as long as that can be repeated.
    script: Option<Script>,
    /// Since when its client has been silent.
    rested: Instant,
    savepoints: Vec<Savepoint>,
    /// As they were when it began.
    settings: Settings,
}

/// A reader inside a read transaction.
pub(super) struct Snapshot {
    pub(super) reader: Reader,
    /// What it sees.
    pub(super) lsn: Lsn,
}

struct Savepoint {
    name: String,
    settings: Settings,
    /// The portals that the session had made by then.
    portals_made: u64,
    read_only: bool,
}

impl EngineSession {
    /// Opens the transaction of a unit with several statements, or of a client's BEGIN.
    pub(super) fn open(&mut self, explicit: bool, modes: TransactionModes) -> &mut Open {
        let TransactionModes { isolation, read_only, deferrable, .. } = modes;
        if let Some(open) = &mut self.open {
            open.explicit |= explicit;
            if !open.begun {
                open.isolation = isolation.unwrap_or(open.isolation);
                open.read_only = read_only.unwrap_or(open.read_only);
                open.deferrable = deferrable.unwrap_or(open.deferrable);
            }
        }
        if self.open.is_none() {
            self.settings.forget_deferral();
        }
        let settings = &self.settings;
        self.open.get_or_insert_with(|| Open {
            explicit,
            failed: false,
            isolation: isolation.unwrap_or_else(|| settings.default_isolation()),
            read_only: read_only.unwrap_or_else(|| settings.default_read_only()),
            deferrable: deferrable.unwrap_or_else(|| settings.default_deferrable()),
            now_us: wall_clock_us(),
            begun: false,
            snapshot: None,
            loan: None,
            script: None,
            rested: Instant::now(),
            savepoints: Vec::new(),
            settings: settings.clone(),
        })
    }

    pub(super) fn now_us(&self) -> i64 {
        self.open.as_ref().map_or_else(wall_clock_us, |open| open.now_us)
    }

    /// Fails with 25P02 where the transaction has failed.
    pub(super) fn check_not_failed(&self) -> Result<(), SqlError> {
        if self.open.as_ref().is_some_and(|open| open.explicit && open.failed) {
            return Err(SqlError::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    /// After an error: an explicit transaction has failed, an implicit one is undone.
    pub(super) async fn fail_transaction(&mut self) {
        match &mut self.open {
            Some(open) if open.explicit => open.failed = true,
            Some(_) => self.roll_back().await,
            None => {}
        }
    }

    /// Whether statements need the snapshot of the first one.
    pub(super) fn keeps_snapshot(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.explicit
                && matches!(open.isolation, Isolation::RepeatableRead | Isolation::Serializable)
        })
    }

    /// The snapshot of a REPEATABLE READ transaction, taken by its first statement.
    pub(super) async fn snapshot(&mut self) -> Result<&mut Snapshot, Stop> {
        let held = self.open.as_ref().is_some_and(|open| open.snapshot.is_some());
        if !held {
            let mut reader = self.reader().await?;
            let taken = reader.execute_batch("BEGIN").and_then(|()| reader.applied());
            let (_, lsn) = taken.map_err(|error| crate::node::errors::translate_bare(&error))?;
            let open = self.open.as_mut().expect("a snapshot belongs to a transaction");
            open.snapshot = Some(Snapshot { reader, lsn });
        }
        let open = self.open.as_mut().expect("a snapshot belongs to a transaction");
        Ok(open.snapshot.as_mut().expect("taken above"))
    }

    /// The loan of the writer's connection, held to the end of the transaction.
    pub(super) async fn loan(&mut self) -> Result<&mut Loan, Stop> {
        self.borrowed().await?;
        let open = self.open.as_mut().expect("a loan belongs to a transaction");
        open.script = None;
        Ok(open.loan.as_mut().expect("taken above"))
    }

    /// Runs a statement of a transaction that has written, or is about to.
    pub(super) async fn run_written(
        &mut self,
        plan: &Arc<Plan>,
        params: Vec<Value>,
        format: &RowFormat,
    ) -> Result<Ran, Stop> {
        let repeatable = self.may_repeat(plan);
        let environment = plan.needs_environment.then(|| self.environment());
        let mut statement =
            Statement { plan: Arc::clone(plan), params, format: format.clone(), environment };
        let registers = self.registers;
        let quiet = self.inner.writer.is_quiet();
        let open = self.open.as_mut().expect("the caller has opened it");
        if !repeatable {
            self.loan().await?;
            return self.run_on_loan(plan, &statement.params, format).await;
        }
        let script = open.script.take().unwrap_or_else(|| Script::new(registers));
        if open.loan.is_none() && !quiet {
            statement = match self.try_out(script, statement).await? {
                Ok(ran) => return Ok(ran),
                Err(unfit) => unfit,
            };
            self.loan().await?;
            return self.run_on_loan(plan, &statement.params, format).await;
        }
        open.script = Some(script);
        self.borrowed().await?;
        let mut ran = self.run_on_loan(plan, &statement.params, format).await?;
        let open = self.open.as_mut().expect("a loan belongs to a transaction");
        let quick = plan.quick.get().copied().unwrap_or(false);
        let kept = quick && open.script.as_mut().is_some_and(|s| s.push(statement, &mut ran));
        if !kept {
            open.script = None;
        }
        Ok(ran)
    }

    /// Whether the transaction could repeat what it has done and this statement.
    fn may_repeat(&self, plan: &Plan) -> bool {
        let Some(open) = &self.open else { return false };
        let begins = open.script.is_none();
        open.explicit
            && !(begins && (open.loan.is_some() || self.cautious > 0 || self.settings.locks()))
            && !open.script.as_ref().is_some_and(Script::is_full)
            && open.savepoints.is_empty()
            && self.settings.deferral() == Deferral::default()
            && open.snapshot.is_none()
            && matches!(open.isolation, Isolation::ReadCommitted | Isolation::ReadUncommitted)
            && matches!(plan.translated.kind, Kind::Write | Kind::Read { for_update: false })
    }

    /// Whether the transaction has changed something, so that reads must see it.
    pub(super) fn has_written(&self) -> bool {
        self.open.as_ref().is_some_and(Open::has_written)
    }

    /// Has the writer try a statement behind the script. `Err` has it back where it must
    /// run on the loan.
    async fn try_out(
        &mut self,
        script: Script,
        statement: Statement,
    ) -> Result<Result<Ran, Statement>, Stop> {
        let open = self.open.as_mut().expect("the caller has opened it");
        let (now_us, rested) = (open.now_us, open.rested.elapsed());
        if self.settings.idle_in_transaction_timeout().is_some_and(|max| rested > max) {
            return Err(crate::node::writer::idle_too_long().into());
        }
        self.leading_term()?;
        let limits = self.limits();
        let lock_deadline = self.lock_patience().map(|patience| Instant::now() + patience);
        let claim = Arc::new(Claim::default());
        let (reply, answer) = oneshot::channel();
        let trial = Trial {
            script,
            statement,
            now_us,
            limits: limits.clone(),
            claim: Arc::clone(&claim),
            reply,
        };
        let running = self.inner.writer.try_out(trial, answer);
        let tried = wait_for_writer(&self.cancel, running, &claim, lock_deadline, &limits).await?;
        let open = self.open.as_mut().expect("it stays open while a statement runs");
        match tried {
            Tried::Ran(script, mut ran, position) => {
                open.script = Some(script);
                open.begun = true;
                self.saw(position);
                self.took(&mut ran).await?;
                Ok(Ok(ran))
            }
            Tried::Unfit(script, statement) => {
                open.script = Some(script);
                Ok(Err(statement))
            }
            Tried::Failed(error) => {
                self.note_failure(&error);
                Err(error.into())
            }
        }
    }

    /// After a transaction could not be repeated, those that follow are not tried.
    fn note_failure(&mut self, error: &UnitError) {
        if matches!(error, UnitError::Sql(e) if e.state == SqlState::SERIALIZATION_FAILURE) {
            self.cautious = CAUTION;
        }
    }

    /// A request begins: the loan stays for its time, if it has not been parked.
    pub(super) fn pin_loan(&mut self) {
        if let Some(open) = &mut self.open
            && open.loan.as_ref().is_some_and(|loan| !loan.pin())
        {
            open.loan = None;
        }
    }

    /// A request has ended: a loan that can be done without may be parked.
    pub(super) fn unpin_loan(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.rested = Instant::now();
        if let (Some(loan), Some(_)) = (&open.loan, &open.script) {
            loan.unpin(!self.inner.writer.is_empty());
        }
    }

    /// Says of the connections that the session keeps between its requests, for a snapshot
    /// or a portal, whether it leaves them alone for now.
    pub(super) fn set_reads_resting(&self, resting: bool) {
        if let Some(snapshot) = self.open.as_ref().and_then(|open| open.snapshot.as_ref()) {
            snapshot.reader.set_resting(resting);
        }
        for portal in self.portals.values() {
            if let State::Open(source) = &portal.state {
                source.set_resting(resting);
            }
        }
    }

    /// The loan, taken where it is not held; what the transaction has done before is
    /// done again on it.
    async fn borrowed(&mut self) -> Result<&mut Loan, Stop> {
        let held = self.open.as_ref().is_some_and(|open| open.loan.is_some());
        if !held {
            self.leading_term()?;
            self.activity.claims(activity::Claim::Waits);
            let borrowed = self.borrow().await;
            self.activity.claims(if borrowed.is_ok() {
                activity::Claim::Holds
            } else {
                activity::Claim::Nothing
            });
            let mut loan = borrowed?;
            let limits = self.limits();
            let open = self.open.as_mut().expect("a loan belongs to a transaction");
            let moved = |snapshot: &Snapshot| snapshot.lsn != loan.began_at();
            if open.snapshot.as_ref().is_some_and(moved) {
                loan.rollback().await;
                return Err(SqlError::new(
                    SqlState::SERIALIZATION_FAILURE,
                    "could not serialize access due to concurrent update",
                )
                .into());
            }
            loan.set_now_us(open.now_us);
            if let Some(script) = &open.script
                && let Err(error) = loan.repeat(script, &limits)
            {
                loan.rollback().await;
                self.note_failure(&error);
                return Err(error.into());
            }
            for savepoint in &open.savepoints {
                loan.savepoint(&savepoint.name)?;
            }
            loan.set_deferral(self.settings.deferral())?;
            open.loan = Some(loan);
        }
        let open = self.open.as_mut().expect("a loan belongs to a transaction");
        Ok(open.loan.as_mut().expect("taken above"))
    }

    /// How long a statement waits for the writer, if not for ever.
    pub(super) fn lock_patience(&self) -> Option<Duration> {
        if self.no_wait { Some(AT_ONCE) } else { self.settings.lock_timeout() }
    }

    /// Queues for the writer's connection.
    async fn borrow(&mut self) -> Result<Loan, Stop> {
        let limits = self.limits();
        let patience = self.lock_patience();
        let deadlines = [patience.map(|p| Instant::now() + p), limits.deadline];
        let (reply, answer) = oneshot::channel();
        let borrow = Borrow {
            database: self.place.number(),
            token: self.token.filter(|_| !self.open.as_ref().is_some_and(|open| open.explicit)),
            limits: limits.clone(),
            lock_deadline: deadlines[0],
            idle_max: self.settings.idle_in_transaction_timeout(),
            reply,
        };
        let waiting = self.inner.writer.borrow(borrow, answer);
        let bounded = async {
            match deadlines.into_iter().flatten().min() {
                Some(deadline) => tokio::time::timeout_at(deadline.into(), waiting).await.ok(),
                None => Some(waiting.await),
            }
        };
        match unless_cancelled(&self.cancel, bounded).await {
            Some(Some(loan)) => Ok(loan?),
            Some(None) if limits.check().is_ok() => Err(SqlError::new(
                SqlState::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            )
            .into()),
            _ => Err(limits.interrupted().into()),
        }
    }

    /// Ends the implicit transaction of a unit, if one is open.
    pub(super) async fn end_implicit(&mut self, commit: bool) -> Result<(), Stop> {
        if self.open.as_ref().is_none_or(|open| open.explicit) {
            return Ok(());
        }
        if commit {
            self.commit(None).await
        } else {
            self.roll_back().await;
            Ok(())
        }
    }

    /// Commits the open transaction. `tag` is kept as its outcome under the token.
    pub(super) async fn commit(&mut self, tag: Option<&str>) -> Result<(), Stop> {
        if let Err(stop) = Box::pin(self.end_temporary()).await {
            self.roll_back().await;
            return Err(stop);
        }
        let Some(mut open) = self.open.take() else { return Ok(()) };
        self.activity.claims(activity::Claim::Nothing);
        self.end_portals(true);
        self.cautious = self.cautious.saturating_sub(1);
        let result = match (open.loan.take(), open.script.take()) {
            (None, Some(script)) if !script.is_empty() => {
                let (plan, format) = (Plan::commit(), RowFormat::default());
                match self.run_unit(Some(script), &plan, Vec::new(), &format).await {
                    Ok(done) => {
                        self.registers = done.registers;
                        Ok(done)
                    }
                    Err(Stop::Sql(error)) => {
                        let error = UnitError::Sql(error);
                        self.note_failure(&error);
                        Err(error)
                    }
                    Err(Stop::Refused(refusal)) => Err(refusal.into()),
                    Err(Stop::Gone) => Err(Refusal::Unknown.into()),
                }
            }
            (Some(loan), _) => {
                let outcome = self.token.map(|_| Outcome {
                    tag: tag.unwrap_or_default().to_owned(),
                    reply: tag.map(|_| Vec::new()),
                });
                let limits = self.limits();
                let committing = loan.commit(self.token, outcome, self.settings.durability());
                let bounded = async {
                    match limits.deadline {
                        Some(deadline) => {
                            tokio::time::timeout_at(deadline.into(), committing).await.ok()
                        }
                        None => Some(committing.await),
                    }
                };
                match unless_cancelled(&self.cancel, bounded).await {
                    Some(Some(done)) => done,
                    // From here on nobody can stop it.
                    _ => Err(wait_given_up().into()),
                }
            }
            (None, _) => {
                self.settings.commit();
                return Ok(());
            }
        };
        match result {
            Ok(done) => {
                self.saw(done.position);
                self.settings.commit();
                Ok(())
            }
            Err(error) => {
                self.settings = open.settings;
                Err(error.into())
            }
        }
    }

    /// What ON COMMIT says of the session's temporary tables.
    async fn end_temporary(&mut self) -> Result<(), Stop> {
        let schema = self.settings.temporary_schema().to_owned();
        if schema.is_empty() || !self.has_written() {
            return Ok(());
        }
        let failed = |error| crate::node::errors::translate_bare(&error);
        let database = self.place.number();
        let loan = self.loan().await?;
        let mut taken = loan.take().map_err(|revoked| revoked.error())?;
        let catalog = taken.catalog_of(database).map_err(failed)?;
        drop(taken);
        let prefix = format!("{}{schema}.", catalog.prefix);
        for (name, letter) in &catalog.on_commit {
            let Some(table) = name.strip_prefix(&prefix) else { continue };
            let table = format!("{schema}.\"{}\"", table.replace('"', "\"\""));
            let text = match letter {
                'x' => format!("DROP TABLE {table} CASCADE"),
                _ => format!("DELETE FROM {table}"),
            };
            let plan = self.plan(&text, &[]).await?;
            self.run_on_loan(&plan, &[], &RowFormat::default()).await?;
        }
        Ok(())
    }

    /// Rolls the open transaction back, its settings included.
    pub(super) async fn roll_back(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        self.cautious = self.cautious.saturating_sub(u32::from(open.failed));
        self.activity.claims(activity::Claim::Nothing);
        self.end_portals(false);
        if let Some(loan) = open.loan.take() {
            loan.rollback().await;
        }
        self.settings = open.settings;
    }

    pub(super) fn saw(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    pub(super) async fn savepoint(&mut self, name: &str) -> Result<(), Stop> {
        let (settings, portals_made) = (self.settings.clone(), self.portals_made);
        if self.has_written() {
            self.loan().await?;
        }
        let open = self.in_transaction("SAVEPOINT")?;
        if let Some(loan) = &mut open.loan {
            loan.savepoint(name)?;
        }
        let (name, read_only) = (name.to_owned(), open.read_only);
        open.savepoints.push(Savepoint { name, settings, portals_made, read_only });
        Ok(())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<(), Stop> {
        let open = self.in_transaction("RELEASE SAVEPOINT")?;
        let at = open.find(name)?;
        if let Some(loan) = &mut open.loan {
            loan.release(name)?;
        }
        open.read_only = open.savepoints[at].read_only;
        open.savepoints.truncate(at);
        Ok(())
    }

    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<(), Stop> {
        let open = self.in_transaction("ROLLBACK TO SAVEPOINT")?;
        let at = open.find(name)?;
        if let Some(loan) = &mut open.loan {
            loan.rollback_to(name)?;
        }
        open.savepoints.truncate(at + 1);
        open.failed = false;
        let Savepoint { settings, portals_made, read_only, .. } = &open.savepoints[at];
        let (settings, portals_made) = (settings.clone(), *portals_made);
        open.read_only = *read_only;
        if let Some(loan) = &mut open.loan {
            loan.set_deferral(settings.deferral())?;
        }
        self.settings = settings;
        self.portals.retain(|_, portal| portal.number <= portals_made);
        Ok(())
    }

    /// SET CONSTRAINTS, of all or of these. What is not deferred any more must hold now.
    pub(super) async fn set_constraints(
        &mut self,
        constraints: Option<&[Oid]>,
        deferred: bool,
    ) -> Result<(), Stop> {
        if self.has_written() {
            self.loan().await?;
        }
        let mut deferral = self.settings.deferral();
        deferral.set(constraints, deferred);
        self.settings.set_deferral(&deferral)?;
        if let Some(loan) = self.open.as_mut().and_then(|open| open.loan.as_mut()) {
            loan.set_deferral(deferral)?;
        }
        Ok(())
    }

    fn in_transaction(&mut self, what: &str) -> Result<&mut Open, SqlError> {
        self.open.as_mut().filter(|open| open.explicit).ok_or_else(|| {
            SqlError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{what} can only be used in transaction blocks"),
            )
        })
    }

    /// Refuses a write where it can't be: on a node that does not lead, or in a
    /// transaction that only reads.
    pub(super) fn check_may_write(&self, what: &str) -> Result<(), Stop> {
        let read_only = match &self.open {
            Some(open) => open.read_only,
            None => self.settings.default_read_only(),
        };
        if read_only {
            return Err(SqlError::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            )
            .into());
        }
        if self.inner.writer.quarantined() {
            return Err(Refusal::Unavailable("its content is being replaced".to_owned()).into());
        }
        self.leading_term()?;
        Ok(())
    }

    /// Portals end with their transaction, but for cursors WITH HOLD of one that did
    /// commit; large objects close.
    pub(super) fn end_portals(&mut self, committed: bool) {
        self.portals.retain(|_, portal| portal.held || (portal.hold && committed));
        self.portals.values_mut().for_each(|portal| portal.held = true);
        self.objects.close_all();
    }
}

impl Open {
    /// Whether a loan is held, or something was tried.
    pub(super) fn has_written(&self) -> bool {
        self.loan.is_some() || self.script.as_ref().is_some_and(|script| !script.is_empty())
    }

    /// Whether others wait until it ends: it has the loan, and could not do without.
    pub(super) fn holds_writer(&self) -> bool {
        self.loan.is_some() && self.script.is_none()
    }

    pub(super) fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, SqlError> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_SAVEPOINT,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }
}
