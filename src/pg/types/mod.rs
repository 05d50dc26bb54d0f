//! Types: OIDs and names, and values between the wire and SQLite.
//!
//! Each value has exactly one form in SQLite, so that equality and order there are
//! PostgreSQL's:
//!
//! | type                        | form in SQLite                                            |
//! |-----------------------------|-----------------------------------------------------------|
//! | bool                        | Integer 0 or 1                                            |
//! | int2 int4 int8 oid xid      | Integer                                                   |
//! | money                       | Integer, of hundredths ([`money`])                        |
//! | float4 float8               | Real; NaN, which SQLite would make NULL: Text `NaN`       |
//! | numeric                     | Text, canonical ([`numeric`]); compared under collation `numeric`. Integers that SQLite computed are read too |
//! | text varchar name xml       | Text; bpchar: Text padded to its length                   |
//! | `"char"`                    | Text of one character                                     |
//! | bytea                       | Blob                                                      |
//! | date, time, timetz, timestamp | Text as printed in DateStyle ISO, so that it sorts ([`datetime`]) |
//! | timestamptz                 | as timestamp, in UTC, with `+00` behind                   |
//! | interval                    | Text, as printed in style `postgres` ([`interval`])       |
//! | uuid                        | Text, lower case with hyphens                             |
//! | json                        | Text as written; jsonb: Text in normal form ([`json`]), compared under collation `jsonb` |
//! | jsonpath                    | Text as printed ([`mod@jsonpath`])                         |
//! | inet cidr macaddr macaddr8  | Text as printed; addresses under collation `network` ([`mod@network`]) |
//! | bit, bit varying            | Text of 0 and 1 ([`bits`])                                |
//! | geometric types             | Text as printed ([`geometry`])                            |
//! | ranges                      | Text as printed, under collation `range` ([`mod@range`])  |
//! | arrays                      | Text, an array literal of the elements' text forms ([`mod@array`]) |
//! | int2vector oidvector        | Text, numbers with spaces between                         |
//! | regclass, regtype, …        | Integer OID; Text is a name, printed as it stands         |
//! | user types (enums), others  | Text                                                      |
//!
//! Reading is strict, since strangers write. Printing is lenient, since a table
//! made with SQLite's own tools may hold anything: text output shows what is
//! there, binary output fails if the type's form can't be made of it.
pub mod array;
mod array_set;
pub mod bits;
mod bytea;
pub mod calendar;
mod catalog;
pub mod date_style;
pub mod datetime;
pub mod fixed;
pub mod geometry;
pub mod interval;
mod interval_style;
pub mod json;
pub mod jsonpath;
pub mod made;
pub mod money;
pub mod network;
pub mod number;
pub mod numeric;
pub mod range;
pub mod shapes;
pub mod unicode;
pub mod zone;

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};

use self::array::Array;
use self::geometry::Shape;
use self::interval::Interval;
use self::network::Inet;
use self::range::Range;
use self::zone::Zone;
use super::wire::utf8;
use super::{SqlError, SqlState};
use crate::log::{Lsn, Value, ValueRef};

