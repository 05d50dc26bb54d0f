//! Rows of `information_schema`.

mod routines;

use super::definition::{action_rule, check_clause, default_definition, view_definition};
use super::pg_catalog::{columns_in, namespaces, owner_name};
use super::role_rows;
use super::rows::{Facts, Rows, row};
use super::types::{builtin_type, format_type};
use super::{
    Attribute, ConstraintKind, EVERYBODY, Grant, Identity, ObjectKind, Relation, RelationKind,
    Rights,
};
use crate::pg::Oid;

/// Adds the rows of the relation that `rows` collects.
pub(super) fn add_rows(rows: &mut Rows, facts: &Facts<'_>) {
    match rows.relation.name {
        "applicable_roles" | "enabled_roles" => role_rows::add_rows(rows, facts),
        "character_sets" => row!(rows,
            "character_set_name" => "UTF8",
            "character_repertoire" => "UCS",
            "form_of_use" => "UTF8",
            "default_collate_catalog" => facts.database,
        ),
        "check_constraints" => add_check_constraints(rows, facts),
        "collations" => {
            for name in ["default", "C", "POSIX"] {
                row!(rows,
                    "collation_catalog" => facts.database,
                    "collation_schema" => "pg_catalog",
                    "collation_name" => name,
                    "pad_attribute" => "NO PAD",
                );
            }
        }
        "columns" => add_columns(rows, facts),
        "column_privileges" => add_column_privileges(rows, facts),
        "constraint_column_usage" => add_constraint_columns(rows, facts),
        "constraint_table_usage" => add_constraint_tables(rows, facts),
        "element_types" => add_element_types(rows, facts),
        "information_schema_catalog_name" => row!(rows, "catalog_name" => facts.database),
        "key_column_usage" => add_key_columns(rows, facts),
        "parameters" => routines::add_parameters(rows, facts),
        "routines" => routines::add_routines(rows, facts),
        "referential_constraints" => add_referential_constraints(rows, facts),
        "schemata" => add_schemata(rows, facts),
        "sequences" => add_sequences(rows, facts),
        "table_constraints" => add_table_constraints(rows, facts),
        "table_privileges" | "role_table_grants" => add_table_privileges(rows, facts),
        "tables" => add_tables(rows, facts),
        "views" => add_views(rows, facts),
        // The rest tells of features that are absent here.
        _ => {}
    }
}

fn yes(holds: bool) -> &'static str {
    if holds { "YES" } else { "NO" }
}

/// The constraint that the standard has for NOT NULL, and its name in PostgreSQL 15.
fn not_null_constraints(relation: &Relation) -> impl Iterator<Item = (String, &Attribute)> {
    (1..).zip(&relation.attributes).filter(|(_, attribute)| attribute.not_null).map(
        |(number, attribute): (i64, _)| {
            (format!("2200_{}_{number}_not_null", relation.oid.0), attribute)
        },
    )
}

fn add_check_constraints(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            if let ConstraintKind::Check(condition) = &constraint.kind {
                row!(rows,
                    "constraint_catalog" => facts.database,
                    "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                    "constraint_name" => &constraint.name,
                    "check_clause" => check_clause(facts.catalog, relation, condition),
                );
            }
        }
        for (name, attribute) in not_null_constraints(relation) {
            row!(rows,
                "constraint_catalog" => facts.database,
                "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                "constraint_name" => name,
                "check_clause" => format!("{} IS NOT NULL", attribute.name),
            );
        }
    }
}

/// What the standard tells of a type's size.
#[derive(Default)]
struct Extent {
    characters: Option<i64>,
    octets: Option<i64>,
    precision: Option<i64>,
    radix: Option<i64>,
    scale: Option<i64>,
    fraction: Option<i64>,
}

/// A longer text than this cannot exist in PostgreSQL.
const LONGEST_TEXT: i64 = 1 << 30;

