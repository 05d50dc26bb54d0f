//! The raw SQLite handle behind safe functions: all of the crate's `unsafe`.
//!
//! Why these are sound:
//!
//! * Databases are opened in serialized mode (`FULLMUTEX`): SQLite takes the
//!   connection's mutex in every call, so calls from several threads never race.
//! * A [`Prepared`] keeps its [`Database`] alive, and a database is closed only when
//!   dropped, so no statement outlives its handle.
//! * [`Hooks`], to which SQLite holds a pointer, are boxed, never moved, owned by
//!   the database and dropped after it is closed. Their state is behind locks.
//! * Column bytes are SQLite's own copy, valid until the statement is stepped, reset
//!   or finalized, which take `&mut self`; they are asked for as the type they have,
//!   so that no conversion moves them.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, OnceLock};

use rusqlite::vtab::{self, sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::{Connection, ffi};

use super::clock;
use super::effect::{RawValue, RowChange};
use super::error::{SqliteError, SqliteErrorKind};
use super::hooks::{self, Hooks, Traits};
use super::refusals::Action;
use super::vtab::table::{Cursor, Table, owned};

/// Gives what the C library has free back to the system.
fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> c_int;
        }
        // SAFETY: glibc's function takes a size and touches free memory alone.
        unsafe { malloc_trim(0) };
    }
}

/// The name of the VFS with the frozen clock.
const VFS_NAME: &CStr = c"towline";

/// Virtual machine instructions between two looks at the cancel flag: some tens of
/// microseconds.
const PROGRESS_STEPS: c_int = 1000;

/// What a checkpoint met in the WAL.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checkpoint {
    /// Pages in the WAL, those included that are in the file, too. It starts over at the
    /// first transaction that begins while all of them are, and nobody reads them.
    pub pages: u64,
    /// Pages that are in the WAL alone, still.
    pub left: u64,
}

/// How long to wait for a lock which another process (the `sqlite3` shell) holds.
const BUSY_TIMEOUT_MS: c_int = 5000;

/// An open database connection.
pub(super) struct Database {
    db: NonNull<ffi::sqlite3>,
    hooks: Box<Hooks>,
}

// SAFETY: serialized mode; see the module's documentation.
unsafe impl Send for Database {}
// SAFETY: as above.
unsafe impl Sync for Database {}

/// A switch of a connection (`SQLITE_DBCONFIG_*`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Switch {
    ForeignKeys,
    Triggers,
    TrustedSchema,
    Defensive,
    NoCheckpointOnClose,
}

