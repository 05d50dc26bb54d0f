//! STUB: signatures fixed for the other parts; bodies to come.
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::log::{Lsn, Term};

/// What a node must not forget. Written whole, synced, and swapped in atomically
/// (two slots with checksums); small.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// The cluster it belongs to; empty before it joined one.
    pub cluster: String,
    /// The newest term heard and recorded.
    pub term: Term,
    /// The newest term promised, and the monitor incarnation it was promised to.
    pub promised: Option<(Term, u64)>,
    /// The highest term that this node led.
    pub led: Term,
    /// Known to be committed (a lower bound).
    pub commit: Lsn,
    /// Directory of the current generation of the databases, below `data/`.
    pub generation: u64,
    /// Rule 16a: new, re-seeded or cut: counts for no election until cleared.
    pub unproven: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: damaged: {cause}")]
    Damaged { path: PathBuf, cause: String },
}

/// The control file and its content.
pub struct ControlFile {}

#[allow(unused_variables, clippy::todo)]
impl ControlFile {
    /// Opens it, or creates it with defaults in a directory that has no data.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        todo!()
    }
    pub fn get(&self) -> &Control {
        todo!()
    }
    /// Changes it durably: returns only after fsync.
    pub fn update(&mut self, change: impl FnOnce(&mut Control)) -> Result<(), ControlError> {
        todo!()
    }
}
