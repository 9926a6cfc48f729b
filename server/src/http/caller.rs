//! Who sends a request.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use millstream_engine::{ErrorKind, Principal};

use super::error::{HttpError, Kind};
use super::state::HttpDoor;
use crate::credentials;
use crate::logins::log_in;
use crate::net::sent::Sent;

/// In the audit table.
const DOOR: &str = "http";

/// By what the request shows. What the future needs of the request it has when it is made.
pub(super) fn caller(
    http: &HttpDoor,
    request: &Request,
) -> impl Future<Output = Result<Principal, HttpError>> + Send + use<> {
    let headers = request.headers().get_all(AUTHORIZATION);
    let shown = credentials::read(headers.iter().map(|value| value.as_bytes()));
    let (rooms, sent) = (http.rooms().cloned(), sent(request));
    async move {
        let shown = shown.map_err(|message| HttpError::new(Kind::Engine(ErrorKind::Unauthenticated), message))?;
        Ok(log_in(&rooms?, DOOR, shown, &sent?.peer).await?)
    }
}

/// The answer of a request, as the network sees it.
pub(super) fn sent(request: &Request) -> Result<Arc<Sent>, HttpError> {
    let sent = request.extensions().get::<Arc<Sent>>().cloned();
    sent.ok_or_else(|| HttpError::new(Kind::Engine(ErrorKind::Internal), "the request has come around the door"))
}