impl Database {
    /// Opens a file (`create`: also a new one) with hooks installed.
    pub(super) fn open(
        path: &Path,
        create: bool,
        hash_rows: bool,
        hooks: Hooks,
    ) -> Result<Self, SqliteError> {
        register_vfs()?;
        let path = path_to_c(path)?;
        let mut flags = ffi::SQLITE_OPEN_READWRITE
            | ffi::SQLITE_OPEN_FULLMUTEX
            | ffi::SQLITE_OPEN_EXRESCODE
            | ffi::SQLITE_OPEN_PRIVATECACHE;
        if create {
            flags |= ffi::SQLITE_OPEN_CREATE;
        }
        let mut db = ptr::null_mut();
        // SAFETY: both strings are terminated, `db` is written before the return.
        let code =
            unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &raw mut db, flags, VFS_NAME.as_ptr()) };
        let Some(db) = NonNull::new(db) else {
            return Err(SqliteError::new(code, "out of memory".to_owned(), None, None));
        };
        let database = Self { db, hooks: Box::new(hooks) };
        database.check(code)?;
        database.install_hooks(hash_rows);
        // SAFETY: the handle is open.
        database.check(unsafe { ffi::sqlite3_busy_timeout(db.as_ptr(), BUSY_TIMEOUT_MS) })?;
        // SAFETY: the handle is open. Checkpoints are another connection's business.
        database.check(unsafe { ffi::sqlite3_wal_autocheckpoint(db.as_ptr(), 0) })?;
        Ok(database)
    }

    fn install_hooks(&self, hash_rows: bool) {
        let hooks = ptr::from_ref::<Hooks>(&self.hooks).cast_mut().cast::<c_void>();
        let db = self.db.as_ptr();
        // SAFETY: `hooks` outlives the handle (see the module's documentation), and
        // each callback takes it for what it is.
        unsafe {
            if hash_rows {
                ffi::sqlite3_preupdate_hook(db, Some(on_preupdate), hooks);
            }
            ffi::sqlite3_set_authorizer(db, Some(on_authorize), hooks);
            ffi::sqlite3_progress_handler(db, PROGRESS_STEPS, Some(on_progress), hooks);
        }
    }

    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Lends the connection to rusqlite, for what it makes safe: functions,
    /// collations, virtual tables, small queries.
    pub(super) fn with_rusqlite<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, SqliteError> {
        // SAFETY: the handle is open, and stays so while it is lent; rusqlite does
        // not close a handle that it does not own.
        let connection = unsafe { Connection::from_handle(self.db.as_ptr()) }?;
        Ok(work(&connection)?)
    }

    fn check(&self, code: c_int) -> Result<(), SqliteError> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.error(code)) }
    }

    /// What SQLite says of its last failure on this connection.
    pub(super) fn error(&self, code: c_int) -> SqliteError {
        let db = self.db.as_ptr();
        // SAFETY: the handle is open. Its mutex keeps the message in place while it
        // is copied.
        let (message, offset) = unsafe {
            let mutex = ffi::sqlite3_db_mutex(db);
            ffi::sqlite3_mutex_enter(mutex);
            let message = CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
            let offset = ffi::sqlite3_error_offset(db);
            ffi::sqlite3_mutex_leave(mutex);
            (message, offset)
        };
        if SqliteErrorKind::from_code(code) == SqliteErrorKind::Corrupt {
            self.hooks.note_damage();
        }
        let aside = self.hooks.surroundings().take_raised();
        SqliteError::new(code, message, usize::try_from(offset).ok(), aside)
    }

    pub(super) fn set_switch(&self, switch: Switch, on: bool) -> Result<(), SqliteError> {
        self.configure(switch, c_int::from(on)).map(drop)
    }

    pub(super) fn switch(&self, switch: Switch) -> Result<bool, SqliteError> {
        self.configure(switch, -1)
    }

    /// Sets a switch, unless the value is negative; returns how it is then.
    fn configure(&self, switch: Switch, value: c_int) -> Result<bool, SqliteError> {
        let option = match switch {
            Switch::ForeignKeys => ffi::SQLITE_DBCONFIG_ENABLE_FKEY,
            Switch::Triggers => ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER,
            Switch::TrustedSchema => ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            Switch::Defensive => ffi::SQLITE_DBCONFIG_DEFENSIVE,
            Switch::NoCheckpointOnClose => ffi::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        };
        let mut now: c_int = 0;
        // SAFETY: these options take an int and a pointer to one that outlives the call.
        self.check(unsafe {
            ffi::sqlite3_db_config(self.db.as_ptr(), option, value, &raw mut now)
        })?;
        Ok(now != 0)
    }

    /// Bounds what a statement may be (`SQLITE_LIMIT_*`).
    pub(super) fn set_limit(&self, limit: c_int, value: c_int) {
        // SAFETY: the handle is open; unknown limits and values are ignored.
        unsafe { ffi::sqlite3_limit(self.db.as_ptr(), limit, value) };
    }

    /// Frees the pages in its caches that nothing uses. Where those were many, the memory
    /// goes back to the system, too, of which the C library would keep what other blocks
    /// lie around.
    pub(super) fn release_memory(&self) {
        const MANY: u64 = 1 << 20;
        let held = || self.cache_bytes().unwrap_or(0);
        let before = held();
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_db_release_memory(self.db.as_ptr()) };
        if before.saturating_sub(held()) >= MANY {
            return_free_memory();
        }
    }

    pub(super) fn autocommit(&self) -> bool {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_get_autocommit(self.db.as_ptr()) != 0 }
    }

    pub(super) fn changes(&self) -> i64 {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_changes64(self.db.as_ptr()) }
    }

    pub(super) fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_last_insert_rowid(self.db.as_ptr()) }
    }

    pub(super) fn set_last_insert_rowid(&self, rowid: i64) {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.db.as_ptr(), rowid) };
    }

    /// Whether foreign keys are violated in the open transaction.
    pub(super) fn has_deferred_violations(&self) -> Result<bool, SqliteError> {
        let (mut current, mut highest) = (0, 0);
        // SAFETY: the handle is open and both integers are ours.
        self.check(unsafe {
            ffi::sqlite3_db_status(
                self.db.as_ptr(),
                ffi::SQLITE_DBSTATUS_DEFERRED_FKS,
                &raw mut current,
                &raw mut highest,
                0,
            )
        })?;
        Ok(current != 0)
    }

    /// Bytes of heap that the connection's page cache holds.
    pub(super) fn cache_bytes(&self) -> Result<u64, SqliteError> {
        let (mut current, mut highest) = (0, 0);
        // SAFETY: the handle is open and both integers are ours.
        self.check(unsafe {
            ffi::sqlite3_db_status(
                self.db.as_ptr(),
                ffi::SQLITE_DBSTATUS_CACHE_USED,
                &raw mut current,
                &raw mut highest,
                0,
            )
        })?;
        Ok(u64::try_from(current).unwrap_or(0))
    }

    /// Whether what lies at the file's path is not the file that is open.
    pub(super) fn has_moved(&self) -> Result<bool, SqliteError> {
        let mut moved: c_int = 0;
        // SAFETY: the handle is open, the name is terminated, and this operation takes an
        // integer to write to.
        let code = unsafe {
            ffi::sqlite3_file_control(
                self.db.as_ptr(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_HAS_MOVED,
                (&raw mut moved).cast(),
            )
        };
        self.check(code)?;
        Ok(moved != 0)
    }

    /// A passive checkpoint; `None` where another one runs.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, SqliteError> {
        self.checkpoint_as(ffi::SQLITE_CHECKPOINT_PASSIVE)
    }

    /// Moves all of the WAL into the file and truncates it, unless somebody reads from it.
    pub(super) fn empty_wal(&self) -> Result<(), SqliteError> {
        self.checkpoint_as(ffi::SQLITE_CHECKPOINT_TRUNCATE).map(drop)
    }

    fn checkpoint_as(&self, mode: c_int) -> Result<Option<Checkpoint>, SqliteError> {
        let (mut log, mut done) = (0, 0);
        // SAFETY: the handle is open, the name is terminated, the integers are ours.
        let code = unsafe {
            ffi::sqlite3_wal_checkpoint_v2(
                self.db.as_ptr(),
                c"main".as_ptr(),
                mode,
                &raw mut log,
                &raw mut done,
            )
        };
        // Busy: another checkpoint runs, which will do, or somebody reads.
        if code & 0xff != ffi::SQLITE_BUSY {
            self.check(code)?;
        }
        // -1 where another one runs.
        let (Ok(pages), Ok(done)) = (u64::try_from(log), u64::try_from(done)) else {
            return Ok(None);
        };
        Ok(Some(Checkpoint { pages, left: pages.saturating_sub(done) }))
    }

    /// Ends every statement that stands between two rows, and the open transaction: the
    /// snapshot goes. The caller sees to it that nobody looks at a row meanwhile.
    pub(super) fn end_reads(&self) -> Result<(), SqliteError> {
        // SAFETY: the handle is open; a statement is reset, which whoever holds it may do
        // again, and the mutex keeps it from being finalized between the two calls.
        let code = unsafe {
            let mutex = ffi::sqlite3_db_mutex(self.db.as_ptr());
            ffi::sqlite3_mutex_enter(mutex);
            let mut statement = ffi::sqlite3_next_stmt(self.db.as_ptr(), ptr::null_mut());
            while !statement.is_null() {
                ffi::sqlite3_reset(statement);
                statement = ffi::sqlite3_next_stmt(self.db.as_ptr(), statement);
            }
            let open = ffi::sqlite3_get_autocommit(self.db.as_ptr()) == 0;
            let rollback = c"ROLLBACK".as_ptr();
            let code = match open {
                true => ffi::sqlite3_exec(
                    self.db.as_ptr(),
                    rollback,
                    None,
                    ptr::null_mut(),
                    ptr::null_mut(),
                ),
                false => ffi::SQLITE_OK,
            };
            ffi::sqlite3_mutex_leave(mutex);
            code
        };
        self.check(code)
    }

    /// Compiles the first statement of `sql`. Returns it (`None` where there is only
    /// white space and comments) and how many bytes it took.
    pub(super) fn prepare(
        self: &Arc<Self>,
        sql: &str,
        persistent: bool,
    ) -> Result<(Option<Prepared>, usize), SqliteError> {
        let Ok(length) = c_int::try_from(sql.len()) else {
            let message = "statement too long".to_owned();
            return Err(SqliteError::new(ffi::SQLITE_TOOBIG, message, None, None));
        };
        let flags = if persistent { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let start = sql.as_ptr().cast::<c_char>();
        let (mut statement, mut tail) = (ptr::null_mut(), ptr::null());
        self.hooks.begin_compilation();
        // SAFETY: the handle is open; `length` bytes at `start` are readable; SQLite
        // writes both pointers.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                self.db.as_ptr(),
                start,
                length,
                flags,
                &raw mut statement,
                &raw mut tail,
            )
        };
        self.check(code)?;
        let taken = (tail as usize).checked_sub(start as usize);
        let taken = taken.filter(|taken| *taken <= sql.len()).unwrap_or(sql.len());
        let statement = NonNull::new(statement).map(|statement| Prepared {
            statement,
            database: Arc::clone(self),
            traits: self.hooks.end_compilation(),
        });
        Ok((statement, taken))
    }

    /// Copies the whole database, as of the snapshot that is open here, to a new file.
    pub(super) fn back_up(&self, path: &Path) -> Result<(), SqliteError> {
        let path = path_to_c(path)?;
        let flags = ffi::SQLITE_OPEN_READWRITE
            | ffi::SQLITE_OPEN_CREATE
            | ffi::SQLITE_OPEN_FULLMUTEX
            | ffi::SQLITE_OPEN_EXRESCODE;
        let mut target = ptr::null_mut();
        // SAFETY: the path is terminated and `target` is written before the return.
        let code =
            unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &raw mut target, flags, ptr::null()) };
        let Some(target) = NonNull::new(target) else {
            return Err(SqliteError::new(code, "out of memory".to_owned(), None, None));
        };
        let target = Target(target);
        target.check(code)?;
        // SAFETY: both handles are open and the names are terminated.
        let backup = unsafe {
            ffi::sqlite3_backup_init(
                target.0.as_ptr(),
                c"main".as_ptr(),
                self.db.as_ptr(),
                c"main".as_ptr(),
            )
        };
        if backup.is_null() {
            return Err(target.error());
        }
        // SAFETY: `backup` was made above, and is finished exactly once.
        let code = unsafe {
            ffi::sqlite3_backup_step(backup, -1);
            ffi::sqlite3_backup_finish(backup)
        };
        target.check(code)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and no statement of it is left: each keeps its
        // database alive.
        let code = unsafe { ffi::sqlite3_close(self.db.as_ptr()) };
        debug_assert_eq!(code, ffi::SQLITE_OK, "a connection was closed with statements open");
    }
}

