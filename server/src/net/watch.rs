//! Ends those who hold memory and do nothing.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::leaving::Sent;
use super::{Net, Peer};
use crate::door::stopped;

/// How often they are looked for.
const TICK: Duration = Duration::from_millis(500);
/// How long one may do nothing where others wait for what it holds.
const WANTED_IDLE: Duration = Duration::from_secs(2);

/// All connections, and all answers that are being sent.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    peers: Mutex<Vec<Weak<Peer>>>,
    answers: Mutex<Vec<Weak<Sent>>>,
}

impl Watched {
    pub(crate) fn peer(&self, peer: &Arc<Peer>) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(peer));
    }

    pub(super) fn answer(&self, sent: &Arc<Sent>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(sent));
    }
}

/// Looks for them until the server stops.
pub(crate) async fn run(net: Arc<Net>, stop: watch::Receiver<bool>) {
    let mut stopped = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(TICK) => sweep(&net),
        }
    }
}

fn sweep(net: &Net) {
    let now = Instant::now();
    let pause = if net.ingress.arrived.is_wanted() { WANTED_IDLE } else { net.limits.receive_timeout };
    for peer in living(&net.watched.peers) {
        if now.checked_sub(pause).is_some_and(|then| peer.arrivals.is_stalled(then)) {
            peer.end("it sent half of a frame and no more (receive_timeout_ms)");
        }
    }
    for sent in living(&net.watched.answers) {
        let Some((unread, idle)) = sent.idle() else { continue };
        // A client that writes much before it reads is common, and is no trouble while there is room for others.
        let (idle, limit) = match sent.is_wanted() {
            true => (unread, WANTED_IDLE.min(net.limits.write_idle_timeout)),
            false => (idle, net.limits.write_idle_timeout),
        };
        if idle > limit * 2 {
            sent.peer.end("it takes nothing of what it is sent (write_idle_timeout_ms, less where others wait)");
        } else if idle > limit && !sent.was_told() {
            sent.tell_stalled();
        }
    }
}

/// Those that are still there; the others are forgotten.
fn living<T>(known: &Mutex<Vec<Weak<T>>>) -> Vec<Arc<T>> {
    let mut living = Vec::new();
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|one| match one.upgrade() {
        Some(one) => {
            living.push(one);
            true
        }
        None => false,
    });
    living
}
