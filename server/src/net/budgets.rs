//! What all connections of a server have together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::egress::Egress;
use super::ingress::Ingress;
use super::limits::NetLimits;
use super::places::{Capacity, Places};
use super::pool::Pool;
use super::watch::Watched;

/// The budgets and time-outs of one server, shared by its doors.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) limits: NetLimits,
    pub(crate) ingress: Ingress,
    pub(crate) egress: Egress,
    pub(crate) calls: Arc<Semaphore>,
    /// Statements that may make rows at once.
    pub(super) turns: Pool,
    pub(crate) watched: Watched,
    doors: Mutex<Vec<Arc<Places>>>,
    /// Messages and bodies that were refused because they were late or there was no room.
    pub(crate) late: AtomicU64,
    /// Connections that were ended because their client took nothing, or sent half of something.
    pub(crate) ended: AtomicU64,
    /// Requests of RocketMQ's clients that were refused because they did not show who sends them, those that want no answer among them.
    pub(crate) unauthenticated: AtomicU64,
    /// Connections that ended before TLS had begun, or were turned away because they came without.
    pub(crate) refused_handshakes: AtomicU64,
}

impl Net {
    pub(crate) fn new(limits: NetLimits) -> Arc<Net> {
        Arc::new(Net {
            limits,
            ingress: Ingress::new(limits.ingress_bytes),
            egress: Egress::new(limits.egress_bytes),
            calls: Arc::new(Semaphore::new(limits.calls)),
            turns: Pool::new(limits.statements),
            watched: Watched::default(),
            doors: Mutex::default(),
            late: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            unauthenticated: AtomicU64::new(0),
            refused_handshakes: AtomicU64::new(0),
        })
    }

    pub(crate) fn count_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    /// The places of one more door.
    pub(super) fn open(&self, door: &'static str, capacity: Capacity) -> Arc<Places> {
        let places = Arc::new(Places::new(door, capacity));
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&places));
        places
    }

    /// The doors, and how many connections each has.
    pub(crate) fn connections(&self) -> Vec<(&'static str, usize)> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.iter().map(|places| (places.door(), places.taken())).collect()
    }
}
