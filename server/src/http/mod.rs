//! The HTTP door: health, metrics, and SQL for whoever has no driver; a [`Guest`] has paths of its own beside them.
//!
//! `GET /healthz`, `GET /readyz`, `GET /metrics`, `POST /v1/sql`.

mod answer;
mod caller;
mod error;
mod exposition;
#[cfg(test)]
mod fuzz;
mod gate;
mod health;
mod message_metrics;
mod metrics;
mod plugin_metrics;
mod request;
mod sql;
mod state;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use millstream_engine::ErrorKind;

use crate::config::Config;
use crate::door::Opening;
use crate::net::http1::{self, Site};
use caller::caller;
#[cfg(test)]
pub(crate) use error::shown as error_shown;
use error::{HttpError, Kind};
use state::HttpDoor;

/// Connections open at once.
pub(crate) const CONNECTIONS: usize = 1024;
/// Paths that tell how the server is.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Whether the server is up and takes rows: for whoever watches it, by whatever name. They execute and tell nothing else.
const FOR_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// Paths of another protocol, served on the same port. Its clients sign what they ask by keys of their own.
pub(crate) struct Guest {
    pub(crate) router: Router,
    /// How it says that a request is not let through.
    pub(crate) refused: fn(String) -> Response,
}

/// Serves connections until the server stops; completes when the last request has been answered. It serves before the store is
/// open, so that whoever waits for the server can ask how far it is.
pub(crate) fn serve(
    config: &Config,
    opening: Opening,
    guest: Guest,
) -> impl Future<Output = io::Result<()>> + Send + use<> {
    let Opening { listener, rooms, stop } = opening;
    let router = router(Arc::new(HttpDoor::new(config, rooms)), guest);
    let refuse = |message: String| HttpError::new(Kind::Unavailable, message).into_response();
    let needs_tls =
        || HttpError::invalid("this server takes requests by TLS only (tls_required); ask by https://").into_response();
    http1::serve(listener, Site { router, probes: &PROBES, refuse, needs_tls }, stop)
}

fn router(door: Arc<HttpDoor>, guest: Guest) -> Router {
    let (gate, refused) = (Arc::clone(&door), guest.refused);
    let guests = guest.router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let admitted = gate.gate.admits(request.version(), request.uri(), request.headers());
        async move {
            match admitted {
                Ok(()) => next.run(request).await,
                Err(message) => refused(message),
            }
        }
    }));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/sql", post(sql::execute))
        .fallback(async || {
            HttpError::new(
                Kind::NotFound,
                "no such path; there are /healthz, /readyz, /metrics, /v1/sql and /topics/TOPIC/messages",
            )
        })
        .method_not_allowed_fallback(async || HttpError::new(Kind::Method, "this path does not take that method"))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&door), check))
        .with_state(door)
        .merge(guests)
}

/// Lets a request through, with the principal who sends it, or answers it.
async fn check(State(http): State<Arc<HttpDoor>>, mut request: Request, next: Next) -> Response {
    if FOR_ALL.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    if let Err(message) = http.gate.admits(request.version(), request.uri(), request.headers()) {
        return HttpError::new(Kind::Engine(ErrorKind::PermissionDenied), message).into_response();
    }
    match caller(&http, &request).await {
        Ok(who) => request.extensions_mut().insert(who),
        Err(refused) => return refused.into_response(),
    };
    next.run(request).await
}
