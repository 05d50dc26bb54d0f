//! ALTER COLUMN of identity columns: SET GENERATED, SET of their sequence's options, RESTART,
//! DROP IDENTITY.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::alter_table::Change;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::Identity;
use crate::sql::translate::tokens::IDENTITY;
use crate::sql::translate::{Translator, names};

impl Translator<'_> {
    /// SET GENERATED, SET with an option of the sequence, and RESTART.
    pub(super) fn change_identity(
        &mut self,
        change: &mut Change,
        at: usize,
        said: &str,
    ) -> Result<(), SqlError> {
        let relation = &mut change.draft.relation;
        let name = relation.attributes[at].name.clone();
        if relation.attributes[at].identity.is_none() {
            return Err(no_identity(self.context.catalog.bare(&relation.name), &name));
        }
        let (mut words, mut options) = (said.split(' '), Vec::new());
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_str() {
                "set" => {}
                "generated" => {
                    let always = words.next().is_some_and(|it| it.eq_ignore_ascii_case("always"));
                    relation.attributes[at].identity = Some(if always {
                        Identity::Always
                    } else {
                        // BY is behind, and DEFAULT.
                        words.next();
                        Identity::ByDefault
                    });
                }
                _ => options.push(word),
            }
        }
        let sequence = self.sequence_of(&change.draft.relation, &change.draft.sequences, &name);
        let Some(old) = self.context.catalog.sequences.get(&sequence) else {
            return Err(SqlError::unsupported("changing an identity column that was just added"));
        };
        let said = super::sequence::said(&options.join(" "))?;
        change.before.extend(said.changes(old, Vec::new())?);
        Ok(())
    }

    /// DROP IDENTITY.
    pub(super) fn drop_identity(
        &mut self,
        change: &mut Change,
        at: usize,
        if_exists: bool,
    ) -> Result<(), SqlError> {
        let table = self.context.catalog.bare(&change.draft.relation.name).to_owned();
        let attribute = &mut change.draft.relation.attributes[at];
        let name = attribute.name.clone();
        if attribute.identity.take().is_some() {
            change.dropped.push(name);
            return Ok(());
        }
        let error = no_identity(&table, &name);
        if !if_exists {
            return Err(error);
        }
        self.skipped(SqlState::SUCCESSFUL_COMPLETION, format_args!("{}", error.message));
        Ok(())
    }
}

fn no_identity(table: &str, column: &str) -> SqlError {
    SqlError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("column \"{column}\" of relation \"{table}\" is not an identity column"),
    )
}

/// What a default says that stands for a change to an identity column.
pub(super) fn identity_change(default: &Expr) -> Option<String> {
    let Expr::Function(call) = default else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(said)))]
            if names::last(&call.name).as_deref() == Some(IDENTITY) =>
        {
            said.value.clone().into_string()
        }
        _ => None,
    }
}
