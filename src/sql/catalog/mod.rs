//! What a database holds, by PostgreSQL's names and types: Towline's own replicated
//! catalog (tables `towline_*`) read into values, and the rows of `pg_catalog` and
//! `information_schema` that follow from them.

mod bootstrap;
mod relation;
mod system;
mod types;

pub use bootstrap::{BOOTSTRAP, RESERVED_PREFIX};
pub use relation::{
    Attribute, Catalog, Constraint, ConstraintKind, Identity, Index, Relation, RelationKind,
    Sequence,
};
pub use system::{HIDDEN_COLUMNS, SystemColumn, SystemRelation, system_relation, system_relations};
pub use types::{
    BuiltinType, builtin_type, builtin_type_named, builtin_types, format_type, parse_type,
    type_of_declaration,
};
