//! Casts, under the internal names that the translator emits.
//!
//! | names | what they are |
//! |---|---|
//! | `towline_cast_<type>(text [, zone])` | text read as the type's text form |
//! | `towline_int2/4/8`, `towline_float4/8`, `towline_numeric` | numbers from other numbers |
//! | `towline_date`, `towline_time`, `towline_timestamp`, … `(value [, zone])` | moments from other moments |
//! | `towline_text_<type>(value [, zone])` | the type's text form, where it isn't how it is stored |
//! | `towline_varchar`, `towline_bpchar`, `towline_pad`, `towline_numeric_scale`, `towline_time_precision` | a type's modifier, enforced |
//! | `towline_array_fit(array, element's OID, modifier, explicit)` | the same of an array's elements |
//! | `towline_cast_array(array, element [, from, zone])` | an array's elements cast to another type |
//! | `towline_zone_of(interval)` | the time zone that is so far east |
//! | `towline_check_option(view, condition, …, value)` | the value, if all conditions hold; else 44000 names the view |
//! | `towline_required(value, table, column)` | refuses NULL for the column by which SQLite numbers rows |

use bytes::BytesMut;

use super::call::{Call, Registry};
use super::operators::{
    date_text, float_out_of_range, time_text, timestamp_text, timestamptz_text,
};
use crate::log::{Value, ValueRef};
use crate::pg::types::array::Array;
use crate::pg::types::bits::fit_bits;
use crate::pg::types::interval::Interval;
use crate::pg::types::number::check_integer;
use crate::pg::types::zone::Zone;
use crate::pg::types::{
    Display, Format, canonical_text, datetime, decode, encode_text, numeric, out_of_range, part,
    type_by_name,
};
use crate::pg::{Oid, SqlError, SqlState};

/// Types that text is cast to, by the names of their functions.
const FROM_TEXT: &[(&str, Oid)] = &[
    ("bool", Oid::BOOL),
    ("int2", Oid::INT2),
    ("int4", Oid::INT4),
    ("int8", Oid::INT8),
    ("oid", Oid::OID),
    ("float4", Oid::FLOAT4),
    ("float8", Oid::FLOAT8),
    ("numeric", Oid::NUMERIC),
    ("bytea", Oid::BYTEA),
    ("date", Oid::DATE),
    ("time", Oid::TIME),
    ("timetz", Oid::TIMETZ),
    ("timestamp", Oid::TIMESTAMP),
    ("timestamptz", Oid::TIMESTAMPTZ),
    ("interval", Oid::INTERVAL),
    ("uuid", Oid::UUID),
    ("json", Oid::JSON),
    ("jsonb", Oid::JSONB),
    ("jsonpath", Oid::JSONPATH),
    ("pg_lsn", Oid::PG_LSN),
    ("money", Oid::MONEY),
    ("xid", Oid::XID),
    ("xid8", Oid::XID8),
    ("cid", Oid::CID),
    ("char", Oid::CHAR),
    ("name", Oid::NAME),
    ("inet", Oid::INET),
    ("cidr", Oid::CIDR),
    ("macaddr", Oid::MACADDR),
    ("macaddr8", Oid::MACADDR8),
    ("bit", Oid::BIT),
    ("varbit", Oid::VARBIT),
    ("point", Oid::POINT),
    ("line", Oid::LINE),
    ("lseg", Oid::LSEG),
    ("box", Oid::BOX),
    ("path", Oid::PATH),
    ("polygon", Oid::POLYGON),
    ("circle", Oid::CIRCLE),
    ("int4range", Oid::INT4RANGE),
    ("int8range", Oid::INT8RANGE),
    ("numrange", Oid::NUMRANGE),
    ("tsrange", Oid::TSRANGE),
    ("tstzrange", Oid::TSTZRANGE),
    ("daterange", Oid::DATERANGE),
];

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    for (name, oid) in FROM_TEXT {
        let oid = *oid;
        for count in [1, 2] {
            registry
                .strict(&format!("towline_cast_{name}"), count, move |call| cast_text(call, oid))?;
        }
    }
    // Canonical forms compare as numbers.
    registry.connection.create_collation("numeric", numeric::compare)?;
    register_numbers(registry)?;
    register_moments(registry)?;
    register_texts(registry)?;
    register_modifiers(registry)?;
    registry
        .strict("towline_cast_array", 2, |call| cast_array(&call.text(0)?, &call.text(1)?, None))?;
    registry.strict("towline_cast_array", 4, |call| {
        let zone = (&*call.text(2)?, &*call.text(3)?);
        cast_array(&call.text(0)?, &call.text(1)?, Some(zone))
    })?;
    register_user_types(registry)?;
    registry.lenient("towline_check_option", -1, |call| {
        let last = call.len().saturating_sub(1);
        for at in (0..last).step_by(2) {
            if !call.boolean(at + 1) {
                return Err(SqlError::new(
                    SqlState("44000"),
                    format!("new row violates check option for view \"{}\"", call.text(at)?),
                ));
            }
        }
        Ok(call.value(last).to_owned())
    })?;
    registry.lenient("towline_required", 3, |call| match call.value(0) {
        ValueRef::Null => Err(missing(call.text(1)?.into_owned(), call.text(2)?.into_owned())),
        value => Ok(value.to_owned()),
    })
}

