//! What can go wrong with a statement.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::sql::sqlparser::tokenizer::Span;
use millstream_engine::{ErrorKind, FailureKind, OperatorError};

/// The SQL room's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a statement's text; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl Position {
    /// Where a piece of the syntax tree begins; `None` for pieces without a place.
    pub(crate) fn of(span: Span) -> Option<Position> {
        (span.start.line > 0).then_some(Position { line: span.start.line, column: span.start.column })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// An error of a statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The text is not a statement.
    #[error("syntax error at {position}: {message}")]
    Syntax { message: String, position: Position },
    /// The statement is understood and refused, with the clause that is at fault.
    #[error("{message}{}", at(.position))]
    Unsupported { message: String, position: Option<Position> },
    /// The statement is well formed and wrong: an unknown column, a type that does not fit, an option out of range.
    #[error("{message}{}", at(.position))]
    Invalid { message: String, position: Option<Position> },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] millstream_engine::Error),
    /// A plugin or an expression failed on the rows it was given.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// An expression failed on a row (a cast, a division by zero).
    #[error("{0}")]
    Execution(String),
    /// The queries' memory limit is reached.
    #[error("the query needs more memory than the limit of {limit} bytes allows: {message}")]
    Memory { limit: usize, message: String },
    /// The statement was ended because it took longer than it may.
    #[error(
        "the statement took longer than the {limit_ms} ms that it may (statement_timeout_ms, or less that the client asked \
         for) and was ended; what it has written stays"
    )]
    TooLong { limit_ms: u64 },
    /// Rows were appended in several pieces, and one was refused; the ones before it stay. Pieces that were under way may
    /// have been appended too.
    #[error("{source}; at least {rows} rows were appended before")]
    Partial { rows: u64, source: Box<Error> },
    /// A file of COPY or CREATE PLUGIN.
    #[error("{path}: {message}")]
    File { path: PathBuf, message: String },
    /// A file outside the directories that are allowed.
    #[error("{path} is outside the directories that files may be read from and written to: {}", allowed(.roots))]
    FileNotAllowed { path: PathBuf, roots: Vec<PathBuf> },
    /// A file among the server's own.
    #[error("{path} lies in a directory of the server itself, which statements do not reach")]
    FileOfServer { path: PathBuf },
    /// A file that was to be made is there.
    #[error("{path} is there already; WITH (overwrite = true) replaces it")]
    FileExists { path: PathBuf },
    /// A defect in Millstream.
    #[error("internal error: {0}")]
    Internal(String),
}

fn at(position: &Option<Position>) -> String {
    position.map(|position| format!(" (at {position})")).unwrap_or_default()
}

fn allowed(roots: &[PathBuf]) -> String {
    let names: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
    match names.is_empty() {
        true => {
            "the server's setting file_roots names none. Files of your own machine need no setting: millstream import, \
                 export and plugin load read and write them there"
                .to_owned()
        }
        false => format!("the server's setting file_roots names {}", names.join(", ")),
    }
}

impl Error {
    /// What the caller must do; doors map it to their protocols.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Syntax { .. } | Error::Invalid { .. } | Error::Execution(_) | Error::File { .. } => {
                ErrorKind::InvalidInput
            }
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Engine(error) => error.kind(),
            Error::Operator(error) => match error.kind {
                FailureKind::Host => ErrorKind::Internal,
                FailureKind::Data => ErrorKind::InvalidInput,
                _ => ErrorKind::FailedPrecondition,
            },
            Error::Memory { .. } | Error::TooLong { .. } => ErrorKind::ResourceExhausted,
            Error::Partial { source, .. } => source.kind(),
            Error::FileNotAllowed { .. } | Error::FileOfServer { .. } => ErrorKind::PermissionDenied,
            Error::FileExists { .. } => ErrorKind::AlreadyExists,
            Error::Internal(_) => ErrorKind::Internal,
        }
    }

    /// After how long it may be tried again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Engine(error) => error.retry_after(),
            Error::Partial { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Where in the statement, if that is known.
    pub fn position(&self) -> Option<Position> {
        match self {
            Error::Syntax { position, .. } => Some(*position),
            Error::Unsupported { position, .. } | Error::Invalid { position, .. } => *position,
            _ => None,
        }
    }
}
