//! The engine's threads. All of them are started here, so that none ends by a panic without anybody's hearing of it: a panic
//! is an event and a figure, and a thread that the engine can't do without makes it unready while it stays down.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Error, Result};
use crate::platform::Clock;
use crate::platform::Events;

/// Panics of one thread within [`RESTARTS_WITHIN`] after which it is begun again; with one more it stays down.
const RESTARTS: usize = 8;
const RESTARTS_WITHIN: Duration = Duration::from_secs(600);

/// What all threads of one engine have come to.
#[derive(Debug)]
pub(crate) struct Threads {
    clock: Arc<dyn Clock>,
    events: Arc<Events>,
    panics: AtomicU64,
    /// Threads that the engine can't do without and that stay down, with what each panicked with.
    down: Mutex<BTreeMap<String, String>>,
}

/// A panic of a thread that another room has started for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPanic {
    pub thread: String,
    /// What it panicked with.
    pub message: String,
    /// Whether it has ended; else it was begun again.
    pub stays_down: bool,
}

const BEGUN_AGAIN: &str = "it is begun again";

/// Called with what a thread panicked with, once it stays down.
pub(crate) type Missed = Box<dyn FnOnce(&str) + Send>;

impl Threads {
    pub(crate) fn new(clock: Arc<dyn Clock>, events: Arc<Events>) -> Arc<Threads> {
        Arc::new(Threads { clock, events, panics: AtomicU64::new(0), down: Mutex::default() })
    }

    /// Starts a thread that the engine can't do without and whose work can't be begun again, because a panic leaves in doubt
    /// what of it was done. `poison` then keeps others from building on that.
    pub(crate) fn start_once(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce() + Send + 'static,
        poison: impl FnOnce(&str) + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let (threads, thread) = (self.clone(), name.to_owned());
        spawn(name, move || {
            let Err(panic) = catch_unwind(AssertUnwindSafe(body)) else { return };
            let reason = panic_text(panic.as_ref());
            poison(reason);
            threads.lose(&thread, reason);
        })
    }

    /// Starts a thread that the engine can't do without. Its work begins with what is recorded, so that after a panic it is
    /// begun again, within bounds.
    pub(crate) fn start_again(
        self: &Arc<Self>,
        name: &str,
        body: impl FnMut() + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let (threads, thread) = (self.clone(), name.to_owned());
        spawn(name, move || {
            if let Some(reason) = threads.repeat(&thread, body) {
                threads.lose(&thread, &reason);
            }
        })
    }

    /// As [`Self::start_again`], for a thread that only a part of the engine needs: `missed` tells those who look at that part.
    pub(crate) fn start_part(
        self: &Arc<Self>,
        name: &str,
        body: impl FnMut() + Send + 'static,
        missed: Missed,
    ) -> Result<JoinHandle<()>> {
        let (threads, thread) = (self.clone(), name.to_owned());
        spawn(name, move || {
            if let Some(reason) = threads.repeat(&thread, body) {
                missed(&reason);
                threads.tell(&thread, &reason, "it stays down");
            }
        })
    }

    /// `ThreadDown` if a thread that the engine can't do without has panicked and stays down.
    pub(crate) fn check(&self) -> Result<()> {
        match self.down.lock().first_key_value() {
            Some((thread, message)) => Err(Error::ThreadDown { thread: thread.clone(), message: message.clone() }),
            None => Ok(()),
        }
    }

    /// Panics since opening, and threads that the engine misses.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let down = self.down.lock().len();
        (self.panics.load(Ordering::Relaxed), u64::try_from(down).unwrap_or(u64::MAX))
    }

    /// A thread of another room has panicked: the engine can't do without it either.
    pub(crate) fn hear(&self, panic: &ThreadPanic) {
        match panic.stays_down {
            true => self.lose(&panic.thread, &panic.message),
            false => self.tell(&panic.thread, &panic.message, BEGUN_AGAIN),
        }
    }

    fn repeat(&self, name: &str, body: impl FnMut()) -> Option<String> {
        repeat_after_panics(|| self.clock.monotonic(), body, |reason| self.tell(name, reason, BEGUN_AGAIN))
    }

    fn lose(&self, name: &str, reason: &str) {
        self.down.lock().insert(name.to_owned(), reason.to_owned());
        self.tell(name, reason, "it stays down until the store is closed and opened again");
    }

    fn tell(&self, name: &str, reason: &str, follows: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        self.events.push("thread_panicked", format!("the thread {name:?} has panicked ({reason}); {follows}"));
    }
}

