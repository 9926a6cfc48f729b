//! Errors as clients of RocketMQ know them. The one table from error kinds to codes.

use millstream_engine::ErrorKind;
use tokio::task::JoinError;

use super::answer::Refusal;
use super::wire::codes;

/// Java producers try again after 1, 2, 14, 16 and 17, at other brokers where there are some.
fn code(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::OutOfRange
        | ErrorKind::Fenced
        | ErrorKind::ResourceExhausted => codes::MESSAGE_ILLEGAL,
        ErrorKind::NotFound => codes::TOPIC_NOT_EXIST,
        ErrorKind::Retry | ErrorKind::Throttled => codes::SYSTEM_BUSY,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => codes::NO_PERMISSION,
        ErrorKind::Unsupported => codes::NOT_SUPPORTED,
        ErrorKind::Reopen => codes::SERVICE_NOT_AVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Internal => codes::SYSTEM_ERROR,
    }
}

impl From<millstream_engine::Error> for Refusal {
    fn from(error: millstream_engine::Error) -> Refusal {
        let code = code(error.kind());
        if code == codes::SYSTEM_ERROR {
            tracing::error!(%error, "a RocketMQ request failed");
        }
        Refusal::new(code, error.to_string())
    }
}

/// A thread of ours has panicked, or the server stops.
impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Refusal {
        Refusal::new(codes::SERVICE_NOT_AVAILABLE, format!("the request was not carried out: {error}"))
    }
}

/// A line of the table, for the golden file.
#[cfg(test)]
pub(crate) fn shown(kind: ErrorKind) -> String {
    code(kind).to_string()
}
