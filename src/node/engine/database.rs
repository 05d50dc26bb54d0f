//! Databases: which one a session is in, who is in which, and what makes and drops them.
//!
//! The leader knows of its own sessions alone, so gateways let a session that begins in a
//! database which can be dropped begin at the leader. After a change of leadership it is
//! known again with its first statement there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::role::denied;
use super::session::{EngineSession, Stop, unless_cancelled};
use crate::gateway::{Mode, Out};
use crate::node::errors;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::catalog::{EMPTY_TEMPLATES, FIRST_DATABASE, MAINTENANCE_DATABASE, ObjectKind};
use crate::sql::{self, DatabaseChange, Owned, RoleName, Translated};
use crate::storage::sqlite::TERMINATE;

/// The sessions of this node that are in databases which can be dropped.
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Moves when one has gone.
    left: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Database → session → its backend's number.
    present: BTreeMap<u32, BTreeMap<u64, i32>>,
    /// Databases that are about to go, or to get another name: nobody enters them.
    closed: BTreeSet<u32>,
    numbers: u64,
}

/// One session's being in a database; dropping it leaves.
pub(super) struct Presence {
    sessions: Arc<Sessions>,
    database: u32,
    number: u64,
}

/// While it lives nobody enters its database.
struct Closed {
    sessions: Arc<Sessions>,
    database: u32,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { state: Mutex::default(), left: watch::Sender::new(0) }
    }
}

impl Sessions {
    /// `None` where the database is closed.
    fn enter(self: &Arc<Self>, database: u32, pid: i32) -> Option<Presence> {
        let mut state = self.lock();
        if state.closed.contains(&database) {
            return None;
        }
        state.numbers += 1;
        let number = state.numbers;
        state.present.entry(database).or_default().insert(number, pid);
        Some(Presence { sessions: Arc::clone(self), database, number })
    }

    /// `None` where somebody else has closed it.
    fn close(self: &Arc<Self>, database: u32) -> Option<Closed> {
        let closed = self.lock().closed.insert(database);
        closed.then(|| Closed { sessions: Arc::clone(self), database })
    }

    /// The backends that are in a database.
    fn present(&self, database: u32) -> Vec<i32> {
        let state = self.lock();
        state.present.get(&database).into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.sessions.lock();
        if let Some(present) = state.present.get_mut(&self.database) {
            present.remove(&self.number);
            if present.is_empty() {
                state.present.remove(&self.database);
            }
        }
        drop(state);
        self.sessions.left.send_modify(|count| *count += 1);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.sessions.lock().closed.remove(&self.database);
    }
}

/// Where a session is.
#[derive(Default)]
pub(super) struct Place {
    /// Its database's number, once that is known.
    number: Option<u32>,
    _presence: Option<Presence>,
}

impl Place {
    /// Where the name alone tells.
    pub(super) fn told_by(name: &str, first: &str) -> Self {
        let (maintenance, number) = MAINTENANCE_DATABASE;
        let number = match name {
            name if name == first => Some(FIRST_DATABASE),
            name if name == maintenance => Some(number),
            _ => None,
        };
        Self { number, _presence: None }
    }

    pub(super) fn number(&self) -> u32 {
        self.number.unwrap_or(FIRST_DATABASE)
    }
}

impl EngineSession {
    /// Finds the session's database, if that has not been done. A follower may not know
    /// of it yet: then the leader is asked.
    pub(super) async fn enter_database(&mut self) -> Result<(), Stop> {
        if self.place.number.is_some() {
            return Ok(());
        }
        let name = self.database().to_owned();
        if EMPTY_TEMPLATES.iter().any(|(template, _)| *template == name) {
            return Err(SqlError::fatal(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("database \"{name}\" is not currently accepting connections"),
            )
            .into());
        }
        let catalog = self.reader().await?.catalog_of(FIRST_DATABASE);
        let catalog = catalog.map_err(|error| errors::translate_bare(&error))?;
        let number = catalog.database_named(&name, &self.inner.options.database);
        let entered = number.and_then(|number| {
            let presence = self.inner.sessions.enter(number, self.params.backend_pid)?;
            Some(Place { number: Some(number), _presence: Some(presence) })
        });
        match entered {
            Some(place) => {
                self.place = place;
                Ok(())
            }
            None => {
                self.leading_term()?;
                let mut error = missing(&name);
                error.severity = Severity::Fatal;
                Err(error.into())
            }
        }
    }

