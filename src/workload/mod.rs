//! What clients do to a cluster, and whether its answers hold together.
//!
//! Drills and tests use the same clients, so that a drill that fails can be told as a
//! test. Nothing here knows how the cluster works: it is judged by what it says.
//!
//! * [`load`]: sessions that insert numbered rows and remember every answer;
//! * [`lists`]: sessions that append to lists and read them, at every read level;
//! * [`history`]: the judge of what [`lists`] has seen. Pure.

pub mod history;
pub mod lists;
pub mod load;

use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

/// How long an answer may take before a session gives up on its connection: longer
/// than a statement may wait for a leader.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// A workload could not begin.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {}", describe(.source))]
pub struct WorkloadError {
    doing: &'static str,
    source: tokio_postgres::Error,
}

/// Connects; the connection's task ends with the client.
///
/// # Errors
/// When nobody listens or the client is refused.
pub async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// An error as a client sees it: SQLSTATE and message.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    }
}

/// Whether a failed write certainly left nothing: a lost connection or an outcome that
/// the server itself calls unknown (class 08) may have.
fn certainly_undone(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| !code.code().starts_with("08") && code.code() != "57P01")
}
