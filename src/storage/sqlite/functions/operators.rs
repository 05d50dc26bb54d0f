//! Operators whose meaning differs between PostgreSQL and SQLite.

use rusqlite::Connection;

use super::Surroundings;

pub(super) fn register(
    _connection: &Connection,
    _surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    Ok(())
}
