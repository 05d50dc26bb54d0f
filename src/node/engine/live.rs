//! What this node knows of the cluster, as PostgreSQL's views show it.

use std::sync::{Arc, PoisonError};

use super::activity::{Activities, Viewer};
use crate::cluster::Role;
use crate::log::{Lsn, Value};
use crate::node::hub::Hub;
use crate::node::replicate::Progress;
use crate::storage::sqlite::LiveRelations;

/// A cursor, for `pg_cursors`.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) name: String,
    pub(super) statement: Arc<str>,
    pub(super) binary: bool,
    pub(super) hold: bool,
    pub(super) scroll: bool,
}

/// The relations that the hub and the session can tell of.
pub(super) fn relations(
    hub: &Arc<Hub>,
    activities: &Arc<Activities>,
    viewer: Viewer,
    cursors: Vec<Cursor>,
) -> LiveRelations {
    let (hub, activities) = (Arc::clone(hub), Arc::clone(activities));
    LiveRelations::new(move |name| match name {
        "pg_stat_activity" => Some(activities.rows(&viewer)),
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
        ("is_binary", Value::Integer(cursor.binary.into())),
        ("is_scrollable", Value::Integer(cursor.scroll.into())),
    ]
    .into_iter()
    .map(|(column, value)| (column.to_owned(), value))
    .collect()
}

/// `pg_stat_replication`: a row for each follower that is connected, to the leader or to
/// this follower, by what it has acknowledged.
fn replication(hub: &Hub) -> Vec<Vec<(String, Value)>> {
    let followers = hub.followers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let durable = *hub.durable.borrow();
    let leads = hub.leadership.borrow().role == Role::Leader;
    let counted = hub.followers_counted();
    let lsn = |lsn: Lsn| Value::Text(lsn.to_string());
    let text = |text: &str| Value::Text(text.to_owned());
    let rows = followers.iter().map(|(name, (_, progress))| {
        let address = hub.address(name).unwrap_or_default();
        let address = address.rsplit_once(':').map_or("", |(host, _)| host);
        let position = |at: Lsn| if progress.seeding { Value::Null } else { lsn(at) };
        let state = match progress {
            Progress { seeding: true, .. } => "backup",
            _ if progress.sent < durable => "catchup",
            _ => "streaming",
        };
        let synchronous = leads && hub.acks() > 0 && counted.contains(name);
        [
            ("application_name", Value::Text(name.to_string())),
            ("usename", text("towline")),
            ("client_addr", text(address)),
            ("state", text(state)),
            ("sent_lsn", position(progress.sent)),
            ("write_lsn", position(progress.written)),
            ("flush_lsn", position(progress.durable)),
            ("replay_lsn", position(progress.applied)),
            ("sync_state", text(if synchronous { "quorum" } else { "async" })),
        ]
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value))
        .collect()
    });
    rows.collect()
}
