//! CREATE SCHEMA, ALTER SCHEMA and DROP SCHEMA.

use sqlparser::ast::SchemaName;

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{
    Catalog, FIRST_DATABASE, NAMESPACES, Object, PUBLIC, Relation, RelationKind, Rights,
    schema_object, split_database,
};
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    pub(super) fn create_schema(
        &mut self,
        name: &SchemaName,
        if_not_exists: bool,
    ) -> Result<Translated, SqlError> {
        let name = match name {
            SchemaName::Simple(name) | SchemaName::NamedAuthorization(name, _) => {
                names::last(name).unwrap_or_default()
            }
            SchemaName::UnnamedAuthorization(role) => names::fold(role),
        };
        if name == PUBLIC && self.objects_of(PUBLIC).is_empty() {
            return Ok(nothing("CREATE SCHEMA"));
        }
        if self.context.catalog.has_schema(&name) {
            let state = SqlState("42P06");
            if if_not_exists {
                self.skipped(state, format_args!("schema \"{name}\" already exists"));
                return Ok(nothing("CREATE SCHEMA"));
            }
            return Err(SqlError::new(state, format!("schema \"{name}\" already exists")));
        }
        if name.starts_with("pg_") {
            return Err(SqlError::new(
                SqlState("42939"),
                format!("unacceptable schema name \"{name}\""),
            )
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        self.demand_database(Rights::CREATE);
        // Names in it are stored behind the schema's name and a dot.
        let catalog = self.context.catalog;
        let prefix = format!("{}{name}.", catalog.prefix);
        let ambiguous = catalog.relations.keys().any(|key| key.starts_with(&prefix))
            || split_database(&name).0 != FIRST_DATABASE;
        if name.is_empty() || name.contains('.') || ambiguous {
            return Err(SqlError::unsupported(format_args!("a schema named \"{name}\"")));
        }
        Ok(schema_change("CREATE SCHEMA", make_schema(catalog, &name)))
    }

    /// What makes the session's own schema, if `stored` is to lie in it and it isn't
    /// there yet.
    pub(super) fn schema_for(&self, stored: &str) -> Vec<String> {
        let own = self.context.temporary_schema;
        let catalog = self.context.catalog;
        let lies_in = !own.is_empty() && catalog.split_name(stored).0 == own;
        if lies_in && !catalog.schemas.contains_key(own) {
            make_schema(catalog, own)
        } else {
            Vec::new()
        }
    }

    pub(super) fn drop_schemas(
        &mut self,
        wanted: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let there = |schema: &&String| self.context.catalog.has_schema(schema);
        let dropped: Vec<Object> = wanted
            .iter()
            .filter(there)
            .map(|schema| schema_object(self.context.catalog.schema_oid(schema)))
            .collect();
        self.cascade(&dropped, cascade)?;
        let mut statements = Vec::new();
        let mut rebuild = false;
        for schema in wanted {
            // That one stays, empty: who drops it makes it again.
            let stays = schema == PUBLIC;
            if !stays && NAMESPACES.iter().any(|(_, known)| known == schema) {
                return Err(SqlError::new(
                    SqlState("2BP01"),
                    format!(
                        "cannot drop schema {schema} because it is required by the database system"
                    ),
                ));
            }
            if !stays && !self.context.catalog.schemas.contains_key(schema) {
                if if_exists {
                    self.skip_missing("schema", schema);
                    continue;
                }
                return Err(SqlError::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{schema}\" does not exist"),
                ));
            }
            self.demand_owner_of_schema(schema);
            let inside = self.objects_of(schema);
            let of = |kind: &str| -> Vec<String> {
                inside
                    .iter()
                    .filter(|(word, _)| *word == kind)
                    .map(|(_, name)| name.clone())
                    .collect()
            };
            // Views of views come first, so that each is dropped once.
            let relations =
                [RelationKind::View, RelationKind::MaterializedView, RelationKind::Table]
                    .map(|kind| of(kind.word()));
            let mut gone: Vec<String> = Vec::new();
            for doomed in relations {
                let doomed: Vec<String> =
                    doomed.into_iter().filter(|name| !gone.contains(name)).collect();
                if doomed.is_empty() {
                    continue;
                }
                let relations: Vec<&Relation> = doomed
                    .iter()
                    .filter_map(|name| self.context.catalog.relations.get(name))
                    .collect();
                let dropped = self.drop_all(&relations, true)?;
                rebuild |= matches!(dropped.kind, Kind::Ddl { rebuild: true });
                gone.extend(doomed);
                // A view that reads a table of the schema is gone already.
                for statement in dropped.statements {
                    let text = statement.text.to_string();
                    if !statements.contains(&text) {
                        statements.push(text);
                    }
                }
            }
            for sequence in of("sequence") {
                statements.push(format!(
                    "DELETE FROM towline_sequence WHERE name = {}",
                    names::quote_literal(&sequence)
                ));
            }
            for routine in of("function") {
                statements.push(format!(
                    "DELETE FROM towline_routine WHERE name = {}",
                    names::quote_literal(&routine)
                ));
            }
            for kind in of("type") {
                statements.push(format!(
                    "DELETE FROM towline_type WHERE name = {}",
                    names::quote_literal(&kind)
                ));
            }
            if !stays {
                statements.push(format!(
                    "DELETE FROM towline_schema WHERE name = {}",
                    names::quote_literal(&format!("{}{schema}", self.context.catalog.prefix))
                ));
            }
        }
        if statements.is_empty() {
            return Ok(nothing("DROP SCHEMA"));
        }
        statements.extend(rows::touch());
        Ok(translated(Kind::Ddl { rebuild }, Tag::Fixed("DROP SCHEMA"), Vec::new(), statements))
    }

    /// What lies in a schema, as (word, stored name).
    fn objects_of(&self, schema: &str) -> Vec<(&'static str, String)> {
        let catalog = self.context.catalog;
        let lies_in = |name: &str| catalog.split_name(name).0 == schema;
        let mut found = Vec::new();
        for relation in catalog.relations.values().filter(|relation| lies_in(&relation.name)) {
            found.push((relation.kind.word(), relation.name.clone()));
        }
        let sequences = catalog.sequences.keys().filter(|name| lies_in(name));
        found.extend(sequences.map(|name| ("sequence", name.clone())));
        let routines = catalog.routines.iter().filter(|routine| lies_in(&routine.name));
        found.extend(routines.map(|routine| ("function", routine.name.clone())));
        let types = catalog.types.keys().filter(|name| lies_in(name));
        found.extend(types.map(|name| ("type", name.clone())));
        found
    }
}

/// The row of a new schema.
pub(super) fn make_schema(catalog: &Catalog, name: &str) -> Vec<String> {
    let mut oids = Oids::default();
    let mut statements = vec![format!(
        "INSERT INTO towline_schema (oid, name) VALUES ({}, {})",
        oids.allot(),
        names::quote_literal(&format!("{}{name}", catalog.prefix))
    )];
    statements.extend(oids.taken());
    statements
}

fn schema_change(tag: &'static str, mut statements: Vec<String>) -> Translated {
    statements.extend(rows::touch());
    translated(Kind::Ddl { rebuild: false }, Tag::Fixed(tag), Vec::new(), statements)
}
