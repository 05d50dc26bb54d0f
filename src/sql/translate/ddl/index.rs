//! CREATE INDEX and ALTER INDEX.

use sqlparser::ast::{AlterIndexOperation, CreateIndex, Expr, IndexType, ObjectName, OrderBySort};

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    AccessMethod, BTREE, Index, OperatorClass, Relation, RelationKind, quote_ident,
    quote_qualified, split_order,
};
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

/// What stands behind USING.
fn access_method(using: Option<&IndexType>) -> Result<&'static AccessMethod, SqlError> {
    let name = using.map_or_else(|| BTREE.to_owned(), |using| using.to_string().to_lowercase());
    AccessMethod::named(&name).ok_or_else(|| {
        let message = format!("access method \"{name}\" does not exist");
        SqlError::new(SqlState::UNDEFINED_OBJECT, message)
    })
}

/// Refuses what indexes of the method can't be.
fn check_method(method: &AccessMethod, create: &CreateIndex) -> Result<(), SqlError> {
    let options = || create.columns.iter().map(|column| &column.column.options);
    let lacks = [
        (create.unique, "can_unique", "unique indexes"),
        (!create.include.is_empty(), "can_include", "included columns"),
        (create.columns.len() > 1, "can_multi_col", "multicolumn indexes"),
        (options().any(|options| options.sort.is_some()), "can_order", "ASC/DESC options"),
        (
            options().any(|options| options.nulls_first.is_some()),
            "can_order",
            "NULLS FIRST/LAST options",
        ),
    ];
    match lacks.into_iter().find(|(asked, property, _)| *asked && !method.has(property)) {
        None => Ok(()),
        Some((_, _, what)) => {
            let message = format!("access method \"{}\" does not support {what}", method.name);
            Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
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
        let method = access_method(create.using.as_ref())?;
        check_method(method, create)?;
        let classes = self.operator_classes(relation, method, create, &columns)?;
        let index = Index {
            oid: Oid(0),
            name,
            unique: create.unique,
            primary: false,
            columns,
            predicate: create.predicate.as_ref().map(ToString::to_string),
            nulls_equal: create.nulls_distinct == Some(false),
            included,
            method: method.name.to_owned(),
            classes,
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

    /// The operator class of each key that is not its type's own.
    fn operator_classes(
        &self,
        relation: &Relation,
        method: &AccessMethod,
        create: &CreateIndex,
        keys: &[String],
    ) -> Result<Vec<String>, SqlError> {
        let catalog = self.context.catalog;
        let mut classes = Vec::with_capacity(keys.len());
        for (column, key) in create.columns.iter().zip(keys) {
            let oid = catalog.key_type(relation, key);
            let own = oid.and_then(|oid| OperatorClass::of_type(catalog, method, oid));
            let shown = || catalog.format_type(oid.unwrap_or(Oid::UNKNOWN), None);
            let Some(name) = column.operator_class.as_ref().and_then(names::last) else {
                if own.is_none() && oid.is_some() {
                    let message = format!(
                        "data type {} has no default operator class for access method \"{}\"",
                        shown(),
                        method.name
                    );
                    return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message).with_hint(
                        "You must specify an operator class for the index or define a default \
                         operator class for the data type.",
                    ));
                }
                classes.push(String::new());
                continue;
            };
            let named = OperatorClass::named(method, &name);
            if named.is_empty() {
                let message = format!(
                    "operator class \"{name}\" does not exist for access method \"{}\"",
                    method.name
                );
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            }
            let fits = |oid| named.iter().any(|class| class.takes(catalog, oid));
            if oid.is_some_and(|oid| !fits(oid)) {
                let message =
                    format!("operator class \"{name}\" does not accept data type {}", shown());
                return Err(SqlError::new(SqlState("42804"), message));
            }
            let is_own = own.is_some_and(|own| own.name == name);
            classes.push(if is_own { String::new() } else { name });
        }
        if classes.iter().all(String::is_empty) {
            classes.clear();
        }
        Ok(classes)
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
        self.context.catalog.index_stored(name)
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
        if relation.has_constraint(&index.name) {
            // The two have one name.
            let catalog = self.context.catalog;
            let altered = format!(
                "ALTER TABLE {} RENAME CONSTRAINT {} TO {}",
                quote_qualified(catalog, &relation.name),
                quote_ident(&index.name),
                quote_ident(catalog.bare(&new))
            );
            let altered = crate::sql::translate::translate(&altered, self.context)?;
            return Ok(Translated { tag: Tag::Fixed("ALTER INDEX"), ..altered });
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
