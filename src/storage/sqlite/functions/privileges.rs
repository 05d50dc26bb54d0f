//! `has_table_privilege` and kin: what a role may do, as the catalog has it.

use super::IMPURE;
use super::call::{Answer, Call, Registry, boolean};
use super::system::{find_relation, role_named};
use crate::log::{Value, ValueRef};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Catalog, EMPTY_TEMPLATES, EVERYBODY, FIRST_DATABASE, ObjectKind, Rights, parts_of_written,
};

/// The number by which clients know the first database.
const FIRST_DATABASE_OID: i64 = 5;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define(
        IMPURE,
        &[
            ("pg_has_role", 2, has_role),
            ("pg_has_role", 3, has_role),
            ("has_table_privilege", 2, |call| on_relation(call, 2)),
            ("has_table_privilege", 3, |call| on_relation(call, 3)),
            ("has_sequence_privilege", 2, |call| on_relation(call, 2)),
            ("has_sequence_privilege", 3, |call| on_relation(call, 3)),
            ("has_any_column_privilege", 2, |call| on_columns(call, 2, false)),
            ("has_any_column_privilege", 3, |call| on_columns(call, 3, false)),
            ("has_column_privilege", 3, |call| on_columns(call, 2, true)),
            ("has_column_privilege", 4, |call| on_columns(call, 3, true)),
            ("has_schema_privilege", 2, |call| on(call, ObjectKind::Schema)),
            ("has_schema_privilege", 3, |call| on(call, ObjectKind::Schema)),
            ("has_database_privilege", 2, |call| on(call, ObjectKind::Database)),
            ("has_database_privilege", 3, |call| on(call, ObjectKind::Database)),
            ("has_type_privilege", 2, |_| boolean(true)),
            ("has_type_privilege", 3, |_| boolean(true)),
        ],
    )
}

/// The role at a place: by name, or number.
fn role_at(call: &Call<'_, '_>, at: usize) -> Result<Oid, SqlError> {
    if let ValueRef::Integer(oid) = call.value(at) {
        return Ok(Oid(u32::try_from(oid).unwrap_or(0)));
    }
    let name = call.text(at)?;
    if name == "public" {
        return Ok(EVERYBODY);
    }
    role_named(call, &name).ok_or_else(|| {
        SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
    })
}

/// Who is asked about, where all but `fixed` arguments are about them.
fn asked_role(call: &Call<'_, '_>, fixed: usize) -> Result<Oid, SqlError> {
    if call.len() > fixed {
        return role_at(call, 0);
    }
    Ok(role_named(call, &call.environment().user).unwrap_or(EVERYBODY))
}

fn is_null(call: &Call<'_, '_>) -> bool {
    (0..call.len()).any(|at| call.is_null(at))
}

/// Each privilege of a list, and whether it is asked for with its grant option.
fn wanted(call: &Call<'_, '_>, known: Rights) -> Result<Vec<(Rights, bool)>, SqlError> {
    let text = call.text(call.len() - 1)?;
    let one = |word: &str| {
        let word = word.trim().to_ascii_uppercase();
        let (name, option) = match word.strip_suffix("WITH GRANT OPTION") {
            Some(name) => (name.trim_end(), true),
            None => (word.as_str(), false),
        };
        let right = Rights::named(name).filter(|right| right.without(known).is_empty());
        right.map(|right| (right, option)).ok_or_else(|| unrecognized(&text))
    };
    text.split(',').map(one).collect()
}

fn unrecognized(privilege: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unrecognized privilege type: \"{privilege}\""),
    )
}

fn holds(
    catalog: &Catalog,
    role: Oid,
    kind: ObjectKind,
    object: Oid,
    wanted: &[(Rights, bool)],
) -> bool {
    wanted.iter().any(|(right, option)| match option {
        true => catalog.may_grant(role, kind, object, *right) == *right,
        false => catalog.lacks(role, kind, object, *right).is_empty(),
    })
}

/// On a table, view or sequence; of so many arguments besides a column's.
fn on_relation(call: &Call<'_, '_>, arguments: usize) -> Answer {
    if is_null(call) {
        return Ok(Value::Null);
    }
    let (role, object) = asked_relation(call, arguments)?;
    let catalog = call.surroundings.catalog();
    let is_sequence = catalog.sequences.values().any(|sequence| sequence.oid == object);
    let kind = if is_sequence { ObjectKind::Sequence } else { ObjectKind::Table };
    let wanted = wanted(call, kind.rights())?;
    if !is_sequence && catalog.relation(object).is_none() {
        // PostgreSQL's own are there for everybody to read.
        let reads = wanted.iter().any(|(right, option)| *right == Rights::SELECT && !option);
        return boolean(reads || catalog.roles.is_superuser(role));
    }
    boolean(holds(&catalog, role, kind, object, &wanted))
}

