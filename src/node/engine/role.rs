//! Roles: who a session is, who may log in, and what changes roles.
//!
//! ```text
//!   user of the session's start ──SET SESSION AUTHORIZATION──► session_user
//!                                  session_user ──SET ROLE──► current_user
//! ```
//!
//! Both are settings, so they go with the session from node to node, and are taken back
//! with the transaction that changed them.

use std::sync::Arc;

use super::access::check_owns_nothing;
use super::session::{EngineSession, Stop};
use crate::gateway::{Errand, Login, LoginRole, Mode, Out, Refusal, Request, Standing};
use crate::node::errors;
use crate::node::execute::wall_clock_us;
use crate::node::plan::Plan;
use crate::node::rows::RowFormat;
use crate::pg::backend::Writer;
use crate::pg::scram::{ITERATIONS, Verifier};
use crate::pg::settings::check;
use crate::pg::types::datetime::parse_timestamptz;
use crate::pg::types::zone::Zone;
use crate::pg::types::{Format, decode};
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::routing::link::Notification;
use crate::sql::catalog::{
    BOOTSTRAP_ROLE, Catalog, FIRST_DATABASE, ObjectKind, PREDEFINED_ROLES, Rights, Role, Roles,
    StoredVerifier,
};
use crate::sql::{self, Password, RoleChange, RoleName, RoleOptions, SettingChange};
use crate::storage::sqlite::CANCEL_REQUEST;

/// The setting that SET ROLE sets, and its value where there is none.
const ROLE: &str = "role";
const NO_ROLE: &str = "none";
/// The setting that SET SESSION AUTHORIZATION sets.
const SESSION_AUTHORIZATION: &str = "session_authorization";

/// Who asks, as the catalog has it now.
pub(super) struct Asker {
    pub(super) catalog: Arc<Catalog>,
    pub(super) current: Oid,
}

impl Asker {
    pub(super) fn roles(&self) -> &Roles {
        &self.catalog.roles
    }

    pub(super) fn is_superuser(&self) -> bool {
        self.roles().is_superuser(self.current)
    }
}

impl EngineSession {
    /// CURRENT_USER.
    pub(super) fn user(&self) -> &str {
        match self.settings.map().get(ROLE) {
            Some(role) if role != NO_ROLE => role,
            _ => self.session_user(),
        }
    }

    /// SESSION_USER.
    pub(super) fn session_user(&self) -> &str {
        self.settings.map().get(SESSION_AUTHORIZATION).unwrap_or(&self.params.user)
    }

    /// How the users of the configuration are called, who are one role.
    pub(super) fn owner_name(&self) -> &str {
        if self.is_role { &self.inner.options.superuser } else { &self.params.user }
    }

    /// Finds out, once, whether the session's user is a role of the catalog.
    pub(super) async fn identify(&mut self) -> Result<(), Stop> {
        if self.identified {
            return Ok(());
        }
        self.is_role = match self.params.standing {
            Standing::Configured => false,
            Standing::Role => true,
            Standing::Claimed => self.catalog().await?.roles.get(&self.params.user).is_some(),
        };
        if self.is_role {
            let catalog = self.catalog().await?;
            self.check_may_connect(&catalog, self.place.number(), self.database())?;
        }
        self.identified = true;
        self.note_role().await?;
        self.told_superuser = self.superuser;
        Ok(())
    }

    /// Whether the session is a superuser for all that its settings say: the rule, and
    /// no look into the catalog is needed.
    pub(super) fn is_plain_superuser(&self) -> bool {
        let settings = self.settings.map();
        !self.is_role
            && (settings.is_empty()
                || !settings.contains_key(ROLE) && !settings.contains_key(SESSION_AUTHORIZATION))
    }

    /// A role by name: first those who are here by the configuration.
    pub(super) fn oid_of(&self, roles: &Roles, name: &str) -> Option<Oid> {
        let configured = !self.is_role && name == self.params.user
            || self.inner.options.users.iter().any(|user| user == name);
        if configured { Some(BOOTSTRAP_ROLE) } else { roles.oid(name) }
    }

    pub(super) async fn asker(&mut self) -> Result<Asker, Stop> {
        let catalog = self.catalog().await?;
        let current = self.oid_of(&catalog.roles, self.user());
        let current = current.ok_or_else(|| no_role(self.user()))?;
        Ok(Asker { catalog, current })
    }

