//! Holding calls back that would take more than the share of the machine of their plugin, or of its namespace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::uses::UseCounters;
use crate::tenants::{Bucket, LONGEST_HOLD, Tenant, Took, nanos, ns_a_second};

/// The share of one plugin version, within that of its namespace.
#[derive(Debug)]
pub(crate) struct Share {
    /// In ns of CPU time.
    cpu: Bucket,
    tenant: Arc<Tenant>,
    /// Held by the call that goes next, so that calls go in the order in which they came.
    next: Mutex<()>,
}

impl Share {
    pub(crate) fn new(cpu_milli: Option<u32>, tenant: Arc<Tenant>) -> Share {
        let rate = cpu_milli.map(|milli| ns_a_second(milli.into()));
        Share { cpu: Bucket::new(rate), tenant, next: Mutex::new(()) }
    }

    pub(crate) fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// How long a call has to wait. Counted as a time that calls were held back for.
    pub(crate) fn wait(&self, of: impl FnOnce() -> Arc<UseCounters>) -> Option<Duration> {
        self.left().inspect(|left| of().throttling.begin(self.tenant.now_ns(), *left))
    }

    /// Waits until the call may be made.
    pub(crate) fn hold(&self, of: &UseCounters) {
        // Nor does anybody go past those who wait.
        if self.left().is_some() || self.next.is_locked() {
            let until = Instant::now() + LONGEST_HOLD;
            of.throttling.begin(self.tenant.now_ns(), LONGEST_HOLD);
            let turn = self.next.try_lock_until(until);
            while let Some(left) = self.left() {
                of.throttling.begin(self.tenant.now_ns(), left);
                let now = Instant::now();
                if now >= until {
                    break;
                }
                // In steps, because the share may be raised.
                std::thread::sleep(left.min(until - now).min(Duration::from_millis(100)));
            }
            if let Some(turn) = turn {
                MutexGuard::unlock_fair(turn);
            }
        }
        if of.throttling.is_active() || self.tenant.is_held() {
            let now = self.tenant.now_ns();
            of.throttling.end(now);
            self.tenant.go_on(now);
        }
    }

    /// Takes note of what a call, or the start of an instance, took.
    pub(crate) fn used(&self, took: Took, output_bytes: u64) {
        if self.cpu.is_bounded() {
            self.cpu.used(nanos(took.cpu), self.tenant.now_ns());
        }
        self.tenant.used(took, output_bytes);
    }

    fn left(&self) -> Option<Duration> {
        if !self.cpu.is_bounded() && !self.tenant.is_bounded() {
            return None;
        }
        let now = self.tenant.now_ns();
        let of_tenant = self.tenant.wait(now).inspect(|left| self.tenant.hold_back(now, *left));
        self.cpu.wait(now).max(of_tenant)
    }
}
