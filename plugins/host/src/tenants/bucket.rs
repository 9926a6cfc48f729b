//! Rates: what is used is paid for afterwards, with time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What may be used at once after a time without use: as much as the rate gives in this.
const BURST_NS: u64 = 1_000_000_000;

/// Use is not held against anybody for longer than this.
const LONGEST_DEBT_NS: u64 = 600_000_000_000;

/// A token bucket, kept as the time at which all that was used is paid for. It takes no lock; times are ns of one clock that
/// never steps back.
#[derive(Debug)]
pub(crate) struct Bucket {
    paid_ns: AtomicU64,
    /// Units a second; [`Self::UNBOUNDED`] for no bound.
    rate: AtomicU64,
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket::new(None)
    }
}

impl Bucket {
    const UNBOUNDED: u64 = u64::MAX;

    /// `rate` is in units a second.
    pub(crate) fn new(rate: Option<u64>) -> Bucket {
        Bucket { paid_ns: AtomicU64::new(0), rate: AtomicU64::new(rate.unwrap_or(Self::UNBOUNDED)) }
    }

    /// From now on; what was used before is still to be paid for, at the new rate.
    pub(crate) fn set_rate(&self, rate: Option<u64>, now_ns: u64) {
        let rate = rate.unwrap_or(Self::UNBOUNDED);
        let before = self.rate.swap(rate, Ordering::Relaxed);
        if before == rate || before == Self::UNBOUNDED {
            return;
        }
        let again = |paid: u64| {
            let debt = u128::from(paid.saturating_sub(now_ns)) * u128::from(before) / u128::from(rate.max(1));
            let debt = u64::try_from(debt).unwrap_or(u64::MAX).min(LONGEST_DEBT_NS);
            (paid > now_ns).then_some(now_ns.saturating_add(debt))
        };
        let _ = self.paid_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, again);
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.rate.load(Ordering::Relaxed) != Self::UNBOUNDED
    }

    /// Takes note of what was used.
    pub(crate) fn used(&self, units: u64, now_ns: u64) {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == Self::UNBOUNDED || units == 0 {
            return;
        }
        let cost = cost_ns(units, rate);
        let later = |paid: u64| {
            let from = paid.max(now_ns.saturating_sub(BURST_NS));
            Some(from.saturating_add(cost).min(now_ns.saturating_add(LONGEST_DEBT_NS)))
        };
        let _ = self.paid_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// How long it takes until what was used is paid for; `None` if it is.
    pub(crate) fn wait(&self, now_ns: u64) -> Option<Duration> {
        if !self.is_bounded() {
            return None;
        }
        let left = self.paid_ns.load(Ordering::Relaxed).checked_sub(now_ns)?;
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Takes one unit if there is one.
    pub(crate) fn take_one(&self, now_ns: u64) -> bool {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == Self::UNBOUNDED {
            return true;
        }
        let cost = cost_ns(1, rate);
        let taken = |paid: u64| {
            let next = paid.max(now_ns.saturating_sub(BURST_NS)).saturating_add(cost);
            (next <= now_ns).then_some(next)
        };
        rate > 0 && self.paid_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

fn cost_ns(units: u64, rate: u64) -> u64 {
    let cost = u128::from(units) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(cost).unwrap_or(u64::MAX).min(LONGEST_DEBT_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_share_is_kept_on_average_whatever_the_calls() {
        for (share_milli, call_ms) in [(500, 1), (500, 400), (100, 2_000), (2_000, 700), (10, 50)] {
            let bucket = Bucket::new(Some(share_milli * 1_000_000));
            let (mut now, mut used) = (100 * SECOND, 0);
            while now < 10_100 * SECOND {
                now += bucket.wait(now).map_or(0, |wait| u64::try_from(wait.as_nanos()).unwrap());
                // Two at once, as two instances would.
                for _ in 0..2 {
                    bucket.used(call_ms * 1_000_000, now);
                    used += call_ms;
                }
                now += call_ms * 1_000_000;
            }
            let milli = used * 1_000 / 10_000_000;
            let (low, high) = (share_milli * 95 / 100, share_milli + 2 + share_milli * 5 / 100);
            let high = high.max(2 * call_ms * 1_000 / 10_000_000 + share_milli);
            let possible = share_milli.min(2_000);
            assert!(
                (low.min(possible)..=high).contains(&milli),
                "{share_milli} gave {milli} with calls of {call_ms} ms"
            );
        }
    }

    #[test]
    fn what_was_not_used_is_kept_for_a_second() {
        let bucket = Bucket::new(Some(SECOND / 2));
        let now = 1_000 * SECOND;
        bucket.used(SECOND / 2, now);
        assert_eq!(bucket.wait(now), None, "the burst");
        bucket.used(SECOND / 4, now);
        assert_eq!(bucket.wait(now), Some(Duration::from_millis(500)));
        assert_eq!(bucket.wait(now + SECOND / 2), None);
    }

    #[test]
    fn lines_are_taken_one_by_one() {
        let bucket = Bucket::new(Some(10));
        let mut now = 50 * SECOND;
        assert_eq!((0..100).filter(|_| bucket.take_one(now)).count(), 10);
        now += SECOND / 2;
        assert_eq!((0..100).filter(|_| bucket.take_one(now)).count(), 5);
        now += 100 * SECOND;
        assert_eq!((0..100).filter(|_| bucket.take_one(now)).count(), 10);
        assert!(!Bucket::new(Some(0)).take_one(now), "no lines at all");
        assert!((0..1_000).all(|_| Bucket::new(None).take_one(0)));
    }

    #[test]
    fn another_rate_holds_at_once() {
        let bucket = Bucket::new(Some(SECOND / 100));
        let now = 10 * SECOND;
        bucket.used(SECOND, now);
        let before = bucket.wait(now).unwrap();
        bucket.set_rate(Some(SECOND), now);
        let after = bucket.wait(now).unwrap();
        assert_eq!(after.as_nanos() / 1_000_000, before.as_nanos() / 100 / 1_000_000);
        bucket.set_rate(None, now);
        assert_eq!(bucket.wait(now), None);
        bucket.used(u64::MAX, now);
        assert_eq!(bucket.wait(now), None);
        bucket.set_rate(Some(1), now);
        bucket.used(u64::MAX, now);
        assert_eq!(bucket.wait(now), Some(Duration::from_nanos(LONGEST_DEBT_NS)));
    }
}
