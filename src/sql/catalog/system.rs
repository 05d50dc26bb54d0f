//! Which relations `pg_catalog` and `information_schema` have, and their columns.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::types::{builtin_type_named, data_lines};
use crate::pg::Oid;

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub struct SystemRelation {
    pub schema: &'static str,
    pub name: &'static str,
    /// As in PostgreSQL; for `information_schema` as in one of its installations.
    pub oid: Oid,
    /// `r` table, `v` view.
    pub kind: &'static str,
    /// What `*` stands for, in order.
    pub columns: Vec<SystemColumn>,
    by_name: BTreeMap<&'static str, usize>,
}

/// A column of a system relation.
#[derive(Clone, Copy, Debug)]
pub struct SystemColumn {
    pub name: &'static str,
    pub oid: Oid,
    pub not_null: bool,
}

/// Columns that every relation of `pg_catalog` also has, outside `*`.
pub const HIDDEN_COLUMNS: [SystemColumn; 3] = [
    SystemColumn { name: "tableoid", oid: Oid::OID, not_null: true },
    SystemColumn { name: "xmin", oid: Oid(28), not_null: true },
    SystemColumn { name: "ctid", oid: Oid(27), not_null: true },
];

impl SystemRelation {
    /// A column's place in `columns`.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.by_name.get(column).copied()
    }

    /// A column by name, hidden ones too.
    pub fn column(&self, name: &str) -> Option<SystemColumn> {
        let shown = self.position(name).map(|at| self.columns[at]);
        shown.or_else(|| HIDDEN_COLUMNS.into_iter().find(|column| column.name == name))
    }
}

struct Relations {
    all: Vec<SystemRelation>,
    by_name: BTreeMap<(&'static str, &'static str), usize>,
}

static RELATIONS: LazyLock<Relations> = LazyLock::new(|| {
    let all: Vec<_> = data_lines(include_str!("data/relations.txt")).map(parse).collect();
    let by_name = all.iter().enumerate();
    let by_name = by_name.map(|(at, relation)| ((relation.schema, relation.name), at)).collect();
    Relations { all, by_name }
});

fn parse(line: &'static str) -> SystemRelation {
    let mut words = line.split(' ');
    let mut word = || words.next().expect("built-in table has four words before the columns");
    let (schema, name, oid, kind) = (word(), word(), word(), word());
    let columns: Vec<_> = words.map(parse_column).collect();
    let by_name = columns.iter().enumerate().map(|(at, column)| (column.name, at)).collect();
    let oid = Oid(oid.parse().expect("built-in table holds an OID"));
    SystemRelation { schema, name, oid, kind, columns, by_name }
}

fn parse_column(word: &'static str) -> SystemColumn {
    let (name, kind) = word.split_once(':').expect("built-in column has a type");
    let (kind, not_null) = match kind.strip_suffix('!') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    // Types that exist only inside PostgreSQL are served as text.
    let oid = builtin_type_named(kind).map_or(Oid::TEXT, |kind| kind.oid);
    SystemColumn { name, oid, not_null }
}

/// Every system relation.
pub fn system_relations() -> &'static [SystemRelation] {
    &RELATIONS.all
}

/// The system relation of this name. An empty `schema` finds those of `pg_catalog`,
/// which is always searched.
pub fn system_relation(schema: &str, name: &str) -> Option<&'static SystemRelation> {
    let schema = if schema.is_empty() { "pg_catalog" } else { schema };
    RELATIONS.by_name.get(&(schema, name)).map(|at| &RELATIONS.all[*at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_columns_of_pg_class() {
        let relation = system_relation("pg_catalog", "pg_class").expect("exists");
        assert_eq!(relation.oid, Oid(1259));
        assert_eq!(relation.columns.len(), 33);
        assert_eq!(relation.columns[0].name, "oid");
        assert_eq!(relation.column("relkind").expect("exists").oid, Oid::CHAR);
        assert_eq!(relation.column("tableoid").expect("exists").oid, Oid::OID);
        assert!(relation.column("nonsense").is_none());
    }

    #[test]
    fn finds_pg_catalog_without_its_name_and_nothing_else() {
        assert!(system_relation("", "pg_type").is_some());
        assert!(system_relation("", "columns").is_none());
        assert!(system_relation("information_schema", "columns").is_some());
    }
}
