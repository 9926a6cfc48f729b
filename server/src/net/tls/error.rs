//! What keeps a server from having TLS.

use std::path::{Path, PathBuf};

/// Why there is no TLS as the settings ask for it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0}")]
    Settings(&'static str),
    #[error("{path} ({setting}): {message}")]
    File { path: PathBuf, setting: &'static str, message: String },
    #[error("a certificate can't be made in {dir}: {message}")]
    SelfSigned { dir: PathBuf, message: String },
    #[error("TLS can't be set up: {0}")]
    Library(String),
}

impl TlsError {
    pub(super) fn file(path: &Path, setting: &'static str, message: impl std::fmt::Display) -> TlsError {
        TlsError::File { path: path.to_owned(), setting, message: message.to_string() }
    }

    pub(super) fn library(error: impl std::fmt::Display) -> TlsError {
        TlsError::Library(error.to_string())
    }
}
