//! The connections of the HTTP door, and what each request on them is bounded by.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use super::error::{HttpError, Kind};
use crate::door::stopped;
use crate::net::accept::{self, Accepted};
use crate::net::arriving::Arriving;
use crate::net::connection::Connection;
use crate::net::leaving::{Leaving, Sent};
use crate::net::{Net, Peer};

/// Connections open at once.
const MAX_CONNECTIONS: usize = 1024;
/// Further ones for who asks how the server is: clients that hold all places must not make it look dead. Each is for one
/// request, which has to come soon.
const PROBE_CONNECTIONS: usize = 64;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a probe asks for.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// What a connection keeps of requests and answers for itself.
const BUFFER_BYTES: usize = 32 << 10;

/// Serves until `stop`; then lets requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    net: Arc<Net>,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (places, probes) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(Semaphore::new(PROBE_CONNECTIONS)));
    let kinds = [&places, &probes];
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(stop.clone()) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept::next(&listener, &net, &kinds, "http") => accepted,
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            if accepted.kind == 0 {
                return connection(accepted, router, false, header_timeout, stop).await;
            }
            // A probe that is late is closed, whatever it is at.
            let served = connection(accepted, router, true, header_timeout, stop);
            let _ = tokio::time::timeout(PROBE_TIMEOUT, served).await;
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn connection(
    accepted: Accepted,
    router: Router,
    only_probes: bool,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
) {
    let Accepted { stream, peer, place, .. } = accepted;
    let stream = Connection::new(stream, Arc::clone(&peer), place);
    let service = service_fn(move |request| answer(router.clone(), Arc::clone(&peer), only_probes, request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(BUFFER_BYTES)
            .keep_alive(!only_probes)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stop) => {
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
    mut router: Router,
    peer: Arc<Peer>,
    only_probes: bool,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, Infallible> {
    let probe = PROBES.contains(&request.uri().path());
    if only_probes && !probe {
        let message = format!("{MAX_CONNECTIONS} connections are open, which is the limit; come back later");
        return Ok(HttpError::new(Kind::Unavailable, message).into_response());
    }
    let sent = if probe { Sent::for_probe(Arc::clone(&peer)) } else { Sent::new(Arc::clone(&peer)) };
    let mut request = request.map(|body| Body::new(Arriving::new(body, peer)));
    request.extensions_mut().insert(Arc::clone(&sent));
    let response = router.call(request).await?;
    Ok(response.map(|body| Body::new(Leaving::new(body, sent, None))))
}
