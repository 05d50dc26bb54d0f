//! What a follower and its leader say to each other on a replication connection. One
//! message a frame of the connection; `docs/format.md` has their bytes.
//!
//! ```text
//!  follower                          leader
//!     │ request ────────────────────────► compares histories
//!     │ ◄──────────────────────── start  │ the follower's log up to `at` is the leader's:
//!     │                                  │ it cuts what lies beyond
//!     │ ◄─ append … append … heartbeat   │ bytes as they are written; not aligned to frames
//!     │ ack … ack ──────────────────────►│ durable, and equal to the leader's log
//!     │      or
//!     │ ◄──────────────────── snapshot  │ a copy of the databases, and its files' lengths
//!     │ told … told all ───────────────►│ what it has of them, in ranges
//!     │ ◄──── piece …, snapshot end     │ what it lacks; then it connects anew
//! ```
//!
//! A node that is to lead, and lacks a tail (rule 18), says fetch in the place of the
//! request, to a node that leads as little as itself; that one never sends a snapshot.
//!
//! Every message bears the term of the leadership it belongs to.

use bytes::{BufMut, Bytes, BytesMut};

use crate::log::wire::{Reader, WireError, put_bytes, put_varint};
use crate::log::{LogEnd, Lsn, Term, TermHistory};

/// Most bytes of the log in one append, and of a file in one piece.
pub const BYTES_MAX: usize = 1 << 20;

/// Most files in a snapshot.
const FILES_MAX: usize = 1024;

/// A follower's messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ToLeader {
    /// The first: where it stands.
    Request(Request),
    /// Or: where a node stands that wants the receiver's log before anybody leads.
    Fetch(Request),
    Ack(Ack),
    /// The hashes of the next ranges that it has of a snapshot's file.
    Told {
        file: usize,
        hashes: Vec<u64>,
    },
    /// It has told all that it has of the snapshot.
    ToldAll,
}

/// Where a follower stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The term in which it follows.
    pub term: Term,
    /// End of its log, which is durable.
    pub end: LogEnd,
    /// Running hash of its log there.
    pub hash: u64,
    /// What its databases contain.
    pub applied: Lsn,
    /// Its databases differ from the leader's since this frame.
    pub differs: Option<Lsn>,
    /// It can't trust them and wants a snapshot now, whatever its log is like.
    pub reseed: bool,
    pub history: TermHistory,
}

/// What a follower has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    pub term: Term,
    /// Fsynced, and equal to the leader's log.
    pub durable: Lsn,
    pub applied: Lsn,
    /// Handed to the operating system, and equal to the leader's log.
    pub written: Lsn,
}

/// A leader's messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ToFollower {
    /// The follower's log is the leader's up to `at`; appends begin there.
    Start {
        term: Term,
        at: Lsn,
        commit: Lsn,
    },
    /// The log's bytes from `start` on.
    Append {
        term: Term,
        start: Lsn,
        commit: Lsn,
        /// Somebody waits for an ack of what is written, before it is fsynced.
        ack_written: bool,
        bytes: Bytes,
    },
    Heartbeat {
        term: Term,
        commit: Lsn,
    },
    /// It won't serve this follower now; its term.
    Refused {
        term: Term,
        reason: String,
    },
    /// A snapshot follows.
    Snapshot(Snapshot),
    /// Bytes of the snapshot's file number `file`.
    Piece {
        file: usize,
        offset: u64,
        bytes: Bytes,
    },
    /// The snapshot is complete: the hash of each file.
    SnapshotEnd {
        hashes: Vec<u64>,
    },
}

/// What a snapshot consists of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    pub term: Term,
    /// What its databases contain.
    pub position: LogEnd,
    /// Why it is sent, for people.
    pub reason: String,
    pub files: Vec<SnapshotFile>,
}

/// A file of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SnapshotFile {
    pub content: SnapshotContent,
    /// Bytes.
    pub length: u64,
}

/// What a file of a snapshot holds; its name is the receiver's affair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotContent {
    /// The database with this number.
    Database(u32),
    /// The log from this segment's start up to the snapshot's position.
    Segment(Lsn),
}

