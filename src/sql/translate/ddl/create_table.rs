//! CREATE TABLE, from columns or from a query. The table is first described as the
//! catalog describes it, then spelled out from that: a rebuild starts from there too.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CheckConstraint, ColumnDef, ColumnOption, ConstraintCharacteristics,
    ConstraintReferenceMatchKind, CreateTable, CreateTableOptions, DataType, DeferrableInitial,
    Expr, ForeignKeyConstraint, FunctionArg, FunctionArgExpr, FunctionArguments, GeneratedAs,
    GeneratedExpressionMode, Ident, IndexColumn, NullsDistinctOption, OnCommit,
    PrimaryKeyConstraint, Query, ReferentialAction, Select, SelectInto, SetExpr, TableConstraint,
    UniqueConstraint, Value, visit_expressions,
};

use super::column::check_column_name;
use super::rows::{self, Oids};
use super::{chosen_name, nothing};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Constraint, ConstraintKind, Identity, Index, Relation, RelationKind, Rights,
    Sequence, quote_stored,
};
use crate::sql::translate::place::Place;
use crate::sql::translate::query::Wish;
use crate::sql::translate::returning::{is_rowid, target_source, type_of};
use crate::sql::translate::scope::Scope;
use crate::sql::translate::{Translator, calls_aggregate, names, shipped, translated};
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types;

/// A table being made: its description, and the sequences of its columns.
pub(super) struct Draft {
    pub relation: Relation,
    pub sequences: Vec<Sequence>,
}

