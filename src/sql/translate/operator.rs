//! Operators, chosen by their operands' types as PostgreSQL chooses them.
//!
//! Arithmetic goes through functions, for SQLite wraps neither overflow (it turns to
//! floating point) nor division by zero (NULL) into errors.

use std::borrow::Cow;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::pattern::Like;
use super::{Form, Translator, Typed, cast};
use crate::pg::types::number::check_integer;
use crate::pg::types::{out_of_range, type_name};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, common, family, is_integer};

/// Operands beyond which a chain of AND or OR is written as a balanced tree: SQLite
/// bounds the depth of expressions.
const FLAT_CHAIN_MAX: usize = 200;

pub(super) fn undefined_operator(left: Option<Oid>, op: &str, right: Oid) -> SqlError {
    let left = left.map_or(String::new(), |left| format!("{} ", types::display_name(left)));
    SqlError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {left}{op} {}", types::display_name(right)),
    )
    .with_hint(
        "No operator matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
}

/// `-a ^ b` is `(-a) ^ b` in PostgreSQL; the parser reads `-(a ^ b)`.
pub(super) fn sign_first(op: UnaryOperator, expr: &Expr) -> Option<Expr> {
    let Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } = expr else { return None };
    let left = sign_first(op, left)
        .unwrap_or_else(|| Expr::UnaryOp { op, expr: Box::new((**left).clone()) });
    Some(Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::PGExp, right: right.clone() })
}

/// `~a + b` is `~(a + b)` in PostgreSQL; the parser reads `(~a) + b`.
fn complement_last(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, PGExp, Plus};
    if !matches!(op, Plus | Minus | Multiply | Divide | Modulo | PGExp) {
        return None;
    }
    let inner = match left {
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => (**expr).clone(),
        Expr::BinaryOp { left, op, right } => match complement_last(left, op, right)? {
            Expr::UnaryOp { expr, .. } => *expr,
            _ => return None,
        },
        _ => return None,
    };
    let operation =
        Expr::BinaryOp { left: Box::new(inner), op: op.clone(), right: Box::new(right.clone()) };
    Some(Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: Box::new(operation) })
}

/// The operators that compare.
fn comparison(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Eq => "=",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        _ => return None,
    })
}

/// `a AND b OR a AND c` as `a AND (b OR c)`: so SQLite joins by an index on what stands
/// in every branch. The operands come last to first.
fn factored(operands: &[&Expr], op: &BinaryOperator) -> Option<Expr> {
    let (first, others) = operands.split_last().filter(|_| *op == BinaryOperator::Or)?;
    let mut branches = vec![conjuncts(first)];
    let mut shared = branches[0].clone();
    for other in others.iter().rev() {
        let branch = conjuncts(other);
        shared.retain(|expr| branch.contains(expr));
        if shared.is_empty() {
            return None;
        }
        branches.push(branch);
    }
    let chain = |exprs: Vec<Expr>, op: BinaryOperator| {
        exprs.into_iter().reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: op.clone(),
            right: Box::new(right),
        })
    };
    let nested = |expr| Expr::Nested(Box::new(expr));
    let left_over = branches.iter().map(|branch| {
        let own = branch.iter().filter(|expr| !shared.contains(expr));
        chain(own.copied().cloned().collect(), BinaryOperator::And).map(nested)
    });
    // A branch that holds nothing else holds whenever the others do.
    let rest = left_over.collect::<Option<Vec<_>>>().and_then(|it| chain(it, BinaryOperator::Or));
    let all = shared.iter().copied().cloned().chain(rest.map(nested));
    chain(all.collect(), BinaryOperator::And)
}

/// What an expression demands, one beside the other.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut left = vec![expr];
    while let Some(expr) = left.pop() {
        match expr {
            Expr::Nested(inner) => left.push(inner),
            Expr::BinaryOp { left: one, op: BinaryOperator::And, right: other } => {
                left.extend([&**other, &**one]);
            }
            expr => found.push(expr),
        }
    }
    found
}

