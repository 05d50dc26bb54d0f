//! Carrying out one statement: reads and writes by their own modules, and here
//! everything that touches the session alone.

use std::borrow::Cow;
use std::sync::Arc;

use super::cursor::{Declared, Place};
use super::explain;
use super::portal::{Portal, Source, State};
use super::session::{EngineSession, Stop};
use super::settings::{self, isolation_name};
use crate::cluster::Role;
use crate::gateway::{Mode, Out};
use crate::log::Value;
use crate::node::errors;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::node::writer::command_tag;
use crate::pg::backend::Writer;
use crate::pg::settings::shown_name;
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::{self, Class, Column, Isolation, Kind, Tag, Translated};
use crate::storage::sqlite::SettingMade;

/// How a statement ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    Done,
    /// The client must send COPY's data first.
    CopyIn,
}

/// What a utility statement answers with.
enum Answer {
    /// CommandComplete with this tag.
    Tag(Cow<'static, str>),
    CopyIn,
}

impl From<&'static str> for Answer {
    fn from(tag: &'static str) -> Self {
        Self::Tag(Cow::Borrowed(tag))
    }
}

impl EngineSession {
    /// The plan of a statement; in a failed transaction only what ends it has one.
    pub(super) async fn plan_unless_failed(
        &mut self,
        text: &str,
        types: &[Oid],
    ) -> Result<Arc<Plan>, Stop> {
        let Err(error) = self.check_not_failed() else { return self.plan(text, types).await };
        let plan = Plan::make(text, self.given(types), Arc::default());
        match (sql::classify(text), plan) {
            (Class::Commit | Class::Rollback, Ok(plan)) => Ok(Arc::new(plan)),
            (Class::Savepoint, Ok(plan)) if matches!(plan.translated.kind, Kind::RollbackTo(_)) => {
                Ok(Arc::new(plan))
            }
            _ => Err(error.into()),
        }
    }

    /// The plan, made again where the schema has changed since.
    pub(super) async fn current(&mut self, plan: Arc<Plan>) -> Result<Arc<Plan>, Stop> {
        if plan.translated.statements.is_empty() || self.check_not_failed().is_err() {
            return Ok(plan);
        }
        if self.open.as_ref().is_none_or(|open| open.loan.is_none()) {
            let mut reader = self.reader().await?;
            let catalog = reader
                .catalog_of(self.place.number())
                .map_err(|error| errors::translate_bare(&error))?;
            if catalog.version == plan.catalog.version {
                return Ok(plan);
            }
        }
        let types = plan.given.types.clone();
        self.plan(&plan.text, &types).await
    }

    /// Columns of the rows that a plan gives, to whoever describes it.
    pub(super) fn columns_of<'a>(&'a self, plan: &'a Plan) -> Cow<'a, [Column]> {
        match &plan.translated.kind {
            Kind::Show(name) if name.eq_ignore_ascii_case("all") => {
                Cow::Owned(["name", "setting", "description"].map(text_column).to_vec())
            }
            Kind::Show(name) => Cow::Owned(vec![text_column(&shown_name(name))]),
            Kind::Execute { name, .. } => match self.statements.get(name) {
                Some(prepared) => Cow::Borrowed(&prepared.plan.translated.columns),
                None => Cow::Borrowed(&[]),
            },
            Kind::Fetch { cursor, discard: false, .. } => match self.portals.get(cursor) {
                Some(portal) => Cow::Borrowed(&portal.plan.translated.columns),
                None => Cow::Borrowed(&[]),
            },
            Kind::CopyIn { .. } | Kind::CopyOut { .. } | Kind::Declare { .. } => Cow::Borrowed(&[]),
            _ => Cow::Borrowed(&plan.translated.columns),
        }
    }

    /// Runs a plan as the simple protocol does: described, and whole.
    pub(super) async fn run_simple(
        &mut self,
        plan: &Arc<Plan>,
        params: Vec<Value>,
        format: &RowFormat,
        alone: bool,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let mut portal = Portal {
            plan: Arc::clone(plan),
            params,
            format: format.clone(),
            state: State::Fresh,
            tag: None,
            hold: false,
            cursor: false,
            place: Place::default(),
        };
        let run = Run { max: 0, alone, extended: false };
        self.run_described(&mut portal, run, out).await
    }

    /// Runs a portal, or goes on with it, for Execute.
    pub(super) async fn run_portal(
        &mut self,
        portal: &mut Portal,
        max: u64,
        alone: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let run = Run { max, alone, extended: true };
        self.run_described(portal, run, out).await.map(|_| ())
    }

