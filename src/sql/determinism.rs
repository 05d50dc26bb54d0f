//! Which functions and relations read something besides the database and the
//! frozen context of a statement: the one table that decides how a statement that
//! uses them is routed and shipped. Whether it uses them shows when it runs: defaults,
//! triggers and views may call them too.
//!
//! | reads                                       | routed to | shipped as |
//! |---------------------------------------------|-----------|------------|
//! | arguments, tables, frozen clock, seeded random numbers | any node | its text |
//! | sequences, notifications                    | leader    | its text (draws are in the context) |
//! | advisory locks                              | leader's readers | row changes |
//! | names, as the session's search path and user find and show them | any node | row changes |
//! | the session: settings, user, backend         | any node | row changes |
//! | the node: positions, role, activity, sizes   | any node | row changes |
//! | relations of `pg_catalog` and `information_schema` | any node | row changes |
//!
//! A function that is not here finds no surroundings to ask when it is called.

use std::borrow::Cow;

use super::scan::{Scanner, Token};

/// What a function's result depends on, besides its arguments and the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reads {
    /// Nothing, or what the frozen context holds.
    Frozen,
    /// State that only the leader has, or that the call changes.
    Leader,
    /// Advisory locks, which are the leader's too, and in no database.
    Locks,
    /// The search path and user of the session that runs it: the same as long as a
    /// statement is.
    Names,
    /// The session that runs it.
    Session,
    /// The node that runs it.
    Node,
}

const LEADER: &[&str] = &["currval", "lastval", "nextval", "pg_notify", "setval"];

const NAMES: &[&str] = &[
    "format_type",
    "pg_function_is_visible",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_serial_sequence",
    "pg_get_userbyid",
    "pg_get_viewdef",
    "pg_has_role",
    "pg_index_column_has_property",
    "pg_index_has_property",
    "pg_table_is_visible",
    "pg_type_is_visible",
    "towline_acl_rows",
];

/// Types whose values are read and printed as names.
const NAMED: &[&str] =
    &["regclass", "regnamespace", "regproc", "regprocedure", "regrole", "regtype"];

const SESSION: &[&str] = &[
    "acldefault",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_table_privilege",
    "inet_client_addr",
    "inet_client_port",
    "pg_backend_pid",
    "pg_is_other_temp_schema",
    "pg_my_temp_schema",
    "session_user",
    "set_config",
    "user",
];

const NODE: &[&str] = &[
    "inet_server_addr",
    "inet_server_port",
    "pg_cancel_backend",
    "pg_conf_load_time",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_current_xact_id",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_postmaster_start_time",
    "pg_relation_size",
    "pg_reload_conf",
    "pg_sleep",
    "pg_table_size",
    "pg_terminate_backend",
    "pg_total_relation_size",
    "txid_current",
    "version",
];

/// What `function` (folded to lower case, without its schema) reads.
pub(super) fn function_reads(function: &str) -> Reads {
    if function.contains("_advisory_") && must_see_leader(function) {
        Reads::Locks
    } else if must_see_leader(function) {
        Reads::Leader
    } else if NAMES.binary_search(&function).is_ok() || reads_names(function) {
        Reads::Names
    } else if SESSION.binary_search(&function).is_ok() {
        Reads::Session
    } else if NODE.binary_search(&function).is_ok() || function.starts_with("pg_stat_") {
        Reads::Node
    } else {
        Reads::Frozen
    }
}

/// Whether calls of `function` (in lower case) in one statement may answer differently.
pub(super) fn is_volatile(function: &str) -> bool {
    must_see_leader(function)
        || matches!(
            function,
            "clock_timestamp"
                | "gen_random_bytes"
                | "gen_random_uuid"
                | "random"
                | "timeofday"
                | "uuid_generate_v1"
                | "uuid_generate_v1mc"
                | "uuid_generate_v4"
        )
}

/// Whether what `function` (in lower case) answers differs between nodes or sessions.
pub fn function_is_local(function: &str) -> bool {
    !matches!(function_reads(function), Reads::Frozen | Reads::Leader)
}

/// Whether such a function answers the same when its statement is run again.
pub fn function_repeats(function: &str) -> bool {
    function_reads(function) == Reads::Names
}

/// Whether `function` (in lower case) may ask for the surroundings of a session.
pub fn asks_for_surroundings(function: &str) -> bool {
    function_is_local(function) || matches!(function, "currval" | "lastval" | "pg_notify")
}