/// `OPERATOR(pg_catalog.~)` and custom spellings as the operator they are.
pub(super) fn plain_operator(op: &BinaryOperator) -> Cow<'_, BinaryOperator> {
    let name = match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().map(String::as_str),
        BinaryOperator::Custom(name) => Some(name.as_str()),
        _ => None,
    };
    let Some(name) = name else { return Cow::Borrowed(op) };
    Cow::Owned(match name {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        "&&" => BinaryOperator::PGOverlap,
        "@?" => BinaryOperator::AtQuestion,
        "@@" => BinaryOperator::AtAt,
        "->" => BinaryOperator::Arrow,
        "->>" => BinaryOperator::LongArrow,
        "#>" => BinaryOperator::HashArrow,
        "#>>" => BinaryOperator::HashLongArrow,
        "#-" => BinaryOperator::HashMinus,
        "?" => BinaryOperator::Question,
        "?|" => BinaryOperator::QuestionPipe,
        "?&" => BinaryOperator::QuestionAnd,
        _ => return Cow::Borrowed(op),
    })
}

/// `- x`, `NOT x`, `~ x`, `@ x`, ….
pub(super) fn unary(
    translator: &mut Translator<'_>,
    op: UnaryOperator,
    typed: Typed,
) -> Result<Typed, SqlError> {
    match op {
        UnaryOperator::Not => {
            let typed = translator.boolean(typed, "NOT")?;
            return Ok(Typed::compound(format!("NOT {}", typed.operand()), Oid::BOOL));
        }
        UnaryOperator::Plus => return translator.settle_number(typed),
        _ => {}
    }
    if family(typed.oid()) == Family::Geometric {
        return Translator::shape_unary(op, &typed)
            .ok_or_else(|| undefined_operator(None, &op.to_string(), typed.oid()));
    }
    let typed = translator.settle_number(typed)?;
    let oid = typed.oid();
    match op {
        UnaryOperator::Minus => match (&typed.form, family(oid)) {
            (Form::Number(text), _) if is_integer(oid) => match text.parse::<i64>() {
                Ok(least)
                    if least < 0
                        && least
                            .checked_neg()
                            .is_none_or(|most| check_integer(most, oid).is_err()) =>
                {
                    Err(out_of_range(type_name(oid)))
                }
                _ => Ok(negated_literal(text, oid)),
            },
            (Form::Number(text), _) => Ok(negated_literal(text, oid)),
            (_, Family::Interval) => {
                Ok(Typed::plain(format!("towline_interval_neg({})", typed.sql), oid))
            }
            _ if oid == Oid::NUMERIC => {
                Ok(Typed::plain(format!("towline_numeric_neg({})", typed.sql), oid))
            }
            _ if is_integer(oid) => Ok(Typed::plain(
                format!("towline_{}_sub(0, {})", types::internal_name(oid), typed.sql),
                oid,
            )),
            // A float's NaN is a text to SQLite.
            (_, Family::Number) => {
                Ok(Typed::plain(format!("towline_float8_mul(-1.0, {})", typed.sql), oid))
            }
            (_, Family::Unknown) => Ok(Typed::compound(format!("- {}", typed.operand()), oid)),
            _ => Err(undefined_operator(None, "-", oid)),
        },
        UnaryOperator::BitwiseNot if is_integer(oid) => {
            Ok(Typed::compound(format!("~{}", typed.operand()), oid))
        }
        UnaryOperator::BitwiseNot if family(oid) == Family::Bits => {
            Ok(Translator::bits_complement(&typed))
        }
        UnaryOperator::BitwiseNot if family(oid) == Family::Network => {
            Ok(Translator::address_complement(&typed))
        }
        UnaryOperator::PGAbs => Ok(translator.call("abs", vec![typed])?.nameless()),
        UnaryOperator::PGSquareRoot | UnaryOperator::PGCubeRoot => {
            let typed = translator.coerce(typed, Type::plain(Oid::FLOAT8))?;
            let function = if op == UnaryOperator::PGSquareRoot { "sqrt" } else { "cbrt" };
            Ok(translator.call(function, vec![typed])?.nameless())
        }
        other => Err(undefined_operator(None, &other.to_string(), oid)),
    }
}

fn negated_literal(text: &str, oid: Oid) -> Typed {
    let negated = match text.strip_prefix('-') {
        Some(positive) => positive.to_owned(),
        // There is no other zero.
        None if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) => text.to_owned(),
        None => format!("-{text}"),
    };
    if oid == Oid::NUMERIC {
        return super::expression::numeric(negated);
    }
    Typed { form: Form::Number(negated.clone()), ..Typed::compound(negated, oid) }
}

