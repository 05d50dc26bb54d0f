//! Where a statement may run, told from its words alone. The router asks for every
//! statement, so this neither parses nor allocates.

use super::determinism;
use super::scan::{Scanner, Token};

/// Where a statement may run, as far as its text tells. A wrong answer is
/// harmless: a follower refuses a write before any effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Nothing but white space and comments.
    Empty,
    /// Reads data; any node.
    Read,
    /// May change data, or must see the leader (`FOR UPDATE`, `nextval`).
    Write,
    Begin {
        read_only: bool,
        isolation: Option<Isolation>,
    },
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT, RELEASE, ROLLBACK TO: where the transaction is.
    Savepoint,
    /// SET, SHOW, RESET, PREPARE, DEALLOCATE, DISCARD, cursors: where the session is.
    Session,
    /// COPY … FROM STDIN.
    CopyIn,
}

/// Transaction isolation levels, as asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// Classifies one statement.
///
/// What isn't recognised is a read: any node can say that it is a syntax error, and
/// a follower refuses what turns out to be a write.
pub fn classify(statement: &str) -> Class {
    let mut scanner = Scanner::new(statement);
    match scanner.next() {
        Ok(None) => Class::Empty,
        Ok(Some(first)) => classify_after(first, scanner),
        Err(_) => Class::Read,
    }
}

fn classify_after(first: Token<'_>, mut scanner: Scanner<'_>) -> Class {
    let word = match first {
        Token::Word(word) => word,
        Token::Symbol(b'(') => return classify_query(scanner),
        _ => return Class::Read,
    };
    let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
    let among = |keywords: &[&str]| keywords.iter().any(|keyword| is(keyword));
    // Ordered by how often clients send them.
    if among(&["select", "with", "values", "table"]) {
        classify_query(scanner)
    } else if among(&["insert", "update", "delete"]) {
        Class::Write
    } else if among(&["begin", "start"]) {
        let modes = transaction_modes(&mut scanner);
        Class::Begin { read_only: modes.read_only == Some(true), isolation: modes.isolation }
    } else if among(&["commit", "end"]) {
        if scanner.take_word("prepared") { Class::Write } else { Class::Commit }
    } else if among(&["rollback", "abort"]) {
        let _ = scanner.take_word("work") || scanner.take_word("transaction");
        if scanner.take_word("to") { Class::Savepoint } else { Class::Rollback }
    } else if among(&["savepoint", "release"]) {
        Class::Savepoint
    } else if among(SESSION) {
        Class::Session
    } else if among(WRITES) {
        Class::Write
    } else if is("lock") {
        if locks_for_reading(scanner) { Class::Read } else { Class::Write }
    } else if is("copy") {
        classify_copy(scanner)
    } else if is("explain") {
        classify_explain(scanner)
    } else if is("pragma") {
        classify_pragma(scanner)
    } else {
        Class::Read
    }
}

/// Statements about the session, by their first word.
const SESSION: &[&str] = &[
    "set",
    "show",
    "reset",
    "prepare",
    "execute",
    "deallocate",
    "discard",
    "declare",
    "fetch",
    "move",
    "close",
    "listen",
    "unlisten",
    "load",
    "checkpoint",
];

/// Statements that change something, by their first word.
const WRITES: &[&str] = &[
    "merge", "create", "drop", "alter", "truncate", "replace", "vacuum", "analyze", "grant",
    "revoke", "comment", "reindex", "cluster", "refresh", "notify", "call", "do", "reassign",
    "security", "import", "attach", "detach",
];

/// Whether a statement makes, changes or drops objects: what it names is looked for when
/// it is executed, not when it is prepared.
pub fn is_definition(statement: &str) -> bool {
    let verbs = ["create", "drop", "alter", "truncate", "grant", "revoke", "comment", "reindex"];
    match Scanner::new(statement).next() {
        Ok(Some(Token::Word(word))) => verbs.iter().any(|verb| word.eq_ignore_ascii_case(verb)),
        _ => false,
    }
}