impl Translator<'_> {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<Translated, SqlError> {
        if create.inherits.is_some() {
            return Err(SqlError::unsupported("INHERITS"));
        }
        if create.like.is_some() {
            return Err(SqlError::unsupported("CREATE TABLE … LIKE"));
        }
        if create.partition_by.is_some() || create.partition_of.is_some() {
            return Err(SqlError::unsupported("partitioning"));
        }
        let sqlites = create.columns.iter().flat_map(|column| &column.options).any(|option| {
            matches!(option.option, ColumnOption::DialectSpecific(_) | ColumnOption::OnConflict(_))
        });
        if create.without_rowid || create.strict || sqlites {
            return crate::sql::translate::syntax::pass_through(self.text, self.context);
        }
        // Storage parameters are PostgreSQL's own affair.
        match &create.table_options {
            CreateTableOptions::None
            | CreateTableOptions::With(_)
            | CreateTableOptions::Plain(_) => {}
            _ => return Err(SqlError::unsupported("these table options")),
        }
        let on_commit = match create.on_commit {
            None | Some(OnCommit::PreserveRows) => None,
            Some(_) if !create.temporary => {
                return Err(SqlError::new(
                    SqlState("42P16"),
                    "ON COMMIT can only be used on temporary tables",
                ));
            }
            Some(OnCommit::DeleteRows) => Some('d'),
            Some(OnCommit::Drop) => Some('x'),
        };
        let name = self.new_name_of(&create.name, create.temporary)?;
        if self.context.catalog.relations.contains_key(&name) && create.if_not_exists {
            self.skip_existing(&name);
            let filled = create.query.is_some();
            return Ok(nothing(if filled { "CREATE TABLE AS" } else { "CREATE TABLE" }));
        }
        self.check_free(&name)?;
        if let Some(query) = &create.query {
            let columns: Vec<String> =
                create.columns.iter().map(|column| names::fold(&column.name)).collect();
            let mut made = self.create_table_as(&name, &columns, query, None)?;
            if let Some(letter) = on_commit {
                // The query's rows come last: they give the count.
                let at = made.statements.len().saturating_sub(1);
                made.statements.insert(at, shipped(rows::on_commit(&name, letter)));
            }
            return Ok(made);
        }
        let mut draft = Draft {
            relation: Relation {
                oid: Oid(0),
                name,
                kind: RelationKind::Table,
                attributes: Vec::new(),
                constraints: Vec::new(),
                indexes: Vec::new(),
                definition: None,
                populated: true,
                triggers_off: false,
                check_option: None,
            },
            sequences: Vec::new(),
        };
        let mut said = Vec::new();
        for column in &create.columns {
            match self.clauses.likes.pop_front_if(|_| column.name.value.is_empty()) {
                Some(like) => said.extend(self.draft_like(&mut draft, &like)?),
                None => self.draft_column(&mut draft, column)?,
            }
        }
        for constraint in &create.constraints {
            self.draft_constraint(&mut draft, constraint)?;
        }
        let mut statements = self.schema_for(&draft.relation.name);
        statements.push(self.table_sql(&draft.relation, &draft.sequences, &draft.relation.name)?);
        statements.extend(self.key_indexes(&draft.relation, false));
        statements.extend(described(&draft));
        let mut oids = Oids::default();
        for index in &draft.relation.indexes {
            statements.push(self.index_sql(&draft.relation, index)?);
            statements.push(rows::index(&rows::oid_of(&draft.relation.name), index, &mut oids));
        }
        statements.extend(oids.taken());
        statements.extend(said);
        statements.extend(on_commit.map(|letter| rows::on_commit(&draft.relation.name, letter)));
        Ok(translated(
            Kind::Ddl { rebuild: false },
            Tag::Fixed("CREATE TABLE"),
            Vec::new(),
            statements,
        ))
    }

    /// Adds a column, with what its options say.
    pub(super) fn draft_column(
        &mut self,
        draft: &mut Draft,
        column: &ColumnDef,
    ) -> Result<(), SqlError> {
        let name = names::fold(&column.name);
        check_column_name(&name)?;
        let table = draft.relation.name.clone();
        if draft.relation.attributes.iter().any(|attribute| attribute.name == name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        super::column::check_options(column, self.context.catalog.bare(&table))?;
        let ty = self.storable_type(&column.data_type, &name)?;
        let mut attribute = Attribute {
            name: name.clone(),
            oid: ty.oid,
            typmod: ty.typmod,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
        };
        if is_serial(&column.data_type) {
            let sequence = self.draft_sequence(draft, &name, ty.oid, "")?;
            attribute.not_null = true;
            attribute.default = Some(format!(
                "nextval('{}'::regclass)",
                quote_stored(self.context.catalog, &sequence).replace('\'', "''")
            ));
        }
        draft.relation.attributes.push(attribute);
        let at = draft.relation.attributes.len() - 1;
        for option in &column.options {
            let given = option.name.as_ref();
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => draft.relation.attributes[at].not_null = true,
                ColumnOption::Default(expr) => {
                    draft.relation.attributes[at].default = default_text(expr)?;
                }
                ColumnOption::PrimaryKey(key) => {
                    let columns = vec![name.clone()];
                    self.draft_key(draft, given, primary_key(columns, key)?)?;
                }
                ColumnOption::Unique(key) => {
                    let columns = vec![name.clone()];
                    self.draft_key(draft, given, unique_key(columns, key)?)?;
                }
                ColumnOption::Check(check) => {
                    self.draft_check(draft, check.name.as_ref().or(given), check, Some(&name))?;
                }
                ColumnOption::ForeignKey(key) => {
                    self.draft_foreign_key(
                        draft,
                        key.name.as_ref().or(given),
                        vec![name.clone()],
                        key,
                    )?;
                }
                ColumnOption::Generated {
                    generated_as,
                    generation_expr,
                    generation_expr_mode,
                    ..
                } => match (generated_as, generation_expr) {
                    (GeneratedAs::ExpStored, Some(expr)) | (GeneratedAs::Always, Some(expr)) => {
                        if let Some(GeneratedExpressionMode::Virtual) = generation_expr_mode {
                            return Err(SqlError::unsupported("a virtual generated column"));
                        }
                        draft.relation.attributes[at].generated = Some(expr.to_string());
                        super::column::check_generation(&draft.relation, at)?;
                    }
                    (kind, _) => {
                        let options = self.clauses.identities.pop_front().unwrap_or_default();
                        self.draft_sequence(draft, &name, ty.oid, &options)?;
                        let attribute = &mut draft.relation.attributes[at];
                        attribute.not_null = true;
                        attribute.identity = Some(match kind {
                            GeneratedAs::ByDefault => Identity::ByDefault,
                            _ => Identity::Always,
                        });
                    }
                },
                ColumnOption::Collation(_) | ColumnOption::Comment(_) => {}
                other => {
                    return Err(SqlError::unsupported(format_args!(
                        "{other} in a column of {table}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// A sequence owned by a column; returns its name.
    pub(super) fn draft_sequence(
        &mut self,
        draft: &mut Draft,
        column: &str,
        oid: Oid,
        options: &str,
    ) -> Result<String, SqlError> {
        if !types::is_integer(oid) {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "identity column type must be smallint, integer, or bigint",
            ));
        }
        let table = draft.relation.name.clone();
        let said = super::sequence::said(options)?;
        let taken = |name: &str| {
            self.is_taken(name) || draft.sequences.iter().any(|sequence| sequence.name == name)
        };
        let name = match said.name() {
            Some(parts) => {
                let name = self.new_name_in(self.qualified_parts(parts.to_vec())?)?;
                self.check_free(&name)?;
                name
            }
            None => self.chosen_beside(&table, column, "seq", taken),
        };
        let mut sequence = said.of_column(&name, oid)?;
        sequence.owner = Some((table, column.to_owned()));
        draft.sequences.push(sequence);
        Ok(name)
    }

    fn is_constraint(draft: &Draft, name: &str) -> bool {
        draft.relation.constraints.iter().any(|constraint| constraint.name == name)
    }

    pub(super) fn draft_constraint(
        &mut self,
        draft: &mut Draft,
        constraint: &TableConstraint,
    ) -> Result<(), SqlError> {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = key_columns(&key.columns)?;
                self.draft_key(draft, key.name.as_ref(), primary_key(columns, key)?)
            }
            TableConstraint::Unique(key) => {
                let columns = key_columns(&key.columns)?;
                self.draft_key(draft, key.name.as_ref(), unique_key(columns, key)?)
            }
            TableConstraint::Check(check) => {
                self.draft_check(draft, check.name.as_ref(), check, None)
            }
            TableConstraint::ForeignKey(key) => {
                let columns = key.columns.iter().map(names::fold).collect();
                self.draft_foreign_key(draft, key.name.as_ref(), columns, key)
            }
            TableConstraint::Exclude(_) => Err(SqlError::unsupported("EXCLUDE")),
            other => Err(SqlError::unsupported(format_args!("the constraint {other}"))),
        }
    }

    pub(super) fn draft_key(
        &mut self,
        draft: &mut Draft,
        name: Option<&Ident>,
        mut key: Constraint,
    ) -> Result<(), SqlError> {
        let primary = matches!(key.kind, ConstraintKind::PrimaryKey);
        let is_primary =
            |constraint: &Constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey);
        if primary && draft.relation.constraints.iter().any(is_primary) {
            return Err(SqlError::new(
                SqlState("42P16"),
                format!(
                    "multiple primary keys for table \"{}\" are not allowed",
                    draft.relation.name
                ),
            ));
        }
        for column in key.columns.iter().chain(&key.included) {
            let attribute = draft
                .relation
                .attributes
                .iter_mut()
                .find(|attribute| attribute.name == *column)
                .ok_or_else(|| missing_key_column(column))?;
            attribute.not_null |= primary && key.columns.contains(column);
        }
        key.name = match name {
            Some(name) => names::fold(name),
            None => {
                let schema = self.context.catalog.split_name(&draft.relation.name).0;
                let taken = |name: &str| {
                    self.is_taken(&self.context.catalog.stored_name(schema, name))
                        || Self::is_constraint(draft, name)
                };
                let held: Vec<&str> =
                    key.columns.iter().chain(&key.included).map(String::as_str).collect();
                let (columns, suffix) =
                    if primary { (String::new(), "pkey") } else { (held.join("_"), "key") };
                chosen_name(
                    self.context.catalog.bare(&draft.relation.name),
                    &columns,
                    suffix,
                    taken,
                )
            }
        };
        add_constraint(draft, key)
    }

    fn draft_check(
        &mut self,
        draft: &mut Draft,
        name: Option<&Ident>,
        check: &CheckConstraint,
        column: Option<&str>,
    ) -> Result<(), SqlError> {
        let name = match name {
            Some(name) => names::fold(name),
            None => {
                let table = self.context.catalog.bare(&draft.relation.name);
                let only = only_column(&check.expr).unwrap_or_default();
                chosen_name(table, &only, "check", |name| Self::is_constraint(draft, name))
            }
        };
        check_new_constraint(draft, &name)?;
        draft.relation.constraints.push(Constraint {
            oid: Oid(0),
            name,
            kind: ConstraintKind::Check(check.expr.to_string()),
            columns: column.map(str::to_owned).into_iter().collect(),
            deferrable: false,
            deferred: false,
            nulls_equal: false,
            included: Vec::new(),
        });
        Ok(())
    }

    fn draft_foreign_key(
        &mut self,
        draft: &mut Draft,
        name: Option<&Ident>,
        columns: Vec<String>,
        key: &ForeignKeyConstraint,
    ) -> Result<(), SqlError> {
        if key.match_kind == Some(ConstraintReferenceMatchKind::Full) && columns.len() > 1 {
            return Err(SqlError::unsupported("MATCH FULL over several columns"));
        }
        for column in &columns {
            if !draft.relation.attributes.iter().any(|attribute| attribute.name == *column) {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "column \"{column}\" referenced in foreign key constraint does not exist"
                    ),
                ));
            }
        }
        // A temporary table is the first of its name, itself included.
        let (schema, bare) = self.context.catalog.split_name(&draft.relation.name);
        let itself = schema.starts_with("pg_temp")
            && self.qualified(&key.foreign_table)? == (None, bare.to_owned());
        let target = match itself {
            true => draft.relation.name.clone(),
            false => self.stored(&key.foreign_table)?,
        };
        let referenced: &Relation = if target == draft.relation.name {
            &draft.relation
        } else {
            self.target(&key.foreign_table)?
        };
        if target != draft.relation.name {
            self.demand_table(referenced, Rights::REFERENCES);
        }
        let mut target_columns: Vec<String> =
            key.referred_columns.iter().map(names::fold).collect();
        let key_columns_left_out = target_columns.is_empty();
        if key_columns_left_out {
            target_columns = referenced
                .constraints
                .iter()
                .find(|constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey))
                .map(|constraint| constraint.columns.clone())
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("there is no primary key for referenced table \"{target}\""),
                    )
                })?;
        }
        if target != draft.relation.name {
            self.demand_columns(referenced, &target_columns, Rights::REFERENCES);
        }
        if target_columns.len() != columns.len() {
            return Err(SqlError::new(
                SqlState("42830"),
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let mut wanted = target_columns.clone();
        wanted.sort();
        let is_key = |columns: &[String]| {
            let mut columns = columns.to_vec();
            columns.sort();
            columns == wanted
        };
        let keys = || referenced.constraints.iter().filter(|key| is_key(&key.columns));
        let deferrable = keys().find(|key| key.deferrable && key.kind.is_key());
        let is_deferrable =
            |index: &&Index| keys().any(|key| key.name == index.name && key.deferrable);
        let unique = referenced
            .indexes
            .iter()
            .filter(|index| !is_deferrable(index))
            .any(|index| index.unique && index.predicate.is_none() && is_key(&index.columns))
            || keys().any(|key| key.kind.is_key() && !key.deferrable);
        if let (false, Some(key)) = (unique, deferrable) {
            let word = match key.kind {
                ConstraintKind::PrimaryKey if key_columns_left_out => "primary key",
                _ => "unique constraint",
            };
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot use a deferrable {word} for referenced table \"{target}\""),
            ));
        }
        if !unique {
            return Err(SqlError::new(
                SqlState("42830"),
                format!(
                    "there is no unique constraint matching given keys for referenced table \"{target}\""
                ),
            ));
        }
        let name = match name {
            Some(name) => names::fold(name),
            None => {
                let table = self.context.catalog.bare(&draft.relation.name);
                chosen_name(table, &columns.join("_"), "fkey", |name| {
                    Self::is_constraint(draft, name)
                })
            }
        };
        check_new_constraint(draft, &name)?;
        self.check_key_types(&name, (&draft.relation, &columns), (referenced, &target_columns))?;
        let (deferrable, deferred) = deferral(key.characteristics.as_ref())?;
        draft.relation.constraints.push(Constraint {
            oid: Oid(0),
            name,
            kind: ConstraintKind::ForeignKey {
                table: target,
                columns: target_columns,
                on_update: action_letter(key.on_update),
                on_delete: action_letter(key.on_delete),
            },
            columns,
            deferrable,
            deferred,
            nulls_equal: false,
            included: Vec::new(),
        });
        Ok(())
    }

    /// CREATE TABLE for SQLite, from a description, under the name `as_name`.
    pub(super) fn table_sql(
        &mut self,
        relation: &Relation,
        drafted: &[Sequence],
        as_name: &str,
    ) -> Result<String, SqlError> {
        let mut parts = Vec::new();
        for attribute in &relation.attributes {
            let rowid = is_rowid(relation, &attribute.name);
            let mut part = format!(
                "{} {}",
                names::quote(&attribute.name),
                self.sqlite_column_type(self.base_of(type_of(attribute)))
            );
            if rowid {
                let name = relation
                    .constraints
                    .iter()
                    .find(|constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey))
                    .map_or("", |constraint| constraint.name.as_str());
                part.push_str(&format!(" CONSTRAINT {} PRIMARY KEY", names::quote(name)));
            }
            if attribute.not_null || self.is_never_null(attribute.oid) {
                part.push_str(" NOT NULL");
            }
            part.push_str(&self.domain_checks(attribute, relation)?);
            if let Some(text) = &attribute.generated {
                let expression = self.row_expression(text, relation, attribute)?;
                part.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"));
            } else if !rowid
                && (attribute.default.is_some()
                    || attribute.identity.is_some()
                    || self.default_of_type(attribute.oid).is_some())
            {
                let default = match (&attribute.default, attribute.identity) {
                    (None, Some(_)) => {
                        let sequence = self.sequence_of(relation, drafted, &attribute.name);
                        format!("nextval({})", names::quote_literal(&sequence))
                    }
                    _ => self.default_value(attribute, relation)?,
                };
                part.push_str(&format!(" DEFAULT ({default})"));
            }
            parts.push(part);
        }
        for constraint in &relation.constraints {
            let columns = names::quote_all(&constraint.columns);
            let body = match &constraint.kind {
                _ if constraint.has_own_index() => continue,
                ConstraintKind::PrimaryKey => match constraint.columns.as_slice() {
                    [only] if is_rowid(relation, only) => continue,
                    _ => format!("PRIMARY KEY ({columns})"),
                },
                ConstraintKind::Unique => format!("UNIQUE ({columns})"),
                ConstraintKind::Check(text) => {
                    format!("CHECK ({})", self.row_condition(text, relation)?)
                }
                ConstraintKind::ForeignKey { table, columns: targets, on_update, on_delete } => {
                    let mut body = format!(
                        "FOREIGN KEY ({columns}) REFERENCES {} ({})",
                        names::quote(table),
                        names::quote_all(targets)
                    );
                    for (event, letter) in [("UPDATE", on_update), ("DELETE", on_delete)] {
                        if let Some(action) = action_words(*letter) {
                            body.push_str(&format!(" ON {event} {action}"));
                        }
                    }
                    // The engine holds those against it that are not deferred now.
                    if constraint.deferrable {
                        body.push_str(" DEFERRABLE INITIALLY DEFERRED");
                    }
                    body
                }
            };
            parts.push(format!("CONSTRAINT {} {body}", names::quote(&constraint.name)));
        }
        if parts.is_empty() {
            return Err(SqlError::unsupported("a table without columns"));
        }
        Ok(format!("CREATE TABLE {} ({})", names::quote(as_name), parts.join(", ")))
    }

    /// CREATE INDEX for SQLite, for each key that is not declared with the table. Where rows
    /// are there already, a new one is `tried` on them first.
    pub(super) fn key_indexes(&self, relation: &Relation, tried: bool) -> Vec<String> {
        let keys = relation.constraints.iter().filter(|key| key.has_own_index());
        keys.flat_map(|key| self.key_index(relation, key, tried && key.oid.0 == 0)).collect()
    }

    pub(super) fn key_index(&self, table: &Relation, key: &Constraint, tried: bool) -> Vec<String> {
        let catalog = self.context.catalog;
        let schema = catalog.split_name(&table.name).0;
        let name = names::quote(&catalog.stored_name(schema, &key.name));
        let on = |terms: &str| format!("INDEX {name} ON {} ({terms})", names::quote(&table.name));
        let terms = match key.nulls_equal {
            true => self.terms_with_nulls(table, &key.columns).join(", "),
            false => names::quote_all(&key.columns),
        };
        let unique = format!("CREATE UNIQUE {}", on(&terms));
        // SQLite holds no row against it: the engine does.
        let plain = format!("CREATE {}", on(&names::quote_all(&key.columns)));
        match (key.deferrable, tried) {
            (false, _) => vec![unique],
            (true, true) => vec![unique, format!("DROP INDEX {name}"), plain],
            (true, false) => vec![plain],
        }
    }

    /// A table's columns as terms of an index to which one NULL is like another.
    pub(in crate::sql::translate) fn terms_with_nulls(
        &self,
        table: &Relation,
        columns: &[String],
    ) -> Vec<String> {
        let terms = |column: &String| {
            let name = names::quote(column);
            match table.attribute(column) {
                Some(attribute) if !attribute.not_null => {
                    self.null_terms(&name, self.collation(type_of(attribute)).as_deref())
                }
                _ => vec![name],
            }
        };
        columns.iter().flat_map(terms).collect()
    }

    /// One NULL is like another to these, and like no value.
    pub(super) fn null_terms(&self, sql: &str, collation: Option<&str>) -> Vec<String> {
        let collate = collation.map_or(String::new(), |name| format!(" COLLATE {name}"));
        vec![format!("{sql} IS NULL"), format!("ifnull({sql}, 0){collate}")]
    }

    /// The name of the sequence behind an identity column: it may not exist yet.
    pub(super) fn sequence_of(
        &self,
        relation: &Relation,
        drafted: &[Sequence],
        column: &str,
    ) -> String {
        let known = self.context.catalog.sequences.values();
        drafted
            .iter()
            .chain(known)
            .find(|sequence| {
                sequence
                    .owner
                    .as_ref()
                    .is_some_and(|(table, owned)| *table == relation.name && owned == column)
            })
            .map_or_else(
                || self.chosen_beside(&relation.name, column, "seq", |name| self.is_taken(name)),
                |sequence| sequence.name.clone(),
            )
    }

    /// An expression over a table's own row.
    pub(super) fn row_expression(
        &mut self,
        text: &str,
        relation: &Relation,
        attribute: &Attribute,
    ) -> Result<String, SqlError> {
        let place = Place::Clause("column generation expressions");
        let typed = self.standing(place, |this| this.over_row(text, relation))?;
        let ty = type_of(attribute);
        Ok(self.assign(typed, ty, &attribute.name)?.sql)
    }

    pub(in crate::sql::translate) fn row_condition(
        &mut self,
        text: &str,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        let place = Place::Clause("check constraints");
        let typed = self.standing(place, |this| this.over_row(text, relation))?;
        Ok(self.boolean(typed, "CHECK")?.sql)
    }

    pub(super) fn over_row(
        &mut self,
        text: &str,
        relation: &Relation,
    ) -> Result<crate::sql::translate::Typed, SqlError> {
        let expr = crate::sql::translate::syntax::parse_expression(text)?;
        let catalog = self.context.catalog;
        let mut source = target_source(catalog, relation, catalog.bare(&relation.name));
        for column in &mut source.columns {
            // The table's name changes while it is rebuilt.
            column.sql = Some(names::quote(&column.name));
        }
        let outer = std::mem::replace(
            &mut self.scopes,
            vec![Scope { sources: vec![source], ..Scope::default() }],
        );
        let before = std::mem::replace(&mut self.expression_only, true);
        let typed = self.while_defining(|this| this.expression(&expr));
        (self.scopes, self.expression_only) = (outer, before);
        typed
    }

    /// CREATE TABLE … AS: the types are those of the query.
    /// With a definition it is a materialized view.
    pub(super) fn create_table_as(
        &mut self,
        name: &str,
        columns: &[String],
        query: &Query,
        definition: Option<String>,
    ) -> Result<Translated, SqlError> {
        let selected =
            self.query(query, Wish { inner: true, names: Some(columns), ..Wish::default() })?;
        let mut attributes: Vec<Attribute> = Vec::with_capacity(selected.columns.len());
        for column in &selected.columns {
            let oid = if types::is_unknown(column.ty.oid) { Oid::TEXT } else { column.ty.oid };
            self.check_storable(column.ty, &column.name)?;
            check_column_name(&column.name)?;
            if attributes.iter().any(|other| other.name == column.name) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", column.name),
                ));
            }
            attributes.push(Attribute {
                name: column.name.clone(),
                oid,
                typmod: column.ty.typmod,
                not_null: false,
                default: None,
                identity: None,
                generated: None,
            });
        }
        let draft = Draft {
            relation: Relation {
                oid: Oid(0),
                name: name.to_owned(),
                kind: match definition {
                    None => RelationKind::Table,
                    Some(_) => RelationKind::MaterializedView,
                },
                populated: !self.clauses.no_data,
                triggers_off: false,
                attributes,
                constraints: Vec::new(),
                indexes: Vec::new(),
                definition,
                check_option: None,
            },
            sequences: Vec::new(),
        };
        let mut statements = self.schema_for(name);
        statements.push(self.table_sql(&draft.relation, &[], name)?);
        statements.extend(described(&draft));
        if self.clauses.no_data {
            let tag = if draft.relation.kind == RelationKind::Table {
                "CREATE TABLE AS"
            } else {
                "CREATE MATERIALIZED VIEW"
            };
            let kind = Kind::Ddl { rebuild: false };
            return Ok(translated(kind, Tag::Fixed(tag), Vec::new(), statements));
        }
        statements.push(format!("INSERT INTO {} {}", names::quote(name), selected.sql));
        Ok(translated(Kind::Ddl { rebuild: false }, Tag::SelectInto, Vec::new(), statements))
    }

    /// SELECT … INTO is CREATE TABLE AS.
    pub(in crate::sql::translate) fn select_into(
        &mut self,
        query: &Query,
        select: &Select,
        into: &SelectInto,
    ) -> Result<Translated, SqlError> {
        let name = match into.targets.as_slice() {
            [Expr::Identifier(ident)] => names::fold(ident),
            _ => return Err(SqlError::unsupported("SELECT INTO a qualified name")),
        };
        let name = self.new_name_of(&vec![Ident::with_quote('"', name)].into(), into.temporary)?;
        self.check_free(&name)?;
        let mut plain = query.clone();
        *plain.body = SetExpr::Select(Box::new(Select { into: None, ..select.clone() }));
        self.create_table_as(&name, &[], &plain, None)
    }
}

