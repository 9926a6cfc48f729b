//! Time limits. Compiled code compares wasmtime's epoch with its store's deadline at every loop and call; a thread of
//! our own moves the epoch on, so that no guest can keep it from running.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use millstream_engine::{Error, Result};
use wasmtime::{Engine, Store};

/// How often the epoch moves; a time limit is kept to about this.
const PERIOD: Duration = Duration::from_millis(5);

/// How long the clock goes on after the last call before it sleeps.
const LINGER: u32 = 200;

/// Moves the epoch on while guests run, and sleeps while none does.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Calls that are running.
    running: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// While it lives, the epoch moves.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    shared: &'a Shared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> Result<Arc<Ticker>> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn({
                let (shared, engine) = (shared.clone(), engine.clone());
                move || tick(&shared, &engine)
            })
            .map_err(|e| Error::Internal(format!("the plugin clock's thread does not start: {e}")))?;
        Ok(Arc::new(Ticker { shared, thread: Some(thread) }))
    }

    /// Interrupts what `store` runs from now on after `limit`, for as long as the answer is held.
    pub(crate) fn arm<T>(&self, store: &mut Store<T>, limit: Duration) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees the sleeping clock, or the clock sees the call that was just counted.
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        // The tick under way may be as good as over, so a call is given one more.
        let ticks = limit.as_nanos().div_ceil(PERIOD.as_nanos()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX >> 1));
        Running { shared: &self.shared }
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
            // The thread only sleeps and counts: it has no panic to report.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("shared", &self.shared).finish_non_exhaustive()
    }
}

fn tick(shared: &Shared, engine: &Engine) {
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
            engine.increment_epoch();
        }
        last += PERIOD * u32::try_from(periods).unwrap_or(u32::MAX);
    }
}

fn sleep_until_called(shared: &Shared) {
    shared.asleep.store(true, Ordering::SeqCst);
    while shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, Ordering::SeqCst);
}