/// SELECT, WITH, VALUES, TABLE: a read, unless its words say otherwise.
fn classify_query(mut scanner: Scanner<'_>) -> Class {
    let mut previous = Token::Symbol(0);
    while let Ok(Some(token)) = scanner.next() {
        if let Token::Word(word) = token {
            let writes = match word.len() {
                // A word behind a dot is a column (or a schema's function).
                4 => token.is("into") && previous != Token::Symbol(b'.'),
                3 => token.is("for") && locks(scanner),
                6 => {
                    matches!(previous, Token::Symbol(b'(' | b')'))
                        && (token.is("insert") || token.is("update") || token.is("delete"))
                        && !matches!(scanner.peek(), Some(Token::Symbol(b'(')))
                }
                5 => token.is("merge") && matches!(previous, Token::Symbol(b'(' | b')')),
                _ => false,
            };
            let calls = || matches!(scanner.peek(), Some(Token::Symbol(b'(')));
            // Locks are the leader's.
            let locks = token.is("pg_locks");
            if writes || locks || (determinism::must_see_leader(word) && calls()) {
                return Class::Write;
            }
        }
        previous = token;
    }
    Class::Read
}

/// Whether a locking clause follows the word FOR.
fn locks(mut scanner: Scanner<'_>) -> bool {
    match scanner.next() {
        Ok(Some(token)) if token.is("update") || token.is("share") => true,
        Ok(Some(token)) if token.is("no") || token.is("key") => {
            matches!(scanner.next(), Ok(Some(token)) if token.is("key") || token.is("share"))
        }
        _ => false,
    }
}

/// Whether LOCK, behind that word, asks for the mode that reading takes by itself.
pub(super) fn locks_for_reading(mut scanner: Scanner<'_>) -> bool {
    while let Ok(Some(token)) = scanner.next() {
        if token.is("in") && scanner.take_word("access") {
            return scanner.take_word("share");
        }
    }
    false
}

fn classify_copy(mut scanner: Scanner<'_>) -> Class {
    if scanner.take_symbol(b'(') {
        return match scanner.next() {
            Ok(Some(token)) => match classify_after(token, scanner) {
                Class::Write => Class::Write,
                _ => Class::Read,
            },
            _ => Class::Read,
        };
    }
    let mut depth = 0_usize;
    while let Ok(Some(token)) = scanner.next() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            _ if depth == 0 && token.is("from") => return Class::CopyIn,
            _ if depth == 0 && token.is("to") => return Class::Read,
            _ => {}
        }
    }
    Class::Read
}

fn classify_explain(mut scanner: Scanner<'_>) -> Class {
    let mut analyze = false;
    if scanner.take_symbol(b'(') {
        let mut option_begins = true;
        while let Ok(Some(token)) = scanner.next() {
            if token == Token::Symbol(b')') {
                break;
            }
            if option_begins && (token.is("analyze") || token.is("analyse")) {
                let off = ["off", "false"].iter().any(|word| scanner.take_word(word));
                analyze = !off;
            }
            option_begins = token == Token::Symbol(b',');
        }
    }
    loop {
        if scanner.take_word("analyze") || scanner.take_word("analyse") {
            analyze = true;
        } else if !(scanner.take_word("verbose")
            || scanner.take_word("query")
            || scanner.take_word("plan"))
        {
            break;
        }
    }
    let inner = scanner.next().ok().flatten().map(|token| classify_after(token, scanner));
    match inner {
        Some(Class::Write) if analyze => Class::Write,
        // What it executes is the session's.
        Some(Class::Session) => Class::Session,
        _ => Class::Read,
    }
}

/// SQLite's PRAGMA: with a value in it, it may change the file.
fn classify_pragma(mut scanner: Scanner<'_>) -> Class {
    while let Ok(Some(token)) = scanner.next() {
        if token == Token::Symbol(b'=') {
            return Class::Write;
        }
    }
    Class::Read
}

/// What BEGIN, START TRANSACTION and SET TRANSACTION say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TransactionModes {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
    /// Whether every word was understood.
    pub complete: bool,
}

