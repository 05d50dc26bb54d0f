//! PostgreSQL's types as the translator reasons about them: names, families, which
//! type wins where two meet, and what SQLite declares for each.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryLength, CharacterLength, DataType, ExactNumberInfo, GeometricTypeKind,
    ObjectName, TimezoneInfo,
};

use super::translate::names;
use crate::pg::types::{TYPES, range, type_info};
use crate::pg::{Oid, SqlError, SqlState};

pub(super) use crate::pg::types::{array_of, element_of};

/// A type with its modifier; -1 is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Type {
    pub oid: Oid,
    pub typmod: i32,
}

impl Type {
    pub(super) const TEXT: Self = Self::plain(Oid::TEXT);

    pub(super) const fn plain(oid: Oid) -> Self {
        Self { oid, typmod: -1 }
    }
}

/// Types that PostgreSQL converts into each other without being asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    Boolean,
    Number,
    String,
    DateTime,
    Interval,
    Bytes,
    Json,
    Uuid,
    Array,
    /// regclass and kin: integers, spelled as names.
    Reference,
    Network,
    Bits,
    Geometric,
    Range,
    Void,
    Unknown,
    Other,
}

/// PostgreSQL's internal name (`int4`), which names of functions are made of.
pub(super) fn internal_name(oid: Oid) -> String {
    type_info(oid).map_or_else(|| format!("type{}", oid.0), |info| info.name.to_owned())
}

/// The name that messages use (`integer`, `text[]`).
pub(super) fn display_name(oid: Oid) -> String {
    type_info(oid).map_or_else(|| format!("type {}", oid.0), |info| info.sql_name.to_owned())
}

pub(super) fn family(oid: Oid) -> Family {
    match oid {
        Oid::BOOL => Family::Boolean,
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::FLOAT4 | Oid::FLOAT8 | Oid::NUMERIC | Oid::OID => {
            Family::Number
        }
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::NAME | Oid::CHAR => Family::String,
        Oid::DATE | Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ => Family::DateTime,
        Oid::INTERVAL => Family::Interval,
        Oid::BYTEA => Family::Bytes,
        Oid::JSON | Oid::JSONB => Family::Json,
        Oid::UUID => Family::Uuid,
        Oid::UNKNOWN | Oid::UNSPECIFIED => Family::Unknown,
        Oid::VOID => Family::Void,
        Oid::REGCLASS | Oid::REGTYPE | Oid::REGPROC | Oid(2202 | 4089 | 4096 | 3734) => {
            Family::Reference
        }
        Oid::INET | Oid::CIDR | Oid::MACADDR | Oid::MACADDR8 => Family::Network,
        Oid::BIT | Oid::VARBIT => Family::Bits,
        _ if element_of(oid).is_some() => Family::Array,
        _ if range::subtype(oid).is_some() => Family::Range,
        _ if type_info(oid).is_some_and(|info| info.category == 'G') => Family::Geometric,
        _ => Family::Other,
    }
}

pub(super) fn is_integer(oid: Oid) -> bool {
    matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8)
}

/// Whether values of the type are equal or not, and in order.
pub(super) fn is_comparable(oid: Oid) -> bool {
    family(oid) != Family::Geometric && oid != Oid::JSON
}

pub(super) fn is_unknown(oid: Oid) -> bool {
    matches!(oid, Oid::UNKNOWN | Oid::UNSPECIFIED)
}

/// Where a number type stands in the chain int2 → int4 → int8 → numeric → float4 → float8.
fn number_rank(oid: Oid) -> u8 {
    match oid {
        Oid::INT2 => 0,
        Oid::INT4 => 1,
        Oid::OID => 2,
        Oid::INT8 => 3,
        Oid::NUMERIC => 4,
        Oid::FLOAT4 => 5,
        _ => 6,
    }
}

/// The type two number types meet in.
pub(super) fn wider_number(left: Oid, right: Oid) -> Oid {
    if number_rank(left) >= number_rank(right) { left } else { right }
}

