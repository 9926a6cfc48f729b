//! The index of the extent that the log ends in, gathered while it is replayed.

use super::entry::{Entries, entries_of};
use crate::log::journal::ReplayedCommit;
use crate::model::Lsn;

/// Entries of the newest extent that was read.
#[derive(Debug, Default)]
pub(in crate::log) struct ReplayedEntries {
    extent: Lsn,
    entries: Entries,
}

impl ReplayedEntries {
    pub(in crate::log) fn take_up(&mut self, replayed: &ReplayedCommit<'_>) {
        let extent = replayed.extent.first();
        if self.extent != extent {
            *self = ReplayedEntries { extent, entries: Entries::new() };
        }
        for (key, entry) in entries_of(replayed.commit) {
            self.entries.entry(key).or_default().push(entry);
        }
    }

    /// The entries of an extent: none, if nothing was read of it.
    pub(super) fn of(self, extent: Lsn) -> Entries {
        if self.extent == extent { self.entries } else { Entries::new() }
    }
}
