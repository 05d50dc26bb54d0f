//! CREATE TYPE … AS ENUM, CREATE DOMAIN, ALTER and DROP of both.
//!
//! An enum's values are stored as their labels, a domain's as its base type's. What a
//! value may be is checked where it becomes one: in a cast, or on its way into a column.

use sqlparser::ast::ObjectName;

use super::nothing;
use super::rows;
use crate::pg::SqlError;
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    /// Under which name a type is stored that is there, or else would be made.
    pub(super) fn stored_type(&self, name: &ObjectName) -> Result<String, SqlError> {
        let (schema, name) = self.qualified(name)?;
        let catalog = self.context.catalog;
        let found = catalog.find_stored(schema.as_deref(), &name, &self.path(), |stored| {
            catalog.types.contains_key(stored)
        });
        match (found, schema) {
            (Some(found), _) => Ok(found),
            (None, Some(schema)) => Ok(catalog.stored_name(&schema, &name)),
            (None, None) => Ok(catalog.stored_name(&self.creation_schema()?, &name)),
        }
    }

    pub(super) fn drop_types(
        &mut self,
        tag: &'static str,
        wanted: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let mut statements = Vec::new();
        for name in wanted {
            let Some(kind) = self.context.catalog.types.get(name) else {
                if if_exists {
                    self.skip_missing("type", name);
                    continue;
                }
                return Err(super::drop::undefined("type", self.shown(name)));
            };
            let user = self.context.catalog.relations.values().find_map(|relation| {
                let column = relation
                    .attributes
                    .iter()
                    .find(|attribute| attribute.oid == kind.oid || attribute.oid == kind.array)?;
                Some((relation, column))
            });
            if let Some((relation, column)) = user {
                if cascade {
                    return Err(SqlError::unsupported("DROP TYPE CASCADE of a type in use"));
                }
                return Err(super::drop::depended_on("type", self.shown(name)).with_detail(
                    format!(
                        "column {} of table {} depends on type {}",
                        column.name,
                        self.shown(&relation.name),
                        self.shown(name)
                    ),
                ));
            }
            statements.push(format!(
                "DELETE FROM towline_type WHERE name = {}",
                names::quote_literal(name)
            ));
        }
        if statements.is_empty() {
            return Ok(nothing(tag));
        }
        statements.extend(rows::touch());
        Ok(translated(Kind::Ddl { rebuild: false }, Tag::Fixed(tag), Vec::new(), statements))
    }
}
