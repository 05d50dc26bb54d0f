//! What a function's body says, in place of a call.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArguments, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement,
    Value, Visit, visit_expressions, visit_relations,
};

use super::choice::{Chosen, is_of_group};
use super::{Argument, Frame, output};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Routine, Said, Volatility};
use crate::sql::scan::Scanner;
use crate::sql::split;
use crate::sql::translate::cast::{self, How};
use crate::sql::translate::place::Place;
use crate::sql::translate::query::{Selected, Wish};
use crate::sql::translate::row::Shape;
use crate::sql::translate::{
    Form, Translator, Typed, clauses, limits, names, set_returning, steps, syntax,
};
use crate::sql::types::Type;

/// Functions in functions in functions: deeper than this is refused.
const DEPTH_MAX: usize = 32;

/// The columns of what a call gives; `None` where its call says what they are.
type Fields = Option<Vec<(String, Type)>>;

impl<'a> Translator<'a> {
    /// What `name` means as a parameter of the function that is being read.
    pub(in crate::sql::translate) fn named_argument(&self, name: &str) -> Option<Typed> {
        let frame = self.frames.last()?;
        let at = frame.routine.said.inputs().position(|input| input.name == name)?;
        Some(frame.arguments.get(at)?.value.clone().named(name))
    }

    /// As [`Self::named_argument`], for `function.name`.
    pub(in crate::sql::translate) fn argument_of(
        &self,
        function: &str,
        name: &str,
    ) -> Option<Typed> {
        let frame = self.frames.last()?;
        (self.context.catalog.bare(&frame.routine.name) == function)
            .then(|| self.named_argument(name))
            .flatten()
    }

    /// `$number` in a function's body; `None` outside of one.
    pub(in crate::sql::translate) fn numbered_argument(
        &self,
        number: usize,
    ) -> Option<Result<Typed, SqlError>> {
        let frame = self.frames.last()?;
        let found = number.checked_sub(1).and_then(|at| frame.arguments.get(at));
        Some(found.map(|argument| argument.value.clone()).ok_or_else(|| {
            let message = format!("there is no parameter ${number}");
            SqlError::new(SqlState::UNDEFINED_PARAMETER, message)
        }))
    }

    /// Reads what is inside a function: nothing around the call is in sight.
    pub(super) fn within<T>(
        &mut self,
        routine: &'a Routine,
        arguments: Vec<Argument>,
        inner: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let name = self.context.catalog.bare(&routine.name);
        if self.frames.iter().any(|frame| frame.routine.oid == routine.oid) {
            return Err(SqlError::unsupported(format_args!("the recursive function \"{name}\"")));
        }
        if self.frames.len() >= DEPTH_MAX {
            return Err(limits::too_deep());
        }
        self.called.push((routine.oid, self.frames.is_empty()));
        self.frames.push(Frame { routine, arguments });
        let scopes = std::mem::take(&mut self.scopes);
        let ctes = std::mem::take(&mut self.ctes);
        let shadows = self.shadows.len();
        self.shadows.extend(ctes.iter().map(|cte| cte.name.clone()));
        let set = self.grouping_set.take();
        let functions = std::mem::take(&mut self.set_returning);
        let result = self.standing(Place::Elsewhere, |this| this.deeper(inner));
        (self.scopes, self.ctes, self.grouping_set) = (scopes, ctes, set);
        self.set_returning = functions;
        self.shadows.truncate(shadows);
        self.frames.pop();
        // Places in the body are none in the client's text.
        result.map_err(|error| SqlError { position: None, ..error })
    }

    /// What a function that gives no rows gives, as an expression.
    pub(super) fn routine_value(&mut self, chosen: Chosen<'a>) -> Result<Typed, SqlError> {
        let Chosen { routine, arguments } = chosen;
        let Some(query) = only_query(routine)? else {
            return Ok(Typed::plain("''", routine.said.result.oid));
        };
        if let Some(expr) = plain_expression(&query, self)
            && !self.is_of_rows(routine)
            && routine.said.result.oid != Oid::VOID
        {
            return self.plain_value(routine, arguments, expr);
        }
        if self.expression_only {
            return Err(SqlError::unsupported(format_args!(
                "calling \"{}\", whose body is a query, in this place",
                self.context.catalog.bare(&routine.name)
            )));
        }
        let (arguments, row) = self.bound(routine, arguments, true)?;
        let nulls = nulls(routine, &arguments);
        let mut typed = self.within(routine, arguments, |this| {
            let fields = this.result_fields(routine)?;
            let selected = this.routine_rows(routine, fields.as_deref(), &query)?;
            this.first_value(routine, selected)
        })?;
        if let Some(nulls) = nulls {
            typed.sql = format!("CASE WHEN {nulls} THEN NULL ELSE {} END", typed.sql);
            typed.atomic = true;
        }
        if let Some(row) = row {
            typed.sql = format!("(SELECT {} FROM {row})", typed.sql);
        }
        Ok(typed)
    }

