//! SELECT, and what a query is made of.

use sqlparser::ast::{
    AccessExpr, Distinct, Expr, GroupByExpr, Ident, NamedWindowExpr, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement,
};

use super::grouping::is_aggregated;
use super::grouping_sets::{self, GroupingSet};
use super::place::Place;
use super::scope::{Scope, SourceColumn};
use super::tokens::ALL_FIELDS;
use super::{
    Form, OutputColumn, SetReturning, Translator, Typed, grouping, lifted, names, set_returning,
};
use crate::pg::types::type_info;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Rights;
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types::{self, Family, Type, family};

/// A query in SQLite's dialect.
pub(super) struct Selected {
    pub sql: String,
    pub columns: Vec<OutputColumn>,
}

/// What the surroundings of a query want of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Wish<'w> {
    /// Types for columns that have none of their own.
    pub types: Option<&'w [Type]>,
    /// Names for the first columns.
    pub names: Option<&'w [String]>,
    /// Whether columns are read by name from outside.
    pub inner: bool,
    /// Whether the client sees it: regclass and kin are shown as names.
    pub printed: bool,
    /// Whether the rowid of its one table stands behind the columns.
    pub told_apart: bool,
}

/// ORDER BY, LIMIT and OFFSET around a query's body.
#[derive(Clone, Copy)]
pub(super) struct Tail<'q> {
    pub query: &'q Query,
}

impl Tail<'_> {
    pub(super) fn is_empty(self) -> bool {
        self.query.order_by.is_none()
            && self.query.limit_clause.is_none()
            && self.query.fetch.is_none()
    }
}