impl ToLeader {
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Self::Request(request) => {
                out.put_u8(1);
                put_request(&mut out, request);
            }
            Self::Fetch(request) => {
                out.put_u8(5);
                put_request(&mut out, request);
            }
            Self::Ack(Ack { term, durable, applied, written }) => {
                out.put_u8(2);
                for word in [term.0, durable.0, applied.0, written.0] {
                    out.put_u64_le(word);
                }
            }
            Self::Told { file, hashes } => {
                out.put_u8(3);
                put_varint(&mut out, *file as u64);
                put_hashes(&mut out, hashes);
            }
            Self::ToldAll => out.put_u8(4),
        }
        out
    }

    pub fn decode(frame: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame);
        let message = match reader.u8()? {
            1 => Self::Request(decode_request(&mut reader)?),
            2 => Self::Ack(Ack {
                term: Term(reader.u64()?),
                durable: Lsn(reader.u64()?),
                applied: Lsn(reader.u64()?),
                written: Lsn(reader.u64()?),
            }),
            3 => Self::Told { file: file_number(&mut reader)?, hashes: hashes(&mut reader)? },
            4 => Self::ToldAll,
            5 => Self::Fetch(decode_request(&mut reader)?),
            _ => return Err(WireError::Malformed("message: unknown tag")),
        };
        reader.finish()?;
        Ok(message)
    }
}

fn put_request(out: &mut BytesMut, request: &Request) {
    let Request { term, end, hash, applied, differs, reseed, history } = request;
    for word in [term.0, end.term.0, end.lsn.0, *hash, applied.0] {
        out.put_u64_le(word);
    }
    out.put_u8(match (differs, reseed) {
        (None, false) => 0,
        (Some(_), false) => 1,
        (Some(_), true) => 2,
        (None, true) => 3,
    });
    out.put_u64_le(differs.unwrap_or_default().0);
    history.encode(out);
}

fn decode_request(reader: &mut Reader<'_>) -> Result<Request, WireError> {
    let term = Term(reader.u64()?);
    let end = LogEnd { term: Term(reader.u64()?), lsn: Lsn(reader.u64()?) };
    let (hash, applied) = (reader.u64()?, Lsn(reader.u64()?));
    let (differs, reseed) = match (reader.u8()?, reader.u64()?) {
        (0, 0) => (None, false),
        (1, frame) => (Some(Lsn(frame)), false),
        (2, frame) => (Some(Lsn(frame)), true),
        (3, 0) => (None, true),
        _ => return Err(WireError::Malformed("request: where it differs")),
    };
    let history = TermHistory::decode(reader)?;
    Ok(Request { term, end, hash, applied, differs, reseed, history })
}

fn put_hashes(out: &mut BytesMut, hashes: &[u64]) {
    put_varint(out, hashes.len() as u64);
    for hash in hashes {
        out.put_u64_le(*hash);
    }
}

fn hashes(reader: &mut Reader<'_>) -> Result<Vec<u64>, WireError> {
    let count = reader.count(8)?;
    (0..count).map(|_| reader.u64()).collect()
}

/// The place of a file in a snapshot's list.
fn file_number(reader: &mut Reader<'_>) -> Result<usize, WireError> {
    usize::try_from(reader.varint()?).map_err(|_| WireError::Malformed("number of a file"))
}

/// The front of an append; the bytes follow, so that they need not be copied.
pub fn append_front(term: Term, start: Lsn, commit: Lsn, ack_written: bool) -> [u8; 26] {
    let mut front = [17; 26];
    front[1..9].copy_from_slice(&term.0.to_le_bytes());
    front[9..17].copy_from_slice(&start.0.to_le_bytes());
    front[17..25].copy_from_slice(&commit.0.to_le_bytes());
    front[25] = u8::from(ack_written);
    front
}

/// The front of a piece; the bytes follow.
pub fn piece_front(file: usize, offset: u64, bytes: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(21);
    put_varint(&mut out, file as u64);
    out.put_u64_le(offset);
    out.put_u32_le(crc32c::crc32c(bytes));
    out
}

