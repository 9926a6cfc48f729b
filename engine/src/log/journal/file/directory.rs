//! The directory of the log files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::header::{FILE_HEADER_LEN, FileHeader};
use super::log_file::{LogFile, first_lsn, io_error};
use crate::log::journal::Extent;
use crate::model::{Error, Lsn, Result};
use crate::platform::Events;
use crate::platform::disk::{Disk, remove_if_there};

#[derive(Debug)]
pub(in crate::log) struct LogDirectory {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub events: Arc<Events>,
}

impl LogDirectory {
    /// First LSNs of the log files, in order. Makes the directory if it is not there.
    pub(super) fn names(&self) -> Result<Vec<Lsn>> {
        let made = self.disk.create_dir(&self.dir).and_then(|()| self.disk.list(&self.dir));
        let paths = made.map_err(|error| io_error(&self.dir, &error))?;
        let mut names: Vec<Lsn> = paths.iter().filter_map(|path| first_lsn(path)).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn open_file(&self, first: Lsn) -> Result<LogFile> {
        LogFile::open(self.disk.as_ref(), &self.dir, first)
    }

    pub(super) fn create_file(&self, header: FileHeader) -> Result<LogFile> {
        LogFile::create(self.disk.as_ref(), &self.dir, header)
    }

    /// Makes the first file of a new log.
    pub(super) fn create_first(&self, header: FileHeader) -> Result<LogFile> {
        let file = self.create_file(header)?;
        if let Some(parent) = self.dir.parent() {
            self.disk.sync_dir(parent).map_err(|error| io_error(parent, &error))?;
            self.sync_above(parent);
        }
        Ok(file)
    }

    /// Removes a file, which may be gone already, durably.
    pub(super) fn remove_file(&self, file: &LogFile) -> Result<()> {
        let removed = remove_if_there(self.disk.as_ref(), file.path()).and_then(|()| self.disk.sync_dir(&self.dir));
        removed.map_err(|error| io_error(file.path(), &error))
    }

    /// Removes a last file that was never finished, or that no commit was written to: its header and its name may be in memory
    /// only, and nothing is lost with them. Its name still says that everything below was durable; the answer is that LSN.
    pub(super) fn drop_unfinished(&self, names: &mut Vec<Lsn>) -> Result<Lsn> {
        let Some(&last) = names.last() else { return Ok(Lsn(0)) };
        let file = self.open_file(last)?;
        let promised = Lsn(last.0.saturating_sub(1));
        let needed = file.bytes() > FILE_HEADER_LEN as u64 || (names.len() == 1 && last != Lsn(1));
        match file.header()? {
            Ok(_) if needed => return Ok(promised),
            Err(what) if needed => return Err(file.corrupt(0, what)),
            Ok(_) => self.remove_file(&file)?,
            Err(_) => {
                self.remove_file(&file)?;
                let message = format!("{}: an unfinished file was removed", file.path().display());
                self.events.push("torn_tail_cut", message);
            }
        }
        names.pop();
        Ok(promised)
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        self.disk.free_bytes(&self.dir).ok()
    }

    /// An error about the files as a whole.
    pub(super) fn corrupt(&self, message: String) -> Error {
        Error::Corrupt { path: self.dir.clone(), position: 0, message }
    }

    /// The data directory may be new itself. What lies above it may not be ours to open, so that this is tried only.
    fn sync_above(&self, dir: &Path) {
        let Some(above) = dir.parent() else { return };
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        if let Err(error) = self.disk.sync_dir(above) {
            tracing::debug!(path = %above.display(), %error, "the directory above the store could not be synced");
        }
    }
}
