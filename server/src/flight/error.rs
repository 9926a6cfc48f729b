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

/// (engine's kind, protocol's kind, gRPC code, name in the metadata).
const KINDS: [(ErrorKind, protocol::ErrorKind, Code, &str); 13] = [
    (ErrorKind::InvalidInput, protocol::ErrorKind::InvalidInput, Code::InvalidArgument, "invalid_input"),
    (ErrorKind::NotFound, protocol::ErrorKind::NotFound, Code::NotFound, "not_found"),
    (ErrorKind::AlreadyExists, protocol::ErrorKind::AlreadyExists, Code::AlreadyExists, "already_exists"),
    (
        ErrorKind::FailedPrecondition,
        protocol::ErrorKind::FailedPrecondition,
        Code::FailedPrecondition,
        "failed_precondition",
    ),
    (ErrorKind::OutOfRange, protocol::ErrorKind::OutOfRange, Code::OutOfRange, "out_of_range"),
    (ErrorKind::Fenced, protocol::ErrorKind::Fenced, Code::Aborted, "fenced"),
    (ErrorKind::Retry, protocol::ErrorKind::Retry, Code::Unavailable, "retry"),
    (
        ErrorKind::ResourceExhausted,
        protocol::ErrorKind::ResourceExhausted,
        Code::ResourceExhausted,
        "resource_exhausted",
    ),
    (ErrorKind::PermissionDenied, protocol::ErrorKind::PermissionDenied, Code::PermissionDenied, "permission_denied"),
    (ErrorKind::Unsupported, protocol::ErrorKind::Unsupported, Code::Unimplemented, "unsupported"),
    (ErrorKind::Reopen, protocol::ErrorKind::Reopen, Code::Unavailable, "reopen"),
    (ErrorKind::Corrupt, protocol::ErrorKind::Corrupt, Code::DataLoss, "corrupt"),
    (ErrorKind::Internal, protocol::ErrorKind::Internal, Code::Internal, "internal"),
];

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
        let (_, kind, _, _) = row(self.kind);
        protocol::Error { kind: (*kind).into(), message: self.message.clone() }
    }
}

fn row(kind: ErrorKind) -> &'static (ErrorKind, protocol::ErrorKind, Code, &'static str) {
    KINDS.iter().find(|row| row.0 == kind).unwrap_or(&KINDS[KINDS.len() - 1])
}

impl From<DoorError> for Status {
    fn from(error: DoorError) -> Status {
        let (_, _, code, name) = row(error.kind);
        let mut status = Status::new(*code, error.message);
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

    /// Clients branch on these: a change here breaks them.
    #[test]
    fn golden_table() {
        let rows: Vec<String> = KINDS
            .iter()
            .map(|(kind, wire, code, name)| format!("{kind:?} {} {} {name}", wire.as_str_name(), i32::from(*code)))
            .collect();
        assert_eq!(
            rows,
            [
                "InvalidInput ERROR_KIND_INVALID_INPUT 3 invalid_input",
                "NotFound ERROR_KIND_NOT_FOUND 5 not_found",
                "AlreadyExists ERROR_KIND_ALREADY_EXISTS 6 already_exists",
                "FailedPrecondition ERROR_KIND_FAILED_PRECONDITION 9 failed_precondition",
                "OutOfRange ERROR_KIND_OUT_OF_RANGE 11 out_of_range",
                "Fenced ERROR_KIND_FENCED 10 fenced",
                "Retry ERROR_KIND_RETRY 14 retry",
                "ResourceExhausted ERROR_KIND_RESOURCE_EXHAUSTED 8 resource_exhausted",
                "PermissionDenied ERROR_KIND_PERMISSION_DENIED 7 permission_denied",
                "Unsupported ERROR_KIND_UNSUPPORTED 12 unsupported",
                "Reopen ERROR_KIND_REOPEN 14 reopen",
                "Corrupt ERROR_KIND_CORRUPT 15 corrupt",
                "Internal ERROR_KIND_INTERNAL 13 internal",
            ]
        );
    }

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

    #[test]
    fn every_protocol_kind_is_mapped_once() {
        for value in 0..13 {
            let kind = protocol::ErrorKind::try_from(value).unwrap();
            assert_eq!(KINDS.iter().filter(|row| row.1 == kind).count(), 1, "{kind:?}");
        }
    }
}
