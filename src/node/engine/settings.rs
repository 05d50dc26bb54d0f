//! A session's settings: PostgreSQL's names, types and defaults, changed by SET and
//! taken back with the transaction that changed them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::gateway::{CHANNELS, SettingsMap};
use crate::node::plan::Reading;
use crate::node::writer::Durability;
use crate::pg::types::Display;
use crate::pg::{SERVER_VERSION, SERVER_VERSION_NUM, SqlError, SqlState};
use crate::sql::Isolation;
use crate::sql::catalog::TEMPORARY_PREFIX;

/// The setting that names the schema of the session's temporary objects.
const TEMPORARY_SCHEMA: &str = "towline.temporary_schema";

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
    /// A schema of the session's own, or none.
    TemporarySchema,
    /// Fixed by the server.
    ReadOnly,
}

/// A setting that the node knows.
struct Known {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    /// Told to the client whenever it changes (ParameterStatus), by this name.
    reported: Option<&'static str>,
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
const COMMITS: &[&str] =
    &["off", "local", "remote_write", "on", "remote_apply", "true", "false", "yes", "no", "1", "0"];

/// All settings, in order of name. Those without an effect are kept because clients
/// set them and read them back.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    reported("application_name", Kind::Text, "", "application_name"),
    known("array_nulls", Kind::Bool, "on"),
    known("backslash_quote", Kind::Text, "safe_encoding"),
    known("bytea_output", Kind::Choice(&["hex", "escape"]), "hex"),
    known("check_function_bodies", Kind::Bool, "on"),
    reported("client_encoding", Kind::Text, "UTF8", "client_encoding"),
    known("client_min_messages", Kind::Choice(LEVELS), "notice"),
    known("constraint_exclusion", Kind::Text, "partition"),
    reported("datestyle", Kind::Text, "ISO, MDY", "DateStyle"),
    known("deadlock_timeout", Kind::Duration, "1000"),
    known("default_table_access_method", Kind::Text, "heap"),
    known("default_tablespace", Kind::Text, ""),
    known("default_text_search_config", Kind::Text, "pg_catalog.english"),
    known("default_transaction_deferrable", Kind::Bool, "off"),
    known("default_transaction_isolation", Kind::Choice(ISOLATIONS), "read committed"),
    reported("default_transaction_read_only", Kind::Bool, "off", "default_transaction_read_only"),
    known("default_with_oids", Kind::Bool, "off"),
    known("enable_bitmapscan", Kind::Bool, "on"),
    known("enable_hashjoin", Kind::Bool, "on"),
    known("enable_indexscan", Kind::Bool, "on"),
    known("enable_mergejoin", Kind::Bool, "on"),
    known("enable_nestloop", Kind::Bool, "on"),
    known("enable_seqscan", Kind::Bool, "on"),
    known("escape_string_warning", Kind::Bool, "on"),
    known("extra_float_digits", Kind::Integer(-15, 3), "1"),
    known("geqo", Kind::Bool, "on"),
    known("idle_in_transaction_session_timeout", Kind::Duration, "0"),
    known("idle_session_timeout", Kind::Duration, "0"),
    known("in_hot_standby", Kind::ReadOnly, "off"),
    known("integer_datetimes", Kind::ReadOnly, "on"),
    reported("intervalstyle", Kind::Choice(&["postgres"]), "postgres", "IntervalStyle"),
    known("jit", Kind::Bool, "off"),
    known("lc_collate", Kind::ReadOnly, "C.UTF-8"),
    known("lc_ctype", Kind::ReadOnly, "C.UTF-8"),
    known("lc_messages", Kind::Text, "C"),
    known("lc_monetary", Kind::Text, "C"),
    known("lc_numeric", Kind::Text, "C"),
    known("lc_time", Kind::Text, "C"),
    known("lock_timeout", Kind::Duration, "0"),
    known("log_min_duration_statement", Kind::Text, "-1"),
    known("log_statement", Kind::Text, "none"),
    known("maintenance_work_mem", Kind::Text, "64MB"),
    known("max_identifier_length", Kind::ReadOnly, "63"),
    known("max_index_keys", Kind::ReadOnly, "32"),
    known("max_parallel_workers_per_gather", Kind::Integer(0, 1024), "0"),
    known("password_encryption", Kind::Text, "scram-sha-256"),
    known("plan_cache_mode", Kind::Text, "auto"),
    known("quote_all_identifiers", Kind::Bool, "off"),
    known("random_page_cost", Kind::Real, "4"),
    known("role", Kind::Text, "none"),
    known("row_security", Kind::Bool, "on"),
    known("search_path", Kind::Text, "\"$user\", public"),
    known("seq_page_cost", Kind::Real, "1"),
    known("server_encoding", Kind::ReadOnly, "UTF8"),
    known("server_version", Kind::ReadOnly, SERVER_VERSION),
    known("server_version_num", Kind::ReadOnly, SERVER_VERSION_NUM),
    known("session_replication_role", Kind::Text, "origin"),
    reported("standard_conforming_strings", Kind::Choice(&["on"]), "on", "standard_conforming_strings"),
    known("statement_timeout", Kind::Duration, "0"),
    known("synchronize_seqscans", Kind::Bool, "on"),
    known("synchronous_commit", Kind::Choice(COMMITS), "on"),
    known("temp_buffers", Kind::Text, "8MB"),
    reported("timezone", Kind::Text, "UTC", "TimeZone"),
    known("towline.dialect", Kind::Choice(&["postgresql", "sqlite"]), "postgresql"),
    known("towline.max_staleness", Kind::Duration, "0"),
    known("towline.read_level", Kind::Choice(&["strong", "session", "bounded", "eventual"]), "session"),
    known("towline.temporary_schema", Kind::TemporarySchema, ""),
    known("towline.transactions", Kind::Choice(&["optimistic", "locking"]), "optimistic"),
    known("transaction_deferrable", Kind::Bool, "off"),
    known("transaction_isolation", Kind::Choice(ISOLATIONS), "read committed"),
    known("transaction_read_only", Kind::Bool, "off"),
    known("wal_level", Kind::ReadOnly, "replica"),
    known("work_mem", Kind::Text, "4MB"),
    known("xmlbinary", Kind::Text, "base64"),
    known("xmloption", Kind::Text, "content"),
];

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.binary_search_by(|known| known.name.cmp(name)).ok().map(|index| &KNOWN[index])
}

