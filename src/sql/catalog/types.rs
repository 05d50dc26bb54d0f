//! PostgreSQL's built-in types: their rows in `pg_type`, and how their names are
//! written and read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::pg::Oid;

/// A built-in type, as `pg_type` tells of it.
#[derive(Clone, Debug)]
pub struct BuiltinType {
    pub oid: Oid,
    pub name: &'static str,
    /// Bytes, or -1 for a type of varying length, -2 for a C string.
    pub length: i64,
    pub by_value: bool,
    /// `b` base, `p` pseudo, `r` range, `m` multirange.
    pub kind: &'static str,
    pub category: &'static str,
    pub preferred: bool,
    pub delimiter: &'static str,
    /// Element type of an array or vector, else 0.
    pub element: Oid,
    /// The type of arrays of it, or 0.
    pub array: Oid,
    pub input: &'static str,
    pub output: &'static str,
    pub receive: &'static str,
    pub send: &'static str,
    pub modifier_input: &'static str,
    pub modifier_output: &'static str,
    pub subscript: &'static str,
    pub align: &'static str,
    pub storage: &'static str,
    /// 100 (`default`) or 950 (`C`) for a collatable type, else 0.
    pub collation: i64,
}

impl BuiltinType {
    /// Whether it is an array; the vectors of the catalogs, stored in line, are not.
    pub fn is_array(&self) -> bool {
        self.category == "A" && self.element != Oid(0) && self.storage != "p"
    }
}

struct Types {
    all: Vec<BuiltinType>,
    by_oid: BTreeMap<Oid, usize>,
    by_name: BTreeMap<&'static str, usize>,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let all: Vec<_> = data_lines(include_str!("data/types.txt")).map(parse).collect();
    let by_oid = all.iter().enumerate().map(|(at, kind)| (kind.oid, at)).collect();
    let by_name = all.iter().enumerate().map(|(at, kind)| (kind.name, at)).collect();
    Types { all, by_oid, by_name }
});

/// The lines of a built-in table that are neither empty nor a comment.
pub(super) fn data_lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn parse(line: &'static str) -> BuiltinType {
    let fields: Vec<_> = line.split('\t').collect();
    let number = |at: usize| fields[at].parse::<i64>().expect("built-in table holds a number");
    let oid = |at: usize| Oid(fields[at].parse().expect("built-in table holds an OID"));
    BuiltinType {
        oid: oid(0),
        name: fields[1],
        length: number(2),
        by_value: fields[3] == "t",
        kind: fields[4],
        category: fields[5],
        preferred: fields[6] == "t",
        delimiter: fields[7],
        element: oid(8),
        array: oid(9),
        input: fields[10],
        output: fields[11],
        receive: fields[12],
        send: fields[13],
        modifier_input: fields[14],
        modifier_output: fields[15],
        subscript: fields[16],
        align: fields[17],
        storage: fields[18],
        collation: number(19),
    }
}

/// Every built-in type, by OID.
pub fn builtin_types() -> &'static [BuiltinType] {
    &TYPES.all
}

/// The built-in type of this OID.
pub fn builtin_type(oid: Oid) -> Option<&'static BuiltinType> {
    TYPES.by_oid.get(&oid).map(|at| &TYPES.all[*at])
}

/// The built-in type of this catalog name (`int4`, `_text`).
pub fn builtin_type_named(name: &str) -> Option<&'static BuiltinType> {
    TYPES.by_name.get(name).map(|at| &TYPES.all[*at])
}

/// Names that SQL gives to types, besides their names in the catalog.
#[rustfmt::skip]
const SPELLINGS: &[(&str, Oid)] = &[
    ("bigint", Oid::INT8), ("bit varying", Oid(1562)), ("boolean", Oid::BOOL),
    ("character", Oid::BPCHAR), ("character varying", Oid::VARCHAR), ("dec", Oid::NUMERIC),
    ("decimal", Oid::NUMERIC), ("double precision", Oid::FLOAT8), ("float", Oid::FLOAT8),
    ("int", Oid::INT4), ("integer", Oid::INT4), ("bigserial", Oid::INT8),
    ("national character", Oid::BPCHAR), ("nchar", Oid::BPCHAR), ("real", Oid::FLOAT4),
    ("serial", Oid::INT4), ("serial4", Oid::INT4), ("serial8", Oid::INT8),
    ("smallint", Oid::INT2), ("smallserial", Oid::INT2),
    ("time without time zone", Oid::TIME), ("time with time zone", Oid::TIMETZ),
    ("timestamp without time zone", Oid::TIMESTAMP),
    ("timestamp with time zone", Oid::TIMESTAMPTZ), ("string", Oid::TEXT),
];

