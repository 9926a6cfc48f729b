//! What can be wrong with rows that come as text or as a file.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// This room's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of what was read or is to be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line of text, counted from 1, at which the row at fault begins.
    #[error("line {line}: {message}")]
    Line { line: u64, message: String },
    /// What has no line: a file's columns, a row of a columnar file.
    #[error("{0}")]
    Invalid(String),
    /// What would take more memory than it may.
    #[error("{0}")]
    TooLarge(String),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn line(line: u64, message: impl Into<String>) -> Error {
        Error::Line { line, message: message.into() }
    }

    pub(crate) fn invalid(message: impl std::fmt::Display) -> Error {
        Error::Invalid(message.to_string())
    }
}

/// Calls a reader that is not ours on bytes that nobody vouches for. What is known to make it panic is checked before; a panic
/// all the same is an error, `malformed`, and what panicked is not used again.
pub(crate) fn caught<T>(malformed: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(Error::invalid(malformed)))
}