    /// What a transaction that was rolled back, or another session, has changed of it.
    pub(super) async fn refresh_superuser(&mut self) -> Result<(), Stop> {
        if self.superuser && self.is_plain_superuser() {
            return Ok(());
        }
        match self.note_role().await {
            Ok(()) => Ok(()),
            // Its transaction has failed, or its role is gone: what it does next is told so.
            Err(Stop::Sql(_)) => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    /// Finds out who the current user is.
    async fn note_role(&mut self) -> Result<(), Stop> {
        (self.current_role, self.superuser) = if self.is_plain_superuser() {
            (BOOTSTRAP_ROLE, true)
        } else {
            let asker = self.asker().await?;
            (asker.current, asker.is_superuser())
        };
        Ok(())
    }

    /// Changes who the session is, where `name` is a setting that says so; whether it is.
    pub(super) async fn set_identity(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<bool, Stop> {
        if name != ROLE && name != SESSION_AUTHORIZATION {
            return Ok(false);
        }
        let wanted = value.filter(|value| name != ROLE || *value != NO_ROLE);
        // A silent request re-makes what was once allowed.
        if let Some(wanted) = wanted
            && self.mode != Mode::Silent
        {
            let catalog = self.catalog().await?;
            let roles = &catalog.roles;
            let missing = || {
                let message = format!("role \"{wanted}\" does not exist");
                SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
            };
            let role = self.oid_of(roles, wanted).ok_or_else(missing)?;
            // SET ROLE asks who the session is, SET SESSION AUTHORIZATION who logged in.
            let by = if name == ROLE { self.session_user() } else { &self.params.user };
            let by = self.oid_of(roles, by);
            let allowed = by.is_some_and(|by| {
                by == role
                    || roles.is_superuser(by)
                    || name == ROLE && roles.is_member(by, role, false)
            });
            if !allowed {
                let what = if name == ROLE { "role" } else { "session authorization" };
                let message = match name {
                    ROLE => format!("permission denied to set role \"{wanted}\""),
                    _ => format!("permission denied to set {what} \"{wanted}\""),
                };
                return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
        }
        self.settings.set(name, wanted, local)?;
        if name == SESSION_AUTHORIZATION && self.mode != Mode::Silent {
            self.settings.set(ROLE, Some(NO_ROLE), local)?;
        }
        self.note_role().await?;
        Ok(true)
    }

    /// Does what a gateway asks for itself, and puts the answer out.
    pub(super) async fn run_errand(
        &mut self,
        request: &Request,
        out: &mut Out,
    ) -> Result<(), Stop> {
        self.await_position(request.see).await?;
        let malformed = |_| Refusal::Failed("an errand that is not understood".to_owned());
        let answer = match serde_json::from_slice(&request.messages).map_err(malformed)? {
            Errand::LogIn { user, database } => {
                let catalog = self.reader().await?.catalog_of(FIRST_DATABASE);
                let catalog = catalog.map_err(|error| errors::translate_bare(&error))?;
                self.login(&catalog, &user, &database)
            }
            Errand::Cancel { pid, secret } => {
                let told = Notification {
                    channel: CANCEL_REQUEST.to_owned(),
                    payload: format!("{pid} {secret}"),
                    ..self.order()
                };
                // No gateway being there is no error.
                let _ = self.inner.hub.notifications.send(Arc::new(told));
                Login::default()
            }
        };
        let answer = serde_json::to_vec(&answer).expect("an answer is plain JSON");
        out.buffer.extend_from_slice(&answer);
        Ok(())
    }

    fn login(&self, catalog: &Catalog, user: &str, database: &str) -> Login {
        let roles = &catalog.roles;
        let number = catalog.database_named(database, &self.inner.options.database);
        let is_over = |until: &String| {
            parse_timestamptz(until, &Zone::UTC, None).is_ok_and(|until| until < now_since_2000())
        };
        let may_connect = |role: Oid| {
            let lacks =
                |number| catalog.lacks(role, ObjectKind::Database, Oid(number), Rights::CONNECT);
            number.is_none_or(|number| lacks(number).is_empty())
        };
        let role = roles.get(user).map(|role| LoginRole {
            may_connect: may_connect(role.oid),
            can_login: role.login,
            superuser: role.superuser,
            verifier: role.verifier.as_ref().map(|verifier| verifier.0.clone()),
            expired: role.valid_until.as_ref().is_some_and(is_over),
            connection_limit: role.connection_limit,
        });
        Login {
            role,
            settings: number.map_or_else(Default::default, |n| roles.settings_of(user, n)),
        }
    }

    /// CREATE, ALTER and DROP ROLE, GRANT and REVOKE of roles, settings at the start.
    pub(super) async fn change_roles(
        &mut self,
        change: &RoleChange,
        verb: &'static str,
        alone: bool,
        out: &mut Out,
    ) -> Result<(), Stop> {
        self.check_may_write(verb)?;
        if self.mode == Mode::Lookup {
            // Whether it took place, not whether it could once more.
            self.look_up_commit().await?;
            return Ok(());
        }
        let asker = self.asker().await?;
        let statements = match change {
            RoleChange::Rights { .. }
            | RoleChange::Defaults { .. }
            | RoleChange::Own { .. }
            | RoleChange::Reassign { .. } => self.change_access(&asker, change, out)?,
            RoleChange::Create { name, options } => self.create_role(&asker, name, options)?,
            RoleChange::Alter { role, options } => self.alter_role(&asker, role, options)?,
            RoleChange::Rename { role, to } => self.rename_role(&asker, role, to)?,
            RoleChange::Drop { roles, if_exists } => {
                self.drop_roles(&asker, roles, *if_exists, out)?
            }
            RoleChange::Grant { roles, to, admin } => {
                let mut statements = Vec::new();
                for role in self.oids_of(&asker, roles)? {
                    self.check_may_grant(&asker, role)?;
                    for member in self.oids_of(&asker, to)? {
                        self.check_no_circle(&asker, role, member)?;
                        let (role, member) = (role.0.to_string(), member.0.to_string());
                        statements.push(sql::add_member(&role, &member, asker.current, *admin));
                    }
                }
                statements
            }
            RoleChange::Revoke { roles, from, admin_only } => {
                let mut statements = Vec::new();
                for role in self.oids_of(&asker, roles)? {
                    self.check_may_grant(&asker, role)?;
                    for member in self.oids_of(&asker, from)? {
                        statements.push(sql::remove_member(role, member, *admin_only));
                    }
                }
                statements
            }
            RoleChange::Configure { role, database, change } => {
                self.configure(&asker, role.as_ref(), database.as_deref(), change)?
            }
        };
        if statements.is_empty() {
            return Ok(());
        }
        let plan = Arc::new(Plan::of(sql::role_change(verb, statements), asker.catalog));
        self.write(&plan, Vec::new(), &RowFormat::default(), alone).await?;
        Ok(())
    }

    fn create_role(
        &self,
        asker: &Asker,
        name: &str,
        options: &RoleOptions,
    ) -> Result<Vec<String>, SqlError> {
        check_attributes(asker, options)?;
        if !asker.roles().may_create_roles(asker.current) {
            return Err(denied("permission denied to create role"));
        }
        if self.oid_of(asker.roles(), name).is_some() {
            let message = format!("role \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let mut role = Role {
            oid: Oid(0),
            name: name.to_owned(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            verifier: None,
            valid_until: None,
        };
        self.apply(&mut role, options)?;
        let mut statements = sql::write_role(&role, true);
        let own = sql::oid_of_role(name);
        let RoleOptions { member_of, members, admins, .. } = options;
        for role in self.oids_of(asker, member_of)? {
            self.check_may_grant(asker, role)?;
            statements.push(sql::add_member(&role.0.to_string(), &own, asker.current, false));
        }
        for (members, admin) in [(members, false), (admins, true)] {
            for member in self.oids_of(asker, members)? {
                let member = member.0.to_string();
                statements.push(sql::add_member(&own, &member, asker.current, admin));
            }
        }
        Ok(statements)
    }

    fn alter_role(
        &self,
        asker: &Asker,
        role: &RoleName,
        options: &RoleOptions,
    ) -> Result<Vec<String>, SqlError> {
        let mut role = self.made_role(asker, role)?.clone();
        let only_password =
            RoleOptions { password: options.password.clone(), ..RoleOptions::default() };
        let own_password = role.oid == asker.current && *options == only_password;
        if !own_password {
            check_attributes(asker, options)?;
            if !asker.roles().may_create_roles(asker.current) {
                return Err(denied("permission denied"));
            }
            if role.superuser && !asker.is_superuser() {
                return Err(denied(
                    "must be superuser to alter superuser roles or change superuser attribute",
                ));
            }
        }
        self.apply(&mut role, options)?;
        let mut statements = sql::write_role(&role, false);
        for member in self.oids_of(asker, &options.members)? {
            self.check_no_circle(asker, role.oid, member)?;
            let (role, member) = (role.oid.0.to_string(), member.0.to_string());
            statements.push(sql::add_member(&role, &member, asker.current, false));
        }
        Ok(statements)
    }

    /// Writes what the options say into a role.
    fn apply(&self, role: &mut Role, options: &RoleOptions) -> Result<(), SqlError> {
        let flags = [
            (&mut role.superuser, options.superuser),
            (&mut role.inherit, options.inherit),
            (&mut role.create_role, options.create_role),
            (&mut role.create_database, options.create_database),
            (&mut role.login, options.login),
            (&mut role.replication, options.replication),
            (&mut role.bypass_row_security, options.bypass_row_security),
        ];
        for (flag, wanted) in flags {
            *flag = wanted.unwrap_or(*flag);
        }
        role.connection_limit = options.connection_limit.unwrap_or(role.connection_limit);
        if let Some(password) = &options.password {
            // Nobody logs in with an empty one: it is none.
            let password = password.as_ref().filter(|password| !password.0.is_empty());
            role.verifier = password.map(verifier_of).transpose()?;
        }
        if let Some(until) = &options.valid_until {
            let display = &self.settings.display;
            let stored = decode(until.as_bytes(), Oid::TIMESTAMPTZ, Format::Text, display)?;
            role.valid_until = match stored {
                crate::log::Value::Text(text) if text != "infinity" => Some(text),
                _ => None,
            };
        }
        Ok(())
    }

    fn rename_role(
        &self,
        asker: &Asker,
        role: &RoleName,
        to: &str,
    ) -> Result<Vec<String>, SqlError> {
        let role = self.made_role(asker, role)?;
        if [self.session_user(), self.user()].contains(&role.name.as_str()) {
            let which = if self.session_user() == role.name { "session" } else { "current" };
            let message = format!("{which} user cannot be renamed");
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if self.oid_of(asker.roles(), to).is_some() {
            let message = format!("role \"{to}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
        }
        if !asker.roles().may_create_roles(asker.current) {
            return Err(denied("permission denied to rename role"));
        }
        if role.superuser && !asker.is_superuser() {
            return Err(denied("must be superuser to rename superusers"));
        }
        let mut statements = sql::write_role(&Role { name: to.to_owned(), ..role.clone() }, false);
        statements.push(sql::rename_settings(&role.name, to));
        Ok(statements)
    }

    fn drop_roles(
        &self,
        asker: &Asker,
        roles: &[RoleName],
        if_exists: bool,
        out: &mut Out,
    ) -> Result<Vec<String>, SqlError> {
        if !asker.roles().may_create_roles(asker.current) {
            return Err(denied("permission denied to drop role"));
        }
        let mut statements = Vec::new();
        for name in roles {
            let role = match self.made_role(asker, name) {
                Err(error) if if_exists && error.state == SqlState::UNDEFINED_OBJECT => {
                    let message = format!("{}, skipping", error.message);
                    let notice = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message);
                    let notice = SqlError { severity: Severity::Notice, ..notice };
                    Writer(&mut out.buffer).notice(&notice);
                    continue;
                }
                found => found?,
            };
            let user = [(self.user(), "current"), (self.session_user(), "session")];
            if let Some((_, which)) = user.into_iter().find(|(user, _)| *user == role.name) {
                let message = format!("{which} user cannot be dropped");
                return Err(SqlError::new(SqlState::OBJECT_IN_USE, message));
            }
            if role.superuser && !asker.is_superuser() {
                return Err(denied("must be superuser to drop superusers"));
            }
            check_owns_nothing(&asker.catalog, role)?;
            statements.extend(sql::forget_role(role));
        }
        Ok(statements)
    }

    fn configure(
        &self,
        asker: &Asker,
        role: Option<&RoleName>,
        database: Option<&str>,
        change: &SettingChange,
    ) -> Result<Vec<String>, SqlError> {
        let name = role.map(|role| self.name_of(role));
        if let Some(name) = name {
            let oid = self.oid_of(asker.roles(), name).ok_or_else(|| no_role(name))?;
            let allowed = asker.is_superuser()
                || oid == asker.current
                || !asker.roles().is_superuser(oid)
                    && asker.roles().may_create_roles(asker.current);
            if !allowed {
                return Err(denied("permission denied"));
            }
        } else if !asker.is_superuser() {
            return Err(denied(match database {
                Some(_) => "must be owner of database",
                None => "must be superuser to alter settings globally",
            }));
        }
        let number = |database| {
            let found = asker.catalog.database_named(database, &self.inner.options.database);
            found.ok_or_else(|| {
                let message = format!("database \"{database}\" does not exist");
                SqlError::new(SqlState::INVALID_CATALOG_NAME, message)
            })
        };
        let database = database.map(number).transpose()?;
        let (setting, value) = match change {
            SettingChange::Set { name, value } => (Some(name), Some(check(name, value)?)),
            SettingChange::SetFromCurrent(name) => {
                (Some(name), Some(self.settings.get(name)?.to_owned()))
            }
            SettingChange::Reset(name) => (Some(name), None),
            SettingChange::ResetAll => (None, None),
        };
        if let Some(setting) = setting
            && matches!(setting.as_str(), ROLE | SESSION_AUTHORIZATION)
        {
            let message = format!("parameter \"{setting}\" cannot be set for a role or database");
            return Err(SqlError::new(SqlState("55P02"), message));
        }
        let (setting, value) = (setting.map(String::as_str), value.as_deref());
        Ok(vec![sql::write_start_setting(database, name, setting, value)])
    }

    fn name_of<'a>(&'a self, name: &'a RoleName) -> &'a str {
        match name {
            RoleName::Named(name) => name,
            RoleName::Current => self.user(),
            RoleName::Session => self.session_user(),
        }
    }

    pub(super) fn oids_of(&self, asker: &Asker, names: &[RoleName]) -> Result<Vec<Oid>, SqlError> {
        let oid = |name: &RoleName| {
            let name = self.name_of(name);
            self.oid_of(asker.roles(), name).ok_or_else(|| no_role(name))
        };
        names.iter().map(oid).collect()
    }

    /// A role that clients made, and so may change.
    fn made_role<'a>(&self, asker: &'a Asker, name: &RoleName) -> Result<&'a Role, SqlError> {
        let name = self.name_of(name);
        if PREDEFINED_ROLES.iter().any(|(_, known)| *known == name) {
            let message = format!("role name \"{name}\" is reserved");
            return Err(SqlError::new(SqlState("42939"), message));
        }
        match self.oid_of(asker.roles(), name) {
            Some(BOOTSTRAP_ROLE) => Err(SqlError::unsupported(format_args!(
                "changing user \"{name}\", whom the configuration file lists"
            ))),
            Some(_) => Ok(asker.roles().get(name).expect("it is no other kind of role")),
            None => Err(no_role(name)),
        }
    }

    fn check_may_grant(&self, asker: &Asker, role: Oid) -> Result<(), SqlError> {
        let roles = asker.roles();
        let name = roles.name(role, self.owner_name()).unwrap_or_default();
        let allowed = asker.is_superuser()
            || !roles.is_superuser(role)
                && (roles.may_create_roles(asker.current) || roles.is_admin(asker.current, role));
        if allowed {
            return Ok(());
        }
        Err(denied(&format!("must have admin option on role \"{name}\"")))
    }

    fn check_no_circle(&self, asker: &Asker, role: Oid, member: Oid) -> Result<(), SqlError> {
        let roles = asker.roles();
        if !roles.is_member(role, member, false) {
            return Ok(());
        }
        let name = |oid| roles.name(oid, self.owner_name()).unwrap_or_default();
        let message = format!("role \"{}\" is a member of role \"{}\"", name(role), name(member));
        Err(SqlError::new(SqlState("0LP01"), message))
    }
}

/// Attributes that only superusers hand out.
fn check_attributes(asker: &Asker, options: &RoleOptions) -> Result<(), SqlError> {
    let special = [
        (options.superuser, "must be superuser to create superusers"),
        (options.replication, "must be superuser to create replication users"),
        (options.bypass_row_security, "must be superuser to create bypassrls users"),
    ];
    let wanted = special.into_iter().find(|(flag, _)| *flag == Some(true));
    match wanted {
        Some((_, message)) if !asker.is_superuser() => Err(denied(message)),
        _ => Ok(()),
    }
}

/// What is kept of a password. A client may have made that itself.
fn verifier_of(password: &Password) -> Result<StoredVerifier, SqlError> {
    let text = &password.0;
    if text.starts_with("md5") && text.len() == 35 {
        return Err(SqlError::unsupported("MD5 passwords"));
    }
    let verifier = match text.parse::<Verifier>() {
        Ok(verifier) => verifier,
        Err(_) => tokio::task::block_in_place(|| {
            Verifier::from_password(text, &rand::random::<[u8; 16]>(), ITERATIONS)
        }),
    };
    Ok(StoredVerifier(verifier.to_string()))
}

/// Microseconds since 2000-01-01, as a `timestamptz` counts them.
fn now_since_2000() -> i64 {
    wall_clock_us() + crate::pg::types::datetime::UNIX_EPOCH
}

pub(super) fn no_role(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

pub(super) fn denied(message: &str) -> SqlError {
    SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}
