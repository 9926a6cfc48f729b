//! What a member sleeps on.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// Counts the reasons to look again: rows, an assignment, a seek, the end.
#[derive(Debug)]
pub(super) struct Wake {
    changes: Mutex<u64>,
    changed: Condvar,
    sender: watch::Sender<u64>,
}

impl Default for Wake {
    fn default() -> Self {
        Wake { changes: Mutex::new(0), changed: Condvar::new(), sender: watch::Sender::new(0) }
    }
}

impl Wake {
    pub(super) fn notify(&self) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.sender.send_replace(*changes);
        self.changed.notify_all();
    }

    /// To be taken before looking, and given to [`Self::wait`] when nothing was found.
    pub(super) fn seen(&self) -> u64 {
        *self.changes.lock()
    }

    /// Blocks until there is a change that was not `seen`, for so long at most.
    pub(super) fn wait(&self, seen: u64, longest: Duration) {
        let mut changes = self.changes.lock();
        self.changed.wait_while_for(&mut changes, |changes| *changes == seen, longest);
    }

    /// Tells when there is a change that was not `seen`; the number given to it is the one that [`Self::seen`] gives.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.sender.subscribe()
    }
}
