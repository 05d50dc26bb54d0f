//! Statements that change the schema.
//!
//! Each becomes a few SQLite statements, logged as their text: the change itself, and
//! the rows of Towline's own catalog that remember what PostgreSQL's DDL said. A new
//! object's OID is `(SELECT next FROM towline_oid)`, so that it is the same on every
//! node, whatever else ran in between.
//!
//! What SQLite's ALTER TABLE can't do is a rebuild: a new table, the rows copied, the
//! old one dropped, the new one renamed; foreign keys are switched off around it
//! (`Kind::Ddl { rebuild: true }`).

mod alter_table;
mod column;
mod comment;
mod create_table;
mod domain;
mod drop;
mod identity;
mod index;
mod like;
mod rebuild;
mod refuse;
mod rename;
mod routine;
mod rows;
mod schema;
mod sequence;
mod user_type;
mod view;

pub(super) use self::comment::comment_on;
pub(super) use self::domain::alter_domain;
pub(super) use self::rename::alter_view;
pub(super) use self::routine::{About, alter_routine, create_routine, drop_routines, routine_in};
pub(super) use self::rows::touch;
pub(super) use self::sequence::{alter_sequence, create_sequence};
pub(super) use self::view::refresh;

use sqlparser::ast::{DropBehavior, ObjectName, Statement, Truncate};

use super::{Translator, names, translated};
use crate::pg::{Severity, SqlError, SqlState};
use crate::sql::catalog::{
    ConstraintKind, PUBLIC, RESERVED_PREFIX, Relation, RelationKind, Rights, Routine,
};
use crate::sql::translated::{Kind, Tag, Translated};

/// Bytes of a name that PostgreSQL keeps.
const NAME_MAX: usize = 63;

