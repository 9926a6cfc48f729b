//! Rows on their way to readers: canonical chunks, the columns that a reader asks for, and what readers share.

mod chunk;
mod plain_columns;
mod projection;
mod shared_reads;

pub(crate) use chunk::{Chunk, ChunkRows};
pub use plain_columns::PlainColumns;
pub(crate) use projection::{Projection, append_ts_type, constant_append_ts};
pub(crate) use shared_reads::{SharedRead, SharedReads};
