//! What depends on what, as `pg_depend` tells it: by it `pg_dump` writes objects in an
//! order in which they can be made.

use sqlparser::ast::visit_relations;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::pg_catalog::{default_oid, numbered, stored_default, supporting_index};
use super::schema::parts_of_written;
use super::{Attribute, Catalog, ConstraintKind, PUBLIC, Relation, Sequence, UserTypeKind};
use crate::pg::Oid;
use crate::sql::translate::{calls_routine, statements_of_body};

/// System catalogs, by their OIDs.
pub(super) const ATTRDEF: i64 = 2604;
pub(super) const CLASS: i64 = 1259;
pub(super) const CONSTRAINT: i64 = 2606;
pub(super) const NAMESPACE: i64 = 2615;
pub(super) const PROC: i64 = 1255;
const REWRITE: i64 = 2618;
pub(super) const TYPE: i64 = 1247;

/// An object, by the catalog that lists it, its OID there, and a column's number or 0.
pub(in crate::sql) type Object = (i64, i64, i64);

/// The first depends on the second, in the way that `deptype` has a letter for.
pub(super) type Dependency = (Object, Object, &'static str);

pub(super) fn object(class: i64, oid: Oid) -> Object {
    (class, i64::from(oid.0), 0)
}

/// A table, view, sequence or index.
pub(in crate::sql) fn class_of(oid: Oid) -> Object {
    object(CLASS, oid)
}

pub(in crate::sql) fn constraint_object(oid: Oid) -> Object {
    object(CONSTRAINT, oid)
}

pub(in crate::sql) fn routine_object(oid: Oid) -> Object {
    object(PROC, oid)
}

pub(in crate::sql) fn schema_object(oid: i64) -> Object {
    (NAMESPACE, oid, 0)
}

/// All dependencies among what clients have made.
pub(super) fn dependencies(catalog: &Catalog) -> Vec<Dependency> {
    let mut found = Vec::new();
    for sequence in catalog.sequences.values() {
        let Some((table, column)) = &sequence.owner else { continue };
        let Some(relation) = catalog.relations.get(table) else { continue };
        let attribute = relation.attribute(column);
        let is_identity = attribute.is_some_and(|attribute| attribute.identity.is_some());
        let owner = column_of(relation, relation.number(column).unwrap_or(0));
        let kind = if is_identity { "i" } else { "a" };
        found.push((object(CLASS, sequence.oid), owner, kind));
    }
    for relation in catalog.relations.values() {
        of_constraints(catalog, relation, &mut found);
        of_columns(catalog, relation, &mut found);
        of_query(catalog, relation, &mut found);
    }
    for routine in &catalog.routines {
        let own = object(PROC, routine.oid);
        let types = routine.said.parameters.iter().map(|parameter| parameter.ty);
        for ty in types.chain([routine.said.result]) {
            let table = catalog.relation(ty.table).map(|table| object(CLASS, table.oid));
            let made = catalog.user_type(ty.oid).map(|kind| object(TYPE, kind.oid));
            found.extend(table.or(made).map(|used| (own, used, "n")));
        }
        // A string is read when it is called, a body in SQL's own syntax when it is made.
        let body = match routine.said.is_standard_body {
            true => statements_of_body(&routine.said).unwrap_or_default(),
            false => Vec::new(),
        };
        let _ = visit_relations(&body, |name| {
            let read = catalog.relation_written(name);
            found.extend(read.map(|read| (own, object(CLASS, read.oid), "n")));
            std::ops::ControlFlow::<()>::Continue(())
        });
    }
    for kind in catalog.types.values() {
        let own = object(TYPE, kind.oid);
        let uses: Vec<Oid> = match &kind.kind {
            UserTypeKind::Enum(_) => Vec::new(),
            UserTypeKind::Domain { base, .. } => vec![*base],
            UserTypeKind::Composite { fields, .. } => fields.iter().map(|f| f.oid).collect(),
        };
        let made = uses.into_iter().filter_map(|oid| catalog.user_type(oid));
        found.extend(made.map(|used| (own, object(TYPE, used.oid), "n")));
        let checks = catalog.domain_checks().filter(|check| check.domain.oid == kind.oid);
        found.extend(checks.map(|check| (object(CONSTRAINT, check.oid), own, "a")));
    }
    found
}

fn column_of(relation: &Relation, number: i64) -> Object {
    (CLASS, i64::from(relation.oid.0), number)
}

fn of_constraints(catalog: &Catalog, relation: &Relation, found: &mut Vec<Dependency>) {
    for constraint in &relation.constraints {
        let own = object(CONSTRAINT, constraint.oid);
        let columns = constraint.columns.iter().filter_map(|column| relation.number(column));
        found.extend(columns.map(|number| (own, column_of(relation, number), "a")));
        match &constraint.kind {
            ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
                let index = supporting_index(catalog, relation, constraint);
                found.push((object(CLASS, index), own, "i"));
            }
            ConstraintKind::ForeignKey { table, .. } => {
                let target = catalog.relations.get(table);
                found.extend(target.map(|target| (own, object(CLASS, target.oid), "n")));
                let key = supporting_index(catalog, relation, constraint);
                found.push((own, object(CLASS, key), "n"));
            }
            ConstraintKind::Check(_) => {}
        }
    }
    for index in &relation.indexes {
        if !relation.constraints.iter().any(|constraint| constraint.name == index.name) {
            found.push((object(CLASS, index.oid), object(CLASS, relation.oid), "a"));
        }
    }
}

