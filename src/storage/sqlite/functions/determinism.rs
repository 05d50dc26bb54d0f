//! Functions whose result every node must repeat: time, randomness, `changes()`, and
//! sequences.
//!
//! # Sequences
//!
//! On the leader `nextval` hands out values of the ranges that the log reserved for
//! this node, and the context to be logged says, by sequence, with which value the
//! statement began; on a follower (and wherever a context says so) it begins there.
//! The values between follow by the increment, so one number a sequence tells all.
//!
//! ```text
//!   ranges: s → (next, last)          context.sequences: s → first
//!        │ first run                        │ repeated
//!        ▼                                  ▼
//!   nextval('s') = next, next + increment, …  until last: TL001, reserve and run again
//! ```
//!
//! `currval` and `lastval` answer from the session, and what they answered is put
//! into the context too (as entries marked apart), so that
//! `INSERT … VALUES (currval('s'))` is repeated truly. `setval` moves the reservation
//! in `towline_sequence` by an UPDATE of its own: the statement is shipped and does
//! so on every node. Unlike PostgreSQL's it is undone with its transaction.

use rusqlite::functions::Context;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::call::Registry;
use super::{IMPURE, Surroundings};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{PUBLIC, database_prefix, parts_of_written, split_database};
use crate::storage::sqlite::ffi::with_caller;

/// Up to so many, SQLite's own counter is set to what `changes()` is to answer.
pub(in crate::storage::sqlite) const CHANGES_NATIVE_MAX: i64 = 1000;

/// The most bytes that one `randomblob()` gives.
const RANDOM_BYTES_MAX: i64 = 16 * 1024 * 1024;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    register_time(registry)?;
    register_randomness(registry)?;
    register_changes(registry)?;
    register_sequences(registry)
}

/// Time: texts, in the forms in which values of these types are stored.
fn register_time(registry: Registry<'_>) -> rusqlite::Result<()> {
    let clock = |name: &str, read: fn(&Surroundings) -> i64, write: fn(i64) -> String| {
        let surroundings = registry.surroundings.clone();
        registry
            .connection
            .create_scalar_function(name, 0, IMPURE, move |_| Ok(write(read(&surroundings))))
    };
    for name in ["now", "transaction_timestamp"] {
        clock(name, Surroundings::now_us, timestamptz)?;
    }
    clock("statement_timestamp", Surroundings::statement_us, timestamptz)?;
    clock("clock_timestamp", Surroundings::clock_us, timestamptz)?;
    clock("towline_localtimestamp", Surroundings::now_us, timestamp)?;
    clock("towline_current_date", Surroundings::now_us, |us| civil(us, "%Y-%m-%d"))?;
    clock("towline_current_time", Surroundings::now_us, |us| {
        format!("{}+00", civil(us, "%H:%M:%S%.f"))
    })?;
    clock("towline_localtime", Surroundings::now_us, |us| civil(us, "%H:%M:%S%.f"))
}

fn timestamptz(us: i64) -> String {
    format!("{}+00", timestamp(us))
}

fn timestamp(us: i64) -> String {
    civil(us, "%Y-%m-%d %H:%M:%S%.f")
}

