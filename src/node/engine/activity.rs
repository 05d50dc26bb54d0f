//! What this node's sessions do, as `pg_stat_activity` shows it.
//!
//! A session that a proxy carries is present on each node that has served it: a node
//! shows of it what it does here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gateway::SessionParams;
use crate::log::Value;
use crate::node::execute::wall_clock_us;
use crate::pg::Oid;
use crate::pg::backend::TransactionStatus;
use crate::pg::types::datetime::{UNIX_EPOCH, print_timestamptz};
use crate::pg::types::zone::Zone;
use crate::sql::catalog::{NamedRow, database_oid};

/// A statement is shown up to here, as PostgreSQL's `track_activity_query_size` has it.
const SHOWN_BYTES: usize = 1024;

/// All sessions on this node.
#[derive(Debug, Default)]
pub(super) struct Activities(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    by_number: BTreeMap<u64, Arc<Mutex<Doing>>>,
    numbers: u64,
}

/// One session's place among them; dropping it leaves.
pub(super) struct Activity {
    all: Arc<Activities>,
    number: u64,
    doing: Arc<Mutex<Doing>>,
}

/// Who asks what the sessions do.
pub(super) struct Viewer {
    pub(super) user: String,
    pub(super) superuser: bool,
}

/// Who a session is, and what it does. Moments are microseconds since 1970.
#[derive(Debug)]
struct Doing {
    pid: i32,
    client: Option<SocketAddr>,
    who: Who,
    began_us: i64,
    transaction_us: Option<i64>,
    statement_us: Option<i64>,
    changed_us: i64,
    /// None: it works.
    rests: Option<TransactionStatus>,
    /// The latest statement.
    statement: String,
    writer: Claim,
}

/// What a session has of the one writer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Claim {
    Nothing,
    Waits,
    Holds,
}

/// What a session is known by, which it may change.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    pub(super) user: String,
    /// None: as before, for it acts as another.
    pub(super) role: Option<Oid>,
    pub(super) database: Arc<str>,
    pub(super) database_number: u32,
    pub(super) application: String,
}

impl Activities {
    pub(super) fn enter(self: &Arc<Self>, params: &SessionParams) -> Activity {
        let now = wall_clock_us();
        let doing = Arc::new(Mutex::new(Doing {
            pid: params.backend_pid,
            client: params.client,
            who: Who::default(),
            began_us: now,
            transaction_us: None,
            statement_us: None,
            changed_us: now,
            rests: Some(TransactionStatus::Idle),
            statement: String::new(),
            writer: Claim::Nothing,
        }));
        let mut sessions = lock(&self.0);
        sessions.numbers += 1;
        let number = sessions.numbers;
        sessions.by_number.insert(number, Arc::clone(&doing));
        Activity { all: Arc::clone(self), number, doing }
    }

    /// The rows of `pg_stat_activity`. What others do, only superusers may know.
    pub(super) fn rows(&self, viewer: &Viewer) -> Vec<NamedRow> {
        let sessions: Vec<_> = lock(&self.0).by_number.values().cloned().collect();
        sessions.iter().map(|doing| lock(doing).row(viewer)).collect()
    }

    /// Rows of `pg_locks`: who holds the writer with a transaction, and who waits for it.
    pub(super) fn locks(&self) -> Vec<NamedRow> {
        let sessions: Vec<_> = lock(&self.0).by_number.values().cloned().collect();
        sessions.iter().filter_map(|doing| lock(doing).lock_row()).collect()
    }
}

impl Activity {
    /// A request has come.
    pub(super) fn wakes(&self) {
        let mut doing = lock(&self.doing);
        let now = wall_clock_us();
        if doing.rests == Some(TransactionStatus::Idle) {
            doing.transaction_us = Some(now);
        }
        (doing.rests, doing.changed_us) = (None, now);
    }

