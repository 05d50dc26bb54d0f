//! COPY: rows in, in batches on the writer's loan; rows out, streamed from a read.
//!
//! A COPY FROM STDIN spans requests: its data comes as it arrives. It runs in the
//! transaction that is open, or in one of its own that ends with the Query (or Sync).

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::log::Value;
use crate::node::execute::Work;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::node::writer::UnitError;
use crate::pg::backend::Writer;
use crate::pg::copy::{Decoder, Encoder, Row, located};
use crate::pg::frontend::{Message, RawMessage};
use crate::pg::{SqlError, SqlState};
use crate::sql::{self, Column, TransactionModes};

/// Rows inserted as one logged statement at most.
const BATCH_ROWS: usize = 512;
/// Their bytes, about.
const BATCH_BYTES: usize = 256 * 1024;

/// A COPY FROM STDIN that takes data.
pub(super) struct CopyIn {
    plan: Arc<Plan>,
    table: String,
    columns: Vec<Column>,
    decoder: Decoder,
    row: Row,
    /// Begun by Execute: Sync ends its unit, not the Query.
    extended: bool,
    /// Parameters of the rows that wait to be inserted.
    batch: Vec<Value>,
    /// The line of each of these rows.
    batch_lines: Vec<u64>,
    batch_bytes: usize,
    /// Rows inserted.
    count: u64,
}

impl EngineSession {
    /// COPY FROM STDIN: asks the client for data.
    pub(super) async fn begin_copy_in(
        &mut self,
        plan: &Arc<Plan>,
        (table, columns): (&str, &[Column]),
        options: &sql::CopyOptions,
        extended: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        self.check_may_write("COPY FROM")?;
        self.open(false, TransactionModes::default());
        self.loan().await?;
        let options = options.clone();
        let format = options.field_format();
        let names = columns.iter().map(|column| column.name.clone()).collect();
        self.copy = Some(CopyIn {
            plan: Arc::clone(plan),
            table: table.to_owned(),
            columns: columns.to_vec(),
            decoder: Decoder::new(options, table.to_owned(), names),
            row: Row::default(),
            extended,
            batch: Vec::new(),
            batch_lines: Vec::new(),
            batch_bytes: 0,
            count: 0,
        });
        Writer(&mut out.buffer).copy_in_response(columns.len(), format);
        Ok(())
    }

