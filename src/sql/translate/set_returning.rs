//! Functions that give rows, in FROM and in the select list.

use sqlparser::ast::{Expr, Function, FunctionArguments};

use super::place::{Place, check_plain};
use super::{SetReturning, Translator, Typed, cast, grouping, known, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, family};

/// Whether an expression gives rows, subqueries apart.
pub(super) fn returns_set(expr: &Expr) -> bool {
    grouping::holds(expr, &|expr| {
        matches!(expr, Expr::Function(call)
            if names::last(&call.name).is_some_and(|name| is_set_returning(&name)))
    })
}

/// Functions that give rows; they stand in FROM, or move there from the select list.
pub(in crate::sql) fn is_set_returning(name: &str) -> bool {
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
            | "jsonb_path_query"
            | "jsonb_path_query_tz"
            | "regexp_matches"
            | "regexp_split_to_table"
            | "string_to_table"
            | "_pg_expandarray"
            | "aclexplode"
            | "pg_get_keywords"
            | "pg_options_to_table"
            | "pg_partition_ancestors"
    )
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

/// The value of a row of SQLite's `json_each`, over the texts of JSON values, as `name`
/// gives it: as text or as JSON.
fn json_value(name: &str, json: Oid, alias: &str) -> Typed {
    match name.ends_with("_text") {
        true => Typed::plain(format!("towline_json_text({alias}.value)"), Oid::TEXT),
        false => Typed::plain(format!("{alias}.value"), json),
    }
}

/// The fields of the JSON arrays that are a `json_each`'s values.
fn fields(alias: &str, fields: &[(&str, Oid)]) -> Vec<Typed> {
    let field = |(at, (name, oid)): (usize, &(&str, Oid))| {
        let field = format!("towline_row_field({alias}.value, {at})");
        cast::from_array_element(field, *oid).named(*name)
    };
    fields.iter().enumerate().map(field).collect()
}

