//! The log on disk: segment files, named by their start LSN in hexadecimal
//! (`<16 digits>.seg`), allocated whole so that a sync has no size to write, zeros
//! after the end. Their bytes are `log::chain`'s; the same log has the same files
//! on every node.
//!
//! Beside them lies `durable`, a note of how far the log is known to be durable. It
//! is written after every sync, itself unsynced: after a crash of the process it is
//! exact, after a power loss it is a lower bound. It tells a torn end (which was
//! never durable, and is cut) from damage to what was.
//!
//! What a bad spot found on opening means:
//!
//! | the bad spot is                            | and                       | then                       |
//! |--------------------------------------------|---------------------------|----------------------------|
//! | in a segment before one that has frames    |                           | damaged: the node stops    |
//! | below the note                             | whole frames lie beyond   | damaged: the node stops    |
//! | below the note                             | nothing lies beyond       | cut, and [`Opened::doubtful`], found again at every start until the log grows |
//! | at or above the note                       |                           | a torn end: cut            |
//!
//! A segment is synced before the next gets its first byte, hence the first row. The
//! end that remains must not lie below the floor (else [`LogError::TooShort`]).

mod inspect;
mod reader;
mod recovery;
mod tail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};

use self::recovery::Note;
use self::tail::Tail;
use super::fs::{File, Fs, Op, RealFs};
use crate::log::chain::Chain;
use crate::log::frame::{FRAME_MAX, FrameError, FrameKind, HEADER_LEN};
use crate::log::{Dictionary, Entry, FrameSpan, LogEnd, Lsn, Term, TermHistory, entry_codec};

pub use self::inspect::{FrameSeen, LogSeen, SegmentSeen, inspect};
pub use self::reader::LogReader;
pub use self::recovery::adopt_segment;

/// The log's files could not be read or written, or say what they must not.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{path}: cannot {op}: {source}")]
    Io { path: PathBuf, op: Op, source: std::io::Error },
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
    /// One entry is larger than a frame can be; nothing was appended.
    #[error("an entry of {bytes} bytes is larger than a frame can be")]
    TooLarge { bytes: usize },
    /// A write or sync failed before; what the files hold is unknown until they are
    /// opened again.
    #[error("the log failed before: {cause}")]
    Failed { cause: String },
}

/// How to open the log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Capacity of a segment file, bytes.
    pub segment_bytes: u64,
    /// What must not be cut: the recorded commit or applied LSN.
    pub floor: Lsn,
}

/// What opening found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Opened {
    /// A torn end was cut off: its first byte.
    pub cut: Option<Lsn>,
    /// What was cut may have been durable, and so acknowledged: rule 16a.
    pub doubtful: bool,
}

/// The log on disk. One owner appends; any number of [`LogReader`]s read.
/// Shared as `Arc<Mutex<LogStore>>` between the writer (leading) and
/// `replicate::follow` (following); the fence keeps the one out when the other is in office.
pub struct LogStore {
    shared: Arc<Shared>,
    segment_bytes: u64,
    opened: Opened,
    chain: Chain,
    /// The current segment's; `None` where it must be read from the file first
    /// (after opening, a cut, or bytes from a leader).
    dictionary: Option<Dictionary>,
    fence: Term,
    /// Where frames are made; what was appended shares its memory with the tail.
    buffer: BytesMut,
}

/// Syncs the log without holding its lock.
#[derive(Clone)]
pub struct LogSync {
    shared: Arc<Shared>,
}

struct Shared {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    state: Mutex<State>,
    /// Counts what makes bytes read before invalid: cuts and replacements.
    cuts: AtomicU64,
    /// Held while syncing, cutting or replacing, so that none passes another.
    syncing: Mutex<()>,
    /// The note of what is durable.
    note: Note,
}

/// What readers see of the log.
struct State {
    end: LogEnd,
    durable: Lsn,
    history: TermHistory,
    segments: BTreeMap<Lsn, Arc<Segment>>,
    tail: Tail,
    failed: Option<String>,
}

struct Segment {
    start: Lsn,
    capacity: u64,
    path: PathBuf,
    file: Arc<dyn File>,
}

/// Frames on their way to the files: one buffer, cut where segments begin.
struct Batch {
    chain: Chain,
    start: Lsn,
    /// Each with the place in the buffer that its part begins at.
    parts: Vec<(Arc<Segment>, usize)>,
}