fn missing(table: String, column: String) -> SqlError {
    let mut error = SqlError::new(
        SqlState::NOT_NULL_VIOLATION,
        format!(
            "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
        ),
    );
    error.table = Some(table);
    error.column = Some(column);
    error
}

fn display(zone: &str) -> Display {
    Display { time_zone: zone.to_owned(), ..Display::default() }
}

fn cast_text(call: &Call<'_, '_>, oid: Oid) -> Result<Value, SqlError> {
    // What is not text is in its stored form already.
    match call.value(0) {
        ValueRef::Blob(bytes) if oid == Oid::BYTEA => return Ok(Value::Blob(bytes.to_vec())),
        ValueRef::Integer(value) if oid == Oid::BOOL => {
            return Ok(Value::Integer(i64::from(value != 0)));
        }
        _ => {}
    }
    let zone = if call.len() > 1 { call.text(1)?.into_owned() } else { String::new() };
    let text = call.text(0)?;
    decode(text.as_bytes(), oid, Format::Text, &display(&zone))
}

/// `towline_enum(value, type, label, …)` and `towline_domain_value(value, holds, domain,
/// check)`: the value, if it may be one. Without a check it may not be NULL.
fn register_user_types(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_enum", -1, |call| {
        let value = call.text(0)?;
        for at in 2..call.len() {
            if call.text(at)? == value {
                return Ok(Value::Text(value.into()));
            }
        }
        Err(SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input value for enum {}: \"{value}\"", call.text(1)?),
        ))
    })?;
    // The labels from one to another, NULL being the end.
    registry.lenient("towline_enum_range", 3, |call| {
        let all = call.text(0)?;
        let labels = Array::parse(&all).map(|array| array.elements).unwrap_or_default();
        let place = |at| -> Result<Option<usize>, SqlError> {
            let label = call.optional_text(at)?;
            Ok(label.and_then(|label| {
                labels.iter().position(|known| known.as_deref() == Some(&*label))
            }))
        };
        let first = place(1)?.unwrap_or(0);
        let behind = place(2)?.map_or(labels.len(), |last| last + 1).max(first);
        let mut range = String::new();
        Array::new(labels[first..behind].to_vec()).print(&mut range);
        Ok(Value::Text(range))
    })?;
    registry.lenient("towline_domain_value", 4, |call| {
        if call.value(1) == ValueRef::Integer(0) {
            let domain = call.text(2)?;
            return Err(match call.optional_text(3)? {
                Some(check) => SqlError::new(
                    SqlState::CHECK_VIOLATION,
                    format!("value for domain {domain} violates check constraint \"{check}\""),
                ),
                None => SqlError::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!("domain {domain} does not allow null values"),
                ),
            });
        }
        Ok(call.value(0).to_owned())
    })
}

