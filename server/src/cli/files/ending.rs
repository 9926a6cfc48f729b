//! Names of files, which say their formats.

use std::path::Path;

use millstream_formats::FileFormat;

use crate::cli::exit::Failure;

/// A file's format, known by the name's ending.
pub(crate) fn format_of(path: &Path) -> Result<FileFormat, Failure> {
    FileFormat::of(path).ok_or_else(|| {
        Failure::usage(format!(
            "{}: the name must end in .parquet, .csv, .jsonl (or .json) or .arrow, which says the format",
            path.display()
        ))
    })
}
