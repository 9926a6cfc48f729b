//! Who may connect: at most so many at once. Those for whom there is no place are closed as soon as they come, so that they know
//! it, and so that nobody fills the system's queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Net, Peer};

/// Rest after a failed accept (too many open files, say), which would otherwise fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client that has a place.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: Arc<Peer>,
    pub(crate) place: OwnedSemaphorePermit,
    /// Which of the kinds of places it has.
    pub(crate) kind: usize,
}

/// The next client of a door with a place of the first of `kinds` that has one left.
pub(crate) async fn next(
    listener: &TcpListener,
    net: &Arc<Net>,
    kinds: &[&Arc<Semaphore>],
    door: &'static str,
) -> Accepted {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, door, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let places = kinds.iter().enumerate();
        let place =
            places.filter_map(|(kind, places)| Some((kind, Arc::clone(places).try_acquire_owned().ok()?))).next();
        let Some((kind, place)) = place else {
            tracing::warn!(peer = %address, door, "connection refused: the limit of connections is reached");
            continue;
        };
        // Answers are small, or already gathered in large pieces; waiting for more only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %address, %error, "cannot set TCP_NODELAY");
        }
        let peer = Peer::new(net, Some(address));
        net.watched.peer(&peer);
        return Accepted { stream, peer, place, kind };
    }
}
