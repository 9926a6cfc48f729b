//! What a request is answered.

use bytes::Bytes;
use millstream_engine::HandedMessages;

use super::wire::codes;
use super::wire::reader::Malformed;
use crate::net::sent::Load;

/// An answer's code, fields and body.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) remark: Option<String>,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// An answer, and what is held until it is on its way.
#[derive(Default)]
pub(super) struct Given {
    pub(super) answer: Answer,
    /// The room of its messages.
    pub(super) room: Option<Load>,
    /// Messages that are given back if the client does not get them.
    pub(super) handed: Option<HandedMessages>,
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) remark: String,
}

pub(super) type Answered = Result<Answer, Refusal>;

impl Answer {
    pub(super) fn ok() -> Answer {
        Answer::default()
    }

    pub(super) fn with(fields: Vec<(&'static str, String)>) -> Answer {
        Answer { fields, ..Answer::default() }
    }

    pub(super) fn body(body: impl Into<Bytes>) -> Answer {
        Answer { body: body.into(), ..Answer::default() }
    }
}

impl Refusal {
    pub(super) fn new(code: i32, remark: impl Into<String>) -> Refusal {
        Refusal { code, remark: remark.into() }
    }

    pub(super) fn illegal(remark: impl Into<String>) -> Refusal {
        Refusal::new(codes::MESSAGE_ILLEGAL, remark)
    }
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Given {
        Given { answer, ..Given::default() }
    }
}

impl From<Malformed> for Refusal {
    fn from(Malformed(message): Malformed) -> Refusal {
        Refusal::illegal(message)
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal { code, remark }: Refusal) -> Answer {
        Answer { code, remark: Some(remark), ..Answer::default() }
    }
}
