//! Prepared statements, which both protocols share: kept by Parse or PREPARE, looked up
//! by Bind or EXECUTE.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::portal::{Portal, Source};
use super::run::{Flow, Run};
use super::session::{EngineSession, Stop};
use super::utility::Answer;
use crate::gateway::Out;
use crate::log::Value;
use crate::node::errors;
use crate::node::execute::wall_clock_us;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::pg::{Oid, SqlError, SqlState};

/// Prepared statements that a session may hold.
const STATEMENTS_MAX: usize = 10_000;

/// The prepared statements of a session, by name.
pub(super) type Statements = Arc<BTreeMap<String, Prepared>>;

/// A prepared statement, by either protocol.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) plan: Arc<Plan>,
    /// As the client said it, PREPARE and all.
    pub(super) said: Arc<str>,
    pub(super) from_sql: bool,
    /// When; microseconds since 1970.
    pub(super) made_us: i64,
}

impl Prepared {
    pub(super) fn new(plan: Arc<Plan>, said: Arc<str>, from_sql: bool) -> Self {
        Self { plan, said, from_sql, made_us: wall_clock_us() }
    }
}

impl EngineSession {
    /// Keeps a prepared statement under a name.
    pub(super) fn keep_statement(
        &mut self,
        name: String,
        prepared: Prepared,
    ) -> Result<(), SqlError> {
        if self.statements.len() >= STATEMENTS_MAX && !self.statements.contains_key(&name) {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many prepared statements",
            ));
        }
        Arc::make_mut(&mut self.statements).insert(name, prepared);
        Ok(())
    }

    /// The plan of a prepared statement, translated again if the schema has changed.
    pub(super) async fn prepared(&mut self, name: &str) -> Result<Arc<Plan>, Stop> {
        let Some(prepared) = self.statements.get(name) else {
            let what = if name.is_empty() {
                "unnamed prepared statement".to_owned()
            } else {
                format!("prepared statement \"{name}\"")
            };
            return Err(SqlError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("{what} does not exist"),
            )
            .into());
        };
        let plan = Arc::clone(&prepared.plan);
        let current = self.current(plan).await?;
        if let Some(prepared) = self.statements.get(name)
            && !Arc::ptr_eq(&prepared.plan, &current)
        {
            if prepared.plan.translated.columns != current.translated.columns {
                return Err(SqlError {
                    routine: Some("RevalidateCachedQuery"),
                    ..SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cached plan must not change result type",
                    )
                }
                .into());
            }
            let prepared = Prepared { plan: Arc::clone(&current), ..prepared.clone() };
            Arc::make_mut(&mut self.statements).insert(name.to_owned(), prepared);
        }
        Ok(current)
    }

    pub(super) async fn prepare_statement(
        &mut self,
        name: &str,
        types: &[Oid],
        statement: &str,
        said: &Arc<str>,
    ) -> Result<Answer, Stop> {
        if self.statements.contains_key(name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let plan = self.plan(statement, types).await?;
        self.keep_statement(name.to_owned(), Prepared::new(plan, Arc::clone(said), true))?;
        Ok("PREPARE".into())
    }

    pub(super) async fn execute_statement(
        &mut self,
        name: &str,
        arguments: &[String],
        format: &RowFormat,
        run: Run,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let plan = self.prepared(name).await?;
        let params = self.arguments(&plan, name, arguments).await?;
        let mut portal = Portal::new(plan, params, format.clone());
        self.run_described(&mut portal, run, out).await
    }

    /// The values of the arguments of EXECUTE.
    pub(super) async fn arguments(
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
    pub(super) async fn evaluate(&mut self, argument: &str, oid: Oid) -> Result<Value, Stop> {
        let of = self.catalog().await?.format_type(oid, Some(-1));
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

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Answer, Stop> {
        match name {
            None => {
                self.statements = Arc::default();
                Ok("DEALLOCATE ALL".into())
            }
            Some(name) => match Arc::make_mut(&mut self.statements).remove(name) {
                Some(_) => Ok("DEALLOCATE".into()),
                None => Err(SqlError::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    format!("prepared statement \"{name}\" does not exist"),
                )
                .into()),
            },
        }
    }
}
