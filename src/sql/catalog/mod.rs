//! What a database holds, by PostgreSQL's names and types: Towline's own replicated
//! catalog (tables `towline_*`) read into values, and the rows of `pg_catalog` and
//! `information_schema` that follow from them.

mod access;
mod access_method;
mod bootstrap;
mod column_access;
mod database;
mod default_access;
mod deferral;
mod definition;
mod dependency;
mod dependent;
mod functions;
mod information_schema;
mod pg_catalog;
mod printed;
mod relation;
mod role;
mod role_rows;
mod routine;
mod rows;
mod schema;
mod system;
mod types;
mod updatable;

pub use access::{
    Access, EVERYBODY, Grant, ObjectKind, Rights, granted, parse_grants, revoked, write_grants,
};
pub use access_method::{AccessMethod, BTREE, OperatorClass, index_column_property};
pub use bootstrap::{BOOTSTRAP, RESERVED_PREFIX};
pub use database::{
    EMPTY_TEMPLATES, FIRST_DATABASE, MAINTENANCE_DATABASE, database_pattern, database_prefix,
    split_database,
};
pub use default_access::{DEFAULT_KINDS, DefaultAccessKey};
pub use deferral::Deferral;
pub use definition::{
    constraint_definition, domain_check_definition, index_definition, index_key_definition, pretty,
    quote_ident, quote_literal, quote_qualified, quote_stored, split_order, view_definition,
    with_intervals,
};
pub(in crate::sql) use dependency::{
    Object, class_of, constraint_object, routine_object, schema_object,
};
pub use functions::{BuiltinFunction, builtin_function, builtin_functions, keywords};
pub use pg_catalog::{database_oid, default_setting};
pub use relation::{
    Attribute, Catalog, CheckOption, Comment, Constraint, ConstraintKind, DomainCheck, Field,
    HASHED_OIDS, Identity, Index, Relation, RelationKind, Sequence, UserType, UserTypeKind,
};
pub use role::{
    BOOTSTRAP as BOOTSTRAP_ROLE, DATABASE_OWNER, Membership, PREDEFINED as PREDEFINED_ROLES, Role,
    Roles, StartSetting, StoredVerifier,
};
pub use routine::{Mode, Parameter, Routine, RoutineType, Said, Volatility};
pub use rows::{Facts, NamedRow, system_rows};
pub use schema::{NAMESPACES, PUBLIC, PUBLIC_OID, TEMPORARY_PREFIX, parts_of_written};
pub use system::{HIDDEN_COLUMNS, SystemColumn, SystemRelation, system_relation, system_relations};
pub use types::{
    BuiltinType, builtin_type, builtin_type_named, builtin_types, format_type, parse_type,
    type_of_declaration,
};
pub(in crate::sql) use updatable::SimpleView;
