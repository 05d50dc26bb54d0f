use std::collections::BTreeMap;

use super::{Access, DefaultAccessKey, Grant, Roles, Routine};
use crate::pg::Oid;

/// A database's schema at one schema version. Keys are names as stored (folded
/// to lower case unless they were quoted, and behind the database's prefix).
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The database's number, as in the log.
    pub database: u32,
    /// With what all its stored names begin; empty for the first database.
    pub prefix: String,
    /// The databases that clients made, by name: all of the cluster's.
    pub databases: BTreeMap<String, u32>,
    /// The roles, of the whole cluster.
    pub roles: Roles,
    /// Owners and privileges, where they are not those of a new object, by the catalog
    /// that lists the object and its OID.
    pub access: BTreeMap<(u32, Oid), Access>,
    /// Privileges on columns by themselves, by their table and number.
    pub column_access: BTreeMap<(Oid, i64), Vec<Grant>>,
    /// The privileges of objects that are yet to be made.
    pub default_access: BTreeMap<DefaultAccessKey, Vec<Grant>>,
    /// SQLite's schema version, the cache key of everything derived.
    pub version: u64,
    pub relations: BTreeMap<String, Relation>,
    pub sequences: BTreeMap<String, Sequence>,
    /// Schemas that clients made, by name without prefix, with their OIDs.
    pub schemas: BTreeMap<String, Oid>,
    /// Enums and domains, by name as stored.
    pub types: BTreeMap<String, UserType>,
    /// Functions and procedures that clients made, by name and then OID.
    pub routines: Vec<Routine>,
    pub comments: Vec<Comment>,
    /// Temporary tables that lose their rows (`d`) or go (`x`) when a transaction ends.
    pub on_commit: BTreeMap<String, char>,
}

/// What COMMENT ON said.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The object's OID, and that of the system catalog which lists it.
    pub object: Oid,
    pub class: Oid,
    /// A column's number, or 0.
    pub number: i64,
    pub text: String,
}

/// A type that a client made.
#[derive(Clone, Debug)]
pub struct UserType {
    pub oid: Oid,
    pub name: String,
    pub array: Oid,
    pub kind: UserTypeKind,
}

#[derive(Clone, Debug)]
pub enum UserTypeKind {
    /// Labels in their order.
    Enum(Vec<String>),
    Domain {
        base: Oid,
        typmod: i32,
        not_null: bool,
        /// PostgreSQL's spelling of the default.
        default: Option<String>,
        /// Names and conditions over VALUE, in PostgreSQL's spelling.
        checks: Vec<(String, String)>,
    },
    Composite {
        /// The OID of its row in `pg_class`.
        relation: Oid,
        fields: Vec<Field>,
    },
}

/// A domain's check, as it stands among the constraints.
#[derive(Clone, Copy, Debug)]
pub struct DomainCheck<'a> {
    /// No constraint of a table has it; the same on every node.
    pub oid: Oid,
    pub domain: &'a UserType,
    pub name: &'a str,
    pub condition: &'a str,
}

/// A field of a composite type.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub oid: Oid,
    pub typmod: i32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelationKind {
    Table,
    View,
    /// Stored as a table that holds its query's rows.
    MaterializedView,
}

impl RelationKind {
    /// As `pg_class.relkind` says it.
    pub fn letter(self) -> char {
        match self {
            Self::Table => 'r',
            Self::View => 'v',
            Self::MaterializedView => 'm',
        }
    }

    /// What messages call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
        }
    }
}

/// A table or view.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The same on every node: allotted from 16384 by the statement that made it.
    pub oid: Oid,
    pub name: String,
    pub kind: RelationKind,
    /// In column order.
    pub attributes: Vec<Attribute>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    /// A view's query, as PostgreSQL would print it.
    pub definition: Option<String>,
    /// Whether it may be read: a materialized view WITH NO DATA may not.
    pub populated: bool,
    /// DISABLE TRIGGER ALL: what a statement does to its rows is held against no foreign
    /// key, and sets none of their actions off.
    pub triggers_off: bool,
    /// Which conditions a view asks of rows that are written through it.
    pub check_option: Option<CheckOption>,
}

