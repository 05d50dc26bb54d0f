//! The leader's side of a snapshot: a copy of the databases, and of it what the follower
//! lacks.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use xxhash_rust::xxh3::Xxh3;

use super::serve::{Listed, decode};
use super::{Progress, Replication, StreamError, lock};
use crate::cluster::NodeId;
use crate::log::{LogEnd, Lsn, Term};
use crate::net::{FrameReader, FrameStream, FrameWriter};
use crate::replication::SnapshotReason;
use crate::replication::message::{
    BYTES_MAX, Snapshot, SnapshotContent, SnapshotFile, ToFollower, ToLeader, piece_front,
};
use crate::replication::snapshot::{RANGE, Told, range_hash};
use crate::storage::sqlite::{ConnectionKind, Sqlite};

/// How long a follower may do nothing that shows.
const PATIENCE: Duration = Duration::from_secs(30);

/// How fast it must copy, hash, read back, at least, bytes a second: one follower is seeded
/// at a time, and others wait for it.
const PACE: u64 = 4 << 20;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

/// A copy of the databases on its way to a follower; its files go with it.
struct Copy {
    dir: PathBuf,
    position: LogEnd,
    database: File,
    database_length: u64,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "cannot be removed");
        }
    }
}

/// What is sent of a snapshot's files, no faster than allowed.
struct Sending<'a> {
    pieces: &'a mut FrameWriter,
    told: &'a Told,
    /// Bytes a second; 0: as fast as it goes.
    rate: u64,
    since: Instant,
    /// Bytes that went out.
    sent: u64,
    /// Bytes that were looked at.
    passed: u64,
    progress: Instant,
}

/// A file of the snapshot on its way: its hash so far, and what differs and is not sent.
struct Outgoing {
    file: usize,
    hash: Xxh3,
    /// Where `bytes` begin.
    offset: u64,
    bytes: Vec<u8>,
}

