//! FROM: tables, subqueries, functions and joins; each adds itself to the scope.

use std::ops::Range;

use sqlparser::ast::{
    FunctionArg, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select,
    SetExpr, TableAlias, TableFactor, TableWithJoins,
};

use super::place::Place;
use super::query::Wish;
use super::scope::{Scope, Source, SourceColumn};
use super::tokens::MERGED_AS;
use super::with::calls_volatile;
use super::{
    Form, OutputColumn, Translator, Typed, function, grouping, json, known, names, row,
    set_returning,
};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Catalog, RESERVED_PREFIX, Relation, RelationKind, Rights, system_relation,
};
use crate::sql::determinism::mentions_leader;
use crate::sql::types::{self, Type};

impl Source {
    pub(super) fn new(alias: impl Into<String>, columns: Vec<SourceColumn>) -> Self {
        Self {
            alias: alias.into(),
            schema: None,
            columns,
            open: false,
            relation: None,
            missing: None,
        }
    }
}

/// A relation's columns as a source.
pub(super) fn relation_columns(catalog: &Catalog, relation: &Relation) -> Vec<SourceColumn> {
    // A domain's values are its base type's.
    let seen = |attribute: &Attribute| match catalog.domain_base(attribute.oid) {
        Some((oid, typmod)) => Type { oid, typmod },
        None => Type { oid: attribute.oid, typmod: attribute.typmod },
    };
    relation
        .attributes
        .iter()
        .enumerate()
        .map(|(at, attribute)| SourceColumn {
            origin: (relation.oid, i16::try_from(at + 1).unwrap_or(0)),
            not_null: attribute.not_null,
            ..SourceColumn::new(attribute.name.clone(), seen(attribute))
        })
        .collect()
}

/// Whether a join is another where more stands on its left.
fn stands_apart(operator: &JoinOperator) -> bool {
    match operator {
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_) => true,
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => {
            matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
        }
        _ => false,
    }
}

/// Whether equal values of two types are stored alike.
fn alike(left: Oid, right: Oid) -> bool {
    let text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR | Oid::NAME);
    left == right
        || types::is_unknown(left)
        || types::is_unknown(right)
        || (types::is_integer(left) && types::is_integer(right))
        || (text(left) && text(right))
}

