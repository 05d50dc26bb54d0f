//! What ALTER DEFAULT PRIVILEGES says of objects that are yet to be made.

use super::Catalog;
use super::access::{Grant, ObjectKind, granted, initial_grants};
use crate::pg::Oid;

/// What the privileges are for: who makes an object, in which schema (0: in any), and its
/// kind.
pub type DefaultAccessKey = (Oid, Oid, ObjectKind);

/// The kinds that there are defaults for, as `pg_default_acl` calls them, and where their
/// objects are kept.
pub const DEFAULT_KINDS: [(ObjectKind, char, &str); 3] = [
    (ObjectKind::Table, 'r', "relation"),
    (ObjectKind::Sequence, 'S', "sequence"),
    (ObjectKind::Schema, 'n', "schema"),
];

impl Catalog {
    /// The privileges as they are kept, or as they are before anything was said: those of
    /// one schema come on top of all others.
    pub fn default_access_of(&self, key: &DefaultAccessKey) -> Vec<Grant> {
        match (self.default_access.get(key), *key) {
            (Some(grants), _) => grants.clone(),
            (None, (role, Oid(0), kind)) => initial_grants(kind, role, kind.of_everybody()),
            (None, _) => Vec::new(),
        }
    }

    /// The privileges on an object that `role` makes in a schema, if they are said.
    pub fn grants_on_new(&self, role: Oid, schema: Oid, kind: ObjectKind) -> Option<Vec<Grant>> {
        let (general, special) = ((role, Oid(0), kind), (role, schema, kind));
        let said = |key| self.default_access.contains_key(key);
        if !said(&general) && !said(&special) {
            return None;
        }
        let mut grants = self.default_access_of(&general);
        if schema != Oid(0) {
            for grant in self.default_access_of(&special) {
                granted(&mut grants, grant);
            }
        }
        Some(grants)
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::Rights;
    use super::*;

    #[test]
    fn what_is_said_of_a_schema_comes_on_top() {
        let (ann, bob, schema) = (Oid(16_400), Oid(16_401), Oid(2200));
        let mut catalog = Catalog::default();
        assert_eq!(catalog.grants_on_new(ann, schema, ObjectKind::Table), None);
        let grant =
            Grant { grantee: bob, grantor: ann, rights: Rights::SELECT, options: Rights::NONE };
        catalog.default_access.insert((ann, schema, ObjectKind::Table), vec![grant]);
        let own = initial_grants(ObjectKind::Table, ann, Rights::NONE);
        let both = [own.clone(), vec![grant]].concat();
        assert_eq!(catalog.grants_on_new(ann, schema, ObjectKind::Table), Some(both));
        assert_eq!(catalog.grants_on_new(ann, Oid(20_000), ObjectKind::Table), None);
        assert_eq!(catalog.grants_on_new(bob, schema, ObjectKind::Table), None);
        catalog.default_access.insert((ann, Oid(0), ObjectKind::Table), own.clone());
        assert_eq!(catalog.grants_on_new(ann, Oid(20_000), ObjectKind::Table), Some(own));
    }
}
