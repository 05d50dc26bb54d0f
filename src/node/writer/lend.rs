//! Lending the connection: the writer thread waits for it to come back, and takes it
//! back where the session does not give it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group::FUNCTIONS;
use super::job::{Borrow, Done, Durability, Reply, UnitError};
use super::journal::Ended;
use super::loan::{Commit, End, Left, Lender, Loan, Look, Revoked};
use super::notify::Notifications;
use super::outcome::{self, Recorded};
use super::sequence;
use super::{Ordering, Writer};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::{Entry, Term, Transaction};
use crate::node::execute;
use crate::node::rows::RowBuffer;
use crate::pg::{SqlError, SqlState};
use crate::storage::sqlite::Sqlite;

/// How often an unreturned loan is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Writer {
    /// Lends the connection and sees the transaction to its end. `Err` where the
    /// leadership is lost; the session has been told then.
    pub(super) fn lend(&mut self, term: Term, borrow: Borrow) -> Result<(), Ended> {
        if borrow.reply.is_closed() {
            return Ok(());
        }
        if let Err(error) = borrow.limits.check() {
            let _ = borrow.reply.send(Err(error.into()));
            return Ok(());
        }
        if borrow.lock_deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let _ = borrow.reply.send(Err(super::group::lock_timeout().into()));
            return Ok(());
        }
        if let Some(token) = borrow.token
            && !matches!(outcome::find(self.sqlite(), token), Ok(Recorded::Nothing { .. }))
        {
            let told = SqlError::new(
                SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
                "the transaction was committed; its result is no longer held",
            );
            let _ = borrow.reply.send(Err(told.into()));
            return Ok(());
        }
        if let Err(error) = self.begin() {
            let _ = borrow.reply.send(Err(self.not_begun(term, &error)));
            return Ok(());
        }
        self.sqlite().effect_reset();
        let began_at = *self.hub.applied.borrow();
        let sqlite = self.sqlite.take().expect("not on loan");
        let loan = Loan::new(sqlite, term, borrow.database, self.journal.clone(), began_at);
        let lender = loan.lender();
        *self.shared.lent() = Some(loan.lender());
        // A session that is gone drops the loan, which rolls it back.
        drop(borrow.reply.send(Ok(loan)));
        let (sqlite, end, left) = self.await_return(term, &lender, &borrow.limits, borrow.idle_max);
        *self.shared.lent() = None;
        self.sqlite = Some(sqlite);
        match end {
            Some(End::Commit(commit)) => self.commit_loan(term, borrow.database, *commit, left),
            Some(End::Rollback(reply)) => {
                let result = self.void_loan(term, borrow.database, &left);
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
                result
            }
            None => self.void_loan(term, borrow.database, &left),
        }
    }

    fn await_return(
        &mut self,
        term: Term,
        lender: &Lender,
        limits: &execute::Limits,
        idle_max: Option<Duration>,
    ) -> (Sqlite, Option<End>, Left) {
        loop {
            match lender.look(LOOK_EVERY) {
                Look::Back(sqlite, end, left) => return (*sqlite, end, left),
                Look::Running => {
                    if !self.leads(term) || self.stop.is_cancelled() {
                        lender.revoke(Revoked::Ended);
                        limits.cancel.store(true, Ordering::Relaxed);
                    }
                }
                Look::Idle(since) => {
                    let idle = since.elapsed();
                    let others = self.next.is_some() || !self.queue.is_empty();
                    if !self.leads(term) || self.stop.is_cancelled() {
                        lender.revoke(Revoked::Ended);
                    } else if others && lender.park() {
                        // It goes on without the connection.
                    } else if idle_max.is_some_and(|max| idle > max)
                        || (others && idle > self.options.idle_while_others_wait)
                    {
                        lender.revoke(Revoked::Idle);
                    }
                }
            }
        }
    }

    fn commit_loan(
        &mut self,
        term: Term,
        database: u32,
        commit: Commit,
        left: Left,
    ) -> Result<(), Ended> {
        let Commit { mut transcript, token, outcome, durability, reply } = commit;
        let whole = execute::check_deferred(self.sqlite()).and_then(|()| {
            let settled = sequence::settle(self.sqlite(), &left.reservations);
            settled
                .and_then(|settled| {
                    transcript.schema_changes().add_effect(self.sqlite())?;
                    Ok(settled)
                })
                .map_err(|error| SqlError::new(SqlState::INTERNAL_ERROR, error.message))
        });
        let settled = match whole {
            Ok(settled) => settled,
            Err(error) => {
                let result = self.void_loan(term, database, &left);
                let _ = reply.send(Err(error.into()));
                return result;
            }
        };
        let notifications = transcript.take_notifications();
        let mut entries: Vec<Entry> = left.reservations.iter().map(|r| r.entry(database)).collect();
        if !transcript.is_empty() {
            let mut statements = transcript.into_statements();
            statements.extend(settled);
            entries.push(Entry::Transaction(Transaction {
                id: left.parts,
                database,
                functions: FUNCTIONS,
                token,
                outcome,
                statements,
                effect: self.sqlite().effect(),
            }));
        }
        if entries.is_empty() {
            return self.end_unlogged(term, reply);
        }
        self.log_and_commit(term, &entries, notifications, durability, reply)
    }

    /// Ends a transaction that holds at most changes that no node keeps (temporary tables).
    fn end_unlogged(&mut self, term: Term, reply: Reply) -> Result<(), Ended> {
        let ended = self.sqlite().execute_batch("COMMIT");
        self.sqlite().effect_reset();
        let lease = self.journal.wait_lease(term);
        let position = Position { term, lsn: *self.hub.applied.borrow() };
        let _ = reply.send(match (ended, lease) {
            (Ok(()), Ok(())) => Ok(done(position)),
            (_, Err(_)) => Err(self.not_leading().into()),
            (Err(error), _) => Err(SqlError::new(SqlState::INTERNAL_ERROR, error.message).into()),
        });
        lease
    }

    /// Log first: appends, makes it as safe as the policy says, then commits. The reply
    /// goes out once the transaction is as durable as its session wants it.
    fn log_and_commit(
        &mut self,
        term: Term,
        entries: &[Entry],
        notifications: Notifications,
        durability: Durability,
        reply: Reply,
    ) -> Result<(), Ended> {
        let mut reply = Some(reply);
        let hub = Arc::clone(&self.hub);
        let awaiting = (durability == Durability::Written).then(|| hub.awaiting_written());
        let spans = match self.journal.append(term, entries) {
            Ok(spans) => spans,
            Err(Ended::Before) => {
                // Cut off before it was logged whole: it can't come to be committed.
                tell(&mut reply, Err(Revoked::Ended.error().into()));
                return Err(Ended::Before);
            }
            Err(ended) => {
                tell(&mut reply, Err(Refusal::Unknown.into()));
                return Err(ended);
            }
        };
        let end = spans.last().expect("a span an entry").end;
        let position = Position { term, lsn: end };
        // What is not safe yet is seen by nobody, nor waited for by its own session.
        let early = Position { term, lsn: *self.hub.applied.borrow() };
        if durability == Durability::Appended && self.journal.wait_lease(term).is_ok() {
            tell(&mut reply, Ok(done(early)));
        }
        let safe = self.journal.sync(term).and_then(|()| {
            if durability == Durability::Local && self.journal.wait_lease(term).is_ok() {
                tell(&mut reply, Ok(done(early)));
            }
            if awaiting.is_some() {
                self.journal.wait_written(term, end)?;
                if self.journal.wait_lease(term).is_ok() {
                    tell(&mut reply, Ok(done(early)));
                }
            }
            drop(awaiting);
            self.journal.wait_commit(term, end)
        });
        let committed = safe
            .and_then(|()| self.commit(term, end, entries))
            .inspect(|()| self.send_notifications(notifications.placed(position)))
            .and_then(|()| self.journal.wait_lease(term));
        match committed {
            Ok(()) if durability == Durability::Applied => {
                if let Some(reply) = reply.take() {
                    self.journal.tell_visible(term, end, reply, Ok(done(position)));
                }
            }
            Ok(()) => tell(&mut reply, Ok(done(position))),
            Err(_) => tell(&mut reply, Err(Refusal::Unknown.into())),
        }
        committed
    }

    /// Rolls back, and keeps in the log what outlives it.
    fn void_loan(&mut self, term: Term, database: u32, left: &Left) -> Result<(), Ended> {
        let sqlite = self.sqlite();
        sqlite.set_cancel(None, None);
        if sqlite.in_transaction()
            && let Err(error) = sqlite.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
            self.journal.fail(term, &error);
            return Err(Ended::Unknown);
        }
        sqlite.effect_reset();
        let mut entries: Vec<Entry> = left.reservations.iter().map(|r| r.entry(database)).collect();
        if left.parts != 0 {
            entries.push(Entry::Abort { id: left.parts });
        }
        if entries.is_empty() || !self.leads(term) {
            return Ok(());
        }
        let redone = (|| {
            let sqlite = self.sqlite();
            sqlite.execute_batch("BEGIN IMMEDIATE")?;
            left.reservations.iter().try_for_each(|r| sequence::apply(sqlite, r))
        })();
        if let Err(error) = redone {
            // Nothing of it is logged: the values drawn are simply not handed out again
            // by this leader, which keeps its ranges.
            tracing::error!(%error, "reservations of an undone transaction were not kept");
            let _ = self.sqlite().execute_batch("ROLLBACK");
            self.journal.fail(term, &error);
            return Err(Ended::Before);
        }
        let spans = self.journal.append(term, &entries)?;
        let end = spans.last().expect("a span an entry").end;
        self.journal.sync(term)?;
        self.journal.wait_commit(term, end)?;
        self.commit(term, end, &entries)
    }
}

/// Answers, unless that was done before.
fn tell(reply: &mut Option<Reply>, answer: Result<Done, UnitError>) {
    if let Some(reply) = reply.take() {
        // The session may be gone.
        let _ = reply.send(answer);
    }
}

fn done(position: Position) -> Done {
    Done {
        count: 0,
        rows: RowBuffer::default(),
        registers: execute::Registers::default(),
        drawn: None,
        settings: Vec::new(),
        position,
        recorded_tag: None,
    }
}
