//! Rows of `pg_catalog`.

use std::collections::BTreeMap;

use super::definition::{index_definition, index_key, view_definition};
use super::dependency::dependencies;
use super::functions::builtin_functions;
use super::role_rows;
use super::rows::{Facts, Rows, number_array, row, vector};
use super::system::system_relations;
use super::types::{builtin_type, builtin_types, data_lines, format_type};
use super::{
    Attribute, Catalog, Constraint, ConstraintKind, EMPTY_TEMPLATES, FIRST_DATABASE, Identity,
    Index, MAINTENANCE_DATABASE, NAMESPACES, ObjectKind, Relation, RelationKind, Sequence,
    TEMPORARY_PREFIX, UserTypeKind,
};
use crate::pg::Oid;

/// OIDs of PostgreSQL's that clients may know by heart.
pub(super) const OWNER: i64 = 10;
pub(super) const PG_CATALOG: i64 = 11;
const PUBLIC_OID: i64 = super::PUBLIC_OID as i64;
pub(super) const INFORMATION_SCHEMA: i64 = 13_207;
/// Of the first database, whose number is none that PostgreSQL gives.
pub(super) const FIRST_DATABASE_OID: i64 = 5;
const HEAP: i64 = 2;
const BTREE: i64 = 403;
const DEFAULT_TABLESPACE: i64 = 1663;

/// Schemas, with their OIDs.
pub(super) fn namespaces(catalog: &Catalog) -> impl Iterator<Item = (i64, &str)> {
    let made = catalog.schemas.iter().map(|(name, oid)| (i64::from(oid.0), name.as_str()));
    NAMESPACES.into_iter().chain(made)
}

/// Adds the rows of the relation that `rows` collects.
pub(super) fn add_rows(rows: &mut Rows, facts: &Facts<'_>) {
    let catalog = facts.catalog;
    match rows.relation.name {
        "pg_am" => add_access_methods(rows),
        "pg_attrdef" => add_defaults(rows, catalog),
        "pg_attribute" => add_attributes(rows, catalog),
        "pg_authid" | "pg_roles" | "pg_auth_members" | "pg_db_role_setting" | "pg_group"
        | "pg_user" | "pg_shadow" => role_rows::add_rows(rows, facts),
        "pg_class" => add_classes(rows, facts),
        "pg_collation" => add_collations(rows),
        "pg_constraint" => add_constraints(rows, catalog),
        "pg_database" => add_databases(rows, facts),
        "pg_depend" => add_dependencies(rows, catalog),
        "pg_index" => add_indexes(rows, catalog),
        "pg_indexes" => add_index_definitions(rows, catalog),
        "pg_language" => add_languages(rows),
        "pg_namespace" => add_namespaces(rows, facts),
        "pg_opclass" => add_operator_classes(rows),
        "pg_proc" => add_functions(rows),
        "pg_range" => add_ranges(rows),
        "pg_sequence" => add_sequences(rows, catalog),
        "pg_sequences" => add_sequence_views(rows, facts),
        "pg_settings" => add_settings(rows, facts),
        "pg_stat_activity" => add_own_activity(rows, facts),
        "pg_stat_all_tables"
        | "pg_stat_user_tables"
        | "pg_statio_all_tables"
        | "pg_statio_user_tables" => add_table_statistics(rows, catalog),
        "pg_stat_database" => {
            for database in databases(facts) {
                row!(rows, "datid" => database.oid, "datname" => database.name);
            }
        }
        "pg_tables" => add_tables(rows, facts),
        "pg_tablespace" => {
            row!(rows, "oid" => 1663_i64, "spcname" => "pg_default", "spcowner" => OWNER);
            row!(rows, "oid" => 1664_i64, "spcname" => "pg_global", "spcowner" => OWNER);
        }
        "pg_type" => {
            add_types(rows);
            add_user_types(rows, catalog);
        }
        "pg_views" => add_views(rows, facts),
        "pg_matviews" => add_materialized_views(rows, facts),
        "pg_description" => add_comments(rows, catalog),
        "pg_enum" => add_enum_labels(rows, catalog),
        "pg_rewrite" => add_rules(rows, catalog),
        // The rest tells of features that are absent here.
        _ => {}
    }
}

fn add_access_methods(rows: &mut Rows) {
    let methods = [
        (2_i64, "heap", "heap_tableam_handler", "t"),
        (403, "btree", "bthandler", "i"),
        (405, "hash", "hashhandler", "i"),
        (783, "gist", "gisthandler", "i"),
        (2742, "gin", "ginhandler", "i"),
        (4000, "spgist", "spghandler", "i"),
        (3580, "brin", "brinhandler", "i"),
    ];
    for (oid, name, handler, kind) in methods {
        row!(rows, "oid" => oid, "amname" => name, "amhandler" => handler, "amtype" => kind);
    }
}

fn tables(catalog: &Catalog) -> impl Iterator<Item = &Relation> {
    catalog.relations.values().filter(|relation| relation.kind == RelationKind::Table)
}

/// The OID of a column's default: the table's is the same on every node, and no
/// other catalog shares `pg_attrdef`'s OIDs.
pub(super) fn default_oid(relation: &Relation, number: i64) -> i64 {
    (i64::from(relation.oid.0) * 2048 + number) & 0xffff_ffff
}

