//! What a translation says: the statements for SQLite, and everything about them
//! that the session needs.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::TransactionModes;
use super::catalog::{BOOTSTRAP_ROLE, Catalog, ObjectKind, Rights};
use crate::pg::types::date_style::Order;
use crate::pg::types::made::Made;
use crate::pg::{Oid, SqlError};

pub use crate::pg::copy::{CopyFormat, CopyOptions};

/// One client statement, ready for SQLite.
#[derive(Clone, Debug)]
pub struct Translated {
    pub kind: Kind,
    pub tag: Tag,
    /// Types of `$1`, `$2`, …: as given, or inferred (`text` where nothing tells).
    pub params: Vec<Oid>,
    /// Result columns; empty for a statement without rows.
    pub columns: Vec<Column>,
    /// Run in order with the same parameters; the last gives rows and count.
    pub statements: Vec<SqliteStatement>,
    /// What the client should be told besides: that nothing was there to drop.
    pub notices: Vec<SqlError>,
    /// What its user must be allowed.
    pub demands: Vec<Demand>,
    /// The table of whose rows each is one, where those of a cursor are told apart: its
    /// rowid stands behind the columns.
    pub rows_of: Option<Oid>,
    /// NOWAIT: what to say where the writer is not to be had at once.
    pub no_wait: Option<String>,
    /// The cursor whose row it changes, which is told by a parameter behind the client's.
    pub current_of: Option<CurrentOf>,
    /// What it changes is held against no foreign key.
    pub keys_off: bool,
}

/// WHERE CURRENT OF.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CurrentOf {
    pub cursor: String,
    pub table: Oid,
    /// What messages call the table.
    pub name: String,
}

/// What a user must be allowed for a statement to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Demand {
    /// All these rights on an object; on a table also to look into its schema.
    Rights { kind: ObjectKind, object: Oid, rights: Rights },
    /// For `Rights` on a table the right on these columns of it is enough, which are all
    /// that it is needed for.
    Columns { table: Oid, right: Rights, numbers: BTreeSet<i16> },
    /// At least one of these rights on an object.
    OneOf { kind: ObjectKind, object: Oid, rights: Rights },
    /// To own it. Messages call it by `word` and `name`.
    Owner { kind: ObjectKind, object: Oid, word: &'static str, name: String },
    /// The owner of a view must be allowed these on a table that it changes.
    Through { view: Oid, table: Oid, rights: Rights },
    /// To be a member of a role, or else be told this.
    Member { role: Oid, message: &'static str },
}

impl Translated {
    /// Whether it answers with rows, of no column perhaps.
    pub fn gives_rows(&self) -> bool {
        !self.columns.is_empty() || matches!(self.kind, Kind::Read { .. } | Kind::Advisory)
    }
}

/// A result column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Column {
    pub name: String,
    pub oid: Oid,
    pub typmod: i32,
    /// The relation's OID and column number, or 0 for an expression.
    pub table: Oid,
    pub number: i16,
    /// What its type is made of, where the OID does not say.
    pub made: Option<Made>,
}

/// One statement in SQLite's dialect, parameters spelled `?1`, `?2`, ….
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SqliteStatement {
    pub text: Arc<str>,
    /// Its rows, packed into one text each, are a parameter (from 0) of the statements
    /// behind it, as a JSON array.
    pub keeps: Option<usize>,
    pub counts: Counts,
}

/// What a statement's changes are to the count that the client is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Counts {
    /// Its changes alone: the rule.
    #[default]
    Changes,
    AddsChanges,
    Nothing,
}

/// An argument of a call that the node carries out.
#[derive(Clone, Debug)]
pub enum Argument {
    /// `$n`, from 1.
    Parameter(usize),
    /// As SQL text that reads no parameter.
    Expression(String),
}