fn extent(oid: Oid, typmod: i32) -> Extent {
    let typmod = i64::from(typmod);
    let given = (typmod >= 0).then_some(typmod);
    let binary = |bits| Extent {
        precision: Some(bits),
        radix: Some(2),
        scale: Some(0),
        ..Extent::default()
    };
    match oid {
        Oid::INT2 => binary(16),
        Oid::INT4 => binary(32),
        Oid::INT8 => binary(64),
        Oid::FLOAT4 => Extent { scale: None, ..binary(24) },
        Oid::FLOAT8 => Extent { scale: None, ..binary(53) },
        Oid::NUMERIC => {
            let bits = given.map(|typmod| typmod - 4);
            Extent {
                precision: bits.map(|bits| (bits >> 16) & 0xffff),
                radix: Some(10),
                scale: bits.map(|bits| bits & 0x7ff),
                ..Extent::default()
            }
        }
        Oid::BPCHAR | Oid::VARCHAR => {
            let characters = given.map(|typmod| typmod - 4);
            let octets = characters.map_or(LONGEST_TEXT, |characters| characters * 4);
            Extent { characters, octets: Some(octets), ..Extent::default() }
        }
        Oid::BIT | Oid::VARBIT => Extent { characters: given, ..Extent::default() },
        Oid::TEXT => Extent { octets: Some(LONGEST_TEXT), ..Extent::default() },
        Oid::DATE => Extent { fraction: Some(0), ..Extent::default() },
        Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::INTERVAL => {
            Extent { fraction: Some(given.unwrap_or(6)), ..Extent::default() }
        }
        _ => Extent::default(),
    }
}

/// A type's name as the standard would give it.
fn data_type(facts: &Facts<'_>, oid: Oid) -> String {
    match builtin_type(oid) {
        None if facts.catalog.user_type(oid).is_some_and(|kind| kind.array == oid) => {
            "ARRAY".to_owned()
        }
        Some(kind) if kind.category == "A" && kind.element != Oid(0) => "ARRAY".to_owned(),
        Some(_) => format_type(oid, None),
        None => "USER-DEFINED".to_owned(),
    }
}

fn add_columns(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for (number, attribute) in (1_i64..).zip(&relation.attributes) {
            add_column(rows, facts, relation, number, attribute);
        }
    }
}

fn add_column(
    rows: &mut Rows,
    facts: &Facts<'_>,
    relation: &Relation,
    number: i64,
    attribute: &Attribute,
) {
    let domain = facts.catalog.domain_base(attribute.oid);
    let (oid, typmod) = domain.unwrap_or((attribute.oid, attribute.typmod));
    let user = facts.catalog.user_type(attribute.oid);
    let extent = extent(oid, typmod);
    let sequence = facts.catalog.sequences.values().find(|sequence| {
        attribute.identity.is_some()
            && sequence
                .owner
                .as_ref()
                .is_some_and(|(table, column)| *table == relation.name && *column == attribute.name)
    });
    let default = default_definition(facts.catalog, relation, attribute);
    let at = usize::try_from(number).unwrap_or(0).saturating_sub(1);
    let updatable = facts.catalog.changeable_columns(relation).get(at) == Some(&true);
    row!(rows,
        "table_catalog" => facts.database,
        "table_schema" => facts.catalog.split_name(&relation.name).0,
        "table_name" => facts.catalog.bare(&relation.name),
        "column_name" => &attribute.name,
        "ordinal_position" => number,
        "column_default" => default.as_ref().filter(|_| attribute.generated.is_none()),
        "is_nullable" => yes(!attribute.not_null),
        "data_type" => data_type(facts, oid),
        "character_maximum_length" => extent.characters,
        "character_octet_length" => extent.octets,
        "numeric_precision" => extent.precision,
        "numeric_precision_radix" => extent.radix,
        "numeric_scale" => extent.scale,
        "datetime_precision" => extent.fraction,
        "udt_catalog" => facts.database,
        "domain_catalog" => domain.map(|_| facts.database),
        "domain_schema" =>
            user.filter(|_| domain.is_some()).map(|kind| facts.catalog.split_name(&kind.name).0),
        "domain_name" =>
            user.filter(|_| domain.is_some()).map(|kind| facts.catalog.bare(&kind.name)),
        "udt_schema" => match user {
            Some(kind) if domain.is_none() => facts.catalog.split_name(&kind.name).0,
            _ => "pg_catalog",
        },
        "udt_name" => match user {
            Some(kind) if domain.is_none() && kind.array == attribute.oid => {
                format!("_{}", facts.catalog.bare(&kind.name))
            }
            Some(kind) if domain.is_none() => facts.catalog.bare(&kind.name).to_owned(),
            _ => builtin_type(oid).map_or("text", |kind| kind.name).to_owned(),
        },
        "dtd_identifier" => number.to_string(),
        "is_self_referencing" => "NO",
        "is_identity" => yes(attribute.identity.is_some()),
        "identity_generation" => attribute.identity.map(|identity| match identity {
            Identity::Always => "ALWAYS",
            Identity::ByDefault => "BY DEFAULT",
        }),
        "identity_start" => sequence.map(|sequence| sequence.start.to_string()),
        "identity_increment" => sequence.map(|sequence| sequence.increment.to_string()),
        "identity_maximum" => sequence.map(|sequence| sequence.max.to_string()),
        "identity_minimum" => sequence.map(|sequence| sequence.min.to_string()),
        "identity_cycle" => yes(sequence.is_some_and(|sequence| sequence.cycle)),
        "is_generated" => if attribute.generated.is_some() { "ALWAYS" } else { "NEVER" },
        "generation_expression" => default.as_ref().filter(|_| attribute.generated.is_some()),
        "is_updatable" => yes(updatable),
    );
}

