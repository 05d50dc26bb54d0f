//! PostgreSQL's settings: their names, what their values may be, and their defaults. What
//! a session has set is the session's; this is what it may set.

use super::types::DateStyle;
use super::types::zone::Zone;
use super::{SERVER_VERSION, SERVER_VERSION_NUM, SqlError, SqlState};

/// What a setting's value may be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Bool,
    /// Within the bounds, both included.
    Integer(i64, i64),
    Real,
    /// Milliseconds, or a number with a unit.
    Duration,
    /// One of these.
    Choice(&'static [&'static str]),
    Text,
    /// Nothing, or this and hexadecimal digits.
    Numbered(&'static str),
    /// Fixed by the server.
    ReadOnly,
    /// Of its configuration, which is read once.
    Restart,
    /// As PostgreSQL reads it again when told so.
    Reload,
}

/// A setting that the node knows.
pub struct Known {
    pub name: &'static str,
    kind: Kind,
    pub default: &'static str,
    /// Told to the client whenever it changes (ParameterStatus), by this name.
    pub reported: Option<&'static str>,
}

const fn known(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known { name, kind, default, reported: None }
}

const fn reported(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    as_name: &'static str,
) -> Known {
    Known { name, kind, default, reported: Some(as_name) }
}

const ISOLATIONS: &[&str] =
    &["serializable", "repeatable read", "read committed", "read uncommitted"];
const LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "info", "warning", "error",
    "fatal", "panic",
];
const STYLES: &[&str] = &["postgres", "postgres_verbose", "sql_standard", "iso_8601"];
const COMMITS: &[&str] =
    &["off", "local", "remote_write", "on", "remote_apply", "true", "false", "yes", "no", "1", "0"];

