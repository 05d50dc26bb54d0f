//! Names to OIDs and back: `regclass` and its kin.

use super::super::call::{Answer, Call, Registry, integer, text};
use super::super::{IMPURE, fold_name};
use super::catalog::{oid, relation_name, role_name};
use super::session::lookup_path;
use crate::log::{Value, ValueRef};
use crate::pg::types::{type_by_name, type_name};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    BOOTSTRAP_ROLE, BuiltinFunction, Catalog, NAMESPACES, builtin_function, builtin_functions,
    parse_type, parts_of_written, quote_ident, quote_stored, system_relation, system_relations,
};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        IMPURE,
        &[
            ("to_regclass", 1, |call| {
                let found = find_relation(call, &call.text(0)?);
                found.map_or(Ok(Value::Null), number)
            }),
            ("to_regnamespace", 1, |call| find_namespace(call, &call.text(0)?)),
            ("to_regproc", 1, |call| find_function(call, &call.text(0)?)),
            ("to_regprocedure", 1, |call| {
                let found = find_procedure(call, &call.text(0)?)?;
                found.map_or(Ok(Value::Null), number)
            }),
            ("to_regrole", 1, |call| find_role(call, &call.text(0)?)),
            ("to_regtype", 1, |call| {
                find_type(call, &call.text(0)?).map_or(Ok(Value::Null), number)
            }),
            ("towline_regclass", 1, |call| {
                named(call, |call, name| {
                    let found = find_relation(call, name);
                    found.map_or_else(|| Err(no_relation(name)), number)
                })
            }),
            ("towline_regnamespace", 1, |call| {
                named(call, |call, name| {
                    required(
                        find_namespace(call, name)?,
                        SqlState::INVALID_SCHEMA_NAME,
                        "schema",
                        name,
                    )
                })
            }),
            // One of PostgreSQL's is known by its name: overloads share it.
            ("towline_regproc", 1, routine_or_name),
            ("towline_regprocedure", 1, |call| {
                named(call, |call, name| match find_procedure(call, name)? {
                    Some(oid) => number(oid),
                    // Not all of PostgreSQL's are known here.
                    None if builtins(&function_name(name)).next().is_none() => {
                        text(function_name(name))
                    }
                    None => Err(SqlError::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("function \"{name}\" does not exist"),
                    )),
                })
            }),
            ("towline_regrole", 1, |call| {
                named(call, |call, name| {
                    required(find_role(call, name)?, SqlState::UNDEFINED_OBJECT, "role", name)
                })
            }),
            ("towline_regtype", 1, |call| {
                named(call, |call, name| match find_type(call, name) {
                    Some(oid) => number(oid),
                    None => Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("type \"{name}\" does not exist"),
                    )),
                })
            }),
            ("towline_text_regclass", 1, |call| printed(call, print_relation)),
            ("towline_text_regnamespace", 1, |call| {
                printed(call, |call, oid| {
                    let found =
                        NAMESPACES.into_iter().find(|(known, _)| *known == i64::from(oid.0));
                    let catalog = call.surroundings.catalog();
                    let made = catalog.schemas.iter().find(|(_, known)| **known == oid);
                    found
                        .map(|(_, name)| name.to_owned())
                        .or_else(|| made.map(|(name, _)| name.clone()))
                })
            }),
            ("towline_text_regproc", 1, |call| {
                printed(call, |call, oid| {
                    let catalog = call.surroundings.catalog();
                    match catalog.routine(oid) {
                        Some(routine) => Some(quote_stored(&catalog, &routine.name)),
                        None => builtin_function(oid).map(|function| function.name.to_owned()),
                    }
                })
            }),
            ("towline_text_regprocedure", 1, |call| {
                printed(call, |call, oid| {
                    let catalog = call.surroundings.catalog();
                    match catalog.routine(oid) {
                        Some(routine) => {
                            let name = quote_stored(&catalog, &routine.name);
                            Some(routine.with_types(&catalog, &name))
                        }
                        None => builtin_function(oid).map(|function| {
                            let types = function.arguments.iter().map(|oid| type_name(*oid));
                            format!("{}({})", function.name, types.collect::<Vec<_>>().join(","))
                        }),
                    }
                })
            }),
            ("towline_text_regrole", 1, |call| {
                printed(call, |call, oid| Some(quote_ident(&role_name(call, oid.0.into()))))
            }),
            ("towline_text_regtype", 1, |call| {
                printed(call, |call, oid| {
                    let catalog = call.surroundings.catalog();
                    let name = catalog.shown_type(oid, None, &lookup_path(call));
                    Some(name).filter(|name| name != "???")
                })
            }),
        ],
    )
}

