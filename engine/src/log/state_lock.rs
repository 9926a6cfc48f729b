//! The lock of the readers' view.

use std::ops::Deref;

use parking_lot::{RwLock, RwLockReadGuard};

use crate::state::State;

#[cfg(test)]
thread_local! {
    /// How often this thread has taken it to read.
    pub(crate) static STATE_READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A lock of its own type, so that tests can count the looks that a call takes.
#[derive(Debug)]
pub(crate) struct StateLock(RwLock<State>);

impl StateLock {
    pub(super) fn new(state: State) -> StateLock {
        StateLock(RwLock::new(state))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        #[cfg(test)]
        STATE_READS.set(STATE_READS.get() + 1);
        self.0.read()
    }
}

/// Where it is written, and where it is handed to what stands below the log.
impl Deref for StateLock {
    type Target = RwLock<State>;

    fn deref(&self) -> &RwLock<State> {
        &self.0
    }
}
