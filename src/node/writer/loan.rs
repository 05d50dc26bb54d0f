//! The writer's connection on loan to a session that runs a transaction itself.
//!
//! The connection lies in a slot that both sides can reach. The session takes it out
//! for the time of a statement; between statements it lies there, so that the writer
//! thread can end the loan of a holder that is idle, gone, or deposed, without
//! asking it.
//!
//! ```text
//!            take            put
//!   Lying ────────► Running ─────► Lying          (session)
//!   Lying ── finish(Commit | Rollback), drop ──► Asked ──► back with the writer thread
//!   Lying ── revoke ──► Revoked                   (writer thread; the session hears why
//!                                                  at its next step)
//!   Lying, not pinned ── park ──► Parked          (writer thread, when others wait: the
//!                                                  session goes on with trials)
//! ```
//!
//! A loan is pinned while its session serves a request, and for good once the
//! transaction has done what its [`Script`] can't repeat.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ddl::SchemaChanges;
use super::job::{Done, Durability, UnitError};
use super::journal::{Ended, Journal};
use super::notify::{Mark, Notifications};
use super::sequence::{self, Reservation};
use super::trial::Script;
use crate::gateway::Refusal;
use crate::log::{self, ClientToken, Entry, Lsn, Outcome, Term};
use crate::node::errors;
use crate::node::execute::{self, Failure, Limits, Ran, Work};
use crate::pg::types::Display;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::Deferral;
use crate::storage::sqlite::{Sqlite, SqliteError, UndoMark};

/// Statements held in memory before they are shipped as a part, bytes.
const PART_BYTES: usize = 1 << 20;

/// The writer's connection, inside one transaction. Dropping it rolls back.
pub(crate) struct Loan {
    shared: Arc<Shared>,
    term: Term,
    /// The number of the session's database.
    database: u32,
    journal: Journal,
    transcript: Transcript,
    /// Start of the transaction: its `now()`.
    now_us: i64,
    /// The LSN that the database stood at when the loan began.
    began_at: Lsn,
}

struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

struct Slot {
    /// `None` while a statement runs, and after the end.
    sqlite: Option<Sqlite>,
    /// Since when it has been lying here.
    idle_since: Instant,
    /// What the session wants done with it.
    asked: Option<End>,
    /// Why the writer thread took it back.
    revoked: Option<Revoked>,
    /// The writer thread must not park it.
    pinned: bool,
    /// Others have come, or it was unpinned: the writer thread looks again.
    poked: bool,
    left: Left,
}

/// What a transaction leaves behind however it ends.
#[derive(Default)]
pub(super) struct Left {
    /// Id of the parts that were shipped; 0 where there are none.
    pub parts: u64,
    /// Ranges that stay reserved.
    pub reservations: Vec<Reservation>,
}

/// How a loan ends.
pub(super) enum End {
    Commit(Box<Commit>),
    /// Told when the connection is free again.
    Rollback(Option<oneshot::Sender<()>>),
}

/// A transaction to be committed.
pub(super) struct Commit {
    pub transcript: Transcript,
    pub token: Option<ClientToken>,
    pub outcome: Option<Outcome>,
    pub durability: Durability,
    pub reply: oneshot::Sender<Result<Done, UnitError>>,
}

/// Why a loan was ended by the writer thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Revoked {
    /// Idle for longer than `idle_in_transaction_session_timeout`, or while others waited.
    Idle,
    /// The node does not lead any more, or stops.
    Ended,
    /// SQLite undid the transaction by itself.
    Undone,
    /// Others waited, and the transaction can be run again: nothing is lost.
    Parked,
}

impl Revoked {
    /// What the session tells its client.
    pub(crate) fn error(self) -> SqlError {
        match self {
            Self::Idle => SqlError::fatal(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
            Self::Ended => SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "the transaction was cut off by a change of leadership",
            )
            .with_hint("The transaction might succeed if retried."),
            // A session whose loan may be parked looks before it uses it.
            Self::Undone | Self::Parked => SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "the transaction was undone after a statement was stopped",
            )
            .with_hint("The transaction might succeed if retried."),
        }
    }
}

/// A transaction's statements so far.
#[derive(Default)]
pub(super) struct Transcript {
    /// Not yet shipped.
    statements: Vec<log::Statement>,
    /// Their size, about, bytes.
    bytes: usize,
    /// Of the shipped parts; 0 where there are none.
    pub parts: u64,
    /// Statements in the shipped parts.
    shipped: usize,
    /// Changes of the schema among the shipped ones.
    shipped_schema: SchemaChanges,
    /// What it notifies of, shipped or not.
    notifications: Notifications,
    savepoints: Vec<Savepoint>,
    /// Savepoints made so far: names them.
    made: u32,
}