pub use self::date_style::DateStyle;
pub use self::interval_style::IntervalStyle;
pub use bytea::{parse_bytea, parse_uuid, print_escape, print_hex, print_uuid};
pub use catalog::{
    TYPES, TypeInfo, array_of, element_of, type_by_name, type_info, type_name, type_name_with,
    type_size,
};

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
    pub const JSONPATH: Self = Self(4072);
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
    pub const TID: Self = Self(27);
    pub const XID: Self = Self(28);
    pub const CID: Self = Self(29);
    pub const PG_NODE_TREE: Self = Self(194);
    pub const XML: Self = Self(142);
    pub const XID8: Self = Self(5069);
    pub const REGPROCEDURE: Self = Self(2202);
    pub const REGOPER: Self = Self(2203);
    pub const REGOPERATOR: Self = Self(2204);
    pub const REGROLE: Self = Self(4096);
    pub const REGNAMESPACE: Self = Self(4089);
    pub const REGCONFIG: Self = Self(3734);
    pub const REGDICTIONARY: Self = Self(3769);
    pub const PG_LSN: Self = Self(3220);
    pub const CSTRING: Self = Self(2275);
    pub const ANY: Self = Self(2276);
    pub const ANYARRAY: Self = Self(2277);
    pub const ANYELEMENT: Self = Self(2283);
    pub const TRIGGER: Self = Self(2279);
    pub const REFCURSOR: Self = Self(1790);
    pub const MONEY: Self = Self(790);
    pub const INET: Self = Self(869);
    pub const CIDR: Self = Self(650);
    pub const MACADDR: Self = Self(829);
    pub const MACADDR8: Self = Self(774);
    pub const BIT: Self = Self(1560);
    pub const VARBIT: Self = Self(1562);
    pub const POINT: Self = Self(600);
    pub const LSEG: Self = Self(601);
    pub const PATH: Self = Self(602);
    pub const BOX: Self = Self(603);
    pub const POLYGON: Self = Self(604);
    pub const LINE: Self = Self(628);
    pub const CIRCLE: Self = Self(718);
    pub const INT4RANGE: Self = Self(3904);
    pub const NUMRANGE: Self = Self(3906);
    pub const TSRANGE: Self = Self(3908);
    pub const TSTZRANGE: Self = Self(3910);
    pub const DATERANGE: Self = Self(3912);
    pub const INT8RANGE: Self = Self(3926);
    pub const BYTEA_ARRAY: Self = Self(1001);
    pub const FLOAT4_ARRAY: Self = Self(1021);
    pub const BPCHAR_ARRAY: Self = Self(1014);
    pub const DATE_ARRAY: Self = Self(1182);
    pub const TIME_ARRAY: Self = Self(1183);
    pub const TIMESTAMP_ARRAY: Self = Self(1115);
    pub const TIMESTAMPTZ_ARRAY: Self = Self(1185);
    pub const INTERVAL_ARRAY: Self = Self(1187);
    pub const TIMETZ_ARRAY: Self = Self(1270);
    pub const UUID_ARRAY: Self = Self(2951);
    pub const JSON_ARRAY: Self = Self(199);
    pub const JSONB_ARRAY: Self = Self(3807);
    pub const REGCLASS_ARRAY: Self = Self(2210);
    pub const REGTYPE_ARRAY: Self = Self(2211);
    pub const RECORD_ARRAY: Self = Self(2287);
}

/// How a value is encoded on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

/// How values are printed for one session.
#[derive(Clone, Debug, Default)]
pub struct Display {
    /// IANA name or offset of the session's TimeZone; empty is UTC.
    pub time_zone: String,
    /// Of `bytea_output`: escape instead of hex.
    pub bytea_escape: bool,
    /// Of `extra_float_digits` below 1: round to 15 digits.
    pub short_floats: bool,
    pub interval_style: IntervalStyle,
    pub date_style: DateStyle,
}

/// Whether the type is one of the reg* types, whose values are OIDs that print
/// as names.
fn is_reg(oid: Oid) -> bool {
    matches!(
        oid,
        Oid::REGPROC
            | Oid::REGPROCEDURE
            | Oid::REGOPER
            | Oid::REGOPERATOR
            | Oid::REGCLASS
            | Oid::REGTYPE
            | Oid::REGROLE
            | Oid::REGNAMESPACE
            | Oid::REGCONFIG
            | Oid::REGDICTIONARY
    )
}

