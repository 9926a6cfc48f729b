//! Time comes from outside, so that tests can move it.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Microseconds since the Unix epoch; may step in either direction.
    fn wall_us(&self) -> i64;
    /// Time since an arbitrary point; never steps back. Sessions and locks use it.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn wall_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that stands still until it is moved, for tests of this and other crates.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_us: AtomicI64,
    monotonic_us: AtomicU64,
}

impl ManualClock {
    /// The monotonic clock begins at 0.
    pub fn new(wall_us: i64) -> ManualClock {
        ManualClock { wall_us: AtomicI64::new(wall_us), monotonic_us: AtomicU64::new(0) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let us = by.as_micros();
        self.wall_us.fetch_add(i64::try_from(us).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.monotonic_us.fetch_add(u64::try_from(us).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Steps the wall clock, in either direction, as an operator or NTP does.
    pub fn set_wall_us(&self, wall_us: i64) {
        self.wall_us.store(wall_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_us(&self) -> i64 {
        self.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::SeqCst))
    }
}
