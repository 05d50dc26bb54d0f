use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf, Bytes, BytesMut};

use super::{LogError, Segment, Shared, io};
use crate::log::chain::Chain;
use crate::log::frame::{FrameError, FrameKind, HEADER_LEN, Header};
use crate::log::{Dictionary, Entry, FrameSpan, LogEnd, Lsn, TermHistory, entry_codec};
use crate::storage::fs::Op;

/// Bytes that [`LogReader::entry`] reads at once.
const READ_AHEAD: usize = 256 << 10;

/// Reads the log while it grows. Cheap to clone; each clone that reads entries in
/// order keeps its own place, so one per task.
pub struct LogReader {
    shared: Arc<Shared>,
    cursor: Mutex<Cursor>,
}

/// Where [`LogReader::entry`] is: all that the next frame's decoding needs.
#[derive(Default)]
struct Cursor {
    /// Of [`Shared::cuts`] when it was placed; what it holds is void after a cut.
    cuts: u64,
    /// Whether it was placed at all.
    placed: bool,
    /// A call from anywhere between here and `next` goes on without a search:
    /// nothing but segment starts and padding lies between.
    from: Lsn,
    /// The frame to decode next.
    next: Lsn,
    /// Its bytes and some after it, or nothing.
    ahead: Bytes,
    dictionary: Dictionary,
}

