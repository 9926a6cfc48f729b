//! Reads the body of `POST /v1/sql`: a statement, or JSON with a statement and parameters.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use axum::http::{HeaderMap, header};
use millstream_formats::json::{Json, array_of};

use super::error::HttpError;

/// What to execute. It refers to the body: parameters keep the digits that they are written with.
#[derive(Debug, PartialEq)]
pub(crate) struct SqlRequest<'a> {
    pub(crate) sql: String,
    /// Values of `$1`, `$2`, …
    pub(crate) parameters: Vec<Json<'a>>,
    /// What unqualified names are looked up in.
    pub(crate) namespace: Option<String>,
}

impl<'a> SqlRequest<'a> {
    /// No statement begins with a brace, so a body that does is JSON whatever its type says.
    pub(crate) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<SqlRequest<'a>, HttpError> {
        let text =
            std::str::from_utf8(body).map_err(|error| HttpError::invalid(format!("the body is not UTF-8: {error}")))?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = if content_type.starts_with("application/json") || text.trim_start().starts_with('{') {
            SqlRequest::parse(text)
                .map_err(|reason| HttpError::invalid(format!("the body is not a request: {reason}")))?
        } else {
            SqlRequest { sql: text.to_owned(), parameters: Vec::new(), namespace: None }
        };
        if request.sql.trim().is_empty() {
            return Err(HttpError::invalid("the body holds no statement"));
        }
        Ok(request)
    }

    fn parse(text: &'a str) -> Result<SqlRequest<'a>, String> {
        let Json::Object(members) = Json::parse(text)? else { return Err("it is no JSON object".to_owned()) };
        let (mut sql, mut parameters, mut namespace) = (None, None, None);
        for (name, value) in members {
            let twice = match (name.as_ref(), value) {
                ("sql", Json::String(text)) => sql.replace(text.into_owned()).is_some(),
                ("parameters", Json::Array(values)) => parameters.replace(values).is_some(),
                ("namespace", Json::String(text)) => namespace.replace(text.into_owned()).is_some(),
                ("namespace", Json::Null) => false,
                ("sql" | "namespace", _) => return Err(format!("{name} is a text")),
                ("parameters", _) => return Err("parameters are an array".to_owned()),
                (other, _) => return Err(format!("unknown field {other:?}; there are sql, parameters and namespace")),
            };
            if twice {
                return Err(format!("{name} is there twice"));
            }
        }
        let sql = sql.ok_or("sql is missing")?;
        Ok(SqlRequest { sql, parameters: parameters.unwrap_or_default(), namespace })
    }
}

/// One row of parameters with the types that the statement asks for.
pub(crate) fn parameters(values: &[Json<'_>], wanted: &SchemaRef) -> Result<Option<RecordBatch>, HttpError> {
    if values.len() != wanted.fields().len() {
        let (given, wanted) = (values.len(), wanted.fields().len());
        return Err(HttpError::invalid(format!("the statement takes {wanted} parameters, and {given} are given")));
    }
    if values.is_empty() {
        return Ok(None);
    }
    let mut fields = Vec::with_capacity(values.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(values.len());
    for (index, (field, value)) in wanted.fields().iter().zip(values).enumerate() {
        let unreadable = |reason: String| HttpError::invalid(format!("parameter ${}: {reason}", index + 1));
        let data_type = type_for(field.data_type(), value);
        columns.push(match data_type {
            DataType::Null => Arc::new(arrow::array::NullArray::new(1)),
            _ => array_of(value, &data_type).map_err(unreadable)?,
        });
        fields.push(Field::new(index.to_string(), data_type, true));
    }
    let row = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    row.map(Some).map_err(|error| HttpError::invalid(format!("parameters: {error}")))
}

/// The type of a parameter; where any will do, or one that no table holds, the one that JSON shows.
fn type_for(wanted: &DataType, value: &Json<'_>) -> DataType {
    if millstream_engine::stored_type(wanted).as_ref() == Ok(wanted) {
        return wanted.clone();
    }
    match value {
        Json::Null | Json::Array(_) | Json::Object(_) => DataType::Null,
        Json::Bool(_) => DataType::Boolean,
        Json::Number(number) if number.parse::<i64>().is_ok() => DataType::Int64,
        Json::Number(number) if number.parse::<u64>().is_ok() => DataType::UInt64,
        Json::Number(_) => DataType::Float64,
        Json::String(_) => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};

    use super::*;

    fn read(content_type: &str, body: &'static str) -> Result<SqlRequest<'static>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        SqlRequest::read(&headers, body.as_bytes()).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_body_is_a_statement_or_json() {
        assert_eq!(read("text/plain", "SELECT 1").unwrap().sql, "SELECT 1");
        let request = read("application/json", r#"{"sql": "SELECT $1", "parameters": [1]}"#).unwrap();
        assert_eq!((request.sql.as_str(), request.parameters.len()), ("SELECT $1", 1));
        assert_eq!(read("text/plain", r#" {"sql": "SELECT 1"}"#).unwrap().sql, "SELECT 1");
        for (wrong, why) in [
            ("SELECT 1", "malformed JSON"),
            (r#"{"sql": "SELECT 1", "params": []}"#, "unknown field"),
            (r#"{"sql": 1}"#, "sql is a text"),
            (r#"{"parameters": []}"#, "sql is missing"),
            (r#"{"sql": "SELECT 1", "sql": "SELECT 2"}"#, "sql is there twice"),
        ] {
            let refused = read("application/json", wrong).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(read("text/plain", "  ").unwrap_err().contains("no statement"));
    }

    #[test]
    fn parameters_take_the_wanted_types() {
        let wanted = Arc::new(Schema::new(vec![
            Field::new("1", DataType::Float64, true),
            Field::new("2", DataType::Null, true),
            Field::new("3", DataType::Utf8, true),
            Field::new("4", DataType::Decimal128(22, 2), true),
        ]));
        let row = |texts: [&'static str; 4]| {
            let values: Vec<Json<'static>> = texts.map(|text| Json::parse(text).unwrap()).into();
            parameters(&values, &wanted).map(Option::unwrap).map_err(|error| format!("{error:?}"))
        };
        let taken = row(["1", "2", "null", "12345678901234567.89"]).unwrap();
        assert_eq!(taken.column(0).as_primitive::<Float64Type>().value(0), 1.0);
        assert_eq!(taken.column(1).as_primitive::<Int64Type>().value(0), 2);
        assert_eq!(taken.column(2).null_count(), 1);
        assert_eq!(taken.column(3).as_primitive::<Decimal128Type>().value(0), 1_234_567_890_123_456_789);
        assert!(parameters(&[Json::Null], &wanted).is_err());
        let refused = row(["\"x\"", "2", "null", "1"]).unwrap_err();
        assert!(refused.contains("parameter $1: \\\"x\\\" is no DOUBLE"), "{refused}");
    }
}
