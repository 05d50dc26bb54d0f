//! Which functions there are: what each returns, what its untyped arguments are taken
//! for, and which SQLite function answers for it.
//!
//! Most go by PostgreSQL's own name. Where SQLite has a different function of that name,
//! the table names the one that answers instead.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Value};

use super::names;
use crate::pg::{Oid, SqlError, SqlState};

/// What a function returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Returns {
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
    /// bytea of bytea, bit of bits, else text.
    Part,
    /// float8, or numeric for numeric.
    FloatOrNumeric,
    /// numeric for integers and numeric, else float8.
    NumericOrFloat,
}

/// What an untyped argument is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    /// text everywhere.
    Text,
    /// text first, int4 after.
    TextInts,
    Float,
    Int,
    /// An array of text.
    TextArray,
    /// json or jsonb, as the function's name says, then text.
    JsonTexts,
    /// jsonb, jsonpath, jsonb, bool.
    JsonPath,
    /// jsonb, an array of text, jsonb, bool, text.
    JsonChange,
    /// Arrays of text everywhere.
    TextArrays,
    Timestamp,
    Json,
    /// bytea first, text after.
    Bytes,
    /// interval first, timestamptz after.
    Bin,
    /// A value first, arrays of int4 after.
    Fill,
    /// Anything stays as it is.
    Any,
}

pub(super) struct Known {
    pub(super) name: &'static str,
    /// What SQLite calls it; empty: the same.
    pub(super) sqlite: &'static str,
    pub(super) returns: Returns,
    pub(super) takes: Takes,
    pub(super) aggregate: bool,
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

const PATH: &[&str] = &["target", "path", "vars", "silent"];

/// Functions whose arguments may be named, and these names.
const NAMED: &[(&str, &[&str])] = &[
    ("jsonb_insert", &["jsonb_in", "path", "replacement", "insert_after"]),
    ("jsonb_path_exists", PATH),
    ("jsonb_path_exists_tz", PATH),
    ("jsonb_path_match", PATH),
    ("jsonb_path_match_tz", PATH),
    ("jsonb_path_query", PATH),
    ("jsonb_path_query_array", PATH),
    ("jsonb_path_query_array_tz", PATH),
    ("jsonb_path_query_first", PATH),
    ("jsonb_path_query_first_tz", PATH),
    ("jsonb_path_query_tz", PATH),
    ("jsonb_set", &["jsonb_in", "path", "replacement", "create_if_missing"]),
    (
        "jsonb_set_lax",
        &["jsonb_in", "path", "replacement", "create_if_missing", "null_value_treatment"],
    ),
    ("make_date", &["year", "month", "day"]),
    ("make_interval", &["years", "months", "weeks", "days", "hours", "mins", "secs"]),
    ("make_time", &["hour", "min", "sec"]),
    ("make_timestamp", &["year", "month", "mday", "hour", "min", "sec"]),
    ("make_timestamptz", &["year", "month", "mday", "hour", "min", "sec", "timezone"]),
    ("parse_ident", &["str", "strict"]),
];

/// The arguments of a call that names some, in order of their places; `None` if it names
/// none.
pub(super) fn by_position(
    function: &str,
    arguments: &[FunctionArg],
) -> Option<Result<Vec<Expr>, SqlError>> {
    let is_named = |argument: &FunctionArg| !matches!(argument, FunctionArg::Unnamed(_));
    arguments.iter().any(is_named).then(|| placed(function, arguments))
}

fn placed(function: &str, arguments: &[FunctionArg]) -> Result<Vec<Expr>, SqlError> {
    let undefined = || {
        SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {function} has no such named arguments"),
        )
    };
    let (_, names) = NAMED.iter().find(|(name, _)| *name == function).ok_or_else(undefined)?;
    let mut given: Vec<Option<Expr>> = vec![None; names.len()];
    for (at, argument) in arguments.iter().enumerate() {
        let (at, expr) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (Some(at), expr),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                ..
            } => {
                let name = names::fold(name);
                (names.iter().position(|known| *known == name), expr)
            }
            _ => return Err(undefined()),
        };
        let slot = at.and_then(|at| given.get_mut(at)).ok_or_else(undefined)?;
        *slot = Some(expr.clone());
    }
    let last = given.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
    let given = given.into_iter().zip(*names).take(last);
    Ok(given.map(|(expr, name)| expr.unwrap_or_else(|| default(name))).collect())
}

