//! A translated statement with what its execution needs to know, shared by all
//! sessions that use the same text.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use lru::LruCache;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::pg::types::date_style::Order;
use crate::pg::{Oid, SqlError};
use crate::sql::catalog::{Catalog, Index, RelationKind};
use crate::sql::{self, Kind, Shape, Tag, TranslateContext, Translated, mentions_surroundings};

/// One client statement, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    /// As the client wrote it.
    pub text: Arc<str>,
    pub given: Given,
    pub translated: Translated,
    /// What it was translated against; another version means "translate again".
    pub catalog: Arc<Catalog>,
    /// Whether it may call functions that ask for the session's surroundings.
    pub needs_environment: bool,
    /// Whether it visits few rows; set by the first who asks SQLite.
    pub quick: OnceLock<bool>,
}

/// What a translation depends on besides text and catalog.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Given {
    /// Parameter types that the client named.
    pub types: Vec<Oid>,
    /// What the session's database is called.
    pub database: Arc<str>,
    pub reading: Arc<Reading>,
    /// The role that owns what is made.
    pub owner: Oid,
    /// It is a cursor's query.
    pub of_cursor: bool,
}

/// How a session's settings say that its texts are to be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Reading {
    pub search_path: Vec<String>,
    /// Empty while the session has no temporary objects.
    pub temporary_schema: String,
    /// Empty is UTC.
    pub time_zone: String,
    /// Of DateStyle.
    pub date_order: Order,
    /// `check_function_bodies` is off.
    pub bodies_unchecked: bool,
    /// `session_replication_role` is `replica`.
    pub replica: bool,
    pub sqlite_dialect: bool,
}

/// Texts from this length on are read beside the event loop, which goes on meanwhile: the
/// link to a router would be silent for as long as megabytes take.
const LONG: usize = 64 * 1024;

/// Does what takes as long as `text` is long.
pub(super) fn read_through<T>(text: &str, work: impl FnOnce() -> T) -> T {
    if text.len() < LONG { work() } else { tokio::task::block_in_place(work) }
}

impl Plan {
    /// Translates a statement.
    pub(super) fn make(text: &str, given: Given, catalog: Arc<Catalog>) -> Result<Self, SqlError> {
        read_through(text, || Self::translate(text, given, catalog))
    }

    fn translate(text: &str, given: Given, catalog: Arc<Catalog>) -> Result<Self, SqlError> {
        let context = TranslateContext {
            catalog: &catalog,
            param_types: &given.types,
            database: &given.database,
            search_path: &given.reading.search_path,
            temporary_schema: &given.reading.temporary_schema,
            owner: given.owner,
            time_zone: &given.reading.time_zone,
            date_order: given.reading.date_order,
            check_function_bodies: !given.reading.bodies_unchecked,
            replica: given.reading.replica,
            sqlite_dialect: given.reading.sqlite_dialect,
            of_cursor: given.of_cursor,
        };
        let mut translated = sql::translate(text, &context)?;
        if let Kind::Declare { query, .. } = &translated.kind {
            // The parameters of the declaration are the query's.
            translated.params = sql::translate(query, &context)?.params;
        }
        let needs_environment =
            catalog.relations.values().any(|relation| {
                let mut defaults = relation.attributes.iter().filter_map(|a| a.default.as_deref());
                relation.kind == RelationKind::View || defaults.any(mentions_surroundings)
            }) || catalog.routines.iter().any(|routine| mentions_surroundings(&routine.said.body))
                || translated.statements.iter().any(|s| mentions_surroundings(&s.text));
        let quick = OnceLock::new();
        Ok(Self { text: text.into(), given, translated, catalog, needs_environment, quick })
    }

    /// The plan of a definition that does not hold yet: it is translated when it is run.
    pub(super) fn deferred(text: &str, given: Given) -> Self {
        let mut plan = Self { text: text.into(), given, ..Self::empty("") };
        plan.translated.kind = Kind::Ddl { rebuild: false };
        plan
    }

