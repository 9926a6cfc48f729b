//! Who waits, and whether the application still asks for rows.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Shared by a consumer and the tasks of its streams.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    notify: Notify,
    polled: AtomicBool,
    polling: AtomicUsize,
}

/// A poll under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Polling<'a>(&'a Waiting);

impl Waiting {
    /// Completes at the next change after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.notify.notified()
    }

    pub(super) fn wake(&self) {
        self.notify.notify_waiters();
    }

    pub(super) fn polling(&self) -> Polling<'_> {
        self.polled.store(true, Ordering::Relaxed);
        self.polling.fetch_add(1, Ordering::Relaxed);
        Polling(self)
    }

    /// Whether there was a poll since the last call, or one is under way: waiting for rows is asking for them.
    pub(super) fn take_polled(&self) -> bool {
        self.polled.swap(false, Ordering::Relaxed) || self.polling.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polled.store(true, Ordering::Relaxed);
        self.0.polling.fetch_sub(1, Ordering::Relaxed);
    }
}
