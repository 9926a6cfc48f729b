//! Panics of the host's own threads, for whoever answers for the process.

use std::fmt;
use std::sync::Arc;

use millstream_engine::ThreadPanic;
use parking_lot::Mutex;

type PanicListener = Arc<dyn Fn(&ThreadPanic) + Send + Sync>;

/// What nobody has heard of yet waits, a few panics long.
const WAITING: usize = 16;

#[derive(Default)]
pub(crate) struct Panics(Mutex<PanicsState>);

#[derive(Default)]
struct PanicsState {
    told: Option<PanicListener>,
    waiting: Vec<ThreadPanic>,
}

impl Panics {
    /// Has panics told from now on, and those that nobody has heard of at once.
    pub(crate) fn to(&self, told: PanicListener) {
        let waiting = {
            let mut inner = self.0.lock();
            inner.told = Some(told.clone());
            std::mem::take(&mut inner.waiting)
        };
        waiting.iter().for_each(|panic| told(panic));
    }

    pub(crate) fn tell(&self, thread: &str, message: &str, stays_down: bool) {
        let panic = ThreadPanic { thread: thread.to_owned(), message: message.to_owned(), stays_down };
        let mut inner = self.0.lock();
        match inner.told.clone() {
            Some(told) => {
                drop(inner);
                told(&panic);
            }
            None if inner.waiting.len() < WAITING => inner.waiting.push(panic),
            None => {}
        }
    }
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panics").finish_non_exhaustive()
    }
}
