//! Where the idle instances of one plugin are, and how many calls have others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};

use super::instance::Instance;
use crate::calls::Calls;
use crate::tenants::{Idle, Tenant};

/// The places that a plugin has for instances.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) state: Mutex<SlotsState>,
    pub(super) freed: Condvar,
    /// Where the number of instances is shown.
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
pub(super) struct SlotsState {
    pub(super) idle: Vec<Instance>,
    /// Calls that have an instance, or are about to: with the idle ones there are never more than the plugin may have.
    pub(super) calls: usize,
}

impl Slots {
    pub(super) fn new(calls: Arc<Calls>) -> Slots {
        Slots { state: Mutex::default(), freed: Condvar::new(), calls }
    }
}

impl Idle for Slots {
    fn tenant(&self) -> &Arc<Tenant> {
        self.calls.share.tenant()
    }

    fn drop_idle(&self) {
        let idle = {
            let mut state = self.state.lock();
            self.calls.instances.fetch_sub(state.idle.len() as u64, Ordering::Relaxed);
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let left = self.state.get_mut().idle.len() as u64;
        self.calls.instances.fetch_sub(left, Ordering::Relaxed);
    }
}
