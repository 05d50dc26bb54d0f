//! Expressions, from the leaves up.

use sqlparser::ast::{
    AccessExpr, CaseWhen, CastKind, DateTimeField, Expr, Ident, Subscript, TrimWhereField,
    UnaryOperator, Value,
};

use super::comparison::Quantifier;
use super::pattern::Like;
use super::place::Place;
use super::row::has_shape;
use super::scope::{self, Found};
use super::{Form, Translator, Typed, existence, function, names, one_row, operator};
use crate::pg::types::bits::parse_bits;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Rights;
use crate::sql::types::{self, Type};

impl Translator<'_> {
    /// Translates an expression; untyped literals and parameters stay untyped.
    pub(super) fn expression(&mut self, expr: &Expr) -> Result<Typed, SqlError> {
        self.deeper(|this| match &this.grouping_set {
            None => this.expression_here(expr),
            Some(_) => this.expression_of_set(expr),
        })
    }

    /// As [`Self::expression`], of type boolean, as WHERE and its kin want it.
    pub(super) fn condition(&mut self, expr: &Expr, clause: &str) -> Result<String, SqlError> {
        let place = Place::of_condition(clause, self.place);
        let typed = self.standing(place, |this| this.expression(expr))?;
        let typed = self.boolean(typed, clause)?;
        Ok(typed.sql)
    }

    pub(super) fn boolean(&mut self, typed: Typed, clause: &str) -> Result<Typed, SqlError> {
        if typed.is_unknown() {
            return self.coerce(typed, Type::plain(Oid::BOOL));
        }
        if typed.oid() != Oid::BOOL {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "argument of {clause} must be type boolean, not type {}",
                    types::display_name(typed.oid())
                ),
            ));
        }
        Ok(typed)
    }

    /// As [`Self::expression`]; what is still untyped becomes text.
    pub(super) fn settled(&mut self, expr: &Expr) -> Result<Typed, SqlError> {
        let typed = self.expression(expr)?;
        self.settle(typed)
    }

    /// Gives what is still untyped the type text.
    pub(super) fn settle(&mut self, typed: Typed) -> Result<Typed, SqlError> {
        match typed.form {
            Form::Plain | Form::Column { .. } => Ok(typed),
            _ if !typed.is_unknown() => Ok(typed),
            _ => self.coerce(typed, Type::TEXT),
        }
    }

    pub(super) fn expression_here(&mut self, expr: &Expr) -> Result<Typed, SqlError> {
        match expr {
            Expr::Identifier(ident) if is_current_role(ident) => {
                self.call("current_role", Vec::new())
            }
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(idents) => self.qualified_column(idents),
            Expr::Value(value) => self.value(&value.value),
            Expr::Nested(inner) => {
                let mut typed = self.expression(inner)?;
                if !typed.atomic {
                    typed.sql = format!("({})", typed.sql);
                    typed.atomic = true;
                }
                Ok(typed)
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::IsNull(inner) => self.is_test(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.is_test(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.truth(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.truth(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.truth(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.truth(inner, "IS NOT FALSE"),
            Expr::IsUnknown(inner) => self.truth(inner, "IS NULL"),
            Expr::IsNotUnknown(inner) => self.truth(inner, "IS NOT NULL"),
            Expr::IsDistinctFrom(left, right) => self.distinct_from(left, right, false),
            Expr::IsNotDistinctFrom(left, right) => self.distinct_from(left, right, true),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::InSubquery { expr, subquery, negated } => {
                self.in_subquery(expr, subquery, *negated)
            }
            Expr::Between { expr, negated, low, high } => self.between(expr, low, high, *negated),
            Expr::Like { negated, any, expr, pattern, escape_char } => {
                if *any {
                    return self.like_quantified(expr, pattern, Quantifier::Any, *negated, false);
                }
                self.like(expr, pattern, escape_char.as_deref(), *negated, Like::Sensitive)
            }
            Expr::ILike { negated, any, expr, pattern, escape_char } => {
                if *any {
                    return self.like_quantified(expr, pattern, Quantifier::Any, *negated, true);
                }
                self.like(expr, pattern, escape_char.as_deref(), *negated, Like::Insensitive)
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), *negated, Like::Similar)
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, Quantifier::Any)
            }
            Expr::AllOp { left, compare_op, right } => {
                self.quantified(left, compare_op, right, Quantifier::All)
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, ..
            } => {
                let ty = self.resolve_type(data_type)?;
                let inner = match (&**expr, self.element_of(ty)) {
                    (Expr::Array(array), Some(element)) => {
                        self.array_as(&array.elem, ty, element)?
                    }
                    _ => self.expression(expr)?,
                };
                let name = inner.strong_name();
                let cast = self.cast(inner, ty)?;
                Ok(match name {
                    Some(name) => cast.named(name),
                    None => cast.named_weakly(self.type_column_name(ty)),
                })
            }
            Expr::TypedString(typed) => {
                let ty = self.resolve_type(&typed.data_type)?;
                let literal = self.value(&typed.value.value)?;
                let name = self.type_column_name(ty);
                Ok(self.cast(literal, ty)?.named_weakly(name))
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::AtTimeZone { timestamp, time_zone } => self.at_time_zone(timestamp, time_zone),
            Expr::Extract { field, expr, .. } => self.extract(field, expr),
            Expr::Ceil { expr, .. } => self.call_with("ceil", &[expr]),
            Expr::Floor { expr, .. } => self.call_with("floor", &[expr]),
            Expr::Position { expr, r#in } => {
                Ok(self.call_with("strpos", &[r#in, expr])?.named("position"))
            }
            Expr::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                let mut arguments = vec![self.expression(expr)?];
                match (substring_from, substring_for) {
                    (None, Some(length)) => {
                        arguments.push(Typed::plain("1", Oid::INT4));
                        arguments.push(self.expression(length)?);
                    }
                    (from, length) => {
                        for argument in [from, length].into_iter().flatten() {
                            arguments.push(self.expression(argument)?);
                        }
                    }
                }
                let name = if *shorthand { "substr" } else { "substring" };
                Ok(self.call("substring", arguments)?.named(name))
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let function = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut arguments = vec![self.expression(expr)?];
                let characters = trim_what.as_deref().or_else(|| trim_characters.as_ref()?.first());
                if let Some(characters) = characters {
                    arguments.push(self.expression(characters)?);
                }
                self.call(function, arguments)
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut arguments: Vec<&Expr> = vec![expr, overlay_what, overlay_from];
                arguments.extend(overlay_for.as_deref());
                self.call_with("overlay", &arguments)
            }
            Expr::Collate { expr, collation } => {
                let typed = self.expression(expr)?;
                let typed = self.settle(typed)?;
                match names::last(collation).as_deref() {
                    // Text compares by its bytes here, whatever the locale is called.
                    Some("default" | "C" | "POSIX" | "ucs_basic") => Ok(typed),
                    Some("nocase") => {
                        Ok(Typed::of(format!("{} COLLATE NOCASE", typed.operand()), typed.ty))
                    }
                    Some(name)
                        if name.starts_with("en_")
                            || name.starts_with("C.")
                            || name.ends_with("-x-icu") =>
                    {
                        Ok(typed)
                    }
                    _ => Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("collation \"{collation}\" for encoding \"UTF8\" does not exist"),
                    )),
                }
            }
            Expr::Function(call) => self.function(call),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.refuse_set(expr, "CASE")?;
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Exists { subquery, negated } => self.exists(subquery, *negated),
            Expr::Subquery(subquery) => {
                let query = self.subquery(subquery)?;
                let [column] = query.columns.as_slice() else {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "subquery must return only one column",
                    ));
                };
                let sql = if one_row::gives_one_row(subquery) && !self.calls_rows(expr) {
                    format!("({})", query.sql)
                } else {
                    format!("({})", self.only_row(&query.sql, 1))
                };
                Ok(Typed::of(sql, column.ty).named(column.name.clone()))
            }
            Expr::Tuple(fields) => {
                let fields = self.expressions(fields)?;
                Ok(self.constructed_row(fields))
            }
            Expr::Array(array) => self.array(&array.elem),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => {
                Err(super::syntax::syntax_error("GROUPING", None))
            }
            other => Err(SqlError::unsupported(format_args!("the expression {other}"))),
        }
    }

    pub(super) fn expressions<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Vec<Typed>, SqlError> {
        exprs.into_iter().map(|expr| self.expression(expr)).collect()
    }

    /// An unqualified name: a column, or a whole row by its table's name.
    fn column(&mut self, ident: &Ident) -> Result<Typed, SqlError> {
        let name = names::fold(ident);
        match scope::find(&self.scopes, &name).map_err(|error| self.at(error, ident))? {
            Some(found) => Ok(self.read_column(&found, &name, false)),
            // The SQL standard writes it without parentheses.
            None if name == "current_schema" && ident.quote_style.is_none() => {
                self.call("current_schema", Vec::new())
            }
            None => self
                .system_column(None, &name)
                .or_else(|| self.whole_row(&name))
                .or_else(|| self.named_argument(&name))
                .ok_or_else(|| self.at(missing_column(&name), ident)),
        }
    }

    /// A system column of the named table, or of the first in FROM: the OID of the table
    /// that a row is from, and in the catalogs the transaction that made the row. What is
    /// in them is always as new as the query, so that who looks for changes looks again.
    fn system_column(&self, table: Option<&str>, name: &str) -> Option<Typed> {
        let source = self
            .scopes
            .iter()
            .rev()
            .flat_map(|scope| &scope.sources)
            .find(|source| table.is_none_or(|table| source.alias == table))?;
        let oid = source.columns.first()?.origin.0;
        let typed = match name {
            "tableoid" if oid.0 != 0 => Typed::plain(oid.0.to_string(), Oid::OID),
            "xmin" if (1..16_384).contains(&oid.0) => {
                Typed::plain(format!("({THIS_TRANSACTION})"), Oid::XID)
            }
            _ => return None,
        };
        Some(typed.named(name))
    }

    fn qualified_column(&mut self, idents: &[Ident]) -> Result<Typed, SqlError> {
        let folded: Vec<String> = idents.iter().map(names::fold).collect();
        let (schema, table, name) = match folded.as_slice() {
            [table, name] => (None, table, name),
            [schema, table, name] | [_, schema, table, name] => {
                (Some(schema.as_str()), table, name)
            }
            _ => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "improper qualified name")),
        };
        let found = match scope::find_qualified(&self.scopes, schema, table, name) {
            Ok(found) => found,
            Err(_) if let Some(typed) = self.system_column(Some(table), name) => return Ok(typed),
            Err(error)
                if let [first, last] = folded.as_slice()
                    && !self.frames.is_empty() =>
            {
                if let Some(argument) = self.argument_of(first, last) {
                    return Ok(argument);
                }
                let Some(row) = self.named_argument(first) else {
                    return Err(self.at(error, &idents[0]));
                };
                let field = self.all_fields(&row)?.into_iter();
                let mut field = field.filter(|field| field.name.as_ref() == Some(last));
                return field.next().ok_or_else(|| self.missing_field(last, row.oid()));
            }
            Err(error) => return Err(self.at(error, &idents[0])),
        };
        Ok(self.read_column(&found, name, true))
    }

    fn read_column(&self, found: &Found<'_>, name: &str, qualify: bool) -> Typed {
        let typed = found_column(found, name, qualify);
        self.demand_column(typed.origin, Rights::SELECT);
        typed
    }

    /// A literal.
    fn value(&mut self, value: &Value) -> Result<Typed, SqlError> {
        match value {
            Value::Number(text, _) => number(text),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => Ok(text_literal(text)),
            Value::DollarQuotedString(quoted) => Ok(text_literal(&quoted.value)),
            Value::HexStringLiteral(digits) => bits_literal(&format!("x{digits}")),
            Value::SingleQuotedByteStringLiteral(digits) => bits_literal(&format!("b{digits}")),
            Value::Boolean(value) => {
                Ok(Typed::plain(if *value { "TRUE" } else { "FALSE" }, Oid::BOOL)
                    .named_weakly("bool"))
            }
            Value::Null => Ok(Typed { form: Form::Null, ..Typed::plain("NULL", Oid::UNKNOWN) }),
            Value::Placeholder(text) => {
                let number = text.strip_prefix('$').and_then(|digits| digits.parse().ok());
                match number {
                    Some(number) => self.parameter(number),
                    None => Err(super::syntax::syntax_error(text, None)),
                }
            }
            other => Err(super::syntax::syntax_error(&other.to_string(), None)),
        }
    }

    fn unary(&mut self, op: UnaryOperator, expr: &Expr) -> Result<Typed, SqlError> {
        // The parser binds `^` tighter than a sign; PostgreSQL does not.
        if matches!(op, UnaryOperator::Minus | UnaryOperator::Plus)
            && let Some(regrouped) = operator::sign_first(op, expr)
        {
            return self.expression(&regrouped);
        }
        // The least integers have one more in size than the greatest.
        if op == UnaryOperator::Minus
            && let Expr::Value(value) = expr
            && let Value::Number(size, _) = &value.value
            && let Some(oid) = match size.as_str() {
                "2147483648" => Some(Oid::INT4),
                "9223372036854775808" => Some(Oid::INT8),
                _ => None,
            }
        {
            let text = format!("-{size}");
            return Ok(Typed { form: Form::Number(text.clone()), ..Typed::compound(text, oid) });
        }
        if op == UnaryOperator::Not
            && let Expr::Exists { subquery, negated: false } = existence::bare(expr)
        {
            return self.exists(subquery, true);
        }
        let typed = self.expression(expr)?;
        operator::unary(self, op, typed)
    }

    fn is_test(&mut self, inner: &Expr, test: &str) -> Result<Typed, SqlError> {
        let typed = self.settled(inner)?;
        if let Some(fields) = self.row_fields(&typed) {
            // A row is null when all its fields are, not null when none is.
            let tests: Vec<String> =
                fields.iter().map(|field| format!("{} {test}", field.operand())).collect();
            return Ok(Typed::compound(tests.join(" AND "), Oid::BOOL));
        }
        Ok(Typed::compound(format!("{} {test}", typed.operand()), Oid::BOOL))
    }

    fn truth(&mut self, inner: &Expr, test: &str) -> Result<Typed, SqlError> {
        let typed = self.expression(inner)?;
        let typed = self.boolean(typed, test)?;
        Ok(Typed::compound(format!("{} {test}", typed.operand()), Oid::BOOL))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        else_result: Option<&Expr>,
    ) -> Result<Typed, SqlError> {
        let mut whens = Vec::with_capacity(conditions.len());
        for when in conditions {
            let condition = match operand {
                // Spelled out, so that operand and value meet in one type.
                Some(operand) => {
                    self.binary(operand, &sqlparser::ast::BinaryOperator::Eq, &when.condition)?.sql
                }
                None => self.condition(&when.condition, "CASE/WHEN")?,
            };
            whens.push(condition);
        }
        let mut results = self.expressions(conditions.iter().map(|when| &when.result))?;
        let mut name = None;
        if let Some(expr) = else_result {
            let typed = self.expression(expr)?;
            name = typed.strong_name();
            results.push(typed);
        }
        // What ELSE gives comes first where the type is decided.
        let turn = usize::from(else_result.is_some());
        results.rotate_right(turn);
        let (mut results, ty) = self.unify(results, "CASE")?;
        results.rotate_left(turn);
        let mut sql = String::from("CASE");
        for (condition, result) in whens.iter().zip(&results) {
            sql.push_str(&format!(" WHEN {condition} THEN {}", result.sql));
        }
        if else_result.is_some()
            && let Some(last) = results.last()
        {
            sql.push_str(&format!(" ELSE {}", last.sql));
        }
        sql.push_str(" END");
        let case = Typed::of(sql, ty);
        Ok(match name {
            Some(name) => case.named(name),
            None => case.named_weakly("case"),
        })
    }

    /// Brings expressions that stand for the same thing to one type.
    pub(super) fn unify(
        &mut self,
        items: Vec<Typed>,
        what: &str,
    ) -> Result<(Vec<Typed>, Type), SqlError> {
        let mut common = Oid::UNKNOWN;
        let mut row = Type::plain(Oid::UNKNOWN);
        for item in &items {
            common = types::common(common, item.oid()).ok_or_else(|| {
                SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{what} types {} and {} cannot be matched",
                        types::display_name(common),
                        types::display_name(item.oid())
                    ),
                )
            })?;
            if has_shape(common) {
                row = Type { oid: common, typmod: self.common_modifier(common, row, item.ty)? };
            }
        }
        if types::is_unknown(common) && items.iter().any(|item| item.form != Form::Plain) {
            common = Oid::TEXT;
        }
        // A modifier survives only where all agree.
        let mut typmods = items.iter().filter(|item| !item.is_null()).map(|item| item.ty.typmod);
        let first = typmods.next().unwrap_or(-1);
        let typmod = match has_shape(common) {
            true => row.typmod,
            false if typmods.all(|typmod| typmod == first) => first,
            false => -1,
        };
        let items = items
            .into_iter()
            .map(|item| self.coerce(item, Type::plain(common)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((items, Type { oid: common, typmod }))
    }

    fn array(&mut self, elements: &[Expr]) -> Result<Typed, SqlError> {
        let elements = self.expressions(elements)?;
        let (elements, ty) = self.unify(elements, "ARRAY")?;
        Ok(self.array_of(elements, ty).named("array"))
    }

    /// An array constructor whose type is told by the cast around it: each element is cast.
    fn array_as(&mut self, items: &[Expr], ty: Type, element: Type) -> Result<Typed, SqlError> {
        let mut elements = Vec::with_capacity(items.len());
        for item in items {
            elements.push(match item {
                Expr::Array(inner) => self.array_as(&inner.elem, ty, element)?,
                item => self.expression(item)?,
            });
        }
        let nested = elements.iter().any(|item| self.element_of(item.ty).is_some());
        let wanted = if nested { ty } else { element };
        let elements = elements
            .into_iter()
            .map(|item| self.cast(item, wanted))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.array_of(elements, wanted).named("array"))
    }

    /// An array constructor over elements of one type.
    pub(super) fn array_of(&mut self, elements: Vec<Typed>, element: Type) -> Typed {
        let nested = self.element_of(element).is_some();
        // Rows of a two-dimensional array are arrays themselves.
        let ty = if nested { element } else { self.array_over(element) };
        let texts: Vec<String> = elements.iter().map(super::cast::array_element).collect();
        let function = if nested { "towline_array_nest" } else { "towline_array" };
        // A row that is an element is a value.
        let whole = |element: Typed| match element.form {
            Form::Row(fields) => Typed { form: Form::Whole(fields), ..element },
            _ => element,
        };
        Typed {
            form: Form::Array(elements.into_iter().map(whole).collect()),
            ..Typed::of(format!("{function}({})", texts.join(", ")), ty)
        }
    }

    pub(super) fn access(&mut self, root: &Expr, chain: &[AccessExpr]) -> Result<Typed, SqlError> {
        let (mut typed, chain) = self.accessed(root, chain)?;
        let mut name = typed.name.clone();
        let mut behind = chain.iter();
        while let Some(access) = behind.next() {
            if let AccessExpr::Dot(Expr::Identifier(field)) = access
                && let Some(fields) = self.row_fields(&typed)
            {
                let wanted = names::fold(field);
                let found = fields.into_iter().find(|other| other.name.as_deref() == Some(&wanted));
                typed = found.ok_or_else(|| self.missing_field(&wanted, typed.oid()))?;
                name = Some(wanted);
                continue;
            }
            let element = self.element_of(typed.ty);
            if element.is_some()
                && matches!(access, AccessExpr::Subscript(_))
                && chain.iter().any(is_slice)
            {
                return self.slice(typed, &chain[chain.len() - behind.len() - 1..]);
            }
            if typed.oid() == Oid::JSONB
                && let AccessExpr::Subscript(subscript) = access
            {
                typed = self.jsonb_subscript(&typed, subscript)?;
                continue;
            }
            typed = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let index = self.expression(index)?;
                    if typed.oid() == Oid::NAME {
                        // Its bytes, from 0 on.
                        let index = self.coerce(index, Type::plain(Oid::INT4))?.operand();
                        let place = format!("iif({index} < 0, 65, {index} + 1)");
                        let byte = format!("nullif(substr({}, {place}, 1), '')", typed.sql);
                        Typed::plain(byte, Oid::CHAR)
                    } else {
                        let mut index = self.coerce(index, Type::plain(Oid::INT4))?.sql;
                        if let Some(part) = super::shapes::shape_at(&typed, &index) {
                            typed = part;
                            continue;
                        }
                        let Some(element) = element else {
                            return Err(SqlError::new(
                                SqlState::DATATYPE_MISMATCH,
                                format!(
                                    "cannot subscript type {} because it does not support subscripting",
                                    types::display_name(typed.oid())
                                ),
                            ));
                        };
                        let base = if matches!(typed.oid(), Oid::INT2VECTOR | Oid::OIDVECTOR) {
                            0
                        } else {
                            1
                        };
                        let mut further = false;
                        while let [AccessExpr::Subscript(Subscript::Index { index: next }), ..] =
                            behind.as_slice()
                        {
                            behind.next();
                            let next = self.expression(next)?;
                            let next = self.coerce(next, Type::plain(Oid::INT4))?;
                            index.push_str(", ");
                            index.push_str(&next.sql);
                            further = true;
                        }
                        let read = match further {
                            true => format!("towline_array_at({}, {index})", typed.sql),
                            false => format!("towline_array_get({}, {index}, {base})", typed.sql),
                        };
                        Typed { ty: element, ..super::cast::from_array_element(read, element.oid) }
                    }
                }
                AccessExpr::Dot(Expr::Identifier(field)) => {
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!(
                            "column notation .{} applied to type {}, which is not a composite type",
                            names::fold(field),
                            types::display_name(typed.oid())
                        ),
                    ));
                }
                _ => return Err(SqlError::unsupported("this kind of subscript")),
            };
        }
        Ok(Typed { name, ..typed })
    }

    /// What a chain of accesses begins at, and what is left of the chain: names alone are a
    /// column's, qualified.
    fn accessed<'c>(
        &mut self,
        root: &Expr,
        chain: &'c [AccessExpr],
    ) -> Result<(Typed, &'c [AccessExpr]), SqlError> {
        let names = chain.iter().map_while(|access| match access {
            AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        });
        let names: Vec<Ident> = names.collect();
        match root {
            Expr::Identifier(first) if !names.is_empty() => {
                let behind = &chain[names.len()..];
                let idents: Vec<Ident> = std::iter::once(first.clone()).chain(names).collect();
                Ok((self.qualified_column(&idents)?, behind))
            }
            _ => Ok((self.settled(root)?, chain)),
        }
    }

    /// `array[a:b][c]…`: where one subscript is a slice all are, one alone from 1.
    fn slice(&mut self, array: Typed, chain: &[AccessExpr]) -> Result<Typed, SqlError> {
        let mut arguments = array.sql.clone();
        for access in chain {
            let (lower, upper) = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => (None, Some(index)),
                AccessExpr::Subscript(Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    stride: None,
                }) => (lower_bound.as_ref(), upper_bound.as_ref()),
                _ => return Err(SqlError::unsupported("this kind of subscript")),
            };
            let alone = matches!(access, AccessExpr::Subscript(Subscript::Index { .. }));
            for (bound, missing) in [(lower, if alone { "1" } else { "''" }), (upper, "''")] {
                arguments.push_str(", ");
                match bound {
                    Some(bound) => {
                        let bound = self.expression(bound)?;
                        arguments.push_str(&self.coerce(bound, Type::plain(Oid::INT4))?.sql);
                    }
                    None => arguments.push_str(missing),
                }
            }
        }
        let sliced = Typed::of(format!("towline_array_slice({arguments})"), array.ty);
        Ok(Typed { name: array.name, ..sliced })
    }

    fn interval(&mut self, interval: &sqlparser::ast::Interval) -> Result<Typed, SqlError> {
        let value = self.expression(&interval.value)?;
        let (Form::Text(text) | Form::Number(text)) = &value.form else {
            return Err(super::syntax::syntax_error("INTERVAL", None));
        };
        let mut text = text.clone();
        // `INTERVAL '1' DAY` says its unit outside.
        if let Some(field) = &interval.leading_field
            && text.trim().parse::<f64>().is_ok()
        {
            let unit = interval.last_field.as_ref().unwrap_or(field);
            text = format!("{text} {unit}");
        }
        let fields = interval.leading_field.as_ref().map(|first| match &interval.last_field {
            Some(last) => format!("{first} TO {last}"),
            None => first.to_string(),
        });
        // `2:03` is of minutes and seconds there.
        if fields.as_deref().is_some_and(|fields| fields.eq_ignore_ascii_case("MINUTE TO SECOND")) {
            let (days, time) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
            let (sign, digits) =
                time.split_at(time.len() - time.trim_start_matches(['+', '-']).len());
            if digits.matches(':').count() == 1 && !digits.contains('.') {
                text = format!("{days} {sign}00:{digits}");
            }
        }
        let precision = interval.leading_precision.or(interval.fractional_seconds_precision);
        let typmod = types::interval_typmod(fields.as_deref(), precision)?;
        let ty = Type { oid: Oid::INTERVAL, typmod };
        Ok(self.cast(text_literal(&text), ty)?.named_weakly("interval"))
    }

    fn at_time_zone(&mut self, timestamp: &Expr, zone: &Expr) -> Result<Typed, SqlError> {
        let timestamp = self.expression(timestamp)?;
        let timestamp = if timestamp.is_unknown() || timestamp.oid() == Oid::DATE {
            self.coerce(timestamp, Type::plain(Oid::TIMESTAMPTZ))?
        } else {
            timestamp
        };
        let zone = self.settled(zone)?;
        function::timezone(zone, timestamp)
    }

    fn extract(&mut self, field: &DateTimeField, expr: &Expr) -> Result<Typed, SqlError> {
        let field = field.to_string().trim_matches(['\'', '"']).to_ascii_lowercase();
        let typed = self.expression(expr)?;
        let typed = if typed.is_unknown() {
            self.coerce(typed, Type::plain(Oid::TIMESTAMP))?
        } else {
            typed
        };
        let zoned = typed.oid() == Oid::TIMESTAMPTZ;
        let zone = if zoned { self.zone_argument() } else { String::new() };
        let sql = format!("towline_extract({}, {}{zone})", names::quote_literal(&field), typed.sql);
        Ok(Typed::plain(sql, Oid::NUMERIC).named("extract"))
    }

    /// Calls a function on untranslated arguments.
    pub(super) fn call_with(&mut self, name: &str, arguments: &[&Expr]) -> Result<Typed, SqlError> {
        let arguments = self.expressions(arguments.iter().copied())?;
        self.call(name, arguments)
    }
}

