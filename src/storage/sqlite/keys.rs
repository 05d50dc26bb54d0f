//! Keys that the engine itself holds rows against, because SQLite can't defer them one by
//! one. A unique key that is deferrable has an ordinary index in SQLite; a foreign key that
//! is deferrable is deferred there always.
//!
//! ```text
//!   row change ──▶ noted ── end of the statement ──▶ violated? ── immediate ──▶ error
//!                                                        └─ deferred ──▶ pending
//!   end of the transaction, SET CONSTRAINTS … IMMEDIATE: pending ── violated? ──▶ error
//! ```
//!
//! The preupdate hook notes the keys that a statement puts in or takes away. What is not
//! violated at the statement's end can come to be only by a further change, which notes it
//! again: so `pending` stays small. It holds too much after a savepoint was undone, which
//! does no harm, for each key is looked up before it is told of.
//!
//! Only where a statement runs for the first time: what followers apply has passed.

use std::collections::HashMap;
use std::sync::Arc;

use super::effect::{DELETE, INSERT, RawValue, RowChange};
use super::shape::quote;
use super::{Sqlite, SqliteError};
use crate::log::{Value, ValueRef};
use crate::pg::Oid;
use crate::sql::catalog::{Catalog, Constraint, ConstraintKind, Deferral, Relation};

/// A key that rows break a constraint with.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokenKey {
    pub key: Arc<WatchedKey>,
    pub role: KeyRole,
    /// Of the key's columns.
    pub values: Vec<Value>,
}

/// A unique or foreign key, as it is looked up.
#[derive(Debug, PartialEq)]
pub struct WatchedKey {
    /// The table, as stored, and the constraint.
    pub table: String,
    pub name: String,
    pub columns: Vec<KeyColumn>,
    /// What a foreign key refers to: the table, as stored, and its columns.
    pub target: Option<(String, Vec<String>)>,
    oid: Oid,
    deferrable: bool,
    deferred: bool,
    /// One NULL is like another.
    nulls_equal: bool,
}

#[derive(Debug, PartialEq)]
pub struct KeyColumn {
    pub name: String,
    pub oid: Oid,
    pub typmod: i32,
}

/// What a change of a row is to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyRole {
    /// The row has it, as no other may.
    Unique,
    /// The row refers to one that must be there.
    Referring,
    /// The row that others refer to is not there any more.
    Referred,
}

/// The keys of a connection's transaction.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What is noted of the rows of each database's tables, by their schema's generation.
    known: HashMap<u32, Arc<Places>>,
    generation: u64,
    /// That of the database of which a statement runs.
    watched: Option<Arc<Places>>,
    deferral: Deferral,
    /// By the running statement.
    noted: Notes,
    /// Violated by earlier ones, and deferred.
    pending: Notes,
}

/// What is noted of a table's rows, by its name.
type Places = HashMap<Vec<u8>, Vec<Place>>;

#[derive(Debug)]
struct Place {
    key: Arc<WatchedKey>,
    role: KeyRole,
    /// Of its columns in the table.
    columns: Vec<i32>,
}

#[derive(Debug, Default)]
struct Notes {
    keys: Vec<BrokenKey>,
    /// Constraints with more keys than are kept: all of their rows are looked at.
    whole: Vec<(Arc<WatchedKey>, KeyRole)>,
}

/// Keys that are noted at most.
const NOTED_MAX: usize = 64 * 1024;

impl Keys {
    /// Forgets the transaction.
    pub(super) fn reset(&mut self) {
        self.watched = None;
        self.deferral = Deferral::default();
        (self.noted, self.pending) = (Notes::default(), Notes::default());
    }

    /// Begins with a statement on a database, whose places are known. `false` if they are not.
    fn begin(&mut self, database: u32, generation: u64) -> bool {
        if self.generation != generation {
            self.known.clear();
            self.generation = generation;
        }
        self.noted = Notes::default();
        let known = self.known.get(&database);
        self.watched = known.filter(|places| !places.is_empty()).cloned();
        known.is_some()
    }

    /// Notes what a row change is to keys.
    pub(super) fn note(&mut self, change: &impl RowChange) {
        let watched = self.watched.as_ref();
        let Some(places) = watched.and_then(|places| places.get(change.table())) else { return };
        for place in places {
            let key = |value: &dyn Fn(i32) -> Option<Value>| -> Option<Vec<Value>> {
                place.columns.iter().map(|column| value(*column)).collect()
            };
            let before = || key(&|column| change.before(column).and_then(owned));
            let after = || key(&|column| change.after(column).and_then(owned));
            let (old, new) = match change.operation() {
                INSERT => (None, after()),
                DELETE => (before(), None),
                _ => (before(), after()),
            };
            if old == new {
                continue;
            }
            let values = if place.role == KeyRole::Referred { old } else { new };
            // A key with NULL in it is like no other, mostly.
            let counts =
                |values: &Vec<Value>| place.key.nulls_equal || !values.contains(&Value::Null);
            if let Some(values) = values.filter(counts) {
                self.noted.add(BrokenKey { key: Arc::clone(&place.key), role: place.role, values });
            }
        }
    }
}

