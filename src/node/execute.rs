//! Running statements on the writer's connection, so that followers can run them
//! again: every run yields what the log must say.
//!
//! Two conventions tie the leader's run to the followers' (`writer::apply`):
//!
//! - A logged statement with `k × n` parameters, where its text has `n`, is run `k`
//!   times in one context, drawing on: a COPY's rows share one text and one context.
//!   So parameters that the text doesn't use are never logged.
//! - [`NOTIFY`] as text sends a notification once the transaction is committed.
//! - [`FOREIGN_KEYS_OFF`] and [`FOREIGN_KEYS_ON`] as texts switch enforcement, which
//!   SQLite's own pragma can't inside a transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::plan::Plan;
use super::rows::{RowBuffer, RowFormat};
use crate::log::{self, Context, Value, ValueRef};
use crate::pg::types::Display;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{ConstraintKind, RelationKind};
use crate::sql::{Counts, Kind, Tag};
use crate::storage::sqlite::{
    Environment, NEEDS_ROWS, NotificationMade, SettingMade, Shipped, Sqlite, SqliteError,
    SqliteErrorKind,
};

/// As a logged statement's text: stop enforcing foreign keys.
pub(super) const FOREIGN_KEYS_OFF: &str = "PRAGMA foreign_keys=OFF";
/// As a logged statement's text: enforce them again.
pub(super) const FOREIGN_KEYS_ON: &str = "PRAGMA foreign_keys=ON";

/// As a logged statement's text: its parameters are a notification's channel, payload
/// and sender.
pub(super) const NOTIFY: &str = "NOTIFY";

/// The SQLSTATE-like code by which `nextval` asks for a new range.
pub(super) const NEEDS_RANGE: &str = "TL001";

/// What SQLite keeps per connection and SQL shows per session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Registers {
    pub last_insert_rowid: i64,
    pub changes: i64,
}

/// When to stop a statement early.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub cancel: Arc<AtomicBool>,
    /// End of `statement_timeout`.
    pub deadline: Option<Instant>,
}

impl Limits {
    /// Arms the connection.
    pub(super) fn set(&self, sqlite: &mut Sqlite) {
        sqlite.set_cancel(Some(Arc::clone(&self.cancel)), self.deadline);
    }

    /// What to tell the client of a statement that was interrupted.
    pub(super) fn interrupted(&self) -> SqlError {
        let timed_out = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let cause = if timed_out { "statement timeout" } else { "user request" };
        let message = format!("canceling statement due to {cause}");
        SqlError::new(SqlState::QUERY_CANCELED, message)
    }

    /// The error of a statement that must not start any more.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        let cancelled = self.cancel.load(std::sync::atomic::Ordering::Relaxed);
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if cancelled || late { Err(self.interrupted()) } else { Ok(()) }
    }
}

/// One execution of a plan.
pub(super) struct Work<'a> {
    pub plan: &'a Plan,
    pub params: &'a [Value],
    pub format: &'a RowFormat,
    pub limits: &'a Limits,
    /// Start of the transaction, microseconds since 1970.
    pub now_us: i64,
    pub registers: Registers,
    /// The contexts of an earlier run, to do as that one did: one for each of the
    /// plan's statements. `None` draws them anew.
    pub repeats: Option<&'a [Context]>,
}

/// What an execution did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// To be logged; empty where nothing changed.
    pub statements: Vec<log::Statement>,
    /// In which each of the plan's statements ran.
    pub contexts: Vec<Context>,
    /// Rows changed, by the last of its statements.
    pub count: i64,
    pub rows: RowBuffer,
    pub registers: Registers,
    /// Set where it drew from sequences.
    pub drawn: Option<Drawn>,
    /// What `set_config` was asked to set.
    pub settings: Vec<SettingMade>,
    /// Whether it read what other nodes or sessions don't have.
    pub read_local: bool,
}

/// What a session's `currval` and `lastval` answer after a statement: the last value
/// of each sequence, and which was drawn from last.
pub(super) type Drawn = (BTreeMap<String, i64>, Option<String>);