impl Clone for LogReader {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cursor: Mutex::default() }
    }

    pub fn end(&self) -> LogEnd {
        self.shared.state().end
    }

    /// The first LSN still held (start of the oldest segment).
    pub fn first(&self) -> Lsn {
        self.shared.state().first()
    }

    /// The log's terms.
    pub fn history(&self) -> TermHistory {
        self.shared.state().history.clone()
    }

    /// The start of the segment in which the frame that ends at `lsn` lies.
    pub fn segment_start(&self, lsn: Lsn) -> Result<Lsn, LogError> {
        let last_byte = Lsn(lsn.0.saturating_sub(1));
        Ok(self.shared.state().segment_at(last_byte)?.start)
    }

    /// The end of the segment that starts at `start`, once it is sealed.
    pub fn segment_end(&self, start: Lsn) -> Option<Lsn> {
        let state = self.shared.state();
        let end = state.segments.get(&start)?.end();
        (end <= state.end.lsn).then_some(end)
    }

    /// Running hash of the log before the segment that starts at `start`.
    pub fn hash_before(&self, start: Lsn) -> Result<u64, LogError> {
        let bytes = self.read(start, HEADER_LEN)?;
        let before = Chain::before_segment(&bytes).map_err(|error| self.damaged(start, &error))?;
        Ok(before.hash)
    }

    /// Whether reading from `from` needs no file.
    pub fn is_recent(&self, from: Lsn) -> bool {
        let state = self.shared.state();
        from == state.end.lsn || state.tail.get(from).is_some()
    }

    /// Whole raw frames (and padding) from `from`, at most about `max` bytes, at
    /// least one frame; empty at the end. `from` must be the start of a frame. What
    /// comes from a file is checked by its checksums.
    pub fn read(&self, from: Lsn, max: usize) -> Result<Bytes, LogError> {
        let (segment, limit, cuts) = {
            let state = self.shared.state();
            if from == state.end.lsn {
                return Ok(Bytes::new());
            }
            let segment = state.segment_at(from)?;
            if let Some(mut bytes) = state.tail.get(from) {
                if bytes.len() > max {
                    let whole = whole_frames(&bytes, max);
                    bytes.truncate(whole);
                }
                return Ok(bytes);
            }
            if from > state.end.lsn {
                return Err(state.not_held(from));
            }
            let limit = segment.end().min(state.end.lsn);
            (segment, limit, self.shared.cuts.load(Ordering::SeqCst))
        };
        let held = usize::try_from(limit.0 - from.0).unwrap_or(usize::MAX);
        let mut wanted = max.clamp(HEADER_LEN, held.max(HEADER_LEN)).min(held);
        loop {
            let read = segment.read(from, wanted).and_then(|bytes| {
                let whole = checked_frames(&bytes, from);
                whole.map(|whole| (bytes, whole)).map_err(|(at, error)| segment.damaged(at, &error))
            });
            if self.shared.cuts.load(Ordering::SeqCst) != cuts {
                // The file changed under the read.
                return Err(self.shared.state().not_held(from));
            }
            match read? {
                (bytes, Walked::Needs(length)) if length > bytes.len() && length <= held => {
                    wanted = length;
                }
                (_, Walked::Needs(length)) => {
                    let error = FrameError::Truncated { needed: length, held };
                    return Err(segment.damaged(from, &error));
                }
                (mut bytes, Walked::Whole(length)) => {
                    bytes.truncate(length);
                    return Ok(bytes.freeze());
                }
            }
        }
    }

    /// The frame at or after `from` (skipping padding) and its entry; `None` at the
    /// end. Reading on from where the last one ended costs no search.
    pub fn entry(&self, from: Lsn) -> Result<Option<(FrameSpan, Entry)>, LogError> {
        self.entry_within(from, Lsn(u64::MAX))
    }

    /// As [`LogReader::entry`], but `None` for a frame that ends beyond `bound`: it is
    /// not stepped over, so that asking for it again later costs no search either.
    pub fn entry_within(
        &self,
        from: Lsn,
        bound: Lsn,
    ) -> Result<Option<(FrameSpan, Entry)>, LogError> {
        let mut cursor = self.cursor();
        let cuts = self.shared.cuts.load(Ordering::Acquire);
        let stays =
            cursor.placed && cursor.cuts == cuts && (cursor.from..=cursor.next).contains(&from);
        if !stays {
            *cursor = self.cursor_before(from, cuts)?;
        }
        loop {
            let Some((header, body)) = self.next_frame(&mut cursor, bound)? else {
                return Ok(None);
            };
            let decoded = entry_codec::decode(header.kind, &body, &mut cursor.dictionary);
            match decoded.map_err(|error| self.damaged(header.lsn, &error.into()))? {
                None => {}
                Some(_) if header.lsn < from => cursor.from = cursor.next,
                Some(entry) => {
                    cursor.from = cursor.next;
                    let span =
                        FrameSpan { term: header.term, start: header.lsn, end: header.end() };
                    return Ok(Some((span, entry)));
                }
            }
        }
    }

    /// The dictionary of the segment that `lsn` lies in, as its frames up to there
    /// have made it.
    pub(super) fn dictionary_at(&self, lsn: Lsn) -> Result<Dictionary, LogError> {
        let cuts = self.shared.cuts.load(Ordering::Acquire);
        let mut cursor = self.cursor_before(lsn, cuts)?;
        while cursor.next < lsn {
            let Some((header, body)) = self.next_frame(&mut cursor, lsn)? else { break };
            entry_codec::decode(header.kind, &body, &mut cursor.dictionary)
                .map_err(|error| self.damaged(header.lsn, &error.into()))?;
        }
        Ok(cursor.dictionary)
    }

    /// The chain up to `lsn`, which must be the end of a frame.
    pub fn chain_at(&self, lsn: Lsn) -> Result<Chain, LogError> {
        if lsn == Lsn(0) {
            return Ok(Chain::default());
        }
        let start = match self.segment_start(lsn) {
            Err(_) if lsn == self.first() => lsn,
            start => start?,
        };
        let mut bytes = self.read(start, READ_AHEAD)?;
        let damaged = |at, error| self.damaged(at, &error);
        let mut chain = Chain::before_segment(&bytes).map_err(|error| damaged(start, error))?;
        while chain.lsn < lsn {
            if bytes.is_empty() {
                bytes = self.read(chain.lsn, READ_AHEAD)?;
            }
            let header = chain.accept(&bytes).map_err(|error| damaged(chain.lsn, error))?;
            bytes.advance(header.length);
        }
        if chain.lsn == lsn { Ok(chain) } else { Err(self.shared.state().not_held(lsn)) }
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock().expect("nobody panics while reading the log")
    }

    /// A cursor at the start of the segment that the frame at `lsn` lies in.
    fn cursor_before(&self, lsn: Lsn, cuts: u64) -> Result<Cursor, LogError> {
        let state = self.shared.state();
        let start = match state.segment_at(lsn) {
            Ok(segment) => segment.start,
            Err(_) if lsn == state.end.lsn => lsn,
            Err(error) => return Err(error),
        };
        Ok(Cursor { cuts, placed: true, from: start, next: start, ..Cursor::default() })
    }

    /// The cursor's next frame, and steps over it; `None` at the end, and where it ends
    /// beyond `bound`.
    fn next_frame(
        &self,
        cursor: &mut Cursor,
        bound: Lsn,
    ) -> Result<Option<(Header, Bytes)>, LogError> {
        if cursor.ahead.is_empty() {
            cursor.ahead = self.read(cursor.next, READ_AHEAD)?;
            if cursor.ahead.is_empty() {
                return Ok(None);
            }
        }
        let header = Header::decode(&cursor.ahead)
            .and_then(|header| header.frame(&cursor.ahead).map(|_| header))
            .map_err(|error| self.damaged(cursor.next, &error))?;
        if header.end() > bound {
            return Ok(None);
        }
        let mut frame = cursor.ahead.split_to(header.length);
        cursor.next = header.end();
        if header.kind == FrameKind::SegmentStart {
            cursor.dictionary = Dictionary::default();
        }
        frame.advance(HEADER_LEN);
        Ok(Some((header, frame)))
    }

    fn damaged(&self, lsn: Lsn, error: &FrameError) -> LogError {
        match self.shared.state().segment_at(lsn) {
            Ok(segment) => segment.damaged(lsn, error),
            Err(error) => error,
        }
    }
}