    async fn run_described(
        &mut self,
        portal: &mut Portal,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        if matches!(portal.state, State::Fresh) {
            let plan = Arc::clone(&portal.plan);
            self.check_allowed(&plan).await?;
            self.send_notices(&plan, out);
            match &plan.translated.kind {
                Kind::Empty => {
                    portal.state = State::Done;
                    Writer(&mut out.buffer).empty_query_response();
                    return Ok(Flow::Done);
                }
                Kind::Read { for_update: false } => {
                    self.check_not_failed()?;
                    let source = self.begin_read(&plan, &portal.params, &portal.format).await?;
                    portal.state = State::Open(source);
                }
                Kind::Advisory => {
                    self.check_not_failed()?;
                    let source = self.run_advisory(&plan, &portal.params, &portal.format).await?;
                    portal.state = State::Open(source);
                }
                Kind::Read { .. } | Kind::Write | Kind::Ddl { .. } => {
                    self.check_not_failed()?;
                    let params = std::mem::take(&mut portal.params);
                    let written = self.write(&plan, params, &portal.format, run.alone).await?;
                    portal.tag = Some(written.tag);
                    portal.state = State::Open(Source::Complete(written.rows));
                }
                _ => {
                    portal.state = State::Done;
                    let params = std::mem::take(&mut portal.params);
                    let format = portal.format.clone();
                    return self.utility(&plan, &params, &format, run, out).await;
                }
            }
            if !run.extended && plan.translated.gives_rows() {
                let fields = portal.format.fields(&plan.translated.columns);
                Writer(&mut out.buffer).row_description(&fields);
            }
        }
        self.pump(portal, run.max, out).await?;
        Ok(Flow::Done)
    }

    /// Tells the client what its statement will leave undone, if it wants to hear it.
    fn send_notices(&self, plan: &Plan, out: &mut Out) {
        let notices = &plan.translated.notices;
        let quiet = || {
            let level = self.settings.get("client_min_messages").unwrap_or_default();
            matches!(level, "warning" | "error") || self.check_not_failed().is_err()
        };
        if !notices.is_empty() && !quiet() {
            let mut writer = Writer(&mut out.buffer);
            notices.iter().for_each(|notice| writer.notice(&self.shown_error(notice)));
        }
    }

    /// Sends up to `max` rows of an open portal, and how it stands then.
    async fn pump(&mut self, portal: &mut Portal, max: u64, out: &mut Out) -> Result<(), Stop> {
        let Portal { plan, params, format, state, place, .. } = portal;
        let (count, ended) = match state {
            State::Open(source) => source.pump(plan, params, format, max, out).await?,
            State::Fresh | State::Done => (0, true),
        };
        place.advance(count);
        if !ended {
            Writer(&mut out.buffer).portal_suspended();
            return Ok(());
        }
        let made = match state {
            State::Open(Source::Live { statement, .. }) if plan.needs_environment => {
                statement.take_settings()
            }
            _ => Vec::new(),
        };
        *state = State::Done;
        self.take_over(made).await?;
        let Portal { plan, tag, .. } = portal;
        match (tag.take(), &plan.translated.tag) {
            (Some(tag), _) => Writer(&mut out.buffer).command_complete(&tag),
            (None, Tag::Fixed(tag)) => Writer(&mut out.buffer).command_complete(tag),
            (None, tag) => {
                Writer(&mut out.buffer).command_complete(&command_tag(tag, 0, count));
            }
        }
        Ok(())
    }

    /// Sets what `set_config` was asked to set.
    pub(super) async fn take_over(&mut self, made: Vec<SettingMade>) -> Result<(), Stop> {
        for SettingMade { name, value, local } in made {
            if !self.set_identity(&name.to_ascii_lowercase(), value.as_deref(), local).await? {
                self.settings.set(&name, value.as_deref(), local)?;
            }
        }
        Ok(())
    }

