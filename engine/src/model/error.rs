//! What can go wrong at the engine's edge. Variants hold data; [`Error::kind`] says what the caller must do.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{NamespaceLimit, Offset, OperatorError, PartitionId};

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller should do about an [`Error`]. Every front door maps it to its protocol in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The input is wrong; sending it again cannot help.
    InvalidInput,
    /// The named thing does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The thing is in use, or its state forbids the request.
    FailedPrecondition,
    /// The offset or time lies outside what is retained.
    OutOfRange,
    /// A newer member, generation or producer epoch has taken over.
    Fenced,
    /// Nothing is wrong with the request; send it again later.
    Retry,
    /// The caller, or his namespace, is over what it may do in a while; send it again later.
    Throttled,
    /// A limit of memory, disk or size was reached.
    ResourceExhausted,
    /// Nobody knows who asks, or his login has ended.
    Unauthenticated,
    /// The principal may not do this.
    PermissionDenied,
    /// The request is understood but not offered.
    Unsupported,
    /// The store must be closed and opened again (a write or sync failed, or the engine is shutting down).
    Reopen,
    /// Stored bytes are damaged.
    Corrupt,
    /// A defect in Millstream; please report it.
    Internal,
}

/// An engine error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{}", not_found(.what, .name))]
    NotFound { what: &'static str, name: String },
    #[error("{what} {name:?} already exists")]
    AlreadyExists { what: &'static str, name: String },
    #[error("{what} {name:?} is in use by {by}")]
    InUse { what: &'static str, name: String, by: String },
    #[error("{0}")]
    InvalidInput(String),
    #[error("{0}")]
    FailedPrecondition(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("offset {offset} of partition {partition} is out of range: retained are {start}..{end}")]
    OffsetOutOfRange { partition: PartitionId, offset: Offset, start: Offset, end: Offset },
    #[error(
        "group {group:?} has no committed offset for {topic:?} partition {partition}, and auto.offset.reset is none"
    )]
    NoCommittedOffset { group: String, topic: String, partition: PartitionId },
    #[error("fenced: {0}")]
    Fenced(String),
    #[error("producer sequence {got} follows {last}: rows between them are missing")]
    SequenceGap { last: u64, got: u64 },
    #[error("{what} is {size} bytes, more than the limit of {limit}; {hint}")]
    TooLarge { what: &'static str, size: u64, limit: u64, hint: &'static str },
    #[error("{0}; retry later")]
    Busy(String),
    #[error("plugins of topic {topic:?} are over their share of the machine, and are called again in {left:?}")]
    Throttled { topic: String, left: Duration },
    #[error("{whose} is over its {}{}", .limit.name(), after(.left))]
    OverQuota { whose: String, limit: NamespaceLimit, left: Option<Duration> },
    #[error(
        "the tables of namespace {namespace:?} hold {held} bytes, and its retained_bytes is {limit}: drop tables or give them a \
         shorter retention, or raise the limit with ALTER NAMESPACE"
    )]
    NamespaceFull { namespace: String, held: u64, limit: u64 },
    #[error("free disk space is {free} bytes, below the floor of {floor}; appends resume when space is freed")]
    DiskFull { free: u64, floor: u64 },
    #[error("{path}: {message}")]
    Io { path: PathBuf, message: String },
    #[error("the log refuses writes after a failed {operation} ({message}); close and reopen the store")]
    LogFailed { operation: &'static str, message: String },
    #[error("the thread {thread:?} has panicked ({message}) and stays down; close and reopen the store")]
    ThreadDown { thread: String, message: String },
    #[error("the engine is closed")]
    Closed,
    #[error("{path} is damaged at byte {position}: {message}")]
    Corrupt { path: PathBuf, position: u64, message: String },
    #[error("topic {topic:?} failed at partition {partition} offset {offset}: {source}")]
    Evaluation { topic: String, partition: PartitionId, offset: Offset, source: OperatorError },
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    PermissionDenied(String),
    #[error("internal error: {0}")]
    Internal(String),
}

/// What was looked for by its id has no name any more.
fn not_found(what: &str, name: &str) -> String {
    match name {
        "" => format!("the {what} does not exist any more"),
        name => format!("{what} {name:?} does not exist"),
    }
}

fn after(left: &Option<Duration>) -> String {
    left.map_or_else(String::new, |left| format!("; send again after {} ms", left.as_millis().saturating_add(1)))
}

impl Error {
    /// The error of what was looked for by its id: it was dropped.
    pub(crate) fn gone(what: &'static str) -> Error {
        Error::NotFound { what, name: String::new() }
    }

    /// After how long it may be tried again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::OverQuota { left, .. } => *left,
            Error::Throttled { left, .. } => Some(*left),
            _ => None,
        }
    }

    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Error::InUse { .. }
            | Error::FailedPrecondition(_)
            | Error::SequenceGap { .. }
            | Error::Evaluation { .. } => ErrorKind::FailedPrecondition,
            Error::InvalidInput(_) => ErrorKind::InvalidInput,
            Error::Unsupported(_) => ErrorKind::Unsupported,
            Error::OffsetOutOfRange { .. } | Error::NoCommittedOffset { .. } => ErrorKind::OutOfRange,
            Error::Fenced(_) => ErrorKind::Fenced,
            Error::OverQuota { .. } => ErrorKind::Throttled,
            Error::TooLarge { .. } | Error::NamespaceFull { .. } => ErrorKind::ResourceExhausted,
            Error::Busy(_) | Error::Throttled { .. } | Error::DiskFull { .. } => ErrorKind::Retry,
            Error::Io { .. } | Error::LogFailed { .. } | Error::ThreadDown { .. } | Error::Closed => ErrorKind::Reopen,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Unauthenticated(_) => ErrorKind::Unauthenticated,
            Error::PermissionDenied(_) => ErrorKind::PermissionDenied,
            Error::Internal(_) => ErrorKind::Internal,
        }
    }
}
