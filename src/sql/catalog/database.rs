//! Databases. All of a cluster's lie in one SQLite file, so that one log, one snapshot
//! and one transaction at a time hold for all of them: what a database holds is stored
//! under names that begin with `@`, the database's number and a colon.
//!
//! ```text
//!   first database    t, s.t           as if there were no other
//!   database 16385    @16385:t, @16385:s.t
//! ```
//!
//! The first database's names are plain, so that `sqlite3` shows them as clients call
//! them; one that would read as another database's is stored as `public.@16385:t`. A
//! number is never given twice, and renaming a database changes none of these names.

/// The number of the database that is there from the start, under the name that the
/// nodes' configuration gives it.
pub const FIRST_DATABASE: u32 = 0;

/// The database that every PostgreSQL server has, and so does every cluster: tools
/// connect to it to make others. Where the first database has its name it is that one.
pub const MAINTENANCE_DATABASE: (&str, u32) = ("postgres", 3);

/// What new databases are made from. They hold nothing, and nobody connects to them.
pub const EMPTY_TEMPLATES: [(&str, u32); 2] = [("template1", 1), ("template0", 4)];

/// With what the names of all that `database` holds begin.
pub fn database_prefix(database: u32) -> String {
    match database {
        FIRST_DATABASE => String::new(),
        number => format!("@{number}:"),
    }
}

/// The database of what is stored under `stored`, and the name without its prefix.
pub fn split_database(stored: &str) -> (u32, &str) {
    let split = || {
        let (number, name) = stored.strip_prefix('@')?.split_once(':')?;
        let canonical = !number.starts_with(['0', '+']);
        number.parse().ok().filter(|_| canonical).map(|number| (number, name))
    };
    split().unwrap_or((FIRST_DATABASE, stored))
}

/// The SQL pattern (for GLOB) of all names of a database other than the first.
pub fn database_pattern(database: u32) -> String {
    format!("@{database}:*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_tell_their_database() {
        assert_eq!(split_database("t"), (0, "t"));
        assert_eq!(split_database("@16385:s.t"), (16_385, "s.t"));
        assert_eq!(split_database("@16385:@3:t"), (16_385, "@3:t"));
        for plain in ["@t", "@:t", "@01:t", "@+1:t", "@1t", "@4294967296:t", "a@1:t", "@0:t"] {
            assert_eq!(split_database(plain), (0, plain), "{plain}");
        }
        let prefix = database_prefix(16_385);
        assert_eq!(split_database(&format!("{prefix}t")), (16_385, "t"));
    }
}
