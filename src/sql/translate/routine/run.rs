//! Calls that are all that a statement does: CALL, and SELECT of a function whose body
//! changes data. The statements of the body are the client's statement then, with the
//! arguments in them; arguments that are computed are kept by a statement before.

use sqlparser::ast::{
    Expr, Function, FunctionArguments, Query, SelectItem, SetExpr, Statement, TableFactor,
};

use super::body::{changes_data, one_row, runs, statements};
use super::choice::Chosen;
use super::{Argument, output};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Routine;
use crate::sql::translate::query::{Selected, Wish, shown};
use crate::sql::translate::returning::type_of_column;
use crate::sql::translate::{Form, Translator, Typed, names, result_columns, shipped, translated};
use crate::sql::translated::{Kind, SqliteStatement, Tag, Translated};
use crate::sql::types::Type;

/// What the client is to get of a call.
enum Wanted {
    /// One column of this name.
    Value(String),
    /// A column for each field.
    Fields,
}

impl<'a> Translator<'a> {
    /// `CALL procedure(…)`.
    pub(in crate::sql::translate) fn call_procedure(
        &mut self,
        call: &Function,
    ) -> Result<Translated, SqlError> {
        let arguments = match &call.args {
            FunctionArguments::List(list) => list.args.as_slice(),
            _ => &[],
        };
        let bare = names::last(&call.name).unwrap_or_default();
        let Some(chosen) = self.chosen(&call.name, arguments)? else {
            let mut values = Vec::new();
            for argument in arguments {
                values.push(self.argument(argument)?);
            }
            let error = self.undefined(&bare, &values);
            let message = error.message.replacen("function", "procedure", 1);
            let hint = "No procedure matches the given name and argument types. You might need to \
                        add explicit type casts.";
            return Err(SqlError { message, ..error }.with_hint(hint));
        };
        if !chosen.routine.said.is_procedure {
            let shown = chosen.routine.with_types(self.context.catalog, &bare);
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{shown} is not a procedure"),
            )
            .with_hint("To call a function, use SELECT."));
        }
        let gives = chosen.routine.said.outputs().next().is_some();
        let mut run = self.run(chosen, gives.then_some(Wanted::Fields))?;
        run.tag = Tag::Fixed("CALL");
        Ok(run)
    }

    /// A query that only calls a function whose body is no query; `None` for any other.
    pub(in crate::sql::translate) fn running_call(
        &mut self,
        query: &Query,
    ) -> Result<Option<Translated>, SqlError> {
        if self.context.catalog.routines.is_empty() || !self.frames.is_empty() {
            return Ok(None);
        }
        let Some((name, arguments, wanted)) = only_call(query) else { return Ok(None) };
        let (schema, bare) = self.qualified(name)?;
        let mut known = self.routines_named(schema.as_deref(), &bare).into_iter();
        if !known.any(|routine| runs(routine).unwrap_or(false)) {
            return Ok(None);
        }
        let Some(chosen) = self.chosen(name, arguments)? else { return Ok(None) };
        if chosen.routine.said.is_procedure || !runs(chosen.routine)? {
            return Ok(None);
        }
        let wanted = wanted.map_or(Wanted::Fields, |alias| Wanted::Value(alias.unwrap_or(bare)));
        self.run(chosen, Some(wanted)).map(Some)
    }

    /// Reads a body as a call would run it.
    pub(super) fn check_run(&mut self, chosen: Chosen<'a>) -> Result<(), SqlError> {
        let said = &chosen.routine.said;
        let gives = !said.is_procedure || said.outputs().next().is_some();
        self.run(chosen, gives.then_some(Wanted::Fields)).map(|_| ())
    }

    fn run(&mut self, chosen: Chosen<'a>, wanted: Option<Wanted>) -> Result<Translated, SqlError> {
        let Chosen { routine, arguments } = chosen;
        if routine.said.is_strict {
            return Err(SqlError::unsupported("a strict function that changes data"));
        }
        let mut steps = Vec::new();
        let arguments = self.kept_arguments(arguments, &mut steps)?;
        let body = statements(&routine.said)?;
        let gives = wanted.is_some() && routine.said.result.oid != Oid::VOID;
        let rows = self.within(routine, arguments, |this| {
            let mut rows = None;
            for (at, statement) in body.iter().enumerate() {
                let is_last = at + 1 == body.len();
                rows = this.step(routine, statement, gives && is_last, &mut steps)?;
            }
            Ok(rows)
        })?;
        let columns = match (wanted, rows) {
            (None, _) => Vec::new(),
            (Some(wanted), rows) => {
                let name = match &wanted {
                    Wanted::Value(name) => name.clone(),
                    Wanted::Fields => self.context.catalog.bare(&routine.name).to_owned(),
                };
                let rows = match rows {
                    Some(rows) => self.wanted_of(routine, rows, wanted)?,
                    None if gives => {
                        return Err(self.no_result(routine));
                    }
                    None => Selected {
                        sql: "SELECT NULL".to_owned(),
                        columns: vec![output(name, Type::plain(Oid::VOID))],
                    },
                };
                let rows = shown(rows);
                steps.push(shipped(rows.sql));
                result_columns(&rows.columns)
            }
        };
        if steps.is_empty() {
            return Ok(translated(Kind::Nothing, Tag::Select, Vec::new(), Vec::new()));
        }
        let run = translated(Kind::Write, Tag::Select, columns, Vec::new());
        Ok(Translated { statements: steps, ..run })
    }

    /// Lets a statement before the body's keep what is computed.
    fn kept_arguments(
        &mut self,
        arguments: Vec<Argument>,
        steps: &mut Vec<SqliteStatement>,
    ) -> Result<Vec<Argument>, SqlError> {
        if arguments.iter().all(Argument::is_settled) {
            return Ok(arguments);
        }
        let kept = self.keep()?;
        let texts: Vec<String> = arguments.iter().map(|a| a.value.sql.clone()).collect();
        steps.push(kept.of(format!("SELECT towline_pack({})", texts.join(", "))));
        let read = |this: &Self, at: usize, ty: Type| {
            let field = this.unpacked("kept", at, ty);
            format!("(SELECT {field} FROM json_each({}) AS kept)", kept.parameter())
        };
        let each = arguments.into_iter().enumerate();
        let settled = each.map(|(at, argument)| match argument.is_settled() {
            true => argument,
            false => {
                let ty = argument.value.ty;
                Argument::settled(Typed::of(read(self, at, ty), ty))
            }
        });
        Ok(settled.collect())
    }

    /// One statement of a body; with `gives` it answers the rows that the call gives.
    fn step(
        &mut self,
        routine: &Routine,
        statement: &Statement,
        gives: bool,
        steps: &mut Vec<SqliteStatement>,
    ) -> Result<Option<Selected>, SqlError> {
        let fields = self.result_fields(routine)?;
        let part = match statement {
            Statement::Query(query) if !changes_data(query) => {
                if gives {
                    return self.routine_rows(routine, fields.as_deref(), query).map(Some);
                }
                let selected = self.query(query, Wish::default())?;
                steps.push(shipped(selected.sql));
                return Ok(None);
            }
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                let outer = std::mem::replace(&mut self.packing, gives);
                let part = self.statement(statement);
                self.packing = outer;
                part?
            }
            Statement::Query(_) | Statement::Merge(_) if !gives => self.statement(statement)?,
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
                return Err(SqlError::unsupported(format_args!(
                    "{word} as a statement of this function"
                )));
            }
        };
        let mut before = part.statements;
        if !gives {
            steps.append(&mut before);
            return Ok(None);
        }
        let Some(last) = before.pop().filter(|_| !part.columns.is_empty()) else {
            return Ok(None);
        };
        steps.append(&mut before);
        let kept = self.keep()?;
        steps.push(kept.of(last.text.to_string()));
        let columns: Vec<_> = part
            .columns
            .iter()
            .map(|column| output(column.name.clone(), type_of_column(column)))
            .collect();
        let read: Vec<String> =
            columns.iter().enumerate().map(|(at, c)| self.unpacked("kept", at, c.ty)).collect();
        let rows = Selected {
            sql: format!("SELECT {} FROM json_each({}) AS kept", read.join(", "), kept.parameter()),
            columns,
        };
        self.as_result(routine, fields.as_deref(), rows).map(Some)
    }

    /// The rows of a body as the client wants them.
    fn wanted_of(
        &mut self,
        routine: &Routine,
        rows: Selected,
        wanted: Wanted,
    ) -> Result<Selected, SqlError> {
        let Wanted::Value(name) = wanted else {
            return Ok(match routine.said.returns_set {
                true => rows,
                false => Selected { sql: one_row(&rows.sql, "TRUE"), ..rows },
            });
        };
        if !routine.said.returns_set {
            let value = self.first_value(routine, rows)?;
            let columns = vec![output(name, value.ty)];
            return Ok(Selected { sql: format!("SELECT {}", value.sql), columns });
        }
        if !self.is_of_rows(routine) {
            let ty = rows.columns.first().map_or(Type::TEXT, |column| column.ty);
            return Ok(Selected { columns: vec![output(name, ty)], ..rows });
        }
        let list: Vec<String> = (1..=rows.columns.len()).map(|at| format!("c{at}")).collect();
        let fields = rows.columns.iter().zip(&list).map(|(column, text)| Typed {
            form: Form::Column { not_null: false },
            ..Typed::of(text.clone(), column.ty).named(column.name.clone())
        });
        let row = self.row(fields.collect());
        let sql = format!(
            "WITH towline_result({}) AS ({}) SELECT {} FROM towline_result",
            list.join(", "),
            rows.sql,
            row.sql
        );
        Ok(Selected { sql, columns: vec![output(name, row.ty)] })
    }
}

