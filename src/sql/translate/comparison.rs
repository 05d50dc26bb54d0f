//! Comparisons. They stay bare wherever SQLite's own comparison gives PostgreSQL's answer,
//! so that indexes serve them.

use sqlparser::ast::{BinaryOperator, Expr, Query};

use super::operator::{balanced, plain_operator, undefined_operator};
use super::{Form, Translator, Typed, cast};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, common, family, is_integer};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quantifier {
    Any,
    All,
}

/// Whether a column of dates is compared with a moment that no index could serve instead.
fn days_meet_moments(days: &Typed, moments: &Typed) -> bool {
    days.oid() == Oid::DATE
        && matches!(days.form, Form::Column { .. })
        && moments.oid() == Oid::TIMESTAMP
        && !matches!(moments.form, Form::Column { .. })
}

/// A timestamp as dates compare with it as they stand: a date's text is the front of those
/// of its day's moments, and equals what is left of its midnight.
fn without_midnight(moment: Typed) -> Typed {
    Typed::plain(format!("replace({}, ' 00:00:00', '')", moment.sql), Oid::DATE)
}

/// What must hold, too, if a column without a time zone compares so with a moment that has
/// one. The column stays bare in it, which the exact comparison, by the session's zone, can't
/// leave it: no zone is further than [`ZONES_DAYS`] from UTC.
fn nearly(left: &Typed, op: &str, right: &Typed) -> Option<String> {
    let zoneless = |typed: &Typed| {
        matches!(typed.form, Form::Column { .. })
            && matches!(typed.oid(), Oid::DATE | Oid::TIMESTAMP)
    };
    let zoned = |typed: &Typed| {
        typed.oid() == Oid::TIMESTAMPTZ && !matches!(typed.form, Form::Column { .. })
    };
    let (column, moment, grows) = match op {
        "<" | "<=" if zoneless(left) && zoned(right) => (left, right, true),
        ">" | ">=" if zoneless(left) && zoned(right) => (left, right, false),
        "<" | "<=" if zoned(left) && zoneless(right) => (right, left, false),
        ">" | ">=" if zoned(left) && zoneless(right) => (right, left, true),
        _ => return None,
    };
    let (op, days) = if grows { ("<=", ZONES_DAYS) } else { (">=", -ZONES_DAYS) };
    Some(format!("{} {op} towline_days_off({}, {days})", column.operand(), moment.sql))
}

/// More days than lie between a zone's time and UTC, whatever jumps it makes.
const ZONES_DAYS: i32 = 3;

