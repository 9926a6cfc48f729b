//! How often, and for how long, calls are held back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cpu::nanos;
use crate::figures::Counter;

/// From the first call that is held back until one is made again counts as once.
#[derive(Debug, Default)]
pub(crate) struct Throttling {
    /// Since when, ns of the host's clock; 0 while nothing is held back.
    since_ns: AtomicU64,
    /// Up to when, as it was last said: who waits may go away.
    until_ns: AtomicU64,
    times: Counter,
    us: Counter,
}

impl Throttling {
    /// A call is held back for so long.
    pub(crate) fn begin(&self, now_ns: u64, left: Duration) {
        self.until_ns.store(now_ns.saturating_add(nanos(left)), Ordering::Relaxed);
        let begun = self.since_ns.compare_exchange(0, now_ns.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_ok() {
            self.times.add(1);
        }
    }

    /// A call is made.
    pub(crate) fn end(&self, now_ns: u64) {
        if self.is_active() {
            let since = self.since_ns.swap(0, Ordering::Relaxed);
            self.us.add(self.passed(since, now_ns));
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.since_ns.load(Ordering::Relaxed) != 0
    }

    /// How often, and µs; of what goes on up to now.
    pub(crate) fn figures(&self, now_ns: u64) -> (u64, u64) {
        let since = self.since_ns.load(Ordering::Relaxed);
        (self.times.get(), self.us.get() + self.passed(since, now_ns))
    }

    fn passed(&self, since_ns: u64, now_ns: u64) -> u64 {
        if since_ns == 0 {
            return 0;
        }
        // A wake-up comes a little late.
        let until = self.until_ns.load(Ordering::Relaxed).saturating_add(nanos(Duration::from_millis(250)));
        now_ns.min(until).saturating_sub(since_ns) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_wait_at_once_count_once_and_those_that_went_away_not_for_ever() {
        let (throttling, left) = (Throttling::default(), Duration::from_micros(20));
        throttling.end(5_000);
        assert_eq!(throttling.figures(6_000), (0, 0));
        throttling.begin(10_000, left);
        throttling.begin(12_000, left);
        assert_eq!(throttling.figures(15_000), (1, 5));
        throttling.end(20_000);
        throttling.end(30_000);
        assert_eq!(throttling.figures(40_000), (1, 10));
        throttling.begin(50_000, left);
        assert_eq!(throttling.figures(3_600_000_000_000), (2, 10 + 20 + 250_000));
        throttling.end(3_600_000_000_000);
        assert_eq!(throttling.figures(3_700_000_000_000), (2, 10 + 20 + 250_000));
    }
}
