//! One session on this node: what it remembers, and how a request is taken apart.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use super::Inner;
use super::activity::{Activity, Claim, Viewer, Who};
use super::advisory::Owner;
use super::copy::CopyIn;
use super::database::Place;
use super::large_object::LargeObjects;
use super::live::Cursor;
use super::portal::Portal;
use super::prepared::Statements;
use super::settings::Settings;
use super::simple::Rest;
use super::transaction::Open;
use crate::cluster::{Position, Role};
use crate::gateway::{
    Canceller, Mode, NodeSession, Out, Refusal, Reply, Request, SessionParams, SettingsMap,
};
use crate::log::{ClientToken, Term, Value};
use crate::node::execute::{Limits, Registers};
use crate::node::plan::{Given, Plan};
use crate::node::readers::Reader;
use crate::node::rows::RowFormat;
use crate::node::writer::UnitError;
use crate::pg::backend::{TransactionStatus, Writer};
use crate::pg::frontend::RawMessage;
use crate::pg::types::Format;
use crate::pg::{Oid, SqlError, SqlState};
use crate::routing::link::Notification;
use crate::sql;
use crate::sql::catalog::{BOOTSTRAP_ROLE, Catalog, database_prefix};
use crate::storage::sqlite::{Environment, Orders, Sqlite, scoped_channel};

/// A session on this node.
pub(crate) struct EngineSession {
    pub(super) inner: Arc<Inner>,
    pub(super) params: SessionParams,
    /// What the client calls its database.
    database_name: Arc<str>,
    pub(super) settings: Settings,
    /// As `settings` when the client was last told.
    told: Arc<SettingsMap>,
    pub(super) statements: Statements,
    pub(super) portals: BTreeMap<String, Portal>,
    /// Portals kept so far.
    pub(super) portals_made: u64,
    /// The open transaction, implicit ones included.
    pub(super) open: Option<Open>,
    /// Transactions to come that take the writer with their first write, because one
    /// that held nothing could not be committed.
    pub(super) cautious: u32,
    /// The statement that runs is not to wait for the writer.
    pub(super) no_wait: bool,
    /// After an error: everything up to Sync is passed over.
    pub(super) skipping: bool,
    /// Set while COPY FROM STDIN takes data.
    pub(super) copy: Option<CopyIn>,
    /// What follows a COPY in the same Query.
    pub(super) rest: Option<Rest>,
    pub(super) token: Option<ClientToken>,
    pub(super) mode: Mode,
    pub(super) cancel: Arc<Cancel>,
    pub(super) registers: Registers,
    /// `currval` by sequence, and the sequence of `lastval`.
    pub(super) sequences: Arc<BTreeMap<String, i64>>,
    pub(super) last_sequence: Option<String>,
    /// What has been read or written so far.
    pub(super) position: Position,
    /// The large objects that its transaction has open.
    pub(super) objects: LargeObjects,
    /// Its database.
    pub(super) place: Place,
    /// Its advisory locks.
    pub(super) locks: Owner,
    /// What it is shown to do.
    pub(super) activity: Activity,
    /// With these settings it is shown.
    shown: Option<Arc<SettingsMap>>,
    /// Whether its user is a role of the catalog, once that is known.
    pub(super) is_role: bool,
    pub(super) identified: bool,
    /// The current user, and whether it is a superuser, as of when the request began or
    /// that changed; and as the client was last told.
    pub(super) current_role: Oid,
    pub(super) superuser: bool,
    pub(super) told_superuser: bool,
    /// Nothing has come since the last ReadyForQuery.
    at_rest: bool,
    /// The first error of a silent request.
    failed: Option<String>,
}

/// Says stop to whatever the session does.
#[derive(Default)]
pub(super) struct Cancel {
    pub(super) flag: Arc<AtomicBool>,
    pub(super) asked: Notify,
}

