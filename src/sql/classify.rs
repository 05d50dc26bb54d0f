//! STUB
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
#[allow(unused_variables, clippy::todo)]
pub fn classify(statement: &str) -> Class {
    todo!()
}
