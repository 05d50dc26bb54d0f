//! Function calls: what each returns, and which SQLite function answers for it.
//!
//! Most functions go by PostgreSQL's own name. Where SQLite has a different function
//! of that name, the table below names the one that answers instead.

use sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, NullTreatment, ObjectName, OrderByExpr, WindowFrame,
    WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::{Form, SetReturning, Translator, Typed, cast, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{PUBLIC, parts_of_written};
use crate::sql::types::{self, Family, Type, family, is_integer};

/// What a function returns.
#[derive(Clone, Copy, Debug)]
enum Returns {
    Oid(Oid),
    /// The type of argument n.
    Argument(usize),
    /// All arguments meet in one type, which is the result's.
    Common,
    /// int → int8, int8 → numeric, floats as they are, numeric, interval.
    Sum,
    /// Integers and numeric → numeric, floats → float8, interval.
    Average,
    /// The array over the first argument.
    ArrayOf,
    /// float8, or numeric for numeric.
    FloatOrNumeric,
    /// numeric for integers and numeric, else float8.
    NumericOrFloat,
}

/// What an untyped argument is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Takes {
    /// text everywhere.
    Text,
    /// text first, int4 after.
    TextInts,
    Float,
    Int,
    /// An array of text.
    TextArray,
    Timestamp,
    Json,
    /// bytea first, text after.
    Bytes,
    /// Anything stays as it is.
    Any,
}

struct Known {
    name: &'static str,
    /// What SQLite calls it; empty: the same.
    sqlite: &'static str,
    returns: Returns,
    takes: Takes,
    aggregate: bool,
}

const fn known(name: &'static str, sqlite: &'static str, returns: Returns, takes: Takes) -> Known {
    Known { name, sqlite, returns, takes, aggregate: false }
}

const fn aggregate(
    name: &'static str,
    sqlite: &'static str,
    returns: Returns,
    takes: Takes,
) -> Known {
    Known { name, sqlite, returns, takes, aggregate: true }
}

const fn of(oid: Oid) -> Returns {
    Returns::Oid(oid)
}

