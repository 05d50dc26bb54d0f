//! A session's settings: PostgreSQL's names, types and defaults, changed by SET and
//! taken back with the transaction that changed them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::gateway::{CHANNELS, Channels, SettingsMap};
use crate::node::plan::Reading;
use crate::node::writer::Durability;
use crate::pg::SqlError;
use crate::pg::settings::{KNOWN, Known, check, find, milliseconds, unrecognized};
use crate::pg::types::{DateStyle, Display, IntervalStyle};
use crate::sql::Isolation;
use crate::sql::catalog::{Deferral, TEMPORARY_PREFIX};

/// The setting that names the schema of the session's temporary objects.
const TEMPORARY_SCHEMA: &str = "towline.temporary_schema";

/// What SET CONSTRAINTS said in the transaction: a setting local to it, so that it goes with
/// it from node to node.
const DEFERRAL: &str = "towline.constraints";

/// Settings as they stand, and as they will stand after the transaction.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Those of the session's start that differ from the defaults: to which RESET goes back.
    initial: Arc<SettingsMap>,
    /// Who logged in: the value of `session_authorization` at first.
    user: Arc<str>,
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
            initial: Arc::default(),
            user: "".into(),
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
    pub(super) fn new(given: &SettingsMap, user: &str) -> Self {
        let mut settings = Self { user: user.into(), ..Self::default() };
        for (name, value) in given {
            if let Err(error) = settings.set(name, Some(value), false) {
                tracing::debug!(name, %error, "a start-up setting does not hold");
            }
        }
        settings.initial = Arc::clone(&settings.current);
        settings.derive();
        settings
    }

    /// What differs from the defaults.
    pub(super) fn map(&self) -> &Arc<SettingsMap> {
        &self.current
    }

    /// Changes one; `None` is what it was when the session began.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<(), SqlError> {
        let name = name.to_ascii_lowercase();
        let value = match value {
            None => self.initial.get(&name).cloned(),
            // What it leaves open stays as it is.
            Some(value) if name == "datestyle" => {
                Some(self.display.date_style.changed(value)?.name())
            }
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

    /// RESET ALL. The session's temporary objects stay where they are, who it is, and what
    /// it listens to.
    pub(super) fn reset_all(&mut self) {
        let keeps = [CHANNELS, TEMPORARY_SCHEMA, "role", "session_authorization"];
        let kept = keeps.into_iter().filter_map(|name| self.current.get_key_value(name));
        let all = self.initial.iter().filter(|(name, _)| !keeps.contains(&name.as_str()));
        let all = all.chain(kept).map(|(name, value)| (name.clone(), value.clone())).collect();
        self.current = Arc::new(all);
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
    pub(super) fn channels(&self) -> Channels {
        let written = self.current.get(CHANNELS);
        written.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    pub(super) fn set_channels(&mut self, channels: &Channels) -> Result<(), SqlError> {
        let written = serde_json::to_string(channels).expect("names and numbers are plain JSON");
        self.set(CHANNELS, (!channels.is_empty()).then_some(&written), false)
    }

    /// What SET CONSTRAINTS said in this transaction.
    pub(super) fn deferral(&self) -> Deferral {
        let written = self.current.get(DEFERRAL);
        written.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// A transaction begins. What a node was told of the one before it, which came to it from
    /// another node, ends here.
    pub(super) fn forget_deferral(&mut self) {
        if self.current.contains_key(DEFERRAL) {
            Arc::make_mut(&mut self.current).remove(DEFERRAL);
            Arc::make_mut(&mut self.lasting).remove(DEFERRAL);
            self.derive();
        }
    }

    pub(super) fn set_deferral(&mut self, deferral: &Deferral) -> Result<(), SqlError> {
        let written = serde_json::to_string(deferral).expect("numbers are plain JSON");
        self.set(DEFERRAL, Some(&written), true)
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
            all.insert("session_authorization".to_owned(), self.user.to_string());
            all.extend(self.current.iter().map(|(name, value)| (name.clone(), value.clone())));
            all.remove(CHANNELS);
            all.remove(DEFERRAL);
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
            let default = match known.name {
                "session_authorization" => &*self.user,
                _ => known.default,
            };
            map.get(known.name).map_or_else(|| default.to_owned(), Clone::clone)
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
            interval_style: IntervalStyle::by_name(self.known("intervalstyle")),
            date_style: DateStyle::default().changed(self.known("datestyle")).unwrap_or_default(),
        };
        self.reading = Arc::new(Reading {
            search_path: self.search_path(),
            temporary_schema: self.temporary_schema().to_owned(),
            time_zone: self.display.time_zone.clone(),
            date_order: self.display.date_style.order,
            bodies_unchecked: self.known("check_function_bodies") == "off",
            replica: self.known("session_replication_role") == "replica",
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
            Some("remote_write") => Durability::Written,
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

    pub(super) fn default_deferrable(&self) -> bool {
        self.known("default_transaction_deferrable") == "on"
    }

    /// Whether transactions take the writer with their first write, and so never fail
    /// because of what others wrote since.
    pub(super) fn locks(&self) -> bool {
        self.current.get("towline.transactions").is_some_and(|mode| mode == "locking")
    }

    pub(super) fn strong_reads(&self) -> bool {
        self.current.get("towline.read_level").is_some_and(|level| level == "strong")
    }

    /// `search_path`, split into schema names; `$user` is the one called as the user is.
    fn search_path(&self) -> Vec<String> {
        let own = |name: &str| if name == "$user" { self.current_user() } else { name }.to_owned();
        self.known("search_path")
            .split(',')
            .map(|name| own(name.trim().trim_matches('"')))
            .filter(|name| !name.is_empty())
            .collect()
    }

    fn current_user(&self) -> &str {
        match (self.known("role"), self.known("session_authorization")) {
            ("none" | "", "") => &self.user,
            ("none" | "", session) => session,
            (role, _) => role,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_set_constraints_said_ends_with_the_transaction() {
        let mut settings = Settings::default();
        let mut deferral = Deferral::default();
        deferral.set(None, true);
        settings.set_deferral(&deferral).expect("valid");
        assert_eq!(settings.deferral(), deferral);
        settings.commit();
        assert_eq!(settings.deferral(), Deferral::default());
        // As a router would tell another node.
        let written = serde_json::to_string(&deferral).expect("plain");
        settings.set(DEFERRAL, Some(&written), false).expect("valid");
        settings.forget_deferral();
        settings.commit();
        assert_eq!(settings.deferral(), Deferral::default());
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
