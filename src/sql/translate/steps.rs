//! Statements that SQLite needs several of its own for, where one hands rows to the
//! next: data-modifying WITH, RETURNING of other tables' columns, MERGE.
//!
//! A statement that keeps its rows packs each into one value (`towline_pack`); those
//! behind it read them as `json_each(?n)`, `n` being a parameter behind the client's.
//! On followers they are parameters like any other. PostgreSQL runs all parts of such a
//! statement on one snapshot; here each sees what those before it have done, so a part
//! that reads a table which one before it changes is refused.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use sqlparser::ast::{Query, SetExpr, Statement, TableFactor, TableObject, With, visit_relations};

use super::returning::type_of_column;
use super::scope::SourceColumn;
use super::{CommonTable, Translator, names, row};
use crate::pg::SqlError;
use crate::sql::catalog::{Relation, RelationKind, SimpleView};
use crate::sql::translated::{Kind, SqliteStatement, Tag, Translated};

/// What stands in a text for the parameter of kept rows, until it is known how many
/// parameters the client's statement has; a number and `?` follow.
const PLACE: &str = "?towline_kept_";

/// Rows that one statement keeps for those behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept(usize);

impl Kept {
    /// The parameter, in a statement's text.
    pub(super) fn parameter(self) -> String {
        format!("{PLACE}{}?", self.0)
    }

    /// `text` as the statement that keeps them.
    pub(super) fn of(self, text: String) -> SqliteStatement {
        SqliteStatement { keeps: Some(self.0), ..super::shipped(text) }
    }
}

