//! A disk whose syncs of files pass a gate, so that a test decides how far the log gets.

use parking_lot::{Condvar, Mutex};

use super::{DiskWatch, WatchedDisk};

/// The machine's disk behind a gate that is open at first, for tests of this and other crates.
pub type GatedDisk = WatchedDisk<Gate>;

/// What syncs of files wait at.
#[derive(Debug, Default)]
pub struct Gate {
    /// Syncs that may still pass; `None` while it is open.
    left: Mutex<Option<u64>>,
    opened: Condvar,
}

impl GatedDisk {
    /// Lets no more than this many further syncs pass; `None` lets all pass.
    pub fn let_pass(&self, syncs: Option<u64>) {
        let gate = self.watch();
        *gate.left.lock() = syncs;
        gate.opened.notify_all();
    }

    /// How many may still pass; `None` if all may.
    pub fn left(&self) -> Option<u64> {
        *self.watch().left.lock()
    }
}

impl DiskWatch for Gate {
    fn pass(&self, operation: &'static str) {
        if operation != "sync" {
            return;
        }
        let mut left = self.left.lock();
        while *left == Some(0) {
            self.opened.wait(&mut left);
        }
        if let Some(left) = left.as_mut() {
            *left -= 1;
        }
    }
}