/// What `pg_attrdef` holds for a column: a default, or a generated column's
/// expression.
pub(super) fn stored_default(attribute: &Attribute) -> Option<&String> {
    attribute.generated.as_ref().or(attribute.default.as_ref())
}

pub(super) fn numbered(relation: &Relation) -> impl Iterator<Item = (i64, &Attribute)> {
    (1..).zip(&relation.attributes)
}

fn add_defaults(rows: &mut Rows, catalog: &Catalog) {
    for relation in tables(catalog) {
        for (number, attribute) in numbered(relation) {
            if let Some(expression) = stored_default(attribute) {
                row!(rows,
                    "oid" => default_oid(relation, number),
                    "adrelid" => relation.oid,
                    "adnum" => number,
                    "adbin" => expression,
                );
            }
        }
    }
}

/// A column of anything that `pg_class` lists.
struct Column<'a> {
    relation: Oid,
    number: i64,
    name: &'a str,
    oid: Oid,
    typmod: i32,
    not_null: bool,
    has_default: bool,
    identity: &'a str,
    generated: &'a str,
}

fn add_attribute(rows: &mut Rows, catalog: &Catalog, column: &Column<'_>) {
    let base = catalog.domain_base(column.oid).map_or(column.oid, |(base, _)| base);
    let kind = builtin_type(base);
    let is_enum = catalog
        .user_type(column.oid)
        .is_some_and(|user| user.oid == column.oid && matches!(user.kind, UserTypeKind::Enum(_)));
    let is_array = kind.is_some_and(|kind| kind.category == "A");
    row!(rows,
        "attrelid" => column.relation,
        "attname" => column.name,
        "atttypid" => column.oid,
        "attstattarget" => -1_i64,
        "attlen" => kind.map_or(if is_enum { 4 } else { -1 }, |kind| kind.length),
        "attnum" => column.number,
        "attndims" => i64::from(is_array),
        "attcacheoff" => -1_i64,
        "atttypmod" => column.typmod,
        "attbyval" => kind.map_or(is_enum, |kind| kind.by_value),
        "attalign" => kind.map_or("i", |kind| kind.align),
        "attstorage" => kind.map_or(if is_enum { "p" } else { "x" }, |kind| kind.storage),
        "attnotnull" => column.not_null,
        "atthasdef" => column.has_default,
        "attidentity" => column.identity,
        "attgenerated" => column.generated,
        "attislocal" => true,
        "attcollation" => kind.map_or(0, |kind| kind.collation),
    );
}

fn add_attributes(rows: &mut Rows, catalog: &Catalog) {
    for relation in catalog.relations.values() {
        for (number, attribute) in numbered(relation) {
            let identity = match attribute.identity {
                Some(Identity::Always) => "a",
                Some(Identity::ByDefault) => "d",
                None => "",
            };
            add_attribute(
                rows,
                catalog,
                &Column {
                    relation: relation.oid,
                    number,
                    name: &attribute.name,
                    oid: attribute.oid,
                    typmod: attribute.typmod,
                    not_null: attribute.not_null,
                    has_default: relation.kind == RelationKind::Table
                        && stored_default(attribute).is_some(),
                    identity,
                    generated: if attribute.generated.is_some() { "s" } else { "" },
                },
            );
        }
        for index in &relation.indexes {
            add_index_attributes(rows, catalog, relation, index);
        }
    }
    let bare = |relation, number, name, oid, not_null| Column {
        relation,
        number,
        name,
        oid,
        typmod: -1,
        not_null,
        has_default: false,
        identity: "",
        generated: "",
    };
    for kind in catalog.types.values() {
        let UserTypeKind::Composite { relation, fields } = &kind.kind else { continue };
        for (number, field) in (1..).zip(fields) {
            let column = bare(*relation, number, &field.name, field.oid, false);
            add_attribute(rows, catalog, &Column { typmod: field.typmod, ..column });
        }
    }
    for sequence in catalog.sequences.values() {
        let columns = [("last_value", Oid::INT8), ("log_cnt", Oid::INT8), ("is_called", Oid::BOOL)];
        for (number, (name, oid)) in (1..).zip(columns) {
            add_attribute(rows, catalog, &bare(sequence.oid, number, name, oid, true));
        }
    }
    for relation in system_relations() {
        for (number, column) in (1..).zip(&relation.columns) {
            add_attribute(
                rows,
                catalog,
                &bare(relation.oid, number, column.name, column.oid, column.not_null),
            );
        }
    }
}

fn add_index_attributes(rows: &mut Rows, catalog: &Catalog, relation: &Relation, index: &Index) {
    for (number, written) in (1..).zip(&index.columns) {
        let key = index_key(relation, written);
        let attribute = relation.attribute(key.text).filter(|_| key.is_column);
        let name = if key.is_column { key.text } else { expression_name(key.text) };
        add_attribute(
            rows,
            catalog,
            &Column {
                relation: index.oid,
                number,
                name,
                oid: attribute.map_or(Oid::TEXT, |attribute| attribute.oid),
                typmod: attribute.map_or(-1, |attribute| attribute.typmod),
                not_null: false,
                has_default: false,
                identity: "",
                generated: "",
            },
        );
    }
}

