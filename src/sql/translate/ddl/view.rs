//! CREATE VIEW.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CreateTableOptions, CreateView, Expr, Ident, Query, SqlOption, visit_expressions_mut,
    visit_relations, visit_relations_mut,
};

use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, CheckOption, Index, ObjectKind, PUBLIC, Relation, RelationKind, Rights, SimpleView,
    quote_qualified, split_order,
};
use crate::sql::scan::{self, Scanner};
use crate::sql::translate::query::Wish;
use crate::sql::translate::with::calls_volatile;
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Demand, Kind, Tag, TranslateContext, Translated};
use crate::sql::types;

impl Translator<'_> {
    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<Translated, SqlError> {
        let name = self.new_name_of(&create.name, create.temporary)?;
        let existing = self.context.catalog.relations.get(&name);
        let mut statements = self.schema_for(&name);
        match existing {
            Some(_) if create.if_not_exists => {
                self.skip_existing(&name);
                let tag =
                    if create.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
                return Ok(super::nothing(tag));
            }
            Some(relation) if create.or_replace && relation.kind == RelationKind::View => {
                self.demand_owner_of(relation);
                statements.push(format!("DROP VIEW {}", names::quote(&name)));
                statements.extend(rows::forget_relation(&name));
            }
            _ => self.check_free(&name)?,
        }
        let columns: Vec<String> =
            create.columns.iter().map(|column| names::fold(&column.name)).collect();
        let query = self.with_columns_named(&create.query)?;
        let definition = self.qualified_query(&query).to_string();
        if create.materialized {
            return self.create_table_as(&name, &columns, &query, Some(definition));
        }
        let selected =
            self.query(&query, Wish { inner: true, names: Some(&columns), ..Wish::default() })?;
        if !self.params.is_empty() {
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        let mut attributes: Vec<Attribute> = Vec::with_capacity(selected.columns.len());
        for column in &selected.columns {
            self.check_storable(column.ty, &column.name)?;
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
        if let Some(existing) = existing {
            self.check_replacement(existing, &attributes)?;
        }
        let names_list: Vec<String> =
            attributes.iter().map(|attribute| attribute.name.clone()).collect();
        statements.push(view_sql(&name, &names_list, &selected.sql, &query));
        let mut oids = Oids::default();
        statements.push(rows::relation(&oids.allot(), &name, 'v', Some(&definition)));
        if let Some(option) = self.check_option(create)? {
            if let Err(why) = SimpleView::of_query(&definition) {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "WITH CHECK OPTION is supported only on automatically updatable views",
                )
                .with_hint(why));
            }
            statements.push(rows::check_option(&name, option));
        }
        statements.extend(rows::attributes(&rows::oid_of(&name), &attributes));
        statements.extend(oids.taken());
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("CREATE VIEW"),
            Vec::new(),
            statements,
        ))
    }

    /// OR REPLACE only adds columns behind those that a view has.
    fn check_replacement(&self, view: &Relation, columns: &[Attribute]) -> Result<(), SqlError> {
        let refused = |text: String| Err(SqlError::new(SqlState("42P16"), text));
        if columns.len() < view.attributes.len() {
            return refused("cannot drop columns from view".to_owned());
        }
        for (old, new) in view.attributes.iter().zip(columns) {
            let name = &old.name;
            if *name != new.name {
                let text =
                    format!("cannot change name of view column \"{name}\" to \"{}\"", new.name);
                let hint = "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column \
                            instead.";
                return refused(text).map_err(|error: SqlError| error.with_hint(hint));
            }
            if (old.oid, old.typmod) != (new.oid, new.typmod) {
                let catalog = self.context.catalog;
                let shown = |column: &Attribute| {
                    catalog
                        .format_type(column.oid, Some(column.typmod).filter(|typmod| *typmod >= 0))
                };
                return refused(format!(
                    "cannot change data type of view column \"{name}\" from {} to {}",
                    shown(old),
                    shown(new)
                ));
            }
        }
        Ok(())
    }

    /// What the view asks of rows that are written through it.
    fn check_option(&self, create: &CreateView) -> Result<Option<CheckOption>, SqlError> {
        let CreateTableOptions::With(options) = &create.options else {
            return Ok(self.clauses.check_option);
        };
        for option in options {
            let SqlOption::KeyValue { key, value } = option else { continue };
            if key.value.eq_ignore_ascii_case("check_option") {
                let word = value.to_string().trim_matches('\'').to_ascii_lowercase();
                return match CheckOption::named(&word) {
                    Some(option) => Ok(Some(option)),
                    None => Err(SqlError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "invalid value for enum option \"check_option\": ".to_owned() + &word,
                    )
                    .with_detail("Valid values are \"local\" and \"cascaded\".")),
                };
            }
        }
        Ok(self.clauses.check_option)
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
        let _ = visit_expressions_mut(&mut query, |expr| {
            if let Expr::Function(call) = expr
                && let [bare] = names::parts(&call.name).as_slice()
                && let Some(found) = self.routines_named(None, bare).first()
            {
                let (schema, name) = self.context.catalog.split_name(&found.name);
                if schema != PUBLIC {
                    let ident = |name: &str| Ident::with_quote('"', name);
                    call.name = vec![ident(schema), ident(name)].into();
                }
            }
            ControlFlow::<()>::Continue(())
        });
        query
    }

    /// Fails where a statement reads a materialized view that holds nothing yet.
    pub(in crate::sql::translate) fn check_readable(
        &self,
        translated: &Translated,
    ) -> Result<(), SqlError> {
        let catalog = self.context.catalog;
        let runs = match translated.kind {
            Kind::Read { .. } | Kind::Write | Kind::Advisory => true,
            _ => translated.tag == Tag::SelectInto,
        };
        if !runs || catalog.relations.values().all(|relation| relation.populated) {
            return Ok(());
        }
        for demand in self.demands.borrow().iter() {
            if let Demand::Rights { kind: ObjectKind::Table, object, rights } = demand
                && !rights.and(Rights::SELECT).is_empty()
                && let Some(relation) = catalog.relation(*object)
            {
                self.check_populated(relation)?;
            }
        }
        Ok(())
    }

    /// Fails where a relation, or what a view reads, holds nothing yet.
    pub(in crate::sql::translate) fn check_populated(
        &self,
        relation: &Relation,
    ) -> Result<(), SqlError> {
        if !relation.populated {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "materialized view \"{}\" has not been populated",
                    self.shown(&relation.name)
                ),
            )
            .with_hint("Use the REFRESH MATERIALIZED VIEW command."));
        }
        match &relation.definition {
            Some(definition) if relation.kind == RelationKind::View => {
                self.check_populated_in(definition)
            }
            _ => Ok(()),
        }
    }

    fn check_populated_in(&self, definition: &str) -> Result<(), SqlError> {
        let Ok(parsed) = syntax::parse(definition) else { return Ok(()) };
        let checked = visit_relations(&parsed, |name| {
            let read = self.context.catalog.relation_written(name);
            match read.map_or(Ok(()), |read| self.check_populated(read)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        checked.break_value().map_or(Ok(()), Err)
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
        Ok(Some(view_sql(&view.name, &columns, &selected.sql, &query)))
    }
}

/// What stands behind REFRESH: the rows of a materialized view are made anew.
pub(in crate::sql::translate) fn refresh(
    text: &str,
    mut scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut translator = Translator::new(text, context);
    let wrong = || syntax::syntax_error("REFRESH", None);
    if !scanner.take_word("materialized") || !scanner.take_word("view") {
        return Err(wrong());
    }
    let concurrently = scanner.take_word("concurrently");
    let mut parts = Vec::new();
    while let Ok(Some(token)) = scanner.next() {
        parts.push(scan::identifier(token).ok_or_else(wrong)?);
        if !scanner.take_symbol(b'.') {
            break;
        }
    }
    let empty = scanner.take_word("with") && scanner.take_word("no");
    let (schema, name) = translator.qualified_parts(parts)?;
    let relation = translator.find_relation(schema.as_deref(), &name);
    let (Some(view), Some(definition)) = (relation, relation.and_then(|r| r.definition.as_ref()))
    else {
        return Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        ));
    };
    if view.kind != RelationKind::MaterializedView {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{name}\" is not a materialized view"),
        ));
    }
    translator.demand_owner_of(view);
    if concurrently && empty {
        let text = "REFRESH options CONCURRENTLY and WITH NO DATA cannot be used together";
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, text));
    }
    if concurrently && !view.populated {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "CONCURRENTLY cannot be used when the materialized view is not populated",
        ));
    }
    let tells_apart = |index: &Index| {
        index.unique && index.predicate.is_none() && {
            index.columns.iter().all(|column| view.attribute(split_order(column).0).is_some())
        }
    };
    if concurrently && !view.indexes.iter().any(tells_apart) {
        let shown = quote_qualified(context.catalog, &view.name);
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot refresh materialized view \"{shown}\" concurrently"),
        )
        .with_hint(
            "Create a unique index with no WHERE clause on one or more columns of the \
             materialized view.",
        ));
    }
    let mut statements = vec![format!("DELETE FROM {}", names::quote(&view.name))];
    if !empty {
        translator.check_populated_in(definition)?;
        let sqlparser::ast::Statement::Query(query) = syntax::parse(definition)? else {
            return Err(wrong());
        };
        let wish = Wish { inner: true, ..Wish::default() };
        let selected = translator.while_defining(|this| this.query(&query, wish))?;
        statements.push(format!("INSERT INTO {} {}", names::quote(&view.name), selected.sql));
    }
    let tag = Tag::Fixed("REFRESH MATERIALIZED VIEW");
    let mut kind = Kind::Write;
    if view.populated == empty {
        kind = Kind::Ddl { rebuild: false };
        let view = Relation { populated: !empty, ..view.clone() };
        statements.push(rows::stored_kind(&view));
        statements.extend(rows::touch());
    }
    Ok(translator.demanding(translated(kind, tag, Vec::new(), statements)))
}

/// CREATE VIEW for SQLite, of the text that it has for `query`.
fn view_sql(name: &str, columns: &[String], text: &str, query: &Query) -> String {
    let (name, columns) = (names::quote(name), names::quote_all(columns));
    match calls_volatile(query) {
        true => format!(
            "CREATE VIEW {name} ({columns}) AS WITH towline_rows ({columns}) AS MATERIALIZED \
             ({text}) SELECT * FROM towline_rows"
        ),
        false => format!("CREATE VIEW {name} ({columns}) AS {text}"),
    }
}
