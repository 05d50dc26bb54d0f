//! The virtual tables of the schemas `pg_catalog` and `information_schema`, and
//! the table-valued functions.

use rusqlite::Connection;

use super::functions::Surroundings;

/// Registers every module and creates the catalog tables in their attached schemas.
pub(super) fn register(
    _connection: &Connection,
    _surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    Ok(())
}
