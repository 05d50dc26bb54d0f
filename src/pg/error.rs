use std::fmt;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SqlState(pub &'static str);

impl SqlState {
    pub const SUCCESSFUL_COMPLETION: Self = Self("00000");
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    pub const CONNECTION_FAILURE: Self = Self("08006");
    pub const TRANSACTION_RESOLUTION_UNKNOWN: Self = Self("08007");
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    pub const STRING_DATA_RIGHT_TRUNCATION: Self = Self("22001");
    pub const NUMERIC_VALUE_OUT_OF_RANGE: Self = Self("22003");
    pub const DATETIME_FIELD_OVERFLOW: Self = Self("22008");
    pub const INVALID_DATETIME_FORMAT: Self = Self("22007");
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    pub const INVALID_TEXT_REPRESENTATION: Self = Self("22P02");
    pub const INVALID_BINARY_REPRESENTATION: Self = Self("22P03");
    pub const BAD_COPY_FILE_FORMAT: Self = Self("22P04");
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    pub const FOREIGN_KEY_VIOLATION: Self = Self("23503");
    pub const UNIQUE_VIOLATION: Self = Self("23505");
    pub const CHECK_VIOLATION: Self = Self("23514");
    pub const INVALID_CURSOR_STATE: Self = Self("24000");
    pub const ACTIVE_SQL_TRANSACTION: Self = Self("25001");
    pub const READ_ONLY_SQL_TRANSACTION: Self = Self("25006");
    pub const NO_ACTIVE_SQL_TRANSACTION: Self = Self("25P01");
    pub const IN_FAILED_SQL_TRANSACTION: Self = Self("25P02");
    pub const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: Self = Self("25P03");
    pub const INVALID_SQL_STATEMENT_NAME: Self = Self("26000");
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    pub const INVALID_PASSWORD: Self = Self("28P01");
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    pub const INVALID_SAVEPOINT: Self = Self("3B001");
    pub const INVALID_CATALOG_NAME: Self = Self("3D000");
    pub const DUPLICATE_DATABASE: Self = Self("42P04");
    pub const OBJECT_IN_USE: Self = Self("55006");
    pub const INVALID_SCHEMA_NAME: Self = Self("3F000");
    pub const SERIALIZATION_FAILURE: Self = Self("40001");
    pub const DEADLOCK_DETECTED: Self = Self("40P01");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    pub const SYNTAX_ERROR: Self = Self("42601");
    pub const DUPLICATE_COLUMN: Self = Self("42701");
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    pub const DUPLICATE_OBJECT: Self = Self("42710");
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    pub const UNDEFINED_PARAMETER: Self = Self("42P02");
    pub const DUPLICATE_CURSOR: Self = Self("42P03");
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    pub const INDETERMINATE_DATATYPE: Self = Self("42P18");
    pub const DISK_FULL: Self = Self("53100");
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    pub const STATEMENT_TOO_COMPLEX: Self = Self("54001");
    pub const LOCK_NOT_AVAILABLE: Self = Self("55P03");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    pub const QUERY_CANCELED: Self = Self("57014");
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    pub const IDLE_SESSION_TIMEOUT: Self = Self("57P05");
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    pub const IO_ERROR: Self = Self("58030");
    pub const GROUPING_ERROR: Self = Self("42803");
    pub const WINDOWING_ERROR: Self = Self("42P20");
    pub const SYSTEM_ERROR: Self = Self("58000");
    pub const INTERNAL_ERROR: Self = Self("XX000");
    pub const DATA_CORRUPTED: Self = Self("XX001");

    /// Whether what is there, or is not, under a name is at fault.
    pub fn is_of_names(self) -> bool {
        self.0.starts_with("42") && self != Self::SYNTAX_ERROR
    }

    /// Whether the data is at fault: a data exception, or a constraint that does not hold.
    pub fn is_of_data(self) -> bool {
        self.0.starts_with("22") || self.0.starts_with("23")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    Error,
    /// The connection ends with it.
    Fatal,
    Warning,
    Notice,
}

/// An error or notice as a client may read it. Holds no path and no peer's text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{state}: {message}")]
pub struct SqlError {
    pub severity: Severity,
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Character position in the statement, from 1.
    pub position: Option<usize>,
    /// Of `table`; `None` is `public`.
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// Where it happened, beyond the statement: a line of a COPY.
    pub context: Option<String>,
    /// PostgreSQL's function that raises it, where drivers go by that.
    pub routine: Option<&'static str>,
}

impl SqlError {
    /// An ERROR with nothing but its state and message.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            table: None,
            column: None,
            schema: None,
            constraint: None,
            context: None,
            routine: None,
        }
    }

    /// As [`SqlError::new`], and the connection ends with it.
    pub fn fatal(state: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, ..Self::new(state, message) }
    }

    /// The feature exists in PostgreSQL and not here.
    pub fn unsupported(feature: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{feature} is not supported"))
    }

    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub fn with_context(self, context: impl Into<String>) -> Self {
        Self { context: Some(context.into()), ..self }
    }

    #[must_use]
    pub fn with_position(self, position: usize) -> Self {
        Self { position: Some(position), ..self }
    }
}