/// The one type that `left` and `right` are both turned into where they stand for the same
/// thing (CASE, COALESCE, UNION, VALUES, comparisons). `None`: PostgreSQL refuses them.
pub(super) fn common(left: Oid, right: Oid) -> Option<Oid> {
    if left == right {
        return Some(left);
    }
    if is_unknown(left) {
        return Some(right);
    }
    if is_unknown(right) {
        return Some(left);
    }
    match (family(left), family(right)) {
        (Family::Number, Family::Number) => Some(wider_number(left, right)),
        // Each becomes the other by itself: the first decides.
        (Family::String, Family::String) if (left, right) == (Oid::VARCHAR, Oid::TEXT) => {
            Some(left)
        }
        (Family::String, Family::String) => Some(if left == Oid::TEXT || right == Oid::TEXT {
            Oid::TEXT
        } else if left == Oid::VARCHAR || right == Oid::VARCHAR {
            Oid::VARCHAR
        } else {
            Oid::TEXT
        }),
        (Family::DateTime, Family::DateTime) => match (left, right) {
            (Oid::TIME | Oid::TIMETZ, Oid::TIME | Oid::TIMETZ) => Some(Oid::TIMETZ),
            (Oid::TIME | Oid::TIMETZ, _) | (_, Oid::TIME | Oid::TIMETZ) => None,
            (Oid::TIMESTAMPTZ, _) | (_, Oid::TIMESTAMPTZ) => Some(Oid::TIMESTAMPTZ),
            _ => Some(Oid::TIMESTAMP),
        },
        (Family::Json, Family::Json) => Some(Oid::JSONB),
        (Family::Network, Family::Network) => match (left, right) {
            (Oid::INET | Oid::CIDR, Oid::INET | Oid::CIDR) => Some(Oid::INET),
            (Oid::MACADDR | Oid::MACADDR8, Oid::MACADDR | Oid::MACADDR8) => Some(Oid::MACADDR8),
            _ => None,
        },
        (Family::Bits, Family::Bits) => Some(Oid::VARBIT),
        (Family::Reference, Family::Number | Family::Reference) => Some(Oid::OID),
        (Family::Number, Family::Reference) => Some(Oid::OID),
        (Family::Array, Family::Array) => {
            let (a, b) = (element_of(left)?, element_of(right)?);
            if matches!(left, Oid::INT2VECTOR | Oid::OIDVECTOR) {
                return Some(right);
            }
            array_of(common(a, b)?).or(Some(left))
        }
        (Family::Other, Family::Other) => None,
        _ => None,
    }
}

/// Whether a foreign key's column may be of type `own` where the key's is of type `key`: they
/// are in one order, or the first becomes the second by itself.
pub(super) fn meets_key(own: Oid, key: Oid) -> bool {
    const FLOATS: [Oid; 2] = [Oid::FLOAT4, Oid::FLOAT8];
    let alike = |oids: &[Oid]| oids.contains(&own) && oids.contains(&key);
    match common(own, key) {
        None => false,
        Some(met) => {
            met == key
                || (is_integer(own) && is_integer(key))
                || family(key) == Family::String
                || alike(&FLOATS)
                || alike(&[Oid::DATE, Oid::TIMESTAMP, Oid::TIMESTAMPTZ])
                || alike(&[Oid::INET, Oid::CIDR])
                || alike(&[Oid::BIT, Oid::VARBIT])
        }
    }
}

/// The collation under which stored forms of the type compare as PostgreSQL compares the
/// values, where SQLite's own order of them is another.
pub(super) fn collation(oid: Oid) -> Option<&'static str> {
    match oid {
        Oid::NUMERIC => Some("numeric"),
        Oid::INET | Oid::CIDR => Some("network"),
        Oid::PG_LSN => Some("lsn"),
        Oid::JSONB => Some("jsonb"),
        Oid::TIMETZ => Some("timetz"),
        _ if family(oid) == Family::Range => Some("range"),
        _ => None,
    }
}

/// The collation by which values are in order, where it is not that of their equality.
pub(super) fn order_collation(oid: Oid) -> Option<&'static str> {
    match family(oid) {
        Family::Interval => Some("interval"),
        Family::Array => Some(match element_of(oid).map(family) {
            Some(Family::Number) => "numbers",
            _ => "texts",
        }),
        _ => collation(oid),
    }
}