    /// A message that arrives while COPY takes data.
    pub(super) async fn copy_message(
        &mut self,
        message: &RawMessage,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let extended = self.copy.as_ref().is_some_and(|copy| copy.extended);
        let result = match message.tag() {
            b'd' => self.copy_data(&message.body()),
            b'c' => self.copy_done(out),
            b'f' => Err(copy_failed(message).into()),
            b'H' | b'S' => Ok(()),
            tag => Err(SqlError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("unexpected message type 0x{tag:02X} during COPY from stdin"),
            )
            .into()),
        };
        match result {
            Ok(()) if self.copy.is_some() || extended => Ok(()),
            Ok(()) => self.go_on_after_copy(out).await,
            Err(Stop::Sql(error)) => {
                // What is left of the data is passed over as it comes.
                self.copy = None;
                self.rest = None;
                self.report(&error, out);
                self.fail_transaction().await;
                if extended {
                    self.skipping = true;
                } else {
                    self.ready(out);
                }
                Ok(())
            }
            Err(stop) => Err(stop),
        }
    }

    fn copy_data(&mut self, data: &[u8]) -> Result<(), Stop> {
        self.copy.as_mut().expect("in COPY").decoder.feed(data);
        self.take_rows()
    }

    fn copy_done(&mut self, out: &mut Out) -> Result<(), Stop> {
        self.copy.as_mut().expect("in COPY").decoder.finish();
        self.take_rows()?;
        let mut copy = self.copy.take().expect("in COPY");
        self.insert_batch(&mut copy)?;
        Writer(&mut out.buffer).command_complete(&format!("COPY {}", copy.count));
        Ok(())
    }

    /// Takes the whole rows out of what has arrived.
    fn take_rows(&mut self) -> Result<(), Stop> {
        let mut copy = self.copy.take().expect("in COPY");
        let result = self.take_rows_of(&mut copy);
        self.copy = Some(copy);
        result
    }

    fn take_rows_of(&mut self, copy: &mut CopyIn) -> Result<(), Stop> {
        let format = copy.decoder.field_format();
        while copy.decoder.next_row(&mut copy.row)? {
            for (index, field) in copy.row.fields().enumerate() {
                let Some(column) = copy.columns.get(index) else { break };
                let value = match field {
                    None => Value::Null,
                    Some(bytes) => {
                        copy.batch_bytes += bytes.len();
                        copy.plan
                            .catalog
                            .decode(bytes, column.oid, format, &self.settings.display)
                            .map_err(|error| copy.decoder.in_field(error, index, bytes))?
                    }
                };
                copy.batch.push(value);
            }
            copy.batch_lines.push(copy.decoder.line());
            if copy.batch_lines.len() >= BATCH_ROWS || copy.batch_bytes >= BATCH_BYTES {
                self.insert_batch(copy)?;
            }
        }
        Ok(())
    }

    fn insert_batch(&mut self, copy: &mut CopyIn) -> Result<(), Stop> {
        if copy.batch_lines.is_empty() {
            return Ok(());
        }
        let limits = self.limits();
        let environment = copy.plan.needs_environment.then(|| self.environment());
        let registers = self.registers;
        let format = RowFormat::default();
        let open = self.open.as_mut();
        let loan = open.and_then(|open| open.loan.as_mut()).expect("taken when COPY began");
        if let Some(environment) = environment {
            loan.take().map_err(|revoked| revoked.error())?.set_environment(environment);
        }
        let work = Work {
            plan: &copy.plan,
            params: &copy.batch,
            format: &format,
            limits: &limits,
            now_us: loan.now_us(),
            registers,
            repeats: None,
        };
        let lines = std::mem::take(&mut copy.batch_lines);
        let result = block_in_place(|| loan.run_rows(&work, lines.len()));
        copy.batch.clear();
        copy.batch_bytes = 0;
        match result {
            Ok(count) => {
                copy.count += count;
                Ok(())
            }
            Err((row, UnitError::Sql(error))) if error.state.is_of_data() => {
                let line = lines.get(row).copied().unwrap_or_default();
                Err(located(error, &copy.table, line, "").into())
            }
            Err((_, error)) => Err(error.into()),
        }
    }

    /// COPY TO STDOUT; the number of rows.
    pub(super) async fn copy_out(
        &mut self,
        plan: &Arc<Plan>,
        options: &sql::CopyOptions,
        out: &mut Out,
    ) -> Result<u64, Stop> {
        let columns = &plan.translated.columns;
        let options = options.clone();
        let format = options.field_format();
        let names = columns.iter().map(|column| column.name.clone()).collect();
        let mut encoder = Encoder::new(options, names);
        let rows = RowFormat { formats: vec![format], display: self.settings.display.clone() };
        let mut source = self.begin_read(plan, &[], &rows).await?;
        Writer(&mut out.buffer).copy_out_response(columns.len(), format);
        let handle = Handle::current();
        block_in_place(|| {
            let mut count = 0;
            let (mut message, mut piece) = (BytesMut::new(), BytesMut::new());
            encoder.begin(&mut piece);
            while source.next_row(plan, &[], &rows, &mut message)? {
                recode(&message, &mut encoder, &mut piece)?;
                message.clear();
                Writer(&mut out.buffer).copy_data(&piece);
                piece.clear();
                count += 1;
                if out.is_full() {
                    source.set_resting(true);
                    let flushed = handle.block_on(out.flush());
                    source.set_resting(false);
                    flushed.map_err(|_| Stop::Gone)?;
                }
            }
            encoder.end(&mut piece);
            if !piece.is_empty() {
                Writer(&mut out.buffer).copy_data(&piece);
            }
            Writer(&mut out.buffer).copy_done();
            Ok(count)
        })
    }
}

/// A DataRow's fields as a row of COPY.
fn recode(message: &[u8], encoder: &mut Encoder, out: &mut BytesMut) -> Result<(), SqlError> {
    let mut fields = &message[5..];
    let count = fields.get_u16();
    let mut row = encoder.row(out);
    for _ in 0..count {
        match usize::try_from(fields.get_i32()) {
            Err(_) => row.null(),
            Ok(length) => {
                let (field, rest) = fields.split_at(length);
                row.field(|out| {
                    out.extend_from_slice(field);
                    Ok(())
                })?;
                fields = rest;
            }
        }
    }
    row.finish();
    Ok(())
}

fn copy_failed(message: &RawMessage) -> SqlError {
    match message.decode() {
        Ok(Message::CopyFail(cause)) => {
            SqlError::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {cause}"))
        }
        Ok(_) => SqlError::new(SqlState::PROTOCOL_VIOLATION, "COPY from stdin failed"),
        Err(error) => error,
    }
}
