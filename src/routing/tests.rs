//! Golden scripts of the routing machines: `tests/golden/routing/`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use goldenscript::{Command, Context};
use test_each_file::test_each_path;

use super::route::{Ask, Candidate, Next, Refused, Route, Sent, after_refusal, route};
use super::session::{Level, Presence, Session, message};
use super::unit::{Cursor, Cut, Cutter, Effect, Need, next_message, summarize};
use crate::cluster::Position;
use crate::log::{Lsn, Term};
use crate::pg::backend::TransactionStatus;
use crate::sql::classify;

mod unit {
    use super::*;
    test_each_path! { in "tests/golden/routing/unit" => golden }
}

mod routes {
    use super::*;
    test_each_path! { in "tests/golden/routing/route" => golden }
}

mod sessions {
    use super::*;
    test_each_path! { in "tests/golden/routing/session" => golden }
}

fn golden(path: &Path) {
    goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
}

type Failure = Box<dyn Error>;

struct Runner {
    buffer: BytesMut,
    cutter: Cutter,
    copying: bool,
    session: Session,
    presences: BTreeMap<String, Presence>,
    nodes: Vec<(String, Candidate)>,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            cutter: Cutter::default(),
            copying: false,
            session: Session::new(BTreeMap::new(), 1),
            presences: BTreeMap::new(),
            nodes: Vec::new(),
        }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Failure> {
        let mut args = command.consume_args();
        let mut keys = BTreeMap::new();
        while let Some((key, value)) = args.next_key() {
            keys.insert(key.to_owned(), value.to_owned());
        }
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word.to_owned());
        }
        match command.name.as_str() {
            "send" => self.send(&words),
            "copying" => {
                self.copying = words[0] == "on";
                Ok(String::new())
            }
            "nodes" => self.nodes(&words),
            "route" => self.route(&words, &keys),
            "refused" => refused(&words),
            "part" => self.part(&words, &keys),
            "set" => self.set(&words, keys),
            other => Err(format!("unknown command {other}").into()),
        }
    }
}

impl Runner {
    /// Adds messages to the buffer, and cuts off all that can be.
    fn send(&mut self, words: &[String]) -> Result<String, Failure> {
        for word in words {
            put(word, &mut self.buffer);
        }
        let mut text = String::new();
        loop {
            let cut = match self.cutter.cut(&self.buffer, 300, self.copying) {
                Ok(cut) => cut,
                Err(error) => {
                    writeln!(text, "{error}")?;
                    self.buffer.clear();
                    return Ok(text);
                }
            };
            match cut {
                Cut::Part { length, complete } => {
                    let part = self.buffer.split_to(length).freeze();
                    let kind = if complete { "unit" } else { "part" };
                    writeln!(text, "{kind} {}: {}", tags(&part), self.summary(&part))?;
                }
                Cut::Stray { length } => {
                    writeln!(text, "stray {}", tags(&self.buffer.split_to(length).freeze()))?;
                }
                Cut::Terminate => {
                    writeln!(text, "terminate")?;
                    self.buffer.clear();
                    return Ok(text);
                }
                Cut::Partial => return Ok(text),
            }
        }
    }

    fn summary(&self, part: &Bytes) -> String {
        let session = &self.session;
        let summary =
            summarize(part, session.read_only(), &mut classify, &|name| session.class_of(name));
        let mut words = vec![format!("{:?}", summary.need)];
        for (holds, word) in [
            (summary.writes, "writes"),
            (summary.commits, "commits"),
            (summary.executes, "executes"),
            (summary.settles, "settles"),
            (summary.locks, "locks"),
            (summary.copies, "copies"),
            (summary.discards, "discards"),
            (summary.begins_read_only, "begins read-only"),
        ] {
            if holds {
                words.push(word.to_owned());
            }
        }
        for cursor in &summary.cursors {
            words.push(match cursor {
                Cursor::Held(name) => format!("holds {name:?}"),
                Cursor::Closed(name) => format!("closes cursor {name:?}"),
                Cursor::AllClosed => "closes all cursors".to_owned(),
            });
        }
        for effect in &summary.effects {
            words.push(match effect {
                Effect::Define { name, class, .. } => {
                    format!("defines {:?} ({class:?})", String::from_utf8_lossy(name))
                }
                Effect::Close { name } => format!("closes {:?}", String::from_utf8_lossy(name)),
                Effect::CloseAll => "closes all".to_owned(),
                Effect::ClosePortal => "closes a portal".to_owned(),
            });
        }
        for name in &summary.uses {
            words.push(format!("uses {:?}", String::from_utf8_lossy(name)));
        }
        words.join(", ")
    }

