//! Advisory locks of the sessions on this node. The leader's are the cluster's: the
//! functions that take them are routed there, and run on a reader, so that no lock is
//! ever waited for by the one writer.
//!
//! They are gone with the session, or with the transaction. After a change of leader
//! the new one knows of none; the router tells a session that had some.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::activity::lock_row;
use super::portal::{CompleteRows, Source};
use super::session::{EngineSession, Stop, unless_cancelled};
use crate::log::Value;
use crate::node::errors;
use crate::node::plan::Plan;
use crate::node::rows::{RowBuffer, RowFormat};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{NamedRow, database_oid};
use crate::storage::sqlite::{AdvisoryCall, AdvisoryKey, AdvisoryLocks, NEEDS_LOCK};

/// The locks of a node.
pub(super) struct Table {
    state: Mutex<State>,
    /// Moves when a lock becomes free.
    freed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<Key, Vec<Hold>>,
    /// Who waits for what.
    waiting: BTreeMap<u64, Wish>,
    owners: u64,
    /// The owners' sessions.
    pids: BTreeMap<u64, i32>,
}

/// How often one session holds one lock, in one way.
#[derive(Clone, Copy, Debug)]
struct Hold {
    owner: u64,
    shared: bool,
    session: u32,
    transaction: u32,
}

/// A lock: each database has its own.
type Key = (u32, AdvisoryKey);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wish {
    key: Key,
    shared: bool,
    transaction: bool,
}

/// One session's locks; dropping it frees them.
pub(super) struct Owner {
    table: Arc<Table>,
    number: u64,
    /// Of the statement that runs: what it was given, and what it was refused last.
    statement: Arc<Mutex<Statement>>,
}

#[derive(Default)]
struct Statement {
    given: Vec<Wish>,
    refused: Option<Wish>,
    /// A lock was taken, by this statement or an earlier one.
    any: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { state: Mutex::default(), freed: watch::Sender::new(0) }
    }
}

impl Table {
    pub(super) fn owner(self: &Arc<Self>, pid: i32) -> Owner {
        let mut state = self.lock();
        state.owners += 1;
        let number = state.owners;
        state.pids.insert(number, pid);
        Owner { table: Arc::clone(self), number, statement: Arc::default() }
    }

    /// Rows of `pg_locks`.
    pub(super) fn rows(&self) -> Vec<NamedRow> {
        let state = self.lock();
        let held = state.held.iter().flat_map(|(key, holds)| {
            holds.iter().map(|hold| (*key, hold.owner, hold.shared, true))
        });
        let waiting = state.waiting.iter();
        let waiting = waiting.map(|(owner, wish)| (wish.key, *owner, wish.shared, false));
        held.chain(waiting)
            .map(|((database, key), owner, shared, granted)| {
                let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
                let pid = state.pids.get(&owner).copied().unwrap_or_default();
                let (class, object, words) = match key {
                    AdvisoryKey::One(key) => ((key >> 32) as u32, key as u32, 1),
                    AdvisoryKey::Two(class, object) => (class as u32, object as u32, 2),
                };
                let mut row = lock_row("advisory", pid, mode, granted);
                let cells = [
                    ("database", database_oid(database)),
                    ("classid", class.into()),
                    ("objid", object.into()),
                    ("objsubid", words),
                ];
                row.extend(cells.map(|(column, value)| (column.to_owned(), Value::Integer(value))));
                row
            })
            .collect()
    }

    fn take(&self, owner: u64, wish: Wish) -> bool {
        let mut state = self.lock();
        if state.blockers(owner, wish).next().is_some() {
            return false;
        }
        let holds = state.held.entry(wish.key).or_default();
        let at = holds.iter().position(|h| h.owner == owner && h.shared == wish.shared);
        let at = at.unwrap_or_else(|| {
            holds.push(Hold { owner, shared: wish.shared, session: 0, transaction: 0 });
            holds.len() - 1
        });
        if wish.transaction {
            holds[at].transaction += 1;
        } else {
            holds[at].session += 1;
        }
        true
    }

