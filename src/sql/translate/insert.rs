//! INSERT.

use sqlparser::ast::{
    ConflictTarget, Insert, OnConflict, OnConflictAction, OnInsert, Query, SelectItem, SetExpr,
    SqliteOnConflict, TableObject, Values,
};

use super::inference::{inferred, nothing_inferred};
use super::part::{Part, assigned_part};
use super::place::Place;
use super::query::Wish;
use super::returning::{is_default, is_rowid, type_of};
use super::scope::Scope;
use super::syntax::parse_query;
use super::target::{Change, Target};
use super::{Form, Translator, Typed, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Catalog, Constraint, ConstraintKind, Identity, Index, Relation, Rights,
};
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types::{self, Type};

/// What INSERT must be allowed on its table.
fn inserting(insert: &Insert) -> Rights {
    let updates = match &insert.on {
        Some(OnInsert::OnConflict(conflict)) => {
            matches!(conflict.action, OnConflictAction::DoUpdate(_))
        }
        _ => false,
    };
    let replaces = insert.replace_into || insert.or.is_some();
    let mut rights = Rights::INSERT;
    let infers = match &insert.on {
        Some(OnInsert::OnConflict(conflict)) => conflict.conflict_target.is_some(),
        _ => false,
    };
    if infers || insert.returning.is_some() {
        rights = rights.with(Rights::SELECT);
    }
    if updates {
        rights = rights.with(Rights::UPDATE);
    }
    if replaces { rights.with(Rights::UPDATE).with(Rights::DELETE) } else { rights }
}