/// Why the session stops doing what it does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The statement failed: the client is told.
    Sql(SqlError),
    /// The request is not for this node (now): the router is told.
    Refused(Refusal),
    /// The client, or whatever lies between, is gone.
    Gone,
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UnitError> for Stop {
    fn from(error: UnitError) -> Self {
        match error {
            UnitError::Sql(error) => Self::Sql(error),
            UnitError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl NodeSession for EngineSession {
    async fn run(&mut self, request: Request, out: &mut Out) -> Result<Reply, Refusal> {
        let start = out.buffer.len();
        if request.mode == Mode::Errand {
            return match self.run_errand(&request, out).await {
                Ok(()) => Ok(Reply::default()),
                Err(Stop::Refused(refusal)) => Err(refusal),
                Err(Stop::Sql(error)) => Err(Refusal::Failed(error.to_string())),
                Err(Stop::Gone) => Err(Refusal::Unknown),
            };
        }
        let flushed = std::mem::replace(&mut out.flushed, false);
        self.cancel.flag.store(false, Ordering::Relaxed);
        self.token = request.token;
        self.mode = request.mode;
        let before = Arc::clone(self.settings.map());
        let ended = self.serve(request, out).await;
        if self.mode == Mode::Lookup {
            // What a BEGIN in it began holds nothing.
            self.roll_back().await;
        }
        if self.mode == Mode::Silent {
            out.buffer.truncate(start);
            if let Some(cause) = self.failed.take() {
                return Err(Refusal::Failed(cause));
            }
        }
        match ended {
            Ok(unfinished) => {
                out.flushed |= flushed;
                Ok(self.reply(unfinished, &before))
            }
            Err(Stop::Refused(refusal)) => {
                self.abandon_unit().await;
                out.buffer.truncate(start);
                out.flushed |= flushed;
                Err(refusal)
            }
            Err(Stop::Sql(_) | Stop::Gone) => {
                self.abandon_unit().await;
                Ok(self.reply(false, &before))
            }
        }
    }

    fn canceller(&self) -> Canceller {
        let cancel = Arc::clone(&self.cancel);
        Canceller(Arc::new(move || {
            cancel.flag.store(true, Ordering::Relaxed);
            cancel.asked.notify_waiters();
        }))
    }
}

impl EngineSession {
    pub(super) fn new(inner: Arc<Inner>, params: SessionParams) -> Self {
        let settings = Settings::new(&params.settings, &params.user);
        let first = &inner.options.database;
        let name = if params.database.is_empty() { first } else { &params.database };
        Self {
            place: Place::told_by(name, first),
            database_name: name.as_str().into(),
            told: Arc::clone(settings.map()),
            objects: LargeObjects::default(),
            locks: inner.advisory.owner(params.backend_pid),
            activity: inner.activities.enter(&params),
            shown: None,
            inner,
            params,
            settings,
            statements: Arc::default(),
            portals: BTreeMap::new(),
            portals_made: 0,
            open: None,
            cautious: 0,
            no_wait: false,
            skipping: false,
            copy: None,
            rest: None,
            token: None,
            mode: Mode::Client,
            cancel: Arc::default(),
            registers: Registers::default(),
            sequences: Arc::default(),
            last_sequence: None,
            position: Position::default(),
            is_role: false,
            identified: false,
            current_role: BOOTSTRAP_ROLE,
            superuser: true,
            told_superuser: true,
            at_rest: true,
            failed: None,
        }
    }

    /// Carries out the messages of a request; whether more of its unit must come.
    async fn serve(&mut self, request: Request, out: &mut Out) -> Result<bool, Stop> {
        self.pin_loan();
        self.set_reads_resting(false);
        self.activity.wakes();
        let served = self.serve_pinned(request, out).await;
        if !matches!(served, Ok(true)) {
            self.show();
            self.activity.rests(self.status());
            let holds = self.open.as_ref().is_some_and(Open::holds_writer);
            self.activity.claims(if holds { Claim::Holds } else { Claim::Nothing });
        }
        self.set_reads_resting(true);
        self.unpin_loan();
        served
    }

    async fn serve_pinned(&mut self, request: Request, out: &mut Out) -> Result<bool, Stop> {
        self.await_position(request.see).await?;
        let entered = match self.enter_database().await {
            Ok(()) if self.identified => self.refresh_superuser().await,
            Ok(()) => self.identify().await,
            stopped => stopped,
        };
        match entered {
            Err(Stop::Sql(error)) => {
                self.report(&error, out);
                self.ready(out);
                return Ok(false);
            }
            entered => entered?,
        }
        self.show();
        let mut messages = request.messages;
        while let Some(message) = next_message(&mut messages)? {
            let result = self.message(&message, &messages, out).await;
            match result {
                Ok(()) => {}
                Err(Stop::Refused(_)) if out.flushed => {
                    // The client has seen a part of the answer: it can't be given again.
                    let error = SqlError::new(
                        SqlState::SERIALIZATION_FAILURE,
                        "the statement was cut off by a change of leadership",
                    )
                    .with_hint("The transaction might succeed if retried.");
                    self.report(&error, out);
                    self.fail_transaction().await;
                    if message.tag() == b'Q' {
                        self.ready(out);
                    } else {
                        self.skipping = true;
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(!self.at_rest)
    }

    /// Has others see who it is, if that has changed.
    fn show(&mut self) {
        if self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, self.settings.map())) {
            return;
        }
        self.shown = Some(Arc::clone(self.settings.map()));
        self.activity.is_known_as(Who {
            user: self.session_user().to_owned(),
            role: (self.user() == self.session_user()).then_some(self.current_role),
            database: Arc::clone(&self.database_name),
            database_number: self.place.number(),
            application: self.settings.map().get("application_name").cloned().unwrap_or_default(),
        });
    }

    async fn message(
        &mut self,
        message: &RawMessage,
        behind: &Bytes,
        out: &mut Out,
    ) -> Result<(), Stop> {
        if self.copy.is_some() {
            return self.copy_message(message, out).await;
        }
        self.no_wait = false;
        match message.tag() {
            // Left over from a COPY that has failed.
            b'd' | b'c' | b'f' => return Ok(()),
            _ => self.at_rest = false,
        }
        match message.tag() {
            b'Q' if self.skipping => Ok(()),
            b'Q' => self.simple_message(message, out).await,
            b'F' if self.skipping => Ok(()),
            b'F' => self.function_call_message(message, out).await,
            b'S' => self.sync(out).await,
            _ if self.skipping => Ok(()),
            _ => {
                let result = self.extended_message(message, behind, out).await;
                if let Err(Stop::Sql(error)) = result {
                    self.report(&error, out);
                    self.fail_transaction().await;
                    self.skipping = true;
                    return Ok(());
                }
                result
            }
        }
    }

    /// Sync: ends the implicit transaction.
    async fn sync(&mut self, out: &mut Out) -> Result<(), Stop> {
        let failed = std::mem::take(&mut self.skipping);
        let ended = self.end_implicit(!failed).await;
        match ended {
            Ok(()) => {}
            Err(Stop::Sql(error)) => self.report(&error, out),
            Err(stop) => return Err(stop),
        }
        self.ready(out);
        Ok(())
    }

    /// Appends an error, or keeps it where nobody listens.
    pub(super) fn report(&mut self, error: &SqlError, out: &mut Out) {
        let error = self.shown_error(error);
        if self.mode == Mode::Silent {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        Writer(&mut out.buffer).error(&error);
    }

    /// An error as the client knows its objects: their names without the prefix by which
    /// the file tells databases apart.
    pub(super) fn shown_error<'e>(&self, error: &'e SqlError) -> Cow<'e, SqlError> {
        let prefix = database_prefix(self.place.number());
        if prefix.is_empty() {
            return Cow::Borrowed(error);
        }
        let mut error = error.clone();
        let bare = |text: &mut String| *text = text.replace(&prefix, "");
        bare(&mut error.message);
        let fields = [
            &mut error.detail,
            &mut error.hint,
            &mut error.schema,
            &mut error.table,
            &mut error.column,
            &mut error.constraint,
        ];
        fields.into_iter().flatten().for_each(bare);
        Cow::Owned(error)
    }

    /// ReadyForQuery, and before it the settings that have changed.
    pub(super) fn ready(&mut self, out: &mut Out) {
        self.tell_settings(out);
        if self.open.is_none() {
            self.locks.end_transaction();
            self.end_portals(true);
        }
        Writer(&mut out.buffer).ready_for_query(self.status());
        self.at_rest = true;
    }

    /// ParameterStatus for what has changed.
    pub(super) fn tell_settings(&mut self, out: &mut Out) {
        if !self.settings.differs(&self.told) {
            return;
        }
        for (name, value) in self.settings.changed_reports(&self.told) {
            Writer(&mut out.buffer).parameter_status(name, &value);
        }
        self.told = Arc::clone(self.settings.map());
        if std::mem::replace(&mut self.told_superuser, self.superuser) != self.superuser {
            let shown = if self.superuser { "on" } else { "off" };
            Writer(&mut out.buffer).parameter_status("is_superuser", shown);
        }
    }

    /// LISTEN: to all that is committed after what this node has applied.
    pub(super) fn listen(&mut self, channel: String) -> Result<(), SqlError> {
        let hub = &self.inner.hub;
        let lsn = *hub.applied.borrow();
        let term = hub.leadership.borrow().term;
        let since = Position { term, lsn };
        self.saw(since);
        let channel = self.own_channel(&channel)?;
        let mut channels = self.settings.channels();
        channels.entry(channel).or_insert(since);
        self.settings.set_channels(&channels)
    }

    /// UNLISTEN: one, or all.
    pub(super) fn unlisten(&mut self, channel: Option<&str>) -> Result<(), SqlError> {
        let channel = channel.map(|channel| self.own_channel(channel)).transpose()?;
        let mut channels = self.settings.channels();
        channels.retain(|known, _| channel.as_ref().is_some_and(|channel| channel != known));
        self.settings.set_channels(&channels)
    }

    /// A channel of the session's database, as notifications in it are marked.
    fn own_channel(&self, channel: &str) -> Result<String, SqlError> {
        scoped_channel(self.place.number(), channel).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "channel name cannot be empty")
        })
    }

    fn status(&self) -> TransactionStatus {
        match &self.open {
            Some(open) if open.explicit && open.failed => TransactionStatus::Failed,
            Some(open) if open.explicit => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }

    fn reply(&self, unfinished: bool, before: &Arc<SettingsMap>) -> Reply {
        let changed = self.settings.differs(before);
        Reply {
            status: self.status(),
            position: self.position,
            settings: changed.then(|| Arc::clone(self.settings.map())),
            unfinished,
        }
    }

    /// Forgets the unit that was refused: it comes again, whole, perhaps elsewhere.
    async fn abandon_unit(&mut self) {
        self.skipping = false;
        self.at_rest = true;
        self.copy = None;
        self.rest = None;
        if self.open.as_ref().is_some_and(|open| !open.explicit) {
            self.roll_back().await;
        }
    }

    /// Waits, within a bound, until this node has applied what the request must see.
    pub(super) async fn await_position(&mut self, see: Position) -> Result<(), Stop> {
        if see.lsn.0 == 0 {
            return Ok(());
        }
        self.position = self.position.max(see);
        let hub = &self.inner.hub;
        let term = hub.leadership.borrow().term;
        if see.term < term && self.is_lost(see) {
            self.position = Position::default();
            return Err(Refusal::Lost.into());
        }
        if see.term <= term && *hub.applied.borrow() >= see.lsn {
            return Ok(());
        }
        let _awaiting = hub.awaiting_applied();
        let mut applied = hub.applied.subscribe();
        let mut leadership = hub.leadership.subscribe();
        let caught_up = async {
            let term = leadership.wait_for(|leadership| leadership.term >= see.term).await.is_ok();
            let lsn = applied.wait_for(|applied| *applied >= see.lsn).await.is_ok();
            term && lsn
        };
        match tokio::time::timeout(self.inner.options.see_patience, caught_up).await {
            Ok(true) => Ok(()),
            _ => Err(Refusal::Behind.into()),
        }
    }

    /// Whether the log that this node holds went another way before `seen`: its term
    /// ended below it.
    fn is_lost(&self, seen: Position) -> bool {
        let history = self.inner.log.history();
        let mut later = history.starts().iter().filter(|(term, _)| *term > seen.term);
        later.next().is_some_and(|(_, start)| *start < seen.lsn)
    }

    /// The term in which this node may carry out writes now.
    pub(super) fn leading_term(&self) -> Result<Term, Refusal> {
        let hub = &self.inner.hub;
        let leadership = hub.leadership.borrow();
        match leadership.role {
            Role::Leader => Ok(leadership.term),
            Role::Opening => Err(Refusal::Unavailable("the leader is opening".to_owned())),
            Role::Follower => Err(Refusal::NotLeader {
                term: leadership.term,
                leader: leadership.leader.clone().filter(|leader| *leader != hub.me),
            }),
        }
    }

    /// When the statement that begins now must stop.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            cancel: Arc::clone(&self.cancel.flag),
            deadline: self.settings.statement_timeout().map(|timeout| Instant::now() + timeout),
        }
    }

    pub(super) fn given(&self, types: &[Oid]) -> Given {
        let reading = Arc::clone(&self.settings.reading);
        let database = Arc::clone(&self.database_name);
        let owner = self.current_role;
        Given { types: types.to_vec(), database, reading, owner, of_cursor: false }
    }

    /// The plan of one statement, against the schema that it will meet.
    pub(super) async fn plan(&mut self, text: &str, types: &[Oid]) -> Result<Arc<Plan>, Stop> {
        if sql::may_be_temporary(text) {
            self.settings.allot_temporary_schema()?;
        }
        let given = self.given(types);
        let catalog = self.catalog().await?;
        Ok(self.inner.plans.get(text, &given, catalog)?)
    }

    /// The plan of a statement's shape, and its values. `None` where the values must
    /// stay in the text.
    pub(super) async fn shaped_plan(
        &mut self,
        text: &str,
    ) -> Result<Option<(Arc<Plan>, Vec<Value>)>, Stop> {
        if self.settings.reading.sqlite_dialect || self.check_not_failed().is_err() {
            return Ok(None);
        }
        let Some(shape) = sql::shape(text) else { return Ok(None) };
        let given = self.given(&shape.types);
        let catalog = self.catalog().await?;
        let Some(plan) = self.inner.plans.get_shaped(&shape, &given, catalog) else {
            return Ok(None);
        };
        let display = &self.settings.display;
        let typed = |(value, oid): (Value, &Oid)| match value {
            Value::Text(text) => {
                plan.catalog.decode(text.as_bytes(), *oid, Format::Text, display).ok()
            }
            value => Some(value),
        };
        // A value that can't be read is told of by whoever reads the whole text.
        let values: Option<Vec<Value>> =
            shape.values.into_iter().zip(plan.params()).map(typed).collect();
        Ok(values.map(|values| (plan, values)))
    }

    /// The catalog that the next statement meets.
    pub(super) async fn catalog(&mut self) -> Result<Arc<Catalog>, Stop> {
        let failed = |error| crate::node::errors::translate_bare(&error);
        let database = self.place.number();
        // A transaction sees its own DDL.
        if let Some(loan) = self.open.as_ref().and_then(|open| open.loan.as_ref()) {
            let mut taken = loan.take().map_err(|revoked| revoked.error())?;
            let catalog = taken.catalog_of(database);
            return Ok(catalog.map_err(failed)?);
        }
        Ok(self.reader().await?.catalog_of(database).map_err(failed)?)
    }

    pub(super) async fn reader(&mut self) -> Result<Reader, Stop> {
        if self.inner.writer.quarantined() {
            return Err(Refusal::Unavailable("its content is being replaced".to_owned()).into());
        }
        Ok(self.inner.readers.take().await.map_err(SqlError::from)?)
    }

    /// Whether this node follows.
    pub(super) fn in_recovery(&self) -> bool {
        self.inner.hub.leadership.borrow().role != Role::Leader
    }

    /// What system functions ask of the session.
    pub(super) fn environment(&self) -> Arc<Environment> {
        let hub = &self.inner.hub;
        let in_recovery = self.in_recovery();
        Arc::new(Environment {
            user: self.user().to_owned(),
            session_user: self.session_user().to_owned(),
            owner: self.owner_name().to_owned(),
            database: self.database().to_owned(),
            first_database: self.inner.options.database.clone(),
            in_recovery,
            backend_pid: self.params.backend_pid,
            client: self.params.client,
            commit_lsn: *hub.commit.borrow(),
            applied_lsn: *hub.applied.borrow(),
            search_path: self.settings.search_path_text().to_owned(),
            settings: self.all_settings(),
            sequence_values: Arc::clone(&self.sequences),
            last_sequence: self.last_sequence.clone(),
            live: super::live::relations(
                hub,
                &self.inner.activities,
                &self.inner.advisory,
                Viewer { user: self.session_user().to_owned(), superuser: self.superuser },
                self.cursors(),
                Arc::clone(&self.statements),
            ),
            advisory: self.locks.calls(self.place.number()),
            orders: self.orders(),
        })
    }

    /// How `pg_terminate_backend` and kin reach the gateways of all sessions: each has a
    /// link to this node.
    pub(super) fn orders(&self) -> Orders {
        let (hub, order) = (Arc::clone(&self.inner.hub), self.order());
        Orders::new(move |channel, pid| {
            // No gateway being there is no error.
            let _ = hub.notifications.send(Arc::new(Notification {
                channel: channel.to_owned(),
                payload: pid.to_string(),
                ..order.clone()
            }));
        })
    }

    /// What gateways are told at once, with nothing in it yet.
    pub(super) fn order(&self) -> Notification {
        Notification {
            position: Position::default(),
            number: 0,
            pid: self.params.backend_pid,
            channel: String::new(),
            payload: String::new(),
        }
    }

    /// The cursors that are open.
    fn cursors(&self) -> Vec<Cursor> {
        let cursors = self.portals.iter().filter_map(|(name, portal)| {
            let declared = portal.declared.as_ref()?;
            Some(Cursor {
                name: name.clone(),
                statement: Arc::clone(&declared.said),
                hold: portal.hold,
                binary: !portal.format.formats.is_empty(),
                scroll: portal.place.can_scroll(),
                made_us: declared.made_us,
            })
        });
        cursors.collect()
    }

    /// What the client calls the session's database.
    pub(super) fn database(&self) -> &str {
        &self.database_name
    }

    /// Sets a connection's surroundings for a plan, where it may ask for them.
    pub(super) fn surround(&self, sqlite: &mut Sqlite, plan: &Plan) {
        sqlite.set_database(plan.database());
        if plan.needs_environment {
            sqlite.set_environment(self.environment());
        }
    }

    /// Notes what a statement drew from sequences.
    pub(super) fn note_drawn(&mut self, drawn: Option<crate::node::execute::Drawn>) {
        if let Some((values, latest)) = drawn {
            Arc::make_mut(&mut self.sequences).extend(values);
            if latest.is_some() {
                self.last_sequence = latest;
            }
        }
    }
}

