//! The built-in types as `pg_type` of PostgreSQL 15 has them.
use super::Oid;

/// A row of `pg_type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TypeInfo {
    pub oid: Oid,
    /// `typname`: `int4`, `_int4`.
    pub name: &'static str,
    /// As `format_type` spells it without a modifier: `integer`, `integer[]`.
    pub sql_name: &'static str,
    /// Bytes of a value; -1 where they vary, -2 for a C string.
    pub size: i16,
    pub by_value: bool,
    /// `c`, `s`, `i` or `d`.
    pub align: char,
    /// `b` base, `p` pseudo, `r` range.
    pub kind: char,
    pub category: char,
    pub preferred: bool,
    /// What subscripts give; 0 where there are none. Not only of arrays: a
    /// `name` has characters.
    pub element: Oid,
    /// Its array type; 0 if it has none.
    pub array: Oid,
}

impl TypeInfo {
    /// Whether it is an array proper, whose literals are `{…}`.
    pub fn is_array(&self) -> bool {
        // As in PostgreSQL, the name tells: categories of pseudo-types do not.
        self.size == -1 && self.element != Oid::UNSPECIFIED && self.name.starts_with('_')
    }
}

/// Looks a built-in type up.
pub fn type_info(oid: Oid) -> Option<&'static TypeInfo> {
    let at = TYPES.binary_search_by_key(&oid, |info| info.oid).ok()?;
    Some(&TYPES[at])
}

/// The type's name for messages: `integer`; `???` where it is unknown, as in
/// PostgreSQL's `format_type`.
pub fn type_name(oid: Oid) -> &'static str {
    type_info(oid).map_or("???", |info| info.sql_name)
}

/// The type's name with its modifier: `numeric(10,2)`, `character varying(20)[]`.
pub fn type_name_with(oid: Oid, typmod: i32) -> String {
    let Some(info) = type_info(oid) else { return "???".to_owned() };
    if info.is_array() {
        return type_name_with(info.element, typmod) + "[]";
    }
    if typmod < 0 {
        return info.sql_name.to_owned();
    }
    match oid {
        Oid::BPCHAR | Oid::VARCHAR => format!("{}({})", info.sql_name, typmod - 4),
        Oid::NUMERIC => {
            let (precision, scale) = super::numeric::precision_and_scale(typmod);
            format!("numeric({precision},{scale})")
        }
        Oid::TIME => format!("time({typmod}) without time zone"),
        Oid::TIMETZ => format!("time({typmod}) with time zone"),
        Oid::TIMESTAMP => format!("timestamp({typmod}) without time zone"),
        Oid::TIMESTAMPTZ => format!("timestamp({typmod}) with time zone"),
        Oid::INTERVAL => interval_name(typmod),
        Oid::BIT | Oid::VARBIT => format!("{}({typmod})", info.sql_name),
        _ => info.sql_name.to_owned(),
    }
}

