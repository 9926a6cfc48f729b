//! A plugin that only fails is called no more, until somebody lets it: each call may cost its whole time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream_engine::{FailureKind, OperatorError, PluginSuspension, PluginVersion};
use parking_lot::{Mutex, RwLock};

use crate::failure::failure;

/// A plugin is suspended after this many failed calls without one that was answered between them.
const FAILURES: u64 = 64;
/// Or after fewer, once they have cost [`LOST`]. One row that always times out fails 20 times in a row at most: once for each
/// halving of 65,536 rows, and twice more when it stands alone.
const COSTLY_FAILURES: u64 = 24;
const LOST: Duration = Duration::from_secs(30);

/// Who wants to know at once that a plugin was suspended.
#[derive(Default)]
pub(crate) struct Notice(RwLock<Option<Arc<dyn Fn() + Send + Sync>>>);

impl Notice {
    pub(crate) fn to(&self, told: Arc<dyn Fn() + Send + Sync>) {
        *self.0.write() = Some(told);
    }

    pub(crate) fn give(&self) {
        let told = self.0.read().clone();
        if let Some(told) = told {
            told();
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").finish_non_exhaustive()
    }
}

/// Counts failures in a row. Errors that the guest returns are answers: it is alive.
#[derive(Debug, Default)]
pub(crate) struct Suspension {
    failures: AtomicU64,
    lost_us: AtomicU64,
    /// Whether `why` holds something, for a look without its lock.
    suspended: AtomicBool,
    why: Mutex<Option<PluginSuspension>>,
}

impl Suspension {
    /// As the catalog has it: one that was suspended before stays so.
    pub(crate) fn new(why: Option<PluginSuspension>) -> Suspension {
        Suspension { suspended: AtomicBool::new(why.is_some()), why: Mutex::new(why), ..Suspension::default() }
    }

    /// No row is at fault for it: readers stop, whatever their topic's policy.
    pub(crate) fn check(&self, plugin: &PluginVersion) -> Result<(), OperatorError> {
        if !self.suspended.load(Ordering::Acquire) {
            return Ok(());
        }
        let reason = self.now().map_or_else(String::new, |why| why.reason);
        let message = format!(
            "version {} is suspended: {reason}; ALTER PLUGIN {} RESUME lets it be called again, CREATE OR REPLACE PLUGIN and \
             RELOAD TOPIC put another version in its place",
            plugin.version, plugin.name
        );
        Err(failure(FailureKind::Host, message))
    }

    pub(crate) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.forget();
        }
    }

    /// True if this suspends the plugin.
    pub(crate) fn failed(&self, plugin: &PluginVersion, error: &OperatorError, took: Duration, now_us: i64) -> bool {
        match error.kind {
            FailureKind::Data => {
                self.answered();
                return false;
            }
            FailureKind::Host => return false,
            FailureKind::Trap | FailureKind::Timeout | FailureKind::Memory | FailureKind::BadOutput => {}
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let lost = Duration::from_micros(self.lost_us.fetch_add(us, Ordering::Relaxed).saturating_add(us));
        if failures < FAILURES && (failures < COSTLY_FAILURES || lost < LOST) {
            return false;
        }
        let mut why = self.why.lock();
        if why.is_some() {
            return false;
        }
        let reason = format!("{failures} calls in a row failed and took {lost:.1?}, the last one: {}", error.message);
        tracing::error!(
            target: "millstream::plugin",
            plugin = plugin.name,
            version = plugin.version,
            "suspended: {reason}; ALTER PLUGIN {} RESUME lets it be called again",
            plugin.name
        );
        *why = Some(PluginSuspension { since_us: now_us, reason });
        self.suspended.store(true, Ordering::Release);
        true
    }

    /// False where there was none.
    pub(crate) fn end(&self, plugin: &PluginVersion) -> bool {
        let ended = self.why.lock().take().is_some();
        self.forget();
        self.suspended.store(false, Ordering::Release);
        if ended {
            tracing::warn!(target: "millstream::plugin", plugin = plugin.name, version = plugin.version, "resumed");
        }
        ended
    }

    pub(crate) fn now(&self) -> Option<PluginSuspension> {
        self.why.lock().clone()
    }

    fn forget(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.lost_us.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> PluginVersion {
        PluginVersion { name: "p".to_owned(), version: 2 }
    }

    fn fail(suspension: &Suspension, kind: FailureKind, times: u64, took: Duration) {
        for _ in 0..times {
            suspension.failed(&plugin(), &OperatorError::new(kind, "no"), took, 7);
        }
    }

    #[test]
    fn failures_in_a_row_suspend_and_answers_part_them() {
        let suspension = Suspension::default();
        fail(&suspension, FailureKind::Trap, FAILURES - 1, Duration::ZERO);
        suspension.answered();
        fail(&suspension, FailureKind::Memory, FAILURES - 1, Duration::ZERO);
        fail(&suspension, FailureKind::Data, 1, Duration::ZERO);
        fail(&suspension, FailureKind::BadOutput, FAILURES - 1, Duration::ZERO);
        fail(&suspension, FailureKind::Host, 10, Duration::ZERO);
        suspension.check(&plugin()).expect("it is not suspended");
        fail(&suspension, FailureKind::Trap, 1, Duration::ZERO);
        let error = suspension.check(&plugin()).expect_err("it is suspended");
        assert_eq!(error.kind, FailureKind::Host);
        assert!(error.message.contains("version 2 is suspended: 64 calls in a row failed"), "{error}");
        assert!(error.message.contains("ALTER PLUGIN p RESUME"), "{error}");
        assert!(suspension.end(&plugin()) && !suspension.end(&plugin()));
        suspension.check(&plugin()).expect("it is resumed");
        fail(&suspension, FailureKind::Trap, FAILURES - 1, Duration::ZERO);
        suspension.check(&plugin()).expect("it counts from the start");
    }

    #[test]
    fn time_outs_suspend_sooner_but_not_for_one_row() {
        let suspension = Suspension::default();
        fail(&suspension, FailureKind::Timeout, 20, Duration::from_secs(10));
        suspension.check(&plugin()).expect("one row fails that often");
        fail(&suspension, FailureKind::Timeout, COSTLY_FAILURES - 20, Duration::from_secs(10));
        assert!(suspension.check(&plugin()).is_err());
    }
}