    /// A statement begins.
    pub(super) fn runs(&self, statement: &str) {
        let mut doing = lock(&self.doing);
        doing.statement_us = Some(wall_clock_us());
        doing.statement.clear();
        doing.statement.push_str(&statement[..statement.floor_char_boundary(SHOWN_BYTES)]);
    }

    /// A request has been answered.
    pub(super) fn rests(&self, status: TransactionStatus) {
        let mut doing = lock(&self.doing);
        if status == TransactionStatus::Idle {
            doing.transaction_us = None;
        }
        (doing.rests, doing.changed_us) = (Some(status), wall_clock_us());
    }

    /// It asks for the writer, has it, or has given it back.
    pub(super) fn claims(&self, writer: Claim) {
        lock(&self.doing).writer = writer;
    }

    pub(super) fn is_known_as(&self, who: Who) {
        let mut doing = lock(&self.doing);
        doing.who = Who { role: who.role.or(doing.who.role), ..who };
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        lock(&self.all.0).by_number.remove(&self.number);
    }
}

impl Doing {
    fn lock_row(&self) -> Option<NamedRow> {
        let granted = match self.writer {
            Claim::Nothing => return None,
            Claim::Waits => false,
            Claim::Holds => true,
        };
        let mode = if granted { "ExclusiveLock" } else { "ShareLock" };
        Some(lock_row("transactionid", self.pid, mode, granted))
    }

    fn row(&self, viewer: &Viewer) -> NamedRow {
        let moment = |at: Option<i64>| at.map_or(Value::Null, |us| Value::Text(printed(us)));
        let text = |text: &str| Value::Text(text.to_owned());
        let mut row = vec![
            ("datid", Value::Integer(database_oid(self.who.database_number))),
            ("datname", text(&self.who.database)),
            ("pid", Value::Integer(self.pid.into())),
            ("usesysid", self.who.role.map_or(Value::Null, |role| Value::Integer(role.0.into()))),
            ("usename", text(&self.who.user)),
            ("application_name", text(&self.who.application)),
        ];
        if viewer.superuser || viewer.user == self.who.user {
            let client = Some(("Client", "ClientRead"));
            let (state, waits) = match self.rests {
                None if self.writer == Claim::Waits => ("active", Some(("Lock", "transactionid"))),
                None => ("active", None),
                Some(TransactionStatus::Idle) => ("idle", client),
                Some(TransactionStatus::InTransaction) => ("idle in transaction", client),
                Some(TransactionStatus::Failed) => ("idle in transaction (aborted)", client),
            };
            let client = self.client;
            row.extend([
                ("client_addr", client.map_or(Value::Null, |at| Value::Text(at.ip().to_string()))),
                ("client_port", client.map_or(Value::Null, |at| Value::Integer(at.port().into()))),
                ("backend_start", moment(Some(self.began_us))),
                ("xact_start", moment(self.transaction_us)),
                ("query_start", moment(self.statement_us)),
                ("state_change", moment(Some(self.changed_us))),
                ("wait_event_type", waits.map_or(Value::Null, |(kind, _)| text(kind))),
                ("wait_event", waits.map_or(Value::Null, |(_, event)| text(event))),
                ("state", text(state)),
                ("query", text(&self.statement)),
                ("backend_type", text("client backend")),
            ]);
        } else {
            row.push(("query", text("<insufficient privilege>")));
        }
        row.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
    }
}

/// What all rows of `pg_locks` tell.
pub(super) fn lock_row(kind: &str, pid: i32, mode: &str, granted: bool) -> NamedRow {
    let cells = [
        ("locktype", Value::Text(kind.to_owned())),
        ("pid", Value::Integer(pid.into())),
        ("mode", Value::Text(mode.to_owned())),
        ("granted", Value::Integer(granted.into())),
        ("fastpath", Value::Integer(0)),
    ];
    cells.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
}

/// A `timestamptz`, from microseconds since 1970.
pub(super) fn printed(us: i64) -> String {
    let mut printed = String::new();
    print_timestamptz(us + UNIX_EPOCH, &Zone::UTC, &mut printed);
    printed
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