/// Settings as they stand, and as they will stand after the transaction.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// What differs from the defaults now.
    current: Arc<SettingsMap>,
    /// What will after COMMIT: as `current`, without what SET LOCAL changed.
    lasting: Arc<SettingsMap>,
    /// Derived from `current`: how values are printed.
    pub display: Display,
    /// Derived from `current`: how texts are read.
    pub reading: Arc<Reading>,
    /// Derived from `current` once it is asked for: every setting, on a leader and on
    /// a follower. Statements that call functions of the session ask every time.
    all: [OnceLock<Arc<SettingsMap>>; 2],
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            current: Arc::default(),
            lasting: Arc::default(),
            display: Display::default(),
            reading: Arc::default(),
            all: Default::default(),
        };
        settings.derive();
        settings
    }
}

impl Settings {
    /// A session's settings at its start. Values that don't hold are left out.
    pub(super) fn new(given: &SettingsMap) -> Self {
        let mut settings = Self::default();
        for (name, value) in given {
            if let Err(error) = settings.set(name, Some(value), false) {
                tracing::debug!(name, %error, "a start-up setting does not hold");
            }
        }
        settings
    }

    /// What differs from the defaults.
    pub(super) fn map(&self) -> &Arc<SettingsMap> {
        &self.current
    }

