//! Accepts connections and bounds what a slow or silent peer can hold.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::door::stopped;

/// Connections open at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long to wait after the system has no descriptor left for another connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Serves until `stop`; then lets requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stopped(stop.clone()) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            stream = accept(&listener, &places) => stream,
        };
        let Some((stream, place)) = stream else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, router, header_timeout, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

type Accepted = (TcpStream, tokio::sync::OwnedSemaphorePermit);

/// One connection; nothing if it was gone before it was taken or the system has no room, which passes.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept an HTTP connection");
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, header_timeout: Duration, stop: watch::Receiver<bool>) {
    // Answers are small or already gathered in large pieces; waiting for more only adds delay.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
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
