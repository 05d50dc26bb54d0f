//! What sessions ask of the writer, and what they hear back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::sync::oneshot;

use super::loan::Loan;
use super::trial::{Script, Trial};
use crate::cluster::Position;
use crate::gateway::Refusal;
use crate::log::{ClientToken, Entry, Lsn, Value};
use crate::node::execute::{Drawn, Limits, Registers};
use crate::node::plan::Plan;
use crate::node::rows::{RowBuffer, RowFormat};
use crate::pg::SqlError;
use crate::storage::sqlite::{Environment, SettingMade};

/// How safe a write must be before its own reply leaves (`synchronous_commit`).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Durability {
    /// `off`: appended.
    Appended,
    /// `local`: fsynced here.
    Local,
    /// `remote_write`: that, and written by as many followers as the policy demands.
    Written,
    /// `on`: committed under the policy.
    #[default]
    Committed,
    /// `remote_apply`: committed, and visible on as many followers as the policy demands.
    Applied,
}

/// A place in the writer's queue.
pub(crate) enum Job {
    /// One autocommit write, run as a member of a group.
    Unit(Box<Unit>),
    /// A statement of a transaction that holds nothing, run and undone.
    Trial(Box<Trial>),
    /// A transaction that its session runs itself.
    Borrow(Box<Borrow>),
    /// A frame that changes nothing in the databases.
    Note(Note),
}

/// A wish for a marker or a configuration in the log.
pub(crate) struct Note {
    pub entry: Entry,
    /// Told its end, once it is committed.
    pub reply: oneshot::Sender<Lsn>,
}

/// Where a write's result is told.
pub(crate) type Reply = oneshot::Sender<Result<Done, UnitError>>;

/// One autocommit write, or the COMMIT of a transaction that holds nothing.
pub(crate) struct Unit {
    /// What the transaction has done, to be done again before `plan`.
    pub script: Option<Script>,
    pub plan: Arc<Plan>,
    /// The number of the session's database.
    pub database: u32,
    pub params: Vec<Value>,
    pub format: RowFormat,
    pub token: Option<ClientToken>,
    /// Don't run it: answer what is recorded under `token`.
    pub lookup: bool,
    pub durability: Durability,
    pub limits: Limits,
    /// End of `lock_timeout`.
    pub lock_deadline: Option<Instant>,
    pub environment: Arc<Environment>,
    pub registers: Registers,
    pub claim: Arc<Claim>,
    /// The writer has begun it, perhaps more than once.
    pub begun: bool,
    pub reply: Reply,
}

/// How far a unit has come, as both its session and the writer see it.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// Set by whoever comes first: the writer when it begins the unit, the session
    /// when it gives up waiting.
    pub taken: AtomicBool,
    /// It is about to be in the log: what comes of it is no longer this node's alone.
    pub logged: AtomicBool,
}

/// A wish for the writer's connection.
pub(crate) struct Borrow {
    /// The number of the session's database.
    pub database: u32,
    /// Of the transaction's COMMIT: one that is recorded must not run again.
    pub token: Option<ClientToken>,
    pub limits: Limits,
    pub lock_deadline: Option<Instant>,
    /// Ends the loan when its holder is idle that long; `None` is never.
    pub idle_max: Option<std::time::Duration>,
    pub reply: oneshot::Sender<Result<Loan, UnitError>>,
}

/// A unit's result.
#[derive(Debug)]
pub(crate) struct Done {
    /// Rows changed.
    pub count: i64,
    pub rows: RowBuffer,
    pub registers: Registers,
    pub drawn: Option<Drawn>,
    pub settings: Vec<SettingMade>,
    /// Where the session's next reads begin.
    pub position: Position,
    /// The recorded command tag of a write that had been carried out before.
    pub recorded_tag: Option<String>,
}

/// Why a unit has no result.
#[derive(Clone, Debug)]
pub(crate) enum UnitError {
    /// It failed, and its session may know.
    Sql(SqlError),
    /// It was not carried out here, or nobody can tell.
    Refused(Refusal),
}

impl From<SqlError> for UnitError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for UnitError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
