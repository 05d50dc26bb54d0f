//! Rows about indexes: what they hold, and by which operator classes.

use std::collections::BTreeMap;

use super::classes::{Column, add_attribute};
use super::{BTREE, OWNER, PG_CATALOG};
use crate::pg::Oid;
use crate::sql::catalog::definition::{index_definition, index_key};
use crate::sql::catalog::rows::{Rows, row, vector};
use crate::sql::catalog::types::{builtin_type, data_lines};
use crate::sql::catalog::{Catalog, Index, Relation};

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
    data_lines(include_str!("../data/opclasses.txt")).map(|line| {
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
            "opcdefault" => true,
            "opckeytype" => class.key_kind,
        );
    }
}

pub(super) fn add_indexes(rows: &mut Rows, catalog: &Catalog) {
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
