//! How the functions of this module read their arguments, answer, and fail.

use std::borrow::Cow;
use std::ffi::c_int;
use std::sync::Arc;

use bytes::BytesMut;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags, SqlFnOutput, SubType};
use rusqlite::types::{ToSqlOutput, Type};

use super::super::ffi::with_caller;
use super::{PURE, Surroundings};
use crate::log::{Value, ValueRef};
use crate::pg::types::number::{parse_float8, print_float8};
use crate::pg::{SqlError, SqlState};
use crate::sql::{asks_for_surroundings, function_is_local, function_repeats};
use crate::storage::sqlite::Environment;

/// A function's result, or the error that its caller's client reads.
pub(super) type Answer = Result<Value, SqlError>;

/// A function under one of its names: how many arguments it takes (-1: any number),
/// and what it does.
pub(super) type Definition = (&'static str, c_int, fn(&Call<'_, '_>) -> Answer);

/// No function makes a longer text: PostgreSQL has a bound too, and a statement must
/// not take all of a node's memory.
pub(super) const LONGEST_RESULT: usize = 256 << 20;

/// What SQLite's own JSON functions mark their results with.
pub(super) const JSON_SUBTYPE: u32 = 74;

/// Where functions are made: on a connection, with what its calls find around them.
#[derive(Clone, Copy)]
pub(super) struct Registry<'r> {
    pub(super) connection: &'r Connection,
    pub(super) surroundings: &'r Surroundings,
}

impl Registry<'_> {
    /// Makes functions whose result is NULL if any argument is.
    pub(super) fn define_strict(
        self,
        flags: FunctionFlags,
        definitions: &[Definition],
    ) -> rusqlite::Result<()> {
        definitions
            .iter()
            .try_for_each(|(name, arity, body)| self.scalar(name, *arity, flags, true, *body))
    }

    /// Makes functions that see their NULLs.
    pub(super) fn define(
        self,
        flags: FunctionFlags,
        definitions: &[Definition],
    ) -> rusqlite::Result<()> {
        definitions
            .iter()
            .try_for_each(|(name, arity, body)| self.scalar(name, *arity, flags, false, *body))
    }

    /// Makes one function of its arguments alone, NULL if any of them is.
    pub(super) fn strict(
        self,
        name: &str,
        arity: c_int,
        body: impl Fn(&Call<'_, '_>) -> Answer + Send + 'static,
    ) -> rusqlite::Result<()> {
        self.scalar(name, arity, PURE, true, body)
    }

    /// Makes one function of its arguments alone that sees their NULLs.
    pub(super) fn lenient(
        self,
        name: &str,
        arity: c_int,
        body: impl Fn(&Call<'_, '_>) -> Answer + Send + 'static,
    ) -> rusqlite::Result<()> {
        self.scalar(name, arity, PURE, false, body)
    }

    fn scalar(
        self,
        name: &str,
        arity: c_int,
        flags: FunctionFlags,
        strict: bool,
        body: impl Fn(&Call<'_, '_>) -> Answer + Send + 'static,
    ) -> rusqlite::Result<()> {
        let surroundings = self.surroundings.clone();
        let (local, repeats) = (function_is_local(name), function_repeats(name));
        let asks = asks_for_surroundings(name);
        self.connection.create_scalar_function(name, arity, flags, move |context| {
            let call = Call { context, surroundings: &surroundings, asks };
            if local {
                surroundings.note_local(repeats)?;
            }
            if strict && (0..call.len()).any(|at| call.is_null(at)) {
                return Ok(Output(Value::Null, None));
            }
            let value = body(&call).map_err(|error| surroundings.raise(error))?;
            Ok(Output(value, None))
        })
    }
}

/// A value on its way to SQLite, with a subtype.
pub(super) struct Output(pub(super) Value, pub(super) SubType);

impl SqlFnOutput for Output {
    fn to_sql(&self) -> rusqlite::Result<(ToSqlOutput<'_>, SubType)> {
        use rusqlite::types::ValueRef;
        let value = match &self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            // SQLite would make NULL of it.
            Value::Real(value) if value.is_nan() => ValueRef::Text(b"NaN"),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        };
        Ok((ToSqlOutput::Borrowed(value), self.1))
    }
}

