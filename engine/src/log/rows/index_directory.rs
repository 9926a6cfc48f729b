//! The directory of the index files. They are made from the journal, and made anew when they are missing or damaged.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Entries;
use super::index_file::{IndexFile, encode};
use crate::log::journal::LogId;
use crate::model::{Error, Lsn, Result};
use crate::platform::disk::{Disk, remove_if_there};

#[derive(Debug)]
pub(super) struct IndexDirectory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_id: LogId,
}

impl IndexDirectory {
    /// Removes what is unfinished, and indexes of extents that are gone: `firsts` are those that are there.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        log_id: LogId,
        firsts: impl IntoIterator<Item = Lsn>,
    ) -> Result<IndexDirectory> {
        let directory = IndexDirectory { disk, dir, log_id };
        let kept: HashSet<PathBuf> = firsts.into_iter().map(|first| directory.path(first)).collect();
        let listed = directory.disk.create_dir(&directory.dir).and_then(|()| directory.disk.list(&directory.dir));
        let is_left = |path: &PathBuf| match path.extension().and_then(|extension| extension.to_str()) {
            Some("tmp") => true,
            Some("idx") => !kept.contains(path),
            _ => false,
        };
        for path in listed.map_err(|error| io_error(&directory.dir, &error))?.iter().filter(|path| is_left(path)) {
            remove_if_there(directory.disk.as_ref(), path).map_err(|error| io_error(path, &error))?;
        }
        Ok(directory)
    }

    /// The index file of the extent that begins at `first`.
    pub(super) fn path(&self, first: Lsn) -> PathBuf {
        self.dir.join(format!("{first:020}.idx", first = first.0))
    }

    /// `None` where there is none, or a damaged one.
    pub(super) fn load(&self, first: Lsn) -> Result<Option<IndexFile>> {
        let path = self.path(first);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, &error)),
        };
        IndexFile::load(file, self.log_id, first).map_err(|error| io_error(&path, &error))
    }

    /// Writes an index file.
    pub(super) fn write(&self, first: Lsn, next_lsn: Lsn, entries: &Entries) -> Result<()> {
        let path = self.path(first);
        let bytes = encode(self.log_id, first, next_lsn, entries);
        write_whole(self.disk.as_ref(), &self.dir, &path, &bytes).map_err(|error| io_error(&path, &error))
    }

    /// Not durable by itself: an index without its extent is removed at opening.
    pub(super) fn remove(&self, first: Lsn) -> Result<()> {
        let path = self.path(first);
        remove_if_there(self.disk.as_ref(), &path).map_err(|error| io_error(&path, &error))
    }

    /// An I/O error of the file of an extent.
    pub(super) fn failed(&self, first: Lsn, error: &io::Error) -> Error {
        io_error(&self.path(first), error)
    }

    /// An index file that can't be made right.
    pub(super) fn corrupt(&self, first: Lsn) -> Error {
        let message = "the rebuilt index does not check".to_owned();
        Error::Corrupt { path: self.path(first), position: 0, message }
    }
}

/// Writes a file durably: under another name first, so that it is there whole or not at all.
pub(super) fn write_whole(disk: &dyn Disk, dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    remove_if_there(disk, &unfinished)?;
    let file = disk.create(&unfinished)?;
    file.write_at(&[bytes], 0)?;
    file.sync()?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(dir)
}

fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::Io { path: path.to_owned(), message: error.to_string() }
}
