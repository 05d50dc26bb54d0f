//! Roles: CREATE, ALTER and DROP ROLE, who is a member of whom, and with what settings
//! sessions begin. What they do depends on who asks, so the node carries them out; here
//! their texts are read, and said what changes in the file.
//!
//! What a password is made into is the node's to say: none stands in what is logged.

use super::ddl::touch;
use super::utility::Words;
use super::{names, translated};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Grant, Role, write_grants};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translated::{
    Kind, Password, RoleChange, RoleName, RoleOptions, SettingChange, Tag, Translated,
};

/// The words by which a statement calls a role.
const WORDS: [&str; 3] = ["role", "user", "group"];

/// Takes ROLE, USER or GROUP; which it was.
pub(super) fn take_word(words: &mut Words<'_>) -> Option<&'static str> {
    // USER MAPPING is about foreign servers.
    let mut ahead = words.scanner;
    if ahead.take_word("user") && ahead.take_word("mapping") {
        return None;
    }
    WORDS.into_iter().find(|word| words.take(word))
}

/// CREATE ROLE, USER or GROUP, behind those words.
pub(super) fn create(word: &str, words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let name = new_name(words)?;
    let mut options = options(words)?;
    if word == "user" {
        options.login.get_or_insert(true);
    }
    words.done(Kind::Role(RoleChange::Create { name, options }), "CREATE ROLE")
}

/// ALTER ROLE, USER or GROUP, behind those words.
pub(super) fn alter(word: &str, words: &mut Words<'_>) -> Result<Translated, SqlError> {
    if word != "group" && words.take("all") {
        return configure(None, words);
    }
    let role = role_name(words)?;
    if word == "group" {
        let adds = words.take("add");
        if adds || words.take("drop") {
            words.expect("user")?;
            let members = role_names(words)?;
            let roles = vec![role];
            let change = match adds {
                true => RoleChange::Grant { roles, to: members, admin: false },
                false => RoleChange::Revoke { roles, from: members, admin_only: false },
            };
            return words.done(Kind::Role(change), "ALTER ROLE");
        }
    }
    if words.take("rename") {
        words.expect("to")?;
        let to = new_name(words)?;
        return words.done(Kind::Role(RoleChange::Rename { role, to }), "ALTER ROLE");
    }
    let mut ahead = words.scanner;
    if ["in", "set", "reset"].iter().any(|word| ahead.take_word(word)) {
        return configure(Some(role), words);
    }
    let options = options(words)?;
    words.done(Kind::Role(RoleChange::Alter { role, options }), "ALTER ROLE")
}

/// `[IN DATABASE name] SET …` or `RESET …`, of a role or of all.
fn configure(role: Option<RoleName>, words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let database = if words.take("in") {
        words.expect("database")?;
        Some(words.name()?)
    } else {
        None
    };
    let change = setting_change(words)?;
    words.done(Kind::Role(RoleChange::Configure { role, database, change }), "ALTER ROLE")
}

/// ALTER DATABASE `database`, before SET or RESET.
pub(super) fn configure_database(
    database: String,
    words: &mut Words<'_>,
) -> Result<Translated, SqlError> {
    let change = setting_change(words)?;
    let change = RoleChange::Configure { role: None, database: Some(database), change };
    words.done(Kind::Role(change), "ALTER DATABASE")
}

fn setting_change(words: &mut Words<'_>) -> Result<SettingChange, SqlError> {
    if words.take("reset") {
        if words.take("all") {
            return Ok(SettingChange::ResetAll);
        }
        return Ok(SettingChange::Reset(words.setting_name()?));
    }
    words.expect("set")?;
    let name = if words.take("time") {
        words.expect("zone")?;
        "timezone".to_owned()
    } else {
        let name = words.setting_name()?;
        if words.take("from") {
            words.expect("current")?;
            return Ok(SettingChange::SetFromCurrent(name));
        }
        if !(words.take("to") || words.scanner.take_symbol(b'=')) {
            return Err(words.syntax_error());
        }
        name
    };
    Ok(match words.setting_value()? {
        Some(value) => SettingChange::Set { name, value },
        None => SettingChange::Reset(name),
    })
}

/// DROP ROLE, USER or GROUP, behind those words.
pub(super) fn drop(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let if_exists = words.take("if");
    if if_exists {
        words.expect("exists")?;
    }
    let roles = role_names(words)?;
    words.done(Kind::Role(RoleChange::Drop { roles, if_exists }), "DROP ROLE")
}

/// REASSIGN OWNED BY … TO …, behind REASSIGN.
pub(super) fn reassign(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    words.expect("owned")?;
    words.expect("by")?;
    let from = role_names(words)?;
    words.expect("to")?;
    let to = role_name(words)?;
    words.done(Kind::Role(RoleChange::Reassign { from, to }), "REASSIGN OWNED")
}

/// Whether GRANT or REVOKE, behind that word, is about membership: it names nothing ON
/// which there would be privileges.
pub(super) fn is_membership(mut scanner: Scanner<'_>) -> bool {
    while let Ok(Some(token)) = scanner.next() {
        if token.is("on") {
            return false;
        }
        if token.is("to") || token.is("from") {
            return true;
        }
    }
    false
}

/// GRANT role TO role, behind GRANT.
pub(super) fn grant(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let roles = role_names(words)?;
    words.expect("to")?;
    let to = role_names(words)?;
    let admin = words.take("with");
    if admin {
        words.expect("admin")?;
        words.expect("option")?;
    }
    granted_by(words)?;
    words.done(Kind::Role(RoleChange::Grant { roles, to, admin }), "GRANT ROLE")
}

/// REVOKE role FROM role, behind REVOKE.
pub(super) fn revoke(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let admin_only = words.take("admin");
    if admin_only {
        words.expect("option")?;
        words.expect("for")?;
    }
    let roles = role_names(words)?;
    words.expect("from")?;
    let from = role_names(words)?;
    granted_by(words)?;
    let _ = words.take("cascade") || words.take("restrict");
    words.done(Kind::Role(RoleChange::Revoke { roles, from, admin_only }), "REVOKE ROLE")
}

fn granted_by(words: &mut Words<'_>) -> Result<(), SqlError> {
    if words.take("granted") {
        words.expect("by")?;
        role_name(words)?;
    }
    Ok(())
}

/// The name of a role to be made.
fn new_name(words: &mut Words<'_>) -> Result<String, SqlError> {
    let error = words.syntax_error();
    let token = words.next()?;
    if matches!(token, Token::Word(_)) && special(token).is_some() {
        return Err(SqlError::new(
            SqlState("42939"),
            format!("role name \"{}\" is reserved", scan::identifier(token).unwrap_or_default()),
        ));
    }
    let name = scan::identifier(token).ok_or(error)?;
    let name = super::ddl::shortened(&name);
    if name.is_empty() {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "zero-length delimited identifier"));
    }
    if name.starts_with("pg_") || matches!(name.as_str(), "public" | "none") {
        return Err(SqlError::new(SqlState("42939"), format!("role name \"{name}\" is reserved")));
    }
    Ok(name)
}