impl Translator<'_> {
    /// A query that is the whole statement.
    pub(super) fn top_query(&mut self, query: &Query) -> Result<Translated, SqlError> {
        if let SetExpr::Select(select) = &*query.body
            && let Some(into) = &select.into
        {
            return self.select_into(query, select, into);
        }
        if let Some(with) = query.with.as_ref().filter(|with| super::steps::is_writable(with)) {
            return self.writable_with(query, with);
        }
        if let Some(call) = self.large_object_call(query)? {
            return Ok(call);
        }
        if let Some(run) = self.running_call(query)? {
            return Ok(run);
        }
        // WITH … INSERT, UPDATE, DELETE.
        if let SetExpr::Insert(statement)
        | SetExpr::Update(statement)
        | SetExpr::Delete(statement) = &*query.body
        {
            let outer = self.ctes.len();
            let with = self.with(query.with.as_ref())?;
            let translated = match statement {
                Statement::Insert(insert) => self.insert(insert, &with),
                Statement::Update(update) => self.update(update, &with),
                Statement::Delete(delete) => self.delete(delete, &with),
                _ => Err(SqlError::unsupported("this statement after WITH")),
            };
            self.ctes.truncate(outer);
            return translated;
        }
        let rows_of = if self.context.of_cursor { self.table_of_rows(query) } else { None };
        let selected = self.shown_query(query, "", rows_of.is_some())?;
        let columns = super::result_columns(&selected.columns);
        let kind = Kind::Read { for_update: false };
        let translated = super::translated(kind, Tag::Select, columns, vec![selected.sql]);
        Ok(Translated { rows_of, ..translated })
    }

    /// A query that clients are shown the rows of, where regclass and kin are names. `with`
    /// is a WITH in front of it; the rowids stand behind the rows if they are `told_apart`.
    pub(super) fn shown_query(
        &mut self,
        query: &Query,
        with: &str,
        told_apart: bool,
    ) -> Result<Selected, SqlError> {
        // What sorts rows, or compares them, does it by OIDs.
        let simple = query.order_by.is_none()
            && query.fetch.is_none()
            && matches!(&*query.body, SetExpr::Select(select) if select.distinct.is_none());
        let bare = simple || told_apart;
        let selected = self.query(query, Wish { printed: bare, told_apart, ..Wish::default() })?;
        let rows = Selected { sql: format!("{with}{}", selected.sql), ..selected };
        Ok(if bare { rows } else { shown(rows) })
    }

    /// A subquery whose columns are read by position.
    pub(super) fn subquery(&mut self, query: &Query) -> Result<Selected, SqlError> {
        self.query(query, Wish { inner: true, ..Wish::default() })
    }

    /// A subquery with names for its first columns.
    pub(super) fn subquery_named(
        &mut self,
        query: &Query,
        names: &[String],
    ) -> Result<Selected, SqlError> {
        self.query(query, Wish { names: Some(names), inner: true, ..Wish::default() })
    }

    pub(super) fn query(&mut self, query: &Query, wish: Wish<'_>) -> Result<Selected, SqlError> {
        self.deeper(|this| {
            let outer = this.ctes.len();
            // A set-returning function inside belongs to the query inside.
            let functions = std::mem::take(&mut this.set_returning);
            let result = this.standing(Place::Elsewhere, |this| this.query_here(query, wish));
            this.ctes.truncate(outer);
            this.set_returning = functions;
            result
        })
    }

    fn query_here(&mut self, query: &Query, wish: Wish<'_>) -> Result<Selected, SqlError> {
        if !query.locks.is_empty() {
            self.locks = true;
        }
        if query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(SqlError::unsupported("this kind of query"));
        }
        super::locks::check_lockable(query)?;
        let with = self.with(query.with.as_ref())?;
        self.demand_locked(query)?;
        let mut selected = self.body(&query.body, Tail { query }, wish)?;
        selected.sql.insert_str(0, &with);
        Ok(selected)
    }

    fn body(
        &mut self,
        body: &SetExpr,
        tail: Tail<'_>,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, tail, wish),
            SetExpr::Query(inner) if tail.is_empty() => self.query(inner, wish),
            SetExpr::Query(inner) => {
                let inner = self.query(inner, Wish { inner: true, ..wish })?;
                let sql = format!("SELECT * FROM ({})", inner.sql);
                self.with_tail(Selected { sql, ..inner }, tail)
            }
            SetExpr::Values(values) => {
                let selected = self.values(values, wish)?;
                self.with_tail(selected, tail)
            }
            SetExpr::SetOperation { .. } => {
                let selected = self.set_operation(body, wish)?;
                self.with_tail(selected, tail)
            }
            SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                let name = match &table.schema_name {
                    Some(schema) => vec![Ident::new(schema.clone()), Ident::new(name)],
                    None => vec![Ident::new(name)],
                };
                self.scopes.push(Scope::default());
                let from = self.named_table(&name.into(), None);
                let scope = self.scopes.pop().unwrap_or_default();
                let from = from?;
                let columns: Vec<OutputColumn> =
                    scope.sources.iter().flat_map(|source| &source.columns).map(output).collect();
                for column in &columns {
                    self.demand_column(column.origin, Rights::SELECT);
                }
                self.with_tail(Selected { sql: format!("SELECT * FROM {from}"), columns }, tail)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::unsupported("a data-modifying statement inside a query"))
            }
        }
    }

    fn select(
        &mut self,
        select: &Select,
        tail: Tail<'_>,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        if select.qualify.is_some()
            || select.top.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
        {
            return Err(SqlError::unsupported("this kind of SELECT"));
        }
        if let Some(into) = &select.into {
            return Err(super::syntax::syntax_error("INTO", None)).map_err(|error: SqlError| {
                error.with_detail(format!("{into} is not allowed here"))
            });
        }
        if grouping_sets::are_in(&select.group_by) {
            return self.select_by_sets(select, tail, wish);
        }
        self.select_of_set(select, tail, wish, None)
    }

    /// A SELECT, grouped by `set` where its GROUP BY has several.
    pub(super) fn select_of_set(
        &mut self,
        select: &Select,
        tail: Tail<'_>,
        wish: Wish<'_>,
        set: Option<&GroupingSet>,
    ) -> Result<Selected, SqlError> {
        // A subquery in the select list of a grouping set has groups of its own.
        let outer = self.grouping_set.take();
        self.scopes.push(Scope::default());
        let result = self.select_in_scope(select, tail, wish, set);
        self.scopes.pop();
        self.grouping_set = outer;
        result
    }

    fn select_in_scope(
        &mut self,
        select: &Select,
        tail: Tail<'_>,
        wish: Wish<'_>,
        set: Option<&GroupingSet>,
    ) -> Result<Selected, SqlError> {
        let mut from = self.from(&select.from)?;
        let joined = self.gives_rows(&select.projection);
        if joined
            && !lifted::is_rewritten(select)
            && let Some((outer, query)) = self.rows_around(select, tail.query)?
        {
            // The sources are the derived table's.
            self.scopes.pop();
            self.scopes.push(Scope::default());
            return self.select_in_scope(&outer, Tail { query: &query }, wish, None);
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.joined = joined;
        }
        self.grouping_set = set.cloned();
        let items = self.projection(&select.projection, wish);
        self.grouping_set = None;
        let mut items = items?;
        if set.is_none() {
            self.check_grouping(select, tail.query)?;
        }
        let functions = std::mem::take(&mut self.set_returning);
        if !functions.is_empty() {
            if !from.is_empty() {
                from.push_str(", ");
            }
            from.push_str(&self.side_by_side(&functions)?);
        }
        let mut sql = String::new();
        if !from.is_empty() {
            sql.push_str(&format!(" FROM {from}"));
        }
        if let Some(condition) = &select.selection {
            sql.push_str(&format!(" WHERE {}", self.condition(condition, "WHERE")?));
        }
        sql.push_str(&self.group_by(&select.group_by, &items, select.projection.len())?);
        if let Some(condition) = &select.having {
            self.grouping_set = set.cloned();
            let condition = self.condition(condition, "HAVING");
            self.grouping_set = None;
            sql.push_str(&format!(" HAVING {}", condition?));
        }
        if !select.named_window.is_empty() {
            let mut windows = Vec::new();
            for (at, definition) in select.named_window.iter().enumerate() {
                let name = names::fold(&definition.0);
                let before = &select.named_window[..at];
                if before.iter().any(|other| names::fold(&other.0) == name) {
                    let message = format!("window \"{name}\" is already defined");
                    return Err(SqlError::new(SqlState::WINDOWING_ERROR, message));
                }
                let spec = match &definition.1 {
                    NamedWindowExpr::NamedWindow(base) => names::quote(&names::fold(base)),
                    NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
                };
                windows.push(format!("{} AS ({spec})", names::quote(&name)));
            }
            sql.push_str(&format!(" WINDOW {}", windows.join(", ")));
        }
        if let Some(Distinct::On(keys)) = &select.distinct {
            return self.distinct_on(keys, items, &sql, tail, wish);
        }
        if select.distinct.is_none() && tail.query.fetch.as_ref().is_some_and(|f| f.with_ties) {
            return self.with_ties(items, &sql, tail, wish);
        }
        let order = self.order_by(tail.query.order_by.as_ref(), &items)?;
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        sql.push_str(&self.limit(tail.query)?);
        self.settle_items(&mut items, wish)?;
        if select.having.is_some() && set.is_none() && !is_aggregated(select) {
            // SQLite wants an aggregate that makes one group of all rows.
            for item in items.iter_mut().take(1) {
                item.typed.sql = format!("iif(count(*) IS NULL, NULL, {})", item.typed.sql);
                item.typed.form = Form::Plain;
            }
        }
        if wish.printed {
            for item in &mut items {
                item.typed = printed_reference(item.typed.clone());
            }
        }
        let distinct =
            if matches!(select.distinct, Some(Distinct::Distinct)) { "DISTINCT " } else { "" };
        if wish.inner || !distinct.is_empty() {
            for item in &mut items {
                item.typed.sql = self.distinct(&item.typed);
            }
        }
        let mut list = item_list(&items, wish);
        if wish.told_apart
            && let Some(source) = self.scopes.last().and_then(|scope| scope.sources.first())
        {
            let comma = if list.is_empty() { "" } else { ", " };
            list.push_str(&format!("{comma}{}.rowid", names::quote(&source.alias)));
        }
        let sql = format!("SELECT {distinct}{list}{sql}");
        Ok(Selected { sql, columns: items.into_iter().map(|item| item.column).collect() })
    }

    /// Whether a select list calls functions that give rows.
    pub(super) fn gives_rows(&self, projection: &[SelectItem]) -> bool {
        projected_of(projection).any(|expr| self.gives_rows_itself(expr))
    }

    pub(super) fn gives_rows_itself(&self, expr: &Expr) -> bool {
        set_returning::returns_set(expr) || self.calls_rows(expr)
    }

    /// The SELECT whose functions give their rows after all else is computed, as they do
    /// beside aggregates and window functions; `None` where rows that come before make no
    /// difference, or are what the SELECT is grouped by.
    fn rows_around(
        &self,
        select: &Select,
        query: &Query,
    ) -> Result<Option<(Select, Query)>, SqlError> {
        let GroupByExpr::Expressions(group_by, modifiers) = &select.group_by else {
            return Ok(None);
        };
        let keys: Vec<Expr> = group_by.iter().map(|key| self.meant(key, select).clone()).collect();
        let projected = || projected_of(&select.projection);
        let grouped =
            !keys.is_empty() || select.having.is_some() || projected().any(grouping::has_aggregate);
        let on: &[Expr] = match &select.distinct {
            Some(Distinct::On(on)) => on,
            _ => &[],
        };
        if !grouped && on.is_empty() && !projected().any(lifted::has_window) {
            return Ok(None);
        }
        let by: Vec<&Expr> = match on {
            [] => keys.iter().collect(),
            on => on.iter().map(|key| self.meant(key, select)).collect(),
        };
        let is_key = |expr: &Expr| by.iter().any(|key| grouping::same(key, expr));
        let mut giving = projected().filter(|expr| self.gives_rows_itself(expr));
        if by.iter().any(|key| self.gives_rows_itself(key)) {
            return match giving.all(is_key) {
                true => Ok(None),
                false => Err(SqlError::unsupported(
                    "a set-returning function beside one that the rows are grouped by",
                )),
            };
        }
        if !on.is_empty() {
            return Err(SqlError::unsupported("a set-returning function beside DISTINCT ON"));
        }
        let by_keys = Select {
            group_by: GroupByExpr::Expressions(keys, modifiers.clone()),
            ..select.clone()
        };
        let stays = |expr: &Expr| self.gives_rows_itself(expr);
        lifted::around(&by_keys, query, &stays, "a set-returning function and an aggregate")
    }

    /// Set-returning functions of a select list: they advance together, and those that
    /// end before the longest go on with NULL.
    fn side_by_side(&mut self, functions: &[SetReturning]) -> Result<String, SqlError> {
        if let [only] = functions {
            return Ok(only.sql.clone());
        }
        let mut lengths = Vec::with_capacity(functions.len());
        let number = self.fresh_name("number");
        let mut joins = String::new();
        for function in functions {
            let SetReturning { alias, sql } = function;
            let array = sql
                .strip_prefix("json_each(")
                .and_then(|rest| rest.strip_suffix(&format!(") AS {alias}")))
                .map_or_else(
                    || format!("(SELECT json_group_array({alias}.value) FROM {sql})"),
                    str::to_owned,
                );
            lengths.push(format!("coalesce(json_array_length({array}), 0)"));
            joins.push_str(&format!(
                " LEFT JOIN json_each({array}) AS {alias} ON {alias}.key = {number}.value"
            ));
        }
        Ok(format!("generate_series(0, max({}) - 1) AS {number}{joins}", lengths.join(", ")))
    }

    /// Types what the select list leaves untyped: by wish, else as text. A branch of
    /// a set operation or a subquery keeps its NULLs untyped, for their type may come
    /// from outside.
    pub(super) fn settle_items(
        &mut self,
        items: &mut [Item],
        wish: Wish<'_>,
    ) -> Result<(), SqlError> {
        for (at, item) in items.iter_mut().enumerate() {
            if !item.typed.is_unknown() {
                continue;
            }
            let wanted = wish.types.and_then(|types| types.get(at)).copied();
            match wanted {
                Some(ty) => {
                    item.typed = self.coerce(item.typed.clone(), Type::plain(ty.oid))?;
                    item.column.ty = Type::plain(ty.oid);
                }
                None if wish.inner && item.typed.is_null() => {}
                None => {
                    item.typed = self.settle(item.typed.clone())?;
                    item.column.ty = item.typed.ty;
                }
            }
        }
        Ok(())
    }

    /// The select list, `*` spelled out.
    pub(super) fn projection(
        &mut self,
        projection: &[SelectItem],
        wish: Wish<'_>,
    ) -> Result<Vec<Item>, SqlError> {
        let mut items = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(Expr::CompoundFieldAccess { root, access_chain })
                    if let [inner @ .., AccessExpr::Dot(Expr::Identifier(all))] =
                        access_chain.as_slice()
                        && all.value == ALL_FIELDS =>
                {
                    let row = self.in_select_list(|this| this.access(root, inner))?;
                    let fields = self.all_fields(&row)?;
                    items.extend(fields.into_iter().map(|field| {
                        let name = field.name.clone().unwrap_or_default();
                        Item::new(field, name)
                    }));
                }
                SelectItem::UnnamedExpr(expr) => {
                    let typed = self.in_select_list(|this| this.expression(expr))?;
                    let name = typed.name.clone().unwrap_or_else(|| "?column?".to_owned());
                    items.push(Item::new(typed, name));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let typed = self.in_select_list(|this| this.expression(expr))?;
                    items.push(Item::new(typed, names::fold(alias)));
                }
                SelectItem::Wildcard(said) => {
                    let before = items.len();
                    self.note_star(said, None);
                    let scope = self.scopes.last();
                    for source in scope.map_or(&[][..], |scope| &scope.sources) {
                        items.extend(self.read_all(source, true));
                    }
                    if before == items.len() && scope.is_none_or(|scope| scope.sources.is_empty()) {
                        return Err(SqlError::new(
                            SqlState::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    said,
                ) => {
                    let table = names::last(name).unwrap_or_default();
                    self.note_star(said, Some(&table));
                    let source = self
                        .scopes
                        .iter()
                        .rev()
                        .flat_map(|scope| &scope.sources)
                        .find(|source| source.alias == table)
                        .ok_or_else(|| {
                            SqlError::new(
                                SqlState::UNDEFINED_TABLE,
                                format!("missing FROM-clause entry for table \"{table}\""),
                            )
                        })?;
                    items.extend(self.read_all(source, false));
                }
                other => {
                    return Err(SqlError::unsupported(format_args!("{other} in a select list")));
                }
            }
        }
        if let Some(names) = wish.names {
            if names.len() > items.len() {
                return Err(SqlError::new(
                    SqlState("42P10"),
                    format!(
                        "{} columns available but {} columns specified",
                        items.len(),
                        names.len()
                    ),
                ));
            }
            for (item, name) in items.iter_mut().zip(names) {
                item.column.name.clone_from(name);
            }
        }
        Ok(items)
    }

    /// Translates what stands in a select list, or in RETURNING if that is the place.
    fn in_select_list<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        match self.place {
            Place::Elsewhere => self.standing(Place::List, inner),
            place => self.standing(place, inner),
        }
    }
}

