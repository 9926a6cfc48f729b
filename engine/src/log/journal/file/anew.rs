//! Writes anew what may be in the page cache alone.
//!
//! After a failed sync the kernel counts pages as clean that never reached the disk: they are read as written, and a later sync
//! passes over them. So recovery builds on bytes above the highest LSN that the file itself states as durable only when it has
//! written them again, and that has been synced.

use std::collections::VecDeque;

use super::log_file::LogFile;
use crate::log::journal::Extent;
use crate::log::journal::format::LogId;
use crate::log::journal::read_commit::{Expected, ReadCommit};
use crate::log::journal::walk::{CHANGES, Step, Walker};
use crate::model::{Lsn, Result};

/// The commits of a file, read so far, that none after them states as durable.
#[derive(Debug, Default)]
pub(super) struct Unstated(VecDeque<UnstatedCommit>);

#[derive(Debug, Clone, Copy)]
struct UnstatedCommit {
    /// Once this is durable the commit is. One without records is when something after it is.
    last: Lsn,
    position: u64,
    expected: Expected,
}

impl Unstated {
    /// Takes up the commit at `position`, of which `expected` was expected.
    pub(super) fn read(&mut self, commit: &ReadCommit, position: u64, expected: Expected) {
        let durable = commit.header.durable_lsn;
        while self.0.front().is_some_and(|commit| commit.last <= durable) {
            self.0.pop_front();
        }
        let last = commit.header.first_lsn.max(Lsn(commit.next_lsn().0.saturating_sub(1)));
        self.0.push_back(UnstatedCommit { last, position, expected });
    }

    /// Writes these commits to their places again, up to `end`, as they check now. They are durable after the next sync of the file.
    pub(super) fn write_anew(&self, file: &LogFile, log_id: LogId, end: u64) -> Result<()> {
        let Some(first) = self.0.front() else { return Ok(()) };
        let mut walker = Walker::new(file, log_id);
        let (mut position, mut expected) = (first.position, first.expected);
        while position < end {
            let Step::Commit(commit) = walker.step(position, expected)? else {
                return Err(file.corrupt(position, CHANGES));
            };
            let bytes = walker.commit_bytes(position, &commit.header)?;
            file.write(&[bytes.ok_or_else(|| file.corrupt(position, CHANGES))?], position)?;
            position = position.saturating_add(u64::from(commit.header.length));
            expected = commit.expected_next();
        }
        Ok(())
    }
}
