//! DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA: several names, IF EXISTS, CASCADE.

use sqlparser::ast::{ObjectType, Statement};

use super::nothing;
use super::rows;
use crate::pg::{Severity, SqlError, SqlState};
use crate::sql::catalog::{Attribute, Object, Relation, RelationKind, class_of};
use crate::sql::translate::returning::is_rowid;
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

/// How many dependent objects a client is told of.
const TOLD_MAX: usize = 100;

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
        let dropped: Vec<Object> = doomed.iter().map(|relation| class_of(relation.oid)).collect();
        self.cascade(&dropped, cascade)?;
        self.drop_all(&doomed, cascade)
    }

    /// Drops relations of one kind and what depends on them, which is told already.
    pub(super) fn drop_all(
        &mut self,
        doomed: &[&Relation],
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let tag = match doomed.first().map(|relation| relation.kind) {
            Some(RelationKind::View) => "DROP VIEW",
            Some(RelationKind::MaterializedView) => "DROP MATERIALIZED VIEW",
            _ => "DROP TABLE",
        };
        let is_doomed = |name: &str| doomed.iter().any(|relation| relation.name == name);
        // Views go first, those that read others before them.
        let mut views: Vec<String> = Vec::new();
        let mut constraints = Vec::new();
        for relation in doomed {
            for view in self.views_over(&relation.name) {
                if is_doomed(&view.name) || views.contains(&view.name) {
                    continue;
                }
                if !cascade {
                    // It reads it by a function whose body it holds.
                    let (word, shown) = (relation.kind.word(), self.shown(&relation.name));
                    let view = format!("{} {}", view.kind.word(), self.shown(&view.name));
                    return Err(depended_on(word, shown)
                        .with_detail(format!("{view} depends on {word} {shown}")));
                }
                views.push(view.name.clone());
            }
            for (other, constraint) in self.referencing(&relation.name) {
                if !is_doomed(&other.name) {
                    constraints.push((other.name.clone(), constraint.name.clone()));
                }
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
        let dropped: Vec<Object> = doomed.iter().map(|relation| class_of(relation.oid)).collect();
        for routine in self.context.catalog.routines_gone_with(&dropped) {
            statements.extend(rows::forget_routine(routine));
        }
        for relation in doomed {
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

    /// Tells what goes with objects that are dropped, or refuses to drop them for it.
    pub(super) fn cascade(&mut self, dropped: &[Object], cascade: bool) -> Result<(), SqlError> {
        let (catalog, path) = (self.context.catalog, self.path());
        let what = match dropped {
            [only] => catalog.described(*only, &path),
            _ => None,
        };
        self.cascade_to(what, catalog.dependents(dropped, &path), cascade)
    }

    /// As [`Self::cascade`], of one object or of several, and each that depends on what.
    pub(super) fn cascade_to(
        &mut self,
        dropped: Option<String>,
        dependents: Vec<(String, String)>,
        cascade: bool,
    ) -> Result<(), SqlError> {
        let listed = |line: &dyn Fn(&(String, String)) -> String| {
            let mut lines: Vec<String> = dependents.iter().take(TOLD_MAX).map(line).collect();
            match dependents.len().saturating_sub(TOLD_MAX) {
                0 => {}
                1 => lines.push("and 1 other object (see server log for list)".to_owned()),
                more => lines.push(format!("and {more} other objects (see server log for list)")),
            }
            lines.join("\n")
        };
        if dependents.is_empty() {
            return Ok(());
        }
        if !cascade {
            let detail = listed(&|(object, on)| format!("{object} depends on {on}"));
            let (what, it) = match &dropped {
                Some(what) => (what.as_str(), "it"),
                None => ("desired object(s)", "them"),
            };
            return Err(refused(what, it).with_detail(detail));
        }
        let detail = listed(&|(object, _)| format!("drop cascades to {object}"));
        let state = SqlState::SUCCESSFUL_COMPLETION;
        let notice = match dependents.len() {
            1 => SqlError::new(state, detail),
            count => SqlError::new(state, format!("drop cascades to {count} other objects"))
                .with_detail(detail),
        };
        self.notices.push(SqlError { severity: Severity::Notice, ..notice });
        Ok(())
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
        let (mut statements, mut dropped) = (Vec::new(), Vec::new());
        for name in wanted {
            match self.context.catalog.sequences.get(name) {
                None if if_exists => self.skip_missing("sequence", name),
                None => return Err(undefined("sequence", self.context.catalog.bare(name))),
                Some(sequence) => {
                    if let Some((table, column)) = self.context.catalog.drawing(sequence)
                        && column.identity.is_some()
                    {
                        let column =
                            format!("column {} of table {}", column.name, self.shown(&table.name));
                        return Err(required(self.shown(name), &column));
                    }
                    dropped.push(class_of(sequence.oid));
                    statements.push(format!(
                        "DELETE FROM towline_sequence WHERE name = {}",
                        names::quote_literal(name)
                    ));
                }
            }
        }
        self.cascade(&dropped, cascade)?;
        if statements.is_empty() {
            return Ok(nothing("DROP SEQUENCE"));
        }
        let (rebuild, without) = self.without_drawing(wanted)?;
        statements.extend(without);
        statements.extend(rows::touch());
        let tag = Tag::Fixed("DROP SEQUENCE");
        Ok(translated(Kind::Ddl { rebuild }, tag, Vec::new(), statements))
    }

    /// What takes from columns the defaults that draw from sequences which go, and whether
    /// tables are rebuilt for it.
    fn without_drawing(&mut self, sequences: &[String]) -> Result<(bool, Vec<String>), SqlError> {
        let catalog = self.context.catalog;
        let (mut rebuild, mut statements) = (false, Vec::new());
        let gone = || sequences.iter().filter_map(|name| catalog.sequences.get(name));
        for relation in catalog.relations.values() {
            let mut changed = relation.clone();
            for attribute in &mut changed.attributes {
                if !gone().any(|sequence| catalog.draws(relation, attribute, sequence.oid)) {
                    continue;
                }
                attribute.default = None;
                rebuild |= !is_rowid(relation, &attribute.name);
                statements.push(format!(
                    "UPDATE towline_attribute SET default_expr = NULL WHERE relation = {} AND \
                     name = {}",
                    rows::oid_of(&relation.name),
                    names::quote_literal(&attribute.name)
                ));
            }
            let same = |(old, new): (&Attribute, &Attribute)| {
                old.default == new.default || is_rowid(relation, &old.name)
            };
            if !relation.attributes.iter().zip(&changed.attributes).all(same) {
                statements.extend(self.rebuilt_as(relation, &changed, &[])?);
            }
        }
        Ok((rebuild, statements))
    }
}

/// The refusal to drop the sequence of an identity column.
fn required(sequence: &str, column: &str) -> SqlError {
    let text = format!("cannot drop sequence {sequence} because {column} requires it");
    SqlError::new(SqlState("2BP01"), text).with_hint(format!("You can drop {column} instead."))
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
    refused(&format!("{word} {name}"), "it")
}

fn refused(what: &str, it: &str) -> SqlError {
    let text = format!("cannot drop {what} because other objects depend on {it}");
    SqlError::new(SqlState("2BP01"), text)
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
