//! Typed rows by serde.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, SchemaRef};
use arrow_json::ReaderBuilder;
use arrow_json::writer::{JsonArray, WriterBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Rows of your type as a batch of this schema: fields by name, a missing one is null, one that the schema lacks is an error, and
/// so is a fraction for an integer.
pub fn encode<T: Serialize>(schema: SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    refuse_fractions(schema.fields(), rows)?;
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

/// Arrow cuts fractions off, at any depth.
fn refuse_fractions<T: Serialize>(fields: &Fields, rows: &[T]) -> Result<()> {
    if !fields.iter().any(|field| holds_integers(field.data_type())) {
        return Ok(());
    }
    for (row, value) in rows.iter().enumerate() {
        // What is no JSON at all is told by the decoder.
        let Ok(Value::Object(members)) = serde_json::to_value(value) else { continue };
        for field in fields {
            if let Some(number) = members.get(field.name()).and_then(|value| fraction(value, field.data_type())) {
                let (name, data_type) = (field.name(), field.data_type());
                let message = format!("row {row}, column {name:?}: {number} does not fit {data_type}");
                return Err(Error::InvalidInput(message));
            }
        }
    }
    Ok(())
}

fn holds_integers(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::Map(item, _) => holds_integers(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_integers(field.data_type())),
        other => other.is_integer(),
    }
}

/// The first number with a fraction where an integer is wanted.
fn fraction(value: &Value, data_type: &DataType) -> Option<f64> {
    match (value, data_type) {
        (Value::Number(number), data_type) if data_type.is_integer() => {
            number.as_f64().filter(|number| number.fract() != 0.0)
        }
        (Value::Array(items), DataType::List(item)) => items.iter().find_map(|value| fraction(value, item.data_type())),
        (Value::Object(members), DataType::Struct(fields)) => {
            fields.iter().find_map(|field| fraction(members.get(field.name())?, field.data_type()))
        }
        (Value::Object(members), DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(pair) => {
                let values = pair.get(1)?.data_type();
                members.values().find_map(|value| fraction(value, values))
            }
            _ => None,
        },
        _ => None,
    }
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

    #[test]
    fn fractions_are_not_cut() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
            Field::new("l", list, true),
            Field::new("s", DataType::Struct(vec![Field::new("x", DataType::UInt8, true)].into()), true),
        ]));
        let whole = json!({"a": 1.0, "f": 1.5, "l": [1, 2.0], "s": {"x": 3}});
        assert_eq!(encode(schema.clone(), &[whole]).unwrap().num_rows(), 1);
        for cut in [json!({"a": 1.5}), json!({"l": [1, 2.5]}), json!({"s": {"x": 0.5}})] {
            let error = encode(schema.clone(), &[json!({"a": 1}), cut.clone()]).unwrap_err().to_string();
            assert!(error.contains("row 1, column ") && error.contains(".5 does not fit"), "{cut}: {error}");
        }
    }
}
