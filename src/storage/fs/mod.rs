//! The file operations that durability rests on, behind one narrow trait: the real
//! file system, and for tests one that forgets what was not synced, tears writes,
//! and fails any operation by its label.
//!
//! SQLite does its own IO, but for the sync of its WAL before the log lets go of what is
//! in it; this is for the log and the control file.

mod real;
#[cfg(test)]
pub mod simulated;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::{RealFs, space_left};

/// What an operation is for: the label by which a test fails it and an error names it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Op {
    /// Frames are handed to the operating system.
    Append,
    /// Frames are made durable.
    SyncLog,
    /// A segment file is made, with all its space.
    CreateSegment,
    /// A segment is cut at a divergence or a torn end.
    CutSegment,
    /// What SQLite has committed is made durable.
    SyncWal,
    /// A segment that is no longer needed, or was cut whole, goes.
    RemoveSegment,
    /// Frames are read back.
    ReadLog,
    /// The files of the log are looked up.
    ListLog,
    /// The note of how far the log is durable.
    NoteDurable,
    ReadControl,
    WriteControl,
    /// A directory that a process keeps its files in is made.
    MakeDir,
    /// A directory's entries are made durable.
    SyncDir,
    /// What is there of a snapshot's files is laid out and told.
    PrepareSnapshot,
    /// A piece of a snapshot is written.
    ReceiveSnapshot,
    /// A snapshot's files are made durable, and read back.
    VerifySnapshot,
    /// A generation of the databases that is not in use goes.
    RemoveGeneration,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append to the log",
            Self::SyncLog => "sync the log",
            Self::CreateSegment => "create a segment",
            Self::CutSegment => "cut a segment",
            Self::SyncWal => "sync the WAL",
            Self::RemoveSegment => "remove a segment",
            Self::ReadLog => "read the log",
            Self::ListLog => "list the log",
            Self::NoteDurable => "note what is durable",
            Self::ReadControl => "read the control file",
            Self::WriteControl => "write the control file",
            Self::MakeDir => "make a directory",
            Self::SyncDir => "sync the directory",
            Self::PrepareSnapshot => "prepare for a snapshot",
            Self::ReceiveSnapshot => "receive a snapshot",
            Self::VerifySnapshot => "verify a snapshot",
            Self::RemoveGeneration => "remove a generation",
        })
    }
}

/// A file system. All calls block.
pub trait Fs: Send + Sync {
    /// Names of the files in `dir`; none if it doesn't exist.
    fn list(&self, op: Op, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory, and those that it lies in, durably, unless it is there.
    fn create_dir_all(&self, op: Op, dir: &Path) -> io::Result<()>;
    /// Opens an existing file for reading and writing.
    fn open(&self, op: Op, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Creates a file, or empties the one there.
    fn create(&self, op: Op, path: &Path) -> io::Result<Arc<dyn File>>;
    fn remove(&self, op: Op, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it, if it is there.
    fn remove_dir_all(&self, op: Op, dir: &Path) -> io::Result<()>;
    /// Renames over what is there.
    fn rename(&self, op: Op, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, op: Op, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync {
    fn length(&self, op: Op) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; fails where the file ends before.
    fn read_exact_at(&self, op: Op, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, op: Op, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reserves space up to `length` and makes that the file's length, zeros where
    /// nothing was written.
    fn allocate(&self, op: Op, length: u64) -> io::Result<()>;
    /// Makes `length` the file's length, zeros where there was nothing.
    fn truncate(&self, op: Op, length: u64) -> io::Result<()>;
    /// Makes the content durable, and so much of the rest as is needed to read it back.
    fn sync_data(&self, op: Op) -> io::Result<()>;
}
