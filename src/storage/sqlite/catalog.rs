//! Reads the `towline_*` tables and SQLite's own schema into a [`Catalog`].
//!
//! Towline's tables know what PostgreSQL's DDL said. A table or view that came by
//! another way (an adopted file, SQLite's own dialect) has no rows there: it is
//! described from `sqlite_schema`, its declared types read as PostgreSQL's, and its
//! OID is a hash of its name, which is the same on every node.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::{Sqlite, SqliteError, Statement};
use crate::log::ValueRef;
use crate::pg::Oid;
use crate::sql::catalog::{
    Access, Attribute, BTREE, Catalog, CheckOption, Comment, Constraint, ConstraintKind,
    DEFAULT_KINDS, DefaultAccessKey, Field, Grant, HASHED_OIDS, Identity, Index, Membership,
    NAMESPACES, PUBLIC_OID, RESERVED_PREFIX, Relation, RelationKind, Role, Roles, Routine,
    Sequence, StartSetting, StoredVerifier, UserType, UserTypeKind, parse_grants, split_database,
    type_of_declaration,
};

/// Loads the catalog of a database as of the connection's snapshot.
pub(super) fn load(sqlite: &mut Sqlite, database: u32) -> Result<Catalog, SqliteError> {
    let lies_here = |stored: &str| split_database(stored).0 == database;
    let mut catalog = Catalog {
        version: schema_version(sqlite)?,
        databases: databases(sqlite)?,
        roles: roles(sqlite)?,
        access: access(sqlite, database)?,
        column_access: column_access(sqlite)?,
        default_access: default_access(sqlite, database)?,
        schemas: schemas(sqlite, database)?,
        types: user_types(sqlite)?,
        routines: routines(sqlite)?,
        on_commit: on_commit(sqlite)?,
        ..Catalog::empty(database)
    };
    catalog.types.retain(|name, _| lies_here(name));
    catalog.routines.retain(|routine| lies_here(&routine.name));
    catalog.on_commit.retain(|name, _| lies_here(name));
    let mut names = BTreeMap::new();
    for relation in relations(sqlite)?.into_iter().filter(|relation| lies_here(&relation.name)) {
        names.insert(relation.oid, relation.name.clone());
        catalog.relations.insert(relation.name.clone(), relation);
    }
    let of = |oid: Oid, catalog: &mut Catalog, add: &mut dyn FnMut(&mut Relation)| {
        let relation = names.get(&oid).and_then(|name| catalog.relations.get_mut(name));
        relation.map(add);
    };
    for (oid, attribute) in attributes(sqlite)? {
        of(oid, &mut catalog, &mut |relation| relation.attributes.push(attribute.clone()));
    }
    for (oid, constraint) in constraints(sqlite)? {
        of(oid, &mut catalog, &mut |relation| relation.constraints.push(constraint.clone()));
    }
    for (oid, index) in indexes(sqlite)? {
        of(oid, &mut catalog, &mut |relation| relation.indexes.push(index.clone()));
    }
    for relation in catalog.relations.values_mut() {
        add_key_indexes(relation);
    }
    catalog.sequences = sequences(sqlite)?;
    catalog.sequences.retain(|name, _| lies_here(name));
    let taken: BTreeSet<Oid> = names.keys().copied().collect();
    describe_foreign(sqlite, &mut catalog, taken)?;
    let known = oids(&catalog);
    catalog.comments = comments(sqlite)?;
    let public = Oid(PUBLIC_OID);
    let kept_under = catalog.key_of_public();
    catalog.comments.retain_mut(|comment| {
        let of_public = comment.object == kept_under && comment.class == SCHEMAS;
        if of_public {
            comment.object = public;
        }
        of_public || known.contains(&comment.object) && comment.object != public
    });
    if !catalog.comments.iter().any(|comment| comment.object == public) {
        let text = "standard public schema".to_owned();
        catalog.comments.push(Comment { object: public, class: SCHEMAS, number: 0, text });
    }
    Ok(catalog)
}

/// The catalog that lists schemas, as comments name it.
const SCHEMAS: Oid = Oid(2615);

