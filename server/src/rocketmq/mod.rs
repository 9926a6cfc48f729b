//! The RocketMQ door: the remoting protocol of 4.x clients, which 5.x "remoting" clients speak too. Name server and broker in one.
//!
//! It is a translator: RocketMQ's topics are message tables, its queues their partitions, its physical offsets LSNs. Which
//! clients are alive, what they have locked and committed is the engine's. What is served stands in [`dispatch`].

mod answer;
mod clients;
mod connection;
mod delay;
mod dispatch;
mod error;
mod fields;
mod filter;
#[cfg(test)]
mod fuzz;
mod locks;
mod names;
mod offsets;
mod pull;
mod retry;
mod route;
mod rows;
mod scan;
mod send;
mod send_back;
mod stored;
mod tables;
mod view;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::{Config, RocketmqSettings};
use crate::door::{Opening, Rooms};
use crate::net::framed::{self, Framing};
#[cfg(test)]
pub(crate) use error::shown as error_shown;
use wire::command::MAX_MESSAGE_BYTES;

/// Connections open at once.
pub(crate) const CONNECTIONS: usize = 2048;
/// A client that sends nothing for this long is gone; clients send a heartbeat every 30 s.
const IDLE: Duration = Duration::from_secs(120);
/// Requests under way of all connections, long polls among them. Beside its message each takes at most a few KiB.
const REQUESTS: usize = 16_384;

/// What all connections share.
#[derive(Debug)]
struct Remoting {
    rooms: Rooms,
    settings: RocketmqSettings,
    /// Of connections, and of requests of ours.
    connections: AtomicU64,
    opaque: AtomicI32,
    requests: Arc<Semaphore>,
    /// Codes that were asked for and are not served: each is told of once.
    not_served: Mutex<BTreeSet<i32>>,
}

/// Serves connections until the server stops; completes when the last request has been answered.
pub(crate) fn serve(config: &Config, opening: Opening) -> impl Future<Output = io::Result<()>> + Send + use<> {
    let Opening { listener, rooms, stop } = opening;
    let remoting = Arc::new(Remoting {
        rooms,
        settings: config.rocketmq.clone(),
        connections: AtomicU64::new(1),
        opaque: AtomicI32::new(0),
        requests: Arc::new(Semaphore::new(REQUESTS)),
        not_served: Mutex::default(),
    });
    let framing = Framing { limit: MAX_MESSAGE_BYTES, idle: IDLE };
    let stopping = stop.clone();
    framed::serve(listener, framing, stop, move |incoming, outgoing| {
        connection::run(Arc::clone(&remoting), incoming, outgoing, stopping.clone())
    })
}

impl Remoting {
    fn next_opaque(&self) -> i32 {
        self.opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// Where clients that have connected to `local` find this broker.
    fn address(&self, local: SocketAddr) -> SocketAddr {
        self.settings.advertise.unwrap_or(local)
    }

    fn note_not_served(&self, code: i32) {
        let mut told = self.not_served.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients choose the numbers.
        if told.len() < 1000 && told.insert(code) {
            tracing::warn!(request = wire::codes::name(code), "a RocketMQ client asks for what is not served");
        }
    }
}
