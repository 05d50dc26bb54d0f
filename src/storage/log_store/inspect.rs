//! Looking at a log from outside, without changing it or keeping its node from
//! anything: what tools and backups read, on a live or a dead node's directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::recovery::{NOTE, Note, is_zero, starts};
use super::{LogError, io as io_error};
use crate::log::chain::{Chain, frame_beyond};
use crate::log::frame::{FrameError, HEADER_LEN, Header};
use crate::log::{Dictionary, Entry, FrameSpan, Lsn, Term, TermHistory, entry_codec};
use crate::storage::fs::Op;

/// One segment file.
#[derive(Clone, Debug)]
pub struct SegmentSeen {
    pub path: PathBuf,
    pub start: Lsn,
    /// The end of its last frame.
    pub end: Lsn,
    /// Where the next segment begins.
    pub capacity_end: Lsn,
    /// Frames in it that say something.
    pub frames: u64,
    pub first_term: Term,
    pub last_term: Term,
    /// Running hash of the log up to its end.
    pub hash: u64,
}

impl SegmentSeen {
    /// Whether it is complete: nothing will be added to it.
    pub fn is_sealed(&self) -> bool {
        self.end == self.capacity_end
    }
}

/// A log, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub struct LogSeen {
    pub segments: Vec<SegmentSeen>,
    pub history: TermHistory,
    pub end: Lsn,
    /// Durable at least up to here; `None` if nothing says.
    pub durable: Option<Lsn>,
    /// Bytes of a frame that was being written, or is torn, at the end.
    pub torn: u64,
}

/// What one is told of each frame that says something.
pub struct FrameSeen<'a> {
    pub span: FrameSpan,
    pub entry: Entry,
    pub segment: &'a Path,
    /// In the segment file.
    pub offset: u64,
}

