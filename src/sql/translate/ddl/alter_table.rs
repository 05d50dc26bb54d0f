//! ALTER TABLE: each action changes the table's description; then either SQLite's own
//! ALTER TABLE does it, or the table is rebuilt once for all of them.

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, ConstraintUsingIndex,
    DropBehavior, Expr, GeneratedAs, Ident, TableConstraint, VisitMut, VisitorMut,
};

use super::column::check_column_name;
use super::create_table::{Draft, default_text, deferral};
use super::identity::identity_change;
use super::nothing;
use super::rebuild::{Fill, redescribed};
use super::rename::redefinitions;
use super::rows::{self, Oids};
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Constraint, ConstraintKind, Identity, Object, Relation, RelationKind, Sequence,
    class_of, constraint_object, split_order,
};
use crate::sql::translate::access::superuser;
use crate::sql::translate::returning::type_of;
use crate::sql::translate::returning::undefined_column;
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, Translated};
use crate::sql::types;

/// What a column shall have that an identity or an expression may fill.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Asked {
    Nulls,
    Default,
    NoDefault,
}

/// A table on its way from what it was to what it shall be.
pub(super) struct Change {
    pub(super) draft: Draft,
    fills: Vec<Fill>,
    rebuild: bool,
    /// Statements of SQLite's own ALTER TABLE.
    native: Vec<String>,
    /// What runs before: queries that fail where rows are in the way, changes of sequences.
    pub(super) before: Vec<String>,
    /// Columns whose sequences are gone, mostly with them.
    pub(super) dropped: Vec<String>,
    /// Views that go with columns that they read.
    gone: Vec<String>,
    /// Where the columns stood that go.
    removed: Vec<usize>,
}

impl Change {
    /// Whether the rows keep what they have in the column that a sequence is for.
    fn keeps(&self, sequence: &Sequence) -> bool {
        let column = sequence.owner.as_ref().map(|(_, column)| column);
        let mut fills = self.draft.relation.attributes.iter().zip(&self.fills);
        fills.any(|(attribute, fill)| {
            Some(&attribute.name) == column && matches!(fill, Fill::Old(_))
        })
    }
}

