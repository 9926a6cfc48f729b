//! Hand-outs that are to be given back.

use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::deciding::Deciding;
use super::turns::Turn;
use crate::platform::join;
use crate::state::HandOutKey;

/// What waits for the thread that gives back.
#[derive(Debug, Default)]
pub(super) struct Returns {
    orders: Mutex<ReturnOrders>,
    given: Condvar,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct ReturnOrders {
    waiting: Vec<Returned>,
    stopped: bool,
}

/// Hand-outs that nobody has, or will have once the log has decided that they are handed out.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) deciding: Option<Deciding>,
    pub(super) hand_outs: Vec<HandOutKey>,
    /// Held until it is decided.
    pub(super) turns: Vec<Turn>,
    /// Whether somebody has had them: that counts as one of their times.
    pub(super) counts: bool,
}

impl Returned {
    /// They were handed out, and nobody was there any more.
    pub(super) fn unreceived(hand_outs: Vec<HandOutKey>) -> Returned {
        Returned { deciding: None, hand_outs, turns: Vec::new(), counts: false }
    }

    /// Their client has gone.
    pub(super) fn left_behind(hand_outs: Vec<HandOutKey>) -> Returned {
        Returned { deciding: None, hand_outs, turns: Vec::new(), counts: true }
    }
}

impl Returns {
    /// Never waits. Once the engine stops nothing is given back any more.
    pub(super) fn add(&self, returned: Returned) {
        let mut orders = self.orders.lock();
        if orders.stopped {
            drop(orders);
            // Its turns end without the lock.
            drop(returned);
            return;
        }
        orders.waiting.push(returned);
        self.given.notify_all();
    }

    /// What has come in this time; `None` at the end.
    pub(super) fn next(&self, wait: Duration) -> Option<Vec<Returned>> {
        let mut orders = self.orders.lock();
        if orders.waiting.is_empty() && !orders.stopped {
            self.given.wait_for(&mut orders, wait);
        }
        if orders.stopped { None } else { Some(std::mem::take(&mut orders.waiting)) }
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        let left = {
            let mut orders = self.orders.lock();
            orders.stopped = true;
            std::mem::take(&mut orders.waiting)
        };
        drop(left);
        self.given.notify_all();
        let thread = self.thread.lock().take();
        thread.into_iter().for_each(join);
    }
}
