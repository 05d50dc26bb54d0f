//! The write-ahead log as a file.

use std::io;
use std::path::Path;

use crate::storage::fs::{Fs, Op};

/// Makes durable what was committed to the database at `path`: SQLite itself does so only
/// before it moves what is in the WAL into the file.
///
/// # Errors
/// When the WAL or its directory can't be synced.
pub fn sync_wal(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    match fs.open(Op::SyncWal, Path::new(&wal)) {
        // Nobody has written anything since all of it was moved.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        wal => wal?.sync_data(Op::SyncWal)?,
    }
    fs.sync_dir(Op::SyncWal, path.parent().unwrap_or(path))
}
