//! Rows to bytes.

use bytes::{BufMut, BytesMut};

use super::{CopyFormat, CopyOptions, SIGNATURE, too_long};
use crate::pg::SqlError;
use crate::pg::backend::RowWriter;
use crate::pg::types::Format;

/// COPY TO: rows to bytes.
#[derive(Debug)]
pub struct Encoder {
    options: CopyOptions,
    columns: Vec<String>,
    scratch: Vec<u8>,
}

impl Encoder {
    /// For rows of these columns, whose names make the header.
    pub fn new(options: CopyOptions, columns: Vec<String>) -> Self {
        Self { options, columns, scratch: Vec::new() }
    }

    /// The format of a field's bytes.
    pub fn field_format(&self) -> Format {
        self.options.field_format()
    }

    /// Appends what comes before the rows; may be nothing.
    pub fn begin(&mut self, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            out.put_slice(SIGNATURE);
            out.put_u64(0);
        } else if self.options.header {
            let names = self.columns.clone();
            let forced = std::mem::take(&mut self.options.force_quote);
            let mut row = self.row(out);
            for name in &names {
                // Copying bytes does not fail.
                let _ = row.field(|out| {
                    out.put_slice(name.as_bytes());
                    Ok(())
                });
            }
            row.finish();
            self.options.force_quote = forced;
        }
    }

    /// Starts a row: a field a column, then [`RowEncoder::finish`].
    pub fn row<'a>(&'a mut self, out: &'a mut BytesMut) -> RowEncoder<'a> {
        let start = out.len();
        if self.options.format == CopyFormat::Binary {
            out.put_u16(self.columns.len() as u16);
        }
        RowEncoder { encoder: self, out, start, column: 0, finished: false }
    }

    /// Appends what comes after the rows; may be nothing.
    pub fn end(&mut self, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            out.put_i16(-1);
        }
    }
}

/// Appends one row. Dropped unfinished, it takes the row back out of the buffer.
#[derive(Debug)]
pub struct RowEncoder<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut BytesMut,
    /// Where the row begins in `out`.
    start: usize,
    /// The next column.
    column: usize,
    finished: bool,
}

impl RowEncoder<'_> {
    pub fn null(&mut self) {
        self.delimit();
        match self.encoder.options.format {
            CopyFormat::Binary => self.out.put_i32(-1),
            _ => self.out.put_slice(self.encoder.options.null.as_bytes()),
        }
    }

    /// Appends a field whose bytes (text or binary form, by the format) `write`
    /// appends; they are escaped in place.
    pub fn field(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let column = self.column;
        self.delimit();
        let at = self.out.len();
        if self.encoder.options.format == CopyFormat::Binary {
            self.out.put_i32(0);
        }
        write(self.out)?;
        if self.out.len() - self.start > RowWriter::LENGTH_MAX {
            return Err(too_long());
        }
        match self.encoder.options.format {
            CopyFormat::Binary => {
                let length = (self.out.len() - at - 4) as i32;
                self.out[at..at + 4].copy_from_slice(&length.to_be_bytes());
            }
            CopyFormat::Text => self.escape_text(at),
            CopyFormat::Csv => self.quote_csv(at, column),
        }
        Ok(())
    }

    /// Ends the row.
    ///
    /// # Panics
    ///
    /// When there were not as many fields as columns.
    pub fn finish(mut self) {
        assert_eq!(self.column, self.encoder.columns.len(), "a row has a field a column");
        self.finished = true;
        if self.encoder.options.format != CopyFormat::Binary {
            self.out.put_u8(b'\n');
        }
    }

    fn delimit(&mut self) {
        if self.column > 0 && self.encoder.options.format != CopyFormat::Binary {
            self.out.put_u8(self.encoder.options.delimiter);
        }
        self.column += 1;
    }

    fn escape_text(&mut self, at: usize) {
        let delimiter = self.encoder.options.delimiter;
        let special = |byte: u8| matches!(byte, 8..=13 | b'\\') || byte == delimiter;
        let Some(first) = self.out[at..].iter().position(|byte| special(*byte)) else { return };
        let first = at + first;
        self.encoder.scratch.clear();
        self.encoder.scratch.extend_from_slice(&self.out[first..]);
        self.out.truncate(first);
        for &byte in &self.encoder.scratch {
            if !special(byte) {
                self.out.put_u8(byte);
                continue;
            }
            let letter = match byte {
                8 => b'b',
                9 => b't',
                10 => b'n',
                11 => b'v',
                12 => b'f',
                13 => b'r',
                other => other,
            };
            self.out.put_slice(&[b'\\', letter]);
        }
    }

    fn quote_csv(&mut self, at: usize, column: usize) {
        let CopyOptions { delimiter, quote, escape, .. } = self.encoder.options;
        let field = &self.out[at..];
        let needed = self.encoder.options.force_quote.contains(&column)
            || field == self.encoder.options.null.as_bytes()
            || (self.encoder.columns.len() == 1 && field == b"\\.")
            || field
                .iter()
                .any(|byte| matches!(byte, b'\n' | b'\r') || *byte == delimiter || *byte == quote);
        if !needed {
            return;
        }
        self.encoder.scratch.clear();
        self.encoder.scratch.extend_from_slice(field);
        self.out.truncate(at);
        self.out.put_u8(quote);
        for &byte in &self.encoder.scratch {
            if byte == quote || byte == escape {
                self.out.put_u8(escape);
            }
            self.out.put_u8(byte);
        }
        self.out.put_u8(quote);
    }
}

impl Drop for RowEncoder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}
