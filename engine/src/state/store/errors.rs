//! Errors of the state store, and panics of the LSM as such.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::model::{Error, Result};
use crate::platform::panic_text;

/// The LSM asserts some of what it reads: damage in those places is an error here as well.
pub(in crate::state) fn contained<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(damaged(path, panic_text(panic.as_ref()).lines().collect::<Vec<_>>().join(" "))))
}

pub(in crate::state) fn store_error(path: &Path, error: &fjall::Error) -> Error {
    match error {
        fjall::Error::Locked => {
            Error::FailedPrecondition(format!("{} is open in another engine; close that first", path.display()))
        }
        fjall::Error::Io(error) => Error::Io { path: path.to_owned(), message: error.to_string() },
        fjall::Error::Poisoned => {
            Error::Io { path: path.to_owned(), message: "the state store refuses writes after a failed one".to_owned() }
        }
        other => Error::Corrupt { path: path.to_owned(), position: 0, message: format!("state store: {other}") },
    }
}

/// An entry that can't be read back.
pub(in crate::state) fn damaged(path: &Path, what: impl fmt::Display) -> Error {
    Error::Corrupt { path: path.to_owned(), position: 0, message: format!("state store: {what}") }
}