    /// A body that is an expression alone.
    pub(super) fn plain_value(
        &mut self,
        routine: &'a Routine,
        arguments: Vec<Argument>,
        expr: &Expr,
    ) -> Result<Typed, SqlError> {
        let uses = uses(expr, routine, self.context.catalog.bare(&routine.name));
        let tested = usize::from(routine.said.is_strict);
        let once =
            |(argument, uses): (&Argument, &usize)| argument.is_repeatable || uses + tested == 1;
        let pinned = self.expression_only || arguments.iter().any(|a| !a.is_bindable);
        let several =
            |(argument, uses): (&Argument, &usize)| argument.is_volatile && uses + tested != 1;
        if pinned && arguments.iter().zip(&uses).any(several) {
            return Err(SqlError::unsupported(
                "a volatile argument of a function that uses it more than once in this place",
            ));
        }
        let direct = pinned || arguments.iter().zip(&uses).all(once);
        let (arguments, row) =
            if direct { (arguments, None) } else { self.bound(routine, arguments, false)? };
        let nulls = nulls(routine, &arguments);
        let result = self.routine_type(routine.said.result)?;
        let mut typed = self.within(routine, arguments, |this| {
            let typed = this.expression(expr)?;
            this.returned(typed, result)
        })?;
        if let Some(nulls) = nulls {
            typed.sql = format!("CASE WHEN {nulls} THEN NULL ELSE {} END", typed.sql);
            (typed.form, typed.atomic) = (Form::Plain, true);
        }
        if let Some(row) = row {
            typed.sql = format!("(SELECT {} FROM {row})", typed.sql);
            (typed.form, typed.atomic) = (Form::Plain, true);
        }
        Ok(typed)
    }

    pub(super) fn returned(&mut self, typed: Typed, ty: Type) -> Result<Typed, SqlError> {
        let how = self.how_into(ty).max(How::Assignment);
        let typed = self.convert(typed, ty, how)?;
        Ok(match typed.form {
            Form::Column { .. } | Form::Null | Form::Row(_) | Form::Array(_) => typed,
            _ => Typed { form: Form::Plain, ..typed },
        })
    }

    /// Makes columns of a row of the arguments that can't stand in the body themselves, and
    /// answers that row as FROM takes it. With `hidden`, the body has a FROM of its own.
    pub(super) fn bound(
        &mut self,
        routine: &Routine,
        arguments: Vec<Argument>,
        hidden: bool,
    ) -> Result<(Vec<Argument>, Option<String>), SqlError> {
        let alias = self.fresh_name("call");
        let mut columns = Vec::new();
        let mut bound = Vec::with_capacity(arguments.len());
        for argument in arguments {
            if argument.is_repeatable && (argument.is_portable || !hidden) {
                bound.push(argument);
                continue;
            }
            if !argument.is_bindable {
                return Err(SqlError::unsupported(format_args!(
                    "calling \"{}\", whose body is a query, with an aggregate",
                    self.context.catalog.bare(&routine.name)
                )));
            }
            let column = format!("c{}", columns.len() + 1);
            columns.push(format!("{} AS {column}", self.distinct(&argument.value)));
            let value = Typed {
                form: Form::Column { not_null: false },
                ..Typed::of(format!("{alias}.{column}"), argument.value.ty)
            };
            bound.push(Argument::settled(value));
        }
        // SQLite computes a subquery once that reads nothing of the row around it.
        if routine.said.volatility == Volatility::Volatile
            && let Some(scope) = self.scopes.last()
            && let Some((source, column)) = scope
                .sources
                .iter()
                .find_map(|source| source.columns.first().map(|column| (source, column)))
        {
            columns.push(format!("{} AS around", column.spelled(&source.alias)));
        }
        let row =
            (!columns.is_empty()).then(|| format!("(SELECT {}) AS {alias}", columns.join(", ")));
        Ok((bound, row))
    }

