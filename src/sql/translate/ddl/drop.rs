//! DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA: several names, IF EXISTS, CASCADE.

use sqlparser::ast::{ObjectType, Statement};

use super::nothing;
use super::rows;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Attribute, Relation, RelationKind};
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    pub(super) fn drop(&mut self, statement: &Statement) -> Result<Translated, SqlError> {
        let Statement::Drop { object_type, if_exists, names: objects, cascade, .. } = statement
        else {
            return Err(SqlError::unsupported("this statement"));
        };
        let mut wanted = Vec::with_capacity(objects.len());
        for object in objects {
            let name = match object_type {
                ObjectType::Schema => names::last(object).unwrap_or_default(),
                ObjectType::Type => self.stored_type(object)?,
                _ => {
                    let (schema, _) = self.qualified(object)?;
                    let unknown = schema.map_or(Ok(()), |schema| self.check_schema(&schema));
                    match unknown {
                        Err(error) if *if_exists => {
                            let state = SqlState::SUCCESSFUL_COMPLETION;
                            self.skipped(state, format_args!("{}", error.message));
                            continue;
                        }
                        other => other?,
                    }
                    self.stored(object)?
                }
            };
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        self.demand_owners(object_type, &wanted);
        match object_type {
            ObjectType::Table => {
                self.drop_relations(&wanted, RelationKind::Table, *if_exists, *cascade)
            }
            ObjectType::View => {
                self.drop_relations(&wanted, RelationKind::View, *if_exists, *cascade)
            }
            ObjectType::Index => self.drop_indexes(&wanted, *if_exists),
            ObjectType::Sequence => self.drop_sequences(&wanted, *if_exists, *cascade),
            ObjectType::Schema => self.drop_schemas(&wanted, *if_exists, *cascade),
            ObjectType::Type => self.drop_types("DROP TYPE", &wanted, *if_exists, *cascade),
            ObjectType::MaterializedView => {
                self.drop_relations(&wanted, RelationKind::MaterializedView, *if_exists, *cascade)
            }
            other => Err(SqlError::unsupported(format_args!("DROP {other}"))),
        }
    }

    pub(super) fn drop_relations(
        &mut self,
        wanted: &[String],
        kind: RelationKind,
        if_exists: bool,
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let word = kind.word();
        let tag = match kind {
            RelationKind::Table => "DROP TABLE",
            RelationKind::View => "DROP VIEW",
            RelationKind::MaterializedView => "DROP MATERIALIZED VIEW",
        };
        let mut doomed: Vec<&Relation> = Vec::new();
        for name in wanted {
            match self.context.catalog.relations.get(name) {
                Some(relation) if relation.kind == kind => doomed.push(relation),
                Some(_) => {
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is not a {word}", self.context.catalog.bare(name)),
                    ));
                }
                None if if_exists => self.skip_missing(word, name),
                None => return Err(undefined(word, self.context.catalog.bare(name))),
            }
        }
        if doomed.is_empty() {
            return Ok(nothing(tag));
        }
        let is_doomed =
            |doomed: &[&Relation], name: &str| doomed.iter().any(|relation| relation.name == name);
        // Views go first, those that read others before them.
        let mut views: Vec<String> = Vec::new();
        let mut constraints = Vec::new();
        for relation in &doomed {
            for view in self.views_over(&relation.name) {
                if is_doomed(&doomed, &view.name) || views.contains(&view.name) {
                    continue;
                }
                if !cascade {
                    return Err(depended_on(word, self.shown(&relation.name)).with_detail(
                        format!(
                            "{} {} depends on {word} {}",
                            view.kind.word(),
                            self.shown(&view.name),
                            self.shown(&relation.name)
                        ),
                    ));
                }
                views.push(view.name.clone());
            }
            for (other, constraint) in self.referencing(&relation.name) {
                if is_doomed(&doomed, &other.name) {
                    continue;
                }
                if !cascade {
                    return Err(depended_on(word, &relation.name).with_detail(format!(
                        "constraint {} on table {} depends on table {}",
                        constraint.name, other.name, relation.name
                    )));
                }
                constraints.push((other.name.clone(), constraint.name.clone()));
            }
        }
        let mut statements = Vec::new();
        for view in views.iter().rev() {
            statements.extend(self.drop_view(view));
        }
        let rebuild = !constraints.is_empty()
            || doomed.iter().any(|relation| !self.referencing(&relation.name).is_empty());
        let mut changed: Vec<String> = Vec::new();
        for (table, _) in &constraints {
            if changed.contains(table) {
                continue;
            }
            changed.push(table.clone());
            let dropped: Vec<&String> = constraints
                .iter()
                .filter(|(other, _)| other == table)
                .map(|(_, constraint)| constraint)
                .collect();
            if let Some(relation) = self.context.catalog.relations.get(table) {
                let mut without = relation.clone();
                without.constraints.retain(|constraint| !dropped.contains(&&constraint.name));
                statements.extend(self.rebuilt_as(relation, &without, &views)?);
            }
        }
        for relation in &doomed {
            let verb = drop_verb(Some(relation));
            statements.push(format!("{verb} {}", names::quote(&relation.name)));
            statements.extend(rows::forget_relation(&relation.name));
        }
        Ok(translated(Kind::Ddl { rebuild }, Tag::Fixed(tag), Vec::new(), statements))
    }

    fn drop_view(&self, view: &str) -> Vec<String> {
        let verb = drop_verb(self.context.catalog.relations.get(view));
        let mut statements = vec![format!("{verb} {}", names::quote(view))];
        statements.extend(rows::forget_relation(view));
        statements
    }

    /// Drops views and those that read them, and adds all to those that are gone.
    pub(super) fn drop_views_with(
        &self,
        views: &[&Relation],
        gone: &mut Vec<String>,
    ) -> Vec<String> {
        let mut doomed: Vec<String> = Vec::new();
        for view in views {
            let above = self.views_over(&view.name).into_iter();
            for name in [*view].into_iter().chain(above).map(|view| &view.name) {
                doomed.retain(|known| known != name);
                doomed.push(name.clone());
            }
        }
        doomed.retain(|name| !gone.contains(name));
        gone.extend(doomed.iter().cloned());
        doomed.iter().rev().flat_map(|view| self.drop_view(view)).collect()
    }

    pub(super) fn skip_missing(&mut self, word: &str, name: &str) {
        let state = SqlState::SUCCESSFUL_COMPLETION;
        let name = self.shown(name).to_owned();
        self.skipped(state, format_args!("{word} \"{name}\" does not exist"));
    }

    fn drop_indexes(&mut self, wanted: &[String], if_exists: bool) -> Result<Translated, SqlError> {
        let mut statements = Vec::new();
        for name in wanted {
            let Some((relation, _)) = self.find_index(name) else {
                if if_exists {
                    self.skip_missing("index", name);
                    continue;
                }
                return Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("index \"{name}\" does not exist"),
                ));
            };
            self.demand_owner_of(relation);
            if relation.constraints.iter().any(|constraint| constraint.name == *name) {
                return Err(SqlError::new(
                    SqlState("2BP01"),
                    format!(
                        "cannot drop index {name} because constraint {name} on table {} requires it",
                        relation.name
                    ),
                ));
            }
            statements.push(format!("DROP INDEX {}", names::quote(name)));
            statements.push(format!(
                "DELETE FROM towline_index WHERE name = {}",
                names::quote_literal(name)
            ));
        }
        if statements.is_empty() {
            return Ok(nothing("DROP INDEX"));
        }
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("DROP INDEX"),
            Vec::new(),
            statements,
        ))
    }

    fn drop_sequences(
        &mut self,
        wanted: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let mut statements = Vec::new();
        for name in wanted {
            match self.context.catalog.sequences.get(name) {
                None if if_exists => self.skip_missing("sequence", name),
                None => return Err(undefined("sequence", self.context.catalog.bare(name))),
                Some(sequence) => {
                    if let Some((table, column)) = self.context.catalog.drawing(sequence)
                        && !cascade
                    {
                        return Err(drawn_by(self.shown(name), self.shown(&table.name), column));
                    }
                    statements.push(format!(
                        "DELETE FROM towline_sequence WHERE name = {}",
                        names::quote_literal(name)
                    ));
                }
            }
        }
        if statements.is_empty() {
            return Ok(nothing("DROP SEQUENCE"));
        }
        statements.extend(rows::touch());
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("DROP SEQUENCE"),
            Vec::new(),
            statements,
        ))
    }
}