pub(super) fn number(oid: Oid) -> Answer {
    integer(i64::from(oid.0))
}

/// A name looked up; a number, in digits or as one, is the OID itself.
pub(super) fn named(call: &Call<'_, '_>, find: fn(&Call<'_, '_>, &str) -> Answer) -> Answer {
    match call.value(0) {
        ValueRef::Integer(oid) => integer(oid),
        _ => {
            let name = call.text(0)?;
            match name.trim() {
                "-" => integer(0),
                digits => match digits.parse::<u32>() {
                    Ok(oid) => number(Oid(oid)),
                    Err(_) => find(call, digits),
                },
            }
        }
    }
}

fn required(found: Value, state: SqlState, kind: &str, name: &str) -> Answer {
    match found {
        Value::Null => Err(SqlError::new(state, format!("{kind} \"{name}\" does not exist"))),
        found => Ok(found),
    }
}

/// An OID printed as a name; what has none, as the number.
pub(super) fn printed(
    call: &Call<'_, '_>,
    name: fn(&Call<'_, '_>, Oid) -> Option<String>,
) -> Answer {
    if let ValueRef::Text(name) = call.value(0)
        && name.parse::<u32>().is_err()
    {
        return text(name);
    }
    let oid = oid(call, 0)?;
    if oid == Oid(0) {
        return text("-");
    }
    text(name(call, oid).unwrap_or_else(|| oid.0.to_string()))
}

fn print_relation(call: &Call<'_, '_>, oid: Oid) -> Option<String> {
    if let Some(relation) = system_relations().iter().find(|relation| relation.oid == oid) {
        let qualified = relation.schema != "pg_catalog";
        let schema = if qualified { format!("{}.", relation.schema) } else { String::new() };
        return Some(schema + relation.name);
    }
    let catalog = call.surroundings.catalog();
    relation_name(&catalog, oid).map(|stored| catalog.shown_relation(&stored, &lookup_path(call)))
}

pub(super) fn no_relation(name: &str) -> SqlError {
    let name = name.strip_prefix("public.").unwrap_or(name);
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// What a written name finds, under the name that it is stored by.
pub(super) fn find_stored(call: &Call<'_, '_>, catalog: &Catalog, written: &str) -> Option<String> {
    let parts = parts_of_written(written);
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] | [_, schema, name] => (Some(schema.as_str()), name),
        _ => return None,
    };
    let own = lookup_path(call);
    let schema = match schema {
        Some("pg_temp") => own.first().map(String::as_str),
        schema => schema,
    };
    catalog.find_stored(schema, name, &own, |stored| catalog.is_stored(stored))
}

/// A relation by its name as written, perhaps with its schema.
pub(in crate::storage::sqlite::functions) fn find_relation(
    call: &Call<'_, '_>,
    written: &str,
) -> Option<Oid> {
    let parts = parts_of_written(written);
    let system = match parts.as_slice() {
        [name] => system_relation("pg_catalog", name),
        [schema, name] => system_relation(schema, name),
        _ => None,
    };
    if let Some(relation) = system {
        return Some(relation.oid);
    }
    let catalog = call.surroundings.catalog();
    catalog.oid_of_stored(&find_stored(call, &catalog, written)?)
}

/// A type by its name as written, those that clients made included.
fn find_type(call: &Call<'_, '_>, written: &str) -> Option<Oid> {
    if let Some((oid, _)) = parse_type(written) {
        return Some(oid);
    }
    let catalog = call.surroundings.catalog();
    let (bare, is_array) = match written.trim().strip_suffix("[]") {
        Some(bare) => (bare, true),
        None => (written, false),
    };
    let parts = parts_of_written(bare);
    let (name, schema) = (parts.last()?, parts.len().checked_sub(2).map(|at| parts[at].as_str()));
    if matches!(schema, None | Some("pg_catalog"))
        && let Some(oid) = type_by_name(&format!("{name}{}", if is_array { "[]" } else { "" }))
    {
        return Some(oid);
    }
    let stored = catalog.find_stored(schema, name, &lookup_path(call), |stored| {
        catalog.types.contains_key(stored)
    })?;
    catalog.types.get(&stored).map(|kind| if is_array { kind.array } else { kind.oid })
}