/// The file that a backup writes.
struct Target(NonNull<ffi::sqlite3>);

impl Target {
    fn check(&self, code: c_int) -> Result<(), SqliteError> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.error()) }
    }

    fn error(&self) -> SqliteError {
        // SAFETY: the handle is open and used by this thread alone.
        let (code, message) = unsafe {
            let db = self.0.as_ptr();
            let message = CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
            (ffi::sqlite3_extended_errcode(db), message)
        };
        SqliteError::new(code, message, None, None)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // SAFETY: the handle is open and has no statements.
        unsafe { ffi::sqlite3_close(self.0.as_ptr()) };
    }
}

fn path_to_c(path: &Path) -> Result<CString, SqliteError> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    // A name that starts so would be taken for a URI.
    let prefix: &[u8] = if bytes.starts_with(b"file:") { b"./" } else { b"" };
    CString::new([prefix, bytes].concat()).map_err(|_| {
        let message = "the path of a database holds a zero byte".to_owned();
        SqliteError::new(ffi::SQLITE_CANTOPEN, message, None, None)
    })
}

/// A compiled statement.
pub(super) struct Prepared {
    statement: NonNull<ffi::sqlite3_stmt>,
    database: Arc<Database>,
    traits: Traits,
}

// SAFETY: serialized mode; see the module's documentation.
unsafe impl Send for Prepared {}