/// The refusal to drop a sequence that a column draws from.
fn drawn_by(sequence: &str, table: &str, column: &Attribute) -> SqlError {
    let of_identity = column.identity.is_some();
    let column = format!("column {} of table {table}", column.name);
    if of_identity {
        let text = format!("cannot drop sequence {sequence} because {column} requires it");
        return SqlError::new(SqlState("2BP01"), text)
            .with_hint(format!("You can drop {column} instead."));
    }
    let detail = format!("default value for {column} depends on sequence {sequence}");
    depended_on("sequence", sequence).with_detail(detail)
}

/// How SQLite drops a relation: a materialized view is a table to it.
fn drop_verb(relation: Option<&Relation>) -> &'static str {
    match relation.map(|relation| relation.kind) {
        Some(RelationKind::Table | RelationKind::MaterializedView) => "DROP TABLE",
        Some(RelationKind::View) | None => "DROP VIEW",
    }
}

pub(super) fn undefined(word: &str, name: &str) -> SqlError {
    let state = if word == "type" { SqlState::UNDEFINED_OBJECT } else { SqlState::UNDEFINED_TABLE };
    SqlError::new(state, format!("{word} \"{name}\" does not exist"))
}

pub(super) fn depended_on(word: &str, name: &str) -> SqlError {
    SqlError::new(
        SqlState("2BP01"),
        format!("cannot drop {word} {name} because other objects depend on it"),
    )
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