/// Why an execution failed. Its own changes are undone by SQLite or must be by the
/// caller, to the last savepoint.
#[derive(Debug)]
pub(super) enum Failure {
    /// The statement's own fault.
    Statement(SqlError),
    /// A sequence's range is used up: reserve more, then run it again.
    NeedsRange(String),
    /// SQLite ended the whole transaction, other members' changes included.
    Undone(SqlError),
}

/// The wall clock, microseconds since 1970-01-01 UTC.
pub(super) fn wall_clock_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Runs a plan's statements in order, and holds what they changed against its keys.
pub(super) fn run(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<Ran, Failure> {
    sqlite.set_database(work.plan.database());
    if work.plan.is_ddl() {
        check_not_pending(sqlite, work)?;
    }
    sqlite.watch_keys().map_err(|error| failure(sqlite, work, error))?;
    let ran = run_whole(sqlite, work)?;
    check_keys(sqlite, work)?;
    Ok(ran)
}

fn run_whole(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<Ran, Failure> {
    let rebuild = matches!(work.plan.translated.kind, Kind::Ddl { rebuild: true });
    if !rebuild && !work.plan.translated.keys_off {
        return run_statements(sqlite, work);
    }
    let switch = |sqlite: &mut Sqlite, on| {
        sqlite.set_foreign_keys(on).map_err(|error| failure(sqlite, work, error))
    };
    switch(sqlite, false)?;
    let ran = run_statements(sqlite, work).and_then(|mut ran| {
        if rebuild {
            check_foreign_keys(sqlite, work)?;
        }
        log_without_keys(&mut ran.statements);
        Ok(ran)
    });
    switch(sqlite, true)?;
    ran
}

/// Has followers run what is logged without foreign keys, too.
fn log_without_keys(statements: &mut Vec<log::Statement>) {
    if !statements.is_empty() {
        let pragma = |text: &str| log::Statement { text: text.into(), ..log::Statement::default() };
        statements.insert(0, pragma(FOREIGN_KEYS_OFF));
        statements.push(pragma(FOREIGN_KEYS_ON));
    }
}

fn run_statements(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<Ran, Failure> {
    let translated = &work.plan.translated;
    let is_ddl = matches!(translated.kind, Kind::Ddl { .. });
    let mut ran = Ran { registers: work.registers, ..Ran::default() };
    let last = translated.statements.len().saturating_sub(1);
    // What statements keep for later ones stands behind the client's parameters.
    let mut params = Cow::Borrowed(work.params);
    for (index, step) in translated.statements.iter().enumerate() {
        let context = match work.repeats.and_then(|contexts| contexts.get(index)) {
            Some(context) => Context {
                last_insert_rowid: ran.registers.last_insert_rowid,
                changes: ran.registers.changes,
                ..context.clone()
            },
            None => fresh_context(work.now_us, ran.registers),
        };
        sqlite.set_context(&context);
        let effect = sqlite.effect();
        let mut kept = Kept::default();
        let mut rows = match (step.keeps, index == last) {
            (Some(_), _) => Rows::Keep(&mut kept),
            (None, true) => Rows::Answer(&mut ran.rows),
            (None, false) => Rows::Drop,
        };
        let work_now = Work { params: &params, ..*work };
        let (used, by_rows) = run_shipped(sqlite, &work_now, &step.text, &context, &mut rows)?;
        if let Some(at) = step.keeps {
            let params = params.to_mut();
            params.resize(at.max(params.len()), Value::Null);
            params.insert(at, Value::Text(kept.into_json()));
        }
        match step.counts {
            Counts::Changes => ran.count = sqlite.changes(),
            Counts::AddsChanges => ran.count += sqlite.changes(),
            Counts::Nothing => {}
        }
        ran.registers =
            Registers { last_insert_rowid: sqlite.last_insert_rowid(), changes: sqlite.changes() };
        if work.plan.needs_environment {
            ran.settings.append(&mut sqlite.take_settings());
        }
        let drawn = sqlite.drawn_context();
        // A value that was set is drawn from no range.
        let values = sqlite.drawn_sequences();
        if !values.0.is_empty() {
            ran.drawn = Some(values);
        }
        ran.contexts.push(drawn.clone());
        ran.read_local |= sqlite.read_local();
        match by_rows {
            Some(mut statements) => ran.statements.append(&mut statements),
            None if is_ddl || sqlite.effect() != effect => ran.statements.push(log::Statement {
                text: Arc::clone(&step.text),
                params: params[..used.min(params.len())].to_vec(),
                context: drawn,
                is_rows: false,
            }),
            None => {}
        }
        if work.plan.needs_environment {
            ran.statements.extend(sqlite.take_notifications().into_iter().map(notify));
        }
    }
    Ok(ran)
}

/// The logged statement that sends a notification.
fn notify(made: NotificationMade) -> log::Statement {
    log::Statement {
        text: NOTIFY.into(),
        params: vec![
            Value::Text(made.channel),
            Value::Text(made.payload),
            Value::Integer(made.pid.into()),
        ],
        ..log::Statement::default()
    }
}

/// Runs the one statement of a plan for each of `rows` rows of its parameters, in one
/// context, right behind `SAVEPOINT towline_rows`; what is to be logged, and how many rows that changed. `Err` has the row at
/// fault.
pub(super) fn run_rows(
    sqlite: &mut Sqlite,
    work: &Work<'_>,
    rows: usize,
) -> Result<(Vec<log::Statement>, u64), (usize, Failure)> {
    if !work.plan.translated.keys_off {
        return run_rows_now(sqlite, work, rows);
    }
    let switch = |sqlite: &mut Sqlite, on| {
        sqlite.set_foreign_keys(on).map_err(|error| (0, failure(sqlite, work, error)))
    };
    switch(sqlite, false)?;
    let ran = run_rows_now(sqlite, work, rows);
    switch(sqlite, true)?;
    ran.map(|(mut statements, count)| {
        log_without_keys(&mut statements);
        (statements, count)
    })
}

fn run_rows_now(
    sqlite: &mut Sqlite,
    work: &Work<'_>,
    rows: usize,
) -> Result<(Vec<log::Statement>, u64), (usize, Failure)> {
    let Some(step) = work.plan.translated.statements.first() else { return Ok((Vec::new(), 0)) };
    sqlite.set_database(work.plan.database());
    let context = fresh_context(work.now_us, work.registers);
    sqlite.set_context(&context);
    sqlite.watch_keys().map_err(|error| (0, failure(sqlite, work, error)))?;
    let (mark, effect) = (sqlite.effect_mark(), sqlite.effect());
    let mut ran = ship(sqlite, Shipped::AsText, |sqlite| {
        let count = step_rows(sqlite, work, &step.text, rows)?;
        let changed = sqlite.effect() != effect;
        let statement = changed.then(|| log::Statement {
            text: Arc::clone(&step.text),
            params: work.params.to_vec(),
            context: sqlite.drawn_context(),
            is_rows: false,
        });
        Ok((statement.into_iter().collect(), count))
    });
    if matches!(&ran, Err(RowError(_, error)) if needs_rows(error)) && work.plan.needs_environment {
        sqlite.effect_undo(mark);
        sqlite.set_context(&context);
        ran = sqlite.execute_batch("ROLLBACK TO towline_rows").map_err(RowError::from).and_then(
            |()| {
                ship(sqlite, Shipped::AsRows, |sqlite| {
                    let count = step_rows(sqlite, work, &step.text, rows)?;
                    Ok((sqlite.take_rows(&context)?, count))
                })
            },
        );
    }
    let ran = ran.map_err(|RowError(row, error)| {
        let width = work.params.len() / rows.max(1);
        let params = work.params.get(row * width..(row + 1) * width).unwrap_or_default();
        (row, explained(sqlite, &Work { params, ..*work }, &step.text, error))
    })?;
    check_keys(sqlite, work).map_err(|failure| (rows.saturating_sub(1), failure))?;
    Ok(ran)
}

/// The row at fault, from 0.
struct RowError(usize, SqliteError);

impl From<SqliteError> for RowError {
    fn from(error: SqliteError) -> Self {
        Self(0, error)
    }
}

/// Runs a statement for each row of its parameters; returns how many rows that changed.
fn step_rows(
    sqlite: &mut Sqlite,
    work: &Work<'_>,
    text: &str,
    rows: usize,
) -> Result<u64, RowError> {
    let mut statement = sqlite.prepare(text)?;
    let width = statement.parameter_count();
    let mut count = 0;
    for row in 0..rows {
        let params = work.params.get(row * width..(row + 1) * width).unwrap_or_default();
        let stepped = (|| {
            statement.bind_all(params)?;
            while statement.step()? {}
            statement.rewind();
            Ok(())
        })();
        stepped.map_err(|error| RowError(row, error))?;
        // COPY … WHERE leaves rows out.
        count += u64::try_from(sqlite.changes()).unwrap_or(0);
    }
    Ok(count)
}

/// What becomes of a statement's rows.
enum Rows<'a> {
    Drop,
    Answer(&'a mut RowBuffer),
    Keep(&'a mut Kept),
}

impl Rows<'_> {
    fn clear(&mut self) {
        match self {
            Self::Drop => {}
            Self::Answer(rows) => **rows = RowBuffer::default(),
            Self::Keep(kept) => **kept = Kept::default(),
        }
    }
}

/// Packed rows, as a JSON array of their texts.
#[derive(Default)]
struct Kept(String);

/// Longest text of kept rows: it is a parameter of the statements that read them.
const KEPT_MAX: usize = 64 << 20;

impl Kept {
    fn push(&mut self, row: &str) -> Result<(), SqlError> {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        self.0.push_str(&serde_json::Value::from(row).to_string());
        if self.0.len() > KEPT_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "the rows that one part of the statement hands to another are too large",
            ));
        }
        Ok(())
    }

    fn into_json(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "[]" } else { "]" });
        self.0
    }
}

