//! DELETE. SQLite has no USING: the rows to go are found by a subquery over rowids.

use sqlparser::ast::{Delete, FromTable, TableFactor};

use super::returning::{check_table, target_source, target_text};
use super::scope::Scope;
use super::{Translator, names};
use crate::pg::SqlError;
use crate::sql::catalog::Relation;
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    /// `with` stands in front of it.
    pub(super) fn delete(&mut self, delete: &Delete, with: &str) -> Result<Translated, SqlError> {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let [table] = tables.as_slice() else {
            return Err(super::syntax::syntax_error(",", None));
        };
        let TableFactor::Table { name, alias, .. } = &table.relation else {
            return Err(super::syntax::syntax_error("DELETE", None));
        };
        if !table.joins.is_empty()
            || !delete.tables.is_empty()
            || !delete.order_by.is_empty()
            || delete.limit.is_some()
        {
            return Err(SqlError::unsupported("this kind of DELETE"));
        }
        let relation = self.target(name)?;
        check_table(relation, "delete from")?;
        let catalog = self.context.catalog;
        let visible = match alias {
            Some(alias) => names::fold(&alias.name),
            None => catalog.bare(&relation.name).to_owned(),
        };
        self.scopes.push(Scope { sources: vec![target_source(catalog, relation, &visible)] });
        let result = self.delete_in_scope(delete, relation, &visible, with);
        self.scopes.pop();
        result
    }

    fn delete_in_scope(
        &mut self,
        delete: &Delete,
        relation: &Relation,
        visible: &str,
        with: &str,
    ) -> Result<Translated, SqlError> {
        let target = target_text(relation, visible);
        let using = match &delete.using {
            Some(using) => Some(self.from(using)?),
            None => None,
        };
        let condition = match &delete.selection {
            Some(condition) => format!(" WHERE {}", self.condition(condition, "WHERE")?),
            None => String::new(),
        };
        let returned = self.returning(delete.returning.as_deref(), relation, visible)?;
        let sql = match using {
            None => format!("{with}DELETE FROM {target}{condition}{}", returned.sql),
            Some(using) => format!(
                "{with}DELETE FROM {} WHERE rowid IN (SELECT {}.rowid FROM {target}, {using}{condition}){}",
                names::quote(&relation.name),
                names::quote(visible),
                returned.sql
            ),
        };
        Ok(super::translated(
            Kind::Write,
            Tag::Delete,
            super::result_columns(&returned.columns),
            vec![sql],
        ))
    }
}