impl Translator<'_> {
    /// Two operands that SQLite compares as the type does: under the collation of the left
    /// one, if it is a column, else under that which the right one is given.
    fn compared_alike(&self, left: Typed, mut right: Typed) -> (Typed, Typed) {
        if !matches!(left.form, Form::Column { .. })
            && let Some(collation) = self.collation(right.ty)
        {
            right.sql = format!("{} COLLATE {collation}", right.operand());
            right.atomic = true;
        }
        (left, right)
    }

    /// Comparison: SQLite's own, with both sides in one type and the right collation.
    pub(super) fn compare(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        if let (Form::Row(lefts), Form::Row(rights)) = (&left.form, &right.form) {
            return self.compare_rows(lefts.clone(), op, rights.clone());
        }
        if self.is_row(left.oid()) || self.is_row(right.oid()) {
            return self.compare_whole(left, op, right);
        }
        let nearly = nearly(&left, op, &right);
        let (left, right) = self.meet(left, op, right)?;
        let exactly = format!("{} {op} {}", left.operand(), right.operand());
        Ok(Typed::compound(
            nearly.map_or(exactly.clone(), |nearly| format!("{nearly} AND {exactly}")),
            Oid::BOOL,
        ))
    }

    fn compare_rows(
        &mut self,
        lefts: Vec<Typed>,
        op: &str,
        rights: Vec<Typed>,
    ) -> Result<Typed, SqlError> {
        if lefts.len() != rights.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "unequal number of entries in row expressions",
            ));
        }
        let (mut left_texts, mut right_texts) = (Vec::new(), Vec::new());
        for (left, right) in lefts.into_iter().zip(rights) {
            let (left, right) = match self.is_row(left.oid()) || self.is_row(right.oid()) {
                true => self.rows_alike(left, op, right)?,
                false => self.meet(left, op, right)?,
            };
            left_texts.push(left.sql);
            right_texts.push(right.sql);
        }
        Ok(Typed::compound(
            format!("({}) {op} ({})", left_texts.join(", "), right_texts.join(", ")),
            Oid::BOOL,
        ))
    }

    /// Brings two operands of a comparison to forms that SQLite compares as PostgreSQL does.
    fn meet(&mut self, left: Typed, op: &str, right: Typed) -> Result<(Typed, Typed), SqlError> {
        if days_meet_moments(&left, &right) {
            return Ok((left, without_midnight(right)));
        }
        if days_meet_moments(&right, &left) {
            return Ok((without_midnight(left), right));
        }
        let comparable = |oid: &Oid| types::is_comparable(*oid);
        let Some(oid) = common(left.oid(), right.oid()).filter(comparable) else {
            return Err(undefined_operator(Some(left.oid()), op, right.oid()));
        };
        let oid = match oid {
            oid if types::is_unknown(oid) => {
                // Two untyped operands compare as text, unless a table of unknown
                // columns stands behind one.
                let opaque =
                    |typed: &Typed| matches!(typed.form, Form::Plain | Form::Column { .. });
                if opaque(&left) || opaque(&right) { Oid::UNKNOWN } else { Oid::TEXT }
            }
            oid => oid,
        };
        if oid == Oid::UNKNOWN {
            let left = self.settle(left)?;
            let right = self.settle(right)?;
            return Ok((left, right));
        }
        match family(oid) {
            Family::Number => {
                let left = self.comparable_number(left, oid)?;
                let right = self.comparable_number(right, oid)?;
                Ok(self.compared_alike(left, right))
            }
            Family::String if left.oid() == Oid::BPCHAR || right.oid() == Oid::BPCHAR => {
                self.comparable_char(left, right)
            }
            Family::Interval => {
                let left = self.coerce(left, Type::plain(oid))?;
                let right = self.coerce(right, Type::plain(oid))?;
                let key = |typed: Typed| {
                    Typed::plain(format!("towline_interval_us({})", typed.sql), Oid::INT8)
                };
                Ok((key(left), key(right)))
            }
            _ if self.element_of(Type::plain(oid)).is_some()
                && !matches!(op, "=" | "<>" | "IS" | "IS NOT") =>
            {
                let left = self.coerce(left, Type::plain(oid))?;
                let right = self.coerce(right, Type::plain(oid))?;
                let key = Typed { sql: self.in_order(&left), ..left };
                Ok((key, right))
            }
            _ => {
                let left = self.coerce(left, Type::plain(oid))?;
                let right = self.coerce(right, Type::plain(oid))?;
                if matches!(op, "<" | "<=" | ">" | ">=") {
                    return Ok(self.compared_alike(self.ranked(left), self.ranked(right)));
                }
                Ok(self.compared_alike(left, right))
            }
        }
    }

    /// Integers compare with integers and floats as they are.
    fn comparable_number(&mut self, typed: Typed, oid: Oid) -> Result<Typed, SqlError> {
        if oid != Oid::NUMERIC && (is_integer(typed.oid()) || typed.oid() == Oid::OID) {
            return Ok(typed);
        }
        self.coerce(typed, Type::plain(oid))
    }

    /// char(n) compares without regard to trailing blanks. It is stored padded, so a
    /// constant is padded to the column's length, and the column stays bare.
    fn comparable_char(&mut self, left: Typed, right: Typed) -> Result<(Typed, Typed), SqlError> {
        let is_column =
            |typed: &Typed| typed.oid() == Oid::BPCHAR && matches!(typed.form, Form::Column { .. });
        if is_column(&left) && is_column(&right) && left.ty.typmod == right.ty.typmod {
            return Ok((left, right));
        }
        if is_column(&left) && !is_column(&right) {
            let right = self.padded(right, left.ty)?;
            return Ok((left, right));
        }
        if is_column(&right) && !is_column(&left) {
            let left = self.padded(left, right.ty)?;
            return Ok((left, right));
        }
        let trimmed = |this: &mut Self, typed: Typed| {
            let typed = this.coerce(typed, Type::TEXT)?;
            Ok::<_, SqlError>(Typed::plain(format!("rtrim({}, ' ')", typed.sql), Oid::TEXT))
        };
        Ok((trimmed(self, left)?, trimmed(self, right)?))
    }

    fn padded(&mut self, typed: Typed, ty: Type) -> Result<Typed, SqlError> {
        let typed = self.coerce(typed, Type::plain(Oid::BPCHAR))?;
        Ok(Typed::of(format!("towline_pad({}, {})", typed.sql, ty.typmod - 4), ty))
    }

    pub(super) fn distinct_from(
        &mut self,
        left: &Expr,
        right: &Expr,
        same: bool,
    ) -> Result<Typed, SqlError> {
        let left = self.expression(left)?;
        let right = self.expression(right)?;
        self.compare(left, if same { "IS" } else { "IS NOT" }, right)
    }

    pub(super) fn between(
        &mut self,
        expr: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let value = self.expression(expr)?;
        let low = self.expression(low)?;
        let high = self.expression(high)?;
        let low = self.compare(value.clone(), ">=", low)?;
        let high = self.compare(value, "<=", high)?;
        let sql = format!("{} AND {}", low.sql, high.sql);
        if negated {
            return Ok(Typed::compound(format!("NOT ({sql})"), Oid::BOOL));
        }
        Ok(Typed::compound(sql, Oid::BOOL))
    }

    pub(super) fn in_list(
        &mut self,
        expr: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let value = self.expression(expr)?;
        let list = self.expressions(list)?;
        self.among(value, list, negated)
    }

    /// `value [NOT] IN (list)`.
    fn among(&mut self, value: Typed, list: Vec<Typed>, negated: bool) -> Result<Typed, SqlError> {
        let not = if negated { "NOT " } else { "" };
        let rows = self.is_row(value.oid()) || list.iter().any(|item| self.is_row(item.oid()));
        let mut oid = value.oid();
        for item in list.iter().filter(|_| !rows) {
            oid = common(oid, item.oid())
                .ok_or_else(|| undefined_operator(Some(value.oid()), "=", item.oid()))?;
        }
        let simple = match family(oid) {
            _ if rows => false,
            Family::Interval => false,
            Family::String => value.oid() != Oid::BPCHAR,
            _ => true,
        };
        if !simple {
            let mut tests = Vec::with_capacity(list.len());
            for item in list {
                tests.push(self.compare(value.clone(), "=", item)?.operand());
            }
            let any = balanced(&tests, "OR");
            return Ok(Typed::compound(
                if negated { format!("NOT ({any})") } else { any },
                Oid::BOOL,
            ));
        }
        let oid =
            if types::is_unknown(oid) && !matches!(value.form, Form::Plain | Form::Column { .. }) {
                Oid::TEXT
            } else {
                oid
            };
        let number = family(oid) == Family::Number;
        let mut texts = Vec::with_capacity(list.len());
        for item in list {
            let item = if number {
                self.comparable_number(item, oid)?
            } else {
                self.coerce(item, Type::plain(oid))?
            };
            texts.push(item.sql);
        }
        let mut value = if number {
            self.comparable_number(value, oid)?
        } else {
            self.coerce(value, Type::plain(oid))?
        };
        value.sql = self.collated(&value);
        Ok(Typed::compound(
            format!("{} {not}IN ({})", value.operand(), texts.join(", ")),
            Oid::BOOL,
        ))
    }

    pub(super) fn in_subquery(
        &mut self,
        expr: &Expr,
        subquery: &Query,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let value = self.expression(expr)?;
        let query = self.subquery(subquery)?;
        let not = if negated { "NOT " } else { "" };
        let fields = match &value.form {
            Form::Row(fields) => fields.clone(),
            _ => vec![value.clone()],
        };
        if fields.len() != query.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                if fields.len() > query.columns.len() {
                    "subquery has too few columns"
                } else {
                    "subquery has too many columns"
                },
            ));
        }
        let mut texts = Vec::with_capacity(fields.len());
        let mut wanted = Vec::with_capacity(fields.len());
        for (field, column) in fields.into_iter().zip(&query.columns) {
            let oid = common(field.oid(), column.ty.oid)
                .ok_or_else(|| undefined_operator(Some(field.oid()), "=", column.ty.oid))?;
            self.check_alike(field.ty, column.ty)?;
            wanted.push(Type::plain(oid));
            let number = family(oid) == Family::Number;
            let mut field = if number {
                self.comparable_number(field, oid)?
            } else {
                self.coerce(field, Type::plain(oid))?
            };
            field.sql = self.collated(&field);
            texts.push(field);
        }
        let sql = self.with_column_types(query, &wanted)?;
        let left = match texts.as_slice() {
            [field] => field.operand(),
            fields => {
                let texts: Vec<&str> = fields.iter().map(|field| field.sql.as_str()).collect();
                format!("({})", texts.join(", "))
            }
        };
        Ok(Typed::compound(format!("{left} {not}IN ({sql})"), Oid::BOOL))
    }

    /// `left op ANY (…)`, `left op ALL (…)`, over a subquery or an array.
    pub(super) fn quantified(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        quantifier: Quantifier,
    ) -> Result<Typed, SqlError> {
        let op = plain_operator(op).into_owned();
        let subquery = match right {
            Expr::Subquery(query) => Some(query),
            _ => None,
        };
        if let Some(query) = subquery {
            match (&op, quantifier) {
                (BinaryOperator::Eq, Quantifier::Any) => {
                    return self.in_subquery(left, query, false);
                }
                (BinaryOperator::NotEq, Quantifier::All) => {
                    return self.in_subquery(left, query, true);
                }
                _ => {}
            }
            let value = self.expression(left)?;
            let query = self.subquery_named(query, &["value".to_owned()])?;
            let [column] = query.columns.as_slice() else {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "subquery has too many columns"));
            };
            let alias = self.fresh_name("any");
            let item = Typed::of(format!("{alias}.value"), column.ty);
            return self.quantified_test(
                value,
                &op,
                item,
                &format!("({}) AS {alias}", query.sql),
                quantifier,
            );
        }
        let value = self.expression(left)?;
        let array = self.expression(right)?;
        let element_hint = if value.is_unknown() { Oid::TEXT } else { value.oid() };
        let array = if array.is_unknown() {
            let wanted = self.array_over(Type::plain(element_hint));
            self.coerce(array, wanted)?
        } else {
            array
        };
        let Some(Type { oid: element, typmod }) = self.element_of(array.ty) else {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires array on right side",
            ));
        };
        if let Form::Array(elements) = &array.form {
            match (&op, quantifier) {
                (BinaryOperator::Eq, Quantifier::Any) if !elements.is_empty() => {
                    return self.among(value, elements.clone(), false);
                }
                (BinaryOperator::NotEq, Quantifier::All) if !elements.is_empty() => {
                    return self.among(value, elements.clone(), true);
                }
                _ => {}
            }
        }
        if let (BinaryOperator::Eq, Quantifier::Any) | (BinaryOperator::NotEq, Quantifier::All) =
            (&op, quantifier)
            && let Some(found) = self.constant_in_array(&value, &array, element)?
        {
            let not = if quantifier == Quantifier::All { "NOT " } else { "" };
            return Ok(Typed::compound(format!("{not}{found}"), Oid::BOOL));
        }
        let alias = self.fresh_name("any");
        // Of no array nothing is known, as of an array of one NULL.
        let known = matches!(array.form, Form::Array(_) | Form::Text(_));
        let array = match known {
            true => array,
            false => Typed { sql: format!("coalesce({}, '{{NULL}}')", array.sql), ..array },
        };
        let rows = cast::array_rows(&array, element, &alias);
        let item = cast::array_row_value(element, &alias);
        let item = Typed { ty: Type { oid: element, typmod }, ..item };
        if self.is_row(element) {
            return self.quantified_test(value, &op, item, &rows, quantifier);
        }
        match (&op, quantifier) {
            (BinaryOperator::Eq, Quantifier::Any) | (BinaryOperator::NotEq, Quantifier::All) => {
                // IN over a subquery uses the index on the value's side.
                let oid = common(value.oid(), element)
                    .ok_or_else(|| undefined_operator(Some(value.oid()), "=", element))?;
                let number = family(oid) == Family::Number;
                if family(oid) != Family::Interval && value.oid() != Oid::BPCHAR {
                    let (mut value, item) = if number {
                        (self.comparable_number(value, oid)?, self.comparable_number(item, oid)?)
                    } else {
                        (
                            self.coerce(value, Type::plain(oid))?,
                            self.coerce(item, Type::plain(oid))?,
                        )
                    };
                    value.sql = self.collated(&value);
                    let not = if quantifier == Quantifier::All { "NOT " } else { "" };
                    return Ok(Typed::compound(
                        format!("{} {not}IN (SELECT {} FROM {rows})", value.operand(), item.sql),
                        Oid::BOOL,
                    ));
                }
                self.quantified_test(value, &op, item, &rows, quantifier)
            }
            _ => self.quantified_test(value, &op, item, &rows, quantifier),
        }
    }

    /// `value = ANY (array)` of a constant, for which no index is of use: the array is
    /// searched as it stands, if its elements' texts are equal where they are.
    fn constant_in_array(
        &mut self,
        value: &Typed,
        array: &Typed,
        element: Oid,
    ) -> Result<Option<String>, SqlError> {
        let constant = matches!(value.form, Form::Parameter(_) | Form::Text(_) | Form::Number(_));
        let varies = matches!(array.form, Form::Column { .. } | Form::Plain);
        let Some(oid) = common(value.oid(), element).filter(|_| constant && varies) else {
            return Ok(None);
        };
        let is_text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR);
        let whole = is_integer(oid) && is_integer(element);
        let alike = match oid {
            Oid::NUMERIC => element == Oid::NUMERIC || is_integer(element),
            Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::UUID => element == oid,
            _ => whole || (is_text(oid) && is_text(element)),
        };
        if !alike {
            return Ok(None);
        }
        let value = self.coerce(value.clone(), Type::plain(oid))?;
        let kind = if oid == Oid::NUMERIC { "numeric_" } else { "" };
        Ok(Some(format!("towline_{kind}array_any({}, {})", value.sql, array.sql)))
    }

    /// Three-valued, as the standard says: true if any test is, else NULL if any is
    /// NULL, else false (and the mirror image for ALL).
    fn quantified_test(
        &mut self,
        value: Typed,
        op: &BinaryOperator,
        item: Typed,
        rows: &str,
        quantifier: Quantifier,
    ) -> Result<Typed, SqlError> {
        let test = self.operate(value, op, item)?.sql;
        let (aggregate, empty) = match quantifier {
            Quantifier::Any => ("max", "FALSE"),
            Quantifier::All => ("min", "TRUE"),
        };
        let decided = match quantifier {
            Quantifier::Any => "THEN TRUE",
            Quantifier::All => "THEN FALSE",
        };
        let wanted = match quantifier {
            Quantifier::Any => "= 1",
            Quantifier::All => "= 0",
        };
        Ok(Typed::plain(
            format!(
                "(SELECT CASE WHEN {aggregate}({test}) {wanted} {decided} \
                 WHEN count(*) > count({test}) THEN NULL ELSE {empty} END FROM {rows})"
            ),
            Oid::BOOL,
        ))
    }
}
