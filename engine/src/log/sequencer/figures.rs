//! Counters of the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Figure(AtomicU64);

impl Figure {
    pub(super) fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted since opening.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub rows_appended: Figure,
    /// Of the rows' messages.
    pub bytes_appended: Figure,
    pub commits: Figure,
    pub syncs: Figure,
    pub sync_micros: Figure,
    /// Answered with a receipt.
    pub submissions: Figure,
    pub submissions_refused: Figure,
    pub log_bytes_written: Figure,
    /// As last seen.
    pub free_disk_bytes: Figure,
}