/// Prints a time in UTC. What is beyond the calendar prints as its nearest end.
fn civil(us: i64, format: &str) -> String {
    let timestamp = jiff::Timestamp::from_microsecond(us).unwrap_or(if us < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    timestamp.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
}

fn register_randomness(registry: Registry<'_>) -> rusqlite::Result<()> {
    let draw = registry.surroundings.clone();
    registry.connection.create_scalar_function("random", 0, IMPURE, move |_| {
        // SQLite's range, and its restraint: abs() of every value exists.
        Ok(draw.random().cast_signed().max(-i64::MAX))
    })?;
    let draw = registry.surroundings.clone();
    registry.connection.create_scalar_function("towline_random", 0, IMPURE, move |_| {
        // PostgreSQL's random(): 0 ≤ x < 1, in 53 bits.
        Ok((draw.random() >> 11) as f64 / (1_u64 << 53) as f64)
    })?;
    let draw = registry.surroundings.clone();
    registry.connection.create_scalar_function("randomblob", 1, IMPURE, move |context| {
        let length = context.get::<Option<i64>>(0).ok().flatten().unwrap_or(0).max(1);
        if length > RANDOM_BYTES_MAX {
            return Err(draw.raise(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("randomblob() gives at most {RANDOM_BYTES_MAX} bytes"),
            )));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(1)];
        draw.fill_random(&mut bytes);
        Ok(bytes)
    })?;
    for name in ["gen_random_uuid", "uuid_generate_v4"] {
        let draw = registry.surroundings.clone();
        registry.connection.create_scalar_function(name, 0, IMPURE, move |_| {
            let mut bytes = [0; 16];
            draw.fill_random(&mut bytes);
            let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
            Ok(Uuid::to_string(&uuid))
        })?;
    }
    for name in ["uuid_generate_v1", "uuid_generate_v1mc"] {
        let draw = registry.surroundings.clone();
        registry.connection.create_scalar_function(name, 0, IMPURE, move |_| {
            // Ticks of 100 ns since the Gregorian calendar began.
            let ticks = draw.clock_us().cast_unsigned() * 10 + 0x01b2_1dd2_1381_4000;
            let mut place = [0; 8];
            draw.fill_random(&mut place);
            let [c, d, node @ ..] = place;
            // No network card has a multicast address.
            let node = [node[0] | 1, node[1], node[2], node[3], node[4], node[5]];
            let counter = u16::from_be_bytes([c, d]);
            let uuid = uuid::Builder::from_gregorian_timestamp(ticks, counter, &node).into_uuid();
            Ok(Uuid::to_string(&uuid))
        })?;
    }
    let draw = registry.surroundings.clone();
    registry.connection.create_scalar_function("gen_random_bytes", 1, IMPURE, move |context| {
        let length = context.get::<Option<i64>>(0)?;
        let Some(length) = length else { return Ok(None) };
        if !(1..=1024).contains(&length) {
            let state = SqlState("39000");
            return Err(draw.raise(SqlError::new(state, "Length not in range")));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(1)];
        draw.fill_random(&mut bytes);
        Ok(Some(bytes))
    })?;
    Ok(())
}

/// `changes()`: SQLite's own counter, which the connection sets before a statement
/// that asks; except on a reader, which cannot set it, and for counts too large to be
/// set, where the counter holds the largest that was.
fn register_changes(registry: Registry<'_>) -> rusqlite::Result<()> {
    let surroundings = registry.surroundings.clone();
    registry.connection.create_scalar_function("changes", 0, IMPURE, move |context| {
        let set = surroundings.changes();
        if !surroundings.is_writer() {
            return Ok(set);
        }
        let native = with_caller(context, |connection| Ok(connection.changes().cast_signed()))?;
        Ok(if set > CHANGES_NATIVE_MAX && native == CHANGES_NATIVE_MAX { set } else { native })
    })
}

/// What `towline_sequence` says of a sequence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::storage::sqlite) struct Definition {
    oid: i64,
    increment: i64,
    min: i64,
    max: i64,
    cycle: bool,
    reserved: Option<i64>,
}

fn register_sequences(registry: Registry<'_>) -> rusqlite::Result<()> {
    let own = registry.surroundings.clone();
    registry.connection.create_scalar_function("nextval", 1, IMPURE, move |context| {
        let (name, definition) = find(context, &own)?;
        require_writer(&own, "nextval")?;
        next(&own, &name, definition).map_err(|error| own.raise(error))
    })?;
    let own = registry.surroundings.clone();
    registry.connection.create_scalar_function("currval", 1, IMPURE, move |context| {
        let (name, _) = find(context, &own)?;
        current(&own, &name).map_err(|error| own.raise(error))
    })?;
    let own = registry.surroundings.clone();
    registry.connection.create_scalar_function("lastval", 0, IMPURE, move |_| {
        last(&own).map_err(|error| own.raise(error))
    })?;
    for arguments in [2, 3] {
        let own = registry.surroundings.clone();
        registry.connection.create_scalar_function(
            "setval",
            arguments,
            IMPURE,
            move |context| {
                let (name, definition) = find(context, &own)?;
                require_writer(&own, "setval")?;
                let value: i64 = context.get(1)?;
                let is_called = context.len() < 3 || context.get::<bool>(2)?;
                set(context, &own, &name, definition, value, is_called)
            },
        )?;
    }
    Ok(())
}

fn require_writer(surroundings: &Surroundings, function: &str) -> rusqlite::Result<()> {
    if surroundings.is_writer() {
        return Ok(());
    }
    Err(surroundings.raise(SqlError::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {function}() in a read-only transaction"),
    )))
}

