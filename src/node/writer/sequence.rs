//! Ranges of sequence values: reserved in the log before they are drawn from, so
//! that no value is handed out again after a rollback or a failover.
//!
//! A statement that draws past its range fails, the range is extended, and the
//! statement runs again from the value it began with. Extensions double while one
//! statement draws, so that a bulk insert needs few of them; and a sequence from which
//! much was drawn takes more at once, for an extension costs as much as some inserts.

use crate::log::{Entry, Statement, Value, ValueRef};
use crate::pg::{SqlError, SqlState};
use crate::storage::sqlite::{Sqlite, SqliteError};

/// Values that the first reservation takes.
const FIRST: i64 = 32;
/// Values that one takes because many were drawn before: what a failover may skip.
const USUAL: i64 = 512;
/// Values that one reservation takes at most.
const MOST: i64 = 1 << 20;

/// Extensions for one statement at most. They double, so one that needs more is not
/// drawing but moving the sequence away from under itself with `setval`.
const EXTENSIONS_MAX: usize = 100;

/// Counts the extensions for one statement.
#[derive(Default)]
pub(super) struct Extensions(usize);

impl Extensions {
    /// One more, for `name`; an error if it is one too many.
    pub(super) fn count(&mut self, name: &str) -> Result<(), SqlError> {
        self.0 += 1;
        if self.0 <= EXTENSIONS_MAX {
            return Ok(());
        }
        Err(SqlError::unsupported(format_args!(
            "nextval and setval of sequence \"{name}\" in one statement"
        )))
    }
}

/// A range moved: sequence `name` may hand out values up to `last`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reservation {
    pub name: String,
    pub last: i64,
}

impl Reservation {
    pub(super) fn entry(&self, database: u32) -> Entry {
        Entry::SequenceReservation { database, name: self.name.clone(), last: self.last }
    }
}

/// A sequence as it stands in the database.
struct Held {
    start: i64,
    increment: i64,
    min: i64,
    max: i64,
    cycle: bool,
    reserved: Option<i64>,
}

/// Extends the range of `name`, in the open transaction and in the connection's
/// ranges. `next` is the value that the failed statement began with, if it drew.
pub(super) fn reserve(
    sqlite: &mut Sqlite,
    name: &str,
    before: Option<(i64, i64)>,
) -> Result<Reservation, SqlError> {
    let internal = |error: SqliteError| SqlError::new(SqlState::INTERNAL_ERROR, error.message);
    let held = read(sqlite, name).map_err(internal)?.ok_or_else(|| {
        SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
    })?;
    let (next, last) = plan(&held, before).ok_or_else(|| {
        let (bound, edge) =
            if held.increment > 0 { ("maximum", held.max) } else { ("minimum", held.min) };
        SqlError::new(
            SqlState("2200H"),
            format!("nextval: reached {bound} value of sequence \"{name}\" ({edge})"),
        )
    })?;
    let reservation = Reservation { name: name.to_owned(), last };
    apply(sqlite, &reservation).map_err(internal)?;
    sqlite.sequence_ranges().insert(name.to_owned(), (next, last));
    Ok(reservation)
}

/// The new range as (next, last), or `None` where the sequence has ended. What is
/// left of the old range stays in front where the new values continue it.
fn plan(held: &Held, before: Option<(i64, i64)>) -> Option<(i64, i64)> {
    let step = held.increment;
    let beyond = |value: i64| if step > 0 { value > held.max } else { value < held.min };
    let continued = match held.reserved {
        None => Some(held.start),
        Some(reserved) => reserved.checked_add(step),
    }
    .filter(|value| !beyond(*value));
    let (first, wraps) = match continued {
        Some(value) => (value, false),
        None if held.cycle => (if step > 0 { held.min } else { held.max }, true),
        None => return None,
    };
    // What is left continues into the new values if the old range ended just before.
    let left = before.filter(|(_, last)| {
        !wraps && Some(*last) == held.reserved && last.checked_add(step) == Some(first)
    });
    let (next, had) = match left {
        Some((next, last)) => {
            let count = (i128::from(last) - i128::from(next)) / i128::from(step) + 1;
            (if count > 0 { next } else { first }, i64::try_from(count.max(0)).unwrap_or(MOST))
        }
        None => (first, 0),
    };
    let drawn = (i128::from(first) - i128::from(held.start)) / i128::from(step);
    let usual = i64::try_from(drawn / 4).unwrap_or(USUAL).clamp(FIRST, USUAL);
    let take = had.saturating_mul(2).clamp(usual, MOST);
    let edge = if step > 0 { held.max } else { held.min };
    let room = (i128::from(edge) - i128::from(first)) / i128::from(step);
    let steps = i128::from(take - 1).min(room);
    let last = i128::from(first) + steps * i128::from(step);
    Some((next, i64::try_from(last).unwrap_or(edge)))
}

