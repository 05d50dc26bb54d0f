//! Which parts of a snapshot's files go over the wire, and in what order.
//!
//! The follower lays out each file at its length, with what it has: its old database, its
//! own log, what an earlier attempt brought before it was cut off. It tells the leader the
//! hash of every *range*, [`RANGE`] bytes each, and gets those that are other ones in the
//! leader's file. So nobody keeps books of what came before: whatever lies there and is
//! right need not come again, and the hash of the whole file is the proof that it is.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::message::SnapshotFile;

/// Bytes that are compared, and sent, as one; the last of a file may be shorter.
pub const RANGE: usize = 64 << 10;

/// What is told of a range, and compared.
pub fn range_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// A message that does not belong where it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutOfPlace(String);

impl fmt::Display for OutOfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ranges of a file.
fn ranges(length: u64) -> u64 {
    length.div_ceil(RANGE as u64)
}

/// What a follower has told that it has: the leader's side.
#[derive(Debug)]
pub struct Told {
    /// Of each file: its ranges, and the hashes of the first of them.
    files: Vec<(u64, Vec<u64>)>,
}

impl Told {
    pub fn new(files: &[SnapshotFile]) -> Self {
        Self { files: files.iter().map(|file| (ranges(file.length), Vec::new())).collect() }
    }

    /// Adds the hashes of the next ranges of a file.
    ///
    /// # Errors
    /// More hashes than the file has ranges; so what is kept has a bound.
    pub fn add(&mut self, file: usize, more: &[u64]) -> Result<(), OutOfPlace> {
        let files = self.files.len();
        let Some((ranges, hashes)) = self.files.get_mut(file) else {
            return Err(OutOfPlace(format!("hashes of file {file} of {files}")));
        };
        let told = hashes.len() as u64 + more.len() as u64;
        if told > *ranges {
            return Err(OutOfPlace(format!("{told} hashes of the {ranges} ranges of file {file}")));
        }
        hashes.extend_from_slice(more);
        Ok(())
    }

    /// Whether the follower has this range as it is in the leader's file.
    pub fn has(&self, file: usize, range: u64, hash: u64) -> bool {
        let hashes = self.files.get(file).map(|(_, hashes)| hashes);
        let told = usize::try_from(range).ok().and_then(|range| hashes?.get(range));
        told == Some(&hash)
    }
}

/// Where the next pieces may lie: the follower's side. Pieces come in the order of the
/// files and offsets, and are whole ranges.
#[derive(Debug)]
pub struct Pieces {
    lengths: Vec<u64>,
    /// The file that pieces come of, and its first byte that has not been passed.
    at: (usize, u64),
    received: u64,
}

impl Pieces {
    pub fn new(files: &[SnapshotFile]) -> Self {
        Self { lengths: files.iter().map(|file| file.length).collect(), at: (0, 0), received: 0 }
    }

    /// Takes note of a piece.
    ///
    /// # Errors
    /// It is empty, not whole ranges, goes back, or lies beyond a file's end.
    pub fn take(&mut self, file: usize, offset: u64, length: usize) -> Result<(), OutOfPlace> {
        let whole = self.lengths.get(file).is_some_and(|of| {
            let end = offset.saturating_add(length as u64);
            offset.is_multiple_of(RANGE as u64)
                && end <= *of
                && (end.is_multiple_of(RANGE as u64) || end == *of)
        });
        if !whole || length == 0 || (file, offset) < self.at {
            return Err(OutOfPlace(format!(
                "a piece of {length} bytes of file {file} at {offset}"
            )));
        }
        self.at = (file, offset + length as u64);
        self.received += length as u64;
        Ok(())
    }

    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of all files in front of the last piece's end: how far it is.
    pub fn passed(&self) -> u64 {
        sum(&self.lengths[..self.at.0]).saturating_add(self.at.1)
    }

    /// Bytes of all files.
    pub fn total(&self) -> u64 {
        sum(&self.lengths)
    }
}

