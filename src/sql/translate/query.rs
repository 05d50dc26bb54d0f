//! SELECT, VALUES, set operations and WITH.

use std::collections::BTreeSet;

use sqlparser::ast::{
    AccessExpr, Cte, CteAsMaterialized, Distinct, Expr, Ident, NamedWindowExpr, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Statement,
    Values, With,
};

use super::grouping_sets::{self, GroupingSet};
use super::scope::{Scope, SourceColumn};
use super::targets::ALL_FIELDS;
use super::{CommonTable, Form, OutputColumn, SetReturning, Translator, Typed, names};
use crate::pg::types::type_info;
use crate::pg::{Oid, SqlError, SqlState};
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
        let selected = self.query(query, Wish { printed: true, ..Wish::default() })?;
        Ok(super::translated(
            Kind::Read { for_update: false },
            Tag::Select,
            super::result_columns(&selected.columns),
            vec![selected.sql],
        ))
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
            let allowed = std::mem::replace(&mut this.set_returning_allowed, false);
            let result = this.query_here(query, wish);
            this.ctes.truncate(outer);
            this.set_returning = functions;
            this.set_returning_allowed = allowed;
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
                self.with_tail(Selected { sql: format!("SELECT * FROM {from}"), columns }, tail)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::unsupported("a data-modifying statement inside a query"))
            }
        }
    }

    /// `WITH …`, with a blank behind it; its tables come into sight.
    pub(super) fn with(&mut self, with: Option<&With>) -> Result<String, SqlError> {
        let Some(with) = with else { return Ok(String::new()) };
        let mut texts = Vec::with_capacity(with.cte_tables.len());
        for cte in &with.cte_tables {
            texts.push(self.common_table(cte, with.recursive)?);
        }
        let recursive = if with.recursive { "RECURSIVE " } else { "" };
        Ok(format!("WITH {recursive}{} ", texts.join(", ")))
    }

    pub(super) fn common_table(&mut self, cte: &Cte, recursive: bool) -> Result<String, SqlError> {
        let name = names::fold(&cte.alias.name);
        let renamed: Vec<String> =
            cte.alias.columns.iter().map(|column| names::fold(&column.name)).collect();
        let wish = Wish { inner: true, names: Some(&renamed), ..Wish::default() };
        let named = |selected: &Selected| CommonTable {
            name: name.clone(),
            columns: selected
                .columns
                .iter()
                .map(|column| SourceColumn {
                    origin: column.origin,
                    not_null: column.not_null,
                    ..SourceColumn::new(column.name.clone(), column.ty)
                })
                .collect(),
        };
        let selected = match &*cte.query.body {
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right }
                if recursive && mentions(right, &name) =>
            {
                let outer = self.ctes.len();
                let with = self.with(cte.query.with.as_ref())?;
                let tail = Tail { query: &cte.query };
                let plain = plain_query((**left).clone());
                let first = self.query(&plain, wish)?;
                let first = self.settle_columns(first)?;
                self.ctes.push(named(&first));
                let wanted: Vec<Type> = first.columns.iter().map(|column| column.ty).collect();
                let plain = plain_query((**right).clone());
                let second = self
                    .query(&plain, Wish { inner: true, types: Some(&wanted), ..Wish::default() })?;
                for (column, ty) in second.columns.iter().zip(&wanted) {
                    let untyped = types::is_unknown(column.ty.oid);
                    let alike =
                        family(column.ty.oid) == Family::String && family(ty.oid) == Family::String;
                    if column.ty.oid != ty.oid && !untyped && !alike {
                        return Err(SqlError::new(
                            SqlState::DATATYPE_MISMATCH,
                            format!(
                                "recursive query \"{name}\" column \"{}\" has type {} in non-recursive \
                                 term but type {} overall",
                                column.name,
                                types::display_name(ty.oid),
                                types::display_name(column.ty.oid)
                            ),
                        )
                        .with_hint("Cast the output of the non-recursive term to the correct type."));
                    }
                }
                // SQLite wants the recursive table right in this SELECT's FROM.
                let second = match &**right {
                    SetExpr::Select(_) => second.sql,
                    _ => self.branch(second, &wanted)?,
                };
                self.ctes.truncate(outer);
                let all = if *set_quantifier == SetQuantifier::All { " ALL" } else { "" };
                let sql = format!("{with}{} UNION{all} {second}", first.sql);
                self.with_tail(Selected { sql, ..first }, tail)?
            }
            _ => {
                let selected = self.query(&cte.query, wish)?;
                self.settle_columns(selected)?
            }
        };
        let columns: Vec<String> =
            selected.columns.iter().map(|column| column.name.clone()).collect();
        let columns = if columns.iter().collect::<BTreeSet<_>>().len() == columns.len() {
            format!("({})", names::quote_all(&columns))
        } else {
            String::new()
        };
        let materialized = match cte.materialized {
            Some(CteAsMaterialized::Materialized) => "MATERIALIZED ",
            Some(CteAsMaterialized::NotMaterialized) => "NOT MATERIALIZED ",
            None => "",
        };
        let text = format!("{}{columns} AS {materialized}({})", names::quote(&name), selected.sql);
        self.ctes.push(named(&selected));
        Ok(text)
    }

    /// Gives columns without a type the type text.
    pub(super) fn settle_columns(&mut self, selected: Selected) -> Result<Selected, SqlError> {
        let columns = selected
            .columns
            .into_iter()
            .map(|column| match column.ty.oid {
                Oid::UNKNOWN => OutputColumn { ty: Type::TEXT, ..column },
                _ => column,
            })
            .collect();
        Ok(Selected { columns, ..selected })
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
        self.grouping_set = set.cloned();
        let items = self.projection(&select.projection, wish);
        self.grouping_set = None;
        let mut items = items?;
        let one_row = set.is_none() && self.check_grouping(select, tail.query)?;
        let functions = std::mem::take(&mut self.set_returning);
        if !functions.is_empty() {
            if one_row {
                return Err(SqlError::unsupported("a set-returning function beside an aggregate"));
            }
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
            for definition in &select.named_window {
                let spec = match &definition.1 {
                    NamedWindowExpr::NamedWindow(base) => names::quote(&names::fold(base)),
                    NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
                };
                windows.push(format!("{} AS ({spec})", names::quote(&names::fold(&definition.0))));
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
        if wish.printed && select.distinct.is_none() {
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
        let sql = format!("SELECT {distinct}{}{sql}", item_list(&items, wish));
        Ok(Selected { sql, columns: items.into_iter().map(|item| item.column).collect() })
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
            let alias = &function.alias;
            let array = function
                .sql
                .strip_prefix("json_each(")
                .and_then(|rest| rest.strip_suffix(&format!(") AS {alias}")))
                .ok_or_else(|| {
                    SqlError::unsupported("generate_series beside another set-returning function")
                })?;
            lengths.push(format!("coalesce(json_array_length({array}), 0)"));
            joins.push_str(&format!(" LEFT JOIN {} ON {alias}.key = {number}.value", function.sql));
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
                    let outer = std::mem::replace(&mut self.set_returning_allowed, true);
                    let row = self.access(root, inner);
                    self.set_returning_allowed = outer;
                    let fields = self.all_fields(&row?)?;
                    items.extend(fields.into_iter().map(|field| {
                        let name = field.name.clone().unwrap_or_default();
                        Item::new(field, name)
                    }));
                }
                SelectItem::UnnamedExpr(expr) => {
                    let typed = self.projected(expr)?;
                    let name = typed.name.clone().unwrap_or_else(|| "?column?".to_owned());
                    items.push(Item::new(typed, name));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let typed = self.projected(expr)?;
                    items.push(Item::new(typed, names::fold(alias)));
                }
                SelectItem::Wildcard(_) => {
                    let before = items.len();
                    let scope = self.scopes.last();
                    for source in scope.map_or(&[][..], |scope| &scope.sources) {
                        items.extend(expand(source, true));
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
                    _,
                ) => {
                    let table = names::last(name).unwrap_or_default();
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
                    items.extend(expand(source, false));
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

    fn projected(&mut self, expr: &Expr) -> Result<Typed, SqlError> {
        let outer = std::mem::replace(&mut self.set_returning_allowed, true);
        let typed = self.expression(expr);
        self.set_returning_allowed = outer;
        typed
    }

    fn values(&mut self, values: &Values, wish: Wish<'_>) -> Result<Selected, SqlError> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        let mut types = vec![Type::plain(Oid::UNKNOWN); width];
        for row in &values.rows {
            if row.content.len() != width {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                ));
            }
            let row = self.expressions(&row.content)?;
            for (ty, item) in types.iter_mut().zip(&row) {
                let common = types::common(ty.oid, item.oid()).ok_or_else(|| {
                    SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "VALUES types {} and {} cannot be matched",
                            types::display_name(ty.oid),
                            types::display_name(item.oid())
                        ),
                    )
                })?;
                let typmod = match super::row::has_shape(common) {
                    true => self.common_modifier(common, *ty, item.ty)?,
                    false => -1,
                };
                *ty = Type { oid: common, typmod };
            }
            rows.push(row);
        }
        for (at, ty) in types.iter_mut().enumerate() {
            if types::is_unknown(ty.oid) {
                *ty = wish.types.and_then(|types| types.get(at)).copied().unwrap_or(Type::TEXT);
            }
        }
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut fields = Vec::with_capacity(width);
            for (item, ty) in row.into_iter().zip(&types) {
                let item = self.coerce(item, Type::plain(ty.oid))?;
                // The first row's collation is the column's.
                fields.push(if texts.is_empty() { self.distinct(&item) } else { item.sql });
            }
            texts.push(format!("({})", fields.join(", ")));
        }
        let mut sql = format!("VALUES {}", texts.join(", "));
        let mut columns: Vec<OutputColumn> = types
            .iter()
            .enumerate()
            .map(|(at, ty)| OutputColumn {
                name: format!("column{}", at + 1),
                ty: *ty,
                origin: (Oid(0), 0),
                not_null: false,
            })
            .collect();
        if let Some(names) = wish.names.filter(|names| !names.is_empty()) {
            if names.len() > columns.len() {
                return Err(SqlError::new(
                    SqlState("42P10"),
                    format!(
                        "{} columns available but {} columns specified",
                        columns.len(),
                        names.len()
                    ),
                ));
            }
            for (column, name) in columns.iter_mut().zip(names) {
                column.name.clone_from(name);
            }
            if self.scopes.is_empty() {
                let renamed: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| {
                        format!("column{} AS {}", at + 1, names::quote(&column.name))
                    })
                    .collect();
                sql = format!("SELECT {} FROM ({sql})", renamed.join(", "));
            }
        }
        // Rows that read columns from outside have no column names in SQLite.
        if wish.inner && !self.scopes.is_empty() {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let alias = self.fresh_name("values");
            sql = format!(
                "WITH {alias} ({}) AS ({sql}) SELECT * FROM {alias}",
                names::quote_all(&names)
            );
        }
        Ok(Selected { sql, columns })
    }

    /// UNION, INTERSECT, EXCEPT: every branch in the common types.
    fn set_operation(&mut self, body: &SetExpr, wish: Wish<'_>) -> Result<Selected, SqlError> {
        let SetExpr::SetOperation { op, set_quantifier, left, right } = body else {
            return Err(SqlError::unsupported("this kind of query"));
        };
        let numbered = *set_quantifier == SetQuantifier::All && *op != SetOperator::Union;
        let word = match (op, set_quantifier) {
            (SetOperator::Union, SetQuantifier::All) => "UNION ALL",
            (SetOperator::Union, _) => "UNION",
            (SetOperator::Intersect, _) => "INTERSECT",
            (SetOperator::Except | SetOperator::Minus, _) => "EXCEPT",
        };
        let inner = Wish { inner: true, printed: false, ..wish };
        let first = match &**left {
            SetExpr::SetOperation { .. } => self.deeper(|this| this.set_operation(left, inner))?,
            other => self.query(&plain_query(other.clone()), inner)?,
        };
        let hints: Vec<Type> = first.columns.iter().map(|column| column.ty).collect();
        let hinted = hints.iter().all(|ty| !types::is_unknown(ty.oid));
        let second = self.query(
            &plain_query((**right).clone()),
            Wish {
                inner: true,
                types: if hinted { Some(&hints) } else { wish.types },
                ..Wish::default()
            },
        )?;
        if first.columns.len() != second.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            ));
        }
        let mut wanted = Vec::with_capacity(hints.len());
        for (a, b) in first.columns.iter().zip(&second.columns) {
            let oid = types::common(a.ty.oid, b.ty.oid).ok_or_else(|| {
                SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{word} types {} and {} cannot be matched",
                        types::display_name(a.ty.oid),
                        types::display_name(b.ty.oid)
                    ),
                )
            })?;
            let typmod = self.common_modifier(oid, a.ty, b.ty)?;
            wanted.push(Type { oid, typmod });
        }
        let columns: Vec<OutputColumn> = first
            .columns
            .iter()
            .zip(&wanted)
            .map(|(column, ty)| OutputColumn {
                name: column.name.clone(),
                ty: *ty,
                origin: (Oid(0), 0),
                not_null: false,
            })
            .collect();
        if numbered {
            // Equal rows are told apart by their number among them: (x, 1), (x, 2), ….
            let mut names: Vec<String> = (1..=wanted.len()).map(|at| format!("c{at}")).collect();
            let list = names.join(", ");
            let mut sides = Vec::with_capacity(2);
            for side in [first, second] {
                let rows = self.with_column_types(side, &wanted)?;
                let alias = self.fresh_name("rows");
                sides.push(format!(
                    "SELECT * FROM (WITH {alias}({list}) AS ({rows}) SELECT {list}, row_number() \
                     OVER (PARTITION BY {list}) AS towline_number FROM {alias})"
                ));
            }
            for (name, column) in names.iter_mut().zip(&columns) {
                name.push_str(&format!(" AS {}", names::quote(&column.name)));
            }
            let sql =
                format!("SELECT {} FROM ({})", names.join(", "), sides.join(&format!(" {word} ")));
            return Ok(Selected { sql, columns });
        }
        let tight = matches!(**left, SetExpr::Select(_) | SetExpr::SetOperation { .. });
        let left_sql = match self.with_column_types(first, &wanted)? {
            sql if tight || sql.starts_with("VALUES ") => sql,
            sql => format!("SELECT * FROM ({sql})"),
        };
        let right_sql = match &**right {
            SetExpr::Select(_) => self.with_column_types(second, &wanted)?,
            _ => self.branch(second, &wanted)?,
        };
        Ok(Selected { sql: format!("{left_sql} {word} {right_sql}"), columns })
    }

    /// As a branch of a compound: one SELECT, its columns of the wanted types.
    fn branch(&mut self, selected: Selected, wanted: &[Type]) -> Result<String, SqlError> {
        let plain = selected.sql.clone();
        let sql = self.with_column_types(selected, wanted)?;
        Ok(if sql == plain { format!("SELECT * FROM ({sql})") } else { sql })
    }

    /// The query's text with its columns converted, where they are not of these types.
    pub(super) fn with_column_types(
        &mut self,
        selected: Selected,
        wanted: &[Type],
    ) -> Result<String, SqlError> {
        let mut changed = false;
        let mut texts = Vec::with_capacity(wanted.len());
        for (at, (column, ty)) in selected.columns.iter().zip(wanted).enumerate() {
            let name = format!("c{}", at + 1);
            let typed = Typed::of(name.clone(), column.ty);
            let converted = if types::is_unknown(ty.oid) || types::is_unknown(column.ty.oid) {
                typed
            } else if family(column.ty.oid) == Family::Number
                && family(ty.oid) == Family::Number
                && ty.oid != Oid::NUMERIC
                && column.ty.oid != Oid::NUMERIC
            {
                // Integers and floats compare and print alike in SQLite, but a float
                // column must hold floats.
                if matches!(ty.oid, Oid::FLOAT4 | Oid::FLOAT8) {
                    self.convert(typed, Type::plain(ty.oid), super::cast::How::Assignment)?
                } else {
                    typed
                }
            } else {
                self.convert(typed, Type::plain(ty.oid), super::cast::How::Assignment)?
            };
            let made = converted.sql != name;
            changed |= made;
            texts.push(if made { self.distinct(&converted) } else { converted.sql });
        }
        if !changed {
            return Ok(selected.sql);
        }
        let names: Vec<String> = (1..=selected.columns.len()).map(|at| format!("c{at}")).collect();
        let alias = self.fresh_name("branch");
        Ok(format!(
            "SELECT {} FROM (WITH {alias}({}) AS ({}) SELECT * FROM {alias})",
            texts.join(", "),
            names.join(", "),
            selected.sql
        ))
    }
}