/// What a step came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Row,
    Done,
}

impl Prepared {
    pub(super) fn traits(&self) -> Traits {
        self.traits
    }

    pub(super) fn parameter_count(&self) -> usize {
        // SAFETY: the statement is not finalized before `self` is dropped; so below.
        let count = unsafe { ffi::sqlite3_bind_parameter_count(self.statement.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Binds a copy of `value`; `index` counts from 1.
    pub(super) fn bind(&mut self, index: usize, value: RawValue<'_>) -> Result<(), SqliteError> {
        let statement = self.statement.as_ptr();
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: SQLite copies the bytes (SQLITE_TRANSIENT) before it returns, and
        // refuses an index that does not exist.
        let code = unsafe {
            match value {
                RawValue::Null => ffi::sqlite3_bind_null(statement, index),
                RawValue::Integer(value) => ffi::sqlite3_bind_int64(statement, index, value),
                RawValue::Real(value) => ffi::sqlite3_bind_double(statement, index, value),
                RawValue::Text(bytes) => ffi::sqlite3_bind_text64(
                    statement,
                    index,
                    non_null(bytes).cast::<c_char>(),
                    bytes.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                RawValue::Blob(bytes) => ffi::sqlite3_bind_blob64(
                    statement,
                    index,
                    non_null(bytes).cast::<c_void>(),
                    bytes.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                ),
            }
        };
        self.database.check(code)
    }

    pub(super) fn step(&mut self) -> Result<Step, SqliteError> {
        // SAFETY: the statement is valid.
        match unsafe { ffi::sqlite3_step(self.statement.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(Step::Row),
            ffi::SQLITE_DONE => Ok(Step::Done),
            code => Err(self.database.error(code)),
        }
    }

    /// Ends the run; the bindings stay.
    pub(super) fn reset(&mut self) {
        // SAFETY: the statement is valid. The code repeats the last step's.
        unsafe { ffi::sqlite3_reset(self.statement.as_ptr()) };
    }

    pub(super) fn clear_bindings(&mut self) {
        // SAFETY: the statement is valid.
        unsafe { ffi::sqlite3_clear_bindings(self.statement.as_ptr()) };
    }

    pub(super) fn column_count(&self) -> usize {
        // SAFETY: the statement is valid.
        let count = unsafe { ffi::sqlite3_column_count(self.statement.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    pub(super) fn column_name(&self, index: usize) -> String {
        let Ok(index) = c_int::try_from(index) else { return String::new() };
        // SAFETY: the statement is valid; a missing column gives null; the name is
        // copied before anything else happens to the statement.
        unsafe {
            let name = ffi::sqlite3_column_name(self.statement.as_ptr(), index);
            if name.is_null() {
                return String::new();
            }
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    /// Column `index` (from 0) of the current row; null where there is none.
    pub(super) fn column(&self, index: usize) -> RawValue<'_> {
        let statement = self.statement.as_ptr();
        let Ok(index) = c_int::try_from(index) else { return RawValue::Null };
        // SAFETY: the statement is valid; a missing row or column reads as null. The
        // bytes stay in place until `&mut self` is taken, as the module says.
        unsafe {
            match ffi::sqlite3_column_type(statement, index) {
                ffi::SQLITE_INTEGER => {
                    RawValue::Integer(ffi::sqlite3_column_int64(statement, index))
                }
                ffi::SQLITE_FLOAT => RawValue::Real(ffi::sqlite3_column_double(statement, index)),
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_column_text(statement, index);
                    let length = ffi::sqlite3_column_bytes(statement, index);
                    RawValue::Text(bytes(start, length))
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_column_blob(statement, index);
                    let length = ffi::sqlite3_column_bytes(statement, index);
                    RawValue::Blob(bytes(start.cast::<u8>(), length))
                }
                _ => RawValue::Null,
            }
        }
    }

    /// SQLite's own opinion, right for EXPLAIN too.
    pub(super) fn readonly(&self) -> bool {
        // SAFETY: the statement is valid.
        unsafe {
            ffi::sqlite3_stmt_readonly(self.statement.as_ptr()) != 0
                || ffi::sqlite3_stmt_isexplain(self.statement.as_ptr()) != 0
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the statement is valid, and nothing uses it afterwards.
        unsafe { ffi::sqlite3_finalize(self.statement.as_ptr()) };
    }
}

/// A pointer for SQLite to empty bytes, which must not be null: that would be NULL.
fn non_null(bytes: &[u8]) -> *const u8 {
    if bytes.is_empty() { c"".as_ptr().cast::<u8>() } else { bytes.as_ptr() }
}

/// # Safety
///
/// `length` bytes at `start` are readable for `'a`, or `start` is null.
unsafe fn bytes<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's promise.
        Ok(length) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, length) },
        _ => &[],
    }
}

/// A row change as SQLite shows it to the preupdate hook.
struct PreUpdate<'a> {
    db: *mut ffi::sqlite3,
    operation: c_int,
    table: &'a CStr,
    keys: (i64, i64),
}

impl PreUpdate<'_> {
    /// # Safety
    ///
    /// Called within the hook, with SQLite's function for old or new values.
    unsafe fn value(
        &self,
        index: c_int,
        get: unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int,
    ) -> Option<RawValue<'_>> {
        let mut value = ptr::null_mut();
        // SAFETY: the caller's promise; the value is SQLite's and stays in place
        // until the hook returns, which `self` does not outlive. Its bytes are asked
        // for as the type they have.
        unsafe {
            if get(self.db, index, &raw mut value) != ffi::SQLITE_OK || value.is_null() {
                return None;
            }
            Some(match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => RawValue::Integer(ffi::sqlite3_value_int64(value)),
                ffi::SQLITE_FLOAT => RawValue::Real(ffi::sqlite3_value_double(value)),
                // As bytes, which spares SQLite a copy with a terminator. The length
                // is asked for first: it is what may bring a text into UTF-8.
                kind @ (ffi::SQLITE_TEXT | ffi::SQLITE_BLOB) => {
                    let length = ffi::sqlite3_value_bytes(value);
                    let bytes = bytes(ffi::sqlite3_value_blob(value).cast::<u8>(), length);
                    if kind == ffi::SQLITE_TEXT {
                        RawValue::Text(bytes)
                    } else {
                        RawValue::Blob(bytes)
                    }
                }
                _ => RawValue::Null,
            })
        }
    }
}

impl RowChange for PreUpdate<'_> {
    fn operation(&self) -> i32 {
        self.operation
    }

