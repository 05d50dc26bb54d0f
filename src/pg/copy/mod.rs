//! COPY's three formats, as codecs between bytes and rows of fields.
//!
//! A [`Decoder`] takes bytes in any pieces and gives whole rows; an [`Encoder`]
//! appends rows. Neither knows types: a field is the bytes of its text form (of
//! its binary form in format binary), or NULL.
//!
//! | format | row                                                                    |
//! |--------|------------------------------------------------------------------------|
//! | text   | fields between delimiters, `\` escapes, a line end; `\N` is NULL; `\.` alone ends the data |
//! | csv    | fields between delimiters, in quotes where needed; an unquoted empty field is NULL; `\.` alone ends the data |
//! | binary | u16 count, then a field: i32 length (-1 NULL), bytes; count -1 ends the data. In front: `PGCOPY\n\xff\r\n\0`, u32 flags, u32 length of an extension, that |

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use self::decode::{Decoder, Row};
pub use self::encode::{Encoder, RowEncoder};
use super::types::Format;
use super::{SqlError, SqlState};

/// COPY's options.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    /// Of input: the header must name the columns.
    pub header_matches: bool,
    pub quote: u8,
    pub escape: u8,
    /// Column numbers, from 0 in the order of the COPY's columns, whose output is
    /// always quoted.
    pub force_quote: Vec<usize>,
    /// Of input columns: never taken as NULL.
    pub force_not_null: Vec<usize>,
    /// Of input columns: taken as NULL even when quoted.
    pub force_null: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

impl CopyOptions {
    /// The defaults of a format.
    pub fn new(format: CopyFormat) -> Self {
        let csv = format == CopyFormat::Csv;
        Self {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { "" } else { "\\N" }.to_owned(),
            header: false,
            header_matches: false,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }

    /// The format of a field's bytes.
    pub fn field_format(&self) -> Format {
        match self.format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text | CopyFormat::Csv => Format::Text,
        }
    }
}

/// Longest row, in bytes as it comes.
pub const ROW_LENGTH_MAX: usize = 64 << 20;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Bytes of signature, flags and extension length.
const BINARY_HEADER: usize = SIGNATURE.len() + 8;

/// Adds to an error from which line of the data it came; `place` tells where in it.
pub fn located(error: SqlError, table: &str, line: u64, place: &str) -> SqlError {
    if error.context.is_some() || line == 0 {
        return error;
    }
    error.with_context(format!("COPY {table}, line {line}{place}"))
}

fn bad_format(message: &str) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

fn too_long() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a row of the COPY data is longer than {ROW_LENGTH_MAX} bytes"),
    )
}