/// One call of a function.
pub(super) struct Call<'a, 'c> {
    context: &'a Context<'c>,
    pub(super) surroundings: &'a Surroundings,
    /// The function is known to ask for the session's surroundings.
    asks: bool,
}

impl<'a, 'c> Call<'a, 'c> {
    pub(super) fn new(context: &'a Context<'c>, surroundings: &'a Surroundings) -> Self {
        Self { context, surroundings, asks: false }
    }

    /// What the session has set. A function that [`asks_for_surroundings`] does not name
    /// finds nothing: what is there would be another session's.
    pub(super) fn environment(&self) -> Arc<Environment> {
        if self.asks { self.surroundings.environment() } else { self.surroundings.unasked() }
    }

    /// What a query of one number gives on the connection that calls.
    pub(super) fn number(&self, sql: &str) -> Result<i64, SqlError> {
        let query = |connection: &Connection| connection.query_row(sql, [], |row| row.get(0));
        with_caller(self.context, query)
            .map_err(|_| SqlError::new(SqlState::INTERNAL_ERROR, "cannot ask the database"))
    }

    pub(super) fn len(&self) -> usize {
        self.context.len()
    }

    /// Argument `at`, from 0; NULL beyond the last.
    pub(super) fn value(&self, at: usize) -> ValueRef<'_> {
        if at >= self.context.len() {
            return ValueRef::Null;
        }
        match self.context.get_raw(at) {
            rusqlite::types::ValueRef::Null => ValueRef::Null,
            rusqlite::types::ValueRef::Integer(value) => ValueRef::Integer(value),
            rusqlite::types::ValueRef::Real(value) => ValueRef::Real(value),
            // Text that is not UTF-8 is treated as the bytes that it is.
            rusqlite::types::ValueRef::Text(bytes) => {
                str::from_utf8(bytes).map_or(ValueRef::Blob(bytes), ValueRef::Text)
            }
            rusqlite::types::ValueRef::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    pub(super) fn is_null(&self, at: usize) -> bool {
        at >= self.context.len() || self.context.get_raw(at).data_type() == Type::Null
    }

    /// Whether SQLite's JSON functions, or ours, made the argument.
    pub(super) fn is_json(&self, at: usize) -> bool {
        at < self.context.len() && self.context.get_subtype(at) == JSON_SUBTYPE
    }

    /// The argument as text, as PostgreSQL would print it; NULL as the empty text.
    pub(super) fn text(&self, at: usize) -> Result<Cow<'_, str>, SqlError> {
        text_of(self.value(at))
    }

    /// The argument, if it is given and not NULL, as text.
    pub(super) fn optional_text(&self, at: usize) -> Result<Option<Cow<'_, str>>, SqlError> {
        if self.is_null(at) { Ok(None) } else { self.text(at).map(Some) }
    }

    /// What `read` makes of an argument: where that is a constant, once a statement.
    pub(super) fn read_once<T: Send + Sync + 'static>(
        &self,
        at: usize,
        read: impl FnOnce(&str) -> Result<T, SqlError>,
    ) -> Result<Arc<T>, SqlError> {
        let lost = |_| SqlError::new(SqlState::INTERNAL_ERROR, "cannot keep an argument");
        let number = c_int::try_from(at).unwrap_or(c_int::MAX);
        match self.context.get_aux(number).map_err(lost)? {
            Some(kept) => Ok(kept),
            None => self.context.set_aux(number, read(&self.text(at)?)?).map_err(lost),
        }
    }

    pub(super) fn integer(&self, at: usize) -> Result<i64, SqlError> {
        match self.value(at) {
            ValueRef::Integer(value) => Ok(value),
            #[allow(clippy::cast_possible_truncation)]
            ValueRef::Real(value) if value.abs() < 9.2e18 => Ok(value.round_ties_even() as i64),
            other => {
                let text = text_of(other)?;
                text.trim().parse().map_err(|_| invalid("integer", &text))
            }
        }
    }

    pub(super) fn real(&self, at: usize) -> Result<f64, SqlError> {
        match self.value(at) {
            #[allow(clippy::cast_precision_loss)]
            ValueRef::Integer(value) => Ok(value as f64),
            ValueRef::Real(value) => Ok(value),
            other => parse_float8(&text_of(other)?),
        }
    }

    pub(super) fn boolean(&self, at: usize) -> bool {
        match self.value(at) {
            ValueRef::Integer(value) => value != 0,
            ValueRef::Text(text) => matches!(text, "t" | "true" | "on" | "yes" | "1"),
            _ => false,
        }
    }

    /// The bytes of a bytea, or of a text.
    pub(super) fn bytes(&self, at: usize) -> Result<Cow<'_, [u8]>, SqlError> {
        match self.value(at) {
            ValueRef::Blob(bytes) => Ok(Cow::Borrowed(bytes)),
            other => Ok(match text_of(other)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
        }
    }
}

