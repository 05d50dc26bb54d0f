//! Roles: who may do what, the same in all databases of a cluster.
//!
//! Three kinds stand side by side:
//!
//! - those that clients made (CREATE ROLE), rows of `towline_role`, replicated;
//! - PostgreSQL's predefined ones ([`PREDEFINED`]), which nobody logs in as;
//! - the users of the configuration files. They are superusers, and the catalog knows
//!   them all as one role, [`BOOTSTRAP`], under the name of whoever asks.

use std::collections::BTreeMap;

use crate::pg::Oid;

/// The role of all users of the configuration files, as PostgreSQL numbers the one that
/// set a cluster up.
pub const BOOTSTRAP: Oid = Oid(10);

/// The one whose only member is the owner of the database.
pub const DATABASE_OWNER: Oid = Oid(6171);

/// Roles that are always there, by OID.
pub const PREDEFINED: [(Oid, &str); 12] = [
    (Oid(3373), "pg_monitor"),
    (Oid(3374), "pg_read_all_settings"),
    (Oid(3375), "pg_read_all_stats"),
    (Oid(3377), "pg_stat_scan_tables"),
    (Oid(4200), "pg_signal_backend"),
    (Oid(4544), "pg_checkpoint"),
    (Oid(4569), "pg_read_server_files"),
    (Oid(4570), "pg_write_server_files"),
    (Oid(4571), "pg_execute_server_program"),
    (DATABASE_OWNER, "pg_database_owner"),
    (Oid(6181), "pg_read_all_data"),
    (Oid(6182), "pg_write_all_data"),
];

/// A role that a client made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
    /// Sessions that it may have at one proxy or node; -1 is any number.
    pub connection_limit: i64,
    pub verifier: Option<StoredVerifier>,
    /// When its password ends to hold, as a `timestamptz` is stored; `None` is never.
    pub valid_until: Option<String>,
}

/// What is kept of a password. Printing it for a log prints nothing of it.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredVerifier(pub String);

impl std::fmt::Debug for StoredVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredVerifier(..)")
    }
}

/// That one role is a member of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Membership {
    pub role: Oid,
    pub member: Oid,
    pub grantor: Oid,
    /// It may make others members.
    pub admin: bool,
}

/// A setting with which sessions begin: ALTER ROLE … SET, ALTER DATABASE … SET.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StartSetting {
    /// In this database alone.
    pub database: Option<u32>,
    /// For this role alone, by name: users of the configuration have no number of
    /// their own.
    pub role: Option<String>,
    pub name: String,
    pub value: String,
}

/// All roles of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    by_name: BTreeMap<String, Role>,
    memberships: Vec<Membership>,
    settings: Vec<StartSetting>,
}

impl Roles {
    pub fn new(
        roles: impl IntoIterator<Item = Role>,
        memberships: Vec<Membership>,
        settings: Vec<StartSetting>,
    ) -> Self {
        let by_name = roles.into_iter().map(|role| (role.name.clone(), role)).collect();
        Self { by_name, memberships, settings }
    }

    /// The roles that clients made, by name.
    pub fn made(&self) -> impl Iterator<Item = &Role> {
        self.by_name.values()
    }

    pub fn get(&self, name: &str) -> Option<&Role> {
        self.by_name.get(name)
    }

    fn by_oid(&self, oid: Oid) -> Option<&Role> {
        self.made().find(|role| role.oid == oid)
    }

    /// The OID of a role that was made or is predefined.
    pub fn oid(&self, name: &str) -> Option<Oid> {
        let predefined = || PREDEFINED.iter().find(|(_, known)| *known == name);
        self.get(name).map(|role| role.oid).or_else(|| predefined().map(|(oid, _)| *oid))
    }

    /// Its name, where users of the configuration are called `owner`.
    pub fn name<'a>(&'a self, oid: Oid, owner: &'a str) -> Option<&'a str> {
        if oid == BOOTSTRAP {
            return Some(owner);
        }
        let predefined = || PREDEFINED.iter().find(|(known, _)| *known == oid);
        let made = self.by_oid(oid).map(|role| role.name.as_str());
        made.or_else(|| predefined().map(|(_, name)| *name))
    }

    pub fn is_superuser(&self, oid: Oid) -> bool {
        oid == BOOTSTRAP || self.by_oid(oid).is_some_and(|role| role.superuser)
    }

    pub fn may_create_roles(&self, oid: Oid) -> bool {
        self.is_superuser(oid) || self.by_oid(oid).is_some_and(|role| role.create_role)
    }

