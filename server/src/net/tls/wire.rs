//! A connection's bytes: plaintext, or TLS once its handshake is over. Which of them is known from the first byte on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::certificate::CertificateNames;
use super::socket::Socket;
use crate::net::peer::{Arrival, Peer};
use crate::net::pool::Pool;

/// The kind of the record that a handshake begins with.
const HANDSHAKE: u8 = 22;
/// What TLS keeps of answers that the kernel has not taken.
const UNSENT_BYTES: usize = 32 << 10;

/// What becomes of those who come in plaintext to a server that has TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Served,
    /// They are told that TLS is required, and nothing else.
    Answered,
    Refused,
}

/// How a connection may begin.
pub(in crate::net) struct Terms {
    pub(super) config: Arc<ServerConfig>,
    pub(super) plain: Plain,
    /// For handshakes that are long.
    pub(super) room: Arc<Pool>,
}

/// A connection's bytes.
pub(in crate::net) enum Wire {
    /// Nothing has come yet.
    Silent(TcpStream, Terms),
    Handshake(Box<Accept<Socket>>),
    Plain(TcpStream),
    Tls(Box<TlsStream<Socket>>),
    Broken,
}

impl Wire {
    /// Without terms there is no TLS.
    pub(in crate::net) fn new(tcp: TcpStream, terms: Option<Terms>) -> Wire {
        match terms {
            Some(terms) => Wire::Silent(tcp, terms),
            None => Wire::Plain(tcp),
        }
    }

    /// Ends it if it has not opened yet: its time is over.
    pub(in crate::net) fn give_up(&mut self, peer: &Peer) {
        if matches!(self, Wire::Silent(..) | Wire::Handshake(_)) {
            failed(peer, &io::ErrorKind::TimedOut.into());
            *self = Wire::Broken;
        }
    }

    /// Completes once rows and requests may pass; how they do stands in the peer then.
    pub(in crate::net) fn poll_open(&mut self, context: &mut Context<'_>, peer: &Peer) -> Poll<io::Result<()>> {
        loop {
            match self {
                Wire::Plain(_) | Wire::Tls(_) => return Poll::Ready(Ok(())),
                Wire::Broken => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                Wire::Silent(tcp, _) => {
                    let mut first = [0];
                    let read = ready!(tcp.poll_peek(context, &mut ReadBuf::new(&mut first)))?;
                    let Wire::Silent(tcp, terms) = std::mem::replace(self, Wire::Broken) else { continue };
                    *self = begun(tcp, terms, first[0] == HANDSHAKE, read > 0, peer)?;
                }
                Wire::Handshake(accept) => {
                    let opened = ready!(Pin::new(accept.as_mut()).poll(context));
                    *self = Wire::Broken;
                    let mut stream = opened.inspect_err(|error| failed(peer, error))?;
                    let (socket, session) = stream.get_mut();
                    socket.is_open();
                    let names = session.peer_certificates().and_then(|chain| chain.first());
                    peer.arrives(Arrival::Tls(names.map(|leaf| CertificateNames::read(leaf))));
                    *self = Wire::Tls(Box::new(stream));
                }
            }
        }
    }
}

/// What a connection is from its first byte on. One that has ended without any is let end.
fn begun(tcp: TcpStream, terms: Terms, is_tls: bool, came: bool, peer: &Peer) -> io::Result<Wire> {
    if is_tls {
        let acceptor = TlsAcceptor::from(terms.config);
        let accept = acceptor.accept_with(Socket::new(tcp, terms.room), |session| {
            session.set_buffer_limit(Some(UNSENT_BYTES));
        });
        return Ok(Wire::Handshake(Box::new(accept)));
    }
    if came && terms.plain != Plain::Served {
        tracing::warn!(peer = ?peer.address, "a client comes in plaintext, and TLS is required (tls_required)");
        peer.net.refused_handshakes.fetch_add(1, Ordering::Relaxed);
        if terms.plain == Plain::Refused {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plaintext where TLS is required"));
        }
        peer.arrives(Arrival::TurnedAway);
    }
    Ok(Wire::Plain(tcp))
}

fn failed(peer: &Peer, error: &io::Error) {
    peer.net.refused_handshakes.fetch_add(1, Ordering::Relaxed);
    tracing::info!(peer = ?peer.address, %error, "a TLS handshake has failed");
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Silent(..) | Wire::Handshake(_) | Wire::Broken => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Silent(..) | Wire::Handshake(_) | Wire::Broken => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
            // Nothing was written.
            Wire::Silent(..) | Wire::Handshake(_) | Wire::Broken => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) | Wire::Silent(tcp, _) => Pin::new(tcp).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Handshake(accept) => match accept.get_mut() {
                Some(socket) => Pin::new(socket).poll_shutdown(context),
                None => Poll::Ready(Ok(())),
            },
            Wire::Broken => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Wire::Silent(..) | Wire::Handshake(_) | Wire::Broken => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    /// Both do; whoever asks may ask before it is known which of them it is.
    fn is_write_vectored(&self) -> bool {
        true
    }
}