fn add_element_types(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for (number, attribute) in (1_i64..).zip(&relation.attributes) {
            let array = builtin_type(attribute.oid).filter(|kind| kind.category == "A");
            let Some(element) = array.and_then(|array| builtin_type(array.element)) else {
                continue;
            };
            row!(rows,
                "object_catalog" => facts.database,
                "object_schema" => facts.catalog.split_name(&relation.name).0,
                "object_name" => facts.catalog.bare(&relation.name),
                "object_type" => "TABLE",
                "collection_type_identifier" => number.to_string(),
                "data_type" => format_type(element.oid, None),
                "udt_catalog" => facts.database,
                "udt_schema" => "pg_catalog",
                "udt_name" => element.name,
                "dtd_identifier" => format!("a{number}"),
            );
        }
    }
}

/// Those on a column alone besides those on its table.
fn add_column_privileges(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        let on_table = grants(facts, relation);
        for (number, attribute) in (1..).zip(&relation.attributes) {
            let own = facts.catalog.grants_on_column(relation.oid, number);
            for (at, grant) in on_table.iter().chain(own).enumerate() {
                for right in grant.rights.and(Rights::ON_COLUMNS).singly() {
                    let grantable = |grant: &Grant| is_grantable(facts, relation, grant, right);
                    let said_twice = at >= on_table.len()
                        && on_table.iter().any(|other| {
                            (other.grantor, other.grantee) == (grant.grantor, grant.grantee)
                                && other.rights.and(right) == right
                                && grantable(other) == grantable(grant)
                        });
                    if said_twice {
                        continue;
                    }
                    row!(rows,
                        "grantor" => role_name(facts, grant.grantor),
                        "grantee" => role_name(facts, grant.grantee),
                        "table_catalog" => facts.database,
                        "table_schema" => facts.catalog.split_name(&relation.name).0,
                        "table_name" => facts.catalog.bare(&relation.name),
                        "column_name" => &attribute.name,
                        "privilege_type" => right.names().next(),
                        "is_grantable" => yes(grantable(grant)),
                    );
                }
            }
        }
    }
}

fn add_table_privileges(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for grant in &grants(facts, relation) {
            for right in grant.rights.singly() {
                let privilege = right.names().next().unwrap_or_default();
                row!(rows,
                    "grantor" => role_name(facts, grant.grantor),
                    "grantee" => role_name(facts, grant.grantee),
                    "table_catalog" => facts.database,
                    "table_schema" => facts.catalog.split_name(&relation.name).0,
                    "table_name" => facts.catalog.bare(&relation.name),
                    "privilege_type" => privilege,
                    "is_grantable" => yes(is_grantable(facts, relation, grant, right)),
                    "with_hierarchy" => yes(privilege == "SELECT"),
                );
            }
        }
    }
}

fn grants(facts: &Facts<'_>, relation: &Relation) -> Vec<Grant> {
    facts.catalog.grants_on(ObjectKind::Table, relation.oid)
}

/// An owner may grant what it has.
fn is_grantable(facts: &Facts<'_>, relation: &Relation, grant: &Grant, right: Rights) -> bool {
    facts.catalog.owner_of(ObjectKind::Table, relation.oid) == grant.grantee
        || grant.options.and(right) == right
}

fn role_name<'a>(facts: &'a Facts<'_>, role: Oid) -> &'a str {
    match role {
        EVERYBODY => "PUBLIC",
        role => facts.catalog.roles.name(role, facts.owner).unwrap_or("?"),
    }
}

