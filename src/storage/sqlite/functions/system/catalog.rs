//! What the catalog says: definitions, comments, sizes, visibility.

use std::borrow::Cow;

use super::super::call::{Answer, Call, Registry, bad_argument, boolean, integer, text};
use super::super::surroundings::fold_name;
use super::super::{IMPURE, array_text};
use super::names::{find_stored, no_relation, role_named};
use super::session::{array_item, lookup_path};
use crate::log::{Value, ValueRef};
use crate::pg::types::IntervalStyle;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    AccessMethod, Catalog, Rights, Routine, builtin_function, constraint_definition,
    domain_check_definition, index_column_property, index_definition, index_key_definition,
    keywords, pretty, quote_qualified, system_relation, system_relations, view_definition,
    with_intervals,
};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.define_strict(
        IMPURE,
        &[
            ("acldefault", 2, default_rights),
            ("pg_database_size", 1, |call| {
                integer(call.number(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                )?)
            }),
            ("pg_tablespace_size", 1, |call| {
                integer(call.number(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                )?)
            }),
            ("pg_char_to_encoding", 1, |call| {
                let name = call.text(0)?.to_uppercase();
                integer(if matches!(name.as_str(), "UTF8" | "UTF-8") { 6 } else { -1 })
            }),
            ("pg_encoding_to_char", 1, |call| {
                text(match call.integer(0)? {
                    0 => "SQL_ASCII",
                    6 => "UTF8",
                    8 => "LATIN1",
                    _ => "",
                })
            }),
            ("pg_function_is_visible", 1, |call| {
                let oid = oid(call, 0)?;
                match call.surroundings.catalog().routine(oid) {
                    Some(routine) => boolean(routine_is_visible(call, routine)),
                    None => builtin_function(oid).map_or(Ok(Value::Null), |_| boolean(true)),
                }
            }),
            ("pg_get_constraintdef", 1, constraintdef),
            ("pg_get_constraintdef", 2, constraintdef),
            ("pg_get_expr", 2, expression),
            ("pg_get_expr", 3, expression),
            ("pg_get_function_arguments", 1, function_arguments),
            ("pg_get_function_identity_arguments", 1, |call| {
                let catalog = call.surroundings.catalog();
                match catalog.routine(oid(call, 0)?) {
                    Some(routine) => text(routine.identity_arguments(&catalog)),
                    None => function_arguments(call),
                }
            }),
            ("pg_get_function_result", 1, |call| {
                let catalog = call.surroundings.catalog();
                let oid = oid(call, 0)?;
                let printed = match catalog.routine(oid) {
                    Some(routine) => routine.printed_result(&catalog),
                    None => builtin_function(oid).map(|function| function.printed_result()),
                };
                printed.map_or(Ok(Value::Null), text)
            }),
            ("pg_get_function_sqlbody", 1, |call| {
                let catalog = call.surroundings.catalog();
                let routine = catalog.routine(oid(call, 0)?);
                let body = routine.filter(|routine| routine.said.is_standard_body);
                body.map_or(Ok(Value::Null), |routine| text(routine.said.body.clone()))
            }),
            ("pg_get_functiondef", 1, |call| {
                let catalog = call.surroundings.catalog();
                let routine = catalog.routine(oid(call, 0)?);
                routine.map_or(Ok(Value::Null), |routine| text(routine.definition(&catalog)))
            }),
            ("pg_get_indexdef", 1, indexdef),
            ("pg_get_indexdef", 3, indexdef),
            ("pg_get_serial_sequence", 2, serial_sequence),
            ("pg_get_userbyid", 1, |call| text(role_name(call, call.integer(0)?))),
            ("pg_get_viewdef", 1, viewdef),
            ("pg_get_viewdef", 2, viewdef),
            ("pg_indexam_has_property", 2, |call| {
                let method = AccessMethod::of(call.integer(0)?);
                truth(method.and_then(|method| method.has_property(&property(call).ok()?)))
            }),
            ("pg_index_has_property", 2, |call| {
                let catalog = call.surroundings.catalog();
                let index = catalog.index(named_oid(call)?).map(|(_, index)| &*index.method);
                let method = index.and_then(AccessMethod::named);
                truth(method.and_then(|method| method.index_has_property(&property(call).ok()?)))
            }),
            ("pg_index_column_has_property", 3, |call| {
                let catalog = call.surroundings.catalog();
                let at = usize::try_from(call.integer(1)?).unwrap_or(0).checked_sub(1);
                let found = catalog.index(named_oid(call)?).zip(at);
                truth(found.and_then(|((relation, index), at)| {
                    index_column_property(&catalog, relation, index, at, &property(call).ok()?)
                }))
            }),
            ("pg_relation_filenode", 1, |call| integer(call.integer(0)?)),
            ("pg_relation_is_publishable", 1, |call| {
                let relation = call.surroundings.catalog().relation(oid(call, 0)?).is_some();
                boolean(relation)
            }),
            ("pg_size_pretty", 1, size_pretty),
            ("towline_acl_rows", 1, acl_rows),
            ("towline_keywords", 0, |_| text(keywords())),
            ("pg_table_is_visible", 1, table_is_visible),
            ("pg_type_is_visible", 1, type_is_visible),
            ("obj_description", 1, |call| {
                let catalog = call.surroundings.catalog();
                comment(&catalog, oid(call, 0)?, None, 0)
            }),
            ("obj_description", 2, |call| {
                let catalog = call.surroundings.catalog();
                let class = system_relation("pg_catalog", &call.text(1)?);
                comment(&catalog, oid(call, 0)?, class.map(|class| class.oid), 0)
            }),
            ("col_description", 2, |call| {
                let catalog = call.surroundings.catalog();
                comment(&catalog, oid(call, 0)?, Some(Oid(1259)), call.integer(1)?)
            }),
        ],
    )?;
    registry.define(
        IMPURE,
        &[("format_type", 2, |call| {
            if call.is_null(0) {
                return Ok(Value::Null);
            }
            let typmod = if call.is_null(1) { None } else { Some(call.integer(1)?) };
            let typmod = typmod.map(|typmod| i32::try_from(typmod).unwrap_or(-1));
            let catalog = call.surroundings.catalog();
            text(catalog.shown_type(oid(call, 0)?, typmod, &lookup_path(call)))
        })],
    )
}

