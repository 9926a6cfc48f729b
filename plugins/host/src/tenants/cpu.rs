//! How much of a core calls take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Calls that are expected to be shorter count with their wall time: asking for the thread's CPU time takes about as long as
/// they do, and there is little in them that waits.
const SHORT: Duration = Duration::from_micros(200);

/// What calls of one plugin version are like.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// The wall time of the last call, µs.
    last_us: AtomicU64,
}

/// A call under way, on the thread that made this.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Option<Duration>,
}

/// What a call took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Meter {
    pub(crate) fn start(&self) -> Stopwatch {
        let long = u128::from(self.last_us.load(Ordering::Relaxed)) >= SHORT.as_micros();
        Stopwatch { cpu: if long { thread_cpu() } else { None }, wall: Instant::now() }
    }

    pub(crate) fn end(&self, started: &Stopwatch) -> Took {
        let took = started.end();
        let us = u64::try_from(took.wall.as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(us, Ordering::Relaxed);
        took
    }
}

impl Stopwatch {
    /// Something that takes its time.
    pub(crate) fn long() -> Stopwatch {
        Stopwatch { cpu: thread_cpu(), wall: Instant::now() }
    }

    pub(crate) fn end(&self) -> Took {
        let wall = self.wall.elapsed();
        let cpu = self.cpu.and_then(|before| Some(thread_cpu()?.saturating_sub(before)));
        Took { wall, cpu: cpu.map_or(wall, |cpu| cpu.min(wall)) }
    }
}

/// The CPU time of the calling thread, where the system tells it.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library does not offer this clock")]
fn thread_cpu() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours that outlives the call, which writes nothing else.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (answer == 0).then(|| Duration::new(seconds, nanos))
}

#[cfg(not(unix))]
fn thread_cpu() -> Option<Duration> {
    None
}

/// Of CPU time, for thousandths of a core.
pub(crate) fn ns_a_second(milli: u64) -> u64 {
    milli.saturating_mul(1_000_000)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_no_use_of_the_cpu_and_spinning_is() {
        let meter = Meter::default();
        let nap = |meter: &Meter| {
            let started = meter.start();
            std::thread::sleep(Duration::from_millis(60));
            meter.end(&started)
        };
        let first = nap(&meter);
        assert_eq!(first.cpu, first.wall, "the first call was expected to be short");
        if thread_cpu().is_some() {
            let second = nap(&meter);
            assert!(second.wall >= Duration::from_millis(60) && second.cpu < second.wall / 2, "{second:?}");
            let started = Stopwatch::long();
            while started
                .cpu
                .is_some_and(|before| thread_cpu().unwrap_or_default() < before + Duration::from_millis(20))
            {
                std::hint::spin_loop();
            }
            assert!(started.end().cpu >= Duration::from_millis(20));
        }
    }
}