    /// Whether a call gives rows of fields rather than one value.
    pub(super) fn is_of_rows(&self, routine: &Routine) -> bool {
        let result = routine.said.result;
        routine.said.outputs().count() > 1 || result.oid == Oid::RECORD || self.is_row(result.oid)
    }

    /// The columns of what a call gives.
    pub(super) fn result_fields(&mut self, routine: &Routine) -> Result<Fields, SqlError> {
        let said = &routine.said;
        let mut fields = Vec::new();
        for (at, output) in said.outputs().enumerate() {
            let name = match output.name.as_str() {
                "" => format!("column{}", at + 1),
                name => name.to_owned(),
            };
            fields.push((name, self.routine_type(output.ty)?));
        }
        if !fields.is_empty() {
            return Ok(Some(fields));
        }
        let ty = self.routine_type(said.result)?;
        if self.is_row(ty.oid) {
            return Ok(self.field_types(ty));
        }
        Ok(Some(vec![(self.context.catalog.bare(&routine.name).to_owned(), ty)]))
    }

    /// The rows of a body, in columns of the names and types of the result.
    pub(super) fn routine_rows(
        &mut self,
        routine: &Routine,
        fields: Option<&[(String, Type)]>,
        query: &Query,
    ) -> Result<Selected, SqlError> {
        if routine.said.result.oid == Oid::VOID {
            let selected = self.subquery(query)?;
            let none = if routine.said.returns_set { " LIMIT 0" } else { "" };
            let sql = format!("SELECT NULL AS \"void\" FROM ({}){none}", selected.sql);
            let column = output("void".to_owned(), Type::plain(Oid::VOID));
            return Ok(Selected { sql, columns: vec![column] });
        }
        let wanted: Option<Vec<Type>> =
            fields.map(|fields| fields.iter().map(|(_, ty)| *ty).collect());
        let wish = Wish { inner: true, types: wanted.as_deref(), ..Wish::default() };
        let selected = self.query(query, wish)?;
        let selected = self.settle_columns(selected)?;
        self.as_result(routine, fields, selected)
    }

    /// Rows in columns of the names and types of the result.
    pub(super) fn as_result(
        &mut self,
        routine: &Routine,
        fields: Option<&[(String, Type)]>,
        selected: Selected,
    ) -> Result<Selected, SqlError> {
        let Some(fields) = fields else { return Ok(selected) };
        let alias = self.fresh_name("body");
        let list: Vec<String> = (1..=selected.columns.len()).map(|at| format!("c{at}")).collect();
        let mut values: Vec<Typed> = Vec::with_capacity(list.len());
        for (name, column) in list.iter().zip(&selected.columns) {
            let form = Form::Column { not_null: false };
            values.push(Typed { form, ..Typed::of(format!("{alias}.{name}"), column.ty) });
        }
        if let [row] = values.as_slice()
            && self.is_row(row.oid())
            && self.is_of_rows(routine)
        {
            values = self.all_fields(row)?;
        }
        if values.len() != fields.len() {
            let detail = match (self.is_of_rows(routine), values.len() < fields.len()) {
                (false, _) => "Final statement must return exactly one column.",
                (true, true) => "Final statement returns too few columns.",
                (true, false) => "Final statement returns too many columns.",
            };
            return Err(self.mismatch(routine).with_detail(detail));
        }
        let (mut texts, mut columns) = (Vec::new(), Vec::new());
        for (at, (value, (name, ty))) in values.into_iter().zip(fields).enumerate() {
            let actual = self.type_name(value.oid());
            let typed = self.returned(value, *ty).map_err(|error| match error.state.0 {
                "42846" if self.is_of_rows(routine) => {
                    let wanted = self.type_name(ty.oid);
                    let at = at + 1;
                    self.mismatch(routine).with_detail(format!(
                        "Final statement returns {actual} instead of {wanted} at column {at}."
                    ))
                }
                "42846" => {
                    self.mismatch(routine).with_detail(format!("Actual return type is {actual}."))
                }
                _ => error,
            })?;
            texts.push(format!("{} AS {}", self.distinct(&typed), names::quote(name)));
            columns.push(output(name.clone(), *ty));
        }
        let (list, texts) = (list.join(", "), texts.join(", "));
        let sql = format!("WITH {alias}({list}) AS ({}) SELECT {texts} FROM {alias}", selected.sql);
        Ok(Selected { sql, columns })
    }