    /// Changes what `owner` holds, and forgets what is not held any more.
    fn release(&self, owner: u64, mut change: impl FnMut(Key, &mut Hold)) {
        let mut state = self.lock();
        let mut freed = false;
        state.held.retain(|key, holds| {
            holds.iter_mut().filter(|hold| hold.owner == owner).for_each(|hold| change(*key, hold));
            let before = holds.len();
            holds.retain(|hold| hold.session + hold.transaction > 0);
            freed |= holds.len() < before;
            !holds.is_empty()
        });
        drop(state);
        if freed {
            self.freed.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose locks stand in the way.
    fn blockers(&self, owner: u64, wish: Wish) -> impl Iterator<Item = u64> + '_ {
        let holds = self.held.get(&wish.key).map_or(&[][..], Vec::as_slice);
        let conflicts = move |hold: &&Hold| hold.owner != owner && !(hold.shared && wish.shared);
        holds.iter().filter(conflicts).map(|hold| hold.owner)
    }

    /// Whether `owner`, waiting for `wish`, would wait for itself.
    fn is_deadlock(&self, owner: u64, wish: Wish) -> bool {
        let mut seen = Vec::new();
        let mut next: Vec<u64> = self.blockers(owner, wish).collect();
        while let Some(other) = next.pop() {
            if other == owner {
                return true;
            }
            if seen.contains(&other) {
                continue;
            }
            seen.push(other);
            if let Some(wish) = self.waiting.get(&other) {
                next.extend(self.blockers(other, *wish));
            }
        }
        false
    }
}

impl Owner {
    /// What the functions of this session's statements call, in the database with this
    /// number.
    pub(super) fn calls(&self, database: u32) -> AdvisoryLocks {
        let (table, owner) = (Arc::clone(&self.table), self.number);
        let statement = Arc::clone(&self.statement);
        AdvisoryLocks::new(move |asked| {
            let mut statement = statement.lock().unwrap_or_else(PoisonError::into_inner);
            match asked {
                AdvisoryCall::Lock { key, shared, transaction } => {
                    let wish = Wish { key: (database, key), shared, transaction };
                    let taken = table.take(owner, wish);
                    if taken {
                        statement.given.push(wish);
                        statement.any = true;
                    } else {
                        statement.refused = Some(wish);
                    }
                    taken
                }
                AdvisoryCall::Unlock { key, shared } => {
                    let mut held = false;
                    table.release(owner, |at, hold| {
                        if at == (database, key) && hold.shared == shared && hold.session > 0 {
                            hold.session -= 1;
                            held = true;
                        }
                    });
                    held
                }
                AdvisoryCall::UnlockAll => {
                    table.release(owner, |_, hold| hold.session = 0);
                    true
                }
            }
        })
    }

    /// The transaction has ended.
    pub(super) fn end_transaction(&self) {
        if self.statement().any {
            self.table.release(self.number, |_, hold| hold.transaction = 0);
        }
    }

    /// All that outlives transactions is given up.
    pub(super) fn unlock_all(&self) {
        self.table.release(self.number, |_, hold| hold.session = 0);
    }

    fn begin_statement(&self) {
        let mut statement = self.statement();
        statement.given.clear();
        statement.refused = None;
    }

    /// Takes back what the statement was given before it was refused.
    fn undo_statement(&self) {
        let given = std::mem::take(&mut self.statement().given);
        for wish in given {
            self.table.release(self.number, |key, hold| {
                if key == wish.key && hold.shared == wish.shared {
                    let count =
                        if wish.transaction { &mut hold.transaction } else { &mut hold.session };
                    *count = count.saturating_sub(1);
                }
            });
        }
    }

    fn statement(&self) -> MutexGuard<'_, Statement> {
        self.statement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the session waits for what it was refused.
    fn begin_wait(&self) -> Result<Waiting<'_>, SqlError> {
        let refused = self.statement().refused;
        let mut state = self.table.lock();
        if let Some(wish) = refused {
            if state.is_deadlock(self.number, wish) {
                return Err(SqlError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected"));
            }
            state.waiting.insert(self.number, wish);
        }
        Ok(Waiting(self))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.statement().any {
            self.table.release(self.number, |_, hold| (hold.session, hold.transaction) = (0, 0));
        }
        self.table.lock().pids.remove(&self.number);
    }
}

struct Waiting<'a>(&'a Owner);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.table.lock().waiting.remove(&self.0.number);
    }
}

