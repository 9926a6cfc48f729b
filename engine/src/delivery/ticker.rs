//! What the thread that ticks is told.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Wakes at every interval and at the next deadline, or sooner when told to hurry.
#[derive(Debug, Default)]
pub(super) struct Ticker {
    pub orders: Arc<Orders>,
    pub thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    pub order: Mutex<Order>,
    pub given: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Order {
    pub hurry: bool,
    pub stop: bool,
}

impl Ticker {
    pub(super) fn hurry(&self) {
        self.orders.order.lock().hurry = true;
        self.orders.given.notify_all();
    }
}
