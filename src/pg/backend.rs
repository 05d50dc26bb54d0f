//! STUB: messages that servers send, appended to a buffer.
use bytes::BytesMut;

use super::types::Format;
use super::{Oid, SqlError};

/// Status byte of ReadyForQuery.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TransactionStatus {
    #[default]
    Idle,
    InTransaction,
    Failed,
}

/// A field of RowDescription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    pub name: String,
    pub table: Oid,
    pub column: i16,
    pub oid: Oid,
    pub size: i16,
    pub typmod: i32,
    pub format: Format,
}

/// Writes backend messages. One method a message.
pub struct Writer<'a>(pub &'a mut BytesMut);

/// Appends one DataRow: `begin`, a field a column, `finish`.
pub struct RowWriter<'a> {
    #[allow(dead_code)]
    out: &'a mut BytesMut,
}

#[allow(unused_variables, clippy::todo)]
impl<'a> Writer<'a> {
    pub fn authentication_ok(&mut self) {
        todo!()
    }
    pub fn authentication_sasl(&mut self, mechanisms: &[&str]) {
        todo!()
    }
    pub fn authentication_sasl_continue(&mut self, data: &[u8]) {
        todo!()
    }
    pub fn authentication_sasl_final(&mut self, data: &[u8]) {
        todo!()
    }
    pub fn backend_key_data(&mut self, pid: i32, secret: i32) {
        todo!()
    }
    pub fn parameter_status(&mut self, name: &str, value: &str) {
        todo!()
    }
    pub fn negotiate_protocol_version(&mut self, minor: i32, options: &[String]) {
        todo!()
    }
    pub fn ready_for_query(&mut self, status: TransactionStatus) {
        todo!()
    }
    pub fn row_description(&mut self, fields: &[Field]) {
        todo!()
    }
    pub fn parameter_description(&mut self, types: &[Oid]) {
        todo!()
    }
    pub fn no_data(&mut self) {
        todo!()
    }
    pub fn parse_complete(&mut self) {
        todo!()
    }
    pub fn bind_complete(&mut self) {
        todo!()
    }
    pub fn close_complete(&mut self) {
        todo!()
    }
    pub fn command_complete(&mut self, tag: &str) {
        todo!()
    }
    pub fn empty_query_response(&mut self) {
        todo!()
    }
    pub fn portal_suspended(&mut self) {
        todo!()
    }
    pub fn error(&mut self, error: &SqlError) {
        todo!()
    }
    pub fn notice(&mut self, notice: &SqlError) {
        todo!()
    }
    pub fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        todo!()
    }
    pub fn copy_in_response(&mut self, columns: usize, format: Format) {
        todo!()
    }
    pub fn copy_out_response(&mut self, columns: usize, format: Format) {
        todo!()
    }
    pub fn copy_data(&mut self, data: &[u8]) {
        todo!()
    }
    pub fn copy_done(&mut self) {
        todo!()
    }
    /// Starts a DataRow of `columns` fields.
    pub fn data_row(&mut self, columns: usize) -> RowWriter<'_> {
        todo!()
    }
}

#[allow(unused_variables, clippy::todo)]
impl RowWriter<'_> {
    pub fn null(&mut self) {
        todo!()
    }
    /// Appends a field whose bytes `write` appends.
    pub fn field(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        todo!()
    }
    /// Patches the message's length.
    pub fn finish(self) {
        todo!()
    }
}
