//! Opening: which files are there, how far they are a log, and what to make of the
//! first byte that is not.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{LogError, Opened, Segment, io};
use crate::log::Lsn;
use crate::log::chain::{Chain, frame_beyond};
use crate::log::frame::FrameError;
use crate::storage::fs::{File, Fs, Op};

/// Name of the note of what is durable.
pub(super) const NOTE: &str = "durable";
const NOTE_LEN: usize = 12;
/// Distance of the note's two places: they share no sector.
const NOTE_STRIDE: usize = 512;

/// The note of how far the log is durable (`docs/format.md`). It has two places,
/// written in turn: one is always whole. The higher counts.
pub(super) struct Note {
    path: PathBuf,
    file: Arc<dyn File>,
    turn: AtomicUsize,
    /// It says more than the log holds: what opening found and the node must record
    /// first (rule 16a). A kill in between leaves it to be found again.
    stale: AtomicBool,
}

/// What was found; nothing is changed yet.
pub(super) struct Found {
    pub(super) chain: Chain,
    segments: BTreeMap<Lsn, Arc<Segment>>,
    /// Segment files that hold no frame.
    empty: Vec<Lsn>,
    opened: Opened,
}

/// A log ready to be used.
pub(super) struct Recovered {
    pub(super) chain: Chain,
    pub(super) segments: BTreeMap<Lsn, Arc<Segment>>,
    pub(super) note: Note,
    pub(super) opened: Opened,
}

/// Reads and checks the whole log in `dir`.
pub(super) fn recover(fs: &dyn Fs, dir: &Path) -> Result<Found, LogError> {
    fs.create_dir_all(Op::ListLog, dir).map_err(io(dir, Op::ListLog))?;
    let starts = segment_starts(fs, dir)?;
    let noted = Note::read(fs, dir)?;
    let mut found = Found {
        chain: Chain::default(),
        segments: BTreeMap::new(),
        empty: Vec::new(),
        opened: Opened::default(),
    };
    let mut bytes = Vec::new();
    for (place, &start) in starts.iter().enumerate() {
        let path = Segment::path(dir, start);
        let file = fs.open(Op::ReadLog, &path).map_err(io(&path, Op::ReadLog))?;
        read_whole(&*file, &mut bytes).map_err(io(&path, Op::ReadLog))?;
        let mut segment = Segment { start, capacity: bytes.len() as u64, path, file };
        let walked = walk(&mut found.chain, start, &bytes, place == 0);
        let bad = found.chain.lsn;
        if found.chain.segment_start == start && bad > start {
            segment.capacity = found.chain.segment_end.0 - start.0;
        }
        let Err(error) = walked else {
            found.segments.insert(start, Arc::new(segment));
            continue;
        };
        if place > 0 && bad < start {
            let cause = format!("the log before ends at {bad}: a segment is missing");
            return Err(LogError::Damaged { path: segment.path, offset: 0, cause });
        }
        let later = &starts[place + 1..];
        for &later in later {
            if has_frames(fs, dir, later)? {
                return Err(segment.damaged(bad, &error));
            }
        }
        let rest = &bytes[(bad.0 - start.0) as usize..];
        let clean = is_zero(rest);
        let was_durable = noted.is_none_or(|noted| bad < noted);
        if !clean && was_durable && frame_beyond(&rest[1..], Lsn(bad.0 + 1)).is_some() {
            return Err(segment.damaged(bad, &error));
        }
        if place == 0 && bad == start && start > Lsn(0) {
            // What came before it is gone, so there is nothing to go on from.
            return Err(segment.damaged(bad, &error));
        }
        if !clean {
            found.opened.cut = Some(bad);
        }
        if bad == start {
            found.empty.push(start);
        } else {
            found.segments.insert(start, Arc::new(segment));
        }
        found.empty.extend(later);
        break;
    }
    let end = found.chain.lsn;
    let lost = match noted {
        Some(noted) => end < noted,
        None => found.opened.cut.is_some(),
    };
    found.opened.doubtful = lost;
    if lost {
        found.opened.cut = Some(end);
    }
    Ok(found)
}

/// Goes over a segment's frames; an error means that the chain ends before its end.
fn walk(chain: &mut Chain, start: Lsn, bytes: &[u8], first: bool) -> Result<(), FrameError> {
    if first {
        // Its place comes from the file's name, so that an error is at its start.
        *chain = Chain { lsn: start, segment_start: start, segment_end: start, ..Chain::default() };
        *chain = Chain::before_segment(bytes)?;
    }
    if chain.lsn != start {
        return Err(FrameError::Place { said: chain.lsn, expected: start });
    }
    loop {
        chain.accept(&bytes[(chain.lsn.0 - start.0) as usize..])?;
        if chain.lsn == chain.segment_end {
            return Ok(());
        }
    }
}

