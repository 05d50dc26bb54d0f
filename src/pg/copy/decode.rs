//! Bytes to rows.

use bytes::{Buf, BytesMut};

use super::{
    BINARY_HEADER, CopyFormat, CopyOptions, ROW_LENGTH_MAX, SIGNATURE, bad_format, located,
    too_long,
};
use crate::pg::SqlError;
use crate::pg::types::Format;

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
    table: String,
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
    /// For rows of a table's columns; the names are for messages.
    pub fn new(options: CopyOptions, table: String, columns: Vec<String>) -> Self {
        Self {
            header: options.header || options.format == CopyFormat::Binary,
            options,
            table,
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
            return Err(self.in_line(bad_format("received copy data after EOF marker")));
        }
        let taken = match self.options.format {
            CopyFormat::Binary => self.next_binary(row),
            CopyFormat::Text | CopyFormat::Csv => self.next_line(row),
        };
        taken.map_err(|error| self.in_line(error))
    }

    /// The number of the line that the last row was on.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Adds to an error which field of the last row it came from.
    pub fn in_field(&self, error: SqlError, column: usize, field: &[u8]) -> SqlError {
        let name = self.columns.get(column).map_or("", String::as_str);
        let field = match self.options.format {
            CopyFormat::Binary => String::new(),
            CopyFormat::Text | CopyFormat::Csv => shown(field),
        };
        located(error, &self.table, self.line, &format!(", column {name}{field}"))
    }

    fn in_line(&self, error: SqlError) -> SqlError {
        located(error, &self.table, self.line, "")
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
            let header = std::mem::take(&mut self.header);
            if header && !self.options.header_matches {
                self.buffer.advance(line.whole);
                continue;
            }
            let text = &self.buffer[..line.length];
            if !header && text == b"\\." {
                self.ended = true;
                self.buffer.clear();
                return Ok(false);
            }
            row.clear();
            let split = match self.options.format {
                CopyFormat::Csv => self.split_csv(text, row),
                _ => self.split_text(text, row),
            };
            let checked = split.and_then(|()| match header {
                true => self.check_header(row),
                false => self.check_count(row.fields.len()),
            });
            if let Err(error) = checked {
                return Err(located(error, &self.table, self.line, &shown(text)));
            }
            self.buffer.advance(line.whole);
            if !header {
                return Ok(true);
            }
        }
    }

    /// HEADER MATCH: the columns' names, in their order.
    fn check_header(&self, row: &Row) -> Result<(), SqlError> {
        let (found, expected) = (row.fields.len(), self.columns.len());
        if found != expected {
            return Err(bad_format(&format!(
                "wrong number of fields in header line: field count is {found}, expected {expected}"
            )));
        }
        for (at, (field, column)) in row.fields().zip(&self.columns).enumerate() {
            let got = match field {
                Some(name) if name == column.as_bytes() => continue,
                Some(name) => format!("\"{}\"", String::from_utf8_lossy(name)),
                None => format!("null value (\"{}\")", self.options.null),
            };
            return Err(bad_format(&format!(
                "column name mismatch in header line field {}: got {got}, expected \"{column}\"",
                at + 1
            )));
        }
        Ok(())
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

/// Longest part of the data that a message shows, in bytes.
const SHOWN_MAX: usize = 100;

/// A piece of the data, for a message.
fn shown(piece: &[u8]) -> String {
    let text = String::from_utf8_lossy(piece);
    let end = text.floor_char_boundary(SHOWN_MAX);
    format!(": \"{}{}\"", &text[..end], if end < text.len() { "..." } else { "" })
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
