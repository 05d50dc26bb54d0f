//! Function calls, but for aggregates and those that give rows.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName,
};

use super::cast::How;
use super::expression::THIS_TRANSACTION;
use super::known::{self, Known, Returns, Takes};
use super::large_object::is_of_large_objects;
use super::place::{Place, check_plain};
use super::row::has_shape;
use super::{Form, Translator, Typed, cast, json, names, set_returning};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    BuiltinFunction, ObjectKind, PUBLIC, Rights, builtin_functions, parts_of_written,
};
use crate::sql::translated::Demand;
use crate::sql::types::{self, Family, Type, family, is_integer};

/// Whether a function takes char(n) as such, or as any type's value.
fn keeps_padding(known: &Known, at: usize) -> bool {
    match known.name {
        "concat" | "octet_length" | "to_json" | "to_jsonb" => true,
        "concat_ws" | "format" => at > 0,
        "string_agg" => false,
        name => known.aggregate || (name.contains("json") && name.contains("_build_")),
    }
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
    let zone = match zone.oid() {
        Oid::INTERVAL => format!("towline_zone_of({})", zone.sql),
        _ => zone.sql,
    };
    Ok(Typed::plain(format!("{function}({}, {zone})", moment.sql), oid).named("timezone"))
}

/// PostgreSQL's functions whose answers nobody could keep.
const ABSENT: &[&str] = &["current_query", "pg_export_snapshot"];