    /// The plan of a translation that came from no text.
    pub(super) fn of(translated: Translated, catalog: Arc<Catalog>) -> Self {
        Self { translated, catalog, ..Self::empty("") }
    }

    /// A plan without statements, for looking up what became of another.
    pub(super) fn nothing() -> Self {
        Self::empty("")
    }

    /// The plan of a COMMIT that is a unit: what it commits comes before it.
    pub(super) fn commit() -> Arc<Self> {
        static COMMIT: LazyLock<Arc<Plan>> = LazyLock::new(|| Arc::new(Plan::empty("COMMIT")));
        Arc::clone(&COMMIT)
    }

    /// Whether it changes the schema.
    pub(super) fn is_ddl(&self) -> bool {
        matches!(self.translated.kind, Kind::Ddl { .. })
    }

    fn empty(tag: &'static str) -> Self {
        let translated = Translated {
            kind: Kind::Write,
            tag: Tag::Fixed(tag),
            params: Vec::new(),
            columns: Vec::new(),
            statements: Vec::new(),
            notices: Vec::new(),
            demands: Vec::new(),
            rows_of: None,
            no_wait: None,
            current_of: None,
            keys_off: false,
        };
        Self {
            text: "".into(),
            given: Given::default(),
            translated,
            catalog: Arc::default(),
            needs_environment: false,
            quick: OnceLock::from(true),
        }
    }

    /// The parameters that a client gives: a COPY's are its data.
    pub(crate) fn params(&self) -> &[Oid] {
        match self.translated.kind {
            Kind::CopyIn { .. } => &[],
            _ => &self.translated.params,
        }
    }

    /// Whether it does with the values as parameters what the statement does with them
    /// in its text.
    fn fits(&self, shape: &Shape) -> bool {
        let Translated { kind, params, .. } = &self.translated;
        let typed = |(found, given): (&Oid, &Oid)| found == given || *given == Oid::UNSPECIFIED;
        // An index over an expression, or a part of a table, serves only those who spell
        // its constants out.
        let text = shape.text.to_ascii_lowercase();
        let spelled = self.catalog.relations.values().any(|relation| {
            let column = |text: &String| relation.attribute(text).is_some();
            let special =
                |index: &Index| index.predicate.is_some() || !index.columns.iter().all(column);
            // What a view stands for isn't looked into.
            (relation.kind == RelationKind::View || relation.indexes.iter().any(special))
                && text.contains(&relation.name.to_ascii_lowercase())
        });
        matches!(kind, Kind::Read { .. } | Kind::Write)
            && params.len() == shape.types.len()
            && params.iter().zip(&shape.types).all(typed)
            && !spelled
    }

    /// The number of the database that it was translated for.
    pub(super) fn database(&self) -> u32 {
        self.catalog.database
    }

    /// Whether the statement changes the database, so that only the leader runs it.
    pub(super) fn is_write(&self) -> bool {
        match self.translated.kind {
            Kind::Write | Kind::Ddl { .. } | Kind::CopyIn { .. } | Kind::Lock => true,
            Kind::Read { for_update } => for_update,
            Kind::Vacuum { analyze } => analyze,
            _ => false,
        }
    }
}

/// Plans by text, the least recently used dropped first.
pub(super) struct PlanCache {
    plans: Mutex<Plans>,
    /// Shapes, by the same key, whose values must stay in the text, and the version of
    /// the catalog by which that was found.
    unfit: Mutex<LruCache<u64, u64>>,
}

struct Plans {
    by_key: LruCache<u64, Arc<Plan>>,
    /// The versions of the catalogs that they hold: each change of a table makes one, of
    /// the size of all tables.
    catalogs: LruCache<u64, ()>,
}

impl Plans {
    fn get(&mut self, key: u64, version: u64) -> Option<&Arc<Plan>> {
        let plan = self.by_key.get(&key).filter(|plan| plan.catalog.version == version)?;
        self.catalogs.promote(&version);
        Some(plan)
    }

