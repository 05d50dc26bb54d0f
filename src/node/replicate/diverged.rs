//! What is cut off the log is first written down for people: a file of SQL with the
//! values as comments, one transaction after the other. Nothing reads it back.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{Replication, StreamError};
use crate::failover::Rule;
use crate::log::describe::describe;
use crate::log::{Entry, Lsn};

impl Replication {
    /// Saves the log from `at` to its end below `diverged/`, durably. The same tail
    /// saved twice is the same file.
    pub(super) fn save_diverged(&self, at: Lsn) -> Result<(), StreamError> {
        let end = self.reader.end();
        let dir = self.data.join("diverged");
        let path = dir.join(format!("term-{}-{:016x}-{:016x}.sql", end.term, at.0, end.lsn.0));
        let io = |source| StreamError::File { path: path.clone(), source };
        fs::create_dir_all(&dir).map_err(io)?;
        let mut out = BufWriter::new(File::create(&path).map_err(io)?);
        let head = format!(
            "-- Frames that {} held and that are not in the log of the cluster: from {at} to {}.\n\
             -- They were not acknowledged under the sync policy. Parameters are in the comments.\n",
            self.hub.me, end.lsn
        );
        out.write_all(head.as_bytes()).map_err(io)?;
        let reader = self.reader.clone();
        let mut from = at;
        let mut transactions = 0;
        while let Some((span, entry)) = reader.entry(from)? {
            transactions += usize::from(matches!(entry, Entry::Transaction(_)));
            out.write_all(describe(&span, &entry).as_bytes()).map_err(io)?;
            from = span.end;
        }
        let file = out.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        sync_dir(&dir)?;
        sync_dir(&self.data)?;
        let file = path.file_name().unwrap_or_default().display();
        let end = end.lsn;
        let reason = format!(
            "the log from {at} to {end} is not the cluster's: saved in diverged/{file} \
             ({transactions} transactions), then cut; `towline log diverged` shows them"
        );
        self.hub.notice(Rule::Rejoin, Some(at), reason);
        Ok(())
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), StreamError> {
    let io = |source| StreamError::File { path: PathBuf::from(dir), source };
    File::open(dir).and_then(|file| file.sync_all()).map_err(io)
}
