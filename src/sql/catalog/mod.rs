//! What a database holds, by PostgreSQL's names and types: Towline's own replicated
//! catalog (tables `towline_*`) read into values, and the rows of `pg_catalog` and
//! `information_schema` that follow from them.

mod bootstrap;
mod relation;

pub use bootstrap::{BOOTSTRAP, RESERVED_PREFIX};
pub use relation::{
    Attribute, Catalog, Constraint, ConstraintKind, Identity, Index, Relation, RelationKind,
    Sequence,
};
