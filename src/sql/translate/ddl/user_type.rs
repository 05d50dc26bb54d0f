//! CREATE TYPE … AS ENUM and AS (…), CREATE DOMAIN, ALTER and DROP of both.
//!
//! An enum's values are stored as their labels, a composite's as its row's text, a domain's
//! as its base type's. What a
//! value may be is checked where it becomes one: in a cast, or on its way into a column.

use sqlparser::ast::{
    AlterType, AlterTypeAddValuePosition, AlterTypeOperation, CreateDomain, ObjectName,
    TableConstraint, UserDefinedTypeCompositeAttributeDef, UserDefinedTypeRepresentation,
};

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{ConstraintKind, Field, Relation, UserType, UserTypeKind};
use crate::sql::translate::{Translator, names, translated};
use crate::sql::translated::{Kind, Tag, Translated};

impl Translator<'_> {
    /// Under which name a type is stored that is there, or else would be made.
    pub(super) fn stored_type(&self, name: &ObjectName) -> Result<String, SqlError> {
        let (schema, name) = self.qualified(name)?;
        let catalog = self.context.catalog;
        let found = catalog.find_stored(schema.as_deref(), &name, &self.path(), |stored| {
            catalog.types.contains_key(stored)
        });
        match (found, schema) {
            (Some(found), _) => Ok(found),
            (None, Some(schema)) => Ok(catalog.stored_name(&schema, &name)),
            (None, None) => Ok(catalog.stored_name(&self.creation_schema()?, &name)),
        }
    }

    pub(super) fn create_type(
        &mut self,
        name: &ObjectName,
        representation: Option<&UserDefinedTypeRepresentation>,
    ) -> Result<Translated, SqlError> {
        let labels = match representation {
            Some(UserDefinedTypeRepresentation::Enum { labels }) => labels,
            Some(UserDefinedTypeRepresentation::Composite { attributes }) => {
                return self.create_composite(name, attributes);
            }
            _ => return Err(SqlError::unsupported("CREATE TYPE of this kind")),
        };
        let labels: Vec<String> = labels.iter().map(|label| label.value.clone()).collect();
        for (at, label) in labels.iter().enumerate() {
            if labels[..at].contains(label) {
                return Err(SqlError::new(
                    SqlState::UNIQUE_VIOLATION,
                    format!("enum label \"{label}\" used more than once"),
                ));
            }
            check_label(label)?;
        }
        let stored = self.new_type_name(name)?;
        let columns = format!(
            "kind, labels) SELECT {{oid}}, {{array}}, {{name}}, 'e', {}",
            rows::list(&labels)
        );
        Ok(made(&stored, &columns, "CREATE TYPE", self.schema_for(&stored)))
    }

    fn create_composite(
        &mut self,
        name: &ObjectName,
        attributes: &[UserDefinedTypeCompositeAttributeDef],
    ) -> Result<Translated, SqlError> {
        let mut fields: Vec<Field> = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let name = names::fold(&attribute.name);
            let ty = self.storable_type(&attribute.data_type, &name)?;
            if self.base_of(ty) != ty {
                return Err(SqlError::unsupported("a domain as a field's type"));
            }
            if fields.iter().any(|other| other.name == name) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" specified more than once"),
                ));
            }
            fields.push(Field { name, oid: ty.oid, typmod: ty.typmod });
        }
        let stored = self.new_type_name(name)?;
        let columns = format!(
            "kind, base, labels) SELECT {{oid}}, {{array}}, {{name}}, 'c', {{relation}}, {}",
            rows::fields(&fields)
        );
        Ok(made(&stored, &columns, "CREATE TYPE", self.schema_for(&stored)))
    }

    pub(super) fn create_domain(&mut self, create: &CreateDomain) -> Result<Translated, SqlError> {
        let stored = self.new_type_name(&create.name)?;
        let ty = self.storable_type(&create.data_type, &stored)?;
        if ty.oid.0 >= 16_384 {
            return Err(SqlError::unsupported("a domain over a type that a client made"));
        }
        let mut checks: Vec<(String, String)> = Vec::new();
        let bare = self.context.catalog.bare(&stored).to_owned();
        for constraint in &create.constraints {
            let TableConstraint::Check(check) = constraint else {
                return Err(SqlError::unsupported("this constraint of a domain"));
            };
            let name = match &check.name {
                Some(name) => names::fold(name),
                None => super::chosen_name(&bare, "", "check", |name| {
                    checks.iter().any(|(other, _)| other == name)
                }),
            };
            checks.push((name, check.expr.to_string()));
        }
        let not_null = std::mem::take(&mut self.clauses.domain_not_null);
        let default = match &create.default {
            Some(expr) => super::create_table::default_text(expr)?,
            None => None,
        };
        let checks = rows::pairs(&checks);
        let default =
            default.map_or_else(|| "NULL".to_owned(), |default| names::quote_literal(&default));
        let columns = format!(
            "kind, base, typmod, not_null, default_expr, checks) SELECT {{oid}}, {{array}}, \
             {{name}}, 'd', {}, {}, {}, {default}, {checks}",
            ty.oid.0,
            ty.typmod,
            u8::from(not_null),
        );
        let made = made(&stored, &columns, "CREATE DOMAIN", self.schema_for(&stored));
        Ok(made)
    }

    pub(super) fn alter_type(&mut self, alter: &AlterType) -> Result<Translated, SqlError> {
        let stored = self.stored_type(&alter.name)?;
        let Some(kind) = self.context.catalog.types.get(&stored) else {
            return Err(super::drop::undefined("type", self.shown(&stored)));
        };
        self.demand_owner_of_type(kind);
        let quoted = names::quote_literal(&stored);
        let mut statements = Vec::new();
        match (&alter.operation, &kind.kind) {
            (AlterTypeOperation::Rename(rename), _) => {
                let schema = self.context.catalog.split_name(&stored).0.to_owned();
                let new = self.new_name_in((Some(schema), names::fold(&rename.new_name)))?;
                self.check_free_type(&new)?;
                statements.push(format!(
                    "UPDATE towline_type SET name = {} WHERE name = {quoted}",
                    names::quote_literal(&new)
                ));
            }
            (AlterTypeOperation::AddValue(add), UserTypeKind::Enum(labels)) => {
                let label = &add.value.value;
                check_label(label)?;
                if labels.contains(label) {
                    let state = SqlState::DUPLICATE_OBJECT;
                    if add.if_not_exists {
                        self.skipped(state, format_args!("enum label \"{label}\" already exists"));
                        return Ok(nothing("ALTER TYPE"));
                    }
                    return Err(SqlError::new(
                        state,
                        format!("enum label \"{label}\" already exists"),
                    ));
                }
                let mut labels = labels.clone();
                let at = match &add.position {
                    None => labels.len(),
                    Some(AlterTypeAddValuePosition::Before(other)) => {
                        position(&labels, &other.value)?
                    }
                    Some(AlterTypeAddValuePosition::After(other)) => {
                        position(&labels, &other.value)? + 1
                    }
                };
                labels.insert(at, label.clone());
                statements.push(format!(
                    "UPDATE towline_type SET labels = {} WHERE name = {quoted}",
                    rows::list(&labels)
                ));
            }
            (AlterTypeOperation::RenameValue(rename), UserTypeKind::Enum(labels)) => {
                let mut labels = labels.clone();
                let at = position(&labels, &rename.from.value)?;
                if labels.contains(&rename.to.value) {
                    return Err(SqlError::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("enum label \"{}\" already exists", rename.to.value),
                    ));
                }
                labels[at].clone_from(&rename.to.value);
                statements.push(format!(
                    "UPDATE towline_type SET labels = {} WHERE name = {quoted}",
                    rows::list(&labels)
                ));
                self.check_label_unused(kind, &rename.from.value)?;
                // The label is what rows hold.
                for relation in self.context.catalog.relations.values() {
                    for attribute in relation.attributes.iter().filter(|a| a.oid == kind.oid) {
                        statements.push(format!(
                            "UPDATE {} SET {column} = {} WHERE {column} = {}",
                            names::quote(&relation.name),
                            names::quote_literal(&rename.to.value),
                            names::quote_literal(&rename.from.value),
                            column = names::quote(&attribute.name),
                        ));
                    }
                }
            }
            (_, UserTypeKind::Domain { .. } | UserTypeKind::Composite { .. }) => {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("{} is not an enum", self.shown(&stored)),
                ));
            }
        }
        statements.extend(rows::touch());
        let tag = Tag::Fixed("ALTER TYPE");
        // Foreign keys hold again once all columns of the type have the new label.
        let rebuild = matches!(alter.operation, AlterTypeOperation::RenameValue(_));
        Ok(translated(Kind::Ddl { rebuild }, tag, Vec::new(), statements))
    }

    /// Refuses to rename a label that is written elsewhere than in columns of its type.
    fn check_label_unused(&self, kind: &UserType, label: &str) -> Result<(), SqlError> {
        let catalog = self.context.catalog;
        let literal = names::quote_literal(label);
        let names_it = |text: &String| text.contains(&literal);
        let holds = |oid: Oid| oid == kind.array;
        let of_type = |relation: &&Relation| relation.attributes.iter().any(|a| a.oid == kind.oid);
        let in_table = |relation: &Relation| {
            let attributes = relation.attributes.iter();
            let mut written = attributes.flat_map(|a| a.default.iter().chain(&a.generated));
            let checks =
                relation.constraints.iter().filter_map(|constraint| match &constraint.kind {
                    ConstraintKind::Check(condition) => Some(condition),
                    _ => None,
                });
            let indexes = relation.indexes.iter();
            let mut indexed =
                indexes.flat_map(|index| index.columns.iter().chain(&index.predicate));
            written.any(names_it) || checks.into_iter().any(names_it) || indexed.any(names_it)
        };
        let mut relations = catalog.relations.values();
        let in_array = relations.any(|relation| relation.attributes.iter().any(|a| holds(a.oid)));
        let in_row = catalog.types.values().any(|other| match &other.kind {
            UserTypeKind::Composite { fields, .. } => {
                fields.iter().any(|field| field.oid == kind.oid || holds(field.oid))
            }
            _ => false,
        });
        let in_text = catalog.relations.values().filter(of_type).any(in_table)
            || catalog
                .relations
                .values()
                .any(|view| view.definition.as_ref().is_some_and(names_it));
        if in_array || in_row || in_text {
            return Err(SqlError::unsupported(
                "RENAME VALUE of an enum that arrays, rows, defaults, conditions or views hold",
            ));
        }
        Ok(())
    }

    fn new_type_name(&self, name: &ObjectName) -> Result<String, SqlError> {
        let stored = self.new_name_in(self.qualified(name)?)?;
        self.check_free_type(&stored)?;
        Ok(stored)
    }

    pub(super) fn check_free_type(&self, stored: &str) -> Result<(), SqlError> {
        if self.context.catalog.types.contains_key(stored) || self.is_taken(stored) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("type \"{}\" already exists", self.shown(stored)),
            ));
        }
        Ok(())
    }

    pub(super) fn drop_types(
        &mut self,
        tag: &'static str,
        wanted: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Translated, SqlError> {
        let mut statements = Vec::new();
        for name in wanted {
            let Some(kind) = self.context.catalog.types.get(name) else {
                if if_exists {
                    self.skip_missing("type", name);
                    continue;
                }
                return Err(super::drop::undefined("type", self.shown(name)));
            };
            self.demand_owner_of_type(kind);
            let user = self.context.catalog.relations.values().find_map(|relation| {
                let column = relation
                    .attributes
                    .iter()
                    .find(|attribute| attribute.oid == kind.oid || attribute.oid == kind.array)?;
                Some((relation, column))
            });
            if let Some((relation, column)) = user {
                if cascade {
                    return Err(SqlError::unsupported("DROP TYPE CASCADE of a type in use"));
                }
                return Err(super::drop::depended_on("type", self.shown(name)).with_detail(
                    format!(
                        "column {} of table {} depends on type {}",
                        column.name,
                        self.shown(&relation.name),
                        self.shown(name)
                    ),
                ));
            }
            let holder = self.context.catalog.types.values().find_map(|other| match &other.kind {
                UserTypeKind::Composite { fields, .. } => {
                    let of = |field: &&Field| field.oid == kind.oid || field.oid == kind.array;
                    fields.iter().find(of).map(|field| (other, field))
                }
                _ => None,
            });
            if let Some((other, field)) = holder.filter(|(other, _)| !wanted.contains(&other.name))
            {
                let detail = format!(
                    "column {} of composite type {} depends on type {}",
                    field.name,
                    self.shown(&other.name),
                    self.shown(name)
                );
                return Err(super::drop::depended_on("type", self.shown(name)).with_detail(detail));
            }
            self.check_domains_of(kind, wanted, cascade)?;
            statements.push(format!(
                "DELETE FROM towline_type WHERE name = {}",
                names::quote_literal(name)
            ));
        }
        if statements.is_empty() {
            return Ok(nothing(tag));
        }
        statements.extend(rows::touch());
        Ok(translated(Kind::Ddl { rebuild: false }, Tag::Fixed(tag), Vec::new(), statements))
    }
}

