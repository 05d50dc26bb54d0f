//! SQLite's errors, sorted by what they mean for the transaction.

use rusqlite::ffi;

use crate::pg::{SqlError, SqlState};

/// An error of SQLite's, sorted by what it means for the transaction.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqliteError {
    pub kind: SqliteErrorKind,
    /// Extended result code.
    pub code: i32,
    pub message: String,
    /// Byte offset in the SQL text, if SQLite knows it.
    pub offset: Option<usize>,
    /// SQLSTATE and fields, where a function of ours raised the error, or where the
    /// statement is one that Towline refuses.
    pub raised: Option<Box<SqlError>>,
}

/// Why a statement failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SqliteErrorKind {
    /// UNIQUE or PRIMARY KEY.
    Unique,
    NotNull,
    Check,
    ForeignKey,
    /// Stopped by the cancel flag or the deadline.
    Interrupted,
    /// Tried to write on a `query_only` connection.
    ReadOnly,
    /// The schema changed under a prepared statement.
    Schema,
    /// No space left.
    Full,
    /// The disk failed.
    Io,
    /// The file is damaged.
    Corrupt,
    /// The SQL does not compile, or anything else that is the statement's fault.
    Statement,
}

impl SqliteErrorKind {
    pub(super) fn from_code(code: i32) -> Self {
        match code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => return Self::Unique,
            ffi::SQLITE_CONSTRAINT_NOTNULL => return Self::NotNull,
            ffi::SQLITE_CONSTRAINT_CHECK => return Self::Check,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::ForeignKey,
            _ => {}
        }
        match code & 0xff {
            ffi::SQLITE_INTERRUPT => Self::Interrupted,
            ffi::SQLITE_READONLY => Self::ReadOnly,
            ffi::SQLITE_SCHEMA => Self::Schema,
            ffi::SQLITE_FULL => Self::Full,
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => Self::Io,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Self::Corrupt,
            _ => Self::Statement,
        }
    }
}

impl SqliteError {
    /// Sorts what SQLite reported. `aside` is the error that a function or hook put
    /// aside while the statement ran; it counts only if this is the one.
    pub(super) fn new(
        code: i32,
        message: String,
        offset: Option<usize>,
        aside: Option<Box<SqlError>>,
    ) -> Self {
        let raised = match code & 0xff {
            ffi::SQLITE_AUTH => aside,
            // How SQLite says it of a function.
            ffi::SQLITE_ERROR if message.starts_with("not authorized") => aside,
            ffi::SQLITE_ERROR | ffi::SQLITE_CONSTRAINT => {
                aside.filter(|error| error.to_string() == message).or_else(|| recover(&message))
            }
            _ => None,
        };
        let mut kind = SqliteErrorKind::from_code(code);
        // ON DELETE RESTRICT is a trigger to SQLite.
        if code == ffi::SQLITE_CONSTRAINT_TRIGGER && message == "FOREIGN KEY constraint failed" {
            kind = SqliteErrorKind::ForeignKey;
        }
        if let Some(raised) = &raised {
            kind = match raised.state {
                SqlState::READ_ONLY_SQL_TRANSACTION => SqliteErrorKind::ReadOnly,
                SqlState::QUERY_CANCELED => SqliteErrorKind::Interrupted,
                _ => SqliteErrorKind::Statement,
            };
        }
        Self { kind, code, message, offset, raised }
    }

    /// A statement that Towline refuses, or a value that it cannot keep.
    pub(super) fn refused(error: SqlError) -> Self {
        Self {
            kind: SqliteErrorKind::Statement,
            code: ffi::SQLITE_AUTH,
            message: error.to_string(),
            offset: None,
            raised: Some(Box::new(error)),
        }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        let (code, message) = match error {
            rusqlite::Error::SqliteFailure(failure, text) => {
                (failure.extended_code, text.unwrap_or(message))
            }
            _ => (ffi::SQLITE_ERROR, message),
        };
        Self::new(code, message, None, None)
    }
}

/// The error whose text is `22012: division by zero`.
fn recover(text: &str) -> Option<Box<SqlError>> {
    let (code, message) = text.split_once(": ")?;
    let state = STATES.iter().find(|state| state.0 == code)?;
    Some(Box::new(SqlError::new(*state, message)))
}

