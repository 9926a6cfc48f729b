//! How often, and for how long, calls are held back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cpu::nanos;
use crate::figures::Counter;

/// From the first call that is held back until one is made again counts as once.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Since when, ns of the host's clock; 0 while nothing is held back.
    since_ns: AtomicU64,
    /// Up to when, as it was last said: who waits may go away.
    until_ns: AtomicU64,
    times: Counter,
    us: Counter,
}

impl Held {
    /// A call is held back for so long.
    pub(crate) fn back(&self, now_ns: u64, left: Duration) {
        self.until_ns.store(now_ns.saturating_add(nanos(left)), Ordering::Relaxed);
        let begun = self.since_ns.compare_exchange(0, now_ns.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_ok() {
            self.times.add(1);
        }
    }

    /// A call is made.
    pub(crate) fn on(&self, now_ns: u64) {
        if self.is() {
            let since = self.since_ns.swap(0, Ordering::Relaxed);
            self.us.add(self.passed(since, now_ns));
        }
    }

    pub(crate) fn is(&self) -> bool {
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
        let (held, left) = (Held::default(), Duration::from_micros(20));
        held.on(5_000);
        assert_eq!(held.figures(6_000), (0, 0));
        held.back(10_000, left);
        held.back(12_000, left);
        assert_eq!(held.figures(15_000), (1, 5));
        held.on(20_000);
        held.on(30_000);
        assert_eq!(held.figures(40_000), (1, 10));
        held.back(50_000, left);
        assert_eq!(held.figures(3_600_000_000_000), (2, 10 + 20 + 250_000));
        held.on(3_600_000_000_000);
        assert_eq!(held.figures(3_700_000_000_000), (2, 10 + 20 + 250_000));
    }
}