fn add_constraint_columns(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            // A foreign key uses the columns that it refers to.
            let (table, columns) = match &constraint.kind {
                ConstraintKind::ForeignKey { table, columns, .. } => {
                    (table, facts.catalog.referenced_columns(table, columns).to_vec())
                }
                ConstraintKind::Check(condition) => {
                    (&relation.name, columns_in(relation, condition))
                }
                _ => (&relation.name, constraint.columns.clone()),
            };
            for column in columns {
                row!(rows,
                    "table_catalog" => facts.database,
                    "table_schema" => facts.catalog.split_name(table).0,
                    "table_name" => facts.catalog.bare(table),
                    "column_name" => column,
                    "constraint_catalog" => facts.database,
                    "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                    "constraint_name" => &constraint.name,
                );
            }
        }
    }
}

fn add_constraint_tables(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            let table = match &constraint.kind {
                ConstraintKind::ForeignKey { table, .. } => table,
                ConstraintKind::Check(_) => continue,
                _ => &relation.name,
            };
            row!(rows,
                "table_catalog" => facts.database,
                "table_schema" => facts.catalog.split_name(table).0,
                "table_name" => facts.catalog.bare(table),
                "constraint_catalog" => facts.database,
                "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                "constraint_name" => &constraint.name,
            );
        }
    }
}

fn add_key_columns(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            let target = match &constraint.kind {
                ConstraintKind::Check(_) => continue,
                ConstraintKind::ForeignKey { table, columns, .. } => {
                    Some((table, facts.catalog.referenced_columns(table, columns)))
                }
                _ => None,
            };
            for (at, column) in constraint.columns.iter().enumerate() {
                let position = target.and_then(|(table, columns)| {
                    position_in_key(facts, table, columns, columns.get(at)?)
                });
                row!(rows,
                    "constraint_catalog" => facts.database,
                    "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                    "constraint_name" => &constraint.name,
                    "table_catalog" => facts.database,
                    "table_schema" => facts.catalog.split_name(&relation.name).0,
                    "table_name" => facts.catalog.bare(&relation.name),
                    "column_name" => column,
                    "ordinal_position" => at + 1,
                    "position_in_unique_constraint" => position,
                );
            }
        }
    }
}

/// The unique constraint of `table` over exactly these columns, in any order.
fn referenced_key<'a>(
    facts: &Facts<'a>,
    table: &str,
    columns: &[String],
) -> Option<&'a super::Constraint> {
    facts.catalog.relations.get(table)?.constraints.iter().find(|constraint| {
        matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
            && constraint.columns.len() == columns.len()
            && columns.iter().all(|column| constraint.columns.contains(column))
    })
}

fn position_in_key(
    facts: &Facts<'_>,
    table: &str,
    columns: &[String],
    column: &String,
) -> Option<usize> {
    let key = referenced_key(facts, table, columns)?;
    key.columns.iter().position(|name| name == column).map(|at| at + 1)
}

fn add_referential_constraints(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            let ConstraintKind::ForeignKey { table, columns, on_update, on_delete } =
                &constraint.kind
            else {
                continue;
            };
            let columns = facts.catalog.referenced_columns(table, columns);
            let key = referenced_key(facts, table, columns);
            row!(rows,
                "constraint_catalog" => facts.database,
                "constraint_schema" => facts.catalog.split_name(&relation.name).0,
                "constraint_name" => &constraint.name,
                "unique_constraint_catalog" => key.map(|_| facts.database),
                "unique_constraint_schema" => key.map(|_| facts.catalog.split_name(table).0),
                "unique_constraint_name" => key.map(|key| &key.name),
                "match_option" => "NONE",
                "update_rule" => action_rule(*on_update),
                "delete_rule" => action_rule(*on_delete),
            );
        }
    }
}

fn add_schemata(rows: &mut Rows, facts: &Facts<'_>) {
    for (oid, name) in namespaces(facts.catalog) {
        let oid = Oid(u32::try_from(oid).unwrap_or(0));
        row!(rows,
            "catalog_name" => facts.database,
            "schema_name" => name,
            "schema_owner" => owner_name(facts, ObjectKind::Schema, oid),
        );
    }
}