impl Translator<'_> {
    /// A call as written.
    pub(super) fn function(&mut self, call: &Function) -> Result<Typed, SqlError> {
        if let Some(typed) = self.routine_call(call)? {
            return Ok(typed);
        }
        let name = function_name(&call.name)?;
        if let FunctionArguments::List(list) = &call.args
            && let [given @ .., last] = list.args.as_slice()
            && let Some(array) = variadic_argument(last)
        {
            return Ok(self.call_of_array(&name, given, array)?.named(name));
        }
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
        if set_returning::is_set_returning(&name) {
            return self.set_returning_call(&name, call);
        }
        let star = list.is_some_and(|list| {
            matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
        });
        let aggregate = known::is_aggregate(&name)
            || !call.within_group.is_empty()
            || (call.over.is_some() && known::is_window(&name));
        let arguments =
            |this: &mut Self| match list.and_then(|list| known::by_position(&name, &list.args)) {
                Some(placed) => this.expressions(&placed?),
                None if star => Ok(Vec::new()),
                None => this.arguments(list),
            };
        let typed = if aggregate {
            self.check_place(call)?;
            let place = if call.over.is_some() { Place::Window } else { Place::Aggregate };
            // What an aggregate is given are the rows' own values, whatever they are grouped by.
            let set = self.grouping_set.take();
            let typed = self.standing(place, |this| {
                let arguments = arguments(this)?;
                this.aggregate(&name, arguments, star, list, call)
            })?;
            self.grouping_set = set;
            typed
        } else {
            let arguments = arguments(self)?;
            let typed = self.call(&name, arguments)?;
            check_plain(&name, call)?;
            typed
        };
        Ok(typed.named(name))
    }

    /// `f(…, VARIADIC array)`: an array that is written out is its elements.
    fn call_of_array(
        &mut self,
        name: &str,
        given: &[FunctionArg],
        array: &Expr,
    ) -> Result<Typed, SqlError> {
        let mut arguments = Vec::with_capacity(given.len());
        for argument in given {
            arguments.push(self.argument(argument)?);
        }
        let array = self.expression(array)?;
        let array = match array.is_unknown() {
            true => self.coerce(array, Type::plain(Oid::TEXT_ARRAY))?,
            false => array,
        };
        let takes_any = builtin_functions().iter().any(|known| {
            known.name == name && known.variadic != Oid(0) && known.arguments.len() > given.len()
        });
        let Some(element) = self.element_of(array.ty) else {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                "VARIADIC argument must be an array",
            ));
        };
        if !takes_any {
            arguments.push(array);
            return Err(self.undefined(name, &arguments));
        }
        if let Form::Array(elements) = &array.form
            && !elements.iter().any(|part| self.element_of(part.ty).is_some())
        {
            for part in elements.clone() {
                arguments.push(self.coerce(part, element)?);
            }
            return self.call(name, arguments);
        }
        match (name, arguments.as_slice()) {
            ("concat", []) => {
                let nothing = Typed::plain("''", Oid::TEXT);
                self.call("array_to_string", vec![array, nothing])
            }
            ("concat_ws", [separator]) => {
                self.call("array_to_string", vec![array, separator.clone()])
            }
            ("format", [template]) => {
                let template = self.coerce(template.clone(), Type::TEXT)?;
                let texts = self.convert(array, Type::plain(Oid::TEXT_ARRAY), How::Explicit)?;
                let sql = format!("towline_format_array({}, {})", template.sql, texts.sql);
                Ok(Typed::plain(sql, Oid::TEXT))
            }
            (_, [value]) if name.contains("_extract_path") => {
                let value = self.coerce(value.clone(), json::type_of(name))?;
                let as_text = name.ends_with("_text");
                let operator =
                    if as_text { BinaryOperator::HashLongArrow } else { BinaryOperator::HashArrow };
                self.operate(value, &operator, array)
            }
            ("num_nulls" | "num_nonnulls", []) => {
                let alias = self.fresh_name("variadic");
                let rows = cast::array_rows(&array, element.oid, &alias);
                let test = if name == "num_nulls" { "IS NULL" } else { "IS NOT NULL" };
                let count = format!("(SELECT count(*) FROM {rows} WHERE {alias}.value {test})");
                let count = format!("iif({} IS NULL, NULL, {count})", array.operand());
                Ok(Typed::plain(count, Oid::INT4))
            }
            _ => Err(SqlError::unsupported(format_args!(
                "{name} of a VARIADIC array that is not written out"
            ))),
        }
    }

    /// The type that a function call of its name casts to: `int4('5')`, `regclass('t')`.
    fn type_as_function(&self, name: &str) -> Option<Type> {
        // These are SQLite's functions, and its own spellings of types.
        if known::is_sqlites(name) || matches!(name, "int" | "integer" | "real") {
            return None;
        }
        let (oid, typmod) = crate::sql::catalog::parse_type(name)?;
        Some(Type { oid, typmod })
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
            // A table's row is one argument.
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) => {
                let table = names::last(name).unwrap_or_default();
                self.whole_row(&table).ok_or_else(|| missing_table(&table))
            }
            FunctionArg::Named { arg: FunctionArgExpr::Expr(_), name, .. } => {
                Err(SqlError::unsupported(format_args!("the named argument {name}")))
            }
            _ => Err(SqlError::unsupported("this kind of argument")),
        }
    }

    /// Calls a function that is no aggregate on translated arguments.
    pub(super) fn call(&mut self, name: &str, arguments: Vec<Typed>) -> Result<Typed, SqlError> {
        self.note_function(name);
        if ABSENT.contains(&name) {
            return Err(SqlError::unsupported(name));
        }
        if let Some(typed) = self.extent_call(name, &arguments)? {
            return Ok(typed.named(name));
        }
        if let Some(typed) = self.enum_call(name, &arguments)? {
            return Ok(typed.named(name));
        }
        if let ("num_nulls" | "num_nonnulls", []) = (name, arguments.as_slice()) {
            return Err(self.undefined(name, &[]));
        }
        if let ("age", [number]) = (name, arguments.as_slice())
            && number.oid() == Oid::XID
        {
            // The numbers go round.
            let half = 1_u32 << 31;
            let sql = format!(
                "(({THIS_TRANSACTION} - {} + 3 * {half}) % (2 * {half}) - {half})",
                number.operand()
            );
            return Ok(Typed::plain(sql, Oid::INT4).named(name));
        }
        let arguments = match (name, arguments.as_slice()) {
            // Since midnight of today.
            ("age", [moment]) => {
                let ty = match moment.oid() {
                    Oid::TIMESTAMP => moment.ty,
                    _ => Type::plain(Oid::TIMESTAMPTZ),
                };
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                let today = self.cast(now, Type::plain(Oid::DATE))?;
                vec![self.cast(today, ty)?, self.coerce(moment.clone(), ty)?]
            }
            _ => arguments,
        };
        let Some(known) = known::lookup(name) else {
            if let ([argument], Some(ty)) = (arguments.as_slice(), self.type_as_function(name)) {
                return Ok(self.cast(argument.clone(), ty)?.named(name));
            }
            if is_of_large_objects(name) {
                return Err(SqlError::unsupported(format_args!(
                    "{name} beside anything else in a statement"
                )));
            }
            if !known::is_sqlites(name) {
                return Err(self.undefined(name, &arguments));
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
        let of = |at: usize| arguments.get(at).map(Typed::oid);
        let zoned = match (name, arguments.len()) {
            ("date_trunc" | "date_part", 2) => of(1) == Some(Oid::TIMESTAMPTZ),
            ("to_char", 2) => of(0) == Some(Oid::TIMESTAMPTZ),
            ("age", 1 | 2) => (0..arguments.len()).any(|at| of(at) == Some(Oid::TIMESTAMPTZ)),
            ("make_timestamptz", 6) | ("to_timestamp", 2) => true,
            _ => false,
        };
        let zone = if zoned { self.zone_argument() } else { String::new() };
        let compares =
            matches!(name, "array_position" | "array_positions" | "array_remove" | "array_replace");
        let numeric = compares && of(0) == Some(Oid::NUMERIC_ARRAY);
        let kind = if numeric { "towline_numeric_" } else { "" };
        let sql = format!("{kind}{sqlite}({}{zone})", texts.join(", "));
        // These reckon in eight bytes.
        if matches!((name, ty.oid), ("gcd" | "lcm", Oid::INT2 | Oid::INT4)) {
            return Ok(Typed::plain(format!("towline_int4({sql})"), Oid::INT4).named(name));
        }
        Ok(Typed::of(sql, ty).named(name))
    }

    /// Types the untyped arguments, and tells the result's type.
    pub(super) fn typed_arguments(
        &mut self,
        known: &Known,
        arguments: Vec<Typed>,
    ) -> Result<(Vec<Typed>, Type), SqlError> {
        if let Returns::Common = known.returns {
            return self.unify(arguments, known.name);
        }
        let count = arguments.len();
        let mut arguments = arguments;
        // Where there is no such row the default stands for it.
        if matches!(known.name, "lag" | "lead")
            && let [value, _, default] = arguments.as_mut_slice()
        {
            let (met, _) = self.unify(vec![value.clone(), default.clone()], known.name)?;
            if let Ok([first, second]) = <[Typed; 2]>::try_from(met) {
                (*value, *default) = (first, second);
            }
        }
        // To a number of digits only numerics are rounded.
        let digits = matches!(known.name, "round" | "trunc") && count == 2;
        let exact = digits
            || matches!(known.returns, Returns::FloatOrNumeric)
                && arguments.iter().any(|argument| argument.oid() == Oid::NUMERIC);
        let bytes = matches!(known.returns, Returns::Part)
            && arguments.first().is_some_and(|first| first.oid() == Oid::BYTEA);
        // `substring(text from pattern)`, which literals are taken for.
        let pattern = known.name == "substring"
            && arguments
                .iter()
                .skip(1)
                .all(|argument| matches!(family(argument.oid()), Family::String | Family::Unknown));
        let mut typed = Vec::with_capacity(count);
        for (at, argument) in arguments.into_iter().enumerate() {
            let wanted = match known.takes {
                Takes::Any => None,
                Takes::Text => Some(Oid::TEXT),
                Takes::TextInts if pattern => Some(Oid::TEXT),
                // What lpad and rpad fill with.
                Takes::TextInts if at == 2 && known.name.ends_with("pad") => Some(Oid::TEXT),
                Takes::TextInts => Some(if at == 0 { Oid::TEXT } else { Oid::INT4 }),
                Takes::Float if known.name == "to_timestamp" && count == 2 => Some(Oid::TEXT),
                Takes::Float if digits && at == 1 => Some(Oid::INT4),
                Takes::Float => Some(if exact { Oid::NUMERIC } else { Oid::FLOAT8 }),
                Takes::Int => Some(Oid::INT4),
                Takes::TextArrays => Some(Oid::TEXT_ARRAY),
                Takes::JsonTexts if at > 0 => Some(Oid::TEXT),
                Takes::JsonTexts => Some(json::type_of(known.name).oid),
                Takes::JsonPath => Some(match at {
                    1 => Oid::JSONPATH,
                    3 => Oid::BOOL,
                    _ => Oid::JSONB,
                }),
                Takes::JsonChange => Some(match at {
                    1 => Oid::TEXT_ARRAY,
                    3 => Oid::BOOL,
                    4 => Oid::TEXT,
                    _ => Oid::JSONB,
                }),
                Takes::TextArray => Some(if at == 0 { Oid::TEXT_ARRAY } else { Oid::TEXT }),
                Takes::Timestamp => Some(if at != 1 && known.name.starts_with("date_") {
                    Oid::TEXT
                } else {
                    Oid::TIMESTAMPTZ
                }),
                Takes::Bin => Some(if at == 0 { Oid::INTERVAL } else { Oid::TIMESTAMPTZ }),
                Takes::Json => Some(Oid::JSONB),
                Takes::Bytes => Some(match (at, known.name) {
                    (0, _) => Oid::BYTEA,
                    (_, "get_bit" | "get_byte" | "set_bit" | "set_byte") => Oid::INT4,
                    _ => Oid::TEXT,
                }),
                Takes::Fill => Some(if at == 0 { Oid::TEXT } else { Oid::INT4_ARRAY }),
            };
            let argument = match wanted {
                // What is put into bytes, or taken off them, is bytes.
                None | Some(Oid::TEXT) if bytes && at == 1 && argument.is_unknown() => {
                    self.coerce(argument, Type::plain(Oid::BYTEA))?
                }
                Some(oid) if argument.is_unknown() => self.coerce(argument, Type::plain(oid))?,
                // char(n) is text without its padding to every function but those that keep it.
                Some(_) if argument.oid() == Oid::BPCHAR && !keeps_padding(known, at) => {
                    self.coerce(argument, Type::TEXT)?
                }
                _ => self.settle(argument)?,
            };
            if !takes_family(known, &argument) || takes_only_text(known, at, &argument) {
                return Err(self.undefined(known.name, &[argument]));
            }
            typed.push(self.argument_form(known, at, argument)?);
        }
        let first = typed.first().map_or(Oid::TEXT, Typed::oid);
        if digits && matches!(first, Oid::FLOAT4 | Oid::FLOAT8) {
            return Err(self.undefined(known.name, &typed));
        }
        let ty = match known.returns {
            Returns::Oid(oid) => Type::plain(oid),
            Returns::Argument(at) => {
                let ty = typed.get(at).map_or(Type::TEXT, |argument| argument.ty);
                match (known.name, ty.oid) {
                    ("date_trunc", Oid::DATE) => Type::plain(Oid::TIMESTAMPTZ),
                    ("string_agg", Oid::BYTEA) => Type::plain(Oid::BYTEA),
                    ("string_agg", _) => Type::TEXT,
                    ("max" | "min", Oid::VARCHAR | Oid::NAME) => Type::TEXT,
                    ("max" | "min", Oid::CIDR) => Type::plain(Oid::INET),
                    _ if has_shape(ty.oid) => ty,
                    _ => Type::plain(ty.oid),
                }
            }
            Returns::Common => typed.first().map_or(Type::TEXT, |first| Type::plain(first.oid())),
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
            Returns::Part => Type::plain(match first {
                Oid::BYTEA => Oid::BYTEA,
                Oid::BIT | Oid::VARBIT => Oid::BIT,
                _ => Oid::TEXT,
            }),
            Returns::ArrayOf => match typed.first().map_or(Type::TEXT, |first| first.ty) {
                array if self.element_of(array).is_some() => {
                    Type { typmod: if has_shape(array.oid) { array.typmod } else { -1 }, ..array }
                }
                element => self.array_over(element),
            },
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
            // A truth value as `t` or `f`, which a cast to text spells out.
            "concat" | "concat_ws" | "format" if oid == Oid::BOOL => Ok(Typed::plain(
                format!("CASE {} WHEN TRUE THEN 't' WHEN FALSE THEN 'f' END", argument.sql),
                Oid::TEXT,
            )),
            // An address alone, to which a cast to text puts the length; char(n) padded.
            "concat" | "concat_ws" | "format" if matches!(oid, Oid::INET | Oid::BPCHAR) => {
                Ok(Typed::plain(argument.sql, Oid::TEXT))
            }
            "concat" | "concat_ws" | "format" | "quote_literal" | "quote_nullable" => {
                self.convert(argument, Type::TEXT, How::Assignment)
            }
            "nextval" | "currval" | "setval" if at == 0 => {
                Ok(self.sequence_name(argument, known.name))
            }
            // PostgreSQL's time functions work on the session's clock.
            "date_trunc" if at == 1 && oid == Oid::DATE => {
                self.coerce(argument, Type::plain(Oid::TIMESTAMPTZ))
            }
            "row_to_json"
            | "json_agg"
            | "jsonb_agg"
            | "to_json"
            | "to_jsonb"
            | "json_build_array"
            | "jsonb_build_array"
            | "json_build_object"
            | "jsonb_build_object"
            | "json_object_agg"
            | "jsonb_object_agg"
            | "towline_array_json_agg"
            | "towline_array_json_lines" => self.as_json(argument),
            "array_agg" => {
                let ty = argument.ty;
                Ok(Typed { ty, ..Typed::of(cast::array_element(&argument), ty) })
            }
            "array_to_string"
                if at == 0
                    && types::element_of(oid)
                        .is_some_and(|element| family(element) == Family::DateTime) =>
            {
                self.convert(argument, Type::plain(Oid::TEXT_ARRAY), How::Explicit)
            }
            "array_fill" if at == 0 => {
                let ty = argument.ty;
                Ok(Typed::of(cast::array_element(&argument), ty))
            }
            "array_append" | "array_remove" | "array_replace" | "array_position"
            | "array_positions"
                if at > 0 =>
            {
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

    /// Functions with a syntax, a type rule, or a meaning of their own.
    fn special(&mut self, name: &str, call: &Function) -> Result<Option<Typed>, SqlError> {
        let list = match &call.args {
            FunctionArguments::List(list) => Some(list),
            _ => None,
        };
        let typed = match name {
            "coalesce" => {
                let written = list.into_iter().flat_map(|list| &list.args);
                for argument in written {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                        self.refuse_set(expr, "COALESCE")?;
                    }
                }
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
                if ty.oid != Oid::NUMERIC && self.order_collation(ty).is_some() {
                    let made =
                        self.made_of(ty).map_or(ty.oid.0.to_string(), |made| made.to_string());
                    let made = names::quote_literal(&made);
                    let sql = format!("towline_{name}_of({made}, {})", join(&arguments));
                    return Ok(Some(Typed::of(sql, ty)));
                }
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
                // They are compared as text, and one is what was compared.
                let ty = if first.oid() == Oid::VARCHAR { Type::TEXT } else { first.ty };
                let equal = self.compare(first.clone(), "=", second)?;
                Typed::of(format!("CASE WHEN {} THEN NULL ELSE {} END", equal.sql, first.sql), ty)
            }
            "array_to_json" => match list.map(|list| list.args.as_slice()) {
                // Its rows keep the names of their fields.
                Some(
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(array))), rest @ ..],
                ) if function_name(&array.name)? == "array_agg"
                    && array.over.is_none()
                    && rest.iter().all(|pretty| json::literal_bool(pretty).is_some()) =>
                {
                    let pretty = rest.first().and_then(json::literal_bool) == Some(true);
                    let function =
                        if pretty { "towline_array_json_lines" } else { "towline_array_json_agg" };
                    let aggregate = ObjectName::from(vec![Ident::new(function)]);
                    self.function(&Function { name: aggregate, ..array.clone() })?
                }
                _ => {
                    let mut arguments = self.arguments(list)?.into_iter();
                    let array =
                        arguments.next().unwrap_or_else(|| Typed::plain("NULL", Oid::UNKNOWN));
                    let pretty = arguments.next().unwrap_or_else(|| Typed::plain("0", Oid::BOOL));
                    if self.element_of(array.ty).is_none() {
                        return Err(self.undefined(name, &[array]));
                    }
                    self.json_over_lines(array, pretty)?
                }
            },
            "row_to_json" if list.is_some_and(|list| list.args.len() == 2) => {
                let mut arguments = self.arguments(list)?.into_iter();
                let (Some(row), Some(pretty)) = (arguments.next(), arguments.next()) else {
                    return Ok(None);
                };
                if !self.is_row(row.oid()) {
                    return Err(self.undefined(name, &[row, pretty]));
                }
                self.json_over_lines(row, pretty)?
            }
            "json_populate_record" | "jsonb_populate_record" => {
                let arguments = list.map_or(&[][..], |list| list.args.as_slice());
                self.populate_record(name, arguments)?
            }
            _ if list.is_some_and(|list| list.args.len() == 2)
                && let Some(operator) = json::operator_of(name) =>
            {
                let mut arguments = self.arguments(list)?.into_iter();
                let (Some(left), Some(right)) = (arguments.next(), arguments.next()) else {
                    return Ok(None);
                };
                let left = self.coerce(left, Type::plain(Oid::JSONB))?;
                self.operate(left, &operator, right)?
            }
            "row" => {
                let mut fields = Vec::new();
                for argument in list.map_or(&[][..], |list| list.args.as_slice()) {
                    let typed = self.argument(argument)?;
                    match argument {
                        // `t.*` is all of its columns here.
                        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_)) => {
                            fields.extend(self.all_fields(&typed)?);
                        }
                        _ => fields.push(typed),
                    }
                }
                self.constructed_row(fields)
            }
            "grouping" => self.grouping_call(list)?,
            "current_timestamp" | "localtimestamp" | "current_time" | "localtime" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                let oid = match name {
                    "current_timestamp" => Oid::TIMESTAMPTZ,
                    "localtimestamp" => Oid::TIMESTAMP,
                    "current_time" => Oid::TIMETZ,
                    _ => Oid::TIME,
                };
                let ty = match self.arguments(list)?.pop().map(|digits| digits.form) {
                    Some(Form::Number(digits)) => Type { oid, typmod: digits.parse().unwrap_or(6) },
                    _ => Type::plain(oid),
                };
                self.cast(now, ty)?
            }
            "current_date" => {
                let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
                self.cast(now, Type::plain(Oid::DATE))?
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
                let table = self.row_shape(argument.ty).and_then(|shape| shape.table);
                match table.and_then(|oid| self.context.catalog.relation(oid)) {
                    // A table's row type has its name.
                    Some(table) => {
                        let name = names::quote_literal(self.shown(&table.name));
                        Typed::plain(name, Oid::REGTYPE)
                    }
                    None => Typed::plain(argument.oid().0.to_string(), Oid::REGTYPE),
                }
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

    /// What makes an array of values: of arrays, one with one dimension more.
    pub(super) fn array_aggregate(&self, value: Oid) -> &'static str {
        if self.element_of(Type::plain(value)).is_some() {
            "towline_array_nest_agg"
        } else {
            "array_agg"
        }
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
        let ty = match family(column.ty.oid) {
            Family::Array => Type::plain(column.ty.oid),
            _ => self.array_over(column.ty),
        };
        Ok(Typed::of(
            format!(
                "(SELECT coalesce({}({}), '{{}}') FROM ({}))",
                self.array_aggregate(value.oid()),
                cast::array_element(&value),
                query.sql
            ),
            ty,
        )
        .named("array"))
    }
}