/// Runs one statement, a second time to keep its row changes if what it reads other nodes
/// don't have. Returns how many parameters its text has, and those changes.
fn run_shipped(
    sqlite: &mut Sqlite,
    work: &Work<'_>,
    text: &str,
    context: &Context,
    rows: &mut Rows<'_>,
) -> Result<(usize, Option<Vec<log::Statement>>), Failure> {
    let reads = matches!(work.plan.translated.kind, Kind::Read { .. } | Kind::Advisory);
    let shipped = if reads { Shipped::Not } else { Shipped::AsText };
    let mark = sqlite.effect_mark();
    let mut ran = ship(sqlite, shipped, |sqlite| Ok((run_one(sqlite, work, text, rows)?, None)));
    // Where nobody has set its surroundings they are another session's.
    if matches!(&ran, Err(StepError::Sqlite(error)) if needs_rows(error))
        && work.plan.needs_environment
        && !defines(text)
    {
        sqlite.effect_undo(mark);
        sqlite.set_context(context);
        rows.clear();
        ran = ship(sqlite, Shipped::AsRows, |sqlite| {
            let used = run_one(sqlite, work, text, rows)?;
            Ok((used, Some(sqlite.take_rows(context)?)))
        });
    }
    ran.map_err(|error| match error {
        StepError::Sqlite(error) => explained(sqlite, work, text, error),
        StepError::Encode(error) => Failure::Statement(error),
    })
}

