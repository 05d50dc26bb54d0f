//! SQL's cursors: DECLARE, FETCH, MOVE and CLOSE. A cursor is a portal with a name that
//! the client gave by SQL.
//!
//! One that may go back keeps the rows that were fetched, within a bound; any other
//! only knows how far it is.
//!
//! ```text
//!   position   0 ── 1 ── 2 ── … ── n ── n + 1        rows 1 to n
//!              before first             after last
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::task::block_in_place;

use super::portal::{Declaration, Portal, State};
use super::run::not_at_once;
use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::log::Value;
use crate::node::execute::wall_clock_us;
use crate::node::plan::{Given, Plan};
use crate::node::rows::RowFormat;
use crate::pg::types::Format;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::{CurrentOf, Kind, Movement};

/// Bytes of rows that a cursor keeps to go back to.
const KEPT_MAX: usize = 64 << 20;

/// What DECLARE says.
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    pub(super) binary: bool,
    pub(super) hold: bool,
    pub(super) scroll: bool,
    pub(super) query: &'a str,
    /// The statement, DECLARE and all.
    pub(super) said: &'a Arc<str>,
    pub(super) types: &'a [Oid],
    pub(super) params: &'a [Value],
}

/// Where a cursor stands.
#[derive(Default)]
pub(super) struct Place {
    /// From 0; see the module.
    position: u64,
    /// Rows taken from the source so far; all there are, once that has ended.
    taken: u64,
    /// The rows taken, where it may go back.
    kept: Option<Kept>,
}

#[derive(Default)]
struct Kept {
    /// With the rowid of each, where they are told apart.
    rows: Vec<(BytesMut, Option<i64>)>,
    bytes: usize,
}

impl Place {
    pub(super) fn new(scroll: bool) -> Self {
        Self { kept: scroll.then(Kept::default), ..Self::default() }
    }

    /// Rows were given out by Execute.
    pub(super) fn advance(&mut self, rows: u64) {
        self.taken += rows;
        self.position = self.taken;
    }

    pub(super) fn can_scroll(&self) -> bool {
        self.kept.is_some()
    }

    /// The rowid of the row at the position, if there is one and rows are told apart.
    fn rowid(&self, state: &State) -> Option<i64> {
        let index = self.position.checked_sub(1)?;
        match (&self.kept, state) {
            (Some(kept), _) => kept.rows.get(usize::try_from(index).ok()?)?.1,
            (None, State::Open(source)) if self.position == self.taken => source.rowid(),
            _ => None,
        }
    }
}

