//! FOR UPDATE and its kin: which tables' rows a query locks.

use sqlparser::ast::{Query, SetExpr, TableFactor};

use super::{Translator, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::Rights;

impl Translator<'_> {
    /// Asks for the right to change what a query locks: the tables of its own FROM, or
    /// those of them that OF names.
    pub(super) fn demand_locked(&self, query: &Query) -> Result<(), SqlError> {
        let SetExpr::Select(select) = &*query.body else { return Ok(()) };
        let factors: Vec<&TableFactor> = select
            .from
            .iter()
            .flat_map(|item| {
                std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation))
            })
            .collect();
        for lock in &query.locks {
            let of = lock.of.as_ref().and_then(names::last);
            let locked: Vec<_> = factors
                .iter()
                .filter(|factor| of.is_none() || visible_name(factor) == of)
                .collect();
            if let Some(of) = of.filter(|_| locked.is_empty() && !has_nested(&factors)) {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!(
                        "relation \"{of}\" in FOR {} clause not found in FROM clause",
                        lock.lock_type
                    ),
                ));
            }
            for factor in locked {
                if let TableFactor::Table { name, args: None, .. } = factor
                    && let Ok((schema, table)) = self.qualified(name)
                    && !(schema.is_none() && self.ctes.iter().any(|cte| cte.name == table))
                    && let Some(relation) = self.find_relation(schema.as_deref(), &table)
                {
                    self.demand_table(relation, Rights::UPDATE);
                }
            }
        }
        Ok(())
    }
}

fn has_nested(factors: &[&TableFactor]) -> bool {
    factors.iter().any(|factor| matches!(factor, TableFactor::NestedJoin { .. }))
}

fn visible_name(factor: &TableFactor) -> Option<String> {
    let (name, alias) = match factor {
        TableFactor::Table { name, alias, .. } => (names::last(name), alias),
        TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. } => (None, alias),
        _ => return None,
    };
    alias.as_ref().map(|alias| names::fold(&alias.name)).or(name)
}
