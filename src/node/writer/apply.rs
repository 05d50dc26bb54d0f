//! Applying the log: running a leader's statements again, and checking that they did
//! the same here.
//!
//! Many frames go into one SQLite transaction, a savepoint each, so that a frame whose
//! effect differs can be undone without those before it. The applied LSN recorded
//! with them stays before the first part of a transaction that has not ended: after a
//! restart its parts are met again. Parts are read a second time from the log at the
//! final frame, so a transaction of any size costs the memory of one frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ddl::SchemaChanges;
use super::group::{DATABASE, FUNCTIONS};
use super::loan::is_savepoint;
use super::notify::{Mark, Notifications};
use super::outcome;
use super::sequence::{self, Reservation};
use super::{Ordering, Writer};
use crate::cluster::Position;
use crate::failover::Rule;
use crate::log::{Entry, FrameSpan, LogEnd, Lsn, Statement, Term, Transaction};
use crate::node::execute::{FOREIGN_KEYS_OFF, FOREIGN_KEYS_ON};
use crate::node::hub::Quarantine;
use crate::node::verify::Look;
use crate::storage::log_store::LogError;
use crate::storage::sqlite::{Sqlite, SqliteError, SqliteErrorKind, UndoMark};

/// Frames of one SQLite transaction at most.
const FRAMES_MAX: usize = 512;
/// Log bytes of one SQLite transaction at most, about.
const BYTES_MAX: u64 = 4 << 20;

/// Where the applier stands.
#[derive(Debug)]
pub(super) struct Applier {
    /// Everything below is looked at.
    scanned: Lsn,
    /// Recorded in SQLite: as `scanned`, or before the first part of an open transaction.
    applied: Lsn,
    /// Term of the last frame applied.
    term: Term,
    /// The transaction whose parts were met and whose end was not.
    open: Option<OpenParts>,
}

#[derive(Clone, Copy, Debug)]
struct OpenParts {
    id: u64,
    first: Lsn,
}

/// The log can't be applied any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("SQLite: {0}")]
    Sqlite(#[from] SqliteError),
    /// This node's content differs from the leader's.
    #[error("quarantined")]
    Quarantined,
    #[error("frame {0} needs functions of a newer version; upgrade this node")]
    NewerFunctions(Lsn),
}

/// Why a frame did not do here what it did on the leader.
enum FrameError {
    Apply(ApplyError),
    Differs(String),
}

impl From<SqliteError> for FrameError {
    fn from(error: SqliteError) -> Self {
        match error.kind {
            // The node's own trouble: tried again.
            SqliteErrorKind::Full
            | SqliteErrorKind::Io
            | SqliteErrorKind::Interrupted
            | SqliteErrorKind::Corrupt => Self::Apply(error.into()),
            _ => Self::Differs(error.message),
        }
    }
}

impl From<LogError> for FrameError {
    fn from(error: LogError) -> Self {
        Self::Apply(error.into())
    }
}

impl Applier {
    pub(super) fn new(term: Term, applied: Lsn) -> Self {
        Self { scanned: applied, applied, term, open: None }
    }

    pub(super) fn scanned(&self) -> Lsn {
        self.scanned
    }

    /// The leader committed up to `end` by itself.
    pub(super) fn advance(&mut self, end: Lsn) {
        self.scanned = end;
        self.applied = end;
        self.open = None;
    }
}

impl Writer {
    /// Applies whole frames up to `bound`.
    pub(super) fn apply(&mut self, bound: Lsn) -> Result<(), ApplyError> {
        while self.applier.scanned < bound {
            if self.shared.quarantined.load(Ordering::Relaxed) {
                return Err(ApplyError::Quarantined);
            }
            let before = self.applier.scanned;
            let result = self.apply_batch(bound);
            if result.is_err() && self.sqlite().in_transaction() {
                self.sqlite().execute_batch("ROLLBACK")?;
            }
            result?;
            if self.applier.scanned == before {
                break;
            }
        }
        Ok(())
    }