impl ToFollower {
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Self::Start { term, at, commit } => {
                out.put_u8(16);
                for word in [term.0, at.0, commit.0] {
                    out.put_u64_le(word);
                }
            }
            Self::Append { term, start, commit, ack_written, bytes } => {
                out.put_slice(&append_front(*term, *start, *commit, *ack_written));
                out.put_slice(bytes);
            }
            Self::Heartbeat { term, commit } => {
                out.put_u8(18);
                out.put_u64_le(term.0);
                out.put_u64_le(commit.0);
            }
            Self::Refused { term, reason } => {
                out.put_u8(19);
                out.put_u64_le(term.0);
                put_bytes(&mut out, reason.as_bytes());
            }
            Self::Snapshot(Snapshot { term, position, reason, files }) => {
                assert!(files.len() <= FILES_MAX, "a snapshot of {} files", files.len());
                out.put_u8(20);
                for word in [term.0, position.term.0, position.lsn.0] {
                    out.put_u64_le(word);
                }
                put_bytes(&mut out, reason.as_bytes());
                put_varint(&mut out, files.len() as u64);
                for SnapshotFile { content, length } in files {
                    let (kind, which) = match content {
                        SnapshotContent::Database(number) => (0, u64::from(*number)),
                        SnapshotContent::Segment(start) => (1, start.0),
                    };
                    out.put_u8(kind);
                    out.put_u64_le(which);
                    out.put_u64_le(*length);
                }
            }
            Self::Piece { file, offset, bytes } => {
                out = piece_front(*file, *offset, bytes);
                out.put_slice(bytes);
            }
            Self::SnapshotEnd { hashes } => {
                out.put_u8(22);
                put_hashes(&mut out, hashes);
            }
        }
        out
    }

    pub fn decode(frame: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame);
        let message = match reader.u8()? {
            16 => Self::Start {
                term: Term(reader.u64()?),
                at: Lsn(reader.u64()?),
                commit: Lsn(reader.u64()?),
            },
            17 => Self::Append {
                term: Term(reader.u64()?),
                start: Lsn(reader.u64()?),
                commit: Lsn(reader.u64()?),
                ack_written: reader.bool()?,
                bytes: frame.slice_ref(reader.take_rest()),
            },
            18 => Self::Heartbeat { term: Term(reader.u64()?), commit: Lsn(reader.u64()?) },
            19 => Self::Refused { term: Term(reader.u64()?), reason: reader.text()?.to_owned() },
            20 => Self::Snapshot(Snapshot {
                term: Term(reader.u64()?),
                position: LogEnd { term: Term(reader.u64()?), lsn: Lsn(reader.u64()?) },
                reason: reader.text()?.to_owned(),
                files: decode_files(&mut reader)?,
            }),
            21 => {
                let file = file_number(&mut reader)?;
                let offset = reader.u64()?;
                let checksum = reader.u32()?;
                let bytes = frame.slice_ref(reader.take_rest());
                if crc32c::crc32c(&bytes) != checksum {
                    return Err(WireError::Malformed("piece: checksum"));
                }
                Self::Piece { file, offset, bytes }
            }
            22 => Self::SnapshotEnd { hashes: hashes(&mut reader)? },
            _ => return Err(WireError::Malformed("message: unknown tag")),
        };
        reader.finish()?;
        Ok(message)
    }
}

