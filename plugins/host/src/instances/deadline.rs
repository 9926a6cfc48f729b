//! Time limits. Compiled code compares wasmtime's epoch with its store's deadline at every loop and call; a thread of
//! our own moves the epoch on, so that no guest can keep it from running.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use millstream_engine::{Error, FailureKind, OperatorError, Result, repeat_after_panics};
use wasmtime::{Engine, Store};

use super::panics::Panics;
use crate::failure::failure;

/// How often the epoch moves; a time limit is kept to about this.
const PERIOD: Duration = Duration::from_millis(5);

const NAME: &str = "plugin-clock";

/// More than any call may last, in periods.
const LONGEST_TICKS: u32 = 200_000;

/// How long the clock goes on after the last call before it sleeps.
const LINGER: u32 = 200;

/// Moves the epoch on while guests run, and sleeps while none does.
pub(crate) struct Ticker {
    shared: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct TickerState {
    /// Calls that are running.
    running: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
    /// The clock has panicked too often and stands still.
    lost: AtomicBool,
}

/// While it lives, the epoch moves.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    shared: &'a TickerState,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    pub(crate) fn start(engine: &Engine, panics: &Arc<Panics>) -> Result<Arc<Ticker>> {
        let engine = engine.clone();
        Ticker::start_with(move || engine.increment_epoch(), panics)
    }

    /// As [`Self::start`], with another way to move an epoch on.
    #[expect(clippy::disallowed_methods, reason = "the host's one thread of its own, whose panics are told")]
    fn start_with(advance: impl Fn() + Send + 'static, panics: &Arc<Panics>) -> Result<Arc<Ticker>> {
        let shared = Arc::new(TickerState::default());
        let thread = thread::Builder::new()
            .name(NAME.to_owned())
            .spawn({
                let (shared, panics) = (shared.clone(), panics.clone());
                move || run(&shared, &advance, &panics)
            })
            .map_err(|e| Error::Internal(format!("the plugin clock's thread does not start: {e}")))?;
        Ok(Arc::new(Ticker { shared, thread: Some(thread) }))
    }

    /// Interrupts what `store` runs from now on after `limit`, for as long as the answer is held. Fails once nothing would
    /// interrupt it any more.
    pub(crate) fn arm<T>(&self, store: &mut Store<T>, limit: Duration) -> Result<Running<'_>, OperatorError> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees the sleeping clock, or the clock sees the call that was just counted.
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        // The tick under way may be as good as over, so a call is given one more.
        let ticks = limit.as_nanos().div_ceil(PERIOD.as_nanos()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX >> 1));
        let running = Running { shared: &self.shared };
        // Looked at last: either this sees the end of the clock, or the clock's end interrupts what was set here.
        if self.shared.lost.load(Ordering::SeqCst) {
            return Err(failure(
                FailureKind::Host,
                "plugins are not called: the clock that interrupts them has stopped",
            ));
        }
        Ok(running)
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.as_ref().map(JoinHandle::thread) {
            Thread::unpark(thread);
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told of by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Goes on after panics, within bounds. After that no guest is called, and those that run are interrupted.
fn run(shared: &TickerState, advance: &dyn Fn(), panics: &Panics) {
    let begun = Instant::now();
    let told = |message: &str| panics.tell(NAME, message, false);
    if let Some(message) = repeat_after_panics(|| begun.elapsed(), || tick(shared, advance), told) {
        shared.lost.store(true, Ordering::SeqCst);
        // What moves the epoch may be what panics.
        let interrupt = || (0..=LONGEST_TICKS).for_each(|_| advance());
        let interrupted = catch_unwind(AssertUnwindSafe(interrupt)).is_ok();
        tracing::error!(interrupted, "the clock that interrupts plugins has stopped: {message}");
        panics.tell(NAME, &message, true);
    }
}

fn tick(shared: &TickerState, advance: &dyn Fn()) {
    let mut idle = 0;
    let mut last = Instant::now();
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else if idle < LINGER {
            idle += 1;
        } else {
            sleep_until_called(shared);
            last = Instant::now();
            idle = 0;
        }
        thread::park_timeout(PERIOD);
        // On a busy machine this thread comes late; the epoch then catches up.
        let periods = last.elapsed().as_nanos() / PERIOD.as_nanos();
        for _ in 0..periods.min(1_000) {
            advance();
        }
        last += PERIOD * u32::try_from(periods).unwrap_or(u32::MAX);
    }
}

fn sleep_until_called(shared: &TickerState) {
    shared.asleep.store(true, Ordering::SeqCst);
    while shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use parking_lot::Mutex;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The messages of panics, and whether the clock stays down.
    type Told = Arc<Mutex<Vec<(String, bool)>>>;

    /// A clock that panics so often, and what was told of it.
    fn start(panics: usize) -> (Arc<Ticker>, Arc<AtomicUsize>, Told) {
        let (told, watch) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Panics::default()));
        let heard = told.clone();
        watch.to(Arc::new(move |panic| heard.lock().push((panic.message.clone(), panic.stays_down))));
        let (ticks, counted) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let seen = ticks.clone();
        let advance = move || {
            assert!(counted.fetch_add(1, Ordering::SeqCst) >= panics, "on purpose");
            seen.fetch_add(1, Ordering::SeqCst);
        };
        (Ticker::start_with(advance, &watch).unwrap(), ticks, told)
    }

    fn wait(what: &str, is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < PATIENCE, "waited for {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn store() -> Store<()> {
        Store::new(&Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap(), ())
    }

    #[test]
    fn the_clock_goes_on_after_a_panic() {
        let (ticker, ticks, told) = start(2);
        let _running = ticker.arm(&mut store(), Duration::from_secs(1)).unwrap();
        wait("ticks", || ticks.load(Ordering::SeqCst) > 3);
        assert_eq!(*told.lock(), [("on purpose".to_owned(), false), ("on purpose".to_owned(), false)]);
    }

    #[test]
    fn the_clock_goes_on_after_it_has_slept() {
        let (ticker, ticks, _) = start(0);
        drop(ticker.arm(&mut store(), Duration::from_secs(1)).unwrap());
        wait("sleep", || ticker.shared.asleep.load(Ordering::SeqCst));
        let before = ticks.load(Ordering::SeqCst);
        let _running = ticker.arm(&mut store(), Duration::from_secs(1)).unwrap();
        wait("ticks", || ticks.load(Ordering::SeqCst) > before + 3);
    }

    #[test]
    fn without_a_clock_no_guest_is_called() {
        let (ticker, _, told) = start(9);
        let running = ticker.arm(&mut store(), Duration::from_secs(1)).unwrap();
        wait("the end of the clock", || told.lock().iter().any(|(_, stays_down)| *stays_down));
        drop(running);
        let error = ticker.arm(&mut store(), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind, FailureKind::Host);
        assert_eq!(ticker.shared.running.load(Ordering::SeqCst), 0);
    }
}