    fn apply_batch(&mut self, bound: Lsn) -> Result<(), ApplyError> {
        let start = self.applier.scanned;
        let (mut scanned, mut term, mut open) = (start, self.applier.term, self.applier.open);
        let mut differs = None;
        let mut notifications = Vec::new();
        self.begin()?;
        let sqlite = self.sqlite.as_mut().expect("not on loan");
        let mut frames = 0;
        let mut marked = None;
        while frames < FRAMES_MAX && scanned.0 - start.0 < BYTES_MAX {
            let Some((span, entry)) = self.reader.entry_within(scanned, bound)? else { break };
            if let Entry::Marker { id } = entry {
                // The batch ends here, so that the databases can be looked at.
                marked = Some(id);
                (scanned, term) = (span.end, span.term);
                break;
            }
            sqlite.execute_batch("SAVEPOINT towline_frame")?;
            sqlite.effect_reset();
            let applied = apply_frame(sqlite, &self.reader, span, entry, &mut open);
            match applied {
                Ok(of_frame) => {
                    sqlite.execute_batch("RELEASE towline_frame")?;
                    let position = Position { term: span.term, lsn: span.end };
                    notifications.extend(of_frame.placed(position));
                }
                Err(FrameError::Apply(error)) => return Err(error),
                Err(FrameError::Differs(cause)) => {
                    sqlite.set_foreign_keys(true)?;
                    if !sqlite.in_transaction() {
                        return Err(ApplyError::Quarantined);
                    }
                    sqlite.execute_batch("ROLLBACK TO towline_frame; RELEASE towline_frame")?;
                    differs = Some((span, cause));
                    break;
                }
            }
            scanned = span.end;
            term = span.term;
            frames += 1;
        }
        let applied = open.map_or(scanned, |open| open.first);
        if applied > self.applier.applied {
            sqlite.set_applied(term, applied)?;
        }
        sqlite.execute_batch("COMMIT")?;
        sqlite.effect_reset();
        self.applier = Applier { scanned, applied, term, open };
        self.hub.applied.send_if_modified(|known| std::mem::replace(known, applied) != applied);
        self.send_notifications(notifications);
        if let Some(id) = marked {
            self.look(id, LogEnd { term, lsn: scanned });
        }
        match differs {
            None => Ok(()),
            Some((span, cause)) => {
                self.quarantine(span, &cause);
                Err(ApplyError::Quarantined)
            }
        }
    }

    /// Begins a transaction, unless the databases can't be trusted.
    pub(super) fn begin(&mut self) -> Result<(), ApplyError> {
        if self.shared.quarantined.load(Ordering::Relaxed) {
            return Err(ApplyError::Quarantined);
        }
        let sqlite = self.sqlite();
        sqlite.execute_batch("BEGIN IMMEDIATE")?;
        // Looked at under the lock: from here on nobody else can write.
        if !sqlite.changed_from_outside()? {
            return Ok(());
        }
        sqlite.execute_batch("ROLLBACK")?;
        let at = *self.hub.applied.borrow();
        let reason = format!(
            "another program changed the database file, which stood at {at}: quarantined until \
             it is seeded anew"
        );
        self.hub.notice(Rule::Drift, Some(at), reason);
        self.shared.quarantined.store(true, Ordering::SeqCst);
        let reason = "quarantined: another program changed the database file";
        self.hub.reason.send_replace(reason.to_owned());
        self.hub.quarantine.send_replace(Some(Quarantine::Edited(at)));
        Err(ApplyError::Quarantined)
    }

    /// Keeps a view of the databases as they are at a marker.
    pub(super) fn look(&self, id: u64, at: LogEnd) {
        match Look::take(&self.options.path, id, at) {
            Ok(look) => look.keep(Arc::clone(&self.hub)),
            Err(error) => tracing::warn!(%error, id, "no view of the databases at a marker"),
        }
    }

    /// Stops applying and serving: what is here is not what the leader has.
    fn quarantine(&mut self, span: FrameSpan, cause: &str) {
        let reason = format!(
            "frame {} of term {} had another effect here ({cause}): quarantined until it is \
             seeded anew",
            span.start, span.term
        );
        self.hub.notice(Rule::Drift, Some(span.start), reason);
        self.shared.quarantined.store(true, Ordering::SeqCst);
        self.hub
            .reason
            .send_replace(format!("quarantined: frame {} had another effect here", span.start));
        self.hub.quarantine.send_replace(Some(Quarantine::Differs(span.start)));
    }
}