    fn table(&self) -> &[u8] {
        self.table.to_bytes()
    }

    fn keys(&self) -> (i64, i64) {
        self.keys
    }

    fn columns(&self) -> i32 {
        // SAFETY: `self` lives within the hook only.
        unsafe { ffi::sqlite3_preupdate_count(self.db) }
    }

    fn before(&self, index: i32) -> Option<RawValue<'_>> {
        // SAFETY: `self` lives within the hook only.
        unsafe { self.value(index, ffi::sqlite3_preupdate_old) }
    }

    fn after(&self, index: i32) -> Option<RawValue<'_>> {
        // SAFETY: `self` lives within the hook only.
        unsafe { self.value(index, ffi::sqlite3_preupdate_new) }
    }
}

unsafe extern "C" fn on_preupdate(
    hooks: *mut c_void,
    db: *mut ffi::sqlite3,
    operation: c_int,
    schema: *const c_char,
    table: *const c_char,
    old_key: i64,
    new_key: i64,
) {
    // SAFETY: SQLite passes what `install_hooks` gave it, and terminated names.
    let (hooks, schema, table) = unsafe {
        (&*hooks.cast::<Hooks>().cast_const(), CStr::from_ptr(schema), CStr::from_ptr(table))
    };
    if schema != c"main" {
        return;
    }
    // SQLite leaves the key of a row that is not there undefined.
    let keys = match operation {
        ffi::SQLITE_INSERT => (0, new_key),
        ffi::SQLITE_DELETE => (old_key, 0),
        _ => (old_key, new_key),
    };
    hooks.row_changed(&PreUpdate { db, operation, table, keys });
}

