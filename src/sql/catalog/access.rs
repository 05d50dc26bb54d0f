//! Who owns what, and which privileges others have on it.
//!
//! An object without a row in `towline_access` belongs to [`BOOTSTRAP`], and has the
//! privileges that PostgreSQL gives such an object at first. A row holds the owner, and
//! its privileges once a GRANT or REVOKE has changed them: JSON, for each grantee
//! `[grantee, grantor, "rights", "rights that it may grant"]`, a letter a right as in
//! `aclitem`; grantee 0 is everybody.

use super::role::{BOOTSTRAP, DATABASE_OWNER};
use super::schema::{NAMESPACES, PUBLIC_OID};
use super::{Catalog, Roles};
use crate::pg::Oid;

/// Everybody, as a grantee.
pub const EVERYBODY: Oid = Oid(0);
/// Roles that may read, or write, all tables.
const READS_ALL: Oid = Oid(6181);
const WRITES_ALL: Oid = Oid(6182);

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rights(u16);

/// Letter, keyword.
const RIGHTS: [(char, &str); 12] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
];

impl Rights {
    pub const NONE: Self = Self(0);
    pub const INSERT: Self = Self(1);
    pub const SELECT: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const TRUNCATE: Self = Self(1 << 4);
    pub const REFERENCES: Self = Self(1 << 5);
    pub const USAGE: Self = Self(1 << 8);
    pub const CREATE: Self = Self(1 << 9);
    pub const TEMPORARY: Self = Self(1 << 10);
    pub const CONNECT: Self = Self(1 << 11);

    /// A right by its keyword, in any case.
    pub fn named(keyword: &str) -> Option<Self> {
        let keyword = if keyword.eq_ignore_ascii_case("temp") { "temporary" } else { keyword };
        let at = RIGHTS.iter().position(|(_, known)| known.eq_ignore_ascii_case(keyword))?;
        Some(Self(1 << at))
    }

    pub fn of_letters(letters: &str) -> Self {
        let bit = |letter| RIGHTS.iter().position(|(known, _)| *known == letter);
        Self(letters.chars().filter_map(bit).fold(0, |rights, at| rights | 1 << at))
    }

    fn letters(self) -> String {
        self.each().map(|(letter, _)| letter).collect()
    }

    /// Each right by itself.
    pub fn singly(self) -> impl Iterator<Item = Self> {
        (0..RIGHTS.len()).map(|at| Self(1 << at)).filter(move |one| self.0 & one.0 != 0)
    }

    fn each(self) -> impl Iterator<Item = (char, &'static str)> {
        let has = move |(at, _): &(usize, _)| self.0 & (1 << at) != 0;
        RIGHTS.into_iter().enumerate().filter(has).map(|(_, right)| right)
    }

    /// Keywords.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.each().map(|(_, name)| name)
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What has an owner and privileges.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ObjectKind {
    /// Views too.
    Table,
    Sequence,
    Schema,
    Database,
    Type,
    /// Functions and procedures.
    Routine,
}

impl ObjectKind {
    /// The system catalog that lists it.
    pub fn class(self) -> u32 {
        match self {
            Self::Table | Self::Sequence => 1259,
            Self::Schema => 2615,
            Self::Database => 1262,
            Self::Type => 1247,
            Self::Routine => 1255,
        }
    }

    /// All rights that there are on it.
    pub fn rights(self) -> Rights {
        Rights::of_letters(match self {
            Self::Table => "arwdDxt",
            Self::Sequence => "rwU",
            Self::Schema => "UC",
            Self::Database => "CTc",
            Self::Type => "U",
            Self::Routine => "X",
        })
    }

    /// What everybody may do with a new one.
    pub(super) fn of_everybody(self) -> Rights {
        Rights::of_letters(match self {
            Self::Table | Self::Sequence | Self::Schema => "",
            Self::Database => "Tc",
            Self::Type => "U",
            Self::Routine => "X",
        })
    }

    /// What messages call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Sequence => "sequence",
            Self::Schema => "schema",
            Self::Database => "database",
            Self::Type => "type",
            Self::Routine => "function",
        }
    }
}

/// What one role has granted another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    pub grantee: Oid,
    pub grantor: Oid,
    pub rights: Rights,
    /// Of those, which the grantee may grant.
    pub options: Rights,
}

/// A row of `towline_access`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    pub owner: Oid,
    /// `None` while nothing was granted or revoked.
    pub grants: Option<Vec<Grant>>,
}

/// Grants, as they are kept; `None` for what can't be read.
pub fn parse_grants(json: &str) -> Option<Vec<Grant>> {
    let items: Vec<(u32, u32, String, String)> = serde_json::from_str(json).ok()?;
    let grant = |(grantee, grantor, rights, options): (u32, u32, String, String)| Grant {
        grantee: Oid(grantee),
        grantor: Oid(grantor),
        rights: Rights::of_letters(&rights),
        options: Rights::of_letters(&options),
    };
    Some(items.into_iter().map(grant).collect())
}

