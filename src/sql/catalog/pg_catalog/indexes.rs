//! Rows about indexes: what they hold, and by which operator classes.

use super::classes::{Column, add_attribute};
use super::{OWNER, PG_CATALOG};
use crate::pg::Oid;
use crate::sql::catalog::access_method::operator_classes;
use crate::sql::catalog::definition::{index_definition, index_key};
use crate::sql::catalog::rows::{Rows, row, vector};
use crate::sql::catalog::types::builtin_type;
use crate::sql::catalog::{AccessMethod, Catalog, Index, OperatorClass, Relation};

pub(super) fn add_index_attributes(
    rows: &mut Rows,
    catalog: &Catalog,
    relation: &Relation,
    index: &Index,
) {
    for (number, written) in (1..).zip(index.columns.iter().chain(&index.included)) {
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
                oid: shown_type(catalog, relation, written),
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

/// The OID of an access method.
pub(super) fn method_oid(name: &str) -> i64 {
    AccessMethod::named(name).map_or(0, |method| method.oid)
}

pub(super) fn add_operator_classes(rows: &mut Rows) {
    for class in operator_classes() {
        row!(rows,
            "oid" => class.oid,
            "opcmethod" => class.method,
            "opcname" => class.name,
            "opcnamespace" => PG_CATALOG,
            "opcowner" => OWNER,
            "opcfamily" => class.family,
            "opcintype" => class.kind,
            "opcdefault" => class.is_default,
            "opckeytype" => class.key_kind,
        );
    }
}

/// The type of a key's values, as far as it is known.
fn shown_type(catalog: &Catalog, relation: &Relation, key: &str) -> Oid {
    catalog.key_type(relation, key).unwrap_or(Oid::TEXT)
}

/// The OID of a key's operator class.
fn class_of(catalog: &Catalog, index: &Index, at: usize, oid: Oid) -> i64 {
    let Some(method) = AccessMethod::named(&index.method) else { return 0 };
    let class = match index.class(at) {
        Some(name) => {
            let named = OperatorClass::named(method, name);
            named.into_iter().find(|class| class.takes(catalog, oid))
        }
        None => OperatorClass::of_type(catalog, method, oid),
    };
    class.map_or(0, |class| class.oid)
}

pub(super) fn add_indexes(rows: &mut Rows, catalog: &Catalog) {
    for relation in catalog.relations.values() {
        for index in &relation.indexes {
            let keys: Vec<_> =
                index.columns.iter().map(|written| index_key(relation, written)).collect();
            let key_types: Vec<_> =
                index.columns.iter().map(|key| shown_type(catalog, relation, key)).collect();
            let expressions: Vec<_> =
                keys.iter().filter(|key| !key.is_column).map(|key| key.text).collect();
            let deferrable = relation
                .constraints
                .iter()
                .any(|constraint| constraint.name == index.name && constraint.deferrable);
            row!(rows,
                "indexrelid" => index.oid,
                "indrelid" => relation.oid,
                "indnatts" => keys.len() + index.included.len(),
                "indnkeyatts" => keys.len(),
                "indisunique" => index.unique,
                "indnullsnotdistinct" => index.nulls_equal,
                "indisprimary" => index.primary,
                "indimmediate" => !deferrable,
                "indisvalid" => true,
                "indisready" => true,
                "indislive" => true,
                "indkey" => vector(keys.iter().map(|key| {
                    if key.is_column { relation.number(key.text).unwrap_or(0) } else { 0 }
                }).chain(index.included.iter().map(|name| relation.number(name).unwrap_or(0)))),
                "indcollation" => vector(key_types.iter().map(|oid| {
                    builtin_type(*oid).map_or(0, |kind| kind.collation)
                })),
                "indclass" => vector(key_types.iter().enumerate().map(|(at, oid)| {
                    class_of(catalog, index, at, *oid)
                })),
                "indoption" => vector(keys.iter().map(|key| {
                    i64::from(key.descending) | i64::from(key.nulls_first) << 1
                })),
                "indexprs" => (!expressions.is_empty()).then(|| expressions.join(", ")),
                "indpred" => index.predicate.as_ref(),
            );
        }
    }
}

pub(super) fn add_index_definitions(rows: &mut Rows, catalog: &Catalog) {
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