/// How PostgreSQL names an index's key that is an expression: after the function
/// called, if it is a call.
fn expression_name(expression: &str) -> &str {
    let name = expression.split('(').next().unwrap_or("");
    let is_name = name.chars().all(|char| char.is_alphanumeric() || char == '_');
    if is_name && !name.is_empty() && name.len() < expression.len() { name } else { "expr" }
}

/// A row of `pg_class`.
struct Class<'a> {
    oid: Oid,
    name: &'a str,
    namespace: i64,
    method: i64,
    kind: &'a str,
    columns: usize,
    /// The type of its rows, of a composite type's.
    row_type: Oid,
    checks: usize,
    has_index: bool,
    has_triggers: bool,
    temporary: bool,
}

fn add_class(rows: &mut Rows, class: &Class<'_>) {
    let stored = class.kind != "v";
    row!(rows,
        "oid" => class.oid,
        "relname" => class.name,
        "relnamespace" => class.namespace,
        "reltype" => class.row_type,
        "relowner" => OWNER,
        "relam" => class.method,
        "relfilenode" => if stored { i64::from(class.oid.0) } else { 0 },
        "reltuples" => -1.0,
        "relhasindex" => class.has_index,
        "relpersistence" => if class.temporary { "t" } else { "p" },
        "relkind" => class.kind,
        "relnatts" => class.columns,
        "relchecks" => class.checks,
        "relhasrules" => matches!(class.kind, "v" | "m"),
        "relhastriggers" => class.has_triggers,
        "relispopulated" => true,
        "relreplident" => if class.namespace >= PUBLIC_OID && matches!(class.kind, "r" | "m") {
            "d"
        } else {
            "n"
        },
    );
}

/// Fills in the owner and the privileges of the last row's object, in the columns that
/// begin so.
fn set_access(rows: &mut Rows, facts: &Facts<'_>, prefix: &str, kind: ObjectKind, object: Oid) {
    rows.amend(&format!("{prefix}owner"), facts.catalog.owner_of(kind, object));
    let grants = facts.catalog.printed_grants(kind, object, facts.owner);
    rows.amend(&format!("{prefix}acl"), grants);
}

/// What the owner of an object is called.
pub(super) fn owner_name<'a>(facts: &'a Facts<'_>, kind: ObjectKind, object: Oid) -> &'a str {
    let owner = facts.catalog.owner_of(kind, object);
    facts.catalog.roles.name(owner, facts.owner).unwrap_or(facts.owner)
}

fn add_classes(rows: &mut Rows, facts: &Facts<'_>) {
    let catalog = facts.catalog;
    let mut referenced = BTreeMap::new();
    for constraint in catalog.relations.values().flat_map(|relation| &relation.constraints) {
        if let ConstraintKind::ForeignKey { table, .. } = &constraint.kind {
            referenced.insert(table.as_str(), ());
        }
    }
    for relation in catalog.relations.values() {
        let is_stored = relation.kind != RelationKind::View;
        let is_check = |kind: &ConstraintKind| matches!(kind, ConstraintKind::Check(_));
        let is_foreign = |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey { .. });
        let kinds = || relation.constraints.iter().map(|constraint| &constraint.kind);
        add_class(
            rows,
            &Class {
                oid: relation.oid,
                name: catalog.bare(&relation.name),
                namespace: catalog.namespace_of(&relation.name),
                method: if is_stored { HEAP } else { 0 },
                kind: match relation.kind {
                    RelationKind::Table => "r",
                    RelationKind::View => "v",
                    RelationKind::MaterializedView => "m",
                },
                columns: relation.attributes.len(),
                row_type: Oid(0),
                checks: kinds().filter(|kind| is_check(kind)).count(),
                has_index: !relation.indexes.is_empty(),
                // PostgreSQL enforces foreign keys by triggers on both tables.
                has_triggers: kinds().any(is_foreign)
                    || referenced.contains_key(relation.name.as_str()),
                temporary: relation.name.starts_with(TEMPORARY_PREFIX),
            },
        );
        set_access(rows, facts, "rel", ObjectKind::Table, relation.oid);
        for index in &relation.indexes {
            add_class(
                rows,
                &Class {
                    oid: index.oid,
                    name: catalog.bare(&index.name),
                    namespace: catalog.namespace_of(&relation.name),
                    method: BTREE,
                    kind: "i",
                    columns: index.columns.len(),
                    row_type: Oid(0),
                    checks: 0,
                    has_index: false,
                    has_triggers: false,
                    temporary: relation.name.starts_with(TEMPORARY_PREFIX),
                },
            );
            rows.amend("relowner", catalog.owner_of(ObjectKind::Table, relation.oid));
        }
    }
    let plain = |oid, name, namespace, method, kind, columns| Class {
        oid,
        name,
        namespace,
        method,
        kind,
        columns,
        row_type: Oid(0),
        checks: 0,
        has_index: false,
        has_triggers: false,
        temporary: false,
    };
    for kind in catalog.types.values() {
        if let UserTypeKind::Composite { relation, fields } = &kind.kind {
            let (name, namespace) = (catalog.bare(&kind.name), catalog.namespace_of(&kind.name));
            let class = plain(*relation, name, namespace, 0, "c", fields.len());
            add_class(rows, &Class { row_type: kind.oid, ..class });
        }
    }
    for sequence in catalog.sequences.values() {
        let (name, namespace) =
            (catalog.bare(&sequence.name), catalog.namespace_of(&sequence.name));
        add_class(rows, &plain(sequence.oid, name, namespace, 0, "S", 3));
        set_access(rows, facts, "rel", ObjectKind::Sequence, sequence.oid);
    }
    for relation in system_relations() {
        let namespace =
            if relation.schema == "pg_catalog" { PG_CATALOG } else { INFORMATION_SCHEMA };
        let method = if relation.kind == "r" { HEAP } else { 0 };
        let columns = relation.columns.len();
        add_class(
            rows,
            &plain(relation.oid, relation.name, namespace, method, relation.kind, columns),
        );
    }
}

