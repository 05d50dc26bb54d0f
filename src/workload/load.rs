//! The load: sessions that insert numbered rows, one at a time each, and remember every
//! answer, and sessions that only read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config};

use super::{ANSWER_WITHIN, WorkloadError, connect, describe};

/// How often a condition is looked at again, and a refused connection tried again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A reader's rest between two reads: it is there to notice, not to burden.
const READ_EVERY: Duration = Duration::from_millis(5);

/// A running load. Its sessions end with it.
pub struct Load {
    shared: Arc<Shared>,
    sessions: JoinSet<()>,
}

struct Shared {
    config: Config,
    table: String,
    next: AtomicI64,
    stop: AtomicBool,
    written: Mutex<Written>,
}

/// What was asked and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Written {
    pub attempted: BTreeSet<i64>,
    /// In order of their acknowledgement.
    pub acknowledged: Vec<(i64, Instant)>,
    /// Errors and silences, with what the client saw.
    pub failed: Vec<(i64, Instant, String)>,
    /// Rows that their own session did not see after their acknowledgement.
    pub unseen: Vec<i64>,
    /// When a read was answered.
    pub read: Vec<Instant>,
    /// Reads that failed, with what the client saw.
    pub reads_failed: Vec<(Instant, String)>,
}

/// A point in the load's history.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: Instant,
    acknowledged: usize,
    failed: usize,
    read: usize,
    reads_failed: usize,
}

/// What happened since a [`Mark`].
#[derive(Clone, Debug)]
pub struct Since {
    pub acknowledged: usize,
    /// The failed writes, as their clients saw it.
    pub failed: Vec<String>,
    /// The longest time without an acknowledged write.
    pub write_gap: Duration,
    pub reads_failed: Vec<String>,
    /// The longest time without an answered read; zero without readers.
    pub read_gap: Duration,
}

impl Load {
    /// Makes the table, which is this load's alone, and starts the sessions.
    ///
    /// # Errors
    /// When the table can't be made.
    pub async fn start(
        config: Config,
        table: &str,
        writers: u32,
        readers: u32,
    ) -> Result<Self, WorkloadError> {
        let doing = |doing| move |source| WorkloadError { doing, source };
        let client = connect(&config).await.map_err(doing("connecting"))?;
        let make =
            format!("CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, client int)");
        client.batch_execute(&make).await.map_err(doing("making the load's table"))?;
        let look = format!("SELECT coalesce(max(id), 0)::bigint FROM {table}");
        let last = client.query_one(&look, &[]).await;
        let last = last.map_err(doing("looking for the last row"))?.get::<_, i64>(0);
        let shared = Arc::new(Shared {
            config,
            table: table.to_owned(),
            next: AtomicI64::new(last + 1),
            stop: AtomicBool::new(false),
            written: Mutex::default(),
        });
        let mut sessions = JoinSet::new();
        for number in 0..writers {
            sessions.spawn(Arc::clone(&shared).writer(number.cast_signed()));
        }
        for _ in 0..readers {
            sessions.spawn(Arc::clone(&shared).reader());
        }
        Ok(Self { shared, sessions })
    }

    /// This moment.
    pub fn mark(&self) -> Mark {
        self.shared.with(|written| Mark {
            at: Instant::now(),
            acknowledged: written.acknowledged.len(),
            failed: written.failed.len(),
            read: written.read.len(),
            reads_failed: written.reads_failed.len(),
        })
    }

    /// What happened since `mark`.
    pub fn since(&self, mark: Mark) -> Since {
        self.shared.with(|written| {
            let acknowledged = &written.acknowledged[mark.acknowledged..];
            let failed = &written.failed[mark.failed..];
            let reads_failed = &written.reads_failed[mark.reads_failed..];
            Since {
                acknowledged: acknowledged.len(),
                failed: failed.iter().map(|(_, _, text)| text.clone()).collect(),
                write_gap: gap(mark.at, acknowledged.iter().map(|(_, at)| *at)),
                reads_failed: reads_failed.iter().map(|(_, text)| text.clone()).collect(),
                read_gap: gap(mark.at, written.read[mark.read..].iter().copied()),
            }
        })
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.with(|written| written.acknowledged.len())
    }

    /// Waits until `more` writes were acknowledged; `Err` has the last failure.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub async fn progress(&self, more: usize, within: Duration) -> Result<(), String> {
        let (deadline, wanted) = (Instant::now() + within, self.acknowledged() + more);
        while self.acknowledged() < wanted {
            if Instant::now() > deadline {
                let last = self.shared.with(|written| written.failed.last().cloned());
                let last = last.map_or("none".to_owned(), |(id, _, text)| format!("{id}: {text}"));
                return Err(format!(
                    "{more} writes were not acknowledged within {within:?}; last failure: {last}"
                ));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ends the sessions and tells what they saw.
    pub async fn stop(mut self) -> Written {
        self.shared.stop.store(true, Ordering::SeqCst);
        while self.sessions.join_next().await.is_some() {}
        self.shared.with(|written| written.clone())
    }
}

/// The longest time between two of `times`, the first counted from `start`.
fn gap(start: Instant, times: impl Iterator<Item = Instant>) -> Duration {
    let mut last = start;
    times.fold(Duration::ZERO, |gap, at| {
        let gap = gap.max(at.saturating_duration_since(last));
        last = last.max(at);
        gap
    })
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Written) -> T) -> T {
        look(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn writer(self: Arc<Self>, number: i32) {
        while !self.stopped() {
            match connect(&self.config).await {
                Ok(client) => self.write(&client, number).await,
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Inserts until the connection fails or the load ends.
    async fn write(&self, client: &Client, number: i32) {
        let insert = format!("INSERT INTO {} (id, client) VALUES ($1, $2)", self.table);
        let look = format!("SELECT count(*) FROM {} WHERE id = $1", self.table);
        while !self.stopped() {
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            self.with(|written| written.attempted.insert(id));
            let answer = timeout(ANSWER_WITHIN, client.execute(&insert, &[&id, &number])).await;
            let now = Instant::now();
            match answer {
                Ok(Ok(_)) => self.with(|written| written.acknowledged.push((id, now))),
                Ok(Err(error)) => {
                    self.with(|written| written.failed.push((id, now, describe(&error))));
                    if client.is_closed() {
                        return;
                    }
                    continue;
                }
                Err(_) => {
                    self.with(|written| written.failed.push((id, now, "no answer".into())));
                    return;
                }
            }
            // Every so often: does the session see its own row, wherever the read goes?
            if id % 16 == 0
                && let Ok(Ok(row)) = timeout(ANSWER_WITHIN, client.query_one(&look, &[&id])).await
                && row.get::<_, i64>(0) != 1
            {
                self.with(|written| written.unseen.push(id));
            }
        }
    }

    async fn reader(self: Arc<Self>) {
        let look = format!("SELECT max(id) FROM {}", self.table);
        while !self.stopped() {
            let Ok(client) = connect(&self.config).await else {
                sleep(LOOK_EVERY).await;
                continue;
            };
            while !self.stopped() && !client.is_closed() {
                let answer = timeout(ANSWER_WITHIN, client.query_one(&look, &[])).await;
                let now = Instant::now();
                match answer {
                    Ok(Ok(_)) => self.with(|written| written.read.push(now)),
                    Ok(Err(error)) => {
                        self.with(|written| written.reads_failed.push((now, describe(&error))));
                    }
                    Err(_) => {
                        self.with(|written| written.reads_failed.push((now, "no answer".into())));
                        break;
                    }
                }
                sleep(READ_EVERY).await;
            }
        }
    }
}