/// Whether a text, of SQLite's or a client's, may ask for the surroundings of a session:
/// by a function, or a system relation. Errs on the side of yes.
pub fn mentions_surroundings(text: &str) -> bool {
    let asks = |name: &str| {
        name.starts_with("pg_") || name == "information_schema" || asks_for_surroundings(name)
    };
    mentions(text, true, asks)
}

/// Whether `function` is a type whose values are names, or goes from or to one.
fn reads_names(function: &str) -> bool {
    let rest = function.strip_prefix("towline_").unwrap_or(function);
    let kind = ["text_", "to_"].iter().find_map(|prefix| rest.strip_prefix(prefix));
    NAMED.contains(&kind.unwrap_or(rest))
}

/// Whether a text has the name of a function that belongs on the leader, in any case.
pub(super) fn mentions_leader(text: &str) -> bool {
    mentions(text, false, must_see_leader)
}

/// Whether a name in a text is such a one; `unread` is the answer where the text ends in
/// the middle of a token.
fn mentions(text: &str, unread: bool, is: impl Fn(&str) -> bool) -> bool {
    let mut scanner = Scanner::new(text);
    loop {
        let name = match scanner.next() {
            Ok(Some(Token::Word(word))) => word,
            Ok(Some(Token::Quoted(quoted))) => quoted.trim_matches('"'),
            Ok(Some(_)) => continue,
            Ok(None) => return false,
            Err(_) => return unread,
        };
        let folded = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        if is(&folded) {
            return true;
        }
    }
}

/// Whether a call of `function`, in any case, belongs on the leader.
pub(super) fn must_see_leader(function: &str) -> bool {
    // Nearly every word of a statement comes here: most leave at once.
    match function.len() {
        6..=9 => LEADER.iter().any(|name| name.eq_ignore_ascii_case(function)),
        16.. => {
            function.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("pg_advisory_"))
                || function
                    .get(..16)
                    .is_some_and(|start| start.eq_ignore_ascii_case("pg_try_advisory_"))
        }
        _ => false,
    }
}

/// Whether the contents of system relation `name` may change within a transaction.
pub fn relation_is_live(name: &str) -> bool {
    name.starts_with("pg_stat_")
        || name.starts_with("pg_statio_")
        || matches!(
            name,
            "pg_locks"
                | "pg_settings"
                | "pg_cursors"
                | "pg_prepared_statements"
                | "pg_file_settings"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        for table in [LEADER, NAMES, NODE, SESSION] {
            assert!(table.is_sorted());
        }
    }

    #[test]
    fn each_function_has_one_class() {
        let cases = [
            ("nextval", Reads::Leader),
            ("pg_advisory_lock", Reads::Locks),
            ("pg_try_advisory_xact_lock", Reads::Locks),
            ("pg_terminate_backend", Reads::Node),
            ("now", Reads::Frozen),
            ("random", Reads::Frozen),
            ("clock_timestamp", Reads::Frozen),
            ("gen_random_uuid", Reads::Frozen),
            ("current_user", Reads::Session),
            ("to_regclass", Reads::Names),
            ("towline_text_regtype", Reads::Names),
            ("towline_regex", Reads::Frozen),
            ("pg_backend_pid", Reads::Session),
            ("pg_stat_get_activity", Reads::Node),
            ("pg_is_in_recovery", Reads::Node),
        ];
        for (function, expected) in cases {
            assert_eq!(function_reads(function), expected, "{function}");
        }
        assert!(must_see_leader("NextVal"));
        assert!(is_volatile("random") && is_volatile("nextval") && !is_volatile("now"));
    }

    #[test]
    fn a_text_that_may_ask_for_surroundings_is_told_from_one_that_does_not() {
        for asking in [
            "lower(CURRENT_USER)",
            "SELECT current_setting('x')",
            "SELECT format_type(?1, NULL)",
            "SELECT has_table_privilege('t', 'select')",
            "SELECT towline_text_regclass(r) FROM t",
            "SELECT \"Current_User\"()",
            "SELECT relname FROM pg_catalog.\"pg_class\"",
            "SELECT $1::regrole",
            "SELECT 'never closed",
        ] {
            assert!(mentions_surroundings(asking), "{asking}");
        }
        for fine in [
            "SELECT abalance FROM accounts WHERE aid = ?1",
            "lower('current_user') || now()",
            "SELECT towline_regex(a, 'x'), nextval('s') FROM users",
        ] {
            assert!(!mentions_surroundings(fine), "{fine}");
        }
    }
}
