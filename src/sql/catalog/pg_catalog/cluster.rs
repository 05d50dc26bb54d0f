//! Rows about what all databases share, and about the session: databases, settings.

use super::{DEFAULT_TABLESPACE, FIRST_DATABASE_OID};
use crate::log::Value;
use crate::pg::Oid;
use crate::pg::settings::{find, in_units};
use crate::pg::types::interval::Interval;
use crate::pg::types::zone::Standing;
use crate::sql::catalog::rows::{Facts, Rows, row};
use crate::sql::catalog::types::data_lines;
use crate::sql::catalog::{
    EMPTY_TEMPLATES, FIRST_DATABASE, MAINTENANCE_DATABASE, NamedRow, ObjectKind,
};

/// A database of the cluster.
pub(super) struct DatabaseRow<'a> {
    pub(super) oid: i64,
    pub(super) name: &'a str,
    is_template: bool,
}

/// All databases, the first one first.
pub(super) fn databases<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = DatabaseRow<'a>> {
    let first = facts.first_database;
    // Where nothing tells the first one's name, it is the session's.
    let first = if first.is_empty() { facts.database } else { first };
    let named = |(name, number): (&'a str, u32), is_template| DatabaseRow {
        oid: number.into(),
        name,
        is_template,
    };
    let maintenance = named(MAINTENANCE_DATABASE, false);
    let templates = EMPTY_TEMPLATES.into_iter().map(move |template| named(template, true));
    let built_in = std::iter::once(maintenance).chain(templates);
    let made = facts.catalog.databases.iter();
    let made = made.map(move |(name, number)| named((name.as_str(), *number), false));
    std::iter::once(DatabaseRow { oid: FIRST_DATABASE_OID, name: first, is_template: false })
        .chain(built_in.filter(move |database| database.name != first))
        .chain(made)
}

/// The OID of the database of a number.
pub fn database_oid(number: u32) -> i64 {
    if number == FIRST_DATABASE { FIRST_DATABASE_OID } else { number.into() }
}

/// Of each database the sessions on this node; nobody counts what else they did.
pub(super) fn add_database_statistics(rows: &mut Rows, facts: &Facts<'_>) {
    let sessions = (facts.live)("pg_stat_activity").unwrap_or_default();
    for database in databases(facts) {
        let is_here = |row: &&NamedRow| {
            row.iter().any(|cell| *cell == ("datid".to_owned(), Value::Integer(database.oid)))
        };
        row!(rows,
            "datid" => database.oid,
            "datname" => database.name,
            "numbackends" => i64::try_from(sessions.iter().filter(is_here).count()).unwrap_or(0),
        );
    }
}

pub(super) fn add_databases(rows: &mut Rows, facts: &Facts<'_>) {
    for database in databases(facts) {
        row!(rows,
            "oid" => database.oid,
            "datname" => database.name,
            "encoding" => 6_i64,
            "datlocprovider" => "c",
            "datistemplate" => database.is_template,
            "datallowconn" => !database.is_template,
            "datconnlimit" => -1_i64,
            "datfrozenxid" => "1",
            "datminmxid" => "1",
            "dattablespace" => DEFAULT_TABLESPACE,
            "datcollate" => "C.UTF-8",
            "datctype" => "C.UTF-8",
        );
        let number = if database.oid == FIRST_DATABASE_OID { 0 } else { database.oid };
        let (kind, object) = (ObjectKind::Database, Oid(u32::try_from(number).unwrap_or(0)));
        rows.amend("datdba", facts.catalog.owner_of(kind, object));
        rows.amend("datacl", facts.catalog.printed_grants(kind, object, facts.owner));
    }
}

/// The default of a setting that clients look for, by name in any case.
pub fn default_setting(name: &str) -> Option<&'static str> {
    data_lines(include_str!("../data/settings.txt")).find_map(|line| {
        let (setting, rest) = line.split_once('\t')?;
        setting.eq_ignore_ascii_case(name).then(|| rest.split('\t').next().unwrap_or(""))
    })
}

pub(super) fn add_settings(rows: &mut Rows, facts: &Facts<'_>) {
    let mut seen = Vec::new();
    for line in data_lines(include_str!("../data/settings.txt")) {
        let fields: Vec<_> = line.split('\t').collect();
        let name = fields[0];
        let set = facts.settings.iter().find(|(set, _)| set.eq_ignore_ascii_case(name));
        let some = |at: usize| Some(fields[at]).filter(|text| !text.is_empty());
        let default = find(&name.to_ascii_lowercase()).map(|known| known.default);
        let source = match (set, fields[5]) {
            (Some((_, value)), _) if default == Some(value) => "default",
            (Some(_), "user" | "superuser") => "session",
            (Some(_), _) => "configuration file",
            (None, _) => "default",
        };
        let set = set.map(|(_, value)| match in_units(value, fields[2]) {
            Some(number) => number.to_string(),
            None => value.clone(),
        });
        seen.push(name);
        row!(rows,
            "name" => name,
            "setting" => set.as_deref().unwrap_or(fields[1]),
            "unit" => some(2),
            "category" => some(3),
            "short_desc" => some(4),
            "context" => fields[5],
            "vartype" => fields[6],
            "source" => source,
            "min_val" => some(7),
            "max_val" => some(8),
            "enumvals" => some(9),
            "boot_val" => some(10),
            "reset_val" => fields[1],
            "pending_restart" => false,
        );
    }
    for (name, value) in facts.settings {
        if !seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            row!(rows,
                "name" => name,
                "setting" => value,
                "category" => "Customized Options",
                "context" => "user",
                "vartype" => "string",
                "source" => "session",
                "pending_restart" => false,
            );
        }
    }
}

/// Zones, or abbreviations, as they are by the statement's clock.
pub(super) fn add_zones(rows: &mut Rows, zones: impl Iterator<Item = Standing>) {
    for zone in zones {
        let offset = Interval { months: 0, days: 0, micros: i64::from(zone.offset) * 1_000_000 };
        row!(rows,
            "abbrev" => &zone.abbreviation,
            "utc_offset" => &offset.to_string(),
            "is_dst" => zone.is_summer,
        );
        if rows.relation.position("name").is_some() {
            rows.amend("name", &zone.name);
        }
    }
}
