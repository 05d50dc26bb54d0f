//! Applying the log: running a leader's statements again, and checking that they did
//! the same here.
//!
//! ```text
//!            a part                          its transaction: COMMIT
//!   Between ─────────► Open (in SQLite too) ─────────────────────────► Between
//!      ▲                 │  ▲ a part                                     │ ▲
//!      │                 │  └─┘                         other frames,    └─┘
//!      └─────────────────┘                              many at a time
//!        abort, a term's start, any other transaction: ROLLBACK
//! ```
//!
//! Between transactions that come in parts, many frames go into one SQLite transaction, a
//! savepoint each, so that a frame whose effect differs can be undone without those before
//! it. The parts of a large one are run as they come, in a SQLite transaction of their own
//! that stays open until the end comes: so its last frame costs no more than any other,
//! and it never needs more memory than one frame. The applied LSN stays before the first
//! part meanwhile: after a restart, or after SQLite failed, the parts are met again. That
//! they can't be taken back is no matter: nothing is applied that a leader could still cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ddl::SchemaChanges;
use super::group::FUNCTIONS;
use super::loan::is_savepoint;
use super::notify::{Mark, Notifications};
use super::outcome;
use super::sequence::{self, Reservation};
use super::{Ordering, Writer};
use crate::cluster::{Configuration, Position};
use crate::failover::Rule;
use crate::log::{Entry, FrameSpan, LogEnd, Lsn, Statement, Term, Transaction};
use crate::node::execute::{FOREIGN_KEYS_OFF, FOREIGN_KEYS_ON};
use crate::node::hub::Quarantine;
use crate::node::verify::Look;
use crate::storage::log_store::LogError;
use crate::storage::sqlite::{Shipped, Sqlite, SqliteError, SqliteErrorKind, UndoMark};

/// What is said of a file that is not what this node has made of the log.
const EDITED: &str = "another program changed the database file";

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
    /// Term of the last frame looked at.
    term: Term,
    /// The transaction whose parts were met and whose end was not: it is open in SQLite.
    open: Option<Open>,
}

/// A transaction of which some parts are run.
#[derive(Debug)]
struct Open {
    id: u64,
    run: Run,
    /// Met since the first part. They outlive it.
    reservations: Vec<Reservation>,
}