    pub fn may_create_databases(&self, oid: Oid) -> bool {
        self.is_superuser(oid) || self.by_oid(oid).is_some_and(|role| role.create_database)
    }

    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// Whether `member` is `role`, or a member of it over any number of steps; with
    /// `inherits`, over such only as hand on their privileges. Superusers are not asked for.
    pub fn is_member(&self, member: Oid, role: Oid, inherits: bool) -> bool {
        self.reaches(member, role, inherits, false)
    }

    /// Whether `member` may make others members of `role`.
    pub fn is_admin(&self, member: Oid, role: Oid) -> bool {
        self.reaches(member, role, false, true)
    }

    fn reaches(&self, member: Oid, role: Oid, inherits: bool, admin: bool) -> bool {
        if member == role && !admin {
            return true;
        }
        let mut reached = vec![member];
        let mut at = 0;
        while at < reached.len() {
            let from = reached[at];
            at += 1;
            if inherits && self.by_oid(from).is_some_and(|role| !role.inherit) {
                continue;
            }
            for step in self.memberships.iter().filter(|step| step.member == from) {
                if step.role == role && (step.admin || !admin) {
                    return true;
                }
                if !reached.contains(&step.role) {
                    reached.push(step.role);
                }
            }
        }
        false
    }

    pub fn settings(&self) -> &[StartSetting] {
        &self.settings
    }

    /// The settings with which a session of `user` in `database` begins. What is said of
    /// both wins over what is said of the role, that over what is said of the database,
    /// and that over what is said of all.
    pub fn settings_of(&self, user: &str, database: u32) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (of_role, of_database) in [(false, false), (false, true), (true, false), (true, true)] {
            let wanted = |setting: &&StartSetting| {
                setting.role.as_deref() == of_role.then_some(user)
                    && setting.database == of_database.then_some(database)
            };
            let settings = self.settings.iter().filter(wanted);
            found.extend(settings.map(|setting| (setting.name.clone(), setting.value.clone())));
        }
        found
    }

    /// As `pg_db_role_setting` keeps them: `name=value` each, by database and role.
    pub fn settings_by_object(&self) -> BTreeMap<(Option<u32>, Option<&str>), Vec<String>> {
        let mut objects = BTreeMap::<_, Vec<String>>::new();
        for setting in &self.settings {
            let key = (setting.database, setting.role.as_deref());
            let written = format!("{}={}", setting.name, setting.value);
            objects.entry(key).or_default().push(written);
        }
        objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(oid: u32, name: &str, inherit: bool) -> Role {
        Role {
            oid: Oid(oid),
            name: name.to_owned(),
            superuser: false,
            inherit,
            create_role: false,
            create_database: false,
            login: true,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            verifier: None,
            valid_until: None,
        }
    }

    fn member(role: u32, member: u32, admin: bool) -> Membership {
        Membership { role: Oid(role), member: Oid(member), grantor: BOOTSTRAP, admin }
    }

    #[test]
    fn membership_goes_over_steps_and_privileges_stop_where_none_are_inherited() {
        let all = [role(1, "a", true), role(2, "b", false), role(3, "c", true)];
        let roles = Roles::new(all, vec![member(2, 1, false), member(3, 2, true)], Vec::new());
        let (a, b, c) = (Oid(1), Oid(2), Oid(3));
        assert!(roles.is_member(a, c, false) && !roles.is_member(c, a, false));
        assert!(roles.is_member(a, b, true) && !roles.is_member(a, c, true));
        assert!(roles.is_admin(b, c) && roles.is_admin(a, c) && !roles.is_admin(a, b));
    }

    #[test]
    fn a_circle_of_members_ends() {
        let roles = Roles::new([], vec![member(1, 2, false), member(2, 1, false)], Vec::new());
        assert!(!roles.is_member(Oid(1), Oid(3), false));
    }

    #[test]
    fn the_closest_setting_wins() {
        let setting = |database, role: Option<&str>, value: &str| StartSetting {
            database,
            role: role.map(str::to_owned),
            name: "work_mem".to_owned(),
            value: value.to_owned(),
        };
        let mut settings = Vec::new();
        for (database, role, value) in [
            (Some(7), Some("ann"), "both"),
            (None, Some("ann"), "role"),
            (Some(7), None, "database"),
            (None, None, "all"),
        ] {
            settings.insert(0, setting(database, role, value));
        }
        let roles = Roles::new([], Vec::new(), settings);
        let value = |user, database| roles.settings_of(user, database)["work_mem"].clone();
        assert_eq!(value("ann", 7), "both");
        assert_eq!(value("ann", 8), "role");
        assert_eq!(value("bob", 7), "database");
        assert_eq!(value("bob", 8), "all");
    }
}