impl EngineSession {
    pub(super) async fn declare(
        &mut self,
        declared: Declared<'_>,
    ) -> Result<Cow<'static, str>, Stop> {
        let Declared { name, binary, hold, scroll, query, said, types, params } = declared;
        if !hold && self.open.as_ref().is_none_or(|open| !open.explicit) {
            return Err(SqlError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        if self.portals.contains_key(name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            )
            .into());
        }
        let given = Given { of_cursor: true, ..self.given(types) };
        let catalog = self.catalog().await?;
        let plan = self.inner.plans.get(query, &given, catalog)?;
        self.check_allowed(&plan).await?;
        if !matches!(plan.translated.kind, Kind::Read { .. }) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "a cursor can only be declared for a query",
            )
            .into());
        }
        let formats = if binary { vec![Format::Binary] } else { Vec::new() };
        let format = RowFormat { formats, display: self.settings.display.clone() };
        if plan.is_write() {
            self.check_may_write("DECLARE CURSOR")?;
            self.no_wait = plan.translated.no_wait.is_some();
            self.loan().await.map_err(|stop| not_at_once(stop, &plan))?;
        }
        let source = self.begin_read(&plan, params, &format).await?;
        let portal = Portal {
            plan,
            params: params.to_vec(),
            format,
            state: State::Open(source),
            tag: None,
            hold,
            held: false,
            declared: Some(Declaration { said: Arc::clone(said), made_us: wall_clock_us() }),
            number: 0,
            place: Place::new(scroll),
        };
        self.keep_portal(name.to_owned(), portal)?;
        Ok("DECLARE CURSOR".into())
    }

    /// Fetches the rows of a movement, or only moves; the command's tag.
    pub(super) async fn fetch(
        &mut self,
        cursor: &str,
        movement: Movement,
        discard: bool,
        format: &RowFormat,
        out: &mut Out,
    ) -> Result<Cow<'static, str>, Stop> {
        // Out of the map while it runs; back in, whatever comes.
        let Some(mut portal) = self.portals.remove(cursor) else {
            return Err(no_cursor(cursor).into());
        };
        let fetched = self.fetch_from(&mut portal, movement, discard, format, out).await;
        self.portals.entry(cursor.to_owned()).or_insert(portal);
        let verb = if discard { "MOVE" } else { "FETCH" };
        Ok(format!("{verb} {}", fetched?).into())
    }

    async fn fetch_from(
        &mut self,
        portal: &mut Portal,
        movement: Movement,
        discard: bool,
        format: &RowFormat,
        out: &mut Out,
    ) -> Result<u64, Stop> {
        if matches!(portal.state, State::Fresh) {
            // A portal that Bind has made and nobody has run yet.
            if !matches!(portal.plan.translated.kind, Kind::Read { .. }) {
                return Err(SqlError::new(
                    SqlState::INVALID_CURSOR_STATE,
                    "a cursor's portal must be of a query",
                )
                .into());
            }
            let source = self.begin_read(&portal.plan, &portal.params, &portal.format).await?;
            portal.state = State::Open(source);
        }
        // What a portal of Bind gives has the format that Bind asked for.
        let format = if portal.declared.is_some() { format } else { &portal.format.clone() };
        let Portal { plan, params, state, place, .. } = portal;
        let mut rows = Rows { plan, params, format, state, place };
        if let (Movement::Forward(count), false, None) = (movement, discard, &rows.place.kept)
            && count != Some(0)
        {
            return rows.stream(count, out).await;
        }
        rows.go(movement, if discard { None } else { Some(out) }).await
    }

    /// The rowid of the row that a cursor stands on.
    pub(super) fn current_row(&self, current: &CurrentOf) -> Result<i64, SqlError> {
        let CurrentOf { cursor, table, name } = current;
        let portal = self.portals.get(cursor).ok_or_else(|| no_cursor(cursor))?;
        let misused = |what: String| {
            let text = format!("cursor \"{cursor}\" {what}");
            Err(SqlError::new(SqlState::INVALID_CURSOR_STATE, text))
        };
        let translated = &portal.plan.translated;
        let Kind::Read { for_update: locks } = translated.kind else {
            return misused("is not a SELECT query".to_owned());
        };
        if portal.held {
            return misused("is held from a previous transaction".to_owned());
        }
        match translated.rows_of {
            Some(of) if of == *table => {}
            Some(_) if locks => {
                let what = "does not have a FOR UPDATE/SHARE reference to table";
                return misused(format!("{what} \"{name}\""));
            }
            None if locks => {
                return Err(SqlError::unsupported("WHERE CURRENT OF a cursor over several tables"));
            }
            _ => return misused(format!("is not a simply updatable scan of table \"{name}\"")),
        }
        match portal.place.rowid(&portal.state) {
            Some(rowid) => Ok(rowid),
            None => misused("is not positioned on a row".to_owned()),
        }
    }

    pub(super) fn close(&mut self, name: Option<&str>) -> Result<Cow<'static, str>, Stop> {
        match name {
            None => {
                self.portals.retain(|_, portal| portal.declared.is_none());
                Ok("CLOSE CURSOR ALL".into())
            }
            Some(name) => match self.portals.remove(name) {
                Some(_) => Ok("CLOSE CURSOR".into()),
                None => Err(no_cursor(name).into()),
            },
        }
    }
}

/// The rows of a cursor, and how far it is.
struct Rows<'a> {
    plan: &'a Plan,
    params: &'a [Value],
    format: &'a RowFormat,
    state: &'a mut State,
    place: &'a mut Place,
}