/// The array of `VARIADIC array`.
pub(super) fn variadic_argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(array), .. }
        | FunctionArg::ExprNamed {
            name: Expr::Identifier(name),
            arg: FunctionArgExpr::Expr(array),
            ..
        } if name.value == super::tokens::VARIADIC => Some(array),
        _ => None,
    }
}

fn missing_table(table: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_TABLE,
        format!("missing FROM-clause entry for table \"{table}\""),
    )
}

/// A function of numbers refuses what is no number: SQLite would read one into it.
fn takes_family(known: &Known, argument: &Typed) -> bool {
    if !matches!(known.takes, Takes::Float | Takes::Int) {
        return true;
    }
    match family(argument.oid()) {
        Family::Number | Family::Unknown => true,
        Family::Interval => matches!(known.name, "sum" | "avg" | "pg_sleep"),
        Family::String => known.name == "to_timestamp",
        Family::Boolean => false,
        Family::Reference => true,
        Family::Other if argument.oid() == Oid::MONEY => known.name == "sum",
        Family::Other => argument.oid() == Oid::PG_LSN,
        _ => false,
    }
}

/// Whether PostgreSQL would not make text of an argument by itself.
fn takes_only_text(known: &Known, at: usize, argument: &Typed) -> bool {
    let kind = family(argument.oid());
    let judged = matches!(known.takes, Takes::Text)
        && !known.aggregate
        && matches!(kind, Family::Number | Family::Boolean | Family::DateTime | Family::Interval);
    if !judged {
        return false;
    }
    let mut overloads = builtin_functions().iter().filter(|f| f.name == known.name).peekable();
    let takes = |function: &BuiltinFunction| {
        let many = function.arguments.last().filter(|_| function.variadic != Oid(0));
        let parameter = function.arguments.get(at).or(many);
        parameter.is_some_and(|oid| {
            // "any", anyelement and their kin.
            let polymorphic =
                matches!(oid.0, 2276 | 2277 | 2283 | 2776 | 3500 | 3831 | 5077..=5080);
            polymorphic || *oid == argument.oid() || family(*oid) == kind
        })
    };
    overloads.peek().is_some() && !overloads.any(takes)
}

