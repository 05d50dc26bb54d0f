//! Nodes that know just enough SQL to be routed to, and a cluster of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::sync::{Notify, broadcast};

use crate::cluster::{NodeId, Position};
use crate::gateway::{
    Canceller, Errand, LocalNode, Login, LoginRole, Mode, NodeSession, Out, Refusal, Reply,
    Request, SessionParams, SettingsMap,
};
use crate::log::{ClientToken, Lsn, Term};
use crate::pg::backend::{Field, TransactionStatus, Writer};
use crate::pg::frontend::{Message, RawMessage, Target};
use crate::pg::types::Format;
use crate::pg::{Oid, SqlError, SqlState};
use crate::routing::link::{NodeState, Notification};
use crate::storage::sqlite::CANCEL_REQUEST;

/// What all nodes of a fake cluster share: the rows written, by whom they are led.
pub(super) struct FakeCluster {
    pub(super) state: Mutex<ClusterState>,
    /// What its nodes tell all gateways.
    told: broadcast::Sender<Arc<Notification>>,
}

impl Default for FakeCluster {
    fn default() -> Self {
        Self { state: Mutex::default(), told: broadcast::Sender::new(16) }
    }
}

#[derive(Default)]
pub(super) struct ClusterState {
    pub(super) term: u64,
    pub(super) leader: Option<NodeId>,
    pub(super) rows: Vec<String>,
    pub(super) tokens: BTreeMap<ClientToken, usize>,
    /// The next write takes place, and then its node is struck dumb.
    pub(super) break_next_write: bool,
    /// The next write is lost on its way.
    pub(super) drop_next_write: bool,
    /// Statements that their nodes did not survive.
    pub(super) losses: usize,
    /// A role.
    pub(super) bob: Option<LoginRole>,
}

#[derive(Clone)]
pub(super) struct FakeNode {
    pub(super) name: NodeId,
    pub(super) cluster: Arc<FakeCluster>,
    pub(super) applied: Arc<AtomicU64>,
    /// Refuses everything.
    pub(super) stopped: Arc<AtomicBool>,
    pub(super) cancels: Arc<AtomicU64>,
    /// Statements that sleep.
    pub(super) asleep: Arc<AtomicU64>,
    /// The most prepared statements that a session had here.
    pub(super) statements_most: Arc<AtomicUsize>,
}

pub(super) struct FakeSession {
    node: FakeNode,
    cancel: Arc<Notify>,
    /// A statement runs that a cancel can stop.
    busy: Arc<AtomicBool>,
    settings: SettingsMap,
    statements: BTreeMap<String, String>,
    portals: BTreeMap<String, String>,
    status: TransactionStatus,
    /// The session's database is one that the node knows.
    known: bool,
    /// An extended unit has failed; nothing more until Sync.
    failed: bool,
    copying: Option<(usize, bool)>,
    /// Rows of the open transaction.
    pending: Vec<String>,
    token: Option<ClientToken>,
}

impl FakeNode {
    pub(super) fn new(name: &str, cluster: &Arc<FakeCluster>) -> Self {
        Self {
            name: name.parse().expect("a name"),
            cluster: Arc::clone(cluster),
            applied: Arc::default(),
            stopped: Arc::default(),
            cancels: Arc::default(),
            asleep: Arc::default(),
            statements_most: Arc::default(),
        }
    }

    /// Knows the role `bob`, with the verifier that the cluster's state holds.
    fn run_errand(&self, messages: &[u8]) -> Vec<u8> {
        let errand = serde_json::from_slice(messages).expect("an errand");
        let state = self.cluster.state.lock().expect("whole");
        let login = match errand {
            Errand::LogIn { user, .. } if user == "bob" => Login {
                role: state.bob.clone(),
                settings: SettingsMap::from([("work_mem".to_owned(), "64MB".to_owned())]),
            },
            Errand::LogIn { .. } => Login::default(),
            Errand::Cancel { pid, secret } => {
                let _ = self.cluster.told.send(Arc::new(Notification {
                    position: Position::default(),
                    number: 0,
                    pid: 0,
                    channel: CANCEL_REQUEST.to_owned(),
                    payload: format!("{pid} {secret}"),
                }));
                Login::default()
            }
        };
        serde_json::to_vec(&login).expect("plain JSON")
    }

    fn leads(&self) -> bool {
        self.cluster.state.lock().expect("whole").leader.as_ref() == Some(&self.name)
    }
}

