//! The monitor: watches the nodes, appoints leaders, pushes the view.
//!
//! One task (`driver`) owns the failover [`Machine`](crate::failover::Machine), feeds it
//! what arrives, and executes its commands in their order: state is on disk before
//! anybody hears of it. Connections are tasks that carry frames and never decide, so that
//! a peer that doesn't read delays nothing.
//!
//! | path in the data directory | what                                              |
//! |----------------------------|---------------------------------------------------|
//! | `monitor.json`             | incarnation, term, last appointment, policy record |
//! | `events.jsonl`             | every decision, oldest first; one older file kept |
mod admin;
mod driver;
mod events;
mod http;
mod peers;
mod state_file;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::MonitorConfig;
use crate::net::{NetError, PeerListener, PeerTls, bind_tcp};
use crate::supervisor::Supervisor;
use driver::Driver;
use events::EventLog;

/// Happenings that wait for the driver.
const INPUTS_MAX: usize = 256;

/// The monitor can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Starting without state is safe but slower (rule 32): the operator decides.
    #[error("{path}: damaged: {cause}; move it away to start without state")]
    Damaged { path: PathBuf, cause: String },
}

/// Runs a monitor until `shutdown`, and tells `supervisor` once it listens.
///
/// # Errors
/// When it can't listen, or can't keep its state.
pub async fn run(
    config: MonitorConfig,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
) -> Result<(), MonitorError> {
    let tls = PeerTls::load(&config.tls.ca, &config.tls.certificate, &config.tls.key)?;
    let directory = &config.data;
    std::fs::create_dir_all(directory)
        .map_err(|source| MonitorError::Io { path: directory.clone(), source })?;
    let events = Arc::new(EventLog::open(directory)?);
    let (inputs, queued) = mpsc::channel(INPUTS_MAX);
    let (driver, outlook) = Driver::new(&config, Arc::clone(&events)).await?;
    let listener = PeerListener::bind(&config.peer_listen, tls.clone()).await?;
    tracing::info!(peer = %listener.local_address(), "listening");
    let page = match &config.http_listen {
        Some(address) => Some(bind_tcp(address).await?),
        None => None,
    };
    let door = peers::Door::new(&config, inputs, outlook.clone(), Arc::clone(&events));
    let _accepting = AbortOnDropHandle::new(tokio::spawn(door.open(listener)));
    let _reloading = AbortOnDropHandle::new(tokio::spawn(tls.reload_on_hangup(|| Ok(()))));
    let _page = page.map(|listener| {
        AbortOnDropHandle::new(tokio::spawn(http::serve(listener, outlook, events)))
    });
    supervisor.ready();
    driver.run(queued, &supervisor, shutdown).await
}