impl Translator<'_> {
    /// The FROM list; sources go into the innermost scope.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<String, SqlError> {
        let mut texts = Vec::with_capacity(from.len());
        for item in from {
            let text = self.table_with_joins(item)?;
            // SQLite's comma is a join like the others, with all that is on its left.
            let apart = item.joins.iter().any(|join| stands_apart(&join.join_operator));
            match text {
                text if text.is_empty() => {}
                text if apart && !texts.is_empty() => texts.push(format!("({text})")),
                text => texts.push(text),
            }
        }
        Ok(texts.join(", "))
    }

    fn table_with_joins(&mut self, item: &TableWithJoins) -> Result<String, SqlError> {
        self.deeper(|this| {
            let first = this.sources_count();
            let mut sql = this.factor(&item.relation)?;
            for join in &item.joins {
                this.join(&mut sql, join, first)?;
            }
            Ok(sql)
        })
    }

    fn sources_count(&self) -> usize {
        self.scopes.last().map_or(0, |scope| scope.sources.len())
    }

    /// Appends a join to what is on its left, which began at source `first`.
    fn join(&mut self, sql: &mut String, join: &Join, first: usize) -> Result<(), SqlError> {
        let (word, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                ("JOIN", constraint)
            }
            JoinOperator::CrossJoin(constraint) => ("JOIN", constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                ("LEFT JOIN", constraint)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                ("RIGHT JOIN", constraint)
            }
            JoinOperator::FullOuter(constraint) => ("FULL JOIN", constraint),
            _ => return Err(SqlError::unsupported("this kind of join")),
        };
        let middle = self.sources_count();
        let barred = if matches!(word, "RIGHT JOIN" | "FULL JOIN") { first..middle } else { 0..0 };
        let barred_before = self.bar(barred);
        let right = self.factor(&join.relation);
        self.bar(barred_before);
        let right = right?;
        if word != "JOIN"
            && let Some(scope) = self.scopes.last_mut()
        {
            // The other side may be filled up with NULLs.
            let filled = match word {
                "LEFT JOIN" => middle..scope.sources.len(),
                "RIGHT JOIN" => first..middle,
                _ => first..scope.sources.len(),
            };
            for source in &mut scope.sources[filled] {
                if source.missing.is_none() {
                    source.missing = row::missing(source, self.context.catalog);
                }
                for column in &mut source.columns {
                    column.not_null = false;
                }
            }
        }
        let constraint_sql = match constraint {
            JoinConstraint::None => String::new(),
            JoinConstraint::On(condition) => {
                format!(" ON {}", self.condition(condition, "JOIN/ON")?)
            }
            JoinConstraint::Using(columns) => {
                let columns: Vec<String> = columns.iter().filter_map(names::last).collect();
                self.merge_columns(&columns, first, middle, word)?
            }
            JoinConstraint::Natural => {
                let columns = self.shared_columns(first, middle);
                if columns.is_empty() {
                    String::new()
                } else {
                    self.merge_columns(&columns, first, middle, word)?
                }
            }
        };
        // A source that was written out in place of its columns leaves no text.
        if right.is_empty() {
            let trivial = matches!(constraint_sql.as_str(), "" | " ON TRUE");
            if !trivial && word != "JOIN" {
                return Err(SqlError::unsupported("a condition on a LATERAL subquery"));
            }
            if !trivial {
                sql.push_str(&format!(" JOIN (SELECT 1){constraint_sql}"));
            }
        } else if sql.is_empty() {
            sql.push_str(&right);
        } else {
            sql.push_str(&format!(" {word} {right}{constraint_sql}"));
        }
        Ok(())
    }

    /// Which sources may not be referred to; answers which might not before.
    fn bar(&mut self, sources: Range<usize>) -> Range<usize> {
        match self.scopes.last_mut() {
            Some(scope) => std::mem::replace(&mut scope.barred, sources),
            None => sources,
        }
    }

    fn shared_columns(&self, first: usize, middle: usize) -> Vec<String> {
        let Some(scope) = self.scopes.last() else { return Vec::new() };
        let visible = |source: &Source| -> Vec<String> {
            source
                .columns
                .iter()
                .filter(|column| !column.merged)
                .map(|column| column.name.clone())
                .collect()
        };
        let right: Vec<String> = scope.sources[middle..].iter().flat_map(visible).collect();
        scope.sources[first..middle]
            .iter()
            .flat_map(visible)
            .filter(|name| right.contains(name))
            .collect()
    }

    /// Makes one column of each pair of namesakes on the two sides of a join, and answers
    /// the join's condition. The merged columns stand before all others of the join, as a
    /// source without a name.
    fn merge_columns(
        &mut self,
        columns: &[String],
        first: usize,
        middle: usize,
        word: &str,
    ) -> Result<String, SqlError> {
        let (columns, alias) = match columns.split_last() {
            Some((last, columns)) if last.starts_with(MERGED_AS) => (columns, last.get(1..)),
            _ => (columns, None),
        };
        let Some(scope) = self.scopes.last_mut() else { return Ok(String::new()) };
        let (left, right) = scope.sources.split_at_mut(middle);
        let left = &mut left[first..];
        let mut merged = Vec::with_capacity(columns.len());
        let mut pairs = Vec::with_capacity(columns.len());
        // SQLite's own USING knows columns by the names that they have there.
        let mut own_names = true;
        for name in columns {
            let missing = |side: &str| {
                SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" specified in USING clause does not exist in {side} table"
                    ),
                )
            };
            /// Hides the column; answers it, how it is spelled, and whether by its own name.
            fn take(side: &mut [Source], name: &str) -> Option<(SourceColumn, String, bool)> {
                side.iter_mut().find_map(|source| {
                    let column = source
                        .columns
                        .iter_mut()
                        .find(|column| column.name == name && !column.merged)?;
                    column.merged = true;
                    let visible = SourceColumn { merged: false, ..column.clone() };
                    let spelled = column.spelled(&source.alias);
                    Some((visible, spelled, column.sql.is_none()))
                })
            }
            let (left, left_sql, left_own) = take(left, name).ok_or_else(|| missing("left"))?;
            let (right, right_sql, right_own) =
                take(right, name).ok_or_else(|| missing("right"))?;
            own_names &= left_own && right_own;
            pairs.push(((left, left_sql), (right, right_sql)));
        }
        for column in pairs.iter().flat_map(|((left, _), (right, _))| [left, right]) {
            self.demand_column(column.origin, Rights::SELECT);
        }
        let mut conditions = Vec::with_capacity(columns.len());
        for ((left, left_sql), (right, right_sql)) in pairs {
            if alike(left.ty.oid, right.ty.oid) {
                conditions.push(format!("{left_sql} = {right_sql}"));
                let met = types::common(left.ty.oid, right.ty.oid);
                let (column, sql) = match word {
                    "RIGHT JOIN" => (right, right_sql),
                    "JOIN" if met != Some(left.ty.oid) => (right, right_sql),
                    "FULL JOIN" => (left, format!("coalesce({left_sql}, {right_sql})")),
                    _ => (left, left_sql),
                };
                let other = met.filter(|oid| *oid != column.ty.oid);
                let ty = other.map_or(column.ty, Type::plain);
                merged.push(SourceColumn { sql: Some(sql), ty, ..column });
                continue;
            }
            // Values of two types are one where they are equal in the type that they meet in.
            own_names = false;
            let typed = |column: &SourceColumn, sql| Typed {
                form: Form::Column { not_null: column.not_null },
                ..Typed::of(sql, column.ty)
            };
            let (left, right) = (typed(&left, left_sql), typed(&right, right_sql));
            let converted = types::common(left.oid(), right.oid()) != Some(left.oid());
            conditions.push(self.compare(left.clone(), "=", right.clone())?.sql);
            let (met, ty) = self.unify(vec![left, right], "JOIN/USING")?;
            let sql = match word {
                "RIGHT JOIN" => met[1].sql.clone(),
                "JOIN" if converted => met[1].sql.clone(),
                "FULL JOIN" => format!("coalesce({}, {})", met[0].sql, met[1].sql),
                _ => met[0].sql.clone(),
            };
            let name = columns[merged.len()].clone();
            merged.push(SourceColumn { sql: Some(sql), ..SourceColumn::new(name, ty) });
        }
        let named: Vec<SourceColumn> =
            merged.iter().map(|column| SourceColumn { merged: true, ..column.clone() }).collect();
        if let Some(scope) = self.scopes.last_mut() {
            scope.sources.insert(first, Source::new("", merged));
        }
        if let Some(alias) = alias {
            self.add_source(Source::new(alias, named))?;
        }
        Ok(if own_names {
            format!(" USING ({})", names::quote_all(columns))
        } else {
            format!(" ON {}", conditions.join(" AND "))
        })
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<String, SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_ordinality: false,
                sample: None,
                ..
            } => match value_keyword(name) {
                Some(word) => {
                    let value = self.expression(&super::syntax::parse_expression(&word)?)?;
                    self.value_source(value, word, false, alias.as_ref())
                }
                None => self.named_table(name, alias.as_ref()),
            },
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.function_source(name, &args.args, *with_ordinality, alias.as_ref())
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                self.function_source(name, args, *with_ordinality, alias.as_ref())
            }
            TableFactor::UNNEST {
                alias, array_exprs, with_offset: false, with_ordinality, ..
            } => {
                let arguments = self.expressions(array_exprs)?;
                self.set_returning_source("unnest", arguments, *with_ordinality, alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                self.derived(*lateral, subquery, alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let inner = self.table_with_joins(table_with_joins)?;
                Ok(format!("({inner})"))
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let query =
                    super::syntax::parse_query(&format!("SELECT * FROM {table_with_joins}"))?;
                self.derived(false, &query, alias.as_ref())
            }
            TableFactor::Table { sample: Some(_), .. } => Err(SqlError::unsupported("TABLESAMPLE")),
            other => Err(SqlError::unsupported(format_args!("{other} in FROM"))),
        }
    }

    pub(super) fn add_source(&mut self, source: Source) -> Result<(), SqlError> {
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        if !source.alias.is_empty()
            && scope
                .sources
                .iter()
                .any(|other| other.alias == source.alias && other.schema == source.schema)
        {
            return Err(SqlError::new(
                SqlState("42712"),
                format!("table name \"{}\" specified more than once", source.alias),
            ));
        }
        scope.sources.push(source);
        Ok(())
    }

    /// A table, view, or common table expression by name.
    pub(super) fn named_table(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        let (schema, table) = self.qualified(name)?;
        let schema = schema.as_deref();
        let missing = |this: &Self| {
            let shown = match schema {
                Some(schema) => format!("{schema}.{table}"),
                None => table.clone(),
            };
            let error = SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{shown}\" does not exist"),
            );
            match name.0.first().and_then(|part| part.as_ident()) {
                Some(ident) => this.at(error, ident),
                None => error,
            }
        };
        let cte = if schema.is_none() {
            self.ctes.iter().rev().find(|cte| cte.name == table).cloned()
        } else {
            None
        };
        // What SQLite calls it where it is given no alias.
        let mut own_name = table.clone();
        let mut oid = None;
        let (sql, mut columns, schema) = if let Some(cte) = cte {
            (names::quote(&table), cte.columns, None)
        } else if let Some(system) = match schema {
            None => system_relation("pg_catalog", &table),
            Some(schema) => system_relation(schema, &table),
        } {
            let columns = system
                .columns
                .iter()
                .enumerate()
                .map(|(at, column)| SourceColumn {
                    origin: (system.oid, i16::try_from(at + 1).unwrap_or(0)),
                    not_null: column.not_null,
                    ..SourceColumn::new(column.name, Type::plain(column.oid))
                })
                .collect();
            (
                format!("{}.{}", system.schema, names::quote(&table)),
                columns,
                Some(system.schema.to_owned()),
            )
        } else {
            if table.starts_with(RESERVED_PREFIX) {
                return Err(missing(self));
            }
            let catalog = self.context.catalog;
            if let Some(relation) = self.find_relation(schema, &table) {
                own_name.clone_from(&relation.name);
                oid = Some(relation.oid);
                self.demand_table(relation, Rights::SELECT);
                let schema = catalog.split_name(&relation.name).0.to_owned();
                let columns = relation_columns(catalog, relation);
                self.leader |= draws(relation);
                let hidden = self.shadows.iter().any(|cte| cte.eq_ignore_ascii_case(&table));
                let main = if hidden { "main." } else { "" };
                (format!("{main}{}", names::quote(&relation.name)), columns, Some(schema))
            } else if let Some(sequence) = self.find_sequence(schema, &table) {
                let schema = catalog.split_name(&sequence).0.to_owned();
                self.demand_sequence(&sequence, Rights::SELECT);
                (sequence_rows(&sequence), sequence_columns(), Some(schema))
            } else {
                return Err(missing(self));
            }
        };
        let derived = sql.starts_with('(');
        let visible = alias.map_or_else(|| table.clone(), |alias| names::fold(&alias.name));
        // Two of one name from two schemas: SQLite needs two names.
        let twin = self.scopes.last().is_some_and(|scope| {
            scope.sources.iter().any(|other| other.alias == visible && other.schema != schema)
        });
        let inside = if twin { self.fresh_name("twin") } else { visible.clone() };
        if twin {
            for column in &mut columns {
                column.sql = Some(format!("{inside}.{}", names::quote(&column.name)));
            }
        }
        let columns = renamed_columns(columns, alias, &visible)?;
        let text = if inside == own_name && !derived {
            sql
        } else {
            format!("{sql} AS {}", names::quote(&inside))
        };
        let schema = if alias.is_some() { None } else { schema };
        self.add_source(Source { schema, relation: oid, ..Source::new(visible, columns) })?;
        Ok(text)
    }

    /// A function call in FROM.
    fn function_source(
        &mut self,
        name: &ObjectName,
        arguments: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        if let Some(text) = self.routine_source(name, arguments, with_ordinality, alias)? {
            return Ok(text);
        }
        let function = function::function_name(name)?;
        if let (Some(view), false) = (view_of(&function), with_ordinality) {
            let own = TableAlias {
                explicit: true,
                name: names::ident(&function),
                columns: Vec::new(),
                at: None,
            };
            let view = ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(view)]);
            return self.named_table(&view, Some(alias.unwrap_or(&own)));
        }
        if json::gives_records(&function) {
            return self.json_records(&function, arguments, alias);
        }
        let place = Place::Clause("functions in FROM");
        let arguments =
            self.standing(place, |this| match known::by_position(&function, arguments) {
                Some(placed) => this.expressions(&placed?),
                None => arguments.iter().map(|argument| this.argument(argument)).collect(),
            })?;
        if set_returning::is_set_returning(&function) {
            return self.set_returning_source(&function, arguments, with_ordinality, alias);
        }
        let typed = self.call(&function, arguments)?;
        self.value_source(typed, function, with_ordinality, alias)
    }

    /// A function of one value is a table of one row.
    fn value_source(
        &mut self,
        typed: Typed,
        function: String,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        let visible = alias.map_or_else(|| function.clone(), |alias| names::fold(&alias.name));
        let column = match alias {
            Some(alias) if !alias.columns.is_empty() => names::fold(&alias.columns[0].name),
            Some(_) => visible.clone(),
            None => function,
        };
        let text = format!(
            "(SELECT {} AS {}) AS {}",
            typed.sql,
            names::quote(&column),
            names::quote(&visible)
        );
        let mut columns = vec![SourceColumn::new(column, typed.ty)];
        if with_ordinality {
            let mut ordinality = SourceColumn::new("ordinality", Type::plain(Oid::INT8));
            ordinality.sql = Some("1".to_owned());
            columns.push(ordinality);
        }
        self.add_source(Source::new(visible, columns))?;
        Ok(text)
    }

    fn set_returning_source(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        let visible = alias.map_or_else(|| name.to_owned(), |alias| names::fold(&alias.name));
        let mut source = self.set_source(name, arguments, &names::quote(&visible))?;
        // Of rows each field is a column.
        if let [row] = source.columns.as_slice()
            && let Some(fields) = self.row_fields(row)
        {
            source.columns = fields;
        }
        let mut columns: Vec<SourceColumn> = source
            .columns
            .into_iter()
            .map(|typed| {
                // A function of one column names it as itself is named.
                let name = match typed.name {
                    Some(name) => name,
                    None => visible.clone(),
                };
                SourceColumn { sql: Some(typed.sql), ..SourceColumn::new(name, typed.ty) }
            })
            .collect();
        if with_ordinality {
            columns.push(SourceColumn {
                sql: Some(source.ordinality),
                ..SourceColumn::new("ordinality", Type::plain(Oid::INT8))
            });
        }
        let columns = renamed_columns(columns, alias, &visible)?;
        self.add_source(Source::new(visible, columns))?;
        Ok(source.sql)
    }

    /// A subquery in FROM.
    fn derived(
        &mut self,
        lateral: bool,
        subquery: &Query,
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        let visible = match alias {
            Some(alias) => names::fold(&alias.name),
            None => self.fresh_name("derived"),
        };
        let renamed: Vec<String> = alias.map_or_else(Vec::new, |alias| {
            alias.columns.iter().map(|column| names::fold(&column.name)).collect()
        });
        let wish = Wish { inner: true, names: Some(&renamed), ..Wish::default() };
        // Without LATERAL it doesn't see its neighbours.
        let mut scope = self.scopes.pop().unwrap_or_default();
        let alone = if lateral {
            self.scopes.push(Scope { hidden: true, ..scope });
            let alone = self.query(subquery, wish);
            scope = self.scopes.pop().unwrap_or_default();
            scope.hidden = false;
            alone
        } else {
            self.query(subquery, wish)
        };
        self.scopes.push(scope);
        let selected = match alone {
            Ok(selected) => self.settle_columns(selected)?,
            Err(error) => {
                let unseen = error.state == SqlState::UNDEFINED_COLUMN
                    || error.state == SqlState::UNDEFINED_TABLE;
                if lateral && unseen {
                    return self.lateral(subquery, &visible, wish);
                }
                return Err(error);
            }
        };
        let columns = source_columns(&selected.columns);
        let mut sql = selected.sql;
        let volatile = calls_volatile(subquery);
        if volatile || columns.iter().any(|column| column.called.is_some()) {
            let (list, alias) = (called(&selected.columns), self.fresh_name("rows"));
            let list = names::quote_all(&list);
            let once = if volatile { "MATERIALIZED " } else { "" };
            sql = format!("WITH {alias}({list}) AS {once}({sql}) SELECT * FROM {alias}");
        }
        self.add_source(Source::new(visible.clone(), columns))?;
        Ok(format!("({sql}) AS {}", names::quote(&visible)))
    }

    /// A LATERAL subquery that reads its neighbours, which SQLite doesn't have. One of
    /// exactly one row is written out: each column becomes an expression. For any other
    /// its rows become elements of an array, which `json_each` takes apart again: a
    /// table-valued function does see its neighbours.
    fn lateral(
        &mut self,
        subquery: &Query,
        visible: &str,
        wish: Wish<'_>,
    ) -> Result<String, SqlError> {
        self.scopes.push(Scope::default());
        let result = self.lateral_columns(subquery, visible, wish);
        self.scopes.pop();
        let (text, columns) = result?;
        let columns = columns
            .into_iter()
            .map(|(sql, column)| SourceColumn {
                sql: Some(sql),
                ..SourceColumn::new(
                    column.name,
                    if types::is_unknown(column.ty.oid) { Type::TEXT } else { column.ty },
                )
            })
            .collect();
        self.add_source(Source::new(visible, columns))?;
        Ok(text)
    }

    /// What stands in FROM, and the columns as expressions.
    fn lateral_columns(
        &mut self,
        subquery: &Query,
        visible: &str,
        wish: Wish<'_>,
    ) -> Result<(String, Vec<(String, OutputColumn)>), SqlError> {
        if let SetExpr::Select(select) = &*subquery.body
            && subquery.limit_clause.is_none()
            && subquery.with.is_none()
            && subquery.fetch.is_none()
        {
            let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty())
                && select.having.is_none();
            let one_row = select.selection.is_none() && !self.gives_rows(&select.projection);
            if select.from.is_empty() && one_row && ungrouped {
                let items = self.projection(&select.projection, wish)?;
                let columns = items.into_iter().map(|item| {
                    (self.collated_text(item.typed.operand(), item.typed.ty), item.column)
                });
                return Ok((String::new(), columns.collect()));
            }
            if ungrouped && every_item_aggregates(select) {
                return Ok((String::new(), self.aggregated_row(subquery, wish)?));
            }
        }
        let selected = self.query(subquery, wish)?;
        let list: Vec<String> = (1..=selected.columns.len()).map(|at| format!("c{at}")).collect();
        let list = list.join(", ");
        let alias = self.fresh_name("lateral");
        let source = names::quote(visible);
        let text = format!(
            "json_each((WITH {alias}({list}) AS ({}) SELECT json_group_array(towline_pack({list})) \
             FROM {alias})) AS {source}",
            selected.sql
        );
        let columns = selected.columns.into_iter().enumerate();
        let columns = columns.map(|(at, column)| (self.unpacked(&source, at, column.ty), column));
        Ok((text, columns.collect()))
    }

    /// Each column of a one-row aggregate query as a subquery of its own.
    fn aggregated_row(
        &mut self,
        subquery: &Query,
        wish: Wish<'_>,
    ) -> Result<Vec<(String, OutputColumn)>, SqlError> {
        let selected = self.query(subquery, wish)?;
        let width = selected.columns.len();
        let names: Vec<String> = (1..=width).map(|at| format!("c{at}")).collect();
        let alias = self.fresh_name("lateral");
        Ok(selected
            .columns
            .into_iter()
            .enumerate()
            .map(|(at, column)| {
                let sql = format!(
                    "(WITH {alias}({}) AS ({}) SELECT {} FROM {alias})",
                    names.join(", "),
                    selected.sql,
                    names[at]
                );
                (self.collated_text(sql, column.ty), column)
            })
            .collect())
    }

    /// Field `at` of a packed row that `source`, a `json_each`, gives.
    pub(super) fn unpacked(&self, source: &str, at: usize, ty: Type) -> String {
        self.collated_text(format!("towline_unpack({source}.value, {at})"), ty)
    }

    /// An expression that is to compare as a column of its type does.
    fn collated_text(&self, sql: String, ty: Type) -> String {
        match self.collation(ty) {
            Some(collation) => format!("({sql} COLLATE {collation})"),
            None => sql,
        }
    }
}