/// The column that a condition reads, if that is one: it names the constraint.
fn only_column(condition: &Expr) -> Option<String> {
    let mut only = None;
    let read = visit_expressions(condition, |part: &Expr| {
        let name = match part {
            Expr::Identifier(ident) => names::fold(ident),
            Expr::CompoundIdentifier(parts) => parts.last().map(names::fold).unwrap_or_default(),
            _ => return ControlFlow::Continue(()),
        };
        match only.get_or_insert_with(|| name.clone()) {
            known if *known == name => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    });
    only.filter(|_| read.is_continue())
}

/// The catalog's rows for a new table.
pub(super) fn described(draft: &Draft) -> Vec<String> {
    let relation = &draft.relation;
    let mut oids = Oids::default();
    let mut statements = vec![rows::relation(
        &oids.allot(),
        &relation.name,
        relation.stored_kind(),
        relation.definition.as_deref(),
    )];
    let oid = rows::oid_of(&relation.name);
    statements.extend(rows::attributes(&oid, &relation.attributes));
    for constraint in &relation.constraints {
        statements.push(rows::constraint(&oid, constraint, &mut oids));
    }
    for sequence in &draft.sequences {
        statements.push(rows::sequence(sequence, &mut oids));
    }
    statements.extend(oids.taken());
    statements
}

pub(super) fn add_constraint(draft: &mut Draft, constraint: Constraint) -> Result<(), SqlError> {
    check_new_constraint(draft, &constraint.name)?;
    draft.relation.constraints.push(constraint);
    Ok(())
}

fn check_new_constraint(draft: &Draft, name: &str) -> Result<(), SqlError> {
    if draft.relation.constraints.iter().any(|constraint| constraint.name == name) {
        return Err(SqlError::new(
            SqlState::DUPLICATE_OBJECT,
            format!(
                "constraint \"{name}\" for relation \"{}\" already exists",
                draft.relation.name
            ),
        ));
    }
    Ok(())
}

fn missing_key_column(column: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" named in key does not exist"),
    )
}