fn register_numbers(registry: Registry<'_>) -> rusqlite::Result<()> {
    for (name, oid, long) in [
        ("int2", Oid::INT2, "smallint"),
        ("int4", Oid::INT4, "integer"),
        ("int8", Oid::INT8, "bigint"),
    ] {
        registry.strict(&format!("towline_{name}"), 1, move |call| {
            to_integer(call, oid, long).map(Value::Integer)
        })?;
        registry.strict(&format!("towline_jsonb_{name}"), 1, move |call| {
            to_integer(call, oid, long).map(Value::Integer)
        })?;
    }
    registry.strict("towline_oid", 1, |call| {
        let value = to_integer(call, Oid::INT8, "oid")?;
        u32::try_from(value)
            .map(|value| Value::Integer(i64::from(value)))
            .map_err(|_| out_of_range("OID"))
    })?;
    for name in ["towline_float4", "towline_jsonb_float4"] {
        registry.strict(name, 1, |call| {
            let value = call.real(0)?;
            let narrow = value as f32;
            if narrow.is_infinite() && value.is_finite() {
                return Err(float_out_of_range("overflow"));
            }
            if narrow == 0.0 && value != 0.0 {
                return Err(float_out_of_range("underflow"));
            }
            Ok(Value::Real(f64::from(narrow)))
        })?;
    }
    for name in ["towline_float8", "towline_jsonb_float8"] {
        registry.strict(name, 1, |call| call.real(0).map(Value::Real))?;
    }
    for name in ["towline_numeric", "towline_jsonb_numeric"] {
        registry.strict(name, 1, |call| match call.value(0) {
            ValueRef::Real(value) => numeric::from_float8(value).map(Value::Text),
            _ => numeric::canonical(&call.text(0)?).map(Value::Text),
        })?;
    }
    // Six digits are sure.
    registry.strict("towline_real_numeric", 1, |call| match call.value(0) {
        ValueRef::Real(value) => {
            let sure = format!("{value:.5e}").parse().unwrap_or(value);
            numeric::from_float8(sure).map(Value::Text)
        }
        _ => numeric::canonical(&call.text(0)?).map(Value::Text),
    })?;
    registry.strict("towline_jsonb_bool", 1, |call| match &*call.text(0)? {
        "true" => Ok(Value::Integer(1)),
        "false" => Ok(Value::Integer(0)),
        _ => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "cannot cast jsonb value to type boolean",
        )),
    })
}

/// Floats round half to even, decimals half away from zero.
fn to_integer(call: &Call<'_, '_>, oid: Oid, long: &str) -> Result<i64, SqlError> {
    let value = match call.value(0) {
        ValueRef::Integer(value) => value,
        ValueRef::Real(value) => {
            let rounded = value.round_ties_even();
            // 2^63 itself does not fit.
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
                return Err(out_of_range(long));
            }
            rounded as i64
        }
        _ => {
            let text = numeric::canonical(&call.text(0)?)?;
            let impossible = |what: &str| {
                let message = format!("cannot convert {what} to {long}");
                SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            };
            numeric::round(&text, 0).parse().map_err(|_| match text.as_str() {
                "NaN" => impossible("NaN"),
                "Infinity" | "-Infinity" => impossible("infinity"),
                _ => out_of_range(long),
            })?
        }
    };
    check_integer(value, oid).map_err(|_| out_of_range(long))
}

/// A moment on some clock.
enum Moment {
    Date(i32),
    /// Microseconds since 2000-01-01, without a zone.
    Timestamp(i64),
    /// The same, in UTC.
    Zoned(i64),
    Time(i64),
    ZonedTime(i64, i32),
}

