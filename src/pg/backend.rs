//! Messages that servers send, appended to a buffer.
//!
//! Nothing is built in between: a message's bytes go straight behind those of the
//! one before, and its length is patched when it is complete.
use bytes::{BufMut, BytesMut};

use super::types::Format;
use super::{Oid, Severity, SqlError, SqlState};

/// Status byte of ReadyForQuery.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TransactionStatus {
    #[default]
    Idle,
    InTransaction,
    Failed,
}

impl TransactionStatus {
    /// As ReadyForQuery spells it.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// A field of RowDescription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    pub name: String,
    /// 0 for an expression.
    pub table: Oid,
    /// From 1; 0 for an expression.
    pub column: i16,
    pub oid: Oid,
    /// Bytes of a value; -1 where they vary, -2 for a C string.
    pub size: i16,
    /// -1 for none.
    pub typmod: i32,
    pub format: Format,
}

/// Writes backend messages. One method a message.
pub struct Writer<'a>(pub &'a mut BytesMut);

impl Writer<'_> {
    pub fn authentication_ok(&mut self) {
        self.message(b'R', |out| out.put_i32(0));
    }

    /// Offers SASL mechanisms, best first.
    pub fn authentication_sasl(&mut self, mechanisms: &[&str]) {
        self.message(b'R', |out| {
            out.put_i32(10);
            mechanisms.iter().for_each(|mechanism| put_string(out, mechanism));
            out.put_u8(0);
        });
    }

    pub fn authentication_sasl_continue(&mut self, data: &[u8]) {
        self.message(b'R', |out| {
            out.put_i32(11);
            out.put_slice(data);
        });
    }

    pub fn authentication_sasl_final(&mut self, data: &[u8]) {
        self.message(b'R', |out| {
            out.put_i32(12);
            out.put_slice(data);
        });
    }

    pub fn backend_key_data(&mut self, pid: i32, secret: i32) {
        self.message(b'K', |out| {
            out.put_i32(pid);
            out.put_i32(secret);
        });
    }

    pub fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            put_string(out, name);
            put_string(out, value);
        });
    }

    /// Tells that only 3.`minor` is spoken, and which `_pq_.` options are unknown.
    pub fn negotiate_protocol_version(&mut self, minor: i32, options: &[String]) {
        self.message(b'v', |out| {
            // The documentation says "minor version", but servers send, and libpq
            // reads, the whole version number.
            out.put_i32((3 << 16) | minor);
            out.put_i32(options.len() as i32);
            options.iter().for_each(|option| put_string(out, option));
        });
    }

    pub fn ready_for_query(&mut self, status: TransactionStatus) {
        self.message(b'Z', |out| out.put_u8(status.byte()));
    }

    pub fn row_description(&mut self, fields: &[Field]) {
        self.message(b'T', |out| {
            out.put_u16(fields.len() as u16);
            for field in fields {
                put_string(out, &field.name);
                out.put_u32(field.table.0);
                out.put_i16(field.column);
                out.put_u32(field.oid.0);
                out.put_i16(field.size);
                out.put_i32(field.typmod);
                out.put_i16(code(field.format));
            }
        });
    }

    pub fn parameter_description(&mut self, types: &[Oid]) {
        self.message(b't', |out| {
            out.put_u16(types.len() as u16);
            types.iter().for_each(|oid| out.put_u32(oid.0));
        });
    }

    pub fn no_data(&mut self) {
        self.message(b'n', |_| {});
    }

    pub fn parse_complete(&mut self) {
        self.message(b'1', |_| {});
    }

    pub fn bind_complete(&mut self) {
        self.message(b'2', |_| {});
    }

    pub fn close_complete(&mut self) {
        self.message(b'3', |_| {});
    }

    pub fn command_complete(&mut self, tag: &str) {
        self.message(b'C', |out| put_string(out, tag));
    }

    pub fn empty_query_response(&mut self) {
        self.message(b'I', |_| {});
    }

    pub fn portal_suspended(&mut self) {
        self.message(b's', |_| {});
    }

    pub fn error(&mut self, error: &SqlError) {
        self.message(b'E', |out| put_fields(out, error));
    }

    pub fn notice(&mut self, notice: &SqlError) {
        self.message(b'N', |out| put_fields(out, notice));
    }

    pub fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.message(b'A', |out| {
            out.put_i32(pid);
            put_string(out, channel);
            put_string(out, payload);
        });
    }

    /// The result of a FunctionCall; `None` is NULL.
    pub fn function_call_response(&mut self, value: Option<&[u8]>) {
        self.message(b'V', |out| match value {
            Some(value) => {
                out.put_u32(value.len() as u32);
                out.put_slice(value);
            }
            None => out.put_i32(-1),
        });
    }

    pub fn copy_in_response(&mut self, columns: usize, format: Format) {
        self.message(b'G', |out| put_copy_formats(out, columns, format));
    }

    pub fn copy_out_response(&mut self, columns: usize, format: Format) {
        self.message(b'H', |out| put_copy_formats(out, columns, format));
    }

    pub fn copy_data(&mut self, data: &[u8]) {
        self.message(b'd', |out| out.put_slice(data));
    }

    pub fn copy_done(&mut self) {
        self.message(b'c', |_| {});
    }

    /// Starts a DataRow of `columns` fields.
    pub fn data_row(&mut self, columns: usize) -> RowWriter<'_> {
        let start = self.0.len();
        self.0.put_u8(b'D');
        self.0.put_i32(0);
        self.0.put_u16(columns as u16);
        RowWriter { out: self.0, start, missing: columns, finished: false }
    }

    fn message(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        self.0.put_u8(tag);
        let start = self.0.len();
        self.0.put_i32(0);
        body(self.0);
        patch_length(self.0, start, self.0.len() - start);
    }
}