/// The OIDs of all that a database holds.
fn oids(catalog: &Catalog) -> BTreeSet<Oid> {
    let relations = catalog.relations.values().flat_map(|relation| {
        let constraints = relation.constraints.iter().map(|constraint| constraint.oid);
        let indexes = relation.indexes.iter().map(|index| index.oid);
        constraints.chain(indexes).chain([relation.oid])
    });
    let sequences = catalog.sequences.values().map(|sequence| sequence.oid);
    let types = catalog.types.values().map(|kind| kind.oid);
    let routines = catalog.routines.iter().map(|routine| routine.oid);
    let schemas = NAMESPACES.iter().map(|(oid, _)| Oid(u32::try_from(*oid).unwrap_or(0)));
    let schemas = schemas.chain(catalog.schemas.values().copied());
    relations.chain(sequences).chain(types).chain(routines).chain(schemas).collect()
}

fn databases(sqlite: &mut Sqlite) -> Result<BTreeMap<String, u32>, SqliteError> {
    let found = rows(sqlite, "SELECT name, oid FROM main.towline_database", |row| {
        (text(row, 0), oid(row, 1).0)
    })?;
    Ok(found.into_iter().collect())
}

/// Owners and privileges. Those on `public`, of which every database has one, are kept
/// under the database's own key.
fn access(sqlite: &mut Sqlite, database: u32) -> Result<BTreeMap<(u32, Oid), Access>, SqliteError> {
    let kept_under = Catalog::empty(database).key_of_public();
    let found =
        rows(sqlite, "SELECT class, object, owner, grants FROM main.towline_access", |row| {
            let (class, object) = (oid(row, 0), oid(row, 1));
            let grants = optional(row, 3).and_then(|json| parse_grants(&json));
            ((class.0, object), Access { owner: oid(row, 2), grants })
        })?;
    let schemas = SCHEMAS.0;
    let here = found.into_iter().filter_map(|((class, object), access)| match object {
        object if class == schemas && object == kept_under => {
            Some(((class, Oid(PUBLIC_OID)), access))
        }
        Oid(PUBLIC_OID) if class == schemas => None,
        object => Some(((class, object), access)),
    });
    Ok(here.collect())
}

fn column_access(sqlite: &mut Sqlite) -> Result<BTreeMap<(Oid, i64), Vec<Grant>>, SqliteError> {
    let found =
        rows(sqlite, "SELECT relation, number, grants FROM main.towline_column_access", |row| {
            Some(((oid(row, 0), integer(row, 1)), parse_grants(&text(row, 2))?))
        })?;
    Ok(found.into_iter().flatten().collect())
}

