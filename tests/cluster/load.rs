//! Sessions that insert numbered rows through the proxy and remember every answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use crate::demo::{Demo, SOON, wait_for};

pub(crate) struct Load {
    shared: Arc<Shared>,
    sessions: JoinSet<()>,
}

struct Shared {
    config: Config,
    next: AtomicI64,
    stop: AtomicBool,
    acknowledged: Mutex<Vec<i64>>,
    failed: Mutex<Vec<(i64, String)>>,
}

impl Load {
    pub(crate) async fn start(demo: &Demo, sessions: usize) -> Self {
        demo.psql("CREATE TABLE load (id bigint PRIMARY KEY, at timestamptz DEFAULT now())");
        let address = demo.sql("proxy");
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let mut config = Config::new();
        config.host(host).port(port.parse().expect("a port"));
        config.user("demo").password("demo").dbname("demo");
        let shared = Arc::new(Shared {
            config,
            next: AtomicI64::new(1),
            stop: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            failed: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..sessions {
            tasks.spawn(shared.clone().run());
        }
        Self { shared, sessions: tasks }
    }

    /// Waits until `more` writes were acknowledged.
    pub(crate) async fn wait_for(&self, more: usize) {
        let count = || self.shared.acknowledged.lock().expect("not poisoned").len();
        let wanted = count() + more;
        tokio::task::block_in_place(|| {
            wait_for("acknowledged writes", || (count() >= wanted).then_some(()));
        });
    }

    /// Ends the load; checks that every acknowledged row is there, none that was not
    /// asked for, and that all nodes hold the same. Returns what failed.
    pub(crate) async fn stop_and_check(mut self, demo: &Demo) -> Vec<(i64, String)> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.sessions.join_next().await {
            ended.expect("a session panicked");
        }
        demo.assert_equal_content();
        let attempted = 1..self.shared.next.load(Ordering::SeqCst);
        let acknowledged = self.shared.acknowledged.lock().expect("not poisoned").clone();
        for node in demo.nodes() {
            let ids = demo.sqlite(&node, "SELECT id FROM load");
            let present: BTreeSet<i64> =
                ids.lines().map(|id| id.parse().expect("a number")).collect();
            let lost: Vec<_> = acknowledged.iter().filter(|id| !present.contains(id)).collect();
            assert!(lost.is_empty(), "{node} lost {lost:?}");
            let strange: Vec<_> = present.iter().filter(|id| !attempted.contains(id)).collect();
            assert!(strange.is_empty(), "{node} made up {strange:?}");
        }
        self.shared.failed.lock().expect("not poisoned").clone()
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        while !self.stop.load(Ordering::SeqCst) {
            let Ok((client, connection)) = self.config.connect(NoTls).await else {
                tokio::task::yield_now().await;
                continue;
            };
            tokio::spawn(connection);
            self.write(&client).await;
        }
    }

    async fn write(&self, client: &Client) {
        while !self.stop.load(Ordering::SeqCst) && !client.is_closed() {
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            let insert =
                async { client.execute("INSERT INTO load (id) VALUES ($1)", &[&id]).await };
            match tokio::time::timeout(SOON, insert).await.expect("an answer to every write") {
                Ok(_) => self.acknowledged.lock().expect("not poisoned").push(id),
                Err(error) => {
                    self.failed.lock().expect("not poisoned").push((id, format!("{error:?}")));
                }
            }
        }
    }
}
