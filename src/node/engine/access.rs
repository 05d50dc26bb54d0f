//! Owners and privileges: whether a session may run a statement, and what changes that.
//!
//! A statement is held against the catalog each time that it begins to run, so what was
//! granted or revoked holds for plans that were made before.

use std::collections::BTreeMap;

use super::role::{Asker, denied};
use super::session::{EngineSession, Stop};
use crate::gateway::Out;
use crate::node::plan::Plan;
use crate::pg::backend::Writer;
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::catalog::{
    BOOTSTRAP_ROLE, Catalog, EVERYBODY, Grant, ObjectKind, Rights, Role, granted, revoked,
};
use crate::sql::{self, ColumnRights, Demand, Grantee, Owned, RoleChange, RoleName};

impl EngineSession {
    /// Fails with 42501 where the current user may not do what a plan does.
    pub(super) async fn check_allowed(&mut self, plan: &Plan) -> Result<(), Stop> {
        if self.superuser && self.is_plain_superuser() || self.check_not_failed().is_err() {
            return Ok(());
        }
        let demands = &plan.translated.demands;
        if demands.is_empty() && !plan.is_ddl() {
            return Ok(());
        }
        let asker = self.asker().await?;
        if asker.is_superuser() {
            return Ok(());
        }
        for demand in demands {
            check(&asker, demand, demands)?;
        }
        // What changes the schema and says nothing of owners is nobody's but a superuser's.
        let says = |demand: &Demand| match demand {
            Demand::Rights { rights, .. } => !rights
                .and(Rights::CREATE.with(Rights::TEMPORARY).with(Rights::TRUNCATE))
                .is_empty(),
            Demand::Owner { .. } | Demand::Member { .. } => true,
            Demand::OneOf { .. } | Demand::Through { .. } | Demand::Columns { .. } => false,
        };
        if plan.is_ddl() && !demands.iter().any(says) {
            return Err(denied("must be superuser to do this").into());
        }
        Ok(())
    }

    /// Fails where the session's user may not connect to a database.
    pub(super) fn check_may_connect(
        &self,
        catalog: &Catalog,
        number: u32,
        name: &str,
    ) -> Result<(), SqlError> {
        let user = self.oid_of(&catalog.roles, &self.params.user).unwrap_or(BOOTSTRAP_ROLE);
        let lacks = catalog.lacks(user, ObjectKind::Database, Oid(number), Rights::CONNECT);
        if lacks.is_empty() {
            return Ok(());
        }
        let message = format!("permission denied for database \"{name}\"");
        let error = SqlError::fatal(SqlState::INSUFFICIENT_PRIVILEGE, message);
        Err(error.with_detail("User does not have CONNECT privilege."))
    }

    /// GRANT and REVOKE of privileges, OWNER TO, REASSIGN OWNED.
    pub(super) fn change_access(
        &self,
        asker: &Asker,
        change: &RoleChange,
        out: &mut Out,
    ) -> Result<Vec<String>, SqlError> {
        let mut statements = Vec::new();
        match change {
            RoleChange::Rights { grants, objects, rights, columns, grantees, option } => {
                let whom = self.whom(asker, grantees)?;
                let granting = Granting { grants: *grants, whom: &whom, option: *option };
                for object in objects {
                    // By column, for each may be named several times.
                    let mut changed = BTreeMap::new();
                    for listed in columns {
                        column_rights(asker, object, listed, granting, &mut changed, out)?;
                    }
                    if *rights != Some(Rights::NONE) {
                        let wanted = rights.unwrap_or_else(|| object.kind.rights());
                        let may = asker.may_grant(object, wanted);
                        if may.is_empty() {
                            let message =
                                format!("permission denied for {} {}", object.word, object.name);
                            return Err(denied(&message));
                        }
                        if *grants && may != wanted && rights.is_some() {
                            let of = format!("\"{}\"", object.name);
                            warn(out, format!("not all privileges were granted for {of}"));
                        }
                        statements.push(changed_rights(asker, object, may, granting));
                        // What is taken from a table is taken from its columns, too.
                        if !grants && object.kind == ObjectKind::Table {
                            for (number, _) in asker.catalog.granted_columns(object.object) {
                                let all = changed.entry(number).or_insert(Rights::NONE);
                                *all = all.with(may);
                            }
                        }
                    }
                    let columns = changed.into_iter();
                    statements.extend(
                        columns.map(|(at, rights)| {
                            changed_column(asker, object, at, rights, granting)
                        }),
                    );
                }
            }
            RoleChange::Defaults { roles, schemas, grants, kind, rights, grantees, option } => {
                let whom = self.whom(asker, grantees)?;
                let roles = match roles.as_slice() {
                    [] => vec![asker.current],
                    roles => self.oids_of(asker, roles)?,
                };
                let schemas = if schemas.is_empty() { &[Oid(0)] } else { schemas.as_slice() };
                let rights = rights.unwrap_or_else(|| kind.rights());
                for role in roles {
                    let may =
                        asker.is_superuser() || asker.roles().is_member(asker.current, role, true);
                    if !may {
                        return Err(denied("permission denied to change default privileges"));
                    }
                    for schema in schemas {
                        let key = (role, *schema, *kind);
                        let mut all = asker.catalog.default_access_of(&key);
                        let granting = Granting { grants: *grants, whom: &whom, option: *option };
                        change_grants(&mut all, role, rights, granting);
                        statements.push(sql::write_default_access(&asker.catalog, &key, &all));
                    }
                }
            }
            RoleChange::Own { object, to } => statements = self.give(asker, object, to)?,
            RoleChange::Reassign { from, to } => {
                let from = self.oids_of(asker, from)?;
                let to = self.oids_of(asker, std::slice::from_ref(to))?[0];
                for role in from.iter().chain([&to]) {
                    let member =
                        asker.is_superuser() || asker.roles().is_member(asker.current, *role, true);
                    if !member {
                        return Err(denied("permission denied to reassign objects"));
                    }
                }
                for ((class, object), access) in &asker.catalog.access {
                    if from.contains(&access.owner) {
                        let grants = access.grants.clone().map(|mut grants| {
                            hand_over(&mut grants, access.owner, to);
                            grants
                        });
                        statements.push(self.write_access(
                            asker,
                            *class,
                            *object,
                            to,
                            grants.as_deref(),
                        ));
                        statements.extend(hand_over_columns(asker, *object, access.owner, to));
                    }
                }
            }
            _ => unreachable!("no change of owners or privileges"),
        }
        Ok(statements)
    }

