use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, fallocate};

use super::{File, Fs, Op};

/// The operating system's file system.
pub struct RealFs;

/// Bytes that may still be written to the file system that `dir` lies in.
pub fn space_left(dir: &Path) -> io::Result<u64> {
    let told = nix::sys::statvfs::statvfs(dir)?;
    Ok(told.blocks_available().saturating_mul(told.fragment_size()))
}

impl Fs for RealFs {
    fn list(&self, _: Op, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // Names that are not UTF-8 are none of ours.
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn create_dir_all(&self, op: Op, dir: &Path) -> io::Result<()> {
        let Some(above) = dir.parent().filter(|_| !dir.is_dir()) else { return Ok(()) };
        self.create_dir_all(op, above)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            made => made,
        }?;
        self.sync_dir(op, if above.as_os_str().is_empty() { Path::new(".") } else { above })
    }

    fn open(&self, _: Op, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create(&self, _: Op, path: &Path) -> io::Result<Arc<dyn File>> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).clone();
        Ok(Arc::new(options.open(path)?))
    }

    fn remove(&self, _: Op, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, _: Op, dir: &Path) -> io::Result<()> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn rename(&self, _: Op, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, _: Op, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }
}

impl File for fs::File {
    fn length(&self, _: Op) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, _: Op, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, _: Op, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn allocate(&self, _: Op, length: u64) -> io::Result<()> {
        let signed = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        match fallocate(self, FallocateFlags::empty(), 0, signed) {
            // The file system can't reserve: go without.
            Err(nix::errno::Errno::EOPNOTSUPP) => self.set_len(length),
            done => Ok(done?),
        }
    }

    fn truncate(&self, _: Op, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self, _: Op) -> io::Result<()> {
        Self::sync_data(self)
    }
}