/// The expressions of a select list.
fn projected_of(projection: &[SelectItem]) -> impl Iterator<Item = &Expr> {
    projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    })
}

/// An entry of a select list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub typed: Typed,
    pub column: OutputColumn,
}

impl Item {
    pub(super) fn new(typed: Typed, name: String) -> Self {
        let column = OutputColumn {
            name,
            ty: typed.ty,
            origin: typed.origin,
            not_null: matches!(typed.form, Form::Column { not_null: true }),
        };
        Self { typed, column }
    }
}

impl Translator<'_> {
    /// As [`expand`], for a statement that so reads every column.
    fn read_all(&self, source: &super::scope::Source, bare: bool) -> Vec<Item> {
        let items = expand(source, bare);
        for item in &items {
            self.demand_column(item.typed.origin, Rights::SELECT);
        }
        items
    }
}

fn output(column: &SourceColumn) -> OutputColumn {
    OutputColumn {
        name: column.name.clone(),
        ty: column.ty,
        origin: column.origin,
        not_null: column.not_null,
    }
}

/// `source.*`, spelled out; columns merged by USING appear once in a bare `*`.
pub(super) fn expand(source: &super::scope::Source, bare: bool) -> Vec<Item> {
    let columns = source.columns.iter().filter(|column| !(bare && column.merged));
    columns
        .map(|column| {
            let sql = column.spelled(&source.alias);
            let typed = Typed {
                form: Form::Column { not_null: column.not_null },
                origin: column.origin,
                ..Typed::of(sql, column.ty)
            }
            .named(column.name.clone());
            Item::new(typed, column.name.clone())
        })
        .collect()
}