impl Drop for EngineSession {
    /// With the session go its temporary objects.
    fn drop(&mut self) {
        let schema = self.settings.temporary_schema();
        let leads = self.inner.hub.leadership.borrow().role == Role::Leader;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if schema.is_empty() || !leads {
            return;
        }
        let text = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        let mut heir = Self::new(Arc::clone(&self.inner), self.params.clone());
        runtime.spawn(async move {
            if heir.enter_database().await.is_err() {
                return;
            }
            let Ok(plan) = heir.plan(&text, &[]).await else { return };
            let _ = heir.write(&plan, Vec::new(), &RowFormat::default(), true).await;
        });
    }
}

/// Cuts the next message off. The router sends whole messages only.
fn next_message(messages: &mut Bytes) -> Result<Option<RawMessage>, Stop> {
    let broken =
        || Stop::Sql(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "a message is cut off"));
    if messages.is_empty() {
        return Ok(None);
    }
    let length = messages.get(1..5).and_then(|bytes| bytes.try_into().ok()).ok_or_else(broken)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| broken())?;
    if length < 4 || messages.len() < length + 1 {
        return Err(broken());
    }
    Ok(Some(RawMessage { bytes: messages.split_to(length + 1) }))
}

/// Waits for `answer` unless the client cancels first.
pub(super) async fn unless_cancelled<T>(
    cancel: &Cancel,
    answer: impl Future<Output = T>,
) -> Option<T> {
    let asked = cancel.asked.notified();
    tokio::pin!(asked);
    asked.as_mut().enable();
    if cancel.flag.load(Ordering::Relaxed) {
        return None;
    }
    tokio::select! {
        answer = answer => Some(answer),
        () = asked => None,
    }
}
