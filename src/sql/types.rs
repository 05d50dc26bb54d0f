//! PostgreSQL's types as the translator reasons about them: names, families, which
//! type wins where two meet, and what SQLite declares for each.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryLength, CharacterLength, DataType, ExactNumberInfo, ObjectName,
    TimezoneInfo,
};

use super::translate::names;
use crate::pg::{Oid, SqlError, SqlState};

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
    Void,
    Unknown,
    Other,
}

/// (OID, internal name, name in messages, array's OID), in order of OID.
const TYPES: &[(u32, &str, &str, u32)] = &[
    (16, "bool", "boolean", 1000),
    (17, "bytea", "bytea", 1001),
    (18, "char", "\"char\"", 1002),
    (19, "name", "name", 1003),
    (20, "int8", "bigint", 1016),
    (21, "int2", "smallint", 1005),
    (22, "int2vector", "int2vector", 1006),
    (23, "int4", "integer", 1007),
    (24, "regproc", "regproc", 1008),
    (25, "text", "text", 1009),
    (26, "oid", "oid", 1028),
    (27, "tid", "tid", 1010),
    (28, "xid", "xid", 1011),
    (29, "cid", "cid", 1012),
    (30, "oidvector", "oidvector", 1013),
    (114, "json", "json", 199),
    (194, "pg_node_tree", "pg_node_tree", 0),
    (700, "float4", "real", 1021),
    (701, "float8", "double precision", 1022),
    (705, "unknown", "unknown", 0),
    (869, "inet", "inet", 1041),
    (1033, "aclitem", "aclitem", 1034),
    (1042, "bpchar", "character", 1014),
    (1043, "varchar", "character varying", 1015),
    (1082, "date", "date", 1182),
    (1083, "time", "time without time zone", 1183),
    (1114, "timestamp", "timestamp without time zone", 1115),
    (1184, "timestamptz", "timestamp with time zone", 1185),
    (1186, "interval", "interval", 1187),
    (1266, "timetz", "time with time zone", 1270),
    (1700, "numeric", "numeric", 1231),
    (2202, "regprocedure", "regprocedure", 2207),
    (2205, "regclass", "regclass", 2210),
    (2206, "regtype", "regtype", 2211),
    (2249, "record", "record", 2287),
    (2275, "cstring", "cstring", 1263),
    (2277, "anyarray", "anyarray", 0),
    (2278, "void", "void", 0),
    (2950, "uuid", "uuid", 2951),
    (3220, "pg_lsn", "pg_lsn", 3221),
    (3734, "regconfig", "regconfig", 3735),
    (3802, "jsonb", "jsonb", 3807),
    (4089, "regnamespace", "regnamespace", 4090),
    (4096, "regrole", "regrole", 4097),
];

fn entry(oid: Oid) -> Option<&'static (u32, &'static str, &'static str, u32)> {
    TYPES.binary_search_by_key(&oid.0, |entry| entry.0).ok().map(|at| &TYPES[at])
}

/// PostgreSQL's internal name (`int4`), which names of functions are made of.
pub(super) fn internal_name(oid: Oid) -> String {
    match (entry(oid), element_of(oid)) {
        (Some(entry), _) => entry.1.to_owned(),
        (None, Some(element)) => format!("_{}", internal_name(element)),
        (None, None) => format!("type{}", oid.0),
    }
}

/// The name that messages use (`integer`, `text[]`).
pub(super) fn display_name(oid: Oid) -> String {
    match (entry(oid), element_of(oid)) {
        (Some(entry), _) => entry.2.to_owned(),
        (None, Some(element)) => format!("{}[]", display_name(element)),
        (None, None) => format!("type {}", oid.0),
    }
}

/// The element type of an array type.
pub(super) fn element_of(oid: Oid) -> Option<Oid> {
    match oid {
        Oid::INT2VECTOR => return Some(Oid::INT2),
        Oid::OIDVECTOR => return Some(Oid::OID),
        _ => {}
    }
    TYPES.iter().find(|entry| entry.3 == oid.0 && oid.0 != 0).map(|entry| Oid(entry.0))
}

/// The array type over `element`.
pub(super) fn array_of(element: Oid) -> Option<Oid> {
    entry(element).filter(|entry| entry.3 != 0).map(|entry| Oid(entry.3))
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
        _ if element_of(oid).is_some() => Family::Array,
        _ => Family::Other,
    }
}

pub(super) fn is_integer(oid: Oid) -> bool {
    matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8)
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

/// What SQLite declares for a column: the affinity that keeps the type's stored form.
pub(super) fn sqlite_column_type(oid: Oid) -> &'static str {
    match oid {
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID => "INTEGER",
        Oid::BOOL => "BOOLEAN",
        Oid::FLOAT4 | Oid::FLOAT8 => "REAL",
        Oid::BYTEA => "BLOB",
        Oid::NUMERIC => "TEXT COLLATE numeric",
        _ => match family(oid) {
            Family::Reference => "INTEGER",
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
        "citext" => "text",
        // What `"char"` is called inside; a bare `char` is parsed to bpchar before.
        other => other,
    };
    TYPES.iter().find(|entry| entry.1 == alias).map(|entry| Oid(entry.0))
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
        DataType::Interval { .. } => plain(Oid::INTERVAL),
        DataType::Regclass => plain(Oid::REGCLASS),
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
    fn the_table_is_in_order_of_oid() {
        assert!(TYPES.is_sorted_by_key(|entry| entry.0));
    }

    #[test]
    fn types_meet_as_postgresql_says() {
        let cases = [
            (Oid::INT4, Oid::INT8, Some(Oid::INT8)),
            (Oid::INT8, Oid::NUMERIC, Some(Oid::NUMERIC)),
            (Oid::NUMERIC, Oid::FLOAT4, Some(Oid::FLOAT4)),
            (Oid::UNKNOWN, Oid::DATE, Some(Oid::DATE)),
            (Oid::DATE, Oid::TIMESTAMPTZ, Some(Oid::TIMESTAMPTZ)),
            (Oid::VARCHAR, Oid::TEXT, Some(Oid::TEXT)),
            (Oid::INT4, Oid::TEXT, None),
            (Oid::BOOL, Oid::INT4, None),
        ];
        for (left, right, expected) in cases {
            assert_eq!(common(left, right), expected);
            assert_eq!(common(right, left), expected);
        }
    }

    #[test]
    fn numeric_modifiers_unpack() {
        let typmod = numeric_typmod(ExactNumberInfo::PrecisionAndScale(10, 2)).expect("valid");
        assert_eq!(typmod, 655_366);
        assert_eq!(numeric_precision(typmod), Some((10, 2)));
        assert_eq!(numeric_precision(-1), None);
    }
}