/// What to do with a statement.
#[derive(Clone, Debug)]
pub enum Kind {
    Empty,
    /// Run `statements` on a reader (or on the writer after a first write).
    Read {
        for_update: bool,
    },
    /// Run `statements` on the writer.
    Write,
    /// As `Write`; the schema changes. With `rebuild`, foreign keys are switched
    /// off around it and checked before the release.
    Ddl {
        rebuild: bool,
    },
    Begin(TransactionModes),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// SET name = value (`None`: DEFAULT); `local` to the transaction.
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// SET TRANSACTION / SET SESSION CHARACTERISTICS.
    SetTransaction {
        modes: TransactionModes,
        session: bool,
    },
    /// SET CONSTRAINTS: those that are deferrable, all or these.
    SetConstraints {
        constraints: Option<Vec<Oid>>,
        deferred: bool,
    },
    /// SHOW name; `ALL` for all.
    Show(String),
    /// RESET name; `ALL` for all.
    Reset(String),
    Discard(String),
    /// PREPARE name (types) AS statement.
    Prepare {
        name: String,
        params: Vec<Oid>,
        statement: String,
    },
    /// EXECUTE name (literal arguments, as SQL texts).
    Execute {
        name: String,
        arguments: Vec<String>,
    },
    /// `SELECT lo_…(…)`, with the types of the arguments.
    LargeObject {
        function: &'static str,
        arguments: Vec<(Oid, Argument)>,
    },
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// DECLARE name CURSOR FOR query.
    Declare {
        name: String,
        /// What FETCH gives in the simple protocol is binary.
        binary: bool,
        hold: bool,
        scroll: bool,
        query: String,
    },
    /// FETCH, or MOVE, which discards.
    Fetch {
        cursor: String,
        movement: Movement,
        discard: bool,
    },
    /// CLOSE; `None` is ALL.
    Close(Option<String>),
    /// COPY … FROM STDIN: `statements[0]` inserts one row of `columns`.
    CopyIn {
        /// The table's name, for messages.
        table: String,
        columns: Vec<Column>,
        options: CopyOptions,
    },
    /// COPY … TO STDOUT: `statements[0]` selects.
    CopyOut {
        options: CopyOptions,
    },
    /// EXPLAIN of the inner statement; `json` as one JSON document, with what running it
    /// took where `analyze` says so.
    Explain {
        json: bool,
        analyze: bool,
        /// The prepared statement that it is of, with its arguments, instead.
        prepared: Option<(String, Vec<String>)>,
    },
    /// A query that takes or releases advisory locks: for the leader's readers.
    Advisory,
    /// LISTEN, NOTIFY, UNLISTEN, with the channel.
    Listen(String),
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
    /// LOCK TABLE: takes the writer.
    Lock,
    /// VACUUM (checkpoint and incremental vacuum), ANALYZE as a logged `Write`.
    Vacuum {
        analyze: bool,
    },
    /// Makes, drops or renames a database.
    Database(DatabaseChange),
    /// Changes roles, or with what settings sessions begin.
    Role(RoleChange),
    /// Accepted, does nothing (GRANT, COMMENT, …); the tag says what.
    Nothing,
}

/// What becomes of a database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DatabaseChange {
    Create {
        name: String,
    },
    /// With `force`, those who are connected to it are sent away.
    Drop {
        name: String,
        if_exists: bool,
        force: bool,
    },
    Rename {
        from: String,
        to: String,
    },
    Own {
        name: String,
        to: RoleName,
    },
}

/// Somebody who is granted something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Grantee {
    Everybody,
    Role(RoleName),
}

/// An object whose owner or privileges change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owned {
    pub kind: ObjectKind,
    pub object: Oid,
    /// As messages call it.
    pub word: &'static str,
    pub name: String,
}

/// Rights on columns that GRANT or REVOKE names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ColumnRights {
    /// `None` is all that there are.
    pub rights: Option<Rights>,
    pub columns: Vec<String>,
}

/// What becomes of roles, and of the settings with which sessions begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleChange {
    /// GRANT, or REVOKE, of rights on objects.
    Rights {
        grants: bool,
        objects: Vec<Owned>,
        /// `None` is all that there are.
        rights: Option<Rights>,
        columns: Vec<ColumnRights>,
        grantees: Vec<Grantee>,
        /// To hand on: with the rights, or those alone.
        option: bool,
    },
    /// ALTER DEFAULT PRIVILEGES.
    Defaults {
        /// Whose objects; none are the user's own.
        roles: Vec<RoleName>,
        /// In which schemas; none are all.
        schemas: Vec<Oid>,
        grants: bool,
        kind: ObjectKind,
        /// The rest as in `Rights`.
        rights: Option<Rights>,
        grantees: Vec<Grantee>,
        option: bool,
    },
    /// ALTER … OWNER TO.
    Own {
        object: Owned,
        to: RoleName,
    },
    /// REASSIGN OWNED: what these own is another's.
    Reassign {
        from: Vec<RoleName>,
        to: RoleName,
    },
    Create {
        name: String,
        options: RoleOptions,
    },
    Alter {
        role: RoleName,
        options: RoleOptions,
    },
    Rename {
        role: RoleName,
        to: String,
    },
    Drop {
        roles: Vec<RoleName>,
        if_exists: bool,
    },
    Grant {
        roles: Vec<RoleName>,
        to: Vec<RoleName>,
        admin: bool,
    },
    Revoke {
        roles: Vec<RoleName>,
        from: Vec<RoleName>,
        admin_only: bool,
    },
    /// No role is all of them, no database any.
    Configure {
        role: Option<RoleName>,
        database: Option<String>,
        change: SettingChange,
    },
}

