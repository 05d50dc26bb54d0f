//! The log as a chain of frames and segments: what may follow what.
//!
//! The stream is nothing but frames, one behind the other, so that an LSN is a
//! place in a file: `LSN - start of the segment`. A segment's first frame,
//! *segment start* (`docs/format.md` has its bytes), says what the log before led to,
//! so a log can be read from the start of any segment. A segment is tiled by frames
//! to its last byte: where the next frame does not fit, *padding* (its body zeros)
//! fills the rest, and no frame may leave a rest too short for a padding's header.
//! A frame that is longer than a whole segment gets one made to measure.
//!
//! ```text
//!  ┌ segment, start LSN = S ──────────────────┐┌ S + capacity ─────
//!  │ segment start │ frame │ frame │ padding  ││ segment start │ …
//!  └───────────────┴───────┴───────┴──────────┘└───────────────┴──
//! ```

use bytes::{BufMut, BytesMut};

use super::frame::{self, FrameError, FrameKind, HEADER_LEN, Header};
use super::wire::{Reader, WireError};
use super::{LogEnd, Lsn, Term, TermHistory};

const SEGMENT_ID: &[u8; 16] = b"towline segment\n";

/// Largest capacity of a segment, bytes.
const CAPACITY_MAX: u64 = 2 << 30;

/// A log up to its end: all that decides which bytes may follow.
///
/// Invariants: `lsn ≤ segment_end`; `lsn < segment_end` means that the segment goes
/// on, equality that the next frame must start one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chain {
    /// Term of the last frame.
    pub term: Term,
    pub lsn: Lsn,
    /// Running hash up to `lsn`.
    pub hash: u64,
    pub history: TermHistory,
    /// Start of the segment that `lsn` lies in or ends.
    pub segment_start: Lsn,
    /// Start of the next one.
    pub segment_end: Lsn,
}

/// What a segment start says.
struct SegmentStart {
    capacity: u64,
    hash: u64,
    term: Term,
    history: TermHistory,
}

impl Chain {
    /// The log's end.
    pub fn end(&self) -> LogEnd {
        LogEnd { term: self.term, lsn: self.lsn }
    }

    /// The chain as it was just before the segment whose first frame is at the
    /// front of `bytes`.
    pub fn before_segment(bytes: &[u8]) -> Result<Self, FrameError> {
        let header = Header::decode(bytes)?;
        if header.kind != FrameKind::SegmentStart {
            return Err(FrameError::Segment("start"));
        }
        let frame = header.frame(bytes)?;
        header.check_sum(frame)?;
        let start = SegmentStart::decode(&frame[HEADER_LEN..])?;
        Ok(Self {
            term: start.term,
            lsn: header.lsn,
            hash: start.hash,
            history: start.history,
            segment_start: header.lsn,
            segment_end: header.lsn,
        })
    }