    async fn utility(
        &mut self,
        plan: &Arc<Plan>,
        params: &[Value],
        format: &RowFormat,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let ends = matches!(
            plan.translated.kind,
            Kind::Commit { .. } | Kind::Rollback { .. } | Kind::RollbackTo(_)
        );
        if !ends {
            self.check_not_failed()?;
        }
        let answer = match &plan.translated.kind {
            Kind::Begin { .. }
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::SetTransaction { .. } => {
                self.transaction_statement(&plan.translated, out).await?
            }
            Kind::Set { .. } | Kind::Show(_) | Kind::Reset(_) | Kind::Discard(_) => {
                self.setting_statement(&plan.translated.kind, run, out).await?
            }
            Kind::Prepare { name, params, statement } => {
                self.prepare_statement(name, params, statement).await?
            }
            Kind::Execute { name, arguments } => {
                return Box::pin(self.execute_statement(name, arguments, format, run, out)).await;
            }
            Kind::Deallocate(name) => self.deallocate(name.as_deref())?,
            Kind::Declare { name, hold, scroll, query } => {
                let (hold, scroll, types) = (*hold, *scroll, &plan.translated.params);
                let declared = Declared { name, hold, scroll, query, types, params };
                Answer::Tag(self.declare(declared).await?)
            }
            Kind::Fetch { cursor, movement, discard } => {
                if !run.extended && !*discard {
                    let columns = self.columns_of(plan);
                    if !columns.is_empty() {
                        Writer(&mut out.buffer).row_description(&format.fields(&columns));
                    }
                }
                Answer::Tag(self.fetch(cursor, *movement, *discard, format, out).await?)
            }
            Kind::Close(name) => Answer::Tag(self.close(name.as_deref())?),
            Kind::CopyIn { columns, options } => {
                self.begin_copy_in(plan, columns, options, run.extended, out).await?;
                Answer::CopyIn
            }
            Kind::CopyOut { options } => {
                let count = self.copy_out(plan, options, out).await?;
                Answer::Tag(format!("COPY {count}").into())
            }
            Kind::Explain { json, analyze, prepared: None } => {
                let [step, statement] = plan.translated.statements.as_slice() else {
                    return Err(SqlError::unsupported("EXPLAIN of this statement").into());
                };
                let explained = Explained { plan, params, step: &step.text, text: &statement.text };
                self.explain(plan, explained, (*json, *analyze), run, out).await?
            }
            Kind::Explain { json, analyze, prepared: Some((name, arguments)) } => {
                let inner = self.prepared(name).await?;
                let params = self.arguments(&inner, name, arguments).await?;
                let reads = matches!(inner.translated.kind, Kind::Read { .. });
                let statement = inner.translated.statements.last();
                let Some(statement) =
                    statement.filter(|_| reads || matches!(inner.translated.kind, Kind::Write))
                else {
                    return Err(SqlError::unsupported("EXPLAIN of this statement").into());
                };
                let (text, step) =
                    (&statement.text, format!("EXPLAIN QUERY PLAN {}", statement.text));
                let explained = Explained { plan: &inner, params: &params, step: &step, text };
                self.explain(plan, explained, (*json, *analyze && reads), run, out).await?
            }
            Kind::Listen(channel) => {
                self.listen(channel.clone())?;
                "LISTEN".into()
            }
            Kind::Unlisten(channel) => {
                self.unlisten(channel.as_deref())?;
                "UNLISTEN".into()
            }
            Kind::Notify { channel, payload } => {
                let text = "SELECT pg_notify($1, $2)";
                let plan = self.plan(text, &[Oid::TEXT, Oid::TEXT]).await?;
                let params = vec![Value::Text(channel.clone()), Value::Text(payload.clone())];
                self.write(&plan, params, &RowFormat::default(), run.alone).await?;
                "NOTIFY".into()
            }
            Kind::Lock => {
                self.check_may_write("LOCK TABLE")?;
                if self.open.as_ref().is_none_or(|open| !open.explicit) && run.alone {
                    return Err(SqlError::new(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "LOCK TABLE can only be used in transaction blocks",
                    )
                    .into());
                }
                self.open(false, None, None);
                self.loan().await?;
                "LOCK TABLE".into()
            }
            Kind::Vacuum { analyze } => self.vacuum(plan, *analyze, run).await?,
            Kind::Database(change) => {
                let verb = fixed(&plan.translated.tag);
                self.change_database(change, verb, run.alone, out).await?;
                verb.into()
            }
            Kind::Role(change) => {
                let verb = fixed(&plan.translated.tag);
                self.change_roles(change, verb, run.alone, out).await?;
                verb.into()
            }
            Kind::Nothing => fixed(&plan.translated.tag).into(),
            Kind::Empty | Kind::Read { .. } | Kind::Write | Kind::Ddl { .. } | Kind::Advisory => {
                unreachable!("carried out by run_described")
            }
        };
        match answer {
            Answer::Tag(tag) => Writer(&mut out.buffer).command_complete(&tag),
            Answer::CopyIn => return Ok(Flow::CopyIn),
        }
        Ok(Flow::Done)
    }

