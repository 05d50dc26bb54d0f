use std::sync::Arc;

use super::{Lsn, Value};

/// What one frame says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A committed transaction (the last frame of it; earlier frames of a large
    /// one are [`Entry::TransactionPart`]).
    Transaction(Transaction),
    /// Statements of a transaction that is still running on the leader. Effective
    /// only with the [`Entry::Transaction`] of the same `id` that ends it.
    TransactionPart { id: u64, database: u32, statements: Vec<Statement> },
    /// The parts logged so far of transaction `id` are void.
    Abort { id: u64 },
    /// The first frame of every term.
    TermStart(TermStart),
    /// The members in force from here on, as JSON of
    /// `cluster::Configuration` (this layer doesn't look inside).
    Configuration(Vec<u8>),
    /// Changes nothing: where every node may be asked for its content as it is here.
    Marker { id: u64 },
    /// Sequence `name` may hand out values up to and including `last`.
    SequenceReservation { database: u32, name: String, last: i64 },
}

/// The start of a term: who leads it, and since when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TermStart {
    pub leader: String,
    /// Wall clock of the leader, microseconds since 1970-01-01 UTC. For humans.
    pub time_us: i64,
}

/// One committed transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Of the parts logged before, or 0 if this frame is all of it.
    pub id: u64,
    /// The number of the database inside the cluster: the OID of one that was made, and 0
    /// for the first.
    pub database: u32,
    /// The version of the function set that the statements were run with.
    pub functions: u16,
    /// Set for a write that its session may send again after a failover.
    pub token: Option<ClientToken>,
    /// What the client was told, kept for the look-up by token.
    pub outcome: Option<Outcome>,
    pub statements: Vec<Statement>,
    /// Hash of every row change that the whole transaction made.
    pub effect: u64,
}

/// Identifies one autocommit write (or COMMIT) of one client session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientToken {
    /// Random, chosen by the router for the session.
    pub session: u128,
    /// Increases with every write of the session.
    pub sequence: u64,
}

/// The reply a write got, as backend message bytes up to a limit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The command tag, as in CommandComplete.
    pub tag: String,
    /// The reply's messages, or `None` where they were larger than is kept.
    pub reply: Option<Vec<u8>>,
}

/// One SQL statement in SQLite's dialect, and all that its result depends on
/// besides the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    pub text: Arc<str>,
    pub params: Vec<Value>,
    pub context: Context,
    /// It changes rows as another statement, which read what other nodes don't have, and
    /// all that this set off, changed them: run without triggers and foreign keys.
    pub is_rows: bool,
}

/// The frozen surroundings of a statement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Context {
    /// Start of the transaction, microseconds since 1970-01-01 UTC: `now()`.
    pub now_us: i64,
    /// Start of the statement: SQLite's `'now'`, `clock_timestamp()`.
    pub clock_us: i64,
    /// Seeds `random()` and its kin.
    pub seed: u64,
    /// What `last_insert_rowid()` answers until the statement inserts.
    pub last_insert_rowid: i64,
    /// What `changes()` answers.
    pub changes: i64,
    /// The first value that each sequence hands out to this statement, for those
    /// that it draws from, in order of name.
    pub sequences: Vec<(String, i64)>,
}

/// A frame's place: what is known of it without its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameSpan {
    pub term: super::Term,
    /// Its first byte.
    pub start: Lsn,
    /// The first byte after it.
    pub end: Lsn,
}
