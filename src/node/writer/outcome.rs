//! Exactly once: what became of a session's last write, kept in the database it
//! changed, so that a write sent again after a failover is answered and not repeated.
//!
//! `towline_outcome` has a fixed number of slots; a session's slot follows from its
//! id. Two sessions may share one: the later write then displaces the earlier
//! outcome, whose look-up answers "unknown".

use xxhash_rust::xxh3::xxh3_64;

use crate::log::{ClientToken, Outcome, Value, ValueRef};
use crate::storage::sqlite::{Sqlite, SqliteError};

/// Slots in `towline_outcome`.
const SLOTS: u64 = 65_536;
/// Bytes of a reply that are kept; a larger one is answered "committed" without rows.
pub(crate) const REPLY_MAX: usize = 4096;

/// What is recorded for a token.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Recorded {
    /// Nothing. Certain to have not been carried out, unless `displaced`: then the
    /// slot is another session's, and may have held this write's outcome before.
    Nothing { displaced: bool },
    /// This very write, with its outcome.
    Outcome(Outcome),
    /// A later write of the same session: this one is long answered.
    Later,
}

fn slot(session: u128) -> i64 {
    i64::try_from(xxh3_64(&session.to_le_bytes()) % SLOTS).expect("below 65536")
}

/// Looks a token up.
pub(crate) fn find(sqlite: &mut Sqlite, token: ClientToken) -> Result<Recorded, SqliteError> {
    let mut query = sqlite
        .prepare("SELECT sequence, tag, reply, session FROM towline_outcome WHERE slot = ?1")?;
    query.bind(1, ValueRef::Integer(slot(token.session)))?;
    let recorded = if query.step()? {
        let own = token.session.to_be_bytes();
        let displaced = !matches!(query.column(3), ValueRef::Blob(session) if session == own);
        let wanted = i64::try_from(token.sequence).unwrap_or(i64::MAX);
        match query.column(0) {
            _ if displaced => Recorded::Nothing { displaced },
            ValueRef::Integer(sequence) if sequence == wanted => Recorded::Outcome(Outcome {
                tag: match query.column(1) {
                    ValueRef::Text(tag) => tag.to_owned(),
                    _ => String::new(),
                },
                reply: match query.column(2) {
                    ValueRef::Blob(reply) => Some(reply.to_vec()),
                    _ => None,
                },
            }),
            ValueRef::Integer(sequence) if sequence > wanted => Recorded::Later,
            _ => Recorded::Nothing { displaced },
        }
    } else {
        Recorded::Nothing { displaced: false }
    };
    query.reset();
    Ok(recorded)
}

/// Records an outcome in the open transaction; outside of the effect hash, for it
/// follows from the frame itself.
pub(crate) fn record(
    sqlite: &mut Sqlite,
    token: ClientToken,
    outcome: &Outcome,
) -> Result<(), SqliteError> {
    let mark = sqlite.effect_mark();
    let mut insert = sqlite.prepare(
        "INSERT OR REPLACE INTO towline_outcome (slot, session, sequence, tag, reply) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.bind_all(&[
        Value::Integer(slot(token.session)),
        Value::Blob(token.session.to_be_bytes().to_vec()),
        Value::Integer(i64::try_from(token.sequence).unwrap_or(i64::MAX)),
        Value::Text(outcome.tag.clone()),
        outcome.reply.clone().map_or(Value::Null, Value::Blob),
    ])?;
    while insert.step()? {}
    insert.reset();
    drop(insert);
    sqlite.effect_undo(mark);
    Ok(())
}
