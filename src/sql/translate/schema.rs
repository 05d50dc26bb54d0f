//! Which object a name means: schemas, the search path, and the names by which SQLite
//! holds what lies in them (see [`Catalog::stored_name`]).
//!
//! Temporary objects lie in a schema of their session's own, which comes first in its
//! search path and which clients call `pg_temp`.

use sqlparser::ast::ObjectName;

use super::{Translator, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{PUBLIC, Relation};

#[cfg(doc)]
use crate::sql::catalog::Catalog;

/// What clients call the schema of their session's temporary objects.
const PG_TEMP: &str = "pg_temp";

impl<'a> Translator<'a> {
    /// The schemas in which an unqualified name is looked for, in order.
    pub(super) fn path(&self) -> Vec<String> {
        if self.defining {
            // Definitions were made with `public` in sight.
            return vec![PUBLIC.to_owned()];
        }
        let temporary = Some(self.context.temporary_schema).filter(|schema| !schema.is_empty());
        temporary
            .map(str::to_owned)
            .into_iter()
            .chain(self.context.search_path.iter().filter(|schema| self.is_schema(schema)).cloned())
            .collect()
    }

    fn is_schema(&self, name: &str) -> bool {
        self.context.catalog.has_schema(name)
    }

    /// A name's schema, if it names one, and its last part.
    pub(super) fn qualified(
        &self,
        name: &ObjectName,
    ) -> Result<(Option<String>, String), SqlError> {
        self.qualified_parts(names::parts(name))
    }

    pub(super) fn qualified_parts(
        &self,
        mut parts: Vec<String>,
    ) -> Result<(Option<String>, String), SqlError> {
        let name = parts.pop().unwrap_or_default();
        match (parts.len(), parts.pop()) {
            (0, _) => Ok((None, name)),
            (1 | 2, Some(schema)) => {
                let own = self.context.database;
                if let Some(database) = parts.pop().filter(|d| !own.is_empty() && d != own) {
                    return Err(SqlError::unsupported(format_args!(
                        "a cross-database reference: \"{database}.{schema}.{name}\""
                    )));
                }
                let temporary = schema == PG_TEMP;
                let own = self.context.temporary_schema;
                Ok((Some(if temporary { own.to_owned() } else { schema }), name))
            }
            _ => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "improper qualified name (too many dotted names)",
            )),
        }
    }

    /// The relation, sequence or index that a name finds, as it is stored.
    pub(super) fn find_object(&self, schema: Option<&str>, name: &str) -> Option<String> {
        let catalog = self.context.catalog;
        catalog.find_stored(schema, name, &self.path(), |stored| catalog.is_stored(stored))
    }

    /// The table or view that a name finds.
    pub(super) fn find_relation(&self, schema: Option<&str>, name: &str) -> Option<&'a Relation> {
        let catalog = self.context.catalog;
        let found = catalog.find_stored(schema, name, &self.path(), |stored| {
            catalog.relations.contains_key(stored)
        })?;
        catalog.relations.get(&found)
    }

    /// As [`Self::find_relation`], for a name as it was parsed.
    pub(super) fn relation_named(&self, name: &ObjectName) -> Option<&'a Relation> {
        let (schema, name) = self.qualified(name).ok()?;
        self.find_relation(schema.as_deref(), &name)
    }

    /// The sequence that a name finds, as it is stored.
    pub(super) fn find_sequence(&self, schema: Option<&str>, name: &str) -> Option<String> {
        let catalog = self.context.catalog;
        catalog.find_stored(schema, name, &self.path(), |stored| {
            catalog.sequences.contains_key(stored)
        })
    }

    /// The schema in which an unqualified name is made.
    pub(super) fn creation_schema(&self) -> Result<String, SqlError> {
        let exists = |schema: &&String| self.context.catalog.has_schema(schema);
        self.context.search_path.iter().find(exists).cloned().ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
        })
    }

    /// Under which name an object is stored that is there, or else would be made.
    pub(super) fn stored(&self, name: &ObjectName) -> Result<String, SqlError> {
        let (schema, name) = self.qualified(name)?;
        if let Some(found) = self.find_object(schema.as_deref(), &name) {
            return Ok(found);
        }
        let schema = match schema {
            Some(schema) => schema,
            None => self.creation_schema()?,
        };
        Ok(self.context.catalog.stored_name(&schema, &name))
    }

    /// How messages call a stored object.
    pub(super) fn shown<'n>(&'n self, stored: &'n str) -> &'n str {
        let catalog = self.context.catalog;
        let (schema, name) = catalog.split_name(stored);
        if self.path().iter().any(|visible| visible == schema) {
            name
        } else {
            stored.strip_prefix(&*catalog.prefix).unwrap_or(stored)
        }
    }

    /// Refuses a schema that isn't there.
    pub(super) fn check_schema(&self, schema: &str) -> Result<(), SqlError> {
        if self.context.catalog.has_schema(schema) || schema == self.context.temporary_schema {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{schema}\" does not exist"),
        ))
    }

    /// Runs `inner` as definitions are read: whatever the session's search path is.
    pub(super) fn while_defining<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.defining, true);
        let result = inner(self);
        self.defining = before;
        result
    }
}