impl Translator<'_> {
    /// Room for rows that a statement keeps.
    pub(super) fn keep(&mut self) -> Result<Kept, SqlError> {
        if self.text.contains(PLACE) {
            return Err(SqlError::unsupported("this text in a statement of several parts"));
        }
        self.kept += 1;
        Ok(Kept(self.kept - 1))
    }

    /// Numbers the parameters of kept rows behind the client's `count`.
    pub(super) fn place_kept(&self, statements: &mut [SqliteStatement], count: usize) {
        if self.kept == 0 {
            return;
        }
        for statement in statements {
            let mut text = statement.text.to_string();
            for at in 0..self.kept {
                text = text.replace(&Kept(at).parameter(), &format!("?{}", count + at + 1));
            }
            statement.text = text.into();
            statement.keeps = statement.keeps.map(|at| count + at);
        }
    }

    /// A statement whose WITH changes data: a statement for each of its parts.
    pub(super) fn writable_with(
        &mut self,
        query: &Query,
        with: &With,
    ) -> Result<Translated, SqlError> {
        let outer = self.ctes.len();
        let result = self.parts_of_with(query, with);
        self.ctes.truncate(outer);
        result
    }

    fn parts_of_with(&mut self, query: &Query, with: &With) -> Result<Translated, SqlError> {
        let mut steps: Vec<SqliteStatement> = Vec::new();
        let mut before = String::new();
        let mut changed = BTreeSet::new();
        for cte in &with.cte_tables {
            let name = names::fold(&cte.alias.name);
            self.check_unchanged(&cte.query, &changed)?;
            let mut columns = match changing(&cte.query) {
                Some(statement) => {
                    self.packing = true;
                    let part = self.changing(statement, &before);
                    self.packing = false;
                    let mut part = part?;
                    if let Some(last) = part.statements.pop() {
                        steps.append(&mut part.statements);
                        if part.columns.is_empty() {
                            steps.push(last);
                        } else {
                            steps.push(self.keep()?.of(last.text.to_string()));
                        }
                    }
                    changed.extend(self.changed_table(statement));
                    let columns = part.columns.iter();
                    columns
                        .map(|column| {
                            SourceColumn::new(column.name.clone(), type_of_column(column))
                        })
                        .collect::<Vec<_>>()
                }
                None => {
                    let text = self.common_table(cte, with.recursive)?;
                    let columns = self.ctes.pop().map(|cte| cte.columns).unwrap_or_default();
                    let list: Vec<String> =
                        columns.iter().map(|column| column.name.clone()).collect();
                    let word = match before.strip_prefix("WITH ") {
                        Some(rest) => format!("WITH RECURSIVE {}, ", rest.trim_end()),
                        None => "WITH RECURSIVE ".to_owned(),
                    };
                    let text = format!(
                        "{word}{text} SELECT towline_pack({}) FROM {}",
                        names::quote_all(&list),
                        names::quote(&name)
                    );
                    steps.push(self.keep()?.of(text));
                    columns
                }
            };
            for (column, renamed) in columns.iter_mut().zip(&cte.alias.columns) {
                column.name = names::fold(&renamed.name);
            }
            if columns.is_empty() {
                continue;
            }
            let rows = Kept(self.kept - 1).parameter();
            let fields: Vec<String> = columns
                .iter()
                .enumerate()
                .map(|(at, column)| {
                    let field = self.unpacked("kept", at, column.ty);
                    format!("{field} AS {}", names::quote(&column.name))
                })
                .collect();
            before = match before.strip_suffix(' ') {
                Some(rest) => format!("{rest}, "),
                None => "WITH ".to_owned(),
            };
            before.push_str(&format!(
                "{} AS (SELECT {} FROM json_each({rows}) AS kept) ",
                names::quote(&name),
                fields.join(", ")
            ));
            self.ctes.push(CommonTable { name, columns });
        }
        let main = Query { with: None, ..query.clone() };
        self.check_unchanged(&main, &changed)?;
        let mut translated = match changing(&main) {
            Some(statement) => self.changing(statement, &before)?,
            None => {
                let selected = self.shown_query(&main, &before, false)?;
                super::translated(
                    Kind::Write,
                    Tag::Select,
                    super::result_columns(&selected.columns),
                    vec![selected.sql],
                )
            }
        };
        steps.append(&mut translated.statements);
        translated.statements = steps;
        Ok(translated)
    }

    fn changing(&mut self, statement: &Statement, with: &str) -> Result<Translated, SqlError> {
        match statement {
            Statement::Insert(insert) => self.insert(insert, with),
            Statement::Update(update) => self.update(update, with),
            Statement::Delete(delete) => self.delete(delete, with),
            _ => Err(SqlError::unsupported("this statement beside WITH")),
        }
    }

    /// The stored name of the table that a statement changes, through views perhaps.
    fn changed_table(&self, statement: &Statement) -> Option<String> {
        let mut changed = self.named_table_of(statement)?;
        while let Ok(view) = SimpleView::of(changed) {
            changed = view.base(self.context.catalog)?;
        }
        Some(changed.name.clone())
    }

    fn named_table_of(&self, statement: &Statement) -> Option<&Relation> {
        let factor = match statement {
            Statement::Insert(insert) => {
                let TableObject::TableName(name) = &insert.table else { return None };
                return self.relation_named(name);
            }
            Statement::Update(update) => &update.table.relation,
            Statement::Delete(delete) => {
                let (sqlparser::ast::FromTable::WithFromKeyword(tables)
                | sqlparser::ast::FromTable::WithoutKeyword(tables)) = &delete.from;
                &tables.first()?.relation
            }
            _ => return None,
        };
        let TableFactor::Table { name, .. } = factor else { return None };
        self.relation_named(name)
    }

    /// Refuses a part that reads what those before it change.
    fn check_unchanged(&self, part: &Query, changed: &BTreeSet<String>) -> Result<(), SqlError> {
        if changed.is_empty() {
            return Ok(());
        }
        // An INSERT does not read its table.
        let mut target = match changing(part) {
            Some(statement @ Statement::Insert(_)) => self.changed_table(statement),
            _ => None,
        };
        let read = |name: &sqlparser::ast::ObjectName| {
            if name.0.len() == 1
                && names::last(name).is_some_and(|n| self.ctes.iter().any(|cte| cte.name == n))
            {
                return ControlFlow::Continue(());
            }
            let Some(relation) = self.relation_named(name) else {
                return ControlFlow::Continue(());
            };
            if target.as_ref() == Some(&relation.name) {
                target = None;
                return ControlFlow::Continue(());
            }
            if relation.kind == RelationKind::View {
                return ControlFlow::Break(
                    "reading a view after a part of the statement that writes",
                );
            }
            if changed.contains(&relation.name) {
                return ControlFlow::Break(
                    "reading a table that another part of the statement changes",
                );
            }
            ControlFlow::Continue(())
        };
        match visit_relations(part, read) {
            ControlFlow::Break(what) => Err(SqlError::unsupported(what)),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Whether a WITH has a part that changes data.
pub(super) fn is_writable(with: &With) -> bool {
    with.cte_tables.iter().any(|cte| {
        matches!(
            &*cte.query.body,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        )
    })
}

/// The INSERT, UPDATE or DELETE that a query is.
fn changing(query: &Query) -> Option<&Statement> {
    match &*query.body {
        SetExpr::Insert(statement)
        | SetExpr::Update(statement)
        | SetExpr::Delete(statement)
        | SetExpr::Merge(statement) => Some(statement),
        _ => None,
    }
}

impl Translator<'_> {
    /// The columns of some sources in scope, as expressions; from then on the sources' columns
    /// are the fields of the packed rows that `rows` gives, from field `first`.
    pub(super) fn kept_columns(
        &mut self,
        places: Range<usize>,
        rows: &str,
        first: usize,
    ) -> Vec<String> {
        let Some(scope) = self.scopes.last_mut() else { return Vec::new() };
        let mut sources = std::mem::take(&mut scope.sources);
        let mut texts = Vec::new();
        for source in &mut sources[places] {
            for column in &mut source.columns {
                let field = self.unpacked(rows, first + texts.len(), column.ty);
                texts.push(column.spelled(&source.alias));
                column.sql = Some(field);
            }
            if source.missing.take().is_some() {
                source.missing = row::missing(source, self.context.catalog);
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.sources = sources;
        }
        texts
    }
}
