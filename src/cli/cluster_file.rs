//! `cluster.json`: what runs in a demo's directory, for people and scripts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ClusterFile {
    pub database: String,
    pub user: String,
    pub password: String,
    pub processes: Vec<Process>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Process {
    pub name: String,
    pub role: Role,
    /// Of the running process; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<u32>,
    /// host:port for SQL clients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sql: Option<String>,
    /// host:port for the cluster's other processes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// host:port for HTTP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http: Option<String>,
    /// Its data directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<PathBuf>,
    pub config: PathBuf,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Node,
    Monitor,
    Proxy,
}

impl ClusterFile {
    fn path(dir: &Path) -> PathBuf {
        dir.join("cluster.json")
    }

    /// Reads the file in `dir`; `None` if there is none.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(dir);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        }
    }

    /// Replaces the file in `dir`; readers see the old one or the new one, whole.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let path = Self::path(dir);
        let partial = path.with_extension("json.partial");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&partial, text).with_context(|| format!("{}", partial.display()))?;
        fs::rename(&partial, &path).with_context(|| format!("{}", path.display()))
    }

    /// The cluster's id is its database's name.
    pub(super) fn cluster_id(&self) -> String {
        self.database.clone()
    }

    /// The first process in `role`.
    pub(super) fn process(&self, role: Role) -> Option<&Process> {
        self.processes.iter().find(|process| process.role == role)
    }
}