impl LocalNode for FakeNode {
    type Session = FakeSession;

    fn open(&self, params: SessionParams) -> FakeSession {
        FakeSession {
            node: self.clone(),
            cancel: Arc::default(),
            busy: Arc::default(),
            settings: params.settings,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            status: TransactionStatus::Idle,
            known: params.database == "app",
            failed: false,
            copying: None,
            pending: Vec::new(),
            token: None,
        }
    }

    fn notifications(&self) -> broadcast::Receiver<Arc<Notification>> {
        self.cluster.told.subscribe()
    }

    fn state(&self) -> NodeState {
        let state = self.cluster.state.lock().expect("whole");
        let applied =
            Position { term: Term(state.term), lsn: Lsn(self.applied.load(Ordering::SeqCst)) };
        let leads = state.leader.as_ref() == Some(&self.name);
        NodeState { applied, leads, leader: state.leader.clone() }
    }
}

impl NodeSession for FakeSession {
    async fn run(&mut self, request: Request, out: &mut Out) -> Result<Reply, Refusal> {
        if self.node.stopped.load(Ordering::SeqCst) {
            return Err(Refusal::Unavailable("stopped".to_owned()));
        }
        let start = out.buffer.len();
        if request.see.lsn.0 > self.node.applied.load(Ordering::SeqCst) && !self.node.leads() {
            return Err(Refusal::Behind);
        }
        if request.mode == Mode::Errand {
            out.buffer.extend_from_slice(&self.node.run_errand(&request.messages));
            return Ok(Reply::default());
        }
        if !self.known {
            let error = SqlError::fatal(SqlState::INVALID_CATALOG_NAME, "no such database");
            Writer(&mut out.buffer).error(&error);
            Writer(&mut out.buffer).ready_for_query(self.status);
            return Ok(Reply::default());
        }
        self.token = request.token;
        let settings = self.settings.clone();
        if request.mode == Mode::Lookup {
            let token = request.token.expect("a look-up has a token");
            let known = self.node.cluster.state.lock().expect("whole").tokens.contains_key(&token);
            if !known {
                return Err(Refusal::NeverRan);
            }
        }
        let mut messages = BytesMut::from(&request.messages[..]);
        let mut unfinished = true;
        while let Some(raw) = RawMessage::take(&mut messages, 1 << 20).expect("well-formed") {
            let message = raw.decode().expect("well-formed");
            match self.message(message, out).await {
                Ok(ready) => unfinished = !ready,
                Err(Trouble::Refused(refusal)) => {
                    out.buffer.truncate(start);
                    return Err(refusal);
                }
            }
        }
        if request.mode == Mode::Silent {
            let failed = out.buffer[start..].contains(&b'E');
            let text = String::from_utf8_lossy(&out.buffer[start..]).into_owned();
            out.buffer.truncate(start);
            if failed && text.contains("SERROR") {
                return Err(Refusal::Failed(text));
            }
        }
        let position = self.node.state().applied;
        Ok(Reply {
            status: self.status,
            position,
            settings: (settings != self.settings).then(|| Arc::new(self.settings.clone())),
            unfinished,
        })
    }

    fn canceller(&self) -> Canceller {
        let (cancel, count) = (Arc::clone(&self.cancel), Arc::clone(&self.node.cancels));
        let busy = Arc::clone(&self.busy);
        Canceller(Arc::new(move || {
            count.fetch_add(u64::from(busy.load(Ordering::SeqCst)), Ordering::SeqCst);
            cancel.notify_waiters();
        }))
    }
}

enum Trouble {
    Refused(Refusal),
}