/// The failure of a statement, which is run once more where only that tells the row or key
/// at fault.
fn explained(sqlite: &mut Sqlite, work: &Work<'_>, text: &str, error: SqliteError) -> Failure {
    let (kind, message) = (error.kind, error.message.clone());
    let mut told = match failure(sqlite, work, error) {
        Failure::Statement(told) if told.detail.is_none() && !work.plan.is_ddl() => told,
        failure => return failure,
    };
    let (catalog, display) = (&work.plan.catalog, &work.format.display);
    let context = sqlite.drawn_context();
    let again = |sqlite: &mut Sqlite| {
        sqlite.set_context(&context);
        let mut statement = sqlite.prepare(text)?;
        statement.bind_all(work.params)?;
        while statement.step()? {}
        Ok(())
    };
    let seen = match kind {
        SqliteErrorKind::ForeignKey => sqlite.failing_key(again).map(|key| {
            if let Some(key) = key {
                told = super::errors::broken_key(&key, catalog, display);
            }
        }),
        SqliteErrorKind::NotNull | SqliteErrorKind::Check | SqliteErrorKind::Unique => {
            let tables = super::errors::tables_at_fault(&told, catalog);
            sqlite.failing_row(&tables, again).map(|row| {
                if let Some(row) = row {
                    super::errors::add_row(&mut told, &message, &row, catalog, display);
                }
            })
        }
        _ => Ok(()),
    };
    if let Err(error) = seen {
        tracing::debug!(%error, "a statement that failed could not be looked at again");
    }
    if sqlite.in_transaction() { Failure::Statement(told) } else { Failure::Undone(told) }
}

