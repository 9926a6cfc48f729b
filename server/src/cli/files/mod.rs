//! Files that rows are imported from and exported to: Parquet, CSV, JSON lines.

mod source;
mod time_column;
mod write;

use std::path::Path;

use crate::cli::Failure;
pub(crate) use source::Source;
pub(crate) use time_column::time_column;
pub(crate) use write::FileSink;

/// Rows in one batch.
pub(crate) const BATCH_ROWS: usize = 8192;

/// A file format, known by the name's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Parquet,
    Csv,
    JsonLines,
    Arrow,
}

impl FileFormat {
    pub(crate) fn of(path: &Path) -> Result<FileFormat, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "parquet" => Ok(FileFormat::Parquet),
            "csv" => Ok(FileFormat::Csv),
            "jsonl" | "ndjson" => Ok(FileFormat::JsonLines),
            "arrow" | "arrows" => Ok(FileFormat::Arrow),
            _ => Err(Failure::usage(format!(
                "{}: the name must end in .parquet, .csv, .jsonl or .arrow, which says the format",
                path.display()
            ))),
        }
    }
}