/// The sequence that the first argument names, by name or OID, and what the catalog
/// says of it.
fn find(
    context: &Context<'_>,
    surroundings: &Surroundings,
) -> rusqlite::Result<(String, Definition)> {
    let name = match context.get_raw(0) {
        ValueRef::Integer(oid) => with_caller(context, |connection| {
            let text = "SELECT name FROM main.towline_sequence WHERE oid = ?1";
            connection.query_row(text, [oid], |row| row.get(0)).optional()
        })?
        .ok_or_else(|| oid.to_string()),
        ValueRef::Text(written) => {
            let written = String::from_utf8_lossy(written);
            let prefix = database_prefix(surroundings.database());
            let read =
                with_caller(context, |connection| stored_name(connection, &prefix, &written))?;
            read.ok_or_else(|| written.into_owned())
        }
        _ => Err("NULL".to_owned()),
    };
    let undefined = |name: &str| {
        surroundings.raise(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        ))
    };
    let name = name.map_err(|name| undefined(&name))?;
    if split_database(&name).0 != surroundings.database() {
        return Err(undefined(&name));
    }
    let current = surroundings.catalog_generation();
    {
        let sequences = surroundings.sequences();
        if sequences.definitions_generation == current
            && let Some(definition) = sequences.definitions.get(&name)
        {
            return Ok((name, *definition));
        }
    }
    let read = with_caller(context, |connection| read_definition(connection, &name))?;
    let mut sequences = surroundings.sequences();
    if sequences.definitions_generation != current {
        // What was read before stays until read anew: it tells what has changed.
        let known: Vec<_> = sequences.definitions.keys().cloned().collect();
        for other in known.into_iter().filter(|other| *other != name) {
            let read = with_caller(context, |connection| read_definition(connection, &other))?;
            sequences.learn(other, read);
        }
        sequences.definitions_generation = current;
    }
    sequences.learn(name.clone(), read);
    drop(sequences);
    match read {
        Some(definition) => Ok((name, definition)),
        None => Err(undefined(&name)),
    }
}

/// The name by which a sequence is stored: the one given, or what it means as SQL
/// writes names in the database with this prefix.
fn stored_name(
    connection: &Connection,
    prefix: &str,
    written: &str,
) -> rusqlite::Result<Option<String>> {
    let written = written.strip_prefix(prefix).unwrap_or(written);
    let parts = parts_of_written(written);
    let name = parts.last().cloned().unwrap_or_default();
    let qualified = match parts.len() {
        1 => name.clone(),
        count => format!("{}.{name}", parts[count - 2]),
    };
    // Most often the translator has found it already.
    if written == qualified && parts.len() == 1 {
        return Ok(Some(format!("{prefix}{name}")));
    }
    let text = "SELECT name FROM main.towline_sequence WHERE name = ?1";
    for candidate in [written, &qualified] {
        let candidate = format!("{prefix}{candidate}");
        let found = connection.query_row(text, [candidate], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let public = parts.len() == 1 || parts[parts.len() - 2] == PUBLIC;
    Ok(public.then(|| format!("{prefix}{name}")))
}

fn read_definition(connection: &Connection, name: &str) -> rusqlite::Result<Option<Definition>> {
    let text = "SELECT oid, increment, min, max, cycle, reserved
                FROM main.towline_sequence WHERE name = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Definition {
            oid: row.get(0)?,
            increment: row.get(1)?,
            min: row.get(2)?,
            max: row.get(3)?,
            cycle: row.get(4)?,
            reserved: row.get(5)?,
        })
    };
    connection.query_row(text, [name], read).optional()
}

impl super::Sequences {
    /// Takes in what the catalog says now. A range ends where the sequence is another
    /// one, or its reservation was moved by something else than the range's own
    /// (RESTART, `setval`, a rollback of either).
    fn learn(&mut self, name: String, read: Option<Definition>) {
        if let (Some(before), Some((_, last))) =
            (self.definitions.get(&name), self.ranges.get(&name))
        {
            let keep = read.is_some_and(|read| {
                let moved = read.reserved != before.reserved && read.reserved != Some(*last);
                read.oid == before.oid && read.increment == before.increment && !moved
            });
            if !keep {
                self.ranges.remove(&name);
            }
        }
        match read {
            Some(definition) => self.definitions.insert(name, definition),
            None => self.definitions.remove(&name),
        };
    }

