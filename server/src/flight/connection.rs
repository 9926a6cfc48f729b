//! Accepts connections: at most so many, and none that keeps silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::Figures;
use crate::figures::{Count, Counted};

/// Bytes of the HTTP/2 preface. The peer must send them in time; after that, keepalive pings watch over it.
const PREFACE_BYTES: usize = 24;
/// Rest after a failed accept (too many open files, say), which would otherwise fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of `listener`. Those over `limit` are closed at once.
pub(super) fn accept(
    listener: TcpListener,
    limit: usize,
    preface_timeout: Duration,
    figures: Arc<Figures>,
) -> impl Stream<Item = io::Result<Connection>> {
    let permits = Arc::new(Semaphore::new(limit));
    stream::unfold((listener, permits, figures), move |(listener, permits, figures)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                        tracing::warn!(%peer, limit, "connection refused: the limit of connections is reached");
                        continue;
                    };
                    // Acknowledgements are small and must not wait for more.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                    }
                    let deadline = Some((Box::pin(tokio::time::sleep(preface_timeout)), PREFACE_BYTES));
                    let counted = figures.count(Count::Connection);
                    let connection = Connection { stream, deadline, _permit: permit, _counted: counted };
                    return Some((Ok(connection), (listener, permits, figures)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// One connection; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Until the preface has come: when to give up, and how many bytes of it are missing.
    deadline: Option<(Pin<Box<Sleep>>, usize)>,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some((sleep, _)) = &mut this.deadline
            && sleep.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if let Some((_, missing)) = &mut this.deadline {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                this.deadline = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
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
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
