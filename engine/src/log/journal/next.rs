//! Whose commits a journal holds, and where the next one goes.

use super::format::LogId;
use crate::model::{Error, Lsn, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct JournalIdentity {
    /// The seed of all checksums.
    pub log_id: LogId,
    /// Of this opening.
    pub epoch: u64,
}

/// Where the next commit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct NextCommit {
    pub lsn: Lsn,
    /// The first LSN of the extent.
    pub extent: Lsn,
    /// In the extent.
    pub position: u64,
    /// The append time of the commit before; that of the next one is no less.
    pub append_us: i64,
}

impl NextCommit {
    /// Refuses what was laid out for another place.
    pub(super) fn check(&self, lsn: Lsn, position: u64) -> Result<()> {
        if (lsn, position) == (self.lsn, self.position) {
            return Ok(());
        }
        Err(Error::FailedPrecondition(format!(
            "a commit at LSN {lsn}, byte {position}: the journal goes on at LSN {}, byte {}",
            self.lsn, self.position
        )))
    }
}