    /// name:word,word,key=value… describes a node.
    fn nodes(&mut self, words: &[String]) -> Result<String, Failure> {
        self.nodes.clear();
        for word in words {
            let (name, traits) = word.split_once(':').unwrap_or((word, ""));
            let number = self.nodes.len();
            let mut node =
                Candidate { number, connected: true, healthy: true, ..Candidate::default() };
            for word in traits.split(',').filter(|word| !word.is_empty()) {
                match word.split_once('=').unwrap_or((word, "")) {
                    ("leads", _) => node.leads = true,
                    ("local", _) => node.local = true,
                    ("down", _) => node.connected = false,
                    ("sick", _) => node.healthy = false,
                    ("refused", _) => node.refused = true,
                    ("applied", lsn) => node.applied = Lsn(lsn.parse()?),
                    ("lag", bytes) => node.lag_bytes = bytes.parse()?,
                    ("busy", count) => node.outstanding = count.parse()?,
                    _ => return Err(format!("unknown trait {word}").into()),
                }
            }
            self.nodes.push((name.to_owned(), node));
        }
        Ok(String::new())
    }

    fn route(&self, words: &[String], keys: &BTreeMap<String, String>) -> Result<String, Failure> {
        let need = match words[0].as_str() {
            "any" => Need::Any,
            "read" => Need::Read,
            "leader" => Need::Leader,
            other => return Err(format!("unknown need {other}").into()),
        };
        let level = match keys.get("level").map(String::as_str) {
            None | Some("session") => Level::Session,
            Some("strong") => Level::Strong,
            Some("bounded") => Level::Bounded,
            Some("eventual") => Level::Eventual,
            Some(other) => return Err(format!("unknown level {other}").into()),
        };
        let lsn = keys.get("seen").map_or(Ok(0), |seen| seen.parse())?;
        let last =
            keys.get("last").and_then(|last| self.nodes.iter().position(|(name, _)| name == last));
        let position = Position { term: Term(u64::from(lsn > 0)), lsn: Lsn(lsn) };
        let nodes: Vec<Candidate> = self.nodes.iter().map(|(_, node)| *node).collect();
        Ok(match route(&Ask { need, level, position, last }, &nodes) {
            Route::Node { node, see } => format!("{}, must see {}", self.nodes[node].0, see.lsn),
            Route::WaitForLeader => "wait for a leader".to_owned(),
            Route::WaitForNode => "wait for a node".to_owned(),
        })
    }

    /// A part is carried out at a node: what is re-made there, and what then holds.
    fn part(
        &mut self,
        words: &[String],
        keys: &BTreeMap<String, String>,
    ) -> Result<String, Failure> {
        let (node, messages) = words.split_first().ok_or("which node?")?;
        let mut part = BytesMut::new();
        for word in messages {
            put(word, &mut part);
        }
        let part = part.freeze();
        let session = &mut self.session;
        let summary = {
            let session = &*session;
            summarize(&part, session.read_only(), &mut classify, &|name| session.class_of(name))
        };
        let presence = self.presences.entry(node.clone()).or_insert_with(|| Presence::new(session));
        let mut text = String::new();
        let needs = session.needs(&summary, presence);
        if let Some(remade) = session.remake(presence, &needs) {
            writeln!(text, "silently: {}", spelled(&remade))?;
        }
        session.remade(presence, &needs);
        let done = match keys.get("done") {
            Some(done) if done == "unknown" => {
                session.sent_back(&summary, presence);
                return Ok(text);
            }
            Some(done) => done.parse()?,
            None => summary.effects.len(),
        };
        if session.status == TransactionStatus::Idle && summary.need == Need::Leader {
            let token = session.next_token();
            writeln!(text, "token {}", token.sequence)?;
        }
        session.applied(&summary, done, presence)?;
        Ok(text)
    }

