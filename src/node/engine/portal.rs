//! Results that are fetched in pieces: the portals of Bind and Execute, and SQL's
//! cursors, which are portals made by DECLARE.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::cursor::Place;
use super::session::Stop;
use crate::gateway::Out;
use crate::log::Value;
use crate::node::errors;
use crate::node::execute::Limits;
use crate::node::plan::Plan;
use crate::node::readers::Reader;
use crate::node::rows::{self, Pieces, RowBuffer, RowFormat};
use crate::pg::types::{self, Display, Format};
use crate::pg::{Oid, SqlError, SqlState};
use crate::storage::sqlite::{SqliteErrorKind, Statement};

/// A statement with its parameters, and how far its result has been fetched.
pub(super) struct Portal {
    pub(super) plan: Arc<Plan>,
    pub(super) params: Vec<Value>,
    pub(super) format: RowFormat,
    pub(super) state: State,
    /// CommandComplete's text, once the statement is carried out.
    pub(super) tag: Option<String>,
    /// A cursor WITH HOLD outlives its transaction.
    pub(super) hold: bool,
    /// It has outlived it.
    pub(super) held: bool,
    /// Made by DECLARE.
    pub(super) declared: Option<Declaration>,
    /// Which of the session's portals it is, once that has kept it.
    pub(super) number: u64,
    pub(super) place: Place,
}

/// How a cursor was declared.
pub(super) struct Declaration {
    /// The statement, DECLARE and all.
    pub(super) said: Arc<str>,
    /// When; microseconds since 1970.
    pub(super) made_us: i64,
}

impl Portal {
    pub(super) fn new(plan: Arc<Plan>, params: Vec<Value>, format: RowFormat) -> Self {
        let (state, place) = (State::Fresh, Place::default());
        Self {
            plan,
            params,
            format,
            state,
            tag: None,
            hold: false,
            held: false,
            declared: None,
            number: 0,
            place,
        }
    }
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
                    run.step_some(statement, max, out, |_, _| Ok(()))
                } else {
                    let handle = Handle::current();
                    block_in_place(|| {
                        run.step_some(statement, max, out, |statement, out| {
                            // However long the client takes: no row is looked at meanwhile.
                            statement.set_resting(true);
                            let flushed = handle.block_on(out.flush());
                            statement.set_resting(false);
                            flushed.map_err(|_| Stop::Gone)
                        })
                    })
                }
            }
            Self::Complete(rows) => rows.pump(max, out).await,
        }
    }
}

impl Source {
    /// Says whether nobody looks at its rows for now, while a client takes what was sent.
    pub(super) fn set_resting(&self, resting: bool) {
        if let Self::Live { statement, .. } = self {
            statement.set_resting(resting);
        }
    }

    /// The rowid of the row that was given out last, where the plan's rows are told apart.
    pub(super) fn rowid(&self) -> Option<i64> {
        match self {
            Self::Live { statement, .. } => rows::rowid(statement),
            Self::Complete(rows) => rows.rowid,
        }
    }

    /// Appends the next row as one DataRow; whether there was one.
    pub(super) fn next_row(
        &mut self,
        plan: &Plan,
        params: &[Value],
        format: &RowFormat,
        message: &mut BytesMut,
    ) -> Result<bool, Stop> {
        match self {
            Self::Live { statement, limits, .. } => {
                Stepping { plan, params, format, limits }.step_one(statement, message)
            }
            Self::Complete(rows) => match rows.next_row()? {
                Some(row) => {
                    message.unsplit(row);
                    Ok(true)
                }
                None => Ok(false),
            },
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
        flush: impl Fn(&Statement, &mut Out) -> Result<(), Stop>,
    ) -> Result<(u64, bool), Stop> {
        let mut count = 0;
        while max == 0 || count < max {
            if !self.step_one(statement, &mut out.buffer)? {
                return Ok((count, true));
            }
            count += 1;
            if out.is_full() {
                flush(statement, out)?;
            }
        }
        Ok((count, false))
    }

    fn step_one(&self, statement: &mut Statement, out: &mut BytesMut) -> Result<bool, Stop> {
        match statement.step() {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if error.kind == SqliteErrorKind::Interrupted => {
                return Err(self.limits.interrupted().into());
            }
            Err(error) => return Err(errors::translate(&error, self.plan, self.params).into()),
        }
        if self.plan.translated.gives_rows() {
            let columns = &self.plan.translated.columns;
            rows::encode_row(statement, columns, self.format, out)?;
        }
        Ok(true)
    }
}

/// A completed result, given out row by row.
pub(super) struct CompleteRows {
    pieces: Pieces,
    /// Read from `pieces` and not given out.
    ahead: BytesMut,
    /// Whether the rowid of each is behind it.
    told_apart: bool,
    /// That of the last row given out.
    rowid: Option<i64>,
}

impl CompleteRows {
    pub(super) fn new(rows: RowBuffer) -> Result<Self, SqlError> {
        let pieces = rows.pieces().map_err(|_| lost())?;
        Ok(Self { pieces, ahead: BytesMut::new(), told_apart: false, rowid: None })
    }

    /// The rows of a plan.
    pub(super) fn of(plan: &Plan, rows: RowBuffer) -> Result<Self, SqlError> {
        let told_apart = plan.translated.rows_of.is_some();
        Ok(Self { told_apart, ..Self::new(rows)? })
    }

    async fn pump(&mut self, max: u64, out: &mut Out) -> Result<(u64, bool), Stop> {
        let mut count = 0;
        while max == 0 || count < max {
            let Some(row) = self.next_row()? else { return Ok((count, true)) };
            out.buffer.extend_from_slice(&row);
            count += 1;
            if out.is_full() {
                out.flush().await?;
            }
        }
        Ok((count, false))
    }

    /// The first column of the first row, sent as text, as a value of its type.
    pub(super) fn first_text(&mut self, oid: Oid, display: &Display) -> Result<Value, SqlError> {
        let Some(row) = self.next_row()? else { return Ok(Value::Null) };
        let length = row.get(7..11).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
        match length.and_then(|length| usize::try_from(length).ok()) {
            Some(length) => types::decode(&row[11..11 + length], oid, Format::Text, display),
            None => Ok(Value::Null),
        }
    }

    /// The next DataRow.
    fn next_row(&mut self) -> Result<Option<BytesMut>, SqlError> {
        loop {
            // A message is its type byte and a length that counts itself.
            let length = match self.ahead.get(1..5) {
                Some(bytes) => 1 + u32::from_be_bytes(bytes.try_into().expect("four")) as usize,
                None => usize::MAX,
            };
            let behind = if self.told_apart { size_of::<i64>() } else { 0 };
            if self.ahead.len() >= length.saturating_add(behind) {
                let row = self.ahead.split_to(length);
                self.rowid = self.told_apart.then(|| self.ahead.get_i64());
                return Ok(Some(row));
            }
            if !self.pieces.next(&mut self.ahead).map_err(|_| lost())? {
                return Ok(None);
            }
        }
    }
}

fn lost() -> SqlError {
    SqlError::new(SqlState::IO_ERROR, "could not read the result from a temporary file")
}
