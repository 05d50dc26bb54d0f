//! DELETE. SQLite has no USING: the rows to go are found by a subquery over rowids.

use sqlparser::ast::{Delete, FromTable, TableFactor};

use super::query::Wish;
use super::returning::{check_table, target_source, target_text};
use super::scope::Scope;
use super::source::unpacked;
use super::{Translator, access, names};
use crate::pg::SqlError;
use crate::sql::catalog::{Relation, Rights};
use crate::sql::translated::{Counts, Kind, Tag, Translated};

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
        let reads =
            delete.selection.is_some() || delete.using.is_some() || delete.returning.is_some();
        self.demand_table(relation, access::reading(Rights::DELETE, reads));
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
        let returning = delete.returning.as_deref();
        let Some(returned) = self.returning_alone(returning, relation, visible, using.is_some())?
        else {
            let using = using.unwrap_or_default();
            return self
                .delete_returning_others(delete, relation, visible, with, &using, &condition);
        };
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

    /// RETURNING of other tables' columns, which SQLite's doesn't see: what is returned
    /// is kept, then the rows go.
    fn delete_returning_others(
        &mut self,
        delete: &Delete,
        relation: &Relation,
        visible: &str,
        with: &str,
        using: &str,
        condition: &str,
    ) -> Result<Translated, SqlError> {
        let outer = std::mem::replace(&mut self.packing, false);
        let items =
            self.projection(delete.returning.as_deref().unwrap_or_default(), Wish::default());
        self.packing = outer;
        let mut items = items?;
        let row = format!("{}.rowid", names::quote(visible));
        let mut texts = vec![row.clone()];
        for item in &mut items {
            item.typed = self.settle(item.typed.clone())?;
            item.column.ty = item.typed.ty;
            texts.push(item.typed.sql.clone());
        }
        let kept = self.keep()?;
        let rows = self.fresh_name("joined");
        let read = format!("json_each({}) AS {rows}", kept.parameter());
        let mut fields: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(at, item)| unpacked(&rows, at + 1, item.column.ty))
            .collect();
        if self.packing {
            fields = vec![format!("towline_pack({})", fields.join(", "))];
        }
        let columns: Vec<_> = items.into_iter().map(|item| item.column).collect();
        let mut translated = super::translated(
            Kind::Write,
            Tag::Delete,
            super::result_columns(&columns),
            vec![
                format!(
                    "DELETE FROM {} WHERE rowid IN (SELECT towline_unpack({rows}.value, 0) FROM {read})",
                    names::quote(&relation.name)
                ),
                format!("SELECT {} FROM {read}", fields.join(", ")),
            ],
        );
        translated.statements[1].counts = Counts::Nothing;
        // A row that several match goes once.
        let joined = format!(
            "{with}SELECT towline_pack({}) FROM {}, {using}{condition} GROUP BY {row}",
            texts.join(", "),
            target_text(relation, visible),
        );
        translated.statements.insert(0, kept.of(joined));
        Ok(translated)
    }
}
