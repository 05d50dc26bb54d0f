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
use bytes::{Buf, BufMut, BytesMut};

use super::types::Format;
use super::{SqlError, SqlState};

/// COPY's options.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
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

/// A row taken out of the data. Kept by the caller, so that its memory serves again.
#[derive(Clone, Debug, Default)]
pub struct Row {
    data: Vec<u8>,
    /// Start and end in `data`.
    fields: Vec<Option<(usize, usize)>>,
}

impl Row {
    /// The fields, `None` for NULL.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.fields.iter().map(|field| field.map(|(start, end)| &self.data[start..end]))
    }

    fn clear(&mut self) {
        self.data.clear();
        self.fields.clear();
    }

    /// Ends a field that began at `start`.
    fn push(&mut self, start: usize, null: bool) {
        self.fields.push((!null).then_some((start, self.data.len())));
    }
}

/// COPY FROM: bytes to rows.
///
/// Feed it what arrives, take rows until there is none, and so on; after the last
/// bytes call [`Decoder::finish`] and take the rest.
#[derive(Debug)]
pub struct Decoder {
    options: CopyOptions,
    columns: Vec<String>,
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no end of a line.
    scanned: usize,
    /// In CSV: whether `scanned` lies inside quotes; and whether the byte before it
    /// escapes the next.
    quoted: bool,
    escaped: bool,
    line_end: Option<LineEnd>,
    /// Number of the current line (or row, in format binary), from 1.
    line: u64,
    /// The header is still to come.
    header: bool,
    /// No more bytes will come.
    finished: bool,
    /// The end marker has come; what follows it is ignored.
    ended: bool,
}

/// How lines end; the first one tells for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// Where the next line lies in the buffer.
struct Line {
    /// Without its end.
    length: usize,
    /// With its end.
    whole: usize,
}

impl Decoder {
    /// For rows of these columns, whose names are for messages.
    pub fn new(options: CopyOptions, columns: Vec<String>) -> Self {
        Self {
            header: options.header || options.format == CopyFormat::Binary,
            options,
            columns,
            buffer: BytesMut::new(),
            scanned: 0,
            quoted: false,
            escaped: false,
            line_end: None,
            line: 0,
            finished: false,
            ended: false,
        }
    }

    /// The format of a field's bytes.
    pub fn field_format(&self) -> Format {
        self.options.field_format()
    }

    /// Adds bytes. Take all rows before adding more, so that the buffer stays small.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Text behind the end marker is ignored; the binary format allows none.
        if !self.ended || self.options.format == CopyFormat::Binary {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// No more bytes will come: what is left is a line even without an end.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Takes the next whole row; `false` when more bytes are needed or, after
    /// [`Decoder::finish`], when that was all. After an error nothing more may be taken.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, SqlError> {
        if self.ended {
            if self.buffer.is_empty() {
                return Ok(false);
            }
            return Err(self.locate(bad_format("received copy data after EOF marker"), None));
        }
        let taken = match self.options.format {
            CopyFormat::Binary => self.next_binary(row),
            CopyFormat::Text | CopyFormat::Csv => self.next_line(row),
        };
        taken.map_err(|error| self.locate(error, None))
    }

    /// Adds to an error where in the data it came from.
    pub fn locate(&self, error: SqlError, column: Option<usize>) -> SqlError {
        if error.context.is_some() || self.line == 0 {
            return error;
        }
        let column = column.and_then(|column| self.columns.get(column));
        let column = column.map(|name| format!(", column {name}")).unwrap_or_default();
        let line = self.line;
        error.with_context(format!("COPY, line {line}{column}"))
    }

    fn next_line(&mut self, row: &mut Row) -> Result<bool, SqlError> {
        loop {
            let Some(line) = self.find_line()? else {
                if self.buffer.len() > ROW_LENGTH_MAX {
                    self.line += 1;
                    return Err(too_long());
                }
                return Ok(false);
            };
            self.line += 1;
            if line.whole > ROW_LENGTH_MAX {
                return Err(too_long());
            }
            self.scanned = 0;
            if std::mem::take(&mut self.header) {
                self.buffer.advance(line.whole);
                continue;
            }
            let text = &self.buffer[..line.length];
            if text == b"\\." {
                self.ended = true;
                self.buffer.clear();
                return Ok(false);
            }
            row.clear();
            match self.options.format {
                CopyFormat::Csv => self.split_csv(text, row)?,
                _ => self.split_text(text, row)?,
            }
            self.buffer.advance(line.whole);
            self.check_count(row.fields.len())?;
            return Ok(true);
        }
    }

