//! The smallest pieces of Towline's binary formats, shared by the log's codec and
//! the replication stream's (`docs/format.md`).
//!
//! | piece   | bytes                                                                   |
//! |---------|-------------------------------------------------------------------------|
//! | u8      | one byte                                                                |
//! | u32/u64 | little-endian, 4 or 8 bytes                                             |
//! | varint  | 7 bits a byte, low bits first, top bit set on all but the last; shortest form only |
//! | zigzag  | an i64 as the varint of `(n << 1) ^ (n >> 63)`                          |
//! | bytes   | varint length, then that many bytes                                     |
//!
//! A [`Reader`] never panics and never allocates more than it was given.

use bytes::{BufMut, BytesMut};

/// Bytes that are not what the format allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    #[error("ends too early")]
    Truncated,
    #[error("{0} bytes too many")]
    Trailing(usize),
    #[error("malformed {0}")]
    Malformed(&'static str),
}

/// Takes pieces off the front of a byte slice.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet taken.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Everything left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn u128(&mut self) -> Result<u128, WireError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(WireError::Malformed("varint beyond 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(WireError::Malformed("varint with needless bytes"));
                }
                return Ok(value);
            }
        }
        Err(WireError::Malformed("varint beyond 64 bits"))
    }

    pub fn zigzag(&mut self) -> Result<i64, WireError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of things that take at least `least` bytes each.
    pub fn count(&mut self, least: usize) -> Result<usize, WireError> {
        let count = self.varint()?;
        let most = self.rest.len() / least.max(1);
        usize::try_from(count).ok().filter(|&count| count <= most).ok_or(WireError::Truncated)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Malformed("UTF-8"))
    }

    pub fn bool(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed("truth value")),
        }
    }

    /// Refuses what is left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(WireError::Trailing(n)),
        }
    }
}

pub fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub fn put_zigzag(out: &mut BytesMut, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_survive(unsigned: u64, signed: i64) {
            let mut out = BytesMut::new();
            put_varint(&mut out, unsigned);
            put_zigzag(&mut out, signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            prop_assert_eq!(reader.zigzag(), Ok(signed));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn a_varint_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                let mut out = BytesMut::new();
                put_varint(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }

    #[test]
    fn counts_are_bounded_by_what_is_there() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0x03, 0]).count(1), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[2, 0, 0]).count(1), Ok(2));
    }

    #[test]
    fn integers_have_the_bytes_of_the_page() {
        let mut out = BytesMut::new();
        put_varint(&mut out, 300);
        for n in [-1, 1, i64::MIN] {
            put_zigzag(&mut out, n);
        }
        let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(out[..4], [0xac, 2, 1, 2]);
        assert_eq!(out[4..], least);
    }
}