/// The reverse of [`parse_grants`].
pub fn write_grants(grants: &[Grant]) -> String {
    let item = |g: &Grant| {
        let (rights, options) = (g.rights.letters(), g.options.letters());
        format!("[{},{},\"{rights}\",\"{options}\"]", g.grantee.0, g.grantor.0)
    };
    format!("[{}]", grants.iter().map(item).collect::<Vec<_>>().join(","))
}

impl Catalog {
    pub fn owner_of(&self, kind: ObjectKind, object: Oid) -> Oid {
        let default = match kind {
            ObjectKind::Schema if object.0 == PUBLIC_OID => DATABASE_OWNER,
            _ => BOOTSTRAP,
        };
        self.access.get(&(kind.class(), object)).map_or(default, |access| access.owner)
    }

    /// The grants that are in force on an object.
    pub fn grants_on(&self, kind: ObjectKind, object: Oid) -> Vec<Grant> {
        let kept = self.access.get(&(kind.class(), object));
        if let Some(grants) = kept.and_then(|access| access.grants.as_ref()) {
            return grants.clone();
        }
        let owner = self.owner_of(kind, object);
        let is_system = kind == ObjectKind::Schema
            && NAMESPACES.iter().any(|(oid, _)| *oid == i64::from(object.0));
        let everybody = if is_system { Rights::USAGE } else { kind.of_everybody() };
        initial_grants(kind, owner, everybody)
    }

    /// As PostgreSQL prints grants; `None` while they are those of a new object.
    pub fn printed_grants(&self, kind: ObjectKind, object: Oid, owner: &str) -> Option<String> {
        let kept = self.access.get(&(kind.class(), object)).and_then(|a| a.grants.as_ref());
        let is_public = kind == ObjectKind::Schema && object.0 == PUBLIC_OID;
        if kept.is_none() && !is_public {
            return None;
        }
        Some(self.print_grants(&self.grants_on(kind, object), owner))
    }

    /// Grants as PostgreSQL prints them, where the users of the configuration are `owner`.
    pub fn print_grants(&self, grants: &[Grant], owner: &str) -> String {
        let name = |oid: Oid| match oid {
            EVERYBODY => "",
            oid => self.roles.name(oid, owner).unwrap_or("?"),
        };
        let print = |grant: &Grant| {
            let starred = grant.rights.each().map(|(letter, _)| {
                let star = Rights::of_letters(&letter.to_string()).and(grant.options);
                if star.is_empty() { letter.to_string() } else { format!("{letter}*") }
            });
            let rights: String = starred.collect();
            format!("{}={rights}/{}", name(grant.grantee), name(grant.grantor))
        };
        let items: Vec<String> = grants.iter().map(print).collect();
        super::rows::text_array(&items)
    }

    /// Whether `role` owns an object, itself or by membership.
    pub fn owns(&self, role: Oid, kind: ObjectKind, object: Oid) -> bool {
        self.has_role(role, self.owner_of(kind, object))
    }

    /// Whether `role` has the privileges of `other`.
    pub(super) fn has_role(&self, role: Oid, other: Oid) -> bool {
        let roles: &Roles = &self.roles;
        roles.is_superuser(role)
            || roles.is_member(role, other, true)
            || other == DATABASE_OWNER
                && roles.is_member(role, self.owner_of(ObjectKind::Database, self.own_oid()), true)
    }

    /// Under which OID the rights on the catalog's own database are kept.
    pub fn own_oid(&self) -> Oid {
        Oid(self.database)
    }

    /// Of `wanted`, what `role` may not do with an object.
    pub fn lacks(&self, role: Oid, kind: ObjectKind, object: Oid, wanted: Rights) -> Rights {
        if self.roles.is_superuser(role) {
            return Rights::NONE;
        }
        let mut lacks = wanted;
        for grant in self.grants_on(kind, object) {
            if grant.grantee == EVERYBODY || self.has_role(role, grant.grantee) {
                lacks = lacks.without(grant.rights);
            }
        }
        for (all, reads) in [(READS_ALL, true), (WRITES_ALL, false)] {
            if lacks.is_empty() || !self.roles.is_member(role, all, true) {
                continue;
            }
            lacks = lacks.without(match (kind, reads) {
                (ObjectKind::Schema, _) => Rights::USAGE,
                (ObjectKind::Table | ObjectKind::Sequence, true) => Rights::SELECT,
                (ObjectKind::Table, false) => Rights::of_letters("awd"),
                _ => Rights::NONE,
            });
        }
        lacks
    }

    /// Of `wanted`, what `role` may hand on.
    pub fn may_grant(&self, role: Oid, kind: ObjectKind, object: Oid, wanted: Rights) -> Rights {
        if self.owns(role, kind, object) {
            return wanted;
        }
        let grants = self.grants_on(kind, object);
        let held = grants.iter().filter(|grant| self.has_role(role, grant.grantee));
        held.fold(Rights::NONE, |rights, grant| rights.with(grant.options)).and(wanted)
    }
}

