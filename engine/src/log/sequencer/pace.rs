//! How fast the log goes while checkpoints catch up that do not wait for it to roll.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The longest that a commit waits: a store that takes no checkpoints makes the log slow, and does not stop it.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Every commit is synced, whatever its submissions ask for.
    sync_each: AtomicBool,
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    held: bool,
    /// The writer waits.
    waits: bool,
    /// The log closes: nobody is held any more.
    ended: bool,
}

impl Pace {
    pub(super) fn sync_each(&self, each: bool) {
        self.sync_each.store(each, Ordering::Relaxed);
    }

    pub(super) fn syncs_each(&self) -> bool {
        self.sync_each.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self, held: bool) {
        let mut turn = self.turn.lock();
        if turn.held != held {
            turn.held = held;
            self.changed.notify_all();
        }
    }

    pub(super) fn end(&self) {
        self.turn.lock().ended = true;
        self.changed.notify_all();
    }

    pub(super) fn is_held(&self) -> bool {
        let turn = self.turn.lock();
        turn.held && !turn.ended
    }

    /// Waits while commits are held. What is written before must be synced, or no checkpoint may be taken of it.
    pub(super) fn wait(&self) {
        let mut turn = self.turn.lock();
        turn.waits = true;
        self.changed.notify_all();
        self.changed.wait_while_for(&mut turn, |turn| turn.held && !turn.ended, LONGEST);
        turn.waits = false;
    }

    /// Waits until the writer waits; false if it does not.
    #[cfg(test)]
    pub(super) fn until_waits(&self) -> bool {
        let mut turn = self.turn.lock();
        !self.changed.wait_while_for(&mut turn, |turn| !turn.waits, LONGEST).timed_out()
    }
}
