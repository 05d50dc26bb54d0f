//! UPDATE.

use sqlparser::ast::{TableFactor, Update, UpdateTableFromKind};

use super::returning::assigns_rowid;
use super::scope::Scope;
use super::target::{Change, Target};
use super::{Translator, access, names};
use crate::pg::SqlError;
use crate::sql::catalog::Rights;
use crate::sql::translated::{Counts, Kind, Tag, Translated};

impl Translator<'_> {
    /// `with` stands in front of it.
    pub(super) fn update(&mut self, update: &Update, with: &str) -> Result<Translated, SqlError> {
        let TableFactor::Table { name, alias, .. } = &update.table.relation else {
            return Err(super::syntax::syntax_error("UPDATE", None));
        };
        if !update.table.joins.is_empty() || !update.order_by.is_empty() || update.limit.is_some() {
            return Err(SqlError::unsupported("this kind of UPDATE"));
        }
        let reads = update.selection.is_some()
            || update.from.is_some()
            || update.returning.is_some()
            || update.assignments.iter().any(|assignment| access::reads(&assignment.value));
        let alias = alias.as_ref().map(|alias| names::fold(&alias.name));
        let rights = access::reading(Rights::UPDATE, reads);
        let target = self.changed(name, alias, Change::Update, rights)?;
        let source = self.target_columns(&target, &target.visible, &target.alias)?;
        self.scopes.push(Scope { sources: vec![source], ..Scope::default() });
        let result = self.update_in_scope(update, &target, with);
        self.scopes.pop();
        result
    }

    fn update_in_scope(
        &mut self,
        update: &Update,
        target: &Target<'_>,
        with: &str,
    ) -> Result<Translated, SqlError> {
        let from = match &update.from {
            None => String::new(),
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                format!(" FROM {}", self.from(from)?)
            }
        };
        let set = self.assignments(&update.assignments, target)?;
        if self.clauses.current_of.is_some() && assigns_rowid(&update.assignments, target) {
            let text = "WHERE CURRENT OF where the primary key changes";
            return Err(SqlError::unsupported(text));
        }
        let condition = self.changed_rows(update.selection.as_ref(), target)?;
        let condition = target.filter(condition);
        let others = !from.is_empty();
        let returning = update.returning.as_deref();
        let Some(returned) = self.returning_alone(returning, target, others)? else {
            return self.update_returning_others(update, target, with, &from, &condition);
        };
        let text = target.text();
        let sql = format!("{with}UPDATE {text} SET {set}{from}{condition}{}", returned.sql);
        Ok(super::translated(
            Kind::Write,
            Tag::Update,
            super::result_columns(&returned.columns),
            vec![sql],
        ))
    }

    /// RETURNING of other tables' columns, which SQLite's doesn't see: the joined rows
    /// are kept, the target is updated from them, and they are joined to what it became.
    fn update_returning_others(
        &mut self,
        update: &Update,
        target: &Target<'_>,
        with: &str,
        from: &str,
        condition: &str,
    ) -> Result<Translated, SqlError> {
        if assigns_rowid(&update.assignments, target) {
            return Err(SqlError::unsupported(
                "RETURNING of another table's columns where the primary key changes",
            ));
        }
        let text = target.text();
        let row = format!("{}.rowid", names::quote(&target.alias));
        let rows = self.fresh_name("joined");
        let kept = self.keep()?;
        let count = self.scopes.last().map_or(1, |scope| scope.sources.len());
        let columns = self.kept_columns(1..count, &rows, 1);
        // A row that several match is updated once.
        let joined = format!(
            "{with}SELECT towline_pack({}) FROM {text},{}{condition} GROUP BY {row}",
            std::iter::once(row.clone()).chain(columns).collect::<Vec<_>>().join(", "),
            from.strip_prefix(" FROM").unwrap_or(from),
        );
        let set = self.assignments(&update.assignments, target)?;
        let checks = self.returning(None, target)?.sql;
        let read = format!("json_each({}) AS {rows}", kept.parameter());
        let same = format!("{row} = towline_unpack({rows}.value, 0)");
        let returned = self.returned_query(update.returning.as_deref().unwrap_or_default())?;
        let columns = super::result_columns(&returned.columns);
        let mut translated = super::translated(
            Kind::Write,
            Tag::Update,
            columns,
            vec![
                format!("{with}UPDATE {text} SET {set} FROM {read} WHERE {same}{checks}"),
                format!("SELECT {} FROM {read} JOIN {text} ON {same}", returned.sql),
            ],
        );
        translated.statements[1].counts = Counts::Nothing;
        translated.statements.insert(0, kept.of(joined));
        Ok(translated)
    }
}