    /// Checks the frame at the front of `bytes` and goes beyond it. On an error the
    /// chain is as before.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<Header, FrameError> {
        let header = Header::decode(bytes)?;
        let frame = header.frame(bytes)?;
        if header.lsn != self.lsn {
            return Err(FrameError::Place { said: header.lsn, expected: self.lsn });
        }
        if header.term < self.term {
            return Err(FrameError::TermRegressed { said: header.term, expected: self.term });
        }
        header.check_sum(frame)?;
        header.check_hash(frame, self.hash)?;
        let segment_end = if self.lsn == self.segment_end {
            if header.kind != FrameKind::SegmentStart {
                return Err(FrameError::Segment("start"));
            }
            let start = SegmentStart::decode(&frame[HEADER_LEN..])?;
            let continues =
                start.hash == self.hash && start.term == self.term && start.history == self.history;
            if !continues {
                return Err(FrameError::Segment("continue the one before"));
            }
            self.lsn
                .0
                .checked_add(start.capacity)
                .map(Lsn)
                .ok_or(FrameError::Length(start.capacity))?
        } else {
            if header.kind == FrameKind::SegmentStart {
                return Err(FrameError::Segment("go on"));
            }
            self.segment_end
        };
        let fits = match segment_end.0.checked_sub(header.end().0) {
            Some(rest) if header.kind == FrameKind::Padding => rest == 0,
            Some(rest) => rest == 0 || rest >= HEADER_LEN as u64,
            None => false,
        };
        if !fits {
            return Err(FrameError::Length(header.length as u64));
        }
        if header.kind == FrameKind::Padding && frame[HEADER_LEN..].iter().any(|&byte| byte != 0) {
            return Err(FrameError::Body(WireError::Malformed("padding")));
        }
        if header.kind == FrameKind::SegmentStart {
            self.segment_start = self.lsn;
        }
        self.segment_end = segment_end;
        self.advance(header.term, header.end(), header.hash);
        Ok(header)
    }

    /// Whether a frame of `length` bytes may come next without a new segment.
    pub fn fits(&self, length: usize) -> bool {
        match (self.segment_end.0 - self.lsn.0).checked_sub(length as u64) {
            Some(rest) => rest == 0 || rest >= HEADER_LEN as u64,
            None => false,
        }
    }

    /// Bytes of the padding that ends the current segment.
    pub fn padding(&self) -> usize {
        (self.segment_end.0 - self.lsn.0) as usize
    }

    /// Makes a frame of `buffer[at..]`, whose header is still free, and goes beyond
    /// it. It must fit.
    pub fn seal(
        &mut self,
        buffer: &mut BytesMut,
        at: usize,
        kind: FrameKind,
        term: Term,
    ) -> Header {
        let length = buffer.len() - at;
        assert!(self.fits(length), "a frame of {length} bytes at {} of a segment", self.lsn);
        assert!(term >= self.term, "term {term} after {}", self.term);
        frame::seal(buffer, at, kind, term, self.lsn, self.hash);
        let header = Header::decode(&buffer[at..]).expect("a frame just made is well-formed");
        self.advance(term, header.end(), header.hash);
        header
    }

    /// Appends the padding that ends the current segment to `buffer`, if it needs one.
    pub fn end_segment(&mut self, buffer: &mut BytesMut, term: Term) {
        let padding = self.padding();
        if padding > 0 {
            let at = buffer.len();
            buffer.put_bytes(0, padding);
            self.seal(buffer, at, FrameKind::Padding, term);
        }
    }

    /// Appends the start of a segment that has room for a first frame of `length`
    /// bytes to `buffer`; its capacity is `capacity` if that suffices. The segment
    /// before must have ended.
    pub fn start_segment(
        &mut self,
        buffer: &mut BytesMut,
        term: Term,
        capacity: u64,
        length: usize,
    ) {
        assert_eq!(self.lsn, self.segment_end, "the segment before goes on");
        let at = buffer.len();
        buffer.put_bytes(0, HEADER_LEN);
        let mut start = SegmentStart {
            capacity,
            hash: self.hash,
            term: self.term,
            history: self.history.clone(),
        };
        start.encode(buffer);
        let needed = (buffer.len() - at + length) as u64;
        if needed != capacity && needed + HEADER_LEN as u64 > capacity {
            start.capacity = needed;
            buffer.truncate(at + HEADER_LEN);
            start.encode(buffer);
        }
        self.segment_start = self.lsn;
        self.segment_end = Lsn(self.lsn.0 + start.capacity);
        self.seal(buffer, at, FrameKind::SegmentStart, term);
    }

    fn advance(&mut self, term: Term, lsn: Lsn, hash: u64) {
        if term > self.term {
            self.history.push(term, self.lsn);
        }
        (self.term, self.lsn, self.hash) = (term, lsn, hash);
    }
}

impl SegmentStart {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(SEGMENT_ID);
        out.put_u64_le(self.capacity);
        out.put_u64_le(self.hash);
        out.put_u64_le(self.term.0);
        self.history.encode(out);
    }

    fn decode(body: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(body);
        if reader.take(SEGMENT_ID.len())? != SEGMENT_ID {
            return Err(WireError::Malformed("segment's identification").into());
        }
        let capacity = reader.u64()?;
        if capacity > CAPACITY_MAX {
            return Err(FrameError::Length(capacity));
        }
        let (hash, term) = (reader.u64()?, Term(reader.u64()?));
        let history = TermHistory::decode(&mut reader)?;
        if history.last().unwrap_or_default() != term {
            return Err(WireError::Malformed("term history: not up to the term").into());
        }
        reader.finish()?;
        Ok(Self { capacity, hash, term, history })
    }
}

