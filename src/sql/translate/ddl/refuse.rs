//! Rows that a changed definition would not let in. They are looked for before it changes,
//! by a query that fails at the first one as PostgreSQL does: SQLite would tell of the table
//! that is being made.

use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Attribute, Constraint, ConstraintKind, Index, Relation, split_order};
use crate::sql::translate::cast::How;
use crate::sql::translate::returning::type_of;
use crate::sql::translate::{Translator, names};
use crate::sql::types::{self, Type};

/// Where in a table an error is, as its fields say.
enum At<'n> {
    Column(&'n str),
    Constraint(&'n str),
}

/// A query over `from` (a table and its conditions) that fails where it finds a row.
fn refusal(
    state: &str,
    message: &str,
    detail: Option<&str>,
    table: &Relation,
    at: &At<'_>,
    from: &str,
) -> String {
    let literal = names::quote_literal;
    let (column, constraint) = match at {
        At::Column(name) => (literal(name), "NULL".to_owned()),
        At::Constraint(name) => ("NULL".to_owned(), literal(name)),
    };
    format!(
        "SELECT towline_refuse({}, {}, {}, {}, {column}, {constraint}) FROM {from} LIMIT 1",
        literal(state),
        literal(message),
        detail.unwrap_or("NULL"),
        literal(&table.name),
    )
}

impl Translator<'_> {
    /// Fails where a foreign key's columns are of types that never meet those of the key.
    pub(super) fn check_key_types(
        &self,
        constraint: &str,
        (table, columns): (&Relation, &[String]),
        (target, target_columns): (&Relation, &[String]),
    ) -> Result<(), SqlError> {
        let base = |relation: &Relation, column: &str| {
            relation.attribute(column).map(|attribute| self.base_of(type_of(attribute)).oid)
        };
        for (column, target_column) in columns.iter().zip(target_columns) {
            let (own, key) = (base(table, column), base(target, target_column));
            let (Some(own), Some(key)) = (own, key) else { continue };
            if !types::meets_key(own, key) {
                let shown = |relation: &Relation, column: &str| {
                    relation.attribute(column).map(|attribute| self.type_name(attribute.oid))
                };
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("foreign key constraint \"{constraint}\" cannot be implemented"),
                )
                .with_detail(format!(
                    "Key columns \"{column}\" and \"{target_column}\" are of incompatible types: \
                     {} and {}.",
                    shown(table, column).unwrap_or_default(),
                    shown(target, target_column).unwrap_or_default(),
                )));
            }
        }
        Ok(())
    }

    /// Fails where a column has NULL, of a table that messages call by `word`.
    pub(super) fn refuse_null(&self, table: &Relation, column: &str, word: &str) -> String {
        let from = format!("{} WHERE {} IS NULL", names::quote(&table.name), names::quote(column));
        self.refuse_null_in(table, column, word, &from)
    }

    fn refuse_null_in(&self, table: &Relation, column: &str, word: &str, from: &str) -> String {
        let shown = self.context.catalog.bare(&table.name);
        let message = format!("column \"{column}\" of {word} \"{shown}\" contains null values");
        refusal("23502", &message, None, table, &At::Column(column), from)
    }

    /// Fails where there is a row, of which a column that is added would have NULL.
    pub(super) fn refuse_rows(&self, table: &Relation, column: &str) -> String {
        let from = names::quote(&table.name);
        self.refuse_null_in(table, column, "relation", &from)
    }

    /// Fails where a row does not hold a check.
    pub(super) fn refuse_check(
        &mut self,
        table: &Relation,
        name: &str,
        condition: &str,
    ) -> Result<String, SqlError> {
        let shown = self.context.catalog.bare(&table.name);
        let message =
            format!("check constraint \"{name}\" of relation \"{shown}\" is violated by some row");
        let condition = self.row_condition(condition, table)?;
        let from = format!("{} WHERE NOT ({condition})", names::quote(&table.name));
        Ok(refusal("23514", &message, None, table, &At::Constraint(name), &from))
    }

    /// Fails where a column does not hold a check of its domain.
    pub(super) fn refuse_domain(
        &mut self,
        table: &Relation,
        attribute: &Attribute,
        condition: &str,
    ) -> Result<String, SqlError> {
        let shown = self.context.catalog.bare(&table.name);
        let message = format!(
            "column \"{}\" of table \"{shown}\" contains values that violate the new constraint",
            attribute.name
        );
        let condition = self.domain_condition(condition, attribute, table)?;
        let from = format!("{} WHERE NOT ({condition})", names::quote(&table.name));
        Ok(refusal("23514", &message, None, table, &At::Column(&attribute.name), &from))
    }

    /// Fails where two rows have the same key.
    pub(super) fn refuse_duplicates(
        &mut self,
        table: &Relation,
        key: &Constraint,
    ) -> Result<String, SqlError> {
        let columns: Vec<String> = key.columns.iter().map(|name| names::quote(name)).collect();
        let mut values = Vec::with_capacity(columns.len());
        for column in key.columns.iter().filter_map(|name| table.attribute(name)) {
            let typed = self.over_row(&names::quote(&column.name), table)?;
            let text = self.convert(typed, Type::TEXT, How::Explicit)?;
            values.push(format!("ifnull({}, 'null')", text.sql));
        }
        let detail = format!(
            "{} || {} || ') is duplicated.'",
            names::quote_literal(&format!("Key ({})=(", key.columns.join(", "))),
            values.join(" || ', ' || ")
        );
        let filled = match key.nulls_equal {
            true => "TRUE".to_owned(),
            false => format!("{} NOTNULL", columns.join(" NOTNULL AND ")),
        };
        let columns = columns.join(", ");
        let table_name = names::quote(&table.name);
        let from = format!("{table_name} WHERE {filled} GROUP BY {columns} HAVING count(*) > 1");
        let message = format!("could not create unique index \"{}\"", key.name);
        Ok(refusal("23505", &message, Some(&detail), table, &At::Constraint(&key.name), &from))
    }

    /// What the rows of a table must hold for a unique index over its columns.
    pub(super) fn refused_by_index(
        &mut self,
        table: &Relation,
        index: &Index,
    ) -> Result<Vec<String>, SqlError> {
        let columns: Vec<String> =
            index.columns.iter().map(|column| split_order(column).0.to_owned()).collect();
        let plain = columns.iter().all(|column| table.attribute(column).is_some());
        if !index.unique || index.predicate.is_some() || !plain {
            return Ok(Vec::new());
        }
        let key = Constraint {
            oid: index.oid,
            name: self.context.catalog.bare(&index.name).to_owned(),
            kind: ConstraintKind::Unique,
            columns,
            deferrable: false,
            deferred: false,
            nulls_equal: index.nulls_equal,
            included: Vec::new(),
        };
        Ok(vec![self.refuse_duplicates(table, &key)?])
    }

    /// What the rows of a table must hold for a constraint that is added to it.
    pub(super) fn refused_by(
        &mut self,
        table: &Relation,
        added: &Constraint,
    ) -> Result<Vec<String>, SqlError> {
        // What is made with it, or has another type then, can't be asked for before.
        let columns = added.columns.iter().chain(&added.included);
        let is_there = columns.into_iter().all(|name| table.attribute(name).is_some());
        match &added.kind {
            _ if !is_there => Ok(Vec::new()),
            ConstraintKind::Check(condition) => {
                Ok(self.refuse_check(table, &added.name, condition).into_iter().collect())
            }
            ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
                let primary = matches!(added.kind, ConstraintKind::PrimaryKey);
                let keys = added.columns.iter().filter(|_| primary);
                let nulls = keys.map(|column| self.refuse_null(table, column, "relation"));
                let nulls: Vec<String> = nulls.collect();
                Ok([vec![self.refuse_duplicates(table, added)?], nulls].concat())
            }
            ConstraintKind::ForeignKey { .. } => Ok(Vec::new()),
        }
    }
}
