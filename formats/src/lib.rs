//! Rows as text and files, both ways: CSV, JSON lines, Parquet, Arrow streams, and the parameters of statements.
//!
//! Every door, COPY, `import`, `produce` and `export` read and write with this room, so that one value has one form, and what
//! does not fit a column is an error that names line, column and value at every edge alike. The forms, and what becomes of
//! each pair of types, stand in `docs/types.md`.
//!
//! It knows no SQL text, no protocol and no connection.

mod bind;
mod column;
mod columns;
pub mod csv;
mod decoder;
mod error;
#[cfg(test)]
mod fuzz;
mod infer;
pub mod ipc;
pub mod json;
mod names;
pub mod parquet;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod sample;
mod text;
mod writer;

pub use bind::{Misfit, bind};
pub use columns::columns_named;
pub use decoder::{Batches, Decoder, Resolve, batches};
pub use error::{Error, Result};
pub use infer::{infer_csv, infer_json, table_type};
pub use names::{quoted, type_name, type_name_quoting};
pub use text::{plain, text};
pub use writer::{FileFormat, Writer};

/// Rows that a reader gathers before it gives them.
pub const BATCH_ROWS: usize = 8192;