/// Looks for a whole frame in `bytes`, the rest of a segment after a bad spot;
/// `lsn` is that of their first byte. Finding one means that the spot is no torn end.
pub fn frame_beyond(bytes: &[u8], lsn: Lsn) -> Option<Lsn> {
    (0..bytes.len().saturating_sub(HEADER_LEN - 1)).find_map(|at| {
        let rest = &bytes[at..];
        let header = Header::decode(rest).ok()?;
        let here = Lsn(lsn.0 + at as u64);
        let whole = header.lsn == here && header.check_sum(header.frame(rest).ok()?).is_ok();
        whole.then_some(here)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::Known::{Number, Raw};
    use crate::log::format_page::{assert_limit, assert_table};

    /// A log of frames with bodies of the given lengths, each perhaps in a new term.
    fn build(capacity: u64, frames: &[(usize, bool)]) -> (Chain, BytesMut) {
        let (mut chain, mut log) = (Chain::default(), BytesMut::new());
        let mut term = Term(1);
        for &(body, new_term) in frames {
            term = if new_term { term.next() } else { term };
            if !chain.fits(HEADER_LEN + body) {
                chain.end_segment(&mut log, term);
                chain.start_segment(&mut log, term, capacity, HEADER_LEN + body);
            }
            let at = log.len();
            log.put_bytes(0, HEADER_LEN);
            log.put_bytes(7, body);
            chain.seal(&mut log, at, FrameKind::Configuration, term);
        }
        (chain, log)
    }

    fn walk(log: &[u8]) -> Result<Chain, FrameError> {
        let mut chain = Chain::default();
        while (chain.lsn.0 as usize) < log.len() {
            chain.accept(&log[chain.lsn.0 as usize..])?;
        }
        Ok(chain)
    }

    fn frames() -> impl Strategy<Value = Vec<(usize, bool)>> {
        proptest::collection::vec((0usize..300, any::<bool>()), 1..30)
    }

    proptest! {
        #[test]
        fn what_was_built_is_accepted(frames in frames(), capacity in 100u64..600) {
            let (built, log) = build(capacity, &frames);
            prop_assert_eq!(walk(&log)?, built);
        }

        #[test]
        fn any_flipped_bit_of_a_log_is_found(frames in frames(), at: usize, bit in 0u8..8) {
            let (_, mut log) = build(400, &frames);
            let at = at % log.len();
            log[at] ^= 1 << bit;
            prop_assert!(walk(&log).is_err());
        }

        #[test]
        fn a_log_can_be_read_from_any_segment(frames in frames()) {
            let (built, log) = build(400, &frames);
            let mut chain = Chain::before_segment(&log[built.segment_start.0 as usize..])?;
            while (chain.lsn.0 as usize) < log.len() {
                chain.accept(&log[chain.lsn.0 as usize..])?;
            }
            prop_assert_eq!(chain, built);
        }
    }

    #[test]
    fn a_frame_beyond_a_bad_spot_is_found() {
        let (_, mut log) = build(1000, &[(50, false), (50, false), (50, false)]);
        let first = Header::decode(&log).expect("a frame").length;
        log[first + 10] ^= 1;
        assert_eq!(frame_beyond(&log[first..], Lsn(first as u64)), Some(Lsn(first as u64 + 90)));
        assert_eq!(
            frame_beyond(&log[first + 91..], Lsn(first as u64 + 91)),
            Some(Lsn(first as u64 + 180))
        );
        assert_eq!(frame_beyond(&log[first + 181..], Lsn(first as u64 + 181)), None);
    }

    /// Each is sound by itself, and has a checksum that says so.
    #[test]
    fn a_sound_frame_that_does_not_continue_the_log_is_refused() {
        let (mut chain, mut log) = (Chain::default(), BytesMut::new());
        chain.start_segment(&mut log, Term(2), 400, 100);
        let sealed = |chain: &Chain, body: &[u8], kind, term, hash| {
            let mut frame = BytesMut::zeroed(HEADER_LEN);
            frame.put_slice(body);
            frame::seal(&mut frame, 0, kind, term, chain.lsn, hash);
            let before = chain.clone();
            let mut chain = chain.clone();
            let accepted = chain.accept(&frame).map(|_| ());
            assert!(accepted.is_ok() || chain == before);
            accepted
        };
        let kind = FrameKind::Configuration;
        assert_eq!(sealed(&chain, &[7; 60], kind, Term(2), chain.hash), Ok(()));
        assert_eq!(sealed(&chain, &[7; 60], kind, Term(2), chain.hash ^ 1), Err(FrameError::Hash));
        let error = FrameError::TermRegressed { said: Term(1), expected: Term(2) };
        assert_eq!(sealed(&chain, &[7; 60], kind, Term(1), chain.hash), Err(error));
        let mut padding = vec![0; chain.padding() - HEADER_LEN];
        let kind = FrameKind::Padding;
        assert_eq!(sealed(&chain, &padding, kind, Term(2), chain.hash), Ok(()));
        padding[9] = 1;
        let error = FrameError::Body(WireError::Malformed("padding"));
        assert_eq!(sealed(&chain, &padding, kind, Term(2), chain.hash), Err(error));
        // A segment says what the log before led to.
        chain.end_segment(&mut log, Term(2));
        let others = [
            Chain { hash: chain.hash ^ 1, ..chain.clone() },
            Chain { term: Term(3), ..chain.clone() },
            Chain { history: TermHistory::default(), ..chain.clone() },
        ];
        for (place, of) in [chain.clone()].iter().chain(&others).enumerate() {
            let (hash, term, history) = (of.hash, of.term, of.history.clone());
            let mut body = BytesMut::new();
            SegmentStart { capacity: 400, hash, term, history }.encode(&mut body);
            let said = sealed(&chain, &body, FrameKind::SegmentStart, Term(3), chain.hash);
            assert_eq!(said.is_ok(), place == 0, "{place}: {said:?}");
        }
    }

    #[test]
    fn a_frame_that_no_segment_holds_gets_its_own() {
        let (chain, _) = build(200, &[(5000, false)]);
        assert_eq!(chain.lsn, chain.segment_end);
    }

    #[test]
    fn a_segment_begins_as_the_page_says() {
        let (mut chain, mut log) = build(300, &[(50, false)]);
        chain.end_segment(&mut log, Term(5));
        let (before, mut history, at) = (chain.hash, BytesMut::new(), log.len());
        chain.history.encode(&mut history);
        chain.start_segment(&mut log, Term(6), 1000, 60);
        let fields = [
            ("capacity", Number(1000)),
            ("hash before", Number(before.into())),
            ("term before", Number(5)),
            ("history", Raw(&history)),
        ];
        assert_table("Segment start", &log[at + HEADER_LEN..], &fields);
        assert_limit("capacity of a segment", CAPACITY_MAX);
    }
}
