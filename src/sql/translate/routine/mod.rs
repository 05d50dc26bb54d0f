//! Calls of functions that clients made.
//!
//! SQLite has nothing to call: a function's body stands in place of each call. An
//! expression alone is written out with the arguments in it. Of a query the arguments
//! that another FROM would hide, or that may not be computed twice, are columns of a row
//! around it, `(SELECT … FROM (SELECT a AS c1) AS towline_call1)`. In FROM a function of
//! constants is a subquery; one that reads its neighbours gives its rows as an array, as
//! LATERAL does. A body that changes data runs as statements of its own, where the call
//! is all that the client's statement does ([`run`]).

mod body;
mod choice;
mod run;

use sqlparser::ast::{Function, FunctionArg, FunctionArguments, ObjectName, TableAlias};

pub(in crate::sql) use self::body::{calls, statements};
use self::body::{only_query, runs};
use self::choice::Chosen;
pub(super) use self::run::only_call;
use super::cast::How;
use super::place::check_plain;
use super::scope::{Source, SourceColumn};
use super::{OutputColumn, SetReturning, Translator, Typed, names, source};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Routine;
use crate::sql::types::Type;

/// A function whose body is being read.
pub(super) struct Frame<'a> {
    routine: &'a Routine,
    arguments: Vec<Argument>,
}

/// What stands for a parameter.
#[derive(Clone)]
struct Argument {
    value: Typed,
    /// Computing it again costs nothing and gives the same.
    is_repeatable: bool,
    /// It means the same behind another FROM.
    is_portable: bool,
    /// A row around the body can hold it: it is of no group.
    is_bindable: bool,
    is_volatile: bool,
}

impl Argument {
    /// What can stand anywhere, any number of times.
    fn settled(value: Typed) -> Self {
        Self {
            value,
            is_repeatable: true,
            is_portable: true,
            is_bindable: true,
            is_volatile: false,
        }
    }

    fn is_settled(&self) -> bool {
        self.is_repeatable && self.is_portable
    }
}

impl<'a> Translator<'a> {
    /// A call of a function that a client made; `None` if it means another.
    pub(in crate::sql::translate) fn routine_call(
        &mut self,
        call: &Function,
    ) -> Result<Option<Typed>, SqlError> {
        let arguments = match &call.args {
            FunctionArguments::List(list) => list.args.as_slice(),
            FunctionArguments::None => &[],
            FunctionArguments::Subquery(_) => return Ok(None),
        };
        let Some(chosen) = self.chosen(&call.name, arguments)? else { return Ok(None) };
        let name = self.context.catalog.bare(&chosen.routine.name).to_owned();
        let wrong = |state, message: String| Err(SqlError::new(state, message));
        if chosen.routine.said.is_procedure {
            let shown = chosen.routine.with_types(self.context.catalog, &name);
            return wrong(SqlState::WRONG_OBJECT_TYPE, format!("{shown} is a procedure"))
                .map_err(|error| error.with_hint("To call a procedure, use CALL."));
        }
        check_plain(&name, call)?;
        let typed = match chosen.routine.said.returns_set {
            true => self.rows_in_list(chosen)?,
            false => self.routine_value(chosen)?,
        };
        Ok(Some(Typed { origin: (Oid(0), 0), ..typed }.named(name)))
    }

