//! Segment files in a directory of this machine, synced by file and by directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustix::fs::Advice;

use super::io_error;
use crate::{Error, Result};

/// Unfinished files carry this prefix and lie in the root.
const UNFINISHED: &str = ".unfinished-";

#[derive(Debug)]
pub(crate) struct LocalStore {
    root: PathBuf,
    counter: AtomicU64,
}

impl LocalStore {
    /// Removes unfinished files: whatever is recorded has another name.
    pub(super) fn open(root: PathBuf) -> Result<LocalStore> {
        fs::create_dir_all(&root).map_err(|error| io_error(&root, &error))?;
        for entry in fs::read_dir(&root).map_err(|error| io_error(&root, &error))? {
            let entry = entry.map_err(|error| io_error(&root, &error))?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_file(entry.path()).map_err(|error| io_error(entry.path(), &error))?;
            }
        }
        if let Some(parent) = root.parent() {
            sync_dir(parent)?;
        }
        Ok(LocalStore { root, counter: AtomicU64::new(0) })
    }

    pub(super) fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn create(&self, path: &str) -> Result<LocalUpload> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.root.join(format!("{UNFINISHED}{number}"));
        let file = File::create(&unfinished).map_err(|error| io_error(&unfinished, &error))?;
        Ok(LocalUpload { file, root: self.root.clone(), finished: self.full(path), unfinished, done: false })
    }

    pub(super) fn open_file(&self, path: &str) -> Result<LocalFile> {
        let path = self.full(path);
        let file = File::open(&path).map_err(|error| io_error(&path, &error))?;
        Ok(LocalFile { file, path })
    }

    /// Removes directories that become empty with it.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let full = self.full(path);
        match fs::remove_file(&full) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&full, &error)),
            _ => {}
        }
        let parents = full.ancestors().skip(1).take_while(|parent| *parent != self.root);
        for parent in parents {
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A file being written under another name.
pub(crate) struct LocalUpload {
    file: File,
    root: PathBuf,
    unfinished: PathBuf,
    finished: PathBuf,
    done: bool,
}

impl LocalUpload {
    pub(super) fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|error| io_error(&self.unfinished, &error))?;
        let parent = self.finished.parent().unwrap_or(&self.root).to_owned();
        // A directory may be removed as empty by a deletion between its creation and the rename.
        let mut attempts = 3;
        loop {
            attempts -= 1;
            fs::create_dir_all(&parent).map_err(|error| io_error(&parent, &error))?;
            match fs::rename(&self.unfinished, &self.finished) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts > 0 => {}
                Err(error) => return Err(io_error(&self.finished, &error)),
            }
        }
        self.done = true;
        for dir in self.finished.ancestors().skip(1) {
            sync_dir(dir)?;
            if dir == self.root {
                break;
            }
        }
        Ok(())
    }
}

impl Write for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        if !self.done {
            // What stays behind is removed at the next opening.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
    path: PathBuf,
}

impl LocalFile {
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.read_one(range)).collect()
    }

    /// Has the kernel fetch ranges meanwhile. That is advice: nothing follows from an error.
    pub(super) fn will_read(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            let len = NonZeroU64::new(range.end.saturating_sub(range.start));
            let _ = len.map(|len| rustix::fs::fadvise(&self.file, range.start, Some(len), Advice::WillNeed));
        }
    }

    fn read_one(&self, range: &Range<u64>) -> Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; len];
        self.file.read_exact_at(&mut buffer, range.start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Corrupt {
                path: self.path.clone(),
                position: range.start,
                message: format!("the file ends before byte {}", range.end),
            },
            _ => io_error(&self.path, &error),
        })?;
        Ok(buffer.into())
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_error(dir, &error))
}