/// In order of name.
#[rustfmt::skip]
const FUNCTIONS: &[Known] = &[
    known("abs", "towline_abs", Returns::Argument(0), Takes::Float),
    known("acos", "", of(Oid::FLOAT8), Takes::Float),
    known("age", "", of(Oid::INTERVAL), Takes::Timestamp),
    aggregate("array_agg", "", Returns::ArrayOf, Takes::Text),
    known("array_append", "", Returns::Argument(0), Takes::Any),
    known("array_cat", "", Returns::Argument(0), Takes::Any),
    known("array_dims", "", of(Oid::TEXT), Takes::TextArray),
    known("array_length", "", of(Oid::INT4), Takes::TextArray),
    known("array_lower", "", of(Oid::INT4), Takes::TextArray),
    known("array_ndims", "", of(Oid::INT4), Takes::TextArray),
    known("array_position", "", of(Oid::INT4), Takes::TextArray),
    known("array_positions", "", of(Oid::INT4_ARRAY), Takes::TextArray),
    known("array_prepend", "", Returns::Argument(1), Takes::Any),
    known("array_remove", "", Returns::Argument(0), Takes::TextArray),
    known("array_replace", "", Returns::Argument(0), Takes::TextArray),
    known("array_to_json", "", of(Oid::JSON), Takes::TextArray),
    known("array_to_string", "", of(Oid::TEXT), Takes::TextArray),
    known("array_upper", "", of(Oid::INT4), Takes::TextArray),
    known("ascii", "", of(Oid::INT4), Takes::Text),
    known("asin", "", of(Oid::FLOAT8), Takes::Float),
    known("atan", "", of(Oid::FLOAT8), Takes::Float),
    known("atan2", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("avg", "", Returns::Average, Takes::Float),
    aggregate("bit_and", "", Returns::Argument(0), Takes::Int),
    known("bit_length", "", of(Oid::INT4), Takes::Text),
    aggregate("bit_or", "", Returns::Argument(0), Takes::Int),
    aggregate("bit_xor", "", Returns::Argument(0), Takes::Int),
    aggregate("bool_and", "", of(Oid::BOOL), Takes::Any),
    aggregate("bool_or", "", of(Oid::BOOL), Takes::Any),
    known("btrim", "", of(Oid::TEXT), Takes::Text),
    known("cardinality", "", of(Oid::INT4), Takes::TextArray),
    known("cbrt", "", of(Oid::FLOAT8), Takes::Float),
    known("ceil", "towline_ceil", Returns::NumericOrFloat, Takes::Float),
    known("ceiling", "towline_ceil", Returns::NumericOrFloat, Takes::Float),
    known("char_length", "", of(Oid::INT4), Takes::Text),
    known("character_length", "char_length", of(Oid::INT4), Takes::Text),
    known("chr", "", of(Oid::TEXT), Takes::Int),
    known("clock_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("col_description", "", of(Oid::TEXT), Takes::Any),
    known("concat", "", of(Oid::TEXT), Takes::Text),
    known("concat_ws", "", of(Oid::TEXT), Takes::Text),
    known("convert_from", "", of(Oid::TEXT), Takes::Bytes),
    known("convert_to", "", of(Oid::BYTEA), Takes::Text),
    known("cos", "", of(Oid::FLOAT8), Takes::Float),
    known("cot", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("count", "", of(Oid::INT8), Takes::Text),
    known("cume_dist", "", of(Oid::FLOAT8), Takes::Any),
    known("current_catalog", "current_database", of(Oid::NAME), Takes::Any),
    known("current_database", "", of(Oid::NAME), Takes::Any),
    known("current_query", "", of(Oid::TEXT), Takes::Any),
    known("current_role", "current_user", of(Oid::NAME), Takes::Any),
    known("current_schema", "", of(Oid::NAME), Takes::Any),
    known("current_schemas", "", of(Oid::NAME_ARRAY), Takes::Any),
    known("current_setting", "", of(Oid::TEXT), Takes::Text),
    known("current_user", "", of(Oid::NAME), Takes::Any),
    known("currval", "", of(Oid::INT8), Takes::Text),
    known("date_part", "", of(Oid::FLOAT8), Takes::Timestamp),
    known("date_trunc", "", Returns::Argument(1), Takes::Timestamp),
    known("decode", "", of(Oid::BYTEA), Takes::Text),
    known("degrees", "", of(Oid::FLOAT8), Takes::Float),
    known("dense_rank", "", of(Oid::INT8), Takes::Any),
    known("div", "", of(Oid::NUMERIC), Takes::Float),
    known("encode", "", of(Oid::TEXT), Takes::Bytes),
    aggregate("every", "bool_and", of(Oid::BOOL), Takes::Any),
    known("exp", "towline_exp", Returns::FloatOrNumeric, Takes::Float),
    known("factorial", "", of(Oid::NUMERIC), Takes::Int),
    known("first_value", "", Returns::Argument(0), Takes::Text),
    known("floor", "towline_floor", Returns::NumericOrFloat, Takes::Float),
    known("format", "towline_format", of(Oid::TEXT), Takes::Text),
    known("format_type", "", of(Oid::TEXT), Takes::Int),
    known("gcd", "", Returns::Argument(0), Takes::Int),
    known("gen_random_uuid", "", of(Oid::UUID), Takes::Any),
    known("get_byte", "", of(Oid::INT4), Takes::Any),
    known("getdatabaseencoding", "", of(Oid::NAME), Takes::Any),
    known("has_any_column_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_column_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_database_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_function_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_schema_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_sequence_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_table_privilege", "", of(Oid::BOOL), Takes::Text),
    known("inet_client_addr", "", of(Oid(869)), Takes::Any),
    known("inet_client_port", "", of(Oid::INT4), Takes::Any),
    known("inet_server_addr", "", of(Oid(869)), Takes::Any),
    known("inet_server_port", "", of(Oid::INT4), Takes::Any),
    known("initcap", "", of(Oid::TEXT), Takes::Text),
    known("isfinite", "", of(Oid::BOOL), Takes::Timestamp),
    aggregate("json_agg", "", of(Oid::JSON), Takes::Text),
    known("json_array_length", "towline_json_array_length", of(Oid::INT4), Takes::Json),
    known("json_build_array", "", of(Oid::JSON), Takes::Text),
    known("json_build_object", "", of(Oid::JSON), Takes::Text),
    known("json_extract_path", "", of(Oid::JSON), Takes::Text),
    known("json_extract_path_text", "", of(Oid::TEXT), Takes::Text),
    aggregate("json_object_agg", "", of(Oid::JSON), Takes::Text),
    known("json_strip_nulls", "", of(Oid::JSON), Takes::Json),
    known("json_typeof", "", of(Oid::TEXT), Takes::Json),
    aggregate("jsonb_agg", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_array_length", "towline_json_array_length", of(Oid::INT4), Takes::Json),
    known("jsonb_build_array", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_build_object", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_extract_path", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_extract_path_text", "", of(Oid::TEXT), Takes::Text),
    known("jsonb_insert", "towline_jsonb_insert", of(Oid::JSONB), Takes::Any),
    aggregate("jsonb_object_agg", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_pretty", "", of(Oid::TEXT), Takes::Json),
    known("jsonb_set", "towline_jsonb_set", of(Oid::JSONB), Takes::Any),
    known("jsonb_strip_nulls", "", of(Oid::JSONB), Takes::Json),
    known("jsonb_typeof", "", of(Oid::TEXT), Takes::Json),
    known("justify_days", "", of(Oid::INTERVAL), Takes::Any),
    known("justify_hours", "", of(Oid::INTERVAL), Takes::Any),
    known("justify_interval", "", of(Oid::INTERVAL), Takes::Any),
    known("lag", "", Returns::Argument(0), Takes::Any),
    known("last_value", "", Returns::Argument(0), Takes::Text),
    known("lastval", "", of(Oid::INT8), Takes::Any),
    known("lcm", "", Returns::Argument(0), Takes::Int),
    known("lead", "", Returns::Argument(0), Takes::Any),
    known("left", "", of(Oid::TEXT), Takes::TextInts),
    known("length", "", of(Oid::INT4), Takes::Text),
    known("ln", "towline_ln", Returns::FloatOrNumeric, Takes::Float),
    known("localtimestamp", "", of(Oid::TIMESTAMP), Takes::Any),
    known("log", "towline_log", Returns::FloatOrNumeric, Takes::Float),
    known("log10", "towline_log", Returns::FloatOrNumeric, Takes::Float),
    known("lower", "", of(Oid::TEXT), Takes::Text),
    known("lpad", "", of(Oid::TEXT), Takes::TextInts),
    known("ltrim", "", of(Oid::TEXT), Takes::Text),
    known("make_date", "", of(Oid::DATE), Takes::Int),
    known("make_interval", "", of(Oid::INTERVAL), Takes::Int),
    known("make_time", "", of(Oid::TIME), Takes::Any),
    known("make_timestamp", "", of(Oid::TIMESTAMP), Takes::Any),
    known("make_timestamptz", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    aggregate("max", "", Returns::Argument(0), Takes::Text),
    known("md5", "", of(Oid::TEXT), Takes::Text),
    aggregate("min", "", Returns::Argument(0), Takes::Text),
    known("min_scale", "", of(Oid::INT4), Takes::Float),
    known("mod", "", Returns::Common, Takes::Int),
    aggregate("mode", "towline_mode", Returns::Argument(0), Takes::Any),
    known("nextval", "", of(Oid::INT8), Takes::Text),
    known("now", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("nth_value", "", Returns::Argument(0), Takes::Any),
    known("ntile", "", of(Oid::INT4), Takes::Int),
    known("num_nonnulls", "", of(Oid::INT4), Takes::Text),
    known("num_nulls", "", of(Oid::INT4), Takes::Text),
    known("obj_description", "", of(Oid::TEXT), Takes::Any),
    known("octet_length", "", of(Oid::INT4), Takes::Text),
    known("overlay", "", of(Oid::TEXT), Takes::Any),
    known("percent_rank", "", of(Oid::FLOAT8), Takes::Any),
    aggregate("percentile_cont", "towline_percentile_cont", of(Oid::FLOAT8), Takes::Any),
    aggregate("percentile_disc", "towline_percentile_disc", Returns::Argument(0), Takes::Any),
    known("pg_advisory_lock", "", of(Oid::VOID), Takes::Int),
    known("pg_advisory_lock_shared", "", of(Oid::VOID), Takes::Int),
    known("pg_advisory_unlock", "", of(Oid::BOOL), Takes::Int),
    known("pg_advisory_unlock_all", "", of(Oid::VOID), Takes::Int),
    known("pg_advisory_unlock_shared", "", of(Oid::BOOL), Takes::Int),
    known("pg_advisory_xact_lock", "", of(Oid::VOID), Takes::Int),
    known("pg_advisory_xact_lock_shared", "", of(Oid::VOID), Takes::Int),
    known("pg_backend_pid", "", of(Oid::INT4), Takes::Any),
    known("pg_blocking_pids", "", of(Oid::INT4_ARRAY), Takes::Int),
    known("pg_cancel_backend", "", of(Oid::BOOL), Takes::Int),
    known("pg_char_to_encoding", "", of(Oid::INT4), Takes::Text),
    known("pg_client_encoding", "", of(Oid::NAME), Takes::Any),
    known("pg_collation_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_column_size", "", of(Oid::INT4), Takes::Text),
    known("pg_conf_load_time", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("pg_current_wal_flush_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_current_wal_insert_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_current_wal_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_current_xact_id", "", of(Oid::INT8), Takes::Any),
    known("pg_database_size", "", of(Oid::INT8), Takes::Any),
    known("pg_encoding_to_char", "", of(Oid::NAME), Takes::Int),
    known("pg_function_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_get_constraintdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_expr", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_function_arguments", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_function_identity_arguments", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_function_result", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_functiondef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_indexdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_keywords", "", of(Oid::RECORD), Takes::Any),
    known("pg_get_partkeydef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_ruledef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_serial_sequence", "", of(Oid::TEXT), Takes::Text),
    known("pg_get_statisticsobjdef_columns", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_triggerdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_userbyid", "", of(Oid::NAME), Takes::Any),
    known("pg_get_viewdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_has_role", "", of(Oid::BOOL), Takes::Any),
    known("pg_indexes_size", "", of(Oid::INT8), Takes::Any),
    known("pg_is_in_recovery", "", of(Oid::BOOL), Takes::Any),
    known("pg_is_other_temp_schema", "", of(Oid::BOOL), Takes::Any),
    known("pg_is_wal_replay_paused", "", of(Oid::BOOL), Takes::Any),
    known("pg_last_wal_receive_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_last_wal_replay_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_last_xact_replay_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("pg_my_temp_schema", "", of(Oid::OID), Takes::Any),
    known("pg_notify", "", of(Oid::VOID), Takes::Text),
    known("pg_opclass_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_operator_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_postmaster_start_time", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("pg_relation_filenode", "", of(Oid::OID), Takes::Any),
    known("pg_relation_is_publishable", "", of(Oid::BOOL), Takes::Any),
    known("pg_relation_size", "", of(Oid::INT8), Takes::Any),
    known("pg_size_pretty", "", of(Oid::TEXT), Takes::Int),
    known("pg_sleep", "", of(Oid::VOID), Takes::Float),
    known("pg_statistics_obj_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_table_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_table_size", "", of(Oid::INT8), Takes::Any),
    known("pg_tablespace_location", "", of(Oid::TEXT), Takes::Any),
    known("pg_tablespace_size", "", of(Oid::INT8), Takes::Any),
    known("pg_terminate_backend", "", of(Oid::BOOL), Takes::Int),
    known("pg_total_relation_size", "", of(Oid::INT8), Takes::Any),
    known("pg_try_advisory_lock", "", of(Oid::BOOL), Takes::Int),
    known("pg_try_advisory_lock_shared", "", of(Oid::BOOL), Takes::Int),
    known("pg_try_advisory_xact_lock", "", of(Oid::BOOL), Takes::Int),
    known("pg_try_advisory_xact_lock_shared", "", of(Oid::BOOL), Takes::Int),
    known("pg_ts_config_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_type_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_typeof", "", of(Oid::REGTYPE), Takes::Any),
    known("pg_wal_lsn_diff", "", of(Oid::NUMERIC), Takes::Any),
    known("pi", "", of(Oid::FLOAT8), Takes::Any),
    known("pow", "power", Returns::FloatOrNumeric, Takes::Float),
    known("power", "towline_power", Returns::FloatOrNumeric, Takes::Float),
    known("quote_ident", "", of(Oid::TEXT), Takes::Text),
    known("quote_literal", "", of(Oid::TEXT), Takes::Text),
    known("quote_nullable", "", of(Oid::TEXT), Takes::Text),
    known("radians", "", of(Oid::FLOAT8), Takes::Float),
    known("random", "towline_random", of(Oid::FLOAT8), Takes::Any),
    known("rank", "", of(Oid::INT8), Takes::Any),
    known("regexp_count", "", of(Oid::INT4), Takes::Text),
    known("regexp_like", "", of(Oid::BOOL), Takes::Text),
    known("regexp_match", "", of(Oid::TEXT_ARRAY), Takes::Text),
    known("regexp_replace", "", of(Oid::TEXT), Takes::Text),
    known("regexp_split_to_array", "", of(Oid::TEXT_ARRAY), Takes::Text),
    known("regexp_substr", "", of(Oid::TEXT), Takes::Text),
    known("repeat", "", of(Oid::TEXT), Takes::TextInts),
    known("replace", "", of(Oid::TEXT), Takes::Text),
    known("reverse", "", of(Oid::TEXT), Takes::Text),
    known("right", "", of(Oid::TEXT), Takes::TextInts),
    known("round", "towline_round", Returns::NumericOrFloat, Takes::Float),
    known("row_number", "", of(Oid::INT8), Takes::Any),
    known("row_to_json", "to_json", of(Oid::JSON), Takes::Any),
    known("rpad", "", of(Oid::TEXT), Takes::TextInts),
    known("rtrim", "", of(Oid::TEXT), Takes::Text),
    known("scale", "", of(Oid::INT4), Takes::Float),
    known("session_user", "", of(Oid::NAME), Takes::Any),
    known("set_config", "", of(Oid::TEXT), Takes::Text),
    known("setseed", "", of(Oid::VOID), Takes::Float),
    known("setval", "", of(Oid::INT8), Takes::Text),
    known("sha224", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha256", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha384", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha512", "", of(Oid::BYTEA), Takes::Bytes),
    known("shobj_description", "", of(Oid::TEXT), Takes::Any),
    known("sign", "towline_sign", Returns::NumericOrFloat, Takes::Float),
    known("sin", "", of(Oid::FLOAT8), Takes::Float),
    known("split_part", "", of(Oid::TEXT), Takes::Text),
    known("sqrt", "towline_sqrt", Returns::FloatOrNumeric, Takes::Float),
    known("starts_with", "", of(Oid::BOOL), Takes::Text),
    known("statement_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    aggregate("stddev", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("stddev_pop", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("stddev_samp", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("string_agg", "", Returns::Argument(0), Takes::Text),
    known("string_to_array", "", of(Oid::TEXT_ARRAY), Takes::Text),
    known("strpos", "", of(Oid::INT4), Takes::Text),
    known("substr", "substring", of(Oid::TEXT), Takes::TextInts),
    known("substring", "", of(Oid::TEXT), Takes::TextInts),
    aggregate("sum", "", Returns::Sum, Takes::Float),
    known("tan", "", of(Oid::FLOAT8), Takes::Float),
    known("timeofday", "", of(Oid::TEXT), Takes::Any),
    known("to_char", "", of(Oid::TEXT), Takes::Any),
    known("to_date", "", of(Oid::DATE), Takes::Text),
    known("to_hex", "", of(Oid::TEXT), Takes::Int),
    known("to_json", "", of(Oid::JSON), Takes::Text),
    known("to_jsonb", "", of(Oid::JSONB), Takes::Text),
    known("to_number", "", of(Oid::NUMERIC), Takes::Text),
    known("to_regclass", "", of(Oid::REGCLASS), Takes::Text),
    known("to_regnamespace", "", of(Oid(4089)), Takes::Text),
    known("to_regproc", "", of(Oid::REGPROC), Takes::Text),
    known("to_regrole", "", of(Oid(4096)), Takes::Text),
    known("to_regtype", "", of(Oid::REGTYPE), Takes::Text),
    known("to_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Float),
    known("transaction_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("translate", "", of(Oid::TEXT), Takes::Text),
    known("trim_array", "", Returns::Argument(0), Takes::TextArray),
    known("trim_scale", "", of(Oid::NUMERIC), Takes::Float),
    known("trunc", "towline_trunc", Returns::NumericOrFloat, Takes::Float),
    known("txid_current", "", of(Oid::INT8), Takes::Any),
    known("upper", "", of(Oid::TEXT), Takes::Text),
    known("user", "current_user", of(Oid::NAME), Takes::Any),
    known("uuid_generate_v4", "", of(Oid::UUID), Takes::Any),
    aggregate("var_pop", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("var_samp", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("variance", "", Returns::NumericOrFloat, Takes::Float),
    known("version", "", of(Oid::TEXT), Takes::Any),
    known("width_bucket", "", of(Oid::INT4), Takes::Float),
];

fn lookup(name: &str) -> Option<&'static Known> {
    FUNCTIONS.binary_search_by_key(&name, |known| known.name).ok().map(|at| &FUNCTIONS[at])
}

/// SQLite's own functions, which PostgreSQL doesn't have, in order of name.
#[rustfmt::skip]
const SQLITES: &[&str] = &[
    "changes", "char", "date", "datetime", "glob", "group_concat", "hex", "ifnull", "iif", "instr",
    "json", "json_array", "json_error_position", "json_extract", "json_group_array",
    "json_group_object", "json_insert", "json_object", "json_patch", "json_quote", "json_remove",
    "json_replace", "json_set", "json_type", "json_valid", "julianday", "last_insert_rowid", "like",
    "likelihood", "likely", "log2", "octet_length", "printf", "quote", "randomblob", "soundex",
    "sqlite_source_id", "sqlite_version", "strftime", "time", "timediff", "total", "total_changes",
    "typeof", "unhex", "unicode", "unistr", "unixepoch", "unlikely", "zeroblob",
];

/// Whether SQLite, or the catalog's own part, answers a call that the table above
/// does not list.
fn is_sqlites(name: &str) -> bool {
    SQLITES.binary_search(&name).is_ok() || name.starts_with("pg_") || name.starts_with("towline_")
}

/// Functions that give rows; they stand in FROM, or move there from the select list.
pub(super) fn is_set_returning(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "generate_subscripts"
            | "unnest"
            | "json_array_elements"
            | "json_array_elements_text"
            | "json_each"
            | "json_each_text"
            | "json_object_keys"
            | "jsonb_array_elements"
            | "jsonb_array_elements_text"
            | "jsonb_each"
            | "jsonb_each_text"
            | "jsonb_object_keys"
            | "regexp_matches"
            | "regexp_split_to_table"
            | "string_to_table"
            | "_pg_expandarray"
            | "pg_partition_ancestors"
    )
}

/// Whether `name` is an aggregate.
pub(super) fn is_aggregate(name: &str) -> bool {
    lookup(name).is_some_and(|known| known.aggregate)
}

/// Aggregates over the order of WITHIN GROUP.
fn is_ordered_set(name: &str) -> bool {
    matches!(name, "mode" | "percentile_cont" | "percentile_disc")
}

/// `timezone(zone, moment)`: AT TIME ZONE.
pub(super) fn timezone(zone: Typed, moment: Typed) -> Result<Typed, SqlError> {
    let oid = match moment.oid() {
        Oid::TIMESTAMPTZ => Oid::TIMESTAMP,
        Oid::TIMESTAMP => Oid::TIMESTAMPTZ,
        Oid::TIME | Oid::TIMETZ => Oid::TIMETZ,
        other => {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function timezone(text, {}) does not exist", types::display_name(other)),
            ));
        }
    };
    let function = match moment.oid() {
        Oid::TIMESTAMPTZ => "towline_timestamp",
        Oid::TIMESTAMP => "towline_timestamptz",
        _ => "towline_timetz",
    };
    Ok(Typed::plain(format!("{function}({}, {})", moment.sql, zone.sql), oid).named("timezone"))
}

impl Translator<'_> {
    /// A call as written.
    pub(super) fn function(&mut self, call: &Function) -> Result<Typed, SqlError> {
        let name = function_name(&call.name)?;
        if let Some(typed) = self.special(&name, call)? {
            return Ok(typed.named(name));
        }
        let list = match &call.args {
            FunctionArguments::None => None,
            FunctionArguments::List(list) => Some(list),
            FunctionArguments::Subquery(query) if name == "array" => {
                return self.array_subquery(query);
            }
            FunctionArguments::Subquery(_) => {
                return Err(super::syntax::syntax_error(&name, None));
            }
        };
        if is_set_returning(&name) {
            return self.set_returning_call(&name, call);
        }
        let outer = std::mem::replace(&mut self.set_returning_allowed, false);
        let star = list.is_some_and(|list| {
            matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
        });
        let aggregate = is_aggregate(&name) || call.over.is_some() || !call.within_group.is_empty();
        // What an aggregate is given are the rows' own values, whatever they are grouped by.
        let set = if aggregate { self.grouping_set.take() } else { None };
        let arguments = if star { Vec::new() } else { self.arguments(list)? };
        self.set_returning_allowed = outer;
        let typed = if aggregate {
            let typed = self.aggregate(&name, arguments, star, list, call)?;
            self.grouping_set = set;
            typed
        } else {
            if call.filter.is_some() || list.is_some_and(|list| list.duplicate_treatment.is_some())
            {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "FILTER or DISTINCT specified, but {name} is not an aggregate function"
                    ),
                ));
            }
            self.call(&name, arguments)?
        };
        Ok(typed.named(name))
    }

    /// The arguments of a call, translated in order.
    pub(super) fn arguments(
        &mut self,
        list: Option<&FunctionArgumentList>,
    ) -> Result<Vec<Typed>, SqlError> {
        let Some(list) = list else { return Ok(Vec::new()) };
        list.args.iter().map(|argument| self.argument(argument)).collect()
    }

    pub(super) fn argument(&mut self, argument: &FunctionArg) -> Result<Typed, SqlError> {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expression(expr),
            FunctionArg::Named { arg: FunctionArgExpr::Expr(_), name, .. } => {
                Err(SqlError::unsupported(format_args!("the named argument {name}")))
            }
            _ => Err(SqlError::unsupported("this kind of argument")),
        }
    }

    /// Calls a function that is no aggregate on translated arguments.
    pub(super) fn call(&mut self, name: &str, arguments: Vec<Typed>) -> Result<Typed, SqlError> {
        self.note_function(name);
        if let Some(typed) = self.extent_call(name, &arguments)? {
            return Ok(typed.named(name));
        }
        let Some(known) = lookup(name) else {
            if !is_sqlites(name) {
                let types: Vec<String> =
                    arguments.iter().map(|argument| types::display_name(argument.oid())).collect();
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {name}({}) does not exist", types.join(", ")),
                )
                .with_hint(
                    "No function matches the given name and argument types. You might need to add \
                     explicit type casts.",
                ));
            }
            let mut texts = Vec::with_capacity(arguments.len());
            for argument in arguments {
                texts.push(self.settle(argument)?.sql);
            }
            return Ok(Typed::plain(
                format!("{}({})", names::quote(name), texts.join(", ")),
                Oid::UNKNOWN,
            )
            .named(name));
        };
        let (arguments, ty) = self.typed_arguments(known, arguments)?;
        let texts: Vec<&str> = arguments.iter().map(|argument| argument.sql.as_str()).collect();
        let sqlite = if known.sqlite.is_empty() { known.name } else { known.sqlite };
        let zoned = matches!(name, "date_trunc" | "date_part")
            && arguments.len() == 2
            && arguments[1].oid() == Oid::TIMESTAMPTZ;
        let zone = if zoned { self.zone_argument() } else { String::new() };
        Ok(Typed::of(format!("{sqlite}({}{zone})", texts.join(", ")), ty).named(name))
    }

    /// Types the untyped arguments, and tells the result's type.
    fn typed_arguments(
        &mut self,
        known: &Known,
        arguments: Vec<Typed>,
    ) -> Result<(Vec<Typed>, Type), SqlError> {
        if let Returns::Common = known.returns {
            return self.unify(arguments, known.name);
        }
        let mut typed = Vec::with_capacity(arguments.len());
        for (at, argument) in arguments.into_iter().enumerate() {
            let wanted = match known.takes {
                Takes::Any => None,
                Takes::Text => Some(Oid::TEXT),
                Takes::TextInts => Some(if at == 0 { Oid::TEXT } else { Oid::INT4 }),
                Takes::Float => Some(Oid::FLOAT8),
                Takes::Int => Some(Oid::INT4),
                Takes::TextArray => Some(if at == 0 { Oid::TEXT_ARRAY } else { Oid::TEXT }),
                Takes::Timestamp => Some(if at == 0 && known.name.starts_with("date_") {
                    Oid::TEXT
                } else {
                    Oid::TIMESTAMPTZ
                }),
                Takes::Json => Some(Oid::JSONB),
                Takes::Bytes => Some(if at == 0 { Oid::BYTEA } else { Oid::TEXT }),
            };
            let argument = match wanted {
                Some(oid) if argument.is_unknown() => self.coerce(argument, Type::plain(oid))?,
                // char(n) is text without its padding to every function but those that keep it.
                Some(_) if argument.oid() == Oid::BPCHAR && !known.aggregate => {
                    self.coerce(argument, Type::TEXT)?
                }
                _ => self.settle(argument)?,
            };
            check_family(known, &argument)?;
            typed.push(self.argument_form(known, at, argument)?);
        }
        let first = typed.first().map_or(Oid::TEXT, Typed::oid);
        let ty = match known.returns {
            Returns::Oid(oid) => Type::plain(oid),
            Returns::Argument(at) => {
                let ty = typed.get(at).map_or(Type::TEXT, |argument| argument.ty);
                match (known.name, ty.oid) {
                    ("date_trunc", Oid::DATE) => Type::plain(Oid::TIMESTAMPTZ),
                    ("string_agg", Oid::BYTEA) => Type::plain(Oid::BYTEA),
                    ("string_agg", _) => Type::TEXT,
                    ("max" | "min", Oid::VARCHAR | Oid::NAME) => Type::TEXT,
                    _ => Type::plain(ty.oid),
                }
            }
            Returns::Common => Type::plain(first),
            Returns::Sum => Type::plain(match first {
                Oid::INT2 | Oid::INT4 => Oid::INT8,
                Oid::INT8 => Oid::NUMERIC,
                other => other,
            }),
            Returns::Average => Type::plain(match first {
                Oid::FLOAT4 | Oid::FLOAT8 => Oid::FLOAT8,
                Oid::INTERVAL => Oid::INTERVAL,
                _ => Oid::NUMERIC,
            }),
            Returns::ArrayOf => Type::plain(match family(first) {
                Family::Array => first,
                _ => self.array_over(first),
            }),
            Returns::FloatOrNumeric => {
                let numeric = typed.iter().any(|argument| argument.oid() == Oid::NUMERIC)
                    && !typed
                        .iter()
                        .any(|argument| matches!(argument.oid(), Oid::FLOAT4 | Oid::FLOAT8));
                Type::plain(if numeric { Oid::NUMERIC } else { Oid::FLOAT8 })
            }
            Returns::NumericOrFloat => {
                // With a number of digits the result is numeric even of an integer.
                let numeric = first == Oid::NUMERIC
                    || (is_integer(first)
                        && (typed.len() > 1
                            || matches!(known.name, n if n.starts_with("std") || n.starts_with("var"))));
                Type::plain(if numeric { Oid::NUMERIC } else { Oid::FLOAT8 })
            }
        };
        Ok((typed, ty))
    }

    /// The form in which SQLite's side of a function expects an argument.
    fn argument_form(
        &mut self,
        known: &Known,
        at: usize,
        argument: Typed,
    ) -> Result<Typed, SqlError> {
        let oid = argument.oid();
        match known.name {
            // These print their arguments.
            "concat" | "concat_ws" | "format" | "quote_literal" | "quote_nullable" => {
                self.convert(argument, Type::TEXT, cast::How::Assignment)
            }
            "nextval" | "currval" | "setval" if at == 0 => Ok(self.sequence_name(argument)),
            // PostgreSQL's time functions work on the session's clock.
            "to_char" if at == 0 => self.in_session_zone(argument),
            "date_trunc" if at == 1 && oid == Oid::DATE => {
                self.coerce(argument, Type::plain(Oid::TIMESTAMPTZ))
            }
            "row_to_json" | "json_agg" | "jsonb_agg" | "to_json" | "to_jsonb"
            | "json_build_array" | "jsonb_build_array" | "json_build_object"
            | "jsonb_build_object" | "json_object_agg" | "jsonb_object_agg" => {
                Ok(self.as_json(argument))
            }
            "array_agg" => {
                let ty = argument.ty;
                Ok(Typed { ty, ..Typed::of(cast::array_element(&argument), ty) })
            }
            "array_append" | "array_remove" | "array_replace" | "array_position" if at > 0 => {
                let ty = argument.ty;
                Ok(Typed::of(cast::array_element(&argument), ty))
            }
            "array_prepend" if at == 0 => {
                let ty = argument.ty;
                Ok(Typed::of(cast::array_element(&argument), ty))
            }
            "width_bucket" | "factorial" => Ok(argument),
            // A numeric goes to floating-point functions as a float.
            _ if known.takes == Takes::Float
                && matches!(known.returns, Returns::Oid(Oid::FLOAT8))
                && oid == Oid::NUMERIC =>
            {
                self.coerce(argument, Type::plain(Oid::FLOAT8))
            }
            "pg_typeof" => {
                let name = self.context.catalog.format_type(oid, None);
                Ok(Typed::plain(names::quote_literal(&name), Oid::TEXT))
            }
            _ => Ok(argument),
        }
    }

    /// A value in a form from which JSON functions can tell its JSON type.
    pub(super) fn as_json(&mut self, argument: Typed) -> Typed {
        let oid = argument.oid();
        if let Form::Row(fields) = argument.form {
            let mut parts = Vec::with_capacity(fields.len() * 2);
            for (at, field) in fields.into_iter().enumerate() {
                let name = field.name.clone().unwrap_or_else(|| format!("f{}", at + 1));
                parts.push(names::quote_literal(&name));
                parts.push(self.as_json(field).sql);
            }
            return Typed::plain(
                format!("towline_json_value(json_build_object({}), 'json')", parts.join(", ")),
                Oid::JSON,
            );
        }
        let kind = match family(oid) {
            Family::Boolean => "bool",
            Family::Json => "json",
            Family::Array => {
                return Typed::plain(
                    format!(
                        "towline_json_value(towline_array_json({}, {}), 'json')",
                        argument.sql,
                        names::quote_literal(match types::element_of(oid).map(family) {
                            Some(Family::Number) => "float",
                            Some(Family::Boolean) => "bool",
                            _ => "text",
                        })
                    ),
                    oid,
                );
            }
            Family::Number if oid == Oid::NUMERIC => "number",
            Family::Number => return argument,
            Family::DateTime => "time",
            _ => return argument,
        };
        Typed::plain(format!("towline_json_value({}, '{kind}')", argument.sql), oid)
    }

    /// An aggregate or window function.
    fn aggregate(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        star: bool,
        list: Option<&FunctionArgumentList>,
        call: &Function,
    ) -> Result<Typed, SqlError> {
        if !call.within_group.is_empty() || is_ordered_set(name) {
            return self.ordered_set(name, arguments, call);
        }
        self.note_function(name);
        let Some(known) = lookup(name) else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist"),
            ));
        };
        let (arguments, ty) = self.typed_arguments(known, arguments)?;
        let mut sqlite = if known.sqlite.is_empty() { known.name } else { known.sqlite };
        let first = arguments.first().map_or(Oid::TEXT, Typed::oid);
        match (name, first) {
            ("sum", Oid::INT8 | Oid::NUMERIC) => sqlite = "towline_sum",
            ("sum", Oid::INTERVAL) => sqlite = "towline_interval_sum",
            ("avg", Oid::INTERVAL) => sqlite = "towline_interval_avg",
            ("avg", Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC) => sqlite = "towline_avg",
            ("stddev" | "stddev_pop" | "stddev_samp" | "variance" | "var_pop" | "var_samp", _) => {}
            ("string_agg", _) => {}
            _ => {}
        }
        let mut texts: Vec<String> = arguments
            .into_iter()
            .map(|argument| match &argument.form {
                // A row is a value, whatever is in it.
                Form::Row(fields) => cast::record_text(fields),
                _ => argument.sql,
            })
            .collect();
        if matches!(name, "max" | "min")
            && let Some(collation) = types::collation(first)
            && let Some(text) = texts.first_mut()
        {
            *text = format!("({text}) COLLATE {collation}");
        }
        if star {
            texts.push("*".to_owned());
        }
        let distinct =
            list.and_then(|list| list.duplicate_treatment) == Some(DuplicateTreatment::Distinct);
        let mut sql = format!("{sqlite}(");
        if distinct {
            sql.push_str("DISTINCT ");
        }
        sql.push_str(&texts.join(", "));
        for clause in list.map_or(&[][..], |list| &list.clauses) {
            match clause {
                FunctionArgumentClause::OrderBy(order) => {
                    sql.push_str(" ORDER BY ");
                    sql.push_str(&self.order_items(order)?);
                }
                other => {
                    return Err(SqlError::unsupported(format_args!("{other} in a function call")));
                }
            }
        }
        sql.push(')');
        if let Some(filter) = &call.filter {
            let condition = self.condition(filter, "FILTER")?;
            sql.push_str(&format!(" FILTER (WHERE {condition})"));
        }
        if let Some(NullTreatment::IgnoreNulls) = call.null_treatment {
            return Err(SqlError::unsupported("IGNORE NULLS"));
        }
        match &call.over {
            None => {}
            Some(WindowType::NamedWindow(window)) => {
                sql.push_str(&format!(" OVER {}", names::quote(&names::fold(window))));
            }
            Some(WindowType::WindowSpec(spec)) => {
                sql.push_str(&format!(" OVER ({})", self.window(spec)?));
            }
        }
        Ok(Typed::of(sql, ty))
    }

    /// `percentile_cont(f) WITHIN GROUP (ORDER BY x)` and its kin: aggregates of the
    /// value they order by.
    fn ordered_set(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        call: &Function,
    ) -> Result<Typed, SqlError> {
        let [order] = call.within_group.as_slice() else {
            if call.within_group.is_empty() {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
                ));
            }
            return Err(SqlError::unsupported(format_args!("WITHIN GROUP for {name}")));
        };
        if !is_ordered_set(name) {
            return Err(SqlError::unsupported(format_args!("WITHIN GROUP for {name}")));
        }
        if call.over.is_some() {
            return Err(SqlError::unsupported(format_args!(
                "OVER for ordered-set aggregate {name}"
            )));
        }
        let mut value = self.settled(&order.expr)?;
        if name == "percentile_cont" {
            if family(value.oid()) != Family::Number {
                return Err(SqlError::unsupported(format_args!(
                    "percentile_cont of type {}",
                    types::display_name(value.oid())
                )));
            }
            value = self.cast(value, Type::plain(Oid::FLOAT8))?;
        }
        let terms = super::order::order_item(&value, order)?;
        let fraction = match (name, arguments.len()) {
            ("mode", 0) => String::new(),
            ("percentile_cont" | "percentile_disc", 1) => {
                let [fraction] = <[Typed; 1]>::try_from(arguments).expect("its length is 1");
                if types::element_of(fraction.oid()).is_some() {
                    return Err(SqlError::unsupported(format_args!("{name} of several fractions")));
                }
                let fraction = self.coerce(fraction, Type::plain(Oid::FLOAT8))?;
                format!(", {}", fraction.sql)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {name} does not exist"),
                ));
            }
        };
        let mut sql = format!("towline_{name}({}{fraction} ORDER BY {terms})", value.sql);
        if let Some(filter) = &call.filter {
            let condition = self.condition(filter, "FILTER")?;
            sql.push_str(&format!(" FILTER (WHERE {condition})"));
        }
        Ok(Typed::of(sql, value.ty))
    }

    /// A window's definition, without parentheses.
    pub(super) fn window(&mut self, spec: &WindowSpec) -> Result<String, SqlError> {
        let mut parts = Vec::new();
        if let Some(base) = &spec.window_name {
            parts.push(names::quote(&names::fold(base)));
        }
        if !spec.partition_by.is_empty() {
            let mut texts = Vec::new();
            for expr in &spec.partition_by {
                texts.push(self.settled(expr)?.sql);
            }
            parts.push(format!("PARTITION BY {}", texts.join(", ")));
        }
        if !spec.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.order_items(&spec.order_by)?));
        }
        if let Some(frame) = &spec.window_frame {
            parts.push(self.frame(frame)?);
        }
        Ok(parts.join(" "))
    }

    fn frame(&mut self, frame: &WindowFrame) -> Result<String, SqlError> {
        let units = match frame.units {
            WindowFrameUnits::Rows => "ROWS",
            WindowFrameUnits::Range => "RANGE",
            WindowFrameUnits::Groups => "GROUPS",
        };
        let bound = |this: &mut Self, bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => Ok("CURRENT ROW".to_owned()),
            WindowFrameBound::Preceding(None) => Ok("UNBOUNDED PRECEDING".to_owned()),
            WindowFrameBound::Following(None) => Ok("UNBOUNDED FOLLOWING".to_owned()),
            WindowFrameBound::Preceding(Some(expr)) => {
                let expr = this.expression(expr)?;
                let expr = this.coerce(expr, Type::plain(Oid::INT8))?;
                Ok(format!("{} PRECEDING", expr.sql))
            }
            WindowFrameBound::Following(Some(expr)) => {
                let expr = this.expression(expr)?;
                let expr = this.coerce(expr, Type::plain(Oid::INT8))?;
                Ok::<_, SqlError>(format!("{} FOLLOWING", expr.sql))
            }
        };
        let start = bound(self, &frame.start_bound)?;
        match &frame.end_bound {
            None => Ok(format!("{units} {start}")),
            Some(end) => {
                let end = bound(self, end)?;
                Ok(format!("{units} BETWEEN {start} AND {end}"))
            }
        }
    }

    /// Functions with a syntax, a type rule, or a meaning of their own.
    fn special(&mut self, name: &str, call: &Function) -> Result<Option<Typed>, SqlError> {
        let list = match &call.args {
            FunctionArguments::List(list) => Some(list),
            _ => None,
        };
        let typed = match name {
            "coalesce" => {
                let arguments = self.arguments(list)?;
                let (arguments, ty) = self.unify(arguments, "COALESCE")?;
                match arguments.as_slice() {
                    [only] => Typed::of(only.operand(), ty),
                    _ => Typed::of(format!("coalesce({})", join(&arguments)), ty),
                }
            }
            "greatest" | "least" => {
                let arguments = self.arguments(list)?;
                let (arguments, ty) = self.unify(arguments, "GREATEST")?;
                // SQLite's max() is NULL if any argument is; PostgreSQL's ignores NULLs.
                let numeric = if ty.oid == Oid::NUMERIC { "numeric_" } else { "" };
                Typed::of(format!("towline_{numeric}{name}({})", join(&arguments)), ty)
            }
            "nullif" => {
                let mut arguments = self.arguments(list)?;
                let (Some(second), Some(first)) = (arguments.pop(), arguments.pop()) else {
                    return Err(super::syntax::syntax_error(")", None));
                };
                let first = self.settle(first)?;
                let ty = first.ty;
                let equal = self.compare(first.clone(), "=", second)?;
                Typed::of(format!("CASE WHEN {} THEN NULL ELSE {} END", equal.sql, first.sql), ty)
            }
            "row" => {
                let arguments = self.arguments(list)?;
                super::expression::row(arguments)
            }
            "grouping" => self.grouping_call(list)?,
            "current_timestamp" => Typed::plain("now()", Oid::TIMESTAMPTZ),
            "current_date" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                self.cast(now, Type::plain(Oid::DATE))?
            }
            "localtimestamp" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                self.cast(now, Type::plain(Oid::TIMESTAMP))?
            }
            "localtime" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                self.cast(now, Type::plain(Oid::TIME))?
            }
            "current_time" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                self.cast(now, Type::plain(Oid::TIMETZ))?
            }
            "user" | "current_user" | "session_user" | "current_role" | "current_catalog"
                if list.is_none() =>
            {
                self.call(name, Vec::new())?
            }
            "timezone" => {
                let mut arguments = self.arguments(list)?;
                let (Some(moment), Some(zone)) = (arguments.pop(), arguments.pop()) else {
                    return Err(super::syntax::syntax_error(")", None));
                };
                let zone = self.settle(zone)?;
                let moment = if moment.is_unknown() {
                    self.coerce(moment, Type::plain(Oid::TIMESTAMPTZ))?
                } else {
                    moment
                };
                timezone(zone, moment)?
            }
            "pg_typeof" => {
                let mut arguments = self.arguments(list)?;
                let Some(argument) = arguments.pop() else {
                    return Err(super::syntax::syntax_error(")", None));
                };
                Typed::plain(argument.oid().0.to_string(), Oid::REGTYPE)
            }
            "date" | "text" | "int4" | "int8" | "int2" | "float8" | "numeric" | "bool"
            | "timestamptz" | "timestamp" | "varchar" | "jsonb" | "json" | "regclass" | "uuid"
                if list.is_some_and(|list| list.args.len() == 1) =>
            {
                // A type's name called is a cast.
                let Some(oid) = types::by_name(name) else { return Ok(None) };
                let mut arguments = self.arguments(list)?;
                let Some(argument) = arguments.pop() else { return Ok(None) };
                self.cast(argument, Type::plain(oid))?
            }
            _ => return Ok(None),
        };
        Ok(Some(typed))
    }

    /// `ARRAY(SELECT …)`.
    fn array_subquery(&mut self, query: &sqlparser::ast::Query) -> Result<Typed, SqlError> {
        let query = self.subquery_named(query, &["value".to_owned()])?;
        let [column] = query.columns.as_slice() else {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "subquery must return only one column",
            ));
        };
        let value = Typed::of("value", column.ty);
        let oid = types::array_of(column.ty.oid).unwrap_or(Oid::TEXT_ARRAY);
        Ok(Typed::plain(
            format!(
                "(SELECT coalesce(array_agg({}), '{{}}') FROM ({}))",
                cast::array_element(&value),
                query.sql
            ),
            oid,
        )
        .named("array"))
    }

    /// A set-returning function in the select list: it moves to FROM.
    fn set_returning_call(&mut self, name: &str, call: &Function) -> Result<Typed, SqlError> {
        if !self.set_returning_allowed {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning function {name} is not allowed here"),
            ));
        }
        let list = match &call.args {
            FunctionArguments::List(list) => Some(list),
            _ => None,
        };
        let arguments = self.arguments(list)?;
        let alias = self.fresh_name("set");
        let source = self.set_source(name, arguments, &alias)?;
        self.set_returning.push(SetReturning { alias, sql: source.sql });
        match source.columns.as_slice() {
            [column] => Ok(column.clone().named(name)),
            // A function of several columns is one value here, with fields.
            columns => Ok(super::expression::row(columns.to_vec()).named(name)),
        }
    }

    pub(super) fn order_items(&mut self, order: &[OrderByExpr]) -> Result<String, SqlError> {
        let mut texts = Vec::with_capacity(order.len());
        for item in order {
            let typed = self.settled(&item.expr)?;
            texts.push(super::order::order_item(&typed, item)?);
        }
        Ok(texts.join(", "))
    }
}