/// Reads a moment in any of the stored forms.
fn moment(text: &str) -> Result<Moment, SqlError> {
    let bytes = text.as_bytes();
    let utc = Zone::UTC;
    let infinite = text.ends_with("infinity");
    if bytes.get(2) == Some(&b':') {
        if bytes.len() > 8 && bytes[8..].iter().any(|byte| matches!(byte, b'+' | b'-')) {
            let (time, offset) = datetime::parse_timetz(text, &utc, None)?;
            return Ok(Moment::ZonedTime(time, offset));
        }
        return datetime::parse_time(text, &utc, None).map(Moment::Time);
    }
    if infinite {
        return datetime::parse_timestamp(text, &utc, None).map(Moment::Timestamp);
    }
    if !text.contains(':') {
        return datetime::parse_date(text, &utc, None).map(Moment::Date);
    }
    let clock = text.split_once(' ').map_or("", |(_, clock)| clock);
    if clock.contains(['+', '-']) {
        return datetime::parse_timestamptz(text, &utc, None).map(Moment::Zoned);
    }
    datetime::parse_timestamp(text, &utc, None).map(Moment::Timestamp)
}

const SECOND_US: i64 = 1_000_000;

/// Local time of a moment in UTC.
fn local(micros: i64, zone: &Zone) -> i64 {
    if !datetime::timestamp_in_range(micros) {
        return micros;
    }
    micros + i64::from(zone.offset_at(micros)) * SECOND_US
}

/// The moment in UTC of a local time.
fn universal(micros: i64, zone: &Zone) -> i64 {
    if !datetime::timestamp_in_range(micros) {
        return micros;
    }
    micros - i64::from(zone.offset_at_local(micros)) * SECOND_US
}

fn midnight(days: i32) -> Result<i64, SqlError> {
    i64::from(days).checked_mul(DAY_US).ok_or_else(|| {
        SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
    })
}

fn register_moments(registry: Registry<'_>) -> rusqlite::Result<()> {
    type Target = fn(Moment, &Zone) -> Result<Value, SqlError>;
    let date: Target = |moment, zone| match moment {
        Moment::Date(days) => date_text(i64::from(days)),
        Moment::Timestamp(micros) => date_of(micros),
        Moment::Zoned(micros) => date_of(local(micros, zone)),
        _ => Err(no_such_cast("date")),
    };
    let timestamp: Target = |moment, zone| match moment {
        Moment::Date(days) => timestamp_text(midnight(days)?),
        Moment::Timestamp(micros) => timestamp_text(micros),
        Moment::Zoned(micros) => timestamp_text(local(micros, zone)),
        _ => Err(no_such_cast("timestamp without time zone")),
    };
    let timestamptz: Target = |moment, zone| match moment {
        Moment::Date(days) => timestamptz_text(universal(midnight(days)?, zone)),
        Moment::Timestamp(micros) => timestamptz_text(universal(micros, zone)),
        Moment::Zoned(micros) => timestamptz_text(micros),
        _ => Err(no_such_cast("timestamp with time zone")),
    };
    let time: Target = |moment, zone| match moment {
        Moment::Timestamp(micros) => time_text(micros.rem_euclid(DAY_US)),
        Moment::Zoned(micros) => time_text(local(micros, zone).rem_euclid(DAY_US)),
        Moment::Time(micros) | Moment::ZonedTime(micros, _) => time_text(micros),
        Moment::Date(_) => Err(no_such_cast("time without time zone")),
    };
    let timetz: Target = |moment, zone| {
        let (micros, offset) = match moment {
            Moment::ZonedTime(micros, old) => {
                // AT TIME ZONE moves it; the zone's offset is that of the epoch.
                let offset = zone.offset_at(0);
                let moved = micros + i64::from(offset - old) * SECOND_US;
                (moved.rem_euclid(DAY_US), offset)
            }
            Moment::Time(micros) => (micros, zone.offset_at(0)),
            Moment::Zoned(micros) => {
                (local(micros, zone).rem_euclid(DAY_US), zone.offset_at(micros))
            }
            _ => return Err(no_such_cast("time with time zone")),
        };
        let mut text = String::new();
        datetime::print_timetz(micros, offset, &mut text);
        Ok(Value::Text(text))
    };
    for (name, target) in [
        ("towline_date", date),
        ("towline_timestamp", timestamp),
        ("towline_timestamptz", timestamptz),
        ("towline_time", time),
        ("towline_timetz", timetz),
    ] {
        for count in [1, 2] {
            registry.strict(name, count, move |call| {
                let zone = if call.len() > 1 { call.zone(1)? } else { Zone::UTC };
                target(read_moment(&call.text(0)?)?, &zone)
            })?;
        }
    }
    registry.strict("towline_interval", 1, |call| cast_text(call, Oid::INTERVAL))?;
    // An interval east of Greenwich, as the hours that name a time zone.
    registry.strict("towline_zone_of", 1, |call| {
        let interval = Interval::parse(&call.text(0)?)?;
        if interval.months != 0 || interval.days != 0 {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("interval time zone \"{interval}\" must not include months or days"),
            ));
        }
        let seconds = i32::try_from(interval.micros / SECOND_US).unwrap_or(i32::MAX);
        Ok(Value::Text((f64::from(seconds) / 3600.0).to_string()))
    })
}

