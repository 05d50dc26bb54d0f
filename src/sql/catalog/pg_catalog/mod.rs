//! Rows of `pg_catalog`.

mod classes;
mod cluster;
mod constraints;
mod indexes;
mod routines;
mod types;

use self::classes::{add_attributes, add_classes, add_defaults, set_access, tables};
use self::cluster::{add_database_statistics, add_databases, add_settings, add_zones};
use self::constraints::add_constraints;
use self::indexes::{add_index_definitions, add_indexes, add_operator_classes};
use self::types::{add_enum_labels, add_ranges, add_types, add_user_types};
use super::access_method::METHODS;
use super::definition::view_definition;
use super::dependency::dependencies;
use super::functions::builtin_functions;
use super::rows::{Facts, Rows, row, vector};
use super::system::system_relations;
use super::types::format_type;
use super::{Catalog, DEFAULT_KINDS, NAMESPACES, ObjectKind, RelationKind, role_rows};
use crate::pg::Oid;
use crate::pg::types::zone::{abbreviations_at, zones_at};
pub(super) use classes::{default_oid, numbered, owner_name, stored_default};
pub use cluster::{database_oid, default_setting};
pub(super) use constraints::{columns_in, supporting_index};

/// OIDs of PostgreSQL's that clients may know by heart.
pub(super) const OWNER: i64 = 10;
pub(super) const PG_CATALOG: i64 = 11;
const PUBLIC_OID: i64 = super::PUBLIC_OID as i64;
pub(super) const INFORMATION_SCHEMA: i64 = 13_207;
/// Of the first database, whose number is none that PostgreSQL gives.
pub(super) const FIRST_DATABASE_OID: i64 = 5;
const HEAP: i64 = 2;
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
        "pg_attribute" => add_attributes(rows, facts),
        "pg_authid" | "pg_roles" | "pg_auth_members" | "pg_db_role_setting" | "pg_group"
        | "pg_user" | "pg_shadow" => role_rows::add_rows(rows, facts),
        "pg_class" => add_classes(rows, facts),
        "pg_collation" => add_collations(rows),
        "pg_constraint" => add_constraints(rows, catalog),
        "pg_database" => add_databases(rows, facts),
        "pg_default_acl" => add_default_access(rows, facts),
        "pg_depend" => add_dependencies(rows, catalog),
        "pg_index" => add_indexes(rows, catalog),
        "pg_indexes" => add_index_definitions(rows, catalog),
        "pg_language" => add_languages(rows),
        "pg_namespace" => add_namespaces(rows, facts),
        "pg_opclass" => add_operator_classes(rows),
        "pg_proc" => {
            add_functions(rows);
            routines::add_routines(rows, catalog);
        }
        "pg_range" => add_ranges(rows),
        "pg_sequence" => add_sequences(rows, catalog),
        "pg_sequences" => add_sequence_views(rows, facts),
        "pg_settings" => add_settings(rows, facts),
        "pg_stat_all_tables"
        | "pg_stat_user_tables"
        | "pg_statio_all_tables"
        | "pg_statio_user_tables" => add_table_statistics(rows, catalog),
        "pg_stat_database" => add_database_statistics(rows, facts),
        "pg_tables" => add_tables(rows, facts),
        "pg_tablespace" => {
            row!(rows, "oid" => 1663_i64, "spcname" => "pg_default", "spcowner" => OWNER);
            row!(rows, "oid" => 1664_i64, "spcname" => "pg_global", "spcowner" => OWNER);
        }
        "pg_timezone_abbrevs" => add_zones(rows, abbreviations_at(facts.now)),
        "pg_timezone_names" => add_zones(rows, zones_at(facts.now)),
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
    let heap = (HEAP, "heap", "heap_tableam_handler", "t");
    let of_indexes = METHODS.iter().map(|method| (method.oid, method.name, method.handler, "i"));
    for (oid, name, handler, kind) in std::iter::once(heap).chain(of_indexes) {
        row!(rows, "oid" => oid, "amname" => name, "amhandler" => handler, "amtype" => kind);
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

fn add_default_access(rows: &mut Rows, facts: &Facts<'_>) {
    for (number, ((role, schema, kind), grants)) in (1_i64..).zip(&facts.catalog.default_access) {
        let letter = DEFAULT_KINDS.iter().find(|known| known.0 == *kind).map(|known| known.1);
        row!(rows,
            "oid" => number,
            "defaclrole" => *role,
            "defaclnamespace" => *schema,
            "defaclobjtype" => letter.map(String::from),
            "defaclacl" => facts.catalog.print_grants(grants, facts.owner),
        );
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

fn add_sequences(rows: &mut Rows, catalog: &Catalog) {
    for sequence in catalog.sequences.values() {
        row!(rows,
            "seqrelid" => sequence.oid,
            "seqtypid" => sequence.kind,
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
            "data_type" => format_type(sequence.kind, None),
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

fn add_materialized_views(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        if relation.kind == RelationKind::MaterializedView {
            row!(rows,
                "schemaname" => facts.catalog.split_name(&relation.name).0,
                "matviewname" => facts.catalog.bare(&relation.name),
                "matviewowner" => owner_name(facts, ObjectKind::Table, relation.oid),
                "hasindexes" => !relation.indexes.is_empty(),
                "ispopulated" => relation.populated,
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
