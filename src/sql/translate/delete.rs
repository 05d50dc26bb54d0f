//! DELETE. SQLite has no USING: the rows to go are found by a subquery over rowids.

use sqlparser::ast::{Delete, FromTable, TableFactor};

use super::scope::Scope;
use super::target::{Change, Target};
use super::{Translator, Typed, access, names};
use crate::pg::SqlError;
use crate::sql::catalog::Rights;
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
        let reads =
            delete.selection.is_some() || delete.using.is_some() || delete.returning.is_some();
        let alias = alias.as_ref().map(|alias| names::fold(&alias.name));
        let rights = access::reading(Rights::DELETE, reads);
        let target = self.changed(name, alias, Change::Delete, rights)?;
        let source = self.target_columns(&target, &target.visible, &target.alias)?;
        self.scopes.push(Scope { sources: vec![source], ..Scope::default() });
        let result = self.delete_in_scope(delete, &target, with);
        self.scopes.pop();
        result
    }

    fn delete_in_scope(
        &mut self,
        delete: &Delete,
        target: &Target<'_>,
        with: &str,
    ) -> Result<Translated, SqlError> {
        let text = target.text();
        let using = match &delete.using {
            Some(using) => Some(self.from(using)?),
            None => None,
        };
        let condition = self.changed_rows(delete.selection.as_ref(), target)?;
        let condition = target.filter(condition);
        let returning = delete.returning.as_deref();
        let Some(returned) = self.returning_alone(returning, target, using.is_some())? else {
            let using = using.unwrap_or_default();
            return self.delete_returning_others(delete, target, with, &using, &condition);
        };
        let sql = match using {
            None => format!("{with}DELETE FROM {text}{condition}{}", returned.sql),
            Some(using) => format!(
                "{with}DELETE FROM {} WHERE rowid IN (SELECT {}.rowid FROM {text}, {using}{condition}){}",
                names::quote(&target.table.name),
                names::quote(&target.alias),
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
        target: &Target<'_>,
        with: &str,
        using: &str,
        condition: &str,
    ) -> Result<Translated, SqlError> {
        let outer = std::mem::replace(&mut self.packing, false);
        let items = self.returned_items(delete.returning.as_deref().unwrap_or_default());
        self.packing = outer;
        let mut items = items?;
        let row = format!("{}.rowid", names::quote(&target.alias));
        let mut texts = vec![row.clone()];
        for item in &mut items {
            item.typed = self.settle(item.typed.clone())?;
            item.column.ty = item.typed.ty;
            texts.push(item.typed.sql.clone());
        }
        let kept = self.keep()?;
        let rows = self.fresh_name("joined");
        let read = format!("json_each({}) AS {rows}", kept.parameter());
        for (at, item) in items.iter_mut().enumerate() {
            let ty = item.column.ty;
            item.typed = Typed::of(self.unpacked(&rows, at + 1, ty), ty);
        }
        let fields = self.returned_list(&items);
        let columns: Vec<_> = items.into_iter().map(|item| item.column).collect();
        let mut translated = super::translated(
            Kind::Write,
            Tag::Delete,
            super::result_columns(&columns),
            vec![
                format!(
                    "DELETE FROM {} WHERE rowid IN (SELECT towline_unpack({rows}.value, 0) FROM {read})",
                    names::quote(&target.table.name)
                ),
                format!("SELECT {fields} FROM {read}"),
            ],
        );
        translated.statements[1].counts = Counts::Nothing;
        // A row that several match goes once.
        let joined = format!(
            "{with}SELECT towline_pack({}) FROM {}, {using}{condition} GROUP BY {row}",
            texts.join(", "),
            target.text(),
        );
        translated.statements.insert(0, kept.of(joined));
        Ok(translated)
    }
}
