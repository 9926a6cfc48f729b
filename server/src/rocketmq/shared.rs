//! What all connections of the door share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::transactions::Askable;
use super::wire::codes;
use crate::config::RocketmqSettings;
use crate::door::Rooms;

/// Requests under way, long polls among them, for each connection that may be there. One may have more while others have less.
const REQUESTS_PER_CONNECTION: usize = 4;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Remoting {
    pub(super) rooms: Rooms,
    pub(super) settings: RocketmqSettings,
    /// Of requests of ours.
    opaque: AtomicI32,
    pub(super) requests: Arc<Semaphore>,
    /// Whom half messages' producers are asked over.
    pub(super) askable: Askable,
    /// Codes that were asked for and are not served: each is told of once.
    not_served: Mutex<BTreeSet<i32>>,
}

impl Remoting {
    pub(super) fn new(rooms: Rooms, settings: RocketmqSettings) -> Remoting {
        let requests = settings.connections.saturating_mul(REQUESTS_PER_CONNECTION).min(Semaphore::MAX_PERMITS);
        Remoting {
            rooms,
            settings,
            opaque: AtomicI32::new(0),
            requests: Arc::new(Semaphore::new(requests)),
            askable: Askable::default(),
            not_served: Mutex::default(),
        }
    }

    pub(super) fn next_opaque(&self) -> i32 {
        self.opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// Where clients that have connected to `local` find this broker.
    pub(super) fn address(&self, local: SocketAddr) -> SocketAddr {
        self.settings.advertise.unwrap_or(local)
    }

    pub(super) fn note_not_served(&self, code: i32) {
        let mut told = self.not_served.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients choose the numbers.
        if told.len() < 1000 && told.insert(code) {
            tracing::warn!(request = codes::name(code), "a RocketMQ client asks for what is not served");
        }
    }
}
