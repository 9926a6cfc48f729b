//! What can go wrong, told apart by what the caller should do.

use millstream_protocol::ErrorKind;
use tonic::{Code, Status};

/// The client's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, the server's or this client's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection could be made or kept.
    #[error("{url} can't be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server's answer; `kind` says what to do about it.
    #[error("{message}")]
    Server { kind: ErrorKind, message: String },
    /// The caller's mistake, found before anything was sent.
    #[error("{0}")]
    InvalidInput(String),
    /// Bytes that are not what the protocol says.
    #[error("unexpected answer from the server: {0}")]
    Protocol(String),
    /// The producer or consumer is closed.
    #[error("closed")]
    Closed,
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Unreachable { .. } => ErrorKind::Retry,
            Error::Server { kind, .. } => *kind,
            Error::InvalidInput(_) => ErrorKind::InvalidInput,
            Error::Protocol(_) => ErrorKind::Internal,
            Error::Closed => ErrorKind::FailedPrecondition,
        }
    }

    /// True where the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Retry | ErrorKind::Reopen)
    }

    pub(crate) fn protocol(reason: impl std::fmt::Display) -> Error {
        Error::Protocol(reason.to_string())
    }

    pub(crate) fn from_wire(error: &millstream_protocol::Error) -> Error {
        Error::Server { kind: error.kind(), message: error.message.clone() }
    }

    /// A gRPC status. The server names the kind in the metadata; a status without it comes from the transport, and means that
    /// the connection broke unless its code is one that no broken connection has.
    pub(crate) fn from_status(url: &str, status: &Status) -> Error {
        let named = status.metadata().get(millstream_protocol::ERROR_KIND_METADATA).and_then(|name| name.to_str().ok());
        let message = status.message().to_owned();
        match (named.and_then(kind_named), status.code()) {
            (Some(kind), _) => Error::Server { kind, message },
            (None, Code::InvalidArgument) => Error::Server { kind: ErrorKind::InvalidInput, message },
            (None, Code::NotFound) => Error::Server { kind: ErrorKind::NotFound, message },
            (None, Code::Unauthenticated) => Error::Server { kind: ErrorKind::Unauthenticated, message },
            (None, Code::PermissionDenied) => Error::Server { kind: ErrorKind::PermissionDenied, message },
            (None, Code::Unimplemented) => Error::Server { kind: ErrorKind::Unsupported, message },
            (None, Code::ResourceExhausted | Code::OutOfRange) => {
                Error::Server { kind: ErrorKind::ResourceExhausted, message }
            }
            (None, _) => Error::Unreachable { url: url.to_owned(), reason: message },
        }
    }
}

fn kind_named(name: &str) -> Option<ErrorKind> {
    ErrorKind::from_str_name(&format!("ERROR_KIND_{}", name.to_ascii_uppercase()))
}