impl Found {
    /// Puts the files in order: cuts the torn end, removes what holds nothing, makes
    /// all that was found durable.
    pub(super) fn settle(self, fs: &dyn Fs, dir: &Path) -> Result<Recovered, LogError> {
        let note = Note::open(fs, dir)?;
        let end = self.chain.lsn;
        match Note::read(fs, dir)? {
            None => note.lower(Lsn(0))?,
            Some(noted) => note.stale.store(noted > end, Ordering::Relaxed),
        }
        for &start in &self.empty {
            let path = Segment::path(dir, start);
            fs.remove(Op::RemoveSegment, &path).map_err(io(&path, Op::RemoveSegment))?;
        }
        fs.sync_dir(Op::SyncDir, dir).map_err(io(dir, Op::SyncDir))?;
        if let Some(segment) = self.segments.values().next_back() {
            let length = segment.file.length(Op::ReadLog);
            let whole = length.map_err(io(&segment.path, Op::ReadLog))? == segment.capacity;
            if self.opened.cut.is_some() || !whole {
                segment.cut(end.0 - segment.start.0)?;
            }
        }
        for segment in self.segments.values() {
            let synced = segment.file.sync_data(Op::SyncLog);
            synced.map_err(io(&segment.path, Op::SyncLog))?;
        }
        if !note.stale.load(Ordering::Relaxed) {
            note.raise(end)?;
        }
        let Self { chain, segments, opened, .. } = self;
        Ok(Recovered { chain, segments, note, opened })
    }
}

/// Finishes, or finishes again, the replacement of the log in `dir` by the segment
/// file that lies in the directory `staged`. Does nothing if none lies there. A kill
/// at any point is harmless: the segment stays in `staged` until it is the log.
pub fn adopt_segment(fs: &dyn Fs, staged: &Path, dir: &Path) -> Result<(), LogError> {
    let Some(&start) = segment_starts(fs, staged)?.first() else { return Ok(()) };
    fs.create_dir_all(Op::ListLog, dir).map_err(io(dir, Op::ListLog))?;
    discard(fs, dir)?;
    let (from, to) = (Segment::path(staged, start), Segment::path(dir, start));
    fs.rename(Op::CreateSegment, &from, &to).map_err(io(&from, Op::CreateSegment))?;
    fs.sync_dir(Op::SyncDir, dir).map_err(io(dir, Op::SyncDir))?;
    fs.sync_dir(Op::SyncDir, staged).map_err(io(staged, Op::SyncDir))
}

/// Deletes the log's files in `dir`.
pub(super) fn discard(fs: &dyn Fs, dir: &Path) -> Result<(), LogError> {
    if fs.list(Op::ListLog, dir).map_err(io(dir, Op::ListLog))?.is_empty() {
        return Ok(());
    }
    Note::open(fs, dir)?.lower(Lsn(0))?;
    for start in segment_starts(fs, dir)?.into_iter().rev() {
        let path = Segment::path(dir, start);
        fs.remove(Op::RemoveSegment, &path).map_err(io(&path, Op::RemoveSegment))?;
    }
    fs.sync_dir(Op::SyncDir, dir).map_err(io(dir, Op::SyncDir))
}

/// Start LSNs of the segment files in `dir`, in order.
fn segment_starts(fs: &dyn Fs, dir: &Path) -> Result<Vec<Lsn>, LogError> {
    let names = fs.list(Op::ListLog, dir).map_err(io(dir, Op::ListLog))?;
    Ok(starts(names.into_iter()))
}

/// The start LSNs that file names say, in order; other names say nothing.
pub(super) fn starts(names: impl Iterator<Item = String>) -> Vec<Lsn> {
    let start = |name: String| {
        let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(digits, 16).ok().map(Lsn)
    };
    let mut starts: Vec<Lsn> = names.filter_map(start).collect();
    starts.sort_unstable();
    starts
}

