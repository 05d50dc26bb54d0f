//! A directory as a disk holds it: what was synced, and what was not yet.
//!
//! When power is lost, of what was written to a file since its last sync each sector is
//! kept or lost by chance; of the changes to directories that were not synced, some first
//! part is kept, as a file system with a journal does. A directory's sync is for its own
//! entries only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rand::rngs::StdRng;

const SECTOR: u64 = 512;

/// What a process has asked of the file system.
#[derive(Debug)]
pub(super) enum Change {
    /// A file is made, unless it is there.
    Create(PathBuf),
    /// A file is made, or emptied where it is there.
    Empty(PathBuf),
    MakeDir(PathBuf),
    /// At this offset, or else at the file's end.
    Write(PathBuf, Option<u64>, Vec<u8>),
    Resize(PathBuf, u64),
    /// To this length at least.
    Extend(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    /// Of a file or a directory.
    Sync(PathBuf),
}

/// A directory and all below it.
pub(super) struct Disk {
    root: PathBuf,
    /// The first is the root.
    dirs: Vec<Dir>,
    files: Vec<File>,
    /// Changes to directories that were not synced, each done as a whole or not at all.
    unsynced: Vec<Vec<Entry>>,
}

#[derive(Clone, Copy)]
enum Node {
    Dir(usize),
    File(usize),
}

/// A name in a directory, and what it is of from then on.
type Entry = (usize, String, Option<Node>);

#[derive(Default)]
struct Dir {
    current: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    /// Of what it holds, synced or not.
    length: u64,
    unsynced: Vec<Edit>,
}

enum Edit {
    Write(u64, Vec<u8>),
    Resize(u64),
}

impl Disk {
    /// All of `root`, as durable as it can be.
    pub(super) fn read(root: &Path) -> Self {
        let dirs = vec![Dir::default()];
        let mut disk =
            Self { root: root.to_owned(), dirs, files: Vec::new(), unsynced: Vec::new() };
        disk.read_dir(0, root);
        disk
    }

    fn read_dir(&mut self, dir: usize, path: &Path) {
        for entry in fs::read_dir(path).expect("listed") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
            let node = if path.is_dir() {
                let Node::Dir(id) = self.new_dir() else { unreachable!() };
                self.read_dir(id, &path);
                Node::Dir(id)
            } else {
                let durable = fs::read(&path).expect("read");
                let length = durable.len() as u64;
                self.new_file(File { durable, length, unsynced: Vec::new() })
            };
            self.dirs[dir].current.insert(name.clone(), node);
            self.dirs[dir].durable.insert(name, node);
        }
    }

    fn new_dir(&mut self) -> Node {
        self.dirs.push(Dir::default());
        Node::Dir(self.dirs.len() - 1)
    }

    fn new_file(&mut self, file: File) -> Node {
        self.files.push(file);
        Node::File(self.files.len() - 1)
    }

    /// What lies at `path`.
    fn find(&self, path: &Path) -> Option<Node> {
        let mut node = Node::Dir(0);
        for name in path.strip_prefix(&self.root).ok()? {
            let Node::Dir(dir) = node else { return None };
            node = *self.dirs[dir].current.get(name.to_str()?)?;
        }
        Some(node)
    }

    /// The directory that `path` is an entry of, and the entry's name.
    fn parent(&self, path: &Path) -> Option<(usize, String)> {
        match self.find(path.parent()?)? {
            Node::Dir(dir) => Some((dir, path.file_name()?.to_str()?.to_owned())),
            Node::File(_) => None,
        }
    }