impl Translator<'_> {
    pub(super) fn ddl(&mut self, statement: &Statement) -> Result<Translated, SqlError> {
        match statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::Drop { .. } => self.drop(statement),
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::AlterIndex { name, operation } => self.alter_index(name, operation),
            Statement::CreateSchema { schema_name, if_not_exists, .. } => {
                self.create_schema(schema_name, *if_not_exists)
            }
            Statement::CreateExtension(create) => match names::fold(&create.name).as_str() {
                "plpgsql" | "uuid-ossp" | "pgcrypto" | "citext" => Ok(nothing("CREATE EXTENSION")),
                "hstore" => {
                    let warning = SqlError::new(
                        SqlState("01000"),
                        "the type and functions of extension \"hstore\" are not available",
                    );
                    self.notices.push(SqlError { severity: Severity::Warning, ..warning });
                    Ok(nothing("CREATE EXTENSION"))
                }
                other => Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("extension \"{other}\" is not available"),
                )),
            },
            Statement::Pragma { .. } | Statement::CreateVirtualTable { .. } => {
                super::syntax::pass_through(self.text, self.context)
            }
            Statement::DropExtension(_) => Ok(nothing("DROP EXTENSION")),
            Statement::Grant(_) => Ok(nothing("GRANT")),
            Statement::Revoke(_) => Ok(nothing("REVOKE")),
            Statement::CreateTrigger(_) => Err(SqlError::unsupported("CREATE TRIGGER")),
            Statement::CreateType { name, representation } => {
                self.create_type(name, representation.as_ref())
            }
            Statement::CreateDomain(create) => self.create_domain(create),
            Statement::AlterType(alter) => self.alter_type(alter),
            Statement::DropDomain(drop) => {
                let name = self.stored_type(&drop.name)?;
                let cascade = matches!(drop.drop_behavior, Some(DropBehavior::Cascade));
                self.drop_types("DROP DOMAIN", &[name], drop.if_exists, cascade)
            }
            Statement::CreateRole(_) => Err(SqlError::unsupported("CREATE ROLE")),
            Statement::CreatePolicy(_) => Err(SqlError::unsupported("CREATE POLICY")),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                Err(SqlError::unsupported(words.join(" ")))
            }
        }
    }

    /// The name of an object to be made, perhaps a temporary one, as it will be stored.
    fn new_name_of(&self, name: &ObjectName, temporary: bool) -> Result<String, SqlError> {
        let (schema, name) = self.qualified(name)?;
        let own = self.context.temporary_schema;
        match schema {
            Some(schema) if temporary && schema != own => Err(SqlError::new(
                SqlState("42P16"),
                "cannot create temporary relation in non-temporary schema",
            )),
            None if temporary => self.new_name_in((Some(own.to_owned()), name)),
            schema => self.new_name_in((schema, name)),
        }
    }

    fn new_name_in(&self, (schema, name): (Option<String>, String)) -> Result<String, SqlError> {
        let schema = match schema {
            None => self.creation_schema()?,
            Some(schema) if schema == "pg_catalog" || schema == "information_schema" => {
                return Err(SqlError::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("permission denied to create \"{schema}.{name}\""),
                ));
            }
            Some(schema) => {
                self.check_schema(&schema)?;
                schema
            }
        };
        self.demand_creation(&schema);
        if name.starts_with(RESERVED_PREFIX) || name.starts_with("sqlite_") {
            return Err(SqlError::new(SqlState("42939"), format!("unacceptable name \"{name}\""))
                .with_detail("Names that begin with \"towline_\" or \"sqlite_\" are reserved."));
        }
        Ok(self.context.catalog.stored_name(&schema, &shortened(&name)))
    }

    fn is_taken(&self, name: &str) -> bool {
        self.context.catalog.is_stored(name)
    }

    /// A stored name next to `table`'s, for what the client gave none.
    fn chosen_beside(
        &self,
        table: &str,
        columns: &str,
        suffix: &str,
        is_taken: impl Fn(&str) -> bool,
    ) -> String {
        let catalog = self.context.catalog;
        let (schema, bare) = catalog.split_name(table);
        let stored = |name: &str| catalog.stored_name(schema, name);
        stored(&chosen_name(bare, columns, suffix, |name| is_taken(&stored(name))))
    }

    fn check_free(&self, name: &str) -> Result<(), SqlError> {
        if self.is_taken(name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" already exists", self.context.catalog.bare(name)),
            ));
        }
        Ok(())
    }

    /// Views that read from `name`, in an order in which they can be made.
    fn views_over(&self, name: &str) -> Vec<&Relation> {
        let reads = |view: &Relation, names: &[&str]| {
            let Some(definition) = &view.definition else { return false };
            let Ok(parsed) = super::syntax::parse(definition) else { return false };
            let mut parts = vec![parsed];
            let mut called: Vec<&Routine> = Vec::new();
            while let Some(part) = parts.pop() {
                let found = sqlparser::ast::visit_relations(&part, |relation| {
                    let (schema, read) = self.qualified(relation).unwrap_or_default();
                    let schema = schema.unwrap_or_else(|| PUBLIC.to_owned());
                    let stored = self.context.catalog.stored_name(&schema, &read);
                    match names.contains(&stored.as_str()) {
                        true => std::ops::ControlFlow::Break(()),
                        false => std::ops::ControlFlow::Continue(()),
                    }
                });
                if found.is_break() {
                    return true;
                }
                // It holds the bodies of the functions that it calls.
                for routine in &self.context.catalog.routines {
                    let is_new = !called.iter().any(|known| known.oid == routine.oid);
                    let bare = self.context.catalog.bare(&routine.name);
                    if is_new && super::routine::calls(&part, bare) {
                        called.push(routine);
                        parts.extend(super::routine::statements(&routine.said).unwrap_or_default());
                    }
                }
            }
            false
        };
        let views: Vec<&Relation> = self
            .context
            .catalog
            .relations
            .values()
            .filter(|relation| relation.kind != RelationKind::Table)
            .collect();
        let mut found: Vec<&Relation> = Vec::new();
        let mut frontier = vec![name];
        while !frontier.is_empty() {
            let mut next = Vec::new();
            for view in &views {
                if !found.iter().any(|other| other.name == view.name) && reads(view, &frontier) {
                    found.push(view);
                    next.push(view.name.as_str());
                }
            }
            frontier = next;
        }
        found
    }

    /// Tables whose foreign keys point at `name`.
    fn referencing(&self, name: &str) -> Vec<(&Relation, &crate::sql::catalog::Constraint)> {
        let mut found = Vec::new();
        for relation in self.context.catalog.relations.values() {
            for constraint in &relation.constraints {
                if matches!(&constraint.kind, ConstraintKind::ForeignKey { table, .. } if table == name)
                {
                    found.push((relation, constraint));
                }
            }
        }
        found
    }

    fn truncate(&mut self, truncate: &Truncate) -> Result<Translated, SqlError> {
        let mut tables = Vec::new();
        for target in &truncate.table_names {
            let relation = self.target(&target.name)?;
            super::returning::check_table(relation, "truncate")?;
            self.demand_table(relation, Rights::TRUNCATE);
            if !tables.contains(&relation.name) {
                tables.push(relation.name.clone());
            }
        }
        let cascade = matches!(truncate.cascade, Some(sqlparser::ast::CascadeOption::Cascade));
        let mut at = 0;
        while at < tables.len() {
            let table = tables[at].clone();
            for (relation, constraint) in self.referencing(&table) {
                if tables.contains(&relation.name) {
                    continue;
                }
                if !cascade {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .with_detail(format!(
                        "Table \"{}\" references \"{table}\" (constraint {}).",
                        relation.name, constraint.name
                    ))
                    .with_hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        relation.name
                    )));
                }
                self.demand_table(relation, Rights::TRUNCATE);
                tables.push(relation.name.clone());
            }
            at += 1;
        }
        let related = tables.iter().any(|table| !self.referencing(table).is_empty());
        let mut statements = Vec::new();
        if matches!(truncate.identity, Some(sqlparser::ast::TruncateIdentityOption::Restart)) {
            for sequence in self.context.catalog.sequences.values() {
                if sequence.owner.as_ref().is_some_and(|(table, _)| tables.contains(table)) {
                    statements.push(format!(
                        "SELECT setval({}, {}, 0)",
                        names::quote_literal(&sequence.name),
                        sequence.start
                    ));
                }
            }
        }
        statements
            .extend(tables.iter().map(|table| format!("DELETE FROM {}", names::quote(table))));
        let kind = if related { Kind::Ddl { rebuild: true } } else { Kind::Write };
        Ok(translated(kind, Tag::Fixed("TRUNCATE TABLE"), Vec::new(), statements))
    }
}