fn add_collations(rows: &mut Rows) {
    for (oid, name, provider, collate) in [
        (100_i64, "default", "d", None),
        (950, "C", "c", Some("C")),
        (951, "POSIX", "c", Some("POSIX")),
    ] {
        row!(rows,
            "oid" => oid,
            "collname" => name,
            "collnamespace" => PG_CATALOG,
            "collowner" => OWNER,
            "collprovider" => provider,
            "collisdeterministic" => true,
            "collencoding" => -1_i64,
            "collcollate" => collate,
            "collctype" => collate,
        );
    }
}

fn column_numbers(relation: &Relation, columns: &[String]) -> String {
    number_array(columns.iter().map(|column| relation.number(column).unwrap_or(0)))
}

/// The index that enforces a key, or the referenced key of a foreign key.
pub(super) fn supporting_index(
    catalog: &Catalog,
    relation: &Relation,
    constraint: &Constraint,
) -> Oid {
    let found = match &constraint.kind {
        ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
            relation.indexes.iter().find(|index| index.name == constraint.name)
        }
        ConstraintKind::ForeignKey { table, columns, .. } => {
            let target = catalog.referenced_columns(table, columns);
            let target_table = catalog.relations.get(table);
            target_table.and_then(|table| {
                table.indexes.iter().find(|index| index.unique && index.columns == target)
            })
        }
        ConstraintKind::Check(_) => None,
    };
    found.map_or(Oid(0), |index| index.oid)
}

/// A constraint's kind as `contype` spells it.
fn constraint_letter(kind: &ConstraintKind) -> &'static str {
    match kind {
        ConstraintKind::PrimaryKey => "p",
        ConstraintKind::Unique => "u",
        ConstraintKind::Check(_) => "c",
        ConstraintKind::ForeignKey { .. } => "f",
    }
}

fn add_constraints(rows: &mut Rows, catalog: &Catalog) {
    for relation in catalog.relations.values() {
        for constraint in &relation.constraints {
            let condition = match &constraint.kind {
                ConstraintKind::Check(condition) => Some(condition),
                _ => None,
            };
            let (mut target, mut target_columns) = (None, None);
            let (mut on_update, mut on_delete) = (' ', ' ');
            if let ConstraintKind::ForeignKey { table, columns, on_update: u, on_delete: d } =
                &constraint.kind
            {
                target = catalog.relations.get(table);
                let named = catalog.referenced_columns(table, columns);
                target_columns = target.map(|target| column_numbers(target, named));
                (on_update, on_delete) = (*u, *d);
            }
            let columns = match condition {
                Some(condition) if constraint.columns.is_empty() => {
                    let named = columns_in(relation, condition);
                    (!named.is_empty()).then(|| column_numbers(relation, &named))
                }
                _ => Some(column_numbers(relation, &constraint.columns)),
            };
            row!(rows,
                "oid" => constraint.oid,
                "conname" => &constraint.name,
                "connamespace" => catalog.namespace_of(&relation.name),
                "contype" => constraint_letter(&constraint.kind),
                "condeferrable" => constraint.deferrable,
                "condeferred" => constraint.deferred,
                "convalidated" => true,
                "conrelid" => relation.oid,
                "conindid" => supporting_index(catalog, relation, constraint),
                "confrelid" => target.map_or(Oid(0), |target| target.oid),
                "confupdtype" => on_update.to_string(),
                "confdeltype" => on_delete.to_string(),
                "confmatchtype" => if target.is_some() { "s" } else { " " },
                "conislocal" => true,
                "connoinherit" => condition.is_none(),
                "conkey" => columns,
                "confkey" => target_columns,
                "conbin" => condition,
            );
        }
    }
    for check in catalog.domain_checks() {
        row!(rows,
            "oid" => check.oid,
            "conname" => check.name,
            "connamespace" => catalog.namespace_of(&check.domain.name),
            "contype" => "c",
            "convalidated" => true,
            "contypid" => check.domain.oid,
            "confupdtype" => " ",
            "confdeltype" => " ",
            "confmatchtype" => " ",
            "conislocal" => true,
            "conbin" => check.condition,
        );
    }
}