impl FakeSession {
    /// Answers whether the unit is over.
    async fn message(&mut self, message: Message, out: &mut Out) -> Result<bool, Trouble> {
        if let Some((rows, simple)) = self.copying {
            match message {
                Message::CopyData(_) => self.copying = Some((rows + 1, simple)),
                Message::CopyDone => {
                    self.copying = None;
                    Writer(&mut out.buffer).command_complete(&format!("COPY {rows}"));
                    if simple {
                        Writer(&mut out.buffer).ready_for_query(self.status);
                        return Ok(true);
                    }
                }
                Message::CopyFail(reason) => {
                    self.copying = None;
                    self.error(SqlState::QUERY_CANCELED, &reason, out);
                    if simple {
                        Writer(&mut out.buffer).ready_for_query(self.status);
                        return Ok(true);
                    }
                    self.failed = true;
                }
                _ => {}
            }
            return Ok(false);
        }
        if self.failed && message != Message::Sync {
            return Ok(false);
        }
        match message {
            Message::Query(text) => {
                self.statements.remove("");
                for statement in text.split(';').filter(|part| !part.trim().is_empty()) {
                    if !self.execute(statement.trim(), true, out).await? {
                        break;
                    }
                    if self.copying.is_some() {
                        return Ok(false);
                    }
                }
                Writer(&mut out.buffer).ready_for_query(self.status);
                return Ok(true);
            }
            Message::Sync => {
                self.failed = false;
                self.portals.clear();
                Writer(&mut out.buffer).ready_for_query(self.status);
                return Ok(true);
            }
            Message::Parse { name, query, .. } => {
                if query.starts_with("syntax") {
                    self.fail("42601", "syntax error", out);
                } else if !name.is_empty() && self.statements.contains_key(&name) {
                    self.fail("42P05", "already exists", out);
                } else {
                    self.statements.insert(name, query);
                    self.node.statements_most.fetch_max(self.statements.len(), Ordering::SeqCst);
                    Writer(&mut out.buffer).parse_complete();
                }
            }
            Message::Bind { portal, statement, .. } => match self.statements.get(&statement) {
                Some(text) => {
                    self.portals.insert(portal, text.clone());
                    Writer(&mut out.buffer).bind_complete();
                }
                None => self.fail("26000", "no such statement", out),
            },
            Message::Describe(target) => {
                let known = match &target {
                    Target::Statement(name) => self.statements.get(name),
                    Target::Portal(name) => self.portals.get(name),
                };
                let Some(text) = known.cloned() else {
                    self.fail("26000", "no such statement", out);
                    return Ok(false);
                };
                let mut writer = Writer(&mut out.buffer);
                if matches!(target, Target::Statement(_)) {
                    writer.parameter_description(&[]);
                }
                if text.starts_with("select") { describe(&mut writer) } else { writer.no_data() }
            }
            Message::Execute { portal, .. } => {
                let text = self.portals.get(&portal).cloned().unwrap_or_default();
                if !self.execute(&text, false, out).await? {
                    self.failed = true;
                }
            }
            Message::Close(target) => {
                match target {
                    Target::Statement(name) => self.statements.remove(&name),
                    Target::Portal(name) => self.portals.remove(&name),
                };
                Writer(&mut out.buffer).close_complete();
            }
            _ => {}
        }
        Ok(false)
    }

    fn fail(&mut self, state: &'static str, message: &str, out: &mut Out) {
        self.error(SqlState(state), message, out);
        self.failed = true;
    }

    fn error(&mut self, state: SqlState, message: &str, out: &mut Out) {
        Writer(&mut out.buffer).error(&SqlError::new(state, message));
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }

