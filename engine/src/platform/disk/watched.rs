//! The machine's disk with somebody who watches it, for tests of this and other crates.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, DiskLock, RealDisk};

/// Called on the thread that uses the disk: it may wait, and in a test it may panic.
pub trait DiskWatch: fmt::Debug + Send + Sync + 'static {
    /// `read`, `write` and `sync` come before what they name is done to a file, `written` after a write.
    fn pass(&self, operation: &'static str);
}

/// The machine's disk. Clones have the same watch.
#[derive(Debug, Default)]
pub struct WatchedDisk<W> {
    watch: Arc<W>,
}

impl<W> WatchedDisk<W> {
    pub fn new(watch: W) -> WatchedDisk<W> {
        WatchedDisk { watch: Arc::new(watch) }
    }

    pub fn watch(&self) -> &W {
        &self.watch
    }
}

impl<W> Clone for WatchedDisk<W> {
    fn clone(&self) -> WatchedDisk<W> {
        WatchedDisk { watch: self.watch.clone() }
    }
}

impl<W: DiskWatch> WatchedDisk<W> {
    fn file(&self, file: io::Result<Arc<dyn DiskFile>>) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(WatchedFile { file: file?, watch: self.watch.clone() }))
    }
}

impl<W: DiskWatch> Disk for WatchedDisk<W> {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(RealDisk.open(path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(RealDisk.create(path))
    }

    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(RealDisk.create_private(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.remove_dir(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        RealDisk.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }
}

#[derive(Debug)]
struct WatchedFile<W> {
    file: Arc<dyn DiskFile>,
    watch: Arc<W>,
}

impl<W: DiskWatch> DiskFile for WatchedFile<W> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.watch.pass("read");
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.watch.pass("write");
        self.file.write_at(slices, position)?;
        self.watch.pass("written");
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.watch.pass("sync");
        self.file.sync()
    }
}