/// The columns that a condition names, as far as its words tell.
pub(super) fn columns_in(relation: &Relation, condition: &str) -> Vec<String> {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let words: Vec<_> = condition.split(|char| !is_word(char)).collect();
    let is_named = |attribute: &&Attribute| words.contains(&attribute.name.as_str());
    relation.attributes.iter().filter(is_named).map(|attribute| attribute.name.clone()).collect()
}

/// A database of the cluster.
struct DatabaseRow<'a> {
    oid: i64,
    name: &'a str,
    is_template: bool,
}

/// All databases, the first one first.
fn databases<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = DatabaseRow<'a>> {
    let first = facts.first_database;
    // Where nothing tells the first one's name, it is the session's.
    let first = if first.is_empty() { facts.database } else { first };
    let named = |(name, number): (&'a str, u32), is_template| DatabaseRow {
        oid: number.into(),
        name,
        is_template,
    };
    let maintenance = named(MAINTENANCE_DATABASE, false);
    let templates = EMPTY_TEMPLATES.into_iter().map(move |template| named(template, true));
    let built_in = std::iter::once(maintenance).chain(templates);
    let made = facts.catalog.databases.iter();
    let made = made.map(move |(name, number)| named((name.as_str(), *number), false));
    std::iter::once(DatabaseRow { oid: FIRST_DATABASE_OID, name: first, is_template: false })
        .chain(built_in.filter(move |database| database.name != first))
        .chain(made)
}

/// The OID of the session's database.
fn current_database_oid(facts: &Facts<'_>) -> i64 {
    match facts.catalog.database {
        FIRST_DATABASE => FIRST_DATABASE_OID,
        number => number.into(),
    }
}

fn add_databases(rows: &mut Rows, facts: &Facts<'_>) {
    for database in databases(facts) {
        row!(rows,
            "oid" => database.oid,
            "datname" => database.name,
            "encoding" => 6_i64,
            "datlocprovider" => "c",
            "datistemplate" => database.is_template,
            "datallowconn" => !database.is_template,
            "datconnlimit" => -1_i64,
            "datfrozenxid" => "1",
            "datminmxid" => "1",
            "dattablespace" => DEFAULT_TABLESPACE,
            "datcollate" => "C.UTF-8",
            "datctype" => "C.UTF-8",
        );
        let number = if database.oid == FIRST_DATABASE_OID { 0 } else { database.oid };
        let (kind, object) = (ObjectKind::Database, Oid(u32::try_from(number).unwrap_or(0)));
        rows.amend("datdba", facts.catalog.owner_of(kind, object));
        rows.amend("datacl", facts.catalog.printed_grants(kind, object, facts.owner));
    }
}

fn add_dependencies(rows: &mut Rows, catalog: &Catalog) {
    for (object, on, kind) in dependencies(catalog) {
        row!(rows,
            "classid" => object.0,
            "objid" => object.1,
            "objsubid" => object.2,
            "refclassid" => on.0,
            "refobjid" => on.1,
            "refobjsubid" => on.2,
            "deptype" => kind,
        );
    }
}

/// The rule of each view that stands for its query. As in PostgreSQL it has a row, by
/// which dependencies are told.
fn add_rules(rows: &mut Rows, catalog: &Catalog) {
    for view in catalog.relations.values().filter(|relation| relation.definition.is_some()) {
        row!(rows,
            "oid" => view.oid,
            "rulename" => "_RETURN",
            "ev_class" => view.oid,
            "ev_type" => "1",
            "ev_enabled" => "O",
            "is_instead" => true,
        );
    }
}

/// A row of the built-in table of operator classes.
struct OperatorClass {
    oid: i64,
    method: i64,
    name: &'static str,
    family: i64,
    kind: Oid,
    key_kind: i64,
}

fn operator_classes() -> impl Iterator<Item = OperatorClass> {
    data_lines(include_str!("data/opclasses.txt")).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<i64>().expect("built-in table holds a number");
        OperatorClass {
            oid: number(0),
            method: number(1),
            name: fields[2],
            family: number(3),
            kind: Oid(u32::try_from(number(4)).expect("built-in table holds an OID")),
            key_kind: number(5),
        }
    })
}

fn add_operator_classes(rows: &mut Rows) {
    for class in operator_classes() {
        row!(rows,
            "oid" => class.oid,
            "opcmethod" => class.method,
            "opcname" => class.name,
            "opcnamespace" => PG_CATALOG,
            "opcowner" => OWNER,
            "opcfamily" => class.family,
            "opcintype" => class.kind,
            "opcdefault" => true,
            "opckeytype" => class.key_kind,
        );
    }
}

