//! Reads a sealed file from front to back to make its index anew.

use super::files::LogFile;
use super::format::LogId;
use super::index::{self, Entries};
use super::walk::{Expected, Step, Walker};
use crate::model::{Error, Lsn, Result};

/// One past the file's last LSN, and its entries. Damage is an error: a sealed file was synced whole.
pub(super) fn rebuild(file: &LogFile, log_id: LogId) -> Result<(Lsn, Entries)> {
    let (mut walker, header) = Walker::open(file.file.clone(), &file.path)?.map_err(|what| Error::Corrupt {
        path: file.path.clone(),
        position: 0,
        message: what.to_owned(),
    })?;
    if header.log_id != log_id || header.first_lsn != file.first {
        return Err(walker.corrupt(0, "the file belongs to another log or place"));
    }
    let mut expected = Expected { lsn: header.first_lsn, epoch: header.epoch, append_us: header.append_us };
    let (mut position, mut entries) = (super::format::FILE_HEADER_LEN as u64, Entries::new());
    loop {
        match walker.step(position, expected)? {
            Step::End => return Ok((expected.lsn, entries)),
            Step::Damaged(what) => return Err(walker.corrupt(position, what)),
            Step::Commit(commit) => {
                for (key, entry) in index::entries_of(&commit) {
                    entries.entry(key).or_default().push(entry);
                }
                position = position.saturating_add(u64::from(commit.header.length));
                expected = commit.expected_next();
            }
        }
    }
}
