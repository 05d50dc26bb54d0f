//! The pool of read connections. A connection is lent to one statement, portal or
//! snapshot at a time and comes back when the [`Reader`] is dropped.
//!
//! Connections are opened when they are first needed, up to a bound, and handed out
//! last in, first out, so that a quiet node keeps few page caches warm.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::pg::{SqlError, SqlState};
use crate::storage::sqlite::{ConnectionKind, Sqlite, SqliteError};

/// The read connections of one database. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Arc<Pool>,
}

struct Pool {
    idle: Mutex<Idle>,
    permits: Semaphore,
}

struct Idle {
    /// The file they are open on. A snapshot install replaces it.
    path: PathBuf,
    /// Counts replacements, so that a connection to an older file is closed on return.
    file: u64,
    connections: Vec<Sqlite>,
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
        let idle = Idle { path, file: 0, connections: Vec::new() };
        Self { pool: Arc::new(Pool { idle: Mutex::new(idle), permits: Semaphore::new(max) }) }
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
            match idle.connections.pop() {
                Some(connection) => (idle.file, None, Some(connection)),
                None => (idle.file, Some(idle.path.clone()), None),
            }
        };
        let sqlite = match (connection, path) {
            (Some(connection), _) => connection,
            (None, path) => {
                let path = path.expect("cloned where no connection was idle");
                Sqlite::open(&path, ConnectionKind::Reader)?
            }
        };
        permit.forget();
        Ok(Reader { sqlite: Some(sqlite), file, pool: Arc::clone(&self.pool) })
    }

    /// From now on hands out connections to the file at `path` alone.
    pub(super) fn replace(&self, path: PathBuf) {
        let old = {
            let mut idle = self.pool.idle();
            idle.path = path;
            idle.file += 1;
            std::mem::take(&mut idle.connections)
        };
        drop(old);
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
        // A connection whose snapshot can't be ended would pin the WAL: close it.
        let clean = !sqlite.in_transaction() || sqlite.execute_batch("ROLLBACK").is_ok();
        let surplus = {
            let mut idle = self.pool.idle();
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