    async fn transaction_statement(
        &mut self,
        statement: &Translated,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        match &statement.kind {
            Kind::Begin { isolation, read_only } => {
                if self.open.as_ref().is_some_and(|open| open.explicit) {
                    let text = "there is already a transaction in progress";
                    warn(out, SqlState::ACTIVE_SQL_TRANSACTION, text);
                } else {
                    self.open(true, *isolation, *read_only);
                }
                Ok(match statement.tag {
                    Tag::Fixed(tag) => tag.into(),
                    _ => "BEGIN".into(),
                })
            }
            Kind::Commit { chain } => self.commit_statement(*chain, out).await,
            Kind::Rollback { chain } => {
                let explicit = self.open.as_ref().is_some_and(|open| open.explicit);
                if !explicit {
                    let text = "there is no transaction in progress";
                    warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
                }
                let as_before = self.characteristics();
                self.roll_back().await;
                if *chain && explicit {
                    self.open(true, Some(as_before.0), Some(as_before.1));
                }
                Ok("ROLLBACK".into())
            }
            Kind::Savepoint(name) => {
                self.savepoint(name).await?;
                Ok("SAVEPOINT".into())
            }
            Kind::Release(name) => {
                self.release(name)?;
                Ok("RELEASE".into())
            }
            Kind::RollbackTo(name) => {
                self.roll_back_to(name)?;
                Ok("ROLLBACK".into())
            }
            Kind::SetTransaction { isolation, read_only, session } => {
                self.set_transaction(*isolation, *read_only, *session, out)?;
                Ok("SET".into())
            }
            _ => unreachable!("not a transaction statement"),
        }
    }

    async fn commit_statement(&mut self, chain: bool, out: &mut Out) -> Result<Answer, Stop> {
        if self.mode == Mode::Lookup {
            let tag = self.look_up_commit().await?;
            return Ok(Answer::Tag(tag.into()));
        }
        let explicit = self.open.as_ref().is_some_and(|open| open.explicit);
        if !explicit {
            let text = "there is no transaction in progress";
            warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
        }
        let as_before = self.characteristics();
        let failed = self.open.as_ref().is_some_and(|open| open.failed);
        if failed {
            self.roll_back().await;
        } else {
            self.commit(Some("COMMIT")).await?;
        }
        if chain && explicit {
            self.open(true, Some(as_before.0), Some(as_before.1));
        }
        Ok(if failed { "ROLLBACK" } else { "COMMIT" }.into())
    }

    fn characteristics(&self) -> (Isolation, bool) {
        match &self.open {
            Some(open) => (open.isolation, open.read_only),
            None => (self.settings.default_isolation(), self.settings.default_read_only()),
        }
    }

