//! Where the monitor's state is recorded.
use super::MonitorError;
use super::standby::Acting;
use super::state_file::StateFile;
use crate::failover::MonitorState;

#[derive(Clone)]
pub(super) enum Record {
    /// In its own directory: it is the only monitor.
    File(StateFile),
    /// In etcd, for whichever monitor acts.
    Etcd(Acting),
}

impl Record {
    /// What is recorded, if anything is.
    pub(super) async fn load(&mut self) -> Result<Option<MonitorState>, MonitorError> {
        match self {
            Self::File(file) => file.load(),
            Self::Etcd(acting) => acting.load().await,
        }
    }

    /// Replaces it; durable when this returns.
    pub(super) async fn save(&mut self, state: MonitorState) -> Result<(), MonitorError> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                let save = tokio::task::spawn_blocking(move || file.save(&state));
                save.await.expect("the blocking pool outlives its users")
            }
            Self::Etcd(acting) => acting.save(&state).await,
        }
    }

    /// Whether anything may be said to anybody.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Etcd(acting) => acting.holds(),
        }
    }
}