/// Starts a thread that ends by itself and that nobody misses: what it does only spares others time.
pub(crate) fn start_aside(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = name.to_owned();
    spawn(name, move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            tracing::warn!("the thread {thread:?} has panicked ({}); it is not missed", panic_text(panic.as_ref()));
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the place that all threads of the engine are started at")]
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|error| Error::Internal(format!("the thread {name:?} could not be started: {error}")))
}

/// Waits for a thread to end. One can't wait for itself: an engine's last owner may be one of its own threads.
pub(crate) fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        // A panic has been told of by the thread itself.
        drop(thread.join());
    }
}

/// Calls `body` until it returns, and tells of each panic after which it is called again. Gives what it has panicked with once
/// that has been too often: 9 times within 10 minutes of `now`.
pub fn repeat_after_panics(
    now: impl Fn() -> Duration,
    mut body: impl FnMut(),
    mut told: impl FnMut(&str),
) -> Option<String> {
    let mut recent: VecDeque<Duration> = VecDeque::new();
    loop {
        let panic = catch_unwind(AssertUnwindSafe(&mut body)).err()?;
        let (reason, now) = (panic_text(panic.as_ref()), now());
        recent.retain(|at| now.saturating_sub(*at) < RESTARTS_WITHIN);
        if recent.len() >= RESTARTS {
            return Some(reason.to_owned());
        }
        recent.push_back(now);
        told(reason);
    }
}

/// What code has panicked with, as text.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::platform::ManualClock;

    fn threads() -> (Arc<Threads>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(1_000_000));
        (Threads::new(clock.clone(), Arc::new(Events::new(clock.clone()))), clock)
    }

    fn told(threads: &Threads) -> Vec<String> {
        threads.events.list().into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn a_thread_that_ends_in_order_is_no_news() {
        let (threads, _) = threads();
        threads.start_once("once", || (), |_| unreachable!("nothing is in doubt")).unwrap().join().unwrap();
        threads.start_again("again", || ()).unwrap().join().unwrap();
        assert_eq!((threads.figures(), told(&threads)), ((0, 0), Vec::new()));
        threads.check().unwrap();
    }

    #[test]
    fn what_is_in_doubt_is_poisoned_before_anybody_is_told() {
        let (threads, _) = threads();
        let (sender, poisoned) = crossbeam_channel::bounded(1);
        let seen = threads.clone();
        let poison = move |reason: &str| sender.send((reason.to_owned(), seen.figures())).unwrap();
        threads.start_once("once", || panic!("on purpose"), poison).unwrap().join().unwrap();
        assert_eq!(poisoned.recv().unwrap(), ("on purpose".to_owned(), (0, 0)));
        assert_eq!(threads.figures(), (1, 1));
        let error = threads.check().unwrap_err();
        assert_eq!(error.kind(), crate::model::ErrorKind::Reopen);
        assert!(error.to_string().starts_with("the thread \"once\" has panicked (on purpose)"), "{error}");
        assert!(told(&threads)[0].ends_with("it stays down until the store is closed and opened again"));
    }

    #[test]
    fn a_thread_is_begun_again_so_often_and_no_more() {
        let (threads, _) = threads();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let body = move || panic!("run {}", counted.fetch_add(1, Ordering::SeqCst));
        threads.start_again("again", body).unwrap().join().unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), RESTARTS + 1);
        assert_eq!(threads.figures(), (RESTARTS as u64 + 1, 1));
        let told = told(&threads);
        assert!(told[..RESTARTS].iter().all(|message| message.ends_with("it is begun again")), "{told:?}");
        assert!(threads.check().unwrap_err().to_string().contains(&format!("run {RESTARTS}")));
    }

    #[test]
    fn panics_that_are_long_past_do_not_count() {
        let (threads, clock) = threads();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let body = move || {
            if counted.fetch_add(1, Ordering::SeqCst) < RESTARTS * 3 {
                clock.advance(RESTARTS_WITHIN / 4);
                panic!("now and then");
            }
        };
        threads.start_again("again", body).unwrap().join().unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), RESTARTS * 3 + 1);
        threads.check().unwrap();
    }

    #[test]
    fn a_part_that_is_lost_leaves_the_engine_ready() {
        let (threads, _) = threads();
        let (sender, missed) = crossbeam_channel::bounded(1);
        let missing = Box::new(move |reason: &str| sender.send(reason.to_owned()).unwrap());
        threads.start_part("part", || panic!("always"), missing).unwrap().join().unwrap();
        assert_eq!(missed.recv().unwrap(), "always");
        assert_eq!(threads.figures(), (RESTARTS as u64 + 1, 0));
        threads.check().unwrap();
    }
}