    fn set_transaction(
        &mut self,
        isolation: Option<Isolation>,
        read_only: Option<bool>,
        session: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        if session {
            if let Some(isolation) = isolation {
                let name = isolation_name(isolation);
                self.settings.set("default_transaction_isolation", Some(name), false)?;
            }
            if let Some(read_only) = read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", Some(value), false)?;
            }
            return Ok(());
        }
        match &mut self.open {
            Some(open) => {
                let began = open.begun || open.has_written() || open.snapshot.is_some();
                if began && isolation.is_some_and(|isolation| isolation != open.isolation) {
                    return Err(SqlError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                    )
                    .into());
                }
                open.isolation = isolation.unwrap_or(open.isolation);
                open.read_only = read_only.unwrap_or(open.read_only);
            }
            None => warn(
                out,
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            ),
        }
        Ok(())
    }

    async fn setting_statement(
        &mut self,
        kind: &Kind,
        run: Run,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        match kind {
            Kind::Set { name, value, local } => {
                self.set(name, value.as_deref(), *local, out).await?;
                Ok("SET".into())
            }
            Kind::Show(name) if name.eq_ignore_ascii_case("all") => {
                let columns = ["name", "setting", "description"].map(text_column);
                let all = self.settings.all(self.in_recovery());
                describe(&columns, run, out);
                for (name, value) in &*all {
                    text_row(out, &[&shown_name(name), value, ""]);
                }
                Ok("SHOW".into())
            }
            Kind::Show(name) => {
                let name = name.to_ascii_lowercase();
                let value = self.shown(&name)?;
                describe(&[text_column(&shown_name(&name))], run, out);
                text_row(out, &[&value]);
                Ok("SHOW".into())
            }
            Kind::Reset(name) => {
                if name.eq_ignore_ascii_case("all") {
                    self.settings.reset_all();
                } else {
                    self.set(name, None, false, out).await?;
                }
                Ok("RESET".into())
            }
            Kind::Discard(what) => self.discard(what),
            _ => unreachable!("not a setting statement"),
        }
    }

    async fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "transaction_isolation" => {
                // Checked by the table of settings; its effect is the transaction's.
                let value = value.unwrap_or("read committed");
                let mut scratch = self.settings.clone();
                scratch.set(&lower, Some(value), true)?;
                let isolation = settings::isolation(&value.to_ascii_lowercase());
                return self.set_transaction(Some(isolation), None, false, out);
            }
            "transaction_read_only" => {
                let read_only = matches!(value, Some("on" | "true" | "yes" | "1"));
                return self.set_transaction(None, Some(read_only), false, out);
            }
            _ => {}
        }
        if local && self.open.as_ref().is_none_or(|open| !open.explicit) {
            let text = "SET LOCAL can only be used in transaction blocks";
            warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
            return Ok(());
        }
        if !self.set_identity(&lower, value, local).await? {
            self.settings.set(&lower, value, local)?;
        }
        Ok(())
    }

    /// What SHOW answers: settings, and what depends on the moment.
    fn shown(&self, name: &str) -> Result<String, SqlError> {
        let recovery = self.inner.hub.leadership.borrow().role != Role::Leader;
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        Ok(match name {
            "in_hot_standby" => on(recovery),
            "transaction_isolation" => isolation_name(self.characteristics().0).to_owned(),
            // A write at a follower is forwarded: none is refused because of where it came to.
            "transaction_read_only" => on(self.characteristics().1),
            "is_superuser" => on(self.superuser),
            "session_authorization" => self.session_user().to_owned(),
            _ => self.settings.get(name)?.to_owned(),
        })
    }

    fn discard(&mut self, what: &str) -> Result<Answer, Stop> {
        match what.to_ascii_lowercase().as_str() {
            "all" => {
                if self.open.as_ref().is_some_and(|open| open.explicit) {
                    return Err(SqlError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    )
                    .into());
                }
                self.settings.reset_all();
                self.settings.set("session_authorization", None, false)?;
                self.settings.set("role", None, false)?;
                self.statements.clear();
                self.portals.clear();
                self.unlisten(None)?;
                self.locks.unlock_all();
                self.sequences = Arc::default();
                self.last_sequence = None;
                Ok("DISCARD ALL".into())
            }
            "plans" => Ok("DISCARD PLANS".into()),
            "sequences" => {
                self.sequences = Arc::default();
                self.last_sequence = None;
                Ok("DISCARD SEQUENCES".into())
            }
            _ => Ok("DISCARD TEMP".into()),
        }
    }

    async fn prepare_statement(
        &mut self,
        name: &str,
        types: &[Oid],
        statement: &str,
    ) -> Result<Answer, Stop> {
        if self.statements.contains_key(name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let plan = self.plan(statement, types).await?;
        self.keep_statement(name.to_owned(), plan)?;
        Ok("PREPARE".into())
    }

    async fn execute_statement(
        &mut self,
        name: &str,
        arguments: &[String],
        format: &RowFormat,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let plan = self.prepared(name).await?;
        let params = self.arguments(&plan, name, arguments).await?;
        let mut portal = Portal {
            plan,
            params,
            format: format.clone(),
            state: State::Fresh,
            tag: None,
            hold: false,
            cursor: false,
            place: Place::default(),
        };
        self.run_described(&mut portal, run, out).await
    }

    /// The values of the arguments of EXECUTE.
    async fn arguments(
        &mut self,
        plan: &Plan,
        name: &str,
        arguments: &[String],
    ) -> Result<Vec<Value>, Stop> {
        let types = plan.params();
        if arguments.len() != types.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                types.len(),
                arguments.len()
            ))
            .into());
        }
        let mut params = Vec::with_capacity(types.len());
        for (argument, oid) in arguments.iter().zip(types) {
            params.push(self.evaluate(argument, *oid).await?);
        }
        Ok(params)
    }

    /// The value of an argument of EXECUTE.
    async fn evaluate(&mut self, argument: &str, oid: Oid) -> Result<Value, Stop> {
        let of = self.catalog().await?.format_type(oid, None);
        let text = format!("SELECT ({argument})::{of}");
        let plan = self.plan(&text, &[]).await?;
        self.check_allowed(&plan).await?;
        let mut source = self.begin_read(&plan, &[], &RowFormat::default()).await?;
        let value = match &mut source {
            Source::Live { statement, .. } => {
                let row = statement.step().map_err(|e| errors::translate(&e, &plan, &[]))?;
                if row { statement.column(0).to_owned() } else { Value::Null }
            }
            Source::Complete(rows) => rows.first_text(oid, &self.settings.display)?,
        };
        Ok(value)
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<Answer, Stop> {
        match name {
            None => {
                self.statements.clear();
                Ok("DEALLOCATE ALL".into())
            }
            Some(name) => match self.statements.remove(name) {
                Some(_) => Ok("DEALLOCATE".into()),
                None => Err(SqlError::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    format!("prepared statement \"{name}\" does not exist"),
                )
                .into()),
            },
        }
    }

    /// EXPLAIN: SQLite's query plan, indented.
    async fn explain(
        &mut self,
        plan: &Arc<Plan>,
        explained: Explained<'_>,
        (json, analyze): (bool, bool),
        run: Run,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        let Explained { plan: inner, params, step, text } = explained;
        let told = |error| Stop::Sql(errors::translate(&error, inner, params));
        let analyzed = analyze.then_some(text);
        // What the transaction has made is seen on the writer alone.
        let loan = self.open.as_mut().and_then(|open| open.loan.as_mut());
        let described = if let Some(loan) = loan {
            let mut taken = loan.take().map_err(|revoked| revoked.error())?;
            explain::describe(&mut taken, step, analyzed, params)
        } else {
            let mut reader = self.reader().await?;
            self.surround(&mut reader, inner);
            explain::describe(&mut reader, step, analyzed, params)
        };
        let described = described.map_err(told)?;
        describe(&plan.translated.columns, run, out);
        if json {
            text_row(out, &[&described.as_json(text)]);
        } else {
            for line in described.lines() {
                text_row(out, &[&line]);
            }
        }
        Ok("EXPLAIN".into())
    }

    /// VACUUM: a checkpoint, and the writer gives all free pages back as soon as it is
    /// idle; with ANALYZE also that, as a logged write.
    async fn vacuum(&mut self, plan: &Arc<Plan>, analyze: bool, run: Run) -> Result<Answer, Stop> {
        if self.open.as_ref().is_some_and(|open| open.explicit) || !run.alone {
            return Err(SqlError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            )
            .into());
        }
        self.check_may_write("VACUUM")?;
        if analyze && !plan.translated.statements.is_empty() {
            self.write(plan, Vec::new(), &RowFormat::default(), true).await?;
        }
        let mut reader = self.reader().await?;
        let free = tokio::task::block_in_place(|| {
            reader.checkpoint()?;
            reader.free_pages()
        });
        let free = free.map_err(|error| errors::translate_bare(&error))?;
        self.inner.hub.surplus.send_replace(free);
        Ok(fixed(&plan.translated.tag).into())
    }
}

