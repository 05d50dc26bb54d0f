//! The frame: the unit of the log, and the only thing that its stream consists of.
//!
//! `docs/format.md` has its bytes: a header of 40, then a body by kind. The header's
//! running hash is a chain: two logs with equal hashes at one LSN are equal up to
//! there, so a follower finds a difference at the first frame that it receives,
//! wherever the difference lies.
//!
//! The checksum answers for one frame by itself (also the first one held, whose
//! predecessor is gone), the chain for the order and completeness of them all.

use bytes::BytesMut;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::wire::WireError;
use super::{Lsn, Term};

/// Length of a frame's header, bytes: the shortest frame.
pub const HEADER_LEN: usize = 40;

/// Longest frame, bytes. A transaction that is larger comes in parts.
pub const FRAME_MAX: usize = 256 << 20;

const MAGIC: [u8; 4] = *b"TwLf";
const VERSION: u8 = 1;

/// What a frame's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameKind {
    Transaction = 1,
    TransactionPart = 2,
    Abort = 3,
    TermStart = 4,
    Configuration = 5,
    SequenceReservation = 6,
    Marker = 7,
    /// Opens every segment.
    SegmentStart = 64,
    /// Zeros up to the segment's end.
    Padding = 65,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Transaction,
            2 => Self::TransactionPart,
            3 => Self::Abort,
            4 => Self::TermStart,
            5 => Self::Configuration,
            6 => Self::SequenceReservation,
            7 => Self::Marker,
            64 => Self::SegmentStart,
            65 => Self::Padding,
            _ => return None,
        })
    }

    /// Whether it shapes segments and says nothing else.
    pub fn is_structural(self) -> bool {
        match self {
            Self::SegmentStart | Self::Padding => true,
            Self::Transaction
            | Self::TransactionPart
            | Self::Abort
            | Self::TermStart
            | Self::Configuration
            | Self::SequenceReservation
            | Self::Marker => false,
        }
    }
}

/// Bytes that are no frame, or not the frame that belongs there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame ends too early: {held} of {needed} bytes")]
    Truncated { needed: usize, held: usize },
    #[error("no frame begins here")]
    Magic,
    #[error("frame format version {0} is unknown")]
    Version(u8),
    #[error("frame kind {0} is unknown")]
    Kind(u8),
    #[error("a reserved field is not zero")]
    Reserved,
    #[error("a frame of {0} bytes is impossible here")]
    Length(u64),
    #[error("the checksum does not match")]
    Checksum,
    #[error("the running hash does not continue that of the log before")]
    Hash,
    #[error("the frame says that it is for {said}, not {expected}")]
    Place { said: Lsn, expected: Lsn },
    #[error("the frame is of term {said}, the log before it of term {expected}")]
    TermRegressed { said: Term, expected: Term },
    #[error("a segment must {0} here")]
    Segment(&'static str),
    #[error("the body: {0}")]
    Body(#[from] WireError),
}

/// A frame's header, decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    pub kind: FrameKind,
    /// Of the whole frame, bytes.
    pub length: usize,
    pub checksum: u32,
    pub term: Term,
    pub lsn: Lsn,
    /// Running hash of the log up to the frame's end.
    pub hash: u64,
}

impl Header {
    /// The first byte after the frame.
    pub fn end(&self) -> Lsn {
        Lsn(self.lsn.0 + self.length as u64)
    }

    /// Decodes the header at the front of `bytes`. The rest of the frame need not
    /// be there, and is not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(FrameError::Truncated { needed: HEADER_LEN, held: bytes.len() });
        };
        if header[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        if header[4] != VERSION {
            return Err(FrameError::Version(header[4]));
        }
        let kind = FrameKind::from_byte(header[5]).ok_or(FrameError::Kind(header[5]))?;
        if header[6..8] != [0, 0] {
            return Err(FrameError::Reserved);
        }
        let length = u32_at(header, 8) as usize;
        let lsn = u64_at(header, 24);
        if !(HEADER_LEN..=FRAME_MAX).contains(&length) || lsn.checked_add(length as u64).is_none() {
            return Err(FrameError::Length(length as u64));
        }
        Ok(Self {
            kind,
            length,
            checksum: u32_at(header, 12),
            term: Term(u64_at(header, 16)),
            lsn: Lsn(lsn),
            hash: u64_at(header, 32),
        })
    }

    /// The frame's bytes at the front of `bytes`, if all are there.
    pub fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        bytes
            .get(..self.length)
            .ok_or(FrameError::Truncated { needed: self.length, held: bytes.len() })
    }

    /// Checks the whole frame's checksum.
    pub fn check_sum(&self, frame: &[u8]) -> Result<(), FrameError> {
        if checksum(frame) == self.checksum { Ok(()) } else { Err(FrameError::Checksum) }
    }

    /// Checks that the frame continues a log whose running hash is `previous`.
    pub fn check_hash(&self, frame: &[u8], previous: u64) -> Result<(), FrameError> {
        if running_hash(frame, previous) == self.hash { Ok(()) } else { Err(FrameError::Hash) }
    }
}

