//! CREATE INDEX and ALTER INDEX.

use sqlparser::ast::{AlterIndexOperation, CreateIndex, Expr, ObjectName, OrderBySort};

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Index, Relation, RelationKind, split_order};
use crate::sql::translate::place::Place;
use crate::sql::translate::{Form, Translator, Typed, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

/// What a key adds to the name of its index: a column's name, or that of the function that
/// an expression calls.
pub(super) fn hint(key: &str) -> &str {
    let (key, _) = split_order(key);
    let inside = key.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let Some(expression) = inside else { return key };
    let name = expression.split('(').next().unwrap_or("");
    let is_name = name.chars().all(|char| char.is_alphanumeric() || char == '_');
    let calls = is_name && !name.is_empty() && expression.ends_with(')');
    if calls { name } else { "expr" }
}

impl Translator<'_> {
    pub(super) fn create_index(&mut self, create: &CreateIndex) -> Result<Translated, SqlError> {
        let relation = self.target(&create.table_name)?;
        self.demand_owner_of(relation);
        if relation.kind != RelationKind::MaterializedView {
            super::super::returning::check_table(relation, "create index on")?;
        }
        let mut columns = Vec::with_capacity(create.columns.len());
        let mut hints = Vec::new();
        for column in &create.columns {
            let options = &column.column.options;
            let descending = matches!(options.sort, Some(OrderBySort::Desc));
            let order = match (descending, options.nulls_first) {
                (true, Some(false)) => " DESC NULLS LAST",
                (true, _) => " DESC",
                (false, Some(true)) => " NULLS FIRST",
                (false, _) => "",
            };
            match &column.column.expr {
                Expr::Identifier(ident) => {
                    let name = names::fold(ident);
                    if !relation.attributes.iter().any(|attribute| attribute.name == name) {
                        return Err(SqlError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{name}\" does not exist"),
                        ));
                    }
                    hints.push(name.clone());
                    columns.push(format!("{name}{order}"));
                }
                expr => {
                    let text = expr.to_string();
                    let text = if text.starts_with('(') { text } else { format!("({text})") };
                    hints.push(hint(&text).to_owned());
                    columns.push(format!("{text}{order}"));
                }
            }
        }
        let included: Vec<String> = create.include.iter().map(names::fold).collect();
        if let Some(name) = included.iter().find(|name| relation.attribute(name).is_none()) {
            let text = format!("column \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, text));
        }
        hints.extend(included.iter().cloned());
        let name = match &create.name {
            // An index lies where its table does.
            Some(name) => {
                let schema = self.context.catalog.split_name(&relation.name).0.to_owned();
                self.new_name_in((Some(schema), names::last(name).unwrap_or_default()))?
            }
            None => self
                .chosen_beside(&relation.name, &hints.join("_"), "idx", |name| self.is_taken(name)),
        };
        if self.is_taken(&name) {
            if create.if_not_exists {
                self.skip_existing(&name);
                return Ok(nothing("CREATE INDEX"));
            }
            self.check_free(&name)?;
        }
        let index = Index {
            oid: Oid(0),
            name,
            unique: create.unique,
            primary: false,
            columns,
            predicate: create.predicate.as_ref().map(ToString::to_string),
            nulls_equal: create.nulls_distinct == Some(false),
            included,
        };
        let mut oids = Oids::default();
        let mut statements = self.refused_by_index(relation, &index)?;
        statements.push(self.index_sql(relation, &index)?);
        statements.push(rows::index(&rows::oid_of(&relation.name), &index, &mut oids));
        statements.extend(oids.taken());
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("CREATE INDEX"),
            Vec::new(),
            statements,
        ))
    }

    /// CREATE INDEX for SQLite, from a description.
    pub(super) fn index_sql(
        &mut self,
        relation: &Relation,
        index: &Index,
    ) -> Result<String, SqlError> {
        let mut terms = Vec::with_capacity(index.columns.len());
        for column in &index.columns {
            let (column, order) = split_order(column);
            // SQLite has NULL at one end only.
            let order = if order.starts_with(" DESC") { " DESC" } else { "" };
            if index.unique && index.nulls_equal {
                if relation.attribute(column).is_some() {
                    terms.extend(self.terms_with_nulls(relation, &[column.to_owned()]));
                } else {
                    let typed = self.indexed(column, relation)?;
                    let collation = self.collation(typed.ty);
                    terms.extend(self.null_terms(&typed.operand(), collation.as_deref()));
                }
                continue;
            }
            terms.push(format!("{}{order}", self.index_key(column, relation)?));
        }
        let predicate = match &index.predicate {
            Some(predicate) => {
                let place = Place::Clause("index predicates");
                let typed = self.standing(place, |this| this.over_row(predicate, relation))?;
                format!(" WHERE {}", self.boolean(typed, "WHERE")?.sql)
            }
            None => String::new(),
        };
        Ok(format!(
            "CREATE {}INDEX {} ON {} ({}){predicate}",
            if index.unique { "UNIQUE " } else { "" },
            names::quote(&index.name),
            names::quote(&relation.name),
            terms.join(", ")
        ))
    }

    /// What an index is over: a column by its name, or an expression.
    pub(in crate::sql::translate) fn index_key(
        &mut self,
        key: &str,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        if relation.attribute(key).is_some() {
            return Ok(names::quote(key));
        }
        let typed = self.indexed(key, relation)?;
        Ok(match typed.form {
            Form::Column { .. } => typed.sql,
            _ => self.collated(&typed),
        })
    }

    /// An expression that an index is over.
    fn indexed(&mut self, key: &str, relation: &Relation) -> Result<Typed, SqlError> {
        let place = Place::Clause("index expressions");
        self.standing(place, |this| this.over_row(key, relation))
    }

    /// An index and its table, by the index's name.
    pub(in crate::sql::translate) fn find_index(&self, name: &str) -> Option<(&Relation, &Index)> {
        self.context.catalog.relations.values().find_map(|relation| {
            let index = relation.indexes.iter().find(|index| index.name == name)?;
            Some((relation, index))
        })
    }

    /// ALTER INDEX … RENAME: SQLite has no such thing, so it is made anew.
    pub(super) fn alter_index(
        &mut self,
        name: &ObjectName,
        operation: &AlterIndexOperation,
    ) -> Result<Translated, SqlError> {
        let AlterIndexOperation::RenameIndex { index_name } = operation;
        let old = self.stored(name)?;
        let schema = self.context.catalog.split_name(&old).0.to_owned();
        let new = self.new_name_in((Some(schema), names::last(index_name).unwrap_or_default()))?;
        self.check_free(&new)?;
        let Some((relation, index)) = self.find_index(&old) else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{old}\" does not exist"),
            ));
        };
        self.demand_owner_of(relation);
        if relation.constraints.iter().any(|constraint| constraint.name == old) {
            return Err(SqlError::unsupported("renaming a constraint's index"));
        }
        let (relation, index) = (relation.clone(), Index { name: new.clone(), ..index.clone() });
        let statements = vec![
            format!("DROP INDEX {}", names::quote(&old)),
            self.index_sql(&relation, &index)?,
            format!(
                "UPDATE towline_index SET name = {} WHERE name = {}",
                names::quote_literal(&new),
                names::quote_literal(&old)
            ),
        ];
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("ALTER INDEX"),
            Vec::new(),
            statements,
        ))
    }
}
