//! Any bytes are the object that an archive's name promises or are refused; so are
//! manifests.
#![no_main]
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use towline::log::Lsn;
use towline::storage::archive::{Manifest, Piece, way_on};

#[derive(Arbitrary, Debug)]
struct Input {
    raw: Vec<u8>,
    pieces: Vec<(u8, u8, u8, u8)>,
}

fuzz_target!(|input: Input| {
    let _ = serde_json::from_slice::<Manifest>(&input.raw);
    let piece = |(start, length, before, hash): &(u8, u8, u8, u8)| Piece {
        start: Lsn((*start).into()),
        end: Lsn(u64::from(*start) + u64::from(*length) + 1),
        before: (*before).into(),
        hash: (*hash).into(),
    };
    let pieces: Vec<Piece> = input.pieces.iter().map(piece).collect();
    let Some(first) = pieces.first() else { return };
    let _ = first.check(&input.raw);
    let (segments, tails) = pieces.split_at(pieces.len() / 2);
    let way = way_on(first, segments, tails);
    // Each piece continues the one before.
    for pair in way.windows(2) {
        let ((one, _), (next, _)) = (pair[0], pair[1]);
        assert_eq!((one.end, one.hash), (next.start, next.before));
    }
});
