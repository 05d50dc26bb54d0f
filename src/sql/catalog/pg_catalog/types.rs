//! Rows of `pg_type`, `pg_range` and `pg_enum`.

use super::{OWNER, PG_CATALOG};
use crate::pg::Oid;
use crate::sql::catalog::rows::{Rows, row};
use crate::sql::catalog::types::{builtin_type, builtin_types};
use crate::sql::catalog::{Catalog, ObjectKind, UserTypeKind};

pub(super) fn add_ranges(rows: &mut Rows) {
    let ranges = [
        (3904_i64, 23_i64, 4451_i64, 1978_i64, "int4range_canonical", "int4range_subdiff"),
        (3906, 1700, 4532, 3125, "-", "numrange_subdiff"),
        (3908, 1114, 4533, 3128, "-", "tsrange_subdiff"),
        (3910, 1184, 4534, 3127, "-", "tstzrange_subdiff"),
        (3912, 1082, 4535, 3122, "daterange_canonical", "daterange_subdiff"),
        (3926, 20, 4536, 3124, "int8range_canonical", "int8range_subdiff"),
    ];
    for (kind, of, multi, class, canonical, difference) in ranges {
        row!(rows,
            "rngtypid" => kind,
            "rngsubtype" => of,
            "rngmultitypid" => multi,
            "rngsubopc" => class,
            "rngcanonical" => canonical,
            "rngsubdiff" => difference,
        );
    }
}

pub(super) fn add_types(rows: &mut Rows) {
    for kind in builtin_types() {
        row!(rows,
            "oid" => kind.oid,
            "typname" => kind.name,
            "typnamespace" => PG_CATALOG,
            "typowner" => OWNER,
            "typlen" => kind.length,
            "typbyval" => kind.by_value,
            "typtype" => kind.kind,
            "typcategory" => kind.category,
            "typispreferred" => kind.preferred,
            "typisdefined" => true,
            "typdelim" => kind.delimiter,
            "typsubscript" => kind.subscript,
            "typelem" => kind.element,
            "typarray" => kind.array,
            "typinput" => kind.input,
            "typoutput" => kind.output,
            "typreceive" => kind.receive,
            "typsend" => kind.send,
            "typmodin" => kind.modifier_input,
            "typmodout" => kind.modifier_output,
            "typalign" => kind.align,
            "typstorage" => kind.storage,
            "typtypmod" => -1_i64,
            "typcollation" => kind.collation,
        );
    }
}

pub(super) fn add_enum_labels(rows: &mut Rows, catalog: &Catalog) {
    for kind in catalog.types.values() {
        let UserTypeKind::Enum(labels) = &kind.kind else { continue };
        for (number, label) in (1_i32..).zip(labels) {
            row!(rows,
                // No other catalog shares these OIDs; a type's is the same on every node.
                "oid" => (i64::from(kind.oid.0) * 1024 + i64::from(number)) & 0xffff_ffff,
                "enumtypid" => kind.oid,
                "enumsortorder" => f64::from(number),
                "enumlabel" => label,
            );
        }
    }
}

pub(super) fn add_user_types(rows: &mut Rows, catalog: &Catalog) {
    for kind in catalog.types.values() {
        let (schema, name) = (catalog.namespace_of(&kind.name), catalog.bare(&kind.name));
        let domain = match &kind.kind {
            UserTypeKind::Domain { base, typmod, not_null, default, .. } => {
                Some((builtin_type(*base), *base, *typmod, *not_null, default.as_deref()))
            }
            _ => None,
        };
        // Letter, functions, category, length and relation.
        let (letter, functions, category, length, relation) = match &kind.kind {
            UserTypeKind::Enum(_) => ("e", "enum", "E", 4, Oid(0)),
            UserTypeKind::Composite { relation, .. } => ("c", "record", "C", -1, *relation),
            UserTypeKind::Domain { .. } => ("d", "domain", "E", 4, Oid(0)),
        };
        let base = domain.and_then(|(base, ..)| base);
        let is_enum = letter == "e";
        row!(rows,
            "oid" => kind.oid,
            "typname" => name,
            "typnamespace" => schema,
            "typowner" => catalog.owner_of(ObjectKind::Type, kind.oid),
            "typlen" => base.map_or(length, |base| base.length),
            "typbyval" => base.map_or(is_enum, |base| base.by_value),
            "typtype" => letter,
            "typcategory" => base.map_or(category, |base| base.category),
            "typisdefined" => true,
            "typdelim" => ",",
            "typrelid" => relation,
            "typarray" => kind.array,
            "typinput" => format!("{functions}_in"),
            "typoutput" => base.map_or_else(|| format!("{functions}_out"), |b| b.output.to_owned()),
            "typreceive" => format!("{functions}_recv"),
            "typsend" => base.map_or_else(|| format!("{functions}_send"), |b| b.send.to_owned()),
            "typalign" => base.map_or(if is_enum { "i" } else { "d" }, |base| base.align),
            "typstorage" => base.map_or(if is_enum { "p" } else { "x" }, |base| base.storage),
            "typnotnull" => domain.is_some_and(|(_, _, _, not_null, _)| not_null),
            "typbasetype" => domain.map_or(Oid(0), |(_, base, ..)| base),
            "typtypmod" => domain.map_or(-1, |(_, _, typmod, ..)| typmod),
            "typcollation" => base.map_or(0, |base| base.collation),
            "typdefaultbin" => domain.and_then(|(_, _, _, _, default)| default),
            "typdefault" => domain.and_then(|(_, _, _, _, default)| default),
        );
        row!(rows,
            "oid" => kind.array,
            "typname" => format!("_{name}"),
            "typnamespace" => schema,
            "typowner" => catalog.owner_of(ObjectKind::Type, kind.oid),
            "typlen" => -1_i64,
            "typtype" => "b",
            "typcategory" => "A",
            "typisdefined" => true,
            "typdelim" => ",",
            "typsubscript" => "array_subscript_handler",
            "typelem" => kind.oid,
            "typinput" => "array_in",
            "typoutput" => "array_out",
            "typreceive" => "array_recv",
            "typsend" => "array_send",
            "typalign" => "i",
            "typstorage" => "x",
            "typtypmod" => -1_i64,
        );
    }
}
