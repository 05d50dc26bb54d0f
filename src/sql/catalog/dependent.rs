//! What goes with objects that are dropped, as PostgreSQL finds and tells it: what hangs on
//! them of itself without a word, what else depends on them by name.

use std::collections::BTreeMap;

use super::dependency::{
    ATTRDEF, CLASS, CONSTRAINT, Dependency, NAMESPACE, Object, PROC, TYPE, dependencies, object,
};
use super::pg_catalog::default_oid;
use super::{Catalog, PUBLIC, quote_ident, quote_qualified};
use crate::pg::Oid;

/// An object that goes, and what for.
struct Gone {
    object: Object,
    dependee: Option<Object>,
    /// It goes without a word: it is dropped by its name, or belongs to what is.
    silent: bool,
}

/// A walk from what is dropped to all that depends on it.
struct Walk<'e> {
    /// What depends on an object, in whole or on a column of it, the newest first.
    depending: BTreeMap<(i64, i64), Vec<&'e Dependency>>,
    /// What an object is a part of.
    owners: BTreeMap<Object, Object>,
    /// Those that are being walked from.
    path: Vec<Object>,
    gone: Vec<Gone>,
}

impl Walk<'_> {
    fn visit(&mut self, object: Object, dependee: Option<Object>, silent: bool) {
        let whole = (object.0, object.1, 0);
        let known = |other: Object| other == object || other == whole;
        if let Some(gone) = self.gone.iter_mut().find(|gone| known(gone.object)) {
            gone.silent |= silent && gone.object == object;
            return;
        }
        if self.path.iter().any(|other| known(*other)) {
            return;
        }
        // A part does not go without the whole.
        match self.owners.get(&object) {
            Some(owner) if dependee != Some(*owner) => {
                return self.visit(*owner, dependee, silent);
            }
            _ => {}
        }
        self.path.push(object);
        let depending = self.depending.get(&(object.0, object.1)).cloned().unwrap_or_default();
        for (dependent, on, kind) in depending {
            if object.2 == 0 || object.2 == on.2 {
                self.visit(*dependent, Some(object), *kind != "n");
            }
        }
        self.path.pop();
        self.gone.push(Gone { object, dependee, silent });
    }
}

impl Catalog {
    /// What depends on objects that are dropped, each with what it depends on, in
    /// PostgreSQL's order.
    pub(in crate::sql) fn dependents(
        &self,
        dropped: &[Object],
        path: &[String],
    ) -> Vec<(String, String)> {
        let told = self.gone_with(dropped).into_iter().rev().filter(|gone| !gone.silent);
        let told = told.filter_map(|gone| {
            let dependee = self.described(gone.dependee?, path)?;
            Some((self.described(gone.object, path)?, dependee))
        });
        told.collect()
    }

    /// The functions that go with objects that are dropped.
    pub(in crate::sql) fn routines_gone_with(&self, dropped: &[Object]) -> Vec<Oid> {
        if self.routines.is_empty() {
            return Vec::new();
        }
        let gone = self.gone_with(dropped).into_iter().filter(|gone| gone.object.0 == PROC);
        gone.filter_map(|gone| u32::try_from(gone.object.1).ok().map(Oid)).collect()
    }

    /// What is dropped and all that goes with it, what depends on another before that.
    fn gone_with(&self, dropped: &[Object]) -> Vec<Gone> {
        let mut found = dependencies(self);
        found.extend(self.contents());
        let mut walk = Walk {
            depending: BTreeMap::new(),
            owners: BTreeMap::new(),
            path: Vec::new(),
            gone: Vec::new(),
        };
        for dependency in &found {
            let (dependent, on, kind) = *dependency;
            walk.depending.entry((on.0, on.1)).or_default().push(dependency);
            if kind == "i" {
                walk.owners.insert(dependent, on);
            }
        }
        for depending in walk.depending.values_mut() {
            depending.sort_by_key(|(dependent, ..)| std::cmp::Reverse(dependent.1));
        }
        for object in dropped {
            walk.visit(*object, None, true);
        }
        for gone in &mut walk.gone {
            gone.silent |= dropped.contains(&gone.object);
        }
        walk.gone
    }

    /// What lies in which schema that clients made, or in `public`.
    fn contents(&self) -> Vec<Dependency> {
        let relations = self.relations.values().map(|r| (CLASS, r.oid, &r.name));
        let sequences = self.sequences.values().map(|s| (CLASS, s.oid, &s.name));
        let types = self.types.values().map(|kind| (TYPE, kind.oid, &kind.name));
        let routines = self.routines.iter().map(|routine| (PROC, routine.oid, &routine.name));
        let all = relations.chain(sequences).chain(types).chain(routines);
        let lies = |(class, oid, name): (i64, Oid, &String)| {
            let schema = self.schema_oid(self.split_name(name).0);
            (object(class, oid), (NAMESPACE, schema, 0), "n")
        };
        all.map(lies).collect()
    }

    /// An object as messages call it.
    pub(in crate::sql) fn described(
        &self,
        (class, oid, column): Object,
        path: &[String],
    ) -> Option<String> {
        let wanted = Oid(u32::try_from(oid).ok()?);
        let relation = |oid: Oid| {
            let relation = self.relation(oid)?;
            let name = self.shown_relation(&relation.name, path);
            Some((relation, format!("{} {name}", relation.kind.word())))
        };
        match class {
            CLASS => {
                if let Some((found, shown)) = relation(wanted) {
                    let at = usize::try_from(column).ok()?.checked_sub(1);
                    let Some(at) = at else { return Some(shown) };
                    let name = quote_ident(&found.attributes.get(at)?.name);
                    return Some(format!("column {name} of {shown}"));
                }
                let mut sequences = self.sequences.values();
                if let Some(sequence) = sequences.find(|sequence| sequence.oid == wanted) {
                    return Some(format!("sequence {}", self.shown_relation(&sequence.name, path)));
                }
                let (relation, index) = self.index(wanted)?;
                let stored = self.stored_name_of_index(relation, index);
                Some(format!("index {}", self.shown_relation(&stored, path)))
            }
            CONSTRAINT => {
                let (table, constraint) = self.constraint(wanted)?;
                let (_, shown) = relation(table.oid)?;
                Some(format!("constraint {} on {shown}", quote_ident(&constraint.name)))
            }
            ATTRDEF => {
                let (table, number) = self.relations.values().find_map(|table| {
                    let numbers = (1..).take(table.attributes.len());
                    let found = numbers.map(|n| (table, n));
                    found.into_iter().find(|(table, n)| default_oid(table, *n) == oid)
                })?;
                let column = (CLASS, i64::from(table.oid.0), number);
                Some(format!("default value for {}", self.described(column, path)?))
            }
            TYPE => Some(format!("type {}", self.shown_type(wanted, None, path))),
            PROC => {
                let routine = self.routine(wanted)?;
                let schema = self.split_name(&routine.name).0;
                let name = match path.iter().any(|visible| visible == schema) {
                    true => quote_ident(self.bare(&routine.name)),
                    false => quote_qualified(self, &routine.name),
                };
                Some(format!("function {}", routine.with_types(self, &name)))
            }
            NAMESPACE => {
                let made = self.schemas.iter().find(|(_, known)| **known == wanted);
                let name = made.map_or(PUBLIC, |(name, _)| name);
                Some(format!("schema {}", quote_ident(name)))
            }
            _ => None,
        }
    }
}