    /// The roles that rights are given to, or taken from.
    fn whom(&self, asker: &Asker, grantees: &[Grantee]) -> Result<Vec<Oid>, SqlError> {
        let oid = |grantee: &Grantee| match grantee {
            Grantee::Everybody => Ok(EVERYBODY),
            Grantee::Role(role) => Ok(self.oids_of(asker, std::slice::from_ref(role))?[0]),
        };
        grantees.iter().map(oid).collect()
    }

    /// ALTER … OWNER TO.
    pub(super) fn give(
        &self,
        asker: &Asker,
        object: &Owned,
        to: &RoleName,
    ) -> Result<Vec<String>, SqlError> {
        let to = self.oids_of(asker, std::slice::from_ref(to))?[0];
        let Owned { kind, object: oid, word, name } = object;
        if !asker.catalog.owns(asker.current, *kind, *oid) {
            return Err(denied(&format!("must be owner of {word} {name}")));
        }
        if !asker.is_superuser() && !asker.roles().is_member(asker.current, to, false) {
            let role = asker.roles().name(to, self.owner_name()).unwrap_or_default();
            return Err(denied(&format!("must be member of role \"{role}\"")));
        }
        let before = asker.catalog.owner_of(*kind, *oid);
        let kept = asker.catalog.access.get(&(kind.class(), *oid));
        let grants = kept.and_then(|access| access.grants.clone()).map(|mut grants| {
            hand_over(&mut grants, before, to);
            grants
        });
        let mut given = vec![self.write_access(asker, kind.class(), *oid, to, grants.as_deref())];
        given.extend(hand_over_columns(asker, *oid, before, to));
        // A table's own sequences go with it.
        let table = asker.catalog.relation(*oid).map(|relation| &relation.name);
        for sequence in asker.catalog.sequences.values() {
            let owned = sequence.owner.as_ref().is_some_and(|(owner, _)| Some(owner) == table);
            if owned && *kind == ObjectKind::Table {
                let class = ObjectKind::Sequence.class();
                given.push(self.write_access(asker, class, sequence.oid, to, None));
            }
        }
        Ok(given)
    }

    fn write_access(
        &self,
        asker: &Asker,
        class: u32,
        object: Oid,
        owner: Oid,
        grants: Option<&[Grant]>,
    ) -> String {
        sql::write_access(class, kept_under(&asker.catalog, class, object), owner, grants)
    }
}

/// Under which OID an object's row is kept.
fn kept_under(catalog: &Catalog, class: u32, object: Oid) -> Oid {
    let is_public = class == ObjectKind::Schema.class() && object.0 == sql::catalog::PUBLIC_OID;
    if is_public { catalog.key_of_public() } else { object }
}

/// What an owner granted, and was granted, is its successor's.
fn hand_over(grants: &mut [Grant], from: Oid, to: Oid) {
    for grant in grants {
        for role in [&mut grant.grantee, &mut grant.grantor] {
            if *role == from {
                *role = to;
            }
        }
    }
}

