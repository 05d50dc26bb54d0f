//! The routing unit: everything up to Sync, or one Query message.
//!
//! A client's bytes are cut into parts without being copied or decoded: only the
//! headers of messages are read, and of some the names and texts in them. A part
//! that ends with Flush (or has grown long) goes out before its unit is complete.

use bytes::{Bytes, BytesMut};

use super::statement::{NodeState, class_of_prepared, explained, leading_words, node_state};
use crate::pg::{SqlError, SqlState};
use crate::sql::{Class, is_definition};

/// A part is sent on without waiting for Sync or Flush once it holds this much.
pub const PART_MAX: usize = 1 << 20;

/// What stands at the front of a client's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// Nothing that could be sent yet.
    Partial,
    /// This many bytes are a part; `complete` if its unit ends with it.
    Part { length: usize, complete: bool },
    /// This many bytes are COPY data that nobody waits for any more.
    Stray { length: usize },
    /// The client says goodbye.
    Terminate,
}

/// Cuts a growing buffer; remembers how far it has looked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutter {
    looked: usize,
}

impl Cutter {
    /// Looks for the next part at the front of `buffer`, which holds what it held
    /// at the last call and perhaps more behind. With `copying`, whatever whole
    /// messages there are make a part. Errors end the connection.
    pub fn cut(
        &mut self,
        buffer: &[u8],
        length_max: usize,
        copying: bool,
    ) -> Result<Cut, SqlError> {
        loop {
            let rest = &buffer[self.looked..];
            if let Some(tag) = rest.first() {
                check_tag(*tag)?;
            }
            let Some(header) = rest.first_chunk::<5>() else {
                return Ok(self.so_far(copying));
            };
            let (tag, length) = measure(*header, length_max)?;
            if tag == b'X' && rest.len() >= length {
                return Ok(if copying { self.so_far_or(Cut::Terminate) } else { Cut::Terminate });
            }
            if rest.len() < length {
                return Ok(self.so_far(copying));
            }
            let end = self.looked + length;
            let cut = match tag {
                b'S' | b'Q' | b'F' => Cut::Part { length: end, complete: true },
                b'H' => Cut::Part { length: end, complete: false },
                b'c' | b'f' if copying => Cut::Part { length: end, complete: false },
                b'd' | b'c' | b'f' if !copying && self.looked == 0 => Cut::Stray { length: end },
                _ if end >= PART_MAX => Cut::Part { length: end, complete: false },
                _ => {
                    self.looked = end;
                    continue;
                }
            };
            self.looked = 0;
            return Ok(cut);
        }
    }

    fn so_far(&mut self, copying: bool) -> Cut {
        if copying { self.so_far_or(Cut::Partial) } else { Cut::Partial }
    }

    fn so_far_or(&mut self, otherwise: Cut) -> Cut {
        match std::mem::take(&mut self.looked) {
            0 => otherwise,
            length => Cut::Part { length, complete: false },
        }
    }
}

/// The type of a message, and its length with the header.
fn measure(header: [u8; 5], length_max: usize) -> Result<(u8, usize), SqlError> {
    let [tag, length @ ..] = header;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    if length < 4 || length > length_max {
        return Err(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "invalid message length"));
    }
    Ok((tag, 1 + length))
}

fn check_tag(tag: u8) -> Result<(), SqlError> {
    if b"QPBFdCDEHSXcf".contains(&tag) {
        return Ok(());
    }
    let message = format!("invalid frontend message type {tag}");
    Err(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, message))
}

/// Which node a unit needs.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// Any, best the one that served the session last.
    #[default]
    Any,
    /// One whose data are new enough.
    Read,
    /// The leader.
    Leader,
}

/// What a part means for routing. Names and messages are slices of the part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    pub need: Need,
    /// It may change data, so that it must not run twice.
    pub writes: bool,
    /// It has COMMIT in it.
    pub commits: bool,
    /// It runs something, rather than only preparing and describing.
    pub executes: bool,
    /// Statements prepared and closed, and portals closed, in order: each is answered by
    /// one ParseComplete or CloseComplete, or (SQL's own) by a CommandComplete.
    pub effects: Vec<Effect>,
    /// Prepared statements that must be at the node.
    pub uses: Vec<Bytes>,
    /// It may ask which prepared statements there are.
    pub lists_statements: bool,
    /// It leaves temporary objects at the node, which can't be made elsewhere.
    pub settles: bool,
    /// Held cursors, and cursors closed, in order.
    pub cursors: Vec<Cursor>,
    /// It takes advisory locks that outlive its transaction.
    pub locks: bool,
    /// It changes what there is: tables, types, rights.
    pub defines: bool,
    /// A Query message, which ends the unnamed statement.
    pub simple: bool,
    /// It has COPY FROM STDIN in it.
    pub copies: bool,
    /// It has DISCARD ALL in it: what settled the session is gone.
    pub discards: bool,
    /// It has BEGIN in it, of a transaction that only reads.
    pub begins_read_only: bool,
}