/// Appends one DataRow: `begin`, a field a column, `finish`. Dropped unfinished, it
/// takes the row back out of the buffer.
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    /// Where the row begins in `out`.
    start: usize,
    /// Columns still to come.
    missing: usize,
    finished: bool,
}

impl RowWriter<'_> {
    /// Longest row, in bytes: PostgreSQL's limit.
    pub const LENGTH_MAX: usize = (1 << 30) - 1;

    pub fn null(&mut self) {
        self.count();
        self.out.put_i32(-1);
    }

    /// Appends a field whose bytes `write` appends.
    pub fn field(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.count();
        let at = self.out.len();
        self.out.put_i32(0);
        write(self.out)?;
        if self.out.len() - self.start > Self::LENGTH_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a result row is longer than {} bytes", Self::LENGTH_MAX),
            ));
        }
        patch_length(self.out, at, self.out.len() - at - 4);
        Ok(())
    }

    /// Patches the message's length.
    ///
    /// # Panics
    ///
    /// When fewer fields were written than announced.
    pub fn finish(mut self) {
        assert_eq!(self.missing, 0, "a row lacks fields");
        self.finished = true;
        patch_length(self.out, self.start + 1, self.out.len() - self.start - 1);
    }

    fn count(&mut self) {
        self.missing = self.missing.checked_sub(1).expect("no more fields than announced");
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

fn patch_length(out: &mut BytesMut, at: usize, length: usize) {
    let length = i32::try_from(length).expect("a message fits its length field");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a zero-terminated string. Zero bytes inside it, which would break the
/// message, are left out.
fn put_string(out: &mut BytesMut, text: &str) {
    for part in text.split('\0') {
        out.put_slice(part.as_bytes());
    }
    out.put_u8(0);
}

fn put_copy_formats(out: &mut BytesMut, columns: usize, format: Format) {
    out.put_i8(code(format) as i8);
    out.put_u16(columns as u16);
    (0..columns).for_each(|_| out.put_i16(code(format)));
}

fn put_fields(out: &mut BytesMut, error: &SqlError) {
    let severity = match error.severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
        Severity::Warning => "WARNING",
        Severity::Notice => "NOTICE",
    };
    let mut put = |kind: u8, text: &str| {
        out.put_u8(kind);
        put_string(out, text);
    };
    put(b'S', severity);
    put(b'V', severity);
    put(b'C', error.state.0);
    put(b'M', &error.message);
    if let Some(detail) = &error.detail {
        put(b'D', detail);
    }
    if let Some(hint) = &error.hint {
        put(b'H', hint);
    }
    if let Some(position) = error.position {
        put(b'P', &position.to_string());
    }
    if let Some(context) = &error.context {
        put(b'W', context);
    }
    if let Some(table) = &error.table {
        put(b's', error.schema.as_deref().unwrap_or("public"));
        put(b't', table);
    }
    if let Some(column) = &error.column {
        put(b'c', column);
    }
    if let Some(constraint) = &error.constraint {
        put(b'n', constraint);
    }
    if let Some(routine) = error.routine {
        put(b'R', routine);
    }
    out.put_u8(0);
}

fn code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut Writer(&mut out));
        out.to_vec()
    }

    #[test]
    fn messages_have_their_bytes() {
        assert_eq!(written(|w| w.authentication_ok()), b"R\0\0\0\x08\0\0\0\0");
        assert_eq!(
            written(|w| w.authentication_sasl(&["A", "B"])),
            b"R\0\0\0\x0d\0\0\0\x0aA\0B\0\0"
        );
        assert_eq!(
            written(|w| w.backend_key_data(1, -1)),
            b"K\0\0\0\x0c\0\0\0\x01\xff\xff\xff\xff"
        );
        assert_eq!(written(|w| w.parameter_status("a", "b")), b"S\0\0\0\x08a\0b\0");
        assert_eq!(
            written(|w| w.negotiate_protocol_version(0, &["_pq_.x".into()])),
            b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0"
        );
        assert_eq!(written(|w| w.ready_for_query(TransactionStatus::Failed)), b"Z\0\0\0\x05E");
        assert_eq!(
            written(|w| w.row_description(&[Field {
                name: "n".into(),
                table: Oid(1),
                column: 2,
                oid: Oid::INT4,
                size: 4,
                typmod: -1,
                format: Format::Binary,
            }])),
            b"T\0\0\0\x1a\0\x01n\0\0\0\0\x01\0\x02\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01"
        );
        assert_eq!(
            written(|w| w.parameter_description(&[Oid::TEXT])),
            b"t\0\0\0\x0a\0\x01\0\0\0\x19"
        );
        assert_eq!(written(|w| w.command_complete("SELECT 1")), b"C\0\0\0\x0dSELECT 1\0");
        assert_eq!(
            written(|w| w.copy_in_response(2, Format::Text)),
            b"G\0\0\0\x0b\0\0\x02\0\0\0\0"
        );
        assert_eq!(written(|w| w.notification(7, "c", "p")), b"A\0\0\0\x0c\0\0\0\x07c\0p\0");
    }

    #[test]
    fn an_error_has_its_fields_in_order() {
        let error = SqlError {
            table: Some("t".into()),
            column: Some("c".into()),
            constraint: Some("n".into()),
            ..SqlError::fatal(SqlState::UNIQUE_VIOLATION, "m\0m")
                .with_detail("d")
                .with_hint("h")
                .with_position(3)
                .with_context("w")
        };
        assert_eq!(
            written(|w| w.error(&error))[5..],
            *b"SFATAL\0VFATAL\0C23505\0Mmm\0Dd\0Hh\0P3\0Ww\0spublic\0tt\0cc\0nn\0\0"
        );
    }

    #[test]
    fn a_row_is_written_in_place() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut writer = Writer(&mut out);
        let mut row = writer.data_row(2);
        row.null();
        row.field(|out| {
            out.put_slice(b"abc");
            Ok(())
        })
        .expect("it is written");
        row.finish();
        assert_eq!(&out[..], b"beforeD\0\0\0\x11\0\x02\xff\xff\xff\xff\0\0\0\x03abc");
    }

    #[test]
    fn a_row_that_fails_leaves_nothing() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut writer = Writer(&mut out);
        let mut row = writer.data_row(1);
        let failed = row.field(|out| {
            out.put_slice(b"half");
            Err(SqlError::unsupported("this"))
        });
        assert!(failed.is_err());
        drop(row);
        assert_eq!(&out[..], b"before");
    }
}