impl Translator<'_> {
    pub(super) fn alter_table(&mut self, alter: &AlterTable) -> Result<Translated, SqlError> {
        let relation = match self.target(&alter.name) {
            Ok(relation) => relation,
            Err(error) => {
                let name = self.stored(&alter.name).unwrap_or_default();
                if alter.if_exists {
                    self.skipped(
                        SqlState::SUCCESSFUL_COMPLETION,
                        format_args!("relation \"{name}\" does not exist"),
                    );
                    return Ok(nothing("ALTER TABLE"));
                }
                let is_sequence = self.context.catalog.sequences.contains_key(&name);
                return match (is_sequence, self.find_index(&name), alter.operations.as_slice()) {
                    (false, None, _) => Err(error),
                    (_, _, [AlterTableOperation::RenameTable { table_name }]) => {
                        let kind = if is_sequence { "SEQUENCE" } else { "INDEX" };
                        self.rename_otherwise(kind, &alter.name, table_name)
                    }
                    (.., operations) if operations.iter().all(is_of_storage) => {
                        Ok(nothing("ALTER TABLE"))
                    }
                    (.., operations) => {
                        let (kind, name) =
                            (if is_sequence { "sequences" } else { "indexes" }, self.shown(&name));
                        let action = operations.first().map(ToString::to_string);
                        let action = action.unwrap_or_default();
                        let message =
                            format!("{action} cannot be performed on relation \"{name}\"");
                        Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
                            .with_detail(format!("This operation is not supported for {kind}.")))
                    }
                };
            }
        };
        self.demand_owner_of(relation);
        match alter.operations.as_slice() {
            [AlterTableOperation::RenameTable { table_name }] => {
                return self.rename_relation(relation, table_name);
            }
            [AlterTableOperation::RenameColumn { old_column_name, new_column_name }]
                if relation.kind != RelationKind::Table =>
            {
                let (old, new) = (names::fold(old_column_name), names::fold(new_column_name));
                return self.rename_view_column(relation, &old, &new);
            }
            [first, ..] if relation.kind != RelationKind::Table => {
                let what = relation.kind.word();
                return Err(SqlError::unsupported(format_args!("{first} of a {what}")));
            }
            _ => {}
        }
        let mut change = Change {
            draft: Draft { relation: relation.clone(), sequences: Vec::new() },
            fills: relation
                .attributes
                .iter()
                .map(|attribute| Fill::Old(attribute.name.clone()))
                .collect(),
            rebuild: false,
            native: Vec::new(),
            before: Vec::new(),
            dropped: Vec::new(),
            gone: Vec::new(),
            removed: Vec::new(),
        };
        for operation in &alter.operations {
            self.apply(&mut change, operation, relation)?;
        }
        let changed = change.rebuild || !(change.native.is_empty() && change.before.is_empty());
        if !changed {
            return Ok(nothing("ALTER TABLE"));
        }
        let mut oids = Oids::default();
        let mut statements = std::mem::take(&mut change.before);
        let dropped = change.dropped.iter();
        statements.extend(dropped.map(|column| rows::forget_owned(&relation.name, column)));
        if change.rebuild {
            statements.extend(self.rebuild(
                relation,
                &change.draft,
                &change.fills,
                &change.gone,
            )?);
        } else {
            statements.extend(std::mem::take(&mut change.native));
        }
        statements.extend(redescribed(&change.draft.relation, &mut oids));
        if !change.removed.is_empty() {
            statements.extend(redefinitions(&self.without_columns(relation, &change.removed)));
        }
        for sequence in &change.draft.sequences {
            statements.push(rows::sequence(sequence, &mut oids));
            if !change.keeps(sequence) {
                statements.push(rows::drawn_for_all(sequence, &change.draft.relation.name));
            }
        }
        statements.extend(oids.taken());
        Ok(translated(
            Kind::Ddl { rebuild: change.rebuild },
            Tag::Fixed("ALTER TABLE"),
            Vec::new(),
            statements,
        ))
    }

    fn apply(
        &mut self,
        change: &mut Change,
        operation: &AlterTableOperation,
        old: &Relation,
    ) -> Result<(), SqlError> {
        match operation {
            AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                self.add_column(change, column_def, *if_not_exists, old)
            }
            AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                for column in column_names {
                    let cascade = matches!(drop_behavior, Some(DropBehavior::Cascade));
                    self.drop_column(change, &names::fold(column), *if_exists, cascade)?;
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => self
                .rename_column(
                    change,
                    &names::fold(old_column_name),
                    &names::fold(new_column_name),
                ),
            AlterTableOperation::AddConstraint {
                constraint:
                    constraint @ (TableConstraint::UniqueUsingIndex(using)
                    | TableConstraint::PrimaryKeyUsingIndex(using)),
                ..
            } => {
                let primary = matches!(constraint, TableConstraint::PrimaryKeyUsingIndex(_));
                self.key_of_index(change, using, primary, old)
            }
            AlterTableOperation::AddConstraint { constraint, .. } => {
                self.draft_constraint(&mut change.draft, constraint)?;
                self.check_constraint(change, old)
            }
            AlterTableOperation::DropConstraint { if_exists, name, drop_behavior } => {
                let name = names::fold(name);
                let key = old.constraints.iter().find(|constraint| constraint.name == name);
                if let Some(key) = key {
                    let path = self.path();
                    let dropped = constraint_object(key.oid);
                    let found = self.context.catalog.dependents(&[dropped], &path);
                    if *drop_behavior == Some(DropBehavior::Cascade) && !found.is_empty() {
                        let text = "DROP CONSTRAINT CASCADE of a referenced key";
                        return Err(SqlError::unsupported(text));
                    }
                    self.cascade_to(self.context.catalog.described(dropped, &path), found, false)?;
                }
                let relation = &mut change.draft.relation;
                let before = relation.constraints.len();
                relation.constraints.retain(|constraint| constraint.name != name);
                relation.indexes.retain(|index| index.name != name);
                if relation.constraints.len() == before {
                    if *if_exists {
                        let table = relation.name.clone();
                        self.skipped(
                            SqlState::SUCCESSFUL_COMPLETION,
                            format_args!(
                                "constraint \"{name}\" of relation \"{table}\" does not exist"
                            ),
                        );
                        return Ok(());
                    }
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "constraint \"{name}\" of relation \"{}\" does not exist",
                            relation.name
                        ),
                    ));
                }
                change.rebuild = true;
                Ok(())
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                let (old_name, new_name) = (names::fold(old_name), names::fold(new_name));
                let relation = &mut change.draft.relation;
                let constraint = relation
                    .constraints
                    .iter_mut()
                    .find(|constraint| constraint.name == old_name)
                    .ok_or_else(|| {
                        SqlError::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!(
                                "constraint \"{old_name}\" for table \"{}\" does not exist",
                                relation.name
                            ),
                        )
                    })?;
                constraint.name.clone_from(&new_name);
                relation.indexes.retain(|index| index.name != old_name);
                change.rebuild = true;
                Ok(())
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(change, column_name, op, old)
            }
            AlterTableOperation::OwnerTo { .. } => {
                Err(SqlError::unsupported("OWNER TO beside other actions"))
            }
            AlterTableOperation::DisableTrigger { name } => {
                self.switch_triggers(change, &names::fold(name), true)
            }
            AlterTableOperation::EnableTrigger { name } => {
                self.switch_triggers(change, &names::fold(name), false)
            }
            // How PostgreSQL stores it makes no difference here.
            operation if is_of_storage(operation) => Ok(()),
            // Rows were held against it when it was added, NOT VALID or not.
            AlterTableOperation::ValidateConstraint { name } => {
                let name = names::fold(name);
                let relation = &change.draft.relation;
                if relation.constraints.iter().any(|constraint| constraint.name == name) {
                    return Ok(());
                }
                Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{name}\" of relation \"{}\" does not exist",
                        relation.name
                    ),
                ))
            }
            other => Err(SqlError::unsupported(format_args!("ALTER TABLE … {other}"))),
        }
    }

    /// DISABLE TRIGGER and ENABLE TRIGGER. The only triggers are those of foreign keys.
    fn switch_triggers(
        &mut self,
        change: &mut Change,
        which: &str,
        off: bool,
    ) -> Result<(), SqlError> {
        let relation = &mut change.draft.relation;
        match which {
            "user" => return Ok(()),
            "all" => {}
            name => {
                let table = self.shown(&relation.name);
                let text = format!("trigger \"{name}\" for table \"{table}\" does not exist");
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, text));
            }
        }
        if !self.has_key_triggers(relation) || relation.triggers_off == off {
            return Ok(());
        }
        relation.triggers_off = off;
        let stored = rows::stored_kind(relation);
        self.demand(superuser("permission denied: foreign keys are held by system triggers"));
        change.before.push(stored);
        Ok(())
    }

    /// Whether a table has foreign keys, or other tables have some to it.
    fn has_key_triggers(&self, table: &Relation) -> bool {
        let mut constraints = self.context.catalog.relations.values().flat_map(|relation| {
            relation.constraints.iter().map(move |constraint| (relation, constraint))
        });
        constraints.any(|(relation, constraint)| match &constraint.kind {
            ConstraintKind::ForeignKey { table: target, .. } => {
                relation.name == table.name || *target == table.name
            }
            _ => false,
        })
    }

    fn add_column(
        &mut self,
        change: &mut Change,
        column: &ColumnDef,
        if_not_exists: bool,
        old: &Relation,
    ) -> Result<(), SqlError> {
        let name = names::fold(&column.name);
        let relation = &change.draft.relation;
        if relation.attributes.iter().any(|attribute| attribute.name == name) {
            if if_not_exists {
                let table = relation.name.clone();
                self.skipped(
                    SqlState::DUPLICATE_COLUMN,
                    format_args!("column \"{name}\" of relation \"{table}\" already exists"),
                );
                return Ok(());
            }
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" of relation \"{}\" already exists", relation.name),
            ));
        }
        let constraints = change.draft.relation.constraints.len();
        self.draft_column(&mut change.draft, column)?;
        let relation = change.draft.relation.clone();
        let Some(attribute) = relation.attributes.last() else { return Ok(()) };
        // A generated column fills itself; the fill of the others is their default.
        let sequence = change
            .draft
            .sequences
            .iter()
            .find(|sequence| sequence.owner.as_ref().is_some_and(|(_, owned)| *owned == name));
        let fill = match sequence {
            // Its sequence is not there yet: the values that it would give.
            Some(sequence) => {
                format!("{} + {} * (row_number() OVER () - 1)", sequence.start, sequence.increment)
            }
            None => self.default_value(attribute, &relation)?,
        };
        if attribute.not_null && fill == "NULL" && attribute.generated.is_none() {
            change.before.push(self.refuse_rows(old, &name));
        }
        let constant = fill == "NULL" || is_constant(&fill);
        let plain = constraints == relation.constraints.len()
            && attribute.generated.is_none()
            && self.context.catalog.user_type(attribute.oid).is_none()
            && constant
            && !(attribute.not_null && fill == "NULL")
            && !change.rebuild;
        if plain {
            let mut sql = format!(
                "ALTER TABLE {} ADD COLUMN {} {}",
                names::quote(&relation.name),
                names::quote(&name),
                self.sqlite_column_type(type_of(attribute))
            );
            if attribute.not_null {
                sql.push_str(" NOT NULL");
            }
            if fill != "NULL" {
                sql.push_str(&format!(" DEFAULT {fill}"));
            }
            change.native.push(sql);
        } else {
            change.rebuild = true;
        }
        change.fills.push(Fill::Expression(fill));
        Ok(())
    }

    /// Foreign keys that refer to a column, and don't go with it as its own.
    fn keys_referring(&self, table: &str, column: &str) -> Vec<Object> {
        let referring = self.referencing(table).into_iter().filter(|(other, constraint)| {
            let names = |columns: &[String]| columns.iter().any(|name| name == column);
            let own = other.name == table && names(&constraint.columns);
            !own && matches!(&constraint.kind, ConstraintKind::ForeignKey { columns, .. }
                if names(columns))
        });
        referring.map(|(_, constraint)| constraint_object(constraint.oid)).collect()
    }

    /// What depends on a column, as messages tell it: keys, views, and what depends on those.
    fn dependents_of_column(
        &self,
        what: &str,
        keys: Vec<Object>,
        views: &[Relation],
    ) -> Vec<(String, String)> {
        let (catalog, path) = (self.context.catalog, self.path());
        let mut direct = keys;
        direct.extend(views.iter().map(|view| class_of(view.oid)));
        direct.sort_by_key(|(_, oid, _)| *oid);
        let mut told: Vec<(String, String)> = Vec::new();
        for object in direct {
            let itself = catalog.described(object, &path).map(|shown| (shown, what.to_owned()));
            for dependent in itself.into_iter().chain(catalog.dependents(&[object], &path)) {
                if told.iter().all(|(known, _)| *known != dependent.0) {
                    told.push(dependent);
                }
            }
        }
        told
    }

    fn drop_column(
        &mut self,
        change: &mut Change,
        column: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), SqlError> {
        let relation = &mut change.draft.relation;
        let Some(at) = relation.attributes.iter().position(|attribute| attribute.name == column)
        else {
            if if_exists {
                let table = relation.name.clone();
                self.skipped(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format_args!("column \"{column}\" of relation \"{table}\" does not exist"),
                );
                return Ok(());
            }
            return Err(undefined_column(relation, column));
        };
        let table = relation.name.clone();
        let mut reading = self.views_reading(&table, column);
        let keys = self.keys_referring(&table, column);
        let referenced = !keys.is_empty();
        let what = format!("column {column} of table {}", self.shown(&table));
        let dependents = self.dependents_of_column(&what, keys, &reading);
        self.cascade_to(Some(what), dependents, cascade)?;
        if referenced {
            return Err(SqlError::unsupported("DROP COLUMN CASCADE of a referenced column"));
        }
        reading.retain(|view| !change.gone.contains(&view.name));
        let doomed: Vec<&Relation> = reading.iter().collect();
        change.before.extend(self.drop_views_with(&doomed, &mut change.gone));
        change.before.extend(rows::forget_said(&table, at + 1));
        let stood = self.context.catalog.relations.get(&table).and_then(|old| old.number(column));
        change.removed.extend(stood.and_then(|number| usize::try_from(number - 1).ok()));
        let relation = &mut change.draft.relation;
        let mentions = |text: &String| {
            syntax::parse_expression(text).is_ok_and(|expr| mentions_column(&expr, column))
        };
        relation.constraints.retain(|constraint| match &constraint.kind {
            ConstraintKind::Check(text) => !mentions(text),
            _ => !constraint.columns.iter().chain(&constraint.included).any(|name| name == column),
        });
        relation.indexes.retain(|index| {
            !index.columns.iter().any(|name| {
                let (name, _) = split_order(name);
                name == column || (name.starts_with('(') && mentions(&name.to_owned()))
            }) && !index.predicate.as_ref().is_some_and(mentions)
                && !index.included.iter().any(|name| name == column)
        });
        relation.attributes.remove(at);
        change.fills.remove(at);
        change.dropped.push(column.to_owned());
        change.rebuild = true;
        Ok(())
    }

    fn rename_column(&mut self, change: &mut Change, old: &str, new: &str) -> Result<(), SqlError> {
        check_column_name(new)?;
        let relation = &mut change.draft.relation;
        if relation.attributes.iter().any(|attribute| attribute.name == new) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{new}\" of relation \"{}\" already exists", relation.name),
            ));
        }
        let table = relation.name.clone();
        let Some(attribute) =
            relation.attributes.iter_mut().find(|attribute| attribute.name == old)
        else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{old}\" does not exist"),
            ));
        };
        new.clone_into(&mut attribute.name);
        let renamed = |text: &mut String| {
            if let Ok(mut expr) = syntax::parse_expression(text) {
                rename_in(&mut expr, old, new);
                *text = expr.to_string();
            }
        };
        let rename = |names: &mut Vec<String>| {
            for name in names.iter_mut().filter(|name| *name == old) {
                new.clone_into(name);
            }
        };
        for constraint in &mut relation.constraints {
            rename(&mut constraint.columns);
            rename(&mut constraint.included);
            match &mut constraint.kind {
                ConstraintKind::Check(text) => renamed(text),
                ConstraintKind::ForeignKey { table: target, columns, .. } if *target == table => {
                    rename(columns);
                }
                _ => {}
            }
        }
        for index in &mut relation.indexes {
            rename(&mut index.included);
            for column in &mut index.columns {
                let (name, order) = split_order(column);
                if name == old {
                    *column = format!("{new}{order}");
                } else if name.starts_with('(') {
                    let mut text = name.to_owned();
                    renamed(&mut text);
                    *column = format!("{text}{order}");
                }
            }
            if let Some(predicate) = &mut index.predicate {
                renamed(predicate);
            }
        }
        for attribute in &mut relation.attributes {
            if let Some(text) = &mut attribute.generated {
                renamed(text);
            }
        }
        change.native.push(format!(
            "ALTER TABLE {} RENAME COLUMN {} TO {}",
            names::quote(&table),
            names::quote(old),
            names::quote(new)
        ));
        // What others say of it.
        if let Some(before) = self.context.catalog.relations.get(&table) {
            change.native.extend(redefinitions(&self.redefined(before, &table, Some(old))));
        }
        change.native.push(format!(
            "UPDATE towline_sequence SET owner_column = {} WHERE owner_table = {} AND owner_column = {}",
            names::quote_literal(new),
            names::quote_literal(&table),
            names::quote_literal(old)
        ));
        change.native.push(format!(
            "UPDATE towline_constraint SET target_columns = (SELECT json_group_array(CASE WHEN value = \
             {old} THEN {new} ELSE value END) FROM json_each(target_columns)) WHERE target = {table}",
            old = names::quote_literal(old),
            new = names::quote_literal(new),
            table = names::quote_literal(&table)
        ));
        if change.rebuild {
            return Err(SqlError::unsupported("RENAME COLUMN together with other actions"));
        }
        Ok(())
    }

    /// What an added constraint needs: an index, or a rebuild.
    fn check_constraint(&mut self, change: &mut Change, old: &Relation) -> Result<(), SqlError> {
        let relation = change.draft.relation.clone();
        let Some(added) = relation.constraints.last() else { return Ok(()) };
        // What another action makes of the columns is not there yet.
        if !change.rebuild {
            change.before.extend(self.refused_by(old, added)?);
        }
        match added.kind {
            ConstraintKind::Unique if !change.rebuild => {
                change.native.extend(self.key_index(&relation, added, true));
            }
            _ => change.rebuild = true,
        }
        Ok(())
    }

    /// ADD … USING INDEX: the index becomes a key's.
    fn key_of_index(
        &mut self,
        change: &mut Change,
        using: &ConstraintUsingIndex,
        primary: bool,
        old: &Relation,
    ) -> Result<(), SqlError> {
        let given = names::fold(&using.index_name);
        let catalog = self.context.catalog;
        let stored = catalog.stored_name(catalog.split_name(&old.name).0, &given);
        let index = old.indexes.iter().find(|index| index.name == stored).ok_or_else(|| {
            let text = format!("index \"{given}\" does not exist");
            SqlError::new(SqlState::UNDEFINED_OBJECT, text)
        })?;
        let unfit = |what: String| {
            let detail = "Cannot create a primary key or unique constraint using such an index.";
            Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, what).with_detail(detail))
        };
        let mut columns = index.columns.iter();
        if old.constraints.iter().any(|constraint| constraint.name == given) {
            let text = format!("index \"{given}\" is already associated with a constraint");
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        } else if !index.unique {
            return unfit(format!("\"{given}\" is not a unique index"));
        } else if columns.any(|column| column.starts_with('(')) {
            return unfit(format!("index \"{given}\" contains expressions"));
        } else if index.predicate.is_some() {
            return unfit(format!("\"{given}\" is a partial index"));
        } else if let Some(at) = index.columns.iter().position(|it| !split_order(it).1.is_empty()) {
            let text = format!(
                "index \"{given}\" column number {} does not have default sorting behavior",
                at + 1
            );
            return unfit(text);
        }
        let (deferrable, deferred) = deferral(using.characteristics.as_ref())?;
        let name = using.name.clone().unwrap_or_else(|| Ident::with_quote('"', &given));
        if names::fold(&name) != given {
            let text = format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{given}\" to \"{}\"",
                names::fold(&name)
            );
            let notice = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, text);
            self.notices.push(SqlError { severity: Severity::Notice, ..notice });
        }
        let key = Constraint {
            oid: Oid(0),
            name: String::new(),
            kind: if primary { ConstraintKind::PrimaryKey } else { ConstraintKind::Unique },
            columns: index.columns.clone(),
            deferrable,
            deferred,
            nulls_equal: index.nulls_equal,
            included: index.included.clone(),
        };
        change.draft.relation.indexes.retain(|other| other.name != index.name);
        change.native.push(format!("DROP INDEX {}", names::quote(&index.name)));
        self.draft_key(&mut change.draft, Some(&name), key)?;
        self.check_constraint(change, old)
    }

    fn alter_column(
        &mut self,
        change: &mut Change,
        column: &Ident,
        operation: &AlterColumnOperation,
        old: &Relation,
    ) -> Result<(), SqlError> {
        let name = names::fold(column);
        let table = change.draft.relation.name.clone();
        let Some(at) =
            change.draft.relation.attributes.iter().position(|attribute| attribute.name == name)
        else {
            return Err(undefined_column(&change.draft.relation, &name));
        };
        if let AlterColumnOperation::SetDefault { value } = operation
            && let Some(said) = identity_change(value)
        {
            return self.change_identity(change, at, &said);
        }
        change.rebuild = true;
        match operation {
            AlterColumnOperation::SetNotNull => {
                if let Fill::Old(column) = &change.fills[at] {
                    change.before.push(self.refuse_null(old, column, "relation"));
                }
                change.draft.relation.attributes[at].not_null = true;
            }
            AlterColumnOperation::DropNotNull => {
                let primary = change.draft.relation.constraints.iter().any(|constraint| {
                    matches!(constraint.kind, ConstraintKind::PrimaryKey)
                        && constraint.columns.contains(&name)
                });
                if primary {
                    return Err(SqlError::new(
                        SqlState("42P16"),
                        format!("column \"{name}\" is in a primary key"),
                    ));
                }
                self.refuse_filled(&change.draft.relation, at, Asked::Nulls)?;
                change.draft.relation.attributes[at].not_null = false;
            }
            AlterColumnOperation::SetDefault { value } => {
                self.refuse_filled(&change.draft.relation, at, Asked::Default)?;
                change.draft.relation.attributes[at].default = default_text(value)?;
            }
            AlterColumnOperation::DropDefault => match self.clauses.drops.pop_front().flatten() {
                None => {
                    self.refuse_filled(&change.draft.relation, at, Asked::NoDefault)?;
                    change.draft.relation.attributes[at].default = None;
                }
                Some(if_exists) => return self.drop_identity(change, at, if_exists),
            },
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                if let Some(view) = self.views_reading(&table, &name).first() {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot alter type of a column used by a view or rule",
                    )
                    .with_detail(format!("view {} depends on column \"{name}\"", view.name)));
                }
                let ty = self.storable_type(data_type, &name)?;
                let before = change.draft.relation.attributes[at].clone();
                if before.identity.is_some() && !types::is_integer(ty.oid) {
                    return Err(SqlError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "identity column type must be smallint, integer, or bigint",
                    ));
                }
                let fill = match using {
                    Some(using) => {
                        let typed = self.over_row(&using.to_string(), old)?;
                        self.assign(typed, ty, &name)?
                    }
                    None => {
                        let Fill::Old(source) = &change.fills[at] else {
                            return Err(SqlError::unsupported("ALTER TYPE of a column just added"));
                        };
                        let typed = self.over_row(&names::quote(source), old)?;
                        self.assign(typed, ty, &name).map_err(|error| {
                            if error.state == SqlState::DATATYPE_MISMATCH {
                                return SqlError::new(
                                    SqlState::DATATYPE_MISMATCH,
                                    format!(
                                        "column \"{name}\" cannot be cast automatically to type {}",
                                        types::display_name(ty.oid)
                                    ),
                                )
                                .with_hint("You might need to specify \"USING expression\".");
                            }
                            error
                        })?
                    }
                };
                if before.identity.is_some() {
                    let options = format!("as {}", types::display_name(ty.oid));
                    self.change_identity(change, at, &options)?;
                }
                change.fills[at] = Fill::Expression(fill.sql);
                let attribute = &mut change.draft.relation.attributes[at];
                attribute.oid = ty.oid;
                attribute.typmod = ty.typmod;
                self.check_default(&before, change.draft.relation.attributes[at].clone())?;
            }
            AlterColumnOperation::AddGenerated { generated_as, .. } => {
                self.check_may_be_identity(&change.draft.relation, at)?;
                let oid = change.draft.relation.attributes[at].oid;
                let options = self.clauses.identities.pop_front().unwrap_or_default();
                self.draft_sequence(&mut change.draft, &name, oid, &options)?;
                change.draft.relation.attributes[at].identity = Some(match generated_as {
                    Some(GeneratedAs::ByDefault) => Identity::ByDefault,
                    _ => Identity::Always,
                });
                change.draft.relation.attributes[at].not_null = true;
            }
        }
        Ok(())
    }

    /// Fails where a column is filled otherwise than by a default.
    fn refuse_filled(&self, relation: &Relation, at: usize, asked: Asked) -> Result<(), SqlError> {
        let attribute = &relation.attributes[at];
        let (what, remedy) = match (attribute.identity, &attribute.generated) {
            (Some(_), _) => ("an identity", "IDENTITY"),
            (None, Some(_)) if asked != Asked::Nulls => ("a generated", "EXPRESSION"),
            _ => return Ok(()),
        };
        let (name, table) = (&attribute.name, self.context.catalog.bare(&relation.name));
        let text = format!("column \"{name}\" of relation \"{table}\" is {what} column");
        let error = SqlError::new(SqlState::SYNTAX_ERROR, text);
        Err(match asked {
            Asked::NoDefault => error
                .with_hint(format!("Use ALTER TABLE ... ALTER COLUMN ... DROP {remedy} instead.")),
            _ => error,
        })
    }

    fn check_may_be_identity(&self, relation: &Relation, at: usize) -> Result<(), SqlError> {
        let attribute = &relation.attributes[at];
        let why = if !attribute.not_null {
            "must be declared NOT NULL before identity can be added"
        } else if attribute.identity.is_some() {
            "is already an identity column"
        } else if attribute.default.is_some() {
            "already has a default value"
        } else {
            return Ok(());
        };
        let (name, table) = (&attribute.name, self.context.catalog.bare(&relation.name));
        Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("column \"{name}\" of relation \"{table}\" {why}"),
        ))
    }

    /// A default must still fit its column.
    fn check_default(&mut self, before: &Attribute, after: Attribute) -> Result<(), SqlError> {
        let Some(default) = &after.default else { return Ok(()) };
        self.kept_expression(default, &after).map(|_| ()).map_err(|_| {
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "default for column \"{}\" cannot be cast automatically to type {}",
                    before.name,
                    types::display_name(after.oid)
                ),
            )
        })
    }
}