fn apply_frame(
    sqlite: &mut Sqlite,
    reader: &crate::storage::log_store::LogReader,
    span: FrameSpan,
    entry: Entry,
    open: &mut Option<OpenParts>,
) -> Result<Notifications, FrameError> {
    match entry {
        Entry::Transaction(transaction) => {
            if transaction.functions > FUNCTIONS {
                return Err(FrameError::Apply(ApplyError::NewerFunctions(span.start)));
            }
            debug_assert_eq!(transaction.database, DATABASE);
            let parts = open.take().filter(|parts| parts.id == transaction.id);
            let mut run = Run::default();
            if let Some(parts) = parts {
                run_parts(sqlite, reader, parts, span.start, &mut run)?;
            } else if transaction.id != 0 {
                return Err(FrameError::Differs("the transaction's parts are missing".to_owned()));
            }
            end_transaction(sqlite, &transaction, &mut run)?;
            return Ok(run.notifications);
        }
        Entry::TransactionPart { id, .. } => {
            // One transaction at a time is on loan: other parts will never be ended.
            if open.is_none_or(|parts| parts.id != id) {
                *open = Some(OpenParts { id, first: span.start });
            }
        }
        Entry::Abort { .. } | Entry::TermStart(_) => *open = None,
        // A marker ends its batch before it comes here.
        Entry::Configuration(_) | Entry::Marker { .. } => {}
        Entry::SequenceReservation { name, last, .. } => {
            sequence::apply(sqlite, &Reservation { name, last })?;
        }
    }
    Ok(Notifications::default())
}

/// Reads the parts of a transaction again and runs them.
fn run_parts(
    sqlite: &mut Sqlite,
    reader: &crate::storage::log_store::LogReader,
    parts: OpenParts,
    end: Lsn,
    run: &mut Run,
) -> Result<(), FrameError> {
    let mut at = parts.first;
    while at < end {
        let Some((span, entry)) = reader.entry(at)? else { break };
        if let Entry::TransactionPart { id, statements } = entry
            && id == parts.id
        {
            for statement in &statements {
                run_statement(sqlite, statement, run)?;
            }
        }
        at = span.end;
    }
    Ok(())
}

fn end_transaction(
    sqlite: &mut Sqlite,
    transaction: &Transaction,
    run: &mut Run,
) -> Result<(), FrameError> {
    for statement in &transaction.statements {
        run_statement(sqlite, statement, run)?;
    }
    run.schema.add_effect(sqlite)?;
    let effect = sqlite.effect();
    if effect != transaction.effect {
        return Err(FrameError::Differs(format!(
            "effect {effect:016x} instead of {:016x}",
            transaction.effect
        )));
    }
    if let (Some(token), Some(outcome)) = (transaction.token, &transaction.outcome) {
        outcome::record(sqlite, token, outcome)?;
    }
    Ok(())
}

/// What one transaction's statements add up to.
#[derive(Default)]
struct Run {
    /// The effect hash, and what had been notified, at each savepoint that it made.
    marks: BTreeMap<String, (UndoMark, Mark)>,
    notifications: Notifications,
    schema: SchemaChanges,
}

/// Runs one logged statement, as often as it has parameters for.
fn run_statement(
    sqlite: &mut Sqlite,
    statement: &Statement,
    run: &mut Run,
) -> Result<(), SqliteError> {
    let text: &str = &statement.text;
    match text {
        FOREIGN_KEYS_OFF => return sqlite.set_foreign_keys(false),
        FOREIGN_KEYS_ON => return sqlite.set_foreign_keys(true),
        _ if is_savepoint(text) => {
            sqlite.execute_batch(text)?;
            if let Some(name) = text.strip_prefix("SAVEPOINT ") {
                let mark = (sqlite.effect_mark(), run.notifications.mark());
                run.marks.insert(name.to_owned(), mark);
            } else if let Some((effect, notified)) =
                text.strip_prefix("ROLLBACK TO ").and_then(|name| run.marks.get(name))
            {
                sqlite.effect_undo(*effect);
                run.notifications.undo(*notified);
            }
            return Ok(());
        }
        _ if run.notifications.take(statement) => return Ok(()),
        _ => {}
    }
    run.schema.note(statement);
    sqlite.set_context(&statement.context);
    let mut prepared = sqlite.prepare(text)?;
    let count = prepared.parameter_count();
    let mut left = &statement.params[..];
    loop {
        let (now, later) = left.split_at(count.min(left.len()));
        prepared.bind_all(now)?;
        while prepared.step()? {}
        prepared.rewind();
        left = later;
        if left.is_empty() || count == 0 {
            return Ok(());
        }
    }
}
