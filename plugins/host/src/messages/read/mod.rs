//! What guests answer, read as the untrusted input that it is: IPC messages -> Arrow, every length, offset, count and text
//! checked before an array is made of it.

mod columns;
mod frame;
mod schema;
#[cfg(test)]
mod tests;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

pub(crate) use schema::read_schema;

/// A record batch of `schema`, whose types are flat. An error says what is wrong with the message.
pub(crate) fn read_batch(schema: &SchemaRef, message: Vec<u8>) -> Result<RecordBatch, String> {
    let (metadata, body) = frame::open(message)?;
    let header = frame::record_batch(&metadata, body.len())?;
    let rows = usize::try_from(header.length()).map_err(|_| format!("it has {} rows", header.length()))?;
    let columns = columns::columns(schema, &header, &body, rows)?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| e.to_string())
}