/// A statement that is accepted and changes nothing.
impl Translator<'_> {
    fn skip_existing(&mut self, name: &str) {
        let state = SqlState::DUPLICATE_TABLE;
        self.skipped(state, format_args!("relation \"{name}\" already exists"));
    }
}

pub(super) fn nothing(tag: &'static str) -> Translated {
    translated(Kind::Nothing, Tag::Fixed(tag), Vec::new(), Vec::new())
}

/// Cuts a name to what PostgreSQL keeps of it.
pub(super) fn shortened(name: &str) -> String {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// A name for what the client gave none: `table_column_suffix`, cut to fit, numbered
/// until it is free.
fn chosen_name(
    table: &str,
    columns: &str,
    suffix: &str,
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let tail =
        if columns.is_empty() { format!("_{suffix}") } else { format!("_{columns}_{suffix}") };
    for number in 0_usize.. {
        let tail = if number == 0 { tail.clone() } else { format!("{tail}{number}") };
        let mut end = table.len().min(NAME_MAX.saturating_sub(tail.len()));
        while !table.is_char_boundary(end) {
            end -= 1;
        }
        let name = shortened(&format!("{}{tail}", &table[..end]));
        if !is_taken(&name) || number > 10_000 {
            return name;
        }
    }
    tail
}