/// The modifier of an interval's type: its fields (`DAY TO SECOND`) and its precision.
pub(super) fn interval_typmod(
    fields: Option<&str>,
    precision: Option<u64>,
) -> Result<i32, SqlError> {
    const FIELDS: [(&str, i32); 6] =
        [("YEAR", 2), ("MONTH", 1), ("DAY", 3), ("HOUR", 10), ("MINUTE", 11), ("SECOND", 12)];
    let place = |word: &str| FIELDS.iter().position(|(name, _)| word.eq_ignore_ascii_case(name));
    let bits = match fields {
        None if precision.is_none() => return Ok(-1),
        None => 0x7fff,
        Some(fields) => {
            let mut words = fields.split(" TO ");
            let first = words.next().and_then(place);
            let last = words.next().map_or(first, place);
            let (Some(first), Some(last)) = (first, last) else { return Ok(-1) };
            FIELDS[first..=last.max(first)].iter().map(|(_, bit)| 1 << bit).sum()
        }
    };
    let precision = match precision {
        None => 0xffff,
        // PostgreSQL warns and takes six.
        Some(precision) => i32::try_from(precision.min(6)).unwrap_or(6),
    };
    Ok(bits << 16 | precision)
}

/// What SQLite declares for a column: the affinity that keeps the type's stored form.
pub(super) fn sqlite_column_type(oid: Oid) -> &'static str {
    match oid {
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID | Oid::MONEY => "INTEGER",
        Oid::BOOL => "BOOLEAN",
        Oid::FLOAT4 | Oid::FLOAT8 => "REAL",
        Oid::BYTEA => "BLOB",
        Oid::NUMERIC => "TEXT COLLATE numeric",
        Oid::INET | Oid::CIDR => "TEXT COLLATE network",
        Oid::PG_LSN => "TEXT COLLATE lsn",
        Oid::JSONB => "TEXT COLLATE jsonb",
        Oid::TIMETZ => "TEXT COLLATE timetz",
        _ => match family(oid) {
            Family::Reference => "INTEGER",
            Family::Range => "TEXT COLLATE range",
            _ => "TEXT",
        },
    }
}