/// Reads a type as SQL writes it, in any case, with or without `pg_catalog.`,
/// modifier and `[]`: the type and its modifier (-1 for none).
pub fn parse_type(written: &str) -> Option<(Oid, i32)> {
    let lower = written.trim().to_lowercase();
    let mut text = lower.strip_prefix("pg_catalog.").unwrap_or(&lower).trim();
    let mut is_array = false;
    while let Some(rest) = text.strip_suffix(']') {
        let digits = rest.trim_end_matches(|char: char| char.is_ascii_digit());
        text = digits.strip_suffix('[')?.trim_end();
        is_array = true;
    }
    // The modifier stands behind the name or, in `timestamp(3) with time zone`,
    // within it.
    let (name, modifier) = match text.split_once('(') {
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(')')?;
            (format!("{} {}", before.trim(), after.trim()).trim().to_owned(), Some(inside))
        }
        None => (text.split_whitespace().collect::<Vec<_>>().join(" "), None),
    };
    let quoted_char = name == "\"char\"";
    let bare = name.trim_matches('"');
    // `char` alone is the SQL type, `"char"` the catalogs' one-byte type.
    let mut oid = if bare == "char" && !quoted_char {
        Oid::BPCHAR
    } else {
        SPELLINGS
            .iter()
            .find(|(spelling, _)| *spelling == bare)
            .map(|(_, oid)| *oid)
            .or_else(|| builtin_type_named(bare).map(|kind| kind.oid))?
    };
    let mut typmod = match modifier {
        Some(inside) => parse_modifier(oid, inside)?,
        None if matches!(bare, "char" | "character" | "nchar") && !quoted_char => 5,
        None => -1,
    };
    if bare == "float" && modifier.is_some() {
        typmod = -1;
        if modifier?.trim().parse::<u32>().ok()? <= 24 {
            oid = Oid::FLOAT4;
        }
    }
    if is_array {
        oid = builtin_type(oid).map(|kind| kind.array).filter(|oid| *oid != Oid(0))?;
    }
    Some((oid, typmod))
}

fn parse_modifier(oid: Oid, inside: &str) -> Option<i32> {
    let mut numbers = inside.split(',').map(|number| number.trim().parse::<i32>());
    let first = numbers.next()?.ok()?;
    Some(match oid {
        Oid::BPCHAR | Oid::VARCHAR => first.checked_add(4)?,
        Oid::NUMERIC => {
            let scale = numbers.next().unwrap_or(Ok(0)).ok()?;
            (first.checked_shl(16)? | (scale & 0x7ff)).checked_add(4)?
        }
        _ => first,
    })
}

/// A type's name as SQL writes it: `format_type(oid, typmod)`. `typmod` is `None`
/// where the caller gave NULL.
pub fn format_type(oid: Oid, typmod: Option<i32>) -> String {
    if oid == Oid(0) {
        return "-".to_owned();
    }
    let Some(kind) = builtin_type(oid) else { return "???".to_owned() };
    if kind.is_array() {
        return format!("{}[]", format_type(kind.element, typmod));
    }
    let modifier = typmod.filter(|typmod| *typmod >= 0);
    let with = |name: &str, number: i32| format!("{name}({number})");
    match oid {
        Oid::BOOL => "boolean".to_owned(),
        Oid::CHAR => "\"char\"".to_owned(),
        Oid::INT8 => "bigint".to_owned(),
        Oid::INT2 => "smallint".to_owned(),
        Oid::INT4 => "integer".to_owned(),
        Oid::FLOAT4 => "real".to_owned(),
        Oid::FLOAT8 => "double precision".to_owned(),
        // Without a modifier `character` would mean `character(1)`.
        Oid::BPCHAR => match (modifier, typmod) {
            (Some(modifier), _) => with("character", modifier - 4),
            (None, Some(_)) => "bpchar".to_owned(),
            (None, None) => "character".to_owned(),
        },
        Oid::VARCHAR => modifier.map_or_else(
            || "character varying".to_owned(),
            |modifier| with("character varying", modifier - 4),
        ),
        Oid::NUMERIC => modifier.map_or_else(
            || "numeric".to_owned(),
            |modifier| {
                let bits = modifier - 4;
                let scale = ((bits & 0x7ff) ^ 1024) - 1024;
                format!("numeric({},{scale})", (bits >> 16) & 0xffff)
            },
        ),
        Oid::TIME => precise("time", modifier, " without time zone"),
        Oid::TIMETZ => precise("time", modifier, " with time zone"),
        Oid::TIMESTAMP => precise("timestamp", modifier, " without time zone"),
        Oid::TIMESTAMPTZ => precise("timestamp", modifier, " with time zone"),
        Oid::INTERVAL => {
            let fields = modifier.map_or("", |bits| interval_fields(bits >> 16 & 0x7fff));
            let precision = modifier.map(|bits| bits & 0xffff).filter(|bits| *bits != 0xffff);
            precise(&format!("interval{fields}"), precision, "")
        }
        Oid(1560) => modifier.map_or_else(|| "bit".to_owned(), |modifier| with("bit", modifier)),
        Oid(1562) => modifier
            .map_or_else(|| "bit varying".to_owned(), |modifier| with("bit varying", modifier)),
        _ => kind.name.to_owned(),
    }
}

