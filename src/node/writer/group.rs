//! A group: what is queued at one moment, run inside one SQLite transaction and made
//! safe by one append and one fdatasync.
//!
//! ```text
//!   Running ──► Logged ──► Durable ──► Committed ──► told
//!     │ member fails: its savepoint is undone, it alone is told
//!     │ SQLite undid everything: the culprit is told, the others run again
//!     └ nothing changed: told at once
//! ```
//!
//! A reply leaves when all members before it are at their commit point, errors
//! included: a duplicate key may come from a row that is not yet safe. Weaker
//! durability hastens a reply only where all replies before it are as weak.

use std::sync::Arc;

use super::apply::ApplyError;
use super::ddl::SchemaChanges;
use super::job::{Done, Durability, Job, Note, Unit, UnitError};
use super::journal::Ended;
use super::notify::Notifications;
use super::outcome::{self, Recorded};
use super::sequence::{self, Reservation};
use super::trial::Trial;
use super::{Ordering, Writer};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::{Entry, LogEnd, Lsn, Outcome, Term, Transaction};
use crate::node::execute::{self, Failure, Ran, Work};
use crate::node::rows::RowBuffer;
use crate::pg::{SqlError, SqlState};
use crate::sql::Tag;
use crate::storage::sqlite::Sqlite;

/// Version of the functions compiled in; a follower refuses frames of a newer one.
pub(super) const FUNCTIONS: u16 = 1;

/// Members of one group at most.
const MEMBERS_MAX: usize = 256;
/// Bytes of statements in one group at most, about.
const BYTES_MAX: usize = 4 << 20;

/// A unit that has run.
struct Member {
    unit: Unit,
    result: Result<Done, UnitError>,
    /// Where its entries end in the group's list; equal to its predecessor's where it
    /// changed nothing.
    entries_end: usize,
    changed: bool,
}

/// A group that has run inside the open transaction.
#[derive(Default)]
struct Group {
    members: Vec<Member>,
    entries: Vec<Entry>,
}

impl Writer {
    /// Runs `first` and whatever units and trials are queued behind it. `Err` where
    /// the leadership is lost; everybody has been told then.
    pub(super) fn run_group(&mut self, term: Term, first: Job) -> Result<(), Ended> {
        let (trials, mut units) = self.gather(first);
        if !trials.is_empty() {
            self.run_trials(term, trials);
        }
        if units.is_empty() {
            return Ok(());
        }
        let group = loop {
            match self.run_units(term, units) {
                Ok(group) => break group,
                Err(rest) => units = rest,
            }
            if units.is_empty() {
                return Ok(());
            }
        };
        self.finish_group(term, group)
    }