    /// Gives back what the running statement drew: it is run again.
    pub(super) fn give_back(&mut self) {
        for (name, first) in &self.first {
            if !self.replay.contains_key(name)
                && let Some((next, _)) = self.ranges.get_mut(name)
            {
                *next = *first;
            }
        }
        self.first.clear();
        self.last.clear();
        self.latest = None;
    }
}

fn next(surroundings: &Surroundings, name: &str, definition: Definition) -> Result<i64, SqlError> {
    let mut sequences = surroundings.sequences();
    let step = definition.increment;
    let value = if let Some(next) = sequences.replay.get_mut(name) {
        let value = *next;
        *next = value.wrapping_add(step);
        value
    } else {
        let within = |(next, last): (i64, i64)| if step > 0 { next <= last } else { next >= last };
        match sequences.ranges.get(name).copied().filter(|range| within(*range)) {
            Some((next, last)) => {
                match next.checked_add(step) {
                    Some(next) => sequences.ranges.insert(name.to_owned(), (next, last)),
                    None => sequences.ranges.remove(name),
                };
                next
            }
            None => {
                sequences.give_back();
                return Err(exhausted(name, definition));
            }
        }
    };
    if !sequences.first.contains_key(name) {
        sequences.first.insert(name.to_owned(), value);
    }
    match sequences.last.get_mut(name) {
        Some(last) => *last = value,
        None => {
            sequences.last.insert(name.to_owned(), value);
        }
    }
    if sequences.latest.as_deref() != Some(name) {
        sequences.latest = Some(name.to_owned());
    }
    Ok(value)
}

/// The range is used up: more is to be reserved, unless the sequence is at its end.
fn exhausted(name: &str, definition: Definition) -> SqlError {
    let Definition { increment, min, max, cycle, reserved, .. } = definition;
    let next = reserved.map(|reserved| reserved.checked_add(increment));
    let beyond = match next {
        None => false,
        Some(None) => true,
        Some(Some(next)) => next < min || next > max,
    };
    if beyond && !cycle {
        let (end, limit) = if increment > 0 { ("maximum", max) } else { ("minimum", min) };
        return SqlError::new(
            SqlState("2200H"),
            format!("nextval: reached {end} value of sequence \"{name}\" ({limit})"),
        );
    }
    SqlError::new(SqlState("TL001"), name)
}

fn current(surroundings: &Surroundings, name: &str) -> Result<i64, SqlError> {
    let environment = surroundings.environment();
    let mut sequences = surroundings.sequences();
    if let Some(value) = sequences.last.get(name) {
        return Ok(*value);
    }
    let replayed = sequences.replay_read.get(name).copied();
    let value = replayed.or_else(|| environment.sequence_values.get(name).copied());
    let Some(value) = value else {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("currval of sequence \"{name}\" is not yet defined in this session"),
        ));
    };
    sequences.read.insert(name.to_owned(), value);
    Ok(value)
}

/// The name under which `lastval()` is kept among what was read.
const LAST: &str = "";

fn last(surroundings: &Surroundings) -> Result<i64, SqlError> {
    let environment = surroundings.environment();
    let mut sequences = surroundings.sequences();
    let drawn = sequences.latest.as_ref().and_then(|name| sequences.last.get(name));
    if let Some(value) = drawn {
        return Ok(*value);
    }
    let of_session = || environment.sequence_values.get(environment.last_sequence.as_ref()?);
    let replayed = sequences.replay_read.get(LAST).copied();
    let Some(value) = replayed.or_else(|| of_session().copied()) else {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        ));
    };
    sequences.read.insert(LAST.to_owned(), value);
    Ok(value)
}

fn set(
    context: &Context<'_>,
    surroundings: &Surroundings,
    name: &str,
    definition: Definition,
    value: i64,
    is_called: bool,
) -> rusqlite::Result<i64> {
    let Definition { increment, min, max, .. } = definition;
    if value < min || value > max {
        return Err(surroundings.raise(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!(
                "setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})"
            ),
        )));
    }
    // The next value is the one after the reservation's last.
    let reserved = if is_called { Some(value) } else { value.checked_sub(increment) };
    with_caller(context, |connection| {
        let text = "UPDATE main.towline_sequence SET reserved = ?2 WHERE name = ?1";
        connection.execute(text, params![name, reserved])
    })?;
    let mut sequences = surroundings.sequences();
    sequences.ranges.remove(name);
    if is_called {
        // `lastval` stays with the sequence that was drawn from.
        sequences.last.insert(name.to_owned(), value);
    }
    Ok(value)
}
