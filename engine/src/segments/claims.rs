//! Who works on which partition.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

use crate::model::{PartitionId, TableId};

/// Partitions that somebody works on: two never cut the same one at once.
#[derive(Debug, Default)]
pub(super) struct Claims {
    busy: Mutex<HashSet<(TableId, PartitionId)>>,
    freed: Condvar,
}

pub(super) struct Claim<'a> {
    claims: &'a Claims,
    of: (TableId, PartitionId),
}

impl Claims {
    pub(super) fn wait_for(&self, of: (TableId, PartitionId)) -> Claim<'_> {
        let mut busy = self.busy.lock();
        while !busy.insert(of) {
            self.freed.wait(&mut busy);
        }
        Claim { claims: self, of }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.busy.lock().remove(&self.of);
        self.claims.freed.notify_all();
    }
}