    pub(super) fn mismatch(&self, routine: &Routine) -> SqlError {
        let declared = match self.context.catalog.relation(routine.said.result.table) {
            Some(table) => self.shown(&table.name).to_owned(),
            None => self.type_name(routine.said.result.oid),
        };
        SqlError::new(
            SqlState("42P13"),
            format!("return type mismatch in function declared to return {declared}"),
        )
    }

    pub(super) fn no_result(&self, routine: &Routine) -> SqlError {
        self.mismatch(routine).with_detail(
            "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.",
        )
    }

    /// The first row of a body as a value.
    pub(super) fn first_value(
        &mut self,
        routine: &Routine,
        rows: Selected,
    ) -> Result<Typed, SqlError> {
        let fields = rows.columns.iter().map(|column| (column.name.clone(), column.ty));
        if !self.is_of_rows(routine) {
            let ty = rows.columns.first().map_or(Type::TEXT, |column| column.ty);
            if ty.oid == Oid::VOID {
                let sql = format!("nullif(coalesce(({}), ''), '')", rows.sql);
                return Ok(Typed::of(sql, ty));
            }
            return Ok(Typed::of(format!("({})", rows.sql), ty));
        }
        let fields: Vec<(String, Type)> = fields.collect();
        let alias = self.fresh_name("row");
        let list: Vec<String> = (1..=fields.len()).map(|at| format!("c{at}")).collect();
        let values: Vec<Typed> = fields
            .iter()
            .zip(&list)
            .map(|((name, ty), column)| Typed::of(column.clone(), *ty).named(name.clone()))
            .collect();
        let ty = match routine.said.result {
            result if result.table != Oid(0) || result.oid != Oid::RECORD => {
                self.routine_type(result)?
            }
            _ => self.shaped(Shape { table: None, fields }),
        };
        let sql = format!(
            "(WITH {alias}({}) AS ({}) SELECT {} FROM {alias})",
            list.join(", "),
            rows.sql,
            cast::record_text(&values)
        );
        Ok(Typed::of(sql, ty))
    }

    /// All that a call gives, as a query.
    pub(super) fn all_rows(
        &mut self,
        routine: &'a Routine,
        arguments: Vec<Argument>,
        fields: Option<&[(String, Type)]>,
    ) -> Result<Selected, SqlError> {
        let nulls = nulls(routine, &arguments);
        let query = only_query(routine)?;
        let mut rows = self.within(routine, arguments, |this| match &query {
            Some(query) => this.routine_rows(routine, fields, query),
            None => {
                let columns = vec![output("void".to_owned(), Type::plain(Oid::VOID))];
                Ok(Selected { sql: "SELECT NULL AS \"void\"".to_owned(), columns })
            }
        })?;
        let test = nulls.map_or_else(|| "TRUE".to_owned(), |nulls| format!("NOT ({nulls})"));
        rows.sql = match routine.said.returns_set {
            true if test == "TRUE" => rows.sql,
            true => format!("SELECT * FROM ({}) WHERE {test}", rows.sql),
            false => one_row(&rows.sql, &test),
        };
        Ok(rows)
    }

    /// The rows as a JSON array, for `json_each`.
    pub(super) fn packed(&mut self, rows: &Selected, around: Option<&str>) -> String {
        let alias = self.fresh_name("rows");
        let list: Vec<String> = (1..=rows.columns.len()).map(|at| format!("c{at}")).collect();
        let list = list.join(", ");
        let array = format!(
            "WITH {alias}({list}) AS ({}) SELECT json_group_array(towline_pack({list})) FROM {alias}",
            rows.sql
        );
        match around {
            Some(row) => format!("(SELECT ({array}) FROM {row})"),
            None => format!("({array})"),
        }
    }
}

/// What a strict function is not called with: SQL that is true where an argument is NULL.
pub(super) fn nulls(routine: &Routine, arguments: &[Argument]) -> Option<String> {
    let tests: Vec<String> =
        arguments.iter().map(|argument| format!("{} IS NULL", argument.value.operand())).collect();
    (routine.said.is_strict && !tests.is_empty()).then(|| tests.join(" OR "))
}

