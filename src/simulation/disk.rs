//! A node's disk: the log store and the control file as they are, over a file system that
//! forgets what was not synced when power is lost.
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::log::{Entry, TermHistory, TermStart};
use crate::replication::{FollowerLog, LeaderLog, rejoin};
use crate::storage::control_file::ControlFile;
use crate::storage::fs::Op;
use crate::storage::fs::simulated::SimulatedFs;
use crate::storage::log_store::{LogError, LogOptions, LogStore};

const LOG: &str = "data/log";
const CONTROL: &str = "data/control";
/// Small, so that logs have many of them.
const SEGMENT_BYTES: u64 = 4096;

pub(super) struct Disk {
    fs: SimulatedFs,
    store: LogStore,
    control: ControlFile,
    /// Where each frame ends in the log's bytes.
    ends: Vec<Lsn>,
}

/// A log, or the beginning of one, as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    log: Arc<[Frame]>,
    ends: Arc<[Lsn]>,
    bytes: Bytes,
    history: TermHistory,
    /// How many of the frames are sent.
    len: usize,
}

impl Stream {
    /// The first `len` of its frames.
    pub(super) fn first(&self, len: usize) -> Self {
        Self { len, ..self.clone() }
    }

    pub(super) fn log(&self) -> &[Frame] {
        &self.log[..self.len]
    }

    fn ends(&self) -> &[Lsn] {
        &self.ends[..self.len]
    }

    fn end(&self) -> Lsn {
        self.ends().last().copied().unwrap_or_default()
    }
}

impl Disk {
    /// An empty one, of a node that knows the members by its file.
    pub(super) fn new(seed: u64, roll: &Roll) -> Self {
        let fs = SimulatedFs::new(seed);
        let (store, control) = open(&fs, Lsn(0)).expect("an empty disk opens");
        let mut disk = Self { fs, store, control, ends: Vec::new() };
        disk.persist_roll(roll);
        disk
    }

    /// Syncs of the log do nothing from now on, though they say that they did.
    pub(super) fn lie(&self) {
        self.fs.lie_about(Op::SyncLog);
    }

    /// What a disk that lies writes in the end.
    pub(super) fn settle(&self) {
        self.fs.settle();
    }

    pub(super) fn persist(&mut self, bound: Bound) {
        self.update_bound(bound).expect("the disk is well");
    }

    fn update_bound(&mut self, bound: Bound) -> Result<(), String> {
        let changed = self.control.update(|control| {
            control.term = bound.term;
            control.promised = bound.promised;
            control.led = bound.led;
            control.unproven = bound.unproven;
        });
        changed.map_err(|error| error.to_string())
    }

    /// Power is lost after `writes` of the writes that record it.
    pub(super) fn persist_in_part(&mut self, bound: Bound, writes: u64) {
        self.fs.fail_after(Op::WriteControl, writes);
        // It has not returned, so either content may be there.
        let _ = self.update_bound(bound);
        self.fs.heal();
    }

    pub(super) fn persist_roll(&mut self, roll: &Roll) {
        let changed = self.control.update(|control| control.roll = roll.clone());
        changed.expect("the disk is well");
    }

    pub(super) fn fence(&mut self, term: Term) {
        self.store.fence(term);
    }

    /// Appends a leader's frame; `first` of its term.
    pub(super) fn append(&mut self, frame: &Frame, first: bool) -> Checked {
        let spans = self.store.append(frame.term, &[entry(frame, first)]).map_err(text)?;
        self.ends.extend(spans.iter().map(|span| span.end));
        Ok(())
    }

    /// How it comes to hold what is sent, with `applied` frames of its own log applied.
    pub(super) fn rejoin(&self, stream: &Stream, applied: usize) -> Rejoin {
        let (history, end) = (self.store.history(), self.store.end().lsn);
        let applied = applied.checked_sub(1).map_or(Lsn(0), |last| self.ends[last]);
        let mut sent = stream.history.clone();
        sent.cut(stream.end());
        let leader = LeaderLog { history: &sent, end: stream.end(), first: Lsn(0) };
        rejoin(&leader, &FollowerLog { history, end, applied })
    }

    /// Appends what a stream has beyond the own end.
    pub(super) fn copy(&mut self, term: Term, stream: &Stream) -> Checked {
        let from = self.store.end().lsn;
        let bytes = stream.bytes.get(from.0 as usize..stream.end().0 as usize);
        self.store.append_copy(term, from, bytes.unwrap_or_default()).map_err(text)?;
        self.ends.extend_from_slice(&stream.ends()[self.ends.len()..]);
        Ok(())
    }