fn default_access(
    sqlite: &mut Sqlite,
    database: u32,
) -> Result<BTreeMap<DefaultAccessKey, Vec<Grant>>, SqliteError> {
    let found = rows(
        sqlite,
        &format!(
            "SELECT role, schema, kind, grants FROM main.towline_default_access
             WHERE database = {database}"
        ),
        |row| {
            let letter = text(row, 2);
            let (kind, ..) = DEFAULT_KINDS.into_iter().find(|known| letter.starts_with(known.1))?;
            Some(((oid(row, 0), oid(row, 1), kind), parse_grants(&text(row, 3))?))
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

fn roles(sqlite: &mut Sqlite) -> Result<Roles, SqliteError> {
    let roles = rows(
        sqlite,
        "SELECT oid, name, superuser, inherit, create_role, create_database, login, replication,
                bypass_row_security, connection_limit, verifier, valid_until
         FROM main.towline_role",
        |row| Role {
            oid: oid(row, 0),
            name: text(row, 1),
            superuser: integer(row, 2) != 0,
            inherit: integer(row, 3) != 0,
            create_role: integer(row, 4) != 0,
            create_database: integer(row, 5) != 0,
            login: integer(row, 6) != 0,
            replication: integer(row, 7) != 0,
            bypass_row_security: integer(row, 8) != 0,
            connection_limit: integer(row, 9),
            verifier: optional(row, 10).map(StoredVerifier),
            valid_until: optional(row, 11),
        },
    )?;
    let memberships =
        rows(sqlite, "SELECT role, member, grantor, admin FROM main.towline_membership", |row| {
            Membership {
                role: oid(row, 0),
                member: oid(row, 1),
                grantor: oid(row, 2),
                admin: integer(row, 3) != 0,
            }
        })?;
    let settings = rows(
        sqlite,
        "SELECT database, role, name, value FROM main.towline_start_setting",
        |row| StartSetting {
            database: u32::try_from(integer(row, 0)).ok(),
            role: Some(text(row, 1)).filter(|role| !role.is_empty()),
            name: text(row, 2),
            value: text(row, 3),
        },
    )?;
    Ok(Roles::new(roles, memberships, settings))
}

fn schema_version(sqlite: &mut Sqlite) -> Result<u64, SqliteError> {
    let mut statement = sqlite.prepare("PRAGMA main.schema_version")?;
    statement.step()?;
    Ok(u64::try_from(integer(&statement, 0)).unwrap_or(0))
}

fn schemas(sqlite: &mut Sqlite, database: u32) -> Result<BTreeMap<String, Oid>, SqliteError> {
    let found = rows(sqlite, "SELECT name, oid FROM main.towline_schema", |row| {
        (text(row, 0), oid(row, 1))
    })?;
    let here = found.iter().filter_map(|(stored, oid)| {
        let (of, name) = split_database(stored);
        (of == database).then(|| (name.to_owned(), *oid))
    });
    Ok(here.collect())
}

fn user_types(sqlite: &mut Sqlite) -> Result<BTreeMap<String, UserType>, SqliteError> {
    let found = rows(
        sqlite,
        "SELECT oid, name, kind, array_oid, base, typmod, not_null, default_expr, labels, checks
         FROM main.towline_type",
        |row| UserType {
            oid: oid(row, 0),
            name: text(row, 1),
            array: oid(row, 3),
            kind: match text(row, 2).as_str() {
                "e" => UserTypeKind::Enum(list(&text(row, 8))),
                "c" => {
                    UserTypeKind::Composite { relation: oid(row, 4), fields: fields(&text(row, 8)) }
                }
                _ => UserTypeKind::Domain {
                    base: oid(row, 4),
                    typmod: i32::try_from(integer(row, 5)).unwrap_or(-1),
                    not_null: integer(row, 6) != 0,
                    default: optional(row, 7),
                    checks: serde_json::from_str(&text(row, 9)).unwrap_or_default(),
                },
            },
        },
    )?;
    Ok(found.into_iter().map(|kind| (kind.name.clone(), kind)).collect())
}

fn routines(sqlite: &mut Sqlite) -> Result<Vec<Routine>, SqliteError> {
    let found = rows(
        sqlite,
        "SELECT oid, name, said FROM main.towline_routine ORDER BY name, oid",
        |row| {
            let said = serde_json::from_str(&text(row, 2)).ok()?;
            Some(Routine { oid: oid(row, 0), name: text(row, 1), said })
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

/// A composite's fields: names, OIDs and modifiers.
fn fields(json: &str) -> Vec<Field> {
    let fields: Vec<(String, u32, i32)> = serde_json::from_str(json).unwrap_or_default();
    let field = |(name, oid, typmod)| Field { name, oid: Oid(oid), typmod };
    fields.into_iter().map(field).collect()
}

fn on_commit(sqlite: &mut Sqlite) -> Result<BTreeMap<String, char>, SqliteError> {
    let found = rows(
        sqlite,
        "SELECT name, on_commit FROM main.towline_relation WHERE on_commit IS NOT NULL",
        |row| (text(row, 0), text(row, 1).chars().next().unwrap_or('d')),
    )?;
    Ok(found.into_iter().collect())
}

fn comments(sqlite: &mut Sqlite) -> Result<Vec<Comment>, SqliteError> {
    rows(sqlite, "SELECT object, class, number, text FROM main.towline_comment", |row| Comment {
        object: oid(row, 0),
        class: oid(row, 1),
        number: integer(row, 2),
        text: text(row, 3),
    })
}

fn relations(sqlite: &mut Sqlite) -> Result<Vec<Relation>, SqliteError> {
    rows(
        sqlite,
        "SELECT oid, name, kind, definition, check_option FROM main.towline_relation",
        |row| Relation {
            oid: oid(row, 0),
            name: text(row, 1),
            kind: match text(row, 2).as_str() {
                "v" => RelationKind::View,
                "m" | "n" => RelationKind::MaterializedView,
                _ => RelationKind::Table,
            },
            attributes: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            definition: optional(row, 3),
            populated: text(row, 2) != "n",
            triggers_off: text(row, 2) == "d",
            check_option: CheckOption::named(&text(row, 4)),
        },
    )
}

fn attributes(sqlite: &mut Sqlite) -> Result<Vec<(Oid, Attribute)>, SqliteError> {
    rows(
        sqlite,
        "SELECT relation, name, type, typmod, not_null, default_expr, identity, generated
         FROM main.towline_attribute ORDER BY relation, number",
        |row| {
            let attribute = Attribute {
                name: text(row, 1),
                oid: oid(row, 2),
                typmod: i32::try_from(integer(row, 3)).unwrap_or(-1),
                not_null: integer(row, 4) != 0,
                default: optional(row, 5),
                identity: optional(row, 6).and_then(|letter| match letter.as_str() {
                    "a" => Some(Identity::Always),
                    "d" => Some(Identity::ByDefault),
                    _ => None,
                }),
                generated: optional(row, 7),
            };
            (oid(row, 0), attribute)
        },
    )
}

fn constraints(sqlite: &mut Sqlite) -> Result<Vec<(Oid, Constraint)>, SqliteError> {
    let found = rows(
        sqlite,
        "SELECT relation, oid, name, kind, columns, expression, target, target_columns,
                on_update, on_delete, is_deferrable, is_deferred, nulls_equal, included
         FROM main.towline_constraint ORDER BY oid",
        |row| {
            let kind = match text(row, 3).as_str() {
                "p" => ConstraintKind::PrimaryKey,
                "u" => ConstraintKind::Unique,
                "c" => ConstraintKind::Check(text(row, 5)),
                "f" => ConstraintKind::ForeignKey {
                    table: text(row, 6),
                    columns: list(&text(row, 7)),
                    on_update: action(&text(row, 8)),
                    on_delete: action(&text(row, 9)),
                },
                _ => return None,
            };
            let constraint = Constraint {
                oid: oid(row, 1),
                name: text(row, 2),
                kind,
                columns: list(&text(row, 4)),
                deferrable: integer(row, 10) != 0,
                deferred: integer(row, 11) != 0,
                nulls_equal: integer(row, 12) != 0,
                included: list(&text(row, 13)),
            };
            Some((oid(row, 0), constraint))
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

fn indexes(sqlite: &mut Sqlite) -> Result<Vec<(Oid, Index)>, SqliteError> {
    rows(
        sqlite,
        "SELECT relation, oid, name, is_unique, is_primary, columns, predicate, nulls_equal,
                included, method, classes
         FROM main.towline_index ORDER BY oid",
        |row| {
            let index = Index {
                oid: oid(row, 1),
                name: text(row, 2),
                unique: integer(row, 3) != 0,
                primary: integer(row, 4) != 0,
                columns: list(&text(row, 5)),
                predicate: optional(row, 6),
                nulls_equal: integer(row, 7) != 0,
                included: list(&text(row, 8)),
                method: text(row, 9),
                classes: list(&text(row, 10)),
            };
            (oid(row, 0), index)
        },
    )
}

fn sequences(sqlite: &mut Sqlite) -> Result<BTreeMap<String, Sequence>, SqliteError> {
    let found = rows(
        sqlite,
        "SELECT oid, name, start, increment, min, max, cycle, reserved, owner_table,
                owner_column, type
         FROM main.towline_sequence",
        |row| Sequence {
            oid: oid(row, 0),
            name: text(row, 1),
            kind: oid(row, 10),
            start: integer(row, 2),
            increment: integer(row, 3),
            min: integer(row, 4),
            max: integer(row, 5),
            cycle: integer(row, 6) != 0,
            reserved: match row.column(7) {
                ValueRef::Integer(value) => Some(value),
                _ => None,
            },
            owner: optional(row, 8).zip(optional(row, 9)),
        },
    )?;
    Ok(found.into_iter().map(|sequence| (sequence.name.clone(), sequence)).collect())
}

/// A key's index carries its constraint's name. Where none is recorded it takes the
/// constraint's OID too, which no other row of `pg_class` has.
fn add_key_indexes(relation: &mut Relation) {
    for constraint in &relation.constraints {
        let primary = matches!(constraint.kind, ConstraintKind::PrimaryKey);
        let is_key = primary || matches!(constraint.kind, ConstraintKind::Unique);
        if is_key && !relation.indexes.iter().any(|index| index.name == constraint.name) {
            relation.indexes.push(Index {
                oid: constraint.oid,
                name: constraint.name.clone(),
                unique: true,
                primary,
                columns: constraint.columns.clone(),
                predicate: None,
                nulls_equal: constraint.nulls_equal,
                included: constraint.included.clone(),
                method: BTREE.to_owned(),
                classes: Vec::new(),
            });
        }
    }
}

/// Adds what only SQLite's schema knows.
fn describe_foreign(
    sqlite: &mut Sqlite,
    catalog: &mut Catalog,
    mut taken: BTreeSet<Oid>,
) -> Result<(), SqliteError> {
    let objects = rows(
        sqlite,
        "SELECT name, type, sql FROM main.sqlite_schema
         WHERE type IN ('table', 'view') ORDER BY name",
        |row| (text(row, 0), text(row, 1) == "view", optional(row, 2)),
    )?;
    for (name, is_view, sql) in objects {
        let lower = name.to_lowercase();
        let elsewhere = split_database(&name).0 != catalog.database;
        if lower.starts_with("sqlite_") || lower.starts_with(RESERVED_PREFIX) || elsewhere {
            continue;
        }
        match catalog.relations.get_mut(&name) {
            // A view's columns may be left for SQLite to tell.
            Some(relation) if relation.attributes.is_empty() => {
                relation.attributes = declared_attributes(sqlite, &name);
            }
            Some(_) => {}
            None => {
                let mut relation = Relation {
                    oid: hashed_oid(&name, &mut taken),
                    name: name.clone(),
                    kind: if is_view { RelationKind::View } else { RelationKind::Table },
                    attributes: declared_attributes(sqlite, &name),
                    constraints: Vec::new(),
                    indexes: Vec::new(),
                    definition: sql.filter(|_| is_view).map(|sql| query_of_view(&sql)),
                    populated: true,
                    triggers_off: false,
                    check_option: None,
                };
                if !is_view {
                    describe_keys(sqlite, &mut relation, &mut taken)?;
                }
                catalog.relations.insert(name, relation);
            }
        }
    }
    Ok(())
}

/// An OID that follows from a name, above those that DDL allots.
fn hashed_oid(name: &str, taken: &mut BTreeSet<Oid>) -> Oid {
    let hash = u32::try_from(xxh3_64(name.as_bytes()) & 0x3fff_ffff).unwrap_or(0);
    let mut oid = Oid(HASHED_OIDS | hash);
    while !taken.insert(oid) {
        oid = Oid(HASHED_OIDS | (oid.0.wrapping_add(1) & 0x3fff_ffff));
    }
    oid
}

/// Columns as declared to SQLite; none where SQLite can't tell, as for a view whose
/// table is gone.
fn declared_attributes(sqlite: &mut Sqlite, name: &str) -> Vec<Attribute> {
    let columns = bound_rows(
        sqlite,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden
         FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid",
        name,
        |row| {
            let (oid, typmod) = type_of_declaration(&text(row, 1));
            Attribute {
                name: text(row, 0),
                oid,
                typmod,
                not_null: integer(row, 2) != 0 || integer(row, 4) != 0,
                default: optional(row, 3),
                identity: None,
                generated: None,
            }
        },
    );
    columns.unwrap_or_default()
}

fn describe_keys(
    sqlite: &mut Sqlite,
    relation: &mut Relation,
    taken: &mut BTreeSet<Oid>,
) -> Result<(), SqliteError> {
    let table = relation.name.clone();
    let primary = bound_rows(
        sqlite,
        "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0 ORDER BY pk",
        &table,
        |row| text(row, 0),
    )?;
    if !primary.is_empty() {
        let name = format!("{table}_pkey");
        relation.constraints.push(Constraint {
            oid: hashed_oid(&name, taken),
            name,
            kind: ConstraintKind::PrimaryKey,
            columns: primary,
            deferrable: false,
            deferred: false,
            nulls_equal: false,
            included: Vec::new(),
        });
    }
    let indexes = bound_rows(
        sqlite,
        "SELECT name, \"unique\", origin FROM pragma_index_list(?1, 'main') ORDER BY name",
        &table,
        |row| (text(row, 0), integer(row, 1) != 0, text(row, 2)),
    )?;
    for (index, unique, origin) in indexes {
        if origin == "pk" {
            continue;
        }
        let columns = bound_rows(
            sqlite,
            "SELECT name FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno",
            &index,
            |row| optional(row, 0).unwrap_or_else(|| "(expression)".to_owned()),
        )?;
        if origin == "u" {
            let name = format!("{table}_{}_key", columns.join("_"));
            relation.constraints.push(Constraint {
                oid: hashed_oid(&name, taken),
                name,
                kind: ConstraintKind::Unique,
                columns,
                deferrable: false,
                deferred: false,
                nulls_equal: false,
                included: Vec::new(),
            });
        } else {
            relation.indexes.push(Index {
                oid: hashed_oid(&index, taken),
                name: index,
                unique,
                primary: false,
                columns,
                predicate: None,
                nulls_equal: false,
                included: Vec::new(),
                method: BTREE.to_owned(),
                classes: Vec::new(),
            });
        }
    }
    describe_foreign_keys(sqlite, relation, taken)?;
    add_key_indexes(relation);
    Ok(())
}

fn describe_foreign_keys(
    sqlite: &mut Sqlite,
    relation: &mut Relation,
    taken: &mut BTreeSet<Oid>,
) -> Result<(), SqliteError> {
    let parts = bound_rows(
        sqlite,
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete
         FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq",
        &relation.name,
        |row| {
            let key = (integer(row, 0), text(row, 1), action(&text(row, 4)), action(&text(row, 5)));
            (key, text(row, 2), optional(row, 3))
        },
    )?;
    let mut keys = BTreeMap::<_, (Vec<String>, Vec<String>)>::new();
    for (key, from, to) in parts {
        let (columns, target) = keys.entry(key).or_default();
        columns.push(from);
        target.extend(to);
    }
    for ((_, table, on_update, on_delete), (columns, target)) in keys {
        let name = format!("{}_{}_fkey", relation.name, columns.join("_"));
        relation.constraints.push(Constraint {
            oid: hashed_oid(&name, taken),
            name,
            kind: ConstraintKind::ForeignKey { table, columns: target, on_update, on_delete },
            columns,
            deferrable: false,
            deferred: false,
            nulls_equal: false,
            included: Vec::new(),
        });
    }
    Ok(())
}

/// The query behind `CREATE VIEW … AS`.
fn query_of_view(sql: &str) -> String {
    let lower = sql.to_ascii_lowercase();
    let starts = lower.match_indices("as").find(|(at, _)| {
        let before = lower[..*at].chars().next_back();
        let after = lower[at + 2..].chars().next();
        before.is_some_and(char::is_whitespace) && after.is_some_and(char::is_whitespace)
    });
    starts.map_or(sql, |(at, _)| sql[at + 2..].trim()).to_owned()
}

/// A JSON array of names. Anything else is one name, or none.
fn list(json: &str) -> Vec<String> {
    match serde_json::from_str(json) {
        Ok(names) => names,
        Err(_) if json.is_empty() => Vec::new(),
        Err(_) => json.split(',').map(|name| name.trim().to_owned()).collect(),
    }
}

/// A referential action as PostgreSQL's catalogs abbreviate it.
fn action(written: &str) -> char {
    match written.to_ascii_uppercase().as_str() {
        "R" | "RESTRICT" => 'r',
        "C" | "CASCADE" => 'c',
        "N" | "SET NULL" => 'n',
        "D" | "SET DEFAULT" => 'd',
        _ => 'a',
    }
}

fn rows<T>(
    sqlite: &mut Sqlite,
    sql: &str,
    read: impl FnMut(&Statement) -> T,
) -> Result<Vec<T>, SqliteError> {
    collect(sqlite.prepare(sql)?, read)
}

fn bound_rows<T>(
    sqlite: &mut Sqlite,
    sql: &str,
    name: &str,
    read: impl FnMut(&Statement) -> T,
) -> Result<Vec<T>, SqliteError> {
    let mut statement = sqlite.prepare(sql)?;
    statement.bind(1, ValueRef::Text(name))?;
    collect(statement, read)
}

fn collect<T>(
    mut statement: Statement,
    mut read: impl FnMut(&Statement) -> T,
) -> Result<Vec<T>, SqliteError> {
    let mut found = Vec::new();
    while statement.step()? {
        found.push(read(&statement));
    }
    Ok(found)
}

fn integer(row: &Statement, column: usize) -> i64 {
    match row.column(column) {
        ValueRef::Integer(value) => value,
        _ => 0,
    }
}

fn oid(row: &Statement, column: usize) -> Oid {
    Oid(u32::try_from(integer(row, column)).unwrap_or(0))
}

fn text(row: &Statement, column: usize) -> String {
    optional(row, column).unwrap_or_default()
}

fn optional(row: &Statement, column: usize) -> Option<String> {
    match row.column(column) {
        ValueRef::Text(value) => Some(value.to_owned()),
        ValueRef::Integer(value) => Some(value.to_string()),
        _ => None,
    }
}