/// A moment, or the time of day that an interval stands for.
fn read_moment(text: &str) -> Result<Moment, SqlError> {
    moment(text).or_else(|error| {
        let interval = Interval::parse(text).map_err(|_| error)?;
        Ok(Moment::Time(interval.micros.rem_euclid(DAY_US)))
    })
}

fn date_of(micros: i64) -> Result<Value, SqlError> {
    if !datetime::timestamp_in_range(micros) {
        // Infinity stays infinite.
        return timestamp_text(micros);
    }
    date_text(micros.div_euclid(DAY_US))
}

fn no_such_cast(target: &str) -> SqlError {
    SqlError::new(SqlState("42846"), format!("cannot cast this value to {target}"))
}

fn register_texts(registry: Registry<'_>) -> rusqlite::Result<()> {
    for (name, oid) in [
        ("towline_text_bool", Oid::BOOL),
        ("towline_text_float4", Oid::FLOAT4),
        ("towline_text_float8", Oid::FLOAT8),
        ("towline_text_bytea", Oid::BYTEA),
        ("towline_text_timestamptz", Oid::TIMESTAMPTZ),
        ("towline_text_money", Oid::MONEY),
    ] {
        for count in [1, 2] {
            registry.strict(name, count, move |call| {
                if oid == Oid::BOOL {
                    // Cast to text, a truth value is a word, not a letter.
                    let word = if call.integer(0)? != 0 { "true" } else { "false" };
                    return Ok(Value::Text(word.to_owned()));
                }
                let zone = if call.len() > 1 { call.text(1)?.into_owned() } else { String::new() };
                printed(call.value(0), oid, &zone).map(Value::Text)
            })?;
        }
    }
    registry.strict("towline_text_moment", 1, |call| {
        Ok(Value::Text(datetime::shown(&call.text(0)?).into_owned()))
    })
}

fn printed(value: ValueRef<'_>, oid: Oid, zone: &str) -> Result<String, SqlError> {
    let mut out = BytesMut::new();
    encode_text(value, oid, -1, &display(zone), &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn register_modifiers(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_varchar", 2, |call| {
        sized(&call.text(0)?, call.integer(1)?, "character varying", false).map(Value::Text)
    })?;
    registry.strict("towline_bpchar", 2, |call| {
        sized(&call.text(0)?, call.integer(1)?, "character", true).map(Value::Text)
    })?;
    // As stored in a char(n) column, for comparison: never an error.
    registry.strict("towline_pad", 2, |call| {
        let text = call.text(0)?;
        let length = usize::try_from(call.integer(1)?).unwrap_or(0);
        let mut padded = text.trim_end_matches(' ').to_owned();
        let count = padded.chars().count();
        padded.extend(std::iter::repeat_n(' ', length.saturating_sub(count)));
        Ok(Value::Text(padded))
    })?;
    registry.strict("towline_numeric_scale", 3, |call| {
        let (precision, scale) = (call.integer(1)? as i32, call.integer(2)? as i32);
        let text = numeric::canonical(&call.text(0)?)?;
        numeric::fit(&text, numeric::typmod(precision, scale)).map(Value::Text)
    })?;
    registry.strict("towline_time_precision", 2, |call| {
        rounded_moment(&call.text(0)?, call.integer(1)? as i32)
    })?;
    registry.strict("towline_array_fit", 4, |call| {
        let oid = Oid(call.integer(1)? as u32);
        let (modifier, explicit) = (call.integer(2)? as i32, call.integer(3)? != 0);
        let mut array = Array::parse(&call.text(0)?)?;
        for item in array.elements.iter_mut().flatten() {
            *item = fitted(item, oid, modifier, explicit)?;
        }
        let mut printed = String::new();
        array.print(&mut printed);
        Ok(Value::Text(printed))
    })
}

