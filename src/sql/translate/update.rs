//! UPDATE.

use sqlparser::ast::{TableFactor, Update, UpdateTableFromKind};

use super::returning::{check_table, target_source, target_text};
use super::scope::Scope;
use super::{Translator, names};
use crate::pg::SqlError;
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    /// `with` stands in front of it.
    pub(super) fn update(&mut self, update: &Update, with: &str) -> Result<Translated, SqlError> {
        let TableFactor::Table { name, alias, .. } = &update.table.relation else {
            return Err(super::syntax::syntax_error("UPDATE", None));
        };
        if !update.table.joins.is_empty() || !update.order_by.is_empty() || update.limit.is_some() {
            return Err(SqlError::unsupported("this kind of UPDATE"));
        }
        let relation = self.target(name)?;
        check_table(relation, "update")?;
        let catalog = self.context.catalog;
        let visible = match alias {
            Some(alias) => names::fold(&alias.name),
            None => catalog.bare(&relation.name).to_owned(),
        };
        self.scopes.push(Scope { sources: vec![target_source(catalog, relation, &visible)] });
        let result = self.update_in_scope(update, relation, &visible, with);
        self.scopes.pop();
        result
    }

    fn update_in_scope(
        &mut self,
        update: &Update,
        relation: &crate::sql::catalog::Relation,
        visible: &str,
        with: &str,
    ) -> Result<Translated, SqlError> {
        let from = match &update.from {
            None => String::new(),
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                format!(" FROM {}", self.from(from)?)
            }
        };
        let set = self.assignments(&update.assignments, relation)?;
        let condition = match &update.selection {
            Some(condition) => format!(" WHERE {}", self.condition(condition, "WHERE")?),
            None => String::new(),
        };
        let returned = self.returning(update.returning.as_deref(), relation, visible)?;
        let target = target_text(relation, visible);
        let sql = format!("{with}UPDATE {target} SET {set}{from}{condition}{}", returned.sql);
        Ok(super::translated(
            Kind::Write,
            Tag::Update,
            super::result_columns(&returned.columns),
            vec![sql],
        ))
    }
}