unsafe extern "C" fn on_authorize(
    hooks: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    schema: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: SQLite passes what `install_hooks` gave it, and names that are
    // terminated or null and stay in place until the callback returns.
    let (hooks, first, second, schema) = unsafe {
        let text = |text: *const c_char| (!text.is_null()).then(|| CStr::from_ptr(text));
        (&*hooks.cast::<Hooks>().cast_const(), text(first), text(second), text(schema))
    };
    let action = match action {
        ffi::SQLITE_READ => Action::Read { schema: hooks::name(schema) },
        ffi::SQLITE_FUNCTION => Action::Function(hooks::name(second)),
        ffi::SQLITE_PRAGMA => Action::Pragma {
            name: hooks::name(first),
            argument: second.map(|argument| hooks::name(Some(argument))),
        },
        ffi::SQLITE_ATTACH => Action::Attach,
        ffi::SQLITE_DETACH => Action::Detach,
        ffi::SQLITE_SAVEPOINT => Action::Savepoint { rollback: first == Some(c"ROLLBACK") },
        ffi::SQLITE_CREATE_TEMP_TRIGGER | ffi::SQLITE_DROP_TEMP_TRIGGER => Action::TempTrigger,
        ffi::SQLITE_CREATE_INDEX..=ffi::SQLITE_CREATE_VIEW
        | ffi::SQLITE_DROP_INDEX..=ffi::SQLITE_DROP_VIEW
        | ffi::SQLITE_ALTER_TABLE
        | ffi::SQLITE_CREATE_VTABLE
        | ffi::SQLITE_DROP_VTABLE => Action::Schema,
        _ => Action::Other,
    };
    if hooks.authorize(action) { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

unsafe extern "C" fn on_progress(hooks: *mut c_void) -> c_int {
    // SAFETY: SQLite passes what `install_hooks` gave it.
    let hooks = unsafe { &*hooks.cast::<Hooks>().cast_const() };
    c_int::from(hooks.interrupted())
}

/// Registers, once a process, a VFS that differs from the system's in its clock, and
/// makes `localtime` mean UTC.
fn register_vfs() -> Result<(), SqliteError> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    let code = *REGISTERED.get_or_init(|| {
        // SAFETY: SQLite is configured before it is first used in this process, or
        // refuses to be; without statistics its allocations share no lock.
        unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int);
        }
        // SAFETY: the default VFS is never unregistered, so its methods stay good;
        // the copy and its name are never freed. The alternative localtime is called
        // with a time_t and a struct tm, as its type says.
        unsafe {
            let system = ffi::sqlite3_vfs_find(ptr::null());
            if system.is_null() {
                return ffi::SQLITE_ERROR;
            }
            let mut vfs = *system;
            vfs.pNext = ptr::null_mut();
            vfs.zName = VFS_NAME.as_ptr();
            vfs.xCurrentTime = Some(current_time);
            vfs.xCurrentTimeInt64 = Some(current_time_ms);
            let localtime: unsafe extern "C" fn(*const c_void, *mut c_void) -> c_int = utc;
            ffi::sqlite3_test_control(
                ffi::SQLITE_TESTCTRL_LOCALTIME_FAULT,
                ALTERNATIVE_LOCALTIME,
                localtime,
            );
            ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0)
        }
    });
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(SqliteError::new(code, "cannot register the clock".to_owned(), None, None)),
    }
}