/// A change to the cursors that outlive the session's transactions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cursor {
    Held(String),
    Closed(String),
    AllClosed,
}

/// A change to the session's prepared statements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A Parse message, or a Query message with PREPARE in it.
    Define {
        name: Bytes,
        message: Bytes,
        class: Class,
        /// The statement that its EXECUTE runs, which must be there too.
        executes: Option<Bytes>,
    },
    Close {
        name: Bytes,
    },
    CloseAll,
    /// Counts, for its answer is that of a statement's.
    ClosePortal,
}

/// Finds out what a part of whole messages means. `class_of` tells the class of a
/// statement prepared before; unknown names are any node's to complain about.
/// `read_only` is whether transactions are read-only by default.
pub fn summarize(
    part: &Bytes,
    read_only: bool,
    classify: &mut dyn FnMut(&str) -> Class,
    class_of: &dyn Fn(&[u8]) -> Option<Class>,
) -> Summary {
    let mut summary = Summary::default();
    let mut at = 0;
    while let Some((tag, length)) = next_message(&part[at..]) {
        let message = part.slice(at..at + length);
        at += length;
        summary.add(tag, &message, read_only, classify, class_of);
    }
    summary
}

/// The type and length of the whole message at the front.
pub fn next_message(bytes: &[u8]) -> Option<(u8, usize)> {
    let [tag, length @ ..] = *bytes.first_chunk::<5>()?;
    let length = 1 + usize::try_from(i32::from_be_bytes(length)).ok()?;
    (length >= 5 && bytes.len() >= length).then_some((tag, length))
}

impl Summary {
    fn add(
        &mut self,
        tag: u8,
        message: &Bytes,
        read_only: bool,
        classify: &mut dyn FnMut(&str) -> Class,
        class_of: &dyn Fn(&[u8]) -> Option<Class>,
    ) {
        let body = message.slice(5..);
        match tag {
            b'Q' => {
                self.simple = true;
                self.executes = true;
                let Some((text, _)) = string(&body) else { return };
                let Ok(text) = std::str::from_utf8(&text) else { return };
                self.add_query(text, message, read_only, classify, class_of);
            }
            b'P' => {
                let Some((name, rest)) = string(&body) else { return };
                let Some((text, _)) = string(&rest) else { return };
                let Ok(text) = std::str::from_utf8(&text) else { return };
                let class = classify(text);
                self.take_class(class, read_only);
                self.take_text(text, class);
                if !name.is_empty() {
                    // If it exists already the node must know, to refuse.
                    self.use_statement(&name);
                }
                let executed = executed(text, class);
                // What EXECUTE runs decides where it runs.
                let class = match &executed {
                    Some(executed) => {
                        self.use_statement(executed);
                        self.class_of(executed, class_of).unwrap_or(class)
                    }
                    None => class,
                };
                self.take_class(class, read_only);
                let message = message.clone();
                self.effects.push(Effect::Define { name, message, class, executes: executed });
            }
            b'B' => {
                let Some((_, rest)) = string(&body) else { return };
                let Some((name, _)) = string(&rest) else { return };
                if let Some(class) = self.class_of(&name, class_of) {
                    self.take_class(class, read_only);
                }
                self.use_statement(&name);
            }
            b'D' | b'C' if body.first() == Some(&b'S') => {
                let Some((name, _)) = string(&body.slice(1..)) else { return };
                if tag == b'D' {
                    self.use_statement(&name);
                } else {
                    self.effects.push(Effect::Close { name });
                }
            }
            b'F' => {
                // What the function does is not told: the leader can do all of it.
                self.simple = true;
                self.executes = true;
                self.take_class(Class::Write, read_only);
            }
            b'C' => self.effects.push(Effect::ClosePortal),
            b'E' => self.executes = true,
            _ => {}
        }
    }

    fn add_query(
        &mut self,
        text: &str,
        message: &Bytes,
        read_only: bool,
        classify: &mut dyn FnMut(&str) -> Class,
        class_of: &dyn Fn(&[u8]) -> Option<Class>,
    ) {
        let trimmed = text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        if !trimmed.as_bytes().contains(&b';') {
            let class = classify(trimmed);
            self.take_class(class, read_only);
            self.take_text(trimmed, class);
            if class == Class::Session {
                self.take_session(trimmed, message, read_only, classify, class_of);
            }
            return;
        }
        // A text that can't be split is the node's to refuse.
        for statement in crate::sql::split(text).unwrap_or_default() {
            let class = classify(statement);
            self.take_class(class, read_only);
            self.take_text(statement, class);
            if class == Class::Session {
                // To make it again, this statement alone is what must be sent.
                let mut alone = BytesMut::new();
                super::session::message(b'Q', &mut alone, |out| {
                    out.extend_from_slice(statement.as_bytes());
                    out.extend_from_slice(&[0]);
                });
                self.take_session(statement, &alone.freeze(), read_only, classify, class_of);
            }
        }
    }

