//! How a table's rows are told apart, and what they hold: all as SQL.

use super::{Sqlite, SqliteError};
use crate::log::ValueRef;

/// The shape of a table in `main`.
pub(super) struct Shape {
    /// In order, quoted.
    pub(super) columns: Vec<Column>,
    /// A name of the rowid; `None` for a table without, or one whose columns take all
    /// three names.
    pub(super) rowid: Option<&'static str>,
    /// Columns of the primary key, by their places in `columns`.
    pub(super) key: Vec<usize>,
    pub(super) without_rowid: bool,
}

pub(super) struct Column {
    pub(super) name: String,
    /// SQLite computes it.
    pub(super) generated: bool,
}

impl Shape {
    /// `None` where there is no such table.
    pub(super) fn of(sqlite: &mut Sqlite, table: &str) -> Result<Option<Self>, SqliteError> {
        let mut statement = sqlite.prepare(
            "SELECT x.name, x.pk, x.hidden, t.wr
             FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS x
             WHERE t.schema = 'main' AND t.type IN ('table', 'shadow') AND t.name = ?1
               AND x.schema = 'main'",
        )?;
        statement.bind(1, ValueRef::Text(table))?;
        let (mut columns, mut key, mut without_rowid) = (Vec::new(), Vec::new(), false);
        let mut free = vec!["oid", "_rowid_", "rowid"];
        while statement.step()? {
            let ValueRef::Text(name) = statement.column(0) else { continue };
            if let ValueRef::Integer(position @ 1..) = statement.column(1) {
                key.push((position, columns.len()));
            }
            // 2 and 3 are generated columns, virtual and stored.
            let generated = matches!(statement.column(2), ValueRef::Integer(2 | 3));
            without_rowid = statement.column(3) == ValueRef::Integer(1);
            free.retain(|rowid| !name.eq_ignore_ascii_case(rowid));
            columns.push(Column { name: quote(name), generated });
        }
        if columns.is_empty() {
            return Ok(None);
        }
        key.sort_unstable();
        let rowid = if without_rowid { None } else { free.pop() };
        let key = key.into_iter().map(|(_, place)| place).collect();
        Ok(Some(Self { columns, rowid, key, without_rowid }))
    }

    /// The columns in the order of which the rows lie.
    pub(super) fn order(&self) -> Vec<&str> {
        match self.rowid {
            Some(rowid) => vec![rowid],
            None => self.key.iter().map(|place| self.columns[*place].name.as_str()).collect(),
        }
    }
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
