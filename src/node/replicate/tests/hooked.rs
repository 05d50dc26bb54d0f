//! A file system that can be told to wait, or to die.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::storage::fs::{File, Fs, Op, RealFs};

/// The real file system, with a word to say before every operation.
#[derive(Clone)]
pub(super) struct Hooked(Arc<dyn Fn(Op) -> std::io::Result<()> + Send + Sync>);

struct HookedFile(Arc<dyn File>, Hooked);

impl Hooked {
    pub(super) fn new(
        hook: impl Fn(Op) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self(Arc::new(hook)))
    }

    /// No sync of the log returns while the gate is closed.
    pub(super) fn gated(gate: &watch::Sender<bool>) -> Arc<Self> {
        let gate = gate.clone();
        Self::new(move |op| {
            while op == Op::SyncLog && !*gate.borrow() {
                std::thread::yield_now();
            }
            Ok(())
        })
    }

    /// Once armed, after `count` more operations of this label all of them fail, whatever
    /// their label: as if the process had been killed there.
    pub(super) fn dying(label: Op, count: usize) -> (Arc<Self>, Arc<Death>) {
        let death = Arc::new(Death { left: AtomicUsize::new(count), ..Death::default() });
        let hand = death.clone();
        let hook = move |op| {
            if hand.armed.load(Ordering::SeqCst) && op == label {
                let left = hand.left.load(Ordering::SeqCst).checked_sub(1);
                match left {
                    Some(left) => hand.left.store(left, Ordering::SeqCst),
                    None => drop(hand.dead.send_replace(true)),
                }
            }
            match *hand.dead.borrow() {
                true => Err(std::io::Error::other("killed")),
                false => Ok(()),
            }
        };
        (Self::new(hook), death)
    }
}

#[derive(Default)]
pub(super) struct Death {
    pub(super) armed: AtomicBool,
    left: AtomicUsize,
    pub(super) dead: watch::Sender<bool>,
}

impl Fs for Hooked {
    fn list(&self, op: Op, dir: &Path) -> std::io::Result<Vec<String>> {
        (self.0)(op)?;
        RealFs.list(op, dir)
    }

    fn create_dir_all(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.create_dir_all(op, dir)
    }

    fn open(&self, op: Op, path: &Path) -> std::io::Result<Arc<dyn File>> {
        (self.0)(op)?;
        Ok(Arc::new(HookedFile(RealFs.open(op, path)?, self.clone())))
    }

    fn create(&self, op: Op, path: &Path) -> std::io::Result<Arc<dyn File>> {
        (self.0)(op)?;
        Ok(Arc::new(HookedFile(RealFs.create(op, path)?, self.clone())))
    }

    fn remove(&self, op: Op, path: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.remove(op, path)
    }

    fn remove_dir_all(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.remove_dir_all(op, dir)
    }

    fn rename(&self, op: Op, from: &Path, to: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.rename(op, from, to)
    }

    fn sync_dir(&self, op: Op, dir: &Path) -> std::io::Result<()> {
        (self.0)(op)?;
        RealFs.sync_dir(op, dir)
    }
}

impl File for HookedFile {
    fn length(&self, op: Op) -> std::io::Result<u64> {
        (self.1.0)(op)?;
        self.0.length(op)
    }

    fn read_exact_at(&self, op: Op, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.read_exact_at(op, buffer, offset)
    }

    fn write_all_at(&self, op: Op, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.write_all_at(op, bytes, offset)
    }

    fn allocate(&self, op: Op, length: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.allocate(op, length)
    }

    fn truncate(&self, op: Op, length: u64) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.truncate(op, length)
    }

    fn sync_data(&self, op: Op) -> std::io::Result<()> {
        (self.1.0)(op)?;
        self.0.sync_data(op)
    }
}