/// The view of `pg_catalog` whose rows a function gives.
fn view_of(function: &str) -> Option<&'static str> {
    Some(match function {
        "pg_available_extensions" => "pg_available_extensions",
        "pg_cursor" => "pg_cursors",
        "pg_lock_status" => "pg_locks",
        "pg_prepared_statement" => "pg_prepared_statements",
        "pg_show_all_settings" => "pg_settings",
        "pg_timezone_abbrevs" => "pg_timezone_abbrevs",
        "pg_timezone_names" => "pg_timezone_names",
        _ => return None,
    })
}

/// The function that is called by a keyword without parentheses, if a name in FROM is one.
fn value_keyword(name: &ObjectName) -> Option<String> {
    let [part] = name.0.as_slice() else { return None };
    let ident = part.as_ident().filter(|ident| ident.quote_style.is_none())?;
    let word = names::fold(ident);
    matches!(
        word.as_str(),
        "current_catalog"
            | "current_date"
            | "current_role"
            | "current_schema"
            | "current_time"
            | "current_timestamp"
            | "current_user"
            | "localtime"
            | "localtimestamp"
            | "session_user"
            | "user"
    )
    .then_some(word)
}

fn every_item_aggregates(select: &Select) -> bool {
    !select.projection.is_empty()
        && select.projection.iter().all(|item| match item {
            sqlparser::ast::SelectItem::UnnamedExpr(expr)
            | sqlparser::ast::SelectItem::ExprWithAlias { expr, .. } => {
                grouping::has_aggregate(expr)
            }
            _ => false,
        })
}

