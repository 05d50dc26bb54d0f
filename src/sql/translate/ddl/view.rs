//! CREATE VIEW.

use std::ops::ControlFlow;

use sqlparser::ast::{CreateView, Ident, Query, visit_relations_mut};

use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Attribute, PUBLIC, Relation, RelationKind};
use crate::sql::translate::query::Wish;
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types;

impl Translator<'_> {
    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<Translated, SqlError> {
        if create.materialized {
            return Err(SqlError::unsupported("CREATE MATERIALIZED VIEW"));
        }
        let name = self.new_name_of(&create.name, create.temporary)?;
        let existing = self.context.catalog.relations.get(&name);
        let mut statements = self.schema_for(&name);
        match existing {
            Some(_) if create.if_not_exists => return Ok(super::nothing("CREATE VIEW")),
            Some(relation) if create.or_replace && relation.kind == RelationKind::View => {
                statements.push(format!("DROP VIEW {}", names::quote(&name)));
                statements.extend(rows::forget_relation(&name));
            }
            _ => self.check_free(&name)?,
        }
        let columns: Vec<String> =
            create.columns.iter().map(|column| names::fold(&column.name)).collect();
        let selected = self
            .query(&create.query, Wish { inner: true, names: Some(&columns), ..Wish::default() })?;
        if !self.params.is_empty() {
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        if self.local {
            return Err(SqlError::unsupported("a view over what belongs to a session or node"));
        }
        let mut attributes: Vec<Attribute> = Vec::with_capacity(selected.columns.len());
        for column in &selected.columns {
            if attributes.iter().any(|other| other.name == column.name) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", column.name),
                ));
            }
            attributes.push(Attribute {
                name: column.name.clone(),
                oid: if types::is_unknown(column.ty.oid) { Oid::TEXT } else { column.ty.oid },
                typmod: column.ty.typmod,
                not_null: false,
                default: None,
                identity: None,
                generated: None,
            });
        }
        let names_list: Vec<String> =
            attributes.iter().map(|attribute| attribute.name.clone()).collect();
        statements.push(view_sql(&name, &names_list, &selected.sql));
        let mut oids = Oids::default();
        let definition = self.qualified_query(&create.query).to_string();
        statements.push(rows::relation(&oids.allot(), &name, 'v', Some(&definition)));
        statements.extend(rows::attributes(&rows::oid_of(&name), &attributes));
        statements.extend(oids.taken());
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("CREATE VIEW"),
            Vec::new(),
            statements,
        ))
    }

    /// A view's query with the schemas of what it reads written out, where they aren't
    /// `public`: later readers may have another search path.
    fn qualified_query(&self, query: &Query) -> Query {
        let mut query = query.clone();
        let mut own: Vec<String> = Vec::new();
        if let Some(with) = &query.with {
            own.extend(with.cte_tables.iter().map(|cte| names::fold(&cte.alias.name)));
        }
        let _ = visit_relations_mut(&mut query, |relation| {
            let bare = matches!(names::parts(relation).as_slice(), [name] if !own.contains(name));
            if let (true, Some(found)) = (bare, self.relation_named(relation)) {
                let (schema, name) = self.context.catalog.split_name(&found.name);
                if schema != PUBLIC {
                    let ident = |name: &str| Ident::with_quote('"', name);
                    *relation = vec![ident(schema), ident(name)].into();
                }
            }
            ControlFlow::<()>::Continue(())
        });
        query
    }

    /// CREATE VIEW for SQLite, from a description; `None` for a view that SQLite's own
    /// dialect made.
    pub(super) fn view_again(&mut self, view: &Relation) -> Result<Option<String>, SqlError> {
        let Some(definition) = &view.definition else { return Ok(None) };
        let sqlparser::ast::Statement::Query(query) = syntax::parse(definition)? else {
            return Ok(None);
        };
        let columns: Vec<String> =
            view.attributes.iter().map(|attribute| attribute.name.clone()).collect();
        let wish = Wish { inner: true, names: Some(&columns), ..Wish::default() };
        let selected = self.while_defining(|this| this.query(&query, wish))?;
        Ok(Some(view_sql(&view.name, &columns, &selected.sql)))
    }
}

fn view_sql(name: &str, columns: &[String], query: &str) -> String {
    format!("CREATE VIEW {} ({}) AS {query}", names::quote(name), names::quote_all(columns))
}