fn special(token: Token<'_>) -> Option<RoleName> {
    if token.is("current_user") || token.is("current_role") {
        return Some(RoleName::Current);
    }
    token.is("session_user").then_some(RoleName::Session)
}

pub(super) fn role_name(words: &mut Words<'_>) -> Result<RoleName, SqlError> {
    let error = words.syntax_error();
    let token = words.next()?;
    match special(token) {
        Some(name) => Ok(name),
        None => scan::identifier(token).map(RoleName::Named).ok_or(error),
    }
}

pub(super) fn role_names(words: &mut Words<'_>) -> Result<Vec<RoleName>, SqlError> {
    let mut names = vec![role_name(words)?];
    while words.scanner.take_symbol(b',') {
        names.push(role_name(words)?);
    }
    Ok(names)
}

/// The options of CREATE ROLE and ALTER ROLE, to the end.
fn options(words: &mut Words<'_>) -> Result<RoleOptions, SqlError> {
    let mut options = RoleOptions::default();
    words.take("with");
    while words.scanner.peek().is_some() {
        let error = words.syntax_error();
        let option = words.name()?;
        let (flag, wanted) = match option.strip_prefix("no") {
            Some(flag) => (flag, false),
            None => (option.as_str(), true),
        };
        let slot = match flag {
            "superuser" => Some(&mut options.superuser),
            "inherit" => Some(&mut options.inherit),
            "createrole" => Some(&mut options.create_role),
            "createdb" => Some(&mut options.create_database),
            "login" => Some(&mut options.login),
            "replication" => Some(&mut options.replication),
            "bypassrls" => Some(&mut options.bypass_row_security),
            _ => None,
        };
        if let Some(slot) = slot {
            if slot.replace(wanted).is_some() {
                return Err(redundant());
            }
            continue;
        }
        match option.as_str() {
            "connection" => {
                words.expect("limit")?;
                let limit = words.whole_number()?;
                if limit < -1 || i32::try_from(limit).is_err() {
                    let message = format!("invalid connection limit: {limit}");
                    return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                options.connection_limit = Some(limit);
            }
            "encrypted" => {
                words.expect("password")?;
                options.password = Some(Some(Password(words.string()?)));
            }
            "password" if words.take("null") => options.password = Some(None),
            "password" => options.password = Some(Some(Password(words.string()?))),
            "valid" => {
                words.expect("until")?;
                options.valid_until = Some(words.string()?);
            }
            "in" if words.take("role") || words.take("group") => {
                options.member_of.extend(role_names(words)?);
            }
            "role" | "user" => options.members.extend(role_names(words)?),
            "admin" => options.admins.extend(role_names(words)?),
            "sysid" => {
                words.whole_number()?;
            }
            _ => return Err(error),
        }
    }
    Ok(options)
}

fn redundant() -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options")
}

