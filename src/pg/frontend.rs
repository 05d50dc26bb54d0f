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
//! | `F`  | FunctionCall | function:u32 formats params result format:u16                     |
//! | `p`  | Password     | bytes: password, SASL initial response, or SASL response          |
//! | `X`  | Terminate    |                                                                   |
//!
//! Taking a message and reading it are apart, because most messages pass through
//! a router unread. Counts are never trusted for an allocation: what they promise
//! must already be there.
use bytes::{Buf, Bytes, BytesMut};

use super::types::Format;
use super::wire::Reader;
use super::{Oid, SqlError, SqlState};

/// A message after start-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Query(String),
    Parse {
        name: String,
        query: String,
        /// 0 is "infer".
        param_types: Vec<Oid>,
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
    FunctionCall(FunctionCall),
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

/// A function's call by its OID, outside of any statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FunctionCall {
    pub function: Oid,
    pub params: BindParams,
    pub result_format: Format,
}

impl FunctionCall {
    fn read(body: &mut Reader) -> Result<Self, SqlError> {
        let function = Oid(body.u32()?);
        let params = bind_params(body)?;
        let result_format = format(body)?;
        Ok(Self { function, params, result_format })
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
                    (0..count).map(|_| body.u32().map(Oid)).collect::<Result<_, _>>()?;
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
            b'F' => Message::FunctionCall(FunctionCall::read(&mut body)?),
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
    let params = bind_params(body)?;
    Ok(Message::Bind { portal, statement, params, result_formats: formats(body)? })
}

fn bind_params(body: &mut Reader) -> Result<BindParams, SqlError> {
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
    Ok(BindParams { formats, values })
}

fn formats(body: &mut Reader) -> Result<Vec<Format>, SqlError> {
    let count = usize::from(body.u16()?);
    body.demand(count * 2)?;
    (0..count).map(|_| format(body)).collect()
}

fn format(body: &mut Reader) -> Result<Format, SqlError> {
    match body.i16()? {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        code => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unsupported format code: {code}"),
        )),
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pg::Severity;

    const MAX: usize = 1 << 20;

    fn message(tag: u8, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&[tag][..]);
        bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn decode(tag: u8, body: &[u8]) -> Result<Message, SqlError> {
        let mut buffer = message(tag, body);
        let raw = RawMessage::take(&mut buffer, MAX)?.expect("the message is whole");
        assert!(buffer.is_empty());
        raw.decode()
    }

