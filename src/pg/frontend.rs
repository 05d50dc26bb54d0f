//! Messages that clients send after start-up, out of bytes.
//!
//! A message is a type byte, a length (big-endian, counting itself, not the type),
//! and a body:
//!
//! | type | message      | body                                                              |
//! |------|--------------|-------------------------------------------------------------------|
//! | `Q`  | Query        | text\0                                                            |
//! | `P`  | Parse        | name\0 query\0 n:u16 (oid:u32)×n                                  |
//! | `B`  | Bind         | portal\0 statement\0 n:u16 (format:i16)×n n:u16 (len:i32 bytes)×n n:u16 (format:i16)×n |
//! | `D`  | Describe     | `S` or `P`, name\0                                                |
//! | `E`  | Execute      | portal\0 rows:i32                                                 |
//! | `C`  | Close        | `S` or `P`, name\0                                                |
//! | `H`  | Flush        |                                                                   |
//! | `S`  | Sync         |                                                                   |
//! | `d`  | CopyData     | bytes                                                             |
//! | `c`  | CopyDone     |                                                                   |
//! | `f`  | CopyFail     | reason\0                                                          |
//! | `F`  | FunctionCall | bytes                                                             |
//! | `p`  | Password     | bytes: password, SASL initial response, or SASL response          |
//! | `X`  | Terminate    |                                                                   |
//!
//! Taking a message and reading it are apart, because most messages pass through
//! a router unread. Counts are never trusted for an allocation: what they promise
//! must already be there.
use bytes::{Buf, Bytes, BytesMut};

use super::types::Format;
use super::wire::Reader;
use super::{SqlError, SqlState};

/// A message after start-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Query(String),
    Parse {
        name: String,
        query: String,
        /// 0 is "infer".
        param_types: Vec<super::Oid>,
    },
    Bind {
        portal: String,
        statement: String,
        params: BindParams,
        /// None, one for all, or one a result column.
        result_formats: Vec<Format>,
    },
    Describe(Target),
    Execute {
        portal: String,
        /// A counter, never an allocation; 0 and below mean all.
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
    /// None (all text), one for all, or one a value.
    pub formats: Vec<Format>,
    pub values: Vec<Option<Bytes>>,
}

impl BindParams {
    /// The format of value `index` (from 0).
    pub fn format(&self, index: usize) -> Format {
        format_of(&self.formats, index)
    }
}

/// The format of column or parameter `index`, by the rule that Bind's lists
/// follow: none is text for all, one holds for all.
pub fn format_of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        many => many.get(index).copied().unwrap_or_default(),
    }
}

/// A message as it came: type byte, length and body. Cheap to clone, forwards unread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawMessage {
    /// All of its bytes, the five of the header included.
    pub bytes: Bytes,
}

impl RawMessage {
    /// Bytes of type and length.
    const HEADER: usize = 5;
    /// Longest message of a kind that carries at most a name.
    const SMALL_LENGTH_MAX: usize = 10_000;
    /// Longest password or SASL message.
    const PASSWORD_LENGTH_MAX: usize = 65_535;

    /// The type byte.
    pub fn tag(&self) -> u8 {
        self.bytes[0]
    }

    /// What follows the header.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(Self::HEADER..)
    }

    /// Takes the next whole message out of `buffer`, if it is there. Errors
    /// (unknown type, length below 4 or above `max_length`) end the connection.
    pub fn take(buffer: &mut BytesMut, max_length: usize) -> Result<Option<Self>, SqlError> {
        let Some(&tag) = buffer.first() else { return Ok(None) };
        let max_length = match tag {
            b'Q' | b'P' | b'B' | b'F' | b'd' => max_length,
            b'p' => max_length.min(Self::PASSWORD_LENGTH_MAX),
            b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => {
                max_length.min(Self::SMALL_LENGTH_MAX)
            }
            _ => {
                return Err(SqlError::fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    format!("invalid frontend message type {tag}"),
                ));
            }
        };
        if buffer.len() < Self::HEADER {
            return Ok(None);
        }
        let length = (&buffer[1..Self::HEADER]).get_i32();
        let length = usize::try_from(length).unwrap_or(0);
        if length < 4 || length > max_length {
            return Err(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "invalid message length"));
        }
        if buffer.len() < 1 + length {
            return Ok(None);
        }
        Ok(Some(Self { bytes: buffer.split_to(1 + length).freeze() }))
    }

    /// Decodes it. Trailing bytes, truncation and invalid UTF-8 are errors; those
    /// of severity FATAL end the connection.
    pub fn decode(&self) -> Result<Message, SqlError> {
        let mut body = Reader(self.body());
        let message = match self.tag() {
            b'Q' => Message::Query(body.string()?),
            b'P' => {
                let name = body.string()?;
                let query = body.string()?;
                let count = usize::from(body.u16()?);
                body.demand(count * 4)?;
                let param_types =
                    (0..count).map(|_| body.u32().map(super::Oid)).collect::<Result<_, _>>()?;
                Message::Parse { name, query, param_types }
            }
            b'B' => bind(&mut body)?,
            b'D' => Message::Describe(target(&mut body, "DESCRIBE")?),
            b'E' => Message::Execute { portal: body.string()?, max_rows: body.i32()? },
            b'C' => Message::Close(target(&mut body, "CLOSE")?),
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'd' => Message::CopyData(body.rest()),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(body.string()?),
            b'F' => Message::FunctionCall(body.rest()),
            b'p' => Message::Password(body.rest()),
            b'X' => Message::Terminate,
            tag => {
                return Err(SqlError::fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    format!("invalid frontend message type {tag}"),
                ));
            }
        };
        body.finish()?;
        Ok(message)
    }
}

fn bind(body: &mut Reader) -> Result<Message, SqlError> {
    let portal = body.string()?;
    let statement = body.string()?;
    let formats = formats(body)?;
    let count = usize::from(body.u16()?);
    if formats.len() > 1 && formats.len() != count {
        return Err(SqlError::new(
            SqlState::PROTOCOL_VIOLATION,
            format!("bind message has {} parameter formats but {count} parameters", formats.len()),
        ));
    }
    body.demand(count * 4)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(body.value()?);
    }
    let params = BindParams { formats, values };
    Ok(Message::Bind { portal, statement, params, result_formats: self::formats(body)? })
}

fn formats(body: &mut Reader) -> Result<Vec<Format>, SqlError> {
    let count = usize::from(body.u16()?);
    body.demand(count * 2)?;
    (0..count)
        .map(|_| match body.i16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            code => Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            )),
        })
        .collect()
}

fn target(body: &mut Reader, message: &str) -> Result<Target, SqlError> {
    match body.u8()? {
        b'S' => Ok(Target::Statement(body.string()?)),
        b'P' => Ok(Target::Portal(body.string()?)),
        kind => Err(SqlError::fatal(
            SqlState::PROTOCOL_VIOLATION,
            format!("invalid {message} message subtype {kind}"),
        )),
    }
}