impl Translator<'_> {
    /// `with` stands in front of it.
    pub(super) fn insert(&mut self, insert: &Insert, with: &str) -> Result<Translated, SqlError> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported("INSERT into a function"));
        };
        if insert.on.as_ref().is_some_and(|on| matches!(on, OnInsert::DuplicateKeyUpdate(_))) {
            return Err(super::syntax::syntax_error("DUPLICATE", None));
        }
        let alias = insert.table_alias.as_ref().map(|alias| names::fold(&alias.alias));
        let target = self.changed(name, alias, Change::Insert, inserting(insert))?;
        let relation = target.table;

        let listed: Vec<Part<'_>> = if insert.columns.is_empty() {
            let whole = |attribute| Part { attribute, steps: Vec::new() };
            target.all(width(insert))?.into_iter().map(whole).collect()
        } else {
            let part = |name| assigned_part(&target, name);
            insert.columns.iter().map(part).collect::<Result<_, _>>()?
        };
        let given = match insert.source.as_deref().map(|query| &*query.body) {
            None | Some(SetExpr::Values(_)) if insert.columns.is_empty() => width(insert),
            _ => listed.len(),
        };
        for part in listed.iter().take(given) {
            self.demand_column(target.origin(part.attribute), Rights::INSERT);
        }
        for (at, part) in listed.iter().enumerate() {
            if listed[..at].iter().any(|other| {
                other.attribute.name == part.attribute.name
                    && (other.steps.is_empty() || part.steps.is_empty())
            }) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", part.attribute.name),
                ));
            }
        }

        let (columns, rows) = match insert.source.as_deref() {
            None => self.default_row(relation)?,
            Some(query) => match &*query.body {
                SetExpr::Values(values)
                    if query.order_by.is_none()
                        && query.limit_clause.is_none()
                        && query.with.is_none() =>
                {
                    let named = !insert.columns.is_empty();
                    match self.row_of_sets(values)? {
                        Some(query) => self.selected_rows(&query, &listed, named, relation)?,
                        None => self.value_rows(values, &listed, named, relation)?,
                    }
                }
                _ => self.selected_rows(query, &listed, !insert.columns.is_empty(), relation)?,
            },
        };
        let or = match (insert.replace_into, insert.or) {
            (true, _) | (_, Some(SqliteOnConflict::Replace)) => " OR REPLACE",
            (_, Some(SqliteOnConflict::Ignore)) => " OR IGNORE",
            (_, Some(SqliteOnConflict::Abort)) | (_, None) => "",
            (_, Some(other)) => {
                return Err(SqlError::unsupported(format_args!("INSERT OR {other}")));
            }
        };
        let text = target.text();
        let list = match columns.is_empty() {
            true => String::new(),
            false => format!(" ({})", names::quote_all(&columns)),
        };
        let mut sql = format!("{with}INSERT{or} INTO {text}{list} {rows}");
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on {
            // Without WHERE, SQLite reads ON as a join's.
            if !rows.starts_with("VALUES") && !rows.starts_with("DEFAULT") {
                sql =
                    format!("{with}INSERT{or} INTO {text}{list} SELECT * FROM ({rows}) WHERE TRUE");
            }
            sql.push_str(&self.on_conflict(conflict, &target, several_rows(insert))?);
        }
        let returned = self.returning(insert.returning.as_deref(), &target)?;
        sql.push_str(&returned.sql);
        Ok(super::translated(
            Kind::Write,
            Tag::Insert,
            super::result_columns(&returned.columns),
            vec![sql],
        ))
    }

    /// Columns that SQLite would fill by itself where PostgreSQL fills a default: the
    /// one that SQLite takes for the row's number.
    fn unlisted<'r>(&self, relation: &'r Relation, listed: &[Part<'_>]) -> Option<&'r Attribute> {
        relation.attributes.iter().find(|attribute| {
            is_rowid(relation, &attribute.name)
                && (attribute.default.is_some() || !relation.is_sqlites())
                && !listed.iter().any(|other| other.attribute.name == attribute.name)
        })
    }

    /// NULL in the column by which SQLite numbers rows would be a new number there.
    pub(super) fn never_null(
        &self,
        typed: Typed,
        attribute: &Attribute,
        relation: &Relation,
    ) -> String {
        if !is_rowid(relation, &attribute.name) || matches!(typed.form, Form::Number(_)) {
            return typed.sql;
        }
        format!(
            "towline_required({}, {}, {})",
            typed.sql,
            names::quote_literal(&relation.name),
            names::quote_literal(&attribute.name)
        )
    }

    /// DEFAULT VALUES.
    fn default_row(&mut self, relation: &Relation) -> Result<(Vec<String>, String), SqlError> {
        match self.unlisted(relation, &[]) {
            None => Ok((Vec::new(), "DEFAULT VALUES".to_owned())),
            Some(attribute) => {
                let value = self.default_value(attribute, relation)?;
                Ok((vec![attribute.name.clone()], format!("VALUES ({value})")))
            }
        }
    }

    /// A lone row of VALUES in which functions give rows is what a SELECT gives.
    fn row_of_sets(&self, values: &Values) -> Result<Option<Query>, SqlError> {
        let [row] = values.rows.as_slice() else { return Ok(None) };
        if !row.content.iter().any(|expr| self.gives_rows_itself(expr)) {
            return Ok(None);
        }
        let mut query = parse_query("SELECT 1")?;
        if let SetExpr::Select(select) = &mut *query.body {
            select.projection = row.content.iter().cloned().map(SelectItem::UnnamedExpr).collect();
        }
        Ok(Some(query))
    }

    pub(super) fn value_rows<'r>(
        &mut self,
        values: &Values,
        listed: &[Part<'r>],
        named: bool,
        relation: &'r Relation,
    ) -> Result<(Vec<String>, String), SqlError> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let listed = fitting(listed, width, named)?;
        let extra = self.unlisted(relation, listed);
        let mut rows = Vec::with_capacity(values.rows.len());
        let mut columns = Vec::new();
        for row in &values.rows {
            if row.content.len() != width {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                ));
            }
            let mut fields = Vec::with_capacity(width + 1);
            for (expr, part) in row.content.iter().zip(listed) {
                let attribute = part.attribute;
                if (is_default(expr) && part.steps.is_empty()) || self.is_overridden(attribute) {
                    // Values for a generated column can only be DEFAULT: SQLite wants them
                    // left out.
                    if attribute.generated.is_none() {
                        fields.push((attribute, self.default_value(attribute, relation)?));
                    }
                    continue;
                }
                check_given(attribute, self.clauses.overriding)?;
                let place = Place::Clause("VALUES");
                let value = self.standing(place, |this| this.part_value(expr, &part.steps))?;
                self.put(&mut fields, part, value, relation)?;
            }
            if let Some(attribute) = extra {
                fields.push((attribute, self.default_value(attribute, relation)?));
            }
            let (attributes, texts): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
            rows.push(format!("({})", texts.join(", ")));
            columns = attributes.into_iter().map(|attribute| attribute.name.clone()).collect();
        }
        Ok((columns, format!("VALUES {}", rows.join(", "))))
    }

    /// Whether what is given for a column is not taken.
    fn is_overridden(&self, attribute: &Attribute) -> bool {
        self.clauses.overriding_user && attribute.identity.is_some()
    }

    /// Adds a value for a column to a row, or changes a part of the value that is there.
    fn put<'r>(
        &mut self,
        row: &mut Vec<(&'r Attribute, String)>,
        part: &Part<'r>,
        value: Typed,
        relation: &Relation,
    ) -> Result<(), SqlError> {
        let Part { attribute, steps } = part;
        if steps.is_empty() {
            let typed = self.assign(value, type_of(attribute), &attribute.name)?;
            row.push((attribute, self.never_null(typed, attribute, relation)));
            return Ok(());
        }
        let ty = self.base_of(type_of(attribute));
        let before = row.iter_mut().find(|(other, _)| other.name == attribute.name);
        let base = match &before {
            Some((_, sql)) => Typed::of(sql.clone(), ty),
            None => Typed { form: Form::Null, ..Typed::of("NULL", ty) },
        };
        let typed = self.assign_part(base, steps, value, &attribute.name)?;
        match before {
            Some((_, sql)) => *sql = typed.sql,
            None => row.push((attribute, typed.sql)),
        }
        Ok(())
    }

    fn selected_rows(
        &mut self,
        query: &Query,
        listed: &[Part<'_>],
        named: bool,
        relation: &Relation,
    ) -> Result<(Vec<String>, String), SqlError> {
        let wanted: Vec<Type> = listed
            .iter()
            .map(|part| self.part_type(type_of(part.attribute), &part.steps))
            .collect();
        let selected =
            self.query(query, Wish { types: Some(&wanted), inner: true, ..Wish::default() })?;
        let listed = fitting(listed, selected.columns.len(), named)?;
        for part in listed.iter().filter(|part| !self.is_overridden(part.attribute)) {
            check_given(part.attribute, self.clauses.overriding)?;
        }
        let extra = self.unlisted(relation, listed);
        // What the query gives, in the columns' types.
        let mut fields = Vec::with_capacity(listed.len());
        for (at, (column, part)) in selected.columns.iter().zip(listed).enumerate() {
            let untyped = types::is_unknown(column.ty.oid);
            let ty = self.base_of(if untyped { Type::plain(wanted[at].oid) } else { column.ty });
            let typed = Typed::of(format!("c{}", at + 1), ty);
            if self.is_overridden(part.attribute) {
                fields.push((part.attribute, self.default_value(part.attribute, relation)?));
            } else if part.steps.is_empty() && column.not_null {
                let typed = self.assign(typed, type_of(part.attribute), &part.attribute.name)?;
                fields.push((part.attribute, typed.sql));
            } else {
                self.put(&mut fields, part, typed, relation)?;
            }
        }
        let (attributes, mut converted): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let mut columns: Vec<String> =
            attributes.into_iter().map(|attribute| attribute.name.clone()).collect();
        let names: Vec<String> = (1..=listed.len()).map(|at| format!("c{at}")).collect();
        if converted == names && extra.is_none() {
            return Ok((columns, selected.sql));
        }
        if let Some(attribute) = extra {
            converted.push(self.default_value(attribute, relation)?);
            columns.push(attribute.name.clone());
        }
        let alias = self.fresh_name("rows");
        // The limit keeps the order: defaults are drawn row by row as the query gives them.
        let draws = extra.is_some() || listed.iter().any(|part| self.is_overridden(part.attribute));
        let keep_order = if draws { " LIMIT -1 OFFSET 0" } else { "" };
        let sql = format!(
            "SELECT {} FROM (WITH {alias}({}) AS ({}) SELECT * FROM {alias}{keep_order})",
            converted.join(", "),
            names.join(", "),
            selected.sql
        );
        Ok((columns, sql))
    }

    /// To read the columns by which a conflict is told.
    fn demand_arbiter(&self, changed: &Target<'_>, columns: &[String]) {
        let arbiters = changed.table.attributes.iter();
        for attribute in arbiters.filter(|attribute| columns.contains(&attribute.name)) {
            self.demand_column(changed.origin(attribute), Rights::SELECT);
        }
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflict,
        changed: &Target<'_>,
        several: bool,
    ) -> Result<String, SqlError> {
        let relation = changed.table;
        let catalog = self.context.catalog;
        let deferrable = |is_arbiter: &dyn Fn(&Constraint) -> bool| {
            let mut keys = relation.constraints.iter().filter(|key| key.kind.is_key());
            match keys.find(|key| key.deferrable && is_arbiter(key)) {
                None => Ok(()),
                Some(key) => Err(deferrable_arbiter(catalog, relation, key)),
            }
        };
        let arbiter = |columns: &[String], nulls_equal| match nulls_equal {
            true => format!(" ({})", self.terms_with_nulls(relation, columns).join(", ")),
            false => format!(" ({})", names::quote_all(columns)),
        };
        let target = match &conflict.conflict_target {
            None => {
                deferrable(&|_| true)?;
                String::new()
            }
            Some(ConflictTarget::Columns(columns)) if inferred(columns).is_some() => {
                if changed.is_view() {
                    return Err(SqlError::unsupported("this ON CONFLICT on a view"));
                }
                self.inference(inferred(columns).unwrap_or_default(), relation)?
            }
            Some(ConflictTarget::Columns(columns)) => {
                let column = |ident| {
                    let name = names::fold(ident);
                    let found = changed.attribute(&name).map(|attribute| attribute.name.clone());
                    found.map_err(|error| match error.state {
                        SqlState::UNDEFINED_COLUMN => SqlError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{name}\" does not exist"),
                        ),
                        _ => error,
                    })
                };
                let columns: Vec<String> = columns.iter().map(column).collect::<Result<_, _>>()?;
                self.demand_arbiter(changed, &columns);
                let mut wanted: Vec<&String> = columns.iter().collect();
                wanted.sort();
                let unique = |names: &[String]| {
                    let mut names: Vec<&String> = names.iter().collect();
                    names.sort();
                    names == wanted
                };
                let found = relation.constraints.iter().any(|constraint| {
                    matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
                        && unique(&constraint.columns)
                }) || relation.indexes.iter().any(|index| {
                    index.unique && index.predicate.is_none() && unique(&index.columns)
                });
                if !found {
                    return Err(nothing_inferred());
                }
                deferrable(&|key| unique(&key.columns))?;
                let nulls_equal = |index: &&Index| index.unique && index.nulls_equal;
                let mut indexes = relation.indexes.iter().filter(nulls_equal);
                arbiter(&columns, indexes.any(|index| unique(&index.columns)))
            }
            Some(ConflictTarget::OnConstraint(name)) => {
                let name = names::last(name).unwrap_or_default();
                let constraint = relation
                    .constraints
                    .iter()
                    .find(|constraint| constraint.name == name)
                    .ok_or_else(|| {
                        SqlError::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!(
                                "constraint \"{name}\" for table \"{}\" does not exist",
                                relation.name
                            ),
                        )
                    })?;
                deferrable(&|key| key.name == name)?;
                self.demand_arbiter(changed, &constraint.columns);
                arbiter(&constraint.columns, constraint.nulls_equal)
            }
        };
        match &conflict.action {
            OnConflictAction::DoNothing => Ok(format!(" ON CONFLICT{target} DO NOTHING")),
            OnConflictAction::DoUpdate(update) => {
                if target.is_empty() {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                    )
                    .with_hint("For example, ON CONFLICT (column_name)."));
                }
                // A bare name is the target's; the row that was not inserted is `excluded`.
                let mut excluded = self.target_columns(changed, "excluded", "excluded")?;
                for column in &mut excluded.columns {
                    column.merged = true;
                    column.origin = (Oid(0), 0);
                }
                let own = self.target_columns(changed, &changed.visible, &changed.alias)?;
                let scope = Scope { sources: vec![own, excluded], ..Scope::default() };
                let outer = std::mem::replace(&mut self.scopes, vec![scope]);
                let set = self.assignments(&update.assignments, changed);
                let condition = update
                    .selection
                    .as_ref()
                    .map(|condition| self.condition(condition, "WHERE"))
                    .transpose();
                self.scopes = outer;
                // One row meets no other of its statement.
                let once = several.then(|| {
                    let table = names::quote_literal(&relation.name);
                    let row = names::quote(&changed.alias);
                    format!("towline_untouched({table}, {row}.rowid)")
                });
                let condition = match (once, condition?) {
                    (Some(once), Some(condition)) => format!(" WHERE {once} AND ({condition})"),
                    (Some(only), None) | (None, Some(only)) => format!(" WHERE {only}"),
                    (None, None) => String::new(),
                };
                Ok(format!(" ON CONFLICT{target} DO UPDATE SET {}{condition}", set?))
            }
        }
    }
}