/// Reads `[WORK|TRANSACTION] [mode[,] …]` to the end.
pub(super) fn transaction_modes(scanner: &mut Scanner<'_>) -> TransactionModes {
    let mut modes = TransactionModes::default();
    let _ = scanner.take_word("work") || scanner.take_word("transaction");
    loop {
        let _ = scanner.take_symbol(b',');
        if scanner.take_word("isolation") {
            if !scanner.take_word("level") {
                return modes;
            }
            modes.isolation = if scanner.take_word("serializable") {
                Some(Isolation::Serializable)
            } else if scanner.take_word("repeatable") && scanner.take_word("read") {
                Some(Isolation::RepeatableRead)
            } else if scanner.take_word("read") && scanner.take_word("committed") {
                Some(Isolation::ReadCommitted)
            } else if scanner.take_word("uncommitted") {
                Some(Isolation::ReadUncommitted)
            } else {
                return modes;
            };
        } else if scanner.take_word("read") {
            modes.read_only = if scanner.take_word("only") {
                Some(true)
            } else if scanner.take_word("write") {
                Some(false)
            } else {
                return modes;
            };
        } else if scanner.take_word("not") {
            if !scanner.take_word("deferrable") {
                return modes;
            }
            modes.deferrable = Some(false);
        } else if scanner.take_word("deferrable") {
            modes.deferrable = Some(true);
        } else if !(
            // SQLite's own words for the same statement.
            scanner.take_word("deferred")
                || scanner.take_word("immediate")
                || scanner.take_word("exclusive")
        ) {
            modes.complete = matches!(scanner.next(), Ok(None));
            return modes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_by_words() {
        let begin = |read_only, isolation| Class::Begin { read_only, isolation };
        let cases = [
            ("", Class::Empty),
            ("  -- nothing\n/* at all */", Class::Empty),
            ("SELECT 1", Class::Read),
            ("/* hint */ select abalance from pgbench_accounts where aid = $1", Class::Read),
            ("(select 1) union select 2", Class::Read),
            ("VALUES (1)", Class::Read),
            ("table t", Class::Read),
            ("select * from t for update", Class::Write),
            ("select * from t FOR NO KEY UPDATE", Class::Write),
            ("select * from t for key share", Class::Write),
            ("select substring(a from 1 for 2) from t", Class::Read),
            ("select 'for update; nextval(1)'", Class::Read),
            ("select nextval('s')", Class::Write),
            ("select pg_catalog.setval('s', 1)", Class::Write),
            ("select currval('s')", Class::Write),
            ("select nextval from t", Class::Read),
            ("select pid from pg_locks where not granted", Class::Write),
            ("select * into x from t", Class::Write),
            ("select t.into from t", Class::Read),
            ("with a as (select 1) select * from a", Class::Read),
            ("with a as (insert into t values (1) returning *) select * from a", Class::Write),
            ("with a as (select 1) update t set x = 1", Class::Write),
            ("with a as (select 1) delete from t", Class::Write),
            ("insert into t values (1)", Class::Write),
            ("create table t (a int)", Class::Write),
            ("vacuum analyze t", Class::Write),
            ("BEGIN", begin(false, None)),
            (
                "begin transaction isolation level serializable, read only",
                begin(true, Some(Isolation::Serializable)),
            ),
            (
                "start transaction isolation level repeatable read",
                begin(false, Some(Isolation::RepeatableRead)),
            ),
            ("begin read write", begin(false, None)),
            ("COMMIT AND CHAIN", Class::Commit),
            ("end", Class::Commit),
            ("rollback", Class::Rollback),
            ("abort", Class::Rollback),
            ("rollback to savepoint a", Class::Savepoint),
            ("rollback work to a", Class::Savepoint),
            ("savepoint a", Class::Savepoint),
            ("release a", Class::Savepoint),
            ("set x = 1", Class::Session),
            ("show all", Class::Session),
            ("fetch 10 from c", Class::Session),
            ("copy t from stdin", Class::CopyIn),
            ("copy t (\"from\", b) from stdin with (freeze on)", Class::CopyIn),
            ("copy t to stdout", Class::Read),
            ("copy (select 1) to stdout", Class::Read),
            ("copy (delete from t returning *) to stdout", Class::Write),
            ("explain select 1", Class::Read),
            ("explain insert into t values (1)", Class::Read),
            ("explain analyze insert into t values (1)", Class::Write),
            ("explain (costs off, analyze) delete from t", Class::Write),
            ("explain (analyze false) delete from t", Class::Read),
            ("explain analyze verbose select 1", Class::Read),
            ("explain (verbose, format json) execute p(1)", Class::Session),
            ("pragma user_version", Class::Read),
            ("pragma user_version = 3", Class::Write),
            ("lock table t", Class::Write),
            ("lock table only t, u in share row exclusive mode", Class::Write),
            ("LOCK TABLE s.t IN ACCESS EXCLUSIVE MODE", Class::Write),
            ("LOCK TABLE s.t, u IN ACCESS SHARE MODE", Class::Read),
            ("gibberish", Class::Read),
            ("'unterminated", Class::Read),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text), expected, "{text}");
        }
    }
}
