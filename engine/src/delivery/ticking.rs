//! The thread that expires members of which nothing is heard, and shares out anew what definitions have changed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::coordinator::Coordinator;
use super::ticker::Orders;
use crate::model::{Error, Result};
use crate::platform::join;

/// How late an expiry may come. Session time-outs are 6 s at least.
const INTERVAL: Duration = Duration::from_millis(250);
/// The shortest sleep: clocks may stand still.
const SHORTEST: Duration = Duration::from_millis(1);

impl Coordinator {
    /// Expires members whose time has come and rebalances groups whose topics changed. The engine's thread and every member
    /// call do this; tests that move the clock may too. Whoever comes while another is at it waits, so that nobody acts on
    /// what is about to change.
    pub(crate) fn tick(&self) {
        let now = self.ledger.options.clock.awake();
        let work = self.deadlines.any_due(now) || self.any_changed.load(Ordering::SeqCst);
        if !work && !self.ticking.load(Ordering::SeqCst) {
            return;
        }
        let _turn = self.turn.lock();
        self.ticking.store(true, Ordering::SeqCst);
        while let Some((member, group)) = self.deadlines.pop(now) {
            if let Some(group) = group.upgrade() {
                group.look_at(self, member, now);
            }
        }
        for group in self.take_changed() {
            let mut inner = group.lock();
            if !inner.retired {
                group.rebalance(self, &mut inner);
            }
        }
        self.ticking.store(false, Ordering::SeqCst);
    }

    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let orders = self.ticker.orders.clone();
        let weak = Arc::downgrade(self);
        let thread = self.ledger.threads.start_again("groups", move || run(&orders, &weak))?;
        *self.ticker.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends the thread and wakes everybody who waits: calls of members answer `Closed` from now on.
    pub(crate) fn stop(&self) {
        self.closed.store(true, Ordering::Release);
        self.ticker.orders.order.lock().stop = true;
        self.ticker.orders.given.notify_all();
        let groups: Vec<_> = self.groups.read().values().cloned().collect();
        for group in groups {
            let mut inner = group.lock();
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

fn run(orders: &Orders, delivery: &Weak<Coordinator>) {
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
        let Some(delivery) = delivery.upgrade() else { return };
        delivery.ledger.options.clock.beat();
        delivery.tick();
        let next = delivery.deadlines.next_in(delivery.ledger.options.clock.awake());
        nap = next.clamp(SHORTEST, INTERVAL);
    }
}
