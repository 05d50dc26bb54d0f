//! Bytes of the link: sessions of a router on a node, over one connection.
//!
//! Each frame of the connection is an [`Up`] or a [`Down`]; `docs/format.md` has their
//! bytes. Data counts against the session's window, the end of it in Ready does not: it
//! is small. State is the node's applied position and the leader that it knows of, and
//! serves as the answer to a Ping.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::cluster::{NodeId, Position};
use crate::log::{ClientToken, Lsn, Term};
use crate::pg::backend::TransactionStatus;

/// A session's number on one link, chosen by the router; 0 is the link itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionNumber(pub u32);

/// The two bits of a request's mode, as the link carries them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestMode {
    Client,
    Silent,
    Lookup,
    Errand,
}

/// The head of a request; its messages follow it in the frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestHead {
    pub mode: RequestMode,
    pub see: Position,
    pub token: Option<ClientToken>,
    /// The messages go on in the next frame.
    pub more: bool,
}

/// A frame from the router.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Up {
    Open { params: Bytes },
    Request { head: RequestHead, messages: Bytes },
    Cancel,
    Window { bytes: u32 },
    Close,
    Ping,
}

/// The head of a finished request's answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReadyHead {
    pub status: TransactionStatus,
    pub position: Position,
    pub unfinished: bool,
    /// All settings, JSON, if they have changed.
    pub settings: Option<Bytes>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeState {
    /// Its term, and up to where its data reach.
    pub applied: Position,
    /// Whether it leads and is open.
    pub leads: bool,
    /// Whom it takes for the leader of its term.
    pub leader: Option<NodeId>,
}

/// What a committed NOTIFY says to whoever listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    /// The end of the frame that it came in, and its number among those of that frame:
    /// the same from every node that applies it.
    pub position: Position,
    pub number: u32,
    /// Of the session that sent it.
    pub pid: i32,
    /// At most 65535 bytes.
    pub channel: String,
    pub payload: String,
}

/// A frame from the node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Down {
    Data(Bytes),
    Ready { head: ReadyHead, data: Bytes },
    Refused { reason: Bytes },
    State(NodeState),
    Notified(Notification),
}

