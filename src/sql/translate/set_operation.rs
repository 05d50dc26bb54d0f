//! VALUES, UNION, INTERSECT and EXCEPT: rows from several places, brought to the types that
//! their columns have in common.

use sqlparser::ast::{SetExpr, SetOperator, SetQuantifier, Values};

use super::place::Place;
use super::query::{Selected, Wish, plain_query};
use super::{OutputColumn, Translator, Typed, names};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, family};

impl Translator<'_> {
    pub(super) fn values(&mut self, values: &Values, wish: Wish<'_>) -> Result<Selected, SqlError> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        let mut types = vec![Type::plain(Oid::UNKNOWN); width];
        for row in &values.rows {
            if row.content.len() != width {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                ));
            }
            let place = Place::Clause("VALUES");
            let row = self.standing(place, |this| this.expressions(&row.content))?;
            for (ty, item) in types.iter_mut().zip(&row) {
                let common = types::common(ty.oid, item.oid()).ok_or_else(|| {
                    SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "VALUES types {} and {} cannot be matched",
                            types::display_name(ty.oid),
                            types::display_name(item.oid())
                        ),
                    )
                })?;
                let typmod = match super::row::has_shape(common) {
                    true => self.common_modifier(common, *ty, item.ty)?,
                    false => -1,
                };
                *ty = Type { oid: common, typmod };
            }
            rows.push(row);
        }
        for (at, ty) in types.iter_mut().enumerate() {
            if types::is_unknown(ty.oid) {
                *ty = wish.types.and_then(|types| types.get(at)).copied().unwrap_or(Type::TEXT);
            }
        }
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut fields = Vec::with_capacity(width);
            for (item, ty) in row.into_iter().zip(&types) {
                let item = self.coerce(item, Type::plain(ty.oid))?;
                // The first row's collation is the column's.
                fields.push(if texts.is_empty() { self.distinct(&item) } else { item.sql });
            }
            texts.push(format!("({})", fields.join(", ")));
        }
        let mut sql = format!("VALUES {}", texts.join(", "));
        let mut columns: Vec<OutputColumn> = types
            .iter()
            .enumerate()
            .map(|(at, ty)| OutputColumn {
                name: format!("column{}", at + 1),
                ty: *ty,
                origin: (Oid(0), 0),
                not_null: false,
            })
            .collect();
        if let Some(names) = wish.names.filter(|names| !names.is_empty()) {
            if names.len() > columns.len() {
                return Err(SqlError::new(
                    SqlState("42P10"),
                    format!(
                        "{} columns available but {} columns specified",
                        columns.len(),
                        names.len()
                    ),
                ));
            }
            for (column, name) in columns.iter_mut().zip(names) {
                column.name.clone_from(name);
            }
            if self.scopes.is_empty() {
                let renamed: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| {
                        format!("column{} AS {}", at + 1, names::quote(&column.name))
                    })
                    .collect();
                sql = format!("SELECT {} FROM ({sql})", renamed.join(", "));
            }
        }
        // Rows that read columns from outside have no column names in SQLite.
        if wish.inner && !self.scopes.is_empty() {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let alias = self.fresh_name("values");
            sql = format!(
                "WITH {alias} ({}) AS ({sql}) SELECT * FROM {alias}",
                names::quote_all(&names)
            );
        }
        Ok(Selected { sql, columns })
    }

    /// UNION, INTERSECT, EXCEPT: every branch in the common types.
    pub(super) fn set_operation(
        &mut self,
        body: &SetExpr,
        wish: Wish<'_>,
    ) -> Result<Selected, SqlError> {
        let SetExpr::SetOperation { op, set_quantifier, left, right } = body else {
            return Err(SqlError::unsupported("this kind of query"));
        };
        let numbered = *set_quantifier == SetQuantifier::All && *op != SetOperator::Union;
        let word = match (op, set_quantifier) {
            (SetOperator::Union, SetQuantifier::All) => "UNION ALL",
            (SetOperator::Union, _) => "UNION",
            (SetOperator::Intersect, _) => "INTERSECT",
            (SetOperator::Except | SetOperator::Minus, _) => "EXCEPT",
        };
        let inner = Wish { inner: true, printed: false, ..wish };
        let first = match &**left {
            SetExpr::SetOperation { .. } => self.deeper(|this| this.set_operation(left, inner))?,
            other => self.query(&plain_query(other.clone()), inner)?,
        };
        let hints: Vec<Type> = first.columns.iter().map(|column| column.ty).collect();
        let hinted = hints.iter().all(|ty| !types::is_unknown(ty.oid));
        let second = self.query(
            &plain_query((**right).clone()),
            Wish {
                inner: true,
                types: if hinted { Some(&hints) } else { wish.types },
                ..Wish::default()
            },
        )?;
        if first.columns.len() != second.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            ));
        }
        let mut wanted = Vec::with_capacity(hints.len());
        for (a, b) in first.columns.iter().zip(&second.columns) {
            let oid = types::common(a.ty.oid, b.ty.oid).ok_or_else(|| {
                SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{word} types {} and {} cannot be matched",
                        types::display_name(a.ty.oid),
                        types::display_name(b.ty.oid)
                    ),
                )
            })?;
            let typmod = self.common_modifier(oid, a.ty, b.ty)?;
            wanted.push(Type { oid, typmod });
        }
        let columns: Vec<OutputColumn> = first
            .columns
            .iter()
            .zip(&wanted)
            .map(|(column, ty)| OutputColumn {
                name: column.name.clone(),
                ty: *ty,
                origin: (Oid(0), 0),
                not_null: false,
            })
            .collect();
        if numbered {
            // Equal rows are told apart by their number among them: (x, 1), (x, 2), ….
            let mut names: Vec<String> = (1..=wanted.len()).map(|at| format!("c{at}")).collect();
            let list = names.join(", ");
            let mut sides = Vec::with_capacity(2);
            for side in [first, second] {
                let rows = self.with_column_types(side, &wanted)?;
                let alias = self.fresh_name("rows");
                sides.push(format!(
                    "SELECT * FROM (WITH {alias}({list}) AS ({rows}) SELECT {list}, row_number() \
                     OVER (PARTITION BY {list}) AS towline_number FROM {alias})"
                ));
            }
            for (name, column) in names.iter_mut().zip(&columns) {
                name.push_str(&format!(" AS {}", names::quote(&column.name)));
            }
            let sql =
                format!("SELECT {} FROM ({})", names.join(", "), sides.join(&format!(" {word} ")));
            return Ok(Selected { sql, columns });
        }
        let tight = matches!(**left, SetExpr::Select(_) | SetExpr::SetOperation { .. });
        let left_sql = match self.with_column_types(first, &wanted)? {
            sql if tight || sql.starts_with("VALUES ") => sql,
            sql => format!("SELECT * FROM ({sql})"),
        };
        let right_sql = match &**right {
            SetExpr::Select(_) => self.with_column_types(second, &wanted)?,
            _ => self.branch(second, &wanted)?,
        };
        Ok(Selected { sql: format!("{left_sql} {word} {right_sql}"), columns })
    }

    /// As a branch of a compound: one SELECT, its columns of the wanted types.
    pub(super) fn branch(
        &mut self,
        selected: Selected,
        wanted: &[Type],
    ) -> Result<String, SqlError> {
        let plain = selected.sql.clone();
        let sql = self.with_column_types(selected, wanted)?;
        Ok(if sql == plain { format!("SELECT * FROM ({sql})") } else { sql })
    }

    /// The query's text with its columns converted, where they are not of these types.
    pub(super) fn with_column_types(
        &mut self,
        selected: Selected,
        wanted: &[Type],
    ) -> Result<String, SqlError> {
        let mut changed = false;
        let mut texts = Vec::with_capacity(wanted.len());
        for (at, (column, ty)) in selected.columns.iter().zip(wanted).enumerate() {
            let name = format!("c{}", at + 1);
            let typed = Typed::of(name.clone(), column.ty);
            let converted = if types::is_unknown(ty.oid) || types::is_unknown(column.ty.oid) {
                typed
            } else if family(column.ty.oid) == Family::Number
                && family(ty.oid) == Family::Number
                && ty.oid != Oid::NUMERIC
                && column.ty.oid != Oid::NUMERIC
            {
                // Integers and floats compare and print alike in SQLite, but a float
                // column must hold floats.
                if matches!(ty.oid, Oid::FLOAT4 | Oid::FLOAT8) {
                    self.convert(typed, Type::plain(ty.oid), super::cast::How::Assignment)?
                } else {
                    typed
                }
            } else {
                self.convert(typed, Type::plain(ty.oid), super::cast::How::Assignment)?
            };
            let made = converted.sql != name;
            changed |= made;
            texts.push(if made { self.distinct(&converted) } else { converted.sql });
        }
        if !changed {
            return Ok(selected.sql);
        }
        let names: Vec<String> = (1..=selected.columns.len()).map(|at| format!("c{at}")).collect();
        let alias = self.fresh_name("branch");
        Ok(format!(
            "SELECT {} FROM (WITH {alias}({}) AS ({}) SELECT * FROM {alias})",
            texts.join(", "),
            names.join(", "),
            selected.sql
        ))
    }
}