/// Appends a value as the type's text form, without a length. Not for NULL.
pub fn encode_text(
    value: ValueRef<'_>,
    oid: Oid,
    typmod: i32,
    display: &Display,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    match (oid, value) {
        (Oid::TEXT | Oid::VARCHAR, ValueRef::Text(text)) => out.put_slice(text.as_bytes()),
        (Oid::BOOL, ValueRef::Integer(value)) => {
            out.put_u8(if value == 0 { b'f' } else { b't' });
        }
        (Oid::FLOAT4 | Oid::FLOAT8, ValueRef::Integer(value)) => {
            return encode_text(ValueRef::Real(value as f64), oid, typmod, display, out);
        }
        (Oid::FLOAT4, ValueRef::Real(value)) => {
            number::print_float4(value as f32, display.short_floats, out);
        }
        (Oid::FLOAT8, ValueRef::Real(value)) => {
            number::print_float8(value, display.short_floats, out);
        }
        (Oid::NUMERIC, ValueRef::Real(value)) => {
            out.put_slice(numeric::from_float8(value)?.as_bytes());
        }
        (Oid::BPCHAR, ValueRef::Text(text)) => {
            out.put_slice(text.as_bytes());
            let width = usize::try_from(i64::from(typmod) - 4).unwrap_or(0);
            out.put_bytes(b' ', width.saturating_sub(text.chars().count()));
        }
        (Oid::MONEY, ValueRef::Integer(value)) => {
            out.put_slice(money::print_money(value).as_bytes());
        }
        (Oid::XID8, ValueRef::Integer(value)) => {
            out.put_slice((value as u64).to_string().as_bytes());
        }
        (Oid::CHAR, ValueRef::Text(text)) => match text.chars().next().map(u32::from) {
            Some(byte @ 0x80..=0xff) => out.put_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.put_slice(text.as_bytes()),
        },
        (Oid::BYTEA, ValueRef::Blob(bytes)) if display.bytea_escape => {
            print_escape(bytes, out);
        }
        (Oid::BYTEA, ValueRef::Blob(bytes)) => print_hex(bytes, out),
        (Oid::DATE, ValueRef::Text(text)) if depends_on_display(oid, display) => {
            let days = datetime::parse_date(text, &Zone::UTC, None)?;
            display.date_style.print_date(days, out);
        }
        (Oid::TIMESTAMP, ValueRef::Text(text)) if depends_on_display(oid, display) => {
            let micros = datetime::parse_timestamp(text, &Zone::UTC, None)?;
            display.date_style.print_timestamp(micros, out);
        }
        (Oid::DATE | Oid::TIMESTAMP, ValueRef::Text(text)) => {
            out.put_slice(datetime::shown(text).as_bytes());
        }
        (Oid::TIMESTAMPTZ, ValueRef::Text(text)) => with_zone(display, |zone| {
            let is_iso = display.date_style.form == date_style::Form::Iso;
            if is_iso && *zone == Zone::UTC && text.ends_with("+00") {
                out.put_slice(datetime::shown(text).as_bytes());
                return Ok(());
            }
            let micros = datetime::parse_timestamptz(text, &Zone::UTC, None)?;
            display.date_style.print_timestamptz(micros, zone, out);
            Ok(())
        })?,
        (Oid::INTERVAL, ValueRef::Text(text)) if depends_on_display(oid, display) => {
            display.interval_style.print(Interval::parse(text)?, out);
        }
        (Oid::TSTZRANGE | Oid::TSRANGE | Oid::DATERANGE, ValueRef::Text(text))
            if depends_on_display(oid, display) || datetime::is_marked(text) =>
        {
            let of = match oid {
                Oid::TSTZRANGE => Oid::TIMESTAMPTZ,
                Oid::TSRANGE => Oid::TIMESTAMP,
                _ => Oid::DATE,
            };
            let range = Range::parse(text, |bound| Ok(bound.to_owned()))?;
            let shown = range.map(|bound| {
                let mut out = BytesMut::new();
                encode_text(ValueRef::Text(bound), of, -1, display, &mut out)?;
                Ok(utf8(&out)?.to_owned())
            })?;
            out.put_slice(shown.print().as_bytes());
        }
        (_, ValueRef::Text(text)) => match element_of(oid) {
            Some(element)
                if depends_on_display(element, display)
                    || is_moment(element) && datetime::is_marked(text) =>
            {
                let mut array = Array::parse(text)?;
                let mut buffer = BytesMut::new();
                for text in array.elements.iter_mut().flatten() {
                    let value = part(text, element)?;
                    buffer.clear();
                    encode_text(value.as_ref(), element, typmod, display, &mut buffer)?;
                    *text = String::from_utf8_lossy(&buffer).into_owned();
                }
                let mut text = String::new();
                array.print(&mut text);
                out.put_slice(text.as_bytes());
            }
            _ => out.put_slice(text.as_bytes()),
        },
        _ => print_any(value, out),
    }
    Ok(())
}

/// Dates and timestamps, whose text in an array, a row or a range is that in which they are
/// stored.
fn is_moment(oid: Oid) -> bool {
    matches!(oid, Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ)
}

/// A value out of an array, a row or a range.
pub fn part(text: &str, oid: Oid) -> Result<Value, SqlError> {
    match is_moment(oid) {
        true => Ok(Value::Text(text.to_owned())),
        false => decode_text(text, oid, &Display::default()),
    }
}

/// Whether the session's settings change how the type prints.
fn depends_on_display(oid: Oid, display: &Display) -> bool {
    match oid {
        Oid::TIMESTAMPTZ | Oid::TSTZRANGE => {
            !display.time_zone.is_empty() || display.date_style.form != date_style::Form::Iso
        }
        Oid::DATE | Oid::TIMESTAMP | Oid::DATERANGE | Oid::TSRANGE => {
            display.date_style.form != date_style::Form::Iso
        }
        Oid::BYTEA => display.bytea_escape,
        Oid::FLOAT4 | Oid::FLOAT8 => display.short_floats,
        Oid::INTERVAL => display.interval_style != IntervalStyle::Postgres,
        _ => false,
    }
}

