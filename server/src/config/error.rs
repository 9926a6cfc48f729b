//! What can be wrong with settings.

use std::fmt;
use std::path::PathBuf;

/// A setting that can't be used. The text says where it was given, what is wrong and what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown {kind} {name}; known are: {}", .known.join(", "))]
    Unknown { kind: &'static str, name: String, known: Vec<String> },
    #[error("{origin}: {message}")]
    Value { origin: Origin, message: String },
    #[error("{path}: {message}")]
    File { path: PathBuf, message: String },
    #[error("no data directory is given; say --data DIR, MILLSTREAM_DATA or data = \"DIR\" in the configuration file")]
    NoData,
    #[error("segment store: {0}")]
    SegmentStore(String),
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(String),
    Variable(String),
    Key { key: String, path: PathBuf },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => write!(f, "flag {flag}"),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
            Origin::Key { key, path } => write!(f, "key {key} of {}", path.display()),
        }
    }
}
