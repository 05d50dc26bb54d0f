//! Rows of `pg_constraint`.

use crate::pg::Oid;
use crate::sql::catalog::rows::{Rows, number_array, row};
use crate::sql::catalog::{Attribute, Catalog, Constraint, ConstraintKind, Relation};

fn column_numbers(relation: &Relation, columns: &[String]) -> String {
    number_array(columns.iter().map(|column| relation.number(column).unwrap_or(0)))
}

/// The index that enforces a key, or the referenced key of a foreign key.
pub(in crate::sql::catalog) fn supporting_index(
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

pub(super) fn add_constraints(rows: &mut Rows, catalog: &Catalog) {
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
pub(in crate::sql::catalog) fn columns_in(relation: &Relation, condition: &str) -> Vec<String> {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let words: Vec<_> = condition.split(|char| !is_word(char)).collect();
    let is_named = |attribute: &&Attribute| words.contains(&attribute.name.as_str());
    relation.attributes.iter().filter(is_named).map(|attribute| attribute.name.clone()).collect()
}