/// Lengths are what the leader says, whether a disk could hold them or not.
fn sum(lengths: &[u64]) -> u64 {
    lengths.iter().fold(0, |sum, length| sum.saturating_add(*length))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::replication::message::SnapshotContent;

    const R: u64 = RANGE as u64;

    fn files(lengths: &[u64]) -> Vec<SnapshotFile> {
        let file =
            |length: &u64| SnapshotFile { content: SnapshotContent::Database(0), length: *length };
        lengths.iter().map(file).collect()
    }

    #[test]
    fn what_the_follower_told_is_not_sent_again() {
        let mut told = Told::new(&files(&[2 * R + 1, R]));
        told.add(0, &[7, 8]).expect("two of three");
        told.add(0, &[9]).expect("the third");
        assert!(told.has(0, 1, 8) && told.has(0, 2, 9));
        assert!(
            !told.has(0, 1, 7) && !told.has(0, 3, 9) && !told.has(1, 0, 7) && !told.has(2, 0, 7)
        );
        for (file, more) in [(0, &[1][..]), (1, &[1, 2]), (2, &[1])] {
            assert!(told.add(file, more).is_err(), "{file} {more:?}");
        }
    }

    #[test]
    fn pieces_are_whole_ranges_in_order() {
        let new = || Pieces::new(&files(&[3 * R + 5, R]));
        for (file, offset, length) in [
            (0, 1, RANGE),
            (0, 0, RANGE + 1),
            (0, 0, 0),
            (0, 3 * R, 6),
            (0, 4 * R, RANGE),
            (1, R, RANGE),
            (2, 0, RANGE),
            (0, u64::MAX - R + 1, RANGE),
        ] {
            assert!(new().take(file, offset, length).is_err(), "{file} {offset} {length}");
        }
        let mut pieces = new();
        pieces.take(0, R, RANGE).expect("the second range");
        pieces.take(0, 3 * R, 5).expect("the rest");
        assert!(pieces.take(0, 2 * R, RANGE).is_err(), "back");
        assert_eq!((pieces.received(), pieces.passed()), (R + 5, 3 * R + 5));
        pieces.take(1, 0, RANGE).expect("another file");
        assert_eq!((pieces.passed(), pieces.total()), (4 * R + 5, 4 * R + 5));
    }

    proptest! {
        /// Leader and follower together: what differs is sent, and nothing else.
        #[test]
        fn the_follower_ends_with_the_leaders_bytes(
            ours in vec(0u8..3, 0..6),
            theirs in vec(0u8..3, 0..6),
            tail in 0usize..3,
        ) {
            let lay_out = |ranges: &[u8]| -> Vec<u8> {
                ranges.iter().flat_map(|byte| vec![*byte; RANGE]).collect()
            };
            let mut source = lay_out(&theirs);
            source.truncate(source.len().saturating_sub(tail));
            let files = files(&[source.len() as u64]);
            let mut target = lay_out(&ours);
            target.resize(source.len(), 0);
            let mut told = Told::new(&files);
            for range in target.chunks(RANGE) {
                told.add(0, &[range_hash(range)]).map_err(|e| TestCaseError::fail(e.to_string()))?;
            }
            let mut pieces = Pieces::new(&files);
            for (number, range) in source.chunks(RANGE).enumerate() {
                let at = number * RANGE;
                let same = target[at..at + range.len()] == *range;
                prop_assert_eq!(told.has(0, number as u64, range_hash(range)), same);
                if !same {
                    prop_assert!(pieces.take(0, at as u64, range.len()).is_ok());
                    target[at..at + range.len()].copy_from_slice(range);
                }
            }
            prop_assert_eq!(target, source);
        }

        #[test]
        fn any_messages_are_taken_or_refused(
            lengths in vec(0u64..R * 4, 0..3),
            hashes in vec((0usize..4, vec(any::<u64>(), 0..5)), 0..8),
            moves in vec((0usize..4, any::<u64>(), 0usize..RANGE * 2), 0..8),
        ) {
            let files = files(&lengths);
            let mut told = Told::new(&files);
            for (file, more) in hashes {
                let _ = told.add(file, &more);
            }
            let mut pieces = Pieces::new(&files);
            for (file, offset, length) in moves {
                let _ = pieces.take(file, offset % (R * 5), length);
                prop_assert!(pieces.passed() <= pieces.total());
            }
        }
    }

    #[test]
    fn its_limit_is_the_pages() {
        crate::log::format_page::assert_limit("range of a snapshot's file", R);
    }
}
