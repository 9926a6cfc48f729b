//! Files that rows are imported from and exported to: Parquet, CSV, JSON, Arrow streams.

mod source;
mod time_column;
mod write;

use std::path::Path;

use millstream_formats::FileFormat;

use crate::cli::Failure;
pub(crate) use source::{Source, Wanted};
pub(crate) use time_column::time_column;
pub(crate) use write::FileSink;

/// A file's format, known by the name's ending.
pub(crate) fn format_of(path: &Path) -> Result<FileFormat, Failure> {
    FileFormat::of(path).ok_or_else(|| {
        Failure::usage(format!(
            "{}: the name must end in .parquet, .csv, .jsonl (or .json) or .arrow, which says the format",
            path.display()
        ))
    })
}