impl Replication {
    /// Sends a snapshot; the follower connects anew when it has installed it.
    pub(super) async fn send_snapshot(
        &self,
        mut stream: FrameStream,
        follower: &NodeId,
        term: Term,
        why: SnapshotReason,
    ) -> Result<(), StreamError> {
        let Ok(_turn) = self.seeding.try_acquire() else {
            let reason = "another follower is being seeded".to_owned();
            stream.send(&ToFollower::Refused { term, reason: reason.clone() }.encode()).await?;
            return Err(StreamError::Refused(reason));
        };
        tracing::info!(%term, %follower, %why, "sends a snapshot");
        // Keeps the log from being released below what the copy will stand at.
        let at = *self.hub.applied.borrow();
        let progress = Progress { sent: at, written: at, durable: at, applied: at, seeding: true };
        let _listed = Listed::new(self, follower, term, progress);
        let copy = tokio::task::block_in_place(|| self.copy(follower))?;
        let position = copy.position;
        let segment = self.reader.segment_start(position.lsn)?;
        let database =
            SnapshotFile { content: SnapshotContent::Database(0), length: copy.database_length };
        let log = SnapshotFile {
            content: SnapshotContent::Segment(segment),
            length: position.lsn.0 - segment.0,
        };
        let snapshot =
            Snapshot { term, position, reason: why.to_string(), files: vec![database, log] };
        let (mut answers, mut pieces) = stream.split();
        pieces.feed(&[&ToFollower::Snapshot(snapshot.clone()).encode()]);
        pieces.flush().await?;
        let of = snapshot.files.iter().map(|file| file.length).sum::<u64>();
        let exchange = async {
            let told = hear(&mut answers, &snapshot.files, of).await?;
            self.send_files(&mut pieces, &copy, segment, &told).await
        };
        let sent = tokio::select! {
            sent = exchange => sent?,
            () = self.deposed(term) => return Err(StreamError::Deposed),
        };
        // The follower closes when it has installed all of it.
        let installed = timeout(patience(of), answers.recv()).await;
        tracing::info!(%term, %follower, at = %position, sent, of, "the snapshot is sent");
        match installed {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(_))) => Err(StreamError::Protocol("an answer to a snapshot".to_owned())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StreamError::Slow(patience(of))),
        }
    }

    /// Copies the database, as of one LSN, to a directory beside it.
    fn copy(&self, follower: &NodeId) -> Result<Copy, StreamError> {
        let dir = self.data.join(format!("copy-for-{follower}"));
        let path = dir.join("database");
        let io = |source| StreamError::File { path: path.clone(), source };
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => fs::create_dir_all(&dir).map_err(io)?,
        }
        let generation = lock(&self.control).get().generation;
        let mut source = Sqlite::open(&self.database_path(generation), ConnectionKind::Reader)?;
        let (term, lsn) = source.copy_to(&path)?;
        if lsn == Lsn(0) {
            let reason = "nothing is applied here yet, so there is nothing to copy";
            return Err(StreamError::Refused(reason.to_owned()));
        }
        let database = File::open(&path).map_err(io)?;
        let database_length = database.metadata().map_err(io)?.len();
        Ok(Copy { dir, position: LogEnd { term, lsn }, database, database_length })
    }

    /// Sends what the follower lacks; returns how many bytes that was.
    async fn send_files(
        &self,
        pieces: &mut FrameWriter,
        copy: &Copy,
        segment: Lsn,
        told: &Told,
    ) -> Result<u64, StreamError> {
        let now = Instant::now();
        let rate = self.snapshot_rate_bytes;
        let mut sending =
            Sending { pieces, told, rate, since: now, sent: 0, passed: 0, progress: now };
        let mut database = Outgoing::new(0);
        let mut offset = 0;
        while offset < copy.database_length {
            let length = (copy.database_length - offset).min(BYTES_MAX as u64) as usize;
            let mut bytes = vec![0; length];
            let read = || copy.database.read_exact_at(&mut bytes, offset);
            tokio::task::block_in_place(read)
                .map_err(|source| StreamError::File { path: copy.dir.join("database"), source })?;
            sending.compare(&mut database, offset, &bytes).await?;
            offset += length as u64;
        }
        let hashes = vec![sending.finish(database).await?, {
            let mut log = Outgoing::new(1);
            let (mut from, mut bytes) = (segment, Vec::new());
            while from < copy.position.lsn {
                let rest = (copy.position.lsn.0 - from.0).min(BYTES_MAX as u64) as usize;
                while bytes.len() < rest {
                    let at = Lsn(from.0 + bytes.len() as u64);
                    bytes.extend_from_slice(&self.reader.read(at, rest - bytes.len())?);
                }
                bytes.truncate(rest);
                sending.compare(&mut log, from.0 - segment.0, &bytes).await?;
                from = Lsn(from.0 + rest as u64);
                bytes.clear();
            }
            sending.finish(log).await?
        }];
        sending.pieces.feed(&[&ToFollower::SnapshotEnd { hashes }.encode()]);
        sending.pieces.flush().await?;
        Ok(sending.sent)
    }
}

/// How long a follower may take over `bytes`.
fn patience(bytes: u64) -> Duration {
    PATIENCE + due(bytes, PACE)
}

/// Hears what the follower has, which first copies `of` bytes at most, then hashes them.
async fn hear(
    answers: &mut FrameReader,
    files: &[SnapshotFile],
    of: u64,
) -> Result<Told, StreamError> {
    let mut told = Told::new(files);
    let begun = Instant::now();
    let mut hashing = Hashing { allowed: patience(of), since: None };
    loop {
        let frame = timeout_at(begun + hashing.allowed, answers.recv())
            .await
            .map_err(|_| StreamError::Slow(begun.elapsed()))??
            .ok_or(StreamError::Closed)?;
        match decode(&frame)? {
            ToLeader::Told { file, hashes } => {
                let bytes = (hashes.len() * RANGE) as u64;
                told.add(file, &hashes)
                    .map_err(|error| StreamError::Protocol(error.to_string()))?;
                hashing.hear(begun.elapsed(), bytes);
            }
            ToLeader::ToldAll => return Ok(told),
            ToLeader::Request(_) | ToLeader::Fetch(_) | ToLeader::Ack(_) => {
                let cause = "not what it has of a snapshot".to_owned();
                return Err(StreamError::Protocol(cause));
            }
        }
    }
}

