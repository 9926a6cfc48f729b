//! Rows of the log, for readers: the newest frames in memory, older ones by the index of their extent. All of it is made from
//! what was applied and from the journal's bytes; who appends and in which order is decided above.

mod by_lsn;
mod chunk_cache;
mod entry;
mod extent_index;
mod extent_indexes;
mod frame;
mod index_directory;
mod index_file;
pub(super) mod ipc;
mod keys;
mod published;
mod read;
mod replayed;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::by_lsn::LsnIndexes;
use self::extent_indexes::ExtentIndexes;
use self::index_directory::IndexDirectory;
use self::keys::KeyIndex;
use self::read::read_frame;
use self::tail::Tail;
use super::journal::{Extent, Journal};
use crate::model::{Lsn, Offset, PartitionId, Result};
use crate::platform::Events;
use crate::platform::disk::Disk;
use crate::state::{Record, RecordContext};

pub(crate) use by_lsn::LsnPlace;
pub(crate) use entry::IndexEntry;
pub(super) use entry::PartitionKey;
#[cfg(test)]
pub(super) use extent_index::ExtentIndex;
pub(crate) use frame::Frame;
pub(super) use keys::Reach;
pub(crate) use keys::RowKeys;
pub(super) use published::PublishedCommit;
pub(super) use replayed::ReplayedEntries;

/// All rows that the log holds and that have been applied.
#[derive(Debug)]
pub(super) struct LogRows {
    tail: Tail,
    indexes: ExtentIndexes,
    by_lsn: LsnIndexes,
    keys: KeyIndex,
    /// From the journal, since opening.
    read: AtomicU64,
}

impl LogRows {
    /// Index files lie in `dir`. At most `tail_bytes` of frames are kept in memory.
    pub(super) fn open(
        journal: Arc<dyn Journal>,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        replayed: ReplayedEntries,
        tail_bytes: usize,
        events: Arc<Events>,
    ) -> Result<LogRows> {
        let extents = journal.extents();
        let firsts = extents.iter().map(|extent| extent.first());
        let (log_id, next) = (journal.identity().log_id, journal.next());
        let directory = IndexDirectory::open(disk.clone(), dir.clone(), log_id, firsts)?;
        let first = extents.first().map_or(next.extent, |extent| extent.first());
        let keys = KeyIndex::open(disk, dir, log_id, (first, next.lsn), events.clone())?;
        let active = replayed.of(next.extent);
        let indexes = ExtentIndexes::new(journal, directory, active, events);
        Ok(LogRows {
            tail: Tail::new(tail_bytes),
            indexes,
            by_lsn: LsnIndexes::default(),
            keys,
            read: AtomicU64::new(0),
        })
    }

    /// Makes the rows of a commit readable. Gives its records, which make readers look for them.
    pub(super) fn publish(&self, commit: PublishedCommit) -> Vec<(RecordContext, Record)> {
        self.indexes.publish(commit.entries);
        self.tail.push(commit.frames);
        commit.records
    }

    /// Makes the index of the extent being written durable. All of its commits are published, and `next_lsn` follows them.
    pub(super) fn seal(&self, next_lsn: Lsn) -> Result<()> {
        self.indexes.seal(next_lsn)
    }

    /// Takes up the extent that the journal writes after the sealed one.
    pub(super) fn begin(&self, extent: Arc<dyn Extent>) {
        self.indexes.begin(extent);
    }

    /// Makes sure that the index of a sealed extent is durable.
    pub(super) fn ensure_index(&self, extent: Lsn) -> Result<()> {
        match self.indexes.list().iter().find(|index| index.first() == extent) {
            Some(index) => self.indexes.ensure_file(index),
            None => Ok(()),
        }
    }

    /// The frame that holds an offset: from the memory tail, else from the journal.
    pub(super) fn frame_at(&self, key: PartitionKey, offset: Offset) -> Result<Option<Arc<Frame>>> {
        if let Some(frame) = self.tail.find(key, offset) {
            return Ok(Some(frame));
        }
        let Some((index, entry)) = self.indexes.locate(key, offset)? else { return Ok(None) };
        let frame = read_frame(index.extent.as_ref(), key, &entry, self.indexes.log_id())?;
        self.read.fetch_add(u64::from(frame.rows), Ordering::Relaxed);
        Ok(Some(Arc::new(frame)))
    }

    pub(super) fn tail_frame_at(&self, key: PartitionKey, offset: Offset) -> Option<Arc<Frame>> {
        self.tail.find(key, offset)
    }

    pub(super) fn entry_at(&self, key: PartitionKey, offset: Offset) -> Result<Option<IndexEntry>> {
        Ok(self.indexes.locate(key, offset)?.map(|(_, entry)| entry))
    }

    pub(super) fn row_at(&self, lsn: Lsn) -> Result<LsnPlace> {
        self.by_lsn.row_at(&self.indexes, lsn)
    }

    /// Gathers the keys of rows that have been appended since the last time.
    pub(super) fn index_keys(&self, keys: &dyn RowKeys, reach: Reach) -> Result<()> {
        self.keys.catch_up((&self.indexes, &self.tail), keys, reach)
    }

    /// The rows with a key of a hash, and a few others, newest first, until `each` gives false.
    pub(super) fn with_key(
        &self,
        keys: &dyn RowKeys,
        reach: Reach,
        hash: u32,
        each: &mut dyn FnMut(PartitionId, Offset) -> Result<bool>,
    ) -> Result<()> {
        self.keys.find((&self.indexes, &self.tail), keys, reach, hash, each)
    }

    /// Deletes the extents that hold nothing at or above `keep_from`, each after its index; never the one being written.
    pub(super) fn trim(&self, keep_from: Lsn) -> Result<()> {
        while let Some(extent) = self.indexes.trim_oldest(keep_from)? {
            self.by_lsn.forget(extent);
        }
        match self.indexes.list().first() {
            Some(first) => self.keys.forget_below(first.first()),
            None => Ok(()),
        }
    }

    /// Rows of frames that were read from the journal since opening.
    pub(super) fn rows_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Memory of the frames held.
    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail.bytes()
    }

    /// For tests of readers that are late: the index in which an offset was found.
    #[cfg(test)]
    pub(super) fn index_of(&self, key: PartitionKey, offset: Offset) -> Result<Option<Arc<ExtentIndex>>> {
        Ok(self.indexes.locate(key, offset)?.map(|(index, _)| index))
    }

    #[cfg(test)]
    pub(super) fn ensure_found(&self, index: &ExtentIndex) -> Result<()> {
        self.indexes.ensure_file(index)
    }
}