/// How a statement calls a role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleName {
    Named(String),
    /// CURRENT_USER.
    Current,
    /// SESSION_USER.
    Session,
}

/// What CREATE ROLE and ALTER ROLE say; `None` is nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub inherit: Option<bool>,
    pub create_role: Option<bool>,
    pub create_database: Option<bool>,
    pub login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_row_security: Option<bool>,
    pub connection_limit: Option<i64>,
    /// `Some(None)` takes it away.
    pub password: Option<Option<Password>>,
    pub valid_until: Option<String>,
    pub member_of: Vec<RoleName>,
    pub members: Vec<RoleName>,
    pub admins: Vec<RoleName>,
}

/// A password as a client wrote it, or a verifier. Printing it prints nothing of it.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What becomes of a setting with which sessions begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettingChange {
    Set { name: String, value: String },
    SetFromCurrent(String),
    Reset(String),
    ResetAll,
}

/// Which rows FETCH wants, from where the cursor stands. NEXT is `Forward(Some(1))`, LAST
/// is `Absolute(-1)`; a count of `None` is ALL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Movement {
    Forward(Option<u64>),
    Backward(Option<u64>),
    /// The row with this number, counted from the end where it is negative.
    Absolute(i64),
    Relative(i64),
}

/// How CommandComplete is spelled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tag {
    /// `SELECT n`, counting rows sent.
    Select,
    /// `SELECT n`, counting rows stored: CREATE TABLE AS.
    SelectInto,
    /// `INSERT 0 n`, counting changes.
    Insert,
    Update,
    Delete,
    Merge,
    /// `COPY n`.
    Copy,
    Fetch,
    Move,
    /// As it stands.
    Fixed(&'static str),
}

/// What a translation may depend on besides the text.
pub struct TranslateContext<'a> {
    pub catalog: &'a Catalog,
    /// Types that the client gave to parameters; 0 or missing means "infer".
    pub param_types: &'a [Oid],
    /// What the session's database is called; empty where any may be meant.
    pub database: &'a str,
    /// Schemas, in order.
    pub search_path: &'a [String],
    /// The schema of the session's temporary objects; empty if it has none.
    pub temporary_schema: &'a str,
    /// The role that owns what is made.
    pub owner: Oid,
    /// The session's TimeZone, in which literals and conversions are read; empty is UTC.
    pub time_zone: &'a str,
    /// In which order the numbers of dates stand in literals.
    pub date_order: Order,
    /// Whether a function's body is read when it is made.
    pub check_function_bodies: bool,
    /// `session_replication_role` is `replica`: what a superuser changes is held against
    /// no foreign key.
    pub replica: bool,
    /// SQLite's own dialect: pass the text through, translate nothing.
    pub sqlite_dialect: bool,
    /// It is a cursor's query, whose rows are to be told apart.
    pub of_cursor: bool,
}

impl<'a> TranslateContext<'a> {
    /// That of a session that has set nothing, in a database of whatever name.
    pub fn new(catalog: &'a Catalog) -> Self {
        static SEARCH_PATH: LazyLock<[String; 1]> = LazyLock::new(|| ["public".to_owned()]);
        Self {
            catalog,
            param_types: &[],
            database: "",
            search_path: &*SEARCH_PATH,
            temporary_schema: "",
            owner: BOOTSTRAP_ROLE,
            time_zone: "",
            date_order: Order::default(),
            check_function_bodies: true,
            replica: false,
            sqlite_dialect: false,
            of_cursor: false,
        }
    }
}
