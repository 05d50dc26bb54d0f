//! What the processes wrote into their logs, judged: a WARN or ERROR that the drill did
//! not expect fails it, and no two terms may acknowledge at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// What the logs of a cluster say.
#[derive(Default)]
pub(super) struct Logs {
    /// WARN and ERROR lines: process, and what it said.
    pub complaints: Vec<(String, String)>,
    /// Panics and other lines that are no log lines.
    pub strange: Vec<(String, String)>,
    /// The first and the last reply under each term, by the clock that leases are
    /// measured by, ns; and how many there were.
    pub acknowledged: BTreeMap<u64, (i64, i64, u64)>,
}

impl Logs {
    /// Reads every log in a directory.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut logs = Self::default();
        for entry in fs::read_dir(directory).with_context(|| format!("{}", directory.display()))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read(&path).with_context(|| format!("{}", path.display()))?;
            for line in String::from_utf8_lossy(&text).lines() {
                logs.line(&name, line);
            }
        }
        Ok(logs)
    }

    fn line(&mut self, process: &str, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            if !line.trim().is_empty() {
                self.strange.push((process.to_owned(), line.to_owned()));
            }
            return;
        };
        let fields = &line["fields"];
        if let (Some(term), Some(at)) = (fields["lease_term"].as_u64(), fields["at_ns"].as_i64()) {
            let entry = self.acknowledged.entry(term).or_insert((at, at, 0));
            *entry = (entry.0.min(at), entry.1.max(at), entry.2 + 1);
        }
        if matches!(line["level"].as_str(), Some("WARN" | "ERROR")) {
            self.complaints.push((process.to_owned(), one_line(fields)));
        }
    }

    /// The complaints that none of `expected` is part of.
    pub(super) fn unexpected(&self, expected: &[&[&str]]) -> Vec<String> {
        let expected: Vec<&str> = expected.iter().flat_map(|group| group.iter().copied()).collect();
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for (process, text) in &self.complaints {
            if !expected.iter().any(|part| text.contains(part)) {
                *found.entry(format!("{process}: {text}")).or_default() += 1;
            }
        }
        for (process, text) in &self.strange {
            if !expected.iter().any(|part| text.contains(part)) {
                *found.entry(format!("{process} wrote {text:?}")).or_default() += 1;
            }
        }
        found
            .into_iter()
            .map(|(text, count)| if count == 1 { text } else { format!("{text} ({count} times)") })
            .collect()
    }

    /// Terms that acknowledged while a later one did.
    pub(super) fn overlaps(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut last: Option<(u64, i64)> = None;
        for (&term, &(first, end, _)) in &self.acknowledged {
            if let Some((before, until)) = last
                && first <= until
            {
                let by_ms = (until - first) / 1_000_000;
                found.push(format!("term {before} acknowledged {by_ms} ms into term {term}"));
            }
            last = Some((term, end.max(last.map_or(i64::MIN, |(_, until)| until))));
        }
        found
    }
}

/// A log line's fields as `message key=value`; numbers and names that differ from run
/// to run are kept, for they are what is looked for.
fn one_line(fields: &Value) -> String {
    let Some(fields) = fields.as_object() else { return fields.to_string() };
    let mut text = fields.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (key, value) in fields.iter().filter(|(key, _)| *key != "message") {
        match value {
            Value::String(value) => text += &format!(" {key}={value}"),
            value => text += &format!(" {key}={value}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(logs: &mut Logs, term: u64, at: i64) {
        let line = serde_json::json!({
            "level": "TRACE", "fields": { "lease_term": term, "at_ns": at }
        });
        logs.line("node1", &line.to_string());
    }

    #[test]
    fn terms_that_acknowledge_at_the_same_time_are_found() {
        let mut logs = Logs::default();
        for (term, at) in [(1, 10), (1, 20), (2, 21), (2, 30), (4, 31)] {
            lease(&mut logs, term, at);
        }
        assert!(logs.overlaps().is_empty());
        lease(&mut logs, 1, 25);
        assert_eq!(logs.overlaps().len(), 1);
        lease(&mut logs, 1, 40);
        assert_eq!(logs.overlaps().len(), 2);
    }

    #[test]
    fn only_what_was_not_expected_is_a_complaint() {
        let mut logs = Logs::default();
        logs.line("node1", r#"{"level":"WARN","fields":{"message":"silent","peer":"x"}}"#);
        logs.line("node2", r#"{"level":"ERROR","fields":{"message":"disk"}}"#);
        logs.line("node2", r#"{"level":"INFO","fields":{"message":"fine"}}"#);
        logs.line("node2", "thread 'main' panicked");
        assert_eq!(logs.unexpected(&[&["silent"], &["disk"]]).len(), 1);
        assert_eq!(logs.unexpected(&[]).len(), 3);
    }
}
