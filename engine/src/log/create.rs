//! Makes a new log file: header and name are durable before anything is written to it.

use std::path::Path;

use super::files::{LogFile, log_path};
use super::format::{FILE_HEADER_LEN, FileHeader, LogId};
use super::index::Entries;
use super::walk::io_error;
use crate::model::{Lsn, Result};
use crate::platform::disk::Disk;

pub(super) fn create_file(
    disk: &dyn Disk,
    dir: &Path,
    log_id: LogId,
    first_lsn: Lsn,
    epoch: u64,
    append_us: i64,
) -> Result<LogFile> {
    let path = log_path(dir, first_lsn);
    let header = FileHeader { log_id, first_lsn, epoch, append_us }.encode();
    let created = disk.create(&path).and_then(|file| {
        file.write_at(&[&header], 0)?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(file)
    });
    let file = created.map_err(|error| io_error(&path, &error))?;
    Ok(LogFile::active(first_lsn, path, file, FILE_HEADER_LEN as u64, Entries::new()))
}