fn find_namespace(call: &Call<'_, '_>, written: &str) -> Answer {
    let name = parts_of_written(written).pop().unwrap_or_default();
    match call.surroundings.catalog().schema_oid(&name) {
        0 => Ok(Value::Null),
        oid => integer(oid),
    }
}

fn find_role(call: &Call<'_, '_>, written: &str) -> Answer {
    let found = role_named(call, &fold_name(written));
    found.map_or(Ok(Value::Null), number)
}

pub(in crate::storage::sqlite::functions) fn role_named(
    call: &Call<'_, '_>,
    name: &str,
) -> Option<Oid> {
    match name == call.environment().owner {
        true => Some(BOOTSTRAP_ROLE),
        false => call.surroundings.catalog().roles.oid(name),
    }
}

/// A function's name as written, without schema and arguments.
fn function_name(written: &str) -> String {
    fold_name(written.split('(').next().unwrap_or(written))
}

/// The OID of a client's function that a text names, with the types of its arguments or
/// without; else the function's name.
fn routine_or_name(call: &Call<'_, '_>) -> Answer {
    if let ValueRef::Integer(oid) = call.value(0) {
        return integer(oid);
    }
    let written = call.text(0)?;
    match find_routine(call, &written)? {
        Some(oid) => number(oid),
        None => text(function_name(&written)),
    }
}

fn find_routine(call: &Call<'_, '_>, written: &str) -> Result<Option<Oid>, SqlError> {
    let catalog = call.surroundings.catalog();
    if catalog.routines.is_empty() {
        return Ok(None);
    }
    let (name, types) = match written.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end().trim_end_matches(')'))),
        None => (written, None),
    };
    let parts = parts_of_written(name);
    let bare = parts.last().cloned().unwrap_or_default();
    let stored: Vec<String> = match parts.as_slice() {
        [schema, name] => vec![catalog.stored_name(schema, name)],
        _ => lookup_path(call).iter().map(|s| catalog.stored_name(s, &bare)).collect(),
    };
    let signature = types.map(|types| {
        let types = types.split(',').map(str::trim).filter(|name| !name.is_empty());
        let oids = types.map(|name| find_type(call, name).map_or(0, |oid| oid.0).to_string());
        oids.collect::<Vec<_>>().join(",")
    });
    let found: Vec<Oid> = stored
        .iter()
        .flat_map(|stored| catalog.overloads(stored))
        .filter(|routine| {
            signature.as_ref().is_none_or(|wanted| routine.said.signature() == *wanted)
        })
        .map(|routine| routine.oid)
        .collect();
    match (found.as_slice(), &signature) {
        ([_, _, ..], None) => Err(SqlError::new(
            SqlState("42725"),
            format!("more than one function named \"{bare}\""),
        )),
        (found, _) => Ok(found.first().copied()),
    }
}

/// PostgreSQL's own functions of a name.
fn builtins(name: &str) -> impl Iterator<Item = &'static BuiltinFunction> {
    builtin_functions().iter().filter(move |function| function.name == name)
}

/// The function of a name with types: a client's, or PostgreSQL's own.
fn find_procedure(call: &Call<'_, '_>, written: &str) -> Result<Option<Oid>, SqlError> {
    if let Some(oid) = find_routine(call, written)? {
        return Ok(Some(oid));
    }
    let Some((name, types)) = written.split_once('(') else { return Ok(None) };
    let types = types.trim_end().trim_end_matches(')').split(',').map(str::trim);
    let types: Option<Vec<Oid>> =
        types.filter(|name| !name.is_empty()).map(|name| find_type(call, name)).collect();
    let name = function_name(name);
    let found = builtins(&name).find(|function| Some(&function.arguments) == types.as_ref());
    Ok(found.map(|function| function.oid))
}

fn find_function(call: &Call<'_, '_>, written: &str) -> Answer {
    if let Some(oid) = find_routine(call, written)? {
        return number(oid);
    }
    let name = function_name(written);
    if builtins(&name).next().is_some() { text(name) } else { Ok(Value::Null) }
}
