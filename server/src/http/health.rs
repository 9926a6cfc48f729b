//! `/healthz`: the process answers. `/readyz`: it also takes rows.

use std::sync::Arc;

use axum::extract::State;

use super::HttpDoor;
use super::error::HttpError;

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 503 until the store is open, and again once its log has failed or is closed.
pub(crate) async fn readyz(State(http): State<Arc<HttpDoor>>) -> Result<&'static str, HttpError> {
    http.rooms()?.engine.check_writable()?;
    Ok("ready\n")
}
