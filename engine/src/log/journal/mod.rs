//! The journal: the bytes of commits, one after the other, and which of them are durable. It knows what a commit looks like,
//! not who appends it or who looks for rows in it. Above it nobody knows where the bytes lie: in files ([`file`]), or elsewhere.
//!
//! A journal is a row of extents. Commits go to the end of the last one; the others were synced whole before the next one was
//! begun, never change, and are deleted from the oldest on.

mod extent;
mod fields;
pub(super) mod file;
mod format;
mod layout;
#[cfg(test)]
pub(super) mod memory;
mod next;
mod payload;
mod read_commit;
mod walk;

use std::fmt;
use std::sync::Arc;

use crate::model::{Lsn, Result};

pub(super) use extent::Extent;
pub(super) use fields::Fields;
#[cfg(test)]
pub(super) use format::{COMMIT_HEADER_LEN, CommitHeader};
pub(super) use format::{FRAME_HEADER_LEN, FrameHeader, FrameKind, LogId, Malformed, WIDE_ALIGNMENT_BYTES};
pub(super) use layout::{CommitLayout, FramePayload, PlannedRecord};
pub(super) use next::{JournalIdentity, NextCommit};
pub(super) use payload::encode;
pub(super) use read_commit::ReadCommit;

/// An open journal. One thread appends, syncs and rolls; any may read.
pub(super) trait Journal: fmt::Debug + Send + Sync {
    fn identity(&self) -> JournalIdentity;

    /// Where the next commit goes.
    fn next(&self) -> NextCommit;

    /// Appends a commit. `FailedPrecondition`, and nothing is written, if it was laid out for another place than the next, by LSN
    /// or by position. After any other error the journal must be opened anew before something is appended.
    fn append(&self, commit: &CommitLayout) -> Result<()>;

    /// Makes durable what was appended. Gives the highest durable LSN.
    fn sync(&self) -> Result<Lsn>;

    /// Begins an extent, after everything before it has been synced.
    fn roll(&self) -> Result<Arc<dyn Extent>>;

    /// Oldest first. The last one is appended to.
    fn extents(&self) -> Vec<Arc<dyn Extent>>;

    /// Deletes extents, oldest first, that hold nothing at or above `keep_from`; never the last one.
    fn trim(&self, keep_from: Lsn) -> Result<()>;

    /// Bytes that are free for new commits; `None` where that is not known.
    fn free_bytes(&self) -> Option<u64>;
}

/// What the state's checkpoint holds: replaying goes on after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpointed {
    pub lsn: Lsn,
    pub epoch: u64,
}

/// A commit that is read at opening.
pub(super) struct ReplayedCommit<'a> {
    pub extent: &'a dyn Extent,
    pub position: u64,
    pub commit: &'a ReadCommit,
}

/// Takes up each commit of an opening, in order.
pub(super) type Replay<'a> = dyn FnMut(&ReplayedCommit<'_>) -> Result<()> + 'a;

/// A journal whose commits have been replayed, and to which nothing is appended yet.
pub(super) trait ReplayedJournal {
    /// The append time of the newest commit; `None` of a new journal.
    fn newest_us(&self) -> Option<i64>;

    /// Opens a new epoch, durably: nothing of an earlier one is valid after it.
    fn begin(self, now_us: i64) -> Result<Arc<dyn Journal>>;
}

/// Appends and syncs a commit without records that states the journal's epoch.
fn open_epoch(journal: &dyn Journal, now_us: i64) -> Result<()> {
    let next = journal.next();
    let (append_us, durable) = (next.append_us.max(now_us), Lsn(next.lsn.0.saturating_sub(1)));
    journal.append(&CommitLayout::new(Vec::new(), next, append_us, durable, journal.identity())?)?;
    journal.sync().map(drop)
}