/// Whether the segment's first frame is there.
fn has_frames(fs: &dyn Fs, dir: &Path, start: Lsn) -> Result<bool, LogError> {
    let path = Segment::path(dir, start);
    let file = fs.open(Op::ReadLog, &path).map_err(io(&path, Op::ReadLog))?;
    let mut bytes = Vec::new();
    read_whole(&*file, &mut bytes).map_err(io(&path, Op::ReadLog))?;
    Ok(frame_beyond(&bytes, start).is_some())
}

/// Replaces what is in `bytes`, whose memory serves for file after file.
fn read_whole(file: &dyn File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length =
        usize::try_from(file.length(Op::ReadLog)?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    bytes.resize(length, 0);
    file.read_exact_at(Op::ReadLog, bytes, 0)
}

impl Note {
    fn open(fs: &dyn Fs, dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(NOTE);
        let file = match fs.open(Op::NoteDurable, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs.create(Op::NoteDurable, &path)
            }
            opened => opened,
        };
        let file = file.map_err(io(&path, Op::NoteDurable))?;
        Ok(Self { path, file, turn: AtomicUsize::new(0), stale: AtomicBool::new(false) })
    }

    /// How far the log was durable at least; `None` if nothing says.
    fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<Lsn>, LogError> {
        let path = dir.join(NOTE);
        if !fs.list(Op::ListLog, dir).map_err(io(dir, Op::ListLog))?.iter().any(|n| n == NOTE) {
            return Ok(None);
        }
        let file = fs.open(Op::NoteDurable, &path).map_err(io(&path, Op::NoteDurable))?;
        let length = file.length(Op::NoteDurable).map_err(io(&path, Op::NoteDurable))?;
        let mut bytes = vec![0; length.min((NOTE_STRIDE + NOTE_LEN) as u64) as usize];
        let read = file.read_exact_at(Op::NoteDurable, &mut bytes, 0);
        read.map_err(io(&path, Op::NoteDurable))?;
        Ok(Self::parse(&bytes))
    }

    /// What the file's bytes say.
    pub(super) fn parse(bytes: &[u8]) -> Option<Lsn> {
        let place = |place: usize| {
            let note = bytes.get(place * NOTE_STRIDE..)?.get(..NOTE_LEN)?;
            let (lsn, sum) = note.split_at(8);
            let sound = crc32c::crc32c(lsn).to_le_bytes() == sum;
            sound.then(|| Lsn(lsn.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))))
        };
        place(0).max(place(1))
    }

    /// Before the log grows: brings a note that said too much down to `end`.
    pub(super) fn settle(&self, end: Lsn) -> Result<(), LogError> {
        if self.stale.load(Ordering::Relaxed) { self.lower(end) } else { Ok(()) }
    }

    /// Raises the note.
    pub(super) fn raise(&self, lsn: Lsn) -> Result<(), LogError> {
        // After a failure the same place again: the other one is whole.
        let place = self.turn.load(Ordering::Relaxed);
        self.write(place, lsn).map_err(io(&self.path, Op::NoteDurable))?;
        self.turn.store(place ^ 1, Ordering::Relaxed);
        Ok(())
    }

    /// Lowers it, durably.
    pub(super) fn lower(&self, lsn: Lsn) -> Result<(), LogError> {
        let lower = || {
            self.write(0, lsn)?;
            self.write(1, lsn)?;
            self.file.sync_data(Op::NoteDurable)
        };
        lower().map_err(io(&self.path, Op::NoteDurable))?;
        self.stale.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, place: usize, lsn: Lsn) -> io::Result<()> {
        let mut bytes = [0; NOTE_LEN];
        bytes[..8].copy_from_slice(&lsn.0.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..8]);
        bytes[8..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(Op::NoteDurable, &bytes, (place * NOTE_STRIDE) as u64)
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::format_page::Known::Number;
    use crate::log::format_page::assert_table;
    use crate::storage::fs::RealFs;

    #[test]
    fn the_note_is_as_the_page_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let note = Note::open(&RealFs, dir.path()).expect("created");
        for lsn in [0x1234, 0x1_0000_0000] {
            note.raise(Lsn(lsn)).expect("written");
        }
        let bytes = std::fs::read(dir.path().join("durable")).expect("readable");
        for (at, lsn) in [(0, 0x1234), (512, 0x1_0000_0000u64)] {
            let checksum = crc32c::crc32c(&lsn.to_le_bytes());
            let fields = [("LSN", Number(lsn.into())), ("checksum", Number(checksum.into()))];
            assert_table("The note `log/durable`", &bytes[at..at + 12], &fields);
        }
        assert_eq!(bytes.len(), 512 + 12);
    }
}
