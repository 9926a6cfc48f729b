//! Errors of files, by the engine's name.

use std::path::PathBuf;

use crate::model::Error;

/// An I/O error with the path it concerns.
pub(super) fn io_error(path: impl Into<PathBuf>, error: &dyn std::fmt::Display) -> Error {
    Error::Io { path: path.into(), message: error.to_string() }
}
