//! A client's socket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::arrivals::Asking;
use super::frames::PREFACE_BYTES;
use super::peer::Peer;
use super::places::Place;
use super::tls::wire::{Terms, Wire};

/// One connection; dropping it makes room for another.
pub(crate) struct Connection {
    wire: Wire,
    local: SocketAddr,
    peer: Arc<Peer>,
    asking: Asking,
    /// Whether HTTP's own buffers have no bound of their own.
    metered: bool,
    /// Until TLS has begun and the preface has come: when to give up.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Of the preface, how many bytes have not come.
    missing: usize,
    place: Place,
}

impl Connection {
    /// With terms it begins by them, and has as long for that as for a request's header.
    pub(super) fn new(
        stream: TcpStream,
        terms: Option<Terms>,
        local: SocketAddr,
        peer: Arc<Peer>,
        place: Place,
    ) -> Connection {
        let deadline = terms.is_some().then(|| Box::pin(tokio::time::sleep(peer.net.limits.header_timeout)));
        let wire = Wire::new(stream, terms);
        Connection { wire, local, peer, asking: None, metered: false, deadline, missing: 0, place }
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether it has a place for one who asks how the server is.
    pub(super) fn is_probe(&self) -> bool {
        self.place.is_probe
    }

    /// Where the client has connected to.
    pub(super) fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// For HTTP/2: the preface must come in time; after that, keepalive pings watch over the peer.
    pub(super) fn with_preface_by(mut self, timeout: Duration) -> Connection {
        self.metered = true;
        self.deadline = Some(Box::pin(tokio::time::sleep(timeout)));
        self.missing = PREFACE_BYTES;
        self
    }

    /// Completes once bytes may pass.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.wire.give_up(&self.peer);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.wire.poll_open(context, &self.peer))?;
        if self.missing == 0 {
            self.deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_open(context))?;
        let allowed = match this.metered {
            true => this.peer.arrivals.allowed(&this.peer.net.ingress.arrived, &mut this.asking, context),
            false => usize::MAX,
        };
        if allowed == 0 {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if allowed >= buffer.remaining() {
            ready!(Pin::new(&mut this.wire).poll_read(context, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
            ready!(Pin::new(&mut this.wire).poll_read(context, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        }
        let read = buffer.filled().len() - before;
        if this.metered {
            this.peer.arrivals.came(&buffer.filled()[before..]);
        }
        this.missing = this.missing.saturating_sub(read);
        if this.missing == 0 {
            this.deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(context))?;
        Pin::new(&mut this.wire).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(context))?;
        Pin::new(&mut this.wire).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }
}