/// A function of numbers refuses what is no number: SQLite would read one into it.
fn check_family(known: &Known, argument: &Typed) -> Result<(), SqlError> {
    let numbers = matches!(known.takes, Takes::Float | Takes::Int);
    let fits = match family(argument.oid()) {
        Family::Number | Family::Unknown => true,
        Family::Interval => matches!(known.name, "sum" | "avg" | "pg_sleep"),
        Family::String => known.name == "to_timestamp",
        Family::Boolean => false,
        Family::Reference => true,
        Family::Other => argument.oid() == Oid(3220),
        _ => false,
    };
    if !numbers || fits {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {}({}) does not exist", known.name, types::display_name(argument.oid())),
    )
    .with_hint(
        "No function matches the given name and argument types. You might need to add explicit \
         type casts.",
    ))
}

/// A set-returning function as SQLite's FROM takes it.
pub(super) struct SetSource {
    /// The table-valued function with its alias.
    pub sql: String,
    /// What it gives, as expressions over the alias.
    pub columns: Vec<Typed>,
    /// The row's number from 1.
    pub ordinality: String,
}

impl Translator<'_> {
    /// Spells a set-returning function.
    pub(super) fn set_source(
        &mut self,
        name: &str,
        arguments: Vec<Typed>,
        alias: &str,
    ) -> Result<SetSource, SqlError> {
        let wrong = || {
            Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist with these arguments"),
            ))
        };
        let counted = |columns: Vec<Typed>, sql: String| SetSource {
            sql,
            columns,
            ordinality: format!("({alias}.key + 1)"),
        };
        let mut arguments = arguments.into_iter();
        match name {
            "generate_series" => {
                let arguments: Vec<Typed> = arguments.collect();
                self.series(arguments, alias)
            }
            "unnest" => {
                let mut sources = Vec::new();
                for argument in arguments {
                    let argument = if argument.is_unknown() {
                        self.coerce(argument, Type::plain(Oid::TEXT_ARRAY))?
                    } else {
                        argument
                    };
                    sources.push(argument);
                }
                match sources.as_slice() {
                    [array] => {
                        let Some(element) = types::element_of(array.oid()) else { return wrong() };
                        let value = cast::array_row_value(element, alias);
                        Ok(counted(vec![value], cast::array_rows(array, element, alias)))
                    }
                    [] => wrong(),
                    arrays => self.unnest_together(arrays, alias),
                }
            }
            "pg_partition_ancestors" => {
                let Some(relation) = arguments.next() else { return wrong() };
                let relation = self.coerce(relation, Type::plain(Oid::REGCLASS))?;
                let sql = format!("pg_partition_ancestors({}) AS {alias}", relation.sql);
                let relid = Typed::plain(format!("{alias}.value"), Oid::REGCLASS).named("relid");
                Ok(SetSource { sql, columns: vec![relid], ordinality: format!("{alias}.rowid") })
            }
            "generate_subscripts" => {
                let Some(array) = arguments.next() else { return wrong() };
                let base =
                    if matches!(array.oid(), Oid::INT2VECTOR | Oid::OIDVECTOR) { 0 } else { 1 };
                let element = types::element_of(array.oid()).unwrap_or(Oid::TEXT);
                let value = Typed::plain(format!("({alias}.key + {base})"), Oid::INT4);
                Ok(counted(vec![value], cast::array_rows(&array, element, alias)))
            }
            "_pg_expandarray" => {
                let Some(array) = arguments.next() else { return wrong() };
                let element = types::element_of(array.oid()).unwrap_or(Oid::INT2);
                let x = cast::array_row_value(element, alias).named("x");
                let n = Typed::plain(format!("({alias}.key + 1)"), Oid::INT4).named("n");
                Ok(counted(vec![x, n], cast::array_rows(&array, element, alias)))
            }
            "json_array_elements"
            | "jsonb_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements_text" => {
                let oid = if name.starts_with("jsonb") { Oid::JSONB } else { Oid::JSON };
                let Some(json) = arguments.next() else { return wrong() };
                let json = self.coerce(json, Type::plain(oid))?;
                let value = if name.ends_with("_text") {
                    Typed::plain(
                        format!("towline_json_row_text({alias}.value, {alias}.type)"),
                        Oid::TEXT,
                    )
                } else {
                    Typed::plain(format!("towline_json_row({alias}.value, {alias}.type)"), oid)
                };
                let sql = format!("json_each(towline_json_array({})) AS {alias}", json.sql);
                Ok(counted(vec![value.named("value")], sql))
            }
            "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" => {
                let oid = if name.starts_with("jsonb") { Oid::JSONB } else { Oid::JSON };
                let Some(json) = arguments.next() else { return wrong() };
                let json = self.coerce(json, Type::plain(oid))?;
                let key = Typed::plain(format!("{alias}.key"), Oid::TEXT).named("key");
                let value = if name.ends_with("_text") {
                    Typed::plain(
                        format!("towline_json_row_text({alias}.value, {alias}.type)"),
                        Oid::TEXT,
                    )
                } else {
                    Typed::plain(format!("towline_json_row({alias}.value, {alias}.type)"), oid)
                };
                let sql = format!("json_each({}) AS {alias}", json.sql);
                Ok(SetSource {
                    sql,
                    columns: vec![key, value.named("value")],
                    ordinality: "NULL".to_owned(),
                })
            }
            "json_object_keys" | "jsonb_object_keys" => {
                let Some(json) = arguments.next() else { return wrong() };
                let json = self.coerce(json, Type::plain(Oid::JSONB))?;
                let key = Typed::plain(format!("{alias}.key"), Oid::TEXT);
                let sql = format!("json_each({}) AS {alias}", json.sql);
                Ok(SetSource { sql, columns: vec![key], ordinality: "NULL".to_owned() })
            }
            "regexp_split_to_table" | "string_to_table" | "regexp_matches" => {
                let mut texts = Vec::new();
                for argument in arguments {
                    texts.push(self.coerce(argument, Type::TEXT)?.sql);
                }
                let (function, oid) = match name {
                    "regexp_split_to_table" => ("regexp_split_to_array", Oid::TEXT),
                    "string_to_table" => ("string_to_array", Oid::TEXT),
                    _ => ("towline_regexp_matches", Oid::TEXT_ARRAY),
                };
                let sql = format!(
                    "json_each(towline_array_json({function}({}), 'text')) AS {alias}",
                    texts.join(", ")
                );
                Ok(counted(vec![Typed::plain(format!("{alias}.value"), oid)], sql))
            }
            _ => wrong(),
        }
    }

    fn series(&mut self, arguments: Vec<Typed>, alias: &str) -> Result<SetSource, SqlError> {
        let count = arguments.len();
        let mut oid = Oid::UNKNOWN;
        for argument in arguments.iter().take(2) {
            oid = types::common(oid, argument.oid()).unwrap_or(Oid::INT4);
        }
        if !(2..=3).contains(&count) {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                "function generate_series takes two or three arguments",
            ));
        }
        if types::is_unknown(oid) {
            oid = Oid::INT4;
        }
        let moments = family(oid) == Family::DateTime;
        if oid == Oid::DATE {
            oid = Oid::TIMESTAMPTZ;
        }
        let mut texts = Vec::new();
        for (at, argument) in arguments.into_iter().enumerate() {
            let wanted = if moments && at == 2 { Oid::INTERVAL } else { oid };
            texts.push(self.coerce(argument, Type::plain(wanted))?.sql);
        }
        let function = if moments {
            "towline_generate_timestamps"
        } else if oid == Oid::NUMERIC {
            "towline_generate_numerics"
        } else {
            "generate_series"
        };
        let first = texts[0].clone();
        let step = texts.get(2).cloned().unwrap_or_else(|| "1".to_owned());
        let value = format!("{alias}.value");
        let ordinality = format!("(({value} - ({first})) / ({step}) + 1)");
        Ok(SetSource {
            sql: format!("{function}({}) AS {alias}", texts.join(", ")),
            columns: vec![Typed::plain(value, oid)],
            ordinality,
        })
    }

    /// `unnest(a, b, …)`: side by side, the shorter padded with NULL.
    fn unnest_together(&mut self, arrays: &[Typed], alias: &str) -> Result<SetSource, SqlError> {
        let mut columns = Vec::new();
        let mut texts = Vec::new();
        for (at, array) in arrays.iter().enumerate() {
            let element = types::element_of(array.oid()).unwrap_or(Oid::TEXT);
            // One JSON array of arrays, a row each; fields are read by position.
            let field = format!("towline_row_field({alias}.value, {at})");
            columns.push(cast::from_array_element(field, element));
            texts.push(array.sql.clone());
        }
        Ok(SetSource {
            sql: format!("json_each(towline_arrays_json({})) AS {alias}", texts.join(", ")),
            columns,
            ordinality: format!("({alias}.key + 1)"),
        })
    }
}

