//! Ends those who hold memory and do nothing.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::stop::Stop;

/// How often they are looked for.
const TICK: Duration = Duration::from_millis(500);
/// How long one may do nothing where others wait for what it holds.
pub(super) const WANTED_IDLE: Duration = Duration::from_secs(2);

/// One who may hold memory and do nothing: a connection, or an answer that is being sent.
pub(super) trait Watching: Send + Sync {
    /// Ends it if it has done nothing for too long.
    fn look(&self, now: Instant);
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    known: Mutex<Vec<Weak<dyn Watching>>>,
}

impl Watched {
    pub(super) fn add(&self, one: &Arc<impl Watching + 'static>) {
        let one = Arc::downgrade(one);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    /// Looks for them until the server stops.
    pub(crate) async fn run(&self, stop: Stop) {
        let mut stopped = std::pin::pin!(stop.stopped());
        loop {
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(TICK) => {
                    let now = Instant::now();
                    self.living().iter().for_each(|one| one.look(now));
                }
            }
        }
    }

    /// Those that are still there; the others are forgotten.
    fn living(&self) -> Vec<Arc<dyn Watching>> {
        let mut living = Vec::new();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| match one.upgrade() {
            Some(one) => {
                living.push(one);
                true
            }
            None => false,
        });
        living
    }
}
