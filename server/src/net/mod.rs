//! What the doors have in common towards the network: who may connect, how much of what clients have sent or are being sent
//! lies in memory, and how long a peer that does nothing may hold any of it.
//!
//! Limits on each thing do not bound their sum, so there are budgets over all connections of both doors:
//!
//! - [`Ingress`]: bytes that clients have sent and the log, or a statement, has not taken. Room is there before memory is.
//! - [`Egress`]: bytes on their way to clients, until the kernel has them.
//!
//! Room is waited for in order and without a thread. Whoever holds room makes progress without getting more, or is late
//! ([`arriving`]) or stalled ([`watch`]) and is ended: sooner where others wait for what it holds.
//! `docs/operations.md` has the sum of it all.

pub(crate) mod accept;
pub(crate) mod arrivals;
pub(crate) mod arriving;
pub(crate) mod connection;
pub(crate) mod egress;
pub(crate) mod ingress;
pub(crate) mod leaving;
pub(crate) mod peer;
pub(crate) mod pool;
pub(crate) mod turns;
pub(crate) mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

pub(crate) use egress::Egress;
pub(crate) use ingress::Ingress;
pub(crate) use peer::Peer;
use turns::Turns;

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct NetLimits {
    /// Of what clients have sent and nobody has taken, over all connections.
    pub ingress_bytes: usize,
    /// Of what is being sent to clients, over all connections.
    pub egress_bytes: usize,
    /// A message or a request's body of which nothing has come for this long is late.
    pub receive_timeout: Duration,
    /// A client that takes nothing of what it is sent for this long is ended.
    pub write_idle_timeout: Duration,
    /// Calls of the Flight door under way at once.
    pub calls: usize,
    /// Statements that make rows at once; those that wait in `poll()` do not count.
    pub statements: usize,
}

impl Default for NetLimits {
    fn default() -> NetLimits {
        NetLimits {
            ingress_bytes: 128 << 20,
            egress_bytes: 48 << 20,
            receive_timeout: Duration::from_secs(10),
            write_idle_timeout: Duration::from_secs(120),
            calls: 4096,
            statements: 32,
        }
    }
}

/// The budgets and time-outs of one server, shared by its doors.
#[derive(Debug)]
pub struct Net {
    pub(crate) limits: NetLimits,
    pub(crate) ingress: Ingress,
    pub(crate) egress: Egress,
    pub(crate) calls: Arc<Semaphore>,
    pub(crate) turns: Turns,
    pub(crate) watched: watch::Watched,
    /// Messages and bodies that were refused because they were late or there was no room.
    pub(crate) late: AtomicU64,
    /// Connections that were ended because their client took nothing, or sent half of something.
    pub(crate) ended: AtomicU64,
}

impl Net {
    pub(crate) fn new(limits: NetLimits) -> Arc<Net> {
        Arc::new(Net {
            limits,
            ingress: Ingress::new(limits.ingress_bytes),
            egress: Egress::new(limits.egress_bytes),
            calls: Arc::new(Semaphore::new(limits.calls)),
            turns: Turns::new(limits.statements),
            watched: watch::Watched::default(),
            late: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })
    }

    pub(crate) fn count_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }
}