    /// Changes one; `None` is its default.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<(), SqlError> {
        let name = name.to_ascii_lowercase();
        let value = match value {
            None => None,
            Some(value) => Some(check(&name, value)?),
        };
        if value.is_none() && find(&name).is_none() && !name.contains('.') {
            return Err(unrecognized(&name));
        }
        let default = find(&name).map(|known| known.default);
        let change = |map: &mut Arc<SettingsMap>| match &value {
            Some(value) if Some(value.as_str()) != default => {
                Arc::make_mut(map).insert(name.clone(), value.clone());
            }
            _ => {
                if map.contains_key(&name) {
                    Arc::make_mut(map).remove(&name);
                }
            }
        };
        change(&mut self.current);
        if !local {
            change(&mut self.lasting);
        }
        self.derive();
        Ok(())
    }

    /// RESET ALL. The session's temporary objects stay where they are, and what it listens to.
    pub(super) fn reset_all(&mut self) {
        let keeps = [CHANNELS, TEMPORARY_SCHEMA];
        let kept = keeps.into_iter().filter_map(|name| self.current.get_key_value(name));
        let kept = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.current = Arc::new(kept);
        self.lasting = Arc::clone(&self.current);
        self.derive();
    }

    /// The schema of the session's temporary objects; empty while it has none. It is a
    /// setting, so that it goes with the session from node to node.
    pub(super) fn temporary_schema(&self) -> &str {
        self.known(TEMPORARY_SCHEMA)
    }

    /// Gives the session a schema for temporary objects, if it has none yet.
    pub(super) fn allot_temporary_schema(&mut self) -> Result<(), SqlError> {
        if self.temporary_schema().is_empty() {
            let name = format!("{TEMPORARY_PREFIX}{:016x}", rand::random::<u64>());
            self.set(TEMPORARY_SCHEMA, Some(&name), false)?;
        }
        Ok(())
    }

    /// What the session listens to.
    pub(super) fn channels(&self) -> Vec<String> {
        let written = self.current.get(CHANNELS);
        written.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    pub(super) fn set_channels(&mut self, channels: &[String]) -> Result<(), SqlError> {
        let written = serde_json::to_string(channels).expect("strings are plain JSON");
        self.set(CHANNELS, (!channels.is_empty()).then_some(&written), false)
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Result<&str, SqlError> {
        if let Some(value) = self.current.get(name) {
            return Ok(value);
        }
        find(name).map(|known| known.default).ok_or_else(|| unrecognized(name))
    }

    fn known(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every setting with its value, in order of name, on a node that is in recovery
    /// or not.
    pub(super) fn all(&self, in_recovery: bool) -> Arc<SettingsMap> {
        let all = self.all[usize::from(in_recovery)].get_or_init(|| {
            let defaults = KNOWN.iter().map(|k| (k.name.to_owned(), k.default.to_owned()));
            let mut all: SettingsMap = defaults.collect();
            all.extend(self.current.iter().map(|(name, value)| (name.clone(), value.clone())));
            all.remove(CHANNELS);
            let standby = if in_recovery { "on" } else { "off" };
            all.insert("in_hot_standby".to_owned(), standby.to_owned());
            Arc::new(all)
        });
        Arc::clone(all)
    }

    /// COMMIT: what SET LOCAL changed goes.
    pub(super) fn commit(&mut self) {
        if !Arc::ptr_eq(&self.current, &self.lasting) {
            self.current = Arc::clone(&self.lasting);
            self.derive();
        }
    }

    /// What was reported and is not as in `before` any more.
    pub(super) fn changed_reports(&self, before: &SettingsMap) -> Vec<(&'static str, String)> {
        let value = |map: &SettingsMap, known: &Known| {
            map.get(known.name).map_or_else(|| known.default.to_owned(), Clone::clone)
        };
        KNOWN
            .iter()
            .filter_map(|known| {
                let told_as = known.reported?;
                let now = value(&self.current, known);
                (now != value(before, known)).then_some((told_as, now))
            })
            .collect()
    }

    /// Whether anything is set otherwise than in `before`.
    pub(super) fn differs(&self, before: &Arc<SettingsMap>) -> bool {
        !Arc::ptr_eq(&self.current, before) && *self.current != **before
    }

    fn derive(&mut self) {
        self.all = Default::default();
        let zone = self.known("timezone");
        self.display = Display {
            time_zone: if zone == "UTC" { String::new() } else { zone.to_owned() },
            bytea_escape: self.known("bytea_output") == "escape",
            short_floats: self.known("extra_float_digits").parse().unwrap_or(1) < 1,
        };
        self.reading = Arc::new(Reading {
            search_path: self.search_path(),
            temporary_schema: self.temporary_schema().to_owned(),
            time_zone: self.display.time_zone.clone(),
            sqlite_dialect: self.known("towline.dialect") == "sqlite",
        });
    }

    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        self.duration("statement_timeout")
    }

    pub(super) fn lock_timeout(&self) -> Option<Duration> {
        self.duration("lock_timeout")
    }

    pub(super) fn idle_in_transaction_timeout(&self) -> Option<Duration> {
        self.duration("idle_in_transaction_session_timeout")
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        // The common case: not set, at its default of zero.
        let ms = self.current.get(name).and_then(|value| milliseconds(value))?;
        (ms > 0).then(|| Duration::from_millis(ms.unsigned_abs()))
    }

    pub(super) fn durability(&self) -> Durability {
        match self.current.get("synchronous_commit").map(String::as_str) {
            Some("off" | "false" | "no" | "0") => Durability::Appended,
            Some("local") => Durability::Local,
            Some("remote_apply") => Durability::Applied,
            _ => Durability::Committed,
        }
    }

    pub(super) fn default_isolation(&self) -> Isolation {
        isolation(self.known("default_transaction_isolation"))
    }

    pub(super) fn default_read_only(&self) -> bool {
        self.known("default_transaction_read_only") == "on"
    }

    /// Whether transactions take the writer with their first write, and so never fail
    /// because of what others wrote since.
    pub(super) fn locks(&self) -> bool {
        self.current.get("towline.transactions").is_some_and(|mode| mode == "locking")
    }

    pub(super) fn strong_reads(&self) -> bool {
        self.current.get("towline.read_level").is_some_and(|level| level == "strong")
    }

    /// `search_path`, split into schema names; `$user` has none.
    fn search_path(&self) -> Vec<String> {
        self.known("search_path")
            .split(',')
            .map(|name| name.trim().trim_matches('"').to_owned())
            .filter(|name| !name.is_empty() && name != "$user")
            .collect()
    }

    pub(super) fn search_path_text(&self) -> &str {
        self.known("search_path")
    }
}

/// An isolation level by its name.
pub(super) fn isolation(name: &str) -> Isolation {
    match name {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        "read uncommitted" => Isolation::ReadUncommitted,
        _ => Isolation::ReadCommitted,
    }
}

/// Its name, as SHOW prints it.
pub(super) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Serializable => "serializable",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::ReadCommitted => "read committed",
        Isolation::ReadUncommitted => "read uncommitted",
    }
}