pub(super) fn is_serial(data_type: &DataType) -> bool {
    match data_type {
        DataType::Custom(name, _) => names::last(name).is_some_and(|name| {
            matches!(
                name.as_str(),
                "serial" | "serial2" | "serial4" | "serial8" | "bigserial" | "smallserial"
            )
        }),
        _ => false,
    }
}

/// A default as the catalog keeps it; DEFAULT NULL is none.
pub(super) fn default_text(expr: &Expr) -> Result<Option<String>, SqlError> {
    if calls_aggregate(expr) {
        let message = "aggregate functions are not allowed in DEFAULT expressions";
        return Err(SqlError::new(SqlState("42803"), message));
    }
    Ok(match expr {
        Expr::Value(value) if value.value == Value::Null => None,
        expr => Some(drawn(expr).unwrap_or_else(|| expr.to_string())),
    })
}

/// `nextval('name')` as PostgreSQL spells it, with its argument's type.
fn drawn(expr: &Expr) -> Option<String> {
    let Expr::Function(call) = expr else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else {
        return None;
    };
    let argument = match argument {
        Expr::Cast { expr, data_type: DataType::Regclass, .. } => expr,
        argument => argument,
    };
    let Expr::Value(value) = argument else { return None };
    let name = value.value.clone().into_string()?;
    (names::last(&call.name)? == "nextval")
        .then(|| format!("nextval({}::regclass)", names::quote_literal(&name)))
}

