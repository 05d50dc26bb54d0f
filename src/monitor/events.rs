//! Every decision, for operators: the latest in memory, all of them in a file (rule 30).
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::MonitorError;
use crate::failover::Event;

/// Events kept in memory.
const RECENT_MAX: usize = 1000;
/// The file is put aside, replacing the one put aside before, beyond this size, bytes.
const FILE_MAX: u64 = 16 << 20;

/// An event and when it happened.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happened {
    /// Wall clock, for humans.
    pub time: jiff::Timestamp,
    /// The sentence of the rule.
    pub sentence: &'static str,
    #[serde(flatten)]
    pub event: Event,
}

/// The ring and the file.
pub(super) struct EventLog {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    recent: VecDeque<Happened>,
    file: File,
    written: u64,
}

impl EventLog {
    pub(super) fn open(directory: &Path) -> Result<Self, MonitorError> {
        let path = directory.join("events.jsonl");
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            let written = file.metadata()?.len();
            Ok((file, written))
        };
        let (file, written) =
            open().map_err(|source| MonitorError::Io { path: path.clone(), source })?;
        let inner = Mutex::new(Inner { recent: VecDeque::new(), file, written });
        Ok(Self { path, inner })
    }

    /// Keeps an event. A file that can't be written costs only its line: decisions go on.
    pub(super) fn add(&self, event: Event) {
        let time = jiff::Timestamp::now();
        let happened = Happened { time, sentence: event.rule.sentence(), event };
        let Event { rule, reason, term, before, after, .. } = &happened.event;
        tracing::info!(%rule, %term, before, after, "{reason}");
        let mut line = serde_json::to_vec(&happened).expect("plain data");
        line.push(b'\n');
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.recent.len() == RECENT_MAX {
            inner.recent.pop_front();
        }
        inner.recent.push_back(happened);
        if let Err(error) = self.write(&mut inner, &line) {
            tracing::warn!(path = %self.path.display(), %error, "an event can't be written");
        }
    }

    fn write(&self, inner: &mut Inner, line: &[u8]) -> std::io::Result<()> {
        if inner.written > FILE_MAX {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
            inner.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            inner.written = 0;
        }
        inner.file.write_all(line)?;
        inner.written += line.len() as u64;
        Ok(())
    }

    /// The latest `limit`, oldest first.
    pub(super) fn recent(&self, limit: usize) -> Vec<Happened> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = inner.recent.len().saturating_sub(limit);
        inner.recent.iter().skip(skip).cloned().collect()
    }
}
