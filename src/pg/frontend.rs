//! STUB: messages that clients send.
use bytes::{Bytes, BytesMut};

use super::SqlError;
use super::types::Format;

/// A message after start-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Query(String),
    Parse {
        name: String,
        query: String,
        param_types: Vec<super::Oid>,
    },
    Bind {
        portal: String,
        statement: String,
        params: BindParams,
        result_formats: Vec<Format>,
    },
    Describe(Target),
    Execute {
        portal: String,
        max_rows: i32,
    },
    Close(Target),
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    FunctionCall(Bytes),
    /// Any of the 'p' messages; what it means depends on the exchange.
    Password(Bytes),
    Terminate,
}

/// A prepared statement or a portal, by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Statement(String),
    Portal(String),
}

/// The parameters of a Bind, undecoded: their types are the statement's business.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BindParams {
    pub formats: Vec<Format>,
    pub values: Vec<Option<Bytes>>,
}

/// A message as it came: type byte, length and body. Cheap to clone, forwards unread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawMessage {
    /// All of its bytes, the five of the header included.
    pub bytes: Bytes,
}

#[allow(unused_variables, clippy::todo)]
impl RawMessage {
    /// The type byte.
    pub fn tag(&self) -> u8 {
        self.bytes[0]
    }

    /// Takes the next whole message out of `buffer`, if it is there. Errors
    /// (unknown type, length below 4 or above `max_length`) end the connection.
    pub fn take(buffer: &mut BytesMut, max_length: usize) -> Result<Option<Self>, SqlError> {
        todo!()
    }

    /// Decodes it. Trailing bytes, truncation and invalid UTF-8 are errors.
    pub fn decode(&self) -> Result<Message, SqlError> {
        todo!()
    }
}