/// How long a follower may go on telling what it has: times are since it was asked.
struct Hashing {
    allowed: Duration,
    /// When it was done with the copy, and how many bytes it has hashed since.
    since: Option<(Duration, u64)>,
}

impl Hashing {
    /// It tells of `bytes` more.
    fn hear(&mut self, at: Duration, bytes: u64) {
        let (since, hashed) = self.since.get_or_insert((at, 0));
        *hashed += bytes;
        self.allowed = *since + patience(*hashed);
    }
}

impl Outgoing {
    fn new(file: usize) -> Self {
        Self { file, hash: Xxh3::new(), offset: 0, bytes: Vec::new() }
    }
}

impl Sending<'_> {
    /// Takes the next bytes of a file, which begin at a range, and sends what differs.
    async fn compare(
        &mut self,
        out: &mut Outgoing,
        mut offset: u64,
        bytes: &[u8],
    ) -> Result<(), StreamError> {
        out.hash.update(bytes);
        for range in bytes.chunks(RANGE) {
            if self.told.has(out.file, offset / RANGE as u64, range_hash(range)) {
                self.send(out).await?;
            } else {
                if out.bytes.len() + range.len() > BYTES_MAX {
                    self.send(out).await?;
                }
                if out.bytes.is_empty() {
                    out.offset = offset;
                }
                out.bytes.extend_from_slice(range);
            }
            offset += range.len() as u64;
        }
        self.passed += bytes.len() as u64;
        if self.progress.elapsed() >= PROGRESS {
            self.progress = Instant::now();
            tracing::info!(sent = self.sent, passed = self.passed, "sending a snapshot");
        }
        Ok(())
    }

    /// Sends the rest; returns the hash of the whole file.
    async fn finish(&mut self, mut out: Outgoing) -> Result<u64, StreamError> {
        self.send(&mut out).await?;
        Ok(out.hash.digest())
    }

    async fn send(&mut self, out: &mut Outgoing) -> Result<(), StreamError> {
        if out.bytes.is_empty() {
            return Ok(());
        }
        self.pieces.feed(&[&piece_front(out.file, out.offset, &out.bytes), &out.bytes]);
        let flushed = timeout(PATIENCE, self.pieces.flush()).await;
        flushed.map_err(|_| StreamError::Silent(PATIENCE))??;
        self.sent += out.bytes.len() as u64;
        out.bytes.clear();
        if self.rate > 0 {
            sleep_until(self.since + due(self.sent, self.rate)).await;
        }
        Ok(())
    }
}

/// How long after the start `sent` bytes may have gone out.
fn due(sent: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(sent as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_says_when_the_next_piece_may_go() {
        assert_eq!(due(0, 1000), Duration::ZERO);
        assert_eq!(due(500, 1000), Duration::from_millis(500));
        assert_eq!(due(3 << 30, 1 << 20), Duration::from_secs(3072));
    }

    #[test]
    fn whoever_hashes_slowly_does_not_hold_the_turn() {
        let file = 1 << 30;
        let mut hashing = Hashing { allowed: patience(file), since: None };
        let copied = Duration::from_secs(100);
        assert!(copied < hashing.allowed);
        // As fast as a slow disk reads, to the end.
        let mut at = copied;
        for told in 0..file / (64 << 20) {
            assert!(at < hashing.allowed, "{told}");
            hashing.hear(at, 64 << 20);
            at += due(64 << 20, PACE);
        }
        // One range now and then is no progress.
        let mut hashing = Hashing { allowed: patience(file), since: None };
        let mut at = copied;
        while at < hashing.allowed {
            hashing.hear(at, RANGE as u64);
            at += Duration::from_secs(5);
        }
        assert!(at < copied + PATIENCE + Duration::from_secs(6), "{at:?}");
    }
}
