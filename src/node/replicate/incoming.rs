//! The files of a snapshot as they arrive, in the directory of the next generation.
//!
//! What lies there already, from an attempt that was cut off, or else a copy of the
//! databases in use, is laid out and told; what the leader finds to be other than its own
//! is overwritten. Nothing is believed until the hash of each whole file, as the disk gives
//! it back, is the leader's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use xxhash_rust::xxh3::Xxh3;

use super::follow::decode;
use super::{Replication, StreamError};
use crate::log::Lsn;
use crate::net::FrameStream;
use crate::replication::message::{BYTES_MAX, Snapshot, SnapshotFile, ToFollower, ToLeader};
use crate::replication::snapshot::{Pieces, RANGE, range_hash};
use crate::storage::fs::{File, Fs, Op};
use crate::storage::sqlite::{ConnectionKind, Sqlite};

/// How long the leader may take between two pieces. It may be held back by its rate.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

/// Hashes in one message.
const HASHES_AT_ONCE: usize = 1024;

/// Where a snapshot comes to lie, and what may be of use for it.
pub(super) struct Places {
    /// The next generation's directory.
    pub dir: PathBuf,
    /// The database's place in it.
    pub database: PathBuf,
    /// The databases in use, unless they are no use.
    pub old_database: Option<PathBuf>,
    /// The log in use.
    pub old_log: PathBuf,
}

pub(super) struct Incoming<'a> {
    fs: &'a dyn Fs,
    files: Vec<IncomingFile>,
    pieces: Pieces,
    dirs: Vec<PathBuf>,
}

struct IncomingFile {
    path: PathBuf,
    file: Arc<dyn File>,
    length: u64,
    /// What it had when it was opened, or what was copied there: worth telling.
    held: u64,
}

impl<'a> Incoming<'a> {
    /// Lays out the files of a snapshot of one database and the segment that begins at
    /// `segment`, with what is there.
    pub(super) fn prepare(
        fs: &'a dyn Fs,
        places: &Places,
        snapshot: &Snapshot,
        segment: Lsn,
    ) -> Result<Self, StreamError> {
        let Places { dir, database, old_database, old_log } = places;
        let log = dir.join("log");
        fs.create_dir_all(Op::PrepareSnapshot, &log).map_err(file_error(&log))?;
        let name = format!("{:016x}.seg", segment.0);
        // Another attempt may have brought the log from elsewhere on: one segment only
        // may be adopted. And what an interrupted copy left is not to be rolled back.
        for (dir, keep) in [(&log, Path::new(&name)), (dir, database.as_path())] {
            for other in fs.list(Op::PrepareSnapshot, dir).map_err(file_error(dir))? {
                let path = dir.join(&other);
                if Some(path.as_path()) != keep.file_name().map(|keep| dir.join(keep)).as_deref()
                    && path != log
                {
                    fs.remove(Op::PrepareSnapshot, &path).map_err(file_error(&path))?;
                }
            }
        }
        let [database_file, log_file] = snapshot.files[..] else {
            return Err(StreamError::Protocol(format!("a snapshot of {:?}", snapshot.files)));
        };
        if let Some(old) = old_database
            && !exists(fs, database)?
        {
            copy_database(fs, old, database);
        }
        let files = vec![
            IncomingFile::open(fs, database.clone(), None, database_file)?,
            IncomingFile::open(fs, log.join(&name), Some(old_log.join(&name)), log_file)?,
        ];
        let data = dir.parent().unwrap_or(dir).to_owned();
        let pieces = Pieces::new(&snapshot.files);
        Ok(Self { fs, files, pieces, dirs: vec![log, dir.clone(), data] })
    }

    /// Tells the leader what is there, and receives the rest.
    pub(super) async fn receive(
        mut self,
        replication: &Replication,
        stream: &mut FrameStream,
    ) -> Result<(), StreamError> {
        self.tell(stream).await?;
        let reason = Reason::new(replication);
        let mut told = Instant::now();
        let hashes = loop {
            let frame = timeout(PATIENCE, stream.recv())
                .await
                .map_err(|_| StreamError::Silent(PATIENCE))??
                .ok_or(StreamError::Closed)?;
            replication.hub.saw_leader(crate::node::boottime_ns());
            match decode(&frame)? {
                ToFollower::Piece { file, offset, bytes } => self.write(file, offset, &bytes)?,
                ToFollower::SnapshotEnd { hashes } => break hashes,
                ToFollower::Refused { reason, .. } => return Err(StreamError::Refused(reason)),
                _ => return Err(StreamError::Protocol("not a piece of a snapshot".to_owned())),
            }
            reason.tell(&self.pieces);
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let (received, passed) = (self.pieces.received(), self.pieces.passed());
                tracing::info!(received, passed, of = self.pieces.total(), "receives a snapshot");
            }
        };
        tracing::info!(
            received = self.pieces.received(),
            of = self.pieces.total(),
            "a snapshot has come"
        );
        self.finish(&hashes)
    }

    async fn tell(&mut self, stream: &mut FrameStream) -> Result<(), StreamError> {
        let mut range = vec![0; RANGE];
        for (number, file) in self.files.iter().enumerate() {
            let (mut offset, mut hashes) = (0, Vec::new());
            while offset < file.held {
                let length = (file.length - offset).min(RANGE as u64) as usize;
                let read =
                    file.file.read_exact_at(Op::PrepareSnapshot, &mut range[..length], offset);
                read.map_err(file_error(&file.path))?;
                hashes.push(range_hash(&range[..length]));
                offset += length as u64;
                if hashes.len() == HASHES_AT_ONCE || offset >= file.held {
                    let hashes = std::mem::take(&mut hashes);
                    stream.send(&ToLeader::Told { file: number, hashes }.encode()).await?;
                }
            }
        }
        Ok(stream.send(&ToLeader::ToldAll.encode()).await?)
    }

    fn write(&mut self, number: usize, offset: u64, bytes: &Bytes) -> Result<(), StreamError> {
        let taken = self.pieces.take(number, offset, bytes.len());
        taken.map_err(|error| StreamError::Protocol(error.to_string()))?;
        let file = &self.files[number];
        let written = file.file.write_all_at(Op::ReceiveSnapshot, bytes, offset);
        written.map_err(file_error(&file.path))
    }

    /// Syncs everything, and compares what the disk gives back with the hashes. What is
    /// not right is no use for another attempt.
    fn finish(self, hashes: &[u64]) -> Result<(), StreamError> {
        if hashes.len() != self.files.len() {
            return Err(StreamError::Protocol("hashes of other files".to_owned()));
        }
        for (file, expected) in self.files.iter().zip(hashes) {
            let io = file_error(&file.path);
            file.file.sync_data(Op::VerifySnapshot).map_err(&io)?;
            let mut hash = Xxh3::new();
            let (mut offset, mut buffer) = (0, vec![0; BYTES_MAX]);
            while offset < file.length {
                let length = (file.length - offset).min(BYTES_MAX as u64) as usize;
                let read =
                    file.file.read_exact_at(Op::VerifySnapshot, &mut buffer[..length], offset);
                read.map_err(&io)?;
                hash.update(&buffer[..length]);
                offset += length as u64;
            }
            if hash.digest() != *expected {
                return Err(StreamError::BadSnapshot(file.path.clone()));
            }
        }
        for dir in &self.dirs {
            self.fs.sync_dir(Op::SyncDir, dir).map_err(file_error(dir))?;
        }
        Ok(())
    }
}