    /// Keeps what lies before `at`; gives how many frames that are.
    pub(super) fn cut(&mut self, at: Lsn) -> Result<usize, String> {
        self.store.cut(at).map_err(text)?;
        self.ends.retain(|end| *end <= at);
        Ok(self.ends.len())
    }

    pub(super) fn sync(&self) {
        self.store.syncer().sync().expect("the disk is well");
    }

    /// All of the log, whose frames are `log`.
    pub(super) fn stream(&self, log: &[Frame]) -> Stream {
        let (reader, mut bytes) = (self.store.reader(), BytesMut::new());
        let end = self.store.end().lsn.0 as usize;
        while bytes.len() < end {
            let more = reader.read(Lsn(bytes.len() as u64), usize::MAX).expect("it is held");
            bytes.extend_from_slice(&more);
        }
        Stream {
            log: log.into(),
            ends: self.ends.as_slice().into(),
            bytes: bytes.freeze(),
            history: self.store.history().clone(),
            len: log.len(),
        }
    }

    /// The log's running hash.
    pub(super) fn hash(&self) -> u64 {
        self.store.hash()
    }

    /// The process ends as `end` says. Gives how many frames of `log`, which it held, are
    /// there, of which `committed` must be.
    pub(super) fn restart(
        &mut self,
        end: End,
        log: &[Frame],
        committed: usize,
    ) -> Result<Restarted, String> {
        match end {
            End::Killed => {}
            End::Torn => self.fs.lose_power(),
            End::Lost => self.fs.lose_power_and_caches(),
        }
        let floor = committed.checked_sub(1).map_or(Lsn(0), |last| self.ends[last]);
        let (store, control) = match open(&self.fs, floor) {
            Ok(opened) => opened,
            Err(Unusable::TooShort) => return Ok(Restarted::Reseeds),
            Err(Unusable::Broken(cause)) => return Err(cause),
        };
        (self.store, self.control) = (store, control);
        let reader = self.store.reader();
        self.ends.clear();
        let mut at = reader.first();
        while let Some((span, found)) = reader.entry(at).map_err(text)? {
            let place = self.ends.len();
            let first = place == 0 || log.get(place - 1).is_some_and(|it| it.term != span.term);
            if log.get(place).is_none_or(|held| entry(held, first) != found) {
                return Err(format!("{found:?} is at {place} after a restart, and was not before"));
            }
            self.ends.push(span.end);
            at = span.end;
        }
        let control = self.control.get();
        Ok(Restarted::Holds {
            frames: self.ends.len(),
            doubtful: self.store.opened().doubtful,
            bound: Bound {
                term: control.term,
                promised: control.promised,
                led: control.led,
                unproven: control.unproven
                    || (control.term == Term(0) && control.promised.is_none()),
            },
            roll: control.roll.clone(),
        })
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Its system lives, and keeps what it wrote.
    Killed,
    /// Power is lost; parts of what was not synced are there.
    Torn,
    /// Power is lost, and all that was not synced.
    Lost,
}

/// What a process finds when it starts again.
pub(super) enum Restarted {
    Holds {
        frames: usize,
        /// What was cut may have been durable.
        doubtful: bool,
        bound: Bound,
        roll: Roll,
    },
    /// The log ends below what is recorded as committed.
    Reseeds,
}

#[derive(Debug)]
enum Unusable {
    TooShort,
    Broken(String),
}

fn open(fs: &SimulatedFs, floor: Lsn) -> Result<(LogStore, ControlFile), Unusable> {
    let control = ControlFile::open_in(fs, Path::new(CONTROL))
        .map_err(|error| Unusable::Broken(error.to_string()))?;
    let options = LogOptions { segment_bytes: SEGMENT_BYTES, floor };
    match LogStore::open_in(Arc::new(fs.clone()), Path::new(LOG), options) {
        Ok(store) => Ok((store, control)),
        Err(LogError::TooShort { .. }) => Err(Unusable::TooShort),
        Err(error) => Err(Unusable::Broken(error.to_string())),
    }
}

fn entry(frame: &Frame, first: bool) -> Entry {
    match &frame.configuration {
        Some(configuration) => Entry::Configuration(configuration.to_json()),
        None if first => Entry::TermStart(TermStart {
            leader: String::new(),
            time_us: frame.value.cast_signed(),
        }),
        None => Entry::Marker { id: frame.value },
    }
}

fn text(error: LogError) -> String {
    format!("the log refuses: {error}")
}
