//! Snapshots: a copy of the databases at one LSN, and the log's segment up to there.
//!
//! ```text
//!  data/gen-7/main.db           the generation in use, named by the control file
//!  data/gen-8/main.db           what is being received …
//!  data/gen-8/log/<start>.seg   … and the log that belongs to it
//!  data/log/…                   the log in use
//! ```
//!
//! Installing, in this order, each step durable before the next:
//!
//! 1. The node is marked unproven (rule 16a): what it acknowledged may go.
//! 2. Everything is received into the next generation's directory, and verified.
//! 3. The control file names that generation. From here on there is no way back, and
//!    [`settle`] finishes at the next start what a kill leaves undone.
//! 4. The segment in the generation's directory becomes the log.
//! 5. The writer opens the new database. The old generation goes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use xxhash_rust::xxh3::Xxh3;

use super::diverged::sync_dir;
use super::follow::{decode, lower};
use super::serve::Listed;
use super::{Installed, Progress, Replication, StreamError, lock, publish};
use crate::cluster::NodeId;
use crate::log::chain::Chain;
use crate::log::frame::FrameError;
use crate::log::{LogEnd, Lsn, Term};
use crate::net::{FrameStream, FrameWriter};
use crate::replication::SnapshotReason;
use crate::replication::message::{
    BYTES_MAX, Request, Snapshot, SnapshotContent, SnapshotFile, ToFollower, piece_front,
};
use crate::storage::control_file::Control;
use crate::storage::fs::RealFs;
use crate::storage::log_store::{LogError, adopt_segment};
use crate::storage::sqlite::{ConnectionKind, Sqlite};

/// How long `control` may take to mark this node unproven.
const MARK_PATIENCE: Duration = Duration::from_secs(10);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(5);

/// Before the log is opened: finishes an installation that was begun, and removes
/// generations that are not in use.
pub fn settle(data: &Path, control: &Control) -> Result<(), LogError> {
    let current = format!("gen-{}", control.generation);
    let staged = data.join(&current).join("log");
    adopt_segment(&RealFs, &staged, &data.join("log"))?;
    remove_staged(&staged);
    let Ok(entries) = fs::read_dir(data) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let stale = name.starts_with("gen-") && name != current || name.starts_with("copy-for-");
        if stale && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot be removed");
        }
    }
    Ok(())
}