/// Appends what is there, whatever type it should be of.
fn print_any(value: ValueRef<'_>, out: &mut BytesMut) {
    match value {
        ValueRef::Null => {}
        ValueRef::Integer(value) => number::print_integer(value, out),
        ValueRef::Real(value) => number::print_float8(value, false, out),
        ValueRef::Text(text) => out.put_slice(text.as_bytes()),
        ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(_) => out.put_slice(bytes),
            Err(_) => print_hex(bytes, out),
        },
    }
}

/// Runs with the session's zone. Parsing a name is dear, and a connection keeps
/// its zone for many values, so the last one stays at hand.
fn with_zone<T>(
    display: &Display,
    run: impl FnOnce(&Zone) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    thread_local! {
        static LAST: RefCell<(String, Zone)> = const { RefCell::new((String::new(), Zone::UTC)) };
    }
    if display.time_zone.is_empty() {
        return run(&Zone::UTC);
    }
    LAST.with_borrow_mut(|(name, zone)| {
        if *name != display.time_zone {
            *zone = Zone::parse(&display.time_zone).ok_or_else(|| {
                SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("time zone \"{}\" not recognized", display.time_zone),
                )
            })?;
            name.clone_from(&display.time_zone);
        }
        run(zone)
    })
}

/// Appends a value as the type's binary form, without a length. Not for NULL.
pub fn encode_binary(value: ValueRef<'_>, oid: Oid, out: &mut BytesMut) -> Result<(), SqlError> {
    match oid {
        Oid::BOOL => out.put_u8(match value {
            ValueRef::Integer(value) => u8::from(value != 0),
            _ => number::parse_bool(&text_of(value))?.into(),
        }),
        Oid::INT2 => out.put_i16(integer_of(value, oid)? as i16),
        Oid::INT4 => out.put_i32(integer_of(value, oid)? as i32),
        Oid::INT8 => out.put_i64(integer_of(value, oid)?),
        Oid::MONEY => out.put_i64(match value {
            ValueRef::Integer(hundredths) => hundredths,
            _ => money::parse_money(&text_of(value))?,
        }),
        Oid::OID | Oid::XID | Oid::CID => out.put_u32(integer_of(value, oid)? as u32),
        _ if is_reg(oid) => out.put_u32(integer_of(value, Oid::OID)? as u32),
        Oid::XID8 => out.put_i64(integer_of(value, Oid::INT8)?),
        Oid::FLOAT4 => out.put_f32(match value {
            ValueRef::Integer(value) => value as f32,
            ValueRef::Real(value) => value as f32,
            _ => number::parse_float4(&text_of(value))?,
        }),
        Oid::FLOAT8 => out.put_f64(match value {
            ValueRef::Integer(value) => value as f64,
            ValueRef::Real(value) => value,
            _ => number::parse_float8(&text_of(value))?,
        }),
        Oid::NUMERIC => match value {
            ValueRef::Integer(value) => {
                numeric::encode_binary(itoa::Buffer::new().format(value), out)?;
            }
            ValueRef::Real(value) => numeric::encode_binary(&numeric::from_float8(value)?, out)?,
            _ => numeric::encode_binary(&text_of(value), out)?,
        },
        Oid::BYTEA => match value {
            ValueRef::Blob(bytes) => out.put_slice(bytes),
            _ => print_any(value, out),
        },
        Oid::CHAR => {
            let first = text_of(value).chars().next().unwrap_or('\0');
            out.put_u8(u8::try_from(first).map_err(|_| invalid_binary("\"char\""))?);
        }
        Oid::DATE => out.put_i32(datetime::parse_date(&text_of(value), &Zone::UTC, None)?),
        Oid::TIME => out.put_i64(datetime::parse_time(&text_of(value), &Zone::UTC, None)?),
        Oid::TIMETZ => {
            let (micros, offset) = datetime::parse_timetz(&text_of(value), &Zone::UTC, None)?;
            out.put_i64(micros);
            // On the wire offsets count westwards.
            out.put_i32(-offset);
        }
        Oid::TIMESTAMP => {
            out.put_i64(datetime::parse_timestamp(&text_of(value), &Zone::UTC, None)?);
        }
        Oid::TIMESTAMPTZ => {
            out.put_i64(datetime::parse_timestamptz(&text_of(value), &Zone::UTC, None)?);
        }
        Oid::INTERVAL => {
            let interval = Interval::parse(&text_of(value))?;
            out.put_i64(interval.micros);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        Oid::UUID => out.put_slice(&parse_uuid(&text_of(value))?),
        Oid::JSONB | Oid::JSONPATH => {
            out.put_u8(1);
            print_any(value, out);
        }
        Oid::PG_LSN => out.put_u64(parse_lsn(&text_of(value))?.0),
        Oid::VOID => {}
        Oid::INET | Oid::CIDR => {
            Inet::parse(&text_of(value), oid == Oid::CIDR)?.encode_binary(out);
        }
        Oid::MACADDR => out.put_slice(&network::parse_mac::<6>(&text_of(value))?),
        Oid::MACADDR8 => out.put_slice(&network::parse_mac::<8>(&text_of(value))?),
        Oid::BIT | Oid::VARBIT => {
            bits::encode_binary(&bits::parse_bits(&text_of(value))?, out);
        }
        _ if is_geometric(oid) => Shape::parse(&text_of(value), oid)?.encode_binary(oid, out),
        Oid::INT2VECTOR | Oid::OIDVECTOR => {
            let text = text_of(value);
            let elements: Vec<_> = text.split_ascii_whitespace().collect();
            let array = Array {
                // These alone count from zero.
                dimensions: vec![(elements.len() as i32, 0)],
                elements: elements.into_iter().map(|element| Some(element.to_owned())).collect(),
            };
            let element = if oid == Oid::INT2VECTOR { Oid::INT2 } else { Oid::OID };
            array.encode_binary(element, out, |text, out| {
                encode_binary(ValueRef::Text(text), element, out)
            })?;
        }
        _ => match element_of(oid) {
            Some(element) => {
                let array = Array::parse(&text_of(value))?;
                array.encode_binary(element, out, |text, out| {
                    made::encode_text_as_binary(text, element, out)
                })?;
            }
            None if let Some(element) = range::subtype(oid) => {
                let range = Range::parse(&text_of(value), |bound| Ok(bound.to_owned()))?;
                range.encode_binary(out, |bound, out| {
                    made::encode_text_as_binary(bound, element, out)
                })?;
            }
            None if lacks_binary(oid) => {
                return Err(SqlError::unsupported(format!(
                    "binary output of type {}",
                    type_name(oid)
                )));
            }
            None => print_any(value, out),
        },
    }
    Ok(())
}

fn is_geometric(oid: Oid) -> bool {
    matches!(
        oid,
        Oid::POINT | Oid::LINE | Oid::LSEG | Oid::BOX | Oid::PATH | Oid::POLYGON | Oid::CIRCLE
    )
}

/// Types whose binary form is not their text, and is not made here.
fn lacks_binary(oid: Oid) -> bool {
    matches!(oid, Oid::TID | Oid::RECORD | Oid::RECORD_ARRAY)
}

fn integer_of(value: ValueRef<'_>, oid: Oid) -> Result<i64, SqlError> {
    match value {
        ValueRef::Integer(value) => number::check_integer(value, oid),
        ValueRef::Real(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => {
            number::check_integer(value as i64, oid)
        }
        _ => number::parse_integer(&text_of(value), oid),
    }
}

fn text_of(value: ValueRef<'_>) -> std::borrow::Cow<'_, str> {
    match value {
        ValueRef::Text(text) => text.into(),
        _ => {
            let mut out = BytesMut::new();
            print_any(value, &mut out);
            String::from_utf8_lossy(&out).into_owned().into()
        }
    }
}

/// Reads a parameter (or COPY field) into SQLite's form of the type.
pub fn decode(
    bytes: &[u8],
    oid: Oid,
    format: Format,
    display: &Display,
) -> Result<Value, SqlError> {
    match format {
        Format::Text => decode_text(utf8(bytes)?, oid, display),
        Format::Binary => decode_binary(bytes, oid),
    }
}

fn decode_text(text: &str, oid: Oid, display: &Display) -> Result<Value, SqlError> {
    Ok(match oid {
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::UNSPECIFIED | Oid::UNKNOWN => {
            Value::Text(text.to_owned())
        }
        Oid::BOOL => Value::Integer(number::parse_bool(text)?.into()),
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID => {
            Value::Integer(number::parse_integer(text, oid)?)
        }
        Oid::XID | Oid::CID => Value::Integer((number::parse_unsigned(text) as u32).into()),
        Oid::XID8 => Value::Integer(number::parse_unsigned(text) as i64),
        Oid::MONEY => Value::Integer(money::parse_money(text)?),
        _ if is_reg(oid) => match number::parse_integer(text, Oid::OID) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Text(text.to_owned()),
        },
        Oid::FLOAT4 => real(f64::from(number::parse_float4(text)?)),
        Oid::FLOAT8 => real(number::parse_float8(text)?),
        Oid::NUMERIC => Value::Text(numeric::canonical(text)?),
        Oid::BYTEA => Value::Blob(parse_bytea(text)?),
        Oid::NAME => Value::Text(text[..text.floor_char_boundary(NAME_MAX)].to_owned()),
        Oid::CHAR => match () {
            // A byte by its octal number.
            _ if let Some(byte) = number::parse_octal(text) => match byte {
                0 => Value::Text(String::new()),
                byte => Value::Text(char::from(byte).into()),
            },
            // One byte, which is kept as the character of that number.
            _ => {
                let first = text.bytes().next().map(char::from);
                Value::Text(first.into_iter().collect())
            }
        },
        Oid::DATE => with_zone(display, |zone| {
            printed(|out| {
                let order = display.date_style.order;
                let days = datetime::parse_date_ordered(text, zone, None, order)?;
                datetime::print_date(days, out);
                Ok(())
            })
        })?,
        Oid::TIME => with_zone(display, |zone| {
            printed(|out| {
                datetime::print_time(datetime::parse_time(text, zone, None)?, out);
                Ok(())
            })
        })?,
        Oid::TIMETZ => with_zone(display, |zone| {
            let (micros, offset) = datetime::parse_timetz(text, zone, None)?;
            printed(|out| {
                datetime::print_timetz(micros, offset, out);
                Ok(())
            })
        })?,
        Oid::TIMESTAMP => {
            let order = display.date_style.order;
            with_zone(display, |zone| {
                timestamp(datetime::parse_timestamp_ordered(text, zone, None, order)?)
            })?
        }
        Oid::TIMESTAMPTZ => {
            let order = display.date_style.order;
            with_zone(display, |zone| {
                timestamptz(datetime::parse_timestamptz_ordered(text, zone, None, order)?)
            })?
        }
        Oid::INTERVAL => Value::Text(Interval::parse(text)?.to_string()),
        Oid::UUID => uuid(&parse_uuid(text)?),
        Oid::JSON => {
            json::check_json(text)?;
            Value::Text(text.to_owned())
        }
        Oid::JSONB => Value::Text(json::normalize_jsonb(text)?),
        Oid::JSONPATH => Value::Text(jsonpath::parse(text)?.to_string()),
        Oid::PG_LSN => Value::Text(parse_lsn(text)?.to_string()),
        Oid::INET | Oid::CIDR => Value::Text(Inet::parse(text, oid == Oid::CIDR)?.to_string()),
        Oid::MACADDR => Value::Text(network::print_mac(&network::parse_mac::<6>(text)?)),
        Oid::MACADDR8 => Value::Text(network::print_mac(&network::parse_mac::<8>(text)?)),
        Oid::BIT | Oid::VARBIT => Value::Text(bits::parse_bits(text)?),
        _ if is_geometric(oid) => Value::Text(Shape::parse(text, oid)?.print(oid)),
        Oid::RECORD => {
            return Err(SqlError::unsupported("input of anonymous composite types"));
        }
        Oid::INT2VECTOR | Oid::OIDVECTOR => {
            let element = if oid == Oid::INT2VECTOR { Oid::INT2 } else { Oid::OID };
            let numbers = text
                .split_ascii_whitespace()
                .map(|word| number::parse_integer(word, element).map(|number| number.to_string()))
                .collect::<Result<Vec<_>, _>>()?;
            Value::Text(numbers.join(" "))
        }
        _ => match element_of(oid) {
            Some(element) => {
                let mut array = Array::parse(text)?;
                for text in array.elements.iter_mut().flatten() {
                    let value = decode_text(text, element, display)?;
                    *text = canonical_text(&value, element)?;
                }
                array_value(&array)
            }
            None => match range::subtype(oid) {
                Some(element) => {
                    let range = Range::parse(text, |bound| {
                        canonical_text(&decode_text(bound, element, display)?, element)
                    })?;
                    Value::Text(range.canonical(element)?.print())
                }
                None => Value::Text(text.to_owned()),
            },
        },
    })
}

/// Longest name, in bytes; longer ones are cut, as in PostgreSQL.
const NAME_MAX: usize = 63;

fn decode_binary(bytes: &[u8], oid: Oid) -> Result<Value, SqlError> {
    Ok(match oid {
        Oid::BOOL => Value::Integer((fixed::<1>(bytes, oid)?[0] != 0).into()),
        Oid::INT2 => Value::Integer(i16::from_be_bytes(fixed(bytes, oid)?).into()),
        Oid::INT4 => Value::Integer(i32::from_be_bytes(fixed(bytes, oid)?).into()),
        Oid::INT8 | Oid::XID8 | Oid::MONEY => {
            Value::Integer(i64::from_be_bytes(fixed(bytes, oid)?))
        }
        Oid::OID | Oid::XID | Oid::CID => {
            Value::Integer(u32::from_be_bytes(fixed(bytes, oid)?).into())
        }
        _ if is_reg(oid) => Value::Integer(u32::from_be_bytes(fixed(bytes, oid)?).into()),
        Oid::FLOAT4 => real(f32::from_be_bytes(fixed(bytes, oid)?).into()),
        Oid::FLOAT8 => real(f64::from_be_bytes(fixed(bytes, oid)?)),
        Oid::NUMERIC => Value::Text(numeric::decode_binary(bytes)?),
        Oid::BYTEA => Value::Blob(bytes.to_vec()),
        Oid::CHAR => {
            let byte = fixed::<1>(bytes, oid)?[0];
            Value::Text(if byte == 0 { String::new() } else { char::from(byte).to_string() })
        }
        Oid::DATE => {
            let days = i32::from_be_bytes(fixed(bytes, oid)?);
            let special =
                matches!(days, datetime::DATE_INFINITY | datetime::DATE_NEGATIVE_INFINITY);
            if !special && !datetime::date_in_range(days.into()) {
                return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"));
            }
            printed(|out| {
                datetime::print_date(days, out);
                Ok(())
            })?
        }
        Oid::TIME => {
            let micros = time_in_range(i64::from_be_bytes(fixed(bytes, oid)?))?;
            printed(|out| {
                datetime::print_time(micros, out);
                Ok(())
            })?
        }
        Oid::TIMETZ => {
            let all: [u8; 12] = fixed(bytes, oid)?;
            let micros = time_in_range(i64::from_be_bytes(fixed(&all[..8], oid)?))?;
            let west = i32::from_be_bytes(fixed(&all[8..], oid)?);
            if !(-zone::OFFSET_MAX..=zone::OFFSET_MAX).contains(&west) {
                return Err(SqlError::new(
                    SqlState("22009"),
                    "time zone displacement out of range",
                ));
            }
            printed(|out| {
                datetime::print_timetz(micros, -west, out);
                Ok(())
            })?
        }
        Oid::TIMESTAMP => timestamp(i64::from_be_bytes(fixed(bytes, oid)?))?,
        Oid::TIMESTAMPTZ => timestamptz(i64::from_be_bytes(fixed(bytes, oid)?))?,
        Oid::INTERVAL => {
            let all: [u8; 16] = fixed(bytes, oid)?;
            let interval = Interval {
                micros: i64::from_be_bytes(fixed(&all[..8], oid)?),
                days: i32::from_be_bytes(fixed(&all[8..12], oid)?),
                months: i32::from_be_bytes(fixed(&all[12..], oid)?),
            };
            Value::Text(interval.to_string())
        }
        Oid::UUID => uuid(&fixed(bytes, oid)?),
        Oid::JSONB | Oid::JSONPATH => match bytes.split_first() {
            Some((1, text)) if oid == Oid::JSONB => {
                Value::Text(json::normalize_jsonb(utf8(text)?)?)
            }
            Some((1, text)) => Value::Text(jsonpath::parse(utf8(text)?)?.to_string()),
            Some((version, _)) => {
                let name = type_name(oid);
                return Err(SqlError::new(
                    SqlState::INVALID_BINARY_REPRESENTATION,
                    format!("unsupported {name} version number {version}"),
                ));
            }
            None => return Err(invalid_binary(type_name(oid))),
        },
        Oid::PG_LSN => Value::Text(Lsn(u64::from_be_bytes(fixed(bytes, oid)?)).to_string()),
        Oid::INT2VECTOR | Oid::OIDVECTOR => {
            let element = if oid == Oid::INT2VECTOR { Oid::INT2 } else { Oid::OID };
            let array = element_texts(bytes, element)?;
            let numbers: Option<Vec<String>> = array.elements.into_iter().collect();
            let numbers = numbers
                .filter(|_| array.dimensions.len() <= 1)
                .ok_or_else(|| invalid_binary(type_name(oid)))?;
            Value::Text(numbers.join(" "))
        }
        Oid::INET | Oid::CIDR => {
            Value::Text(Inet::decode_binary(bytes, oid == Oid::CIDR)?.to_string())
        }
        Oid::MACADDR => Value::Text(network::print_mac(&fixed::<6>(bytes, oid)?)),
        Oid::MACADDR8 => Value::Text(network::print_mac(&fixed::<8>(bytes, oid)?)),
        Oid::BIT | Oid::VARBIT => Value::Text(bits::decode_binary(bytes, type_name(oid))?),
        _ if is_geometric(oid) => Value::Text(Shape::decode_binary(bytes, oid)?.print(oid)),
        Oid::VOID => {
            fixed::<0>(bytes, oid)?;
            Value::Text(String::new())
        }
        _ => match element_of(oid) {
            Some(element) => array_value(&element_texts(bytes, element)?),
            None if let Some(element) = range::subtype(oid) => {
                let range = Range::decode_binary(bytes, type_name(oid), |bytes| {
                    canonical_text(&decode_binary(bytes, element)?, element)
                })?;
                Value::Text(range.canonical(element)?.print())
            }
            None if lacks_binary(oid) => {
                return Err(SqlError::unsupported(format!(
                    "binary input of type {}",
                    type_name(oid)
                )));
            }
            // The binary form of all others is their text.
            None => decode_text(utf8(bytes)?, oid, &Display::default())?,
        },
    })
}

fn element_texts(bytes: &[u8], element: Oid) -> Result<Array, SqlError> {
    Array::decode_binary(bytes, element, |bytes| {
        canonical_text(&decode_binary(bytes, element)?, element)
    })
}

/// An element's text form as array literals in SQLite hold it; see [`part`].
pub fn canonical_text(value: &Value, oid: Oid) -> Result<String, SqlError> {
    if let (Value::Text(text), true) = (value, is_moment(oid)) {
        return Ok(text.clone());
    }
    let mut out = BytesMut::new();
    encode_text(value.as_ref(), oid, -1, &Display::default(), &mut out)?;
    Ok(utf8(&out)?.to_owned())
}

/// Appends a part of a row or range, in quotes where its text would be misread: the
/// characters of `marks` have a meaning there. Quotes and backslashes in it are doubled.
fn push_quoted(text: &str, marks: &str, out: &mut String) {
    let special =
        |char: char| matches!(char, '"' | '\\') || char.is_whitespace() || marks.contains(char);
    if !text.is_empty() && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            out.push(char);
        }
        out.push(char);
    }
    out.push('"');
}