    /// The session's settings become these, at the node named first.
    fn set(
        &mut self,
        words: &[String],
        settings: BTreeMap<String, String>,
    ) -> Result<String, Failure> {
        let node = words.first().ok_or("which node?")?;
        let session = &mut self.session;
        let presence = self.presences.entry(node.clone()).or_insert_with(|| Presence::new(session));
        session.set_settings(Arc::new(settings), presence);
        Ok(String::new())
    }
}

/// Appends a message spelled `Q:text`, `P:name:text`, `B:statement`, `D:statement`,
/// `C:statement`, or by its type alone.
fn put(word: &str, out: &mut BytesMut) {
    let mut fields = word.splitn(3, ':');
    let tag = fields.next().and_then(|tag| tag.bytes().next()).unwrap_or(b'?');
    let (first, second) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
    message(tag, out, |out| match tag {
        b'Q' => zero(
            if second.is_empty() { first.to_owned() } else { format!("{first}:{second}") },
            out,
        ),
        b'P' => {
            zero(first.to_owned(), out);
            zero(second.to_owned(), out);
            out.extend_from_slice(&[0, 0]);
        }
        b'B' => {
            zero(String::new(), out);
            zero(first.to_owned(), out);
            out.extend_from_slice(&[0; 6]);
        }
        b'D' | b'C' => {
            out.extend_from_slice(b"S");
            zero(first.to_owned(), out);
        }
        b'E' => out.extend_from_slice(&[0; 5]),
        _ => out.extend_from_slice(first.as_bytes()),
    });
}

fn zero(text: String, out: &mut BytesMut) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&[0]);
}

/// The types of the messages in a part.
fn tags(part: &Bytes) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while let Some((tag, length)) = next_message(&part[at..]) {
        text.push(tag.into());
        at += length;
    }
    text
}

/// The messages in a part, with what is readable in them.
fn spelled(part: &Bytes) -> String {
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some((tag, length)) = next_message(&part[at..]) {
        let body = String::from_utf8_lossy(&part[at + 5..at + length]).replace('\0', " ");
        words.push(format!("{} {}", char::from(tag), body.trim()).trim().to_owned());
        at += length;
    }
    words.join(" | ")
}

/// `refused HOW trait…`
fn refused(words: &[String]) -> Result<String, Failure> {
    let how = match words[0].as_str() {
        "not_leader" => Refused::NotLeader,
        "behind" => Refused::Behind,
        "lost" => Refused::Lost,
        "unavailable" => Refused::Unavailable,
        "unknown" => Refused::Unknown,
        "never_ran" => Refused::NeverRan,
        "failed" => Refused::Failed,
        other => return Err(format!("unknown refusal {other}").into()),
    };
    let mut sent = Sent::default();
    for word in &words[1..] {
        match word.as_str() {
            "in_transaction" => sent.in_transaction = true,
            "read_only" => sent.read_only = true,
            "writes" => sent.writes = true,
            "token" => sent.token = true,
            "commits" => sent.commits = true,
            "superseded" => sent.superseded = true,
            "answered" => sent.answered = true,
            "lost_thrice" => sent.losses = 3,
            other => return Err(format!("unknown trait {other}").into()),
        }
    }
    Ok(match after_refusal(how, &sent) {
        Next::Retry(need) => format!("again, needing {need:?}"),
        Next::LookUp => "look it up".to_owned(),
        Next::Fail(error) => error.to_string(),
    })
}

#[test]
fn a_session_that_has_closed_what_it_held_may_move() {
    let mut session = Session::new(BTreeMap::new(), 1);
    let mut run = |statements: &str| {
        let mut part = BytesMut::new();
        part.extend_from_slice(b"Q");
        part.extend_from_slice(&u32::try_from(statements.len() + 5).unwrap_or(0).to_be_bytes());
        part.extend_from_slice(statements.as_bytes());
        part.extend_from_slice(&[0]);
        let summary = summarize(&part.freeze(), false, &mut classify, &|_| None);
        session.settle(&summary, 1);
        session.settled_at
    };
    assert_eq!(run("declare a cursor with hold for select 1"), Some(1));
    assert_eq!(run("declare \"B\" cursor with hold for select 1; close a"), Some(1));
    assert_eq!(run("close b"), Some(1));
    assert_eq!(run("close \"B\""), None);
    assert_eq!(run("declare a cursor with hold for select 1; close all"), None);
    assert_eq!(run("create temp table t (i int)"), Some(1));
    assert_eq!(run("close all"), Some(1));
    assert_eq!(run("discard all"), None);
}