/// Goes over all of the log in `dir`, from the segment that holds `from` on: every
/// checksum, the running hash, every body. What is found is told to `seen`, in order;
/// it may be told the same again, from the start, if a running node cuts its log or
/// releases a part of it meanwhile.
///
/// # Errors
/// [`LogError::Damaged`] has the file and the offset.
pub fn inspect(
    dir: &Path,
    from: Lsn,
    seen: &mut dyn FnMut(FrameSeen<'_>) -> io::Result<()>,
) -> Result<LogSeen, LogError> {
    let mut before = String::new();
    loop {
        match look(dir, from, seen) {
            Err(error @ (LogError::Damaged { .. } | LogError::NotHeld { .. })) => {
                // Damage stays where it is; what a running node changes does not.
                let now = error.to_string();
                if now == before {
                    return Err(error);
                }
                before = now;
            }
            looked => return looked,
        }
    }
}

fn look(
    dir: &Path,
    from: Lsn,
    seen: &mut dyn FnMut(FrameSeen<'_>) -> io::Result<()>,
) -> Result<LogSeen, LogError> {
    // First: what it says is durable stands in the files that are read afterwards.
    let durable = note(dir)?;
    let starts = segment_starts(dir)?;
    let first = starts.iter().rposition(|start| *start <= from).unwrap_or(0);
    let mut looked = LogSeen { durable, ..LogSeen::default() };
    let mut chain = Chain::default();
    for (place, &start) in starts.iter().enumerate().skip(first) {
        let path = super::Segment::path(dir, start);
        let bytes = match fs::read(&path) {
            // Released meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::NotHeld { lsn: start, first: start, end: start });
            }
            read => read.map_err(io_error(&path, Op::ReadLog))?,
        };
        let damaged = |at: Lsn, error: &FrameError| LogError::Damaged {
            path: path.clone(),
            offset: at.0.saturating_sub(start.0),
            cause: error.to_string(),
        };
        if place == first {
            chain = match Chain::before_segment(&bytes) {
                Ok(chain) if chain.lsn == start => chain,
                Ok(chain) => {
                    let error = FrameError::Place { said: chain.lsn, expected: start };
                    return Err(damaged(start, &error));
                }
                // A segment that was made and holds nothing yet.
                Err(_) if place + 1 == starts.len() && is_zero(&bytes) => {
                    looked.end = start;
                    return Ok(looked);
                }
                Err(error) => return Err(damaged(start, &error)),
            };
        }
        if chain.lsn < start {
            let cause = format!("the log before ends at {}: a segment is missing", chain.lsn);
            return Err(LogError::Damaged { path, offset: 0, cause });
        }
        let mut segment = SegmentSeen {
            path: path.clone(),
            start,
            end: start,
            capacity_end: Lsn(start.0 + bytes.len() as u64),
            frames: 0,
            first_term: chain.term,
            last_term: chain.term,
            hash: chain.hash,
        };
        let mut dictionary = Dictionary::default();
        let bad = loop {
            let at = (chain.lsn.0 - start.0) as usize;
            match chain.accept(&bytes[at..]) {
                Ok(header) => {
                    let offset = at as u64;
                    let body = &bytes[at + HEADER_LEN..at + header.length];
                    tell(&header, body, &mut dictionary, &path, offset, &mut segment, seen)
                        .map_err(|error| match error {
                            Told::Body(error) => damaged(header.lsn, &error),
                            Told::Io(error) => io_error(&path, Op::ReadLog)(error),
                        })?;
                }
                Err(error) => break Some(error),
            }
            if chain.lsn == chain.segment_end {
                break None;
            }
        };
        segment.end = chain.lsn;
        segment.hash = chain.hash;
        if chain.segment_start == start && chain.lsn > start {
            segment.capacity_end = chain.segment_end;
        }
        let holds = segment.end > start;
        if holds {
            looked.segments.push(segment);
        }
        looked.end = chain.lsn;
        let Some(error) = bad else { continue };
        let rest = &bytes[(chain.lsn.0 - start.0) as usize..];
        let is_last = starts[place + 1..].iter().all(|later| !has_bytes(dir, *later));
        let below_note = durable.is_some_and(|durable| chain.lsn < durable);
        let goes_on = !rest.is_empty()
            && !is_zero(rest)
            && frame_beyond(&rest[1..], Lsn(chain.lsn.0 + 1)).is_some();
        if !is_last || below_note || (goes_on && durable.is_none()) {
            return Err(damaged(chain.lsn, &error));
        }
        let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        looked.torn = written as u64;
        break;
    }
    looked.history = chain.history;
    Ok(looked)
}

enum Told {
    Body(FrameError),
    Io(io::Error),
}

fn tell(
    header: &Header,
    body: &[u8],
    dictionary: &mut Dictionary,
    path: &Path,
    offset: u64,
    segment: &mut SegmentSeen,
    seen: &mut dyn FnMut(FrameSeen<'_>) -> io::Result<()>,
) -> Result<(), Told> {
    let entry = entry_codec::decode(header.kind, body, dictionary)
        .map_err(|error| Told::Body(error.into()))?;
    if segment.frames == 0 {
        segment.first_term = header.term;
    }
    segment.last_term = header.term;
    let Some(entry) = entry else { return Ok(()) };
    segment.frames += 1;
    let span = FrameSpan { term: header.term, start: header.lsn, end: header.end() };
    seen(FrameSeen { span, entry, segment: path, offset }).map_err(Told::Io)
}

/// Start LSNs of the segment files in `dir`, in order.
fn segment_starts(dir: &Path) -> Result<Vec<Lsn>, LogError> {
    let listed = fs::read_dir(dir).map_err(io_error(dir, Op::ListLog))?;
    let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(starts(names))
}

/// How far the log is durable at least.
fn note(dir: &Path) -> Result<Option<Lsn>, LogError> {
    let path = dir.join(NOTE);
    match fs::read(&path) {
        Ok(bytes) => Ok(Note::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(&path, Op::NoteDurable)(error)),
    }
}

fn has_bytes(dir: &Path, start: Lsn) -> bool {
    fs::read(super::Segment::path(dir, start)).is_ok_and(|bytes| !is_zero(&bytes))
}