fn rounded_moment(text: &str, digits: i32) -> Result<Value, SqlError> {
    match moment(text)? {
        Moment::Timestamp(micros) => timestamp_text(datetime::round_micros(micros, digits)),
        Moment::Zoned(micros) => timestamptz_text(datetime::round_micros(micros, digits)),
        Moment::Time(micros) => time_text(datetime::round_micros(micros, digits)),
        Moment::ZonedTime(micros, offset) => {
            let mut text = String::new();
            datetime::print_timetz(datetime::round_micros(micros, digits), offset, &mut text);
            Ok(Value::Text(text))
        }
        Moment::Date(days) => date_text(i64::from(days)),
    }
}

/// An element of an array as its type's modifier has it.
fn fitted(text: &str, oid: Oid, modifier: i32, explicit: bool) -> Result<String, SqlError> {
    let length = i64::from(modifier - 4);
    let cut = |text: &str| match usize::try_from(length) {
        Ok(length) if explicit => text.chars().take(length).collect(),
        _ => text.to_owned(),
    };
    match oid {
        Oid::VARCHAR => sized(&cut(text), length, "character varying", false),
        Oid::BPCHAR => sized(&cut(text), length, "character", true),
        Oid::NUMERIC => numeric::fit(&numeric::canonical(text)?, modifier),
        Oid::INTERVAL => Ok(Interval::parse(text)?.fit(modifier).to_string()),
        Oid::BIT | Oid::VARBIT => {
            let length = usize::try_from(modifier).unwrap_or(0);
            fit_bits(text, length, oid == Oid::VARBIT, explicit)
        }
        _ => match rounded_moment(text, modifier)? {
            Value::Text(text) => Ok(text),
            _ => Ok(text.to_owned()),
        },
    }
}

/// Text in a column of `length` characters: blanks beyond it are cut, anything else
/// beyond it is an error.
fn sized(text: &str, length: i64, name: &str, pad: bool) -> Result<String, SqlError> {
    let length = usize::try_from(length).unwrap_or(0);
    let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
    if text[end..].bytes().any(|byte| byte != b' ') {
        return Err(SqlError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type {name}({length})"),
        ));
    }
    let mut kept = text[..end].to_owned();
    if pad {
        let missing = length - kept.chars().count();
        kept.push_str(&" ".repeat(missing));
    }
    Ok(kept)
}

/// Casts each element by way of its text; in a time zone, where their type before (the
/// first of the pair) or behind the cast has one.
fn cast_array(text: &str, element: &str, zoned: Option<(&str, &str)>) -> Result<Value, SqlError> {
    let oid = type_by_name(element).unwrap_or(Oid::TEXT);
    let zone = zoned.map_or(String::new(), |(_, zone)| zone.to_owned());
    let from = zoned.and_then(|(from, _)| type_by_name(from));
    let mut array = Array::parse(text)?;
    for item in array.elements.iter_mut().flatten() {
        if let Some(from) = from {
            *item = printed(part(item, from)?.as_ref(), from, &zone)?;
        }
        // A decimal among integers rounds; anything else must read as the type.
        let rounded = match oid {
            Oid::INT2 | Oid::INT4 | Oid::INT8 if item.contains('.') => {
                numeric::canonical(item).map(|text| numeric::round(&text, 0)).ok()
            }
            _ => None,
        };
        let text = rounded.as_deref().unwrap_or(item);
        let value = decode(text.as_bytes(), oid, Format::Text, &display(&zone))?;
        *item = canonical_text(&value, oid)?;
    }
    let mut printed = String::new();
    array.print(&mut printed);
    Ok(Value::Text(printed))
}
