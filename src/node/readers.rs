//! The pool of read connections. A connection is lent to one statement, portal or
//! snapshot at a time and comes back when the [`Reader`] is dropped.
//!
//! Connections are opened when they are first needed, up to a bound, and handed out
//! last in, first out, so that a quiet node keeps few page caches warm.
//!
//! A reader that goes on for long keeps SQLite's WAL from starting over, and so lets it
//! grow by all that is written meanwhile: [`Readers::end_older`] ends such.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::pg::{SqlError, SqlState};
use crate::storage::sqlite::{ConnectionKind, Ender, Sqlite, SqliteError};

/// How long an idle connection that nobody takes keeps its page cache.
const REST_AFTER: Duration = Duration::from_secs(5);

/// The read connections of one database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Arc<Pool>,
}

struct Pool {
    idle: Mutex<Idle>,
    permits: Semaphore,
    /// Of every connection that is open.
    enders: Mutex<Vec<Ender>>,
    /// A connection on the file in use found that to be damaged.
    damaged: AtomicBool,
}

struct Idle {
    /// The file they are open on. A snapshot install replaces it.
    path: PathBuf,
    /// Counts replacements, so that a connection to an older file is closed on return.
    file: u64,
    connections: Vec<Sqlite>,
    /// The fewest that were idle at once since [`Readers::cool`]: so many, at the bottom,
    /// nobody took.
    fewest: usize,
}

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadersError {
    #[error("all read connections stayed in use")]
    Exhausted,
    #[error("a read connection could not be opened: {0}")]
    Open(#[from] SqliteError),
}

impl From<ReadersError> for SqlError {
    fn from(error: ReadersError) -> Self {
        match error {
            ReadersError::Exhausted => {
                Self::new(SqlState::TOO_MANY_CONNECTIONS, "all read connections are in use")
            }
            ReadersError::Open(error) => {
                tracing::error!(%error, "cannot open a read connection");
                Self::new(SqlState::IO_ERROR, "the database could not be opened")
            }
        }
    }
}

impl Readers {
    /// How long a statement waits for a connection.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A pool of at most `max` connections on the file at `path`.
    pub(super) fn new(path: PathBuf, max: usize) -> Self {
        let idle = Idle { path, file: 0, connections: Vec::new(), fewest: 0 };
        let (idle, permits, enders) = (Mutex::new(idle), Semaphore::new(max), Mutex::default());
        Self { pool: Arc::new(Pool { idle, permits, enders, damaged: AtomicBool::new(false) }) }
    }

    /// A connection, without waiting for one in use.
    pub(super) async fn take(&self) -> Result<Reader, ReadersError> {
        let permit = match self.pool.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(Self::PATIENCE, self.pool.permits.acquire())
                .await
                .map_err(|_| ReadersError::Exhausted)?
                .map_err(|_| ReadersError::Exhausted)?,
        };
        let (file, path, connection) = {
            let mut idle = self.pool.idle();
            let taken = idle.connections.pop();
            idle.fewest = idle.fewest.min(idle.connections.len());
            match taken {
                Some(connection) => (idle.file, None, Some(connection)),
                None => (idle.file, Some(idle.path.clone()), None),
            }
        };
        let sqlite = match (connection, path) {
            (Some(connection), _) => connection,
            (None, path) => {
                let path = path.expect("cloned where no connection was idle");
                let sqlite = Sqlite::open(&path, ConnectionKind::Reader)?;
                let mut enders = self.pool.enders();
                enders.retain(|ender| !ender.is_done());
                enders.push(sqlite.ender());
                sqlite
            }
        };
        sqlite.set_lent(true);
        permit.forget();
        Ok(Reader { sqlite: Some(sqlite), file, pool: Arc::clone(&self.pool) })
    }

    /// Ends the reads that have gone on for longer than this: they are told 40001. Returns
    /// how many there were.
    pub(super) fn end_older(&self, than: Duration) -> usize {
        let enders = self.pool.enders();
        enders.iter().filter(|ender| !ender.is_done() && ender.end_if_lent_for(than)).count()
    }

    /// Has those that nobody takes give up their page caches, again and again.
    pub(super) async fn cool_unused(self) {
        loop {
            tokio::time::sleep(REST_AFTER).await;
            self.cool();
        }
    }

    /// Those that nobody took since the last time give up their page caches.
    fn cool(&self) {
        let mut idle = self.pool.idle();
        let unused = idle.fewest.min(idle.connections.len());
        idle.connections[..unused].iter().for_each(Sqlite::release_memory);
        idle.fewest = idle.connections.len();
    }

    /// Which file they are open on; see [`Readers::note_damage`].
    pub(super) fn file(&self) -> u64 {
        self.pool.idle().file
    }

    /// Another connection to that file found it to be damaged.
    pub(super) fn note_damage(&self, file: u64) {
        self.pool.note_damage(&self.pool.idle(), file);
    }

    /// Whether a reader found the file to be damaged.
    pub(super) fn found_damage(&self) -> bool {
        self.pool.damaged.load(Ordering::Relaxed)
    }

    /// From now on hands out connections to the file at `path` alone.
    pub(super) fn replace(&self, path: PathBuf) {
        let old = {
            let mut idle = self.pool.idle();
            idle.path = path;
            idle.file += 1;
            self.pool.damaged.store(false, Ordering::Relaxed);
            std::mem::take(&mut idle.connections)
        };
        drop(old);
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so once of a file.
    fn note_damage(&self, idle: &Idle, file: u64) {
        if idle.file == file && !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %idle.path.display(), "the database file is damaged");
        }
    }

    fn enders(&self) -> MutexGuard<'_, Vec<Ender>> {
        self.enders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read connection on loan.
pub(super) struct Reader {
    /// `None` only while being dropped.
    sqlite: Option<Sqlite>,
    file: u64,
    pool: Arc<Pool>,
}

impl Deref for Reader {
    type Target = Sqlite;

    fn deref(&self) -> &Sqlite {
        self.sqlite.as_ref().expect("held until the drop")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Sqlite {
        self.sqlite.as_mut().expect("held until the drop")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut sqlite = self.sqlite.take().expect("dropped once");
        sqlite.set_cancel(None, None);
        sqlite.set_lent(false);
        // A connection whose snapshot can't be ended would pin the WAL: close it.
        let clean = !sqlite.is_ended()
            && (!sqlite.in_transaction() || sqlite.execute_batch("ROLLBACK").is_ok());
        let surplus = {
            let mut idle = self.pool.idle();
            if sqlite.found_damage() {
                self.pool.note_damage(&idle, self.file);
            }
            if clean && idle.file == self.file {
                idle.connections.push(sqlite);
                None
            } else {
                Some(sqlite)
            }
        };
        drop(surplus);
        self.pool.permits.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_not_taken_gives_its_pages_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("test.db");
        drop(Sqlite::open(&path, ConnectionKind::Writer).expect("made"));
        let readers = Readers::new(path, 2);
        let (mut first, mut second) =
            (readers.take().await.expect("a reader"), readers.take().await.expect("another"));
        first.applied().expect("read");
        second.applied().expect("read");
        drop((first, second));
        let kept = || -> Vec<bool> {
            let idle = readers.pool.idle();
            let held = |sqlite: &Sqlite| sqlite.cache_bytes().expect("told");
            let emptied = idle.connections.iter().map(|sqlite| {
                let before = held(sqlite);
                sqlite.release_memory();
                held(sqlite) < before
            });
            emptied.collect()
        };
        readers.cool();
        drop(readers.take().await.expect("the upper one"));
        readers.cool();
        assert_eq!(kept(), [false, true]);
    }
}
