//! Any bytes read as a log or are refused: as they are, and as the bodies of frames
//! whose sums are right, so that what lies behind the sums is reached too.
#![no_main]
use arbitrary::Arbitrary;
use bytes::{BufMut as _, BytesMut};
use libfuzzer_sys::fuzz_target;
use towline::log::chain::{Chain, frame_beyond};
use towline::log::frame::{FrameKind, HEADER_LEN, Header, seal};
use towline::log::{Dictionary, Lsn, Term, describe, entry_codec};

const KINDS: [FrameKind; 9] = [
    FrameKind::Transaction,
    FrameKind::TransactionPart,
    FrameKind::Abort,
    FrameKind::TermStart,
    FrameKind::Configuration,
    FrameKind::SequenceReservation,
    FrameKind::Marker,
    FrameKind::SegmentStart,
    FrameKind::Padding,
];

#[derive(Arbitrary, Debug)]
struct Input {
    raw: Vec<u8>,
    /// Kind, terms further than the frame before, body.
    frames: Vec<(u8, u8, Vec<u8>)>,
    capacity: u16,
}

/// Goes over a log from `chain` on, as far as it is one.
fn walk(mut chain: Chain, log: &[u8], first: Lsn) {
    let mut dictionary = Dictionary::default();
    while let Some(rest) = log.get((chain.lsn.0 - first.0) as usize..) {
        let before = chain.clone();
        let Ok(header) = chain.accept(rest) else {
            assert_eq!(chain, before);
            break;
        };
        assert!(header.length <= rest.len());
        body(header.kind, &rest[HEADER_LEN..header.length], &mut dictionary);
        if chain.lsn == chain.segment_end {
            dictionary = Dictionary::default();
        }
    }
}

/// A body that reads says the same when it is written again.
fn body(kind: FrameKind, body: &[u8], dictionary: &mut Dictionary) {
    let Ok(Some(entry)) = entry_codec::decode(kind, body, dictionary) else { return };
    assert_eq!(entry_codec::kind_of(&entry), kind);
    let mut again = BytesMut::new();
    entry_codec::encode(&entry, &mut Dictionary::default(), &mut again);
    let read = entry_codec::decode(kind, &again, &mut Dictionary::default());
    let read = read.expect("what was written reads").expect("an entry");
    // As text, in which a NaN equals itself.
    assert_eq!(format!("{read:?}"), format!("{entry:?}"));
    let span = towline::log::FrameSpan { term: Term(1), start: Lsn(0), end: Lsn(1) };
    let _ = describe::describe(&span, &entry);
}

fuzz_target!(|input: Input| {
    let _ = Header::decode(&input.raw);
    let _ = frame_beyond(&input.raw, Lsn(7));
    walk(Chain::default(), &input.raw, Lsn(0));
    if let Ok(chain) = Chain::before_segment(&input.raw) {
        let first = chain.lsn;
        walk(chain, &input.raw, first);
    }
    // In a segment that is sound, and from the log's first byte.
    for mut chain in [Chain::default(), {
        let mut chain = Chain::default();
        let mut start = BytesMut::new();
        chain.start_segment(&mut start, Term(1), u64::from(input.capacity) + 100, 0);
        chain
    }] {
        let (first, before) = (chain.lsn, chain.clone());
        let (mut log, mut term) = (BytesMut::new(), chain.term);
        for (kind, further, body) in &input.frames {
            let kind = KINDS[usize::from(*kind) % KINDS.len()];
            term = Term(term.0 + u64::from(*further));
            let at = log.len();
            log.put_bytes(0, HEADER_LEN);
            log.put_slice(body);
            let lsn = Lsn(first.0 + at as u64);
            chain.hash = seal(&mut log, at, kind, term, lsn, chain.hash);
        }
        walk(before, &log, first);
        if let Ok(chain) = Chain::before_segment(&log) {
            walk(chain, &log, first);
        }
    }
});
