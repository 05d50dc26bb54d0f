//! The library's load on a demo, and what must hold of it at the end.

use std::collections::BTreeSet;

use towline::workload;
use towline::workload::load::{Mark, Since};

use crate::demo::{Demo, SOON};

pub(crate) struct Load {
    load: workload::load::Load,
    start: Mark,
}

impl Load {
    /// Sessions that write through the proxy, and one that reads.
    pub(crate) async fn start(demo: &Demo, writers: u32) -> Self {
        let config = demo.config("proxy");
        let load = workload::load::Load::start(config, "load", writers, 1).await;
        let load = load.expect("the load starts");
        let start = load.mark();
        Self { load, start }
    }

    /// Waits until `more` writes were acknowledged.
    pub(crate) async fn wait_for(&self, more: usize) {
        self.load.progress(more, SOON).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// What happened since the load began.
    pub(crate) fn since_start(&self) -> Since {
        self.load.since(self.start)
    }

    /// Ends the load. Returns how many writes were acknowledged.
    pub(crate) async fn stop(self) -> usize {
        self.load.stop().await.acknowledged.len()
    }

    /// Ends the load; checks that every acknowledged row is there, none that was not
    /// asked for, and that all nodes hold the same. Returns what failed.
    pub(crate) async fn stop_and_check(self, demo: &Demo) -> Vec<String> {
        let written = self.load.stop().await;
        demo.assert_equal_content();
        for node in demo.nodes() {
            let ids = demo.sqlite(&node, "SELECT id FROM load");
            let present: BTreeSet<i64> =
                ids.lines().map(|id| id.parse().expect("a number")).collect();
            let acknowledged = written.acknowledged.iter();
            let lost: Vec<_> = acknowledged.filter(|(id, _)| !present.contains(id)).collect();
            assert!(lost.is_empty(), "{node} lost {lost:?}");
            let strange: Vec<_> = present.difference(&written.attempted).collect();
            assert!(strange.is_empty(), "{node} made up {strange:?}");
        }
        assert!(written.unseen.is_empty(), "unseen by their sessions: {:?}", written.unseen);
        written.failed.into_iter().map(|(id, _, text)| format!("{id}: {text}")).collect()
    }
}
