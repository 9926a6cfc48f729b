//! Files that statements name. Where roots are set, a path must lie under one of them, links resolved.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{Error, Result, SqlOptions};

/// The formats of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    /// By the option `format`, or by the file's ending.
    pub(super) fn of(path: &str, option: Option<&str>) -> Result<Format> {
        let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match option.or(ending.as_deref()) {
            Some("parquet") => Ok(Format::Parquet),
            Some("csv") => Ok(Format::Csv),
            Some("json" | "jsonl" | "ndjson") => Ok(Format::Json),
            _ => Err(Error::Invalid {
                message: format!(
                    "the format of {path:?} is not known: let it end in .parquet, .csv, .json or .jsonl, or say WITH \
                     (format = 'parquet' | 'csv' | 'json')"
                ),
                position: None,
            }),
        }
    }
}

/// Opens a file to read.
pub(super) fn open(options: &SqlOptions, path: &str) -> Result<(File, PathBuf)> {
    let named = PathBuf::from(path);
    let resolved = named.canonicalize().map_err(|error| failed(&named, &error))?;
    check(options, &resolved)?;
    let file = File::open(&resolved).map_err(|error| failed(&resolved, &error))?;
    let metadata = file.metadata().map_err(|error| failed(&resolved, &error))?;
    if !metadata.is_file() {
        return Err(Error::File { path: resolved, message: "is not a regular file".to_owned() });
    }
    Ok((file, resolved))
}

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read(options: &SqlOptions, path: &str, limit: u64) -> Result<Vec<u8>> {
    let (file, resolved) = open(options, path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(&resolved, &error))?;
    match u64::try_from(bytes.len()).is_ok_and(|read| read <= limit) {
        true => Ok(bytes),
        false => Err(Error::File { path: resolved, message: format!("is larger than {limit} bytes") }),
    }
}

/// The path to write to; its directory must exist.
pub(super) fn target(options: &SqlOptions, path: &str) -> Result<PathBuf> {
    let named = PathBuf::from(path);
    let Some(name) = named.file_name() else {
        return Err(Error::File { path: named, message: "is not the name of a file".to_owned() });
    };
    let directory = named.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().map_err(|error| failed(directory, &error))?;
    check(options, &directory)?;
    let target = directory.join(name);
    if target.is_dir() {
        return Err(Error::File { path: target, message: "is a directory".to_owned() });
    }
    Ok(target)
}

/// The error of a file.
pub(super) fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::File { path: path.to_owned(), message: error.to_string() }
}

fn check(options: &SqlOptions, resolved: &Path) -> Result<()> {
    let Some(roots) = &options.file_roots else { return Ok(()) };
    let inside = |root: &PathBuf| root.canonicalize().is_ok_and(|root| resolved.starts_with(root));
    match roots.iter().any(inside) {
        true => Ok(()),
        false => Err(Error::FileNotAllowed { path: resolved.to_owned() }),
    }
}
