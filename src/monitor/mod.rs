//! The monitor: watches the nodes, appoints leaders, pushes the view.
//!
//! One task (`driver`) owns the failover [`Machine`](crate::failover::Machine), feeds it
//! what arrives, and executes its commands in their order: state is on disk before
//! anybody hears of it. Connections are tasks that carry frames and never decide, so that
//! a peer that doesn't read delays nothing.
//!
//! | path in the data directory | what                                              |
//! |----------------------------|---------------------------------------------------|
//! | `monitor.json`             | incarnation, term, last appointment, policy record; unless it lies in etcd |
//! | `events.jsonl`             | every decision, oldest first; one older file kept |
mod admin;
mod driver;
mod etcd;
mod events;
mod http;
mod peers;
mod record;
mod standby;
mod state_file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::MonitorConfig;
use crate::net::{HelloReply, NetError, PeerListener, PeerTls, bind_tcp};
use crate::storage::fs::{Fs, Op, RealFs};
use crate::supervisor::Supervisor;
use driver::Driver;
use events::EventLog;
use record::Record;
use standby::{Acting, Seat};
use state_file::StateFile;

pub use etcd::EtcdError;

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
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// Another monitor acts, or may by now (P26).
    #[error("another monitor acts")]
    Superseded,
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
    RealFs
        .create_dir_all(Op::MakeDir, directory)
        .map_err(|source| MonitorError::Io { path: directory.clone(), source })?;
    let events = Arc::new(EventLog::open(directory)?);
    let seat = Seat::new(&config);
    let mut house = House {
        listener: PeerListener::bind(&config.peer_listen, tls.clone()).await?,
        page: match &config.http_listen {
            Some(address) => Some(bind_tcp(address).await?),
            None => None,
        },
        config,
        events,
        supervisor,
        shutdown,
    };
    tracing::info!(peer = %house.listener.local_address(), "listening");
    let _reloading = AbortOnDropHandle::new(tokio::spawn(tls.reload_on_hangup(|| Ok(()))));
    let Some(seat) = seat else { return house.act(Record::File(house.state_file())).await };
    house.supervisor.ready();
    let mut pause = Duration::ZERO;
    loop {
        let Some(acting) = house.stand_by(&seat, pause).await else { return Ok(()) };
        tracing::warn!(rule = "P26", "this monitor acts from here on");
        let kept = acting.clone();
        let ended = tokio::select! {
            ended = house.act(Record::Etcd(acting)) => ended,
            lost = kept.keep(seat.every()) => Err(lost),
        };
        match ended {
            Ok(()) => {
                kept.resign().await;
                return Ok(());
            }
            Err(error @ (MonitorError::Superseded | MonitorError::Etcd(_))) => {
                tracing::warn!(%error, rule = "P26", "this monitor stands by");
                // Each of the others has a turn before the one that failed to keep the key.
                pause = seat.every() * 2;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a monitor holds whether it acts or not.
struct House {
    config: MonitorConfig,
    listener: PeerListener,
    page: Option<TcpListener>,
    events: Arc<EventLog>,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
}

impl House {
    fn state_file(&self) -> StateFile {
        StateFile::new(&self.config.data)
    }

    /// Watches the nodes, until shutdown or until the state can't be kept.
    async fn act(&mut self, record: Record) -> Result<(), MonitorError> {
        let (inputs, queued) = mpsc::channel(INPUTS_MAX);
        let driver = Driver::new(&self.config, record, Arc::clone(&self.events));
        let (driver, outlook) = driver.await?;
        let events = Arc::clone(&self.events);
        let door = peers::Door::new(&self.config, inputs, outlook.clone(), Arc::clone(&events));
        let accepting = door.open(&mut self.listener);
        let page = http::serve(self.page.as_ref(), outlook, events);
        self.supervisor.ready();
        tokio::select! {
            ended = driver.run(queued, &self.supervisor, self.shutdown.clone()) => ended,
            ended = accepting => Err(ended.into()),
            never = page => match never {},
        }
    }

    /// Waits until this monitor may act, with no attempt before `pause` is over; `None` at
    /// shutdown. Tells everybody who comes that another one acts.
    async fn stand_by(&mut self, seat: &Seat, mut pause: Duration) -> Option<Acting> {
        let mut holder = "none yet".to_owned();
        let mut away = false;
        loop {
            let over = tokio::time::sleep(pause);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = self.shutdown.cancelled() => return None,
                    () = &mut over => break,
                    Ok((stream, ..)) = self.listener.accept() => {
                        let reason = format!("standing by: monitor {holder} acts");
                        tokio::spawn(peers::refuse(stream, HelloReply::Refused(reason)));
                    }
                }
            }
            pause = seat.every();
            self.supervisor.beat();
            match seat.take().await {
                Ok(Ok(acting)) => return Some(acting),
                Ok(Err(acts)) => {
                    if acts != holder {
                        tracing::info!(rule = "P26", "standing by: {acts} acts");
                    }
                    (holder, away) = (acts, false);
                }
                Err(error) if !away => {
                    tracing::warn!(%error, "standing by: who acts can't be told");
                    away = true;
                }
                Err(_) => {}
            }
        }
    }
}
