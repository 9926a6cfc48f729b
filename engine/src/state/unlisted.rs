//! Segment files that no manifest names: those that are being written, and those that were dropped and are still there.
//! What may be deleted is known by these names alone, never by what a listing of the store shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One such file. Stored as JSON: fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnlistedSegment {
    /// Below the segment store.
    pub path: String,
    /// Append time of the record that began or dropped it, µs.
    pub since_us: i64,
}

/// All of them, by the segment's id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unlisted {
    segments: BTreeMap<u64, UnlistedSegment>,
}

impl Unlisted {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &UnlistedSegment)> {
        self.segments.iter().map(|(id, segment)| (*id, segment))
    }

    pub(super) fn get(&self, id: u64) -> Option<&UnlistedSegment> {
        self.segments.get(&id)
    }

    pub(super) fn add(&mut self, id: u64, path: &str, since_us: i64) {
        self.restore(id, UnlistedSegment { path: path.to_owned(), since_us });
    }

    pub(super) fn restore(&mut self, id: u64, segment: UnlistedSegment) {
        self.segments.insert(id, segment);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        self.segments.remove(&id).is_some()
    }
}
