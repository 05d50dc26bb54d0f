//! What this node knows of the cluster, as PostgreSQL's views show it.

use std::sync::Arc;

use crate::cluster::Role;
use crate::log::{Lsn, Value};
use crate::node::hub::Hub;
use crate::storage::sqlite::LiveRelations;

/// A cursor, for `pg_cursors`.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) name: String,
    pub(super) statement: Arc<str>,
    pub(super) hold: bool,
    pub(super) scroll: bool,
}

/// The relations that the hub and the session can tell of.
pub(super) fn relations(hub: &Arc<Hub>, cursors: Vec<Cursor>) -> LiveRelations {
    let hub = Arc::clone(hub);
    LiveRelations::new(move |name| match name {
        "pg_stat_replication" => Some(replication(&hub)),
        "pg_cursors" => Some(cursors.iter().map(cursor_row).collect()),
        _ => None,
    })
}

fn cursor_row(cursor: &Cursor) -> Vec<(String, Value)> {
    [
        ("name", Value::Text(cursor.name.clone())),
        ("statement", Value::Text(cursor.statement.to_string())),
        ("is_holdable", Value::Integer(cursor.hold.into())),
        ("is_binary", Value::Integer(0)),
        ("is_scrollable", Value::Integer(cursor.scroll.into())),
    ]
    .into_iter()
    .map(|(column, value)| (column.to_owned(), value))
    .collect()
}

/// `pg_stat_replication`: on the leader a row for each follower that is well, by the
/// newest view of the cluster.
fn replication(hub: &Hub) -> Vec<Vec<(String, Value)>> {
    if hub.leadership.borrow().role != Role::Leader {
        return Vec::new();
    }
    let view = hub.view.borrow();
    let synchronous = hub.acks() > 0;
    let followers = view.nodes.iter().filter(|node| node.name != hub.me && node.healthy);
    let lsn = |lsn: Lsn| Value::Text(lsn.to_string());
    let text = |text: &str| Value::Text(text.to_owned());
    let rows = followers.map(|node| {
        let state = if node.lag_bytes == 0 { "streaming" } else { "catchup" };
        [
            ("application_name", Value::Text(node.name.to_string())),
            ("usename", text("towline")),
            ("client_addr", text(node.peer.rsplit_once(':').map_or("", |(host, _)| host))),
            ("state", text(state)),
            ("sent_lsn", lsn(node.end.lsn)),
            ("write_lsn", lsn(node.end.lsn)),
            ("flush_lsn", lsn(node.durable)),
            ("replay_lsn", lsn(node.applied)),
            ("sync_state", text(if synchronous { "quorum" } else { "async" })),
        ]
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value))
        .collect()
    });
    rows.collect()
}