/// The select list's text. Inside, every item gets the name it is read by.
fn item_list(items: &[Item], wish: Wish<'_>) -> String {
    if items.is_empty() {
        // PostgreSQL's SELECT without columns.
        return "NULL".to_owned();
    }
    let texts: Vec<String> = items
        .iter()
        .map(|item| {
            let name = names::quote(&item.column.name);
            let column = matches!(item.typed.form, Form::Column { .. });
            let said =
                item.typed.sql == name || (column && item.typed.sql.ends_with(&format!(".{name}")));
            if wish.inner && !said {
                format!("{} AS {name}", item.typed.sql)
            } else {
                item.typed.sql.clone()
            }
        })
        .collect();
    texts.join(", ")
}

/// Rows as clients are shown them: regclass and kin by their names.
pub(super) fn shown(rows: Selected) -> Selected {
    let is_reference = |column: &OutputColumn| family(column.ty.oid) == Family::Reference;
    if !rows.columns.iter().any(is_reference) {
        return rows;
    }
    let names: Vec<String> = (1..=rows.columns.len()).map(|number| format!("c{number}")).collect();
    let shown = names
        .iter()
        .zip(&rows.columns)
        .map(|(name, column)| printed_reference(Typed::of(name.clone(), column.ty)).sql);
    let shown: Vec<String> = shown.collect();
    let sql = format!(
        "WITH towline_shown({}) AS ({}) SELECT {} FROM towline_shown",
        names.join(", "),
        rows.sql,
        shown.join(", ")
    );
    Selected { sql, ..rows }
}

/// regclass and kin as the names that clients are shown.
pub(super) fn printed_reference(typed: Typed) -> Typed {
    if family(typed.oid()) != Family::Reference || typed.is_null() {
        return typed;
    }
    if typed.oid() == Oid::REGTYPE
        && let Ok(number) = typed.sql.parse()
        && let Some(info) = type_info(Oid(number))
    {
        let name = info.sql_name;
        return Typed { sql: names::quote_literal(name), form: Form::Plain, ..typed };
    }
    let name = types::internal_name(typed.oid());
    Typed { sql: format!("towline_text_{name}({})", typed.sql), form: Form::Plain, ..typed }
}

/// A bare query over a body.
pub(super) fn plain_query(body: SetExpr) -> Query {
    if let SetExpr::Query(query) = body {
        return *query;
    }
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