/// A value as PostgreSQL prints it.
pub(super) fn text_of(value: ValueRef<'_>) -> Result<Cow<'_, str>, SqlError> {
    Ok(match value {
        ValueRef::Null => Cow::Borrowed(""),
        ValueRef::Integer(value) => Cow::Owned(value.to_string()),
        ValueRef::Real(value) => Cow::Owned(float_text(value)),
        ValueRef::Text(text) => Cow::Borrowed(text),
        ValueRef::Blob(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                return Err(SqlError::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                ));
            }
        },
    })
}

/// A float8 as PostgreSQL prints it.
pub(super) fn float_text(value: f64) -> String {
    let mut printed = BytesMut::new();
    print_float8(value, false, &mut printed);
    String::from_utf8_lossy(&printed).into_owned()
}

/// The value is no input of the type.
pub(super) fn invalid(kind: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {kind}: \"{text}\""),
    )
}

/// An argument that is of the right type and yet makes no sense.
pub(super) fn bad_argument(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The result would be longer than a function may make it.
pub(super) fn too_long() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

pub(super) fn text(text: impl Into<String>) -> Answer {
    Ok(Value::Text(text.into()))
}

pub(super) fn integer(value: i64) -> Answer {
    Ok(Value::Integer(value))
}

/// A float; SQLite has no NaN of its own.
pub(super) fn real(value: f64) -> Answer {
    Ok(if value.is_nan() { Value::Text("NaN".to_owned()) } else { Value::Real(value) })
}

/// A count of things in memory.
pub(super) fn count(value: usize) -> Answer {
    Ok(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn boolean(value: bool) -> Answer {
    Ok(Value::Integer(i64::from(value)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::sqlite::{ConnectionKind, Sqlite};

    /// What an expression of SQLite's gives, printed; an error as its SQLSTATE.
    pub(crate) fn evaluate_on(sqlite: &mut Sqlite, expression: &str) -> String {
        let run = |sqlite: &mut Sqlite| {
            let mut statement = sqlite.prepare(&format!("SELECT {expression}"))?;
            statement.step()?;
            Ok(statement.column(0).to_owned())
        };
        match run(sqlite) {
            Ok(Value::Null) => "NULL".to_owned(),
            Ok(Value::Blob(bytes)) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("\\x{hex}")
            }
            Ok(value) => text_of(value.as_ref()).expect("is text").into_owned(),
            Err(error) => {
                let error: crate::storage::sqlite::SqliteError = error;
                match error.raised {
                    Some(raised) => raised.state.to_string(),
                    None => format!("unexpected: {error}"),
                }
            }
        }
    }

    /// Checks expressions against answers, by default those that PostgreSQL 15 gave.
    pub(crate) fn check(cases: &[(&str, &str)]) {
        let mut sqlite =
            Sqlite::open(Path::new(":memory:"), ConnectionKind::Writer).expect("opens");
        let mut wrong = Vec::new();
        for (expression, expected) in cases {
            let found = evaluate_on(&mut sqlite, expression);
            if found != *expected {
                wrong.push(format!("{expression}\n  expected {expected}\n  found    {found}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn floats_print_as_in_postgresql() {
        for (value, printed) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-2.5e300, "-2.5e+300"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(float_text(value), printed);
        }
    }
}