    fn check_count(&self, count: usize) -> Result<(), SqlError> {
        if count > self.columns.len() {
            return Err(bad_format("extra data after last expected column"));
        }
        match self.columns.get(count) {
            Some(missing) => Err(bad_format(&format!("missing data for column \"{missing}\""))),
            None => Ok(()),
        }
    }

    /// Finds the end of the next line, going on where the last search stopped.
    fn find_line(&mut self) -> Result<Option<Line>, SqlError> {
        let csv = self.options.format == CopyFormat::Csv;
        while let Some(&byte) = self.buffer.get(self.scanned) {
            let at = self.scanned;
            if self.escaped && !csv {
                // Whatever it is, it belongs to the line.
                self.escaped = false;
                self.scanned += 1;
                continue;
            }
            match byte {
                b'\n' if !self.quoted => {
                    return match self.line_end {
                        None | Some(LineEnd::Lf) => Ok(Some(self.line_at(at, LineEnd::Lf))),
                        Some(LineEnd::Cr | LineEnd::CrLf) => Err(self.stray("newline", "\\n")),
                    };
                }
                b'\r' if !self.quoted => {
                    let next = self.buffer.get(at + 1).copied();
                    return match (self.line_end, next) {
                        // The next byte tells whether it is one end or half of one.
                        (None | Some(LineEnd::CrLf), None) if !self.finished => Ok(None),
                        (None | Some(LineEnd::CrLf), Some(b'\n')) => {
                            Ok(Some(self.line_at(at, LineEnd::CrLf)))
                        }
                        (None | Some(LineEnd::Cr), _) => Ok(Some(self.line_at(at, LineEnd::Cr))),
                        (Some(LineEnd::Lf | LineEnd::CrLf), _) => {
                            Err(self.stray("carriage return", "\\r"))
                        }
                    };
                }
                b'\\' if !csv => self.escaped = true,
                _ if csv => self.track_quotes(byte),
                _ => {}
            }
            self.scanned += 1;
        }
        if self.finished && !self.buffer.is_empty() {
            let length = self.buffer.len();
            return Ok(Some(Line { length, whole: length }));
        }
        Ok(None)
    }

    fn track_quotes(&mut self, byte: u8) {
        let (quote, escape) = (self.options.quote, self.options.escape);
        let own_escape = escape != quote;
        if self.quoted && own_escape && byte == escape {
            self.escaped = !self.escaped;
        }
        if byte == quote && !self.escaped {
            self.quoted = !self.quoted;
        }
        if !own_escape || byte != escape {
            self.escaped = false;
        }
    }

    fn line_at(&mut self, at: usize, end: LineEnd) -> Line {
        self.line_end = Some(end);
        let end = if end == LineEnd::CrLf { 2 } else { 1 };
        Line { length: at, whole: at + end }
    }

    fn stray(&mut self, what: &str, escape: &str) -> SqlError {
        self.line += 1;
        if self.options.format == CopyFormat::Csv {
            bad_format(&format!("unquoted {what} found in data"))
                .with_hint(format!("Use quoted CSV field to represent {what}."))
        } else {
            bad_format(&format!("literal {what} found in data"))
                .with_hint(format!("Use \"{escape}\" to represent {what}."))
        }
    }

