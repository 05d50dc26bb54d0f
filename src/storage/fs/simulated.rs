//! A file system in memory that forgets what was not synced.
//!
//! When power is lost, of the unsynced writes to a file each 512-byte sector is kept
//! or lost by chance, and of the unsynced changes to directories some first part is
//! kept. A failed write leaves a part of itself behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{File, Fs, Op};

const SECTOR: usize = 512;

/// The file system; clones are the same one.
#[derive(Clone)]
pub struct SimulatedFs {
    state: Arc<Mutex<State>>,
}

struct State {
    random: u64,
    dirs: BTreeSet<PathBuf>,
    files: Entries,
    durable_files: Entries,
    /// Changes to directories since they were synced.
    unsynced: Vec<EntryChange>,
    /// Operations of a label that still succeed; then they fail.
    faults: BTreeMap<Op, u64>,
    /// Syncs of this label do nothing, and say that they did.
    lies: Option<Op>,
}

type Entries = BTreeMap<PathBuf, Arc<Mutex<Content>>>;

#[derive(Clone)]
enum EntryChange {
    Add(PathBuf, Arc<Mutex<Content>>),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Default)]
struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<ContentChange>,
}

enum ContentChange {
    Write(usize, Vec<u8>),
    Resize(usize),
}

struct Handle {
    fs: SimulatedFs,
    content: Arc<Mutex<Content>>,
}

