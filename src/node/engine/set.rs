//! What SQL says of a session's settings: SET, SHOW, RESET and DISCARD.

use std::sync::Arc;

use super::run::Run;
use super::session::{EngineSession, Stop};
use super::settings::{self, isolation_name};
use super::utility::{Answer, describe, text_column, text_row, warn};
use crate::cluster::Role;
use crate::gateway::{Mode, Out, SettingsMap};
use crate::pg::settings::shown_name;
use crate::pg::{SqlError, SqlState};
use crate::sql::{Isolation, Kind, TransactionModes};

impl EngineSession {
    pub(super) fn set_transaction(
        &mut self,
        modes: TransactionModes,
        session: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let TransactionModes { isolation, read_only, deferrable, .. } = modes;
        if session {
            if let Some(isolation) = isolation {
                let name = isolation_name(isolation);
                self.settings.set("default_transaction_isolation", Some(name), false)?;
            }
            if let Some(read_only) = read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", Some(value), false)?;
            }
            if let Some(deferrable) = deferrable {
                let value = if deferrable { "on" } else { "off" };
                self.settings.set("default_transaction_deferrable", Some(value), false)?;
            }
            return Ok(());
        }
        match &mut self.open {
            Some(open) => {
                let began = open.begun || open.has_written() || open.snapshot.is_some();
                if began && isolation.is_some_and(|isolation| isolation != open.isolation) {
                    return Err(SqlError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                    )
                    .into());
                }
                if read_only == Some(false) && open.read_only && (began || open.has_savepoints()) {
                    let text = match open.has_savepoints() {
                        true => {
                            "cannot set transaction read-write mode inside a read-only transaction"
                        }
                        false => "transaction read-write mode must be set before any query",
                    };
                    return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text).into());
                }
                open.isolation = isolation.unwrap_or(open.isolation);
                if began && deferrable.is_some_and(|deferrable| deferrable != open.deferrable) {
                    return Err(SqlError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION [NOT] DEFERRABLE must be called before any query",
                    )
                    .into());
                }
                open.read_only = read_only.unwrap_or(open.read_only);
                open.deferrable = deferrable.unwrap_or(open.deferrable);
            }
            None => warn(
                out,
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            ),
        }
        Ok(())
    }

    pub(super) async fn setting_statement(
        &mut self,
        kind: &Kind,
        run: Run,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        match kind {
            Kind::Set { name, value, local } => {
                self.set(name, value.as_deref(), *local, run, out).await?;
                Ok("SET".into())
            }
            Kind::Show(name) if name.eq_ignore_ascii_case("all") => {
                let columns = ["name", "setting", "description"].map(text_column);
                let all = self.all_settings();
                describe(&columns, run, out);
                for (name, value) in &*all {
                    text_row(out, &[&shown_name(name), value, ""]);
                }
                Ok("SHOW".into())
            }
            Kind::Show(name) => {
                let name = name.to_ascii_lowercase();
                let value = self.shown(&name)?;
                describe(&[text_column(&shown_name(&name))], run, out);
                text_row(out, &[&value]);
                Ok("SHOW".into())
            }
            Kind::Reset(name) => {
                if name.eq_ignore_ascii_case("all") {
                    self.settings.reset_all();
                } else {
                    self.set(name, None, false, run, out).await?;
                }
                Ok("RESET".into())
            }
            Kind::Discard(what) => self.discard(what),
            _ => unreachable!("not a setting statement"),
        }
    }

    async fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
        run: Run,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "transaction_isolation" => {
                // Checked by the table of settings; its effect is the transaction's.
                let value = value.unwrap_or("read committed");
                let mut scratch = self.settings.clone();
                scratch.set(&lower, Some(value), true)?;
                let isolation = settings::isolation(&value.to_ascii_lowercase());
                let modes = TransactionModes { isolation: Some(isolation), ..Default::default() };
                return self.set_transaction(modes, false, out);
            }
            "transaction_read_only" => {
                let read_only = Some(matches!(value, Some("on" | "true" | "yes" | "1")));
                let modes = TransactionModes { read_only, ..Default::default() };
                return self.set_transaction(modes, false, out);
            }
            "transaction_deferrable" => {
                let deferrable = Some(matches!(value, Some("on" | "true" | "yes" | "1")));
                let modes = TransactionModes { deferrable, ..Default::default() };
                return self.set_transaction(modes, false, out);
            }
            _ => {}
        }
        let outside = self.open.as_ref().is_none_or(|open| !open.explicit);
        if local && outside && !run.alone {
            // To the end of the statements that came together.
            self.open(false, TransactionModes::default());
        } else if local && outside {
            let text = "SET LOCAL can only be used in transaction blocks";
            warn(out, SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
            return Ok(());
        }
        // A silent request re-makes what was once allowed.
        if lower == "session_replication_role" && !self.superuser && self.mode != Mode::Silent {
            let text = format!("permission denied to set parameter \"{lower}\"");
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, text).into());
        }
        if !self.set_identity(&lower, value, local).await? {
            self.settings.set(&lower, value, local)?;
        }
        Ok(())
    }

    /// Every setting, as it is at the moment.
    pub(super) fn all_settings(&self) -> Arc<SettingsMap> {
        let mut all = self.settings.all(self.in_recovery());
        for name in [
            "max_connections",
            "transaction_deferrable",
            "transaction_isolation",
            "transaction_read_only",
        ] {
            if let Ok(value) = self.shown(name)
                && all.get(name) != Some(&value)
            {
                Arc::make_mut(&mut all).insert(name.to_owned(), value);
            }
        }
        all
    }

    /// What SHOW answers: settings, and what depends on the moment.
    fn shown(&self, name: &str) -> Result<String, SqlError> {
        let recovery = self.inner.hub.leadership.borrow().role != Role::Leader;
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        Ok(match name {
            "in_hot_standby" => on(recovery),
            "transaction_isolation" => {
                isolation_name(self.characteristics().isolation.unwrap_or(Isolation::ReadCommitted))
                    .to_owned()
            }
            // A write at a follower is forwarded: none is refused because of where it came to.
            "transaction_read_only" => on(self.characteristics().read_only == Some(true)),
            "transaction_deferrable" => on(self.characteristics().deferrable == Some(true)),
            "is_superuser" => on(self.superuser),
            "max_connections" => self.inner.options.max_connections.to_string(),
            "session_authorization" => self.session_user().to_owned(),
            _ => self.settings.get(name)?.to_owned(),
        })
    }

    fn discard(&mut self, what: &str) -> Result<Answer, Stop> {
        match what.to_ascii_lowercase().as_str() {
            "all" => {
                if self.open.as_ref().is_some_and(|open| open.explicit) {
                    return Err(SqlError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    )
                    .into());
                }
                self.settings.reset_all();
                self.settings.set("session_authorization", None, false)?;
                self.settings.set("role", None, false)?;
                self.statements = Arc::default();
                self.portals.clear();
                self.unlisten(None)?;
                self.locks.unlock_all();
                self.sequences = Arc::default();
                self.last_sequence = None;
                Ok("DISCARD ALL".into())
            }
            "plans" => Ok("DISCARD PLANS".into()),
            "sequences" => {
                self.sequences = Arc::default();
                self.last_sequence = None;
                Ok("DISCARD SEQUENCES".into())
            }
            _ => Ok("DISCARD TEMP".into()),
        }
    }
}