    fn gather(&mut self, first: Job) -> (Vec<Trial>, Vec<Unit>) {
        let (mut trials, mut units, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Unit(unit) => {
                    bytes += 256 + unit.plan.text.len();
                    units.push(*unit);
                }
                Job::Trial(trial) => trials.push(*trial),
                Job::Borrow(_) | Job::Note(_) => {
                    self.next = Some(job);
                    break;
                }
            }
            let room = units.len() + trials.len() < MEMBERS_MAX && bytes < BYTES_MAX;
            next = if room { self.take_queued() } else { None };
        }
        (trials, units)
    }

    /// Runs units in one transaction. `Err` has those that must run again after
    /// SQLite undid everything.
    fn run_units(&mut self, term: Term, units: Vec<Unit>) -> Result<Group, Vec<Unit>> {
        let alone = units.len() == 1;
        let before = *self.hub.applied.borrow();
        if let Err(error) = self.begin() {
            let told = self.not_begun(term, &error);
            for unit in units {
                let _ = unit.reply.send(Err(told.clone()));
            }
            return Err(Vec::new());
        }
        let mut group = Group::default();
        let mut units = units.into_iter();
        while let Some(mut unit) = units.next() {
            match run_member(self.sqlite(), &mut group, &mut unit, alone, term, before) {
                Ok(result) => {
                    let entries_end = group.entries.len();
                    let start = group.members.last().map_or(0, |member| member.entries_end);
                    let changed = entries_end > start;
                    group.members.push(Member { unit, result, entries_end, changed });
                }
                Err(Undone(error)) => {
                    // Nothing of this group has left the node: the others run again.
                    self.sqlite().effect_reset();
                    self.sqlite().sequence_ranges().clear();
                    let _ = unit.reply.send(Err(error.into()));
                    let mut rest: Vec<_> = group.members.into_iter().map(|m| m.unit).collect();
                    rest.extend(units);
                    return Err(rest);
                }
            }
        }
        Ok(group)
    }

    fn finish_group(&mut self, term: Term, group: Group) -> Result<(), Ended> {
        let Group { members, entries } = group;
        // Whoever comes before the first change waits for nothing.
        let first = members.iter().position(|m| m.changed).unwrap_or(members.len());
        let mut members = members.into_iter();
        if first > 0 {
            let lease = self.journal.wait_lease(term);
            for member in members.by_ref().take(first) {
                self.tell(member, lease);
            }
            if entries.is_empty() {
                self.end_empty();
                return lease;
            }
        }
        let mut members: Vec<Member> = members.collect();

        let hub = Arc::clone(&self.hub);
        let awaits = members.iter().any(|m| m.unit.durability == Durability::Written);
        let awaiting = awaits.then(|| hub.awaiting_written());
        for member in &members {
            member.unit.claim.logged.store(true, Ordering::Release);
        }
        let spans = match self.journal.append(term, &entries) {
            Ok(spans) => spans,
            Err(ended) => return self.lose(members, ended),
        };
        let end = spans.last().expect("a span an entry").end;
        for member in &mut members {
            if let Ok(done) = &mut member.result
                && let Some(last) = member.entries_end.checked_sub(1)
            {
                done.position = Position { term, lsn: spans[last].end };
            }
        }
        let members = self.tell_weak(term, members, Durability::Appended);
        if let Err(ended) = self.journal.sync(term) {
            return self.lose(members, ended);
        }
        let mut members = self.tell_weak(term, members, Durability::Local);
        if members.first().is_some_and(|m| m.unit.durability == Durability::Written) {
            if let Err(ended) = self.journal.wait_written(term, end) {
                return self.lose(members, ended);
            }
            members = self.tell_weak(term, members, Durability::Written);
        }
        drop(awaiting);
        if let Err(ended) = self.journal.wait_commit(term, end) {
            return self.lose(members, ended);
        }
        let notifications = entries.iter().zip(&spans).flat_map(|(entry, span)| match entry {
            Entry::Transaction(transaction) => {
                Notifications::of(&transaction.statements).placed(Position { term, lsn: span.end })
            }
            _ => Vec::new(),
        });
        let notifications = notifications.collect();
        if let Err(ended) = self.commit(term, end, &entries) {
            return self.lose(members, ended);
        }
        self.send_notifications(notifications);
        let lease = self.journal.wait_lease(term);
        for member in members {
            if member.unit.durability == Durability::Applied && lease.is_ok() && member.changed {
                let Member { unit, result, .. } = member;
                self.journal.tell_visible(term, end, unit.reply, result);
            } else {
                self.tell(member, lease);
            }
        }
        lease
    }

    /// Tells the members in front whose wish is already met.
    fn tell_weak(&self, term: Term, members: Vec<Member>, wish: Durability) -> Vec<Member> {
        let weak = members.iter().take_while(|m| m.unit.durability <= wish).count();
        if weak == 0 {
            return members;
        }
        let lease = self.journal.wait_lease(term);
        // What is not safe yet is seen by nobody, nor waited for by its own session.
        let seen = *self.hub.applied.borrow();
        let mut members = members.into_iter();
        for mut member in members.by_ref().take(weak) {
            if let Ok(done) = &mut member.result {
                done.position.lsn = done.position.lsn.min(seen);
            }
            self.tell(member, lease);
        }
        members.collect()
    }

    fn tell(&self, member: Member, lease: Result<(), Ended>) {
        let answer = match lease {
            Ok(()) => member.result,
            // A unit that changed nothing may simply be run elsewhere.
            Err(_) if !member.changed => Err(self.not_leading().into()),
            Err(_) => Err(Refusal::Unknown.into()),
        };
        // The session may be gone.
        let _ = member.unit.reply.send(answer);
    }

    fn lose(&mut self, members: Vec<Member>, ended: Ended) -> Result<(), Ended> {
        for member in members {
            let refusal = if member.changed { self.refusal(ended) } else { self.not_leading() };
            let _ = member.unit.reply.send(Err(refusal.into()));
        }
        Err(ended)
    }

    /// What is told where no transaction could be begun. A leader whose databases can't
    /// be trusted ends its term; another runs what was asked.
    pub(super) fn not_begun(&self, term: Term, error: &ApplyError) -> UnitError {
        if matches!(error, ApplyError::Quarantined) {
            self.journal.fail(term, error);
            return self.not_leading().into();
        }
        tracing::error!(%error, "a transaction could not be begun");
        SqlError::new(SqlState::IO_ERROR, "the database can't be written now").into()
    }

    /// Writes a marker, in a transaction of its own, and looks at the databases there; or
    /// the members.
    pub(super) fn note(&mut self, term: Term, note: Note) -> Result<(), Ended> {
        if let Err(error) = self.begin() {
            // Its asker hears that nothing came of it.
            drop((self.not_begun(term, &error), note));
            return Ok(());
        }
        let Note { entry, reply } = note;
        let entries = [entry];
        let spans = self.journal.append(term, &entries)?;
        self.journal.sync(term)?;
        let at = spans[0].end;
        self.journal.wait_commit(term, at)?;
        self.commit(term, at, &entries)?;
        match &entries[0] {
            Entry::Marker { id } => self.look(*id, LogEnd { term, lsn: at }),
            Entry::Configuration(json) => self.configured(json),
            _ => {}
        }
        // Whoever asked may have left.
        let _ = reply.send(at);
        Ok(())
    }

    fn end_empty(&mut self) {
        let sqlite = self.sqlite();
        if sqlite.execute_batch("ROLLBACK").is_err() {
            tracing::error!("a transaction without changes could not be ended");
        }
        sqlite.effect_reset();
    }

    /// Commits the open transaction, whose frames are committed in the log up to `end`.
    pub(super) fn commit(&mut self, term: Term, end: Lsn, entries: &[Entry]) -> Result<(), Ended> {
        let sqlite = self.sqlite();
        let committed = (|| {
            for entry in entries {
                if let Entry::Transaction(Transaction {
                    token: Some(token),
                    outcome: Some(outcome),
                    ..
                }) = entry
                {
                    outcome::record(sqlite, *token, outcome)?;
                }
            }
            sqlite.set_applied(term, end)?;
            sqlite.execute_batch("COMMIT")
        })();
        self.sqlite().effect_reset();
        match committed {
            Ok(()) => {
                self.applier.advance(end);
                self.hub.applied.send_replace(end);
                Ok(())
            }
            Err(error) => {
                // Logged and not in SQLite: it will come from the log.
                self.journal.fail(term, &error);
                Err(Ended::Unknown)
            }
        }
    }
}