/// What an argument is that is left out.
fn default(name: &str) -> Expr {
    Expr::value(match name {
        "create_if_missing" => Value::Boolean(true),
        "vars" => Value::SingleQuotedString("{}".to_owned()),
        _ => Value::Number("0".to_owned(), false),
    })
}

const fn of(oid: Oid) -> Returns {
    Returns::Oid(oid)
}

/// In order of name.
#[rustfmt::skip]
const FUNCTIONS: &[Known] = &[
    known("abs", "towline_abs", Returns::Argument(0), Takes::Float),
    known("acldefault", "", of(Oid(1034)), Takes::Any),
    known("acos", "", of(Oid::FLOAT8), Takes::Float),
    known("acosd", "", of(Oid::FLOAT8), Takes::Float),
    known("acosh", "towline_acosh", of(Oid::FLOAT8), Takes::Float),
    known("age", "", of(Oid::INTERVAL), Takes::Timestamp),
    aggregate("array_agg", "", Returns::ArrayOf, Takes::Text),
    known("array_append", "", Returns::Argument(0), Takes::Any),
    known("array_cat", "", Returns::Argument(0), Takes::Any),
    known("array_dims", "", of(Oid::TEXT), Takes::TextArray),
    known("array_fill", "", Returns::ArrayOf, Takes::Fill),
    known("array_length", "", of(Oid::INT4), Takes::TextArray),
    known("array_lower", "", of(Oid::INT4), Takes::TextArray),
    known("array_ndims", "", of(Oid::INT4), Takes::TextArray),
    known("array_position", "", of(Oid::INT4), Takes::TextArray),
    known("array_positions", "", of(Oid::INT4_ARRAY), Takes::TextArray),
    known("array_prepend", "", Returns::Argument(1), Takes::Any),
    known("array_remove", "", Returns::Argument(0), Takes::TextArray),
    known("array_replace", "", Returns::Argument(0), Takes::TextArray),
    known("array_to_string", "", of(Oid::TEXT), Takes::TextArray),
    known("array_upper", "", of(Oid::INT4), Takes::TextArray),
    known("ascii", "", of(Oid::INT4), Takes::Text),
    known("asin", "", of(Oid::FLOAT8), Takes::Float),
    known("asind", "", of(Oid::FLOAT8), Takes::Float),
    known("asinh", "towline_asinh", of(Oid::FLOAT8), Takes::Float),
    known("atan", "towline_atan", of(Oid::FLOAT8), Takes::Float),
    known("atan2", "towline_atan2", of(Oid::FLOAT8), Takes::Float),
    known("atan2d", "", of(Oid::FLOAT8), Takes::Float),
    known("atand", "", of(Oid::FLOAT8), Takes::Float),
    known("atanh", "towline_atanh", of(Oid::FLOAT8), Takes::Float),
    aggregate("avg", "", Returns::Average, Takes::Float),
    aggregate("bit_and", "", Returns::Argument(0), Takes::Int),
    known("bit_count", "", of(Oid::INT8), Takes::Bytes),
    known("bit_length", "", of(Oid::INT4), Takes::Text),
    aggregate("bit_or", "", Returns::Argument(0), Takes::Int),
    aggregate("bit_xor", "", Returns::Argument(0), Takes::Int),
    aggregate("bool_and", "", of(Oid::BOOL), Takes::Any),
    aggregate("bool_or", "", of(Oid::BOOL), Takes::Any),
    known("btrim", "", Returns::Part, Takes::Text),
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
    aggregate("corr", "", of(Oid::FLOAT8), Takes::Float),
    known("cos", "towline_cos", of(Oid::FLOAT8), Takes::Float),
    known("cosd", "", of(Oid::FLOAT8), Takes::Float),
    known("cosh", "towline_cosh", of(Oid::FLOAT8), Takes::Float),
    known("cot", "", of(Oid::FLOAT8), Takes::Float),
    known("cotd", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("count", "", of(Oid::INT8), Takes::Text),
    aggregate("covar_pop", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("covar_samp", "", of(Oid::FLOAT8), Takes::Float),
    known("cume_dist", "", of(Oid::FLOAT8), Takes::Any),
    known("current_catalog", "current_database", of(Oid::NAME), Takes::Any),
    known("current_database", "", of(Oid::NAME), Takes::Any),
    known("current_role", "current_user", of(Oid::NAME), Takes::Any),
    known("current_schema", "", of(Oid::NAME), Takes::Any),
    known("current_schemas", "", of(Oid::NAME_ARRAY), Takes::Any),
    known("current_setting", "", of(Oid::TEXT), Takes::Text),
    known("current_user", "", of(Oid::NAME), Takes::Any),
    known("currval", "", of(Oid::INT8), Takes::Text),
    known("date_bin", "", Returns::Argument(1), Takes::Bin),
    known("date_part", "", of(Oid::FLOAT8), Takes::Timestamp),
    known("date_trunc", "", Returns::Argument(1), Takes::Timestamp),
    known("decode", "", of(Oid::BYTEA), Takes::Text),
    known("degrees", "towline_degrees", of(Oid::FLOAT8), Takes::Float),
    known("dense_rank", "", of(Oid::INT8), Takes::Any),
    known("digest", "", of(Oid::BYTEA), Takes::Text),
    known("div", "", of(Oid::NUMERIC), Takes::Float),
    known("encode", "", of(Oid::TEXT), Takes::Bytes),
    aggregate("every", "bool_and", of(Oid::BOOL), Takes::Any),
    known("exp", "towline_exp", Returns::FloatOrNumeric, Takes::Float),
    known("factorial", "", of(Oid::NUMERIC), Takes::Int),
    known("first_value", "", Returns::Argument(0), Takes::Text),
    known("floor", "towline_floor", Returns::NumericOrFloat, Takes::Float),
    known("format", "towline_format", of(Oid::TEXT), Takes::Text),
    known("format_type", "", of(Oid::TEXT), Takes::Int),
    known("gcd", "", Returns::Common, Takes::Int),
    known("gen_random_bytes", "", of(Oid::BYTEA), Takes::Int),
    known("gen_random_uuid", "", of(Oid::UUID), Takes::Any),
    known("get_bit", "", of(Oid::INT4), Takes::Bytes),
    known("get_byte", "", of(Oid::INT4), Takes::Bytes),
    known("getdatabaseencoding", "", of(Oid::NAME), Takes::Any),
    known("has_any_column_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_column_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_database_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_function_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_schema_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_sequence_privilege", "", of(Oid::BOOL), Takes::Text),
    known("has_table_privilege", "", of(Oid::BOOL), Takes::Text),
    known("hmac", "", of(Oid::BYTEA), Takes::Text),
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
    known("json_extract_path", "", of(Oid::JSON), Takes::JsonTexts),
    known("json_extract_path_text", "", of(Oid::TEXT), Takes::JsonTexts),
    known("json_object", "towline_json_object_of", of(Oid::JSON), Takes::TextArrays),
    aggregate("json_object_agg", "", of(Oid::JSON), Takes::Text),
    known("json_strip_nulls", "", of(Oid::JSON), Takes::Json),
    known("json_typeof", "", of(Oid::TEXT), Takes::Json),
    aggregate("jsonb_agg", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_array_length", "towline_json_array_length", of(Oid::INT4), Takes::Json),
    known("jsonb_build_array", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_build_object", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_extract_path", "", of(Oid::JSONB), Takes::JsonTexts),
    known("jsonb_extract_path_text", "", of(Oid::TEXT), Takes::JsonTexts),
    known("jsonb_insert", "towline_jsonb_insert", of(Oid::JSONB), Takes::JsonChange),
    known("jsonb_object", "towline_jsonb_object_of", of(Oid::JSONB), Takes::TextArrays),
    aggregate("jsonb_object_agg", "", of(Oid::JSONB), Takes::Text),
    known("jsonb_path_exists", "", of(Oid::BOOL), Takes::JsonPath),
    known("jsonb_path_exists_tz", "jsonb_path_exists", of(Oid::BOOL), Takes::JsonPath),
    known("jsonb_path_match", "", of(Oid::BOOL), Takes::JsonPath),
    known("jsonb_path_match_tz", "jsonb_path_match", of(Oid::BOOL), Takes::JsonPath),
    known("jsonb_path_query_array", "", of(Oid::JSONB), Takes::JsonPath),
    known("jsonb_path_query_array_tz", "jsonb_path_query_array", of(Oid::JSONB), Takes::JsonPath),
    known("jsonb_path_query_first", "", of(Oid::JSONB), Takes::JsonPath),
    known("jsonb_path_query_first_tz", "jsonb_path_query_first", of(Oid::JSONB), Takes::JsonPath),
    known("jsonb_pretty", "", of(Oid::TEXT), Takes::Json),
    known("jsonb_set", "towline_jsonb_set", of(Oid::JSONB), Takes::JsonChange),
    known("jsonb_set_lax", "towline_jsonb_set_lax", of(Oid::JSONB), Takes::JsonChange),
    known("jsonb_strip_nulls", "", of(Oid::JSONB), Takes::Json),
    known("jsonb_typeof", "", of(Oid::TEXT), Takes::Json),
    known("justify_days", "", of(Oid::INTERVAL), Takes::Any),
    known("justify_hours", "", of(Oid::INTERVAL), Takes::Any),
    known("justify_interval", "", of(Oid::INTERVAL), Takes::Any),
    known("lag", "", Returns::Argument(0), Takes::Any),
    known("last_value", "", Returns::Argument(0), Takes::Text),
    known("lastval", "", of(Oid::INT8), Takes::Any),
    known("lcm", "", Returns::Common, Takes::Int),
    known("lead", "", Returns::Argument(0), Takes::Any),
    known("left", "", of(Oid::TEXT), Takes::TextInts),
    known("length", "", of(Oid::INT4), Takes::Text),
    known("like_escape", "", of(Oid::TEXT), Takes::Text),
    known("ln", "towline_ln", Returns::FloatOrNumeric, Takes::Float),
    known("localtimestamp", "", of(Oid::TIMESTAMP), Takes::Any),
    known("log", "towline_log", Returns::FloatOrNumeric, Takes::Float),
    known("log10", "towline_log", Returns::FloatOrNumeric, Takes::Float),
    known("lower", "", of(Oid::TEXT), Takes::Text),
    known("lpad", "", of(Oid::TEXT), Takes::TextInts),
    known("ltrim", "", Returns::Part, Takes::Text),
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
    known("overlay", "", Returns::Part, Takes::Any),
    known("parse_ident", "", of(Oid::TEXT_ARRAY), Takes::Text),
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
    known("pg_get_function_sqlbody", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_functiondef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_indexdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_partkeydef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_ruledef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_serial_sequence", "", of(Oid::TEXT), Takes::Text),
    known("pg_get_statisticsobjdef_columns", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_triggerdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_get_userbyid", "", of(Oid::NAME), Takes::Any),
    known("pg_get_viewdef", "", of(Oid::TEXT), Takes::Any),
    known("pg_has_role", "", of(Oid::BOOL), Takes::Any),
    known("pg_index_column_has_property", "", of(Oid::BOOL), Takes::Any),
    known("pg_index_has_property", "", of(Oid::BOOL), Takes::Any),
    known("pg_indexam_has_property", "", of(Oid::BOOL), Takes::Any),
    known("pg_indexes_size", "", of(Oid::INT8), Takes::Any),
    known("pg_is_in_recovery", "", of(Oid::BOOL), Takes::Any),
    known("pg_is_other_temp_schema", "", of(Oid::BOOL), Takes::Any),
    known("pg_is_wal_replay_paused", "", of(Oid::BOOL), Takes::Any),
    known("pg_last_wal_receive_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_last_wal_replay_lsn", "", of(Oid(3220)), Takes::Any),
    known("pg_last_xact_replay_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("pg_my_temp_schema", "", of(Oid::OID), Takes::Any),
    known("pg_notification_queue_usage", "", of(Oid::FLOAT8), Takes::Any),
    known("pg_notify", "", of(Oid::VOID), Takes::Text),
    known("pg_opclass_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_operator_is_visible", "", of(Oid::BOOL), Takes::Any),
    known("pg_postmaster_start_time", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("pg_relation_filenode", "", of(Oid::OID), Takes::Any),
    known("pg_relation_is_publishable", "", of(Oid::BOOL), Takes::Any),
    known("pg_relation_size", "", of(Oid::INT8), Takes::Any),
    known("pg_reload_conf", "", of(Oid::BOOL), Takes::Any),
    known("pg_size_pretty", "", of(Oid::TEXT), Takes::Int),
    known("pg_sleep", "", of(Oid::VOID), Takes::Float),
    known("pg_stat_clear_snapshot", "", of(Oid::VOID), Takes::Any),
    known("pg_stat_reset", "", of(Oid::VOID), Takes::Any),
    known("pg_stat_reset_shared", "", of(Oid::VOID), Takes::Text),
    known("pg_stat_reset_single_table_counters", "", of(Oid::VOID), Takes::Any),
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
    known("radians", "towline_radians", of(Oid::FLOAT8), Takes::Float),
    known("random", "towline_random", of(Oid::FLOAT8), Takes::Any),
    known("rank", "", of(Oid::INT8), Takes::Any),
    known("regexp_count", "", of(Oid::INT4), Takes::Text),
    known("regexp_instr", "", of(Oid::INT4), Takes::Text),
    known("regexp_like", "", of(Oid::BOOL), Takes::Text),
    known("regexp_match", "", of(Oid::TEXT_ARRAY), Takes::Text),
    known("regexp_replace", "", of(Oid::TEXT), Takes::Text),
    known("regexp_split_to_array", "", of(Oid::TEXT_ARRAY), Takes::Text),
    known("regexp_substr", "", of(Oid::TEXT), Takes::Text),
    aggregate("regr_avgx", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_avgy", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_count", "", of(Oid::INT8), Takes::Float),
    aggregate("regr_intercept", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_r2", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_slope", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_sxx", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_sxy", "", of(Oid::FLOAT8), Takes::Float),
    aggregate("regr_syy", "", of(Oid::FLOAT8), Takes::Float),
    known("repeat", "", of(Oid::TEXT), Takes::TextInts),
    known("replace", "", of(Oid::TEXT), Takes::Text),
    known("reverse", "", of(Oid::TEXT), Takes::Text),
    known("right", "", of(Oid::TEXT), Takes::TextInts),
    known("round", "towline_round", Returns::NumericOrFloat, Takes::Float),
    known("row_number", "", of(Oid::INT8), Takes::Any),
    known("row_to_json", "to_json", of(Oid::JSON), Takes::Any),
    known("rpad", "", of(Oid::TEXT), Takes::TextInts),
    known("rtrim", "", Returns::Part, Takes::Text),
    known("scale", "", of(Oid::INT4), Takes::Float),
    known("session_user", "", of(Oid::NAME), Takes::Any),
    known("set_bit", "", Returns::Part, Takes::Bytes),
    known("set_byte", "", of(Oid::BYTEA), Takes::Bytes),
    known("set_config", "", of(Oid::TEXT), Takes::Text),
    known("setseed", "", of(Oid::VOID), Takes::Float),
    known("setval", "", of(Oid::INT8), Takes::Text),
    known("sha224", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha256", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha384", "", of(Oid::BYTEA), Takes::Bytes),
    known("sha512", "", of(Oid::BYTEA), Takes::Bytes),
    known("shobj_description", "", of(Oid::TEXT), Takes::Any),
    known("sign", "towline_sign", Returns::NumericOrFloat, Takes::Float),
    known("similar_to_escape", "", of(Oid::TEXT), Takes::Text),
    known("sin", "towline_sin", of(Oid::FLOAT8), Takes::Float),
    known("sind", "", of(Oid::FLOAT8), Takes::Float),
    known("sinh", "towline_sinh", of(Oid::FLOAT8), Takes::Float),
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
    known("substr", "substring", Returns::Part, Takes::TextInts),
    known("substring", "", Returns::Part, Takes::TextInts),
    aggregate("sum", "", Returns::Sum, Takes::Float),
    known("tan", "towline_tan", of(Oid::FLOAT8), Takes::Float),
    known("tand", "", of(Oid::FLOAT8), Takes::Float),
    known("tanh", "towline_tanh", of(Oid::FLOAT8), Takes::Float),
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
    known("to_regprocedure", "", of(Oid::REGPROCEDURE), Takes::Text),
    known("to_regrole", "", of(Oid(4096)), Takes::Text),
    known("to_regtype", "", of(Oid::REGTYPE), Takes::Text),
    known("to_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Float),
    aggregate("towline_array_json_agg", "", of(Oid::JSON), Takes::Any),
    aggregate("towline_array_json_lines", "", of(Oid::JSON), Takes::Any),
    known("transaction_timestamp", "", of(Oid::TIMESTAMPTZ), Takes::Any),
    known("translate", "", of(Oid::TEXT), Takes::Text),
    known("trim_array", "", Returns::Argument(0), Takes::TextArray),
    known("trim_scale", "", of(Oid::NUMERIC), Takes::Float),
    known("trunc", "towline_trunc", Returns::NumericOrFloat, Takes::Float),
    known("txid_current", "", of(Oid::INT8), Takes::Any),
    known("unistr", "towline_unistr", of(Oid::TEXT), Takes::Text),
    known("upper", "", of(Oid::TEXT), Takes::Text),
    known("user", "current_user", of(Oid::NAME), Takes::Any),
    known("uuid_generate_v1", "", of(Oid::UUID), Takes::Any),
    known("uuid_generate_v1mc", "", of(Oid::UUID), Takes::Any),
    known("uuid_generate_v3", "", of(Oid::UUID), Takes::Text),
    known("uuid_generate_v4", "", of(Oid::UUID), Takes::Any),
    known("uuid_generate_v5", "", of(Oid::UUID), Takes::Text),
    known("uuid_nil", "", of(Oid::UUID), Takes::Any),
    known("uuid_ns_dns", "", of(Oid::UUID), Takes::Any),
    known("uuid_ns_oid", "", of(Oid::UUID), Takes::Any),
    known("uuid_ns_url", "", of(Oid::UUID), Takes::Any),
    known("uuid_ns_x500", "", of(Oid::UUID), Takes::Any),
    aggregate("var_pop", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("var_samp", "", Returns::NumericOrFloat, Takes::Float),
    aggregate("variance", "", Returns::NumericOrFloat, Takes::Float),
    known("version", "", of(Oid::TEXT), Takes::Any),
    known("width_bucket", "", of(Oid::INT4), Takes::Float),
];

pub(super) fn lookup(name: &str) -> Option<&'static Known> {
    FUNCTIONS.binary_search_by_key(&name, |known| known.name).ok().map(|at| &FUNCTIONS[at])
}

/// SQLite's own functions, which PostgreSQL doesn't have, in order of name.
#[rustfmt::skip]
const SQLITES: &[&str] = &[
    "changes", "char", "date", "datetime", "glob", "group_concat", "hex", "ifnull", "iif", "instr",
    "json", "json_array", "json_error_position", "json_extract", "json_group_array",
    "json_group_object", "json_insert", "json_patch", "json_quote", "json_remove",
    "json_replace", "json_set", "json_type", "json_valid", "julianday", "last_insert_rowid", "like",
    "likelihood", "likely", "log2", "octet_length", "printf", "quote", "randomblob", "soundex",
    "sqlite_source_id", "sqlite_version", "strftime", "time", "timediff", "total", "total_changes",
    "typeof", "unhex", "unicode", "unixepoch", "unlikely", "zeroblob",
];

/// Whether SQLite, or the catalog's own part, answers a call that the table above
/// does not list.
pub(super) fn is_sqlites(name: &str) -> bool {
    SQLITES.binary_search(&name).is_ok() || name.starts_with("pg_") || name.starts_with("towline_")
}

/// Whether `name` is an aggregate.
pub(super) fn is_aggregate(name: &str) -> bool {
    lookup(name).is_some_and(|known| known.aggregate)
}

/// Whether `name` is a function of windows alone.
pub(super) fn is_window(name: &str) -> bool {
    matches!(
        name,
        "cume_dist"
            | "dense_rank"
            | "first_value"
            | "lag"
            | "last_value"
            | "lead"
            | "nth_value"
            | "ntile"
            | "percent_rank"
            | "rank"
            | "row_number"
    )
}

/// Aggregates over the order of WITHIN GROUP.
pub(super) fn is_ordered_set(name: &str) -> bool {
    matches!(name, "mode" | "percentile_cont" | "percentile_disc")
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
