//! Calls of large objects' functions, which the node carries out itself: `SELECT lo_…(…)`
//! and nothing besides.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Query, Value, visit_expressions};

use super::cast::How;
use super::routine::only_call;
use super::{OutputColumn, Translator, names, result_columns, translated};
use crate::pg::{Oid, SqlError};
use crate::sql::catalog::builtin_functions;
use crate::sql::translated::{Argument, Kind, Tag, Translated};
use crate::sql::types::Type;

/// In order of name.
const FUNCTIONS: &[&str] = &[
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek",
    "lo_lseek64",
    "lo_open",
    "lo_put",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "loread",
    "lowrite",
];

/// Whether a function is one of large objects.
pub(super) fn is_of_large_objects(name: &str) -> bool {
    FUNCTIONS.binary_search(&name).is_ok()
}

impl Translator<'_> {
    /// A query that only calls one of them; `None` for any other.
    pub(super) fn large_object_call(
        &mut self,
        query: &Query,
    ) -> Result<Option<Translated>, SqlError> {
        let Some((name, given, Some(alias))) = only_call(query) else { return Ok(None) };
        let name = names::last(name).unwrap_or_default();
        if !is_of_large_objects(&name) {
            return Ok(None);
        }
        if matches!(name.as_str(), "lo_import" | "lo_export") {
            return Err(SqlError::unsupported(format_args!("{name} on the server")));
        }
        let mut types = Vec::new();
        for argument in given {
            types.push(self.argument(argument)?);
        }
        let overload = builtin_functions()
            .iter()
            .find(|known| known.name == name && known.arguments.len() == given.len())
            .ok_or_else(|| self.undefined(&name, &types))?;
        let mut arguments = Vec::with_capacity(given.len());
        for ((argument, typed), oid) in given.iter().zip(types.clone()).zip(&overload.arguments) {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else {
                return Err(self.undefined(&name, &types));
            };
            if self.convert(typed, Type::plain(*oid), How::Assignment).is_err() {
                return Err(self.undefined(&name, &types));
            }
            arguments.push((*oid, self.given_value(expr, *oid)?));
        }
        let column = OutputColumn {
            name: alias.unwrap_or_else(|| name.clone()),
            ty: Type::plain(overload.result),
            origin: (Oid(0), 0),
            not_null: false,
        };
        let kind = Kind::LargeObject { function: overload.name, arguments };
        Ok(Some(translated(kind, Tag::Select, result_columns(&[column]), Vec::new())))
    }

    /// An argument that is known before the call: a parameter, or what reads none.
    fn given_value(&mut self, expr: &Expr, oid: Oid) -> Result<Argument, SqlError> {
        match expr {
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. }
                if placeholder(bare(inner)).is_some() =>
            {
                self.given_value(inner, oid)
            }
            _ => match placeholder(expr) {
                Some(number) => {
                    self.parameter(number)?;
                    self.type_parameter(number, oid);
                    Ok(Argument::Parameter(number))
                }
                None if visit_expressions(expr, |part| match placeholder(part) {
                    Some(_) => std::ops::ControlFlow::Break(()),
                    None => std::ops::ControlFlow::Continue(()),
                })
                .is_break() =>
                {
                    Err(SqlError::unsupported("a parameter inside an argument of this function"))
                }
                None => Ok(Argument::Expression(expr.to_string())),
            },
        }
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => bare(inner),
        _ => expr,
    }
}

fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => text.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;

    #[test]
    fn the_functions_are_in_order() {
        assert!(FUNCTIONS.is_sorted());
    }
}
