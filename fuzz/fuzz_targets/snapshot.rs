//! Whatever two sides of a snapshot say to each other, what one keeps of it has a bound,
//! and pieces lie inside the files, each behind the one before.
#![no_main]
use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use towline::replication::message::{ToFollower, ToLeader};
use towline::replication::snapshot::{Pieces, RANGE, Told};

#[derive(Arbitrary, Debug)]
struct Input {
    snapshot: Vec<u8>,
    to_leader: Vec<Vec<u8>>,
    to_follower: Vec<Vec<u8>>,
    /// File, range, ranges, bytes more: pieces that are nearly right.
    pieces: Vec<(u8, u8, u8, u8)>,
}

fuzz_target!(|input: Input| {
    let Ok(ToFollower::Snapshot(snapshot)) = ToFollower::decode(&input.snapshot.into()) else {
        return;
    };
    let mut told = Told::new(&snapshot.files);
    for message in &input.to_leader {
        if let Ok(ToLeader::Told { file, hashes }) = ToLeader::decode(message)
            && told.add(file, &hashes).is_ok()
        {
            let ranges = snapshot.files[file].length.div_ceil(RANGE as u64);
            assert!(hashes.len() as u64 <= ranges);
            assert!(!told.has(file, ranges, hashes.first().copied().unwrap_or_default()));
        }
    }
    let mut pieces = Pieces::new(&snapshot.files);
    let said = input.to_follower.into_iter().filter_map(|message| {
        match ToFollower::decode(&Bytes::from(message)) {
            Ok(ToFollower::Piece { file, offset, bytes }) => Some((file, offset, bytes.len())),
            _ => None,
        }
    });
    let made = input.pieces.iter().map(|&(file, range, ranges, more)| {
        let bytes = |count: u8| usize::from(count) * RANGE;
        (usize::from(file), bytes(range) as u64, bytes(ranges) + usize::from(more))
    });
    for (file, offset, length) in said.chain(made) {
        let (passed, received) = (pieces.passed(), pieces.received());
        if pieces.take(file, offset, length).is_ok() {
            assert!(offset + length as u64 <= snapshot.files[file].length);
            assert!(pieces.passed() > passed && pieces.received() == received + length as u64);
        } else {
            assert_eq!((pieces.passed(), pieces.received()), (passed, received));
        }
    }
    assert!(pieces.received() <= pieces.passed() && pieces.passed() <= pieces.total());
});