impl LogStore {
    /// Opens or creates the log in `dir`; cuts a torn tail (never below the floor).
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        Self::open_in(Arc::new(RealFs), dir, options)
    }

    /// As [`LogStore::open`], on the given file system.
    pub fn open_in(fs: Arc<dyn Fs>, dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        let recovered = recovery::recover(&*fs, dir)?;
        if recovered.chain.lsn < options.floor {
            return Err(LogError::TooShort { end: recovered.chain.lsn, floor: options.floor });
        }
        let recovery::Recovered { chain, segments, note, opened } = recovered.settle(&*fs, dir)?;
        let state = State {
            end: chain.end(),
            durable: chain.lsn,
            history: chain.history.clone(),
            segments,
            tail: Tail::default(),
            failed: None,
        };
        let shared = Shared {
            fs,
            dir: dir.to_owned(),
            state: Mutex::new(state),
            cuts: AtomicU64::new(0),
            syncing: Mutex::new(()),
            note,
        };
        Ok(Self {
            shared: Arc::new(shared),
            segment_bytes: options.segment_bytes,
            opened,
            chain,
            dictionary: None,
            fence: Term(0),
            buffer: BytesMut::new(),
        })
    }

    /// Makes the log of a cluster whose databases did not begin empty, in a directory
    /// without one: it begins at `at`, beyond 0, so that nobody takes an empty log for its
    /// beginning, and followers get what lies before as a snapshot.
    pub fn found(dir: &Path, segment_bytes: u64, at: Lsn) -> Result<Self, LogError> {
        let mut log = Self::open(dir, LogOptions { segment_bytes, floor: Lsn(0) })?;
        if log.end() != LogEnd::default() {
            return Err(log.does_not_continue(at, "there is a log already"));
        }
        log.chain = Chain { lsn: at, segment_start: at, segment_end: at, ..Chain::default() };
        {
            let mut state = log.shared.state();
            state.end = log.chain.end();
            state.durable = at;
        }
        Ok(log)
    }

    /// Deletes a log that cannot be used any more, so that opening makes a new one.
    pub fn discard(dir: &Path) -> Result<(), LogError> {
        recovery::discard(&RealFs, dir)
    }

    /// What opening found.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    pub fn reader(&self) -> LogReader {
        LogReader::new(self.shared.clone())
    }

    pub fn syncer(&self) -> LogSync {
        LogSync { shared: self.shared.clone() }
    }

    pub fn end(&self) -> LogEnd {
        self.chain.end()
    }

    /// Up to where the log is synced.
    pub fn durable(&self) -> Lsn {
        self.shared.state().durable
    }

    /// Running hash of the log up to its end.
    pub fn hash(&self) -> u64 {
        self.chain.hash
    }

    /// The log's terms.
    pub fn history(&self) -> &TermHistory {
        &self.chain.history
    }

    /// The first LSN still held (start of the oldest segment).
    pub fn first(&self) -> Lsn {
        self.shared.state().first()
    }

    /// Refuses appends below `term` from now on.
    pub fn fence(&mut self, term: Term) {
        self.fence = self.fence.max(term);
    }

    /// Appends a leader's entries as frames of `term`, handed to the operating
    /// system, not synced. One span an entry. After an error nothing was appended,
    /// unless it is an IO error of [`Op::Append`] or [`Op::SyncLog`]: then it is
    /// unknown, and the log refuses all that follows.
    pub fn append(&mut self, term: Term, entries: &[Entry]) -> Result<Vec<FrameSpan>, LogError> {
        self.check_open(term)?;
        if term < self.chain.term {
            return Err(self.does_not_continue(self.chain.lsn, "its term is higher"));
        }
        // Taken: a failed attempt leaves in it what is not in the file.
        let mut dictionary = match self.dictionary.take() {
            Some(dictionary) => dictionary,
            None => self.read_dictionary()?,
        };
        self.buffer.clear();
        let mut batch = self.batch();
        let mut spans = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut at = self.begin_frame(entry, &mut dictionary)?;
            if !batch.chain.fits(self.buffer.len() - at) {
                self.buffer.truncate(at);
                batch.chain.end_segment(&mut self.buffer, term);
                // Made twice: the segment is measured to its first frame, whose
                // length depends on the dictionary, which begins anew.
                let segment_at = self.begin_frame(entry, &mut Dictionary::default())?;
                let length = self.buffer.len() - segment_at;
                self.buffer.truncate(segment_at);
                batch.chain.start_segment(&mut self.buffer, term, self.segment_bytes, length);
                self.add_segment(&mut batch, segment_at)?;
                dictionary = Dictionary::default();
                at = self.begin_frame(entry, &mut dictionary)?;
            }
            let kind = entry_codec::kind_of(entry);
            let header = batch.chain.seal(&mut self.buffer, at, kind, term);
            spans.push(FrameSpan { term, start: header.lsn, end: header.end() });
        }
        let bytes = self.buffer.split().freeze();
        self.commit(batch, &bytes)?;
        self.dictionary = Some(dictionary);
        Ok(spans)
    }

    /// Appends a leader's bytes as they are (whole frames), after checking that they
    /// continue this log. `current` is the term of the leader that sent them (fence).
    pub fn append_copy(
        &mut self,
        current: Term,
        start: Lsn,
        bytes: &[u8],
    ) -> Result<LogEnd, LogError> {
        self.check_open(current)?;
        if start != self.chain.lsn {
            return Err(self.does_not_continue(start, "another place"));
        }
        let mut batch = self.batch();
        let mut at = 0;
        while at < bytes.len() {
            let frame = &bytes[at..];
            let header = batch
                .chain
                .accept(frame)
                .map_err(|error| self.does_not_continue(batch.chain.lsn, &error.to_string()))?;
            if header.term > current {
                let cause = format!("a frame of term {} from the leader of {current}", header.term);
                return Err(self.does_not_continue(header.lsn, &cause));
            }
            if header.kind == FrameKind::SegmentStart {
                self.add_segment(&mut batch, at)?;
            }
            at += header.length;
        }
        self.dictionary = None;
        self.commit(batch, &Bytes::copy_from_slice(bytes))?;
        Ok(self.end())
    }

    /// Makes `to`, the end of a frame, the log's end: truncates and syncs.
    pub fn cut(&mut self, to: Lsn) -> Result<(), LogError> {
        let shared = self.shared.clone();
        let _alone = shared.syncing();
        self.check_failed()?;
        if to >= self.chain.lsn {
            return Ok(());
        }
        let chain = self.reader().chain_at(to)?;
        self.dictionary = None;
        let segments = {
            // Readers first: none may look at what is about to go.
            let mut state = shared.state();
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            let segments: Vec<_> = state.segments.values().cloned().collect();
            state.segments.retain(|&start, _| start < to);
            state.tail.cut(to);
            state.end = chain.end();
            state.durable = to;
            state.history = chain.history.clone();
            segments
        };
        self.chain = chain;
        self.cut_files(&segments, to).inspect_err(|error| {
            shared.state().failed = Some(error.to_string());
        })
    }

    fn cut_files(&self, segments: &[Arc<Segment>], to: Lsn) -> Result<(), LogError> {
        let shared = &self.shared;
        // The note first: it must never claim what is about to go.
        shared.note.lower(to)?;
        for segment in segments.iter().rev() {
            if segment.start >= to {
                let removed = shared.fs.remove(Op::RemoveSegment, &segment.path);
                removed.map_err(io(&segment.path, Op::RemoveSegment))?;
            } else {
                shared.sync_dir()?;
                return segment.cut(to.0 - segment.start.0);
            }
        }
        shared.sync_dir()
    }

    /// Deletes whole segments that end at or below `lsn`, never the last.
    pub fn release_before(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let released: Vec<_> = {
            let mut state = self.shared.state();
            let last = state.segments.keys().next_back().copied().unwrap_or_default();
            let gone = |segment: &Segment| segment.end() <= lsn && segment.start < last;
            let released = state.segments.values().filter(|s| gone(s)).cloned().collect();
            state.segments.retain(|_, segment| !gone(segment));
            released
        };
        for segment in &released {
            let removed = self.shared.fs.remove(Op::RemoveSegment, &segment.path);
            removed.map_err(io(&segment.path, Op::RemoveSegment))?;
        }
        if released.is_empty() { Ok(()) } else { self.shared.sync_dir() }
    }

    /// Replaces the whole log by the one segment that lies in `staged` (a directory),
    /// which a snapshot brought: see [`adopt_segment`].
    pub fn replace(&mut self, staged: &Path) -> Result<(), LogError> {
        let shared = self.shared.clone();
        let _alone = shared.syncing();
        {
            let mut state = shared.state();
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            state.segments.clear();
            state.tail = Tail::default();
            state.end = LogEnd::default();
            state.durable = Lsn(0);
        }
        self.dictionary = None;
        let replaced = shared.note.lower(Lsn(0)).and_then(|()| {
            adopt_segment(&*shared.fs, staged, &shared.dir)?;
            recovery::recover(&*shared.fs, &shared.dir)?.settle(&*shared.fs, &shared.dir)
        });
        let mut state = shared.state();
        match replaced {
            Ok(recovered) => {
                state.end = recovered.chain.end();
                state.durable = recovered.chain.lsn;
                state.history = recovered.chain.history.clone();
                state.segments = recovered.segments;
                state.failed = None;
                self.chain = recovered.chain;
                Ok(())
            }
            Err(error) => {
                state.failed = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn check_failed(&self) -> Result<(), LogError> {
        match &self.shared.state().failed {
            Some(cause) => Err(LogError::Failed { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn check_open(&self, term: Term) -> Result<(), LogError> {
        if term < self.fence {
            return Err(LogError::Fenced { term, fence: self.fence });
        }
        self.check_failed()
    }

    fn does_not_continue(&self, start: Lsn, cause: &str) -> LogError {
        LogError::DoesNotContinue { start, end: self.chain.lsn, cause: cause.to_owned() }
    }

    fn read_dictionary(&self) -> Result<Dictionary, LogError> {
        if self.chain.lsn == self.chain.segment_end {
            return Ok(Dictionary::default());
        }
        self.reader().dictionary_at(self.chain.lsn)
    }

    /// Puts the entry's frame, but for its header, at the end of the buffer.
    fn begin_frame(
        &mut self,
        entry: &Entry,
        dictionary: &mut Dictionary,
    ) -> Result<usize, LogError> {
        let at = self.buffer.len();
        self.buffer.resize(at + HEADER_LEN, 0);
        entry_codec::encode(entry, dictionary, &mut self.buffer);
        match self.buffer.len() - at {
            bytes if bytes > FRAME_MAX => {
                // Not kept: it may be as large as memory.
                self.buffer = BytesMut::new();
                Err(LogError::TooLarge { bytes })
            }
            _ => Ok(at),
        }
    }

    fn batch(&self) -> Batch {
        let last = self.shared.state().segments.values().next_back().cloned();
        let parts = last.into_iter().map(|segment| (segment, 0)).collect();
        Batch { chain: self.chain.clone(), start: self.chain.lsn, parts }
    }

    /// Makes the file of the segment that the batch's chain has just begun. Nothing
    /// of the batch is written yet: no space is found out before anything has left.
    fn add_segment(&self, batch: &mut Batch, at: usize) -> Result<(), LogError> {
        let start = batch.chain.segment_start;
        let capacity = batch.chain.segment_end.0 - start.0;
        let segment = Segment::create(&*self.shared.fs, &self.shared.dir, start, capacity)?;
        batch.parts.push((Arc::new(segment), at));
        Ok(())
    }

    /// Writes a batch and shows it to readers.
    fn commit(&mut self, batch: Batch, bytes: &Bytes) -> Result<(), LogError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.write(&batch, bytes);
        let mut state = self.shared.state();
        if let Err(error) = written {
            state.failed = Some(error.to_string());
            return Err(error);
        }
        for (place, (segment, at)) in batch.parts.iter().enumerate() {
            let end = batch.parts.get(place + 1).map_or(bytes.len(), |&(_, at)| at);
            state.segments.entry(segment.start).or_insert_with(|| segment.clone());
            state.tail.push(Lsn(batch.start.0 + *at as u64), bytes.slice(*at..end));
        }
        state.end = batch.chain.end();
        if state.history.last() != batch.chain.history.last() {
            state.history = batch.chain.history.clone();
        }
        self.chain = batch.chain;
        Ok(())
    }

    fn write(&self, batch: &Batch, bytes: &Bytes) -> Result<(), LogError> {
        self.shared.note.settle(batch.start)?;
        let mut before: Option<&Segment> = None;
        for (place, (segment, at)) in batch.parts.iter().enumerate() {
            let end = batch.parts.get(place + 1).map_or(bytes.len(), |&(_, at)| at);
            // Recovery relies on it: a segment is durable before the next has frames.
            if let Some(before) = before {
                let synced = before.file.sync_data(Op::SyncLog);
                synced.map_err(io(&before.path, Op::SyncLog))?;
            }
            before = Some(segment);
            if *at < end {
                let offset = batch.start.0 + *at as u64 - segment.start.0;
                let written = segment.file.write_all_at(Op::Append, &bytes[*at..end], offset);
                written.map_err(io(&segment.path, Op::Append))?;
            }
        }
        Ok(())
    }
}

impl LogSync {
    /// fdatasync of everything appended before the call; returns the LSN that is
    /// durable then. A failure is final: the log refuses all that follows.
    pub fn sync(&self) -> Result<Lsn, LogError> {
        let asked = self.shared.state().end.lsn;
        let _alone = self.shared.syncing();
        let (target, segment) = {
            let state = self.shared.state();
            if let Some(cause) = &state.failed {
                return Err(LogError::Failed { cause: cause.clone() });
            }
            if state.durable >= asked {
                return Ok(state.durable);
            }
            (state.end.lsn, state.segments.values().next_back().cloned())
        };
        if let Some(segment) = segment {
            let synced = segment.file.sync_data(Op::SyncLog);
            synced.map_err(io(&segment.path, Op::SyncLog)).inspect_err(|error| {
                self.shared.state().failed = Some(error.to_string());
            })?;
        }
        self.shared.state().durable = target;
        self.shared.note.raise(target)?;
        Ok(target)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the log's state panics")
    }

    fn syncing(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock().expect("nobody panics while syncing the log")
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.fs.sync_dir(Op::SyncDir, &self.dir).map_err(io(&self.dir, Op::SyncDir))
    }
}

impl State {
    fn first(&self) -> Lsn {
        self.segments.keys().next().copied().unwrap_or(self.end.lsn)
    }

    fn not_held(&self, lsn: Lsn) -> LogError {
        LogError::NotHeld { lsn, first: self.first(), end: self.end.lsn }
    }

    /// The segment that the frame at `lsn` lies in.
    fn segment_at(&self, lsn: Lsn) -> Result<Arc<Segment>, LogError> {
        match self.segments.range(..=lsn).next_back() {
            Some((_, segment)) if lsn < segment.end() => Ok(segment.clone()),
            _ => Err(self.not_held(lsn)),
        }
    }
}

impl Segment {
    fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.capacity)
    }

    fn path(dir: &Path, start: Lsn) -> PathBuf {
        dir.join(format!("{:016x}.seg", start.0))
    }

    /// Makes the file, with its space, durably in its directory.
    fn create(fs: &dyn Fs, dir: &Path, start: Lsn, capacity: u64) -> Result<Self, LogError> {
        let path = Self::path(dir, start);
        let make = || {
            let file = fs.create(Op::CreateSegment, &path)?;
            file.allocate(Op::CreateSegment, capacity)?;
            file.sync_data(Op::CreateSegment)?;
            fs.sync_dir(Op::CreateSegment, dir)?;
            Ok(file)
        };
        let file = make().map_err(io(&path, Op::CreateSegment))?;
        Ok(Self { start, capacity, path, file })
    }

    /// Makes everything from byte `offset` on zeros again, durably.
    fn cut(&self, offset: u64) -> Result<(), LogError> {
        let cut = || {
            self.file.truncate(Op::CutSegment, offset)?;
            self.file.allocate(Op::CutSegment, self.capacity)?;
            self.file.sync_data(Op::CutSegment)
        };
        cut().map_err(io(&self.path, Op::CutSegment))
    }

    fn damaged(&self, lsn: Lsn, cause: &FrameError) -> LogError {
        let offset = lsn.0 - self.start.0;
        LogError::Damaged { path: self.path.clone(), offset, cause: cause.to_string() }
    }
}

fn io(path: &Path, op: Op) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError::Io { path: path.to_owned(), op, source }
}

#[cfg(test)]
mod tests;
