//! STUB: signatures fixed, bodies to come (split into a folder as it grows).
use bytes::BytesMut;

use super::SqlError;
use crate::log::{Value, ValueRef};

/// A type's object identifier.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Oid(pub u32);

#[rustfmt::skip]
impl Oid {
    pub const UNSPECIFIED: Self = Self(0);
    pub const BOOL: Self = Self(16);
    pub const BYTEA: Self = Self(17);
    pub const CHAR: Self = Self(18);
    pub const NAME: Self = Self(19);
    pub const INT8: Self = Self(20);
    pub const INT2: Self = Self(21);
    pub const INT2VECTOR: Self = Self(22);
    pub const INT4: Self = Self(23);
    pub const REGPROC: Self = Self(24);
    pub const TEXT: Self = Self(25);
    pub const OID: Self = Self(26);
    pub const OIDVECTOR: Self = Self(30);
    pub const JSON: Self = Self(114);
    pub const FLOAT4: Self = Self(700);
    pub const FLOAT8: Self = Self(701);
    pub const UNKNOWN: Self = Self(705);
    pub const BPCHAR: Self = Self(1042);
    pub const VARCHAR: Self = Self(1043);
    pub const DATE: Self = Self(1082);
    pub const TIME: Self = Self(1083);
    pub const TIMESTAMP: Self = Self(1114);
    pub const TIMESTAMPTZ: Self = Self(1184);
    pub const INTERVAL: Self = Self(1186);
    pub const TIMETZ: Self = Self(1266);
    pub const NUMERIC: Self = Self(1700);
    pub const REGCLASS: Self = Self(2205);
    pub const REGTYPE: Self = Self(2206);
    pub const RECORD: Self = Self(2249);
    pub const VOID: Self = Self(2278);
    pub const UUID: Self = Self(2950);
    pub const JSONB: Self = Self(3802);
    pub const BOOL_ARRAY: Self = Self(1000);
    pub const INT2_ARRAY: Self = Self(1005);
    pub const INT4_ARRAY: Self = Self(1007);
    pub const TEXT_ARRAY: Self = Self(1009);
    pub const INT8_ARRAY: Self = Self(1016);
    pub const NAME_ARRAY: Self = Self(1003);
    pub const OID_ARRAY: Self = Self(1028);
    pub const CHAR_ARRAY: Self = Self(1002);
    pub const VARCHAR_ARRAY: Self = Self(1015);
    pub const FLOAT8_ARRAY: Self = Self(1022);
    pub const NUMERIC_ARRAY: Self = Self(1231);
}

/// How a value is encoded on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

// How SQLite holds PostgreSQL's values (one canonical form a type, so that
// equality and order in SQLite are PostgreSQL's):
//
//   bool                 Integer 0 or 1
//   int2 int4 int8 oid   Integer
//   float4 float8        Real
//   numeric              Text, canonical decimal ("12.50"), or Integer where the
//                        value is one and fits; compared under collation `numeric`
//   text varchar name    Text;  bpchar: Text padded to its length
//   bytea                Blob
//   date                 Text "2024-01-31";   time "12:34:56.789"
//   timestamp            Text "2024-01-31 12:34:56.789" (fraction only if not 0)
//   timestamptz          as timestamp, in UTC, with "+00" behind
//   interval             Text, as PostgreSQL prints it in style `postgres`
//   uuid                 Text, lower case with hyphens
//   json                 Text as written; jsonb: Text, normalised as PostgreSQL does
//   arrays               Text, PostgreSQL's array literal ("{1,2}")
//   "char", reg*         Text / Integer OID

/// How values are printed for one session.
#[derive(Clone, Debug, Default)]
pub struct Display {
    /// IANA name or offset of the session's TimeZone; empty is UTC.
    pub time_zone: String,
    /// Of `bytea_output`: escape instead of hex.
    pub bytea_escape: bool,
    /// Of `extra_float_digits` below 1: round to 15 digits.
    pub short_floats: bool,
}

/// Appends a value as the type's text form, without a length. Not for NULL.
#[allow(unused_variables, clippy::todo)]
pub fn encode_text(
    value: ValueRef<'_>,
    oid: Oid,
    typmod: i32,
    display: &Display,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    todo!()
}

/// Appends a value as the type's binary form, without a length. Not for NULL.
#[allow(unused_variables, clippy::todo)]
pub fn encode_binary(value: ValueRef<'_>, oid: Oid, out: &mut BytesMut) -> Result<(), SqlError> {
    todo!()
}

/// Reads a parameter (or COPY field) into SQLite's form of the type.
#[allow(unused_variables, clippy::todo)]
pub fn decode(
    bytes: &[u8],
    oid: Oid,
    format: Format,
    display: &Display,
) -> Result<Value, SqlError> {
    todo!()
}
