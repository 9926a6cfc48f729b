//! The HTTP door: health, metrics, and SQL for whoever has no driver.
//!
//! `GET /healthz`, `GET /readyz`, `GET /metrics`, `POST /v1/sql`.

mod answer;
mod error;
#[cfg(test)]
mod fuzz;
mod gate;
mod health;
mod listener;
mod metrics;
mod plugin_metrics;
mod request;
mod sql;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Door;
use crate::config::Config;
use crate::net::Net;
use error::{HttpError, Kind};

/// The door. It listens before the store is open, so that whoever waits for the server can ask how far it is.
#[derive(Debug)]
pub(crate) struct HttpDoor {
    door: OnceLock<Door>,
    gate: gate::Gate,
    net: Arc<Net>,
    body_limit_bytes: usize,
    header_timeout: Duration,
}

impl HttpDoor {
    pub(crate) fn new(config: &Config, net: Arc<Net>) -> HttpDoor {
        HttpDoor {
            door: OnceLock::new(),
            gate: gate::Gate::new(config),
            net,
            body_limit_bytes: config.http_body_limit_bytes,
            header_timeout: config.header_timeout,
        }
    }

    /// Lets requests through to the rooms.
    pub(crate) fn open(&self, door: Door) {
        // Set once by the server; a second call would change nothing.
        let _ = self.door.set(door);
    }

    /// Serves connections until `stop` turns true; returns when the last request has been answered.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: watch::Receiver<bool>) -> io::Result<()> {
        let (net, header_timeout) = (Arc::clone(&self.net), self.header_timeout);
        listener::serve(listener, self.router(), net, header_timeout, stop).await
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(metrics::metrics))
            .route("/v1/sql", post(sql::execute))
            .fallback(async || {
                HttpError::new(Kind::NotFound, "no such path; there are /healthz, /readyz, /metrics and /v1/sql")
            })
            .method_not_allowed_fallback(async || HttpError::new(Kind::Method, "this path does not take that method"))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&self), gate::check))
            .with_state(self)
    }

    /// The rooms, once they are open.
    fn rooms(&self) -> Result<&Door, HttpError> {
        self.door.get().ok_or_else(|| HttpError::new(Kind::Unavailable, "the store is still being opened; retry later"))
    }
}