impl SimulatedFs {
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            dirs: BTreeSet::new(),
            files: Entries::new(),
            durable_files: Entries::new(),
            unsynced: Vec::new(),
            faults: BTreeMap::new(),
            lies: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets `count` more operations labelled `op` succeed, then fails them all.
    pub fn fail_after(&self, op: Op, count: u64) {
        self.lock().faults.insert(op, count);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Syncs labelled `op` do nothing from now on.
    pub fn lie_about(&self, op: Op) {
        self.lock().lies = Some(op);
    }

    /// Makes all that files hold durable.
    pub fn settle(&self) {
        for content in self.lock().files.values() {
            content.lock().expect("not poisoned").settle();
        }
    }

    /// Loses power: what was not synced is kept or lost by chance. Open handles
    /// must not be used afterwards.
    pub fn lose_power(&self) {
        let mut state = self.lock();
        let changes = std::mem::take(&mut state.unsynced);
        let kept = state.draw(changes.len() + 1);
        let mut files = state.durable_files.clone();
        for change in &changes[..kept] {
            change.apply(&mut files);
        }
        state.durable_files = files.clone();
        for content in files.values() {
            let mut content = content.lock().expect("not poisoned");
            let changes = std::mem::take(&mut content.unsynced);
            let mut durable = std::mem::take(&mut content.durable);
            for change in changes {
                match change {
                    ContentChange::Resize(length) if state.draw(2) == 0 => {
                        durable.resize(length, 0);
                    }
                    ContentChange::Resize(_) => {}
                    ContentChange::Write(offset, bytes) => {
                        for (at, byte) in bytes.iter().enumerate() {
                            let place = offset + at;
                            if at == 0 || place % SECTOR == 0 {
                                state.random = step(state.random);
                            }
                            if state.random >> 40 & 1 == 0 {
                                put(&mut durable, place, &[*byte]);
                            }
                        }
                    }
                }
            }
            content.current.clone_from(&durable);
            content.durable = durable;
        }
        state.files = files;
    }

    /// Loses power, and with it all that was not synced.
    pub fn lose_power_and_caches(&self) {
        let mut state = self.lock();
        state.unsynced.clear();
        state.files = state.durable_files.clone();
        for content in state.files.values() {
            let mut content = content.lock().expect("not poisoned");
            content.unsynced.clear();
            content.current = content.durable.clone();
        }
    }

    /// Flips bits of one byte on the disk.
    pub fn flip(&self, path: &Path, offset: usize, bits: u8) {
        let state = self.lock();
        let mut content = state.files[path].lock().expect("not poisoned");
        content.current[offset] ^= bits;
        if let Some(byte) = content.durable.get_mut(offset) {
            *byte ^= bits;
        }
    }

    /// The content of every file, as a reader sees it now.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let content =
            |content: &Arc<Mutex<Content>>| content.lock().expect("sound").current.clone();
        state.files.iter().map(|(path, file)| (path.clone(), content(file))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn permit(&self, op: Op) -> io::Result<()> {
        match self.lock().faults.get_mut(&op) {
            Some(0) => Err(io::Error::other(format!("simulated: cannot {op}"))),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl State {
    fn draw(&mut self, below: usize) -> usize {
        self.random = step(self.random);
        (self.random >> 33) as usize % below
    }

    fn change(&mut self, change: EntryChange) {
        change.apply(&mut self.files);
        self.unsynced.push(change);
    }
}

impl Content {
    fn settle(&mut self) {
        self.unsynced.clear();
        self.durable.clone_from(&self.current);
    }
}

impl EntryChange {
    fn apply(&self, files: &mut Entries) {
        match self {
            Self::Add(path, content) => {
                files.insert(path.clone(), content.clone());
            }
            Self::Remove(path) => {
                files.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(content) = files.remove(from) {
                    files.insert(to.clone(), content);
                }
            }
        }
    }
}

/// xorshift64*'s state step.
fn step(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ state << 17
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if bytes.len() < offset + new.len() {
        bytes.resize(offset + new.len(), 0);
    }
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

impl Fs for SimulatedFs {
    fn list(&self, op: Op, dir: &Path) -> io::Result<Vec<String>> {
        self.permit(op)?;
        let state = self.lock();
        let paths = state.dirs.iter().chain(state.files.keys());
        let inside = paths.filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_dir_all(&self, op: Op, dir: &Path) -> io::Result<()> {
        self.permit(op)?;
        self.lock().dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn open(&self, op: Op, path: &Path) -> io::Result<Arc<dyn File>> {
        self.permit(op)?;
        let content = self.lock().files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle { fs: self.clone(), content }))
    }

    fn create(&self, op: Op, path: &Path) -> io::Result<Arc<dyn File>> {
        self.permit(op)?;
        let mut state = self.lock();
        let content = match state.files.get(path) {
            Some(content) => {
                let mut held = content.lock().expect("not poisoned");
                held.current.clear();
                held.unsynced.push(ContentChange::Resize(0));
                content.clone()
            }
            None => {
                let content = Arc::<Mutex<Content>>::default();
                state.change(EntryChange::Add(path.to_owned(), content.clone()));
                content
            }
        };
        Ok(Arc::new(Handle { fs: self.clone(), content }))
    }

    fn remove(&self, op: Op, path: &Path) -> io::Result<()> {
        self.permit(op)?;
        let mut state = self.lock();
        if !state.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(EntryChange::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, op: Op, dir: &Path) -> io::Result<()> {
        self.permit(op)?;
        let mut state = self.lock();
        let inside = state.files.keys().filter(|path| path.starts_with(dir));
        for path in inside.cloned().collect::<Vec<_>>() {
            state.change(EntryChange::Remove(path));
        }
        state.dirs.retain(|path| !path.starts_with(dir));
        Ok(())
    }

    fn rename(&self, op: Op, from: &Path, to: &Path) -> io::Result<()> {
        self.permit(op)?;
        let mut state = self.lock();
        if !state.files.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(EntryChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Syncs every directory.
    fn sync_dir(&self, op: Op, _: &Path) -> io::Result<()> {
        self.permit(op)?;
        let mut state = self.lock();
        state.unsynced.clear();
        state.durable_files = state.files.clone();
        Ok(())
    }
}

impl Handle {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("not poisoned")
    }

    fn resize(&self, length: u64) {
        let mut content = self.content();
        content.current.resize(length as usize, 0);
        content.unsynced.push(ContentChange::Resize(length as usize));
    }
}

impl File for Handle {
    fn length(&self, op: Op) -> io::Result<u64> {
        self.fs.permit(op)?;
        Ok(self.content().current.len() as u64)
    }

    fn read_exact_at(&self, op: Op, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.fs.permit(op)?;
        let content = self.content();
        let end = offset as usize + buffer.len();
        let held = content.current.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(held);
        Ok(())
    }

    fn write_all_at(&self, op: Op, bytes: &[u8], offset: u64) -> io::Result<()> {
        let permitted = self.fs.permit(op);
        let written = match &permitted {
            Ok(()) => bytes.len(),
            Err(_) => self.fs.lock().draw(bytes.len() + 1),
        };
        let mut content = self.content();
        put(&mut content.current, offset as usize, &bytes[..written]);
        content.unsynced.push(ContentChange::Write(offset as usize, bytes[..written].to_vec()));
        permitted
    }

    fn allocate(&self, op: Op, length: u64) -> io::Result<()> {
        self.fs.permit(op)?;
        if (self.content().current.len() as u64) < length {
            self.resize(length);
        }
        Ok(())
    }

    fn truncate(&self, op: Op, length: u64) -> io::Result<()> {
        self.fs.permit(op)?;
        self.resize(length);
        Ok(())
    }

    fn sync_data(&self, op: Op) -> io::Result<()> {
        self.fs.permit(op)?;
        if self.fs.lock().lies != Some(op) {
            self.content().settle();
        }
        Ok(())
    }
}