fn undefined(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn number_out_of_range(message: String) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// A type by the name that a client writes, folded.
pub(super) fn by_name(name: &str) -> Option<Oid> {
    if let Some(element) = name.strip_suffix("[]") {
        return array_of(by_name(element)?);
    }
    if let Some(element) = name.strip_prefix('_')
        && let Some(array) = by_name(element).and_then(array_of)
    {
        return Some(array);
    }
    let alias = match name {
        "boolean" => "bool",
        "integer" | "int" | "serial" | "serial4" => "int4",
        "smallint" | "smallserial" | "serial2" => "int2",
        "bigint" | "bigserial" | "serial8" => "int8",
        "real" => "float4",
        "double precision" | "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character varying" | "char varying" => "varchar",
        "character" => "bpchar",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        "bit varying" => "varbit",
        "citext" => "text",
        // What `"char"` is called inside; a bare `char` is parsed to bpchar before.
        other => other,
    };
    let info = TYPES.iter().find(|info| info.name == alias)?;
    // Of this there are no values here.
    (alias != "xml").then_some(info.oid)
}

/// A type as a client writes it in a list of types: `varchar(20)`, `int[]`.
pub(super) fn by_text(text: &str) -> Option<Oid> {
    use sqlparser::dialect::PostgreSqlDialect;
    let dialect = PostgreSqlDialect {};
    let mut parser = sqlparser::parser::Parser::new(&dialect)
        .with_recursion_limit(16)
        .try_with_sql(text)
        .ok()?;
    let data_type = parser.parse_data_type().ok()?;
    resolve(&data_type).ok().map(|ty| ty.oid)
}

/// The type that sqlparser's `DataType` names.
pub(super) fn resolve(data_type: &DataType) -> Result<Type, SqlError> {
    let plain = |oid| Ok(Type::plain(oid));
    match data_type {
        DataType::Bool | DataType::Boolean => plain(Oid::BOOL),
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::TinyInt(_) => plain(Oid::INT2),
        DataType::Int(_) | DataType::Int4(_) | DataType::Integer(_) | DataType::MediumInt(_) => {
            plain(Oid::INT4)
        }
        DataType::BigInt(_) | DataType::Int8(_) => plain(Oid::INT8),
        DataType::Real | DataType::Float4 => plain(Oid::FLOAT4),
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(_) => plain(Oid::FLOAT8),
        DataType::Float(ExactNumberInfo::Precision(1..=24)) => plain(Oid::FLOAT4),
        DataType::Float(_) => plain(Oid::FLOAT8),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Ok(Type { oid: Oid::NUMERIC, typmod: numeric_typmod(*info)? })
        }
        DataType::Text | DataType::String(_) | DataType::Clob(_) => plain(Oid::TEXT),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length)
        | DataType::Nvarchar(length) => {
            Ok(Type { oid: Oid::VARCHAR, typmod: length_typmod(*length, -1)? })
        }
        DataType::Char(length) | DataType::Character(length) => {
            Ok(Type { oid: Oid::BPCHAR, typmod: length_typmod(*length, 5)? })
        }
        DataType::Bytea
        | DataType::Blob(_)
        | DataType::Varbinary(None | Some(BinaryLength::Max)) => plain(Oid::BYTEA),
        DataType::Uuid => plain(Oid::UUID),
        DataType::JSON => plain(Oid::JSON),
        DataType::JSONB => plain(Oid::JSONB),
        DataType::Date => plain(Oid::DATE),
        DataType::Time(precision, zone) => Ok(Type {
            oid: if with_zone(*zone) { Oid::TIMETZ } else { Oid::TIME },
            typmod: precision_typmod(*precision),
        }),
        DataType::Timestamp(precision, zone) => Ok(Type {
            oid: if with_zone(*zone) { Oid::TIMESTAMPTZ } else { Oid::TIMESTAMP },
            typmod: precision_typmod(*precision),
        }),
        DataType::Datetime(_) => plain(Oid::TIMESTAMP),
        DataType::Interval { fields, precision } => {
            let fields = fields.as_ref().map(ToString::to_string);
            let typmod = interval_typmod(fields.as_deref(), *precision)?;
            Ok(Type { oid: Oid::INTERVAL, typmod })
        }
        DataType::Regclass => plain(Oid::REGCLASS),
        DataType::Bit(length) => {
            Ok(Type { oid: Oid::BIT, typmod: bits_typmod(length.or(Some(1)))? })
        }
        DataType::BitVarying(length) | DataType::VarBit(length) => {
            Ok(Type { oid: Oid::VARBIT, typmod: bits_typmod(*length)? })
        }
        DataType::GeometricType(kind) => plain(match kind {
            GeometricTypeKind::Point => Oid::POINT,
            GeometricTypeKind::Line => Oid::LINE,
            GeometricTypeKind::LineSegment => Oid::LSEG,
            GeometricTypeKind::GeometricBox => Oid::BOX,
            GeometricTypeKind::GeometricPath => Oid::PATH,
            GeometricTypeKind::Polygon => Oid::POLYGON,
            GeometricTypeKind::Circle => Oid::CIRCLE,
        }),
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::Qualified(element, _)
            | ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => {
            let element = resolve(element)?;
            // PostgreSQL has no arrays of arrays: `int[][]` is `int[]`.
            let oid = match family(element.oid) {
                Family::Array => Some(element.oid),
                _ => array_of(element.oid),
            };
            match oid {
                Some(oid) => Ok(Type { oid, typmod: element.typmod }),
                None => Err(undefined(&format!("{}[]", display_name(element.oid)))),
            }
        }
        DataType::Custom(name, modifiers) => custom(name, modifiers),
        other => Err(undefined(&other.to_string().to_ascii_lowercase())),
    }
}

fn custom(name: &ObjectName, modifiers: &[String]) -> Result<Type, SqlError> {
    let Some(last) = names::last(name) else { return Err(undefined(&name.to_string())) };
    let schema = name.0.first().and_then(|part| part.as_ident()).map(names::fold);
    if let Some(domain) = of_information_schema(&last)
        && schema.as_deref() == Some("information_schema")
    {
        return Ok(domain);
    }
    // `pg_catalog.char` is the one-byte type; a bare `char` never gets here.
    let Some(oid) = by_name(&last) else { return Err(undefined(&last)) };
    let number = |at: usize| modifiers.get(at).and_then(|text| text.trim().parse::<i32>().ok());
    let typmod = match (oid, number(0)) {
        (Oid::VARCHAR | Oid::BPCHAR, Some(length)) => length + 4,
        (Oid::NUMERIC, Some(precision)) => {
            ((precision << 16) | (number(1).unwrap_or(0) & 0x7ff)) + 4
        }
        (Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::TIME | Oid::TIMETZ, Some(precision)) => precision,
        _ => -1,
    };
    Ok(Type { oid, typmod })
}

