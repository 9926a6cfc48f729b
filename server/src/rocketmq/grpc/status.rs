//! Outcomes as clients over gRPC know them. The one table from error kinds to their codes.

use millstream_engine::ErrorKind;
use tokio::task::JoinError;

use super::proto::{Code, Status};
use crate::rocketmq::answer::Refusal;
use crate::rocketmq::wire::codes;

/// Why a call is not served, as its answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) code: Code,
    pub(super) message: String,
}

pub(super) type Done<T> = Result<T, Failed>;

/// Java's producers try again after codes from 50000 on, and after `TOO_MANY_REQUESTS` a while later.
fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists
        | ErrorKind::OutOfRange
        | ErrorKind::Fenced
        | ErrorKind::ResourceExhausted => Code::BadRequest,
        ErrorKind::FailedPrecondition => Code::PreconditionFailed,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Retry | ErrorKind::Throttled => Code::TooManyRequests,
        ErrorKind::Unauthenticated => Code::Unauthorized,
        ErrorKind::PermissionDenied => Code::Forbidden,
        ErrorKind::Unsupported => Code::Unsupported,
        ErrorKind::Reopen => Code::HaNotAvailable,
        ErrorKind::Corrupt | ErrorKind::Internal => Code::InternalServerError,
    }
}

impl Failed {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failed {
        Failed { code, message: message.into() }
    }

    pub(super) fn missing(what: &str) -> Failed {
        Failed::new(Code::BadRequest, format!("the request has no {what}"))
    }

    pub(super) fn status(self) -> Status {
        Status { code: self.code.into(), message: self.message }
    }
}

pub(super) fn ok() -> Status {
    Status { code: Code::Ok.into(), message: Code::Ok.as_str_name().to_owned() }
}

/// An answer's status.
pub(super) fn status(done: Done<()>) -> Option<Status> {
    Some(match done {
        Ok(()) => ok(),
        Err(failed) => failed.status(),
    })
}

/// What both doors share refuses as the other one does.
impl From<Refusal> for Failed {
    fn from(Refusal { code, remark }: Refusal) -> Failed {
        let code = match code {
            codes::MESSAGE_ILLEGAL | codes::ILLEGAL_OPERATION | codes::INVALID_PARAMETER => Code::BadRequest,
            codes::TOPIC_NOT_EXIST => Code::TopicNotFound,
            codes::SYSTEM_BUSY => Code::TooManyRequests,
            codes::NO_PERMISSION => Code::Forbidden,
            codes::NOT_SUPPORTED => Code::Unsupported,
            codes::SERVICE_NOT_AVAILABLE => Code::HaNotAvailable,
            codes::SUBSCRIPTION_PARSE_FAILED => Code::IllegalFilterExpression,
            codes::QUERY_NOT_FOUND => Code::OffsetNotFound,
            _ => Code::InternalServerError,
        };
        Failed::new(code, remark)
    }
}

impl From<millstream_engine::Error> for Failed {
    fn from(error: millstream_engine::Error) -> Failed {
        let code = code(error.kind());
        if code == Code::InternalServerError {
            tracing::error!(%error, "a call of a RocketMQ client failed");
        }
        Failed::new(code, error.to_string())
    }
}

/// A thread of ours has panicked, or the server stops.
impl From<JoinError> for Failed {
    fn from(error: JoinError) -> Failed {
        Failed::new(Code::HaNotAvailable, format!("the call was not carried out: {error}"))
    }
}

/// A line of the table, for the golden file.
#[cfg(test)]
pub(crate) fn shown(kind: ErrorKind) -> String {
    let code = code(kind);
    format!("{} ({})", code.as_str_name(), i32::from(code))
}