/// Who is asked about, and a table, view or sequence, of so many arguments besides a column.
fn asked_relation(call: &Call<'_, '_>, arguments: usize) -> Result<(Oid, Oid), SqlError> {
    // Without a role's name, the current user.
    let role = if arguments == 3 { role_at(call, 0)? } else { asked_role(call, call.len())? };
    let at = arguments - 2;
    let object = match call.value(at) {
        ValueRef::Integer(oid) => Oid(u32::try_from(oid).unwrap_or(0)),
        _ => {
            let name = call.text(at)?;
            find_relation(call, &name).ok_or_else(|| {
                let message = format!("relation \"{name}\" does not exist");
                SqlError::new(SqlState::UNDEFINED_TABLE, message)
            })?
        }
    };
    Ok((role, object))
}

/// On one column of a table or view, or on any.
fn on_columns(call: &Call<'_, '_>, arguments: usize, one: bool) -> Answer {
    if is_null(call) {
        return Ok(Value::Null);
    }
    let (role, object) = asked_relation(call, arguments)?;
    let catalog = call.surroundings.catalog();
    let wanted = wanted(call, Rights::ON_COLUMNS)?;
    let Some(relation) = catalog.relation(object) else {
        let reads = wanted.iter().any(|(right, option)| *right == Rights::SELECT && !option);
        return boolean(reads || catalog.roles.is_superuser(role));
    };
    let mut numbers: Vec<i64> = (1..).take(relation.attributes.len()).collect();
    if one {
        let at = arguments - 1;
        let number = match call.value(at) {
            ValueRef::Integer(number) => numbers.contains(&number).then_some(number),
            _ => {
                let name = call.text(at)?;
                let found = relation.attributes.iter().position(|column| column.name == *name);
                Some(found.map(|at| numbers[at]).ok_or_else(|| {
                    let table = catalog.bare(&relation.name);
                    let message =
                        format!("column \"{name}\" of relation \"{table}\" does not exist");
                    SqlError::new(SqlState::UNDEFINED_COLUMN, message)
                })?)
            }
        };
        let Some(number) = number else { return Ok(Value::Null) };
        numbers = vec![number];
    }
    let kind = ObjectKind::Table;
    boolean(wanted.iter().any(|(right, option)| {
        holds(&catalog, role, kind, object, &[(*right, *option)])
            || numbers.iter().any(|number| match option {
                true => catalog.may_grant_column(role, object, *number, *right) == *right,
                false => catalog.lacks_on_column(role, object, *number, *right).is_empty(),
            })
    }))
}

/// On a schema or database.
fn on(call: &Call<'_, '_>, kind: ObjectKind) -> Answer {
    if is_null(call) {
        return Ok(Value::Null);
    }
    let role = asked_role(call, 2)?;
    let at = call.len() - 2;
    let catalog = call.surroundings.catalog();
    let object = match call.value(at) {
        ValueRef::Integer(FIRST_DATABASE_OID) if kind == ObjectKind::Database => {
            Some(i64::from(FIRST_DATABASE))
        }
        ValueRef::Integer(oid) => Some(oid),
        _ => {
            let written = call.text(at)?;
            match kind {
                ObjectKind::Schema => {
                    let name = parts_of_written(&written).pop().unwrap_or_default();
                    Some(catalog.schema_oid(&name)).filter(|oid| *oid != 0)
                }
                _ => {
                    let environment = call.environment();
                    // Where nothing tells the first one's name, it is the session's.
                    let first = match environment.first_database.as_str() {
                        "" => &environment.database,
                        first => first,
                    };
                    let template = EMPTY_TEMPLATES.iter().find(|(name, _)| *name == written);
                    let found = catalog.database_named(&written, first);
                    found.or(template.map(|(_, number)| *number)).map(i64::from)
                }
            }
        }
    };
    let Some(object) = object.and_then(|oid| u32::try_from(oid).ok()) else {
        let name = call.text(at)?;
        let (state, word) = match kind {
            ObjectKind::Schema => (SqlState::INVALID_SCHEMA_NAME, "schema"),
            _ => (SqlState::INVALID_CATALOG_NAME, "database"),
        };
        return Err(SqlError::new(state, format!("{word} \"{name}\" does not exist")));
    };
    boolean(holds(&catalog, role, kind, Oid(object), &wanted(call, kind.rights())?))
}

/// `pg_has_role([user,] role, privilege)`: MEMBER over any step, USAGE where privileges
/// are inherited.
fn has_role(call: &Call<'_, '_>) -> Answer {
    if is_null(call) {
        return Ok(Value::Null);
    }
    let member = asked_role(call, 2)?;
    let role = role_at(call, call.len() - 2)?;
    let (catalog, privilege) = (call.surroundings.catalog(), call.text(call.len() - 1)?);
    let roles = &catalog.roles;
    let mut holds = false;
    for wanted in privilege.split(',') {
        let wanted = wanted.trim().to_ascii_uppercase();
        holds |= match wanted.as_str() {
            "USAGE" => roles.is_superuser(member) || roles.is_member(member, role, true),
            "MEMBER" => roles.is_superuser(member) || roles.is_member(member, role, false),
            "USAGE WITH GRANT OPTION"
            | "USAGE WITH ADMIN OPTION"
            | "MEMBER WITH GRANT OPTION"
            | "MEMBER WITH ADMIN OPTION" => {
                roles.is_superuser(member) || roles.is_admin(member, role)
            }
            _ => return Err(unrecognized(&privilege)),
        };
    }
    boolean(holds)
}
