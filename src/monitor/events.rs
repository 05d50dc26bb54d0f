//! Every decision, for operators: the latest in memory, all of them in a file (rule 30).
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::MonitorError;
use crate::failover::Event;

/// Events kept in memory.
const RECENT_MAX: usize = 1000;
/// The file is put aside, replacing the one put aside before, beyond this size, bytes.
const FILE_MAX: u64 = 16 << 20;
/// Of the file, the last that is read at the start, bytes.
const TAIL_MAX: u64 = 1 << 20;

/// An event and when it happened.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Happened {
    /// Wall clock, for humans.
    pub time: jiff::Timestamp,
    /// The sentence of the rule.
    #[serde(skip_deserializing)]
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
            let mut file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
            let written = file.metadata()?.len();
            let recent = tail(&mut file, written)?;
            if !ends_a_line(&mut file, written)? {
                file.write_all(b"\n")?;
            }
            Ok(Inner { recent, file, written })
        };
        let inner = open().map_err(|source| MonitorError::Io { path: path.clone(), source })?;
        let inner = Mutex::new(inner);
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

    fn write(&self, inner: &mut Inner, line: &[u8]) -> io::Result<()> {
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

/// The last events of a file. Lines that are none, such as one that was cut short by a
/// crash, are passed over: the file is for humans, and no decision rests on it.
fn tail(file: &mut File, length: u64) -> io::Result<VecDeque<Happened>> {
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_MAX)))?;
    let mut text = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n');
    let happened = lines.filter_map(|line| serde_json::from_slice::<Happened>(line).ok());
    let mut recent: VecDeque<Happened> = happened
        .map(|happened| Happened { sentence: happened.event.rule.sentence(), ..happened })
        .collect();
    recent.drain(..recent.len().saturating_sub(RECENT_MAX));
    Ok(recent)
}

fn ends_a_line(file: &mut File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::Rule;
    use crate::log::Term;

    #[test]
    fn events_outlive_the_monitor_and_a_torn_line_harms_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let event = |term| Event {
            rule: Rule::Suspicion,
            reason: "silent".into(),
            term: Term(term),
            lsn: None,
            before: "watching".into(),
            after: "promising".into(),
        };
        EventLog::open(directory.path()).expect("writable").add(event(1));
        let path = directory.path().join("events.jsonl");
        let whole = fs::read(&path).expect("readable");
        let torn = [&whole[..], &whole[..20]].concat();
        fs::write(&path, torn).expect("writable");
        EventLog::open(directory.path()).expect("writable").add(event(2));
        let log = EventLog::open(directory.path()).expect("readable");
        let recent = log.recent(10);
        let terms: Vec<_> = recent.iter().map(|happened| happened.event.term.0).collect();
        assert_eq!(terms, [1, 2]);
        assert_eq!(recent[0].sentence, Rule::Suspicion.sentence());
        assert_eq!(log.recent(1).len(), 1);
    }
}
