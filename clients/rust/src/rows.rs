//! Typed rows by serde.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_json::ReaderBuilder;
use arrow_json::writer::{JsonArray, WriterBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Rows of your type as a batch of this schema: fields by name, a missing one is null.
pub fn encode<T: Serialize>(schema: SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    let invalid = |error: arrow::error::ArrowError| Error::InvalidInput(format!("rows don't fit the schema: {error}"));
    let mut decoder =
        ReaderBuilder::new(schema.clone()).with_batch_size(rows.len().max(1)).build_decoder().map_err(invalid)?;
    decoder.serialize(rows).map_err(invalid)?;
    Ok(decoder.flush().map_err(invalid)?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

/// A batch as rows of your type: fields by name; times come as RFC 3339 text.
pub fn decode<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    let invalid = |error: String| Error::InvalidInput(format!("the batch's rows don't fit the type: {error}"));
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    writer.write(batch).map_err(|error| invalid(error.to_string()))?;
    writer.finish().map_err(|error| invalid(error.to_string()))?;
    let text = writer.into_inner();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))
}