pub(super) fn key_columns(columns: &[IndexColumn]) -> Result<Vec<String>, SqlError> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            Expr::Identifier(ident) => Ok(names::fold(ident)),
            other => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )),
        })
        .collect()
}

/// A key that is still without a name.
fn primary_key(columns: Vec<String>, key: &PrimaryKeyConstraint) -> Result<Constraint, SqlError> {
    let (deferrable, deferred) = deferral(key.characteristics.as_ref())?;
    Ok(Constraint {
        oid: Oid(0),
        name: String::new(),
        kind: ConstraintKind::PrimaryKey,
        columns,
        deferrable,
        deferred,
        nulls_equal: false,
        included: key.include.iter().map(names::fold).collect(),
    })
}

fn unique_key(columns: Vec<String>, key: &UniqueConstraint) -> Result<Constraint, SqlError> {
    let (deferrable, deferred) = deferral(key.characteristics.as_ref())?;
    Ok(Constraint {
        oid: Oid(0),
        name: String::new(),
        kind: ConstraintKind::Unique,
        columns,
        deferrable,
        deferred,
        nulls_equal: matches!(key.nulls_distinct, NullsDistinctOption::NotDistinct),
        included: key.include.iter().map(names::fold).collect(),
    })
}

/// Whether a constraint is deferrable, and deferred at first.
pub(super) fn deferral(
    characteristics: Option<&ConstraintCharacteristics>,
) -> Result<(bool, bool), SqlError> {
    let Some(characteristics) = characteristics else { return Ok((false, false)) };
    let deferred = matches!(characteristics.initially, Some(DeferrableInitial::Deferred));
    let deferrable = characteristics.deferrable.unwrap_or(deferred);
    if deferred && !deferrable {
        return Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
        ));
    }
    Ok((deferrable, deferred))
}

fn action_letter(action: Option<ReferentialAction>) -> char {
    match action {
        None | Some(ReferentialAction::NoAction) => 'a',
        Some(ReferentialAction::Restrict) => 'r',
        Some(ReferentialAction::Cascade) => 'c',
        Some(ReferentialAction::SetNull) => 'n',
        Some(ReferentialAction::SetDefault) => 'd',
    }
}

fn action_words(letter: char) -> Option<&'static str> {
    match letter {
        'r' => Some("RESTRICT"),
        'c' => Some("CASCADE"),
        'n' => Some("SET NULL"),
        'd' => Some("SET DEFAULT"),
        _ => None,
    }
}
