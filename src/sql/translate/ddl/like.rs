//! CREATE TABLE … (LIKE other INCLUDING …): columns, and what else is asked for, as they are
//! now.

use super::create_table::Draft;
use super::rows;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Constraint, ConstraintKind, Index, Relation, Rights, Sequence,
};
use crate::sql::translate::clauses::Like;
use crate::sql::translate::{Translator, names};

/// The catalogs that list tables and constraints, as comments name them.
const CLASS: u32 = 1259;
const CONSTRAINT: u32 = 2606;

impl Translator<'_> {
    /// Adds another table's columns to a draft. Returns what is to be said of them once the
    /// table is there.
    pub(super) fn draft_like(
        &mut self,
        draft: &mut Draft,
        like: &Like,
    ) -> Result<Vec<String>, SqlError> {
        let (schema, name) = self.qualified_parts(like.table.clone())?;
        let other = self.find_relation(schema.as_deref(), &name).ok_or_else(|| {
            let text = format!("relation \"{name}\" does not exist");
            SqlError::new(SqlState::UNDEFINED_TABLE, text)
        })?;
        self.demand_table(other, Rights::SELECT);
        for attribute in &other.attributes {
            self.draft_like_column(draft, other, attribute, like)?;
        }
        let mut comments = Vec::new();
        let table = rows::oid_of(&draft.relation.name);
        for (number, attribute) in other.attributes.iter().enumerate() {
            let at = draft.relation.number(&attribute.name).unwrap_or(0);
            let number = i64::try_from(number + 1).unwrap_or(0);
            comments.extend(self.comment_like(other.oid, CLASS, number, &table, at));
        }
        for constraint in &other.constraints {
            let check = matches!(constraint.kind, ConstraintKind::Check(_));
            let taken = match check {
                true => like.takes("constraints"),
                false => constraint.kind.is_key() && like.takes("indexes"),
            };
            if !taken {
                continue;
            }
            let made = Constraint { oid: Oid(0), ..constraint.clone() };
            match check {
                true => super::create_table::add_constraint(draft, made)?,
                false => self.draft_key(draft, None, made)?,
            }
            let made = draft.relation.constraints.last().map_or("", |made| made.name.as_str());
            let object = format!(
                "(SELECT oid FROM towline_constraint WHERE relation = {table} AND name = {})",
                names::quote_literal(made)
            );
            comments.extend(self.comment_like(constraint.oid, CONSTRAINT, 0, &object, 0));
        }
        let is_key = |index: &&Index| other.constraints.iter().any(|key| key.name == index.name);
        let indexes = other.indexes.iter().filter(|index| !is_key(index));
        for index in indexes.filter(|_| like.takes("indexes")) {
            let hints: Vec<&str> = index.columns.iter().map(|it| super::index::hint(it)).collect();
            let hints = [hints, index.included.iter().map(String::as_str).collect()].concat();
            let taken = |name: &str| {
                self.is_taken(name) || draft.relation.indexes.iter().any(|made| made.name == name)
            };
            let name = self.chosen_beside(&draft.relation.name, &hints.join("_"), "idx", taken);
            let object = format!(
                "(SELECT oid FROM towline_index WHERE name = {})",
                names::quote_literal(&name)
            );
            comments.extend(self.comment_like(index.oid, CLASS, 0, &object, 0));
            draft.relation.indexes.push(Index { oid: Oid(0), name, ..index.clone() });
        }
        Ok(if like.takes("comments") { comments } else { Vec::new() })
    }

    fn draft_like_column(
        &mut self,
        draft: &mut Draft,
        other: &Relation,
        attribute: &Attribute,
        like: &Like,
    ) -> Result<(), SqlError> {
        if draft.relation.attribute(&attribute.name).is_some() {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", attribute.name),
            ));
        }
        let mut made = attribute.clone();
        made.default = made.default.filter(|_| like.takes("defaults"));
        made.generated = made.generated.filter(|_| like.takes("generated"));
        made.identity = made.identity.filter(|_| like.takes("identity"));
        if made.identity.is_some() {
            self.draft_sequence(draft, &attribute.name, attribute.oid, "")?;
            let owner = Some((other.name.clone(), attribute.name.clone()));
            let old = self.context.catalog.sequences.values().find(|it| it.owner == owner);
            if let (Some(old), Some(new)) = (old, draft.sequences.last_mut()) {
                let (name, owner) = (new.name.clone(), new.owner.take());
                *new = Sequence { oid: Oid(0), name, owner, reserved: None, ..old.clone() };
            }
        }
        draft.relation.attributes.push(made);
        Ok(())
    }

    /// What was said of an object, said of another.
    fn comment_like(
        &self,
        object: Oid,
        class: u32,
        number: i64,
        of: &str,
        at: i64,
    ) -> Option<String> {
        let comments = &self.context.catalog.comments;
        let comment = comments.iter().find(|comment| {
            comment.object == object && comment.class == Oid(class) && comment.number == number
        })?;
        Some(format!(
            "INSERT INTO towline_comment (object, class, number, text) VALUES ({of}, {class}, {at}, \
             {})",
            names::quote_literal(&comment.text)
        ))
    }
}
