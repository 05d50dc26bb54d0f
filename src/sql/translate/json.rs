//! JSON made of other values, and other values read out of JSON.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, Subscript, TableAlias, Value,
};

use super::operator::undefined_operator;
use super::scope::{Source, SourceColumn};
use super::{Form, Translator, Typed, cast, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{Family, Type, family, is_integer};

/// Functions whose rows have the columns of a definition list, or of a row type.
pub(super) fn gives_records(function: &str) -> bool {
    matches!(
        function.strip_prefix("jsonb_").or_else(|| function.strip_prefix("json_")),
        Some("to_record" | "to_recordset" | "populate_record" | "populate_recordset")
    )
}

/// The operator that a function of jsonb stands behind.
pub(super) fn operator_of(function: &str) -> Option<BinaryOperator> {
    Some(match function {
        "jsonb_concat" => BinaryOperator::StringConcat,
        "jsonb_contained" => BinaryOperator::ArrowAt,
        "jsonb_contains" => BinaryOperator::AtArrow,
        "jsonb_delete" => BinaryOperator::Minus,
        "jsonb_delete_path" => BinaryOperator::HashMinus,
        "jsonb_exists" => BinaryOperator::Question,
        "jsonb_exists_all" => BinaryOperator::QuestionAnd,
        "jsonb_exists_any" => BinaryOperator::QuestionPipe,
        _ => return None,
    })
}

/// json or jsonb, by the name of the function that takes it.
pub(super) fn type_of(function: &str) -> Type {
    Type::plain(if function.starts_with("jsonb") { Oid::JSONB } else { Oid::JSON })
}

/// The truth value that an argument is written as.
pub(super) fn literal_bool(argument: &FunctionArg) -> Option<bool> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match value.value {
            Value::Boolean(truth) => Some(truth),
            _ => None,
        },
        _ => None,
    }
}