    #[test]
    fn each_message_is_read() {
        assert_eq!(decode(b'Q', b"SELECT 1\0"), Ok(Message::Query("SELECT 1".into())));
        assert_eq!(
            decode(b'P', b"s\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0"),
            Ok(Message::Parse {
                name: "s".into(),
                query: "SELECT $1".into(),
                param_types: vec![Oid::INT4, Oid::UNSPECIFIED],
            })
        );
        assert_eq!(
            decode(b'B', b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x02\0\0\0\x01"),
            Ok(Message::Bind {
                portal: "p".into(),
                statement: "s".into(),
                params: BindParams {
                    formats: vec![Format::Binary],
                    values: vec![Some(Bytes::from_static(b"hi")), None],
                },
                result_formats: vec![Format::Text, Format::Binary],
            })
        );
        let target = Target::Statement("s".into());
        assert_eq!(decode(b'D', b"Ss\0"), Ok(Message::Describe(target.clone())));
        assert_eq!(decode(b'C', b"Ss\0"), Ok(Message::Close(target)));
        assert_eq!(
            decode(b'E', b"\0\xff\xff\xff\xff"),
            Ok(Message::Execute { portal: String::new(), max_rows: -1 })
        );
        assert_eq!(decode(b'H', b""), Ok(Message::Flush));
        assert_eq!(decode(b'S', b""), Ok(Message::Sync));
        assert_eq!(decode(b'd', b"a\0\xff"), Ok(Message::CopyData(Bytes::from_static(b"a\0\xff"))));
        assert_eq!(decode(b'c', b""), Ok(Message::CopyDone));
        assert_eq!(decode(b'f', b"why\0"), Ok(Message::CopyFail("why".into())));
        assert_eq!(decode(b'p', b"pw\0"), Ok(Message::Password(Bytes::from_static(b"pw\0"))));
        assert_eq!(decode(b'X', b""), Ok(Message::Terminate));
    }

    #[test]
    fn malformed_messages_end_the_connection() {
        let bodies: [(u8, &[u8]); 12] = [
            (b'Q', b"no end"),
            (b'Q', b"two\0ends\0"),
            (b'S', b"x"),
            (b'P', b"\0\0"),
            (b'P', b"\0\0\xff\xff\0\0\0\x17"),
            (b'B', b"\0\0\0\0\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'E', b"\0\0\0\x01"),
            (b'D', b"Xs\0"),
            (b'D', b""),
            (b'C', b"S"),
        ];
        for (tag, body) in bodies {
            let error = decode(tag, body).expect_err("it is malformed");
            assert_eq!(error.state, SqlState::PROTOCOL_VIOLATION, "{body:?}");
            assert_eq!(error.severity, Severity::Fatal, "{body:?}");
        }
    }

    #[test]
    fn bad_text_and_bad_formats_are_errors_of_the_message_alone() {
        let error = decode(b'Q', b"SELECT '\xff'\0").expect_err("no UTF-8");
        assert_eq!(error.state, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0xff");
        assert_eq!(error.severity, Severity::Error);
        let error = decode(b'B', b"\0\0\0\x01\0\x02\0\0\0\0").expect_err("no such format");
        assert_eq!(error.state, SqlState::INVALID_PARAMETER_VALUE);
        let error = decode(b'B', b"\0\0\0\x02\0\0\0\0\0\0\0\0").expect_err("two for none");
        assert_eq!(error.message, "bind message has 2 parameter formats but 0 parameters");
    }

    #[test]
    fn lengths_are_judged_before_the_body_comes() {
        let take = |header: &[u8]| RawMessage::take(&mut BytesMut::from(header), MAX);
        assert_eq!(take(b""), Ok(None));
        assert_eq!(take(b"Q"), Ok(None));
        assert_eq!(take(b"Q\0\0\0\x08abc"), Ok(None));
        for header in [
            &b"Q\0\0\0\x03"[..],
            b"Q\xff\xff\xff\xff",
            b"Q\x7f\xff\xff\xff",
            b"S\0\x01\0\0",
            b"p\x00\x01\x00\x00",
            b"?",
            b"\x16\x03\x01",
        ] {
            let error = take(header).expect_err("it is refused");
            assert_eq!(error.state, SqlState::PROTOCOL_VIOLATION, "{header:?}");
        }
    }

    #[test]
    fn one_format_holds_for_all() {
        assert_eq!(format_of(&[], 3), Format::Text);
        assert_eq!(format_of(&[Format::Binary], 3), Format::Binary);
        assert_eq!(format_of(&[Format::Text, Format::Binary], 1), Format::Binary);
    }

    proptest! {
        #[test]
        fn any_bytes_give_messages_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(raw)) = RawMessage::take(&mut buffer, MAX) {
                let _ = raw.decode();
            }
        }

        #[test]
        fn any_body_gives_a_message_or_an_error(
            tag in proptest::sample::select(&b"QPBDECHSdcfFpX"[..]),
            body in proptest::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..100),
        ) {
            let _ = decode(tag, &body);
        }

        #[test]
        fn a_cut_message_waits(cut in 0_usize..20) {
            let whole = message(b'Q', b"SELECT 1234567\0");
            let mut part = BytesMut::from(&whole[..cut.min(whole.len() - 1)]);
            prop_assert_eq!(RawMessage::take(&mut part, MAX), Ok(None));
        }
    }
}