const RESERVE: &str = "UPDATE towline_sequence SET reserved = ?1 WHERE name = ?2";

/// Runs and returns the last statements of a transaction that made these reservations,
/// which say how they stand at its end. In the log the reservations come before it, but it
/// may have moved a sequence by `setval` first, or have made it.
pub(super) fn settle(
    sqlite: &mut Sqlite,
    reservations: &[Reservation],
) -> Result<Vec<Statement>, SqliteError> {
    let mut statements = Vec::new();
    for Reservation { name, .. } in reservations {
        // One that it has dropped needs none.
        let Some(held) = read(sqlite, name)? else { continue };
        let reserved = held.reserved.map_or(Value::Null, Value::Integer);
        let params = vec![reserved, Value::Text(name.clone())];
        set_reserved(sqlite, &params)?;
        statements.push(Statement { text: RESERVE.into(), params, ..Statement::default() });
    }
    Ok(statements)
}

/// Records a reservation in the open transaction; outside of the effect hash, for it
/// has a frame of its own.
pub(super) fn apply(sqlite: &mut Sqlite, reservation: &Reservation) -> Result<(), SqliteError> {
    let mark = sqlite.effect_mark();
    let params = [Value::Integer(reservation.last), Value::Text(reservation.name.clone())];
    set_reserved(sqlite, &params)?;
    sqlite.effect_undo(mark);
    Ok(())
}

fn set_reserved(sqlite: &mut Sqlite, params: &[Value]) -> Result<(), SqliteError> {
    let mut update = sqlite.prepare(RESERVE)?;
    update.bind_all(params)?;
    while update.step()? {}
    update.reset();
    Ok(())
}

fn read(sqlite: &mut Sqlite, name: &str) -> Result<Option<Held>, SqliteError> {
    let mut query = sqlite.prepare(
        "SELECT start, increment, min, max, cycle, reserved FROM towline_sequence WHERE name = ?1",
    )?;
    query.bind(1, ValueRef::Text(name))?;
    let held = if query.step()? {
        let integer = |index| match query.column(index) {
            ValueRef::Integer(value) => Some(value),
            _ => None,
        };
        Some(Held {
            start: integer(0).unwrap_or(1),
            increment: integer(1).filter(|step| *step != 0).unwrap_or(1),
            min: integer(2).unwrap_or(1),
            max: integer(3).unwrap_or(i64::MAX),
            cycle: integer(4).unwrap_or(0) != 0,
            reserved: integer(5),
        })
    } else {
        None
    };
    query.reset();
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, min: i64, max: i64, reserved: Option<i64>) -> Held {
        let start = if increment > 0 { min } else { max };
        Held { start, increment, min, max, cycle: false, reserved }
    }

    #[test]
    fn the_first_range_begins_at_the_start() {
        assert_eq!(plan(&sequence(1, 1, i64::MAX, None), None), Some((1, 32)));
        assert_eq!(plan(&sequence(-1, i64::MIN, -1, None), None), Some((-1, -32)));
    }

    #[test]
    fn what_is_left_is_kept_and_doubled() {
        let held = sequence(1, 1, i64::MAX, Some(32));
        assert_eq!(plan(&held, Some((1, 32))), Some((1, 96)));
        // Used up: nothing is left in front.
        assert_eq!(plan(&held, Some((33, 32))), Some((33, 64)));
        // Another leader reserved meanwhile: what this node held is void.
        assert_eq!(plan(&held, Some((5, 16))), Some((33, 64)));
    }

    #[test]
    fn a_sequence_that_is_used_much_takes_more_at_once() {
        let held = |reserved| sequence(1, 1, i64::MAX, Some(reserved));
        assert_eq!(plan(&held(400), Some((401, 400))), Some((401, 500)));
        assert_eq!(plan(&held(1_000_000), None), Some((1_000_001, 1_000_512)));
        let down = Held { reserved: Some(-1000), ..sequence(-1, i64::MIN, -1, None) };
        assert_eq!(plan(&down, None), Some((-1001, -1250)));
    }

    #[test]
    fn ranges_end_at_the_bounds() {
        assert_eq!(plan(&sequence(10, 1, 25, None), None), Some((1, 21)));
        assert_eq!(plan(&sequence(10, 1, 25, Some(21)), None), None);
        let cycles = Held { cycle: true, ..sequence(10, 1, 25, Some(21)) };
        assert_eq!(plan(&cycles, None), Some((1, 21)));
        let top = sequence(1, 1, i64::MAX, Some(i64::MAX));
        assert_eq!(plan(&top, None), None);
    }
}
