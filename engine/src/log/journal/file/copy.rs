//! A copy of the files of a journal that is written to.

use super::LogDirectory;
use super::log_file::{LogFile, io_error};
use crate::log::journal::{Extent, Journal, NextCommit};
use crate::model::{Error, Result};

/// Bytes that are read and written at once.
const COPY_BYTES: u64 = 1 << 20;

impl LogDirectory {
    /// Copies what the journal holds now into this directory, which is empty, durably. Nothing may be trimmed meanwhile. Gives where
    /// the copy ends.
    pub(in crate::log) fn copy_of(&self, journal: &dyn Journal) -> Result<NextCommit> {
        self.disk.create_dir(&self.dir).map_err(|error| io_error(&self.dir, &error))?;
        let end = journal.next();
        // Extents that were begun since are not a part of it.
        for extent in journal.extents().into_iter().filter(|extent| extent.first() <= end.extent) {
            let bytes = if extent.first() == end.extent { end.position } else { extent.bytes() };
            self.copy_extent(extent.as_ref(), bytes)?;
        }
        self.disk.sync_dir(&self.dir).map_err(|error| io_error(&self.dir, &error))?;
        Ok(end)
    }

    fn copy_extent(&self, extent: &dyn Extent, bytes: u64) -> Result<()> {
        let file = LogFile::create_empty(self.disk.as_ref(), &self.dir, extent.first())?;
        let mut buffer = vec![0; usize::try_from(COPY_BYTES.min(bytes)).unwrap_or_default()];
        let mut position = 0;
        while position < bytes {
            let wanted = usize::try_from(bytes - position).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..wanted);
            let piece = piece.ok_or_else(|| Error::Internal("a piece of a log file that is too long".to_owned()))?;
            if !extent.read(position, piece)? {
                return Err(extent.corrupt(position, "the file ends before what was written to it"));
            }
            file.write(&[piece], position)?;
            position += piece.len() as u64;
        }
        file.sync()
    }
}
