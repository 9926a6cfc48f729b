//! Segments that are being written.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::name::SegmentName;

/// Files that are on record as begun, and whose end is not known yet: they are not to be deleted.
#[derive(Debug, Default)]
pub(super) struct Writing {
    ids: Mutex<HashSet<u64>>,
}

impl Writing {
    pub(super) fn begin(&self, name: SegmentName) -> Begun<'_> {
        self.ids.lock().insert(name.id);
        Begun { name, writing: self }
    }

    /// To be asked under the state's lock: a file that is listed there leaves this set only afterwards.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.lock().contains(&id)
    }
}

/// A file that somebody is at.
pub(super) struct Begun<'a> {
    pub name: SegmentName,
    writing: &'a Writing,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.writing.ids.lock().remove(&self.name.id);
    }
}
