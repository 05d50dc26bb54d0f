//! The node: what it runs, where its log stands, its locks and its clock.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::super::IMPURE;
use super::super::call::{Answer, Call, Registry, boolean, integer, text};
use crate::log::{Lsn, Value};
use crate::pg::types::datetime::{UNIX_EPOCH, print_timestamptz};
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::default_setting;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define(
        IMPURE,
        &[
            ("getdatabaseencoding", 0, |_| text("UTF8")),
            ("pg_client_encoding", 0, |_| text("UTF8")),
            ("pg_conf_load_time", 0, |_| started()),
            ("pg_current_wal_flush_lsn", 0, written_lsn),
            ("pg_current_wal_insert_lsn", 0, written_lsn),
            ("pg_current_wal_lsn", 0, written_lsn),
            ("pg_current_xact_id", 0, transaction_number),
            ("pg_current_xact_id_if_assigned", 0, |_| Ok(Value::Null)),
            ("pg_is_in_recovery", 0, |call| boolean(call.environment().in_recovery)),
            ("pg_is_wal_replay_paused", 0, |_| boolean(false)),
            // Notifications are read from the log, which does not end.
            ("pg_notification_queue_usage", 0, |_| Ok(Value::Real(0.0))),
            // The configuration is read once.
            ("pg_reload_conf", 0, |_| boolean(true)),
            // Nobody keeps statistics.
            ("pg_stat_clear_snapshot", 0, |_| text("")),
            ("pg_stat_reset", 0, |_| text("")),
            ("pg_stat_reset_shared", 1, |_| text("")),
            ("pg_stat_reset_single_table_counters", 1, |_| text("")),
            ("pg_last_wal_receive_lsn", 0, |call| replayed(call, |env| env.commit_lsn)),
            ("pg_last_wal_replay_lsn", 0, |call| replayed(call, |env| env.applied_lsn)),
            ("pg_last_xact_replay_timestamp", 0, |_| Ok(Value::Null)),
            ("pg_postmaster_start_time", 0, |_| started()),
            ("txid_current", 0, transaction_number),
            ("version", 0, |_| text(version())),
        ],
    )?;
    registry.define_strict(
        IMPURE,
        &[
            ("pg_sleep", 1, sleep),
            ("pg_wal_lsn_diff", 2, |call| {
                let lsn = |at| -> Result<i128, SqlError> {
                    let written = call.text(at)?;
                    let parsed: Result<Lsn, _> = written.parse();
                    parsed.map(|lsn| lsn.0.into()).map_err(|_| {
                        SqlError::new(
                            SqlState::INVALID_TEXT_REPRESENTATION,
                            format!("invalid input syntax for type pg_lsn: \"{written}\""),
                        )
                    })
                };
                text((lsn(0)? - lsn(1)?).to_string())
            }),
        ],
    )
}

/// What `version()` says. Clients read PostgreSQL's version out of it.
pub(super) fn version() -> String {
    format!(
        "PostgreSQL {} (Towline {}) on {}-{}, compiled by rustc, 64-bit",
        default_setting("server_version").unwrap_or("15"),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// When the process began to open databases, in microseconds since 1970.
pub(super) fn process_start_us() -> i64 {
    static START: OnceLock<i64> = OnceLock::new();
    *START.get_or_init(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

fn started() -> Answer {
    let mut printed = String::new();
    print_timestamptz(process_start_us() + UNIX_EPOCH, &Zone::UTC, &mut printed);
    text(printed)
}

fn written_lsn(call: &Call<'_, '_>) -> Answer {
    let environment = call.environment();
    if environment.in_recovery {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "recovery is in progress",
        )
        .with_hint("WAL control functions cannot be executed during recovery."));
    }
    text(environment.commit_lsn.to_string())
}

/// A position that only a follower has.
fn replayed(
    call: &Call<'_, '_>,
    position: fn(&crate::storage::sqlite::Environment) -> Lsn,
) -> Answer {
    let environment = call.environment();
    if environment.in_recovery { text(position(&environment).to_string()) } else { Ok(Value::Null) }
}

/// Transactions are numbered by where their frames begin.
/// Nobody counts transactions: the moment when one began, which none shares with it in
/// the same session, serves as its number.
fn transaction_number(call: &Call<'_, '_>) -> Answer {
    integer(call.surroundings.now_us())
}

/// How often a sleeper looks whether it is to stop.
const SLEEP_STEP: Duration = Duration::from_millis(10);

/// Readers only: on the writer everyone else would wait along.
fn sleep(call: &Call<'_, '_>) -> Answer {
    let seconds = call.real(0)?;
    if call.surroundings.is_writer() {
        return Err(SqlError::unsupported("pg_sleep in a transaction that writes"));
    }
    let wanted = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let start = std::time::Instant::now();
    while start.elapsed() < wanted {
        if call.surroundings.interrupted() {
            return Err(SqlError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        std::thread::sleep(SLEEP_STEP.min(wanted - start.elapsed().min(wanted)));
    }
    text("")
}