/// SQLite undid the whole transaction while this member ran.
struct Undone(SqlError);

fn run_member(
    sqlite: &mut Sqlite,
    group: &mut Group,
    unit: &mut Unit,
    alone: bool,
    term: Term,
    before: Lsn,
) -> Result<Result<Done, UnitError>, Undone> {
    let position = Position { term, lsn: before };
    if let Err(error) = check_waiting(unit) {
        return Ok(Err(error.into()));
    }
    if let Some(answer) = recorded(sqlite, group, unit, position) {
        return Ok(answer);
    }
    sqlite.effect_reset();
    execute::set_environment(sqlite, &unit.plan, &unit.environment);
    unit.limits.set(sqlite);
    let ran = run_in_savepoint(sqlite, group, unit, alone);
    sqlite.set_cancel(None, None);
    let ran = match ran? {
        Ok(ran) => ran,
        Err(error) => return Ok(Err(error.into())),
    };
    let Ran { statements, contexts: _, count, rows, registers, drawn, settings, .. } = ran;
    if !statements.is_empty() {
        let mut schema = SchemaChanges::default();
        statements.iter().for_each(|statement| schema.note(statement));
        schema
            .add_effect(sqlite)
            .map_err(|error| Undone(SqlError::new(SqlState::INTERNAL_ERROR, error.message)))?;
        let outcome = unit.token.map(|_| Outcome {
            tag: command_tag(&unit.plan.translated.tag, count, rows.count),
            reply: rows.small(outcome::REPLY_MAX).map(<[u8]>::to_vec),
        });
        group.entries.push(Entry::Transaction(Transaction {
            id: 0,
            database: unit.database,
            functions: FUNCTIONS,
            token: unit.token,
            outcome,
            statements,
            effect: sqlite.effect(),
        }));
    }
    Ok(Ok(Done { count, rows, registers, drawn, settings, position, recorded_tag: None }))
}

