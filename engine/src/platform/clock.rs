//! Time comes from outside, so that tests can move it.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Wall and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Microseconds since the Unix epoch; may step in either direction.
    fn wall_us(&self) -> i64;
    /// Time since an arbitrary point; never steps back.
    fn monotonic(&self) -> Duration;
    /// What passed of it while this process ran. A machine that was halted, or so busy that nobody had his turn, could hear of nobody, so
    /// that others' silence says nothing of them: sessions and locks go by this. It knows by [`Self::beat`].
    fn awake(&self) -> Duration {
        self.monotonic()
    }
    /// To be called by one thread, several times a second.
    fn beat(&self) {}
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

/// Beats that come later than this have been kept from coming.
const LONGEST_BEAT: Duration = Duration::from_secs(1);

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Stopwatch,
    beats: Mutex<Beats>,
}

#[derive(Debug, Default)]
struct Beats {
    last: Duration,
    /// What passed between them and was too long.
    lost: Duration,
}

impl Beats {
    /// Stands still where the next beat is late, and goes on from there after it.
    fn awake(&self, now: Duration) -> Duration {
        now.min(self.last + LONGEST_BEAT).saturating_sub(self.lost)
    }

    fn beat(&mut self, now: Duration) {
        self.lost += now.saturating_sub(self.last + LONGEST_BEAT);
        self.last = now;
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { origin: Stopwatch::start(), beats: Mutex::default() }
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

    fn awake(&self) -> Duration {
        let beats = self.beats.lock();
        beats.awake(self.monotonic())
    }

    fn beat(&self) {
        let mut beats = self.beats.lock();
        beats.beat(self.monotonic());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_nobody_ran_is_not_awake() {
        let at = Duration::from_millis;
        let mut beats = Beats::default();
        beats.beat(at(250));
        beats.beat(at(900));
        assert_eq!(beats.awake(at(1_100)), at(1_100));
        // Halted from 1,200 to 9,000 ms.
        assert_eq!(beats.awake(at(9_000)), at(1_900));
        beats.beat(at(9_000));
        assert_eq!(beats.awake(at(9_000)), at(1_900));
        assert_eq!(beats.awake(at(9_400)), at(2_300));
        beats.beat(at(20_000));
        assert_eq!(beats.awake(at(20_500)), at(3_400));
    }
}