    fn put(&mut self, key: u64, plan: Arc<Plan>) {
        let version = plan.catalog.version;
        self.by_key.put(key, plan);
        let Some((dropped, ())) = self.catalogs.push(version, ()) else { return };
        if dropped != version {
            let stale = self.by_key.iter().filter(|(_, plan)| plan.catalog.version == dropped);
            let stale: Vec<u64> = stale.map(|(key, _)| *key).collect();
            for key in stale {
                self.by_key.pop(&key);
            }
        }
    }
}

impl PlanCache {
    /// Plans kept.
    const PLANS: NonZeroUsize = NonZeroUsize::new(2048).expect("not zero");
    /// Catalogs kept for them: those of several databases, and of a transaction that
    /// changes one.
    const CATALOGS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");
    /// A longer text is hardly sent twice.
    const TEXT_MAX: usize = 16 * 1024;

    pub(super) fn new() -> Self {
        let plans =
            Plans { by_key: LruCache::new(Self::PLANS), catalogs: LruCache::new(Self::CATALOGS) };
        Self { plans: Mutex::new(plans), unfit: Mutex::new(LruCache::new(Self::PLANS)) }
    }

    /// The plan of a shape, with parameters of the types that `given` names. `None`
    /// where the statement is better planned with its values.
    pub(super) fn get_shaped(
        &self,
        shape: &Shape,
        given: &Given,
        catalog: Arc<Catalog>,
    ) -> Option<Arc<Plan>> {
        let key = key(&shape.text, given, catalog.database);
        let version = catalog.version;
        let unfit = || self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = self.cached(key, &shape.text, given, version) {
            return Some(plan);
        }
        if unfit().get(&key) == Some(&version) {
            return None;
        }
        match Plan::make(&shape.text, given.clone(), catalog) {
            Ok(plan) if plan.fits(shape) && shape.text.len() <= Self::TEXT_MAX => {
                let plan = Arc::new(plan);
                self.plans().put(key, Arc::clone(&plan));
                Some(plan)
            }
            _ => {
                unfit().put(key, version);
                None
            }
        }
    }

    fn cached(&self, key: u64, text: &str, given: &Given, version: u64) -> Option<Arc<Plan>> {
        let mut plans = self.plans();
        let plan = plans.get(key, version)?;
        let same = *plan.text == *text && plan.given == *given;
        same.then(|| Arc::clone(plan))
    }

    /// The plan of a text against this catalog, made if need be.
    pub(super) fn get(
        &self,
        text: &str,
        given: &Given,
        catalog: Arc<Catalog>,
    ) -> Result<Arc<Plan>, SqlError> {
        let key = key(text, given, catalog.database);
        if let Some(plan) = self.cached(key, text, given, catalog.version) {
            return Ok(plan);
        }
        let plan = Arc::new(Plan::make(text, given.clone(), catalog)?);
        if text.len() <= Self::TEXT_MAX {
            self.plans().put(key, Arc::clone(&plan));
        }
        Ok(plan)
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Texts that share a key displace each other.
fn key(text: &str, given: &Given, database: u32) -> u64 {
    let place = u64::from(database) << 32 | u64::from(given.owner.0);
    let seed = given.types.iter().fold(place, |seed, oid| seed.wrapping_mul(31) + u64::from(oid.0));
    xxh3_64_with_seed(text.as_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_that_changed_are_not_kept_for_their_plans() {
        let cache = PlanCache::new();
        let given = Given::default();
        let made: Vec<_> = (0..100)
            .map(|version| {
                let catalog = Catalog { version, ..Catalog::empty(0) };
                let catalog = Arc::new(catalog);
                let text = format!("SELECT {version}");
                cache.get(&text, &given, Arc::clone(&catalog)).expect("a plan");
                cache.get("SELECT 'again'", &given, Arc::clone(&catalog)).expect("a plan");
                Arc::downgrade(&catalog)
            })
            .collect();
        let kept = made.iter().filter(|catalog| catalog.strong_count() > 0).count();
        assert_eq!(kept, PlanCache::CATALOGS.get());
        assert_eq!(cache.plans().by_key.len(), kept + 1);
    }
}