/// Of columns on their types, of defaults on their columns and sequences.
fn of_columns(catalog: &Catalog, relation: &Relation, found: &mut Vec<Dependency>) {
    for (number, attribute) in numbered(relation) {
        let column = column_of(relation, number);
        if let Some(kind) = catalog.user_type(attribute.oid) {
            found.push((column, object(TYPE, kind.oid), "n"));
        }
        let Some(default) = stored_default(attribute) else { continue };
        let own = (ATTRDEF, default_oid(relation, number), 0);
        found.push((own, column, "a"));
        let drawn = drawn_from(catalog, relation, default);
        found.extend(drawn.map(|sequence| (own, object(CLASS, sequence), "n")));
    }
}

impl Catalog {
    /// The first column whose values, or whose default, are a sequence's.
    pub(in crate::sql) fn drawing(&self, sequence: &Sequence) -> Option<(&Relation, &Attribute)> {
        let columns = self.relations.values().flat_map(|relation| {
            relation.attributes.iter().map(move |attribute| (relation, attribute))
        });
        let mut drawing = columns.filter(|(relation, attribute)| {
            let owner = (relation.name.as_str(), attribute.name.as_str());
            let owned = sequence.owner.as_ref().map(|(table, column)| (&**table, &**column));
            match stored_default(attribute) {
                Some(default) => drawn_from(self, relation, default) == Some(sequence.oid),
                None => attribute.identity.is_some() && owned == Some(owner),
            }
        });
        drawing.next()
    }
}

impl Catalog {
    /// Whether a column's default draws from a sequence.
    pub(in crate::sql) fn draws(
        &self,
        relation: &Relation,
        attribute: &Attribute,
        sequence: Oid,
    ) -> bool {
        let default = attribute.default.as_ref();
        default.is_some_and(|default| drawn_from(self, relation, default) == Some(sequence))
    }
}

/// The sequence of a relation's default `nextval('…')`.
fn drawn_from(catalog: &Catalog, relation: &Relation, default: &str) -> Option<Oid> {
    let (written, _) = default.strip_prefix("nextval('")?.split_once('\'')?;
    let mut parts = parts_of_written(written);
    let name = parts.pop()?;
    let in_schema = |schema: &str| catalog.sequences.get(&catalog.stored_name(schema, &name));
    let found = match parts.pop() {
        Some(schema) => in_schema(&schema),
        None => in_schema(catalog.split_name(&relation.name).0).or_else(|| in_schema(PUBLIC)),
    };
    found.map(|sequence| sequence.oid)
}

/// Of a view, by its rule, on what its query reads.
fn of_query(catalog: &Catalog, relation: &Relation, found: &mut Vec<Dependency>) {
    let Some(query) = &relation.definition else { return };
    let rule = object(REWRITE, relation.oid);
    found.push((rule, object(CLASS, relation.oid), "i"));
    let Ok(parsed) = Parser::parse_sql(&PostgreSqlDialect {}, query) else { return };
    for routine in &catalog.routines {
        if calls_routine(&parsed, catalog.bare(&routine.name)) {
            found.push((rule, object(PROC, routine.oid), "n"));
        }
    }
    let _ = visit_relations(&parsed, |name| {
        if let Some(read) = catalog.relation_written(name) {
            found.push((rule, object(CLASS, read.oid), "n"));
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Attribute, RelationKind, Sequence};
    use super::*;

    fn relation(oid: u32, name: &str, query: Option<&str>) -> Relation {
        let kind = if query.is_some() { RelationKind::View } else { RelationKind::Table };
        let definition = query.map(str::to_owned);
        Relation { oid: Oid(oid), kind, definition, ..Relation::of_columns(name, &[]) }
    }

    #[test]
    fn views_depend_on_what_they_read_and_defaults_on_their_sequence() {
        let mut catalog = Catalog::empty(7);
        let mut table = relation(20_000, "@7:t", None);
        table.attributes.push(Attribute {
            name: "id".to_owned(),
            oid: Oid::INT4,
            typmod: -1,
            not_null: true,
            default: Some("nextval('q'::regclass)".to_owned()),
            identity: None,
            generated: None,
        });
        let sequence = Sequence {
            oid: Oid(20_001),
            name: "@7:q".to_owned(),
            kind: Oid::INT8,
            start: 1,
            increment: 1,
            min: 1,
            max: 9,
            cycle: false,
            reserved: None,
            owner: Some(("@7:t".to_owned(), "id".to_owned())),
        };
        let view = relation(20_002, "@7:v", Some("SELECT id FROM t JOIN public.w USING (id)"));
        let other = relation(20_003, "@7:w", Some("SELECT 1 AS id"));
        for one in [table, view, other] {
            catalog.relations.insert(one.name.clone(), one);
        }
        catalog.sequences.insert(sequence.name.clone(), sequence);
        let found = dependencies(&catalog);
        let default = (ATTRDEF, default_oid(&catalog.relations["@7:t"], 1), 0);
        for expected in [
            ((CLASS, 20_001, 0), (CLASS, 20_000, 1), "a"),
            (default, (CLASS, 20_000, 1), "a"),
            (default, (CLASS, 20_001, 0), "n"),
            ((REWRITE, 20_002, 0), (CLASS, 20_002, 0), "i"),
            ((REWRITE, 20_002, 0), (CLASS, 20_000, 0), "n"),
            ((REWRITE, 20_002, 0), (CLASS, 20_003, 0), "n"),
        ] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
    }
}