/// An entry of a select list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub typed: Typed,
    pub column: OutputColumn,
    /// What an outer query calls it: its name, unless an earlier item has that.
    pub sql_name: String,
}

impl Item {
    pub(super) fn new(typed: Typed, name: String) -> Self {
        let column = OutputColumn {
            name: name.clone(),
            ty: typed.ty,
            origin: typed.origin,
            not_null: matches!(typed.form, Form::Column { not_null: true }),
        };
        Self { typed, column, sql_name: name }
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
pub(super) fn item_list(items: &[Item], wish: Wish<'_>) -> String {
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

/// regclass and kin as the names that clients are shown.
pub(super) fn printed_reference(typed: Typed) -> Typed {
    let column = matches!(typed.form, Form::Column { .. });
    if family(typed.oid()) != Family::Reference || column || typed.is_null() {
        return typed;
    }
    if typed.oid() == Oid::REGTYPE
        && let Ok(number) = typed.sql.parse()
        && let Some(info) = type_info(Oid(number))
    {
        let name = info.sql_name;
        return Typed { sql: names::quote_literal(name), ..typed };
    }
    let name = types::internal_name(typed.oid());
    Typed { sql: format!("towline_text_{name}({})", typed.sql), ..typed }
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

/// Whether a body reads from a table named `name`.
fn mentions(body: &SetExpr, name: &str) -> bool {
    use std::ops::ControlFlow;
    let found = sqlparser::ast::visit_relations(body, |relation| {
        if names::last(relation).as_deref() == Some(name) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found.is_break()
}