pub(super) fn oid(call: &Call<'_, '_>, at: usize) -> Result<Oid, SqlError> {
    Ok(Oid(u32::try_from(call.integer(at)?).unwrap_or(0)))
}

/// What COMMENT ON said of an object, of whatever catalog if `class` is `None`.
fn comment(catalog: &Catalog, object: Oid, class: Option<Oid>, number: i64) -> Answer {
    let found = catalog.comments.iter().find(|comment| {
        comment.object == object
            && class.is_none_or(|class| comment.class == class)
            && comment.number == number
    });
    found.map_or(Ok(Value::Null), |comment| text(comment.text.clone()))
}

fn constraintdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let wanted = oid(call, 0)?;
    if let Some(check) = catalog.domain_checks().find(|check| check.oid == wanted) {
        return text(domain_check_definition(&catalog, &check, call.boolean(1)));
    }
    let Some((relation, constraint)) = catalog.constraint(wanted) else { return Ok(Value::Null) };
    let path = lookup_path(call);
    text(constraint_definition(&catalog, relation, constraint, call.boolean(1), &path))
}

/// A regclass, by its name or its OID.
fn named_oid(call: &Call<'_, '_>) -> Result<Oid, SqlError> {
    let catalog = call.surroundings.catalog();
    match call.value(0) {
        ValueRef::Text(name) if name.parse::<u32>().is_err() => {
            let stored = find_stored(call, &catalog, name).ok_or_else(|| no_relation(name))?;
            Ok(catalog.oid_of_stored(&stored).unwrap_or_default())
        }
        _ => oid(call, 0),
    }
}

/// What a property's function is asked about, which stands last.
fn property(call: &Call<'_, '_>) -> Result<String, SqlError> {
    Ok(call.text(call.len() - 1)?.to_lowercase())
}

fn truth(value: Option<bool>) -> Answer {
    value.map_or(Ok(Value::Null), boolean)
}

