//! Installing a snapshot: a copy of the databases at one LSN, and the log's segment up to
//! there. `seed` sends it; `incoming` has its files on the way.
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
//! 2. The next generation's directory gets what this node has of it, then what it lacks
//!    ([`crate::replication::snapshot`]), and all of it is verified. Cut off or killed
//!    here, it goes on with what lies there; if it comes to follow without, that goes.
//! 3. The control file names that generation. From here on there is no way back, and
//!    [`settle`] finishes at the next start what a kill leaves undone.
//! 4. The segment in the generation's directory becomes the log.
//! 5. The writer opens the new database. The old generation goes.
//!
//! Every operation on files has a label ([`Op`]), so that a test can end a node's life at
//! each.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::follow::lower;
use super::incoming::{Incoming, Places};
use super::{Installed, Replication, StreamError, lock, publish};
use crate::failover::Rule;
use crate::log::chain::Chain;
use crate::log::frame::FrameError;
use crate::log::{LogEnd, Lsn, Term};
use crate::net::FrameStream;
use crate::replication::message::{Request, Snapshot, SnapshotContent};
use crate::storage::control_file::Control;
use crate::storage::fs::{Fs, Op, RealFs};
use crate::storage::log_store::{LogError, adopt_segment};

/// How long `control` may take to mark this node unproven.
const MARK_PATIENCE: Duration = Duration::from_secs(10);

/// Before the log is opened: finishes an installation that was begun, and removes
/// generations that are not in use; what came of the next one stays, to be gone on with.
pub fn settle(data: &Path, control: &Control) -> Result<(), LogError> {
    let current = format!("gen-{}", control.generation);
    let next = format!("gen-{}", control.generation + 1);
    let staged = data.join(&current).join("log");
    adopt_segment(&RealFs, &staged, &data.join("log"))?;
    remove_staged(&staged);
    let Ok(entries) = fs::read_dir(data) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let generation = name.starts_with("gen-") && name != current && name != next;
        let stale = generation || name.starts_with("copy-for-");
        if stale && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot be removed");
        }
    }
    Ok(())
}

/// Before a node without a usable log moves on to an empty generation, which a snapshot
/// is to follow: keeps the databases of `generation` for what of them need not be sent.
pub fn set_aside(data: &Path, generation: u64) -> io::Result<()> {
    let next = data.join(format!("gen-{}", generation + 2));
    RealFs.remove_dir_all(Op::RemoveGeneration, &next)?;
    match fs::rename(data.join(format!("gen-{generation}")), next) {
        // Done before a kill.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
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

impl Replication {
    /// Receives and installs a snapshot. Ends with [`StreamError::Reseeded`].
    pub(super) async fn receive_snapshot(
        &self,
        mut stream: FrameStream,
        request: &Request,
        snapshot: Snapshot,
    ) -> Result<(), StreamError> {
        let term = snapshot.term;
        let position = snapshot.position;
        let reason = format!("is seeded anew, with a snapshot: {}", snapshot.reason);
        self.hub.notice(Rule::Unproven, Some(position.lsn), reason);
        let segment = check_files(&snapshot)?;
        self.mark_unproven().await?;
        let old = lock(&self.control).get().generation;
        let generation = old + 1;
        let dir = self.generation_dir(generation);
        let places = Places {
            dir: dir.clone(),
            database: self.database_path(generation),
            old_database: (!self.afresh.load(Ordering::Relaxed)).then(|| self.database_path(old)),
            old_log: self.data.join("log"),
        };
        let files = Incoming::prepare(&*self.fs, &places, &snapshot, segment)?;
        let received = files.receive(self, &mut stream).await;
        if let Err(StreamError::BadSnapshot(_)) = received {
            // The next attempt trusts nothing that lies here.
            self.afresh.store(true, Ordering::Relaxed);
            self.remove_generation(generation);
        }
        received?;
        self.afresh.store(false, Ordering::Relaxed);
        let staged = dir.join("log");
        let chain = read_segment(&*self.fs, &staged, segment, position)?;
        if self.holds(&chain) {
            // Only the databases were bad: the log stays, and what it promised.
            let io = |source| StreamError::File { path: staged.clone(), source };
            self.fs.remove_dir_all(Op::RemoveGeneration, &staged).map_err(io)?;
            self.fs.sync_dir(Op::SyncDir, &dir).map_err(io)?;
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
        self.remove_generation(old);
        Ok(())
    }

    /// Removes what came of a snapshot that is not needed any more, if there is anything.
    pub(super) fn remove_unfinished(&self) {
        let next = lock(&self.control).get().generation + 1;
        self.remove_generation(next);
    }

    fn remove_generation(&self, generation: u64) {
        let dir = self.generation_dir(generation);
        if let Err(error) = self.fs.remove_dir_all(Op::RemoveGeneration, &dir) {
            tracing::warn!(path = %dir.display(), %error, "cannot be removed");
        }
    }
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
fn read_segment(
    fs: &dyn Fs,
    staged: &Path,
    start: Lsn,
    position: LogEnd,
) -> Result<Chain, StreamError> {
    let path = staged.join(format!("{:016x}.seg", start.0));
    let read = || {
        let file = fs.open(Op::VerifySnapshot, &path)?;
        let mut bytes = vec![0; file.length(Op::VerifySnapshot)? as usize];
        file.read_exact_at(Op::VerifySnapshot, &mut bytes, 0)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| StreamError::File { path: path.clone(), source })?;
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
