//! What a client sends before anything else.
//!
//! These packets have no type byte: a length (counting itself), a code, a body.
//!
//! | code      | packet        | body                                     |
//! |-----------|---------------|------------------------------------------|
//! | 80877103  | SSLRequest    |                                          |
//! | 80877104  | GSSENCRequest |                                          |
//! | 80877102  | CancelRequest | pid:i32 secret:i32                       |
//! | 3·2¹⁶ + n | StartupMessage| (name\0 value\0)… \0                     |
//!
//! Version 3.0 is spoken. A client that asks for a later 3.n, or for `_pq_.`
//! options, is told so with NegotiateProtocolVersion and goes on in 3.0.
use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

use super::wire::Reader;
use super::{SqlError, SqlState};

/// A packet before the session has begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// Answered by one byte, `S` or `N`.
    SslRequest,
    /// Answered by one byte, `N`.
    GssEncRequest,
    /// Answered by nothing: the connection closes.
    CancelRequest {
        pid: i32,
        secret: i32,
    },
    Startup(Startup),
}

/// A StartupMessage.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Startup {
    /// The n of the protocol version 3.n asked for.
    pub minor: u16,
    /// `_pq_.` options; none of them is known.
    pub protocol_options: Vec<String>,
    /// The rest, by name: user, database, options, and settings.
    pub params: BTreeMap<String, String>,
}

impl Packet {
    /// Longest packet, as in PostgreSQL.
    pub const LENGTH_MAX: usize = 10_000;

    /// Takes the next whole packet out of `buffer`, if it is there. Errors are FATAL.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, SqlError> {
        if buffer.len() < 4 {
            return Ok(None);
        }
        let length = usize::try_from((&buffer[..4]).get_i32()).unwrap_or(0);
        if !(8..=Self::LENGTH_MAX).contains(&length) {
            return Err(violation("invalid length of startup packet"));
        }
        if buffer.len() < length {
            return Ok(None);
        }
        let mut body = Reader(buffer.split_to(length).freeze());
        body.0.advance(4);
        let code = body.u32()?;
        let packet = match (code >> 16, code & 0xffff) {
            (1234, 5679) => Self::SslRequest,
            (1234, 5680) => Self::GssEncRequest,
            (1234, 5678) => Self::CancelRequest { pid: body.i32()?, secret: body.i32()? },
            (3, minor) => Self::Startup(Startup::decode(minor as u16, &mut body)?),
            (major, minor) => {
                return Err(SqlError::fatal(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"
                    ),
                ));
            }
        };
        if body.finish().is_err() {
            return Err(violation(
                "invalid startup packet layout: expected terminator as last byte",
            ));
        }
        Ok(Some(packet))
    }
}

/// Fails if bytes came behind a request for encryption: somebody in between may
/// have put them there to be taken for the encrypted session's (CVE-2021-23214).
pub fn refuse_early_bytes(buffer: &BytesMut) -> Result<(), SqlError> {
    if buffer.is_empty() {
        return Ok(());
    }
    Err(violation("received unencrypted data after SSL request").with_detail(
        "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
    ))
}

impl Startup {
    fn decode(minor: u16, body: &mut Reader) -> Result<Self, SqlError> {
        let mut startup = Self { minor, ..Self::default() };
        loop {
            let name = fatal(body.string())?;
            if name.is_empty() {
                return Ok(startup);
            }
            let value = fatal(body.string())?;
            if name.starts_with("_pq_.") {
                startup.protocol_options.push(name);
            } else {
                startup.params.insert(name, value);
            }
        }
    }

    /// Whether NegotiateProtocolVersion is due before the authentication request.
    pub fn must_negotiate(&self) -> bool {
        self.minor > 0 || !self.protocol_options.is_empty()
    }

    /// The user, without whom nothing goes.
    pub fn user(&self) -> Result<&str, SqlError> {
        match self.params.get("user") {
            Some(user) if !user.is_empty() => Ok(user),
            _ => Err(SqlError::fatal(
                SqlState::INVALID_AUTHORIZATION,
                "no PostgreSQL user name specified in startup packet",
            )),
        }
    }

    /// The database; by default it is named as the user.
    pub fn database(&self) -> Option<&str> {
        ["database", "user"]
            .iter()
            .filter_map(|name| self.params.get(*name))
            .map(String::as_str)
            .find(|name| !name.is_empty())
    }

    /// The session's first settings, later ones overriding earlier: those in
    /// `options`, then the message's own. Names are as the client spelled them.
    pub fn settings(&self) -> Result<Vec<(String, String)>, SqlError> {
        let mut settings = match self.params.get("options") {
            Some(options) => parse_options(options)?,
            None => Vec::new(),
        };
        for (name, value) in &self.params {
            if !matches!(name.as_str(), "user" | "database" | "options" | "replication") {
                settings.push((name.clone(), value.clone()));
            }
        }
        Ok(settings)
    }
}