fn indexdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let Some((relation, index)) = catalog.index(oid(call, 0)?) else { return Ok(Value::Null) };
    let number = if call.len() > 1 { call.integer(1)? } else { 0 };
    if number == 0 {
        return text(index_definition(&catalog, relation, index, call.boolean(2)));
    }
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let key = index_key_definition(&catalog, relation, index, number, call.boolean(2));
    text(key.unwrap_or_default())
}

/// `pg_get_expr`: as it was printed, intervals in the session's style.
fn expression(call: &Call<'_, '_>) -> Answer {
    let mut printed = call.text(0)?;
    if call.boolean(2) {
        printed = pretty(&call.surroundings.catalog(), oid(call, 1)?, &printed).into();
    }
    let style = call.environment().settings.get("intervalstyle").cloned().unwrap_or_default();
    match IntervalStyle::by_name(&style) {
        IntervalStyle::Postgres => text(printed),
        style => text(with_intervals(&printed, style)),
    }
}

fn viewdef(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let relation = match call.value(0) {
        ValueRef::Text(name) if name.parse::<u32>().is_err() => {
            find_stored(call, &catalog, name).and_then(|stored| catalog.relations.get(&stored))
        }
        _ => catalog.relation(oid(call, 0)?),
    };
    relation.and_then(view_definition).map_or(Ok(Value::Null), text)
}

/// Whether a call by the bare name, with such arguments, finds the function.
fn routine_is_visible(call: &Call<'_, '_>, routine: &Routine) -> bool {
    let catalog = call.surroundings.catalog();
    let signature = routine.said.signature();
    let bare = catalog.bare(&routine.name);
    let first = lookup_path(call).into_iter().find_map(|schema| {
        let stored = catalog.stored_name(&schema, bare);
        let is_there = catalog.overloads(&stored).any(|o| o.said.signature() == signature);
        is_there.then_some(stored)
    });
    first.as_ref() == Some(&routine.name)
}

fn function_arguments(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    if let Some(routine) = catalog.routine(oid(call, 0)?) {
        return text(routine.printed_arguments(&catalog));
    }
    let found = builtin_function(oid(call, 0)?);
    found.map_or(Ok(Value::Null), |function| text(function.printed_arguments()))
}

fn serial_sequence(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let (written, column) = (call.text(0)?, call.text(1)?);
    let table = find_stored(call, &catalog, &written).ok_or_else(|| no_relation(&written))?;
    let relation = catalog.relations.get(&table).ok_or_else(|| no_relation(&written))?;
    if relation.attribute(&column).is_none() {
        return Err(SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{table}\" does not exist"),
        ));
    }
    let owned = catalog.sequences.values().find(|sequence| {
        sequence.owner.as_ref().is_some_and(|(owner, owned)| *owner == table && *owned == column)
    });
    owned.map_or(Ok(Value::Null), |sequence| text(quote_qualified(&catalog, &sequence.name)))
}

pub(super) fn role_name(call: &Call<'_, '_>, oid: i64) -> String {
    let (catalog, environment) = (call.surroundings.catalog(), call.environment());
    let known = u32::try_from(oid)
        .ok()
        .and_then(|oid| catalog.roles.name(Oid(oid), &environment.owner).map(str::to_owned));
    known.unwrap_or_else(|| format!("unknown (OID={oid})"))
}

/// The rights in an `aclitem[]`, one by one: a JSON array of arrays of grantor, grantee,
/// keyword and whether it may be granted.
fn acl_rows(call: &Call<'_, '_>) -> Answer {
    let mut rows = Vec::new();
    for item in array_text::texts(&call.text(0)?)?.into_iter().flatten() {
        let malformed = || {
            let message = format!("malformed aclitem: \"{item}\"");
            SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        };
        let (grantee, rest) = item.split_once('=').ok_or_else(malformed)?;
        let (letters, grantor) = rest.split_once('/').ok_or_else(malformed)?;
        let role = |name: &str| {
            let oid = role_named(call, &fold_name(name)).map_or(0, |oid| oid.0);
            oid.to_string()
        };
        let (grantor, grantee) = (role(grantor), role(grantee));
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            let right = Rights::of_letters(letter.encode_utf8(&mut [0; 4]));
            let grantable = if letters.next_if_eq(&'*').is_some() { "t" } else { "f" };
            for name in right.names() {
                rows.push([&*grantor, &*grantee, name, grantable].map(str::to_owned));
            }
        }
    }
    text(serde_json::Value::from(rows.into_iter().map(Vec::from).collect::<Vec<_>>()).to_string())
}

