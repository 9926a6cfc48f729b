//! Errors of the HTTP door: `{"error":{"kind":"not_found","message":"…"}}`. The one table from error kinds to statuses.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use millstream_engine::ErrorKind;

/// How a client may say who it is.
const CHALLENGES: [(HeaderName, &str); 2] = [
    (WWW_AUTHENTICATE, "Basic realm=\"millstream\", charset=\"UTF-8\""),
    (WWW_AUTHENTICATE, "Bearer realm=\"millstream\""),
];

/// What went wrong, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An error of the engine or of SQL.
    Engine(ErrorKind),
    /// No such path.
    NotFound,
    /// The path is there, and takes another method.
    Method,
    /// The body is over the limit.
    BodyTooLarge,
    /// The client took too long to send its request.
    Timeout,
    /// The store is not open, or no longer.
    Unavailable,
    /// The client accepts none of our formats.
    NotAcceptable,
}

impl Kind {
    fn row(self) -> (StatusCode, &'static str) {
        match self {
            Kind::Engine(ErrorKind::InvalidInput) => (StatusCode::BAD_REQUEST, "invalid_input"),
            Kind::Engine(ErrorKind::NotFound) | Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Kind::Engine(ErrorKind::AlreadyExists) => (StatusCode::CONFLICT, "already_exists"),
            Kind::Engine(ErrorKind::FailedPrecondition) => (StatusCode::CONFLICT, "failed_precondition"),
            Kind::Engine(ErrorKind::OutOfRange) => (StatusCode::RANGE_NOT_SATISFIABLE, "out_of_range"),
            Kind::Engine(ErrorKind::Fenced) => (StatusCode::CONFLICT, "fenced"),
            Kind::Engine(ErrorKind::Retry) => (StatusCode::SERVICE_UNAVAILABLE, "retry"),
            Kind::Engine(ErrorKind::Throttled) => (StatusCode::TOO_MANY_REQUESTS, "throttled"),
            Kind::Engine(ErrorKind::ResourceExhausted) => (StatusCode::INSUFFICIENT_STORAGE, "resource_exhausted"),
            Kind::Engine(ErrorKind::Unauthenticated) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Kind::Engine(ErrorKind::PermissionDenied) => (StatusCode::FORBIDDEN, "permission_denied"),
            Kind::Engine(ErrorKind::Unsupported) => (StatusCode::NOT_IMPLEMENTED, "unsupported"),
            Kind::Engine(ErrorKind::Reopen) => (StatusCode::SERVICE_UNAVAILABLE, "reopen"),
            Kind::Engine(ErrorKind::Corrupt) => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
            Kind::Engine(ErrorKind::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Kind::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Kind::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Kind::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
        }
    }
}

/// An error answer.
#[derive(Debug)]
pub(crate) struct HttpError {
    kind: Kind,
    message: String,
    /// After how long it may be sent again, where that is known.
    retry_after: Option<Duration>,
}

impl HttpError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> HttpError {
        HttpError { kind, message: message.into(), retry_after: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> HttpError {
        HttpError::new(Kind::Engine(ErrorKind::InvalidInput), message)
    }
}

impl From<millstream_engine::Error> for HttpError {
    fn from(error: millstream_engine::Error) -> HttpError {
        let retry_after = error.retry_after();
        HttpError { retry_after, ..HttpError::new(Kind::Engine(error.kind()), error.to_string()) }
    }
}

impl From<millstream_sql::Error> for HttpError {
    fn from(error: millstream_sql::Error) -> HttpError {
        let retry_after = error.retry_after();
        HttpError { retry_after, ..HttpError::new(Kind::Engine(error.kind()), error.to_string()) }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind.row();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(kind, message = self.message, "an HTTP request failed");
        }
        let body = Json(serde_json::json!({ "error": { "kind": kind, "message": self.message } }));
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                // Whole seconds, the next one at the earliest.
                let seconds = self.retry_after.map_or(1, |left| left.as_secs().saturating_add(1));
                (status, [(RETRY_AFTER, seconds.to_string())], body).into_response()
            }
            StatusCode::UNAUTHORIZED => (status, AppendHeaders(CHALLENGES), body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}

/// A line of the table, for the golden file.
#[cfg(test)]
pub(crate) fn shown(kind: ErrorKind) -> String {
    let (status, name) = Kind::Engine(kind).row();
    format!("{} {name}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the engine's kinds are in the golden file of all doors.
    #[test]
    fn the_statuses_of_the_door_itself() {
        use Kind::*;
        let rows = [NotFound, Method, BodyTooLarge, Timeout, Unavailable, NotAcceptable].map(|kind| {
            let (status, name) = kind.row();
            format!("{} {name}", status.as_u16())
        });
        let expected = [
            "404 not_found",
            "405 method_not_allowed",
            "413 body_too_large",
            "408 timeout",
            "503 unavailable",
            "406 not_acceptable",
        ];
        assert_eq!(rows, expected);
    }
}