/// Reads `-c name=value` and `--name=value`, separated by spaces; a backslash
/// makes the next character a part of the word.
pub fn parse_options(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let invalid = || {
            SqlError::fatal(
                SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            )
        };
        let assignment = if word == "-c" {
            words.next().ok_or_else(invalid)?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(invalid());
        };
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SqlError::fatal(
                SqlState::SYNTAX_ERROR,
                format!("-c {assignment} requires a value"),
            ));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
        } else {
            let c = if c == '\\' { chars.next().unwrap_or('\\') } else { c };
            word.get_or_insert_default().push(c);
        }
    }
    words.extend(word);
    words
}

fn fatal<T>(result: Result<T, SqlError>) -> Result<T, SqlError> {
    result.map_err(|error| SqlError { severity: super::Severity::Fatal, ..error })
}

fn violation(message: &str) -> SqlError {
    SqlError::fatal(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&(body.len() as i32 + 8).to_be_bytes());
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn take(code: u32, body: &[u8]) -> Result<Packet, SqlError> {
        let mut buffer = packet(code, body);
        Packet::take(&mut buffer).map(|packet| packet.expect("the packet is whole"))
    }

    fn startup(code: u32, body: &[u8]) -> Startup {
        match take(code, body) {
            Ok(Packet::Startup(startup)) => startup,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_packet_is_read() {
        assert_eq!(take(80_877_103, b""), Ok(Packet::SslRequest));
        assert_eq!(take(80_877_104, b""), Ok(Packet::GssEncRequest));
        assert_eq!(
            take(80_877_102, b"\0\0\0\x01\xff\xff\xff\xff"),
            Ok(Packet::CancelRequest { pid: 1, secret: -1 })
        );
        let startup = startup(0x3_0000, b"user\0u\0database\0d\0\0");
        assert_eq!(startup.user(), Ok("u"));
        assert_eq!(startup.database(), Some("d"));
        assert!(!startup.must_negotiate());
    }

    #[test]
    fn later_minor_versions_and_their_options_are_negotiated() {
        let startup = startup(0x3_0002, b"user\0u\0_pq_.x\0y\0\0");
        assert!(startup.must_negotiate());
        assert_eq!(startup.protocol_options, ["_pq_.x"]);
        assert_eq!(startup.database(), Some("u"));
    }

    #[test]
    fn malformed_packets_are_refused() {
        for (code, body) in [
            (0x2_0000, &b"user\0u\0\0"[..]),
            (0x4_0000, b"user\0u\0\0"),
            (0x3_0000, b"user\0u\0"),
            (0x3_0000, b"user\0u\0\0more"),
            (0x3_0000, b"user\0"),
            (0x3_0000, b"user\0\xff\0\0"),
            (80_877_103, b"x"),
            (80_877_102, b"\0\0\0\x01"),
        ] {
            let error = take(code, body).expect_err("it is refused");
            assert_eq!(error.severity, crate::pg::Severity::Fatal, "{body:?}");
        }
        for length in [&b"\0\0\0\x07"[..], b"\0\0\x27\x11", b"\xff\xff\xff\xff", b"GET "] {
            assert!(Packet::take(&mut BytesMut::from(length)).is_err(), "{length:?}");
        }
        assert_eq!(Packet::take(&mut BytesMut::from(&b"\0\0\0\x08\x04\xd2"[..])), Ok(None));
    }

    #[test]
    fn bytes_behind_a_request_for_encryption_are_refused() {
        let mut buffer = packet(80_877_103, b"");
        buffer.extend_from_slice(b"Q");
        assert_eq!(Packet::take(&mut buffer), Ok(Some(Packet::SslRequest)));
        assert!(refuse_early_bytes(&buffer).is_err());
        assert!(refuse_early_bytes(&BytesMut::new()).is_ok());
    }

    #[test]
    fn options_are_settings() {
        let pairs = |options| {
            parse_options(options).map(|pairs| {
                pairs.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>()
            })
        };
        assert_eq!(
            pairs("-c a=b  --statement-timeout=5 -cx=y\\ z"),
            Ok(vec!["a:b".into(), "statement_timeout:5".into(), "x:y z".into()])
        );
        assert_eq!(pairs(""), Ok(vec![]));
        for bad in ["-c", "-c a", "-x", "a=b", "--a"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
        let startup =
            startup(0x3_0000, b"user\0u\0options\0-c a=1\0a\x002\0application_name\0x\0\0");
        let settings = startup.settings().expect("they are read");
        let names: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(names, [("a", "1"), ("a", "2"), ("application_name", "x")]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_packet_or_an_error(
            code in prop_oneof![Just(0x3_0000_u32), Just(0x3_0002), 80_877_102_u32..80_877_105, any::<u32>()],
            body in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..100),
        ) {
            if let Ok(Packet::Startup(startup)) = take(code, &body) {
                let _ = startup.settings();
            }
        }

        #[test]
        fn any_options_are_read_or_refused(options in ".{0,60}") {
            let _ = parse_options(&options);
        }
    }
}
