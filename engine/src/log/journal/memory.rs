//! A journal in memory, for tests: what holds over it holds of the seam, and not of files.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::format::LogId;
use super::read_commit::{Expected, ReadCommit};
use super::walk::{Step, Walker};
use super::{
    Checkpointed, CommitLayout, Extent, Journal, JournalIdentity, NextCommit, Replay, ReplayedCommit, ReplayedJournal,
    open_epoch,
};
use crate::model::{Error, Lsn, Result};

/// Where the first commit of an extent lies: as in a log file, so that both roll before the same commit.
const FIRST_COMMIT_AT: u64 = 64;

/// What stays when the journal is closed.
#[derive(Debug, Clone)]
pub(in crate::log) struct MemoryExtents {
    log_id: LogId,
    extents: Arc<RwLock<Vec<Arc<MemoryExtent>>>>,
}

#[derive(Debug)]
struct MemoryExtent {
    first: Lsn,
    bytes: RwLock<Vec<u8>>,
}

#[derive(Debug)]
struct MemoryJournal {
    stored: MemoryExtents,
    epoch: u64,
    next: Mutex<NextCommit>,
}

pub(in crate::log) struct ReplayedMemory {
    stored: MemoryExtents,
    epoch: u64,
    next: Option<NextCommit>,
}

impl MemoryExtents {
    pub(in crate::log) fn new(log_id: LogId) -> MemoryExtents {
        MemoryExtents { log_id, extents: Arc::default() }
    }

    pub(in crate::log) fn replay(self, checkpoint: Checkpointed, each: &mut Replay<'_>) -> Result<ReplayedMemory> {
        let extents = self.extents.read().clone();
        let start = extents.partition_point(|extent| extent.first.0 <= checkpoint.lsn.0 + 1).saturating_sub(1);
        let (mut next, mut epoch) = (None, checkpoint.epoch);
        for extent in extents.iter().skip(start) {
            let mut walker = Walker::new(extent.as_ref(), self.log_id);
            let mut expected = Expected { lsn: extent.first, epoch: 0, append_us: i64::MIN };
            let mut position = FIRST_COMMIT_AT;
            while let Step::Commit(commit) = walker.step(position, expected)? {
                each(&ReplayedCommit { extent: extent.as_ref(), position, commit: &commit })?;
                position += u64::from(commit.header.length);
                expected = commit.expected_next();
            }
            assert_eq!(position, extent.bytes(), "memory is not damaged");
            let append_us = expected.append_us;
            next = Some(NextCommit { lsn: expected.lsn, extent: extent.first, position, append_us });
            epoch = epoch.max(expected.epoch);
        }
        Ok(ReplayedMemory { stored: self, epoch: epoch + 1, next })
    }

    fn begin_extent(&self, first: Lsn) -> Arc<MemoryExtent> {
        let extent = Arc::new(MemoryExtent { first, bytes: RwLock::new(vec![0; FIRST_COMMIT_AT as usize]) });
        self.extents.write().push(extent.clone());
        extent
    }
}

impl ReplayedJournal for ReplayedMemory {
    fn newest_us(&self) -> Option<i64> {
        self.next.map(|next| next.append_us)
    }

    fn begin(self, now_us: i64) -> Result<Arc<dyn Journal>> {
        let next = self.next.unwrap_or_else(|| {
            self.stored.begin_extent(Lsn(1));
            NextCommit { lsn: Lsn(1), extent: Lsn(1), position: FIRST_COMMIT_AT, append_us: now_us }
        });
        let journal = MemoryJournal { stored: self.stored, epoch: self.epoch, next: Mutex::new(next) };
        open_epoch(&journal, now_us)?;
        Ok(Arc::new(journal))
    }
}

impl Journal for MemoryJournal {
    fn identity(&self) -> JournalIdentity {
        JournalIdentity { log_id: self.stored.log_id, epoch: self.epoch }
    }

    fn next(&self) -> NextCommit {
        *self.next.lock()
    }

    fn append(&self, commit: &CommitLayout) -> Result<()> {
        let mut next = self.next.lock();
        let after = commit.after(*next)?;
        let extent = self.stored.extents.read().last().cloned().expect("an extent");
        extent.bytes.write().extend(commit.slices().concat());
        *next = after;
        assert_eq!(extent.bytes(), after.position, "a commit is as long as its layout says");
        Ok(())
    }

    fn sync(&self) -> Result<Lsn> {
        Ok(Lsn(self.next().lsn.0 - 1))
    }

    fn roll(&self) -> Result<Arc<dyn Extent>> {
        let mut next = self.next.lock();
        *next = NextCommit { extent: next.lsn, position: FIRST_COMMIT_AT, ..*next };
        Ok(self.stored.begin_extent(next.lsn))
    }

    fn extents(&self) -> Vec<Arc<dyn Extent>> {
        self.stored.extents.read().iter().map(|extent| extent.clone() as Arc<dyn Extent>).collect()
    }

    fn trim(&self, keep_from: Lsn) -> Result<()> {
        let mut extents = self.stored.extents.write();
        while extents.get(1).is_some_and(|next| next.first <= keep_from) {
            extents.remove(0);
        }
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

impl Extent for MemoryExtent {
    fn first(&self) -> Lsn {
        self.first
    }

    fn bytes(&self) -> u64 {
        self.bytes.read().len() as u64
    }

    fn read(&self, position: u64, buffer: &mut [u8]) -> Result<bool> {
        let bytes = self.bytes.read();
        let found = bytes.get(position as usize..).and_then(|rest| rest.get(..buffer.len()));
        Ok(found.map(|found| buffer.copy_from_slice(found)).is_some())
    }

    fn scan(&self, log_id: LogId, each: &mut dyn FnMut(&ReadCommit)) -> Result<Lsn> {
        let expected = Expected { lsn: self.first, epoch: 0, append_us: i64::MIN };
        Walker::new(self, log_id).scan(FIRST_COMMIT_AT, expected, each)
    }

    fn corrupt(&self, position: u64, message: &str) -> Error {
        Error::Corrupt { path: PathBuf::from(format!("extent {}", self.first)), position, message: message.to_owned() }
    }
}
