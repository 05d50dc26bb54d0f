//! Schemas. SQLite's file has one namespace: a relation, sequence or index of schema
//! `s` is stored as `s.name`, one of `public` under its name alone, so that `sqlite3`
//! shows what PostgreSQL clients call it. A name in `public` that would read as one
//! of another schema is stored as `public.name`. Before all of that stands the prefix of
//! a database other than the first (see [`split_database`]).

use std::borrow::Cow;

use super::database::{FIRST_DATABASE, MAINTENANCE_DATABASE, database_prefix, split_database};
use super::{
    Catalog, DomainCheck, Index, Relation, UserType, UserTypeKind, format_type, quote_ident,
    quote_qualified, quote_stored,
};
use crate::log::Value;
use crate::pg::types::made::{Made, decode_made};
use crate::pg::types::{Display, Format, decode};
use crate::pg::{Oid, SqlError};

/// The schema that is there without being made.
pub const PUBLIC: &str = "public";

/// Its OID, in every database.
pub const PUBLIC_OID: u32 = 2200;

/// How the names of sessions' own schemas begin.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

/// Schemas that every database has, with their OIDs.
pub const NAMESPACES: [(i64, &str); 4] =
    [(11, "pg_catalog"), (99, "pg_toast"), (2200, PUBLIC), (13_207, "information_schema")];

impl Catalog {
    /// Of a database that holds nothing yet.
    pub fn empty(database: u32) -> Self {
        Self { database, prefix: database_prefix(database), ..Self::default() }
    }

    /// Under which OID what is said of `public` is kept, of which every database has one.
    pub fn key_of_public(&self) -> Oid {
        Oid(if self.database == FIRST_DATABASE { PUBLIC_OID } else { self.database })
    }

    /// The number of the database that clients call `name`, where the first is `first`.
    pub fn database_named(&self, name: &str, first: &str) -> Option<u32> {
        if name == first {
            return Some(FIRST_DATABASE);
        }
        let (maintenance, number) = MAINTENANCE_DATABASE;
        if name == maintenance { Some(number) } else { self.databases.get(name).copied() }
    }

    /// Whether there is such a schema.
    pub fn has_schema(&self, name: &str) -> bool {
        NAMESPACES.iter().any(|(_, known)| *known == name) || self.schemas.contains_key(name)
    }

    /// A schema's OID; 0 if there is none of that name.
    pub fn schema_oid(&self, name: &str) -> i64 {
        match NAMESPACES.iter().find(|(_, known)| *known == name) {
            Some((oid, _)) => *oid,
            None => self.schemas.get(name).map_or(0, |oid| i64::from(oid.0)),
        }
    }

    /// The name under which SQLite holds `name` of `schema`.
    pub fn stored_name(&self, schema: &str, name: &str) -> String {
        let prefix = &self.prefix;
        if schema != PUBLIC {
            return format!("{prefix}{schema}.{name}");
        }
        // The first database's have no prefix, so none may seem to have one.
        let seems_foreign = prefix.is_empty() && split_database(name).0 != FIRST_DATABASE;
        match self.split_schema(name) {
            (PUBLIC, whole) if whole == name && !seems_foreign => format!("{prefix}{name}"),
            _ => format!("{prefix}{PUBLIC}.{name}"),
        }
    }

