//! The simple query protocol: one Query, one or several statements, one implicit
//! transaction where they are several.

use std::collections::VecDeque;

use super::run::Flow;
use super::session::{EngineSession, Stop};
use crate::gateway::{Mode, Out};
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::frontend::{Message, RawMessage};
use crate::sql;

/// The statements of a Query that wait for a COPY's data.
pub(super) struct Rest(VecDeque<String>);

impl EngineSession {
    pub(super) async fn simple_message(
        &mut self,
        message: &RawMessage,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let text = match message.decode() {
            Ok(Message::Query(text)) => text,
            Ok(_) => String::new(),
            Err(error) => {
                self.report(&error, out);
                self.fail_transaction().await;
                self.ready(out);
                return Ok(());
            }
        };
        if self.mode == Mode::Client {
            self.activity.runs(&text);
        }
        // A Query ends the unnamed portal, and the implicit transaction before it.
        self.portals.remove("");
        let result = match sql::split(&text) {
            Ok(statements) if statements.is_empty() => {
                Writer(&mut out.buffer).empty_query_response();
                Ok(Flow::Done)
            }
            Ok(statements) => self.statements(&statements, out).await,
            Err(error) => Err(error.into()),
        };
        self.end_query(result, out).await
    }

    /// Goes on with the Query whose COPY has taken its data.
    pub(super) async fn go_on_after_copy(&mut self, out: &mut Out) -> Result<(), Stop> {
        let Rest(rest) = self.rest.take().unwrap_or(Rest(VecDeque::new()));
        let statements: Vec<&str> = rest.iter().map(String::as_str).collect();
        let result = self.statements_of_several(&statements, out).await;
        self.end_query(result, out).await
    }

    async fn statements(&mut self, statements: &[&str], out: &mut Out) -> Result<Flow, Stop> {
        if let [statement] = statements {
            self.simple_statement(statement, true, out).await
        } else {
            self.statements_of_several(statements, out).await
        }
    }

    async fn statements_of_several(
        &mut self,
        statements: &[&str],
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        for (index, statement) in statements.iter().enumerate() {
            if self.simple_statement(statement, false, out).await? == Flow::CopyIn {
                let rest = statements[index + 1..].iter().map(|s| (*s).to_owned()).collect();
                self.rest = Some(Rest(rest));
                return Ok(Flow::CopyIn);
            }
        }
        Ok(Flow::Done)
    }

    async fn simple_statement(
        &mut self,
        text: &str,
        alone: bool,
        out: &mut Out,
    ) -> Result<Flow, Stop> {
        let (plan, params) = match self.shaped_plan(text).await? {
            Some(shaped) => shaped,
            None => (self.plan_unless_failed(text, &[]).await?, Vec::new()),
        };
        let format = RowFormat { formats: Vec::new(), display: self.settings.display.clone() };
        self.run_simple(&plan, params, &format, alone, out).await
    }

    /// Ends a Query: its implicit transaction, and what the client is told of it.
    async fn end_query(&mut self, result: Result<Flow, Stop>, out: &mut Out) -> Result<(), Stop> {
        let ended = match result {
            Ok(Flow::CopyIn) => return Ok(()),
            Ok(Flow::Done) => self.end_implicit(true).await,
            Err(stop) => Err(stop),
        };
        if let Err(Stop::Sql(error)) = ended {
            self.report(&error, out);
            self.fail_transaction().await;
        } else {
            ended?;
        }
        self.ready(out);
        Ok(())
    }
}