fn add_indexes(rows: &mut Rows, catalog: &Catalog) {
    let classes: BTreeMap<Oid, i64> = operator_classes()
        .filter(|class| class.method == BTREE)
        .map(|class| (class.kind, class.oid))
        .collect();
    // varchar is compared as text, arrays by one class for all.
    let class_of = |oid: Oid| {
        let is_array = builtin_type(oid).is_some_and(|kind| kind.category == "A");
        let compared = match oid {
            Oid::VARCHAR => Oid::TEXT,
            _ if is_array => Oid(2277),
            _ => oid,
        };
        classes.get(&compared).copied().unwrap_or(0)
    };
    for relation in catalog.relations.values() {
        for index in &relation.indexes {
            let keys: Vec<_> =
                index.columns.iter().map(|written| index_key(relation, written)).collect();
            let type_of = |text: &str| relation.attribute(text).map_or(Oid::TEXT, |a| a.oid);
            let key_types: Vec<_> = keys
                .iter()
                .map(|key| if key.is_column { type_of(key.text) } else { Oid::TEXT })
                .collect();
            let expressions: Vec<_> =
                keys.iter().filter(|key| !key.is_column).map(|key| key.text).collect();
            let deferrable = relation
                .constraints
                .iter()
                .any(|constraint| constraint.name == index.name && constraint.deferrable);
            row!(rows,
                "indexrelid" => index.oid,
                "indrelid" => relation.oid,
                "indnatts" => keys.len(),
                "indnkeyatts" => keys.len(),
                "indisunique" => index.unique,
                "indisprimary" => index.primary,
                "indimmediate" => !deferrable,
                "indisvalid" => true,
                "indisready" => true,
                "indislive" => true,
                "indkey" => vector(keys.iter().map(|key| {
                    if key.is_column { relation.number(key.text).unwrap_or(0) } else { 0 }
                })),
                "indcollation" => vector(key_types.iter().map(|oid| {
                    builtin_type(*oid).map_or(0, |kind| kind.collation)
                })),
                "indclass" => vector(key_types.iter().map(|oid| class_of(*oid))),
                "indoption" => vector(keys.iter().map(|key| {
                    i64::from(key.descending) | i64::from(key.nulls_first) << 1
                })),
                "indexprs" => (!expressions.is_empty()).then(|| expressions.join(", ")),
                "indpred" => index.predicate.as_ref(),
            );
        }
    }
}

fn add_index_definitions(rows: &mut Rows, catalog: &Catalog) {
    for relation in catalog.relations.values() {
        for index in &relation.indexes {
            row!(rows,
                "schemaname" => catalog.split_name(&relation.name).0,
                "tablename" => catalog.bare(&relation.name),
                "indexname" => catalog.bare(&index.name),
                "indexdef" => index_definition(catalog, relation, index, false),
            );
        }
    }
}

fn add_languages(rows: &mut Rows) {
    for (oid, name, trusted) in [(12_i64, "internal", false), (13, "c", false), (14, "sql", true)] {
        row!(rows,
            "oid" => oid,
            "lanname" => name,
            "lanowner" => OWNER,
            "lanpltrusted" => trusted,
        );
    }
}

fn add_namespaces(rows: &mut Rows, facts: &Facts<'_>) {
    for (oid, name) in namespaces(facts.catalog) {
        row!(rows, "oid" => oid, "nspname" => name);
        let oid = Oid(u32::try_from(oid).unwrap_or(0));
        set_access(rows, facts, "nsp", ObjectKind::Schema, oid);
    }
}

fn add_functions(rows: &mut Rows) {
    for function in builtin_functions() {
        row!(rows,
            "oid" => function.oid,
            "proname" => function.name,
            "pronamespace" => PG_CATALOG,
            "proowner" => OWNER,
            "prolang" => 12_i64,
            "procost" => 1.0,
            "prorows" => if function.returns_set { 1000.0 } else { 0.0 },
            "provariadic" => function.variadic,
            "prokind" => function.kind,
            "proisstrict" => function.strict,
            "proretset" => function.returns_set,
            "provolatile" => function.volatility,
            "proparallel" => "s",
            "pronargs" => function.arguments.len(),
            "pronargdefaults" => function.defaults,
            "prorettype" => function.result,
            "proargtypes" => vector(function.arguments.iter().map(|oid| i64::from(oid.0))),
            "prosrc" => function.name,
        );
    }
}

fn add_ranges(rows: &mut Rows) {
    let ranges = [
        (3904_i64, 23_i64, 4451_i64, 1978_i64, "int4range_canonical", "int4range_subdiff"),
        (3906, 1700, 4532, 3125, "-", "numrange_subdiff"),
        (3908, 1114, 4533, 3128, "-", "tsrange_subdiff"),
        (3910, 1184, 4534, 3127, "-", "tstzrange_subdiff"),
        (3912, 1082, 4535, 3122, "daterange_canonical", "daterange_subdiff"),
        (3926, 20, 4536, 3124, "int8range_canonical", "int8range_subdiff"),
    ];
    for (kind, of, multi, class, canonical, difference) in ranges {
        row!(rows,
            "rngtypid" => kind,
            "rngsubtype" => of,
            "rngmultitypid" => multi,
            "rngsubopc" => class,
            "rngcanonical" => canonical,
            "rngsubdiff" => difference,
        );
    }
}

/// A sequence's type, told by its greatest value.
pub(super) fn sequence_type(sequence: &Sequence) -> Oid {
    if sequence.max == i64::from(i32::MAX) {
        Oid::INT4
    } else if sequence.max == i64::from(i16::MAX) {
        Oid::INT2
    } else {
        Oid::INT8
    }
}