/// Does something of which what it changes is shipped in a way.
fn ship<T, E: From<SqliteError>>(
    sqlite: &mut Sqlite,
    shipped: Shipped,
    run: impl FnOnce(&mut Sqlite) -> Result<T, E>,
) -> Result<T, E> {
    sqlite.set_shipped(shipped)?;
    let ran = run(sqlite);
    sqlite.set_shipped(Shipped::Not)?;
    ran
}

fn needs_rows(error: &SqliteError) -> bool {
    error.raised.as_ref().is_some_and(|raised| raised.state.0 == NEEDS_ROWS)
}

/// Whether a statement changes the schema: of the rows that it moves SQLite tells nothing.
fn defines(text: &str) -> bool {
    let verb = text.split_ascii_whitespace().next().unwrap_or_default();
    ["create", "alter", "drop"].iter().any(|known| verb.eq_ignore_ascii_case(known))
}

/// Runs one statement; returns how many parameters its text has.
fn run_one(
    sqlite: &mut Sqlite,
    work: &Work<'_>,
    text: &str,
    rows: &mut Rows<'_>,
) -> Result<usize, StepError> {
    let mut statement = sqlite.prepare(text)?;
    let used = statement.parameter_count();
    let stepped = step_all(&mut statement, work, rows);
    statement.reset();
    stepped.map(|()| used)
}

enum StepError {
    Sqlite(SqliteError),
    Encode(SqlError),
}

impl From<SqliteError> for StepError {
    fn from(error: SqliteError) -> Self {
        Self::Sqlite(error)
    }
}

fn step_all(
    statement: &mut crate::storage::sqlite::Statement,
    work: &Work<'_>,
    rows: &mut Rows<'_>,
) -> Result<(), StepError> {
    statement.bind_all(work.params).map_err(StepError::Sqlite)?;
    match rows {
        Rows::Answer(rows) if work.plan.translated.gives_rows() => {
            while statement.step().map_err(StepError::Sqlite)? {
                rows.push(statement, &work.plan.translated, work.format)
                    .map_err(StepError::Encode)?;
            }
        }
        Rows::Keep(kept) => {
            while statement.step().map_err(StepError::Sqlite)? {
                if let ValueRef::Text(row) = statement.column(0) {
                    kept.push(row).map_err(StepError::Encode)?;
                }
            }
        }
        _ => while statement.step().map_err(StepError::Sqlite)? {},
    }
    Ok(())
}

/// A context with the time of now and a seed of its own.
pub(super) fn fresh_context(now_us: i64, registers: Registers) -> Context {
    Context {
        now_us,
        clock_us: wall_clock_us(),
        seed: rand::random(),
        last_insert_rowid: registers.last_insert_rowid,
        changes: registers.changes,
        sequences: Vec::new(),
    }
}

/// Sorts an error by what it means for the transaction.
fn failure(sqlite: &mut Sqlite, work: &Work<'_>, error: SqliteError) -> Failure {
    if let Some(name) = needed_range(&error) {
        return Failure::NeedsRange(name);
    }
    let told = told(&error, work);
    if sqlite.in_transaction() { Failure::Statement(told) } else { Failure::Undone(told) }
}

fn told(error: &SqliteError, work: &Work<'_>) -> SqlError {
    if error.kind == SqliteErrorKind::Interrupted {
        return work.limits.interrupted();
    }
    let told = super::errors::translate(error, work.plan, work.params);
    let state = if needs_rows(error) { SqlState::FEATURE_NOT_SUPPORTED } else { told.state };
    SqlError { state, ..told }
}