impl Translator<'_> {
    /// As `settle`, but an untyped operand of a sign is a float, as PostgreSQL decides.
    fn settle_number(&mut self, typed: Typed) -> Result<Typed, SqlError> {
        if typed.is_unknown() && !matches!(typed.form, Form::Plain | Form::Column { .. }) {
            return self.coerce(typed, Type::plain(Oid::FLOAT8));
        }
        Ok(typed)
    }

    /// `left op right`.
    pub(super) fn binary(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Typed, SqlError> {
        if let BinaryOperator::And | BinaryOperator::Or = op {
            return self.logical(left, op, right);
        }
        if let Some(regrouped) = complement_last(left, op, right) {
            return self.expression(&regrouped);
        }
        // `x = ANY (…)` through OPERATOR() arrives as a call of ANY.
        let left = self.expression(left)?;
        let right = self.expression(right)?;
        self.operate(left, op, right)
    }

    /// AND and OR chains, written flat (or balanced, where they are long).
    fn logical(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Typed, SqlError> {
        let word = if *op == BinaryOperator::And { "AND" } else { "OR" };
        let mut operands = vec![right];
        let mut rest = left;
        while let Expr::BinaryOp { left, op: inner, right } = rest
            && inner == op
        {
            operands.push(right);
            rest = left;
        }
        operands.push(rest);
        if let Some(factored) = factored(&operands, op) {
            return self.expression(&factored);
        }
        let mut texts = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let typed = self.expression(operand)?;
            texts.push(self.boolean(typed, word)?.operand());
        }
        Ok(Typed::compound(balanced(&texts, word), Oid::BOOL))
    }

    /// `left op right`, both translated.
    pub(super) fn operate(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let op = plain_operator(op);
        if let Some(text) = comparison(&op) {
            let geometric = |typed: &Typed| family(typed.oid()) == Family::Geometric;
            if (geometric(&left) || geometric(&right))
                && let Some(typed) = self.shape_operator(left.clone(), text, right.clone())?
            {
                return Ok(typed);
            }
            return self.compare(left, text, right);
        }
        if let Some(typed) = self.extent_operator(&left, &op, &right)? {
            return Ok(typed);
        }
        match &*op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::PGExp => self.arithmetic(left, &op, right),
            BinaryOperator::StringConcat => self.concatenate(left, right),
            BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::BitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight => self.bitwise(left, &op, right),
            BinaryOperator::PGRegexMatch => self.regex(left, right, "towline_regex", false),
            BinaryOperator::PGRegexIMatch => self.regex(left, right, "towline_iregex", false),
            BinaryOperator::PGRegexNotMatch => self.regex(left, right, "towline_regex", true),
            BinaryOperator::PGRegexNotIMatch => self.regex(left, right, "towline_iregex", true),
            BinaryOperator::PGLikeMatch => self.matches(left, right, None, false, Like::Sensitive),
            BinaryOperator::PGNotLikeMatch => {
                self.matches(left, right, None, true, Like::Sensitive)
            }
            BinaryOperator::PGILikeMatch => {
                self.matches(left, right, None, false, Like::Insensitive)
            }
            BinaryOperator::PGNotILikeMatch => {
                self.matches(left, right, None, true, Like::Insensitive)
            }
            BinaryOperator::PGStartsWith => {
                Ok(self.call("starts_with", vec![left, right])?.nameless())
            }
            BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::QuestionPipe
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
            | BinaryOperator::AtAt => self.json_operator(left, &op, right),
            BinaryOperator::AtArrow => self.contains(left, right),
            BinaryOperator::ArrowAt => self.contains(right, left),
            BinaryOperator::PGOverlap => {
                let (left, right) = self.same_arrays(left, "&&", right)?;
                Ok(array_operator("overlaps", &left, &right))
            }
            BinaryOperator::Overlaps => self.overlaps(&left, &right),
            other => Err(undefined_operator(Some(left.oid()), &other.to_string(), right.oid())),
        }
    }

    /// `(from, to) OVERLAPS (from, to)`.
    fn overlaps(&mut self, left: &Typed, right: &Typed) -> Result<Typed, SqlError> {
        let (Form::Row(left), Form::Row(right)) = (&left.form, &right.form) else {
            return Err(undefined_operator(Some(left.oid()), "OVERLAPS", right.oid()));
        };
        let ends: Vec<&Typed> = left.iter().chain(right).collect();
        let known = |oid: Oid| family(oid) == Family::DateTime;
        let moment = ends.iter().map(|end| end.oid()).find(|oid| known(*oid));
        let (4, Some(moment)) = (ends.len(), moment) else {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "wrong number of parameters on a side of OVERLAPS expression",
            ));
        };
        let mut texts = Vec::with_capacity(4);
        for end in ends {
            let oid = if end.is_unknown() { moment } else { end.oid() };
            let sql = self.coerce(end.clone(), Type::plain(oid))?.sql;
            // Times of day are told from lengths of time by a day before them.
            texts.push(match oid {
                Oid::TIME | Oid::TIMETZ => format!("('2000-01-01 ' || {sql})"),
                _ => sql,
            });
        }
        let sql = format!("towline_overlaps({})", texts.join(", "));
        Ok(Typed::plain(sql, Oid::BOOL).named("overlaps"))
    }

    fn arithmetic(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let (left, right) = self.arithmetic_operands(left, op, right)?;
        let (left_family, right_family) = (family(left.oid()), family(right.oid()));
        if left_family == Family::Unknown || right_family == Family::Unknown {
            return Ok(Typed::compound(
                format!("{} {op} {}", left.operand(), right.operand()),
                Oid::UNKNOWN,
            ));
        }
        if left_family == Family::Number && right_family == Family::Number {
            return self.number_arithmetic(left, op, right);
        }
        if left.oid() == Oid::MONEY || right.oid() == Oid::MONEY {
            return self.money_arithmetic(left, op, right);
        }
        self.time_arithmetic(left, op, right)
    }

    /// Amounts add up, and are multiplied and divided by numbers.
    fn money_arithmetic(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        let number = |typed: &Typed| family(typed.oid()) == Family::Number;
        let (function, left, right) = match (left.oid(), op, right.oid()) {
            (Oid::MONEY, Plus, Oid::MONEY) => ("int8_add", left, right),
            (Oid::MONEY, Minus, Oid::MONEY) => ("int8_sub", left, right),
            (Oid::MONEY, Divide, Oid::MONEY) => {
                let sql = format!("towline_float8_div({}, {})", left.sql, right.sql);
                return Ok(Typed::plain(sql, Oid::FLOAT8));
            }
            (Oid::MONEY, Multiply, _) if number(&right) => ("money_mul", left, right),
            (_, Multiply, Oid::MONEY) if number(&left) => ("money_mul", right, left),
            (Oid::MONEY, Divide, _) if number(&right) => ("money_div", left, right),
            (l, _, r) => return Err(undefined_operator(Some(l), &op.to_string(), r)),
        };
        let right = match right.oid() {
            Oid::NUMERIC => self.coerce(right, Type::plain(Oid::FLOAT8))?,
            _ => right,
        };
        Ok(Typed::plain(format!("towline_{function}({}, {})", left.sql, right.sql), Oid::MONEY))
    }

    /// Gives an untyped operand the type that PostgreSQL gives it, by the other side.
    fn arithmetic_operands(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<(Typed, Typed), SqlError> {
        let opaque = |typed: &Typed| {
            typed.is_unknown() && matches!(typed.form, Form::Plain | Form::Column { .. })
        };
        if opaque(&left) || opaque(&right) {
            return Ok((self.settle(left)?, self.settle(right)?));
        }
        let partner = |known: Oid| match (family(known), op) {
            (Family::DateTime, BinaryOperator::Minus) => known,
            (Family::DateTime, _) => Oid::INTERVAL,
            (Family::Interval, BinaryOperator::Multiply | BinaryOperator::Divide) => Oid::FLOAT8,
            (Family::Json, _) => Oid::TEXT,
            (_, BinaryOperator::Multiply) if known == Oid::MONEY => Oid::FLOAT8,
            _ => known,
        };
        match (left.is_unknown(), right.is_unknown()) {
            (false, true) => {
                let oid = partner(left.oid());
                let right = self.coerce(right, Type::plain(oid))?;
                Ok((left, right))
            }
            (true, false) => {
                let oid = partner(right.oid());
                let left = self.coerce(left, Type::plain(oid))?;
                Ok((left, right))
            }
            (true, true) => Err(SqlError::new(
                SqlState("42725"),
                format!("operator is not unique: unknown {op} unknown"),
            )
            .with_hint(
                "Could not choose a best candidate operator. You might need to add explicit type \
                 casts.",
            )),
            (false, false) => Ok((left, right)),
        }
    }

    fn number_arithmetic(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let mut oid = types::wider_number(left.oid(), right.oid());
        if oid == Oid::OID {
            oid = Oid::INT8;
        }
        // real computes as real only with its like.
        if oid == Oid::FLOAT4 && left.oid() != right.oid() {
            oid = Oid::FLOAT8;
        }
        if *op == BinaryOperator::PGExp && oid != Oid::NUMERIC {
            oid = Oid::FLOAT8;
        }
        if *op == BinaryOperator::Modulo && matches!(oid, Oid::FLOAT4 | Oid::FLOAT8) {
            return Err(undefined_operator(Some(left.oid()), "%", right.oid()));
        }
        let (left, right) = if is_integer(oid) {
            (left, right)
        } else {
            (self.coerce(left, Type::plain(oid))?, self.coerce(right, Type::plain(oid))?)
        };
        let name = match op {
            BinaryOperator::Plus => "add",
            BinaryOperator::Minus => "sub",
            BinaryOperator::Multiply => "mul",
            BinaryOperator::Divide => "div",
            BinaryOperator::Modulo => "mod",
            _ => "pow",
        };
        let family = match oid {
            Oid::FLOAT4 => "float4".to_owned(),
            oid => types::internal_name(oid),
        };
        Ok(Typed::plain(format!("towline_{family}_{name}({}, {})", left.sql, right.sql), oid))
    }

    /// Dates, times and intervals.
    fn time_arithmetic(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        let (l, r) = (left.oid(), right.oid());
        let call = |function: &str, left: &Typed, right: &Typed, oid| {
            Ok(Typed::plain(format!("{function}({}, {})", left.sql, right.sql), oid))
        };
        let negate = |typed: &Typed| {
            Typed::plain(format!("towline_interval_neg({})", typed.sql), Oid::INTERVAL)
        };
        match (l, op, r) {
            (Oid::DATE, Plus, _) if is_integer(r) => call("towline_date_add", &left, &right, l),
            (_, Plus, Oid::DATE) if is_integer(l) => call("towline_date_add", &right, &left, r),
            (Oid::DATE, Minus, _) if is_integer(r) => call("towline_date_sub", &left, &right, l),
            (Oid::DATE, Minus, Oid::DATE) => call("towline_date_diff", &left, &right, Oid::INT4),
            (Oid::DATE, Plus, Oid::TIME) | (Oid::TIME, Plus, Oid::DATE) => {
                let (date, time) = if l == Oid::DATE { (left, right) } else { (right, left) };
                let date = self.coerce(date, Type::plain(Oid::TIMESTAMP))?;
                call("towline_timestamp_add", &date, &time, Oid::TIMESTAMP)
            }
            (Oid::DATE, Plus, Oid::TIMETZ) | (Oid::TIMETZ, Plus, Oid::DATE) => {
                let (date, time) = if l == Oid::DATE { (left, right) } else { (right, left) };
                call("towline_date_timetz", &date, &time, Oid::TIMESTAMPTZ)
            }
            (Oid::DATE, Minus, Oid::TIME) => {
                let right = self.convert(right, Type::plain(Oid::INTERVAL), cast::How::Explicit)?;
                self.moved(left, negate(&right))
            }
            (
                Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::TIME | Oid::TIMETZ,
                Plus,
                Oid::INTERVAL,
            ) => self.moved(left, right),
            (
                Oid::INTERVAL,
                Plus,
                Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::TIME | Oid::TIMETZ,
            ) => self.moved(right, left),
            (
                Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::TIME | Oid::TIMETZ,
                Minus,
                Oid::INTERVAL,
            ) => self.moved(left, negate(&right)),
            (Oid::TIME, Minus, Oid::TIME) => {
                call("towline_time_diff", &left, &right, Oid::INTERVAL)
            }
            (
                Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ,
                Minus,
                Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ,
            ) => {
                let oid = if l == Oid::TIMESTAMPTZ || r == Oid::TIMESTAMPTZ {
                    Oid::TIMESTAMPTZ
                } else {
                    Oid::TIMESTAMP
                };
                let left = self.coerce(left, Type::plain(oid))?;
                let right = self.coerce(right, Type::plain(oid))?;
                call("towline_timestamp_diff", &left, &right, Oid::INTERVAL)
            }
            (Oid::INTERVAL, Plus, Oid::INTERVAL) => {
                call("towline_interval_add", &left, &right, Oid::INTERVAL)
            }
            (Oid::INTERVAL, Minus, Oid::INTERVAL) => {
                call("towline_interval_add", &left, &negate(&right), Oid::INTERVAL)
            }
            (Oid::INTERVAL, Multiply, _) if family(r) == Family::Number => {
                let factor = self.coerce(right, Type::plain(Oid::FLOAT8))?;
                call("towline_interval_mul", &left, &factor, Oid::INTERVAL)
            }
            (_, Multiply, Oid::INTERVAL) if family(l) == Family::Number => {
                let factor = self.coerce(left, Type::plain(Oid::FLOAT8))?;
                call("towline_interval_mul", &right, &factor, Oid::INTERVAL)
            }
            (Oid::INTERVAL, Divide, _) if family(r) == Family::Number => {
                let divisor = self.coerce(right, Type::plain(Oid::FLOAT8))?;
                call("towline_interval_div", &left, &divisor, Oid::INTERVAL)
            }
            (Oid::JSONB, Minus, _)
                if family(r) == Family::String || is_integer(r) || family(r) == Family::Array =>
            {
                let several = family(r) == Family::Array;
                let function =
                    if several { "towline_jsonb_delete_keys" } else { "towline_jsonb_delete" };
                call(function, &left, &right, Oid::JSONB)
            }
            _ => Err(undefined_operator(Some(l), &op.to_string(), r)),
        }
    }

    /// A date or time moved by an interval. With a time zone, days are the session's.
    fn moved(&mut self, moment: Typed, interval: Typed) -> Result<Typed, SqlError> {
        let (moment, oid) = match moment.oid() {
            Oid::DATE => (self.coerce(moment, Type::plain(Oid::TIMESTAMP))?, Oid::TIMESTAMP),
            oid => (moment, oid),
        };
        let zone = if oid == Oid::TIMESTAMPTZ { self.zone_argument() } else { String::new() };
        let function = match oid {
            Oid::TIME | Oid::TIMETZ => "towline_time_add",
            _ => "towline_timestamp_add",
        };
        Ok(Typed::plain(format!("{function}({}, {}{zone})", moment.sql, interval.sql), oid))
    }

    fn bitwise(
        &mut self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let oid = common(left.oid(), right.oid()).filter(|oid| is_integer(*oid));
        let Some(oid) = oid else {
            return Err(undefined_operator(Some(left.oid()), &op.to_string(), right.oid()));
        };
        let left = self.coerce(left, Type::plain(oid))?;
        let right = self.coerce(right, Type::plain(oid))?;
        let sql = match op {
            BinaryOperator::BitwiseAnd => format!("{} & {}", left.operand(), right.operand()),
            BinaryOperator::BitwiseOr => format!("{} | {}", left.operand(), right.operand()),
            BinaryOperator::PGBitwiseShiftLeft | BinaryOperator::PGBitwiseShiftRight => {
                let name = types::internal_name(oid);
                let side = if *op == BinaryOperator::PGBitwiseShiftLeft { "shl" } else { "shr" };
                return Ok(Typed::plain(
                    format!("towline_{name}_{side}({}, {})", left.sql, right.sql),
                    oid,
                ));
            }
            _ => return Ok(Typed::plain(format!("towline_xor({}, {})", left.sql, right.sql), oid)),
        };
        Ok(Typed::compound(sql, oid))
    }

    /// `||`: text, arrays, bytea or jsonb.
    fn concatenate(&mut self, left: Typed, right: Typed) -> Result<Typed, SqlError> {
        let (l, r) = (family(left.oid()), family(right.oid()));
        if self.element_of(left.ty).is_some() || self.element_of(right.ty).is_some() {
            return self.concatenate_arrays(left, right);
        }
        if left.oid() == Oid::JSONB || right.oid() == Oid::JSONB {
            let left = self.coerce(left, Type::plain(Oid::JSONB))?;
            let right = self.coerce(right, Type::plain(Oid::JSONB))?;
            return Ok(Typed::plain(
                format!("towline_jsonb_concat({}, {})", left.sql, right.sql),
                Oid::JSONB,
            ));
        }
        if l == Family::Bytes || r == Family::Bytes {
            let left = self.coerce(left, Type::plain(Oid::BYTEA))?;
            let right = self.coerce(right, Type::plain(Oid::BYTEA))?;
            return Ok(Typed::plain(
                format!("towline_bytea_concat({}, {})", left.sql, right.sql),
                Oid::BYTEA,
            ));
        }
        let texty = |f: Family| matches!(f, Family::String | Family::Unknown);
        if !texty(l) && !texty(r) {
            return Err(undefined_operator(Some(left.oid()), "||", right.oid()));
        }
        let left = self.convert(left, Type::TEXT, cast::How::Assignment)?;
        let right = self.convert(right, Type::TEXT, cast::How::Assignment)?;
        Ok(Typed::compound(format!("{} || {}", left.operand(), right.operand()), Oid::TEXT))
    }

    fn concatenate_arrays(&mut self, left: Typed, right: Typed) -> Result<Typed, SqlError> {
        let (l, r) = (self.element_of(left.ty), self.element_of(right.ty));
        let (function, left, right, ty) = match (l, r) {
            (Some(_), Some(_)) => {
                let oid = common(left.oid(), right.oid())
                    .ok_or_else(|| undefined_operator(Some(left.oid()), "||", right.oid()))?;
                let typmod = self.common_modifier(oid, left.ty, right.ty)?;
                let ty = Type { oid, typmod };
                ("towline_array_cat", self.coerce(left, ty)?, self.coerce(right, ty)?, ty)
            }
            (Some(element), None) => {
                let ty = left.ty;
                if right.is_unknown() {
                    let right = self.coerce(right, ty)?;
                    ("towline_array_cat", left, right, ty)
                } else {
                    let right = self.coerce(right, element)?;
                    let right = Typed::plain(cast::array_element(&right), Oid::TEXT);
                    ("towline_array_append", left, right, ty)
                }
            }
            (None, Some(element)) => {
                let ty = right.ty;
                if left.is_unknown() {
                    let left = self.coerce(left, ty)?;
                    ("towline_array_cat", left, right, ty)
                } else {
                    let left = self.coerce(left, element)?;
                    let left = Typed::plain(cast::array_element(&left), Oid::TEXT);
                    ("towline_array_prepend", left, right, ty)
                }
            }
            (None, None) => return Err(undefined_operator(Some(left.oid()), "||", right.oid())),
        };
        Ok(Typed::of(format!("{function}({}, {})", left.sql, right.sql), ty))
    }

    fn same_arrays(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<(Typed, Typed), SqlError> {
        let oid = common(left.oid(), right.oid())
            .filter(|oid| self.element_of(Type::plain(*oid)).is_some())
            .ok_or_else(|| undefined_operator(Some(left.oid()), op, right.oid()))?;
        Ok((self.coerce(left, Type::plain(oid))?, self.coerce(right, Type::plain(oid))?))
    }

    /// `@>`: arrays or jsonb.
    fn contains(&mut self, left: Typed, right: Typed) -> Result<Typed, SqlError> {
        if left.oid() == Oid::JSONB || right.oid() == Oid::JSONB {
            let left = self.coerce(left, Type::plain(Oid::JSONB))?;
            let right = self.coerce(right, Type::plain(Oid::JSONB))?;
            return Ok(Typed::plain(
                format!("towline_jsonb_contains({}, {})", left.sql, right.sql),
                Oid::BOOL,
            ));
        }
        let (left, right) = self.same_arrays(left, "@>", right)?;
        Ok(array_operator("contains", &left, &right))
    }
}

fn array_operator(name: &str, left: &Typed, right: &Typed) -> Typed {
    let kind = if left.oid() == Oid::NUMERIC_ARRAY { "numeric_" } else { "" };
    Typed::plain(format!("towline_{kind}array_{name}({}, {})", left.sql, right.sql), Oid::BOOL)
}

/// Joins operands by AND or OR, as a balanced tree where there are many.
pub(super) fn balanced(operands: &[String], word: &str) -> String {
    if operands.len() <= FLAT_CHAIN_MAX {
        return operands.join(&format!(" {word} "));
    }
    let (first, second) = operands.split_at(operands.len() / 2);
    format!("({}) {word} ({})", balanced(first, word), balanced(second, word))
}
