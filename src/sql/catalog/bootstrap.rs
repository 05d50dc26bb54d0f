//! The tables in which Towline keeps what SQLite's own schema forgets: PostgreSQL's
//! types, OIDs, defaults as they were written, sequences, roles, and how far the log is
//! applied. They are ordinary replicated tables: DDL changes them by statements that
//! are shipped with it, so they are equal on every node at equal LSNs.
//!
//! They are made before any frame, by the same text everywhere, and count as part
//! of LSN 0.

/// Every name that starts so is Towline's, and is hidden from catalogs.
pub const RESERVED_PREFIX: &str = "towline_";

/// Makes Towline's own tables in an empty database. Changing it changes what an
/// empty database is, so a node refuses files made by another text.
pub const BOOTSTRAP: &str = "\
CREATE TABLE towline_applied (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    term INTEGER NOT NULL,
    lsn INTEGER NOT NULL
) STRICT;
INSERT INTO towline_applied VALUES (0, 0, 0);
CREATE TABLE towline_oid (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    next INTEGER NOT NULL
) STRICT;
INSERT INTO towline_oid VALUES (0, 16384);
CREATE TABLE towline_relation (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    definition TEXT,
    check_option TEXT,
    on_commit TEXT
) STRICT;
CREATE TABLE towline_attribute (
    relation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    type INTEGER NOT NULL,
    typmod INTEGER NOT NULL DEFAULT -1,
    not_null INTEGER NOT NULL DEFAULT 0,
    default_expr TEXT,
    identity TEXT,
    generated TEXT,
    PRIMARY KEY (relation, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_constraint (
    oid INTEGER PRIMARY KEY,
    relation INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    columns TEXT NOT NULL,
    expression TEXT,
    target TEXT,
    target_columns TEXT,
    on_update TEXT,
    on_delete TEXT,
    is_deferrable INTEGER NOT NULL DEFAULT 0,
    is_deferred INTEGER NOT NULL DEFAULT 0,
    nulls_equal INTEGER NOT NULL DEFAULT 0,
    included TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX towline_constraint_relation ON towline_constraint (relation);
CREATE TABLE towline_index (
    oid INTEGER PRIMARY KEY,
    relation INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    is_unique INTEGER NOT NULL DEFAULT 0,
    is_primary INTEGER NOT NULL DEFAULT 0,
    columns TEXT NOT NULL,
    predicate TEXT,
    nulls_equal INTEGER NOT NULL DEFAULT 0,
    included TEXT NOT NULL DEFAULT '[]',
    method TEXT NOT NULL DEFAULT 'btree',
    classes TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX towline_index_relation ON towline_index (relation);
CREATE TABLE towline_sequence (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    start INTEGER NOT NULL DEFAULT 1,
    increment INTEGER NOT NULL DEFAULT 1,
    min INTEGER NOT NULL DEFAULT 1,
    max INTEGER NOT NULL DEFAULT 9223372036854775807,
    cycle INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER,
    owner_table TEXT,
    owner_column TEXT,
    type INTEGER NOT NULL DEFAULT 20
) STRICT;
CREATE TABLE towline_database (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE towline_schema (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE towline_role (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    superuser INTEGER NOT NULL DEFAULT 0,
    inherit INTEGER NOT NULL DEFAULT 1,
    create_role INTEGER NOT NULL DEFAULT 0,
    create_database INTEGER NOT NULL DEFAULT 0,
    login INTEGER NOT NULL DEFAULT 0,
    replication INTEGER NOT NULL DEFAULT 0,
    bypass_row_security INTEGER NOT NULL DEFAULT 0,
    connection_limit INTEGER NOT NULL DEFAULT -1,
    verifier TEXT,
    valid_until TEXT
) STRICT;
CREATE TABLE towline_membership (
    role INTEGER NOT NULL,
    member INTEGER NOT NULL,
    grantor INTEGER NOT NULL,
    admin INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (role, member)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_access (
    class INTEGER NOT NULL,
    object INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    grants TEXT,
    PRIMARY KEY (class, object)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_column_access (
    relation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    grants TEXT NOT NULL,
    PRIMARY KEY (relation, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_default_access (
    database INTEGER NOT NULL,
    role INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    kind TEXT NOT NULL,
    grants TEXT NOT NULL,
    PRIMARY KEY (database, role, schema, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_start_setting (
    database INTEGER NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (database, role, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_type (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    array_oid INTEGER NOT NULL,
    base INTEGER NOT NULL DEFAULT 0,
    typmod INTEGER NOT NULL DEFAULT -1,
    not_null INTEGER NOT NULL DEFAULT 0,
    default_expr TEXT,
    labels TEXT NOT NULL DEFAULT '[]',
    checks TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE towline_routine (
    oid INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    signature TEXT NOT NULL,
    said TEXT NOT NULL,
    UNIQUE (name, signature)
) STRICT;
CREATE TABLE towline_comment (
    object INTEGER NOT NULL,
    class INTEGER NOT NULL,
    number INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL,
    PRIMARY KEY (object, class, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_large_object (
    oid INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    database INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE towline_large_object_page (
    oid INTEGER NOT NULL,
    page INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (oid, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE towline_outcome (
    slot INTEGER PRIMARY KEY,
    session BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    tag TEXT,
    reply BLOB
) STRICT;
";
