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

/// One connection; dropping it makes room for another.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: Arc<Peer>,
    asking: Asking,
    /// Whether HTTP's own buffers have no bound of their own.
    metered: bool,
    /// Until the preface has come: when to give up, and how many bytes of it are missing.
    deadline: Option<(Pin<Box<Sleep>>, usize)>,
    place: Place,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: Arc<Peer>, place: Place) -> Connection {
        Connection { stream, peer, asking: None, metered: false, deadline: None, place }
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether it has a place for one who asks how the server is.
    pub(super) fn is_probe(&self) -> bool {
        self.place.is_probe
    }

    /// Where the client has connected to.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// For HTTP/2: the preface must come in time; after that, keepalive pings watch over the peer.
    pub(super) fn with_preface_by(mut self, timeout: Duration) -> Connection {
        self.metered = true;
        self.deadline = Some((Box::pin(tokio::time::sleep(timeout)), PREFACE_BYTES));
        self
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.peer.is_ended(context) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if let Some((sleep, _)) = &mut self.deadline
            && sleep.as_mut().poll(context).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
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
        this.check(context)?;
        let allowed = match this.metered {
            true => this.peer.arrivals.allowed(&this.peer.net.ingress.arrived, &mut this.asking, context),
            false => usize::MAX,
        };
        if allowed == 0 {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if allowed >= buffer.remaining() {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        }
        let read = buffer.filled().len() - before;
        if this.metered {
            this.peer.arrivals.came(&buffer.filled()[before..]);
        }
        if let Some((_, missing)) = &mut this.deadline {
            *missing = missing.saturating_sub(read);
            if *missing == 0 {
                this.deadline = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        Pin::new(&mut this.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