struct Savepoint {
    name: String,
    /// SQLite's name for it.
    inner: String,
    mark: UndoMark,
    /// Statements before it, shipped ones included.
    statements: usize,
    notifications: Mark,
}

impl Transcript {
    /// What the final frame says, its statements in order.
    pub(super) fn into_statements(self) -> Vec<log::Statement> {
        let mut statements = self.statements;
        if self.parts == 0 {
            // Nothing was shipped, so no statement in it is undone: no savepoint matters.
            statements.retain(|s| !is_savepoint(&s.text));
        }
        statements
    }

    /// The changes of the schema among all of its statements.
    pub(super) fn schema_changes(&self) -> SchemaChanges {
        let mut changes = self.shipped_schema.clone();
        self.statements.iter().for_each(|statement| changes.note(statement));
        changes
    }

    /// What it notifies of.
    pub(super) fn take_notifications(&mut self) -> Notifications {
        std::mem::take(&mut self.notifications)
    }

    /// Whether it changed anything.
    pub(super) fn is_empty(&self) -> bool {
        self.parts == 0 && self.statements.iter().all(|s| is_savepoint(&s.text))
    }

    fn push(&mut self, statement: log::Statement) {
        self.notifications.take(&statement);
        self.bytes += size(&statement);
        self.statements.push(statement);
    }

    fn push_bare(&mut self, text: String) {
        self.push(log::Statement { text: text.into(), ..log::Statement::default() });
    }
}

/// About the bytes of memory and log that a statement takes.
fn size(statement: &log::Statement) -> usize {
    let value = |value: &log::Value| match value {
        log::Value::Text(text) => text.len() + 32,
        log::Value::Blob(blob) => blob.len() + 32,
        _ => 32,
    };
    128 + statement.text.len() + statement.params.iter().map(value).sum::<usize>()
}

/// Names of the savepoints that transactions make inside SQLite start so.
const SAVEPOINT_NAME: &str = "towline_s";

/// Whether a logged statement makes, releases or undoes to a savepoint.
pub(super) fn is_savepoint(text: &str) -> bool {
    ["SAVEPOINT ", "RELEASE ", "ROLLBACK TO "]
        .iter()
        .any(|verb| text.strip_prefix(verb).is_some_and(|name| name.starts_with(SAVEPOINT_NAME)))
}

impl Loan {
    pub(super) fn new(
        sqlite: Sqlite,
        term: Term,
        database: u32,
        journal: Journal,
        began_at: Lsn,
    ) -> Self {
        let slot = Slot {
            sqlite: Some(sqlite),
            idle_since: Instant::now(),
            asked: None,
            revoked: None,
            pinned: true,
            poked: false,
            left: Left::default(),
        };
        Self {
            shared: Arc::new(Shared { slot: Mutex::new(slot), changed: Condvar::new() }),
            term,
            database,
            journal,
            transcript: Transcript::default(),
            now_us: execute::wall_clock_us(),
            began_at,
        }
    }

