//! Index access methods and operator classes, as PostgreSQL has them. SQLite has B-trees
//! alone: what a client asked for is kept and shown.

use std::sync::LazyLock;

use super::definition::index_key;
use super::types::{builtin_type, data_lines};
use super::{Catalog, Index, Relation, UserTypeKind};
use crate::pg::Oid;

/// The method of an index that names none.
pub const BTREE: &str = "btree";

/// A row of `pg_am`.
pub struct AccessMethod {
    pub oid: i64,
    pub name: &'static str,
    pub(super) handler: &'static str,
    properties: &'static [&'static str],
}

/// Those of indexes.
pub(super) const METHODS: [AccessMethod; 6] = [
    AccessMethod {
        oid: 403,
        name: BTREE,
        handler: "bthandler",
        properties: &[
            "can_order",
            "can_unique",
            "can_multi_col",
            "can_exclude",
            "can_include",
            "clusterable",
            "index_scan",
            "bitmap_scan",
            "backward_scan",
            "orderable",
            "returnable",
            "search_array",
            "search_nulls",
        ],
    },
    AccessMethod {
        oid: 405,
        name: "hash",
        handler: "hashhandler",
        properties: &["can_exclude", "index_scan", "bitmap_scan", "backward_scan"],
    },
    AccessMethod {
        oid: 783,
        name: "gist",
        handler: "gisthandler",
        properties: &[
            "can_multi_col",
            "can_exclude",
            "can_include",
            "clusterable",
            "index_scan",
            "bitmap_scan",
            "search_nulls",
        ],
    },
    AccessMethod {
        oid: 2742,
        name: "gin",
        handler: "ginhandler",
        properties: &["can_multi_col", "bitmap_scan"],
    },
    AccessMethod {
        oid: 4000,
        name: "spgist",
        handler: "spghandler",
        properties: &["can_exclude", "can_include", "index_scan", "bitmap_scan", "search_nulls"],
    },
    AccessMethod {
        oid: 3580,
        name: "brin",
        handler: "brinhandler",
        properties: &["can_multi_col", "bitmap_scan", "search_nulls"],
    },
];

/// What the functions that tell of properties are asked about.
const OF_METHODS: [&str; 5] =
    ["can_order", "can_unique", "can_multi_col", "can_exclude", "can_include"];
const OF_INDEXES: [&str; 4] = ["clusterable", "index_scan", "bitmap_scan", "backward_scan"];

impl AccessMethod {
    /// The method of indexes of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// The method of indexes of this OID.
    pub fn of(oid: i64) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.oid == oid)
    }

    pub fn has(&self, property: &str) -> bool {
        self.properties.contains(&property)
    }

    /// `pg_indexam_has_property`.
    pub fn has_property(&self, property: &str) -> Option<bool> {
        OF_METHODS.contains(&property).then(|| self.has(property))
    }

    /// `pg_index_has_property`.
    pub fn index_has_property(&self, property: &str) -> Option<bool> {
        OF_INDEXES.contains(&property).then(|| self.has(property))
    }
}

/// A row of `pg_opclass`.
#[derive(Debug)]
pub struct OperatorClass {
    pub oid: i64,
    pub(super) method: i64,
    pub name: &'static str,
    pub(super) family: i64,
    /// The type that it is for.
    pub(super) kind: Oid,
    pub(super) key_kind: i64,
    pub(super) is_default: bool,
}

static CLASSES: LazyLock<Vec<OperatorClass>> = LazyLock::new(|| {
    data_lines(include_str!("data/opclasses.txt"))
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let number =
                |at: usize| fields[at].parse::<i64>().expect("built-in table holds a number");
            OperatorClass {
                oid: number(0),
                method: number(1),
                name: fields[2],
                family: number(3),
                kind: Oid(u32::try_from(number(4)).expect("built-in table holds an OID")),
                key_kind: number(5),
                is_default: fields[6] == "t",
            }
        })
        .collect()
});

