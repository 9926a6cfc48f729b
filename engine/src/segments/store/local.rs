//! Segment files in a directory of this machine, synced by file and by directory.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::errors::io_error;
use crate::model::{Error, Result};
use crate::platform::disk::{Disk, DiskFile, remove_if_there};

/// Unfinished files carry this prefix and lie in the root.
const UNFINISHED: &str = ".unfinished-";

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct LocalStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    counter: AtomicU64,
}

impl LocalStore {
    /// Removes unfinished files: whatever is recorded has another name.
    pub(super) fn open(disk: Arc<dyn Disk>, root: PathBuf) -> Result<LocalStore> {
        disk.create_dir(&root).map_err(|error| io_error(&root, &error))?;
        for path in disk.list(&root).map_err(|error| io_error(&root, &error))? {
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED)) {
                disk.remove(&path).map_err(|error| io_error(&path, &error))?;
            }
        }
        if let Some(parent) = root.parent() {
            disk.sync_dir(parent).map_err(|error| io_error(parent, &error))?;
        }
        Ok(LocalStore { disk, root, counter: AtomicU64::new(0) })
    }

    pub(super) fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn create(&self, path: &str) -> Result<LocalUpload> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.root.join(format!("{UNFINISHED}{number}"));
        let created = remove_if_there(self.disk.as_ref(), &unfinished).and_then(|()| self.disk.create(&unfinished));
        let file = created.map_err(|error| io_error(&unfinished, &error))?;
        Ok(LocalUpload {
            disk: self.disk.clone(),
            file,
            buffer: Vec::new(),
            written: 0,
            root: self.root.clone(),
            finished: self.full(path),
            unfinished,
            done: false,
        })
    }

    pub(super) fn open_file(&self, path: &str) -> Result<LocalFile> {
        let path = self.full(path);
        let file = self.disk.open(&path).map_err(|error| io_error(&path, &error))?;
        Ok(LocalFile { file, path })
    }

    /// Removes directories that become empty with it.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let full = self.full(path);
        remove_if_there(self.disk.as_ref(), &full).map_err(|error| io_error(&full, &error))?;
        let parents = full.ancestors().skip(1).take_while(|parent| *parent != self.root);
        for parent in parents {
            if self.disk.remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A file being written under another name.
pub(crate) struct LocalUpload {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    root: PathBuf,
    unfinished: PathBuf,
    finished: PathBuf,
    done: bool,
}

impl LocalUpload {
    pub(super) fn finish(mut self) -> Result<()> {
        self.write_out().and_then(|()| self.file.sync()).map_err(|error| io_error(&self.unfinished, &error))?;
        let parent = self.finished.parent().unwrap_or(&self.root).to_owned();
        // A directory may be removed as empty by a deletion between its creation and the rename.
        let mut attempts = 3;
        loop {
            attempts -= 1;
            self.disk.create_dir(&parent).map_err(|error| io_error(&parent, &error))?;
            match self.disk.rename(&self.unfinished, &self.finished) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts > 0 => {}
                Err(error) => return Err(io_error(&self.finished, &error)),
            }
        }
        self.done = true;
        for dir in self.finished.ancestors().skip(1) {
            self.disk.sync_dir(dir).map_err(|error| io_error(dir, &error))?;
            if dir == self.root {
                break;
            }
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&[&self.buffer], self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Write for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.write_out()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        if !self.done {
            // What stays behind is removed at the next opening.
            let _ = self.disk.remove(&self.unfinished);
        }
    }
}

#[derive(Debug)]
pub(crate) struct LocalFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl LocalFile {
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.read_one(range)).collect()
    }

    pub(super) fn will_read(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            self.file.will_read(range.start, range.end.saturating_sub(range.start));
        }
    }

    fn read_one(&self, range: &Range<u64>) -> Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; len];
        self.file.read_at(&mut buffer, range.start).map_err(|error| match error.kind() {
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
