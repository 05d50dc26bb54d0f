//! Result rows as backend messages: encoded once, streamed on readers, gathered in a
//! bounded buffer with a spill file on the writer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::{BufMut, BytesMut};

use crate::log::ValueRef;
use crate::pg::backend::{Field, Writer};
use crate::pg::types::{self, Display, Format};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::{Column, Translated};
use crate::storage::sqlite::Statement;

/// How a result is encoded: a format a column, and the session's display settings.
#[derive(Clone, Debug, Default)]
pub(super) struct RowFormat {
    /// As in Bind: none means text, one is for all columns, else one a column.
    pub formats: Vec<Format>,
    pub display: Display,
}

impl RowFormat {
    /// The format of column `index`.
    pub(super) fn of(&self, index: usize) -> Format {
        match self.formats[..] {
            [] => Format::Text,
            [all] => all,
            ref each => each.get(index).copied().unwrap_or_default(),
        }
    }

    /// RowDescription's fields.
    pub(super) fn fields(&self, columns: &[Column]) -> Vec<Field> {
        let field = |(index, column): (usize, &Column)| Field {
            name: column.name.clone(),
            table: column.table,
            column: column.number,
            oid: column.oid,
            size: type_size(column.oid),
            typmod: column.typmod,
            format: self.of(index),
        };
        columns.iter().enumerate().map(field).collect()
    }
}

/// `pg_type.typlen`; -1 for what varies.
fn type_size(oid: Oid) -> i16 {
    match oid {
        Oid::BOOL | Oid::CHAR => 1,
        Oid::INT2 => 2,
        Oid::INT4
        | Oid::FLOAT4
        | Oid::OID
        | Oid::DATE
        | Oid::REGCLASS
        | Oid::REGTYPE
        | Oid::VOID => 4,
        Oid::INT8 | Oid::FLOAT8 | Oid::TIME | Oid::TIMESTAMP | Oid::TIMESTAMPTZ => 8,
        Oid::TIMETZ => 12,
        Oid::INTERVAL | Oid::UUID => 16,
        Oid::NAME => 64,
        _ => -1,
    }
}

/// Appends the current row of `statement` as a DataRow.
pub(super) fn encode_row(
    statement: &Statement,
    columns: &[Column],
    format: &RowFormat,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    let held = statement.column_count();
    let mut writer = Writer(out);
    let mut row = writer.data_row(columns.len());
    for (index, column) in columns.iter().enumerate() {
        // A schema change between translation and run may leave fewer columns.
        let value = if index < held { statement.column(index) } else { ValueRef::Null };
        match (value, format.of(index)) {
            (ValueRef::Null, _) => row.null(),
            (value, Format::Text) => row.field(|out| match &column.made {
                Some(made) => types::made::encode_made_text(value, made, &format.display, out),
                None => types::encode_text(value, column.oid, column.typmod, &format.display, out),
            })?,
            (value, Format::Binary) => row.field(|out| match &column.made {
                Some(made) => types::made::encode_made(value, made, out),
                None => types::encode_binary(value, column.oid, out),
            })?,
        }
    }
    row.finish();
    Ok(())
}

/// The rowid of the current row, which stands behind its columns where rows are told apart.
pub(super) fn rowid(statement: &Statement) -> Option<i64> {
    match statement.column(statement.column_count().checked_sub(1)?) {
        ValueRef::Integer(rowid) => Some(rowid),
        _ => None,
    }
}

/// Rows of one statement run on the writer, complete before the next statement runs.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    memory: BytesMut,
    spill: Option<File>,
    /// Bytes in `spill`.
    spilled: u64,
    pub count: u64,
}

impl RowBuffer {
    /// Bytes kept in memory before the rest goes to a file.
    const MEMORY_MAX: usize = 1 << 20;
    /// Bytes a single result may have on the writer.
    const TOTAL_MAX: u64 = 4 << 30;

    /// Appends the current row, and its rowid where rows are told apart.
    pub(super) fn push(
        &mut self,
        statement: &Statement,
        translated: &Translated,
        format: &RowFormat,
    ) -> Result<(), SqlError> {
        encode_row(statement, &translated.columns, format, &mut self.memory)?;
        if translated.rows_of.is_some() {
            self.memory.put_i64(rowid(statement).unwrap_or_default());
        }
        self.count += 1;
        if self.memory.len() > Self::MEMORY_MAX { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), SqlError> {
        let failed = |error: io::Error| {
            tracing::warn!(%error, "a result could not be spilled to a file");
            SqlError::new(SqlState::IO_ERROR, "could not write the result to a temporary file")
        };
        if self.spilled + self.memory.len() as u64 > Self::TOTAL_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "the result of a statement that writes is too large",
            ));
        }
        if self.spill.is_none() {
            self.spill = Some(tempfile::tempfile().map_err(failed)?);
        }
        let file = self.spill.as_mut().expect("made above");
        file.write_all(&self.memory).map_err(failed)?;
        self.spilled += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }

    /// The messages, if all of them fit in `max` bytes.
    pub(super) fn small(&self, max: usize) -> Option<&[u8]> {
        (self.spill.is_none() && self.memory.len() <= max).then_some(&self.memory[..])
    }

    /// The messages in pieces: `next` appends one to a buffer until it says false.
    pub(super) fn pieces(mut self) -> io::Result<Pieces> {
        if let Some(file) = &mut self.spill {
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(Pieces { left: self.spilled, rows: self })
    }

    /// Rows made elsewhere (a recorded reply).
    pub(super) fn from_messages(messages: &[u8], count: u64) -> Self {
        Self { memory: BytesMut::from(messages), count, ..Self::default() }
    }
}

/// A [`RowBuffer`] being read.
#[derive(Debug)]
pub(super) struct Pieces {
    left: u64,
    rows: RowBuffer,
}

impl Pieces {
    const PIECE: usize = 32 * 1024;

    /// Appends the next piece; whether there was one.
    pub(super) fn next(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        if self.left > 0 {
            let size = Self::PIECE.min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let start = out.len();
            out.resize(start + size, 0);
            let file = self.rows.spill.as_mut().expect("bytes are left in it");
            file.read_exact(&mut out[start..])?;
            self.left -= size as u64;
            return Ok(true);
        }
        let memory = &mut self.rows.memory;
        if memory.is_empty() {
            return Ok(false);
        }
        let piece = memory.split_to(memory.len().min(Self::PIECE));
        out.extend_from_slice(&piece);
        Ok(true)
    }
}