impl Rows<'_> {
    /// Sends the next `count` rows (`None`: all) as they come.
    async fn stream(&mut self, count: Option<u64>, out: &mut Out) -> Result<u64, Stop> {
        let State::Open(source) = self.state else { return Ok(0) };
        let max = count.unwrap_or(0);
        let (sent, ended) = source.pump(self.plan, self.params, self.format, max, out).await?;
        self.place.taken += sent;
        self.place.position = self.place.taken + u64::from(ended);
        if ended {
            *self.state = State::Done;
        }
        Ok(sent)
    }

    /// Makes a movement row by row; `out` is where rows go, if anywhere.
    async fn go(&mut self, movement: Movement, mut out: Option<&mut Out>) -> Result<u64, Stop> {
        let here = self.place.position;
        match movement {
            Movement::Forward(Some(0)) | Movement::Backward(Some(0)) | Movement::Relative(0) => {
                self.give(here, &mut out).await
            }
            Movement::Forward(count) => {
                let mut given = 0;
                while count.is_none_or(|count| given < count) {
                    if self.give(self.place.position + 1, &mut out).await? == 0 {
                        break;
                    }
                    given += 1;
                }
                Ok(given)
            }
            Movement::Backward(count) => {
                let mut given = 0;
                while count.is_none_or(|count| given < count) && self.place.position > 0 {
                    given += self.give(self.place.position - 1, &mut out).await?;
                }
                Ok(given)
            }
            Movement::Relative(distance) => {
                let target = here.saturating_add_signed(distance);
                self.give(target, &mut out).await
            }
            Movement::Absolute(number) => {
                let target = match u64::try_from(number) {
                    Ok(number) => number,
                    Err(_) => {
                        while self.take_row()? {}
                        (self.place.taken + 1).saturating_sub(number.unsigned_abs())
                    }
                };
                self.give(target, &mut out).await
            }
        }
    }

    /// Goes to a position, and gives out its row; how many that were.
    async fn give(&mut self, target: u64, out: &mut Option<&mut Out>) -> Result<u64, Stop> {
        let place = &mut *self.place;
        let back = target < place.position || (target == place.position && target > 0);
        if back && !place.can_scroll() {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .with_hint("Declare it with SCROLL option to enable backward scan.")
            .into());
        }
        let mut last = BytesMut::new();
        while self.place.taken < target {
            last.clear();
            if !self.take_into(&mut last)? {
                self.place.position = self.place.taken + 1;
                return Ok(0);
            }
        }
        self.place.position = target;
        let Some(index) = target.checked_sub(1) else { return Ok(0) };
        if let Some(out) = out {
            match &self.place.kept {
                Some(kept) => out.buffer.extend_from_slice(&kept.rows[index as usize].0),
                None => out.buffer.extend_from_slice(&last),
            }
            if out.is_full() {
                self.set_resting(true);
                let flushed = out.flush().await;
                self.set_resting(false);
                flushed?;
            }
        }
        Ok(1)
    }

    fn set_resting(&mut self, resting: bool) {
        if let State::Open(source) = self.state {
            source.set_resting(resting);
        }
    }

    fn take_row(&mut self) -> Result<bool, Stop> {
        self.take_into(&mut BytesMut::new())
    }

    /// Takes the next row from the source, as a message.
    fn take_into(&mut self, message: &mut BytesMut) -> Result<bool, Stop> {
        let State::Open(source) = self.state else { return Ok(false) };
        let next = || source.next_row(self.plan, self.params, self.format, message);
        if !block_in_place(next)? {
            *self.state = State::Done;
            return Ok(false);
        }
        self.place.taken += 1;
        if let Some(kept) = &mut self.place.kept {
            kept.bytes += message.len();
            if kept.bytes > KEPT_MAX {
                return Err(SqlError::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    "the rows of a scrollable cursor are too large to be kept",
                )
                .into());
            }
            kept.rows.push((message.clone(), source.rowid()));
        }
        Ok(true)
    }
}

fn no_cursor(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
