//! What INSERT, UPDATE and DELETE change: a table, by its name or through views.
//!
//! A column of a view that is a plain column of the table stands for it, the view's WHERE
//! narrows which rows are found, and WITH CHECK OPTION is asked of each row that was
//! written, where RETURNING sees it.

use sqlparser::ast::ObjectName;

use super::query::Wish;
use super::scope::{Scope, Source, SourceColumn};
use super::{Form, Translator, names, source};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Catalog, CheckOption, Relation, RelationKind, Rights, SimpleView,
};
use crate::sql::translated::Demand;
use crate::sql::types::Type;

/// How a statement changes its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

/// The target of a statement.
pub(super) struct Target<'a> {
    /// What the statement names.
    named: &'a Relation,
    /// The table whose rows change.
    pub table: &'a Relation,
    change: Change,
    /// The views in between, outermost first.
    views: Vec<(&'a Relation, SimpleView)>,
    /// What messages call what the statement names.
    shown: String,
    /// What the statement calls it.
    pub visible: String,
    /// What SQLite calls it.
    pub alias: String,
    /// The columns that the statement sees, with those of the table that they are.
    columns: Vec<(String, Option<usize>)>,
    /// WHERE of the views, in terms of `alias`.
    pub condition: Option<String>,
}

/// The target's rows by some spelling of them.
struct Seen {
    source: Source,
    columns: Vec<(String, Option<usize>)>,
    /// WHERE of each view that has one, with the view's place, innermost first.
    conditions: Vec<(usize, String)>,
}

impl<'a> Target<'a> {
    /// A table by its own name.
    pub(super) fn table(
        catalog: &Catalog,
        table: &'a Relation,
        change: Change,
        visible: &str,
    ) -> Self {
        let columns = table.attributes.iter().enumerate();
        Self {
            named: table,
            table,
            change,
            views: Vec::new(),
            shown: catalog.bare(&table.name).to_owned(),
            visible: visible.to_owned(),
            alias: visible.to_owned(),
            columns: columns.map(|(at, attribute)| (attribute.name.clone(), Some(at))).collect(),
            condition: None,
        }
    }

    /// Whether it is named through a view.
    pub(super) fn is_view(&self) -> bool {
        !self.views.is_empty()
    }

    /// The table, under the name by which the statement's text knows it.
    pub(super) fn text(&self) -> String {
        if self.alias == self.table.name {
            names::quote(&self.alias)
        } else {
            format!("{} AS {}", names::quote(&self.table.name), names::quote(&self.alias))
        }
    }

    /// `WHERE`, or nothing: what the views and the statement ask of a row.
    pub(super) fn filter(&self, condition: Option<String>) -> String {
        match (&self.condition, condition) {
            (None, None) => String::new(),
            (Some(only), None) => format!(" WHERE {only}"),
            (None, Some(only)) => format!(" WHERE {only}"),
            (Some(views), Some(own)) => format!(" WHERE ({views}) AND ({own})"),
        }
    }

    /// The column that the statement calls so.
    pub(super) fn attribute(&self, column: &str) -> Result<&'a Attribute, SqlError> {
        match self.columns.iter().find(|(name, _)| name == column) {
            Some((_, Some(at))) => Ok(&self.table.attributes[*at]),
            Some((_, None)) => Err(self.fixed(column)),
            None => Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{}\" does not exist", self.shown),
            )),
        }
    }

    /// By which OID and number what the statement names has a column of the table; no
    /// number where it has none.
    pub(super) fn origin(&self, attribute: &Attribute) -> (Oid, i16) {
        let stands = |at: &usize| self.table.attributes[*at].name == attribute.name;
        let at = self.columns.iter().position(|(_, at)| at.as_ref().is_some_and(stands));
        (self.named.oid, at.and_then(|at| i16::try_from(at + 1).ok()).unwrap_or(0))
    }

    fn fixed(&self, column: &str) -> SqlError {
        let verb = match self.change {
            Change::Insert => "insert into",
            Change::Update | Change::Delete => "update",
        };
        SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot {verb} column \"{column}\" of view \"{}\"", self.shown),
        )
        .with_detail("View columns that are not columns of their base relation are not updatable.")
    }

    /// The columns that an INSERT without a list gives, `width` of them at most.
    pub(super) fn all(&self, width: usize) -> Result<Vec<&'a Attribute>, SqlError> {
        let mut listed = Vec::with_capacity(self.columns.len());
        for (name, at) in &self.columns {
            match at {
                Some(at) => listed.push(&self.table.attributes[*at]),
                None if listed.len() < width => return Err(self.fixed(name)),
                None => break,
            }
        }
        Ok(listed)
    }
}