    fn take_class(&mut self, class: Class, read_only: bool) {
        let need = match class {
            Class::Empty | Class::Session | Class::Savepoint | Class::Rollback => Need::Any,
            Class::Read => Need::Read,
            Class::Write | Class::CopyIn => {
                self.writes = true;
                self.copies |= class == Class::CopyIn;
                Need::Leader
            }
            Class::Begin { read_only: asked, .. } if asked || read_only => {
                self.begins_read_only = true;
                Need::Read
            }
            // It may write later, and a transaction can't move.
            Class::Begin { .. } => Need::Leader,
            Class::Commit => {
                self.commits = true;
                Need::Any
            }
        };
        self.need = self.need.max(need);
    }

    /// What only the text tells.
    fn take_text(&mut self, text: &str, class: Class) {
        self.defines |= class == Class::Write && is_definition(text);
        self.lists_statements |= lists_statements(text.as_bytes());
        if matches!(class, Class::Write | Class::Session) {
            match node_state(text) {
                NodeState::Nothing => {}
                NodeState::Settles => self.settles = true,
                NodeState::Holds(name) => self.cursors.push(Cursor::Held(name)),
                NodeState::Closes(Some(name)) => self.cursors.push(Cursor::Closed(name)),
                NodeState::Closes(None) => self.cursors.push(Cursor::AllClosed),
                NodeState::Locks => self.locks = true,
            }
        }
    }

    /// PREPARE, EXECUTE, DEALLOCATE and DISCARD reach the same statements as Parse,
    /// Bind and Close do.
    fn take_session(
        &mut self,
        text: &str,
        message: &Bytes,
        read_only: bool,
        classify: &mut dyn FnMut(&str) -> Class,
        class_of: &dyn Fn(&[u8]) -> Option<Class>,
    ) {
        let (first, second) = leading_words(text);
        match (first.as_str(), second) {
            ("prepare", Some(name)) => {
                let class = class_of_prepared(text, classify);
                let name = Bytes::from(name);
                self.use_statement(&name);
                let message = message.clone();
                self.effects.push(Effect::Define { name, message, class, executes: None });
            }
            ("execute", Some(name)) => {
                if let Some(class) = self.class_of(name.as_bytes(), class_of) {
                    self.take_class(class, read_only);
                }
                self.use_statement(&Bytes::from(name));
            }
            ("explain", _) => {
                self.take_class(Class::Read, read_only);
                if let Some(name) = explained(text) {
                    self.use_statement(&Bytes::from(name));
                }
            }
            ("deallocate", Some(name)) if name == "all" => self.effects.push(Effect::CloseAll),
            ("deallocate", Some(name)) => {
                let name = Bytes::from(name);
                self.use_statement(&name);
                self.effects.push(Effect::Close { name });
            }
            ("discard", Some(what)) if what == "all" => {
                self.discards = true;
                self.effects.push(Effect::CloseAll);
            }
            _ => {}
        }
    }

    /// The class of a statement that this part or an earlier one has prepared.
    fn class_of(&self, name: &[u8], before: &dyn Fn(&[u8]) -> Option<Class>) -> Option<Class> {
        for effect in self.effects.iter().rev() {
            match effect {
                Effect::Define { name: defined, class, .. } if defined == name => {
                    return Some(*class);
                }
                Effect::Close { name: closed } if closed == name => return None,
                _ => {}
            }
        }
        before(name)
    }

    /// Notes that `name` must be there, unless this part itself brings it.
    fn use_statement(&mut self, name: &Bytes) {
        let defined_here = self.effects.iter().any(
            |effect| matches!(effect, Effect::Define { name: defined, .. } if defined == name),
        );
        if !defined_here && !self.uses.contains(name) {
            self.uses.push(name.clone());
        }
    }
}

/// Whether a text may ask which prepared statements there are. Errs on the side of yes.
pub(super) fn lists_statements(text: &[u8]) -> bool {
    const MARK: &[u8] = b"pg_prepared_statement";
    let begins = |window: &&[u8]| window[0].eq_ignore_ascii_case(&MARK[0]);
    text.windows(MARK.len()).filter(begins).any(|window| window.eq_ignore_ascii_case(MARK))
}

/// The prepared statement that an EXECUTE names.
fn executed(text: &str, class: Class) -> Option<Bytes> {
    if class != Class::Session {
        return None;
    }
    match leading_words(text) {
        (first, Some(name)) if first == "execute" => Some(Bytes::from(name)),
        _ => None,
    }
}

/// A zero-terminated string, and what follows it.
fn string(bytes: &Bytes) -> Option<(Bytes, Bytes)> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.slice(..end), bytes.slice(end + 1..)))
}