impl Translator<'_> {
    /// Refuses to drop a type that domains are over which stay.
    fn check_domains_of(
        &mut self,
        kind: &UserType,
        wanted: &[String],
        cascade: bool,
    ) -> Result<(), SqlError> {
        let over = |other: &&UserType| {
            matches!(other.kind, UserTypeKind::Domain { base, .. }
                if base == kind.oid || base == kind.array)
        };
        let catalog = self.context.catalog;
        let mut domains = catalog.types.values().filter(over);
        let domain = domains.find(|domain| !wanted.contains(&domain.name));
        let Some(domain) = domain else { return Ok(()) };
        if cascade {
            return Err(SqlError::unsupported("DROP TYPE CASCADE of a type in use"));
        }
        let shown = format!("type {}", self.shown(&kind.name));
        let dependent = format!("type {}", self.shown(&domain.name));
        self.cascade_to(Some(shown.clone()), vec![(dependent, shown)], false)
    }
}

/// The statements that make a type; `columns` is the rest of its row.
fn made(stored: &str, columns: &str, tag: &'static str, first: Vec<String>) -> Translated {
    let mut oids = Oids::default();
    let mut row = columns
        .replace("{oid}", &oids.allot())
        .replace("{array}", &oids.allot())
        .replace("{name}", &names::quote_literal(stored));
    if row.contains("{relation}") {
        row = row.replace("{relation}", &oids.allot());
    }
    let mut statements = first;
    statements.push(format!("INSERT INTO towline_type (oid, array_oid, name, {row}"));
    statements.extend(oids.taken());
    statements.extend(rows::touch());
    translated(Kind::Ddl { rebuild: false }, Tag::Fixed(tag), Vec::new(), statements)
}

fn check_label(label: &str) -> Result<(), SqlError> {
    if label.is_empty() || label.len() > super::NAME_MAX {
        return Err(SqlError::new(SqlState("42602"), format!("invalid enum label \"{label}\""))
            .with_detail("Labels must be 63 bytes or less."));
    }
    Ok(())
}

fn position(labels: &[String], label: &str) -> Result<usize, SqlError> {
    labels.iter().position(|known| known == label).ok_or_else(|| {
        SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("\"{label}\" is not an existing enum label"),
        )
    })
}