impl IncomingFile {
    fn open(
        fs: &dyn Fs,
        path: PathBuf,
        old: Option<PathBuf>,
        file: SnapshotFile,
    ) -> Result<Self, StreamError> {
        let io = file_error(&path);
        let length = file.length;
        let op = Op::PrepareSnapshot;
        let (file, held) = if exists(fs, &path)? {
            let file = fs.open(op, &path).map_err(&io)?;
            let held = file.length(op).map_err(&io)?.min(length);
            (file, held)
        } else {
            let file = fs.create(op, &path).map_err(&io)?;
            let held = match old {
                Some(old) if exists(fs, &old)? => copy_front(fs, &old, &*file, length)?,
                _ => 0,
            };
            (file, held)
        };
        file.truncate(op, length).map_err(io)?;
        Ok(Self { path, file, length, held })
    }
}

/// Copies a log's segment file, `length` bytes at most; returns how many.
fn copy_front(fs: &dyn Fs, old: &Path, to: &dyn File, length: u64) -> Result<u64, StreamError> {
    let io = file_error(old);
    let op = Op::PrepareSnapshot;
    let from = fs.open(op, old).map_err(&io)?;
    let length = from.length(op).map_err(&io)?.min(length);
    let (mut offset, mut buffer) = (0, vec![0; BYTES_MAX]);
    while offset < length {
        let part = (length - offset).min(BYTES_MAX as u64) as usize;
        from.read_exact_at(op, &mut buffer[..part], offset).map_err(&io)?;
        to.write_all_at(op, &buffer[..part], offset).map_err(&io)?;
        offset += part as u64;
    }
    Ok(length)
}

/// Copies the databases in use, by way of SQLite: whoever else opened and closed the file
/// would end this process's locks on it. Without a copy everything is sent.
fn copy_database(fs: &dyn Fs, old: &Path, to: &Path) {
    let unfinished = to.with_extension("old");
    let copied = Sqlite::open(old, ConnectionKind::Reader)
        .and_then(|mut old| old.copy_to(&unfinished))
        .map_err(|error| error.to_string())
        .and_then(|_| {
            let renamed = fs.rename(Op::PrepareSnapshot, &unfinished, to);
            renamed.map_err(|error| error.to_string())
        });
    if let Err(error) = copied {
        tracing::warn!(%error, path = %old.display(), "the old databases are no use for a snapshot");
    }
}

fn exists(fs: &dyn Fs, path: &Path) -> Result<bool, StreamError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let names = fs.list(Op::PrepareSnapshot, dir).map_err(file_error(dir))?;
    Ok(path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|own| names.iter().any(|n| n == own)))
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> StreamError + use<> {
    let path = path.to_owned();
    move |source| StreamError::File { path: path.clone(), source }
}

/// Why this node does not serve, as `status` has it, while it receives a snapshot.
struct Reason<'a> {
    replication: &'a Replication,
    /// What it was before.
    before: String,
}

const RECEIVES: &str = "receives a snapshot";

impl<'a> Reason<'a> {
    fn new(replication: &'a Replication) -> Self {
        Self { replication, before: replication.hub.reason.borrow().clone() }
    }

    fn tell(&self, pieces: &Pieces) {
        let (passed, total) = (pieces.passed(), pieces.total());
        let percent = (u128::from(passed) * 100).checked_div(total.into()).unwrap_or(100);
        let (received, mib) = (pieces.received() >> 20, total >> 20);
        let reason =
            format!("{RECEIVES}: {percent} % ({mib} MiB, of which {received} MiB were sent)");
        super::publish(&self.replication.hub.reason, reason);
    }
}

impl Drop for Reason<'_> {
    fn drop(&mut self) {
        let before = std::mem::take(&mut self.before);
        self.replication.hub.reason.send_if_modified(|held| {
            let ours = held.starts_with(RECEIVES);
            if ours {
                *held = before;
            }
            ours
        });
    }
}
