//! How a database file was when its node ended, so that it can tell at its next start
//! whether another program has written into it meanwhile.
//!
//! Only a file that is whole without a WAL is sealed: the node moves everything into it
//! when it ends. A node that is killed leaves no seal, and asks nothing at its next start.
//! A file that is as long and as old as it was is taken to be the same; of one that is not,
//! as after copying a directory elsewhere, the content decides, unless there is too much of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The largest file whose content is read when the node ends, bytes.
const HASHED_MAX: u64 = 1 << 30;

/// A file as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Of the databases.
    pub generation: u64,
    /// Bytes.
    pub length: u64,
    /// When it was last written, nanoseconds since 1970.
    pub written_ns: i64,
    /// XXH3 of its content; `None` where it was too large.
    pub hash: Option<u64>,
}

/// What a file is, against its seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    Same,
    Edited,
    /// Written since, or copied; it is too large to tell.
    Touched,
}

impl Seal {
    /// Seals a file that nobody writes; `None` where a WAL belongs to it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of(file: &Path, generation: u64) -> io::Result<Option<Self>> {
        let (length, written_ns) = stat(file)?;
        if has_wal(file) {
            return Ok(None);
        }
        let hash = (length <= HASHED_MAX).then(|| hash(file)).transpose()?;
        Ok(Some(Self { generation, length, written_ns, hash }))
    }

    /// Whether the file, which no connection of this node has used since, holds what it
    /// held.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn compare(&self, file: &Path) -> io::Result<Held> {
        let (length, written_ns) = stat(file)?;
        if has_wal(file) || length != self.length {
            return Ok(Held::Edited);
        }
        Ok(match self.hash {
            _ if written_ns == self.written_ns => Held::Same,
            None => Held::Touched,
            Some(held) if hash(file)? == held => Held::Same,
            Some(_) => Held::Edited,
        })
    }
}

fn stat(file: &Path) -> io::Result<(u64, i64)> {
    let metadata = std::fs::metadata(file)?;
    Ok((metadata.len(), metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec()))
}

/// Whether something lies in the file's WAL. Who only reads leaves an empty one at most.
fn has_wal(file: &Path) -> bool {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(Path::new(&name)).is_ok_and(|wal| wal.len() > 0)
}

fn hash(file: &Path) -> io::Result<u64> {
    let (mut file, mut hash, mut buffer) = (File::open(file)?, Xxh3::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest()),
            length => hash.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::storage::sqlite::{ConnectionKind, Sqlite};

    /// A closed database.
    fn database(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("a.db");
        let mut sqlite = Sqlite::open(&path, ConnectionKind::Writer).expect("opens");
        sqlite.execute_batch("create table t (a); insert into t values (1)").expect("runs");
        path
    }

    fn shell(path: &Path, sql: &str) {
        let output = Command::new("sqlite3").arg(path).arg(sql).output().expect("sqlite3 runs");
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn an_edit_is_seen_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = database(dir.path());
        let seal = Seal::of(&path, 3).expect("read").expect("no WAL");
        let compare = |seal: &Seal| seal.compare(&path).expect("read");
        // Of a file that is too large.
        let bare = Seal { hash: None, ..seal };
        assert_eq!(compare(&seal), Held::Same);
        shell(&path, "select * from t; pragma integrity_check");
        assert_eq!([&seal, &bare].map(compare), [Held::Same; 2], "it was read");
        let earlier = SystemTime::now() - Duration::from_secs(1000);
        File::options()
            .append(true)
            .open(&path)
            .and_then(|it| it.set_modified(earlier))
            .expect("set");
        assert_eq!([&seal, &bare].map(compare), [Held::Same, Held::Touched], "it was copied");
        shell(&path, "update t set a = 2");
        assert_eq!([&seal, &bare].map(compare), [Held::Edited, Held::Touched]);
        shell(&path, "create table u (a)");
        assert_eq!(compare(&bare), Held::Edited, "it is longer");
    }

    #[test]
    fn a_file_with_a_wal_is_not_sealed_and_one_that_got_a_wal_was_edited() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = database(dir.path());
        let seal = Seal::of(&path, 3).expect("read").expect("no WAL");
        let mut sqlite = Sqlite::open(&path, ConnectionKind::Writer).expect("opens");
        sqlite.execute_batch("insert into t values (2)").expect("runs");
        assert_eq!(Seal::of(&path, 3).expect("read"), None);
        assert_eq!(seal.compare(&path).expect("read"), Held::Edited);
    }
}