impl Translator<'_> {
    /// No function of this name takes these arguments.
    pub(super) fn undefined(&self, name: &str, arguments: &[Typed]) -> SqlError {
        let types: Vec<String> =
            arguments.iter().map(|argument| self.type_name(argument.oid())).collect();
        SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {name}({}) does not exist", types.join(", ")),
        )
        .with_hint(
            "No function matches the given name and argument types. You might need to add \
             explicit type casts.",
        )
    }

    /// The sequence functions go by the stored name; PostgreSQL's take a regclass.
    fn sequence_name(&self, argument: Typed, function: &str) -> Typed {
        let meant = |written: &str| {
            let stored = self.sequence_meant(written);
            self.demand_drawing(&stored, function);
            Typed::plain(names::quote_literal(&stored), Oid::TEXT)
        };
        if let Form::Text(text) = &argument.form {
            return meant(text);
        }
        if argument.oid() == Oid::REGCLASS {
            // `'s'::regclass` of a literal needs no look-up.
            let literal = argument
                .sql
                .strip_prefix("towline_regclass('")
                .and_then(|rest| rest.strip_suffix("')"));
            if let Some(literal) = literal.filter(|literal| !literal.contains('\'')) {
                return meant(literal);
            }
            return Typed::plain(format!("towline_text_regclass({})", argument.sql), Oid::TEXT);
        }
        argument
    }

    /// What one of the sequence functions asks for on the sequence that it names.
    fn demand_drawing(&self, stored: &str, function: &str) {
        let Some(sequence) = self.context.catalog.sequences.get(stored) else { return };
        let rights = match function {
            "nextval" => Rights::USAGE.with(Rights::UPDATE),
            "currval" => Rights::USAGE.with(Rights::SELECT),
            _ => Rights::UPDATE,
        };
        let (kind, object) = (ObjectKind::Sequence, sequence.oid);
        self.demand(Demand::OneOf { kind, object, rights });
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