impl Segment {
    fn read(&self, from: Lsn, length: usize) -> Result<BytesMut, LogError> {
        let mut bytes = BytesMut::zeroed(length);
        let read = self.file.read_exact_at(Op::ReadLog, &mut bytes, from.0 - self.start.0);
        read.map_err(io(&self.path, Op::ReadLog))?;
        Ok(bytes)
    }
}

enum Walked {
    /// So many bytes are whole frames.
    Whole(usize),
    /// Not even one frame is whole; the first needs so many bytes.
    Needs(usize),
}

/// Walks over frames read from a file, checking each by itself.
fn checked_frames(bytes: &[u8], from: Lsn) -> Result<Walked, (Lsn, FrameError)> {
    let mut at = 0;
    while at < bytes.len() {
        let lsn = Lsn(from.0 + at as u64);
        let check = |rest: &[u8]| {
            let header = Header::decode(rest)?;
            if header.lsn != lsn {
                return Err(FrameError::Place { said: header.lsn, expected: lsn });
            }
            header.check_sum(header.frame(rest)?)?;
            Ok(header.length)
        };
        match check(&bytes[at..]) {
            Ok(length) => at += length,
            Err(FrameError::Truncated { needed, .. }) if at == 0 => {
                return Ok(Walked::Needs(needed));
            }
            Err(FrameError::Truncated { .. }) => break,
            Err(error) => return Err((lsn, error)),
        }
    }
    Ok(Walked::Whole(at))
}

/// Length of the frames at the front of `bytes`, which are known to be sound, that
/// fit into `max`, and of one frame at least.
fn whole_frames(bytes: &[u8], max: usize) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let Ok(header) = Header::decode(&bytes[at..]) else { break };
        if at > 0 && at + header.length > max {
            break;
        }
        at += header.length;
    }
    at
}