/// An interval's modifier is a set of fields above a precision, each all ones when
/// not given.
fn interval_name(typmod: i32) -> String {
    let precision = typmod & 0xffff;
    let fields = match (typmod >> 16) & 0x7fff {
        0x0004 => " year",
        0x0002 => " month",
        0x0008 => " day",
        0x0400 => " hour",
        0x0800 => " minute",
        0x1000 => " second",
        0x0006 => " year to month",
        0x0408 => " day to hour",
        0x0c08 => " day to minute",
        0x1c08 => " day to second",
        0x0c00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    if precision == 0xffff {
        format!("interval{fields}")
    } else {
        format!("interval{fields}({precision})")
    }
}

/// Finds a built-in type by any of its spellings: `pg_type`'s (`int4`, `_int4`),
/// SQL's (`integer`, `character varying`), the usual short ones (`int`, `decimal`),
/// or one of these with `[]` behind. Case and the
/// white space around are ignored; modifiers are not understood.
pub fn type_by_name(name: &str) -> Option<Oid> {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    if let Some(element) = name.strip_suffix("[]") {
        // Dimensions are not part of a type.
        let element = element.trim_end_matches("[]");
        return type_by_name(element).and_then(array_of);
    }
    if let Some((_, oid)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(*oid);
    }
    TYPES.iter().find(|info| info.name == name || info.sql_name == name).map(|info| info.oid)
}

/// The array type of an element type.
pub fn array_of(element: Oid) -> Option<Oid> {
    type_info(element).map(|info| info.array).filter(|array| *array != Oid::UNSPECIFIED)
}

/// The element type of an array type, `int2vector` and `oidvector` included.
pub fn element_of(array: Oid) -> Option<Oid> {
    match array {
        Oid::INT2VECTOR => Some(Oid::INT2),
        Oid::OIDVECTOR => Some(Oid::OID),
        _ => type_info(array).filter(|info| info.is_array()).map(|info| info.element),
    }
}

/// `pg_type.typlen`; -1 (varies) for types that are not built in.
pub fn type_size(oid: Oid) -> i16 {
    type_info(oid).map_or(-1, |info| info.size)
}

/// Spellings that `format_type` never gives.
const ALIASES: &[(&str, Oid)] = &[
    ("bool", Oid::BOOL),
    // The single-byte type is only ever meant by its quoted name.
    ("\"char\"", Oid::CHAR),
    ("char", Oid::BPCHAR),
    ("dec", Oid::NUMERIC),
    ("decimal", Oid::NUMERIC),
    ("float", Oid::FLOAT8),
    ("int", Oid::INT4),
    ("national character", Oid::BPCHAR),
    ("national character varying", Oid::VARCHAR),
    ("nchar", Oid::BPCHAR),
    ("time without time zone", Oid::TIME),
    ("timestamp without time zone", Oid::TIMESTAMP),
];

/// All built-in types that are known here, by OID.
#[rustfmt::skip]
pub const TYPES: &[TypeInfo] = &[
    TypeInfo { oid: Oid(16), name: "bool", sql_name: "boolean", size: 1, by_value: true, align: 'c', kind: 'b', category: 'B', preferred: true, element: Oid(0), array: Oid(1000) },
    TypeInfo { oid: Oid(17), name: "bytea", sql_name: "bytea", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1001) },
    TypeInfo { oid: Oid(18), name: "char", sql_name: "\"char\"", size: 1, by_value: true, align: 'c', kind: 'b', category: 'Z', preferred: false, element: Oid(0), array: Oid(1002) },
    TypeInfo { oid: Oid(19), name: "name", sql_name: "name", size: 64, by_value: false, align: 'c', kind: 'b', category: 'S', preferred: false, element: Oid(18), array: Oid(1003) },
    TypeInfo { oid: Oid(20), name: "int8", sql_name: "bigint", size: 8, by_value: true, align: 'd', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1016) },
    TypeInfo { oid: Oid(21), name: "int2", sql_name: "smallint", size: 2, by_value: true, align: 's', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1005) },
    TypeInfo { oid: Oid(22), name: "int2vector", sql_name: "int2vector", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(21), array: Oid(1006) },
    TypeInfo { oid: Oid(23), name: "int4", sql_name: "integer", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1007) },
    TypeInfo { oid: Oid(24), name: "regproc", sql_name: "regproc", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1008) },
    TypeInfo { oid: Oid(25), name: "text", sql_name: "text", size: -1, by_value: false, align: 'i', kind: 'b', category: 'S', preferred: true, element: Oid(0), array: Oid(1009) },
    TypeInfo { oid: Oid(26), name: "oid", sql_name: "oid", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: true, element: Oid(0), array: Oid(1028) },
    TypeInfo { oid: Oid(27), name: "tid", sql_name: "tid", size: 6, by_value: false, align: 's', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1010) },
    TypeInfo { oid: Oid(28), name: "xid", sql_name: "xid", size: 4, by_value: true, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1011) },
    TypeInfo { oid: Oid(29), name: "cid", sql_name: "cid", size: 4, by_value: true, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1012) },
    TypeInfo { oid: Oid(30), name: "oidvector", sql_name: "oidvector", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(26), array: Oid(1013) },
    TypeInfo { oid: Oid(114), name: "json", sql_name: "json", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(199) },
    TypeInfo { oid: Oid(142), name: "xml", sql_name: "xml", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(143) },
    TypeInfo { oid: Oid(143), name: "_xml", sql_name: "xml[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(142), array: Oid(0) },
    TypeInfo { oid: Oid(194), name: "pg_node_tree", sql_name: "pg_node_tree", size: -1, by_value: false, align: 'i', kind: 'b', category: 'Z', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(199), name: "_json", sql_name: "json[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(114), array: Oid(0) },
    TypeInfo { oid: Oid(271), name: "_xid8", sql_name: "xid8[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(5069), array: Oid(0) },
    TypeInfo { oid: Oid(600), name: "point", sql_name: "point", size: 16, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(701), array: Oid(1017) },
    TypeInfo { oid: Oid(601), name: "lseg", sql_name: "lseg", size: 32, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(600), array: Oid(1018) },
    TypeInfo { oid: Oid(602), name: "path", sql_name: "path", size: -1, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(0), array: Oid(1019) },
    TypeInfo { oid: Oid(603), name: "box", sql_name: "box", size: 32, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(600), array: Oid(1020) },
    TypeInfo { oid: Oid(604), name: "polygon", sql_name: "polygon", size: -1, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(0), array: Oid(1027) },
    TypeInfo { oid: Oid(628), name: "line", sql_name: "line", size: 24, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(701), array: Oid(629) },
    TypeInfo { oid: Oid(629), name: "_line", sql_name: "line[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(628), array: Oid(0) },
    TypeInfo { oid: Oid(650), name: "cidr", sql_name: "cidr", size: -1, by_value: false, align: 'i', kind: 'b', category: 'I', preferred: false, element: Oid(0), array: Oid(651) },
    TypeInfo { oid: Oid(651), name: "_cidr", sql_name: "cidr[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(650), array: Oid(0) },
    TypeInfo { oid: Oid(700), name: "float4", sql_name: "real", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1021) },
    TypeInfo { oid: Oid(701), name: "float8", sql_name: "double precision", size: 8, by_value: true, align: 'd', kind: 'b', category: 'N', preferred: true, element: Oid(0), array: Oid(1022) },
    TypeInfo { oid: Oid(705), name: "unknown", sql_name: "unknown", size: -2, by_value: false, align: 'c', kind: 'p', category: 'X', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(718), name: "circle", sql_name: "circle", size: 24, by_value: false, align: 'd', kind: 'b', category: 'G', preferred: false, element: Oid(0), array: Oid(719) },
    TypeInfo { oid: Oid(719), name: "_circle", sql_name: "circle[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(718), array: Oid(0) },
    TypeInfo { oid: Oid(774), name: "macaddr8", sql_name: "macaddr8", size: 8, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(775) },
    TypeInfo { oid: Oid(775), name: "_macaddr8", sql_name: "macaddr8[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(774), array: Oid(0) },
    TypeInfo { oid: Oid(790), name: "money", sql_name: "money", size: 8, by_value: true, align: 'd', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(791) },
    TypeInfo { oid: Oid(791), name: "_money", sql_name: "money[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(790), array: Oid(0) },
    TypeInfo { oid: Oid(829), name: "macaddr", sql_name: "macaddr", size: 6, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1040) },
    TypeInfo { oid: Oid(869), name: "inet", sql_name: "inet", size: -1, by_value: false, align: 'i', kind: 'b', category: 'I', preferred: true, element: Oid(0), array: Oid(1041) },
    TypeInfo { oid: Oid(1000), name: "_bool", sql_name: "boolean[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(16), array: Oid(0) },
    TypeInfo { oid: Oid(1001), name: "_bytea", sql_name: "bytea[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(17), array: Oid(0) },
    TypeInfo { oid: Oid(1002), name: "_char", sql_name: "\"char\"[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(18), array: Oid(0) },
    TypeInfo { oid: Oid(1003), name: "_name", sql_name: "name[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(19), array: Oid(0) },
    TypeInfo { oid: Oid(1005), name: "_int2", sql_name: "smallint[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(21), array: Oid(0) },
    TypeInfo { oid: Oid(1006), name: "_int2vector", sql_name: "int2vector[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(22), array: Oid(0) },
    TypeInfo { oid: Oid(1007), name: "_int4", sql_name: "integer[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(23), array: Oid(0) },
    TypeInfo { oid: Oid(1008), name: "_regproc", sql_name: "regproc[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(24), array: Oid(0) },
    TypeInfo { oid: Oid(1009), name: "_text", sql_name: "text[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(25), array: Oid(0) },
    TypeInfo { oid: Oid(1010), name: "_tid", sql_name: "tid[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(27), array: Oid(0) },
    TypeInfo { oid: Oid(1011), name: "_xid", sql_name: "xid[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(28), array: Oid(0) },
    TypeInfo { oid: Oid(1012), name: "_cid", sql_name: "cid[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(29), array: Oid(0) },
    TypeInfo { oid: Oid(1013), name: "_oidvector", sql_name: "oidvector[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(30), array: Oid(0) },
    TypeInfo { oid: Oid(1014), name: "_bpchar", sql_name: "character[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1042), array: Oid(0) },
    TypeInfo { oid: Oid(1015), name: "_varchar", sql_name: "character varying[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1043), array: Oid(0) },
    TypeInfo { oid: Oid(1016), name: "_int8", sql_name: "bigint[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(20), array: Oid(0) },
    TypeInfo { oid: Oid(1017), name: "_point", sql_name: "point[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(600), array: Oid(0) },
    TypeInfo { oid: Oid(1018), name: "_lseg", sql_name: "lseg[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(601), array: Oid(0) },
    TypeInfo { oid: Oid(1019), name: "_path", sql_name: "path[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(602), array: Oid(0) },
    TypeInfo { oid: Oid(1020), name: "_box", sql_name: "box[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(603), array: Oid(0) },
    TypeInfo { oid: Oid(1021), name: "_float4", sql_name: "real[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(700), array: Oid(0) },
    TypeInfo { oid: Oid(1022), name: "_float8", sql_name: "double precision[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(701), array: Oid(0) },
    TypeInfo { oid: Oid(1027), name: "_polygon", sql_name: "polygon[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(604), array: Oid(0) },
    TypeInfo { oid: Oid(1028), name: "_oid", sql_name: "oid[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(26), array: Oid(0) },
    TypeInfo { oid: Oid(1033), name: "aclitem", sql_name: "aclitem", size: 12, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(1034) },
    TypeInfo { oid: Oid(1034), name: "_aclitem", sql_name: "aclitem[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1033), array: Oid(0) },
    TypeInfo { oid: Oid(1040), name: "_macaddr", sql_name: "macaddr[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(829), array: Oid(0) },
    TypeInfo { oid: Oid(1041), name: "_inet", sql_name: "inet[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(869), array: Oid(0) },
    TypeInfo { oid: Oid(1042), name: "bpchar", sql_name: "character", size: -1, by_value: false, align: 'i', kind: 'b', category: 'S', preferred: false, element: Oid(0), array: Oid(1014) },
    TypeInfo { oid: Oid(1043), name: "varchar", sql_name: "character varying", size: -1, by_value: false, align: 'i', kind: 'b', category: 'S', preferred: false, element: Oid(0), array: Oid(1015) },
    TypeInfo { oid: Oid(1082), name: "date", sql_name: "date", size: 4, by_value: true, align: 'i', kind: 'b', category: 'D', preferred: false, element: Oid(0), array: Oid(1182) },
    TypeInfo { oid: Oid(1083), name: "time", sql_name: "time without time zone", size: 8, by_value: true, align: 'd', kind: 'b', category: 'D', preferred: false, element: Oid(0), array: Oid(1183) },
    TypeInfo { oid: Oid(1114), name: "timestamp", sql_name: "timestamp without time zone", size: 8, by_value: true, align: 'd', kind: 'b', category: 'D', preferred: false, element: Oid(0), array: Oid(1115) },
    TypeInfo { oid: Oid(1115), name: "_timestamp", sql_name: "timestamp without time zone[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(1114), array: Oid(0) },
    TypeInfo { oid: Oid(1182), name: "_date", sql_name: "date[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1082), array: Oid(0) },
    TypeInfo { oid: Oid(1183), name: "_time", sql_name: "time without time zone[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(1083), array: Oid(0) },
    TypeInfo { oid: Oid(1184), name: "timestamptz", sql_name: "timestamp with time zone", size: 8, by_value: true, align: 'd', kind: 'b', category: 'D', preferred: true, element: Oid(0), array: Oid(1185) },
    TypeInfo { oid: Oid(1185), name: "_timestamptz", sql_name: "timestamp with time zone[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(1184), array: Oid(0) },
    TypeInfo { oid: Oid(1186), name: "interval", sql_name: "interval", size: 16, by_value: false, align: 'd', kind: 'b', category: 'T', preferred: true, element: Oid(0), array: Oid(1187) },
    TypeInfo { oid: Oid(1187), name: "_interval", sql_name: "interval[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(1186), array: Oid(0) },
    TypeInfo { oid: Oid(1231), name: "_numeric", sql_name: "numeric[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1700), array: Oid(0) },
    TypeInfo { oid: Oid(1263), name: "_cstring", sql_name: "cstring[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2275), array: Oid(0) },
    TypeInfo { oid: Oid(1266), name: "timetz", sql_name: "time with time zone", size: 12, by_value: false, align: 'd', kind: 'b', category: 'D', preferred: false, element: Oid(0), array: Oid(1270) },
    TypeInfo { oid: Oid(1270), name: "_timetz", sql_name: "time with time zone[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(1266), array: Oid(0) },
    TypeInfo { oid: Oid(1560), name: "bit", sql_name: "bit", size: -1, by_value: false, align: 'i', kind: 'b', category: 'V', preferred: false, element: Oid(0), array: Oid(1561) },
    TypeInfo { oid: Oid(1561), name: "_bit", sql_name: "bit[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1560), array: Oid(0) },
    TypeInfo { oid: Oid(1562), name: "varbit", sql_name: "bit varying", size: -1, by_value: false, align: 'i', kind: 'b', category: 'V', preferred: true, element: Oid(0), array: Oid(1563) },
    TypeInfo { oid: Oid(1563), name: "_varbit", sql_name: "bit varying[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1562), array: Oid(0) },
    TypeInfo { oid: Oid(1700), name: "numeric", sql_name: "numeric", size: -1, by_value: false, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(1231) },
    TypeInfo { oid: Oid(1790), name: "refcursor", sql_name: "refcursor", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(2201) },
    TypeInfo { oid: Oid(2201), name: "_refcursor", sql_name: "refcursor[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(1790), array: Oid(0) },
    TypeInfo { oid: Oid(2202), name: "regprocedure", sql_name: "regprocedure", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(2207) },
    TypeInfo { oid: Oid(2203), name: "regoper", sql_name: "regoper", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(2208) },
    TypeInfo { oid: Oid(2204), name: "regoperator", sql_name: "regoperator", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(2209) },
    TypeInfo { oid: Oid(2205), name: "regclass", sql_name: "regclass", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(2210) },
    TypeInfo { oid: Oid(2206), name: "regtype", sql_name: "regtype", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(2211) },
    TypeInfo { oid: Oid(2207), name: "_regprocedure", sql_name: "regprocedure[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2202), array: Oid(0) },
    TypeInfo { oid: Oid(2208), name: "_regoper", sql_name: "regoper[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2203), array: Oid(0) },
    TypeInfo { oid: Oid(2209), name: "_regoperator", sql_name: "regoperator[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2204), array: Oid(0) },
    TypeInfo { oid: Oid(2210), name: "_regclass", sql_name: "regclass[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2205), array: Oid(0) },
    TypeInfo { oid: Oid(2211), name: "_regtype", sql_name: "regtype[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2206), array: Oid(0) },
    TypeInfo { oid: Oid(2249), name: "record", sql_name: "record", size: -1, by_value: false, align: 'd', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(2287) },
    TypeInfo { oid: Oid(2275), name: "cstring", sql_name: "cstring", size: -2, by_value: false, align: 'c', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(1263) },
    TypeInfo { oid: Oid(2276), name: "any", sql_name: "\"any\"", size: 4, by_value: true, align: 'i', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2277), name: "anyarray", sql_name: "anyarray", size: -1, by_value: false, align: 'd', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2278), name: "void", sql_name: "void", size: 4, by_value: true, align: 'i', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2279), name: "trigger", sql_name: "trigger", size: 4, by_value: true, align: 'i', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2281), name: "internal", sql_name: "internal", size: 8, by_value: true, align: 'd', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2283), name: "anyelement", sql_name: "anyelement", size: 4, by_value: true, align: 'i', kind: 'p', category: 'P', preferred: false, element: Oid(0), array: Oid(0) },
    TypeInfo { oid: Oid(2287), name: "_record", sql_name: "record[]", size: -1, by_value: false, align: 'd', kind: 'p', category: 'P', preferred: false, element: Oid(2249), array: Oid(0) },
    TypeInfo { oid: Oid(2950), name: "uuid", sql_name: "uuid", size: 16, by_value: false, align: 'c', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(2951) },
    TypeInfo { oid: Oid(2951), name: "_uuid", sql_name: "uuid[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(2950), array: Oid(0) },
    TypeInfo { oid: Oid(3220), name: "pg_lsn", sql_name: "pg_lsn", size: 8, by_value: true, align: 'd', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(3221) },
    TypeInfo { oid: Oid(3221), name: "_pg_lsn", sql_name: "pg_lsn[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(3220), array: Oid(0) },
    TypeInfo { oid: Oid(3734), name: "regconfig", sql_name: "regconfig", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(3735) },
    TypeInfo { oid: Oid(3735), name: "_regconfig", sql_name: "regconfig[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3734), array: Oid(0) },
    TypeInfo { oid: Oid(3769), name: "regdictionary", sql_name: "regdictionary", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(3770) },
    TypeInfo { oid: Oid(3770), name: "_regdictionary", sql_name: "regdictionary[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3769), array: Oid(0) },
    TypeInfo { oid: Oid(3802), name: "jsonb", sql_name: "jsonb", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(3807) },
    TypeInfo { oid: Oid(3807), name: "_jsonb", sql_name: "jsonb[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3802), array: Oid(0) },
    TypeInfo { oid: Oid(3904), name: "int4range", sql_name: "int4range", size: -1, by_value: false, align: 'i', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3905) },
    TypeInfo { oid: Oid(3905), name: "_int4range", sql_name: "int4range[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3904), array: Oid(0) },
    TypeInfo { oid: Oid(3906), name: "numrange", sql_name: "numrange", size: -1, by_value: false, align: 'i', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3907) },
    TypeInfo { oid: Oid(3907), name: "_numrange", sql_name: "numrange[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3906), array: Oid(0) },
    TypeInfo { oid: Oid(3908), name: "tsrange", sql_name: "tsrange", size: -1, by_value: false, align: 'd', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3909) },
    TypeInfo { oid: Oid(3909), name: "_tsrange", sql_name: "tsrange[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(3908), array: Oid(0) },
    TypeInfo { oid: Oid(3910), name: "tstzrange", sql_name: "tstzrange", size: -1, by_value: false, align: 'd', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3911) },
    TypeInfo { oid: Oid(3911), name: "_tstzrange", sql_name: "tstzrange[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(3910), array: Oid(0) },
    TypeInfo { oid: Oid(3912), name: "daterange", sql_name: "daterange", size: -1, by_value: false, align: 'i', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3913) },
    TypeInfo { oid: Oid(3913), name: "_daterange", sql_name: "daterange[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(3912), array: Oid(0) },
    TypeInfo { oid: Oid(3926), name: "int8range", sql_name: "int8range", size: -1, by_value: false, align: 'd', kind: 'r', category: 'R', preferred: false, element: Oid(0), array: Oid(3927) },
    TypeInfo { oid: Oid(3927), name: "_int8range", sql_name: "int8range[]", size: -1, by_value: false, align: 'd', kind: 'b', category: 'A', preferred: false, element: Oid(3926), array: Oid(0) },
    TypeInfo { oid: Oid(4072), name: "jsonpath", sql_name: "jsonpath", size: -1, by_value: false, align: 'i', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(4073) },
    TypeInfo { oid: Oid(4073), name: "_jsonpath", sql_name: "jsonpath[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(4072), array: Oid(0) },
    TypeInfo { oid: Oid(4089), name: "regnamespace", sql_name: "regnamespace", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(4090) },
    TypeInfo { oid: Oid(4090), name: "_regnamespace", sql_name: "regnamespace[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(4089), array: Oid(0) },
    TypeInfo { oid: Oid(4096), name: "regrole", sql_name: "regrole", size: 4, by_value: true, align: 'i', kind: 'b', category: 'N', preferred: false, element: Oid(0), array: Oid(4097) },
    TypeInfo { oid: Oid(4097), name: "_regrole", sql_name: "regrole[]", size: -1, by_value: false, align: 'i', kind: 'b', category: 'A', preferred: false, element: Oid(4096), array: Oid(0) },
    TypeInfo { oid: Oid(5069), name: "xid8", sql_name: "xid8", size: 8, by_value: true, align: 'd', kind: 'b', category: 'U', preferred: false, element: Oid(0), array: Oid(271) },
];
