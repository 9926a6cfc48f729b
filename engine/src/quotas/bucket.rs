//! A rate, held over time.

use std::time::Duration;

/// Tokens are counted in these parts of one, so that what comes in a nanosecond is a whole number.
const PARTS: i128 = 1_000_000_000;

/// Tokens come at a rate, for a second at most. Who finds it out of debt takes what he needs, be it more than there is; all wait then
/// until that is paid. So nothing is too large, and over time no more passes than the rate.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    /// In parts. Below zero it is a debt.
    tokens: i128,
    at: Duration,
    passed: Passed,
}

/// What was taken in this second, and in the one before.
#[derive(Debug, Default)]
struct Passed {
    second: u64,
    now: u64,
    before: u64,
}

impl Passed {
    fn turn(&mut self, second: u64) {
        if second != self.second {
            let before = if second == self.second + 1 { self.now } else { 0 };
            *self = Passed { second, now: 0, before };
        }
    }
}

impl Bucket {
    /// Full.
    pub(super) fn new(rate: u64, now: Duration) -> Bucket {
        Bucket { rate, tokens: i128::from(rate) * PARTS, at: now, passed: Passed::default() }
    }

    /// What was taken before is paid at the new rate from here on.
    pub(super) fn set_rate(&mut self, rate: u64, now: Duration) {
        self.fill(now);
        self.rate = rate;
        self.tokens = self.tokens.min(self.most());
    }

    pub(super) fn take(&mut self, amount: u64, now: Duration) {
        self.fill(now);
        self.tokens = self.tokens.saturating_sub(i128::from(amount).saturating_mul(PARTS));
        self.passed.turn(now.as_secs());
        self.passed.now = self.passed.now.saturating_add(amount);
    }

    /// How long until it is out of debt; `None` if it is.
    pub(super) fn pause(&mut self, now: Duration) -> Option<Duration> {
        self.fill(now);
        if self.tokens >= 0 {
            return None;
        }
        let rate = i128::from(self.rate.max(1));
        let nanos = self.tokens.unsigned_abs().div_ceil(rate.unsigned_abs());
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// What was taken in the last full second.
    pub(super) fn last_second(&mut self, now: Duration) -> u64 {
        self.passed.turn(now.as_secs());
        self.passed.before
    }

    fn most(&self) -> i128 {
        i128::from(self.rate) * PARTS
    }

    fn fill(&mut self, now: Duration) {
        let passed = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(i128::MAX);
        let come = passed.saturating_mul(i128::from(self.rate));
        self.tokens = self.tokens.saturating_add(come).min(self.most());
        self.at = self.at.max(now);
    }
}
