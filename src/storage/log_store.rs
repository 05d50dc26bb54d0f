//! STUB: signatures fixed for the other parts; bodies to come.
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::log::{Entry, FrameSpan, LogEnd, Lsn, Term};

/// The log's files could not be read or written, or say what they must not.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// A frame in the middle of the log is damaged: the node must stop.
    #[error("{path}: damaged at byte {offset}: {cause}")]
    Damaged { path: PathBuf, offset: u64, cause: String },
    /// The intact log ends below what is recorded as committed or applied: the node must re-seed.
    #[error("log ends at {end}, below {floor} which is recorded as committed or applied")]
    TooShort { end: Lsn, floor: Lsn },
    /// The store is fenced: a higher term was promised.
    #[error("term {term} is over: term {fence} was promised")]
    Fenced { term: Term, fence: Term },
    /// Bytes from a peer that don't continue this log.
    #[error("bytes for {start} don't continue the log at {end}: {cause}")]
    DoesNotContinue { start: Lsn, end: Lsn, cause: String },
    /// The part asked for is no longer (or not yet) held.
    #[error("{lsn} is not held: the log reaches from {first} to {end}")]
    NotHeld { lsn: Lsn, first: Lsn, end: Lsn },
}

/// How to open the log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Capacity of a segment file, bytes.
    pub segment_bytes: u64,
    /// What must not be cut: the recorded commit or applied LSN.
    pub floor: Lsn,
}

/// The log on disk. One owner appends; any number of [`LogReader`]s read.
/// Shared as `Arc<Mutex<LogStore>>` between the writer (leading) and
/// `replicate::follow` (following); the fence keeps the one out when the other is in office.
pub struct LogStore {}

/// Reads the log while it grows. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {}

/// Syncs the log without holding its lock.
#[derive(Clone)]
pub struct LogSync {}

#[allow(unused_variables, clippy::todo)]
impl LogStore {
    /// Opens or creates the log in `dir`; cuts a torn tail (never below the floor).
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        todo!()
    }
    pub fn reader(&self) -> LogReader {
        todo!()
    }
    pub fn syncer(&self) -> LogSync {
        todo!()
    }
    pub fn end(&self) -> LogEnd {
        todo!()
    }
    /// Running hash of the log up to its end.
    pub fn hash(&self) -> u64 {
        todo!()
    }
    /// The first LSN still held (start of the oldest segment).
    pub fn first(&self) -> Lsn {
        todo!()
    }
    /// Refuses appends below `term` from now on.
    pub fn fence(&mut self, term: Term) {
        todo!()
    }
    /// Appends a leader's entries as frames of `term`, handed to the operating
    /// system, not synced. One span an entry.
    pub fn append(&mut self, term: Term, entries: &[Entry]) -> Result<Vec<FrameSpan>, LogError> {
        todo!()
    }
    /// Appends a leader's bytes as they are, after checking that they continue
    /// this log. `current` is the term of the leader that sent them (fence).
    pub fn append_copy(
        &mut self,
        current: Term,
        start: Lsn,
        bytes: &[u8],
    ) -> Result<LogEnd, LogError> {
        todo!()
    }
    /// Makes `to` the end: truncates and syncs.
    pub fn cut(&mut self, to: Lsn) -> Result<(), LogError> {
        todo!()
    }
    /// Deletes whole segments that end at or below `lsn`.
    pub fn release_before(&mut self, lsn: Lsn) -> Result<(), LogError> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl LogReader {
    /// Whole raw frames (and padding) from `from`, at most about `max` bytes, at
    /// least one frame; empty at the end.
    pub fn read(&self, from: Lsn, max: usize) -> Result<Bytes, LogError> {
        todo!()
    }
    /// The frame at or after `from` (skipping padding) and its entry; `None` at the end.
    pub fn entry(&self, from: Lsn) -> Result<Option<(FrameSpan, Entry)>, LogError> {
        todo!()
    }
    pub fn end(&self) -> LogEnd {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl LogSync {
    /// fdatasync of everything appended before the call; returns the LSN that is
    /// durable then. A failure is final: the log refuses all that follows.
    pub fn sync(&self) -> Result<Lsn, LogError> {
        todo!()
    }
}