/// What became of a unit while it waited in the queue.
fn check_waiting(unit: &mut Unit) -> Result<(), SqlError> {
    if !unit.begun && unit.claim.taken.swap(true, Ordering::AcqRel) {
        return Err(SqlError::new(SqlState::QUERY_CANCELED, "the session has given up"));
    }
    unit.begun = true;
    unit.limits.check()?;
    if unit.lock_deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline) {
        return Err(lock_timeout());
    }
    Ok(())
}

pub(super) fn lock_timeout() -> SqlError {
    SqlError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
}

/// The answer to a unit that was carried out before, or that is only looked up.
fn recorded(
    sqlite: &mut Sqlite,
    group: &Group,
    unit: &Unit,
    position: Position,
) -> Option<Result<Done, UnitError>> {
    let token = unit.token?;
    let pending = group.entries.iter().find_map(|entry| match entry {
        Entry::Transaction(transaction) if transaction.token == Some(token) => {
            transaction.outcome.clone()
        }
        _ => None,
    });
    let found = match pending {
        Some(outcome) => Ok(Recorded::Outcome(outcome)),
        None => outcome::find(sqlite, token),
    };
    match found {
        Ok(Recorded::Outcome(outcome)) => Some(match outcome.reply {
            Some(reply) => Ok(Done {
                count: 0,
                rows: RowBuffer::from_messages(&reply, 0),
                registers: unit.registers,
                drawn: None,
                settings: Vec::new(),
                position,
                recorded_tag: Some(outcome.tag),
            }),
            None => {
                Err(unknown("the transaction was committed; its result is no longer held").into())
            }
        }),
        Ok(Recorded::Later) => {
            Some(Err(unknown("the transaction's outcome is no longer held").into()))
        }
        Ok(Recorded::Nothing { displaced: false }) if unit.lookup => {
            Some(Err(Refusal::NeverRan.into()))
        }
        Ok(Recorded::Nothing { .. }) if unit.lookup => Some(Err(unknown(
            "the transaction was not committed, or its outcome is no longer held",
        )
        .into())),
        Ok(Recorded::Nothing { .. }) => None,
        Err(error) => Some(Err(SqlError::new(SqlState::INTERNAL_ERROR, error.message).into())),
    }
}

fn unknown(message: &str) -> SqlError {
    SqlError::new(SqlState::TRANSACTION_RESOLUTION_UNKNOWN, message)
}

