//! The one table that maps what went wrong to what Flight clients see.

use arrow::error::ArrowError;
use millstream_engine::ErrorKind;
use millstream_protocol as protocol;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status};

/// An error on its way out: what to do about it, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DoorError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = DoorError> = std::result::Result<T, E>;

/// The table: the protocol's kind, the gRPC code, the name in the metadata.
fn row(kind: ErrorKind) -> (protocol::ErrorKind, Code, &'static str) {
    use protocol::ErrorKind as Wire;
    match kind {
        ErrorKind::InvalidInput => (Wire::InvalidInput, Code::InvalidArgument, "invalid_input"),
        ErrorKind::NotFound => (Wire::NotFound, Code::NotFound, "not_found"),
        ErrorKind::AlreadyExists => (Wire::AlreadyExists, Code::AlreadyExists, "already_exists"),
        ErrorKind::FailedPrecondition => (Wire::FailedPrecondition, Code::FailedPrecondition, "failed_precondition"),
        ErrorKind::OutOfRange => (Wire::OutOfRange, Code::OutOfRange, "out_of_range"),
        ErrorKind::Fenced => (Wire::Fenced, Code::Aborted, "fenced"),
        ErrorKind::Retry => (Wire::Retry, Code::Unavailable, "retry"),
        // Clients of ours send again, as after any other reason to.
        ErrorKind::Throttled => (Wire::Retry, Code::ResourceExhausted, "retry"),
        ErrorKind::ResourceExhausted => (Wire::ResourceExhausted, Code::ResourceExhausted, "resource_exhausted"),
        ErrorKind::Unauthenticated => (Wire::Unauthenticated, Code::Unauthenticated, "unauthenticated"),
        ErrorKind::PermissionDenied => (Wire::PermissionDenied, Code::PermissionDenied, "permission_denied"),
        ErrorKind::Unsupported => (Wire::Unsupported, Code::Unimplemented, "unsupported"),
        ErrorKind::Reopen => (Wire::Reopen, Code::Unavailable, "reopen"),
        ErrorKind::Corrupt => (Wire::Corrupt, Code::DataLoss, "corrupt"),
        ErrorKind::Internal => (Wire::Internal, Code::Internal, "internal"),
    }
}

/// A line of the table, for the golden file.
#[cfg(test)]
pub(crate) fn shown(kind: ErrorKind) -> String {
    let (wire, code, name) = row(kind);
    format!("{} {code:?} ({}) {name}", wire.as_str_name(), i32::from(code))
}

impl DoorError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> DoorError {
        DoorError { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> DoorError {
        DoorError::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> DoorError {
        DoorError::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> DoorError {
        DoorError::new(ErrorKind::Internal, message)
    }

    /// The form it takes inside messages of ours.
    pub(crate) fn to_wire(&self) -> protocol::Error {
        let (kind, _, _) = row(self.kind);
        protocol::Error { kind: kind.into(), message: self.message.clone() }
    }
}

impl From<DoorError> for Status {
    fn from(error: DoorError) -> Status {
        let (_, code, name) = row(error.kind);
        let mut status = Status::new(code, error.message);
        status.metadata_mut().insert(protocol::ERROR_KIND_METADATA, MetadataValue::<Ascii>::from_static(name));
        status
    }
}

impl From<millstream_engine::Error> for DoorError {
    fn from(error: millstream_engine::Error) -> DoorError {
        DoorError::new(error.kind(), error.to_string())
    }
}

impl From<millstream_sql::Error> for DoorError {
    fn from(error: millstream_sql::Error) -> DoorError {
        DoorError::new(error.kind(), error.to_string())
    }
}

/// Arrow's errors come from building answers, never from input (which has its own decoder): they are defects.
impl From<ArrowError> for DoorError {
    fn from(error: ArrowError) -> DoorError {
        DoorError::internal(error.to_string())
    }
}

/// What the peer's side of a stream did: it broke off, or sent a message over the limit.
impl From<Status> for DoorError {
    fn from(status: Status) -> DoorError {
        let kind = match status.code() {
            // Tonic's code for a message over the limit.
            Code::OutOfRange | Code::ResourceExhausted => ErrorKind::ResourceExhausted,
            Code::InvalidArgument | Code::Internal => ErrorKind::InvalidInput,
            _ => ErrorKind::Retry,
        };
        DoorError::new(kind, status.message())
    }
}

impl std::fmt::Display for DoorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_its_kind() {
        let status = Status::from(DoorError::from(millstream_engine::Error::Busy("the queue is full".to_owned())));
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "the queue is full; retry later");
        assert_eq!(
            status.metadata().get(protocol::ERROR_KIND_METADATA).map(|kind| kind.as_bytes()),
            Some(&b"retry"[..])
        );
    }
}