/// As [`hand_over`], of what was granted on the columns of an object, if it has some.
fn hand_over_columns(asker: &Asker, object: Oid, from: Oid, to: Oid) -> Vec<String> {
    let handed = |(number, grants): (i64, &Vec<Grant>)| {
        let mut grants = grants.clone();
        hand_over(&mut grants, from, to);
        sql::write_column_access(object, number, &grants)
    };
    asker.catalog.granted_columns(object).map(handed).collect()
}

/// What GRANT or REVOKE does: gives rights or takes them, to or from whom, to hand on or
/// that alone.
#[derive(Clone, Copy)]
struct Granting<'a> {
    grants: bool,
    whom: &'a [Oid],
    option: bool,
}

fn warn(out: &mut Out, message: String) {
    let warning = SqlError::new(SqlState("01007"), message);
    Writer(&mut out.buffer).notice(&SqlError { severity: Severity::Warning, ..warning });
}

impl Asker {
    fn may_grant(&self, object: &Owned, wanted: Rights) -> Rights {
        self.catalog.may_grant(self.current, object.kind, object.object, wanted)
    }
}

/// Adds rights on columns of an object to those that change, by the columns' numbers.
fn column_rights(
    asker: &Asker,
    object: &Owned,
    listed: &ColumnRights,
    granting: Granting<'_>,
    changed: &mut BTreeMap<i64, Rights>,
    out: &mut Out,
) -> Result<(), SqlError> {
    let (catalog, table) = (&asker.catalog, object.object);
    let attributes = catalog.relation(table).map_or(&[][..], |relation| &relation.attributes);
    let wanted = listed.rights.unwrap_or(Rights::ON_COLUMNS);
    for column in &listed.columns {
        let named = (1..).zip(attributes).find(|(_, attribute)| attribute.name == *column);
        let of = format!("column \"{column}\" of relation \"{}\"", object.name);
        let Some((number, _)) = named else {
            let message = format!("{of} does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        let may = asker.may_grant(object, wanted);
        let may = may.with(catalog.may_grant_column(asker.current, table, number, wanted));
        if may.is_empty() {
            return Err(denied(&format!("permission denied for {of}")));
        }
        if granting.grants && may != wanted && listed.rights.is_some() {
            warn(out, format!("not all privileges were granted for {of}"));
        }
        let all = changed.entry(number).or_insert(Rights::NONE);
        *all = all.with(may);
    }
    Ok(())
}

fn changed_column(
    asker: &Asker,
    object: &Owned,
    number: i64,
    rights: Rights,
    granting: Granting<'_>,
) -> String {
    let mut all = asker.catalog.grants_on_column(object.object, number).to_vec();
    change_grants(&mut all, grantor(asker, object), rights, granting);
    sql::write_column_access(object.object, number, &all)
}

/// In whose name rights are granted.
fn grantor(asker: &Asker, object: &Owned) -> Oid {
    let Owned { kind, object, .. } = object;
    // Superusers, and members of the owner, grant in its name.
    match asker.catalog.owns(asker.current, *kind, *object) {
        true => asker.catalog.owner_of(*kind, *object),
        false => asker.current,
    }
}

fn changed_rights(asker: &Asker, object: &Owned, rights: Rights, granting: Granting<'_>) -> String {
    let catalog = &asker.catalog;
    let owner = catalog.owner_of(object.kind, object.object);
    let mut all = catalog.grants_on(object.kind, object.object);
    change_grants(&mut all, grantor(asker, object), rights, granting);
    let class = object.kind.class();
    sql::write_access(class, kept_under(catalog, class, object.object), owner, Some(&all))
}

/// Gives rights, or takes them.
fn change_grants(all: &mut Vec<Grant>, grantor: Oid, rights: Rights, granting: Granting<'_>) {
    for grantee in granting.whom.iter().copied() {
        if granting.grants {
            let options =
                if granting.option && grantee != EVERYBODY { rights } else { Rights::NONE };
            granted(all, Grant { grantee, grantor, rights, options });
        } else {
            revoked(all, grantee, rights, granting.option);
        }
    }
}

/// Of the rights that are demanded on an object, those that the user has neither on it nor
/// on as much of its columns as the statement needs.
fn lacking(
    asker: &Asker,
    kind: ObjectKind,
    object: Oid,
    rights: Rights,
    demands: &[Demand],
) -> Rights {
    let Asker { catalog, current } = asker;
    let lacks = catalog.lacks(*current, kind, object, rights);
    if kind != ObjectKind::Table || catalog.column_access.is_empty() {
        return lacks;
    }
    let on_columns = |wanted: &Rights| {
        let numbers = demands.iter().find_map(|demand| match demand {
            Demand::Columns { table, right, numbers } => {
                (*table == object && right == wanted).then_some(numbers)
            }
            _ => None,
        });
        catalog.holds_on_columns(*current, object, *wanted, numbers)
    };
    lacks.singly().filter(on_columns).fold(lacks, Rights::without)
}

/// Fails where a right on an object is lacking, or one to look into its schema.
fn check_rights(
    asker: &Asker,
    kind: ObjectKind,
    object: Oid,
    lacks: Rights,
) -> Result<(), SqlError> {
    let Asker { catalog, current } = asker;
    let stored = match kind {
        ObjectKind::Table => catalog.relation(object).map(|found| &found.name),
        ObjectKind::Sequence => {
            let mut found = catalog.sequences.values();
            found.find(|found| found.oid == object).map(|found| &found.name)
        }
        _ => None,
    };
    if let Some(stored) = stored {
        let schema = catalog.split_name(stored).0;
        let oid = Oid(u32::try_from(catalog.schema_oid(schema)).unwrap_or(0));
        if !catalog.lacks(*current, ObjectKind::Schema, oid, Rights::USAGE).is_empty() {
            return Err(denied(&format!("permission denied for schema {schema}")));
        }
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let word = match kind {
        ObjectKind::Table => {
            catalog.relation(object).map_or("table", |relation| relation.kind.word())
        }
        kind => kind.word(),
    };
    let name = match (kind, stored) {
        (_, Some(stored)) => catalog.bare(stored).to_owned(),
        (ObjectKind::Schema, None) => schema_name(catalog, object),
        _ => String::new(),
    };
    let message = match kind {
        ObjectKind::Database => "permission denied for database".to_owned(),
        _ => format!("permission denied for {word} {name}"),
    };
    Err(denied(&message))
}

/// Holds a demand, which is one of `demands`, against who asks.
fn check(asker: &Asker, demand: &Demand, demands: &[Demand]) -> Result<(), SqlError> {
    let Asker { catalog, current } = asker;
    match demand {
        Demand::Rights { kind, object, rights } => {
            let lacks = lacking(asker, *kind, *object, *rights, demands);
            check_rights(asker, *kind, *object, lacks)
        }
        Demand::Columns { .. } => Ok(()),
        Demand::OneOf { kind, object, rights } => {
            let lacks = catalog.lacks(*current, *kind, *object, *rights);
            let lacks = if lacks == *rights { lacks } else { Rights::NONE };
            check_rights(asker, *kind, *object, lacks)
        }
        Demand::Owner { kind, object, word, name } => {
            if catalog.owns(*current, *kind, *object) {
                return Ok(());
            }
            // Who owns a schema may drop what lies in it.
            Err(denied(&format!("must be owner of {word} {name}")))
        }
        Demand::Through { view, table, rights } => {
            let owner = catalog.owner_of(ObjectKind::Table, *view);
            if catalog.lacks(owner, ObjectKind::Table, *table, *rights).is_empty() {
                return Ok(());
            }
            let (word, name) = match catalog.relation(*table) {
                Some(relation) => (relation.kind.word(), catalog.bare(&relation.name)),
                None => ("table", ""),
            };
            Err(denied(&format!("permission denied for {word} {name}")))
        }
        Demand::Member { role, message } => {
            if catalog.roles.is_member(*current, *role, true) {
                return Ok(());
            }
            Err(denied(message))
        }
    }
}

fn schema_name(catalog: &Catalog, oid: Oid) -> String {
    let built_in = sql::catalog::NAMESPACES.iter().find(|(known, _)| *known == i64::from(oid.0));
    let made = || catalog.schemas.iter().find(|(_, known)| **known == oid);
    let name = built_in.map(|(_, name)| (*name).to_owned());
    name.or_else(|| made().map(|(name, _)| name.clone())).unwrap_or_default()
}

/// Refuses to drop a role that owns something, or was granted something.
pub(super) fn check_owns_nothing(catalog: &Catalog, role: &Role) -> Result<(), SqlError> {
    let mut depending = 0_usize;
    for access in catalog.access.values() {
        let granted = access.grants.iter().flatten();
        let mut granted = granted.filter(|g| g.grantee == role.oid || g.grantor == role.oid);
        depending += usize::from(access.owner == role.oid || granted.next().is_some());
    }
    for grants in catalog.column_access.values() {
        let granted = |g: &Grant| g.grantee == role.oid || g.grantor == role.oid;
        depending += usize::from(grants.iter().any(granted));
    }
    for ((maker, ..), grants) in &catalog.default_access {
        let said = *maker == role.oid || grants.iter().any(|grant| grant.grantee == role.oid);
        depending += usize::from(said);
    }
    if depending == 0 {
        return Ok(());
    }
    let message =
        format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
    let objects = if depending == 1 { "object" } else { "objects" };
    Err(SqlError::new(SqlState("2BP01"), message)
        .with_detail(format!("{depending} {objects} that it owns or has privileges on")))
}