impl Notes {
    fn add(&mut self, note: BrokenKey) {
        if self.keys.len() < NOTED_MAX {
            self.keys.push(note);
        } else if !self.whole.iter().any(|(key, role)| *key == note.key && *role == note.role) {
            self.whole.push((note.key, note.role));
        }
    }

    fn append(&mut self, others: Self) {
        others.keys.into_iter().for_each(|note| self.add(note));
        self.whole.extend(others.whole);
    }
}

/// A value that a key is looked up by.
fn owned(value: RawValue<'_>) -> Option<Value> {
    Some(match value {
        RawValue::Null => Value::Null,
        RawValue::Integer(value) => Value::Integer(value),
        RawValue::Real(value) => Value::Real(value),
        RawValue::Text(bytes) => Value::Text(str::from_utf8(bytes).ok()?.to_owned()),
        RawValue::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// What is to be noted of each table's rows for some constraints.
fn places(catalog: &Catalog, is_watched: fn(&Constraint) -> bool) -> Places {
    let mut places = Places::new();
    for relation in catalog.relations.values() {
        for constraint in relation.constraints.iter().filter(|constraint| is_watched(constraint)) {
            let key = Arc::new(watched(catalog, relation, constraint));
            let own: Vec<&String> = constraint.columns.iter().collect();
            let role = if key.target.is_some() { KeyRole::Referring } else { KeyRole::Unique };
            let mut add = |relation: &Relation, columns: &[&String], role| {
                let numbers = columns.iter().map(|column| Some(relation.number(column)? - 1));
                let Some(columns) = numbers.map(|n| i32::try_from(n?).ok()).collect() else {
                    return;
                };
                let place = Place { key: Arc::clone(&key), role, columns };
                places.entry(relation.name.clone().into_bytes()).or_default().push(place);
            };
            add(relation, &own, role);
            if let Some((table, columns)) = &key.target
                && let Some(target) = catalog.relations.get(table)
            {
                add(target, &columns.iter().collect::<Vec<_>>(), KeyRole::Referred);
            }
        }
    }
    // In the order in which PostgreSQL would tell of them.
    places.values_mut().for_each(|places| places.sort_by_key(|place| place.key.oid.0));
    places
}

fn watched(catalog: &Catalog, relation: &Relation, constraint: &Constraint) -> WatchedKey {
    let column = |name: &String| {
        let attribute = relation.attribute(name);
        let (oid, typmod) = attribute.map_or((Oid::TEXT, -1), |a| (a.oid, a.typmod));
        KeyColumn { name: name.clone(), oid, typmod }
    };
    let target = match &constraint.kind {
        ConstraintKind::ForeignKey { table, columns, .. } => {
            Some((table.clone(), catalog.referenced_columns(table, columns).to_vec()))
        }
        _ => None,
    };
    WatchedKey {
        table: relation.name.clone(),
        name: constraint.name.clone(),
        columns: constraint.columns.iter().map(column).collect(),
        target,
        oid: constraint.oid,
        deferrable: constraint.deferrable,
        deferred: constraint.deferred,
        nulls_equal: constraint.nulls_equal,
    }
}

impl WatchedKey {
    fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    fn is_deferred(&self, deferral: &Deferral) -> bool {
        deferral.defers(self.oid, self.deferrable, self.deferred)
    }
}

impl Sqlite {
    /// A client's statement begins: keys that it changes are noted.
    pub fn watch_keys(&mut self) -> Result<(), SqliteError> {
        let database = self.handle.surroundings().database();
        let generation = self.handle.schema_generation();
        if self.handle.hooks().keys().begin(database, generation) {
            return Ok(());
        }
        let places = Arc::new(places(&*self.catalog()?, |constraint| constraint.deferrable));
        let mut keys = self.handle.hooks().keys();
        keys.known.insert(database, places);
        keys.begin(database, generation);
        Ok(())
    }

    /// As [`Self::watch_keys`], for all foreign keys and nothing else.
    pub(super) fn watch_foreign_keys(&mut self) -> Result<(), SqliteError> {
        let foreign = |it: &Constraint| matches!(it.kind, ConstraintKind::ForeignKey { .. });
        let places = Arc::new(places(&*self.catalog()?, foreign));
        let mut keys = self.handle.hooks().keys();
        keys.noted = Notes::default();
        keys.watched = Some(places);
        Ok(())
    }

    /// What was noted since, of which no more is.
    pub(super) fn take_noted(&mut self) -> Vec<BrokenKey> {
        let mut keys = self.handle.hooks().keys();
        keys.watched = None;
        std::mem::take(&mut keys.noted).keys
    }

    /// It has ended: the first key by which it broke a constraint that is not deferred.
    pub fn broken_key(&mut self) -> Result<Option<BrokenKey>, SqliteError> {
        let noted = {
            let mut keys = self.handle.hooks().keys();
            keys.watched = None;
            std::mem::take(&mut keys.noted)
        };
        self.settle(noted)
    }

    /// Which constraints are deferred from here on, and the first key by which what was
    /// pending breaks one that is not.
    pub fn set_deferral(&mut self, deferral: Deferral) -> Result<Option<BrokenKey>, SqliteError> {
        let pending = {
            let mut keys = self.handle.hooks().keys();
            if keys.deferral == deferral {
                return Ok(None);
            }
            keys.deferral = deferral;
            std::mem::take(&mut keys.pending)
        };
        self.settle(pending)
    }

    /// The first key by which the transaction breaks a constraint, deferred or not.
    pub fn pending_key(&mut self) -> Result<Option<BrokenKey>, SqliteError> {
        let deferral = self.handle.hooks().keys().deferral.clone();
        let broken = self.set_deferral(Deferral::NOTHING)?;
        self.handle.hooks().keys().deferral = deferral;
        Ok(broken)
    }

    /// Looks up what was noted. What is violated and deferred becomes pending.
    fn settle(&mut self, notes: Notes) -> Result<Option<BrokenKey>, SqliteError> {
        // Of no foreign key anything is broken where SQLite counts nothing.
        let foreign = self.deferred_foreign_key_violations()? != 0;
        let concerns = |role: KeyRole| role == KeyRole::Unique || foreign;
        let deferral = self.handle.hooks().keys().deferral.clone();
        let mut first = None;
        let mut pending = Notes::default();
        // What broke a key stays, and what was not looked at: a savepoint may be undone.
        for note in notes.keys.into_iter().filter(|note| concerns(note.role)) {
            if first.is_some() || self.trusted(|sqlite| sqlite.is_broken(&note, false))? {
                if first.is_none() && !note.key.is_deferred(&deferral) {
                    first = Some(note.clone());
                }
                pending.add(note);
            }
        }
        for (key, role) in notes.whole.into_iter().filter(|(_, role)| concerns(*role)) {
            if first.is_none() && !key.is_deferred(&deferral) {
                first = self.trusted(|sqlite| sqlite.any_broken(&key, role))?;
                if first.is_none() {
                    continue;
                }
            }
            pending.whole.push((key, role));
        }
        self.handle.hooks().keys().pending.append(pending);
        Ok(first)
    }

    /// Whether a key breaks its constraint, if what is referred to is `gone`, or there or not.
    pub(super) fn is_broken(&mut self, note: &BrokenKey, gone: bool) -> Result<bool, SqliteError> {
        let BrokenKey { key, values, .. } = note;
        let mut more_than = |table: &str, columns: &[&str], count: i64| {
            let is = if key.nulls_equal { "IS" } else { "=" };
            let equal: Vec<String> = (1..)
                .zip(columns)
                .map(|(at, name)| format!("{} {is} ?{at}", quote(name)))
                .collect();
            let text = format!(
                "SELECT count(*) > {count} FROM (SELECT 1 FROM main.{} WHERE {} LIMIT {})",
                quote(table),
                equal.join(" AND "),
                count + 1,
            );
            let mut statement = self.prepare(&text)?;
            statement.bind_all(values)?;
            statement.step()?;
            Ok(statement.column(0) == ValueRef::Integer(1))
        };
        let own = key.names();
        let Some((target, columns)) = &key.target else { return more_than(&key.table, &own, 1) };
        let there: Vec<&str> = columns.iter().map(String::as_str).collect();
        Ok((gone || !more_than(target, &there, 0)?) && more_than(&key.table, &own, 0)?)
    }

    /// The first key of all rows that breaks a constraint.
    fn any_broken(
        &mut self,
        key: &Arc<WatchedKey>,
        role: KeyRole,
    ) -> Result<Option<BrokenKey>, SqliteError> {
        let names: Vec<String> = key.names().into_iter().map(quote).collect();
        let filled: Vec<String> = match key.nulls_equal {
            true => vec!["TRUE".to_owned()],
            false => names.iter().map(|name| format!("o.{name} NOTNULL")).collect(),
        };
        let alone = match &key.target {
            None => format!("GROUP BY {} HAVING count(*) > 1", names.join(", ")),
            Some((target, columns)) => {
                let equal: Vec<String> = columns
                    .iter()
                    .zip(&names)
                    .map(|(there, own)| format!("t.{} = o.{own}", quote(there)))
                    .collect();
                format!(
                    "AND NOT EXISTS (SELECT 1 FROM main.{} AS t WHERE {})",
                    quote(target),
                    equal.join(" AND ")
                )
            }
        };
        let text = format!(
            "SELECT {} FROM main.{} AS o WHERE {} {alone} LIMIT 1",
            names.join(", "),
            quote(&key.table),
            filled.join(" AND ")
        );
        let mut statement = self.prepare(&text)?;
        if !statement.step()? {
            return Ok(None);
        }
        let values = (0..names.len()).map(|at| statement.column(at).to_owned()).collect();
        drop(statement);
        Ok(Some(BrokenKey { key: Arc::clone(key), role, values }))
    }
}