/// Conflicts with a constraint that may be put off can't be known of at once.
fn deferrable_arbiter(catalog: &Catalog, relation: &Relation, key: &Constraint) -> SqlError {
    let (schema, table) = catalog.split_name(&relation.name);
    SqlError {
        schema: Some(schema.to_owned()),
        table: Some(table.to_owned()),
        constraint: Some(key.name.clone()),
        ..SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as \
             arbiters",
        )
    }
}

/// Whether more than one row may be put in.
fn several_rows(insert: &Insert) -> bool {
    match insert.source.as_deref().map(|query| &*query.body) {
        None => false,
        Some(SetExpr::Values(values)) => values.rows.len() > 1,
        Some(_) => true,
    }
}

/// How many values the first row of VALUES has; else as many as there may be.
fn width(insert: &Insert) -> usize {
    match insert.source.as_deref().map(|query| &*query.body) {
        Some(SetExpr::Values(values)) => values.rows.first().map_or(0, |row| row.content.len()),
        Some(SetExpr::Select(select)) => select.projection.len(),
        _ => 0,
    }
}

/// As many columns as there are values.
fn fitting<'s, 'r>(
    listed: &'s [Part<'r>],
    width: usize,
    named: bool,
) -> Result<&'s [Part<'r>], SqlError> {
    let error = |message| Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    if width > listed.len() {
        return error("INSERT has more expressions than target columns");
    }
    if width < listed.len() && named {
        return error("INSERT has more target columns than expressions");
    }
    Ok(&listed[..width])
}

/// Whether a value may be given for a column.
fn check_given(attribute: &Attribute, overriding: bool) -> Result<(), SqlError> {
    let identity = attribute.identity == Some(Identity::Always) && !overriding;
    if identity || attribute.generated.is_some() {
        let error = SqlError::new(
            SqlState("428C9"),
            format!("cannot insert a non-DEFAULT value into column \"{}\"", attribute.name),
        );
        return Err(if attribute.generated.is_some() {
            error.with_detail(format!("Column \"{}\" is a generated column.", attribute.name))
        } else {
            error
                .with_detail(format!(
                    "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                    attribute.name
                ))
                .with_hint("Use OVERRIDING SYSTEM VALUE to override.")
        });
    }
    Ok(())
}