impl EngineSession {
    /// Carries out a query that takes or releases advisory locks, waiting for them.
    pub(super) async fn run_advisory(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
    ) -> Result<Source, Stop> {
        self.leading_term()?;
        let limits = self.limits();
        let lock_deadline = self.settings.lock_timeout().map(|timeout| Instant::now() + timeout);
        loop {
            // Before the attempt, so that nothing freed meanwhile is missed.
            let mut freed = self.inner.advisory.freed.subscribe();
            self.locks.begin_statement();
            match self.attempt_advisory(plan, params, format).await {
                Err(Stop::Sql(error)) if error.state == NEEDS_LOCK => {}
                done => return done,
            }
            self.locks.undo_statement();
            let waiting = self.locks.begin_wait()?;
            let deadline = lock_deadline.into_iter().chain(limits.deadline).min();
            let bounded = async {
                match deadline {
                    Some(at) => tokio::time::timeout_at(at.into(), freed.changed()).await.is_ok(),
                    None => freed.changed().await.is_ok(),
                }
            };
            let woken = unless_cancelled(&self.cancel, bounded).await;
            drop(waiting);
            match woken {
                Some(true) => {}
                Some(false) if limits.check().is_ok() => {
                    return Err(SqlError::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        "canceling statement due to lock timeout",
                    )
                    .into());
                }
                _ => return Err(limits.interrupted().into()),
            }
        }
    }

    /// Runs it to its end once.
    async fn attempt_advisory(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
    ) -> Result<Source, Stop> {
        let mut source = self.begin_read(plan, params, format).await?;
        if let Source::Live { statement, .. } = &mut source {
            let told = |error| Stop::Sql(errors::translate(&error, plan, params));
            let mut rows = RowBuffer::default();
            while statement.step().map_err(told)? {
                rows.push(statement, &plan.translated, format)?;
            }
            return Ok(Source::Complete(CompleteRows::new(rows)?));
        }
        Ok(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(owner: &Owner, key: i64, shared: bool) -> bool {
        let key = (0, AdvisoryKey::One(key));
        owner.table.take(owner.number, Wish { key, shared, transaction: false })
    }

    #[test]
    fn a_lock_is_one_sessions_until_it_is_gone() {
        let table = Arc::new(Table::default());
        let (a, b) = (table.owner(1), table.owner(2));
        let calls = a.calls(0);
        let key = AdvisoryKey::One(1);
        let wish = AdvisoryCall::Lock { key, shared: false, transaction: false };
        assert!(calls.call(wish) && calls.call(wish));
        assert!(!lock(&b, 1, false) && !lock(&b, 1, true) && lock(&b, 2, false));
        let unlock = AdvisoryCall::Unlock { key, shared: false };
        assert!(calls.call(unlock) && !lock(&b, 1, false));
        // Another database's is another lock.
        let elsewhere = b.calls(16_385);
        assert!(calls.call(wish) && elsewhere.call(wish));
        drop((calls, a));
        assert!(lock(&b, 1, false));
    }

    #[test]
    fn shared_locks_are_shared() {
        let table = Arc::new(Table::default());
        let (a, b) = (table.owner(1), table.owner(2));
        assert!(lock(&a, 1, true) && lock(&b, 1, true) && !lock(&a, 1, false));
    }

    #[test]
    fn who_would_wait_for_itself_is_told() {
        let table = Arc::new(Table::default());
        let (a, b) = (table.owner(1), table.owner(2));
        assert!(lock(&a, 1, false) && lock(&b, 2, false));
        let wish =
            |key| Wish { key: (0, AdvisoryKey::One(key)), shared: false, transaction: false };
        a.statement().refused = Some(wish(2));
        let waiting = a.begin_wait().expect("b does not wait");
        b.statement().refused = Some(wish(1));
        assert!(b.begin_wait().is_err());
        drop(waiting);
        assert!(b.begin_wait().is_ok());
    }
}
