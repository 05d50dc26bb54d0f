//! The task that keeps this node's word: reports to the monitor, promises, takes office,
//! holds the lease, and says whom to follow.
//!
//! It has a runtime of its own, so that no client's work, however much of it there is,
//! delays a heartbeat. One task owns the node's [`crate::failover::Oath`] and [`crate::failover::Lease`], and executes what they command in
//! order; connections are tasks of their own that only carry frames, so that a peer that
//! doesn't read delays nothing. Disk writes (promises, fences) run on the blocking pool
//! and are awaited before anything that depends on them is said.
//!
//! ```text
//!            ┌───────────── reports, lease requests, promises ─────────────► monitor
//!  control ──┤◄──────────── view, grants, promise requests, appointments ─── (dialled)
//!            ├───────────── lease requests while its grants stay out ──────► members
//!            └── hub: leadership, lease, view ──► writer, replicate, gateway
//! ```
mod keep;
mod links;
mod service;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::config::NodeConfig;
use crate::net::{FrameStream, Hello, PeerTls};
use crate::storage::control_file::{ControlError, ControlFile};
use crate::storage::log_store::{LogError, LogStore};
use crate::supervisor::Supervisor;
use service::Service;

/// Connections of peers that wait to be taken over.
const PEERS_MAX: usize = 64;

/// The node can't keep its word any more: it must stop.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the control file can't be kept: {0}")]
    Control(#[from] ControlError),
    #[error("the log can't be made durable for a promise: {0}")]
    Log(#[from] LogError),
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// What other tasks ask of control.
enum Request {
    Peer(FrameStream, Hello),
    Handover(oneshot::Sender<bool>),
}

/// The running task.
pub struct ControlHandle {
    requests: mpsc::Sender<Request>,
    /// How long a hand-over may take.
    patience: Duration,
    /// Ends with an error when the node must stop.
    pub task: JoinHandle<Result<(), KeepError>>,
    /// The task's own; `None` only while being dropped.
    runtime: Option<Runtime>,
}

impl Drop for ControlHandle {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // To wait here would block whoever drops the handle.
            runtime.shutdown_background();
        }
    }
}

/// Starts the task. The control file is that of the cluster in `config` already.
///
/// # Errors
/// When its thread can't be started.
pub fn spawn(
    config: &NodeConfig,
    hub: Arc<Hub>,
    control: Arc<Mutex<ControlFile>>,
    log: Arc<Mutex<LogStore>>,
    tls: PeerTls,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
) -> Result<ControlHandle, KeepError> {
    let (requests, requested) = mpsc::channel(PEERS_MAX);
    let patience = config.timing.lease * 2 + Duration::from_secs(2);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(KeepError::Thread)?;
    let service = {
        let _here = runtime.enter();
        Service::new(config, hub, control, log, tls)
    };
    let task = runtime.spawn(service.run(requested, supervisor, shutdown));
    Ok(ControlHandle { requests, patience, task, runtime: Some(runtime) })
}

impl ControlHandle {
    /// Takes over a connection of purpose `control`, whose hello has been answered.
    pub async fn handle_peer(&self, stream: FrameStream, hello: Hello) {
        // When the task has ended the process is about to: the connection closes.
        let _ = self.requests.send(Request::Peer(stream, hello)).await;
    }

    /// If this node leads: asks the monitor for a successor and waits, within a bound,
    /// until this node leads no longer (rule 25). True if it does not lead then.
    pub async fn handover(&self) -> bool {
        let (done, outcome) = oneshot::channel();
        if self.requests.send(Request::Handover(done)).await.is_err() {
            return true;
        }
        matches!(tokio::time::timeout(self.patience, outcome).await, Ok(Ok(true)))
    }
}
