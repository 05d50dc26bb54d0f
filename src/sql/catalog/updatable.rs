//! Views through which their table can be changed, as PostgreSQL calls them
//! automatically updatable.

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor,
    visit_expressions,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Attribute, Catalog, PUBLIC, Relation, RelationKind};
use crate::sql::translate::names;
use crate::sql::translate::{calls_aggregate, is_set_returning};

/// The query of such a view.
pub(in crate::sql) struct SimpleView {
    pub select: Box<Select>,
    /// What it reads, and the name that the query gives it.
    pub from: ObjectName,
    pub alias: Option<TableAlias>,
}

impl SimpleView {
    /// Of a view; else why it is none.
    pub(in crate::sql) fn of(view: &Relation) -> Result<Self, &'static str> {
        Self::of_query(view.definition.as_deref().unwrap_or_default())
    }

    /// Of a view's query.
    pub(in crate::sql) fn of_query(definition: &str) -> Result<Self, &'static str> {
        const OTHER: &str =
            "Views that do not select from a single table or view are not automatically updatable.";
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, definition).map_err(|_| OTHER)?;
        let (Some(Statement::Query(query)), true) = (parsed.pop(), parsed.is_empty()) else {
            return Err(OTHER);
        };
        let Query { with, body, limit_clause, fetch, .. } = *query;
        let select = match *body {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { .. } => {
                return Err(
                    "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.",
                );
            }
            _ => return Err(OTHER),
        };
        if select.distinct.is_some() {
            return Err("Views containing DISTINCT are not automatically updatable.");
        }
        if !matches!(&select.group_by, sqlparser::ast::GroupByExpr::Expressions(by, _) if by.is_empty())
        {
            return Err("Views containing GROUP BY are not automatically updatable.");
        }
        if select.having.is_some() {
            return Err("Views containing HAVING are not automatically updatable.");
        }
        if with.is_some() {
            return Err("Views containing WITH are not automatically updatable.");
        }
        if limit_clause.is_some() || fetch.is_some() {
            return Err("Views containing LIMIT or OFFSET are not automatically updatable.");
        }
        for item in &select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                judge(expr)?;
            }
        }
        let [from] = select.from.as_slice() else { return Err(OTHER) };
        match &from.relation {
            TableFactor::Table { sample: Some(_), .. } => {
                Err("Views containing TABLESAMPLE are not automatically updatable.")
            }
            TableFactor::Table { name, alias, args: None, .. } if from.joins.is_empty() => {
                let (from, alias) = (name.clone(), alias.clone());
                Ok(Self { select, from, alias })
            }
            _ => Err(OTHER),
        }
    }

    /// What it reads.
    pub(in crate::sql) fn base<'c>(&self, catalog: &'c Catalog) -> Option<&'c Relation> {
        catalog.relation_written(&self.from)
    }

    /// The columns of what it reads that its first columns are, where they are columns.
    fn plain_columns<'c>(&self, base: &'c Relation) -> Vec<Option<&'c Attribute>> {
        let renamed = self.alias.as_ref().map_or(&[][..], |alias| &alias.columns);
        let named = |ident| {
            let name = names::fold(ident);
            match renamed.iter().position(|column| names::fold(&column.name) == name) {
                Some(at) => base.attributes.get(at),
                None => base.attributes.iter().skip(renamed.len()).find(|other| other.name == name),
            }
        };
        let mut found = Vec::new();
        for item in &self.select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    found.push(match expr {
                        Expr::Identifier(ident) => named(ident),
                        Expr::CompoundIdentifier(idents) => idents.last().and_then(named),
                        _ => None,
                    });
                }
                _ => found.extend(base.attributes.iter().map(Some)),
            }
        }
        found
    }
}

fn judge(expr: &Expr) -> Result<(), &'static str> {
    if calls_aggregate(expr) {
        return Err("Views that return aggregate functions are not automatically updatable.");
    }
    let wrong = visit_expressions(expr, |part: &Expr| {
        use std::ops::ControlFlow::{Break, Continue};
        match part {
            Expr::Function(call) if call.over.is_some() => {
                Break("Views that return window functions are not automatically updatable.")
            }
            Expr::Function(call)
                if names::last(&call.name).is_some_and(|n| is_set_returning(&n)) =>
            {
                Break("Views that return set-returning functions are not automatically updatable.")
            }
            _ => Continue(()),
        }
    });
    wrong.break_value().map_or(Ok(()), Err)
}

impl Catalog {
    /// A relation as a kept definition names it: without a schema it is in `public`.
    pub(in crate::sql) fn relation_written(&self, name: &ObjectName) -> Option<&Relation> {
        let mut parts = names::parts(name);
        let name = parts.pop()?;
        let schema = parts.pop().unwrap_or_else(|| PUBLIC.to_owned());
        self.relations.get(&self.stored_name(&schema, &name))
    }

    /// Which of a relation's columns can be changed by INSERT and UPDATE on it.
    pub(in crate::sql) fn changeable_columns(&self, relation: &Relation) -> Vec<bool> {
        let all = |able| relation.attributes.iter().map(|_| able).collect();
        match relation.kind {
            RelationKind::Table => all(true),
            RelationKind::MaterializedView => all(false),
            RelationKind::View => {
                let Ok(view) = SimpleView::of(relation) else { return all(false) };
                let Some(base) = view.base(self) else { return all(false) };
                let below = self.changeable_columns(base);
                let able = |column: Option<&Attribute>| {
                    let at = base
                        .attributes
                        .iter()
                        .position(|a| column.is_some_and(|c| c.name == a.name));
                    at.is_some_and(|at| below.get(at) == Some(&true))
                };
                view.plain_columns(base)
                    .into_iter()
                    .take(relation.attributes.len())
                    .map(able)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(definition: &str) -> Relation {
        Relation {
            kind: RelationKind::View,
            definition: Some(definition.to_owned()),
            ..Relation::of_columns("v", &[])
        }
    }

    #[test]
    fn a_view_of_one_tables_rows_is_simple() {
        for (definition, simple) in [
            ("SELECT a, b + 1 AS c FROM t WHERE a > (SELECT max(x) FROM u)", true),
            ("SELECT * FROM s.t AS x ORDER BY a", true),
            ("SELECT DISTINCT a FROM t", false),
            ("SELECT a FROM t GROUP BY a", false),
            ("SELECT count(*) FROM t", false),
            ("SELECT row_number() OVER () FROM t", false),
            ("SELECT generate_series(1, a) FROM t", false),
            ("SELECT a FROM t LIMIT 3", false),
            ("SELECT a FROM t, u", false),
            ("SELECT a FROM t JOIN u USING (a)", false),
            ("SELECT a FROM t UNION SELECT a FROM u", false),
            ("WITH w AS (SELECT 1) SELECT a FROM t", false),
            ("VALUES (1)", false),
            ("SELECT 1 AS a", false),
        ] {
            assert_eq!(SimpleView::of(&view(definition)).is_ok(), simple, "{definition}");
        }
    }
}
