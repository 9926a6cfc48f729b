//! Wakes a thread, and ends it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    stop: bool,
}

impl Signal {
    pub(super) fn notify(&self) {
        self.state.lock().count += 1;
        self.given.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.given.notify_all();
    }

    /// What [`Self::wait`] is given, so that nothing told in between is missed; `None` when it is time to end.
    pub(super) fn seen(&self) -> Option<u64> {
        let state = self.state.lock();
        (!state.stop).then_some(state.count)
    }

    /// Waits until something was told after `seen`, for `patience` at most.
    pub(super) fn wait(&self, seen: u64, patience: Duration) {
        let mut state = self.state.lock();
        if state.count == seen && !state.stop {
            self.given.wait_for(&mut state, patience);
        }
    }
}
