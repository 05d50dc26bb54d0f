//! WHERE CURRENT OF: the row that a cursor stands on, by its rowid, which the cursor's
//! query gives behind its columns.

use sqlparser::ast::{Expr, Query, SetExpr, TableFactor};

use super::locks::made_rows;
use super::target::Target;
use super::{Translator, names};
use crate::pg::{Oid, SqlError};
use crate::sql::catalog::RelationKind;
use crate::sql::translated::CurrentOf;

impl Translator<'_> {
    /// The table of which a cursor's rows are, where each is one of its rows.
    pub(super) fn table_of_rows(&self, query: &Query) -> Option<Oid> {
        let SetExpr::Select(select) = &*query.body else { return None };
        let with_ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
        if query.with.is_some()
            || with_ties
            || made_rows(select).is_some()
            || self.gives_rows(&select.projection)
        {
            return None;
        }
        let [item] = select.from.as_slice() else { return None };
        let TableFactor::Table { name, args: None, .. } = &item.relation else { return None };
        let relation = self.relation_named(name).filter(|_| item.joins.is_empty())?;
        // SQLite's own dialect makes tables without rowids.
        let has_rowid = relation.kind == RelationKind::Table
            && !relation.is_sqlites()
            && relation.attribute("rowid").is_none();
        has_rowid.then_some(relation.oid)
    }

    /// The condition by which UPDATE and DELETE find their rows.
    pub(super) fn changed_rows(
        &mut self,
        selection: Option<&Expr>,
        target: &Target<'_>,
    ) -> Result<Option<String>, SqlError> {
        let Some(cursor) = self.clauses.current_of.take() else {
            return selection.map(|condition| self.condition(condition, "WHERE")).transpose();
        };
        if target.is_view() {
            return Err(SqlError::unsupported("WHERE CURRENT OF on a view"));
        }
        let name = self.context.catalog.bare(&target.table.name).to_owned();
        self.current_of = Some(CurrentOf { cursor, table: target.table.oid, name });
        let row = self.keep()?.parameter();
        Ok(Some(format!("{}.rowid = {row}", names::quote(&target.alias))))
    }
}