/// `sqlparser` takes it, of all keywords for a role, for a column.
fn is_current_role(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("current_role")
}

/// The transaction's number, as far as an xid tells it.
pub(super) const THIS_TRANSACTION: &str = "txid_current() % 4294967296";

fn missing_column(name: &str) -> SqlError {
    scope::missing_column(name, format_args!("\"{name}\""))
}

/// What a cast to a type calls its column: an array goes by its element.
pub(super) fn type_column_name(oid: Oid) -> String {
    match types::element_of(oid) {
        Some(element) if !matches!(oid, Oid::INT2VECTOR | Oid::OIDVECTOR) => {
            types::internal_name(element)
        }
        _ => types::internal_name(oid),
    }
}

fn found_column(found: &Found<'_>, name: &str, qualify: bool) -> Typed {
    match found {
        Found::Column { source, column, level, only } => {
            let sql = match &column.sql {
                Some(sql) => sql.clone(),
                None if source.alias.is_empty() || (!qualify && *only && *level == 0) => {
                    names::quote(name)
                }
                None => format!("{}.{}", names::quote(&source.alias), names::quote(name)),
            };
            Typed {
                form: Form::Column { not_null: column.not_null },
                origin: column.origin,
                ..Typed::of(sql, column.ty)
            }
            .named(name)
        }
        Found::Open { source, level } => {
            let sql = if source.alias.is_empty() || (!qualify && *level == 0) {
                names::quote(name)
            } else {
                format!("{}.{}", names::quote(&source.alias), names::quote(name))
            };
            Typed { form: Form::Column { not_null: false }, ..Typed::plain(sql, Oid::UNKNOWN) }
                .named(name)
        }
    }
}