fn decode_files(reader: &mut Reader<'_>) -> Result<Vec<SnapshotFile>, WireError> {
    let count = reader.count(17)?;
    if count > FILES_MAX {
        return Err(WireError::Malformed("snapshot: too many files"));
    }
    let file = |_| {
        let (kind, which) = (reader.u8()?, reader.u64()?);
        let content = match kind {
            0 => SnapshotContent::Database(
                u32::try_from(which).map_err(|_| WireError::Malformed("snapshot: database"))?,
            ),
            1 => SnapshotContent::Segment(Lsn(which)),
            _ => return Err(WireError::Malformed("snapshot: kind of file")),
        };
        Ok(SnapshotFile { content, length: reader.u64()? })
    };
    (0..count).map(file).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::log::format_page::Known::{self, Number, Raw};
    use crate::log::format_page::{assert_limit, assert_table};

    fn history() -> impl Strategy<Value = TermHistory> {
        vec((1u64..9, 1u64..9), 0..5).prop_map(|steps| {
            let mut history = TermHistory::default();
            let (mut term, mut lsn) = (0, 0);
            for (more, further) in steps {
                (term, lsn) = (term + more, lsn + further);
                history.push(Term(term), Lsn(lsn));
            }
            history
        })
    }

    fn end() -> impl Strategy<Value = LogEnd> {
        any::<(u64, u64)>().prop_map(|(term, lsn)| LogEnd { term: Term(term), lsn: Lsn(lsn) })
    }

    fn to_leader() -> impl Strategy<Value = ToLeader> {
        prop_oneof![
            request().prop_map(ToLeader::Request),
            request().prop_map(ToLeader::Fetch),
            any::<(u64, u64, u64, u64)>().prop_map(|(term, durable, applied, written)| {
                ToLeader::Ack(Ack {
                    term: Term(term),
                    durable: Lsn(durable),
                    applied: Lsn(applied),
                    written: Lsn(written),
                })
            }),
            told(),
            Just(ToLeader::ToldAll),
        ]
    }

    fn request() -> impl Strategy<Value = Request> {
        (any::<(u64, u64, u64, Option<u64>, bool)>(), end(), history()).prop_map(
            |((term, hash, applied, differs, reseed), end, history)| {
                let (term, applied, differs) = (Term(term), Lsn(applied), differs.map(Lsn));
                Request { term, end, hash, applied, differs, reseed, history }
            },
        )
    }

    fn told() -> impl Strategy<Value = ToLeader> {
        (0usize..9, vec(any::<u64>(), 0..4))
            .prop_map(|(file, hashes)| ToLeader::Told { file, hashes })
    }

    fn file() -> impl Strategy<Value = SnapshotFile> {
        let content = prop_oneof![
            any::<u32>().prop_map(SnapshotContent::Database),
            any::<u64>().prop_map(|start| SnapshotContent::Segment(Lsn(start))),
        ];
        (content, any::<u64>()).prop_map(|(content, length)| SnapshotFile { content, length })
    }

    fn to_follower() -> impl Strategy<Value = ToFollower> {
        let bytes = || vec(any::<u8>(), 0..50).prop_map(Bytes::from);
        let words = any::<(u64, u64, u64)>;
        prop_oneof![
            words().prop_map(|(term, at, commit)| ToFollower::Start {
                term: Term(term),
                at: Lsn(at),
                commit: Lsn(commit)
            }),
            (words(), any::<bool>(), bytes()).prop_map(
                |((term, start, commit), ack_written, bytes)| ToFollower::Append {
                    term: Term(term),
                    start: Lsn(start),
                    commit: Lsn(commit),
                    ack_written,
                    bytes
                }
            ),
            words().prop_map(|(term, commit, _)| ToFollower::Heartbeat {
                term: Term(term),
                commit: Lsn(commit)
            }),
            (any::<u64>(), ".{0,9}")
                .prop_map(|(term, reason)| ToFollower::Refused { term: Term(term), reason }),
            (any::<u64>(), end(), ".{0,9}", vec(file(), 0..4)).prop_map(
                |(term, position, reason, files)| ToFollower::Snapshot(Snapshot {
                    term: Term(term),
                    position,
                    reason,
                    files
                })
            ),
            (0usize..9, any::<u64>(), bytes())
                .prop_map(|(file, offset, bytes)| ToFollower::Piece { file, offset, bytes }),
            vec(any::<u64>(), 0..4).prop_map(|hashes| ToFollower::SnapshotEnd { hashes }),
        ]
    }

    proptest! {
        #[test]
        fn messages_survive(request in to_leader(), answer in to_follower()) {
            prop_assert_eq!(ToLeader::decode(&request.encode()), Ok(request));
            prop_assert_eq!(ToFollower::decode(&answer.encode().freeze()), Ok(answer));
        }

        #[test]
        fn a_message_to_the_leader_has_one_length(message in to_leader(), cut in 0usize..200) {
            let mut bytes = message.encode();
            prop_assert!(ToLeader::decode(&bytes[..cut % bytes.len()]).is_err());
            bytes.put_u8(0);
            prop_assert!(ToLeader::decode(&bytes).is_err());
        }

        #[test]
        fn a_message_to_a_follower_has_one_length(message in to_follower(), cut in 0usize..200) {
            // An append is whatever follows its front.
            prop_assume!(!matches!(message, ToFollower::Append { .. }));
            let mut bytes = message.encode();
            let short = bytes.clone().freeze().slice(..cut % bytes.len());
            prop_assert!(ToFollower::decode(&short).is_err());
            bytes.put_u8(0);
            prop_assert!(ToFollower::decode(&bytes.freeze()).is_err());
        }

        #[test]
        fn flipped_bits_and_other_bytes_are_at_most_an_error(
            message in to_follower(),
            at: usize,
            bit in 0u8..8,
            other in vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = message.encode();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = ToLeader::decode(&bytes);
            let _ = ToFollower::decode(&bytes.freeze());
            let _ = ToLeader::decode(&other);
            let _ = ToFollower::decode(&other.into());
        }
    }

    #[test]
    fn what_a_follower_says_is_as_the_page_says() {
        let mut history = TermHistory::default();
        history.push(Term(1), Lsn(0));
        let mut encoded = BytesMut::new();
        history.encode(&mut encoded);
        for (differs, reseed, state) in
            [(None, false, 0), (Some(Lsn(8)), false, 1), (Some(Lsn(8)), true, 2), (None, true, 3)]
        {
            let request = Request {
                term: Term(3),
                end: LogEnd { term: Term(4), lsn: Lsn(5) },
                hash: 6,
                applied: Lsn(7),
                differs,
                reseed,
                history: history.clone(),
            };
            let fields = [
                ("term", Number(3)),
                ("end term", Number(4)),
                ("end LSN", Number(5)),
                ("hash", Number(6)),
                ("applied", Number(7)),
                ("state", Number(state)),
                ("differs", Number(differs.unwrap_or_default().0.into())),
                ("history", Raw(&encoded)),
            ];
            let fetch = ToLeader::Fetch(request.clone()).encode();
            let request = ToLeader::Request(request).encode();
            assert_table("Replication request", &request, &fields);
            assert_table("Replication fetch", &fetch, &[("request", Raw(&request[1..]))]);
        }
        let ack =
            ToLeader::Ack(Ack { term: Term(1), durable: Lsn(2), applied: Lsn(3), written: Lsn(4) });
        let fields = [
            ("term", Number(1)),
            ("durable", Number(2)),
            ("applied", Number(3)),
            ("written", Number(4)),
        ];
        assert_table("Replication ack", &ack.encode(), &fields);
        let told = ToLeader::Told { file: 300, hashes: vec![5] };
        let fields = [("file", Number(300)), ("count", Number(1)), ("hash", Number(5))];
        assert_table("Replication told", &told.encode(), &fields);
        assert_table("Replication told all", &ToLeader::ToldAll.encode(), &[]);
    }

    #[test]
    fn what_a_leader_says_is_as_the_page_says() {
        let (term, commit) = (Term(1), Lsn(3));
        let says = |heading: &str, message: ToFollower, fields: &[(&str, Known<'_>)]| {
            assert_table(&format!("Replication {heading}"), &message.encode(), fields);
        };
        let (one, two, three) = (Number(1), Number(2), Number(3));
        let start = ToFollower::Start { term, at: Lsn(2), commit };
        says("start", start, &[("term", one), ("at", two), ("commit", three)]);
        let bytes = Bytes::from_static(b"bytes");
        let raw = ("bytes", Raw(b"bytes"));
        for (ack_written, flags) in [(false, 0), (true, 1)] {
            let bytes = bytes.clone();
            let append = ToFollower::Append { term, start: Lsn(2), commit, ack_written, bytes };
            let flags = ("flags", Number(flags));
            says("append", append, &[("term", one), ("start", two), ("commit", three), flags, raw]);
        }
        let heartbeat = ToFollower::Heartbeat { term, commit };
        says("heartbeat", heartbeat, &[("term", one), ("commit", three)]);
        let refused = ToFollower::Refused { term, reason: "no".into() };
        says("refused", refused, &[("term", one), ("reason", Raw(b"no"))]);
        for (content, kind, which) in
            [(SnapshotContent::Database(8), 0, 8), (SnapshotContent::Segment(Lsn(9)), 1, 9)]
        {
            let snapshot = ToFollower::Snapshot(Snapshot {
                term,
                position: LogEnd { term: Term(2), lsn: Lsn(3) },
                reason: "new".into(),
                files: vec![SnapshotFile { content, length: 4 }],
            });
            let fields = [
                ("term", one),
                ("of term", two),
                ("of LSN", three),
                ("reason", Raw(b"new")),
                ("count", one),
                ("kind", Number(kind)),
                ("which", Number(which)),
                ("length", Number(4)),
            ];
            says("snapshot", snapshot, &fields);
        }
        let checksum = Number(crc32c::crc32c(b"bytes").into());
        let piece = ToFollower::Piece { file: 300, offset: 2, bytes };
        says("piece", piece, &[("file", Number(300)), ("at", two), ("checksum", checksum), raw]);
        let end = ToFollower::SnapshotEnd { hashes: vec![3] };
        says("snapshot end", end, &[("count", one), ("hash", three)]);
        assert_limit("bytes in an append or a piece", BYTES_MAX as u64);
        assert_limit("files in a snapshot", FILES_MAX as u64);
    }
}