/// Removes the directory that a snapshot's segment lay in; empty, it says nothing.
fn remove_staged(staged: &Path) {
    match fs::remove_dir(staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %staged.display(), %error, "cannot be removed");
        }
        _ => {}
    }
}

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
        let progress = Progress { sent: at, durable: at, applied: at, seeding: true };
        let _listed = Listed::new(self, follower, term, progress);
        let copy = tokio::task::block_in_place(|| self.copy(follower))?;
        let position = copy.position;
        let segment = self.reader.segment_start(position.lsn)?;
        let snapshot = Snapshot {
            term,
            position,
            reason: why.to_string(),
            files: vec![
                SnapshotFile {
                    content: SnapshotContent::Database(0),
                    length: copy.database_length,
                },
                SnapshotFile {
                    content: SnapshotContent::Segment(segment),
                    length: position.lsn.0 - segment.0,
                },
            ],
        };
        let (mut acks, mut pieces) = stream.split();
        pieces.feed(&[&ToFollower::Snapshot(snapshot).encode()]);
        tokio::select! {
            sent = self.send_files(&mut pieces, &copy, segment) => sent?,
            () = self.deposed(term) => return Err(StreamError::Deposed),
        }
        // The follower closes when it has installed all of it.
        let installed = timeout(Duration::from_secs(600), acks.recv()).await;
        tracing::info!(%term, %follower, at = %position, "the snapshot is sent");
        match installed {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(_))) => Err(StreamError::Protocol("an answer to a snapshot".to_owned())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StreamError::Closed),
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

    async fn send_files(
        &self,
        pieces: &mut FrameWriter,
        copy: &Copy,
        segment: Lsn,
    ) -> Result<(), StreamError> {
        let mut hashes = Vec::new();
        let mut hash = Xxh3::new();
        let mut offset = 0;
        let mut told = Instant::now();
        while offset < copy.database_length {
            let length = (copy.database_length - offset).min(BYTES_MAX as u64) as usize;
            let mut bytes = vec![0; length];
            let read = || copy.database.read_exact_at(&mut bytes, offset);
            tokio::task::block_in_place(read)
                .map_err(|source| StreamError::File { path: copy.dir.join("database"), source })?;
            send_piece(pieces, 0, offset, &bytes, &mut hash).await?;
            offset += length as u64;
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                tracing::info!(sent = offset, of = copy.database_length, "sending a snapshot");
            }
        }
        hashes.push(hash.digest());
        let mut hash = Xxh3::new();
        let mut from = segment;
        while from < copy.position.lsn {
            let mut bytes = self.reader.read(from, BYTES_MAX)?;
            let rest = copy.position.lsn.0 - from.0;
            bytes.truncate(usize::try_from(rest).unwrap_or(usize::MAX));
            for piece in bytes.chunks(BYTES_MAX) {
                send_piece(pieces, 1, from.0 - segment.0, piece, &mut hash).await?;
                from = Lsn(from.0 + piece.len() as u64);
            }
        }
        hashes.push(hash.digest());
        pieces.feed(&[&ToFollower::SnapshotEnd { hashes }.encode()]);
        Ok(pieces.flush().await?)
    }

    /// Receives and installs a snapshot. Ends with [`StreamError::Reseeded`].
    pub(super) async fn receive_snapshot(
        &self,
        mut stream: FrameStream,
        request: &Request,
        snapshot: Snapshot,
    ) -> Result<(), StreamError> {
        let term = snapshot.term;
        let position = snapshot.position;
        tracing::warn!(%term, at = %position, reason = snapshot.reason, rule = "16a",
            "re-seeds from a snapshot");
        let segment = check_files(&snapshot)?;
        self.mark_unproven().await?;
        let generation = lock(&self.control).get().generation + 1;
        let dir = self.generation_dir(generation);
        let files = Incoming::create(&dir, &self.database_path(generation), &snapshot, segment)?;
        files.receive(self, &mut stream).await?;
        let staged = dir.join("log");
        let chain = read_segment(&staged, segment, position)?;
        if self.holds(&chain) {
            // Only the databases were bad: the log stays, and what it promised.
            let io = |source| StreamError::File { path: staged.clone(), source };
            fs::remove_dir_all(&staged).map_err(io)?;
            sync_dir(&dir)?;
        } else {
            let ours = self.reader.history();
            let end = request.end.lsn;
            let parted = ours.divergence(end, &chain.history, position.lsn).unwrap_or_default();
            let at = parted.lsn.max(self.reader.first());
            if at < end {
                self.save_diverged(at)?;
            }
        }
        self.check_follows(term)?;
        self.install(generation, position).await?;
        tracing::info!(%term, at = %position, generation, "the snapshot is installed");
        Err(StreamError::Reseeded)
    }

    /// Whether the own log goes through the end of `chain`.
    fn holds(&self, chain: &Chain) -> bool {
        self.reader.chain_at(chain.lsn).is_ok_and(|own| own.hash == chain.hash)
    }

    /// Has this node marked as one whose word counts for nothing until it has caught
    /// up; returns when that is recorded.
    async fn mark_unproven(&self) -> Result<(), StreamError> {
        publish(&self.hub.caught_up, Term(0));
        self.hub.reseeding.send_modify(|count| *count += 1);
        let since = Instant::now();
        while !lock(&self.control).get().unproven {
            if since.elapsed() > MARK_PATIENCE {
                return Err(StreamError::Refused("not marked as unproven in time".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn install(&self, generation: u64, position: LogEnd) -> Result<(), StreamError> {
        let dir = self.generation_dir(generation);
        let old = lock(&self.control).get().generation;
        // Nothing may be applied from a log that is about to go.
        publish(&self.hub.verified, Lsn(0));
        lock(&self.control).update(|control| {
            control.generation = generation;
            control.commit = position.lsn;
        })?;
        let staged = dir.join("log");
        if staged.exists() {
            let mut log = lock(&self.log);
            self.hub.commit.send_if_modified(|held| lower(held, position.lsn));
            log.replace(&staged)?;
            remove_staged(&staged);
            self.publish_log(&log);
        }
        let (reply, opened) = oneshot::channel();
        let path = self.database_path(generation);
        let told = self.installed.send(Installed { path, reply }).await;
        let at = match (told, opened.await) {
            (Ok(()), Ok(opened)) => opened?,
            _ => return Err(StreamError::Closed),
        };
        if at != position.lsn {
            let cause = format!("the snapshot's database stands at {at}, not {position}");
            return Err(StreamError::Protocol(cause));
        }
        publish(&self.hub.verified, position.lsn);
        self.raise_commit(position.lsn, position.lsn);
        let old = self.generation_dir(old);
        if let Err(error) = fs::remove_dir_all(&old) {
            tracing::warn!(path = %old.display(), %error, "cannot be removed");
        }
        Ok(())
    }
}

async fn send_piece(
    pieces: &mut FrameWriter,
    file: usize,
    offset: u64,
    bytes: &[u8],
    hash: &mut Xxh3,
) -> Result<(), StreamError> {
    hash.update(bytes);
    pieces.feed(&[&piece_front(file, offset, bytes), bytes]);
    Ok(pieces.flush().await?)
}

/// The segment of the snapshot, if it is one database and one segment that fits it.
fn check_files(snapshot: &Snapshot) -> Result<Lsn, StreamError> {
    if let [database, log] = snapshot.files[..]
        && database.content == SnapshotContent::Database(0)
        && let SnapshotContent::Segment(start) = log.content
        && start.0.checked_add(log.length) == Some(snapshot.position.lsn.0)
        && log.length > 0
    {
        return Ok(start);
    }
    Err(StreamError::Protocol(format!("a snapshot of {:?}", snapshot.files)))
}

/// Reads the segment that came with a snapshot, frame by frame: it must be the log up
/// to the snapshot's position.
fn read_segment(staged: &Path, start: Lsn, position: LogEnd) -> Result<Chain, StreamError> {
    let path = staged.join(format!("{:016x}.seg", start.0));
    let bytes =
        fs::read(&path).map_err(|source| StreamError::File { path: path.clone(), source })?;
    let walk = || {
        let mut chain = Chain::before_segment(&bytes)?;
        while chain.lsn < position.lsn {
            chain.accept(&bytes[(chain.lsn.0 - start.0) as usize..])?;
        }
        Ok(chain)
    };
    let refuse = |cause: String| StreamError::Protocol(format!("{}: {cause}", path.display()));
    let chain: Chain = walk().map_err(|error: FrameError| refuse(error.to_string()))?;
    if chain.lsn == position.lsn && chain.segment_start == start {
        Ok(chain)
    } else {
        Err(refuse(format!("it ends at {}, not {position}", chain.end())))
    }
}

/// The files of a snapshot, as they arrive.
struct Incoming {
    files: Vec<IncomingFile>,
    dirs: Vec<PathBuf>,
}

struct IncomingFile {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
    received: u64,
}

impl Incoming {
    fn create(
        dir: &Path,
        database: &Path,
        snapshot: &Snapshot,
        segment: Lsn,
    ) -> Result<Self, StreamError> {
        let io = |source| StreamError::File { path: dir.to_owned(), source };
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let log = dir.join("log");
        fs::create_dir_all(&log).map_err(io)?;
        let paths = [database.to_owned(), log.join(format!("{:016x}.seg", segment.0))];
        let mut files = Vec::new();
        for (path, file) in paths.into_iter().zip(&snapshot.files) {
            let io = |source| StreamError::File { path: path.clone(), source };
            let handle =
                File::options().read(true).write(true).create_new(true).open(&path).map_err(io)?;
            files.push(IncomingFile {
                path,
                file: Arc::new(handle),
                length: file.length,
                received: 0,
            });
        }
        let data = dir.parent().unwrap_or(dir).to_owned();
        Ok(Self { files, dirs: vec![log, dir.to_owned(), data] })
    }

    async fn receive(
        mut self,
        replication: &Replication,
        stream: &mut FrameStream,
    ) -> Result<(), StreamError> {
        let patience = replication.silence_max().max(Duration::from_secs(30));
        let mut told = Instant::now();
        loop {
            let frame = timeout(patience, stream.recv())
                .await
                .map_err(|_| StreamError::Silent(patience))??
                .ok_or(StreamError::Closed)?;
            replication.hub.saw_leader(crate::node::boottime_ns());
            match decode(&frame)? {
                ToFollower::Piece { file, offset, bytes } => self.write(file, offset, &bytes)?,
                ToFollower::SnapshotEnd { hashes } => return self.finish(&hashes),
                ToFollower::Refused { reason, .. } => return Err(StreamError::Refused(reason)),
                _ => return Err(StreamError::Protocol("not a piece of a snapshot".to_owned())),
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let received: u64 = self.files.iter().map(|file| file.received).sum();
                let of: u64 = self.files.iter().map(|file| file.length).sum();
                tracing::info!(received, of, "receiving a snapshot");
            }
        }
    }

    fn write(&mut self, number: usize, offset: u64, bytes: &Bytes) -> Result<(), StreamError> {
        let out_of_place =
            || StreamError::Protocol(format!("a piece of file {number} at {offset}"));
        let file = self.files.get_mut(number).ok_or_else(out_of_place)?;
        if offset != file.received || file.length - file.received < bytes.len() as u64 {
            return Err(out_of_place());
        }
        let written = file.file.write_all_at(bytes, offset);
        written.map_err(|source| StreamError::File { path: file.path.clone(), source })?;
        file.received += bytes.len() as u64;
        Ok(())
    }

    /// Syncs everything, and compares what the disk gives back with the hashes.
    fn finish(self, hashes: &[u64]) -> Result<(), StreamError> {
        if hashes.len() != self.files.len() {
            return Err(StreamError::Protocol("hashes of other files".to_owned()));
        }
        for (file, expected) in self.files.iter().zip(hashes) {
            let io = |source| StreamError::File { path: file.path.clone(), source };
            file.file.sync_all().map_err(io)?;
            let mut content = File::open(&file.path).map_err(io)?;
            let mut hash = Xxh3::new();
            let mut buffer = vec![0; BYTES_MAX];
            loop {
                match content.read(&mut buffer).map_err(io)? {
                    0 => break,
                    length => hash.update(&buffer[..length]),
                }
            }
            if file.received != file.length || hash.digest() != *expected {
                let cause = format!("{} is not what was sent", file.path.display());
                return Err(StreamError::Protocol(cause));
            }
        }
        self.dirs.iter().try_for_each(|dir| sync_dir(dir))
    }
}