fn is_slice(access: &AccessExpr) -> bool {
    matches!(access, AccessExpr::Subscript(Subscript::Slice { .. }))
}

/// `B'…'` and `X'…'`.
fn bits_literal(text: &str) -> Result<Typed, SqlError> {
    let bits = parse_bits(text)?;
    let ty = Type { oid: Oid::BIT, typmod: bits.len() as i32 };
    Ok(Typed::of(names::quote_literal(&bits), ty))
}

pub(super) fn text_literal(text: &str) -> Typed {
    Typed {
        form: Form::Text(text.to_owned()),
        ..Typed::plain(names::quote_literal(text), Oid::UNKNOWN)
    }
}

/// A numeric literal: the smallest of int4, int8, numeric that holds it.
fn number(text: &str) -> Result<Typed, SqlError> {
    let text = text.replace('_', "");
    let radix = match text.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => 10,
    };
    if radix != 10 {
        return match i64::from_str_radix(&text[2..], radix) {
            Ok(value) => Ok(integer(value)),
            Err(_) => Err(super::syntax::syntax_error(&text, None)),
        };
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(integer(value));
    }
    // Exponents would let a short literal stand for gigabytes of digits.
    let exponent = text.split(['e', 'E']).nth(1).map_or(Ok(0), str::parse::<i32>);
    match (exponent, text.parse::<bigdecimal::BigDecimal>()) {
        (Ok(-20_000..=131_072), Ok(value)) => Ok(numeric(value.to_plain_string())),
        (Ok(_), Ok(_)) => Err(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value overflows numeric format",
        )),
        _ => Err(super::syntax::syntax_error(&text, None)),
    }
}

fn integer(value: i64) -> Typed {
    let oid = if i32::try_from(value).is_ok() { Oid::INT4 } else { Oid::INT8 };
    Typed { form: Form::Number(value.to_string()), ..Typed::plain(value.to_string(), oid) }
}

/// A numeric literal in plain notation: text, so that no digit is lost.
pub(super) fn numeric(plain: String) -> Typed {
    Typed { sql: format!("'{plain}'"), form: Form::Number(plain), ..Typed::plain("", Oid::NUMERIC) }
}