/// OIDs of what SQLite's own dialect made follow from its name, from here on; DDL allots
/// lower ones.
pub const HASHED_OIDS: u32 = 0x4000_0000;

#[cfg(test)]
impl Relation {
    /// A table with nothing but columns.
    pub fn of_columns(name: &str, columns: &[(&str, Oid)]) -> Self {
        let attribute = |(name, oid): &(&str, Oid)| Attribute {
            name: (*name).to_owned(),
            oid: *oid,
            typmod: -1,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
        };
        Self {
            oid: Oid(16_384),
            name: name.to_owned(),
            kind: RelationKind::Table,
            attributes: columns.iter().map(attribute).collect(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            definition: None,
            populated: true,
            triggers_off: false,
            check_option: None,
        }
    }
}

impl Relation {
    /// The letter by which it is stored: its kind's, or another where it is not populated
    /// or its triggers are off.
    pub fn stored_kind(&self) -> char {
        match self.kind {
            RelationKind::MaterializedView if !self.populated => 'n',
            RelationKind::Table if self.triggers_off => 'd',
            kind => kind.letter(),
        }
    }

    /// Whether SQLite's own dialect made it: there a key that is left out is a new number.
    pub fn is_sqlites(&self) -> bool {
        self.oid.0 >= HASHED_OIDS
    }
}

/// WITH CHECK OPTION of a view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckOption {
    /// Its own.
    Local,
    /// Those of the views that it reads, too.
    Cascaded,
}

impl CheckOption {
    /// By its word, in lower case.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "local" => Some(Self::Local),
            "cascaded" => Some(Self::Cascaded),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cascaded => "cascaded",
        }
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: String,
    pub oid: Oid,
    pub typmod: i32,
    pub not_null: bool,
    /// PostgreSQL's spelling of the default.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    /// PostgreSQL's spelling of a generated column's expression.
    pub generated: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Clone, Debug)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
    /// Its columns, by name.
    pub columns: Vec<String>,
    /// Whether a transaction may put it off to its end, and does so at first.
    pub deferrable: bool,
    pub deferred: bool,
    /// NULLS NOT DISTINCT, of a unique key.
    pub nulls_equal: bool,
    /// Columns that a key's index carries besides.
    pub included: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum ConstraintKind {
    PrimaryKey,
    Unique,
    /// PostgreSQL's spelling of the condition.
    Check(String),
    ForeignKey {
        table: String,
        columns: Vec<String>,
        on_update: char,
        on_delete: char,
    },
}

impl ConstraintKind {
    /// Whether it is a key of its own table.
    pub fn is_key(&self) -> bool {
        matches!(self, Self::PrimaryKey | Self::Unique)
    }
}

impl Constraint {
    /// Whether it is a key of which SQLite has an index by itself: one that it would hold
    /// rows against otherwise if it were declared with the table.
    pub fn has_own_index(&self) -> bool {
        self.kind.is_key() && (self.deferrable || self.nulls_equal)
    }
}

#[derive(Clone, Debug)]
pub struct Index {
    pub oid: Oid,
    pub name: String,
    pub unique: bool,
    pub primary: bool,
    /// Columns by name, or expressions in parentheses.
    pub columns: Vec<String>,
    pub predicate: Option<String>,
    /// NULLS NOT DISTINCT.
    pub nulls_equal: bool,
    /// Columns that it carries beside its keys.
    pub included: Vec<String>,
    /// The access method by name. SQLite has but one, whatever it is called here.
    pub method: String,
    /// Operator classes of the keys, where they are not their types' own; else empty.
    pub classes: Vec<String>,
}

impl Index {
    /// A key's operator class, if it is not that of its type.
    pub fn class(&self, at: usize) -> Option<&str> {
        self.classes.get(at).map(String::as_str).filter(|class| !class.is_empty())
    }
}

#[derive(Clone, Debug)]
pub struct Sequence {
    pub oid: Oid,
    pub name: String,
    /// The type of its values.
    pub kind: Oid,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    /// The highest value reserved so far in the log; `None` before the first.
    pub reserved: Option<i64>,
    /// The column that owns it, as (table, column).
    pub owner: Option<(String, String)>,
}
