//! The database file as a whole: the log position that it holds, whether it is sound, its
//! WAL, copies of it, and its free pages.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::ffi as codes;

use super::connection::Sqlite;
use super::error::SqliteError;
use super::ffi::Checkpoint;
use crate::log::{Lsn, Term, ValueRef};

impl Sqlite {
    /// The log position that the file's content corresponds to (in the current snapshot).
    pub fn applied(&mut self) -> Result<(Term, Lsn), SqliteError> {
        let mut statement = self.prepare("SELECT term, lsn FROM main.towline_applied")?;
        if statement.step()?
            && let (ValueRef::Integer(term), ValueRef::Integer(lsn)) =
                (statement.column(0), statement.column(1))
        {
            return Ok((Term(term.cast_unsigned()), Lsn(lsn.cast_unsigned())));
        }
        let message = "the applied LSN is not recorded".to_owned();
        Err(SqliteError::new(codes::SQLITE_CORRUPT, message, None, None))
    }

    /// Records it, inside the open transaction.
    pub fn set_applied(&mut self, term: Term, lsn: Lsn) -> Result<(), SqliteError> {
        let mut statement = self.prepare(
            "INSERT INTO main.towline_applied (id, term, lsn) VALUES (0, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET term = excluded.term, lsn = excluded.lsn",
        )?;
        statement.bind(1, ValueRef::Integer(term.0.cast_signed()))?;
        statement.bind(2, ValueRef::Integer(lsn.0.cast_signed()))?;
        statement.step()?;
        Ok(())
    }

    /// Whether another connection has changed the file since this was asked last, or
    /// since the connection was opened. Inside a transaction of its own, the answer
    /// holds until that ends.
    pub fn changed_from_outside(&mut self) -> Result<bool, SqliteError> {
        let version = self.trusted(|sqlite| sqlite.query_integer("PRAGMA main.data_version"))?;
        let before = self.handle.data_version.swap(version, Ordering::Relaxed);
        Ok(before != 0 && before != version)
    }

    /// Whether the file was removed, or another put in its place.
    pub fn was_removed(&self) -> Result<bool, SqliteError> {
        self.handle.database.has_moved()
    }

    /// Whether this connection came upon a damaged part of the file.
    pub fn found_damage(&self) -> bool {
        self.handle.hooks().found_damage()
    }

    /// What SQLite finds wrong with the file; nothing if it is sound.
    pub fn integrity_check(&mut self) -> Result<Vec<String>, SqliteError> {
        self.trusted(|sqlite| {
            let mut found = Vec::new();
            let mut statement = sqlite.prepare_once("PRAGMA main.integrity_check(10)")?;
            while statement.step()? {
                match statement.column(0) {
                    ValueRef::Text("ok") => {}
                    ValueRef::Text(text) => found.push(text.to_owned()),
                    _ => {}
                }
            }
            Ok(found)
        })
    }

    /// A passive checkpoint of the WAL: it waits for nobody, and is `None` where another one
    /// runs.
    pub fn checkpoint(&mut self) -> Result<Option<Checkpoint>, SqliteError> {
        self.handle.database.checkpoint()
    }

    /// Moves all of the WAL into the file, unless somebody reads from it.
    pub fn empty_wal(&mut self) -> Result<(), SqliteError> {
        self.handle.database.empty_wal()
    }

    /// Copies the database to a new file, as of one snapshot (the open transaction's,
    /// if there is one), fsynced with its directory entry. Pages are copied as they
    /// are: nothing is renumbered. Returns the log position that the copy holds.
    pub fn copy_to(&mut self, path: &Path) -> Result<(Term, Lsn), SqliteError> {
        let own = !self.in_transaction();
        if own {
            self.execute_batch("BEGIN")?;
        }
        // The first read takes the snapshot.
        let copied = self.applied().and_then(|applied| {
            self.handle.database.back_up(path)?;
            Ok(applied)
        });
        if own {
            self.execute_batch("COMMIT")?;
        }
        let applied = copied?;
        sync_copy(path)?;
        Ok(applied)
    }

    /// Copies the pages of a file that Towline did not make to a new file, as of one
    /// snapshot, fsynced with its directory entry.
    pub(super) fn copy_pages_to(&mut self, path: &Path) -> Result<(), SqliteError> {
        self.handle.database.back_up(path)?;
        sync_copy(path)
    }

    /// SQLite's VACUUM, which renumbers rows without a declared key: only for a file that
    /// is not in use yet.
    pub(super) fn rebuild(&mut self) -> Result<(), SqliteError> {
        self.trusted(|sqlite| sqlite.execute_batch("VACUUM main"))?;
        self.effect_reset();
        Ok(())
    }

    /// Gives up to `pages` free pages back to the file system, in a transaction of
    /// its own. Unlike VACUUM it leaves rowids as they are.
    pub fn incremental_vacuum(&mut self, pages: u32) -> Result<(), SqliteError> {
        let text = format!("PRAGMA main.incremental_vacuum({pages})");
        self.trusted(|sqlite| sqlite.execute_batch(&text))
    }

    /// Pages of the file.
    pub fn pages(&mut self) -> Result<u64, SqliteError> {
        Ok(self.query_integer("PRAGMA main.page_count")?.cast_unsigned())
    }

    /// Bytes of a page.
    pub fn page_size(&mut self) -> Result<u64, SqliteError> {
        Ok(self.query_integer("PRAGMA main.page_size")?.cast_unsigned())
    }

    /// Pages of the file that hold nothing.
    pub fn free_pages(&mut self) -> Result<u64, SqliteError> {
        Ok(self.query_integer("PRAGMA main.freelist_count")?.cast_unsigned())
    }

    /// Bytes that the page cache holds.
    pub fn cache_bytes(&self) -> Result<u64, SqliteError> {
        self.handle.database.cache_bytes()
    }
}

/// Syncs a file just made, and its directory entry.
fn sync_copy(path: &Path) -> Result<(), SqliteError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    for entry in [path, parent.unwrap_or(Path::new("."))] {
        File::open(entry).and_then(|file| file.sync_all()).map_err(|error| {
            SqliteError::new(codes::SQLITE_IOERR_FSYNC, error.to_string(), None, None)
        })?;
    }
    Ok(())
}