/// The grants on a new object, as far as nothing else is said.
pub(super) fn initial_grants(kind: ObjectKind, owner: Oid, everybody: Rights) -> Vec<Grant> {
    let rights = kind.rights();
    let owners = Grant { grantee: owner, grantor: owner, rights, options: Rights::NONE };
    let others = Grant { grantee: EVERYBODY, rights: everybody, ..owners };
    [owners, others].into_iter().filter(|grant| !grant.rights.is_empty()).collect()
}

/// Adds rights to what a role was granted.
pub fn granted(grants: &mut Vec<Grant>, new: Grant) {
    let known = |g: &&mut Grant| g.grantee == new.grantee && g.grantor == new.grantor;
    match grants.iter_mut().find(known) {
        Some(grant) => {
            grant.rights = grant.rights.with(new.rights);
            grant.options = grant.options.with(new.options);
        }
        None => grants.push(new),
    }
}

/// Takes rights, or only the right to hand them on, from a role, whoever gave them.
pub fn revoked(grants: &mut Vec<Grant>, grantee: Oid, rights: Rights, option_only: bool) {
    for grant in grants.iter_mut().filter(|grant| grant.grantee == grantee) {
        grant.options = grant.options.without(rights);
        if !option_only {
            grant.rights = grant.rights.without(rights);
        }
    }
    grants.retain(|grant| !grant.rights.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Oid = Oid(20_000);
    const ANN: Oid = Oid(16_400);

    fn catalog(access: Option<Access>) -> Catalog {
        let access = access.map(|access| ((1259, TABLE), access));
        Catalog { access: access.into_iter().collect(), ..Catalog::default() }
    }

    fn lacks(catalog: &Catalog, kind: ObjectKind, object: Oid, right: Rights) -> bool {
        !catalog.lacks(ANN, kind, object, right).is_empty()
    }

    #[test]
    fn grants_come_back_as_they_were_kept() {
        let grant = Grant {
            grantee: ANN,
            grantor: BOOTSTRAP,
            rights: Rights::SELECT.with(Rights::TRUNCATE),
            options: Rights::SELECT,
        };
        assert_eq!(parse_grants(&write_grants(&[grant])), Some(vec![grant]));
        assert_eq!(write_grants(&[grant]), r#"[[16400,10,"rD","r"]]"#);
    }

    #[test]
    fn new_objects_are_their_owners_alone_but_for_what_everybody_may() {
        let catalog = catalog(None);
        assert!(lacks(&catalog, ObjectKind::Table, TABLE, Rights::SELECT));
        let public = Oid(PUBLIC_OID);
        assert!(!lacks(&catalog, ObjectKind::Schema, public, Rights::USAGE));
        assert!(lacks(&catalog, ObjectKind::Schema, public, Rights::CREATE));
        assert!(!lacks(&catalog, ObjectKind::Database, Oid(0), Rights::CONNECT));
        assert!(lacks(&catalog, ObjectKind::Database, Oid(0), Rights::CREATE));
    }

    #[test]
    fn what_is_granted_is_held_until_it_is_revoked() {
        let mut grants = catalog(None).grants_on(ObjectKind::Table, TABLE);
        let rights = Rights::SELECT.with(Rights::INSERT);
        let new = Grant { grantee: ANN, grantor: BOOTSTRAP, rights, options: Rights::SELECT };
        granted(&mut grants, new);
        let with = |grants: &[Grant]| {
            catalog(Some(Access { owner: BOOTSTRAP, grants: Some(grants.to_vec()) }))
        };
        let kind = ObjectKind::Table;
        assert!(!lacks(&with(&grants), kind, TABLE, rights));
        assert!(lacks(&with(&grants), kind, TABLE, Rights::UPDATE));
        assert_eq!(with(&grants).may_grant(ANN, kind, TABLE, rights), Rights::SELECT);
        revoked(&mut grants, ANN, Rights::SELECT, true);
        assert!(!lacks(&with(&grants), kind, TABLE, rights));
        assert!(with(&grants).may_grant(ANN, kind, TABLE, rights).is_empty());
        revoked(&mut grants, ANN, Rights::SELECT, false);
        assert!(lacks(&with(&grants), kind, TABLE, Rights::SELECT));
        assert!(!lacks(&with(&grants), kind, TABLE, Rights::INSERT));
    }

    #[test]
    fn owners_may_do_everything() {
        let catalog = catalog(Some(Access { owner: ANN, grants: None }));
        assert!(!lacks(&catalog, ObjectKind::Table, TABLE, ObjectKind::Table.rights()));
        assert!(catalog.owns(ANN, ObjectKind::Table, TABLE));
        assert!(!catalog.owns(Oid(1), ObjectKind::Table, TABLE));
    }
}
