//! `/healthz`: the process answers. `/readyz`: it also takes rows, and all of its threads are at work.

use std::sync::Arc;

use axum::extract::State;

use super::error::HttpError;
use super::state::HttpDoor;

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 503 until the store is open, and again once its log has failed or is closed, or a thread stays down after a panic. A store
/// whose segments another opening owns takes rows for as long as the disk has room, and says so.
pub(crate) async fn readyz(State(http): State<Arc<HttpDoor>>) -> Result<&'static str, HttpError> {
    let rooms = http.rooms()?;
    rooms.engine.check_ready()?;
    Ok(match rooms.engine.segments_fenced_by() {
        None => "ready\n",
        Some(_) => {
            "ready, but the segment store belongs to another opening of this data: see segment_store_fenced in system.log\n"
        }
    })
}
