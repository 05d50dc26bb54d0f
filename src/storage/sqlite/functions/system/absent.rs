//! Functions about features that are absent here, or that always hold.

use super::super::call::{Registry, bad_argument, boolean, count, integer, text};
use super::super::{IMPURE, PURE};
use crate::log::{Value, ValueRef};

/// Functions about features that are absent here, or that always hold.
pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    let holds: super::super::call::Definition = ("", -1, |_| boolean(true));
    let none: super::super::call::Definition = ("", -1, |_| Ok(Value::Null));
    let nothing: super::super::call::Definition = ("", -1, |_| text(""));
    let fails: super::super::call::Definition = ("", -1, |_| boolean(false));
    let zero: super::super::call::Definition = ("", -1, |_| integer(0));
    let named = |definition: super::super::call::Definition, names: &[&'static str]| {
        let definitions = names.iter().map(|name| (*name, definition.1, definition.2));
        definitions.collect::<Vec<super::super::call::Definition>>()
    };
    let groups = [
        named(
            holds,
            &[
                "has_foreign_data_wrapper_privilege",
                "has_function_privilege",
                "has_language_privilege",
                "has_parameter_privilege",
                "has_server_privilege",
                "has_tablespace_privilege",
                "pg_collation_is_visible",
                "pg_conversion_is_visible",
                "pg_opclass_is_visible",
                "pg_operator_is_visible",
                "pg_opfamily_is_visible",
                "pg_statistics_obj_is_visible",
                "pg_ts_config_is_visible",
                "pg_ts_dict_is_visible",
                "pg_ts_parser_is_visible",
                "pg_ts_template_is_visible",
            ],
        ),
        named(
            none,
            &[
                "inet_server_addr",
                "inet_server_port",
                "pg_get_function_sqlbody",
                "pg_get_functiondef",
                "pg_get_partkeydef",
                "pg_get_ruledef",
                "pg_get_statisticsobjdef",
                "pg_get_statisticsobjdef_columns",
                "pg_get_triggerdef",
                // Plain tables have no partitions above them.
                "pg_partition_ancestors",
                // To know the size of one table its pages would have to be counted.
                "pg_indexes_size",
                "pg_relation_size",
                "pg_table_size",
                "pg_total_relation_size",
                "shobj_description",
            ],
        ),
        named(nothing, &["pg_tablespace_location", "setseed"]),
        named(fails, &["pg_is_other_temp_schema", "row_security_active"]),
        named(zero, &["pg_my_temp_schema"]),
    ];
    for group in groups {
        registry.define(IMPURE, &group)?;
    }
    registry.define(
        PURE,
        &[
            ("pg_blocking_pids", 1, |_| text("{}")),
            ("pg_column_size", 1, |call| match call.value(0) {
                ValueRef::Null => Ok(Value::Null),
                ValueRef::Integer(_) | ValueRef::Real(_) => integer(8),
                _ => count(call.bytes(0)?.len() + 1),
            }),
            ("pg_input_is_valid", 2, |_| {
                Err(bad_argument("pg_input_is_valid needs PostgreSQL 16"))
            }),
        ],
    )
}
