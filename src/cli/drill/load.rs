//! The load: sessions that insert numbered rows through the proxy, one at a time each,
//! and remember every answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

/// How long an answer may take before the session gives up on its connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

pub(super) struct Load {
    shared: Arc<Shared>,
    sessions: JoinSet<()>,
}

struct Shared {
    config: Config,
    next: AtomicI64,
    stop: AtomicBool,
    written: Mutex<Written>,
}

/// What was asked and what was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub attempted: BTreeSet<i64>,
    /// In order of their acknowledgement.
    pub acknowledged: Vec<(i64, Instant)>,
    /// Errors and silences, with what the client saw.
    pub failed: Vec<(i64, String)>,
    /// A row that its own session did not see after its acknowledgement.
    pub unseen: Vec<i64>,
}

/// A point in the load's history.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    acknowledged: usize,
    failed: usize,
}

impl Load {
    /// Makes the table and starts the sessions.
    pub(super) async fn start(config: Config, clients: u32) -> anyhow::Result<Self> {
        let client = connect(&config).await.context("connecting to the proxy")?;
        client
            .batch_execute("CREATE TABLE IF NOT EXISTS drill (id bigint PRIMARY KEY, client int)")
            .await
            .context("making the drill's table")?;
        let row = client.query_one("SELECT coalesce(max(id), 0)::bigint FROM drill", &[]).await?;
        let shared = Arc::new(Shared {
            config,
            next: AtomicI64::new(row.get::<_, i64>(0) + 1),
            stop: AtomicBool::new(false),
            written: Mutex::default(),
        });
        let mut sessions = JoinSet::new();
        for number in 0..clients {
            sessions.spawn(shared.clone().session(number));
        }
        Ok(Self { shared, sessions })
    }

    pub(super) fn mark(&self) -> Mark {
        self.shared.with(|written| Mark {
            acknowledged: written.acknowledged.len(),
            failed: written.failed.len(),
        })
    }

    /// Acknowledged and failed writes since `mark`, and the longest time without an
    /// acknowledgement since `start`.
    pub(super) fn since(&self, mark: Mark, start: Instant) -> (usize, usize, Duration) {
        self.shared.with(|written| {
            let times = written.acknowledged[mark.acknowledged..].iter().map(|(_, at)| *at);
            let mut gap = Duration::ZERO;
            let mut last = start;
            for at in times {
                gap = gap.max(at.saturating_duration_since(last));
                last = last.max(at);
            }
            let acknowledged = written.acknowledged.len() - mark.acknowledged;
            (acknowledged, written.failed.len() - mark.failed, gap)
        })
    }

    /// Waits until a few more writes were acknowledged.
    pub(super) async fn wait_for_progress(&self, within: Duration) -> anyhow::Result<()> {
        let count = || self.shared.with(|written| written.acknowledged.len());
        let (deadline, wanted) = (Instant::now() + within, count() + 50);
        while count() < wanted {
            if Instant::now() > deadline {
                let last = self.shared.with(|written| written.failed.last().cloned());
                anyhow::bail!("no writes acknowledged within {within:?}; last failure: {last:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the sessions and tells what they saw.
    pub(super) async fn stop(mut self) -> Written {
        self.shared.stop.store(true, Ordering::SeqCst);
        while self.sessions.join_next().await.is_some() {}
        self.shared.with(|written| written.clone())
    }
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Written) -> T) -> T {
        look(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn session(self: Arc<Self>, number: u32) {
        while !self.stopped() {
            match connect(&self.config).await {
                Ok(client) => self.write(&client, number.cast_signed()).await,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Inserts until the connection fails or the load ends.
    async fn write(&self, client: &Client, number: i32) {
        let insert = "INSERT INTO drill (id, client) VALUES ($1, $2)";
        let look = "SELECT count(*) FROM drill WHERE id = $1";
        while !self.stopped() {
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            self.with(|written| written.attempted.insert(id));
            match timeout(ANSWER_WITHIN, client.execute(insert, &[&id, &number])).await {
                Ok(Ok(_)) => {
                    let now = Instant::now();
                    self.with(|written| written.acknowledged.push((id, now)));
                }
                Ok(Err(error)) => {
                    let text = describe(&error);
                    self.with(|written| written.failed.push((id, text)));
                    if client.is_closed() {
                        return;
                    }
                    continue;
                }
                Err(_) => {
                    self.with(|written| written.failed.push((id, "no answer".into())));
                    return;
                }
            }
            // Every so often: does the session see its own row, wherever the read goes?
            if id % 16 == 0
                && let Ok(Ok(row)) = timeout(ANSWER_WITHIN, client.query_one(look, &[&id])).await
                && row.get::<_, i64>(0) != 1
            {
                self.with(|written| written.unseen.push(id));
            }
        }
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    }
}

/// Connects; the connection's task ends with the client.
pub(super) async fn connect(config: &Config) -> anyhow::Result<Client> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