/// What the domains of `information_schema` are made of.
fn of_information_schema(domain: &str) -> Option<Type> {
    Some(match domain {
        "cardinal_number" => Type::plain(Oid::INT4),
        "character_data" => Type::plain(Oid::VARCHAR),
        "sql_identifier" => Type::plain(Oid::NAME),
        "time_stamp" => Type { oid: Oid::TIMESTAMPTZ, typmod: 2 },
        "yes_or_no" => Type { oid: Oid::VARCHAR, typmod: 3 + 4 },
        _ => return None,
    })
}

fn with_zone(zone: TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

fn precision_typmod(precision: Option<u64>) -> i32 {
    precision.map_or(-1, |digits| i32::try_from(digits.min(6)).unwrap_or(6))
}

fn length_typmod(length: Option<CharacterLength>, missing: i32) -> Result<i32, SqlError> {
    match length {
        None | Some(CharacterLength::Max) => Ok(missing),
        Some(CharacterLength::IntegerLength { length, .. }) => match i32::try_from(length) {
            Ok(length @ 1..=10_485_760) => Ok(length + 4),
            Ok(0) => Err(number_out_of_range("length for type must be at least 1".to_owned())),
            _ => Err(number_out_of_range("length for type cannot exceed 10485760".to_owned())),
        },
    }
}

/// The length of bits is its own modifier.
fn bits_typmod(length: Option<u64>) -> Result<i32, SqlError> {
    match length.map(i32::try_from) {
        None => Ok(-1),
        Some(Ok(length @ 1..=83_886_080)) => Ok(length),
        Some(Ok(0)) => {
            Err(number_out_of_range("length for type bit must be at least 1".to_owned()))
        }
        _ => Err(number_out_of_range("length for type bit cannot exceed 83886080".to_owned())),
    }
}

fn numeric_typmod(info: ExactNumberInfo) -> Result<i32, SqlError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(-1),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    if !(1..=1000).contains(&precision) {
        return Err(number_out_of_range(format!(
            "NUMERIC precision {precision} must be between 1 and 1000"
        )));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(number_out_of_range(format!(
            "NUMERIC scale {scale} must be between -1000 and 1000"
        )));
    }
    let (precision, scale) = (precision as i32, scale as i32);
    Ok(((precision << 16) | (scale & 0x7ff)) + 4)
}

/// Precision and scale of a numeric's modifier.
pub(super) fn numeric_precision(typmod: i32) -> Option<(i32, i32)> {
    (typmod >= 4).then(|| {
        let packed = typmod - 4;
        // The scale is eleven bits, signed.
        let scale = ((packed & 0x7ff) ^ 1024) - 1024;
        (packed >> 16, scale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_meet_as_postgresql_says() {
        let cases = [
            (Oid::INT4, Oid::INT8, Some(Oid::INT8)),
            (Oid::INT8, Oid::NUMERIC, Some(Oid::NUMERIC)),
            (Oid::NUMERIC, Oid::FLOAT4, Some(Oid::FLOAT4)),
            (Oid::UNKNOWN, Oid::DATE, Some(Oid::DATE)),
            (Oid::DATE, Oid::TIMESTAMPTZ, Some(Oid::TIMESTAMPTZ)),
            (Oid::INT4, Oid::TEXT, None),
            (Oid::BOOL, Oid::INT4, None),
        ];
        for (left, right, expected) in cases {
            assert_eq!(common(left, right), expected);
            assert_eq!(common(right, left), expected);
        }
        assert_eq!(common(Oid::VARCHAR, Oid::TEXT), Some(Oid::VARCHAR));
        assert_eq!(common(Oid::TEXT, Oid::VARCHAR), Some(Oid::TEXT));
    }

    #[test]
    fn numeric_modifiers_unpack() {
        let typmod = numeric_typmod(ExactNumberInfo::PrecisionAndScale(10, 2)).expect("valid");
        assert_eq!(typmod, 655_366);
        assert_eq!(numeric_precision(typmod), Some((10, 2)));
        assert_eq!(numeric_precision(-1), None);
    }
}
