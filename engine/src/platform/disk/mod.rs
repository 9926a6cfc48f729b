//! The disk under log, plugins and local segments, so that tests can crash it. Remote segments go through `object_store`, the state
//! store through fjall; neither is seen here.

mod anew;
mod gated;
mod real;
mod sim;
mod watched;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use anew::write_anew;
pub use gated::{Gate, GatedDisk};
pub use real::RealDisk;
pub use sim::{Fault, SimDisk};
pub use watched::{DiskWatch, WatchedDisk};

/// A place for files. Names become durable with [`Disk::sync_dir`], bytes with [`DiskFile::sync`].
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file; an existing one is an error.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// As [`Self::create`], for nobody else to read.
    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.create(path)
    }
    /// Renames over whatever is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Paths of the files in a directory, in name order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Removes a directory; one that holds something is an error, and so is one on a disk that knows files only.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a directory and its parents.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes an exclusive lock on a file, made if it is not there. `None` if another opener has it. Disks that one process has
    /// to itself need none.
    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let _ = path;
        Ok(Some(DiskLock(None)))
    }
    /// Bytes free for new data on the disk that holds `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// Held as long as a store is open.
#[derive(Debug)]
pub struct DiskLock(#[expect(dead_code, reason = "the lock is let go when the file is closed")] Option<std::fs::File>);

/// An open file.
#[expect(clippy::len_without_is_empty, reason = "whether a file is empty is asked nowhere")]
pub trait DiskFile: Send + Sync + fmt::Debug {
    fn len(&self) -> io::Result<u64>;
    /// Fills `buffer` from `position`; a short file is `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    /// Writes all slices one after the other from `position`.
    fn write_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// fdatasync.
    fn sync(&self) -> io::Result<()>;
    /// The next bytes from `position` on that are not a hole, from and to; `None` behind the last of them. Disks that know of no
    /// holes give all that is left.
    fn next_data(&self, position: u64) -> io::Result<Option<(u64, u64)>> {
        let len = self.len()?;
        Ok((position < len).then_some((position, len)))
    }
    /// These bytes are likely to be read next. That is advice: nothing follows from what becomes of it.
    fn will_read(&self, position: u64, len: u64) {
        let _ = (position, len);
    }
}

/// Removes a file, which may be gone already.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
