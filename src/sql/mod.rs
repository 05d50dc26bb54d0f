//! SQL as clients write it: split, classified, translated to SQLite's dialect.
//! Pure: text and a catalog in, text out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

pub mod catalog;
mod classify;
mod determinism;
pub mod portable;
mod scan;
mod shape;
mod split;
mod temporary;
mod translate;
mod translated;
mod types;

pub use classify::{Class, Isolation, TransactionModes, classify, is_definition};
pub use determinism::{
    asks_for_surroundings, function_is_local, function_repeats, mentions_surroundings,
    relation_is_live,
};
pub use shape::{Shape, shape};
pub use split::split;
pub use temporary::may_be_temporary;
pub use translate::{
    add_member, create_database, drop_database, forget_role, oid_of_role, remove_member,
    rename_database, rename_settings, role_change, translate, write_access, write_column_access,
    write_default_access, write_role, write_start_setting,
};
pub use translated::{
    Argument, Column, ColumnRights, CopyFormat, CopyOptions, Counts, CurrentOf, DatabaseChange,
    Demand, Grantee, Kind, Movement, Owned, Password, RoleChange, RoleName, RoleOptions,
    SettingChange, SqliteStatement, Tag, TranslateContext, Translated,
};