/// Which input an expression is, if it is one alone.
pub(super) fn parameter_in(
    expr: &Expr,
    said: &Said,
    is_function: &dyn Fn(&str) -> bool,
) -> Option<usize> {
    let named = |name: &str| said.inputs().position(|input| input.name == name);
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => {
                text.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
            }
            _ => None,
        },
        Expr::Identifier(ident) => named(&names::fold(ident)),
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [function, name] if is_function(&names::fold(function)) => named(&names::fold(name)),
            [name, ..] => named(&names::fold(name)),
            [] => None,
        },
        _ => None,
    }
}

/// How often each input stands in an expression.
pub(super) fn uses(expr: &Expr, routine: &Routine, bare: &str) -> Vec<usize> {
    let mut uses = vec![0; routine.said.inputs().count()];
    let _ = visit_expressions(expr, |part| {
        let at = parameter_in(part, &routine.said, &|name| name == bare);
        if let Some(count) = at.and_then(|at| uses.get_mut(at)) {
            *count += 1;
        }
        ControlFlow::<()>::Continue(())
    });
    uses
}

/// The first row of a query that meets a test, else one of NULLs.
pub(super) fn one_row(query: &str, test: &str) -> String {
    format!(
        "SELECT one.* FROM (SELECT 1) LEFT JOIN (SELECT * FROM ({query}) LIMIT 1) AS one ON {test}"
    )
}

/// The statements of a body.
pub(in crate::sql) fn statements(said: &Said) -> Result<Vec<Statement>, SqlError> {
    let mut scanner = Scanner::new(&said.body);
    let text = if !said.is_standard_body {
        said.body.clone()
    } else if scanner.take_word("return") {
        format!("SELECT {}", scanner.rest())
    } else {
        let _ = scanner.take_word("begin") && scanner.take_word("atomic");
        let inside = scanner.rest().trim_end();
        inside.get(..inside.len().saturating_sub(3)).unwrap_or_default().to_owned()
    };
    let mut statements = Vec::new();
    for statement in split(&text)? {
        limits::check(statement)?;
        let (plain, _) = clauses::take_out(statement)?;
        statements.push(syntax::parse(plain.as_deref().unwrap_or(statement))?);
    }
    Ok(statements)
}

/// Whether a body is more than a query.
pub(super) fn runs(routine: &Routine) -> Result<bool, SqlError> {
    Ok(match statements(&routine.said)?.as_slice() {
        [] => false,
        [Statement::Query(query)] => changes_data(query),
        _ => true,
    })
}

/// The query that a body is; `None` if it is empty.
pub(super) fn only_query(routine: &Routine) -> Result<Option<Query>, SqlError> {
    match statements(&routine.said)?.pop() {
        None => Ok(None),
        Some(Statement::Query(query)) if !runs(routine)? => Ok(Some(*query)),
        Some(_) => Err(SqlError::unsupported(
            "a function that changes data, or of several statements, inside a query",
        )),
    }
}

pub(super) fn changes_data(query: &Query) -> bool {
    query.with.as_ref().is_some_and(steps::is_writable)
        || matches!(
            &*query.body,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        )
}

/// The expression that a query is which gives one row of one column.
pub(super) fn plain_expression<'q>(
    query: &'q Query,
    translator: &Translator<'_>,
) -> Option<&'q Expr> {
    let SetExpr::Select(select) = &*query.body else { return None };
    let Select {
        projection, from, selection, group_by, having, distinct, named_window, into, ..
    } = &**select;
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && from.is_empty()
        && selection.is_none()
        && having.is_none()
        && distinct.is_none()
        && into.is_none()
        && named_window.is_empty()
        && matches!(group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        projection.as_slice()
    else {
        return None;
    };
    let has_query = visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        Expr::Function(Function { args: FunctionArguments::Subquery(_), .. }) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    let of_rows =
        is_of_group(expr) || set_returning::returns_set(expr) || translator.calls_rows(expr);
    (plain && has_query.is_continue() && !of_rows).then_some(expr)
}

/// Whether a part of a statement may call the function of a name.
pub(in crate::sql) fn calls(part: &impl Visit, bare: &str) -> bool {
    // A function in FROM is a table to the parser.
    let in_from = visit_relations(part, |name| match names::last(name).as_deref() == Some(bare) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    in_from.is_break()
        || visit_expressions(part, |expr| match expr {
            Expr::Function(call) if names::last(&call.name).as_deref() == Some(bare) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
}
