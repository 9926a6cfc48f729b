//! One connection, as those know it who take in and send out for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures::task::AtomicWaker;
use tokio::sync::Semaphore;

use super::arrivals::Arrivals;
use super::budgets::Net;
use super::ingress::LARGE_TURNS;
use super::pool::Pool;
use super::watch::{WANTED_IDLE, Watching};

/// What a connection may have of each budget, as its part of the whole.
const SHARES: usize = 4;

/// One client's connection. It is held by its socket and by everything that is under way for it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) net: Arc<Net>,
    pub(crate) address: Option<SocketAddr>,
    /// Its share of messages that arrive.
    pub(crate) ingress: Pool,
    /// Its share of large messages: [`LARGE_TURNS`] of them, or one that is very large.
    pub(crate) large: Arc<Semaphore>,
    /// Its share of what is being sent.
    pub(crate) egress: Pool,
    pub(crate) arrivals: Arrivals,
    /// Why it is to end.
    ended: AtomicBool,
    reason: OnceLock<&'static str>,
    /// Of the task that moves its bytes.
    task: AtomicWaker,
}

impl Peer {
    pub(crate) fn new(net: &Arc<Net>, address: Option<SocketAddr>) -> Arc<Peer> {
        Arc::new(Peer {
            net: Arc::clone(net),
            address,
            ingress: Pool::new(net.ingress.ordinary.bytes() / SHARES),
            large: Arc::new(Semaphore::new(LARGE_TURNS as usize)),
            egress: Pool::new(net.egress.pool.bytes() / SHARES),
            arrivals: Arrivals::default(),
            ended: AtomicBool::new(false),
            reason: OnceLock::new(),
            task: AtomicWaker::new(),
        })
    }

    /// The name in the client's certificate, if it has shown one that was verified.
    pub(crate) fn certificate_name(&self) -> Option<&str> {
        None
    }

    /// Closes the connection, with all that is under way on it.
    pub(crate) fn end(&self, reason: &'static str) {
        if self.reason.set(reason).is_ok() {
            self.net.ended.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer = ?self.address, reason, "a connection is closed");
        }
        self.ended.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Whether it is to be closed; the task that asks is woken when it is.
    pub(super) fn is_ended(&self, context: &std::task::Context<'_>) -> bool {
        self.task.register(context.waker());
        self.ended.load(Ordering::Acquire)
    }
}

impl Watching for Peer {
    /// One that sends half of a frame and no more is ended.
    fn look(&self, now: Instant) {
        let is_wanted = self.net.ingress.arrived.is_wanted();
        let pause = if is_wanted { WANTED_IDLE } else { self.net.limits.receive_timeout };
        if now.checked_sub(pause).is_some_and(|then| self.arrivals.is_stalled(then)) {
            self.end("it sent half of a frame and no more (receive_timeout_ms)");
        }
    }
}
