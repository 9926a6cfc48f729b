//! A socket under TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::super::arrivals::Asking;
use super::super::pool::{Part, Pool};

/// Of a handshake, what needs no room: all of a usual one.
const FREE_BYTES: usize = 4 << 10;
/// What a longer one needs room for, and so the most that there is of it: certificates of clients come with those that they were
/// issued by.
const LONG_BYTES: usize = 32 << 10;
/// How long a handshake takes at most that has room: others may wait for it.
const LONG_TIMEOUT: Duration = Duration::from_secs(2);

/// The bytes of a connection, of which few come until the handshake is over.
#[derive(Debug)]
pub(in crate::net) struct Socket {
    pub(super) tcp: TcpStream,
    handshake: Option<Handshake>,
}

/// How far a handshake has come.
struct Handshake {
    came: usize,
    pool: Arc<Pool>,
    asking: Asking,
    /// Given back when the handshake ends.
    room: Option<(Part, Pin<Box<Sleep>>)>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("came", &self.came).field("has_room", &self.room.is_some()).finish()
    }
}

impl Socket {
    /// Before the handshake. Long ones have their room from the pool.
    pub(super) fn new(tcp: TcpStream, pool: Arc<Pool>) -> Socket {
        Socket { tcp, handshake: Some(Handshake { came: 0, pool, asking: None, room: None }) }
    }

    /// The handshake is over.
    pub(super) fn is_open(&mut self) {
        self.handshake = None;
    }
}

impl Handshake {
    /// How many bytes may be read.
    fn poll_allowed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.came < FREE_BYTES {
            return Poll::Ready(Ok(FREE_BYTES - self.came));
        }
        if self.room.is_none() {
            let pool = Arc::clone(&self.pool);
            let asking = self.asking.get_or_insert_with(|| Box::pin(async move { pool.take(LONG_BYTES).await }));
            let part = ready!(asking.poll_unpin(context));
            self.asking = None;
            self.room = Some((part, Box::pin(tokio::time::sleep(LONG_TIMEOUT))));
        }
        if self.room.as_mut().is_some_and(|(_, late)| late.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "a long handshake takes too long")));
        }
        match (FREE_BYTES + LONG_BYTES).checked_sub(self.came).filter(|left| *left > 0) {
            Some(left) => Poll::Ready(Ok(left)),
            None => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake has more than 36 KiB"))),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(handshake) = &mut this.handshake else { return Pin::new(&mut this.tcp).poll_read(context, buffer) };
        let allowed = ready!(handshake.poll_allowed(context))?.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(Pin::new(&mut this.tcp).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        handshake.came += read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
