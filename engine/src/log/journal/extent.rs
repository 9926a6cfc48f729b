//! A part of a journal.

use std::fmt;

use super::format::LogId;
use super::read_commit::ReadCommit;
use crate::model::{Error, Lsn, Result};

/// A part of the journal, named by its first LSN. Whoever holds it can read it, even after it has been trimmed.
pub(in crate::log) trait Extent: fmt::Debug + Send + Sync {
    fn first(&self) -> Lsn;

    /// Bytes written.
    fn bytes(&self) -> u64;

    /// Fills `buffer` with the bytes from `position` on; false where the extent ends before.
    fn read(&self, position: u64, buffer: &mut [u8]) -> Result<bool>;

    /// Reads all commits from the first on. Damage is an error. Gives the LSN after the last.
    fn scan(&self, log_id: LogId, each: &mut dyn FnMut(&ReadCommit)) -> Result<Lsn>;

    /// An error about this extent, which it names.
    fn corrupt(&self, position: u64, message: &str) -> Error;
}
