//! A translated statement with what its execution needs to know, shared by all
//! sessions that use the same text.

use std::sync::Arc;

use crate::sql::catalog::{Catalog, RelationKind};
use crate::sql::{Kind, Ship, Translated};

/// One client statement, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// As the client wrote it.
    pub text: Arc<str>,
    pub translated: Translated,
    /// What it was translated against.
    pub catalog: Arc<Catalog>,
    /// The engine's schema epoch at that time; another one means "translate again".
    pub epoch: u64,
    /// Whether it may call functions that ask for the session's surroundings.
    pub needs_environment: bool,
}

impl Plan {
    pub fn new(text: Arc<str>, translated: Translated, catalog: Arc<Catalog>, epoch: u64) -> Self {
        let needs_environment = catalog.relations.values().any(|r| r.kind == RelationKind::View)
            || translated.statements.iter().any(|s| asks_for_surroundings(&s.text));
        Self { text, translated, catalog, epoch, needs_environment }
    }

    /// Whether the statement changes the database, so that only the leader runs it.
    pub fn is_write(&self) -> bool {
        match self.translated.kind {
            Kind::Write | Kind::Ddl { .. } | Kind::CopyIn { .. } | Kind::Lock => true,
            Kind::Read { for_update } => for_update,
            Kind::Vacuum { analyze } => analyze,
            Kind::Explain => self.translated.statements.iter().any(|s| s.ship != Ship::Statement),
            _ => false,
        }
    }
}

/// Whether SQLite text may call a function of the session's surroundings. Errs on
/// the side of yes.
fn asks_for_surroundings(text: &str) -> bool {
    const MARKS: [&str; 7] =
        ["current_", "session_", "pg_", "user", "version", "set_config", "inet_"];
    MARKS.iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_table_reads_need_no_surroundings() {
        assert!(!asks_for_surroundings("SELECT abalance FROM accounts WHERE aid = ?1"));
        assert!(asks_for_surroundings("SELECT current_setting('x')"));
    }
}
