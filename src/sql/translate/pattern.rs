//! LIKE, SIMILAR TO and regular expressions.

use sqlparser::ast::{BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::comparison::Quantifier;
use super::operator::undefined_operator;
use super::{Form, Translator, Typed, names};
use crate::pg::{Oid, SqlError};
use crate::sql::types::{Family, Type, family};

/// Which pattern language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Like {
    Sensitive,
    Insensitive,
    Similar,
}

/// A LIKE pattern (escape: backslash) as a GLOB pattern; `None` if it ends in an escape.
fn glob_of(pattern: &str) -> Option<String> {
    let mut glob = String::with_capacity(pattern.len());
    let literal = |glob: &mut String, char| match char {
        '*' | '?' | '[' => {
            glob.push('[');
            glob.push(char);
            glob.push(']');
        }
        char => glob.push(char),
    };
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => literal(&mut glob, chars.next()?),
            char => literal(&mut glob, char),
        }
    }
    Some(glob)
}

/// The array of `LIKE ALL (array)`, which the parser takes for a function.
fn all_of(pattern: &Expr) -> Option<&Expr> {
    let Expr::Function(call) = pattern else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))]
            if names::last(&call.name)? == "all" =>
        {
            Some(array)
        }
        _ => None,
    }
}

impl Translator<'_> {
    pub(super) fn regex(
        &mut self,
        left: Typed,
        right: Typed,
        function: &str,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let left = self.text_operand(left, "~", &right)?;
        let right = self.coerce(right, Type::TEXT)?;
        let not = if negated { "NOT " } else { "" };
        Ok(Typed {
            atomic: !negated,
            ..Typed::plain(format!("{not}{function}({}, {})", left.sql, right.sql), Oid::BOOL)
        })
    }

    fn text_operand(&mut self, left: Typed, op: &str, right: &Typed) -> Result<Typed, SqlError> {
        if !matches!(family(left.oid()), Family::String | Family::Unknown | Family::Other) {
            return Err(undefined_operator(Some(left.oid()), op, right.oid()));
        }
        // char(n) matches with its padding.
        match left.oid() {
            Oid::BPCHAR => Ok(left),
            _ => self.coerce(left, Type::TEXT),
        }
    }

    pub(super) fn like(
        &mut self,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        negated: bool,
        kind: Like,
    ) -> Result<Typed, SqlError> {
        if let Some(array) = all_of(pattern)
            && kind != Like::Similar
        {
            let ignore_case = kind == Like::Insensitive;
            return self.like_quantified(expr, array, Quantifier::All, negated, ignore_case);
        }
        let value = self.expression(expr)?;
        let pattern = self.expression(pattern)?;
        let escape = match escape {
            Some(escape) if family(value.oid()) == Family::Bytes => Some(self.expression(escape)?),
            Some(escape) => Some(self.settled(escape)?),
            None => None,
        };
        self.matches(value, pattern, escape, negated, kind)
    }

    /// `LIKE ANY (array)` and `LIKE ALL (array)`.
    pub(super) fn like_quantified(
        &mut self,
        expr: &Expr,
        array: &Expr,
        quantifier: Quantifier,
        negated: bool,
        ignore_case: bool,
    ) -> Result<Typed, SqlError> {
        let op = match (ignore_case, negated) {
            (false, false) => BinaryOperator::PGLikeMatch,
            (false, true) => BinaryOperator::PGNotLikeMatch,
            (true, false) => BinaryOperator::PGILikeMatch,
            (true, true) => BinaryOperator::PGNotILikeMatch,
        };
        let array = match array {
            Expr::Nested(inner) => inner,
            array => array,
        };
        self.quantified(expr, &op, array, quantifier)
    }

    pub(super) fn matches(
        &mut self,
        value: Typed,
        pattern: Typed,
        escape: Option<Typed>,
        negated: bool,
        kind: Like,
    ) -> Result<Typed, SqlError> {
        if kind == Like::Sensitive && family(value.oid()) == Family::Bytes {
            let bytes = Type::plain(Oid::BYTEA);
            let mut arguments = vec![value.sql, self.coerce(pattern, bytes)?.sql];
            if let Some(escape) = escape {
                arguments.push(self.coerce(escape, bytes)?.sql);
            }
            let not = if negated { "NOT " } else { "" };
            let sql = format!("{not}towline_bytea_like({})", arguments.join(", "));
            return Ok(Typed { atomic: !negated, ..Typed::plain(sql, Oid::BOOL) });
        }
        let op = if kind == Like::Insensitive { "~~*" } else { "~~" };
        let value = self.text_operand(value, op, &pattern)?;
        let not = if negated { "NOT " } else { "" };
        // A constant pattern becomes GLOB, which is case-sensitive too and which an
        // index can serve.
        if kind == Like::Sensitive
            && escape.is_none()
            && let Form::Text(text) = &pattern.form
            && let Some(glob) = glob_of(text)
        {
            return Ok(Typed::compound(
                format!("{} {not}GLOB {}", value.operand(), names::quote_literal(&glob)),
                Oid::BOOL,
            ));
        }
        let pattern = self.coerce(pattern, Type::TEXT)?;
        let function = match kind {
            Like::Sensitive => "towline_like",
            Like::Insensitive => "towline_ilike",
            Like::Similar => "towline_similar",
        };
        let escape = escape.map_or(String::new(), |escape| format!(", {}", escape.sql));
        Ok(Typed {
            atomic: !negated,
            ..Typed::plain(
                format!("{not}{function}({}, {}{escape})", value.sql, pattern.sql),
                Oid::BOOL,
            )
        })
    }
}
