//! Why a plugin is not built.

use std::io;
use std::path::{Path, PathBuf};

/// The result of building.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a plugin is not built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The project is not one, or says something that can't be.
    #[error("{}: {reason}", path.display())]
    Project {
        /// The file or directory at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A program is not there.
    #[error("{tool} is missing; {install}")]
    Missing {
        /// What it is called.
        tool: String,
        /// What to do.
        install: String,
    },
    /// A program ran and failed.
    #[error("{} is not built: {tool} failed{}", project.display(), output(text))]
    Failed {
        /// The project's directory.
        project: PathBuf,
        /// What it is called.
        tool: String,
        /// What it wrote.
        text: String,
    },
    /// The compiler's result can't become a component.
    #[error("{}: {reason}", path.display())]
    NotAGuest {
        /// The core module, or the project.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

fn output(text: &str) -> String {
    match text.trim_end() {
        "" => String::new(),
        text => format!(":\n{text}"),
    }
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }

    pub(crate) fn project(path: &Path, reason: impl Into<String>) -> Error {
        Error::Project { path: path.to_owned(), reason: reason.into() }
    }
}
