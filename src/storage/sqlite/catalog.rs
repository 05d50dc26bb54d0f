//! Reads the `towline_*` tables and SQLite's own schema into a [`Catalog`].

use super::{Sqlite, SqliteError};
use crate::sql::catalog::Catalog;

/// Loads the catalog as of the connection's snapshot.
pub(super) fn load(_sqlite: &mut Sqlite) -> Result<Catalog, SqliteError> {
    Ok(Catalog::default())
}