impl Translator<'_> {
    /// `jsonb_to_recordset(json) AS alias(column type, …)`,
    /// `json_populate_record(row, json)` and their kin, in FROM.
    pub(super) fn json_records(
        &mut self,
        function: &str,
        arguments: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> Result<String, SqlError> {
        let (base, json) = self.record_arguments(function, arguments)?;
        let visible = alias.map_or_else(|| function.to_owned(), |alias| names::fold(&alias.name));
        let quoted = names::quote(&visible);
        let object = format!("{quoted}.value");
        let mut columns = Vec::new();
        match base {
            Some(base) => {
                for (at, field) in base.iter().enumerate() {
                    let name = alias
                        .and_then(|alias| alias.columns.get(at))
                        .map(|column| names::fold(&column.name))
                        .or_else(|| field.name.clone())
                        .unwrap_or_default();
                    let read = self.populated(field, &object)?;
                    columns.push(SourceColumn {
                        sql: Some(read.sql),
                        ..SourceColumn::new(name, field.ty)
                    });
                }
            }
            None => {
                let undescribed = || {
                    SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "a column definition list is required for functions returning \"record\"",
                    )
                };
                for column in &alias.ok_or_else(undescribed)?.columns {
                    let name = names::fold(&column.name);
                    let data_type = column.data_type.as_ref().ok_or_else(undescribed)?;
                    let ty = self.resolve_type(data_type)?;
                    let read = self.json_field(&object, &name, ty)?;
                    columns
                        .push(SourceColumn { sql: Some(read.sql), ..SourceColumn::new(name, ty) });
                }
            }
        }
        self.add_source(Source::new(visible, columns))?;
        let rows = match function.ends_with("set") {
            true => format!("towline_json_records({}, '{function}')", json.sql),
            // Of NULL there is one row, of NULLs.
            false => format!("json_array(towline_json_record({}))", json.sql),
        };
        Ok(format!("json_each({rows}) AS {quoted}"))
    }

    /// `json_populate_record(row, json)` as a value.
    pub(super) fn populate_record(
        &mut self,
        function: &str,
        arguments: &[FunctionArg],
    ) -> Result<Typed, SqlError> {
        let (base, json) = self.record_arguments(function, arguments)?;
        let object = format!("towline_json_record({})", json.sql);
        let mut fields = Vec::new();
        for field in base.unwrap_or_default() {
            let read = self.populated(&field, &object)?;
            fields.push(Typed { name: field.name, ..read });
        }
        Ok(self.row(fields))
    }

    /// The fields of the row that a function of records fills, if it takes one, and its JSON.
    fn record_arguments(
        &mut self,
        function: &str,
        arguments: &[FunctionArg],
    ) -> Result<(Option<Vec<Typed>>, Typed), SqlError> {
        let (base, json) = match arguments {
            [json] if function.contains("_to_") => (None, json),
            [base, json] if !function.contains("_to_") => {
                (Some(self.record_base(function, base)?), json)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {function} does not exist with these arguments"),
                ));
            }
        };
        let json = self.argument(json)?;
        Ok((base, self.coerce(json, type_of(function))?))
    }

    fn record_base(
        &mut self,
        function: &str,
        argument: &FunctionArg,
    ) -> Result<Vec<Typed>, SqlError> {
        // `NULL::t` of a table's row type, which has no values elsewhere.
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Cast { expr, data_type, .. })) =
            argument
            && let DataType::Custom(name, _) = data_type
            && matches!(&**expr, Expr::Value(value) if value.value == Value::Null)
            && let Some(relation) = self.relation_named(name)
        {
            let field = |attribute: &crate::sql::catalog::Attribute| {
                let ty = Type { oid: attribute.oid, typmod: attribute.typmod };
                Typed::of("NULL", ty).named(attribute.name.clone())
            };
            return Ok(relation.attributes.iter().map(field).collect());
        }
        let base = self.argument(argument)?;
        self.row_fields(&base).ok_or_else(|| {
            if base.oid() == Oid::RECORD {
                return SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("could not determine row type for result of {function}"),
                );
            }
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("first argument of {function} must be a row type"),
            )
        })
    }

    /// A field of a row that an object fills: as it is, where the object has no such member.
    fn populated(&mut self, field: &Typed, object: &str) -> Result<Typed, SqlError> {
        let name = field.name.clone().unwrap_or_default();
        let read = self.json_field(object, &name, field.ty)?;
        if field.sql == "NULL" {
            return Ok(read);
        }
        let key = names::quote_literal(&name);
        let sql = format!(
            "CASE WHEN towline_json_get({object}, {key}) IS NULL THEN {} ELSE {} END",
            field.sql, read.sql
        );
        Ok(Typed::of(sql, field.ty))
    }

    /// A value in a form from which JSON functions can tell its JSON type.
    pub(super) fn as_json(&mut self, argument: Typed) -> Result<Typed, SqlError> {
        let oid = argument.oid();
        if let Some(fields) = self.row_fields(&argument) {
            let object = self.row_as_json(fields, "towline_json_object")?;
            // A row that is being made is there; a value may not be.
            let there = match &argument.form {
                Form::Row(_) => true,
                Form::Whole(_) => !argument.sql.starts_with("iif("),
                _ => false,
            };
            if there {
                return Ok(object);
            }
            let sql = format!(
                "CASE WHEN {} IS NULL THEN NULL ELSE {} END",
                argument.operand(),
                object.sql
            );
            return Ok(Typed::plain(sql, Oid::JSON));
        }
        let (argument, kind) = match family(oid) {
            Family::Boolean => (argument, "bool"),
            Family::Json => (argument, "json"),
            _ if self.element_of(argument.ty).is_some() => {
                return self.array_as_json(argument, "0");
            }
            Family::Number if oid == Oid::NUMERIC => (argument, "number"),
            Family::Number if oid == Oid::FLOAT4 => (self.cast(argument, Type::TEXT)?, "number"),
            Family::Number | Family::Unknown | Family::String => return Ok(argument),
            Family::DateTime => {
                let kind = if has_iso_form(oid) { "time" } else { "text" };
                (self.cast(argument, Type::TEXT)?, kind)
            }
            Family::Reference | Family::Bytes => (self.cast(argument, Type::TEXT)?, "text"),
            Family::Other if oid == Oid::MONEY => (self.cast(argument, Type::TEXT)?, "text"),
            _ => return Ok(argument),
        };
        Ok(Typed::plain(format!("towline_json_value({}, '{kind}')", argument.sql), oid))
    }

    fn row_as_json(&mut self, fields: Vec<Typed>, function: &str) -> Result<Typed, SqlError> {
        let mut parts = Vec::with_capacity(fields.len() * 2);
        for (at, field) in fields.into_iter().enumerate() {
            let name = field.name.clone().unwrap_or_else(|| format!("f{}", at + 1));
            parts.push(names::quote_literal(&name));
            parts.push(self.as_json(field)?.sql);
        }
        let sql = format!("towline_json_value({function}({}), 'json')", parts.join(", "));
        Ok(Typed::plain(sql, Oid::JSON))
    }

    /// An array as JSON; `lines` is SQL that says whether each element has its own line.
    fn array_as_json(&mut self, array: Typed, lines: &str) -> Result<Typed, SqlError> {
        let oid = array.oid();
        let Type { oid: element, typmod } = self.element_of(array.ty).unwrap_or(Type::TEXT);
        if self.is_row(element) {
            return self.rows_as_json(&array, Type { oid: element, typmod }, lines);
        }
        let (array, kind) = match family(element) {
            Family::Boolean => (array, "bool"),
            Family::Json => (array, "json"),
            Family::Number => (array, "number"),
            Family::DateTime => {
                let kind = if has_iso_form(element) { "time" } else { "text" };
                (self.cast(array, Type::plain(Oid::TEXT_ARRAY))?, kind)
            }
            _ => (array, "text"),
        };
        let sql = format!(
            "towline_json_value(towline_array_to_json({}, '{kind}', {lines}), 'json')",
            array.sql
        );
        Ok(Typed::plain(sql, oid))
    }

    /// An array of rows as JSON, which knows the names of their fields.
    fn rows_as_json(&mut self, array: &Typed, row: Type, lines: &str) -> Result<Typed, SqlError> {
        let alias = self.fresh_name("rows");
        let rows = cast::array_rows(array, row.oid, &alias);
        let row = Typed { ty: row, ..cast::array_row_value(row.oid, &alias) };
        let object = self.as_json(row)?.sql;
        let list =
            |function: &str| format!("coalesce((SELECT {function}({object}) FROM {rows}), '[]')");
        let (plain, set_out) = ("towline_array_json_agg", "towline_array_json_lines");
        let json = match lines {
            "0" => list(plain),
            lines => format!("CASE WHEN {lines} THEN {} ELSE {} END", list(set_out), list(plain)),
        };
        let sql =
            format!("towline_json_value(iif({} IS NULL, NULL, {json}), 'json')", array.operand());
        Ok(Typed::plain(sql, array.oid()))
    }

    /// `array_to_json(array, pretty)` and `row_to_json(row, pretty)`.
    pub(super) fn json_over_lines(
        &mut self,
        value: Typed,
        pretty: Typed,
    ) -> Result<Typed, SqlError> {
        let pretty = self.coerce(pretty, Type::plain(Oid::BOOL))?.operand();
        let Some(fields) = self.row_fields(&value) else {
            let json = self.array_as_json(value, &pretty)?;
            return Ok(Typed { ty: Type::plain(Oid::JSON), ..json });
        };
        let lines = self.row_as_json(fields.clone(), "towline_json_object_lines")?;
        let plain = self.row_as_json(fields, "towline_json_object")?;
        let sql = format!("CASE WHEN {pretty} THEN {} ELSE {} END", lines.sql, plain.sql);
        Ok(Typed::plain(sql, Oid::JSON))
    }

    /// Whether `json_agg` sets the values apart by lines: rows and arrays.
    pub(super) fn is_set_apart(&self, value: &Typed) -> bool {
        self.element_of(value.ty).is_some() || self.is_row(value.oid())
    }

    /// Member `name` of a JSON object (a text in SQL) as a value of a type.
    pub(super) fn json_field(
        &mut self,
        object: &str,
        name: &str,
        ty: Type,
    ) -> Result<Typed, SqlError> {
        let key = names::quote_literal(name);
        let json = format!("nullif(towline_json_get({object}, {key}), 'null')");
        let text = format!("towline_json_get_text({object}, {key})");
        let typed = match family(ty.oid) {
            Family::Json if ty.oid == Oid::JSONB => {
                return Ok(Typed::of(format!("towline_cast_jsonb({json})"), ty));
            }
            Family::Json => return Ok(Typed::of(json, ty)),
            Family::Array => {
                Typed::plain(format!("towline_json_array_text({json}, {key})"), Oid::TEXT)
            }
            _ => {
                let of_type = Typed::of("NULL", ty);
                if let Some(fields) = self.row_fields(&of_type) {
                    let mut row = Vec::with_capacity(fields.len());
                    for field in fields {
                        let name = field.name.clone().unwrap_or_default();
                        row.push(self.json_field(&json, &name, field.ty)?);
                    }
                    // A text is the row's own text form.
                    let sql = format!(
                        "CASE json_type({json}) WHEN 'object' THEN {} ELSE {text} END",
                        cast::record_text(&row)
                    );
                    return Ok(Typed::of(sql, ty));
                }
                Typed::plain(text, Oid::TEXT)
            }
        };
        self.cast(typed, ty)
    }

    /// `json[subscript]`: a member, or an element by number, also as text.
    pub(super) fn jsonb_subscript(
        &mut self,
        json: &Typed,
        subscript: &Subscript,
    ) -> Result<Typed, SqlError> {
        let Subscript::Index { index } = subscript else {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                "jsonb subscript does not support slices",
            ));
        };
        let mut index = self.expression(index)?;
        if index.oid() == Oid::NUMERIC {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                "subscript type numeric is not supported",
            )
            .with_hint("jsonb subscript must be coercible to either integer or text."));
        }
        if !is_integer(index.oid()) {
            index = self.coerce(index, Type::TEXT)?;
        }
        let sql = format!("towline_jsonb_subscript({}, {})", json.sql, index.sql);
        Ok(Typed::plain(sql, Oid::JSONB))
    }

    /// The operators of json and jsonb.
    pub(super) fn json_operator(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let json = if left.is_unknown() { Oid::JSONB } else { left.oid() };
        let of_both = matches!(
            op,
            BinaryOperator::Arrow
                | BinaryOperator::LongArrow
                | BinaryOperator::HashArrow
                | BinaryOperator::HashLongArrow
        );
        if json != Oid::JSONB && !(json == Oid::JSON && of_both) {
            return Err(undefined_operator(Some(left.oid()), &op.to_string(), right.oid()));
        }
        let left = self.coerce(left, Type::plain(json))?;
        if let BinaryOperator::AtQuestion | BinaryOperator::AtAt = op {
            let exists = *op == BinaryOperator::AtQuestion;
            let function = if exists { "jsonb_path_exists" } else { "jsonb_path_match" };
            let path = self.coerce(right, Type::plain(Oid::JSONPATH))?;
            // Silently.
            let sql = format!("{function}({}, {}, '{{}}', 1)", left.sql, path.sql);
            return Ok(Typed::plain(sql, Oid::BOOL));
        }
        let (function, result) = match op {
            BinaryOperator::Arrow => ("towline_json_get", json),
            BinaryOperator::LongArrow => ("towline_json_get_text", Oid::TEXT),
            BinaryOperator::HashArrow => ("towline_json_path", json),
            BinaryOperator::HashLongArrow => ("towline_json_path_text", Oid::TEXT),
            BinaryOperator::Question => ("towline_jsonb_exists", Oid::BOOL),
            BinaryOperator::QuestionPipe => ("towline_jsonb_exists_any", Oid::BOOL),
            BinaryOperator::QuestionAnd => ("towline_jsonb_exists_all", Oid::BOOL),
            _ => ("towline_jsonb_delete_path", Oid::JSONB),
        };
        let right = match op {
            BinaryOperator::Arrow | BinaryOperator::LongArrow if is_integer(right.oid()) => right,
            BinaryOperator::Arrow | BinaryOperator::LongArrow | BinaryOperator::Question => {
                self.coerce(right, Type::TEXT)?
            }
            _ => self.coerce(right, Type::plain(Oid::TEXT_ARRAY))?,
        };
        Ok(Typed::plain(format!("{function}({}, {})", left.sql, right.sql), result))
    }
}

/// Dates and timestamps go into JSON as ISO 8601 has them; times as they are printed.
fn has_iso_form(oid: Oid) -> bool {
    matches!(oid, Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ)
}