/// All settings, in order of name. Those without an effect are kept because clients
/// set them and read them back.
#[rustfmt::skip]
pub const KNOWN: &[Known] = &[
    reported("application_name", Kind::Text, "", "application_name"),
    known("array_nulls", Kind::Bool, "on"),
    known("autovacuum", Kind::Reload, "on"),
    known("backend_flush_after", Kind::Text, "0"),
    known("backslash_quote", Kind::Text, "safe_encoding"),
    known("block_size", Kind::ReadOnly, "8192"),
    known("bytea_output", Kind::Choice(&["hex", "escape"]), "hex"),
    known("check_function_bodies", Kind::Bool, "on"),
    known("client_connection_check_interval", Kind::Text, "0"),
    reported("client_encoding", Kind::Text, "UTF8", "client_encoding"),
    known("client_min_messages", Kind::Choice(LEVELS), "notice"),
    known("cluster_name", Kind::Restart, ""),
    known("commit_delay", Kind::Text, "0"),
    known("commit_siblings", Kind::Text, "5"),
    known("compute_query_id", Kind::Text, "auto"),
    known("constraint_exclusion", Kind::Text, "partition"),
    known("cpu_index_tuple_cost", Kind::Text, "0.005"),
    known("cpu_operator_cost", Kind::Text, "0.0025"),
    known("cpu_tuple_cost", Kind::Text, "0.01"),
    known("cursor_tuple_fraction", Kind::Text, "0.1"),
    known("data_checksums", Kind::ReadOnly, "off"),
    reported("datestyle", Kind::Text, "ISO, MDY", "DateStyle"),
    known("deadlock_timeout", Kind::Duration, "1000"),
    known("default_statistics_target", Kind::Integer(1, 10000), "100"),
    known("default_table_access_method", Kind::Text, "heap"),
    known("default_tablespace", Kind::Text, ""),
    known("default_text_search_config", Kind::Text, "pg_catalog.english"),
    known("default_toast_compression", Kind::Text, "pglz"),
    known("default_transaction_deferrable", Kind::Bool, "off"),
    known("default_transaction_isolation", Kind::Choice(ISOLATIONS), "read committed"),
    reported("default_transaction_read_only", Kind::Bool, "off", "default_transaction_read_only"),
    known("default_with_oids", Kind::Bool, "off"),
    known("effective_cache_size", Kind::Text, "4GB"),
    known("effective_io_concurrency", Kind::Text, "1"),
    known("enable_async_append", Kind::Text, "on"),
    known("enable_bitmapscan", Kind::Bool, "on"),
    known("enable_gathermerge", Kind::Text, "on"),
    known("enable_hashagg", Kind::Text, "on"),
    known("enable_hashjoin", Kind::Bool, "on"),
    known("enable_incremental_sort", Kind::Text, "on"),
    known("enable_indexonlyscan", Kind::Text, "on"),
    known("enable_indexscan", Kind::Bool, "on"),
    known("enable_material", Kind::Text, "on"),
    known("enable_memoize", Kind::Text, "on"),
    known("enable_mergejoin", Kind::Bool, "on"),
    known("enable_nestloop", Kind::Bool, "on"),
    known("enable_parallel_append", Kind::Text, "on"),
    known("enable_parallel_hash", Kind::Text, "on"),
    known("enable_partition_pruning", Kind::Text, "on"),
    known("enable_partitionwise_aggregate", Kind::Text, "off"),
    known("enable_partitionwise_join", Kind::Text, "off"),
    known("enable_seqscan", Kind::Bool, "on"),
    known("enable_sort", Kind::Text, "on"),
    known("enable_tidscan", Kind::Text, "on"),
    known("escape_string_warning", Kind::Bool, "on"),
    known("exit_on_error", Kind::Text, "off"),
    known("extra_float_digits", Kind::Integer(-15, 3), "1"),
    known("force_parallel_mode", Kind::Text, "off"),
    known("from_collapse_limit", Kind::Text, "8"),
    known("fsync", Kind::Reload, "on"),
    known("full_page_writes", Kind::Reload, "on"),
    known("geqo", Kind::Bool, "on"),
    known("geqo_effort", Kind::Text, "5"),
    known("geqo_generations", Kind::Text, "0"),
    known("geqo_pool_size", Kind::Text, "0"),
    known("geqo_seed", Kind::Text, "0"),
    known("geqo_selection_bias", Kind::Text, "2"),
    known("geqo_threshold", Kind::Text, "12"),
    known("gin_fuzzy_search_limit", Kind::Text, "0"),
    known("gin_pending_list_limit", Kind::Text, "4MB"),
    known("hash_mem_multiplier", Kind::Text, "2"),
    known("hot_standby", Kind::Restart, "on"),
    known("idle_in_transaction_session_timeout", Kind::Duration, "0"),
    known("idle_session_timeout", Kind::Duration, "0"),
    known("in_hot_standby", Kind::ReadOnly, "off"),
    known("integer_datetimes", Kind::ReadOnly, "on"),
    reported("intervalstyle", Kind::Choice(STYLES), "postgres", "IntervalStyle"),
    known("jit", Kind::Bool, "off"),
    known("jit_above_cost", Kind::Text, "100000"),
    known("jit_inline_above_cost", Kind::Text, "500000"),
    known("jit_optimize_above_cost", Kind::Text, "500000"),
    known("join_collapse_limit", Kind::Text, "8"),
    known("lc_collate", Kind::ReadOnly, "C.UTF-8"),
    known("lc_ctype", Kind::ReadOnly, "C.UTF-8"),
    known("lc_messages", Kind::Text, "C"),
    known("lc_monetary", Kind::Text, "C"),
    known("lc_numeric", Kind::Text, "C"),
    known("lc_time", Kind::Text, "C"),
    known("listen_addresses", Kind::Restart, "localhost"),
    known("lo_compat_privileges", Kind::Text, "off"),
    known("lock_timeout", Kind::Duration, "0"),
    known("log_duration", Kind::Text, "off"),
    known("log_min_duration_statement", Kind::Text, "-1"),
    known("log_min_error_statement", Kind::Text, "error"),
    known("log_min_messages", Kind::Text, "warning"),
    known("log_statement", Kind::Text, "none"),
    known("logging_collector", Kind::Restart, "off"),
    known("logical_decoding_work_mem", Kind::Text, "64MB"),
    known("maintenance_work_mem", Kind::Text, "64MB"),
    known("max_connections", Kind::Restart, "1000"),
    known("max_function_args", Kind::ReadOnly, "100"),
    known("max_identifier_length", Kind::ReadOnly, "63"),
    known("max_index_keys", Kind::ReadOnly, "32"),
    known("max_locks_per_transaction", Kind::Restart, "64"),
    known("max_parallel_maintenance_workers", Kind::Text, "2"),
    known("max_parallel_workers", Kind::Text, "8"),
    known("max_parallel_workers_per_gather", Kind::Integer(0, 1024), "0"),
    known("max_prepared_transactions", Kind::ReadOnly, "0"),
    known("max_replication_slots", Kind::Restart, "10"),
    known("max_stack_depth", Kind::Text, "2MB"),
    known("max_wal_senders", Kind::Restart, "10"),
    known("max_worker_processes", Kind::Restart, "8"),
    known("min_parallel_index_scan_size", Kind::Text, "512kB"),
    known("min_parallel_table_scan_size", Kind::Text, "8MB"),
    known("parallel_leader_participation", Kind::Text, "on"),
    known("parallel_setup_cost", Kind::Text, "1000"),
    known("parallel_tuple_cost", Kind::Text, "0.1"),
    known("password_encryption", Kind::Text, "scram-sha-256"),
    known("plan_cache_mode", Kind::Text, "auto"),
    known("port", Kind::Restart, "5432"),
    known("quote_all_identifiers", Kind::Bool, "off"),
    known("random_page_cost", Kind::Real, "4"),
    known("recursive_worktable_factor", Kind::Text, "10"),
    known("role", Kind::Text, "none"),
    known("row_security", Kind::Bool, "on"),
    known("search_path", Kind::Text, "\"$user\", public"),
    known("seq_page_cost", Kind::Real, "1"),
    known("server_encoding", Kind::ReadOnly, "UTF8"),
    known("server_version", Kind::ReadOnly, SERVER_VERSION),
    known("server_version_num", Kind::ReadOnly, SERVER_VERSION_NUM),
    reported("session_authorization", Kind::Text, "", "session_authorization"),
    known("session_replication_role", Kind::Choice(&["origin", "replica", "local"]), "origin"),
    known("shared_buffers", Kind::Restart, "128MB"),
    known("shared_preload_libraries", Kind::Restart, ""),
    known("ssl", Kind::Reload, "off"),
    known("ssl_renegotiation_limit", Kind::Text, "0"),
    reported("standard_conforming_strings", Kind::Bool, "on", "standard_conforming_strings"),
    known("statement_timeout", Kind::Duration, "0"),
    known("superuser_reserved_connections", Kind::Restart, "0"),
    known("synchronize_seqscans", Kind::Bool, "on"),
    known("synchronous_commit", Kind::Choice(COMMITS), "on"),
    known("synchronous_standby_names", Kind::Reload, ""),
    known("tcp_keepalives_count", Kind::Text, "0"),
    known("tcp_keepalives_idle", Kind::Text, "0"),
    known("tcp_keepalives_interval", Kind::Text, "0"),
    known("tcp_user_timeout", Kind::Text, "0"),
    known("temp_buffers", Kind::Text, "8MB"),
    known("temp_file_limit", Kind::Text, "-1"),
    known("temp_tablespaces", Kind::Text, ""),
    reported("timezone", Kind::Text, "UTC", "TimeZone"),
    known("timezone_abbreviations", Kind::Text, "Default"),
    known("towline.dialect", Kind::Choice(&["postgresql", "sqlite"]), "postgresql"),
    known("towline.max_staleness", Kind::Duration, "0"),
    known("towline.read_level", Kind::Choice(&["strong", "session", "bounded", "eventual"]), "session"),
    known("towline.temporary_schema", Kind::Numbered("pg_temp_"), ""),
    known("towline.transactions", Kind::Choice(&["optimistic", "locking"]), "optimistic"),
    known("track_activities", Kind::Text, "on"),
    known("track_counts", Kind::Bool, "off"),
    known("track_functions", Kind::Text, "none"),
    known("track_io_timing", Kind::Text, "off"),
    known("transaction_deferrable", Kind::Bool, "off"),
    known("transaction_isolation", Kind::Choice(ISOLATIONS), "read committed"),
    known("transaction_read_only", Kind::Bool, "off"),
    known("transform_null_equals", Kind::Text, "off"),
    known("vacuum_cost_delay", Kind::Text, "0"),
    known("vacuum_cost_limit", Kind::Text, "200"),
    known("vacuum_freeze_min_age", Kind::Text, "50000000"),
    known("vacuum_freeze_table_age", Kind::Text, "150000000"),
    known("wal_block_size", Kind::ReadOnly, "8192"),
    known("wal_compression", Kind::Text, "off"),
    known("wal_level", Kind::ReadOnly, "replica"),
    known("work_mem", Kind::Text, "4MB"),
    known("xmlbinary", Kind::Text, "base64"),
    known("xmloption", Kind::Text, "content"),
];