/// What EXPLAIN is of.
struct Explained<'a> {
    plan: &'a Arc<Plan>,
    params: &'a [Value],
    /// Asks SQLite for its plan.
    step: &'a str,
    text: &'a str,
}

/// How a portal is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Rows wanted; 0 is all.
    max: u64,
    /// The statement is all of its unit.
    alone: bool,
    /// By Execute: the client has described it, or doesn't want to.
    extended: bool,
}

fn warn(out: &mut Out, state: SqlState, text: &str) {
    let notice = SqlError { severity: Severity::Warning, ..SqlError::new(state, text) };
    Writer(&mut out.buffer).notice(&notice);
}

fn fixed(tag: &Tag) -> &'static str {
    match tag {
        Tag::Fixed(text) => text,
        _ => "OK",
    }
}

fn text_column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        oid: Oid::TEXT,
        typmod: -1,
        table: Oid(0),
        number: 0,
        made: None,
    }
}

fn describe(columns: &[Column], run: Run, out: &mut Out) {
    if !run.extended {
        let fields = RowFormat::default().fields(columns);
        Writer(&mut out.buffer).row_description(&fields);
    }
}

fn text_row(out: &mut Out, values: &[&str]) {
    let mut writer = Writer(&mut out.buffer);
    let mut row = writer.data_row(values.len());
    for value in values {
        let written = row.field(|out| {
            out.extend_from_slice(value.as_bytes());
            Ok(())
        });
        debug_assert!(written.is_ok(), "a setting's value fits in a row");
    }
    row.finish();
}
