//! ALTER DEFAULT PRIVILEGES, and what it gives to objects that are made.

use super::access::{check_fit, grantees, rights, uncounted};
use super::ddl::nothing;
use super::utility::Words;
use super::{Translator, names, role};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Catalog, DEFAULT_KINDS, DefaultAccessKey, Grant, ObjectKind, PUBLIC, TEMPORARY_PREFIX,
    write_grants,
};
use crate::sql::translated::{Kind, RoleChange, SqliteStatement, TranslateContext, Translated};

const TAG: &str = "ALTER DEFAULT PRIVILEGES";

/// ALTER DEFAULT PRIVILEGES, behind those words.
pub(super) fn change(
    text: &str,
    words: &mut Words<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if words.take("for") {
            if !words.take("user") {
                words.expect("role")?;
            }
            roles = role::role_names(words)?;
        } else if words.take("in") {
            words.expect("schema")?;
            schemas = said_schemas(text, words, context)?;
        } else {
            break;
        }
    }
    let grants = words.take("grant");
    if !grants {
        words.expect("revoke")?;
    }
    let (mut option, rights, columns) = rights(words, grants)?;
    if !columns.is_empty() {
        let message = "default privileges cannot be set for columns";
        return Err(SqlError::new(SqlState("0LP01"), message));
    }
    let (kind, word) = match words.name()?.as_str() {
        "tables" => (ObjectKind::Table, "relation"),
        "sequences" => (ObjectKind::Sequence, "sequence"),
        "schemas" => (ObjectKind::Schema, "schema"),
        // What has none of its own anybody may use.
        "functions" | "routines" | "types" => return Ok(nothing(TAG)),
        _ => return Err(words.syntax_error()),
    };
    if kind == ObjectKind::Schema && !schemas.is_empty() {
        let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
        return Err(SqlError::new(SqlState("0LP01"), message));
    }
    check_fit(rights, kind.rights(), word)?;
    let grantees = grantees(words, grants, &mut option)?;
    let change = RoleChange::Defaults { roles, schemas, grants, kind, rights, grantees, option };
    words.done(Kind::Role(change), TAG)
}

fn said_schemas(
    text: &str,
    words: &mut Words<'_>,
    context: &TranslateContext<'_>,
) -> Result<Vec<Oid>, SqlError> {
    let translator = Translator::new(text, context);
    let mut schemas = Vec::new();
    loop {
        let name = words.name()?;
        translator.check_schema(&name)?;
        schemas.push(translator.schema_oid(&name));
        if !words.scanner.take_symbol(b',') {
            return Ok(schemas);
        }
    }
}

/// Keeps default privileges, unless they are those before anything was said.
pub fn write_default_access(catalog: &Catalog, key: &DefaultAccessKey, grants: &[Grant]) -> String {
    let (role, schema, kind) = key;
    let unsaid = Catalog::empty(catalog.database).default_access_of(key);
    let letter = DEFAULT_KINDS.iter().find(|known| known.0 == *kind).map_or('r', |known| known.1);
    if grants == unsaid {
        return format!(
            "DELETE FROM towline_default_access WHERE database = {} AND role = {} AND schema = {} \
             AND kind = '{letter}'",
            catalog.database, role.0, schema.0
        );
    }
    format!(
        "INSERT OR REPLACE INTO towline_default_access (database, role, schema, kind, grants) \
         VALUES ({}, {}, {}, '{letter}', {})",
        catalog.database,
        role.0,
        schema.0,
        names::quote_literal(&write_grants(grants))
    )
}

/// Gives the objects with the OIDs that were allotted last the privileges that are said for
/// their maker's.
pub(super) fn give(allotted: u32, context: &TranslateContext<'_>) -> Vec<SqliteStatement> {
    let (catalog, owner) = (context.catalog, context.owner);
    let mut statements = Vec::new();
    for (kind, _, table) in DEFAULT_KINDS {
        let said = catalog.default_access.keys().filter(|key| key.0 == owner && key.2 == kind);
        // Those of a schema come after those of all.
        for (_, schema, _) in said {
            let Some(grants) = catalog.grants_on_new(owner, *schema, kind) else { continue };
            let within = match schema {
                Oid(0) => String::new(),
                schema => format!(" AND {}", lies_in(catalog, *schema)),
            };
            statements.push(uncounted(format!(
                "INSERT OR REPLACE INTO towline_access (class, object, owner, grants) SELECT {}, \
                 oid, {}, {} FROM towline_{table} WHERE oid >= (SELECT next - {allotted} FROM \
                 towline_oid){within}",
                kind.class(),
                owner.0,
                names::quote_literal(&write_grants(&grants))
            )));
        }
    }
    statements
}

/// Whether a stored name lies in a schema, as a condition of SQLite's.
fn lies_in(catalog: &Catalog, schema: Oid) -> String {
    let begins = |start: String| {
        let length = start.chars().count();
        format!("substr(name, 1, {length}) = {}", names::quote_literal(&start))
    };
    let prefix = &catalog.prefix;
    match catalog.schemas.iter().find(|(_, oid)| **oid == schema) {
        Some((name, _)) => begins(format!("{prefix}{name}.")),
        // All others are in `public`.
        None => {
            let others = catalog.schemas.keys().filter(|name| *name != PUBLIC);
            let others = others.map(|name| begins(format!("{prefix}{name}.")));
            let temporary = begins(format!("{prefix}{TEMPORARY_PREFIX}"));
            let all: Vec<String> = others.chain([temporary]).collect();
            format!("NOT ({})", all.join(" OR "))
        }
    }
}