impl Translator<'_> {
    /// The sequence functions go by the stored name; PostgreSQL's take a regclass.
    fn sequence_name(&self, argument: Typed) -> Typed {
        if let Form::Text(text) = &argument.form {
            return Typed::plain(names::quote_literal(&self.sequence_meant(text)), Oid::TEXT);
        }
        if argument.oid() == Oid::REGCLASS {
            // `'s'::regclass` of a literal needs no look-up.
            let literal = argument
                .sql
                .strip_prefix("towline_regclass('")
                .and_then(|rest| rest.strip_suffix("')"));
            if let Some(literal) = literal.filter(|literal| !literal.contains('\'')) {
                return Typed::plain(
                    names::quote_literal(&self.sequence_meant(literal)),
                    Oid::TEXT,
                );
            }
            return Typed::plain(format!("towline_text_regclass({})", argument.sql), Oid::TEXT);
        }
        argument
    }

    /// The stored name that a written one means: of a sequence that is there, or that
    /// the statement makes.
    fn sequence_meant(&self, written: &str) -> String {
        let Ok((schema, name)) = self.qualified_parts(parts_of_written(written)) else {
            return written.to_owned();
        };
        self.find_sequence(schema.as_deref(), &name).unwrap_or_else(|| {
            let schema = schema.as_deref().unwrap_or(PUBLIC);
            self.context.catalog.stored_name(schema, &name)
        })
    }
}

/// A function's name without its schema; schemas other than the system's have none.
pub(super) fn function_name(name: &ObjectName) -> Result<String, SqlError> {
    let parts = names::parts(name);
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name]
            if matches!(schema.as_str(), "pg_catalog" | "public" | "information_schema") =>
        {
            Ok(name.clone())
        }
        [schema, _] => Err(SqlError::new(
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{schema}\" does not exist"),
        )),
        _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, "improper qualified name")),
    }
}

/// Arguments as SQL, separated by commas.
pub(super) fn join(arguments: &[Typed]) -> String {
    let texts: Vec<&str> = arguments.iter().map(|argument| argument.sql.as_str()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_of_name() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} < {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn sqlites_functions_are_in_order() {
        assert!(SQLITES.is_sorted());
    }
}