/// `aclitem[]`.
const ACL: Oid = Oid(1034);

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
                        let Some(element) = self.element_of(array.ty) else { return wrong() };
                        let value = cast::array_row_value(element.oid, alias);
                        let value = Typed { ty: element, ..value };
                        Ok(counted(vec![value], cast::array_rows(array, element.oid, alias)))
                    }
                    [] => wrong(),
                    arrays => self.unnest_together(arrays, alias),
                }
            }
            "pg_options_to_table" => {
                let Some(options) = arguments.next() else { return wrong() };
                let options = self.coerce(options, Type::plain(Oid::TEXT_ARRAY))?;
                // Each is `name=value`.
                let equals = format!("instr({alias}.value, '=')");
                let name = format!("substr({alias}.value, 1, {equals} - 1)");
                let value = format!("substr({alias}.value, {equals} + 1)");
                let columns = vec![
                    Typed::plain(name, Oid::TEXT).named("option_name"),
                    Typed::plain(value, Oid::TEXT).named("option_value"),
                ];
                Ok(counted(columns, cast::array_rows(&options, Oid::TEXT, alias)))
            }
            "pg_get_keywords" => {
                let columns = fields(
                    alias,
                    &[
                        ("word", Oid::TEXT),
                        ("catcode", Oid::CHAR),
                        ("barelabel", Oid::BOOL),
                        ("catdesc", Oid::TEXT),
                        ("baredesc", Oid::TEXT),
                    ],
                );
                Ok(counted(columns, format!("json_each(towline_keywords()) AS {alias}")))
            }
            "aclexplode" => {
                let Some(acl) = arguments.next() else { return wrong() };
                let acl = self.coerce(acl, Type::plain(ACL))?;
                let columns = fields(
                    alias,
                    &[
                        ("grantor", Oid::OID),
                        ("grantee", Oid::OID),
                        ("privilege_type", Oid::TEXT),
                        ("is_grantable", Oid::BOOL),
                    ],
                );
                let sql = format!("json_each(towline_acl_rows({})) AS {alias}", acl.sql);
                Ok(counted(columns, sql))
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
                let value = json_value(name, oid, alias);
                let sql =
                    format!("json_each(towline_json_elements({}, '{name}')) AS {alias}", json.sql);
                Ok(counted(vec![value.named("value")], sql))
            }
            "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" => {
                let oid = if name.starts_with("jsonb") { Oid::JSONB } else { Oid::JSON };
                let Some(json) = arguments.next() else { return wrong() };
                let json = self.coerce(json, Type::plain(oid))?;
                let key = Typed::plain(format!("{alias}.key"), Oid::TEXT).named("key");
                let value = json_value(name, oid, alias);
                let sql =
                    format!("json_each(towline_json_members({}, '{name}')) AS {alias}", json.sql);
                Ok(SetSource {
                    sql,
                    columns: vec![key, value.named("value")],
                    ordinality: "NULL".to_owned(),
                })
            }
            "json_object_keys" | "jsonb_object_keys" => {
                let Some(json) = arguments.next() else { return wrong() };
                let oid = if name.starts_with("jsonb") { Oid::JSONB } else { Oid::JSON };
                let json = self.coerce(json, Type::plain(oid))?;
                let key = Typed::plain(format!("{alias}.key"), Oid::TEXT);
                let sql =
                    format!("json_each(towline_json_members({}, '{name}')) AS {alias}", json.sql);
                Ok(SetSource { sql, columns: vec![key], ordinality: "NULL".to_owned() })
            }
            "jsonb_path_query" | "jsonb_path_query_tz" => {
                let kinds = [Oid::JSONB, Oid::JSONPATH, Oid::JSONB, Oid::BOOL];
                let mut texts = Vec::new();
                for (argument, oid) in arguments.zip(kinds) {
                    texts.push(self.coerce(argument, Type::plain(oid))?.sql);
                }
                let query = format!("towline_jsonb_path_query({})", texts.join(", "));
                let value = Typed::plain(format!("{alias}.value"), Oid::JSONB);
                Ok(counted(vec![value], format!("json_each({query}) AS {alias}")))
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
        let zone = if oid == Oid::TIMESTAMPTZ { self.zone_argument() } else { String::new() };
        let function = if moments {
            "towline_generate_timestamps"
        } else if oid == Oid::NUMERIC {
            "towline_generate_numerics"
        } else {
            "generate_series"
        };
        let value = format!("{alias}.value");
        Ok(SetSource {
            sql: format!("{function}({}{zone}) AS {alias}", texts.join(", ")),
            columns: vec![Typed::plain(value, oid)],
            ordinality: format!("{alias}.rowid"),
        })
    }

    /// `unnest(a, b, …)`: side by side, the shorter padded with NULL.
    fn unnest_together(&mut self, arrays: &[Typed], alias: &str) -> Result<SetSource, SqlError> {
        let mut columns = Vec::new();
        let mut texts = Vec::new();
        for (at, array) in arrays.iter().enumerate() {
            let element = self.element_of(array.ty).unwrap_or(Type::TEXT);
            // One JSON array of arrays, a row each; fields are read by position.
            let field = format!("towline_row_field({alias}.value, {at})");
            columns.push(Typed { ty: element, ..cast::from_array_element(field, element.oid) });
            texts.push(array.sql.clone());
        }
        Ok(SetSource {
            sql: format!("json_each(towline_arrays_json({})) AS {alias}", texts.join(", ")),
            columns,
            ordinality: format!("({alias}.key + 1)"),
        })
    }

    /// A set-returning function in the select list: it moves to FROM.
    pub(super) fn set_returning_call(
        &mut self,
        name: &str,
        call: &Function,
    ) -> Result<Typed, SqlError> {
        check_plain(name, call).map_err(|error| self.at_call(error, call))?;
        if let Some(error) = self.place.refuses_rows(name) {
            return Err(self.at_call(error, call));
        }
        let list = match &call.args {
            FunctionArguments::List(list) => Some(list),
            _ => None,
        };
        let arguments = self.standing(Place::Rows, |this| {
            match list.and_then(|list| known::by_position(name, &list.args)) {
                Some(placed) => this.expressions(&placed?),
                None => this.arguments(list),
            }
        })?;
        let alias = self.fresh_name("set");
        let source = self.set_source(name, arguments, &alias)?;
        self.set_returning.push(SetReturning { alias, sql: source.sql });
        match source.columns.as_slice() {
            [column] => Ok(column.clone().named(name)),
            // A function of several columns is one value here, with fields.
            columns => Ok(self.row(columns.to_vec()).named(name)),
        }
    }
}