    /// A function of a client's in FROM; `None` if it is another.
    pub(in crate::sql::translate) fn routine_source(
        &mut self,
        name: &ObjectName,
        arguments: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Result<Option<String>, SqlError> {
        let Some(Chosen { routine, arguments }) = self.chosen(name, arguments)? else {
            return Ok(None);
        };
        let bare = self.context.catalog.bare(&routine.name).to_owned();
        let visible = alias.map_or_else(|| bare.clone(), |alias| names::fold(&alias.name));
        let mut fields = self.result_fields(routine)?;
        match &mut fields {
            None => fields = Some(self.described_fields(alias)?),
            // A value's column is called as the function is.
            Some(fields) if !self.is_of_rows(routine) && routine.said.outputs().count() == 0 => {
                fields[0].0.clone_from(&visible);
            }
            Some(_) => {}
        }
        let plain = !with_ordinality && arguments.iter().all(Argument::is_settled);
        let scopes = std::mem::take(&mut self.scopes);
        let bound = self.bound(routine, arguments, true);
        self.scopes = scopes;
        let (arguments, row) = bound?;
        let rows = self.all_rows(routine, arguments, fields.as_deref())?;
        let quoted = names::quote(&visible);
        let mut columns = Vec::with_capacity(rows.columns.len());
        for (at, column) in rows.columns.iter().enumerate() {
            let sql = (!plain).then(|| self.unpacked(&quoted, at, column.ty));
            columns.push(SourceColumn { sql, ..SourceColumn::new(column.name.clone(), column.ty) });
        }
        if with_ordinality {
            columns.push(SourceColumn {
                sql: Some(format!("({quoted}.key + 1)")),
                ..SourceColumn::new("ordinality", Type::plain(Oid::INT8))
            });
        }
        let columns = source::renamed_columns(columns, alias, &visible)?;
        self.add_source(Source::new(visible, columns))?;
        Ok(Some(match plain {
            true => format!("({}) AS {quoted}", rows.sql),
            false => format!("json_each({}) AS {quoted}", self.packed(&rows, row.as_deref())),
        }))
    }

    /// `AS t(a int, b text)`: what rows of a function returning `record` are made of.
    pub(super) fn described_fields(
        &mut self,
        alias: Option<&TableAlias>,
    ) -> Result<Vec<(String, Type)>, SqlError> {
        let undescribed = || {
            SqlError::new(
                SqlState::SYNTAX_ERROR,
                "a column definition list is required for functions returning \"record\"",
            )
        };
        let mut fields = Vec::new();
        for column in &alias.ok_or_else(undescribed)?.columns {
            let data_type = column.data_type.as_ref().ok_or_else(undescribed)?;
            fields.push((names::fold(&column.name), self.resolve_type(data_type)?));
        }
        if fields.is_empty() { Err(undescribed()) } else { Ok(fields) }
    }

    /// A function that gives rows, in the select list: it moves to FROM.
    fn rows_in_list(&mut self, chosen: Chosen<'a>) -> Result<Typed, SqlError> {
        let Chosen { routine, arguments } = chosen;
        if let Some(error) = self.place.refuses_rows(self.context.catalog.bare(&routine.name)) {
            return Err(error);
        }
        let fields = self.result_fields(routine)?;
        let (arguments, row) = self.bound(routine, arguments, true)?;
        let rows = self.all_rows(routine, arguments, fields.as_deref())?;
        let alias = self.fresh_name("set");
        let sql = format!("json_each({}) AS {alias}", self.packed(&rows, row.as_deref()));
        self.set_returning.push(SetReturning { alias: alias.clone(), sql });
        let columns: Vec<Typed> = rows
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                Typed::of(self.unpacked(&alias, at, column.ty), column.ty)
                    .named(column.name.clone())
            })
            .collect();
        if let ([column], false) = (columns.as_slice(), self.is_of_rows(routine)) {
            return Ok(column.clone());
        }
        let row = self.row(columns);
        match routine.said.result {
            result if result.oid == Oid::RECORD => Ok(row),
            result => self.convert(row, Type::plain(result.oid), How::Explicit),
        }
    }

    /// Reads a function as a call would, to tell what is wrong with it.
    pub(in crate::sql::translate) fn check_routine(
        &mut self,
        routine: &'a Routine,
    ) -> Result<(), SqlError> {
        let mut arguments = Vec::new();
        for input in routine.said.inputs() {
            let ty = self.routine_type(input.ty)?;
            let value = Typed::of("NULL", ty);
            arguments.push(Argument::settled(value));
        }
        if runs(routine)? {
            return self.check_run(Chosen { routine, arguments });
        }
        let Some(query) = only_query(routine)? else {
            return match routine.said.result.oid {
                Oid::VOID => Ok(()),
                _ => Err(self.no_result(routine)),
            };
        };
        self.within(routine, arguments, |this| {
            let fields = this.result_fields(routine)?;
            this.routine_rows(routine, fields.as_deref(), &query).map(|_| ())
        })
    }
}

fn output(name: impl Into<String>, ty: Type) -> OutputColumn {
    OutputColumn { name: name.into(), ty, origin: (Oid(0), 0), not_null: false }
}
