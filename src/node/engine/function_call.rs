//! The FunctionCall message: one function by its OID, outside of any statement. libpq
//! reads and writes large objects so; any other function runs as a query that calls it.

use bytes::{Buf, BytesMut};

use super::large_object;
use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::log::Value;
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::frontend::{FunctionCall, Message, RawMessage};
use crate::pg::types::{self, Format};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::Kind;
use crate::sql::catalog::builtin_function;

impl EngineSession {
    pub(super) async fn function_call_message(
        &mut self,
        message: &RawMessage,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let result = match message.decode() {
            Ok(Message::FunctionCall(call)) => self.function_call(&call).await,
            Ok(_) => {
                Err(SqlError::fatal(SqlState::PROTOCOL_VIOLATION, "unexpected message").into())
            }
            Err(error) => Err(error.into()),
        };
        let ended = match result {
            Ok(value) => self.end_implicit(true).await.map(|()| value),
            Err(stop) => Err(stop),
        };
        match ended {
            Ok(value) => Writer(&mut out.buffer).function_call_response(value.as_deref()),
            Err(Stop::Sql(error)) => {
                self.report(&error, out);
                self.fail_transaction().await;
            }
            Err(stop) => return Err(stop),
        }
        self.ready(out);
        Ok(())
    }

    /// The result, as the client wants it.
    async fn function_call(&mut self, call: &FunctionCall) -> Result<Option<Vec<u8>>, Stop> {
        self.check_not_failed()?;
        let Some(function) = builtin_function(call.function) else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function with OID {} does not exist", call.function.0),
            )
            .into());
        };
        let types = &function.arguments;
        if call.params.values.len() != types.len() {
            return Err(SqlError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "function call message contains {} arguments but function requires {}",
                    call.params.values.len(),
                    types.len()
                ),
            )
            .into());
        }
        let mut arguments = Vec::with_capacity(types.len());
        for (index, (value, oid)) in call.params.values.iter().zip(types).enumerate() {
            arguments.push(match value {
                None => Value::Null,
                Some(bytes) => {
                    types::decode(bytes, *oid, call.params.format(index), &self.settings.display)?
                }
            });
        }
        if large_object::is_one(function.name) {
            if arguments.contains(&Value::Null) {
                return Ok(None);
            }
            let answer = self.large_object(function.name, &arguments).await?;
            return Ok(Some(answer.encoded(call.result_format, &self.settings.display)?));
        }
        self.call_in_query(function.name, types, arguments, call.result_format).await
    }

    async fn call_in_query(
        &mut self,
        name: &str,
        types: &[Oid],
        arguments: Vec<Value>,
        result: Format,
    ) -> Result<Option<Vec<u8>>, Stop> {
        let places: Vec<String> = (1..=types.len()).map(|number| format!("${number}")).collect();
        let text = format!("SELECT \"{name}\"({})", places.join(", "));
        let plan = self.plan(&text, types).await?;
        self.check_allowed(&plan).await?;
        let display = self.settings.display.clone();
        let format = RowFormat { formats: vec![result], display };
        let mut source = match plan.translated.kind {
            Kind::Read { .. } => self.begin_read(&plan, &arguments, &format).await?,
            Kind::Advisory => self.run_advisory(&plan, &arguments, &format).await?,
            Kind::Write => self.write(&plan, arguments.clone(), &format, true).await?.into_source(),
            _ => return Err(SqlError::unsupported(format!("a call of {name}")).into()),
        };
        let mut row = BytesMut::new();
        if !source.next_row(&plan, &arguments, &format, &mut row)? {
            return Ok(None);
        }
        // A DataRow: type, length, number of fields, and the first field's length.
        let mut field = &row[7..];
        Ok(match usize::try_from(field.get_i32()) {
            Ok(length) => Some(field[..length].to_vec()),
            Err(_) => None,
        })
    }
}
