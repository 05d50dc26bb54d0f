//! Reads the wire format's primitives. Every shortage is an error, and nothing is
//! allocated that the bytes at hand do not pay for.
use bytes::{Buf, Bytes};

use super::{SqlError, SqlState};

/// What is left of a message's body.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    /// Fails unless `count` bytes are left.
    pub(super) fn demand(&self, count: usize) -> Result<(), SqlError> {
        if self.0.len() < count {
            return Err(violation("insufficient data left in message"));
        }
        Ok(())
    }

    pub(super) fn u8(&mut self) -> Result<u8, SqlError> {
        self.demand(1)?;
        Ok(self.0.get_u8())
    }

    pub(super) fn u16(&mut self) -> Result<u16, SqlError> {
        self.demand(2)?;
        Ok(self.0.get_u16())
    }

    pub(super) fn i16(&mut self) -> Result<i16, SqlError> {
        self.demand(2)?;
        Ok(self.0.get_i16())
    }

    pub(super) fn u32(&mut self) -> Result<u32, SqlError> {
        self.demand(4)?;
        Ok(self.0.get_u32())
    }

    pub(super) fn i32(&mut self) -> Result<i32, SqlError> {
        self.demand(4)?;
        Ok(self.0.get_i32())
    }

    /// A length and that many bytes; -1 is NULL.
    pub(super) fn value(&mut self) -> Result<Option<Bytes>, SqlError> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| violation("invalid length of a value"))?;
        self.demand(length)?;
        Ok(Some(self.0.split_to(length)))
    }

    /// Text up to a zero byte.
    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| violation("invalid string in message"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        utf8(&bytes).map(str::to_owned)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    /// Fails if anything is left.
    pub(super) fn finish(&self) -> Result<(), SqlError> {
        if self.0.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

/// The bytes as text without zero bytes, or PostgreSQL's error.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, SqlError> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => match text.bytes().position(|byte| byte == 0) {
            None => return Ok(text),
            Some(at) => at..at + 1,
        },
        Err(error) => {
            let at = error.valid_up_to();
            at..(at + error.error_len().unwrap_or(bytes.len() - at))
        }
    };
    let shown: Vec<String> = bytes[bad].iter().map(|byte| format!("0x{byte:02x}")).collect();
    Err(SqlError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
    ))
}

fn violation(message: &str) -> SqlError {
    SqlError::fatal(SqlState::PROTOCOL_VIOLATION, message)
}
