//! The thread that expires members of which nothing is heard.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Coordinator;
use crate::front::Shared;
use crate::model::{Error, Result};
use crate::platform::join;

/// How late an expiry may come. Session time-outs are 6 s at least.
const INTERVAL: Duration = Duration::from_millis(250);
/// The shortest sleep: clocks may stand still.
const SHORTEST: Duration = Duration::from_millis(1);

/// Wakes at every interval and at the next deadline, or sooner when told to hurry.
#[derive(Debug, Default)]
pub(super) struct Ticker {
    orders: Arc<Orders>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Orders {
    order: Mutex<Order>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct Order {
    hurry: bool,
    stop: bool,
}

impl Ticker {
    pub(super) fn hurry(&self) {
        self.orders.order.lock().hurry = true;
        self.orders.given.notify_all();
    }
}

impl Coordinator {
    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<()> {
        let orders = shared.groups.ticker.orders.clone();
        let weak = Arc::downgrade(shared);
        let thread = shared.threads.start_again("groups", move || run(&orders, &weak))?;
        *shared.groups.ticker.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends the thread and wakes everybody who waits: calls of members answer `Closed` from now on.
    pub(crate) fn stop(&self) {
        self.closed.store(true, std::sync::atomic::Ordering::Release);
        self.ticker.orders.order.lock().stop = true;
        self.ticker.orders.given.notify_all();
        let groups: Vec<_> = self.groups.read().values().cloned().collect();
        for group in groups {
            let mut inner = group.inner.lock();
            for member in std::mem::take(&mut inner.members).into_values() {
                self.forget_member(&member);
                member.core.end_with(Error::Closed);
            }
            inner.retired = true;
            self.retire(&group, None);
        }
        let thread = self.ticker.thread.lock().take();
        thread.into_iter().for_each(join);
    }
}

fn run(orders: &Orders, shared: &Weak<Shared>) {
    let mut nap = INTERVAL;
    loop {
        {
            let mut order = orders.order.lock();
            if !order.stop && !order.hurry {
                orders.given.wait_for(&mut order, nap);
            }
            order.hurry = false;
            if order.stop {
                return;
            }
        }
        let Some(shared) = shared.upgrade() else { return };
        shared.groups.tick(&shared);
        let next = shared.groups.deadlines.next_in(shared.options.clock.monotonic());
        nap = next.clamp(SHORTEST, INTERVAL);
    }
}