/// The argument of `SQLITE_TESTCTRL_LOCALTIME_FAULT` that sets a function instead of
/// making `localtime` fail.
const ALTERNATIVE_LOCALTIME: c_int = 2;

unsafe extern "C" fn current_time_ms(_: *mut ffi::sqlite3_vfs, time: *mut i64) -> c_int {
    // SAFETY: SQLite passes a pointer to write the time to.
    unsafe { *time = clock::julian_ms() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, time: *mut f64) -> c_int {
    // SAFETY: SQLite passes a pointer to write the time to.
    unsafe { *time = clock::julian_ms() as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn utc(time: *const c_void, broken_down: *mut c_void) -> c_int {
    use nix::libc;
    // SAFETY: SQLite passes a time_t to read and a struct tm to write.
    let written =
        unsafe { libc::gmtime_r(time.cast::<libc::time_t>(), broken_down.cast::<libc::tm>()) };
    c_int::from(written.is_null())
}

/// Runs a query on the connection that calls a function, from within the function.
pub(super) fn with_caller<T>(
    context: &rusqlite::functions::Context<'_>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // SAFETY: the connection is open while it calls the function, and in serialized
    // mode; the reference does not leave `work`.
    let connection = unsafe { context.get_connection() }?;
    work(&connection)
}

/// A virtual table as SQLite holds it.
#[repr(C)]
pub(super) struct TableOf<T> {
    base: sqlite3_vtab,
    table: T,
}

/// A cursor over one.
#[repr(C)]
pub(super) struct CursorOf<C> {
    base: sqlite3_vtab_cursor,
    cursor: C,
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab`.
unsafe impl<'vtab, T: Table> vtab::VTab<'vtab> for TableOf<T> {
    type Aux = T::Shared;
    type Cursor = CursorOf<T::Cursor>;

    fn connect(
        db: &mut vtab::VTabConnection,
        aux: Option<&T::Shared>,
        module: &[u8],
        schema: &[u8],
        name: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Some(shared) = aux else {
            return Err(rusqlite::Error::ModuleError(format!("{} lacks its state", text(module))));
        };
        db.config(vtab::VTabConfig::Innocuous)?;
        let (declaration, table) = T::connect(shared, &text(schema), &text(name))?;
        let declaration = CString::new(declaration)?;
        Ok((Cow::Owned(declaration), Self { base: sqlite3_vtab::default(), table }))
    }

    fn best_index(&self, info: &mut vtab::IndexInfo) -> rusqlite::Result<bool> {
        self.table.plan(info)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<Self::Cursor> {
        Ok(CursorOf { base: sqlite3_vtab_cursor::default(), cursor: self.table.open() })
    }
}

impl<'vtab, T: Table> vtab::CreateVTab<'vtab> for TableOf<T> {
    const KIND: vtab::VTabKind = vtab::VTabKind::Default;
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab_cursor`.
unsafe impl<C: Cursor> vtab::VTabCursor for CursorOf<C> {
    fn filter(
        &mut self,
        plan: c_int,
        _text: Option<&str>,
        values: &vtab::Filters<'_>,
    ) -> rusqlite::Result<()> {
        self.cursor.filter(plan, values.iter().map(owned).collect())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.cursor.next()
    }

    fn eof(&self) -> bool {
        self.cursor.at_end()
    }

    fn column(&self, context: &mut vtab::Context, column: c_int) -> rusqlite::Result<()> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        context.set_result(self.cursor.column(column))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.cursor.row_number())
    }
}
