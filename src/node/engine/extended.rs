//! The extended query protocol: Parse, Bind, Describe, Execute, Close. Sync is the
//! session's.

use std::sync::Arc;

use bytes::Bytes;

use super::portal::Portal;
use super::prepared::Prepared;
use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::log::Value;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::frontend::{BindParams, Message, RawMessage, Target};
use crate::pg::types::Format;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql;

/// Portals that a session may hold.
const PORTALS_MAX: usize = 1_000;

impl EngineSession {
    pub(super) async fn extended_message(
        &mut self,
        message: &RawMessage,
        behind: &Bytes,
        out: &mut Out,
    ) -> Result<(), Stop> {
        match message.decode()? {
            Message::Parse { name, query, param_types } => {
                self.parse(name, &query, &param_types, out).await
            }
            Message::Bind { portal, statement, params, result_formats } => {
                self.bind(portal, &statement, &params, result_formats, out).await
            }
            Message::Describe(target) => self.describe(&target, out).await,
            Message::Execute { portal, max_rows } => {
                let max = u64::try_from(max_rows).unwrap_or(0);
                self.execute(portal, max, ends_alone(behind), out).await
            }
            Message::Close(target) => {
                match target {
                    Target::Statement(name) => {
                        Arc::make_mut(&mut self.statements).remove(&name);
                    }
                    Target::Portal(name) => drop(self.portals.remove(&name)),
                }
                Writer(&mut out.buffer).close_complete();
                Ok(())
            }
            Message::Flush | Message::Terminate => Ok(()),
            _ => Err(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "unexpected message").into()),
        }
    }

    async fn parse(
        &mut self,
        name: String,
        query: &str,
        types: &[Oid],
        out: &mut Out,
    ) -> Result<(), Stop> {
        let statement = match sql::split(query)?[..] {
            [] => "",
            [statement] => statement,
            _ => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
        };
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let plan = match self.plan_unless_failed(statement, types).await {
            Err(Stop::Sql(error)) if error.state.is_of_names() && sql::is_definition(statement) => {
                Arc::new(Plan::deferred(statement, self.given(types)))
            }
            plan => plan?,
        };
        self.keep_statement(name, Prepared::new(plan, query.into(), false))?;
        Writer(&mut out.buffer).parse_complete();
        Ok(())
    }

    /// Keeps a portal under a name.
    pub(super) fn keep_portal(&mut self, name: String, portal: Portal) -> Result<(), SqlError> {
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(&name) {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many open portals"));
        }
        self.portals_made += 1;
        self.portals.insert(name, Portal { number: self.portals_made, ..portal });
        Ok(())
    }

    async fn bind(
        &mut self,
        name: String,
        statement: &str,
        params: &BindParams,
        result_formats: Vec<Format>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let plan = self.prepared(statement).await?;
        let types = plan.params();
        if params.values.len() != types.len() {
            return Err(SqlError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
                    params.values.len(),
                    types.len()
                ),
            )
            .into());
        }
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            )
            .into());
        }
        let mut values = Vec::with_capacity(types.len());
        for (index, (value, oid)) in params.values.iter().zip(types).enumerate() {
            values.push(match value {
                None => Value::Null,
                Some(bytes) => {
                    let (format, display) = (params.format(index), &self.settings.display);
                    plan.catalog.decode(bytes, *oid, format, display)?
                }
            });
        }
        let format = RowFormat { formats: result_formats, display: self.settings.display.clone() };
        let portal = Portal::new(plan, values, format);
        self.keep_portal(name, portal)?;
        Writer(&mut out.buffer).bind_complete();
        Ok(())
    }

    async fn describe(&mut self, target: &Target, out: &mut Out) -> Result<(), Stop> {
        let (plan, format) = match target {
            Target::Statement(name) => {
                let plan = match self.statements.get(name) {
                    Some(known) if known.plan.is_ddl() => Arc::clone(&known.plan),
                    _ => self.prepared(name).await?,
                };
                Writer(&mut out.buffer).parameter_description(plan.params());
                (plan, RowFormat::default())
            }
            Target::Portal(name) => {
                let portal = self.portal(name)?;
                (Arc::clone(&portal.plan), portal.format.clone())
            }
        };
        let columns = self.columns_of(&plan);
        if columns.is_empty() && !plan.translated.gives_rows() {
            Writer(&mut out.buffer).no_data();
        } else {
            Writer(&mut out.buffer).row_description(&format.fields(&columns));
        }
        Ok(())
    }

    fn portal(&self, name: &str) -> Result<&Portal, SqlError> {
        self.portals.get(name).ok_or_else(|| no_portal(name))
    }

    async fn execute(
        &mut self,
        name: String,
        max: u64,
        alone: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        // Out of the map while it runs; back in, whatever comes.
        let Some(mut portal) = self.portals.remove(&name) else {
            return Err(no_portal(&name).into());
        };
        self.activity.runs(&portal.plan.text);
        let result = self.run_portal(&mut portal, max, alone, out).await;
        self.portals.entry(name).or_insert(portal);
        result
    }
}

/// Whether Sync follows before another statement is executed: then the Execute before
/// `behind` is a unit of its own.
fn ends_alone(behind: &Bytes) -> bool {
    let mut at = 0;
    while let Some(header) = behind.get(at..at + 5) {
        match header[0] {
            b'S' => return true,
            b'E' | b'P' | b'B' | b'Q' => return false,
            _ => {}
        }
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        at += 1 + length as usize;
    }
    false
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
