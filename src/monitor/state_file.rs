//! The monitor's durable state: a small JSON file, replaced whole.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::MonitorError;
use crate::failover::MonitorState;

/// A state larger than this is no state, bytes.
const STATE_MAX: u64 = 64 * 1024;

/// `monitor.json`.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join("monitor.json") }
    }

    /// What it says; `None` if there is none.
    pub(super) fn load(&self) -> Result<Option<MonitorState>, MonitorError> {
        let length = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(source)),
        };
        if length > STATE_MAX {
            return Err(self.damaged(format!("{length} bytes long")));
        }
        let text = fs::read(&self.path).map_err(|source| self.io(source))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| self.damaged(error.to_string()))
    }

    /// Replaces it; durable when this returns.
    pub(super) fn save(&self, state: &MonitorState) -> Result<(), MonitorError> {
        let text = serde_json::to_vec_pretty(state).expect("plain data");
        let new = self.path.with_extension("json.new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            let directory = self.path.parent().expect("a file in a directory");
            File::open(directory)?.sync_all()
        };
        write().map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> MonitorError {
        MonitorError::Io { path: self.path.clone(), source }
    }

    fn damaged(&self, cause: String) -> MonitorError {
        MonitorError::Damaged { path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Configuration;
    use crate::failover::{Appointed, Change};
    use crate::log::Term;

    #[test]
    fn state_is_kept_and_damage_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = StateFile::new(directory.path());
        assert!(file.load().expect("readable").is_none());
        let state = MonitorState {
            incarnation: 7,
            term: Term(3),
            appointed: Some(Appointed { term: Term(3), node: "n1".parse().expect("legal") }),
            acks: 1,
            policy_version: 0,
            weakened: false,
            rebuilt: true,
            weakened_to: None,
            maintenance: ["n2".parse().expect("legal")].into(),
            configuration: Configuration::default(),
            unconfirmed: vec![Configuration { version: 1, members: Vec::new() }],
            change: Some(Change::Leave { node: "n3".parse().expect("legal") }),
        };
        file.save(&state).expect("writable");
        assert_eq!(file.load().expect("readable"), Some(state));
        for bad in ["", "{", "{\"incarnation\":1}", "[]"] {
            fs::write(directory.path().join("monitor.json"), bad).expect("writable");
            let error = file.load().expect_err("damaged").to_string();
            assert!(error.contains("monitor.json"), "{error}");
        }
    }
}