/// `AS t(a, b)`: names for the first columns.
pub(super) fn renamed_columns(
    mut columns: Vec<SourceColumn>,
    alias: Option<&TableAlias>,
    visible: &str,
) -> Result<Vec<SourceColumn>, SqlError> {
    let Some(alias) = alias else { return Ok(columns) };
    if alias.columns.len() > columns.len() {
        return Err(SqlError::new(
            SqlState("42P10"),
            format!(
                "table \"{visible}\" has {} columns available but {} columns specified",
                columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, renamed) in columns.iter_mut().zip(&alias.columns) {
        column.sql = Some(column.spelled(visible));
        column.name = names::fold(&renamed.name);
    }
    Ok(columns)
}

/// A sequence read as a table: one row.
fn sequence_rows(name: &str) -> String {
    format!(
        "(SELECT coalesce(reserved, start) AS last_value, 0 AS log_cnt, reserved IS NOT NULL AS \
         is_called FROM towline_sequence WHERE name = {})",
        names::quote_literal(name)
    )
}

fn sequence_columns() -> Vec<SourceColumn> {
    vec![
        SourceColumn::new("last_value", Type::plain(Oid::INT8)),
        SourceColumn::new("log_cnt", Type::plain(Oid::INT8)),
        SourceColumn::new("is_called", Type::plain(Oid::BOOL)),
    ]
}

/// What a query gives, as columns of a source.
pub(super) fn source_columns(columns: &[OutputColumn]) -> Vec<SourceColumn> {
    let columns = columns.iter().zip(called(columns));
    let column = |(column, called): (&OutputColumn, String)| SourceColumn {
        origin: column.origin,
        not_null: column.not_null,
        called: Some(called).filter(|called| *called != column.name),
        ..SourceColumn::new(column.name.clone(), column.ty)
    };
    columns.map(column).collect()
}

/// What SQLite is to call a query's columns.
pub(super) fn called<'a>(columns: impl IntoIterator<Item = &'a OutputColumn>) -> Vec<String> {
    names::told_apart(columns.into_iter().map(|column| column.name.as_str()))
}

/// Whether reading a view draws from sequences, which is the leader's to do.
fn draws(relation: &Relation) -> bool {
    let text = relation.definition.as_deref().filter(|_| relation.kind == RelationKind::View);
    text.is_some_and(mentions_leader)
}