/// Whether an action is about how PostgreSQL stores something.
fn is_of_storage(operation: &AlterTableOperation) -> bool {
    matches!(
        operation,
        AlterTableOperation::SetLogged
            | AlterTableOperation::SetUnlogged
            | AlterTableOperation::ReplicaIdentity { .. }
            | AlterTableOperation::SetOptionsParens { .. }
    )
}

/// Whether SQLite's ADD COLUMN takes this default: a literal.
fn is_constant(sql: &str) -> bool {
    let number = sql.strip_prefix('-').unwrap_or(sql);
    let quoted = sql.len() >= 2
        && sql.starts_with('\'')
        && sql.ends_with('\'')
        && !sql[1..sql.len() - 1].replace("''", "").contains('\'');
    quoted
        || matches!(sql, "TRUE" | "FALSE")
        || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

pub(super) fn mentions_column<V: sqlparser::ast::Visit>(tree: &V, column: &str) -> bool {
    sqlparser::ast::visit_expressions(tree, |inner: &Expr| match inner {
        Expr::Identifier(ident) if names::fold(ident) == column => std::ops::ControlFlow::Break(()),
        Expr::CompoundIdentifier(idents)
            if idents.last().is_some_and(|ident| names::fold(ident) == column) =>
        {
            std::ops::ControlFlow::Break(())
        }
        _ => std::ops::ControlFlow::Continue(()),
    })
    .is_break()
}

/// Renames a column inside an expression.
fn rename_in(expr: &mut Expr, old: &str, new: &str) {
    struct Renamer<'n> {
        old: &'n str,
        new: &'n str,
    }
    impl VisitorMut for Renamer<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
            let ident = match expr {
                Expr::Identifier(ident) => Some(ident),
                Expr::CompoundIdentifier(idents) => idents.last_mut(),
                _ => None,
            };
            if let Some(ident) = ident
                && names::fold(ident) == self.old
            {
                *ident = names::ident(self.new);
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(expr, &mut Renamer { old, new });
}