/// What the file keeps of a role, but for its memberships; one that is new gets the next OID.
pub fn write_role(role: &Role, is_new: bool) -> Vec<String> {
    let optional = |text: Option<&str>| text.map_or("NULL".to_owned(), names::quote_literal);
    let flags = [
        role.superuser,
        role.inherit,
        role.create_role,
        role.create_database,
        role.login,
        role.replication,
        role.bypass_row_security,
    ];
    let flags: Vec<String> = flags.iter().map(|flag| u8::from(*flag).to_string()).collect();
    let values = format!(
        "{}, {}, {}, {}, {}",
        names::quote_literal(&role.name),
        flags.join(", "),
        role.connection_limit,
        optional(role.verifier.as_ref().map(|verifier| verifier.0.as_str())),
        optional(role.valid_until.as_deref()),
    );
    const COLUMNS: &str = "name, superuser, inherit, create_role, create_database, login, \
                           replication, bypass_row_security, connection_limit, verifier, \
                           valid_until";
    if is_new {
        return vec![
            format!(
                "INSERT INTO towline_role (oid, {COLUMNS}) SELECT next, {values} FROM towline_oid"
            ),
            "UPDATE towline_oid SET next = next + 1".to_owned(),
        ];
    }
    vec![format!("UPDATE towline_role SET ({COLUMNS}) = ({values}) WHERE oid = {}", role.oid.0)]
}

/// The OID of a role that is being made by the same statements, as SQL.
pub fn oid_of_role(name: &str) -> String {
    format!("(SELECT oid FROM towline_role WHERE name = {})", names::quote_literal(name))
}

/// Makes `member` a member of `role`, both as SQL.
pub fn add_member(role: &str, member: &str, grantor: Oid, admin: bool) -> String {
    format!(
        "INSERT INTO towline_membership (role, member, grantor, admin) VALUES ({role}, {member}, \
         {}, {}) ON CONFLICT (role, member) DO UPDATE SET admin = max(admin, excluded.admin)",
        grantor.0,
        u8::from(admin)
    )
}

/// Ends a membership, or with `admin_only` the right to hand it on.
pub fn remove_member(role: Oid, member: Oid, admin_only: bool) -> String {
    let (role, member) = (role.0, member.0);
    let which = format!("role = {role} AND member = {member}");
    match admin_only {
        true => format!("UPDATE towline_membership SET admin = 0 WHERE {which}"),
        false => format!("DELETE FROM towline_membership WHERE {which}"),
    }
}

/// Forgets a role, its memberships and settings.
pub fn forget_role(role: &Role) -> Vec<String> {
    let oid = role.oid.0;
    vec![
        format!("DELETE FROM towline_membership WHERE role = {oid} OR member = {oid}"),
        format!(
            "DELETE FROM towline_start_setting WHERE role = {}",
            names::quote_literal(&role.name)
        ),
        format!("DELETE FROM towline_role WHERE oid = {oid}"),
    ]
}

/// Gives a role's settings to its new name.
pub fn rename_settings(from: &str, to: &str) -> String {
    let (from, to) = (names::quote_literal(from), names::quote_literal(to));
    format!("UPDATE towline_start_setting SET role = {to} WHERE role = {from}")
}

/// Sets with what value sessions begin; `None` for their default, no name for all.
pub fn write_start_setting(
    database: Option<u32>,
    role: Option<&str>,
    name: Option<&str>,
    value: Option<&str>,
) -> String {
    let database = database.map_or(-1, i64::from);
    let role = names::quote_literal(role.unwrap_or_default());
    let here = format!("database = {database} AND role = {role}");
    match (name, value) {
        (Some(name), Some(value)) => format!(
            "INSERT INTO towline_start_setting (database, role, name, value) VALUES ({database}, \
             {role}, {}, {}) ON CONFLICT (database, role, name) DO UPDATE SET value = \
             excluded.value",
            names::quote_literal(name),
            names::quote_literal(value)
        ),
        (Some(name), None) => format!(
            "DELETE FROM towline_start_setting WHERE {here} AND name = {}",
            names::quote_literal(name)
        ),
        (None, _) => format!("DELETE FROM towline_start_setting WHERE {here}"),
    }
}

/// Gives an object an owner, and grants; `None` for those of a new one.
pub fn write_access(class: u32, object: Oid, owner: Oid, grants: Option<&[Grant]>) -> String {
    let grants =
        grants.map_or("NULL".to_owned(), |grants| names::quote_literal(&write_grants(grants)));
    format!(
        "INSERT OR REPLACE INTO towline_access (class, object, owner, grants) VALUES ({class}, {}, \
         {}, {grants})",
        object.0, owner.0
    )
}

