//! Connections over HTTP/1, and what each request on them is bounded by.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tower_service::Service;

use super::accept::Listener;
use super::arriving::Arriving;
use super::connection::Connection;
use super::leaving::Leaving;
use super::peer::Peer;
use super::sent::Sent;
use super::stop::Stop;
use super::tls::Speaking;

/// How long a request on a probe's place may take, from its connection on.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a connection keeps of requests and answers for itself.
const BUFFER_BYTES: usize = 32 << 10;

/// What answers the requests of a door.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) router: Router,
    /// Paths that tell how the server is. They alone are answered on a probe's place, and have room of their own.
    pub(crate) probes: &'static [&'static str],
    /// How the door says that it takes no more connections.
    pub(crate) refuse: fn(String) -> Response,
    /// How it says that a request must come by TLS.
    pub(crate) needs_tls: fn() -> Response,
}

/// Serves until `stop`; then lets requests under way end.
pub(crate) async fn serve(listener: Listener, site: Site, stop: Stop) -> io::Result<()> {
    let limit = listener.connections();
    let header_timeout = listener.net.limits.header_timeout;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.stopped() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(Speaking::Http1) => accepted,
        };
        let only_probes = accepted.is_probe().then_some(limit);
        let served = connection(accepted, site.clone(), only_probes, header_timeout, stop.clone());
        connections.spawn(async move {
            match only_probes {
                None => served.await,
                // A probe that is late is closed, whatever it is at.
                Some(_) => drop(tokio::time::timeout(PROBE_TIMEOUT, served).await),
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// `only_probes` is the limit of connections where that is reached.
async fn connection(stream: Connection, site: Site, only_probes: Option<usize>, header_timeout: Duration, stop: Stop) {
    let peer = Arc::clone(stream.peer());
    let service = service_fn(move |request| answer(site.clone(), Arc::clone(&peer), only_probes, request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(BUFFER_BYTES)
            .keep_alive(only_probes.is_none())
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke off");
    }
}

/// Answers one request. What comes and goes with it is counted.
async fn answer(
    mut site: Site,
    peer: Arc<Peer>,
    only_probes: Option<usize>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, Infallible> {
    if peer.is_turned_away() {
        let mut response = (site.needs_tls)();
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(response);
    }
    let probe = site.probes.contains(&request.uri().path());
    if let Some(limit) = only_probes.filter(|_| !probe) {
        return Ok((site.refuse)(format!("{limit} connections are open, which is the limit; come back later")));
    }
    let sent = if probe { Sent::for_probe(Arc::clone(&peer)) } else { Sent::new(Arc::clone(&peer)) };
    let mut request = request.map(|body| Body::new(Arriving::new(body, peer)));
    request.extensions_mut().insert(Arc::clone(&sent));
    let response = site.router.call(request).await?;
    Ok(response.map(|body| Body::new(Leaving::new(body, sent, None))))
}
