//! The index of one extent. That of the extent being written is in memory; a sealed one has an index file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::entry::{Entries, IndexEntry, PartitionKey};
use super::index_file::IndexFile;
use crate::log::journal::Extent;
use crate::model::Lsn;

#[derive(Debug)]
pub(in crate::log) struct ExtentIndex {
    pub(super) extent: Arc<dyn Extent>,
    pub(super) state: RwLock<IndexState>,
    /// Deleted, or about to be: its index is not made again. Changed while the one who makes indexes is kept out.
    trimmed: AtomicBool,
}

#[derive(Debug)]
pub(super) enum IndexState {
    /// Of the extent being written: entries of what has been applied.
    Active(Entries),
    /// Of a sealed extent, and not opened yet.
    Closed,
    Open(Arc<IndexFile>),
}

impl ExtentIndex {
    /// Of the extent that commits go to, with the entries of what it already holds.
    pub(super) fn active(extent: Arc<dyn Extent>, entries: Entries) -> ExtentIndex {
        ExtentIndex { extent, state: RwLock::new(IndexState::Active(entries)), trimmed: AtomicBool::new(false) }
    }

    pub(super) fn sealed(extent: Arc<dyn Extent>) -> ExtentIndex {
        ExtentIndex { extent, state: RwLock::new(IndexState::Closed), trimmed: AtomicBool::new(false) }
    }

    pub(in crate::log) fn first(&self) -> Lsn {
        self.extent.first()
    }

    /// Makes frames findable; of the extent being written only.
    pub(super) fn publish(&self, entries: impl IntoIterator<Item = (PartitionKey, IndexEntry)>) {
        if let IndexState::Active(all) = &mut *self.state.write() {
            for (key, entry) in entries {
                all.entry(key).or_default().push(entry);
            }
        }
    }

    pub(super) fn set_trimmed(&self) {
        self.trimmed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_trimmed(&self) -> bool {
        self.trimmed.load(Ordering::Relaxed)
    }
}