    /// Schema and name of what is stored under `stored`.
    pub fn split_name<'n>(&'n self, stored: &'n str) -> (&'n str, &'n str) {
        self.split_schema(stored.strip_prefix(&*self.prefix).unwrap_or(stored))
    }

    /// As [`Self::split_name`], of a name without its database's prefix.
    fn split_schema<'n>(&'n self, stored: &'n str) -> (&'n str, &'n str) {
        let Some((schema, name)) = stored.split_once('.') else { return (PUBLIC, stored) };
        let own = schema.starts_with(TEMPORARY_PREFIX);
        if schema == PUBLIC || own || self.schemas.contains_key(schema) {
            (schema, name)
        } else {
            (PUBLIC, stored)
        }
    }

    /// The name without its schema.
    pub fn bare<'n>(&'n self, stored: &'n str) -> &'n str {
        self.split_name(stored).1
    }

    /// The OID of the schema in which `stored` lies.
    pub fn namespace_of(&self, stored: &str) -> i64 {
        self.schema_oid(self.split_name(stored).0)
    }

    /// Whether a relation, sequence or index is stored under this name.
    pub fn is_stored(&self, stored: &str) -> bool {
        self.relations.contains_key(stored)
            || self.sequences.contains_key(stored)
            || self.index_stored(stored).is_some()
    }

    /// An index by its stored name, with its table. A key's goes by the name of its constraint.
    pub fn index_stored(&self, stored: &str) -> Option<(&Relation, &Index)> {
        self.relations.values().find_map(|relation| {
            let is_meant = |index: &&Index| self.stored_name_of_index(relation, index) == stored;
            relation.indexes.iter().find(is_meant).map(|index| (relation, index))
        })
    }

    /// The name under which an index would be stored with its table: that of a key's is its
    /// constraint's, without a schema.
    pub fn stored_name_of_index<'i>(&self, relation: &Relation, index: &'i Index) -> Cow<'i, str> {
        match relation.has_constraint(&index.name) {
            true => self.stored_name(self.split_name(&relation.name).0, &index.name).into(),
            false => index.name.as_str().into(),
        }
    }

    /// What a name finds, as it is stored: in `schema`, or without one in the first
    /// schema of `path` that has it.
    pub fn find_stored(
        &self,
        schema: Option<&str>,
        name: &str,
        path: &[String],
        is_there: impl Fn(&str) -> bool,
    ) -> Option<String> {
        match schema {
            Some(schema) => Some(self.stored_name(schema, name)).filter(|stored| is_there(stored)),
            None => path
                .iter()
                .map(|schema| self.stored_name(schema, name))
                .find(|stored| is_there(stored)),
        }
    }

    /// Whether a bare name finds what is stored under `stored`, among what is there.
    pub fn is_visible(
        &self,
        stored: &str,
        path: &[String],
        is_there: impl Fn(&str) -> bool,
    ) -> bool {
        self.find_stored(None, self.bare(stored), path, is_there).as_deref() == Some(stored)
    }

    /// A stored name, with its schema unless a bare name finds it.
    fn shown(&self, stored: &str, visible: bool) -> String {
        if visible { quote_ident(self.bare(stored)) } else { quote_qualified(self, stored) }
    }

    /// A relation, sequence or index as a session with this search path writes it.
    pub fn shown_relation(&self, stored: &str, path: &[String]) -> String {
        self.shown(stored, self.is_visible(stored, path, |name| self.is_stored(name)))
    }

    /// A type that a client made, as a session with this search path writes it.
    pub fn shown_type(&self, oid: Oid, typmod: Option<i32>, path: &[String]) -> String {
        let Some(kind) = self.user_type(oid) else { return format_type(oid, typmod) };
        let visible = self.is_visible(&kind.name, path, |name| self.types.contains_key(name));
        let array = if kind.array == oid { "[]" } else { "" };
        format!("{}{array}", self.shown(&kind.name, visible))
    }

    /// The type that a client made with this OID, or whose array has it.
    pub fn user_type(&self, oid: Oid) -> Option<&UserType> {
        self.types.values().find(|kind| kind.oid == oid || kind.array == oid)
    }

    /// What a type is made of whose values are arrays or rows by what a client has made.
    pub fn made_of(&self, oid: Oid) -> Option<Made> {
        // Those that come with PostgreSQL have lower numbers.
        if oid.0 < 16_384 {
            return None;
        }
        let kind = self.user_type(oid)?;
        match &kind.kind {
            UserTypeKind::Domain { .. } => None,
            _ if kind.array == oid => {
                Some(Made::Array(kind.oid, self.part_of(kind.oid).map(Box::new)))
            }
            UserTypeKind::Enum(_) => None,
            UserTypeKind::Composite { fields, .. } => Some(Made::Row(
                fields.iter().map(|field| (field.oid, self.part_of(field.oid))).collect(),
            )),
        }
    }

    /// As [`Self::made_of`], for a type of which something is made.
    pub fn part_of(&self, oid: Oid) -> Option<Made> {
        let kind = (oid.0 >= 16_384).then(|| self.user_type(oid)).flatten()?;
        match &kind.kind {
            UserTypeKind::Enum(labels) if kind.oid == oid => {
                Some(Made::Enum(self.bare(&kind.name).to_owned(), labels.clone()))
            }
            _ => self.made_of(oid),
        }
    }

    /// Reads a value of any type into its form in SQLite.
    pub fn decode(
        &self,
        bytes: &[u8],
        oid: Oid,
        format: Format,
        display: &Display,
    ) -> Result<Value, SqlError> {
        match self.made_of(oid) {
            Some(made) => decode_made(bytes, &made, format, display),
            None => decode(bytes, oid, format, display),
        }
    }

    /// The checks of all domains.
    pub fn domain_checks(&self) -> impl Iterator<Item = DomainCheck<'_>> {
        self.types.values().flat_map(|domain| {
            let checks = match &domain.kind {
                UserTypeKind::Domain { checks, .. } => checks.as_slice(),
                _ => &[],
            };
            (1_u32..).zip(checks).map(move |(number, (name, condition))| DomainCheck {
                oid: Oid(domain.oid.0.wrapping_mul(1024).wrapping_add(number)),
                domain,
                name,
                condition,
            })
        })
    }

    /// What a domain is over, as type and modifier; `None` for what is no domain.
    pub fn domain_base(&self, oid: Oid) -> Option<(Oid, i32)> {
        let kind = self.types.values().find(|kind| kind.oid == oid)?;
        match &kind.kind {
            UserTypeKind::Domain { base, typmod, .. } => Some((*base, *typmod)),
            UserTypeKind::Enum(_) | UserTypeKind::Composite { .. } => None,
        }
    }

    /// A type's name as SQL writes it, for those that clients made too.
    pub fn format_type(&self, oid: Oid, typmod: Option<i32>) -> String {
        match self.user_type(oid) {
            None => format_type(oid, typmod),
            Some(kind) if kind.array == oid => format!("{}[]", quote_stored(self, &kind.name)),
            Some(kind) => quote_stored(self, &kind.name),
        }
    }

    /// The OID of a relation, sequence or index by its stored name.
    pub fn oid_of_stored(&self, stored: &str) -> Option<Oid> {
        let index = || self.index_stored(stored).map(|(_, index)| index.oid);
        self.relations
            .get(stored)
            .map(|relation| relation.oid)
            .or_else(|| self.sequences.get(stored).map(|sequence| sequence.oid))
            .or_else(index)
    }
}

