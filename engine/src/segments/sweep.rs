//! Deleting files that nothing names any more.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::store::Store;
use super::{Segments, store};
use crate::record::SegmentMeta;
use crate::state::State;
use crate::{Result, TableId};

/// Segments that the manifest no longer names, until nobody reads them.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    dead: Mutex<Vec<Arc<SegmentMeta>>>,
}

impl Segments {
    /// Takes up a segment whose removal is durable.
    pub(crate) fn bury(&self, meta: Arc<SegmentMeta>) {
        self.graveyard.dead.lock().push(meta);
    }

    /// Buries every segment of a table that is about to be dropped from the state.
    pub(crate) fn bury_table(&self, state: &State, table: TableId) {
        let partitions = state.catalog().partitions(table).unwrap_or_default();
        self.graveyard.dead.lock().extend(partitions.iter().flat_map(|partition| partition.segments.values().cloned()));
    }

    /// Deletes the files of buried segments that nobody holds; others are kept for the next time.
    pub(crate) fn sweep(&self) -> Result<()> {
        let dead = std::mem::take(&mut *self.graveyard.dead.lock());
        let mut first_error = Ok(());
        for meta in dead {
            self.pool.forget(meta.id);
            let deleted =
                if self.leases.is_free(meta.id) { self.store.delete(&meta.path).map(|()| true) } else { Ok(false) };
            match deleted {
                Ok(true) => {}
                Ok(false) => self.bury(meta),
                Err(error) => {
                    self.bury(meta);
                    first_error = first_error.and(Err(error));
                }
            }
        }
        first_error
    }
}

/// Deletes files that the recovered manifest does not name: what a crash left between writing and recording.
pub(super) fn delete_orphans(store: &Store, state: &State) -> Result<()> {
    let mut named: HashSet<&str> = HashSet::new();
    for table in state.catalog().tables() {
        for partition in state.catalog().partitions(table.id).unwrap_or_default() {
            named.extend(partition.segments.values().map(|meta| meta.path.as_str()));
        }
    }
    for path in store.list()? {
        if !named.contains(path.as_str()) && store::is_ours(&path) {
            store.delete(&path)?;
        }
    }
    Ok(())
}