    /// CREATE DATABASE, DROP DATABASE, ALTER DATABASE … RENAME.
    pub(super) async fn change_database(
        &mut self,
        change: &DatabaseChange,
        verb: &'static str,
        alone: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let renames = matches!(change, DatabaseChange::Rename { .. });
        if !renames && (self.open.as_ref().is_some_and(|open| open.explicit) || !alone) {
            return Err(SqlError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{verb} cannot run inside a transaction block"),
            )
            .into());
        }
        self.check_may_write(verb)?;
        if self.mode == Mode::Lookup {
            // Whether it took place, not whether it could once more.
            self.look_up_commit().await?;
            return Ok(());
        }
        self.check_may_change(change).await?;
        match change {
            DatabaseChange::Own { name, to } => self.give_database(name, to, alone).await,
            DatabaseChange::Create { name } => {
                self.check_name_free(name).await?;
                self.write_change(sql::create_database(name, self.current_role), alone).await
            }
            DatabaseChange::Drop { name, if_exists, force } => {
                let Some(number) = self.find_database(name).await? else {
                    let error = missing(name);
                    if !*if_exists {
                        return Err(error.into());
                    }
                    let message = format!("{}, skipping", error.message);
                    let notice = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message);
                    let notice = SqlError { severity: Severity::Notice, ..notice };
                    Writer(&mut out.buffer).notice(&notice);
                    return Ok(());
                };
                if number == self.place.number() {
                    return Err(in_use("cannot drop the currently open database").into());
                }
                let _closed = self.empty_database(name, number, *force).await?;
                let catalog = self.reader().await?.catalog_of(number);
                let catalog = catalog.map_err(|error| errors::translate_bare(&error))?;
                self.write_change(sql::drop_database(&catalog), alone).await
            }
            DatabaseChange::Rename { from, to } => {
                let number = self.find_database(from).await?.ok_or_else(|| missing(from))?;
                if number == self.place.number() {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "current database cannot be renamed",
                    )
                    .into());
                }
                self.check_name_free(to).await?;
                let _closed = self.empty_database(from, number, false).await?;
                self.write_change(sql::rename_database(number, to), alone).await
            }
        }
    }

    async fn check_may_change(&mut self, change: &DatabaseChange) -> Result<(), Stop> {
        if self.is_plain_superuser() {
            return Ok(());
        }
        let asker = self.asker().await?;
        let name = match change {
            DatabaseChange::Create { .. } => {
                let allowed = asker.roles().may_create_databases(asker.current);
                let error = denied("permission denied to create database");
                return if allowed { Ok(()) } else { Err(error.into()) };
            }
            DatabaseChange::Drop { name, .. } | DatabaseChange::Own { name, .. } => name,
            DatabaseChange::Rename { from, .. } => from,
        };
        let number = asker.catalog.database_named(name, &self.inner.options.database);
        let owns = |number| asker.catalog.owns(asker.current, ObjectKind::Database, Oid(number));
        match number {
            Some(number) if !owns(number) => {
                Err(denied(&format!("must be owner of database {name}")).into())
            }
            _ => Ok(()),
        }
    }

    /// ALTER DATABASE … OWNER TO.
    async fn give_database(&mut self, name: &str, to: &RoleName, alone: bool) -> Result<(), Stop> {
        let asker = self.asker().await?;
        let number = asker.catalog.database_named(name, &self.inner.options.database);
        let object = Oid(number.ok_or_else(|| missing(name))?);
        let (kind, word, name) = (ObjectKind::Database, "database", name.to_owned());
        let object = Owned { kind, object, word, name };
        let statements = self.give(&asker, &object, to)?;
        self.write_change(sql::role_change("ALTER DATABASE", statements), alone).await
    }

    /// A database that a client made, by name. Those that are always there are refused.
    async fn find_database(&mut self, name: &str) -> Result<Option<u32>, Stop> {
        if EMPTY_TEMPLATES.iter().any(|(template, _)| *template == name) {
            return Err(SqlError::new(SqlState("42809"), "cannot drop a template database").into());
        }
        let number = self.catalog().await?.database_named(name, &self.inner.options.database);
        let always = number == Some(FIRST_DATABASE) || name == MAINTENANCE_DATABASE.0;
        if always && number != Some(self.place.number()) {
            return Err(SqlError::unsupported(format_args!(
                "dropping or renaming database \"{name}\", which is always there"
            ))
            .into());
        }
        Ok(number)
    }

    async fn check_name_free(&mut self, name: &str) -> Result<(), Stop> {
        let known = self.catalog().await?.database_named(name, &self.inner.options.database);
        if known.is_none() && EMPTY_TEMPLATES.iter().all(|(template, _)| *template != name) {
            return Ok(());
        }
        let message = format!("database \"{name}\" already exists");
        Err(SqlError::new(SqlState::DUPLICATE_DATABASE, message).into())
    }

    /// Lets nobody into a database any more, and waits until nobody is in it. With
    /// `force` those who are, are sent away.
    async fn empty_database(
        &mut self,
        name: &str,
        number: u32,
        force: bool,
    ) -> Result<Closed, Stop> {
        let sessions = Arc::clone(&self.inner.sessions);
        let being_accessed =
            || in_use(&format!("database \"{name}\" is being accessed by other users"));
        let closed = sessions.close(number).ok_or_else(being_accessed)?;
        let mut left = sessions.left.subscribe();
        if force {
            let orders = self.orders();
            sessions.present(number).into_iter().for_each(|pid| orders.give(TERMINATE, pid));
        }
        let gone = left.wait_for(|_| sessions.present(number).is_empty());
        let gone = tokio::time::timeout(self.inner.options.leave_patience, gone);
        match unless_cancelled(&self.cancel, gone).await {
            Some(Ok(_)) => Ok(closed),
            Some(Err(_)) => {
                let count = sessions.present(number).len();
                let sessions = if count == 1 { "session" } else { "sessions" };
                let verb = if count == 1 { "is" } else { "are" };
                let detail = format!("There {verb} {count} other {sessions} using the database.");
                Err(being_accessed().with_detail(detail).into())
            }
            None => Err(self.limits().interrupted().into()),
        }
    }

    /// Carries a change out, as a write of its own.
    async fn write_change(&mut self, translated: Translated, alone: bool) -> Result<(), Stop> {
        let catalog = self.catalog().await?;
        let plan = Arc::new(Plan::of(translated, catalog));
        self.write(&plan, Vec::new(), &RowFormat::default(), alone).await?;
        Ok(())
    }
}

fn missing(name: &str) -> SqlError {
    let message = format!("database \"{name}\" does not exist");
    SqlError::new(SqlState::INVALID_CATALOG_NAME, message)
}

fn in_use(message: &str) -> SqlError {
    SqlError::new(SqlState::OBJECT_IN_USE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_database_is_entered_by_nobody() {
        let sessions = Arc::new(Sessions::default());
        let one = sessions.enter(7, 1).expect("it is open");
        let other = sessions.enter(7, 2).expect("it is open");
        let closed = sessions.close(7).expect("nobody else closes it");
        assert!(sessions.close(7).is_none() && sessions.enter(7, 3).is_none());
        assert!(sessions.enter(8, 3).is_some());
        assert_eq!(sessions.present(7), [1, 2]);
        drop((one, closed));
        assert_eq!(sessions.present(7), [2]);
        drop(other);
        assert!(sessions.present(7).is_empty() && sessions.enter(7, 3).is_some());
    }
}