/// The call that a query is: `SELECT f(…) [AS name]` (with the name) or `SELECT * FROM f(…)`.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
pub(in crate::sql::translate) fn only_call(
    query: &Query,
) -> Option<(&sqlparser::ast::ObjectName, &[sqlparser::ast::FunctionArg], Option<Option<String>>)> {
    let SetExpr::Select(select) = &*query.body else { return None };
    let bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && select.selection.is_none()
        && select.distinct.is_none()
        && select.having.is_none();
    let [item] = select.projection.as_slice() else { return None };
    if !bare {
        return None;
    }
    let (expr, alias) = match item {
        SelectItem::UnnamedExpr(expr) => (expr, None),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(names::fold(alias))),
        SelectItem::Wildcard(_) => {
            let [table] = select.from.as_slice() else { return None };
            return match &table.relation {
                _ if !table.joins.is_empty() => None,
                TableFactor::Table { name, args: Some(args), with_ordinality: false, .. } => {
                    Some((name, &args.args, None))
                }
                TableFactor::Function { name, args, with_ordinality: false, .. } => {
                    Some((name, args, None))
                }
                _ => None,
            };
        }
        _ => return None,
    };
    match expr {
        Expr::Function(call) if select.from.is_empty() => match &call.args {
            FunctionArguments::List(list) => Some((&call.name, &list.args, Some(alias))),
            _ => None,
        },
        _ => None,
    }
}