/// Keeps what is granted on a column by itself.
pub fn write_column_access(table: Oid, number: i64, grants: &[Grant]) -> String {
    match grants {
        [] => format!(
            "DELETE FROM towline_column_access WHERE relation = {} AND number = {number}",
            table.0
        ),
        grants => format!(
            "INSERT OR REPLACE INTO towline_column_access (relation, number, grants) VALUES ({}, \
             {number}, {})",
            table.0,
            names::quote_literal(&write_grants(grants))
        ),
    }
}

/// A change of roles, as one logged statement.
pub fn role_change(tag: &'static str, mut statements: Vec<String>) -> Translated {
    statements.extend(touch());
    translated(Kind::Ddl { rebuild: false }, Tag::Fixed(tag), Vec::new(), statements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::catalog::Catalog;
    use crate::sql::{TranslateContext, translate};

    fn read(text: &str) -> Result<RoleChange, SqlError> {
        match translate(text, &TranslateContext::new(&Catalog::default()))?.kind {
            Kind::Role(change) => Ok(change),
            other => panic!("{text} is {other:?}"),
        }
    }

    fn named(name: &str) -> RoleName {
        RoleName::Named(name.to_owned())
    }

    #[test]
    fn what_makes_and_changes_roles_is_read() {
        let change =
            read("CREATE USER Ann WITH NOSUPERUSER CREATEDB PASSWORD 'x' IN ROLE a, \"B\"");
        let Ok(RoleChange::Create { name, options }) = change else { panic!("{change:?}") };
        assert_eq!((name.as_str(), options.login), ("ann", Some(true)));
        assert_eq!((options.superuser, options.create_database), (Some(false), Some(true)));
        assert_eq!(options.password, Some(Some(Password("x".to_owned()))));
        assert_eq!(options.member_of, [named("a"), named("B")]);
        let shown = format!("{:?}", Password("secret".to_owned()));
        assert!(!shown.contains("secret"), "{shown}");
        let change = read("create role b connection limit 3 valid until '2030-01-01' admin c");
        let Ok(RoleChange::Create { options, .. }) = change else { panic!("{change:?}") };
        assert_eq!((options.connection_limit, options.login), (Some(3), None));
        assert_eq!(options.valid_until.as_deref(), Some("2030-01-01"));
        assert_eq!(options.admins, [named("c")]);
        let change = read("ALTER ROLE CURRENT_USER IN DATABASE shop SET search_path TO a, b");
        let Ok(RoleChange::Configure { role, database, change }) = change else {
            panic!("{change:?}")
        };
        assert_eq!((role, database.as_deref()), (Some(RoleName::Current), Some("shop")));
        let (name, value) = ("search_path".to_owned(), "a, b".to_owned());
        assert_eq!(change, SettingChange::Set { name, value });
        let change = read("ALTER DATABASE shop RESET ALL");
        assert!(matches!(
            change,
            Ok(RoleChange::Configure { role: None, change: SettingChange::ResetAll, .. })
        ));
        let change = read("GRANT a, b TO c WITH ADMIN OPTION");
        let Ok(RoleChange::Grant { roles, to, admin: true }) = change else { panic!("{change:?}") };
        assert_eq!((roles, to), (vec![named("a"), named("b")], vec![named("c")]));
        let change = read("REVOKE ADMIN OPTION FOR a FROM session_user CASCADE");
        let Ok(RoleChange::Revoke { from, admin_only: true, .. }) = change else {
            panic!("{change:?}")
        };
        assert_eq!(from, [RoleName::Session]);
        let change = read("DROP USER IF EXISTS a, b");
        assert!(matches!(change, Ok(RoleChange::Drop { if_exists: true, .. })), "{change:?}");
        let change = read("ALTER GROUP g DROP USER a");
        assert!(matches!(change, Ok(RoleChange::Revoke { admin_only: false, .. })), "{change:?}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, state) in [
            ("CREATE ROLE", "42601"),
            ("CREATE ROLE pg_x", "42939"),
            ("CREATE ROLE public", "42939"),
            ("CREATE ROLE current_user", "42939"),
            ("CREATE ROLE a LOGIN NOLOGIN", "42601"),
            ("CREATE ROLE a COLOUR", "42601"),
            ("CREATE ROLE a CONNECTION LIMIT -2", "22023"),
            ("ALTER ROLE a SET x", "42601"),
            ("GRANT a TO", "42601"),
            ("DROP ROLE", "42601"),
        ] {
            assert_eq!(read(text).expect_err(text).state.0, state, "{text}");
        }
    }
}
