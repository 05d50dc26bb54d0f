//! The report: JSON for programs, one self-contained page for people.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::check::Check;

/// The page; the report takes the place of [`HERE`].
const PAGE: &str = include_str!("report.html");
const HERE: &str = "/*REPORT*/null";

/// Acknowledged writes are counted in steps of this length.
const STEP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// It could not be done here, and is no success.
    Skipped,
}

/// All drills of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub begun: jiff::Timestamp,
    pub took_s: u64,
    pub rounds: u32,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub drills: Vec<Drilled>,
}

/// One drill.
#[derive(Debug, Serialize)]
pub(super) struct Drilled {
    pub number: &'static str,
    pub name: &'static str,
    pub family: &'static str,
    pub what: &'static str,
    pub verdict: Verdict,
    /// Why it failed or was skipped.
    pub why: Vec<String>,
    pub rounds: Vec<Round>,
    pub write_gap: Option<Figures>,
    /// What the 95th percentile of the write gap should be at most, ms.
    pub target_p95_ms: Option<u64>,
    pub checks: Vec<Check>,
    pub acknowledged: usize,
    /// Writes whose client got an error or no answer, and what it was told; the commonest
    /// first.
    pub failed_writes: Vec<(usize, String)>,
    pub timeline: Timeline,
}

/// What one round showed.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    pub round: u32,
    pub leader_before: String,
    pub leader_after: String,
    pub term_after: u64,
    /// The longest time without an acknowledged write from the blow on, ms.
    pub write_gap_ms: u64,
    /// The longest time without an answered read, ms.
    pub read_gap_ms: u64,
    pub acknowledged: usize,
    pub failed: usize,
    pub reads_failed: usize,
}

/// Of the write gaps of all rounds, ms.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Figures {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub max_ms: u64,
}

/// All times are milliseconds since the load began.
#[derive(Debug, Default, Serialize)]
pub(super) struct Timeline {
    pub ends_ms: u64,
    pub step_ms: u64,
    /// Acknowledged writes in each step.
    pub acknowledged: Vec<u32>,
    /// What the drill did.
    pub done: Vec<(u64, String)>,
    /// What the monitor decided.
    pub events: Vec<(u64, Value)>,
}

/// The two clocks at the moment when the load began.
pub(super) struct Origin {
    pub instant: Instant,
    pub wall: jiff::Timestamp,
}

impl Origin {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), wall: jiff::Timestamp::now() }
    }

    pub(super) fn ms(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.instant))
    }

    fn wall_ms(&self, event: &Value) -> u64 {
        let time = event["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let since = time.map_or(0, |time| time.duration_since(self.wall).as_millis());
        u64::try_from(since).unwrap_or(0)
    }
}

impl Timeline {
    pub(super) fn new(
        origin: &Origin,
        acknowledged: impl Iterator<Item = Instant>,
        journal: &[(Instant, String)],
        events: Vec<Value>,
    ) -> Self {
        let ends_ms = origin.ms(Instant::now());
        let step_ms = millis(STEP);
        let steps = usize::try_from(ends_ms / step_ms + 1).unwrap_or(1);
        let mut counts = vec![0_u32; steps];
        for at in acknowledged {
            let step = usize::try_from(origin.ms(at) / step_ms).unwrap_or(usize::MAX);
            if let Some(count) = counts.get_mut(step) {
                *count += 1;
            }
        }
        Self {
            ends_ms,
            step_ms,
            acknowledged: counts,
            done: journal.iter().map(|(at, what)| (origin.ms(*at), what.clone())).collect(),
            events: events.into_iter().map(|event| (origin.wall_ms(&event), event)).collect(),
        }
    }
}

impl Figures {
    pub(super) fn of(rounds: &[Round]) -> Option<Self> {
        let mut gaps: Vec<u64> = rounds.iter().map(|round| round.write_gap_ms).collect();
        gaps.sort_unstable();
        // The smallest value that so many of a hundred do not exceed.
        let percentile = |p: usize| gaps.get((gaps.len() * p).div_ceil(100).max(1) - 1).copied();
        Some(Self { p50_ms: percentile(50)?, p95_ms: percentile(95)?, max_ms: percentile(100)? })
    }
}

impl Report {
    /// Writes `drill.json` and `drill.html` into a directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
        let text = serde_json::to_string_pretty(self)?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("{}", path.display()))
        };
        write("drill.json", &text)?;
        // Inside a script no text may look like its end.
        let safe = serde_json::to_string(self)?.replace('<', "\\u003c");
        write("drill.html", &PAGE.replacen(HERE, &safe, 1))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(gaps: &[u64]) -> Vec<Round> {
        let round = |&write_gap_ms: &u64| Round {
            round: 1,
            leader_before: String::new(),
            leader_after: String::new(),
            term_after: 1,
            write_gap_ms,
            read_gap_ms: 0,
            acknowledged: 0,
            failed: 0,
            reads_failed: 0,
        };
        gaps.iter().map(round).collect()
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert!(Figures::of(&[]).is_none());
        let one = Figures::of(&rounds(&[7])).expect("a figure");
        assert_eq!((one.p50_ms, one.p95_ms, one.max_ms), (7, 7, 7));
        let many: Vec<u64> = (1..=20).rev().collect();
        let many = Figures::of(&rounds(&many)).expect("a figure");
        assert_eq!((many.p50_ms, many.p95_ms, many.max_ms), (10, 19, 20));
    }

    #[test]
    fn page_holds_the_report_and_nothing_ends_its_script() {
        assert_eq!(PAGE.matches(HERE).count(), 1);
        let directory = tempfile::tempdir().expect("a directory");
        let report = Report {
            begun: jiff::Timestamp::UNIX_EPOCH,
            took_s: 1,
            rounds: 1,
            passed: 0,
            failed: 1,
            skipped: 0,
            drills: vec![Drilled {
                number: "D0",
                name: "none",
                family: "kill",
                what: "nothing",
                verdict: Verdict::Failed,
                why: vec!["</script><b>".into()],
                rounds: rounds(&[1]),
                write_gap: None,
                target_p95_ms: None,
                checks: Vec::new(),
                acknowledged: 0,
                failed_writes: Vec::new(),
                timeline: Timeline::default(),
            }],
        };
        report.write(directory.path()).expect("written");
        let page = fs::read_to_string(directory.path().join("drill.html")).expect("readable");
        assert!(page.contains("\\u003c/script>\\u003cb>"));
        let json = fs::read(directory.path().join("drill.json")).expect("readable");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["drills"][0]["why"][0], "</script><b>");
    }
}
