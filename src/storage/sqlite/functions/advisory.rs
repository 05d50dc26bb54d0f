//! Advisory locks: `pg_advisory_lock` and its kin. Who holds what is the node's to
//! know; here the calls are read and passed on, and a lock that must be waited for
//! fails with [`NEEDS_LOCK`]: the session waits without holding a connection, and runs
//! the statement again.

use std::sync::Arc;

use super::IMPURE;
use super::call::{Answer, Call, Registry, boolean, text};
use crate::log::ValueRef;
use crate::pg::{SqlError, SqlState};

/// The SQLSTATE-like code of a lock that another session holds.
pub const NEEDS_LOCK: SqlState = SqlState("TL002");

/// What is locked: one 64-bit number, or two of 32 bits, which never meet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AdvisoryKey {
    One(i64),
    Two(i32, i32),
}

/// What a function asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AdvisoryCall {
    Lock {
        key: AdvisoryKey,
        shared: bool,
        /// Until the transaction's end, else until it is released.
        transaction: bool,
    },
    Unlock {
        key: AdvisoryKey,
        shared: bool,
    },
    UnlockAll,
}

/// Carries calls out for one session; whether each could be.
#[derive(Clone, Default)]
pub struct AdvisoryLocks(Option<Arc<Carrier>>);

type Carrier = dyn Fn(AdvisoryCall) -> bool + Send + Sync;

impl AdvisoryLocks {
    pub fn new(carrier: impl Fn(AdvisoryCall) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(carrier)))
    }

    /// Carries a call out. Where there is no session, nobody else is there to hold it.
    pub fn call(&self, asked: AdvisoryCall) -> bool {
        self.0.as_ref().is_none_or(|carrier| carrier(asked))
    }
}

impl std::fmt::Debug for AdvisoryLocks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("AdvisoryLocks").field(&self.0.is_some()).finish()
    }
}

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    for arity in [1, 2] {
        registry.define_strict(
            IMPURE,
            &[
                ("pg_advisory_lock", arity, |call| wait(call, false, false)),
                ("pg_advisory_lock_shared", arity, |call| wait(call, true, false)),
                ("pg_advisory_xact_lock", arity, |call| wait(call, false, true)),
                ("pg_advisory_xact_lock_shared", arity, |call| wait(call, true, true)),
                ("pg_try_advisory_lock", arity, |call| attempt(call, false, false)),
                ("pg_try_advisory_lock_shared", arity, |call| attempt(call, true, false)),
                ("pg_try_advisory_xact_lock", arity, |call| attempt(call, false, true)),
                ("pg_try_advisory_xact_lock_shared", arity, |call| attempt(call, true, true)),
                ("pg_advisory_unlock", arity, |call| unlock(call, false)),
                ("pg_advisory_unlock_shared", arity, |call| unlock(call, true)),
            ],
        )?;
    }
    registry.define_strict(
        IMPURE,
        &[("pg_advisory_unlock_all", 0, |call| {
            carry_out(call, AdvisoryCall::UnlockAll);
            text("")
        })],
    )
}

fn wait(call: &Call<'_, '_>, shared: bool, transaction: bool) -> Answer {
    let key = key(call)?;
    if carry_out(call, AdvisoryCall::Lock { key, shared, transaction }) {
        return text("");
    }
    Err(SqlError::new(NEEDS_LOCK, "the advisory lock is held by another session"))
}

fn attempt(call: &Call<'_, '_>, shared: bool, transaction: bool) -> Answer {
    boolean(carry_out(call, AdvisoryCall::Lock { key: key(call)?, shared, transaction }))
}

fn unlock(call: &Call<'_, '_>, shared: bool) -> Answer {
    boolean(carry_out(call, AdvisoryCall::Unlock { key: key(call)?, shared }))
}

fn carry_out(call: &Call<'_, '_>, asked: AdvisoryCall) -> bool {
    call.environment().advisory.call(asked)
}

fn key(call: &Call<'_, '_>) -> Result<AdvisoryKey, SqlError> {
    let number = |at| match call.value(at) {
        ValueRef::Integer(number) => Ok(number),
        _ => {
            let text = call.text(at)?;
            text.trim().parse().map_err(|_| {
                SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("invalid input syntax for type bigint: \"{text}\""),
                )
            })
        }
    };
    if call.len() == 1 {
        return Ok(AdvisoryKey::One(number(0)?));
    }
    let half = |at| {
        i32::try_from(number(at)?).map_err(|_| {
            SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range")
        })
    };
    Ok(AdvisoryKey::Two(half(0)?, half(1)?))
}