/// A setting by its name in lower case.
pub fn find(name: &str) -> Option<&'static Known> {
    KNOWN.binary_search_by(|known| known.name.cmp(name)).ok().map(|index| &KNOWN[index])
}

/// The name by which SHOW heads its column.
pub fn shown_name(name: &str) -> String {
    find(name).and_then(|known| known.reported).map_or_else(|| name.to_owned(), str::to_owned)
}

/// No setting has this name.
pub fn unrecognized(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// A value in its canonical spelling, or why it does not hold.
pub fn check(name: &str, value: &str) -> Result<String, SqlError> {
    let Some(known) = find(name) else {
        // Names with a dot belong to whoever uses them.
        return if name.contains('.') { Ok(value.to_owned()) } else { Err(unrecognized(name)) };
    };
    let invalid = || {
        let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
        SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    match known.kind {
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" | "n" if ONLY_ON.contains(&known.name) => {
                Err(SqlError::unsupported(format!("{name} = off")))
            }
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
            _ => {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        },
        Kind::Integer(min, max) => {
            let number: i64 = value.trim().parse().map_err(|_| invalid())?;
            if (min..=max).contains(&number) { Ok(number.to_string()) } else { Err(invalid()) }
        }
        Kind::Real => value.trim().parse::<f64>().map(|_| value.to_owned()).map_err(|_| invalid()),
        Kind::Duration => {
            milliseconds(value).filter(|ms| *ms >= 0).map(duration).ok_or_else(invalid)
        }
        Kind::Choice(choices) => {
            let wanted = value.to_ascii_lowercase();
            if choices.contains(&wanted.as_str()) { Ok(wanted) } else { Err(invalid()) }
        }
        Kind::Numbered(prefix) => {
            let tail = value.strip_prefix(prefix);
            let named = tail.is_some_and(|tail| tail.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if value.is_empty() || named { Ok(value.to_owned()) } else { Err(invalid()) }
        }
        Kind::Text => text(name, value, invalid),
        Kind::ReadOnly => Err(fixed(name, "")),
        Kind::Restart => Err(fixed(name, " without restarting the server")),
        Kind::Reload => Err(fixed(name, " now")),
    }
}

/// Settings that change how texts are read, which nothing here does otherwise.
const ONLY_ON: [&str; 2] = ["array_nulls", "standard_conforming_strings"];

fn fixed(name: &str, otherwise: &str) -> SqlError {
    let text = format!("parameter \"{name}\" cannot be changed{otherwise}");
    SqlError::new(SqlState("55P02"), text)
}

/// Texts that are not simply kept.
fn text(name: &str, value: &str, invalid: impl Fn() -> SqlError) -> Result<String, SqlError> {
    match name {
        "client_encoding" => {
            let plain = value.trim_matches('\'').to_ascii_uppercase().replace(['-', '_'], "");
            match plain.as_str() {
                "UTF8" | "UNICODE" | "DEFAULT" => Ok("UTF8".to_owned()),
                _ => Err(SqlError::unsupported(format!("client encoding \"{value}\""))),
            }
        }
        "datestyle" => DateStyle::default().changed(value).map(DateStyle::name),
        "timezone" => {
            let plain = value.trim().trim_matches('\'');
            match plain.to_ascii_lowercase().as_str() {
                "utc" | "gmt" | "z" | "zulu" | "default" | "local" | "etc/utc" => {
                    Ok("UTC".to_owned())
                }
                numeric => match numeric.parse::<f64>() {
                    Ok(hours) if hours.abs() <= 15.0 => Ok(offset_name(hours)),
                    Ok(_) => Err(invalid()),
                    Err(_) if Zone::parse(plain).is_some() => Ok(plain.to_owned()),
                    Err(_) => Err(invalid()),
                },
            }
        }
        _ => Ok(value.to_owned()),
    }
}

/// A numeric time zone in hours east of UTC, as POSIX writes it: `-5` is `<-05>+05`.
fn offset_name(hours: f64) -> String {
    let minutes = (hours * 60.0).round() as i64;
    let (east, west) = if minutes < 0 { ('-', '+') } else { ('+', '-') };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    match minutes {
        0 => format!("<{east}{hours:02}>{west}{hours:02}"),
        _ => format!("<{east}{hours:02}:{minutes:02}>{west}{hours:02}:{minutes:02}"),
    }
}

/// A duration in milliseconds: a number, with `us`, `ms`, `s`, `min`, `h` or `d` behind it.
pub fn milliseconds(value: &str) -> Option<i64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-');
    let (number, unit) = value.split_at(digits.unwrap_or(value.len()));
    let number: f64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "us" => 0.001,
        "" | "ms" => 1.0,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let ms = number * factor;
    (ms.is_finite() && ms.abs() < 2_147_483_648.0).then(|| ms.ceil() as i64)
}

/// How many units a value is that is written with one of its own, as `pg_settings` has it.
pub fn in_units(value: &str, unit: &str) -> Option<i64> {
    const SIZES: [(&str, i64); 5] =
        [("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40), ("B", 1)];
    let (each, ms) = match unit {
        "ms" => return milliseconds(value),
        "s" => (1_000, true),
        "min" => (60_000, true),
        "8kB" => (8 << 10, false),
        unit => (SIZES.iter().find(|(name, _)| *name == unit)?.1, false),
    };
    if let Ok(number) = value.parse() {
        return Some(number);
    }
    if ms {
        return Some(milliseconds(value)? / each);
    }
    let (name, size) = SIZES.iter().find(|(name, _)| value.ends_with(name))?;
    let number: i64 = value.strip_suffix(name)?.trim().parse().ok()?;
    Some(number.checked_mul(*size)? / each)
}

/// A duration as SHOW prints it: in the largest unit that it is a multiple of.
fn duration(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let unit = units.iter().find(|(length, _)| ms != 0 && ms % length == 0);
    unit.map_or_else(|| ms.to_string(), |(length, name)| format!("{}{name}", ms / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_its_largest_unit() {
        for (given, shown) in
            [("10500", "10500ms"), ("60s", "1min"), ("1.5 h", "90min"), ("0", "0"), ("36h", "36h")]
        {
            assert_eq!(check("statement_timeout", given).ok().as_deref(), Some(shown));
        }
    }

    #[test]
    fn what_reads_texts_otherwise_is_refused() {
        assert_eq!(check("standard_conforming_strings", "true").ok().as_deref(), Some("on"));
        let refused = check("standard_conforming_strings", "off").expect_err("refused");
        assert_eq!(refused.state, SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn a_value_is_counted_in_its_settings_unit() {
        for (value, unit, number) in [
            ("4MB", "kB", Some(4096)),
            ("4GB", "8kB", Some(524_288)),
            ("10500ms", "ms", Some(10_500)),
            ("2min", "s", Some(120)),
            ("-1", "kB", Some(-1)),
            ("x", "kB", None),
        ] {
            assert_eq!(in_units(value, unit), number, "{value}");
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(KNOWN.is_sorted_by(|a, b| a.name < b.name));
    }
}