fn array_value(array: &Array) -> Value {
    let mut text = String::new();
    array.print(&mut text);
    Value::Text(text)
}

fn real(value: f64) -> Value {
    if value.is_nan() { Value::Text("NaN".to_owned()) } else { Value::Real(value) }
}

fn uuid(bytes: &[u8; 16]) -> Value {
    let mut out = BytesMut::with_capacity(36);
    print_uuid(bytes, &mut out);
    Value::Text(String::from_utf8_lossy(&out).into_owned())
}

fn timestamp(micros: i64) -> Result<Value, SqlError> {
    printed(|out| {
        datetime::print_timestamp(finite_in_range(micros)?, out);
        Ok(())
    })
}

fn timestamptz(micros: i64) -> Result<Value, SqlError> {
    printed(|out| {
        datetime::print_timestamptz(finite_in_range(micros)?, &Zone::UTC, out);
        Ok(())
    })
}

fn finite_in_range(micros: i64) -> Result<i64, SqlError> {
    let special = matches!(micros, datetime::INFINITY | datetime::NEGATIVE_INFINITY);
    if special || datetime::timestamp_in_range(micros) {
        Ok(micros)
    } else {
        Err(interval::timestamp_out_of_range())
    }
}

fn time_in_range(micros: i64) -> Result<i64, SqlError> {
    if (0..=calendar::MICROS_PER_DAY).contains(&micros) {
        Ok(micros)
    } else {
        Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"))
    }
}

fn printed(print: impl FnOnce(&mut String) -> Result<(), SqlError>) -> Result<Value, SqlError> {
    let mut text = String::with_capacity(32);
    print(&mut text)?;
    Ok(Value::Text(text))
}

fn fixed<const N: usize>(bytes: &[u8], oid: Oid) -> Result<[u8; N], SqlError> {
    bytes.try_into().map_err(|_| invalid_binary(type_name(oid)))
}

/// `XXXXXXXX/XXXXXXXX`, in hexadecimal digits.
pub fn parse_lsn(text: &str) -> Result<Lsn, SqlError> {
    text.parse().map_err(|_| invalid_text("pg_lsn", text))
}

/// 22P02, in PostgreSQL's words.
pub fn invalid_text(name: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {name}: \"{text}\""),
    )
}

/// 22007, in PostgreSQL's words.
pub fn invalid_datetime(name: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!("invalid input syntax for type {name}: \"{text}\""),
    )
}

/// 22003, in PostgreSQL's words.
pub fn out_of_range(name: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

fn invalid_binary(name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        format!("incorrect binary data format for type {name}"),
    )
}

#[cfg(test)]
mod tests;
