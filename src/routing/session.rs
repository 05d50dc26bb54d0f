//! A client session as its router keeps it, so that any node can serve it next.
//!
//! ```text
//!            BEGIN                     node lost, 40001
//!   Idle ─────────────► InTransaction ─────────────────► Lost
//!    ▲  ◄─────────────    │      ▲                         │
//!    │   COMMIT, ROLLBACK │error │ ROLLBACK TO             │ ROLLBACK, COMMIT
//!    │                    ▼      │                         │
//!    │◄───────────────── Failed ─┘                         │
//!    │◄────────────────────────────────────────────────────┘
//! ```
//!
//! Idle, InTransaction and Failed are what the node reported. Lost is a failed
//! transaction whose node is gone: the router itself answers until it ends.
//!
//! Invariant: outside Idle the session stays where it is (`home` is set, or the
//! transaction is lost), for a transaction can't move.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::unit::{Cursor, Effect, Summary, lists_statements};
use crate::cluster::Position;
use crate::log::ClientToken;
use crate::pg::backend::TransactionStatus;
use crate::pg::settings::{find, milliseconds};
use crate::pg::{SqlError, SqlState};
use crate::sql::Class;

/// Settings by name, those that differ from a node's defaults.
pub type Settings = BTreeMap<String, String>;

/// Bytes of prepared statements that a session may hold.
const STATEMENTS_BYTES_MAX: usize = 64 << 20;
/// Statements closed elsewhere that a node may still hold of a session, so that not each
/// of them costs a request.
const STALE_MAX: usize = 64;
/// Of a statement in a [`Presence`]: which one the node has, if any, is not known.
const UNCERTAIN: u64 = u64::MAX;

/// What is known of a session.
#[derive(Clone, Debug)]
pub struct Session {
    pub status: TransactionStatus,
    /// The open transaction went down with its node; it only waits for ROLLBACK.
    pub lost: bool,
    /// No statement has been told so yet.
    pub unheard: bool,
    /// The node that has the session's open transaction, by its number.
    pub home: Option<usize>,
    /// The open transaction was begun to read only.
    pub read_only_transaction: bool,
    /// The node that has something of the session's which outlives transactions and
    /// can't be made elsewhere.
    pub settled_at: Option<usize>,
    /// Temporary objects are part of that.
    has_temporary: bool,
    /// Held cursors are part of that.
    held: BTreeSet<String>,
    /// The leader that holds advisory locks of the session, if it has any.
    pub locks_at: Option<usize>,
    /// What the session has seen.
    pub position: Position,
    /// Settings now, and with those it began.
    pub settings: Arc<Settings>,
    pub startup: Arc<Settings>,
    statements: BTreeMap<Bytes, Prepared>,
    statements_bytes: usize,
    next_statement: u64,
    token: ClientToken,
}

/// A prepared statement: how to make it again, and which of its name it is.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Prepared {
    id: u64,
    message: Bytes,
    class: Class,
    /// The statement that its EXECUTE runs.
    executes: Option<Bytes>,
    /// It may ask which prepared statements there are.
    lists: bool,
}

/// What one node has of a session.
#[derive(Clone, Debug)]
pub struct Presence {
    settings: Arc<Settings>,
    statements: BTreeMap<Bytes, u64>,
}

/// How much a read must see.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// All that was acknowledged to anybody: the leader, its lease checked.
    Strong,
    /// The session's own writes, and nothing older than it has read.
    #[default]
    Session,
    /// Not too far behind the leader.
    Bounded,
    /// Anything.
    Eventual,
}

impl Session {
    /// A new session; `token` is random.
    pub fn new(startup: Settings, token: u128) -> Self {
        let startup = Arc::new(startup);
        Self {
            status: TransactionStatus::Idle,
            lost: false,
            unheard: false,
            home: None,
            read_only_transaction: false,
            settled_at: None,
            has_temporary: false,
            held: BTreeSet::new(),
            locks_at: None,
            position: Position::default(),
            settings: Arc::clone(&startup),
            startup,
            statements: BTreeMap::new(),
            statements_bytes: 0,
            next_statement: 0,
            token: ClientToken { session: token, sequence: 0 },
        }
    }

    /// The token for the next write.
    pub fn next_token(&mut self) -> ClientToken {
        self.token.sequence += 1;
        self.token
    }

    /// Of setting `towline.read_level`.
    pub fn level(&self) -> Level {
        match self.settings.get("towline.read_level").map(String::as_str) {
            Some("strong") => Level::Strong,
            Some("bounded") => Level::Bounded,
            Some("eventual") => Level::Eventual,
            _ => Level::Session,
        }
    }

    /// Whether transactions are read-only unless they say otherwise.
    pub fn read_only(&self) -> bool {
        let on = |value: &String| matches!(value.as_str(), "on" | "true" | "yes" | "1");
        self.settings.get("default_transaction_read_only").is_some_and(on)
    }