fn add_sequences(rows: &mut Rows, catalog: &Catalog) {
    for sequence in catalog.sequences.values() {
        row!(rows,
            "seqrelid" => sequence.oid,
            "seqtypid" => sequence_type(sequence),
            "seqstart" => sequence.start,
            "seqincrement" => sequence.increment,
            "seqmax" => sequence.max,
            "seqmin" => sequence.min,
            "seqcache" => 1_i64,
            "seqcycle" => sequence.cycle,
        );
    }
}

fn add_sequence_views(rows: &mut Rows, facts: &Facts<'_>) {
    for sequence in facts.catalog.sequences.values() {
        row!(rows,
            "schemaname" => facts.catalog.split_name(&sequence.name).0,
            "sequencename" => facts.catalog.bare(&sequence.name),
            "sequenceowner" => owner_name(facts, ObjectKind::Sequence, sequence.oid),
            "data_type" => format_type(sequence_type(sequence), None),
            "start_value" => sequence.start,
            "min_value" => sequence.min,
            "max_value" => sequence.max,
            "increment_by" => sequence.increment,
            "cycle" => sequence.cycle,
            "cache_size" => 1_i64,
            "last_value" => sequence.reserved,
        );
    }
}

/// The default of a setting that clients look for, by name in any case.
pub fn default_setting(name: &str) -> Option<&'static str> {
    data_lines(include_str!("data/settings.txt")).find_map(|line| {
        let (setting, rest) = line.split_once('\t')?;
        setting.eq_ignore_ascii_case(name).then(|| rest.split('\t').next().unwrap_or(""))
    })
}

fn add_settings(rows: &mut Rows, facts: &Facts<'_>) {
    let mut seen = Vec::new();
    for line in data_lines(include_str!("data/settings.txt")) {
        let fields: Vec<_> = line.split('\t').collect();
        let name = fields[0];
        let set = facts.settings.iter().find(|(set, _)| set.eq_ignore_ascii_case(name));
        let some = |at: usize| Some(fields[at]).filter(|text| !text.is_empty());
        seen.push(name);
        row!(rows,
            "name" => name,
            "setting" => set.map_or(fields[1], |(_, value)| value.as_str()),
            "unit" => some(2),
            "category" => some(3),
            "short_desc" => some(4),
            "context" => fields[5],
            "vartype" => fields[6],
            "source" => if set.is_some() { "session" } else { "default" },
            "min_val" => some(7),
            "max_val" => some(8),
            "enumvals" => some(9),
            "boot_val" => some(10),
            "reset_val" => fields[1],
            "pending_restart" => false,
        );
    }
    for (name, value) in facts.settings {
        if !seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            row!(rows,
                "name" => name,
                "setting" => value,
                "category" => "Customized Options",
                "context" => "user",
                "vartype" => "string",
                "source" => "session",
                "pending_restart" => false,
            );
        }
    }
}

fn add_own_activity(rows: &mut Rows, facts: &Facts<'_>) {
    row!(rows,
        "datid" => current_database_oid(facts),
        "datname" => facts.database,
        "pid" => facts.backend_pid,
        "usesysid" => OWNER,
        "usename" => facts.user,
        "application_name" => facts.settings.get("application_name").map_or("", String::as_str),
        "state" => "active",
        "backend_type" => "client backend",
    );
}

fn add_table_statistics(rows: &mut Rows, catalog: &Catalog) {
    for relation in tables(catalog) {
        row!(rows,
            "relid" => relation.oid,
            "schemaname" => catalog.split_name(&relation.name).0,
            "relname" => catalog.bare(&relation.name),
        );
    }
}

fn add_tables(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in tables(facts.catalog) {
        row!(rows,
            "schemaname" => facts.catalog.split_name(&relation.name).0,
            "tablename" => facts.catalog.bare(&relation.name),
            "tableowner" => owner_name(facts, ObjectKind::Table, relation.oid),
            "hasindexes" => !relation.indexes.is_empty(),
            "hasrules" => false,
            "hastriggers" => false,
            "rowsecurity" => false,
        );
    }
    for relation in system_relations().iter().filter(|relation| relation.kind == "r") {
        row!(rows,
            "schemaname" => relation.schema,
            "tablename" => relation.name,
            "tableowner" => facts.owner,
            "hasindexes" => false,
            "hasrules" => false,
            "hastriggers" => false,
            "rowsecurity" => false,
        );
    }
}

fn add_types(rows: &mut Rows) {
    for kind in builtin_types() {
        row!(rows,
            "oid" => kind.oid,
            "typname" => kind.name,
            "typnamespace" => PG_CATALOG,
            "typowner" => OWNER,
            "typlen" => kind.length,
            "typbyval" => kind.by_value,
            "typtype" => kind.kind,
            "typcategory" => kind.category,
            "typispreferred" => kind.preferred,
            "typisdefined" => true,
            "typdelim" => kind.delimiter,
            "typsubscript" => kind.subscript,
            "typelem" => kind.element,
            "typarray" => kind.array,
            "typinput" => kind.input,
            "typoutput" => kind.output,
            "typreceive" => kind.receive,
            "typsend" => kind.send,
            "typmodin" => kind.modifier_input,
            "typmodout" => kind.modifier_output,
            "typalign" => kind.align,
            "typstorage" => kind.storage,
            "typtypmod" => -1_i64,
            "typcollation" => kind.collation,
        );
    }
}

