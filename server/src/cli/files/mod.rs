//! Files that rows are imported from and exported to: Parquet, CSV, JSON, Arrow streams.

mod ending;
mod source;
mod time_column;
mod write;

pub(crate) use ending::format_of;
pub(crate) use source::{Source, Wanted};
pub(crate) use time_column::time_column;
pub(crate) use write::FileSink;
