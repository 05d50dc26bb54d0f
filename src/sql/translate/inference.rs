//! What ON CONFLICT is about, where it is more than columns: the unique index over the same
//! expressions, or over the same part of the rows.

use sqlparser::ast::{Expr, Ident, Statement};

use super::operator::conjuncts;
use super::{Translator, syntax};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Relation, split_order};

impl Translator<'_> {
    /// The unique index that is over what `text` says, as SQLite finds it: over the same keys,
    /// and if over a part of the rows, over one that the condition of `text` lies in.
    pub(super) fn inference(
        &mut self,
        text: &str,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        let written = syntax::parse(&format!("CREATE INDEX i ON t {text}"))?;
        let Statement::CreateIndex(written) = written else { return Err(nothing_inferred()) };
        let mut keys = Vec::new();
        for column in &written.columns {
            let key = match &column.column.expr {
                Expr::Collate { expr, .. } => expr.to_string(),
                expr => expr.to_string(),
            };
            keys.push(self.index_key(&key, relation)?);
        }
        keys.sort();
        let conditions: Vec<String> = match &written.predicate {
            Some(condition) => conjuncts(condition)
                .into_iter()
                .map(|part| self.row_condition(&part.to_string(), relation))
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let constraints = relation
            .constraints
            .iter()
            .filter(|constraint| constraint.kind.is_key() && !constraint.deferrable);
        let constraints = constraints.map(|constraint| (&constraint.columns, None));
        let indexes = relation.indexes.iter().filter(|index| index.unique && !index.nulls_equal);
        let indexes = indexes.map(|index| (&index.columns, index.predicate.as_deref()));
        for (columns, predicate) in constraints.chain(indexes) {
            let own: Vec<String> = columns
                .iter()
                .map(|column| self.index_key(split_order(column).0, relation))
                .collect::<Result<_, _>>()?;
            let mut sorted = own.clone();
            sorted.sort();
            if sorted != keys {
                continue;
            }
            let Some(predicate) = predicate else { return Ok(format!(" ({})", own.join(", "))) };
            let parsed = syntax::parse_expression(predicate)?;
            let mut parts = conjuncts(&parsed).into_iter();
            let implied = parts.try_fold(true, |all, part| {
                let part = self.row_condition(&part.to_string(), relation)?;
                Ok::<_, SqlError>(all && conditions.contains(&part))
            })?;
            if implied {
                let condition = self.row_condition(predicate, relation)?;
                return Ok(format!(" ({}) WHERE {condition}", own.join(", ")));
            }
        }
        Err(nothing_inferred())
    }
}

/// The text that ON CONFLICT infers an index from, if it is more than columns; see
/// [`super::tokens`].
pub(super) fn inferred(columns: &[Ident]) -> Option<&str> {
    match columns {
        [name] if name.quote_style.is_some() && name.value.starts_with('(') => Some(&name.value),
        _ => None,
    }
}

pub(super) fn nothing_inferred() -> SqlError {
    SqlError::new(
        SqlState("42P10"),
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    )
}