pub(super) fn operator_classes() -> &'static [OperatorClass] {
    &CLASSES
}

/// As which types the classes know a type: its own, or one that stands for several.
fn known_as(catalog: &Catalog, oid: Oid) -> Oid {
    let oid = catalog.domain_base(oid).map_or(oid, |(base, _)| base);
    if let Some(kind) = catalog.user_type(oid) {
        return match kind.kind {
            _ if kind.array == oid => Oid(2277),
            UserTypeKind::Enum(_) => Oid(3500),
            _ => Oid(2249),
        };
    }
    match builtin_type(oid) {
        _ if oid == Oid::VARCHAR => Oid::TEXT,
        // cidr is a kind of inet.
        _ if oid == Oid(650) => Oid(869),
        Some(kind) if kind.is_array() => Oid(2277),
        Some(kind) if kind.kind == "r" => Oid(3831),
        _ => oid,
    }
}

impl OperatorClass {
    /// A type's own class for a method.
    pub fn of_type(catalog: &Catalog, method: &AccessMethod, oid: Oid) -> Option<&'static Self> {
        let (method, kind) = (method.oid, known_as(catalog, oid));
        let own = |kind| {
            let fits =
                |class: &&Self| class.method == method && class.kind == kind && class.is_default;
            CLASSES.iter().find(fits)
        };
        own(oid).or_else(|| own(kind))
    }

    /// Those of a name.
    pub fn named(method: &AccessMethod, name: &str) -> Vec<&'static Self> {
        let method = method.oid;
        CLASSES.iter().filter(|class| class.method == method && class.name == name).collect()
    }

    /// Whether it is for values of the type.
    pub fn takes(&self, catalog: &Catalog, oid: Oid) -> bool {
        self.kind == oid || self.kind == known_as(catalog, oid)
    }

    /// Whether its indexes give rows by distance.
    fn measures(&self) -> bool {
        const MEASURING: [&str; 8] = [
            "point_ops",
            "box_ops",
            "circle_ops",
            "poly_ops",
            "quad_point_ops",
            "kd_point_ops",
            "quad_poly_ops",
            "network_distance_ops",
        ];
        matches!(self.method, 783 | 4000) && MEASURING.contains(&self.name)
    }
}

/// `pg_index_column_has_property`, of a column by its place from 0.
pub fn index_column_property(
    catalog: &Catalog,
    relation: &Relation,
    index: &Index,
    at: usize,
    property: &str,
) -> Option<bool> {
    let method = AccessMethod::named(&index.method)?;
    let Some(written) = index.columns.get(at) else {
        index.included.get(at - index.columns.len())?;
        return match property {
            "orderable" => Some(false),
            "distance_orderable" if method.name == BTREE => Some(false),
            "returnable" if method.name == BTREE => Some(true),
            _ => None,
        };
    };
    let key = index_key(relation, written);
    let class = || {
        let oid = catalog.key_type(relation, written)?;
        match index.class(at) {
            Some(name) => OperatorClass::named(method, name).into_iter().next(),
            None => OperatorClass::of_type(catalog, method, oid),
        }
    };
    let ordered = method.has("can_order");
    Some(match property {
        "asc" => ordered && !key.descending,
        "desc" => ordered && key.descending,
        "nulls_first" => ordered && key.nulls_first,
        "nulls_last" => ordered && !key.nulls_first,
        "distance_orderable" => class().is_some_and(OperatorClass::measures),
        // What GiST and SP-GiST give back depends on the class.
        "returnable" if matches!(method.name, "gist" | "spgist") => class().is_some_and(|class| {
            !matches!(class.name, "circle_ops" | "poly_ops" | "quad_poly_ops" | "tsvector_ops")
        }),
        "orderable" | "returnable" | "search_array" | "search_nulls" => method.has(property),
        _ => return None,
    })
}