/// The states that functions raise.
const STATES: &[SqlState] = &[
    SqlState("TL001"),
    SqlState::FEATURE_NOT_SUPPORTED,
    SqlState::STRING_DATA_RIGHT_TRUNCATION,
    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    SqlState("22004"),
    SqlState::INVALID_DATETIME_FORMAT,
    SqlState::DATETIME_FIELD_OVERFLOW,
    SqlState("22009"),
    SqlState("2200H"),
    SqlState("22011"),
    SqlState::DIVISION_BY_ZERO,
    SqlState("22015"),
    SqlState("2201B"),
    SqlState("2201E"),
    SqlState("2201F"),
    SqlState("2201G"),
    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
    SqlState::INVALID_PARAMETER_VALUE,
    SqlState("22025"),
    SqlState("22030"),
    SqlState("22032"),
    SqlState("2202E"),
    SqlState::INVALID_TEXT_REPRESENTATION,
    SqlState::INVALID_BINARY_REPRESENTATION,
    SqlState::NOT_NULL_VIOLATION,
    SqlState::FOREIGN_KEY_VIOLATION,
    SqlState::UNIQUE_VIOLATION,
    SqlState::CHECK_VIOLATION,
    SqlState("21000"),
    SqlState::READ_ONLY_SQL_TRANSACTION,
    SqlState::INVALID_SCHEMA_NAME,
    SqlState::SYNTAX_ERROR,
    SqlState("42501"),
    SqlState("42602"),
    SqlState::DUPLICATE_COLUMN,
    SqlState::AMBIGUOUS_COLUMN,
    SqlState::UNDEFINED_COLUMN,
    SqlState::UNDEFINED_OBJECT,
    SqlState::DUPLICATE_OBJECT,
    SqlState::WRONG_OBJECT_TYPE,
    SqlState::DATATYPE_MISMATCH,
    SqlState("42846"),
    SqlState::UNDEFINED_FUNCTION,
    SqlState::UNDEFINED_TABLE,
    SqlState::UNDEFINED_PARAMETER,
    SqlState::DUPLICATE_TABLE,
    SqlState::PROGRAM_LIMIT_EXCEEDED,
    SqlState::STATEMENT_TOO_COMPLEX,
    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    SqlState::QUERY_CANCELED,
    SqlState::INTERNAL_ERROR,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_error_is_recovered_whole_when_it_was_put_aside_and_by_text_otherwise() {
        let full = SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero").with_hint("h");
        let aside = Some(Box::new(full.clone()));
        let text = "22012: division by zero";
        let error = SqliteError::new(ffi::SQLITE_ERROR, text.to_owned(), None, aside.clone());
        assert_eq!(error.raised.as_deref(), Some(&full));

        let error = SqliteError::new(ffi::SQLITE_ERROR, text.to_owned(), None, None);
        assert_eq!(error.raised.map(|raised| raised.message), Some("division by zero".to_owned()));

        let other = "no such table: t".to_owned();
        assert_eq!(SqliteError::new(ffi::SQLITE_ERROR, other, None, aside).raised, None);
    }

    #[test]
    fn codes_are_sorted_by_consequence() {
        use SqliteErrorKind as Kind;
        for (code, kind) in [
            (ffi::SQLITE_CONSTRAINT_UNIQUE, Kind::Unique),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, Kind::Unique),
            (ffi::SQLITE_CONSTRAINT_ROWID, Kind::Unique),
            (ffi::SQLITE_CONSTRAINT_NOTNULL, Kind::NotNull),
            (ffi::SQLITE_CONSTRAINT_CHECK, Kind::Check),
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, Kind::ForeignKey),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, Kind::Statement),
            (ffi::SQLITE_INTERRUPT, Kind::Interrupted),
            (ffi::SQLITE_READONLY, Kind::ReadOnly),
            (ffi::SQLITE_IOERR_FSYNC, Kind::Io),
            (ffi::SQLITE_FULL, Kind::Full),
            (ffi::SQLITE_CORRUPT_VTAB, Kind::Corrupt),
            (ffi::SQLITE_ERROR, Kind::Statement),
        ] {
            assert_eq!(SqliteErrorKind::from_code(code), kind, "{code}");
        }
    }
}
