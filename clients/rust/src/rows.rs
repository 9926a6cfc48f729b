//! Typed rows by serde.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_json::ReaderBuilder;
use arrow_json::writer::{JsonArray, WriterBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Rows of your type as a batch of this schema: fields by name, a missing one is null, one that the schema lacks is an error.
pub fn encode<T: Serialize>(schema: SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    let invalid = |error: arrow::error::ArrowError| Error::InvalidInput(format!("rows don't fit the schema: {error}"));
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(rows.len().max(1)).with_strict_mode(true);
    let mut decoder = reader.build_decoder().map_err(invalid)?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_whose_fields_differ_are_not_cut() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Int64, true),
            Field::new("s", DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into()), true),
        ]));
        let batch = encode(schema.clone(), &[json!({"a": 1}), json!({"a": 2, "b": 3, "s": {"x": 4}})]).unwrap();
        let rows: Vec<serde_json::Value> = decode(&batch).unwrap();
        assert_eq!(rows[1], json!({"a": 2, "b": 3, "s": {"x": 4}}));
        for unknown in [json!({"a": 1, "c": 2}), json!({"s": {"x": 1, "y": 2}})] {
            assert!(encode(schema.clone(), &[json!({"a": 1}), unknown.clone()]).is_err(), "{unknown} was cut");
        }
    }
}