    pub(super) fn lender(&self) -> Lender {
        Lender { shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn began_at(&self) -> Lsn {
        self.began_at
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.now_us
    }

    /// Sets the time that `now()` answers, where the transaction began before the loan.
    pub(crate) fn set_now_us(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    /// Keeps the writer thread from parking it. `false` where that has happened.
    pub(crate) fn pin(&self) -> bool {
        let mut slot = self.shared.slot();
        slot.pinned = true;
        slot.revoked != Some(Revoked::Parked)
    }

    /// Lets the writer thread park it, which it is told if `others` wait already.
    pub(crate) fn unpin(&self, others: bool) {
        self.shared.slot().pinned = false;
        if others {
            self.lender().poke();
        }
    }

    /// Runs a script, of which nothing must come out otherwise than it did.
    pub(crate) fn repeat(&mut self, script: &Script, limits: &Limits) -> Result<(), UnitError> {
        script.repeat_with(limits, |work, environment| {
            if let Some(environment) = environment {
                let mut taken = self.take().map_err(|revoked| revoked.error())?;
                taken.set_environment(Arc::clone(environment));
            }
            self.run(work)
        })
    }

    /// Says which constraints are deferred from here on. Fails where those that are not any
    /// more are broken.
    pub(crate) fn set_deferral(&mut self, deferral: Deferral) -> Result<(), SqlError> {
        let mut taken = self.take().map_err(Revoked::error)?;
        taken.set_database(self.database);
        let failed = |error: SqliteError| SqlError::new(SqlState::INTERNAL_ERROR, error.message);
        match taken.set_deferral(deferral).map_err(failed)? {
            None => Ok(()),
            Some(broken) => {
                let catalog = taken.catalog().map_err(failed)?;
                Err(errors::broken_key(&broken, &catalog, &Display::default()))
            }
        }
    }

    /// Takes the connection for one statement.
    pub(crate) fn take(&self) -> Result<Taken, Revoked> {
        let mut slot = self.shared.slot();
        if let Some(revoked) = slot.revoked {
            return Err(revoked);
        }
        let sqlite = slot.sqlite.take().expect("a loan runs one statement at a time");
        Ok(Taken { sqlite: Some(sqlite), shared: Arc::clone(&self.shared) })
    }

    /// Runs a plan, reserving sequence ranges as it needs them, and notes it down.
    pub(crate) fn run(&mut self, work: &Work<'_>) -> Result<Ran, UnitError> {
        let mut taken = self.take().map_err(|revoked| UnitError::Sql(revoked.error()))?;
        work.limits.set(&mut taken);
        let guarded = work.plan.translated.statements.len() > 1;
        let ran = self.run_taken(&mut taken, work, guarded);
        taken.set_cancel(None, None);
        drop(taken);
        let ran = ran?;
        for statement in &ran.statements {
            self.transcript.push(statement.clone());
        }
        self.maybe_ship()?;
        Ok(ran)
    }

    fn run_taken(
        &mut self,
        sqlite: &mut Sqlite,
        work: &Work<'_>,
        guarded: bool,
    ) -> Result<Ran, UnitError> {
        let mut extensions = sequence::Extensions::default();
        loop {
            let mark = sqlite.effect_mark();
            if guarded {
                sqlite.execute_batch("SAVEPOINT towline_plan").map_err(internal)?;
            }
            let result = execute::run(sqlite, work);
            if guarded && sqlite.in_transaction() {
                let end = match result {
                    Ok(_) => "RELEASE towline_plan",
                    Err(_) => "ROLLBACK TO towline_plan; RELEASE towline_plan",
                };
                sqlite.execute_batch(end).map_err(internal)?;
            }
            match result {
                Ok(ran) => return Ok(ran),
                Err(Failure::Statement(error)) => {
                    sqlite.effect_undo(mark);
                    return Err(error.into());
                }
                Err(Failure::Undone(error)) => {
                    self.shared.slot().revoked = Some(Revoked::Undone);
                    return Err(error.into());
                }
                Err(Failure::NeedsRange(name)) => {
                    sqlite.effect_undo(mark);
                    extensions.count(&name)?;
                    self.reserve(sqlite, &name)?;
                }
            }
        }
    }

    /// Runs a one-statement plan once for each row of `params` (as many as the text has
    /// parameters make a row), all in one context, and notes it down as one statement.
    /// How many rows that changed; `Err` names the row at fault, from 0.
    pub(crate) fn run_rows(
        &mut self,
        work: &Work<'_>,
        rows: usize,
    ) -> Result<u64, (usize, UnitError)> {
        let mut taken = self.take().map_err(|revoked| (0, revoked.error().into()))?;
        work.limits.set(&mut taken);
        let ran = self.run_rows_taken(&mut taken, work, rows);
        taken.set_cancel(None, None);
        drop(taken);
        let (statements, count) = ran?;
        if !statements.is_empty() {
            statements.into_iter().for_each(|statement| self.transcript.push(statement));
            self.maybe_ship().map_err(|error| (0, error))?;
        }
        Ok(count)
    }

    fn run_rows_taken(
        &mut self,
        sqlite: &mut Sqlite,
        work: &Work<'_>,
        rows: usize,
    ) -> Result<(Vec<log::Statement>, u64), (usize, UnitError)> {
        let mut extensions = sequence::Extensions::default();
        loop {
            let mark = sqlite.effect_mark();
            sqlite.execute_batch("SAVEPOINT towline_rows").map_err(|e| (0, internal(e)))?;
            let result = execute::run_rows(sqlite, work, rows);
            if sqlite.in_transaction() {
                let end = match result {
                    Ok(_) => "RELEASE towline_rows",
                    Err(_) => "ROLLBACK TO towline_rows; RELEASE towline_rows",
                };
                sqlite.execute_batch(end).map_err(|e| (0, internal(e)))?;
            }
            let (row, failure) = match result {
                Ok(ran) => return Ok(ran),
                Err(failed) => failed,
            };
            sqlite.effect_undo(mark);
            match failure {
                Failure::Statement(error) => return Err((row, error.into())),
                Failure::Undone(error) => {
                    self.shared.slot().revoked = Some(Revoked::Undone);
                    return Err((row, error.into()));
                }
                Failure::NeedsRange(name) => {
                    let counted = extensions.count(&name);
                    counted
                        .and_then(|()| self.reserve(sqlite, &name))
                        .map_err(|error| (row, error.into()))?;
                }
            }
        }
    }

    /// Extends the range of a sequence.
    fn reserve(&self, sqlite: &mut Sqlite, name: &str) -> Result<(), SqlError> {
        let before = sqlite.sequence_ranges().get(name).copied();
        let reservation = sequence::reserve(sqlite, name, before)?;
        let reservations = &mut self.shared.slot().left.reservations;
        reservations.retain(|r| r.name != name);
        reservations.push(reservation);
        Ok(())
    }

    /// Ships what has gathered beyond a limit.
    fn maybe_ship(&mut self) -> Result<(), UnitError> {
        let transcript = &mut self.transcript;
        if transcript.bytes < PART_BYTES {
            return Ok(());
        }
        if transcript.parts == 0 {
            transcript.parts = rand::random::<u64>().max(1);
            self.shared.slot().left.parts = transcript.parts;
        }
        let statements = std::mem::take(&mut transcript.statements);
        transcript.bytes = 0;
        statements.iter().for_each(|statement| transcript.shipped_schema.note(statement));
        transcript.shipped += statements.len();
        let (id, database) = (transcript.parts, self.database);
        let part = Entry::TransactionPart { id, database, statements };
        match self.journal.append(self.term, &[part]) {
            Ok(_) => {
                self.journal.sync_soon(self.term);
                Ok(())
            }
            // The transaction isn't complete in the log, so it can't come to be committed.
            Err(Ended::Before | Ended::Unknown) => Err(Revoked::Ended.error().into()),
        }
    }

    pub(crate) fn savepoint(&mut self, name: &str) -> Result<(), UnitError> {
        let mut sqlite = self.take().map_err(|revoked| UnitError::Sql(revoked.error()))?;
        let inner = format!("{SAVEPOINT_NAME}{}", self.transcript.made);
        sqlite.execute_batch(&format!("SAVEPOINT {inner}")).map_err(internal)?;
        let mark = sqlite.effect_mark();
        drop(sqlite);
        let transcript = &mut self.transcript;
        transcript.made += 1;
        let statements = transcript.shipped + transcript.statements.len();
        transcript.push_bare(format!("SAVEPOINT {inner}"));
        let notifications = transcript.notifications.mark();
        let name = name.to_owned();
        transcript.savepoints.push(Savepoint { name, inner, mark, statements, notifications });
        Ok(())
    }

    pub(crate) fn release(&mut self, name: &str) -> Result<(), UnitError> {
        let at = self.find(name)?;
        let mut sqlite = self.take().map_err(|revoked| UnitError::Sql(revoked.error()))?;
        let text = format!("RELEASE {}", self.transcript.savepoints[at].inner);
        sqlite.execute_batch(&text).map_err(internal)?;
        drop(sqlite);
        self.transcript.savepoints.truncate(at);
        self.transcript.push_bare(text);
        Ok(())
    }

    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<(), UnitError> {
        let at = self.find(name)?;
        let mut sqlite = self.take().map_err(|revoked| UnitError::Sql(revoked.error()))?;
        let transcript = &mut self.transcript;
        let savepoint = &transcript.savepoints[at];
        let text = format!("ROLLBACK TO {}", savepoint.inner);
        sqlite.execute_batch(&text).map_err(internal)?;
        sqlite.effect_undo(savepoint.mark);
        transcript.notifications.undo(savepoint.notifications);
        // The statement that makes the savepoint stays: it can be undone to again.
        let keep = savepoint.statements + 1;
        transcript.savepoints.truncate(at + 1);
        if keep >= transcript.shipped {
            transcript.statements.truncate(keep - transcript.shipped);
        } else {
            transcript.statements.clear();
            transcript.push_bare(text);
        }
        // Reservations outlive the undone statements.
        for reservation in &self.shared.slot().left.reservations {
            sequence::apply(&mut sqlite, reservation).map_err(internal)?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, UnitError> {
        self.transcript.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| {
            let message = format!("savepoint \"{name}\" does not exist");
            SqlError::new(SqlState::INVALID_SAVEPOINT, message).into()
        })
    }

    /// Commits. The reply comes when the transaction is safe.
    pub(crate) async fn commit(
        mut self,
        token: Option<ClientToken>,
        outcome: Option<Outcome>,
        durability: Durability,
    ) -> Result<Done, UnitError> {
        let (reply, answer) = oneshot::channel();
        let transcript = std::mem::take(&mut self.transcript);
        let commit = Commit { transcript, token, outcome, durability, reply };
        if let Err(revoked) = self.ask(End::Commit(Box::new(commit))) {
            return Err(revoked.error().into());
        }
        // The writer thread answers every commit it accepts; it ends only with the process.
        answer.await.unwrap_or(Err(Refusal::Unknown.into()))
    }

    /// Rolls back, and waits until it is done.
    pub(crate) async fn rollback(self) {
        let (reply, answer) = oneshot::channel();
        if self.ask(End::Rollback(Some(reply))).is_ok() {
            let _ = answer.await;
        }
    }

    fn ask(&self, end: End) -> Result<(), Revoked> {
        let mut slot = self.shared.slot();
        if let Some(revoked) = slot.revoked {
            return Err(revoked);
        }
        slot.asked = Some(end);
        drop(slot);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut slot = self.shared.slot();
        if slot.asked.is_none() && slot.revoked.is_none() {
            slot.asked = Some(End::Rollback(None));
        }
        drop(slot);
        self.shared.changed.notify_all();
    }
}

fn internal(error: SqliteError) -> UnitError {
    SqlError::new(SqlState::INTERNAL_ERROR, error.message).into()
}

/// The connection, out of the slot for one statement.
pub(crate) struct Taken {
    sqlite: Option<Sqlite>,
    shared: Arc<Shared>,
}

impl Deref for Taken {
    type Target = Sqlite;

    fn deref(&self) -> &Sqlite {
        self.sqlite.as_ref().expect("held until the drop")
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut Sqlite {
        self.sqlite.as_mut().expect("held until the drop")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut slot = self.shared.slot();
        slot.sqlite = self.sqlite.take();
        slot.idle_since = Instant::now();
        // Nothing else is news to the writer thread, and waking it costs more than most
        // statements do.
        let news = slot.asked.is_some() || slot.revoked.is_some() || slot.poked;
        drop(slot);
        if news {
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer thread's side of a loan.
pub(super) struct Lender {
    shared: Arc<Shared>,
}

/// What the writer thread finds when it looks at a loan.
pub(super) enum Look {
    /// The session is done with it; `None` where the loan was revoked, or SQLite
    /// undid the transaction.
    Back(Box<Sqlite>, Option<End>, Left),
    /// A statement runs.
    Running,
    /// Nothing has run since then.
    Idle(Instant),
}

impl Lender {
    /// Waits for the loan's end, at most for `patience`.
    pub(super) fn look(&self, patience: Duration) -> Look {
        let settled =
            |slot: &Slot| slot.sqlite.is_some() && (slot.asked.is_some() || slot.revoked.is_some());
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.slot(), patience, |s| !settled(s) && !s.poked);
        let mut slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        slot.poked = false;
        if slot.sqlite.is_none() {
            return Look::Running;
        }
        if !settled(&slot) {
            return Look::Idle(slot.idle_since);
        }
        let sqlite = slot.sqlite.take().expect("checked above");
        let asked = if slot.revoked.is_some() { None } else { slot.asked.take() };
        Look::Back(Box::new(sqlite), asked, std::mem::take(&mut slot.left))
    }

    /// Has the writer thread look at the loan now.
    pub(super) fn poke(&self) {
        let mut slot = self.shared.slot();
        slot.poked |= !slot.pinned;
        let looks = slot.poked;
        drop(slot);
        if looks {
            self.shared.changed.notify_all();
        }
    }

    /// Ends the loan if its transaction can go on without it; the connection comes with
    /// the next look.
    pub(super) fn park(&self) -> bool {
        let mut slot = self.shared.slot();
        let parks = !slot.pinned && slot.asked.is_none() && slot.revoked.is_none();
        if parks {
            slot.revoked = Some(Revoked::Parked);
        }
        parks
    }

    /// Ends the loan, if no statement runs; the connection comes with the next look.
    pub(super) fn revoke(&self, why: Revoked) {
        let mut slot = self.shared.slot();
        if slot.asked.is_none() {
            slot.revoked.get_or_insert(why);
        }
    }
}