    /// How long the client may be silent now, and what it is told then.
    pub fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let (name, state, what) = match self.status {
            TransactionStatus::Idle => {
                ("idle_session_timeout", SqlState::IDLE_SESSION_TIMEOUT, "idle-session")
            }
            TransactionStatus::InTransaction | TransactionStatus::Failed => (
                "idle_in_transaction_session_timeout",
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "idle-in-transaction",
            ),
        };
        let limit = milliseconds(self.settings.get(name)?).filter(|ms| *ms > 0)?;
        let told = format!("terminating connection due to {what} timeout");
        Some((Duration::from_millis(limit.unsigned_abs()), SqlError::fatal(state, told)))
    }

    /// The class of a prepared statement.
    pub fn class_of(&self, name: &[u8]) -> Option<Class> {
        self.statements.get(name).map(|prepared| prepared.class)
    }

    /// Takes note of what a part has left at `node` that can't be made elsewhere, and of
    /// what it has ended of that.
    pub fn settle(&mut self, summary: &Summary, node: usize) {
        if summary.discards {
            self.unsettle();
        }
        let mut left = summary.settles;
        self.has_temporary |= summary.settles;
        for cursor in &summary.cursors {
            match cursor {
                Cursor::Held(name) => {
                    self.held.insert(name.clone());
                    left = true;
                }
                Cursor::Closed(name) => drop(self.held.remove(name)),
                Cursor::AllClosed => self.held.clear(),
            }
        }
        if !self.has_temporary && self.held.is_empty() {
            self.settled_at = None;
        } else if left {
            self.settled_at = Some(node);
        }
    }

    /// All that was left somewhere is gone.
    pub fn unsettle(&mut self) {
        self.settled_at = None;
        self.has_temporary = false;
        self.held.clear();
    }

    /// What must not be older in what the session sees next.
    pub fn saw(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    /// A write that the session saw is gone: it goes on from what there is.
    pub fn cut_back(&mut self) {
        self.position = Position::default();
    }

    /// A part has been carried out at a node, and the first `effects_done` of its
    /// effects took place.
    pub fn applied(
        &mut self,
        summary: &Summary,
        effects_done: usize,
        presence: &mut Presence,
    ) -> Result<(), SqlError> {
        if summary.simple {
            self.forget(b"");
            presence.statements.remove(b"".as_slice());
        }
        for effect in summary.effects.iter().take(effects_done) {
            match effect {
                Effect::Define { name, message, class, executes } => {
                    self.forget(name);
                    self.statements_bytes += message.len();
                    if self.statements_bytes > STATEMENTS_BYTES_MAX {
                        return Err(SqlError::fatal(
                            SqlState::PROGRAM_LIMIT_EXCEEDED,
                            "too many prepared statements in one session",
                        ));
                    }
                    let id = self.next_statement;
                    self.next_statement += 1;
                    // Detached from the buffer that it came in, which is larger.
                    let message = Bytes::copy_from_slice(message);
                    let name = Bytes::copy_from_slice(name);
                    presence.statements.insert(name.clone(), id);
                    let executes = executes.as_deref().map(Bytes::copy_from_slice);
                    let lists = lists_statements(&message);
                    let prepared = Prepared { id, message, class: *class, executes, lists };
                    self.statements.insert(name, prepared);
                }
                Effect::Close { name } => {
                    self.forget(name);
                    presence.statements.remove(name);
                }
                Effect::CloseAll => {
                    self.statements.clear();
                    self.statements_bytes = 0;
                    presence.statements.clear();
                }
                Effect::ClosePortal => {}
            }
        }
        Ok(())
    }

    /// The router has answered a part itself, and the first `effects_done` of its effects
    /// took place, at no node.
    pub fn applied_here(&mut self, summary: &Summary, effects_done: usize) -> Result<(), SqlError> {
        let mut nowhere = Presence::new(self);
        self.applied(summary, effects_done, &mut nowhere)
    }

    /// A part was sent back: how much of it its node has carried out is not known.
    pub fn sent_back(&self, summary: &Summary, presence: &mut Presence) {
        for effect in &summary.effects {
            match effect {
                Effect::Define { name, .. } | Effect::Close { name } => {
                    presence.statements.insert(Bytes::copy_from_slice(name), UNCERTAIN);
                }
                Effect::CloseAll => {
                    presence.statements.values_mut().for_each(|id| *id = UNCERTAIN);
                }
                Effect::ClosePortal => {}
            }
        }
    }

    /// Whether a node holds too many statements that were closed elsewhere.
    fn is_stale(&self, presence: &Presence) -> bool {
        presence.statements.len() > self.statements.len() + STALE_MAX
    }

    fn forget(&mut self, name: &[u8]) {
        if let Some(prepared) = self.statements.remove(name) {
            self.statements_bytes -= prepared.message.len();
        }
    }

    /// Statements, each behind the one that it executes.
    fn with_executed<'a>(&'a self, uses: &'a [Bytes]) -> impl Iterator<Item = &'a Bytes> {
        uses.iter().enumerate().flat_map(|(at, name)| {
            let executed = self.statements.get(name).and_then(|it| it.executes.as_ref());
            let executed = executed.filter(|executed| !uses[..at].contains(executed));
            executed.into_iter().chain([name])
        })
    }

    /// The statements that must be at a node, as they must be there, before a part runs:
    /// those that it uses, or all, in their order, where it asks which there are.
    pub fn needs<'a>(&self, summary: &'a Summary, presence: &Presence) -> Cow<'a, [Bytes]> {
        let lists = |name| self.statements.get(name).is_some_and(|prepared| prepared.lists);
        if !summary.lists_statements && !summary.uses.iter().any(lists) {
            return Cow::Borrowed(&summary.uses);
        }
        let mut all: Vec<_> = self.statements.iter().collect();
        all.sort_by_key(|(_, prepared)| prepared.id);
        let all = all.into_iter().map(|(name, _)| name);
        let is_gone = |name: &&Bytes| !self.statements.contains_key(*name);
        let others: BTreeSet<&Bytes> =
            presence.statements.keys().chain(&summary.uses).filter(is_gone).collect();
        Cow::Owned(others.into_iter().chain(all).cloned().collect())
    }

    /// Messages that bring a node to where the session is, as far as a part that
    /// needs the statements `uses` can tell; `None` if it is there already.
    pub fn remake(&self, presence: &Presence, uses: &[Bytes]) -> Option<Bytes> {
        let mut out = BytesMut::new();
        if !Arc::ptr_eq(&self.settings, &presence.settings) {
            remake_settings(&presence.settings, &self.settings, &mut out);
        }
        let mut extended = false;
        if self.is_stale(presence) {
            let closed = |name: &&Bytes| !self.statements.contains_key(*name);
            for name in presence.statements.keys().filter(closed) {
                close(name, &mut out);
            }
            extended = true;
        }
        for name in self.with_executed(uses) {
            let wanted = self.statements.get(name);
            let there = presence.statements.get(name).copied();
            if wanted.map(|prepared| prepared.id) == there {
                continue;
            }
            if there.is_some() {
                extended = true;
                close(name, &mut out);
            }
            if let Some(prepared) = wanted {
                // A PREPARE is a Query, which needs no Sync of its own.
                let parse = prepared.message.first() == Some(&b'P');
                if extended && !parse {
                    message(b'S', &mut out, |_| {});
                    extended = false;
                }
                extended |= parse;
                out.put_slice(&prepared.message);
            }
        }
        if extended {
            message(b'S', &mut out, |_| {});
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    /// The node is now where the session is, as far as `uses` can tell.
    pub fn remade(&self, presence: &mut Presence, uses: &[Bytes]) {
        presence.settings = Arc::clone(&self.settings);
        if self.is_stale(presence) {
            presence.statements.retain(|name, _| self.statements.contains_key(name));
        }
        for name in self.with_executed(uses) {
            match self.statements.get(name) {
                Some(prepared) => presence.statements.insert(name.clone(), prepared.id),
                None => presence.statements.remove(name),
            };
        }
    }

    /// Settings have changed at the node that serves the session.
    pub fn set_settings(&mut self, settings: Arc<Settings>, presence: &mut Presence) {
        presence.settings = Arc::clone(&settings);
        self.settings = settings;
    }
}

impl Presence {
    /// Of a session that has just begun at a node with its start-up settings.
    pub fn new(session: &Session) -> Self {
        Self { settings: Arc::clone(&session.startup), statements: BTreeMap::new() }
    }
}

/// A Query message that turns the settings `from` into `to`.
fn remake_settings(from: &Settings, to: &Settings, out: &mut BytesMut) {
    let (mut text, mut resets) = (String::new(), String::new());
    let mut set = |name: &str, value: &str| {
        // Lists come as SHOW prints them, which is how SET reads them.
        let value = match name {
            "search_path" if !value.is_empty() => value.to_owned(),
            _ => format!("'{}'", value.replace('\'', "''")),
        };
        text.push_str(&format!("SET {} TO {value};", quoted(name)));
    };
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        // RESET would go back to what the session began with. What has no default was
        // made by the session.
        match find(name) {
            Some(known) => set(name, known.default),
            None => resets.push_str(&format!("RESET {};", quoted(name))),
        }
    }
    for (name, value) in to.iter().filter(|(name, value)| from.get(*name) != Some(*value)) {
        set(name, value);
    }
    text.push_str(&resets);
    if !text.is_empty() {
        message(b'Q', out, |out| {
            out.put_slice(text.as_bytes());
            out.put_u8(0);
        });
    }
}

/// A setting's name as an identifier; `a.b` stays two.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.chars().all(plain) {
        name.to_ascii_lowercase()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Appends a Close of a statement.
fn close(name: &[u8], out: &mut BytesMut) {
    message(b'C', out, |out| {
        out.put_u8(b'S');
        out.put_slice(name);
        out.put_u8(0);
    });
}

/// Appends a frontend message.
pub fn message(tag: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u8(tag);
    out.put_u32(0);
    body(out);
    let length = (out.len() - start - 1) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}