/// The sequence whose range is used up, if the error says so.
pub(super) fn needed_range(error: &SqliteError) -> Option<String> {
    let raised = error.raised.as_deref()?;
    (raised.state.0 == NEEDS_RANGE).then(|| raised.message.clone())
}

/// Whether a text has a name in it, quoted or not.
fn mentions(text: &str, name: &str) -> bool {
    let goes_on = |char: Option<char>| char.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        !goes_on(text[..at].chars().next_back()) && !goes_on(text[at + name.len()..].chars().next())
    })
}

/// After a rebuild with enforcement off: no row may refer to a missing one, of the tables
/// that it names and those that refer to them.
fn check_foreign_keys(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<(), Failure> {
    let Plan { translated, catalog, .. } = work.plan;
    let named = |name: &str| translated.statements.iter().any(|step| mentions(&step.text, name));
    for relation in catalog.relations.values() {
        let refers = relation.constraints.iter().any(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey { table, .. } => named(table),
            _ => false,
        });
        if relation.kind != RelationKind::Table || !(refers || named(&relation.name)) {
            continue;
        }
        let violated = sqlite.foreign_key_check(Some(&relation.name));
        if let Some((table, _)) = violated.map_err(|error| failure(sqlite, work, error))? {
            let table = catalog.bare(&table).to_owned();
            let text = format!("table \"{table}\" has rows that violate a foreign key constraint");
            return Err(Failure::Statement(SqlError {
                table: Some(table),
                ..SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, text)
            }));
        }
    }
    Ok(())
}

/// Fails where a statement that has ended broke a constraint that is not deferred.
fn check_keys(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<(), Failure> {
    match sqlite.broken_key() {
        Ok(None) => Ok(()),
        Ok(Some(broken)) => Err(Failure::Statement(super::errors::broken_key(
            &broken,
            &work.plan.catalog,
            &work.format.display,
        ))),
        Err(error) => Err(failure(sqlite, work, error)),
    }
}

/// Fails with 55006 where a definition would change while rows break a constraint that is
/// deferred: what is pending is known by its names.
fn check_not_pending(sqlite: &mut Sqlite, work: &Work<'_>) -> Result<(), Failure> {
    let Tag::Fixed(verb) = work.plan.translated.tag else { return Ok(()) };
    if verb.starts_with("CREATE") {
        return Ok(());
    }
    match sqlite.pending_key() {
        Ok(None) => Ok(()),
        Ok(Some(broken)) => {
            let table = work.plan.catalog.bare(&broken.key.table);
            let text = format!("cannot {verb} \"{table}\" because it has pending trigger events");
            Err(Failure::Statement(SqlError::new(SqlState::OBJECT_IN_USE, text)))
        }
        Err(error) => Err(failure(sqlite, work, error)),
    }
}

/// Fails with 23505 or 23503 where deferred constraints are violated at the end of a
/// transaction.
pub(super) fn check_deferred(sqlite: &mut Sqlite) -> Result<(), SqlError> {
    let internal = |error: SqliteError| SqlError::new(SqlState::INTERNAL_ERROR, error.message);
    if let Some(broken) = sqlite.pending_key().map_err(internal)? {
        let catalog = sqlite.catalog().map_err(internal)?;
        return Err(super::errors::broken_key(&broken, &catalog, &Display::default()));
    }
    match sqlite.deferred_foreign_key_violations().map_err(internal)? {
        0 => Ok(()),
        _ => Err(SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            "the transaction violates a deferred foreign key constraint",
        )),
    }
}

/// Sets a connection's surroundings for a session's statement.
pub(super) fn set_environment(sqlite: &mut Sqlite, plan: &Plan, environment: &Arc<Environment>) {
    if plan.needs_environment {
        sqlite.set_environment(Arc::clone(environment));
    }
}

/// Whether every statement of a plan visits few rows, so that it may run on an async
/// worker.
pub(super) fn is_quick(sqlite: &mut Sqlite, plan: &Plan) -> bool {
    *plan.quick.get_or_init(|| {
        let mut steps = plan.translated.statements.iter();
        steps.all(|step| sqlite.prepare(&step.text).is_ok_and(|statement| statement.is_point()))
    })
}