fn add_materialized_views(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        if relation.kind == RelationKind::MaterializedView {
            row!(rows,
                "schemaname" => facts.catalog.split_name(&relation.name).0,
                "matviewname" => facts.catalog.bare(&relation.name),
                "matviewowner" => owner_name(facts, ObjectKind::Table, relation.oid),
                "hasindexes" => !relation.indexes.is_empty(),
                "ispopulated" => true,
                "definition" => view_definition(relation),
            );
        }
    }
}

fn add_comments(rows: &mut Rows, catalog: &Catalog) {
    for comment in &catalog.comments {
        row!(rows,
            "objoid" => comment.object,
            "classoid" => comment.class,
            "objsubid" => comment.number,
            "description" => &comment.text,
        );
    }
}

fn add_enum_labels(rows: &mut Rows, catalog: &Catalog) {
    for kind in catalog.types.values() {
        let UserTypeKind::Enum(labels) = &kind.kind else { continue };
        for (number, label) in (1_i32..).zip(labels) {
            row!(rows,
                // No other catalog shares these OIDs; a type's is the same on every node.
                "oid" => (i64::from(kind.oid.0) * 1024 + i64::from(number)) & 0xffff_ffff,
                "enumtypid" => kind.oid,
                "enumsortorder" => f64::from(number),
                "enumlabel" => label,
            );
        }
    }
}

fn add_user_types(rows: &mut Rows, catalog: &Catalog) {
    for kind in catalog.types.values() {
        let (schema, name) = (catalog.namespace_of(&kind.name), catalog.bare(&kind.name));
        let domain = match &kind.kind {
            UserTypeKind::Domain { base, typmod, not_null, default, .. } => {
                Some((builtin_type(*base), *base, *typmod, *not_null, default.as_deref()))
            }
            _ => None,
        };
        // Letter, functions, category, length and relation.
        let (letter, functions, category, length, relation) = match &kind.kind {
            UserTypeKind::Enum(_) => ("e", "enum", "E", 4, Oid(0)),
            UserTypeKind::Composite { relation, .. } => ("c", "record", "C", -1, *relation),
            UserTypeKind::Domain { .. } => ("d", "domain", "E", 4, Oid(0)),
        };
        let base = domain.and_then(|(base, ..)| base);
        let is_enum = letter == "e";
        row!(rows,
            "oid" => kind.oid,
            "typname" => name,
            "typnamespace" => schema,
            "typowner" => catalog.owner_of(ObjectKind::Type, kind.oid),
            "typlen" => base.map_or(length, |base| base.length),
            "typbyval" => base.map_or(is_enum, |base| base.by_value),
            "typtype" => letter,
            "typcategory" => base.map_or(category, |base| base.category),
            "typisdefined" => true,
            "typdelim" => ",",
            "typrelid" => relation,
            "typarray" => kind.array,
            "typinput" => format!("{functions}_in"),
            "typoutput" => base.map_or_else(|| format!("{functions}_out"), |b| b.output.to_owned()),
            "typreceive" => format!("{functions}_recv"),
            "typsend" => base.map_or_else(|| format!("{functions}_send"), |b| b.send.to_owned()),
            "typalign" => base.map_or(if is_enum { "i" } else { "d" }, |base| base.align),
            "typstorage" => base.map_or(if is_enum { "p" } else { "x" }, |base| base.storage),
            "typnotnull" => domain.is_some_and(|(_, _, _, not_null, _)| not_null),
            "typbasetype" => domain.map_or(Oid(0), |(_, base, ..)| base),
            "typtypmod" => domain.map_or(-1, |(_, _, typmod, ..)| typmod),
            "typcollation" => base.map_or(0, |base| base.collation),
            "typdefaultbin" => domain.and_then(|(_, _, _, _, default)| default),
            "typdefault" => domain.and_then(|(_, _, _, _, default)| default),
        );
        row!(rows,
            "oid" => kind.array,
            "typname" => format!("_{name}"),
            "typnamespace" => schema,
            "typowner" => catalog.owner_of(ObjectKind::Type, kind.oid),
            "typlen" => -1_i64,
            "typtype" => "b",
            "typcategory" => "A",
            "typisdefined" => true,
            "typdelim" => ",",
            "typsubscript" => "array_subscript_handler",
            "typelem" => kind.oid,
            "typinput" => "array_in",
            "typoutput" => "array_out",
            "typreceive" => "array_recv",
            "typsend" => "array_send",
            "typalign" => "i",
            "typstorage" => "x",
            "typtypmod" => -1_i64,
        );
    }
}

fn add_views(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        if relation.kind == RelationKind::View {
            row!(rows,
                "schemaname" => facts.catalog.split_name(&relation.name).0,
                "viewname" => facts.catalog.bare(&relation.name),
                "viewowner" => owner_name(facts, ObjectKind::Table, relation.oid),
                "definition" => view_definition(relation),
            );
        }
    }
}
