//! Sessions that append to lists and read them, and keep a history for the judge.
//!
//! A list is the rows of one key, in the order of their places; an append takes the
//! place behind the last. Half of the writing is appends of one statement, the rest
//! transactions over two lists; reads go round the levels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config};

use super::history::{Key, Level, Operation, Outcome, Value, What};
use super::{ANSWER_WITHIN, WorkloadError, certainly_undone, connect};

/// How many lists there are.
const LISTS: u32 = 4;

/// A session's rest between two requests: lists must stay short enough to be read whole.
const REST: Duration = Duration::from_millis(20);

/// How long before a refused connection is tried again.
const CONNECT_AGAIN: Duration = Duration::from_millis(10);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS list \
    (key bigint, place bigint, value bigint NOT NULL, PRIMARY KEY (key, place))";
const APPEND: &str = "INSERT INTO list (key, place, value) \
    SELECT $1, coalesce(max(place), 0) + 1, $2 FROM list WHERE key = $1";
const READ: &str = "SELECT value FROM list WHERE key = $1 ORDER BY place";

/// The running sessions; they end with it.
pub struct Lists {
    shared: Arc<Shared>,
    sessions: JoinSet<()>,
}

struct Shared {
    config: Config,
    start: Instant,
    stop: AtomicBool,
    next: AtomicU64,
    history: Mutex<Vec<Operation>>,
}

impl Lists {
    /// Makes the table and starts the sessions.
    ///
    /// # Errors
    /// When the table can't be made.
    pub async fn start(config: Config, sessions: u32) -> Result<Self, WorkloadError> {
        let doing = |doing| move |source| WorkloadError { doing, source };
        let client = connect(&config).await.map_err(doing("connecting"))?;
        client.batch_execute(TABLE).await.map_err(doing("making the lists' table"))?;
        let shared = Arc::new(Shared {
            config,
            start: Instant::now(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            history: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..sessions {
            tasks.spawn(Arc::clone(&shared).session(number, sessions));
        }
        Ok(Self { shared, sessions: tasks })
    }

    /// Ends the sessions; what they asked and heard.
    pub async fn stop(mut self) -> Vec<Operation> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while self.sessions.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.history())
    }
}

/// The lists as they are now.
///
/// # Errors
/// When they can't be read.
pub async fn read_all(client: &Client) -> Result<BTreeMap<Key, Vec<Value>>, tokio_postgres::Error> {
    let rows = client.query("SELECT key, value FROM list ORDER BY key, place", &[]).await?;
    let mut lists = BTreeMap::<Key, Vec<Value>>::new();
    for row in rows {
        let (key, value) = (row.get::<_, i64>(0), row.get::<_, i64>(1));
        let key = Key::try_from(key).unwrap_or(Key::MAX);
        lists.entry(key).or_default().push(value.cast_unsigned());
    }
    Ok(lists)
}

impl Shared {
    fn history(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A session of the cluster is one connection, so each gets a number of its own.
    async fn session(self: Arc<Self>, number: u32, sessions: u32) {
        let mut session = number;
        while !self.stopped() {
            match connect(&self.config).await {
                Ok(client) => {
                    self.converse(client, session).await;
                    session += sessions;
                }
                Err(_) => sleep(CONNECT_AGAIN).await,
            }
        }
    }

    async fn converse(&self, mut client: Client, session: u32) {
        let mut turn = session;
        while !self.stopped() && !client.is_closed() {
            turn = turn.wrapping_add(1);
            let key = (turn / 8) % LISTS;
            match turn % 8 {
                0 | 4 => self.append(&client, session, key).await,
                2 => self.append_to_two(&mut client, session, key).await,
                _ => {
                    let level = Level::ALL[(turn as usize / 2) % Level::ALL.len()];
                    self.read(&client, session, key, level).await;
                }
            }
            sleep(REST).await;
        }
    }

    fn value(&self) -> Value {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    async fn append(&self, client: &Client, session: u32, key: Key) {
        let value = self.value();
        let begun = self.now();
        let (key_param, value_param) = (i64::from(key), value.cast_signed());
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&key_param, &value_param];
        let answer = timeout(ANSWER_WITHIN, client.execute(APPEND, &params)).await;
        let outcome = match answer {
            Ok(Ok(_)) => Outcome::Acknowledged,
            Ok(Err(error)) if certainly_undone(&error) => Outcome::Refused,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        self.note(session, begun, What::Append { items: vec![(key, value)], outcome });
    }

    async fn append_to_two(&self, client: &mut Client, session: u32, key: Key) {
        let items = vec![(key, self.value()), ((key + 1) % LISTS, self.value())];
        let begun = self.now();
        let answer = timeout(ANSWER_WITHIN, transaction(client, &items)).await;
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown,
        };
        self.note(session, begun, What::Append { items, outcome });
    }

    async fn read(&self, client: &Client, session: u32, key: Key, level: Level) {
        let set = format!("SET towline.read_level = {}", level.name());
        let asked = async {
            client.batch_execute(&set).await?;
            let asked = self.now();
            Ok::<_, tokio_postgres::Error>((asked, client.query(READ, &[&i64::from(key)]).await?))
        };
        // A read that fails breaks no promise about what it saw.
        let Ok(Ok((begun, rows))) = timeout(ANSWER_WITHIN, asked).await else { return };
        let saw = rows.iter().map(|row| row.get::<_, i64>(0).cast_unsigned()).collect();
        self.note(session, begun, What::Read { key, level, saw });
    }

    fn note(&self, session: u32, begun: u64, what: What) {
        let ended = self.now();
        self.history().push(Operation { session, begun, ended, what });
    }
}

/// Appends in one transaction, and says what is known of it.
async fn transaction(client: &mut Client, items: &[(Key, Value)]) -> Outcome {
    let Ok(transaction) = client.transaction().await else { return Outcome::Refused };
    for (key, value) in items {
        let (key, value) = (i64::from(*key), value.cast_signed());
        if transaction.execute(APPEND, &[&key, &value]).await.is_err() {
            // Nothing was committed, whatever became of the connection.
            let _ = transaction.rollback().await;
            return Outcome::Refused;
        }
    }
    match transaction.commit().await {
        Ok(()) => Outcome::Acknowledged,
        Err(error) if certainly_undone(&error) => Outcome::Refused,
        Err(_) => Outcome::Unknown,
    }
}
