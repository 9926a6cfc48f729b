//! Who is at which entry.

use std::collections::HashSet;

use crate::state::DueKey;

/// Entries that somebody is about to be done with: one at a time, from before it is looked for until what came of it is applied. So
/// the log's writer need not look for entries in the store again.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claimed: HashSet<DueKey>,
    /// Counts those who were done with one that the thread may have read before.
    removed: u64,
}

impl Claims {
    /// Whether nobody else is at it.
    pub(super) fn claim(&mut self, key: DueKey) -> bool {
        self.claimed.insert(key)
    }

    pub(super) fn release(&mut self, key: &DueKey) {
        self.claimed.remove(key);
    }

    pub(super) fn note_removal(&mut self) {
        self.removed += 1;
    }

    pub(super) fn removed(&self) -> u64 {
        self.removed
    }
}
