use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use xxhash_rust::xxh3::xxh3_64;

use super::wire::{Reader, WireError, put_bytes, put_varint};

/// Most texts that a segment's dictionary holds.
const TEXTS_MAX: usize = 4096;
/// Most bytes that they hold together.
const BYTES_MAX: usize = 1 << 20;
/// Longest text that is kept; longer ones hardly repeat.
const TEXT_MAX: usize = 64 << 10;
/// A reference is no shorter than these.
const TEXT_MIN: usize = 4;
/// Places in the encoder's memory of texts that were seen once.
const SIGHTINGS: usize = 1024;

/// The texts (of statements, names of sequences) that a segment's frames so far
/// have given numbers to, so that each is stored once a segment.
///
/// A text is written as a varint and what that demands (`docs/format.md`): the text
/// itself, kept or not, or the number of one that was kept.
///
/// Which texts are kept is the encoder's choice (those seen a second time, or a
/// client that sends its values inside the text would fill the dictionary with
/// texts that never come again), but what the dictionary holds is a pure function
/// of the segment's bytes: whoever reads them from the segment's start has it.
#[derive(Default)]
pub struct Dictionary {
    texts: Vec<Arc<str>>,
    bytes: usize,
    /// Numbers by the text's hash. Of two texts with one hash the first is found.
    numbers: BTreeMap<u64, u32>,
    /// Hashes of texts seen, by place; only the encoder looks here.
    sightings: Vec<u64>,
}

impl Dictionary {
    /// Writes `text`, as shortly as the frames before allow.
    pub fn encode(&mut self, text: &str, out: &mut BytesMut) {
        if text.len() < TEXT_MIN || text.len() > TEXT_MAX {
            put_varint(out, 0);
            return put_bytes(out, text.as_bytes());
        }
        let hash = xxh3_64(text.as_bytes());
        match self.numbers.get(&hash) {
            Some(&number) if &*self.texts[number as usize] == text => {
                put_varint(out, u64::from(number) + 2);
            }
            found => {
                let keep = found.is_none() && self.has_room(text) && self.seen_before(hash);
                put_varint(out, u64::from(keep));
                put_bytes(out, text.as_bytes());
                if keep {
                    self.keep(text.into(), hash);
                }
            }
        }
    }

    /// Reads what [`Dictionary::encode`] wrote.
    pub fn decode(&mut self, reader: &mut Reader<'_>) -> Result<Arc<str>, WireError> {
        match reader.varint()? {
            0 => Ok(reader.text()?.into()),
            1 => {
                let text: Arc<str> = reader.text()?.into();
                if !self.has_room(&text) {
                    return Err(WireError::Malformed("dictionary: too large"));
                }
                self.keep(text.clone(), xxh3_64(text.as_bytes()));
                Ok(text)
            }
            n => usize::try_from(n - 2)
                .ok()
                .and_then(|number| self.texts.get(number))
                .cloned()
                .ok_or(WireError::Malformed("dictionary: unknown number")),
        }
    }

    fn has_room(&self, text: &str) -> bool {
        self.texts.len() < TEXTS_MAX && self.bytes + text.len() <= BYTES_MAX
    }

    fn seen_before(&mut self, hash: u64) -> bool {
        if self.sightings.is_empty() {
            self.sightings = vec![0; SIGHTINGS];
        }
        let place = &mut self.sightings[hash as usize % SIGHTINGS];
        std::mem::replace(place, hash) == hash
    }

    fn keep(&mut self, text: Arc<str>, hash: u64) {
        self.bytes += text.len();
        self.numbers.entry(hash).or_insert(self.texts.len() as u32);
        self.texts.push(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::{assert_limit, assert_names};

    proptest! {
        #[test]
        fn texts_survive_in_order(texts in proptest::collection::vec("[ab]{0,6}", 0..200)) {
            let (mut writer, mut reader) = (Dictionary::default(), Dictionary::default());
            let mut out = BytesMut::new();
            for text in &texts {
                writer.encode(text, &mut out);
            }
            let mut bytes = Reader::new(&out);
            for text in &texts {
                prop_assert_eq!(&*reader.decode(&mut bytes)?, text.as_str());
            }
            prop_assert_eq!(bytes.finish(), Ok(()));
        }
    }

    #[test]
    fn the_third_sight_of_a_text_costs_a_byte() {
        let mut dictionary = Dictionary::default();
        let lengths = [(); 4].map(|()| {
            let mut out = BytesMut::new();
            dictionary.encode("insert into t values (?1)", &mut out);
            out.len()
        });
        assert_eq!(lengths, [27, 27, 1, 1]);
    }

    #[test]
    fn it_stays_bounded() {
        let mut dictionary = Dictionary::default();
        let mut out = BytesMut::new();
        for n in 0..3 * TEXTS_MAX {
            for _ in 0..2 {
                out.clear();
                dictionary.encode(&format!("select {n}"), &mut out);
            }
        }
        assert_eq!(dictionary.texts.len(), TEXTS_MAX);
    }

    #[test]
    fn texts_and_limits_are_as_the_page_says() {
        let mut dictionary = Dictionary::default();
        let forms = [(); 3].map(|()| {
            let mut out = BytesMut::new();
            dictionary.encode("select 1", &mut out);
            out.to_vec()
        });
        assert_eq!(forms, [&b"\x00\x08select 1"[..], b"\x01\x08select 1", b"\x02"]);
        assert_names("Dictionary", "varint", &["0", "1", "n ≥ 2"]);
        assert_limit("texts in a dictionary", TEXTS_MAX as u64);
        assert_limit("bytes of all texts in a dictionary", BYTES_MAX as u64);
        assert_limit("longest text in a dictionary", TEXT_MAX as u64);
    }
}
