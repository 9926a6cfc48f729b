//! Who may connect: at most so many at once. Those for whom there is no place are closed as soon as they come, so that they know
//! it, and so that nobody fills the system's queue.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::budgets::Net;
use super::connection::Connection;
use super::peer::Peer;
use super::places::{Capacity, Places};
use super::tls::{Speaking, Tls};

/// Rest after a failed accept (too many open files, say), which would otherwise fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the clients of a door come in.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    pub(super) net: Arc<Net>,
    places: Arc<Places>,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    pub(crate) async fn bind(
        net: &Arc<Net>,
        tls: Option<Arc<Tls>>,
        door: &'static str,
        address: SocketAddr,
        capacity: Capacity,
    ) -> io::Result<Listener> {
        let socket = TcpListener::bind(address).await?;
        Ok(Listener { socket, net: Arc::clone(net), places: net.open(door, capacity), tls })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How many connections it has at once, but for probes.
    pub(super) fn connections(&self) -> usize {
        self.places.connections()
    }

    /// The next client that has a place. By TLS or not, what it speaks is this.
    pub(super) async fn accept(&self, speaking: Speaking) -> Connection {
        let door = self.places.door();
        loop {
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, door, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = self.places.take() else {
                tracing::warn!(peer = %address, door, "connection refused: the limit of connections is reached");
                continue;
            };
            // It can be gone already.
            let Ok(local) = stream.local_addr() else { continue };
            // Answers are small, or already gathered in large pieces; waiting for more only adds delay.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(peer = %address, %error, "cannot set TCP_NODELAY");
            }
            let peer = Peer::new(&self.net, Some(address));
            self.net.watched.add(&peer);
            let terms = self.tls.as_ref().map(|tls| tls.terms(speaking, local, address));
            return Connection::new(stream, terms, local, peer, place);
        }
    }
}
