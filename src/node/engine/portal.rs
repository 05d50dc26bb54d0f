//! Results that are fetched in pieces: the portals of Bind and Execute, and SQL's
//! cursors, which are portals made by DECLARE.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::session::Stop;
use crate::gateway::Out;
use crate::log::Value;
use crate::node::errors;
use crate::node::execute::Limits;
use crate::node::plan::Plan;
use crate::node::readers::Reader;
use crate::node::rows::{self, Pieces, RowBuffer, RowFormat};
use crate::pg::{SqlError, SqlState};
use crate::storage::sqlite::{SqliteErrorKind, Statement};

/// A statement with its parameters, and how far its result has been fetched.
pub(super) struct Portal {
    pub(super) plan: Arc<Plan>,
    pub(super) params: Vec<Value>,
    pub(super) format: RowFormat,
    pub(super) state: State,
    /// A cursor WITH HOLD outlives its transaction.
    pub(super) hold: bool,
    /// Made by DECLARE.
    pub(super) cursor: bool,
}

/// How far a portal is.
pub(super) enum State {
    /// Not run.
    Fresh,
    /// Rows may be left.
    Open(Source),
    /// All rows are fetched, or the statement is carried out.
    Done,
}

/// Where a portal's rows come from.
pub(super) enum Source {
    /// A statement that is stepped as rows are asked for. Declared first, so that it
    /// ends before its connection goes back.
    Live {
        statement: Statement,
        /// `None` where the connection belongs to the transaction's snapshot.
        _reader: Option<Reader>,
        limits: Limits,
    },
    /// The completed result of a statement that was run on the writer.
    Complete(CompleteRows),
}

impl Source {
    /// Appends up to `max` rows (0: all); how many, and whether the source has ended.
    pub(super) async fn pump(
        &mut self,
        plan: &Plan,
        params: &[Value],
        format: &RowFormat,
        max: u64,
        out: &mut Out,
    ) -> Result<(u64, bool), Stop> {
        match self {
            Self::Live { statement, limits, .. } => {
                let run = Stepping { plan, params, format, limits };
                if statement.is_point() {
                    run.step_some(statement, max, out, |_| Ok(()))
                } else {
                    let handle = Handle::current();
                    block_in_place(|| {
                        run.step_some(statement, max, out, |out| {
                            handle.block_on(out.flush()).map_err(|_| Stop::Gone)
                        })
                    })
                }
            }
            Self::Complete(rows) => rows.pump(max, out).await,
        }
    }
}

struct Stepping<'a> {
    plan: &'a Plan,
    params: &'a [Value],
    format: &'a RowFormat,
    limits: &'a Limits,
}

impl Stepping<'_> {
    fn step_some(
        &self,
        statement: &mut Statement,
        max: u64,
        out: &mut Out,
        flush: impl Fn(&mut Out) -> Result<(), Stop>,
    ) -> Result<(u64, bool), Stop> {
        let columns = &self.plan.translated.columns;
        let mut count = 0;
        while max == 0 || count < max {
            match statement.step() {
                Ok(true) => {}
                Ok(false) => return Ok((count, true)),
                Err(error) if error.kind == SqliteErrorKind::Interrupted => {
                    return Err(self.limits.interrupted().into());
                }
                Err(error) => return Err(errors::translate(&error, self.plan, self.params).into()),
            }
            if !columns.is_empty() {
                rows::encode_row(statement, columns, self.format, &mut out.buffer)?;
            }
            count += 1;
            if out.is_full() {
                flush(out)?;
            }
        }
        Ok((count, false))
    }
}

/// A completed result, given out row by row.
pub(super) struct CompleteRows {
    pieces: Pieces,
    /// Read from `pieces` and not given out.
    ahead: BytesMut,
}

impl CompleteRows {
    pub(super) fn new(rows: RowBuffer) -> Result<Self, SqlError> {
        let pieces = rows.pieces().map_err(|_| lost())?;
        Ok(Self { pieces, ahead: BytesMut::new() })
    }

    async fn pump(&mut self, max: u64, out: &mut Out) -> Result<(u64, bool), Stop> {
        let mut count = 0;
        while max == 0 || count < max {
            // A DataRow is its type byte and a length that counts itself.
            let length = match self.ahead.get(1..5) {
                Some(bytes) => 1 + u32::from_be_bytes(bytes.try_into().expect("four")) as usize,
                None => usize::MAX,
            };
            if self.ahead.len() < length {
                if !self.pieces.next(&mut self.ahead).map_err(|_| lost())? {
                    return Ok((count, true));
                }
                continue;
            }
            out.buffer.extend_from_slice(&self.ahead.split_to(length));
            count += 1;
            if out.is_full() {
                out.flush().await?;
            }
        }
        Ok((count, false))
    }
}

fn lost() -> SqlError {
    SqlError::new(SqlState::IO_ERROR, "could not read the result from a temporary file")
}