    fn split_text(&self, line: &[u8], row: &mut Row) -> Result<(), SqlError> {
        let null = self.options.null.as_bytes();
        let delimiter = self.options.delimiter;
        let mut at = 0;
        loop {
            // One more than expected is enough to know that there are too many.
            if row.fields.len() > self.columns.len() {
                return Ok(());
            }
            let start = row.data.len();
            let raw = at;
            loop {
                // Plain stretches are copied whole.
                let plain = line[at..]
                    .iter()
                    .position(|byte| *byte == b'\\' || *byte == delimiter)
                    .map_or(line.len(), |length| at + length);
                row.data.extend_from_slice(&line[at..plain]);
                at = plain;
                if line.get(at) != Some(&b'\\') {
                    break;
                }
                at = unescape(line, at + 1, &mut row.data)?;
            }
            row.push(start, &line[raw..at] == null);
            if at == line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn split_csv(&self, line: &[u8], row: &mut Row) -> Result<(), SqlError> {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let mut at = 0;
        loop {
            if row.fields.len() > self.columns.len() {
                return Ok(());
            }
            let start = row.data.len();
            let raw = at;
            let mut was_quoted = false;
            loop {
                let plain = line[at..]
                    .iter()
                    .position(|byte| *byte == quote || *byte == delimiter)
                    .map_or(line.len(), |length| at + length);
                row.data.extend_from_slice(&line[at..plain]);
                at = plain;
                if line.get(at) != Some(&quote) {
                    break;
                }
                was_quoted = true;
                at = self.unquote(line, at + 1, quote, escape, &mut row.data)?;
            }
            let column = row.fields.len();
            let is_null = line[raw..at] == *self.options.null.as_bytes();
            let null = if was_quoted {
                row.data[start..] == *self.options.null.as_bytes()
                    && self.options.force_null.contains(&column)
            } else {
                is_null && !self.options.force_not_null.contains(&column)
            };
            row.push(start, null);
            if at == line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    /// Copies from behind an opening quote; gives the place behind the closing one.
    fn unquote(
        &self,
        line: &[u8],
        mut at: usize,
        quote: u8,
        escape: u8,
        data: &mut Vec<u8>,
    ) -> Result<usize, SqlError> {
        loop {
            let plain = line[at..]
                .iter()
                .position(|byte| *byte == quote || *byte == escape)
                .ok_or_else(|| bad_format("unterminated CSV quoted field"))?;
            data.extend_from_slice(&line[at..at + plain]);
            at += plain;
            match line.get(at + 1) {
                Some(&next) if line[at] == escape && (next == quote || next == escape) => {
                    data.push(next);
                    at += 2;
                }
                _ if line[at] == quote => return Ok(at + 1),
                _ => {
                    data.push(line[at]);
                    at += 1;
                }
            }
        }
    }

    fn next_binary(&mut self, row: &mut Row) -> Result<bool, SqlError> {
        if self.header && !self.take_binary_header()? {
            return Ok(false);
        }
        let mut bytes = &self.buffer[..];
        if bytes.is_empty() {
            return Ok(false);
        }
        self.line += 1;
        if bytes.len() < 2 {
            return self.wait_for_row();
        }
        let count = bytes.get_i16();
        if count == -1 {
            self.buffer.advance(2);
            self.ended = true;
            return match self.buffer.is_empty() {
                true => Ok(false),
                false => Err(bad_format("received copy data after EOF marker")),
            };
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(bad_format(&format!(
                "row field count is {count}, expected {}",
                self.columns.len()
            )));
        }
        row.clear();
        for _ in 0..count {
            if bytes.len() < 4 {
                return self.wait_for_row();
            }
            let length = bytes.get_i32();
            if length == -1 {
                row.fields.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_| bad_format("invalid field size"))?;
            if length > ROW_LENGTH_MAX {
                return Err(too_long());
            }
            let Some((field, rest)) = bytes.split_at_checked(length) else {
                return self.wait_for_row();
            };
            let start = row.data.len();
            row.data.extend_from_slice(field);
            row.push(start, false);
            bytes = rest;
        }
        let taken = self.buffer.len() - bytes.len();
        self.buffer.advance(taken);
        Ok(true)
    }

    fn take_binary_header(&mut self) -> Result<bool, SqlError> {
        let known = self.buffer.len().min(SIGNATURE.len());
        if self.buffer[..known] != SIGNATURE[..known] {
            return Err(bad_format("COPY file signature not recognized"));
        }
        if self.buffer.len() < BINARY_HEADER {
            return match self.finished {
                true => Err(bad_format("COPY file signature not recognized")),
                false => Ok(false),
            };
        }
        let mut rest = &self.buffer[SIGNATURE.len()..];
        let flags = rest.get_u32();
        if flags & 1 << 16 != 0 {
            return Err(bad_format("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(bad_format("unrecognized critical flags in COPY file header"));
        }
        let extension = rest.get_u32() as usize;
        if extension > ROW_LENGTH_MAX {
            return Err(bad_format("invalid COPY file header (wrong length)"));
        }
        if rest.len() < extension {
            return match self.finished {
                true => Err(bad_format("invalid COPY file header (wrong length)")),
                false => Ok(false),
            };
        }
        self.buffer.advance(BINARY_HEADER + extension);
        self.header = false;
        Ok(true)
    }

    /// The row in front is not complete.
    fn wait_for_row(&mut self) -> Result<bool, SqlError> {
        if self.finished {
            return Err(bad_format("unexpected EOF in COPY data"));
        }
        if self.buffer.len() > ROW_LENGTH_MAX {
            return Err(too_long());
        }
        self.line -= 1;
        Ok(false)
    }
}

/// Appends what the escape whose backslash stands before `at` means; gives the
/// place behind it.
fn unescape(line: &[u8], at: usize, data: &mut Vec<u8>) -> Result<usize, SqlError> {
    let Some(&byte) = line.get(at) else {
        // A backslash before the end of the data.
        data.push(b'\\');
        return Ok(at);
    };
    let digits = |from: usize, most: usize, radix: u32| {
        let digits = line[from..].iter().take(most);
        digits.map_while(|byte| char::from(*byte).to_digit(radix)).collect::<Vec<u32>>()
    };
    let (meant, length) = match byte {
        b'b' => (8, 1),
        b'f' => (12, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (11, 1),
        b'0'..=b'7' => {
            let digits = digits(at, 3, 8);
            let code = digits.iter().fold(0, |code, digit| code * 8 + digit);
            (code as u8, digits.len())
        }
        b'x' => {
            let digits = digits(at + 1, 2, 16);
            if digits.is_empty() {
                (b'x', 1)
            } else {
                let code = digits.iter().fold(0, |code, digit| code * 16 + digit);
                (code as u8, 1 + digits.len())
            }
        }
        // Alone on its line it has ended the data before this.
        b'.' => {
            return Err(bad_format("end-of-copy marker corrupt"));
        }
        other => (other, 1),
    };
    data.push(meant);
    Ok(at + length)
}

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
        if self.out.len() - self.start > super::backend::RowWriter::LENGTH_MAX {
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

fn bad_format(message: &str) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

fn too_long() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a row of the COPY data is longer than {ROW_LENGTH_MAX} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields = Vec<Option<Vec<u8>>>;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("c{at}")).collect()
    }

    /// Decodes with the bytes fed in pieces of `step`.
    fn read(
        options: &CopyOptions,
        columns: usize,
        bytes: &[u8],
        step: usize,
    ) -> Result<Vec<Fields>, SqlError> {
        let mut decoder = Decoder::new(options.clone(), names(columns));
        let (mut rows, mut row) = (Vec::new(), Row::default());
        let mut take = |decoder: &mut Decoder| -> Result<(), SqlError> {
            while decoder.next_row(&mut row)? {
                rows.push(row.fields().map(|field| field.map(<[u8]>::to_vec)).collect());
            }
            Ok(())
        };
        for piece in bytes.chunks(step) {
            decoder.feed(piece);
            take(&mut decoder)?;
        }
        decoder.finish();
        take(&mut decoder)?;
        Ok(rows)
    }

    fn write(options: &CopyOptions, columns: usize, rows: &[Fields]) -> Vec<u8> {
        let mut encoder = Encoder::new(options.clone(), names(columns));
        let mut out = BytesMut::new();
        encoder.begin(&mut out);
        for fields in rows {
            let mut row = encoder.row(&mut out);
            for field in fields {
                match field {
                    None => row.null(),
                    Some(bytes) => row
                        .field(|out| {
                            out.put_slice(bytes);
                            Ok(())
                        })
                        .expect("it is short"),
                }
            }
            row.finish();
        }
        encoder.end(&mut out);
        out.to_vec()
    }

    /// Reads as text, shown as `a|b|NULL` a row.
    fn shown(options: &CopyOptions, columns: usize, text: &str) -> Result<Vec<String>, SqlError> {
        let whole = read(options, columns, text.as_bytes(), usize::MAX);
        for step in 1..4 {
            assert_eq!(read(options, columns, text.as_bytes(), step), whole, "pieces of {step}");
        }
        let show = |field: &Option<Vec<u8>>| match field {
            None => "NULL".to_owned(),
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        };
        whole.map(|rows| {
            rows.iter().map(|row| row.iter().map(show).collect::<Vec<_>>().join("|")).collect()
        })
    }

    #[test]
    fn text_is_read() {
        let options = CopyOptions::new(CopyFormat::Text);
        for (text, rows) in [
            ("1\ta\n2\t\\N\n", vec!["1|a", "2|NULL"]),
            ("1\ta", vec!["1|a"]),
            ("1\ta\r\n2\tb\r\n", vec!["1|a", "2|b"]),
            ("1\ta\r2\tb\r", vec!["1|a", "2|b"]),
            ("1\ta\\\nb\n", vec!["1|a\nb"]),
            ("\\\\N\t\\\\\\N\n", vec!["\\N|\\N"]),
            ("\\b\\f\\n\\r\\t\\v\t\\x41\\101\\q\n", vec!["\x08\x0c\n\r\t\x0b|AAq"]),
            ("\t\n", vec!["|"]),
            ("1\ta\n\\.\n2\tb\n", vec!["1|a"]),
            ("1\ta\n\\.", vec!["1|a"]),
            ("", vec![]),
        ] {
            assert_eq!(shown(&options, 2, text), Ok(rows.iter().map(|s| (*s).into()).collect()));
        }
        let bars = CopyOptions { delimiter: b'|', null: "-".into(), header: true, ..options };
        assert_eq!(shown(&bars, 2, "a|b\n1|-\n\\||x\n"), Ok(vec!["1|NULL".into(), "||x".into()]));
    }

    #[test]
    fn csv_is_read() {
        let options = CopyOptions::new(CopyFormat::Csv);
        for (text, rows) in [
            ("1,a\n2,\n3,\"\"\n", vec!["1|a", "2|NULL", "3|"]),
            ("\"a\"\"b\",\"c,d\"\n", vec!["a\"b|c,d"]),
            ("\"a\nb\r\",c\r\n", vec!["a\nb\r|c"]),
            ("a\"b,c\"d,e\n", vec!["ab,cd|e"]),
            ("\\N,\\x\n\\.\nzzz", vec!["\\N|\\x"]),
            (" a , b\n", vec![" a | b"]),
        ] {
            assert_eq!(
                shown(&options, 2, text),
                Ok(rows.iter().map(|s| (*s).into()).collect()),
                "{text:?}"
            );
        }
        let options = CopyOptions {
            escape: b'\\',
            quote: b'\'',
            null: "nil".into(),
            force_not_null: vec![0],
            force_null: vec![1],
            ..options
        };
        assert_eq!(
            shown(&options, 2, "nil,'nil'\n'a\\'b\\\\',nil\n"),
            Ok(vec!["nil|NULL".into(), "a'b\\|NULL".into()])
        );
    }

    #[test]
    fn errors_name_the_line() {
        let error = |format, text: &str| {
            let error = shown(&CopyOptions::new(format), 2, text).expect_err("it is wrong");
            assert_eq!(error.state, SqlState::BAD_COPY_FILE_FORMAT);
            format!("{} ({})", error.message, error.context.unwrap_or_default())
        };
        use CopyFormat::{Csv, Text};
        for (format, text, expected) in [
            (Text, "1\ta\n2\n", "missing data for column \"c1\" (COPY, line 2)"),
            (Text, "1\t2\t3\n", "extra data after last expected column (COPY, line 1)"),
            (Text, "1\t2\n\n", "missing data for column \"c1\" (COPY, line 2)"),
            (Text, "1\t2\n3\t4\r\n", "literal carriage return found in data (COPY, line 2)"),
            (Text, "1\t2\r\n3\t4\n", "literal newline found in data (COPY, line 2)"),
            (Text, "1\t\\.\n", "end-of-copy marker corrupt (COPY, line 1)"),
            (Csv, "1,\"a\n", "unterminated CSV quoted field (COPY, line 1)"),
            (Csv, "1,2\n3,4\r\n", "unquoted carriage return found in data (COPY, line 2)"),
            (Csv, "1,2,3\n", "extra data after last expected column (COPY, line 1)"),
        ] {
            assert_eq!(error(format, text), expected);
        }
    }

    #[test]
    fn rows_are_written() {
        let field = |text: &str| Some(text.as_bytes().to_vec());
        let rows = [vec![field("a\tb\\"), None], vec![field(""), field("x\r\ny")]];
        let text = CopyOptions { header: true, ..CopyOptions::new(CopyFormat::Text) };
        assert_eq!(
            String::from_utf8_lossy(&write(&text, 2, &rows)),
            "c0\tc1\na\\tb\\\\\t\\N\n\tx\\r\\ny\n"
        );
        let csv = CopyOptions { force_quote: vec![1], ..CopyOptions::new(CopyFormat::Csv) };
        let rows = [vec![field("a\"b,"), None], vec![field(""), field("x")]];
        assert_eq!(String::from_utf8_lossy(&write(&csv, 2, &rows)), "\"a\"\"b,\",\n\"\",\"x\"\n");
        assert_eq!(
            write(&CopyOptions::new(CopyFormat::Csv), 1, &[vec![field("\\.")]]),
            b"\"\\.\"\n"
        );
    }

    #[test]
    fn binary_is_checked() {
        let options = CopyOptions::new(CopyFormat::Binary);
        let whole = write(&options, 1, &[vec![Some(b"ab".to_vec())]]);
        assert_eq!(read(&options, 1, &whole, 1), Ok(vec![vec![Some(b"ab".to_vec())]]));
        let message = |bytes: &[u8]| read(&options, 1, bytes, 7).expect_err("it is wrong").message;
        assert_eq!(message(b"PGCOPX\n\xff\r\n\0"), "COPY file signature not recognized");
        assert_eq!(message(b"PGC"), "COPY file signature not recognized");
        let with = |tail: &[u8]| [&whole[..BINARY_HEADER], tail].concat();
        assert_eq!(message(&with(b"\0\x02")), "row field count is 2, expected 1");
        assert_eq!(message(&with(b"\0\x01\0\0")), "unexpected EOF in COPY data");
        assert_eq!(message(&with(b"\0\x01\xff\xff\xff\xfe")), "invalid field size");
        assert_eq!(read(&options, 1, &with(b""), 7), Ok(vec![]));
    }

    #[test]
    fn a_row_may_not_grow_without_bound() {
        let options = CopyOptions::new(CopyFormat::Binary);
        let header = [&SIGNATURE[..], &[0; 8], b"\0\x01\x7f\xff\xff\xff"].concat();
        let error = read(&options, 1, &header, 99).expect_err("it is too long");
        assert_eq!(error.state, SqlState::PROGRAM_LIMIT_EXCEEDED);
    }

    fn any_options() -> impl Strategy<Value = CopyOptions> {
        let format =
            prop_oneof![Just(CopyFormat::Text), Just(CopyFormat::Csv), Just(CopyFormat::Binary)];
        (format, any::<bool>(), any::<bool>()).prop_map(|(format, header, escape)| {
            let binary = format == CopyFormat::Binary;
            let options = CopyOptions::new(format);
            let escape = if escape { b'\\' } else { options.escape };
            CopyOptions { header: header && !binary, escape, ..options }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_in_any_pieces(
            options in any_options(),
            rows in proptest::collection::vec(
                proptest::collection::vec(
                    proptest::option::of(proptest::collection::vec(
                        prop_oneof![
                            proptest::sample::select(&b"\t\n\r\\,\"N.'"[..]),
                            b'a'..b'd',
                        ],
                        0..6,
                    )),
                    2,
                ),
                0..5,
            ),
            step in 1_usize..20,
        ) {
            let bytes = write(&options, 2, &rows);
            prop_assert_eq!(read(&options, 2, &bytes, step), Ok(rows));
        }

        #[test]
        fn any_bytes_are_read_or_refused_however_they_come(
            options in any_options(),
            bytes in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(&b"\t\n\r\\,\"N.\0\x01\xff"[..]),
                    any::<u8>(),
                ],
                0..80,
            ),
            step in 1_usize..20,
        ) {
            let bytes = match options.format {
                CopyFormat::Binary => [&SIGNATURE[..], &[0; 8], &bytes].concat(),
                _ => bytes,
            };
            let whole = read(&options, 2, &bytes, usize::MAX);
            prop_assert_eq!(read(&options, 2, &bytes, step), whole);
        }
    }
}