/// Runs the unit's statements so that a failure undoes them alone, reserving
/// sequence ranges as they are needed.
fn run_in_savepoint(
    sqlite: &mut Sqlite,
    group: &mut Group,
    unit: &Unit,
    alone: bool,
) -> Result<Result<Ran, SqlError>, Undone> {
    let now_us = execute::wall_clock_us();
    let run = |sqlite: &mut Sqlite| {
        let (mut before, registers) = match &unit.script {
            Some(script) => script.repeat(sqlite, &unit.limits)?,
            None => (Vec::new(), unit.registers),
        };
        let work = Work {
            plan: &unit.plan,
            params: &unit.params,
            format: &unit.format,
            limits: &unit.limits,
            now_us,
            registers,
            repeats: None,
        };
        let mut ran = execute::run(sqlite, &work)?;
        if !before.is_empty() {
            before.append(&mut ran.statements);
            ran.statements = before;
        }
        execute::check_deferred(sqlite).map_err(Failure::Statement)?;
        Ok(ran)
    };
    // A single statement undoes itself when it fails; only a violation found
    // afterwards needs the savepoint.
    let guarded = !alone || unit.script.is_some() || unit.plan.translated.statements.len() > 1;
    let mut extensions = sequence::Extensions::default();
    loop {
        if guarded {
            batch(sqlite, "SAVEPOINT towline_member")?;
        }
        match run(sqlite) {
            Ok(ran) => {
                if guarded {
                    batch(sqlite, "RELEASE towline_member")?;
                }
                return Ok(Ok(ran));
            }
            Err(Failure::Undone(error)) => return Err(Undone(error)),
            Err(failure) => {
                sqlite.effect_reset();
                if guarded {
                    batch(sqlite, "ROLLBACK TO towline_member; RELEASE towline_member")?;
                } else {
                    batch(sqlite, "ROLLBACK; BEGIN IMMEDIATE")?;
                }
                let Failure::NeedsRange(name) = failure else {
                    let Failure::Statement(error) = failure else { unreachable!() };
                    return Ok(Err(error));
                };
                if let Err(error) = extensions.count(&name) {
                    return Ok(Err(error));
                }
                let before = sqlite.sequence_ranges().get(&name).copied();
                // Undone above with the rest of the transaction, where the unit is alone.
                if !guarded {
                    restore_reservations(sqlite, &group.entries)?;
                }
                match sequence::reserve(sqlite, &name, before) {
                    Ok(reservation) => group.entries.push(reservation.entry(unit.database)),
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
    }
}

/// Sets again what earlier reservations of this group set.
fn restore_reservations(sqlite: &mut Sqlite, entries: &[Entry]) -> Result<(), Undone> {
    for entry in entries {
        if let Entry::SequenceReservation { name, last, .. } = entry {
            let reservation = Reservation { name: name.clone(), last: *last };
            sequence::apply(sqlite, &reservation)
                .map_err(|error| Undone(SqlError::new(SqlState::INTERNAL_ERROR, error.message)))?;
        }
    }
    Ok(())
}

fn batch(sqlite: &mut Sqlite, text: &str) -> Result<(), Undone> {
    sqlite.execute_batch(text).map_err(|error| {
        tracing::error!(%error, text, "a savepoint failed");
        if sqlite.in_transaction() {
            let _ = sqlite.execute_batch("ROLLBACK");
        }
        Undone(SqlError::new(SqlState::INTERNAL_ERROR, "the transaction could not be run"))
    })
}

/// CommandComplete's text.
pub(crate) fn command_tag(tag: &Tag, changes: i64, rows: u64) -> String {
    match tag {
        Tag::Select => format!("SELECT {rows}"),
        Tag::SelectInto => format!("SELECT {changes}"),
        Tag::Insert => format!("INSERT 0 {changes}"),
        Tag::Update => format!("UPDATE {changes}"),
        Tag::Delete => format!("DELETE {changes}"),
        Tag::Merge => format!("MERGE {changes}"),
        Tag::Copy => format!("COPY {changes}"),
        Tag::Fetch => format!("FETCH {rows}"),
        Tag::Move => format!("MOVE {rows}"),
        Tag::Fixed(text) => (*text).to_owned(),
    }
}
