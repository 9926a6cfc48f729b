//! Mutated requests: what the door reads of a request before a statement is executed, an answer or an error.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};
use millstream_protocol::STATEMENT_TIMEOUT_METADATA;

use super::gate::Gate;
use super::request::{SqlRequest, parameters};
use super::sql::accepted;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::fuzz::fuzz;

const HEAD_PIECES: &[&str] = &[
    "\n",
    ":",
    ",",
    ";",
    "[",
    "]",
    "@",
    "%00",
    "//",
    "host: evil.example\n",
    "origin: null\n",
    "authorization: Basic Og==\n",
    "18446744073709551616",
    "-1",
    "é",
    "\u{0}",
];
const BODY_PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "true",
    "-1e999",
    "9223372036854775808",
    "0.00000000000000000000000000000000000000000001",
    "\"sql\":1,",
    "é",
    "\u{feff}",
];

/// A request's first line and headers, as far as they can be told apart.
fn head(bytes: &[u8]) -> Option<(Uri, HeaderMap)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let name = HeaderName::from_bytes(name.trim_ascii());
        let value = HeaderValue::from_bytes(value.strip_prefix(b":").unwrap_or(value).trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    Some((uri, headers))
}

#[test]
fn mutated_heads_are_admitted_or_refused() {
    let config = Config { http_hosts: vec!["mill.example".to_owned()], ..Config::new("/d") };
    let gate = Gate::new(&config);
    let sample = format!(
        "http://mill.example:8080/v1/sql?a=1%20b\nhost: mill.example:8080\norigin: http://mill.example:8080\nreferer: \
         http://mill.example:8080/x\nsec-fetch-site: same-origin\naccept: text/html;q=0.9, application/x-ndjson\n\
         content-type: application/json\n{STATEMENT_TIMEOUT_METADATA}: 1500\n"
    );
    fuzz(sample.as_bytes(), HEAD_PIECES, |bytes| {
        let Some((uri, headers)) = head(bytes) else { return false };
        let asked = headers.get(STATEMENT_TIMEOUT_METADATA).map(|value| value.as_bytes());
        let deadline = Deadline::new(config.statement_timeout, asked);
        let admitted = [Version::HTTP_10, Version::HTTP_11].map(|version| gate.admits(version, &uri, &headers));
        let read = SqlRequest::read(&headers, b" {\"sql\": \"SELECT 1\"}");
        accepted(&headers).is_ok() & deadline.is_ok() & admitted.iter().all(Result::is_ok) & read.is_ok()
    });
}

#[test]
fn mutated_bodies_are_statements_with_parameters_or_an_error() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    let record = DataType::Struct(vec![Field::new("x", DataType::Utf8, true)].into());
    let types = [
        DataType::Int64,
        DataType::Float64,
        DataType::Decimal128(20, 2),
        DataType::Utf8,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Binary,
        DataType::Null,
        list,
        record,
    ];
    let fields =
        types.into_iter().enumerate().map(|(number, data_type)| Field::new((number + 1).to_string(), data_type, true));
    let wanted = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let sample = r#"{"sql": "SELECT $1", "namespace": "public", "parameters":
        [-7, 1.5e3, "12.50", "grün \u00fc\ud83d\ude00", "2024-07-01T18:00:30Z", "aGk=", {"a": [true, null]}, [1, null], {"x": "y"}]}"#;
    let headers = HeaderMap::new();
    fuzz(sample.as_bytes(), BODY_PIECES, |bytes| match SqlRequest::read(&headers, bytes) {
        Ok(request) => parameters(&request.parameters, &wanted).is_ok_and(|row| row.is_some()),
        Err(_) => false,
    });
}