    /// Does what was done. What lies elsewhere, or is gone and only held open, is not ours.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path) | Change::Empty(path) if self.find(path).is_none() => {
                let file = self.new_file(File::default());
                self.link(path, file);
            }
            Change::Create(_) => {}
            Change::Empty(path) => self.resize(path, |_| 0),
            Change::MakeDir(path) => {
                let dir = self.new_dir();
                self.link(path, dir);
            }
            Change::Write(path, offset, bytes) => {
                if let Some(file) = self.file(path) {
                    let offset = offset.unwrap_or(file.length);
                    file.length = file.length.max(offset + bytes.len() as u64);
                    file.unsynced.push(Edit::Write(offset, bytes.clone()));
                }
            }
            Change::Resize(path, length) => self.resize(path, |_| *length),
            Change::Extend(path, length) => self.resize(path, |held| held.max(*length)),
            Change::Rename(from, to) => {
                if let Some(node) = self.find(from)
                    && let (Some((from_dir, from)), Some((to_dir, to))) =
                        (self.parent(from), self.parent(to))
                {
                    self.enter(vec![(from_dir, from, None), (to_dir, to, Some(node))]);
                }
            }
            Change::Remove(path) => {
                if let Some((dir, name)) = self.parent(path) {
                    self.enter(vec![(dir, name, None)]);
                }
            }
            Change::Sync(path) => match self.find(path) {
                Some(Node::File(file)) => self.files[file].settle(|| true),
                Some(Node::Dir(dir)) => self.sync_dir(dir),
                None => {}
            },
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.find(path)? {
            Node::File(file) => Some(&mut self.files[file]),
            Node::Dir(_) => None,
        }
    }

    fn resize(&mut self, path: &Path, length: impl Fn(u64) -> u64) {
        if let Some(file) = self.file(path) {
            file.length = length(file.length);
            file.unsynced.push(Edit::Resize(file.length));
        }
    }

    fn link(&mut self, path: &Path, node: Node) {
        if let Some((dir, name)) = self.parent(path) {
            self.enter(vec![(dir, name, Some(node))]);
        }
    }

    fn enter(&mut self, change: Vec<Entry>) {
        for entry in &change {
            put(&mut self.dirs[entry.0].current, entry);
        }
        self.unsynced.push(change);
    }

    fn sync_dir(&mut self, dir: usize) {
        let of_dir = |change: &mut Vec<Entry>| change.iter().any(|(of, ..)| *of == dir);
        let synced: Vec<_> = self.unsynced.extract_if(.., of_dir).collect();
        self.make_durable(&synced);
    }

    fn make_durable(&mut self, changes: &[Vec<Entry>]) {
        for entry in changes.iter().flatten() {
            put(&mut self.dirs[entry.0].durable, entry);
        }
    }

    /// Loses power: of what was not synced as much is kept as `kept` says, in percent.
    pub(super) fn lose_power(&mut self, kept: u32, random: &mut StdRng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let first = unsynced.iter().take_while(|_| random.random_ratio(kept, 100)).count();
        self.make_durable(&unsynced[..first]);
        for file in &mut self.files {
            file.settle(|| random.random_ratio(kept, 100));
        }
    }

    /// Puts what is durable of the root's directory `name` in the place of what lies there.
    pub(super) fn write(&self, name: &str) {
        let path = self.root.join(name);
        fs::remove_dir_all(&path).expect("removed");
        if let Some(Node::Dir(dir)) = self.dirs[0].durable.get(name) {
            self.write_dir(*dir, &path);
        }
    }

    fn write_dir(&self, dir: usize, path: &Path) {
        fs::create_dir(path).expect("made");
        for (name, node) in &self.dirs[dir].durable {
            match node {
                Node::Dir(dir) => self.write_dir(*dir, &path.join(name)),
                Node::File(file) => {
                    fs::write(path.join(name), &self.files[*file].durable).expect("written");
                }
            }
        }
    }
}

fn put(entries: &mut BTreeMap<String, Node>, (_, name, node): &Entry) {
    match node {
        Some(node) => entries.insert(name.clone(), *node),
        None => entries.remove(name),
    };
}

impl File {
    /// Makes durable what was not, as far as `kept` says it sector by sector.
    fn settle(&mut self, mut kept: impl FnMut() -> bool) {
        for edit in self.unsynced.drain(..) {
            match edit {
                Edit::Resize(length) if kept() => self.durable.resize(length as usize, 0),
                Edit::Resize(_) => {}
                Edit::Write(offset, bytes) => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let place = offset + at as u64;
                        let end = bytes.len().min(at + (SECTOR - place % SECTOR) as usize);
                        if kept() {
                            overwrite(&mut self.durable, place as usize, &bytes[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        self.length = self.durable.len() as u64;
    }
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}
