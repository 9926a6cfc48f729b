//! Files that statements name: their formats, and reading them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use millstream_formats::FileFormat;

use super::reach::Place;
use crate::{Error, Result, SqlOptions};

/// The formats of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    /// The file's format.
    pub(super) fn of_file(self) -> FileFormat {
        match self {
            Format::Parquet => FileFormat::Parquet,
            Format::Csv => FileFormat::Csv,
            Format::Json => FileFormat::Json,
        }
    }

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
    let place = Place::of_existing(options, path)?;
    let file = place.open()?;
    Ok((file, place.path().to_owned()))
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

/// The error of a file.
pub(super) fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::File { path: path.to_owned(), message: error.to_string() }
}
