//! One connection, as those know it who take in and send out for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures::task::AtomicWaker;
use millstream_engine::ConnectionPlaces;
use tokio::sync::Semaphore;

use super::arrivals::Arrivals;
use super::budgets::Net;
use super::ingress::LARGE_TURNS;
use super::pool::Pool;
use super::tls::CertificateNames;
use super::watch::{WANTED_IDLE, Watching};

/// What a connection may have of each budget, as its part of the whole.
const SHARES: usize = 4;

/// How a client has come to a server that has TLS.
#[derive(Debug)]
pub(super) enum Arrival {
    /// In plaintext, where TLS is required: it is told so, and nothing else.
    TurnedAway,
    /// By TLS, perhaps with a certificate, which was verified.
    Tls(Option<CertificateNames>),
}

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
    /// As what it counts for the users who ask over it.
    pub(crate) places: ConnectionPlaces,
    /// Not set where it came in plaintext and is served.
    arrival: OnceLock<Arrival>,
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
            places: ConnectionPlaces::default(),
            arrival: OnceLock::new(),
            ended: AtomicBool::new(false),
            reason: OnceLock::new(),
            task: AtomicWaker::new(),
        })
    }

    /// Before anything that it sends is looked at.
    pub(super) fn arrives(&self, arrival: Arrival) {
        // Once a connection.
        let _ = self.arrival.set(arrival);
        if self.certificate().is_some() {
            let (name, alternatives) = (self.certificate_name(), self.certificate_alternatives());
            tracing::debug!(peer = ?self.address, name, ?alternatives, "a client has shown a certificate that holds");
        }
    }

    /// Whether it came in plaintext and must not.
    pub(super) fn is_turned_away(&self) -> bool {
        matches!(self.arrival.get(), Some(Arrival::TurnedAway))
    }

    /// The common name in the certificate that the client has shown, which one of `tls_client_ca` has issued to it.
    pub(crate) fn certificate_name(&self) -> Option<&str> {
        self.certificate()?.common.as_deref()
    }

    /// The alternative names in it: hosts, mail addresses and URIs.
    pub(crate) fn certificate_alternatives(&self) -> &[String] {
        self.certificate().map_or(&[], |names| &names.alternatives)
    }

    fn certificate(&self) -> Option<&CertificateNames> {
        match self.arrival.get()? {
            Arrival::Tls(names) => names.as_ref(),
            Arrival::TurnedAway => None,
        }
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
