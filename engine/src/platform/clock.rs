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
    /// For how long the machine has been on, if it says so: what passes between two openings of a store is known by this.
    fn boot(&self) -> Option<BootTime> {
        None
    }
}

/// One start of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootTime {
    /// No other start has it. Not 0.
    pub id: u128,
    /// Time since, sleep included.
    pub up: Duration,
}

/// For how long a thread has waited or worked: real time, whatever clock the engine has. What is due, silent or old is asked of
/// [`Clock`]; how long to wait until it is asked again is no matter of the log's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// How long a thread waits, in real time as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    begun: Stopwatch,
    whole: Duration,
}

impl Patience {
    pub(crate) fn of(whole: Duration) -> Patience {
        Patience { begun: Stopwatch::start(), whole }
    }

    /// Zero once it is over.
    pub(crate) fn left(&self) -> Duration {
        self.whole.saturating_sub(self.begun.elapsed())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Stopwatch,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { origin: Stopwatch::start() }
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

    /// As Linux tells it.
    fn boot(&self) -> Option<BootTime> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = u128::from_str_radix(&id.trim().replace('-', ""), 16).ok().filter(|id| *id != 0)?;
        let up = std::fs::read_to_string("/proc/uptime").ok()?;
        let up = up.split(' ').next()?.parse().ok()?;
        Some(BootTime { id, up: Duration::try_from_secs_f64(up).ok()? })
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

    /// The machine is on as long as this clock is there.
    fn boot(&self) -> Option<BootTime> {
        Some(BootTime { id: 1, up: self.monotonic() })
    }
}
