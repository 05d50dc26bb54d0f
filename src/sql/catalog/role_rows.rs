//! Rows of the catalogs that tell of roles: who there is, who is a member of whom, with
//! what settings sessions begin.

use super::database::FIRST_DATABASE;
use super::pg_catalog::FIRST_DATABASE_OID;
use super::role::{BOOTSTRAP, DATABASE_OWNER, PREDEFINED, Role, Roles};
use super::rows::{Facts, Rows, row, text_array};
use crate::pg::Oid;

/// Adds the rows of the relation that `rows` collects.
pub(super) fn add_rows(rows: &mut Rows, facts: &Facts<'_>) {
    match rows.relation.name {
        "pg_authid" | "pg_roles" => add_roles(rows, facts),
        "pg_user" | "pg_shadow" => add_users(rows, facts),
        "pg_group" => add_groups(rows, facts),
        "pg_auth_members" => {
            for membership in facts.catalog.roles.memberships() {
                row!(rows,
                    "roleid" => membership.role,
                    "member" => membership.member,
                    "grantor" => membership.grantor,
                    "admin_option" => membership.admin,
                );
            }
        }
        "pg_db_role_setting" => add_settings(rows, facts),
        "enabled_roles" => {
            for (_, name) in all(facts).filter(|(oid, _)| enabled(facts, *oid)) {
                row!(rows, "role_name" => name);
            }
        }
        "applicable_roles" => {
            let roles = &facts.catalog.roles;
            let name = |oid| roles.name(oid, facts.owner);
            for membership in roles.memberships().iter().filter(|m| enabled(facts, m.member)) {
                let grantable = if membership.admin { "YES" } else { "NO" };
                row!(rows,
                    "grantee" => name(membership.member),
                    "role_name" => name(membership.role),
                    "is_grantable" => grantable,
                );
            }
            row!(rows,
                "grantee" => facts.owner,
                "role_name" => "pg_database_owner",
                "is_grantable" => "NO",
            );
        }
        _ => {}
    }
}

/// All roles as (OID, name).
fn all<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (Oid, &'a str)> {
    let made = facts.catalog.roles.made().map(|role| (role.oid, role.name.as_str()));
    std::iter::once((BOOTSTRAP, facts.owner)).chain(PREDEFINED).chain(made)
}

/// Whether the current user has what a role has.
fn enabled(facts: &Facts<'_>, role: Oid) -> bool {
    let roles = &facts.catalog.roles;
    match current(facts) {
        BOOTSTRAP => role == BOOTSTRAP || role == DATABASE_OWNER,
        user => roles.is_member(user, role, true),
    }
}

fn current(facts: &Facts<'_>) -> Oid {
    let roles = &facts.catalog.roles;
    if facts.user == facts.owner { BOOTSTRAP } else { roles.oid(facts.user).unwrap_or(BOOTSTRAP) }
}

fn add_roles(rows: &mut Rows, facts: &Facts<'_>) {
    let is_view = rows.relation.name == "pg_roles";
    let hidden = is_view.then_some("********");
    for (oid, name) in std::iter::once((BOOTSTRAP, facts.owner)).chain(PREDEFINED) {
        let is_user = oid == BOOTSTRAP;
        row!(rows,
            "oid" => oid,
            "rolname" => name,
            "rolsuper" => is_user,
            "rolinherit" => true,
            "rolcreaterole" => is_user,
            "rolcreatedb" => is_user,
            "rolcanlogin" => is_user,
            "rolreplication" => is_user,
            "rolconnlimit" => -1_i64,
            "rolpassword" => hidden,
            "rolbypassrls" => is_user,
        );
        set_configuration(rows, &facts.catalog.roles, name);
    }
    let may_see = facts.catalog.roles.is_superuser(current(facts));
    for role in facts.catalog.roles.made() {
        let verifier = role.verifier.as_ref().filter(|_| may_see && !is_view);
        row!(rows,
            "oid" => role.oid,
            "rolname" => &role.name,
            "rolsuper" => role.superuser,
            "rolinherit" => role.inherit,
            "rolcreaterole" => role.create_role,
            "rolcreatedb" => role.create_database,
            "rolcanlogin" => role.login,
            "rolreplication" => role.replication,
            "rolconnlimit" => role.connection_limit,
            "rolpassword" => hidden.or(verifier.map(|verifier| verifier.0.as_str())),
            "rolvaliduntil" => role.valid_until.as_deref(),
            "rolbypassrls" => role.bypass_row_security,
        );
        set_configuration(rows, &facts.catalog.roles, &role.name);
    }
}

/// Fills in, where the relation has a column for it, the settings of a role.
fn set_configuration(rows: &mut Rows, roles: &Roles, name: &str) {
    let column = ["rolconfig", "useconfig"].into_iter().find(|c| rows.relation.column(c).is_some());
    if let Some(column) = column
        && let Some(settings) = roles.settings_by_object().get(&(None, Some(name)))
    {
        rows.amend(column, text_array(settings));
    }
}

fn add_users(rows: &mut Rows, facts: &Facts<'_>) {
    let is_view = rows.relation.name == "pg_user";
    let owner = Role {
        oid: BOOTSTRAP,
        name: facts.owner.to_owned(),
        superuser: true,
        inherit: true,
        create_role: true,
        create_database: true,
        login: true,
        replication: true,
        bypass_row_security: true,
        connection_limit: -1,
        verifier: None,
        valid_until: None,
    };
    let may_see = facts.catalog.roles.is_superuser(current(facts));
    let made = facts.catalog.roles.made().filter(|role| role.login);
    for role in std::iter::once(&owner).chain(made) {
        let verifier = role.verifier.as_ref().filter(|_| may_see);
        let shown = if is_view || role.oid == BOOTSTRAP {
            Some("********")
        } else {
            verifier.map(|verifier| verifier.0.as_str())
        };
        row!(rows,
            "usename" => &role.name,
            "usesysid" => role.oid,
            "usecreatedb" => role.create_database,
            "usesuper" => role.superuser,
            "userepl" => role.replication,
            "usebypassrls" => role.bypass_row_security,
            "passwd" => shown,
            "valuntil" => role.valid_until.as_deref(),
        );
        set_configuration(rows, &facts.catalog.roles, &role.name);
    }
}

fn add_groups(rows: &mut Rows, facts: &Facts<'_>) {
    let roles = &facts.catalog.roles;
    let made = roles.made().filter(|role| !role.login).map(|role| (role.oid, role.name.as_str()));
    for (oid, name) in PREDEFINED.into_iter().chain(made) {
        let members = roles.memberships().iter().filter(|membership| membership.role == oid);
        let members = super::rows::number_array(members.map(|m| i64::from(m.member.0)));
        row!(rows, "groname" => name, "grosysid" => oid, "grolist" => members);
    }
}

fn add_settings(rows: &mut Rows, facts: &Facts<'_>) {
    let roles = &facts.catalog.roles;
    for ((database, role), settings) in roles.settings_by_object() {
        let database = match database {
            None => 0,
            Some(FIRST_DATABASE) => FIRST_DATABASE_OID,
            Some(number) => number.into(),
        };
        // A user of the configuration is the one role that they all are.
        let role = role.map_or(Oid(0), |role| roles.oid(role).unwrap_or(BOOTSTRAP));
        row!(rows, "setdatabase" => database, "setrole" => role, "setconfig" => text_array(&settings));
    }
}