impl<'a> Translator<'a> {
    /// What a statement that changes rows names.
    pub(super) fn changed(
        &mut self,
        name: &ObjectName,
        alias: Option<String>,
        change: Change,
        rights: Rights,
    ) -> Result<Target<'a>, SqlError> {
        let named = self.target(name)?;
        self.demand_table(named, rights);
        let catalog = self.context.catalog;
        let visible = alias.unwrap_or_else(|| catalog.bare(&named.name).to_owned());
        let mut target = Target::table(catalog, named, change, &visible);
        while target.table.kind == RelationKind::View {
            let view = target.table;
            let simple = SimpleView::of(view)
                .map_err(|why| not_updatable(catalog.bare(&view.name), change, why))?;
            let Some(base) = simple.base(catalog) else {
                return Err(not_updatable(
                    catalog.bare(&view.name),
                    change,
                    "Views that do not select from a single table or view are not automatically \
                     updatable.",
                ));
            };
            target.views.push((view, simple));
            target.table = base;
            let (view, table) = (view.oid, base.oid);
            self.demand(Demand::Through { view, table, rights });
        }
        if target.table.kind == RelationKind::MaterializedView {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change materialized view \"{}\"", target.table.name),
            ));
        }
        self.note_changed(target.table);
        if !target.views.is_empty() {
            target.alias = self.fresh_name("target");
            let alias = target.alias.clone();
            let seen = self.seen(&target, &visible, &alias)?;
            let conditions: Vec<String> =
                seen.conditions.into_iter().map(|(_, sql)| format!("({sql})")).collect();
            target.condition = Some(conditions.join(" AND ")).filter(|sql| !sql.is_empty());
            target.columns = seen.columns;
            if change != Change::Delete && target.columns.iter().all(|(_, at)| at.is_none()) {
                let why = "Views that have no updatable columns are not automatically updatable.";
                return Err(not_updatable(&target.shown, change, why));
            }
        }
        Ok(target)
    }

    /// The target as a source of columns: `visible` to the statement, and to SQLite as
    /// columns of `alias`.
    pub(super) fn target_columns(
        &mut self,
        target: &Target<'_>,
        visible: &str,
        alias: &str,
    ) -> Result<Source, SqlError> {
        Ok(self.seen(target, visible, alias)?.source)
    }

    fn seen(&mut self, target: &Target<'_>, visible: &str, alias: &str) -> Result<Seen, SqlError> {
        let catalog = self.context.catalog;
        let mut columns: Vec<SourceColumn> = source::relation_columns(catalog, target.table);
        for column in &mut columns {
            // A source of that name spells it so by itself.
            if alias != visible {
                column.sql =
                    Some(format!("{}.{}", names::quote(alias), names::quote(&column.name)));
            }
        }
        let mut numbers: Vec<Option<usize>> = (0..columns.len()).map(Some).collect();
        let mut conditions = Vec::new();
        let mut read = target.table;
        for (at, (view, simple)) in target.views.iter().enumerate().rev() {
            let (schema, name) = catalog.split_name(&read.name);
            let (seen_as, schema) = match &simple.alias {
                Some(alias) => {
                    for (column, renamed) in columns.iter_mut().zip(&alias.columns) {
                        column.name = names::fold(&renamed.name);
                    }
                    (names::fold(&alias.name), None)
                }
                None => (name.to_owned(), Some(schema.to_owned())),
            };
            for (number, column) in columns.iter_mut().enumerate() {
                column.origin = (read.oid, i16::try_from(number + 1).unwrap_or(0));
                if column.sql.is_none() {
                    column.sql = Some(column.spelled(alias));
                }
            }
            let source = Source { schema, ..Source::new(seen_as, columns) };
            let scope = Scope { sources: vec![source], ..Scope::default() };
            let outer = std::mem::replace(&mut self.scopes, vec![scope]);
            let ctes = std::mem::take(&mut self.ctes);
            let inner = self.while_defining(|this| {
                let items = this.projection(&simple.select.projection, Wish::default())?;
                let condition = match &simple.select.selection {
                    Some(condition) => Some(this.condition(condition, "WHERE")?),
                    None => None,
                };
                Ok::<_, SqlError>((items, condition))
            });
            self.scopes = outer;
            self.ctes = ctes;
            let (items, condition) = inner?;
            conditions.extend(condition.map(|condition| (at, condition)));
            let below = std::mem::take(&mut numbers);
            columns = Vec::with_capacity(items.len());
            for (item, attribute) in items.into_iter().zip(&view.attributes) {
                let plain = matches!(item.typed.form, Form::Column { .. })
                    && item.typed.origin.0 == read.oid;
                let number =
                    usize::try_from(item.typed.origin.1).ok().and_then(|n| n.checked_sub(1));
                let number = number.filter(|_| plain);
                numbers.push(number.and_then(|number| below.get(number).copied().flatten()));
                let mut column = SourceColumn::new(
                    attribute.name.clone(),
                    Type { oid: attribute.oid, typmod: attribute.typmod },
                );
                column.sql = Some(item.typed.operand());
                columns.push(column);
            }
            read = view;
        }
        if !target.views.is_empty() {
            for (number, column) in columns.iter_mut().enumerate() {
                column.origin = (read.oid, i16::try_from(number + 1).unwrap_or(0));
            }
        }
        let list = columns.iter().map(|column| column.name.clone()).zip(numbers).collect();
        let (schema, name) = catalog.split_name(&target.named.name);
        let schema = Some(schema.to_owned()).filter(|_| name == visible);
        let source = Source { schema, ..Source::new(visible, columns) };
        Ok(Seen { source, columns: list, conditions })
    }

    /// What WITH CHECK OPTION asks of a written row, as arguments: the name of a view, its
    /// condition, and so on. Columns are those of `alias`.
    pub(super) fn row_checks(
        &mut self,
        target: &Target<'_>,
        alias: &str,
    ) -> Result<Option<String>, SqlError> {
        let mut cascaded = false;
        let checked: Vec<bool> = target
            .views
            .iter()
            .map(|(view, _)| {
                cascaded |= view.check_option == Some(CheckOption::Cascaded);
                cascaded || view.check_option.is_some()
            })
            .collect();
        if target.change == Change::Delete || !checked.contains(&true) {
            return Ok(None);
        }
        let conditions = self.seen(target, &target.visible, alias)?.conditions;
        let checks: Vec<String> = conditions
            .into_iter()
            .filter(|(at, _)| checked[*at])
            .map(|(at, condition)| {
                let view = self.context.catalog.bare(&target.views[at].0.name);
                format!("{}, {condition}", names::quote_literal(view))
            })
            .collect();
        Ok(Some(checks.join(", ")).filter(|checks| !checks.is_empty()))
    }
}

fn not_updatable(view: &str, change: Change, why: &str) -> SqlError {
    let (verb, doing, event) = match change {
        Change::Insert => ("insert into", "inserting into", "INSERT"),
        Change::Update => ("update", "updating", "UPDATE"),
        Change::Delete => ("delete from", "deleting from", "DELETE"),
    };
    SqlError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("cannot {verb} view \"{view}\""),
    )
    .with_detail(why)
    .with_hint(format!(
        "To enable {doing} the view, provide an INSTEAD OF {event} trigger or an unconditional ON \
         {event} DO INSTEAD rule."
    ))
}
