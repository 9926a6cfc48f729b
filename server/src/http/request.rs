//! Reads the body of `POST /v1/sql`: a statement, or JSON with a statement and parameters.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

use super::error::HttpError;

/// What to execute.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    pub(crate) sql: String,
    /// Values of `$1`, `$2`, …
    #[serde(default)]
    pub(crate) parameters: Vec<Value>,
    /// What unqualified names are looked up in.
    pub(crate) namespace: Option<String>,
}

impl SqlRequest {
    /// No statement begins with a brace, so a body that does is JSON whatever its type says.
    pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<SqlRequest, HttpError> {
        let text =
            std::str::from_utf8(body).map_err(|error| HttpError::invalid(format!("the body is not UTF-8: {error}")))?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = if content_type.starts_with("application/json") || text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| HttpError::invalid(format!("the body is not a request: {error}")))?
        } else {
            SqlRequest { sql: text.to_owned(), parameters: Vec::new(), namespace: None }
        };
        if request.sql.trim().is_empty() {
            return Err(HttpError::invalid("the body holds no statement"));
        }
        Ok(request)
    }
}

/// One row of parameters with the types that the statement asks for.
pub(crate) fn parameters(values: &[Value], wanted: &SchemaRef) -> Result<Option<RecordBatch>, HttpError> {
    if values.len() != wanted.fields().len() {
        let (given, wanted) = (values.len(), wanted.fields().len());
        return Err(HttpError::invalid(format!("the statement takes {wanted} parameters, and {given} are given")));
    }
    if values.is_empty() {
        return Ok(None);
    }
    let fields: Vec<Field> = wanted
        .fields()
        .iter()
        .zip(values)
        .enumerate()
        .map(|(index, (field, value))| Field::new(index.to_string(), type_for(field.data_type(), value), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let row: serde_json::Map<String, Value> =
        values.iter().enumerate().map(|(index, value)| (index.to_string(), value.clone())).collect();
    let unreadable = |error: arrow::error::ArrowError| HttpError::invalid(format!("parameters: {error}"));
    let mut decoder = arrow_json::ReaderBuilder::new(schema).build_decoder().map_err(unreadable)?;
    decoder.serialize(&[row]).map_err(unreadable)?;
    decoder.flush().map_err(unreadable)
}

/// The type of a parameter; where any will do, the one that JSON shows.
fn type_for(wanted: &DataType, value: &Value) -> DataType {
    match (wanted, value) {
        (DataType::Null, Value::Bool(_)) => DataType::Boolean,
        (DataType::Null, Value::Number(number)) if number.is_i64() => DataType::Int64,
        (DataType::Null, Value::Number(number)) if number.is_u64() => DataType::UInt64,
        (DataType::Null, Value::Number(_)) => DataType::Float64,
        (DataType::Null, Value::String(_)) => DataType::Utf8,
        (wanted, _) => wanted.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int64Type};

    use super::*;

    fn read(content_type: &str, body: &'static str) -> Result<SqlRequest, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        SqlRequest::read(&headers, &Bytes::from_static(body.as_bytes())).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_body_is_a_statement_or_json() {
        assert_eq!(read("text/plain", "SELECT 1").unwrap().sql, "SELECT 1");
        let request = read("application/json", r#"{"sql": "SELECT $1", "parameters": [1]}"#).unwrap();
        assert_eq!((request.sql.as_str(), request.parameters.len()), ("SELECT $1", 1));
        assert_eq!(read("text/plain", r#" {"sql": "SELECT 1"}"#).unwrap().sql, "SELECT 1");
        assert!(read("application/json", "SELECT 1").is_err());
        assert!(
            read("application/json", r#"{"sql": "SELECT 1", "params": []}"#).unwrap_err().contains("unknown field")
        );
        assert!(read("text/plain", "  ").unwrap_err().contains("no statement"));
    }

    #[test]
    fn parameters_take_the_wanted_types() {
        let wanted = Arc::new(Schema::new(vec![
            Field::new("$1", DataType::Float64, true),
            Field::new("$2", DataType::Null, true),
            Field::new("$3", DataType::Utf8, true),
        ]));
        let row = parameters(&[1.into(), 2.into(), Value::Null], &wanted).unwrap().unwrap();
        assert_eq!(row.column(0).as_primitive::<Float64Type>().value(0), 1.0);
        assert_eq!(row.column(1).as_primitive::<Int64Type>().value(0), 2);
        assert_eq!(row.column(2).null_count(), 1);
        assert!(parameters(&[1.into()], &wanted).is_err());
        assert!(parameters(&["x".into(), 2.into(), Value::Null], &wanted).is_err());
    }
}
