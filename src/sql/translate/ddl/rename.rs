//! ALTER TABLE and ALTER VIEW: RENAME TO, and RENAME COLUMN of views.
//!
//! A view's query is kept as text: where what it reads gets another name, the text reads it
//! under the name that it had.

use std::ops::ControlFlow;

use sqlparser::ast::{
    ObjectName, RenameTableNameKind, Statement, TableAlias, TableAliasColumnDef, TableFactor,
    VisitMut, VisitorMut,
};

use super::alter_table::mentions_column;
use super::rows;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{
    Catalog, PUBLIC, Relation, RelationKind, Sequence, parts_of_written, quote_stored,
};
use crate::sql::scan::{Scanner, Token, literal};
use crate::sql::translate::returning::{is_rowid, undefined_column};
use crate::sql::translate::utility::Words;
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};

/// What stands behind ALTER VIEW or ALTER MATERIALIZED VIEW.
pub(in crate::sql::translate) fn alter_view(
    text: &str,
    scanner: Scanner<'_>,
    kind: RelationKind,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut ahead = Words { text, scanner };
    let if_exists = ahead.take("if") && ahead.take("exists");
    let begin = ahead.scanner.offset();
    match ahead.relation(context) {
        Ok(relation) if relation.kind != kind => {
            let name = text[begin..ahead.scanner.offset()].trim();
            let message = format!("\"{name}\" is not a {}", kind.word());
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Err(error) if !if_exists => return Err(error),
        _ => {}
    }
    let altered = format!("ALTER TABLE {}", scanner.rest());
    let tag = match kind {
        RelationKind::MaterializedView => "ALTER MATERIALIZED VIEW",
        _ => "ALTER VIEW",
    };
    let altered = crate::sql::translate::translate(&altered, context)?;
    Ok(Translated { tag: Tag::Fixed(tag), ..altered })
}

impl Translator<'_> {
    pub(super) fn rename_relation(
        &mut self,
        relation: &Relation,
        name: &RenameTableNameKind,
    ) -> Result<Translated, SqlError> {
        let (RenameTableNameKind::As(name) | RenameTableNameKind::To(name)) = name;
        let schema = self.context.catalog.split_name(&relation.name).0.to_owned();
        let new = self.new_name_in((Some(schema), names::last(name).unwrap_or_default()))?;
        self.check_free(&new)?;
        let old = &relation.name;
        let (new_text, old_text) = (names::quote_literal(&new), names::quote_literal(old));
        let mut changed = self.context.catalog.clone();
        let redefined = self.redefined(relation, &new, None);
        changed.relations.remove(old);
        let renamed = Relation { name: new.clone(), ..relation.clone() };
        changed.relations.insert(new.clone(), renamed);
        let mut statements = match relation.kind {
            RelationKind::View => self.views_anew(relation, &new, changed, &redefined)?,
            _ => {
                vec![format!("ALTER TABLE {} RENAME TO {}", names::quote(old), names::quote(&new))]
            }
        };
        statements.extend([
            format!("UPDATE towline_relation SET name = {new_text} WHERE name = {old_text}"),
            format!(
                "UPDATE towline_sequence SET owner_table = {new_text} WHERE owner_table = {old_text}"
            ),
            format!("UPDATE towline_constraint SET target = {new_text} WHERE target = {old_text}"),
        ]);
        statements.extend(redefinitions(&redefined));
        let tag = Tag::Fixed("ALTER TABLE");
        Ok(translated(Kind::Ddl { rebuild: false }, tag, Vec::new(), statements))
    }

    /// ALTER TABLE … RENAME TO of a sequence or an index.
    pub(super) fn rename_otherwise(
        &self,
        kind: &str,
        old: &ObjectName,
        new: &RenameTableNameKind,
    ) -> Result<Translated, SqlError> {
        let (RenameTableNameKind::As(new) | RenameTableNameKind::To(new)) = new;
        let altered = format!("ALTER {kind} {old} RENAME TO {new}");
        let altered = crate::sql::translate::translate(&altered, self.context)?;
        Ok(Translated { tag: Tag::Fixed("ALTER TABLE"), ..altered })
    }

    /// What lets the defaults that draw from a sequence do so under its new name, and whether
    /// tables are rebuilt for it: SQLite has the name in their text.
    pub(super) fn drawing_from(
        &self,
        sequence: &Sequence,
        new: &str,
    ) -> Result<(bool, Vec<String>), SqlError> {
        let mut catalog = self.context.catalog.clone();
        catalog.sequences.remove(&sequence.name);
        let renamed = Sequence { name: new.to_owned(), ..sequence.clone() };
        catalog.sequences.insert(new.to_owned(), renamed);
        let shown = names::quote_literal(&quote_stored(&catalog, new));
        let context = TranslateContext { catalog: &catalog, ..*self.context };
        let mut translator = Translator::new(self.text, &context);
        let (mut rebuild, mut statements) = (false, Vec::new());
        for relation in self.context.catalog.relations.values() {
            let mut redrawn = relation.clone();
            let mut in_text = false;
            for attribute in &mut redrawn.attributes {
                let own = (relation.name.clone(), attribute.name.clone());
                let identity = attribute.identity.is_some() && sequence.owner == Some(own);
                let default = attribute.default.as_deref();
                let default = default.and_then(|text| self.redrawn(text, &sequence.name, &shown));
                if default.is_none() && !identity {
                    continue;
                }
                in_text |= !is_rowid(relation, &attribute.name);
                if let Some(default) = default {
                    statements.push(format!(
                        "UPDATE towline_attribute SET default_expr = {} WHERE relation = {} AND \
                         name = {}",
                        names::quote_literal(&default),
                        rows::oid_of(&relation.name),
                        names::quote_literal(&attribute.name)
                    ));
                    attribute.default = Some(default);
                }
            }
            if in_text {
                rebuild = true;
                statements.extend(translator.rebuilt_as(relation, &redrawn, &[])?);
            }
        }
        Ok((rebuild, statements))
    }

    /// A default with another name, as a literal, where it names the sequence.
    fn redrawn(&self, default: &str, sequence: &str, new: &str) -> Option<String> {
        let mut scanner = Scanner::new(default);
        while let Ok(Some(token)) = scanner.next() {
            let Token::Literal(written) = token else { continue };
            let mut ahead = scanner;
            let is_class =
                ahead.take_symbol(b':') && ahead.take_symbol(b':') && ahead.take_word("regclass");
            let mut parts = parts_of_written(&literal(written)?);
            let name = parts.pop()?;
            let found = self.find_sequence(parts.last().map(String::as_str), &name);
            if is_class && found.as_deref() == Some(sequence) {
                let (before, behind) = (&default[..scanner.start], &default[scanner.offset()..]);
                return Some(format!("{before}{new}{behind}"));
            }
        }
        None
    }

    /// RENAME COLUMN of a view.
    pub(super) fn rename_view_column(
        &mut self,
        view: &Relation,
        old: &str,
        new: &str,
    ) -> Result<Translated, SqlError> {
        if view.attribute(new).is_some() {
            let message = format!("column \"{new}\" of relation \"{}\" already exists", view.name);
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let mut renamed = view.clone();
        let attribute = renamed.attributes.iter_mut().find(|attribute| attribute.name == old);
        let Some(attribute) = attribute else { return Err(undefined_column(view, old)) };
        new.clone_into(&mut attribute.name);
        let redefined = self.redefined(view, &view.name, Some(old));
        let mut changed = self.context.catalog.clone();
        changed.relations.insert(view.name.clone(), renamed);
        let mut statements = match view.kind {
            RelationKind::View => self.views_anew(view, &view.name, changed, &redefined)?,
            _ => vec![format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                names::quote(&view.name),
                names::quote(old),
                names::quote(new)
            )],
        };
        statements.push(format!(
            "UPDATE towline_attribute SET name = {} WHERE relation = {} AND name = {}",
            names::quote_literal(new),
            rows::oid_of(&view.name),
            names::quote_literal(old)
        ));
        statements.extend(redefinitions(&redefined));
        let tag = Tag::Fixed("ALTER TABLE");
        Ok(translated(Kind::Ddl { rebuild: false }, tag, Vec::new(), statements))
    }

    /// The views that read a relation themselves, with definitions that read it as what it
    /// was: by its name, and where they read a column that is renamed by its columns' names.
    pub(super) fn redefined(
        &self,
        old: &Relation,
        new: &str,
        column: Option<&str>,
    ) -> Vec<Relation> {
        let (schema, bare) = self.context.catalog.split_name(new);
        let read_as: ObjectName = match schema {
            PUBLIC => vec![names::ident(bare)].into(),
            schema => vec![names::ident(schema), names::ident(bare)].into(),
        };
        let attributes: &[_] = if column.is_some() { &old.attributes } else { &[] };
        let reading = column.map(|column| self.views_reading(&old.name, column));
        let mut redefined = self.reading_otherwise(old, |name, alias| {
            let called = names::last(name).unwrap_or_default();
            *name = read_as.clone();
            let alias = alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: names::ident(&called),
                columns: Vec::new(),
                at: None,
            });
            let named = alias.columns.len();
            let more = attributes.iter().skip(named);
            alias.columns.extend(more.map(|attribute| TableAliasColumnDef {
                name: names::ident(&attribute.name),
                data_type: None,
            }));
        });
        redefined.retain(|view| {
            let reads = |reading: &Vec<Relation>| reading.iter().any(|other| other.oid == view.oid);
            reading.as_ref().is_none_or(reads)
        });
        redefined
    }

    /// The views that read a relation themselves, with definitions that give no names to
    /// those of its columns that go.
    pub(super) fn without_columns(&self, relation: &Relation, gone: &[usize]) -> Vec<Relation> {
        self.reading_otherwise(relation, |_, alias| {
            if let Some(alias) = alias {
                let mut at = 0..;
                alias.columns.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
            }
        })
    }

    /// The views that read a relation themselves, where `change` changes how.
    fn reading_otherwise(
        &self,
        relation: &Relation,
        mut change: impl FnMut(&mut ObjectName, &mut Option<TableAlias>),
    ) -> Vec<Relation> {
        let mut changed = Vec::new();
        for view in self.views_over(&relation.name) {
            let parsed = view.definition.as_deref().map(syntax::parse);
            let Some(Ok(mut parsed)) = parsed else { continue };
            let before = parsed.clone();
            self.each_reading(&mut parsed, relation, &mut change);
            if parsed != before {
                changed.push(Relation { definition: Some(parsed.to_string()), ..view.clone() });
            }
        }
        changed
    }

    /// The views over a table whose queries may read one of its columns.
    pub(super) fn views_reading(&self, table: &str, column: &str) -> Vec<Relation> {
        let relation = self.context.catalog.relations.get(table);
        let at = relation
            .and_then(|table| table.attributes.iter().position(|other| other.name == column));
        let reads = |view: &&Relation| {
            let parsed = view.definition.as_deref().map(syntax::parse);
            let Some(Ok(mut parsed)) = parsed else { return true };
            let mut called = vec![column.to_owned()];
            if let (Some(relation), Some(at)) = (relation, at) {
                self.each_reading(&mut parsed, relation, &mut |_, alias| {
                    let named = alias.as_ref().and_then(|alias| alias.columns.get(at));
                    called.extend(named.map(|column| names::fold(&column.name)));
                });
            }
            let text = parsed.to_string();
            called.iter().any(|name| mentions_column(&parsed, name))
                || text.contains("SELECT *")
                || text.contains(".*")
        };
        self.views_over(table).into_iter().filter(reads).cloned().collect()
    }

    /// Calls `act` with each name that reads the relation in FROM, and its alias.
    fn each_reading(
        &self,
        parsed: &mut Statement,
        relation: &Relation,
        act: &mut dyn FnMut(&mut ObjectName, &mut Option<TableAlias>),
    ) {
        let _ =
            VisitMut::visit(parsed, &mut Reading { catalog: self.context.catalog, relation, act });
    }

    /// Makes a view and those that read it anew in SQLite, as they are called and defined in
    /// the changed catalog.
    fn views_anew(
        &self,
        view: &Relation,
        new: &str,
        mut changed: Catalog,
        redefined: &[Relation],
    ) -> Result<Vec<String>, SqlError> {
        let above = self.views_over(&view.name);
        let above: Vec<String> = above
            .into_iter()
            .filter(|above| above.kind == RelationKind::View)
            .map(|above| above.name.clone())
            .collect();
        for view in redefined {
            changed.relations.insert(view.name.clone(), view.clone());
        }
        let gone = above.iter().rev().chain([&view.name]);
        let mut statements: Vec<String> =
            gone.map(|name| format!("DROP VIEW {}", names::quote(name))).collect();
        let context = TranslateContext { catalog: &changed, ..*self.context };
        let mut translator = Translator::new(self.text, &context);
        for name in [new].into_iter().chain(above.iter().map(String::as_str)) {
            if let Some(view) = changed.relations.get(name) {
                statements.extend(translator.view_again(view)?);
            }
        }
        Ok(statements)
    }
}

/// The rows of views that read what they did by another definition.
pub(super) fn redefinitions(redefined: &[Relation]) -> Vec<String> {
    let update = |view: &Relation| {
        format!(
            "UPDATE towline_relation SET definition = {} WHERE name = {}",
            names::quote_literal(view.definition.as_deref().unwrap_or_default()),
            names::quote_literal(&view.name)
        )
    };
    redefined.iter().map(update).collect()
}

struct Reading<'r> {
    catalog: &'r Catalog,
    relation: &'r Relation,
    act: &'r mut dyn FnMut(&mut ObjectName, &mut Option<TableAlias>),
}

impl VisitorMut for Reading<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && let Some(read) = self.catalog.relation_written(name)
            && read.oid == self.relation.oid
        {
            (self.act)(name, alias);
        }
        ControlFlow::Continue(())
    }
}
