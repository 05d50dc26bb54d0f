//! What a node keeps: the log's segments, the control file, SQLite's databases; and the
//! archive of them elsewhere.

pub mod archive;
pub mod control_file;
pub mod fs;
pub mod log_store;
pub mod seal;
pub mod sqlite;
