//! A statement checked out of its connection's cache.

use std::cell::Cell;
use std::sync::Arc;

use super::clock;
use super::connection::Handle;
use super::effect::RawValue;
use super::error::SqliteError;
use super::ffi::{Prepared, Step};
use super::{Sqlite, hooks, point};
use crate::log::{Value, ValueRef};

/// A prepared statement, checked out of its connection's cache; goes back when
/// dropped. Keeps the connection alive.
pub struct Statement {
    /// Taken only when dropped.
    cached: Option<Cached>,
    handle: Arc<Handle>,
    text: Arc<str>,
    /// Whether it stands between its first step and its end.
    running: bool,
    /// Whether it goes back to the cache.
    keep: bool,
}

/// What the cache keeps of a statement.
pub(super) struct Cached {
    pub(super) prepared: Prepared,
    parameters: usize,
    /// [`Statement::is_point`], once asked.
    point: Cell<Option<bool>>,
    /// The cache's schema generation at the time it was prepared.
    pub(super) generation: u64,
}

impl Cached {
    pub(super) fn new(prepared: Prepared, generation: u64) -> Self {
        let parameters = prepared.parameter_count();
        Self { prepared, parameters, point: Cell::new(None), generation }
    }
}

impl Statement {
    pub(super) fn new(handle: Arc<Handle>, text: Arc<str>, cached: Cached, keep: bool) -> Self {
        Self { cached: Some(cached), handle, text, running: false, keep }
    }

    fn cached(&self) -> &Cached {
        self.cached.as_ref().expect("a statement is whole until it is dropped")
    }

    fn prepared(&mut self) -> &mut Prepared {
        &mut self.cached.as_mut().expect("a statement is whole until it is dropped").prepared
    }

    /// How many parameters it has: the largest index that means something.
    pub fn parameter_count(&self) -> usize {
        self.cached().parameters
    }

    /// Binds parameter `index` (from 1); indices beyond the statement's are ignored.
    pub fn bind(&mut self, index: usize, value: ValueRef<'_>) -> Result<(), SqliteError> {
        if index > self.cached().parameters {
            return Ok(());
        }
        self.prepared().bind(
            index,
            match value {
                ValueRef::Null => RawValue::Null,
                ValueRef::Integer(value) => RawValue::Integer(value),
                ValueRef::Real(value) => RawValue::Real(value),
                ValueRef::Text(text) => RawValue::Text(text.as_bytes()),
                ValueRef::Blob(bytes) => RawValue::Blob(bytes),
            },
        )
    }

    /// Binds the parameters in order, from the first.
    pub fn bind_all(&mut self, values: &[Value]) -> Result<(), SqliteError> {
        for (index, value) in values.iter().enumerate() {
            self.bind(index + 1, value.as_ref())?;
        }
        Ok(())
    }

    /// Advances; whether there is a row.
    pub fn step(&mut self) -> Result<bool, SqliteError> {
        self.handle.check_not_ended()?;
        let traits = self.cached().prepared.traits();
        if !self.running {
            if traits.catalog {
                Sqlite::of(Arc::clone(&self.handle)).refresh_catalog()?;
            }
            if traits.changes {
                self.handle.restore_changes()?;
            }
            self.handle.surroundings().note_rows(traits.upserts);
            self.running = true;
        }
        let frozen = self.handle.surroundings().frozen_clock_us();
        let prepared = self.prepared();
        let step = clock::with(frozen, || prepared.step());
        if matches!(step, Ok(Step::Row)) {
            return Ok(true);
        }
        self.running = false;
        self.handle.after_run(traits);
        if step.is_err() {
            self.handle.check_not_ended()?;
        }
        step?;
        if self.handle.hooks().take_rowid_exhausted() {
            return Err(SqliteError::refused(hooks::rowids_exhausted()));
        }
        Ok(false)
    }

    /// Column `index` (from 0) of the current row. Null where there is no such row
    /// or column. A text that is not UTF-8 (SQLite does not check) comes as a blob.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        match self.cached().prepared.column(index) {
            RawValue::Null => ValueRef::Null,
            RawValue::Integer(value) => ValueRef::Integer(value),
            RawValue::Real(value) => ValueRef::Real(value),
            RawValue::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => ValueRef::Text(text),
                Err(_) => ValueRef::Blob(bytes),
            },
            RawValue::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    /// As [`Statement::column`], texts unchecked.
    pub(super) fn raw_column(&self, index: usize) -> RawValue<'_> {
        self.cached().prepared.column(index)
    }

    pub fn column_count(&self) -> usize {
        self.cached().prepared.column_count()
    }

    pub fn column_name(&self, index: usize) -> String {
        self.cached().prepared.column_name(index)
    }

    /// SQLite's own opinion, and not to be relied on alone: true also for BEGIN,
    /// SAVEPOINT, and pragmas that change something. What it calls read-only does not
    /// change rows of the database.
    pub fn readonly(&self) -> bool {
        self.cached().prepared.readonly()
    }

    /// Whether every table is reached by a unique key's equality: at most a few
    /// rows are visited, so the statement may run on an async worker.
    pub fn is_point(&self) -> bool {
        let cached = self.cached();
        if let Some(point) = cached.point.get() {
            return point;
        }
        let mut sqlite = Sqlite::of(Arc::clone(&self.handle));
        let point = !cached.prepared.traits().slow
            && !self.running
            && point::is_point(&mut sqlite, &self.text).unwrap_or(false);
        cached.point.set(Some(point));
        point
    }

    /// As [`Sqlite::take_settings`], for whoever holds only the statement.
    pub fn take_settings(&self) -> Vec<super::SettingMade> {
        self.handle.surroundings().take_settings()
    }

    /// As [`Sqlite::set_resting`], for whoever holds only the statement.
    pub fn set_resting(&self, resting: bool) {
        self.handle.set_resting(resting);
    }

    /// Ends the run and clears bindings; the statement can be bound and stepped again.
    pub fn reset(&mut self) {
        self.rewind();
        if self.cached().parameters > 0 {
            self.prepared().clear_bindings();
        }
    }

    /// Ends the run; the bindings stay.
    pub fn rewind(&mut self) {
        if self.running {
            self.running = false;
            let traits = self.cached().prepared.traits();
            self.prepared().reset();
            self.handle.after_run(traits);
        } else {
            self.prepared().reset();
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        self.reset();
        if let Some(cached) = self.cached.take()
            && self.keep
        {
            self.handle.give_back(Arc::clone(&self.text), cached);
        }
    }
}
