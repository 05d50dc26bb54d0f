//! The virtual tables of the schemas `pg_catalog` and `information_schema`, and
//! the table-valued functions.

mod series;
mod system;
mod table;

use rusqlite::Connection;
use rusqlite::vtab::Module;

use self::series::Series;
use self::system::SystemTable;
use self::table::TableOf;
use super::functions::Surroundings;
use crate::sql::catalog::system_relations;

/// Registers every module and creates the catalog tables in their attached schemas.
pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    const SYSTEM: Module<'static, TableOf<SystemTable>> = Module::read_only_module();
    const SERIES: Module<'static, TableOf<Series>> = Module::eponymous_only_module();

    connection.create_module("towline_system", &SYSTEM, Some(surroundings.clone()))?;
    for name in series::NAMES {
        connection.create_module(name, &SERIES, Some((surroundings.clone(), name)))?;
    }
    let mut sql = String::from("BEGIN;");
    for relation in system_relations() {
        sql.push_str("CREATE VIRTUAL TABLE ");
        sql.push_str(relation.schema);
        sql.push('.');
        sql.push_str(relation.name);
        sql.push_str(" USING towline_system;");
    }
    sql.push_str("COMMIT;");
    connection.execute_batch(&sql)
}