/// The frame breaks the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed link frame: {0}")]
pub struct MalformedFrame(&'static str);

const TOKEN: u8 = 1 << 2;
const MORE: u8 = 1 << 3;
const SETTINGS: u8 = 1 << 0;
const UNFINISHED: u8 = 1 << 1;

impl Up {
    /// Appends the frame's body.
    pub fn encode(&self, session: SessionNumber, out: &mut BytesMut) {
        match self {
            Self::Open { params } => {
                head(out, session, 0);
                out.put_slice(params);
            }
            Self::Request { head, messages } => {
                head.encode(session, out);
                out.put_slice(messages);
            }
            Self::Cancel => head(out, session, 2),
            Self::Window { bytes } => {
                head(out, session, 3);
                out.put_u32(*bytes);
            }
            Self::Close => head(out, session, 4),
            Self::Ping => head(out, session, 5),
        }
    }

    /// Decodes a whole frame's body.
    pub fn decode(mut frame: Bytes) -> Result<(SessionNumber, Self), MalformedFrame> {
        let (session, kind) = take_head(&mut frame)?;
        let up = match kind {
            0 => Self::Open { params: std::mem::take(&mut frame) },
            1 => {
                let flags = byte(&mut frame)?;
                if flags & !(3 | TOKEN | MORE) != 0 {
                    return Err(MalformedFrame("unknown request flags"));
                }
                let mode = match flags & 3 {
                    0 => RequestMode::Client,
                    1 => RequestMode::Silent,
                    2 => RequestMode::Lookup,
                    _ => RequestMode::Errand,
                };
                let see = position(&mut frame)?;
                let token = if flags & TOKEN == 0 {
                    None
                } else {
                    demand(&frame, 24)?;
                    Some(ClientToken { session: frame.get_u128(), sequence: frame.get_u64() })
                };
                let head = RequestHead { mode, see, token, more: flags & MORE != 0 };
                Self::Request { head, messages: std::mem::take(&mut frame) }
            }
            2 => Self::Cancel,
            3 => {
                demand(&frame, 4)?;
                Self::Window { bytes: frame.get_u32() }
            }
            4 => Self::Close,
            5 => Self::Ping,
            _ => return Err(MalformedFrame("unknown kind")),
        };
        finished(&frame)?;
        Ok((session, up))
    }
}

impl RequestHead {
    /// Bytes of the longest head.
    pub const LENGTH_MAX: usize = 5 + 1 + 16 + 24;

    /// Appends the head; the messages follow.
    pub fn encode(&self, session: SessionNumber, out: &mut BytesMut) {
        head(out, session, 1);
        let mode = match self.mode {
            RequestMode::Client => 0,
            RequestMode::Silent => 1,
            RequestMode::Lookup => 2,
            RequestMode::Errand => 3,
        };
        let token = if self.token.is_some() { TOKEN } else { 0 };
        let more = if self.more { MORE } else { 0 };
        out.put_u8(mode | token | more);
        out.put_u64(self.see.term.0);
        out.put_u64(self.see.lsn.0);
        if let Some(token) = self.token {
            out.put_u128(token.session);
            out.put_u64(token.sequence);
        }
    }
}

impl Down {
    /// Appends the frame's body.
    pub fn encode(&self, session: SessionNumber, out: &mut BytesMut) {
        match self {
            Self::Data(bytes) => {
                Self::encode_data_head(session, out);
                out.put_slice(bytes);
            }
            Self::Ready { head, data } => {
                head.encode(session, out);
                out.put_slice(data);
            }
            Self::Refused { reason } => {
                head(out, session, 2);
                out.put_slice(reason);
            }
            Self::State(state) => {
                head(out, session, 3);
                out.put_u64(state.applied.term.0);
                out.put_u64(state.applied.lsn.0);
                out.put_u8(u8::from(state.leads));
                if let Some(leader) = &state.leader {
                    out.put_slice(leader.as_str().as_bytes());
                }
            }
            Self::Notified(notification) => notification.encode(session, out),
        }
    }

    /// Appends what stands before a Data frame's messages.
    pub fn encode_data_head(session: SessionNumber, out: &mut BytesMut) {
        head(out, session, 0);
    }

    /// Decodes a whole frame's body. The data are slices of it.
    pub fn decode(mut frame: Bytes) -> Result<(SessionNumber, Self), MalformedFrame> {
        let (session, kind) = take_head(&mut frame)?;
        let down = match kind {
            0 => Self::Data(frame),
            1 => {
                let status = match byte(&mut frame)? {
                    0 => TransactionStatus::Idle,
                    1 => TransactionStatus::InTransaction,
                    2 => TransactionStatus::Failed,
                    _ => return Err(MalformedFrame("unknown status")),
                };
                let flags = byte(&mut frame)?;
                if flags & !(SETTINGS | UNFINISHED) != 0 {
                    return Err(MalformedFrame("unknown ready flags"));
                }
                let position = position(&mut frame)?;
                let settings = if flags & SETTINGS == 0 {
                    None
                } else {
                    demand(&frame, 4)?;
                    let length = frame.get_u32() as usize;
                    demand(&frame, length)?;
                    Some(frame.split_to(length))
                };
                let unfinished = flags & UNFINISHED != 0;
                let head = ReadyHead { status, position, unfinished, settings };
                Self::Ready { head, data: frame }
            }
            2 => Self::Refused { reason: frame },
            3 => {
                let applied = position(&mut frame)?;
                let leads = match byte(&mut frame)? {
                    0 => false,
                    1 => true,
                    _ => return Err(MalformedFrame("neither true nor false")),
                };
                let leader = if frame.is_empty() {
                    None
                } else {
                    let name = std::str::from_utf8(&frame).ok();
                    let name = name.and_then(|name| name.parse().ok());
                    Some(name.ok_or(MalformedFrame("not a node's name"))?)
                };
                Self::State(NodeState { applied, leads, leader })
            }
            4 => Self::Notified(Notification::decode(&mut frame)?),
            _ => return Err(MalformedFrame("unknown kind")),
        };
        Ok((session, down))
    }
}

impl Notification {
    /// Appends the frame's body.
    pub fn encode(&self, session: SessionNumber, out: &mut BytesMut) {
        head(out, session, 4);
        out.put_u64(self.position.term.0);
        out.put_u64(self.position.lsn.0);
        out.put_u32(self.number);
        out.put_i32(self.pid);
        out.put_u16(self.channel.len() as u16);
        out.put_slice(self.channel.as_bytes());
        out.put_slice(self.payload.as_bytes());
    }

    fn decode(frame: &mut Bytes) -> Result<Self, MalformedFrame> {
        let position = position(frame)?;
        demand(frame, 10)?;
        let (number, pid) = (frame.get_u32(), frame.get_i32());
        let length = usize::from(frame.get_u16());
        demand(frame, length)?;
        let text = |bytes: Bytes| {
            String::from_utf8(bytes.to_vec()).map_err(|_| MalformedFrame("not UTF-8"))
        };
        let channel = text(frame.split_to(length))?;
        Ok(Self { position, number, pid, channel, payload: text(std::mem::take(frame))? })
    }
}

impl ReadyHead {
    /// Appends the head; the last messages follow.
    pub fn encode(&self, session: SessionNumber, out: &mut BytesMut) {
        head(out, session, 1);
        out.put_u8(match self.status {
            TransactionStatus::Idle => 0,
            TransactionStatus::InTransaction => 1,
            TransactionStatus::Failed => 2,
        });
        let settings = if self.settings.is_some() { SETTINGS } else { 0 };
        let unfinished = if self.unfinished { UNFINISHED } else { 0 };
        out.put_u8(settings | unfinished);
        out.put_u64(self.position.term.0);
        out.put_u64(self.position.lsn.0);
        if let Some(settings) = &self.settings {
            out.put_u32(settings.len() as u32);
            out.put_slice(settings);
        }
    }
}

fn head(out: &mut BytesMut, session: SessionNumber, kind: u8) {
    out.put_u32(session.0);
    out.put_u8(kind);
}

fn take_head(frame: &mut Bytes) -> Result<(SessionNumber, u8), MalformedFrame> {
    demand(frame, 5)?;
    Ok((SessionNumber(frame.get_u32()), frame.get_u8()))
}

fn position(frame: &mut Bytes) -> Result<Position, MalformedFrame> {
    demand(frame, 16)?;
    Ok(Position { term: Term(frame.get_u64()), lsn: Lsn(frame.get_u64()) })
}

fn byte(frame: &mut Bytes) -> Result<u8, MalformedFrame> {
    demand(frame, 1)?;
    Ok(frame.get_u8())
}

fn demand(frame: &Bytes, length: usize) -> Result<(), MalformedFrame> {
    if frame.len() < length { Err(MalformedFrame("cut short")) } else { Ok(()) }
}

fn finished(frame: &Bytes) -> Result<(), MalformedFrame> {
    if frame.is_empty() { Ok(()) } else { Err(MalformedFrame("bytes behind the end")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::Known::{self, Number, Raw};
    use crate::log::format_page::assert_table;

    fn some_bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
    }

    fn some_position() -> impl Strategy<Value = Position> {
        (any::<u64>(), any::<u64>())
            .prop_map(|(term, lsn)| Position { term: Term(term), lsn: Lsn(lsn) })
    }

    fn some_up() -> impl Strategy<Value = Up> {
        let mode = prop_oneof![
            Just(RequestMode::Client),
            Just(RequestMode::Silent),
            Just(RequestMode::Lookup),
            Just(RequestMode::Errand)
        ];
        let token = prop::option::of(
            (any::<u128>(), any::<u64>())
                .prop_map(|(session, sequence)| ClientToken { session, sequence }),
        );
        let request = (mode, some_position(), token, any::<bool>(), some_bytes()).prop_map(
            |(mode, see, token, more, messages)| Up::Request {
                head: RequestHead { mode, see, token, more },
                messages,
            },
        );
        prop_oneof![
            some_bytes().prop_map(|params| Up::Open { params }),
            request,
            Just(Up::Cancel),
            any::<u32>().prop_map(|bytes| Up::Window { bytes }),
            Just(Up::Close),
            Just(Up::Ping),
        ]
    }

    fn some_down() -> impl Strategy<Value = Down> {
        let status = prop_oneof![
            Just(TransactionStatus::Idle),
            Just(TransactionStatus::InTransaction),
            Just(TransactionStatus::Failed)
        ];
        let ready = (status, some_position(), any::<bool>(), prop::option::of(some_bytes()))
            .prop_map(|(status, position, unfinished, settings)| ReadyHead {
                status,
                position,
                unfinished,
                settings,
            });
        let leader = prop::option::of("[a-z][a-z0-9_-]{0,20}")
            .prop_map(|name| name.map(|name| name.parse().expect("a name")));
        prop_oneof![
            some_bytes().prop_map(Down::Data),
            (ready, some_bytes()).prop_map(|(head, data)| Down::Ready { head, data }),
            some_bytes().prop_map(|reason| Down::Refused { reason }),
            (some_position(), any::<bool>(), leader).prop_map(|(applied, leads, leader)| {
                Down::State(NodeState { applied, leads, leader })
            }),
            (some_position(), any::<u32>(), any::<i32>(), ".{0,20}", ".{0,40}").prop_map(
                |(position, number, pid, channel, payload)| {
                    Down::Notified(Notification { position, number, pid, channel, payload })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn frames_to_nodes_come_back_as_they_went(number: u32, up in some_up()) {
            let mut out = BytesMut::new();
            up.encode(SessionNumber(number), &mut out);
            prop_assert_eq!(Up::decode(out.freeze()), Ok((SessionNumber(number), up)));
        }

        #[test]
        fn frames_to_routers_come_back_as_they_went(number: u32, down in some_down()) {
            let mut out = BytesMut::new();
            down.encode(SessionNumber(number), &mut out);
            prop_assert_eq!(Down::decode(out.freeze()), Ok((SessionNumber(number), down)));
        }

        #[test]
        fn any_bytes_give_a_frame_or_an_error(bytes in some_bytes()) {
            let _ = Up::decode(bytes.clone());
            let _ = Down::decode(bytes);
        }

        #[test]
        fn a_frame_with_a_flipped_bit_or_cut_short_is_another_or_an_error(
            up in some_up(),
            down in some_down(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let (mut to_node, mut to_router) = (BytesMut::new(), BytesMut::new());
            up.encode(SessionNumber(7), &mut to_node);
            down.encode(SessionNumber(7), &mut to_router);
            for frame in [to_node, to_router] {
                let at = at.index(frame.len());
                let short = frame.clone().freeze().slice(..at);
                let mut flipped = frame;
                flipped[at] ^= 1 << bit;
                for bytes in [short, flipped.freeze()] {
                    if let Ok((number, up)) = Up::decode(bytes.clone()) {
                        let mut out = BytesMut::new();
                        up.encode(number, &mut out);
                        prop_assert_eq!(Up::decode(out.freeze()), Ok((number, up)));
                    }
                    if let Ok((number, down)) = Down::decode(bytes) {
                        let mut out = BytesMut::new();
                        down.encode(number, &mut out);
                        prop_assert_eq!(Down::decode(out.freeze()), Ok((number, down)));
                    }
                }
            }
        }

        #[test]
        fn nothing_may_follow_what_has_one_length(up in some_up(), state in some_down()) {
            let mut out = BytesMut::new();
            if matches!(up, Up::Cancel | Up::Window { .. } | Up::Close | Up::Ping) {
                up.encode(SessionNumber(7), &mut out);
                out.put_u8(0);
                prop_assert!(Up::decode(out.split().freeze()).is_err());
            }
            if matches!(state, Down::State(_)) {
                // A name has no such byte.
                state.encode(SessionNumber(0), &mut out);
                out.put_u8(0);
                prop_assert!(Down::decode(out.freeze()).is_err());
            }
        }

        #[test]
        fn a_cut_header_is_an_error(number: u32, up in some_up(), down in some_down()) {
            let mut out = BytesMut::new();
            up.encode(SessionNumber(number), &mut out);
            prop_assert!(Up::decode(out.freeze().slice(..4)).is_err());
            let mut out = BytesMut::new();
            down.encode(SessionNumber(number), &mut out);
            prop_assert!(Down::decode(out.freeze().slice(..4)).is_err());
        }
    }

    #[test]
    fn frames_are_as_the_page_says() {
        let (number, one, two) = (SessionNumber(1), Number(1), Number(2));
        let position = Position { term: Term(1), lsn: Lsn(2) };
        let (session, term, lsn) = (("session", one), ("term", one), ("LSN", two));
        let bytes = Bytes::from_static(b"bytes");
        let raw = |name| (name, Raw(b"bytes"));
        let up = |heading: &str, up: Up, fields: &[(&str, Known<'_>)]| {
            let mut out = BytesMut::new();
            up.encode(number, &mut out);
            assert_table(&format!("Link {heading}"), &out, fields);
        };
        up("open", Up::Open { params: bytes.clone() }, &[session, raw("parameters")]);
        for (mode, bits) in [
            (RequestMode::Client, 0),
            (RequestMode::Silent, 1),
            (RequestMode::Lookup, 2),
            (RequestMode::Errand, 3),
        ] {
            let token = Some(ClientToken { session: 3, sequence: 4 });
            let head = RequestHead { mode, see: position, token, more: true };
            let fields = [
                session,
                ("flags", Number(12 + bits)),
                term,
                lsn,
                ("token session", Number(3)),
                ("token sequence", Number(4)),
                raw("messages"),
            ];
            up("request", Up::Request { head, messages: bytes.clone() }, &fields);
        }
        up("cancel", Up::Cancel, &[session]);
        up("window", Up::Window { bytes: 2 }, &[session, ("bytes", two)]);
        up("close", Up::Close, &[session]);
        up("ping", Up::Ping, &[session]);

        let down = |heading: &str, down: Down, fields: &[(&str, Known<'_>)]| {
            let mut out = BytesMut::new();
            down.encode(number, &mut out);
            assert_table(&format!("Link {heading}"), &out, fields);
        };
        down("data", Down::Data(bytes.clone()), &[session, raw("messages")]);
        for (status, byte) in [
            (TransactionStatus::Idle, 0),
            (TransactionStatus::InTransaction, 1),
            (TransactionStatus::Failed, 2),
        ] {
            let settings = Some(Bytes::from_static(b"{}"));
            let head = ReadyHead { status, position, unfinished: true, settings };
            let fields = [
                session,
                ("status", Number(byte)),
                ("flags", Number(3)),
                term,
                lsn,
                ("length", two),
                ("settings", Raw(b"{}")),
                raw("messages"),
            ];
            down("ready", Down::Ready { head, data: bytes.clone() }, &fields);
        }
        down("refused", Down::Refused { reason: bytes }, &[session, raw("reason")]);
        let leader = Some("n1".parse().expect("a name"));
        let state = NodeState { applied: position, leads: true, leader };
        let fields = [session, term, lsn, ("leads", one), ("leader", Raw(b"n1"))];
        down("state", Down::State(state), &fields);
        let notification = Notification {
            position,
            number: 5,
            pid: 6,
            channel: "ch".to_owned(),
            payload: "pay".to_owned(),
        };
        let fields = [
            session,
            term,
            lsn,
            ("number", Number(5)),
            ("pid", Number(6)),
            ("length", two),
            ("channel", Raw(b"ch")),
            ("payload", Raw(b"pay")),
        ];
        down("notified", Down::Notified(notification), &fields);
    }
}
