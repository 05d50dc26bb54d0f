//! The write-ahead log as a file.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes durable what was committed to the database at `path`: SQLite itself does so only
/// before it moves what is in the WAL into the file.
///
/// # Errors
/// When the WAL or its directory can't be synced.
pub fn sync_wal(path: &Path) -> io::Result<()> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    match File::open(wal) {
        // Nobody has written anything since all of it was moved.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        wal => wal?.sync_data()?,
    }
    File::open(path.parent().unwrap_or(path))?.sync_all()
}