/// The name by which SHOW heads its column.
pub(super) fn shown_name(name: &str) -> String {
    find(name).and_then(|known| known.reported).map_or_else(|| name.to_owned(), str::to_owned)
}

fn unrecognized(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// A value in its canonical spelling, or why it does not hold.
fn check(name: &str, value: &str) -> Result<String, SqlError> {
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
            milliseconds(value).filter(|ms| *ms >= 0).ok_or_else(invalid)?;
            Ok(value.trim().to_owned())
        }
        Kind::Choice(choices) => {
            let wanted = value.to_ascii_lowercase();
            if choices.contains(&wanted.as_str()) { Ok(wanted) } else { Err(invalid()) }
        }
        Kind::Text => text(name, value, invalid),
        Kind::TemporarySchema => {
            let tail = value.strip_prefix(TEMPORARY_PREFIX);
            let named = tail.is_some_and(|tail| tail.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if value.is_empty() || named { Ok(value.to_owned()) } else { Err(invalid()) }
        }
        Kind::ReadOnly => {
            Err(SqlError::new(SqlState("55P02"), format!("parameter \"{name}\" cannot be changed")))
        }
    }
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
        "datestyle" => {
            let plain = value.to_ascii_lowercase();
            let parts = plain.split(',').map(str::trim);
            let known =
                |part: &str| matches!(part, "iso" | "mdy" | "us" | "noneuropean" | "default");
            if parts.into_iter().all(known) {
                Ok("ISO, MDY".to_owned())
            } else {
                Err(SqlError::unsupported(format!("DateStyle \"{value}\"")))
            }
        }
        "timezone" => {
            let plain = value.trim().trim_matches('\'');
            match plain.to_ascii_lowercase().as_str() {
                "utc" | "gmt" | "z" | "zulu" | "default" | "local" | "etc/utc" => {
                    Ok("UTC".to_owned())
                }
                _ if jiff::tz::TimeZone::get(plain).is_ok() => Ok(plain.to_owned()),
                _ if plain.parse::<f64>().is_ok_and(|hours| hours.abs() <= 15.0) => {
                    Ok(offset_name(plain.parse().unwrap_or(0.0)))
                }
                _ => Err(invalid()),
            }
        }
        _ => Ok(value.to_owned()),
    }
}

/// A numeric time zone in hours east of UTC, as an offset that `jiff` reads.
fn offset_name(hours: f64) -> String {
    let minutes = (hours * 60.0).round() as i64;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// A duration in milliseconds: a number, with `us`, `ms`, `s`, `min`, `h` or `d` behind it.
fn milliseconds(value: &str) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(KNOWN.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn set_local_ends_with_the_transaction() {
        let mut settings = Settings::default();
        settings.set("statement_timeout", Some("5s"), true).expect("valid");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        settings.set("Application_Name", Some("x"), false).expect("valid");
        settings.commit();
        assert_eq!(settings.statement_timeout(), None);
        assert_eq!(settings.get("application_name"), Ok("x"));
    }

    #[test]
    fn values_are_checked() {
        let mut settings = Settings::default();
        let mut state = |name, value| settings.set(name, Some(value), false).map_err(|e| e.state.0);
        assert_eq!(state("no_such", "1"), Err("42704"));
        assert_eq!(state("my.own", "1"), Ok(()));
        assert_eq!(state("enable_seqscan", "maybe"), Err("22023"));
        assert_eq!(state("server_version", "16"), Err("55P02"));
        assert_eq!(state("client_encoding", "latin1"), Err("0A000"));
        assert_eq!(state("timezone", "Europe/Zurich"), Ok(()));
        assert_eq!(state("timezone", "Nowhere/Land"), Err("22023"));
        assert_eq!(state("statement_timeout", "1min"), Ok(()));
        assert_eq!(state("statement_timeout", "1parsec"), Err("22023"));
    }

    #[test]
    fn defaults_are_no_difference() {
        let mut settings = Settings::default();
        settings.set("timezone", Some("Europe/Zurich"), false).expect("valid");
        let before = Arc::clone(settings.map());
        settings.set("timezone", Some("UTC"), false).expect("valid");
        assert!(settings.map().is_empty());
        assert_eq!(settings.changed_reports(&before), [("TimeZone", "UTC".to_owned())]);
    }
}
