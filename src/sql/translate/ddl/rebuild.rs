//! Tables made anew, where SQLite's own ALTER TABLE does not do what is asked for.

use super::create_table::Draft;
use super::rows::{self, Oids};
use crate::pg::SqlError;
use crate::sql::catalog::{Relation, RelationKind};
use crate::sql::translate::{Translator, names};

/// What a column of the rebuilt table is filled with.
#[derive(Clone)]
pub(super) enum Fill {
    /// A column of the old table, by its name there.
    Old(String),
    /// An expression over the old row.
    Expression(String),
}

impl Translator<'_> {
    /// A rebuild that changes no column (views in `gone` have been dropped already), and the
    /// catalog's rows after it.
    pub(super) fn rebuilt_as(
        &mut self,
        old: &Relation,
        new: &Relation,
        gone: &[String],
    ) -> Result<Vec<String>, SqlError> {
        let fills: Vec<Fill> =
            new.attributes.iter().map(|attribute| Fill::Old(attribute.name.clone())).collect();
        let mut oids = Oids::default();
        let unchanged = Draft { relation: new.clone(), sequences: Vec::new() };
        let mut statements = self.rebuild(old, &unchanged, &fills, gone)?;
        statements.extend(redescribed(new, &mut oids));
        statements.extend(oids.taken());
        Ok(statements)
    }

    /// A new table, the rows copied, the old one dropped, the new one renamed.
    pub(super) fn rebuild(
        &mut self,
        old: &Relation,
        draft: &Draft,
        fills: &[Fill],
        gone: &[String],
    ) -> Result<Vec<String>, SqlError> {
        let Draft { relation: new, sequences } = draft;
        const UNDER_WAY: &str = "towline_rebuilt";
        let mut statements = Vec::new();
        // Renaming looks through every view; one that reads a missing table fails it.
        let views: Vec<Relation> = self
            .views_over(&old.name)
            .into_iter()
            .filter(|view| view.kind == RelationKind::View && !gone.contains(&view.name))
            .cloned()
            .collect();
        for view in views.iter().rev() {
            statements.push(format!("DROP VIEW {}", names::quote(&view.name)));
        }
        statements.push(self.table_sql(new, sequences, UNDER_WAY)?);
        let mut columns = Vec::new();
        let mut sources = Vec::new();
        for (attribute, fill) in new.attributes.iter().zip(fills) {
            if attribute.generated.is_some() {
                continue;
            }
            columns.push(attribute.name.clone());
            sources.push(match fill {
                Fill::Old(name) => names::quote(name),
                Fill::Expression(sql) => sql.clone(),
            });
        }
        statements.push(format!(
            "INSERT INTO {UNDER_WAY} ({}) SELECT {} FROM {}",
            names::quote_all(&columns),
            sources.join(", "),
            names::quote(&old.name)
        ));
        statements.push(format!("DROP TABLE {}", names::quote(&old.name)));
        statements.push(format!("ALTER TABLE {UNDER_WAY} RENAME TO {}", names::quote(&new.name)));
        statements.extend(self.key_indexes(new, true));
        for index in &new.indexes {
            if !new.constraints.iter().any(|constraint| constraint.name == index.name) {
                statements.push(self.index_sql(new, index)?);
            }
        }
        for view in &views {
            statements.extend(self.view_again(view)?);
        }
        Ok(statements)
    }
}

/// The catalog's rows of a table that has changed.
pub(super) fn redescribed(relation: &Relation, oids: &mut Oids) -> Vec<String> {
    let oid = rows::oid_of(&relation.name);
    let mut statements = Vec::new();
    // A table that SQLite's own dialect made has no row of its own yet.
    statements.push(format!(
        "INSERT INTO towline_relation (oid, name, kind) SELECT {}, {}, 'r' WHERE NOT EXISTS (SELECT 1 \
         FROM towline_relation WHERE name = {})",
        relation.oid.0,
        names::quote_literal(&relation.name),
        names::quote_literal(&relation.name)
    ));
    for table in ["towline_attribute", "towline_constraint", "towline_index"] {
        statements.push(format!("DELETE FROM {table} WHERE relation = {oid}"));
    }
    statements.extend(rows::attributes(&oid, &relation.attributes));
    for constraint in &relation.constraints {
        statements.push(rows::constraint(&oid, constraint, oids));
    }
    for index in &relation.indexes {
        if !relation.constraints.iter().any(|constraint| constraint.name == index.name) {
            statements.push(rows::index(&oid, index, oids));
        }
    }
    statements
}