fn add_sequences(rows: &mut Rows, facts: &Facts<'_>) {
    for sequence in facts.catalog.sequences.values() {
        // Those behind identity columns are the column's own affair.
        let owner = sequence.owner.as_ref();
        let is_identity = owner.is_some_and(|(table, column)| {
            let relation = facts.catalog.relations.get(table);
            let attribute = relation.and_then(|relation| relation.attribute(column));
            attribute.is_some_and(|attribute| attribute.identity.is_some())
        });
        if is_identity {
            continue;
        }
        let kind = sequence.kind;
        let extent = extent(kind, -1);
        row!(rows,
            "sequence_catalog" => facts.database,
            "sequence_schema" => facts.catalog.split_name(&sequence.name).0,
            "sequence_name" => facts.catalog.bare(&sequence.name),
            "data_type" => format_type(kind, None),
            "numeric_precision" => extent.precision,
            "numeric_precision_radix" => extent.radix,
            "numeric_scale" => extent.scale,
            "start_value" => sequence.start.to_string(),
            "minimum_value" => sequence.min.to_string(),
            "maximum_value" => sequence.max.to_string(),
            "increment" => sequence.increment.to_string(),
            "cycle_option" => yes(sequence.cycle),
        );
    }
}

fn add_table_constraints(rows: &mut Rows, facts: &Facts<'_>) {
    let mut add = |table: &str, name: &str, kind: &str, deferrable, deferred, distinct| {
        row!(rows,
            "constraint_catalog" => facts.database,
            "constraint_schema" => facts.catalog.split_name(table).0,
            "constraint_name" => name,
            "table_catalog" => facts.database,
            "table_schema" => facts.catalog.split_name(table).0,
            "table_name" => facts.catalog.bare(table),
            "constraint_type" => kind,
            "is_deferrable" => yes(deferrable),
            "initially_deferred" => yes(deferred),
            "enforced" => "YES",
            "nulls_distinct" => (kind == "UNIQUE").then_some(yes(distinct)),
        );
    };
    for relation in facts.catalog.relations.values() {
        for constraint in &relation.constraints {
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey => "PRIMARY KEY",
                ConstraintKind::Unique => "UNIQUE",
                ConstraintKind::Check(_) => "CHECK",
                ConstraintKind::ForeignKey { .. } => "FOREIGN KEY",
            };
            let (deferrable, deferred) = (constraint.deferrable, constraint.deferred);
            let distinct = !constraint.nulls_equal;
            add(&relation.name, &constraint.name, kind, deferrable, deferred, distinct);
        }
        if relation.kind == RelationKind::Table {
            for (name, _) in not_null_constraints(relation) {
                add(&relation.name, &name, "CHECK", false, false, true);
            }
        }
    }
}

fn add_tables(rows: &mut Rows, facts: &Facts<'_>) {
    let mut add = |schema: &str, name: &str, is_table: bool, insertable: bool| {
        row!(rows,
            "table_catalog" => facts.database,
            "table_schema" => schema,
            "table_name" => name,
            "table_type" => if is_table { "BASE TABLE" } else { "VIEW" },
            "is_insertable_into" => yes(insertable),
            "is_typed" => "NO",
        );
    };
    for relation in facts.catalog.relations.values() {
        if relation.kind == RelationKind::MaterializedView {
            continue;
        }
        let is_table = relation.kind == RelationKind::Table;
        let (schema, name) = facts.catalog.split_name(&relation.name);
        add(schema, name, is_table, facts.catalog.changeable_columns(relation).contains(&true));
    }
    for relation in super::system_relations() {
        add(relation.schema, relation.name, relation.kind == "r", false);
    }
}

fn add_views(rows: &mut Rows, facts: &Facts<'_>) {
    for relation in facts.catalog.relations.values() {
        if relation.kind == RelationKind::View {
            let updatable = facts.catalog.changeable_columns(relation).contains(&true);
            row!(rows,
                "table_catalog" => facts.database,
                "table_schema" => facts.catalog.split_name(&relation.name).0,
                "table_name" => facts.catalog.bare(&relation.name),
                "view_definition" => view_definition(relation),
                "check_option" => relation
                    .check_option
                    .map_or_else(|| "NONE".to_owned(), |option| option.word().to_uppercase()),
                "is_updatable" => yes(updatable),
                "is_insertable_into" => yes(updatable),
                "is_trigger_updatable" => "NO",
                "is_trigger_deletable" => "NO",
                "is_trigger_insertable_into" => "NO",
            );
        }
    }
}