    /// Answers whether it went well.
    async fn execute(&mut self, text: &str, simple: bool, out: &mut Out) -> Result<bool, Trouble> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        if self.status == TransactionStatus::Failed && !matches!(verb, "rollback" | "commit") {
            self.error(SqlState::IN_FAILED_SQL_TRANSACTION, "aborted", out);
            return Ok(false);
        }
        match verb {
            "select" if rest == "pg_sleep()" => {
                self.busy.store(true, Ordering::SeqCst);
                self.node.asleep.fetch_add(1, Ordering::SeqCst);
                self.cancel.notified().await;
                self.node.asleep.fetch_sub(1, Ordering::SeqCst);
                self.busy.store(false, Ordering::SeqCst);
                self.error(SqlState::QUERY_CANCELED, "canceled", out);
                return Ok(false);
            }
            "select" if rest == "panic" => panic!("a fault, as was asked for"),
            "select" if rest == "death" => {
                self.node.cluster.state.lock().expect("whole").losses += 1;
                return Err(Trouble::Refused(Refusal::Unknown));
            }
            "select" if rest == "nothing" => {
                self.error(SqlState::UNDEFINED_TABLE, "no such table", out);
                return Ok(false);
            }
            "select" => {
                let value = match rest.split_once(' ').unwrap_or((rest, "")) {
                    ("node", _) => self.node.name.to_string(),
                    ("rows", _) => self.node.cluster.state.lock().expect("whole").rows.join(","),
                    ("setting", name) => self.settings.get(name).cloned().unwrap_or_default(),
                    ("big", _) => "x".repeat(1000),
                    ("wide", bytes) => "x".repeat(bytes.parse().expect("a number")),
                    _ => rest.to_owned(),
                };
                let count = match rest.split_once(' ') {
                    Some(("big", count)) => count.parse().expect("a number"),
                    _ => 1,
                };
                if simple {
                    describe(&mut Writer(&mut out.buffer));
                }
                for _ in 0..count {
                    let mut writer = Writer(&mut out.buffer);
                    let mut row = writer.data_row(1);
                    row.field(|out| {
                        out.extend_from_slice(value.as_bytes());
                        Ok(())
                    })
                    .expect("text is text");
                    row.finish();
                    if count > 1 && out.is_full() && out.flush().await.is_err() {
                        return Ok(false);
                    }
                }
                Writer(&mut out.buffer).command_complete(&format!("SELECT {count}"));
            }
            "insert" => {
                self.write(rest)?;
                Writer(&mut out.buffer).command_complete("INSERT 0 1");
            }
            "create" => {
                self.write(text)?;
                Writer(&mut out.buffer).command_complete("CREATE TABLE");
            }
            "begin" => {
                self.status = TransactionStatus::InTransaction;
                Writer(&mut out.buffer).command_complete("BEGIN");
            }
            "commit" | "rollback" => {
                let commits = verb == "commit" && self.status == TransactionStatus::InTransaction;
                let pending = std::mem::take(&mut self.pending);
                self.status = TransactionStatus::Idle;
                if commits && !pending.is_empty() {
                    self.write(&pending.join(","))?;
                }
                let tag = if commits { "COMMIT" } else { "ROLLBACK" };
                Writer(&mut out.buffer).command_complete(tag);
            }
            "notify" => {
                let _ = self.node.cluster.told.send(Arc::new(Notification {
                    position: Position { term: Term(1), lsn: Lsn(1) },
                    number: 0,
                    pid: 7,
                    channel: rest.to_owned(),
                    payload: String::new(),
                }));
                Writer(&mut out.buffer).command_complete("NOTIFY");
            }
            "set" | "SET" => {
                let (name, value) = rest.split_once(" TO ").expect("SET name TO value");
                self.settings.insert(name.to_owned(), value.trim_matches('\'').to_owned());
                Writer(&mut out.buffer).command_complete("SET");
            }
            "copy" => {
                if !self.node.leads() {
                    return Err(self.not_leader());
                }
                self.copying = Some((0, simple));
                Writer(&mut out.buffer).copy_in_response(1, Format::Text);
                let _ = out.flush().await;
            }
            "error" | "discard" | "DISCARD" => {
                self.error(SqlState::SYNTAX_ERROR, "not understood", out);
                return Ok(false);
            }
            _ => Writer(&mut out.buffer).empty_query_response(),
        }
        Ok(true)
    }

    fn not_leader(&self) -> Trouble {
        let state = self.node.cluster.state.lock().expect("whole");
        Trouble::Refused(Refusal::NotLeader {
            term: Term(state.term),
            leader: state.leader.clone(),
        })
    }

    fn write(&mut self, row: &str) -> Result<(), Trouble> {
        if !self.node.leads() {
            return Err(self.not_leader());
        }
        if self.status == TransactionStatus::InTransaction {
            self.pending.push(row.to_owned());
            return Ok(());
        }
        let mut state = self.node.cluster.state.lock().expect("whole");
        if std::mem::take(&mut state.drop_next_write) {
            return Err(Trouble::Refused(Refusal::Unknown));
        }
        let known = self.token.is_some_and(|token| state.tokens.contains_key(&token));
        if !known {
            state.rows.push(row.to_owned());
            let count = state.rows.len();
            if let Some(token) = self.token {
                state.tokens.insert(token, count);
            }
            self.node.applied.store(count as u64, Ordering::SeqCst);
        }
        if std::mem::take(&mut state.break_next_write) {
            return Err(Trouble::Refused(Refusal::Unknown));
        }
        Ok(())
    }
}

fn describe(writer: &mut Writer<'_>) {
    writer.row_description(&[Field {
        name: "value".to_owned(),
        table: Oid(0),
        column: 0,
        oid: Oid::TEXT,
        size: -1,
        typmod: -1,
        format: Format::Text,
    }]);
}
