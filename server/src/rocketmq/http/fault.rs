//! Errors as clients over HTTP know them: a status and a code, in XML. The one table from error kinds to them.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millstream_engine::ErrorKind;
use tokio::task::JoinError;

use super::xml::Writer;
use crate::rocketmq::answer::Refusal;
use crate::rocketmq::names::BROKER;
use crate::rocketmq::wire::codes;

const CONTENT_TYPE: &str = "text/xml;charset=utf-8";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-mq-request-id");

/// What clients branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(StatusCode, &'static str);

pub(super) const INVALID_ARGUMENT: Code = Code(StatusCode::BAD_REQUEST, "InvalidArgument");
pub(super) const MALFORMED_XML: Code = Code(StatusCode::BAD_REQUEST, "MalformedXML");
pub(super) const RECEIPT_HANDLE: Code = Code(StatusCode::NOT_FOUND, "ReceiptHandleError");
/// There is none to be had now.
pub(super) const NO_MESSAGE: Code = Code(StatusCode::NOT_FOUND, "MessageNotExist");
pub(super) const ACCESS_DENIED: Code = Code(StatusCode::FORBIDDEN, "AccessDenied");
pub(super) const SIGNATURE: Code = Code(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
pub(super) const INVALID_DIGEST: Code = Code(StatusCode::BAD_REQUEST, "InvalidDigest");
const NO_TOPIC: Code = Code(StatusCode::NOT_FOUND, "TopicNotExist");
const METHOD: Code = Code(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
const TOO_LARGE: Code = Code(StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge");
const LATE: Code = Code(StatusCode::REQUEST_TIMEOUT, "RequestTimeout");
const UNSUPPORTED: Code = Code(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
const BUSY: Code = Code(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy");
const UNAVAILABLE: Code = Code(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
const INTERNAL: Code = Code(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError");

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::OutOfRange
        | ErrorKind::Fenced
        | ErrorKind::ResourceExhausted => INVALID_ARGUMENT,
        ErrorKind::NotFound => NO_TOPIC,
        ErrorKind::Retry | ErrorKind::Throttled => BUSY,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => ACCESS_DENIED,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Reopen => UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Internal => INTERNAL,
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
}

pub(super) type Done<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(INVALID_ARGUMENT, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Fault {
        Fault::new(INTERNAL, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Fault {
        Fault::new(TOO_LARGE, message)
    }

    pub(super) fn late(message: impl Into<String>) -> Fault {
        Fault::new(LATE, message)
    }

    pub(super) fn busy(message: impl Into<String>) -> Fault {
        Fault::new(BUSY, message)
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Fault {
        Fault::new(UNSUPPORTED, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Fault {
        Fault::new(UNAVAILABLE, message)
    }

    pub(super) fn method() -> Fault {
        Fault::new(METHOD, "messages are published (POST), consumed (GET) and acknowledged (DELETE)")
    }

    pub(super) fn name(&self) -> &'static str {
        self.code.1
    }
}

/// An answer, or nothing where the status says it all.
pub(super) fn answer(status: StatusCode, xml: Option<String>) -> Response {
    answer_to(&new_id(), status, xml)
}

fn answer_to(request: &str, status: StatusCode, xml: Option<String>) -> Response {
    match xml {
        Some(xml) => (status, [(REQUEST_ID, request), (header::CONTENT_TYPE, CONTENT_TYPE)], xml).into_response(),
        None => (status, [(REQUEST_ID, request)]).into_response(),
    }
}

/// As clients write those of messages and of requests.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Code(status, name) = self.code;
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = name, message = self.message, "a request of a RocketMQ client over HTTP failed");
        }
        let (id, mut xml) = (new_id(), Writer::begin("Error"));
        xml.text("Code", name).text("Message", &self.message).text("RequestId", &id).text("HostId", BROKER);
        answer_to(&id, status, Some(xml.end()))
    }
}

/// What all ways in share refuses as the others do.
impl From<Refusal> for Fault {
    fn from(Refusal { code, remark }: Refusal) -> Fault {
        let code = match code {
            codes::MESSAGE_ILLEGAL | codes::ILLEGAL_OPERATION | codes::SUBSCRIPTION_PARSE_FAILED => INVALID_ARGUMENT,
            codes::TOPIC_NOT_EXIST => NO_TOPIC,
            codes::SYSTEM_BUSY => BUSY,
            codes::NO_PERMISSION => ACCESS_DENIED,
            codes::NOT_SUPPORTED => UNSUPPORTED,
            codes::SERVICE_NOT_AVAILABLE => UNAVAILABLE,
            _ => INTERNAL,
        };
        Fault::new(code, remark)
    }
}

impl From<millstream_engine::Error> for Fault {
    fn from(error: millstream_engine::Error) -> Fault {
        Fault::new(code(error.kind()), error.to_string())
    }
}

/// A thread of ours has panicked, or the server stops.
impl From<JoinError> for Fault {
    fn from(error: JoinError) -> Fault {
        Fault::unavailable(format!("the request was not carried out: {error}"))
    }
}

/// A line of the table, for the golden file.
#[cfg(test)]
pub(crate) fn shown(kind: ErrorKind) -> String {
    let Code(status, name) = code(kind);
    format!("{} {name}", status.as_u16())
}