/// The log can't be applied any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("SQLite: {0}")]
    Sqlite(#[from] SqliteError),
    /// This node's content differs from the leader's.
    #[error("the databases can't be trusted")]
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
    /// How often an idle node looks whether another program changed its databases.
    pub(super) const WATCH_EVERY: Duration = Duration::from_secs(1);

    /// Applies whole frames up to `bound`.
    pub(super) fn apply(&mut self, bound: Lsn) -> Result<(), ApplyError> {
        while self.applier.scanned < bound {
            if self.shared.quarantined.load(Ordering::Relaxed) {
                return Err(ApplyError::Quarantined);
            }
            let before = (self.applier.scanned, self.applier.open.is_some());
            let result = match self.applier.open.take() {
                None => self.apply_batch(bound),
                Some(open) => self.apply_parts(open, bound),
            };
            if result.is_err() && self.is_damaged() {
                self.damaged();
                return Err(ApplyError::Quarantined);
            }
            if let Err(ApplyError::Log(LogError::NotHeld { first, .. })) = result
                && self.is_left_behind(first)
            {
                self.left_behind(first);
                return Err(ApplyError::Quarantined);
            }
            if result.is_err() {
                // Whatever was open comes back from the log, from its first part on.
                self.applier.scanned = self.applier.applied;
                self.roll_back()?;
            }
            result?;
            if before == (self.applier.scanned, self.applier.open.is_some()) {
                break;
            }
        }
        Ok(())
    }

    /// Applies frames up to the first part of a large transaction.
    fn apply_batch(&mut self, bound: Lsn) -> Result<(), ApplyError> {
        let start = self.applier.scanned;
        let (mut scanned, mut term) = (start, self.applier.term);
        let mut differs = None;
        let mut notifications = Vec::new();
        self.begin()?;
        let sqlite = self.sqlite.as_mut().expect("not on loan");
        let mut frames = 0;
        let (mut marked, mut configured, mut parts) = (None, None, None);
        while frames < FRAMES_MAX && scanned.0 - start.0 < BYTES_MAX {
            let Some((span, entry)) = self.reader.entry_within(scanned, bound)? else { break };
            match entry {
                Entry::Marker { id } => {
                    // The batch ends here, so that the databases can be looked at.
                    marked = Some(id);
                    (scanned, term) = (span.end, span.term);
                    break;
                }
                Entry::TransactionPart { id, .. } => {
                    parts = Some(id);
                    break;
                }
                _ => {}
            }
            if let Entry::Configuration(json) = &entry {
                configured = Some(json.clone());
            }
            sqlite.execute_batch("SAVEPOINT towline_frame")?;
            sqlite.effect_reset();
            let applied = apply_frame(sqlite, span, entry);
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
        self.commit_applied(term, scanned)?;
        self.send_notifications(notifications);
        if let Some(json) = configured {
            self.configured(&json);
        }
        if let Some(id) = marked {
            self.look(id, LogEnd { term, lsn: scanned });
        }
        if let Some((span, cause)) = differs {
            self.quarantine(span, &cause);
            return Err(ApplyError::Quarantined);
        }
        let Some(id) = parts else { return Ok(()) };
        self.begin()?;
        self.apply_parts(Open { id, run: Run::default(), reservations: Vec::new() }, bound)
    }

    /// Runs the parts of a large transaction that have come, in the open SQLite
    /// transaction; ends it where its end, or what makes it void, has come too.
    fn apply_parts(&mut self, mut open: Open, bound: Lsn) -> Result<(), ApplyError> {
        let start = self.applier.scanned;
        while self.applier.scanned.0 - start.0 < BYTES_MAX {
            let next = self.reader.entry_within(self.applier.scanned, bound)?;
            let Some((span, entry)) = next else { break };
            let sqlite = self.sqlite.as_mut().expect("not on loan");
            let ran = match entry {
                Entry::TransactionPart { id, database, statements } if id == open.id => {
                    sqlite.set_database(database);
                    statements
                        .iter()
                        .try_for_each(|statement| run_statement(sqlite, statement, &mut open.run))
                        .map_err(FrameError::from)
                }
                Entry::Transaction(transaction) if transaction.id == open.id => {
                    match end_transaction(sqlite, span, &transaction, &mut open.run) {
                        Ok(()) => {
                            self.commit_applied(span.term, span.end)?;
                            let position = Position { term: span.term, lsn: span.end };
                            self.send_notifications(open.run.notifications.placed(position));
                            return Ok(());
                        }
                        Err(error) => Err(error),
                    }
                }
                Entry::SequenceReservation { name, last, .. } => {
                    let reservation = Reservation { name, last };
                    let kept = sequence::apply(sqlite, &reservation);
                    open.reservations.push(reservation);
                    kept.map_err(FrameError::from)
                }
                Entry::Configuration(json) => {
                    self.configured(&json);
                    Ok(())
                }
                Entry::Marker { id } => {
                    // Who looks sees nothing of what is open, on the leader neither.
                    self.look(id, LogEnd { term: span.term, lsn: span.end });
                    Ok(())
                }
                // One transaction at a time is on loan: this one will never be ended.
                Entry::Transaction(_)
                | Entry::TransactionPart { .. }
                | Entry::Abort { .. }
                | Entry::TermStart(_) => return self.void(&open),
            };
            match ran {
                Ok(()) => (self.applier.scanned, self.applier.term) = (span.end, span.term),
                Err(FrameError::Apply(error)) => return Err(error),
                Err(FrameError::Differs(cause)) => {
                    self.quarantine(span, &cause);
                    return Err(ApplyError::Quarantined);
                }
            }
        }
        self.applier.open = Some(open);
        self.hub.run.send_replace(self.applier.scanned);
        Ok(())
    }

    /// Undoes the parts that were run, all but what outlives them.
    fn void(&mut self, open: &Open) -> Result<(), ApplyError> {
        self.roll_back()?;
        self.begin()?;
        for reservation in &open.reservations {
            sequence::apply(self.sqlite(), reservation)?;
        }
        self.commit_applied(self.applier.term, self.applier.scanned)
    }

    /// Commits the open transaction, with which everything below `lsn` is applied.
    fn commit_applied(&mut self, term: Term, lsn: Lsn) -> Result<(), ApplyError> {
        let sqlite = self.sqlite.as_mut().expect("not on loan");
        if lsn > self.applier.applied {
            sqlite.set_applied(term, lsn)?;
        }
        sqlite.execute_batch("COMMIT")?;
        sqlite.effect_reset();
        self.applier = Applier { scanned: lsn, applied: lsn, term, open: None };
        self.hub.applied.send_if_modified(|known| std::mem::replace(known, lsn) != lsn);
        Ok(())
    }

    /// Ends whatever SQLite transaction is open, without effect.
    fn roll_back(&mut self) -> Result<(), SqliteError> {
        let sqlite = self.sqlite();
        if sqlite.in_transaction() {
            sqlite.execute_batch("ROLLBACK")?;
        }
        sqlite.effect_reset();
        sqlite.set_foreign_keys(true)
    }

    /// Begins a transaction, unless the databases can't be trusted.
    pub(super) fn begin(&mut self) -> Result<(), ApplyError> {
        if self.shared.quarantined.load(Ordering::Relaxed) {
            return Err(ApplyError::Quarantined);
        }
        if self.is_damaged() {
            self.damaged();
            return Err(ApplyError::Quarantined);
        }
        let sqlite = self.sqlite();
        sqlite.execute_batch("BEGIN IMMEDIATE")?;
        // Looked at under the lock: from here on nobody else can write.
        if !sqlite.changed_from_outside()? {
            return Ok(());
        }
        sqlite.execute_batch("ROLLBACK")?;
        self.edited(EDITED);
        Err(ApplyError::Quarantined)
    }

    /// Looks, now and then, whether the databases are still this node's own work: one that
    /// only reads are asked of begins no transaction that would tell.
    pub(super) fn watch(&mut self) -> Result<(), ApplyError> {
        let known = self.shared.quarantined.load(Ordering::Relaxed);
        if known || self.watched_at.elapsed() < Self::WATCH_EVERY || self.sqlite().in_transaction()
        {
            return Ok(());
        }
        self.watched_at = Instant::now();
        if self.is_damaged() {
            self.damaged();
            return Err(ApplyError::Quarantined);
        }
        let sqlite = self.sqlite();
        let edited = match (sqlite.changed_from_outside()?, sqlite.was_removed()?) {
            (_, true) => "another program removed the database file",
            (true, false) => EDITED,
            (false, false) => return Ok(()),
        };
        self.edited(edited);
        Err(ApplyError::Quarantined)
    }

    /// Another program has written into the databases, or removed them.
    fn edited(&mut self, how: &str) {
        let at = *self.hub.applied.borrow();
        self.distrust(how, Quarantine::Edited(at));
    }

    /// Whether SQLite came upon damage in the databases, and there is somebody to have them
    /// from. A node without goes on with what can be read of them.
    fn is_damaged(&mut self) -> bool {
        if self.sqlite().found_damage() {
            self.readers.note_damage(self.readers.file());
        }
        self.readers.found_damage() && self.hub.has_source()
    }

    fn damaged(&mut self) {
        let at = *self.hub.applied.borrow();
        self.distrust("the database file is damaged", Quarantine::Damaged(at));
    }

    /// Whether the log begins beyond where the databases stand, as where they were removed,
    /// and there is somebody to have them from.
    fn is_left_behind(&self, first: Lsn) -> bool {
        self.applier.applied < first && self.hub.has_source()
    }

    fn left_behind(&mut self, first: Lsn) {
        let at = *self.hub.applied.borrow();
        let cause = format!("the log is held from {first} only, beyond the database file");
        self.distrust(&cause, Quarantine::LeftBehind(at));
    }

    /// Stops applying and serving: the file is not what this node has made of the log.
    fn distrust(&mut self, cause: &str, quarantine: Quarantine) {
        let at = *self.hub.applied.borrow();
        let reason = format!("{cause}, which stood at {at}: quarantined until it is seeded anew");
        self.hub.notice(Rule::Drift, Some(at), reason);
        self.shared.quarantined.store(true, Ordering::SeqCst);
        self.hub.reason.send_replace(format!("quarantined: {cause}"));
        self.hub.quarantine.send_replace(Some(quarantine));
    }

    /// Keeps a view of the databases as they are at a marker.
    pub(super) fn look(&self, id: u64, at: LogEnd) {
        match Look::take(&self.options.path, id, at) {
            Ok(look) => look.keep(Arc::clone(&self.hub), self.readers.clone()),
            Err(error) => tracing::warn!(%error, id, "no view of the databases at a marker"),
        }
    }

    /// The members that a committed frame names.
    pub(super) fn configured(&self, json: &[u8]) {
        match Configuration::from_json(json) {
            Ok(configuration) => drop(self.hub.configured.send_replace(Some(configuration))),
            Err(error) => tracing::error!(%error, "a configuration in the log can't be read"),
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
    span: FrameSpan,
    entry: Entry,
) -> Result<Notifications, FrameError> {
    match entry {
        Entry::Transaction(transaction) => {
            if transaction.id != 0 {
                return Err(FrameError::Differs("the transaction's parts are missing".to_owned()));
            }
            let mut run = Run::default();
            end_transaction(sqlite, span, &transaction, &mut run)?;
            return Ok(run.notifications);
        }
        Entry::SequenceReservation { name, last, .. } => {
            sequence::apply(sqlite, &Reservation { name, last })?;
        }
        // A marker and a part end the batch before they come here, members are told when it
        // ends.
        Entry::Abort { .. }
        | Entry::TermStart(_)
        | Entry::Configuration(_)
        | Entry::Marker { .. }
        | Entry::TransactionPart { .. } => {}
    }
    Ok(Notifications::default())
}

/// Runs the statements of a transaction's last frame, and holds its effect against the
/// leader's.
fn end_transaction(
    sqlite: &mut Sqlite,
    span: FrameSpan,
    transaction: &Transaction,
    run: &mut Run,
) -> Result<(), FrameError> {
    if transaction.functions > FUNCTIONS {
        return Err(FrameError::Apply(ApplyError::NewerFunctions(span.start)));
    }
    // What its statements' functions read of the catalog is that database's.
    sqlite.set_database(transaction.database);
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
#[derive(Debug, Default)]
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
    if statement.is_rows {
        return sqlite.without_consequences(|sqlite| run_prepared(sqlite, statement));
    }
    // A leader's statement that read what is not here was shipped as its row changes.
    sqlite.set_shipped(Shipped::AsText)?;
    let ran = run_prepared(sqlite, statement);
    sqlite.set_shipped(Shipped::Not)?;
    ran
}

fn run_prepared(sqlite: &mut Sqlite, statement: &Statement) -> Result<(), SqliteError> {
    let mut prepared = sqlite.prepare(&statement.text)?;
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
