//! Carrying out one statement: its plan, its run in whole or in pieces, and how it ends.

use std::borrow::Cow;
use std::sync::Arc;

use super::portal::{Portal, Source, State};
use super::session::{EngineSession, Stop};
use super::utility::text_column;
use crate::gateway::Out;
use crate::log::Value;
use crate::node::errors;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::node::writer::command_tag;
use crate::pg::backend::Writer;
use crate::pg::settings::shown_name;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::{self, Class, Column, Kind, Tag};
use crate::storage::sqlite::SettingMade;

/// How a statement ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    Done,
    /// The client must send COPY's data first.
    CopyIn,
}

/// How a portal is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Rows wanted; 0 is all.
    pub max: u64,
    /// The statement is all of its unit.
    pub alone: bool,
    /// By Execute: the client has described it, or doesn't want to.
    pub extended: bool,
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
        let lasts = plan.translated.statements.is_empty() && !plan.is_ddl();
        if lasts || self.check_not_failed().is_err() {
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
        let mut portal = Portal::new(Arc::clone(plan), params, format.clone());
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

    pub(super) async fn run_described(
        &mut self,
        portal: &mut Portal,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        if matches!(portal.state, State::Fresh) {
            let plan = Arc::clone(&portal.plan);
            self.check_allowed(&plan).await?;
            self.send_notices(&plan, out);
            self.no_wait = plan.translated.no_wait.is_some();
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
                    let written = self.write(&plan, params, &portal.format, run.alone).await;
                    let written = written.map_err(|stop| not_at_once(stop, &plan))?;
                    portal.tag = Some(written.tag);
                    portal.state = State::Open(Source::Complete(written.rows));
                }
                _ => {
                    portal.state = State::Done;
                    let params = std::mem::take(&mut portal.params);
                    let format = portal.format.clone();
                    let done = self.utility(&plan, &params, &format, run, out).await;
                    return done.map_err(|stop| not_at_once(stop, &plan));
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
}

/// The error of a statement that was not to wait, where it had to.
pub(super) fn not_at_once(stop: Stop, plan: &Plan) -> Stop {
    match (stop, &plan.translated.no_wait) {
        (Stop::Sql(error), Some(text)) if error.state == SqlState::LOCK_NOT_AVAILABLE => {
            SqlError::new(error.state, text.clone()).into()
        }
        (stop, _) => stop,
    }
}