/// Makes a frame of `buffer[at..]`, whose first [`HEADER_LEN`] bytes are free for
/// the header. Returns the running hash at its end.
pub fn seal(
    buffer: &mut BytesMut,
    at: usize,
    kind: FrameKind,
    term: Term,
    lsn: Lsn,
    previous: u64,
) -> u64 {
    let frame = &mut buffer[at..];
    assert!((HEADER_LEN..=FRAME_MAX).contains(&frame.len()), "frame of {} bytes", frame.len());
    frame[..4].copy_from_slice(&MAGIC);
    frame[4] = VERSION;
    frame[5] = kind as u8;
    frame[6..8].fill(0);
    let length = frame.len() as u32;
    frame[8..12].copy_from_slice(&length.to_le_bytes());
    frame[16..24].copy_from_slice(&term.0.to_le_bytes());
    frame[24..32].copy_from_slice(&lsn.0.to_le_bytes());
    let hash = running_hash(frame, previous);
    frame[32..40].copy_from_slice(&hash.to_le_bytes());
    let checksum = checksum(frame);
    frame[12..16].copy_from_slice(&checksum.to_le_bytes());
    hash
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..12]), &frame[16..])
}

fn running_hash(frame: &[u8], previous: u64) -> u64 {
    let mut key = [0; 36];
    key[..12].copy_from_slice(&frame[..12]);
    key[12..28].copy_from_slice(&frame[16..32]);
    key[28..].copy_from_slice(&previous.to_le_bytes());
    xxh3_64_with_seed(&frame[HEADER_LEN..], xxh3_64(&key))
}

fn u32_at(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::Known::{Number, Raw};
    use crate::log::format_page::{assert_limit, assert_numbers, assert_table};

    fn sealed(body: &[u8], previous: u64) -> BytesMut {
        let mut buffer = BytesMut::zeroed(HEADER_LEN);
        buffer.put_slice(body);
        seal(&mut buffer, 0, FrameKind::Abort, Term(7), Lsn(4096), previous);
        buffer
    }

    fn open(frame: &[u8], previous: u64) -> Result<Header, FrameError> {
        let header = Header::decode(frame)?;
        let frame = header.frame(frame)?;
        header.check_sum(frame)?;
        header.check_hash(frame, previous)?;
        Ok(header)
    }

    proptest! {
        #[test]
        fn a_sealed_frame_opens(body in proptest::collection::vec(any::<u8>(), 0..200), previous: u64) {
            let frame = sealed(&body, previous);
            let header = open(&frame, previous)?;
            prop_assert_eq!(header.kind, FrameKind::Abort);
            prop_assert_eq!((header.term, header.lsn), (Term(7), Lsn(4096)));
            prop_assert_eq!(header.end(), Lsn(4096 + frame.len() as u64));
            prop_assert_eq!(open(&frame, previous ^ 1), Err(FrameError::Hash));
        }

        #[test]
        fn any_flipped_bit_is_found(body in proptest::collection::vec(any::<u8>(), 0..60), bit in 0usize..800) {
            let mut frame = sealed(&body, 5);
            let bit = bit % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&frame, 5).is_err());
        }

        #[test]
        fn any_bytes_are_only_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(&bytes, 0).is_err());
        }
    }

    #[test]
    fn a_short_frame_says_how_much_is_missing() {
        let frame = sealed(b"body", 0);
        assert_eq!(open(&frame[..10], 0), Err(FrameError::Truncated { needed: 40, held: 10 }));
        assert_eq!(open(&frame[..43], 0), Err(FrameError::Truncated { needed: 44, held: 43 }));
    }

    #[test]
    fn frames_are_as_the_page_says() {
        let frame = sealed(b"the body", 9);
        // By the page's words, not by the functions above.
        let words = |ranges: &[std::ops::Range<usize>]| -> Vec<u8> {
            ranges.iter().flat_map(|range| frame[range.clone()].to_vec()).collect()
        };
        let key = [words(&[0..12, 16..32]), 9u64.to_le_bytes().to_vec()].concat();
        let hash = xxh3_64_with_seed(b"the body", xxh3_64(&key));
        let checksum = crc32c::crc32c(&words(&[0..12, 16..48]));
        let fields = [
            ("kind", Number(3)),
            ("reserved", Raw(&[0, 0])),
            ("length", Number(48)),
            ("checksum", Number(checksum.into())),
            ("term", Number(7)),
            ("LSN", Number(4096)),
            ("running hash", Number(hash.into())),
            ("body", Raw(b"the body")),
        ];
        assert_table("Frame header", &frame, &fields);
        assert_limit("frame of the log", FRAME_MAX as u64);
    }

    #[test]
    fn kinds_are_those_of_the_page() {
        let name = |kind| match kind {
            FrameKind::Transaction => "transaction",
            FrameKind::TransactionPart => "transaction part",
            FrameKind::Abort => "abort",
            FrameKind::TermStart => "term start",
            FrameKind::Configuration => "configuration",
            FrameKind::SequenceReservation => "sequence reservation",
            FrameKind::Marker => "marker",
            FrameKind::SegmentStart => "segment start",
            FrameKind::Padding => "padding",
        };
        let kinds = (0..=u8::MAX).filter_map(FrameKind::from_byte);
        let held: Vec<_> = kinds.map(|kind| (kind as u8, name(kind))).collect();
        assert_numbers("Frame kinds", "kind", &held);
    }
}
