//! Rows on their way to readers: canonical chunks, and the columns that a reader asks for.

mod chunk;
mod plain_columns;
mod projection;

pub(crate) use chunk::{Chunk, ChunkRows};
pub use plain_columns::PlainColumns;
pub(crate) use projection::{Projection, append_ts_type, constant_append_ts};
