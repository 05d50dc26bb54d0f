//! What this node knows of the cluster and of the session, as PostgreSQL's views show it.

use std::sync::{Arc, PoisonError};

use super::activity::{Activities, Viewer, printed};
use super::advisory::Table;
use super::prepared::Statements;
use crate::cluster::Role;
use crate::log::{Lsn, Value};
use crate::node::hub::Hub;
use crate::node::replicate::Progress;
use crate::pg::types::array::Array;
use crate::storage::sqlite::LiveRelations;

/// A cursor, for `pg_cursors`.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) name: String,
    pub(super) statement: Arc<str>,
    pub(super) binary: bool,
    pub(super) hold: bool,
    pub(super) scroll: bool,
    /// When it was declared; microseconds since 1970.
    pub(super) made_us: i64,
}

/// The relations that the hub and the session can tell of.
pub(super) fn relations(
    hub: &Arc<Hub>,
    activities: &Arc<Activities>,
    advisory: &Arc<Table>,
    viewer: Viewer,
    cursors: Vec<Cursor>,
    statements: Statements,
) -> LiveRelations {
    let (hub, activities) = (Arc::clone(hub), Arc::clone(activities));
    let advisory = Arc::clone(advisory);
    LiveRelations::new(move |name| match name {
        "pg_stat_activity" => Some(activities.rows(&viewer)),
        "pg_stat_replication" => Some(replication(&hub)),
        "pg_locks" => Some([advisory.rows(), activities.locks()].concat()),
        "pg_cursors" => Some(cursors.iter().map(cursor_row).collect()),
        "pg_prepared_statements" => Some(prepared(&statements)),
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
        ("creation_time", moment(cursor.made_us)),
    ]
    .into_iter()
    .map(|(column, value)| (column.to_owned(), value))
    .collect()
}

/// `pg_prepared_statements`: those with a name. One plan serves all parameters, and how
/// often is not counted.
fn prepared(statements: &Statements) -> Vec<Vec<(String, Value)>> {
    let named = statements.iter().filter(|(name, _)| !name.is_empty());
    let rows = named.map(|(name, prepared)| {
        let (plan, mut parameters) = (&prepared.plan, String::new());
        let types = plan.params().iter().map(|oid| Some(plan.catalog.format_type(*oid, None)));
        Array::new(types.collect()).print(&mut parameters);
        [
            ("name", Value::Text(name.clone())),
            ("statement", Value::Text(prepared.said.to_string())),
            ("prepare_time", moment(prepared.made_us)),
            ("parameter_types", Value::Text(parameters)),
            ("from_sql", Value::Integer(prepared.from_sql.into())),
            ("generic_plans", Value::Integer(0)),
            ("custom_plans", Value::Integer(0)),
        ]
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value))
        .collect()
    });
    rows.collect()
}

/// A `timestamptz`, from microseconds since 1970.
fn moment(us: i64) -> Value {
    Value::Text(printed(us))
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