/// The parts of a name as SQL writes it in a string, folded: `S."T"` is `s`, `T`.
pub fn parts_of_written(written: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = written.trim().chars().peekable();
    while let Some(char) = chars.next() {
        let Some(name) = parts.last_mut() else { break };
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            char if quoted => name.push(char),
            // Blanks may stand beside the dot.
            char if char.is_whitespace()
                && (name.is_empty()
                    || chars.clone().find(|next| !next.is_whitespace()) == Some('.')) => {}
            char => name.extend(char.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_tell_their_schema() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.stored_name(PUBLIC, "a.b"), "a.b");
        assert_eq!(catalog.split_name("a.b"), (PUBLIC, "a.b"));
        catalog.schemas.insert("a".to_owned(), Oid(20_000));
        assert_eq!(catalog.split_name("a.b"), ("a", "b"));
        assert_eq!(catalog.stored_name("a", "b.c"), "a.b.c");
        assert_eq!(catalog.split_name("a.b.c"), ("a", "b.c"));
        assert_eq!(catalog.stored_name(PUBLIC, "a.b"), "public.a.b");
        assert_eq!(catalog.split_name("public.a.b"), (PUBLIC, "a.b"));
        assert_eq!(catalog.stored_name(PUBLIC, "t"), "t");
    }

    #[test]
    fn stored_names_tell_their_database() {
        let mut other = Catalog::empty(16_385);
        other.schemas.insert("s".to_owned(), Oid(20_000));
        let first = Catalog { prefix: String::new(), database: 0, ..other.clone() };
        let names = ["t", "s.t", "public.t", "@16385:t", "@1:t", "@16385:s.t", "a b"];
        for schema in [PUBLIC, "s"] {
            for name in names {
                let (here, there) =
                    (first.stored_name(schema, name), other.stored_name(schema, name));
                assert_eq!(first.split_name(&here), (schema, name));
                assert_eq!(other.split_name(&there), (schema, name));
                assert_eq!(split_database(&here).0, 0, "{here}");
                assert_eq!(split_database(&there).0, 16_385, "{there}");
            }
        }
        assert_eq!(other.stored_name(PUBLIC, "t"), "@16385:t");
        assert_eq!(first.stored_name(PUBLIC, "@16385:t"), "public.@16385:t");
    }

    #[test]
    fn databases_are_found_by_name() {
        let mut catalog = Catalog::default();
        catalog.databases.insert("shop".to_owned(), 16_390);
        let found = |name| catalog.database_named(name, "main");
        assert_eq!(found("main"), Some(0));
        assert_eq!(found("postgres"), Some(3));
        assert_eq!(found("shop"), Some(16_390));
        assert_eq!((found("template0"), found("Shop")), (None, None));
        assert_eq!(catalog.database_named("postgres", "postgres"), Some(0));
    }

    #[test]
    fn written_names_fold_unless_quoted() {
        assert_eq!(parts_of_written("S.\"T.x\""), ["s", "T.x"]);
        assert_eq!(parts_of_written("\"a\"\"b\""), ["a\"b"]);
        assert_eq!(parts_of_written(" \"a \" . B"), ["a ", "b"]);
    }
}