fn precise(name: &str, digits: Option<i32>, behind: &str) -> String {
    let mut text = name.to_owned();
    // 0xffff stands for full precision in an interval's modifier.
    if let Some(digits) = digits.filter(|digits| *digits <= 6) {
        let _ = write!(text, "({digits})");
    }
    text.push_str(behind);
    text
}

/// What PostgreSQL type a column declared in SQLite's dialect is served as, by
/// SQLite's own affinity rules after the names that PostgreSQL knows.
pub fn type_of_declaration(declared: &str) -> (Oid, i32) {
    if let Some(known) = parse_type(declared) {
        return match known {
            // SQLite's INTEGER holds 64 bits.
            (Oid::INT4, typmod) if !declared.to_lowercase().contains("int4") => (Oid::INT8, typmod),
            // And its REAL is of double precision.
            (Oid::FLOAT4, typmod) if !declared.to_lowercase().contains("float4") => {
                (Oid::FLOAT8, typmod)
            }
            known => known,
        };
    }
    let lower = declared.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let oid = if has("int") {
        Oid::INT8
    } else if has("char") || has("clob") || has("text") {
        Oid::TEXT
    } else if has("blob") {
        Oid::BYTEA
    } else if has("real") || has("floa") || has("doub") {
        Oid::FLOAT8
    } else if has("bool") {
        Oid::BOOL
    } else if has("datetime") {
        Oid::TIMESTAMP
    } else {
        Oid::TEXT
    };
    (oid, -1)
}

/// The fields of an interval's type, by their bits in its modifier.
fn interval_fields(bits: i32) -> &'static str {
    match bits {
        0x4 => " year",
        0x2 => " month",
        0x8 => " day",
        0x400 => " hour",
        0x800 => " minute",
        0x1000 => " second",
        0x6 => " year to month",
        0x408 => " day to hour",
        0xc08 => " day to minute",
        0x1c08 => " day to second",
        0xc00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_as_postgresql_does() {
        // Answers of PostgreSQL 15's format_type.
        let cases = [
            (16, Some(-1), "boolean"),
            (18, Some(-1), "\"char\""),
            (19, None, "name"),
            (20, None, "bigint"),
            (1042, Some(7), "character(3)"),
            (1042, Some(-1), "bpchar"),
            (1042, None, "character"),
            (1043, Some(14), "character varying(10)"),
            (1015, Some(14), "character varying(10)[]"),
            (1700, Some(786_438), "numeric(12,2)"),
            (1231, None, "numeric[]"),
            (1114, Some(3), "timestamp(3) without time zone"),
            (1184, Some(-1), "timestamp with time zone"),
            (22, None, "int2vector"),
            (30, None, "oidvector"),
            (2205, None, "regclass"),
            (3807, None, "jsonb[]"),
            (0, None, "-"),
            (4_000_000, None, "???"),
        ];
        for (oid, typmod, expected) in cases {
            assert_eq!(format_type(Oid(oid), typmod), expected);
        }
    }

    #[test]
    fn reads_types_as_sql_writes_them() {
        let cases = [
            ("int", Some((23, -1))),
            ("pg_catalog.int4", Some((23, -1))),
            ("INTEGER[]", Some((1007, -1))),
            ("character varying(10)", Some((1043, 14))),
            ("varchar ( 10 ) []", Some((1015, 14))),
            ("char", Some((1042, 5))),
            ("\"char\"", Some((18, -1))),
            ("numeric(12,2)", Some((1700, 786_438))),
            ("timestamp(3) with time zone", Some((1184, 3))),
            ("double   precision", Some((701, -1))),
            ("float(20)", Some((700, -1))),
            ("text[][]", Some((1009, -1))),
            ("nonsense", None),
            ("int(", None),
            ("]", None),
        ];
        for (written, expected) in cases {
            let expected = expected.map(|(oid, typmod)| (Oid(oid), typmod));
            assert_eq!(parse_type(written), expected, "{written}");
        }
    }

    #[test]
    fn finds_a_type_for_sqlites_declarations() {
        assert_eq!(type_of_declaration("INTEGER"), (Oid::INT8, -1));
        assert_eq!(type_of_declaration("VARCHAR(5)"), (Oid::VARCHAR, 9));
        assert_eq!(type_of_declaration("UNSIGNED BIG INT"), (Oid::INT8, -1));
        assert_eq!(type_of_declaration("BLOB"), (Oid::BYTEA, -1));
        assert_eq!(type_of_declaration("REAL"), (Oid::FLOAT8, -1));
        assert_eq!(type_of_declaration("float4"), (Oid::FLOAT4, -1));
        assert_eq!(type_of_declaration("DATETIME"), (Oid::TIMESTAMP, -1));
        assert_eq!(type_of_declaration(""), (Oid::TEXT, -1));
    }
}