/// The rights to an object of a kind that nobody has changed: its owner's, and those of
/// everybody.
fn default_rights(call: &Call<'_, '_>) -> Answer {
    let kind = call.text(0)?;
    let (owner, everybody) = match &*kind {
        "c" => ("", ""),
        "r" => ("arwdDxt", ""),
        "s" => ("rwU", ""),
        "d" => ("CTc", "Tc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("rw", ""),
        "n" => ("UC", ""),
        "p" => ("sA", ""),
        "t" => ("C", ""),
        "F" | "S" => ("U", ""),
        other => {
            return Err(bad_argument(format!("unrecognized object type abbreviation: {other}")));
        }
    };
    let role = role_name(call, call.integer(1)?);
    let rights = [(String::new(), everybody), (role.clone(), owner)];
    let items = rights.iter().filter(|(_, rights)| !rights.is_empty());
    let item = |(who, rights): &(String, &str)| {
        let item = format!("{who}={rights}/{role}");
        let special =
            |char: char| char.is_whitespace() || matches!(char, '{' | '}' | ',' | '"' | '\\');
        if item.contains(special) { array_item(&item) } else { item }
    };
    let items: Vec<String> = items.map(item).collect();
    text(format!("{{{}}}", items.join(",")))
}

fn size_pretty(call: &Call<'_, '_>) -> Answer {
    let size = i128::from(call.integer(0)?);
    let (sign, mut rest) = (size.signum(), size.abs());
    // As PostgreSQL: the next unit from ten times its size on, halves rounded up.
    if rest < 10 * 1024 {
        return text(format!("{size} bytes"));
    }
    rest >>= 9;
    let units = ["kB", "MB", "GB", "TB", "PB"];
    for (at, unit) in units.iter().enumerate() {
        if rest < 2 * 10 * 1024 - 1 || at == units.len() - 1 {
            return text(format!("{} {unit}", sign * ((rest + 1) / 2)));
        }
        rest >>= 10;
    }
    Ok(Value::Null)
}

/// Whether a bare name finds the relation; NULL where there is none of this OID.
fn table_is_visible(call: &Call<'_, '_>) -> Answer {
    let wanted = oid(call, 0)?;
    if let Some(relation) = system_relations().iter().find(|relation| relation.oid == wanted) {
        return boolean(relation.schema == "pg_catalog");
    }
    let catalog = call.surroundings.catalog();
    match relation_name(&catalog, wanted) {
        Some(name) => {
            let hidden = system_relation("pg_catalog", catalog.bare(&name)).is_some();
            let is_there = |stored: &str| catalog.is_stored(stored);
            boolean(!hidden && catalog.is_visible(&name, &lookup_path(call), is_there))
        }
        None => Ok(Value::Null),
    }
}

/// Whether a bare name finds the type; those that come with PostgreSQL are found.
fn type_is_visible(call: &Call<'_, '_>) -> Answer {
    let catalog = call.surroundings.catalog();
    let is_there = |stored: &str| catalog.types.contains_key(stored);
    boolean(
        catalog
            .user_type(oid(call, 0)?)
            .is_none_or(|kind| catalog.is_visible(&kind.name, &lookup_path(call), is_there)),
    )
}

pub(super) fn relation_name(catalog: &Catalog, oid: Oid) -> Option<Cow<'_, str>> {
    let relation = catalog.relation(oid).map(|relation| relation.name.as_str().into());
    let sequence = || {
        let found = catalog.sequences.values().find(|sequence| sequence.oid == oid);
        found.map(|sequence| sequence.name.as_str().into())
    };
    let index = || {
        let (relation, index) = catalog.index(oid)?;
        Some(catalog.stored_name_of_index(relation, index))
    };
    relation.or_else(sequence).or_else(index)
}
