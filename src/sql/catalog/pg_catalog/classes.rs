//! Rows of `pg_class`, `pg_attribute` and `pg_attrdef`.

use std::collections::BTreeMap;

use super::indexes::{add_index_attributes, method_oid};
use super::{HEAP, INFORMATION_SCHEMA, OWNER, PG_CATALOG, PUBLIC_OID};
use crate::pg::Oid;
use crate::sql::catalog::definition::default_definition;
use crate::sql::catalog::rows::{Facts, Rows, row};
use crate::sql::catalog::system::system_relations;
use crate::sql::catalog::types::builtin_type;
use crate::sql::catalog::{
    Attribute, Catalog, ConstraintKind, Identity, ObjectKind, Relation, RelationKind,
    TEMPORARY_PREFIX, UserTypeKind,
};

pub(super) fn tables(catalog: &Catalog) -> impl Iterator<Item = &Relation> {
    catalog.relations.values().filter(|relation| relation.kind == RelationKind::Table)
}

/// The OID of a column's default: the table's is the same on every node, and no
/// other catalog shares `pg_attrdef`'s OIDs.
pub(in crate::sql::catalog) fn default_oid(relation: &Relation, number: i64) -> i64 {
    (i64::from(relation.oid.0) * 2048 + number) & 0xffff_ffff
}

/// What `pg_attrdef` holds for a column: a default, or a generated column's
/// expression.
pub(in crate::sql::catalog) fn stored_default(attribute: &Attribute) -> Option<&String> {
    attribute.generated.as_ref().or(attribute.default.as_ref())
}

pub(in crate::sql::catalog) fn numbered(
    relation: &Relation,
) -> impl Iterator<Item = (i64, &Attribute)> {
    (1..).zip(&relation.attributes)
}

pub(super) fn add_defaults(rows: &mut Rows, catalog: &Catalog) {
    for relation in tables(catalog) {
        for (number, attribute) in numbered(relation) {
            if let Some(expression) = default_definition(catalog, relation, attribute) {
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
pub(super) struct Column<'a> {
    pub(super) relation: Oid,
    pub(super) number: i64,
    pub(super) name: &'a str,
    pub(super) oid: Oid,
    pub(super) typmod: i32,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    pub(super) identity: &'a str,
    pub(super) generated: &'a str,
}

pub(super) fn add_attribute(rows: &mut Rows, catalog: &Catalog, column: &Column<'_>) {
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

pub(super) fn add_attributes(rows: &mut Rows, facts: &Facts<'_>) {
    let catalog = facts.catalog;
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
            let grants = catalog.grants_on_column(relation.oid, number);
            if !grants.is_empty() {
                rows.amend("attacl", catalog.print_grants(grants, facts.owner));
            }
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
pub(super) fn set_access(
    rows: &mut Rows,
    facts: &Facts<'_>,
    prefix: &str,
    kind: ObjectKind,
    object: Oid,
) {
    rows.amend(&format!("{prefix}owner"), facts.catalog.owner_of(kind, object));
    let grants = facts.catalog.printed_grants(kind, object, facts.owner);
    rows.amend(&format!("{prefix}acl"), grants);
}

/// What the owner of an object is called.
pub(in crate::sql::catalog) fn owner_name<'a>(
    facts: &'a Facts<'_>,
    kind: ObjectKind,
    object: Oid,
) -> &'a str {
    let owner = facts.catalog.owner_of(kind, object);
    facts.catalog.roles.name(owner, facts.owner).unwrap_or(facts.owner)
}

pub(super) fn add_classes(rows: &mut Rows, facts: &Facts<'_>) {
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
        rows.amend("relispopulated", Some(relation.populated));
        for index in &relation.indexes {
            add_class(
                rows,
                &Class {
                    oid: index.oid,
                    name: catalog.bare(&index.name),
                    namespace: catalog.namespace_of(&relation.name),
                    method: method_oid(&index.method),
                    kind: "i",
                    columns: index.columns.len() + index.included.len(),
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
