//! `POST /v1/sql`: one statement in, rows out as JSON lines or as an Arrow stream.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use millstream_engine::{ErrorKind, Principal};
use millstream_sql::Outcome;

use super::HttpDoor;
use super::answer::{Answer, Format};
use super::error::{HttpError, Kind};
use super::request::{SqlRequest, parameters};
use crate::Door;

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
const JSON_LINES: &str = "application/x-ndjson";
/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a piece of an answer may wait for its reader.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The most that a client of HTTP/1.0 gets, which can't be told where an answer of unknown length ends.
const WHOLE_ANSWER_BYTES: usize = 4 << 20;
const DEFAULT_NAMESPACE: &str = "public";

/// Executes one statement. Rows that were sent before an error are followed by the end of the connection without the last
/// chunk, which every client reports as a broken answer.
pub(crate) async fn execute(State(http): State<Arc<HttpDoor>>, request: Request) -> Result<Response, HttpError> {
    let door = http.rooms()?.clone();
    let (headers, version) = (request.headers().clone(), request.version());
    let format = accepted(&headers)?;
    // A body that stops coming must not hold its connection for ever.
    let body = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| HttpError::new(Kind::Timeout, "the body did not come in time"))?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => HttpError::new(
            Kind::BodyTooLarge,
            format!("the body has more than {} bytes (http_body_limit_bytes)", http.body_limit_bytes),
        ),
        _ => HttpError::invalid(rejection.body_text()),
    })?;
    let queries = door.queries.clone();
    // The task ends with its request: it is aborted when this future is dropped.
    let task = AbortOnDrop(queries.spawn(run(door, headers, body, format, version)));
    task.join().await
}

struct AbortOnDrop(tokio::task::JoinHandle<Result<Response, HttpError>>);

impl AbortOnDrop {
    async fn join(mut self) -> Result<Response, HttpError> {
        (&mut self.0)
            .await
            .unwrap_or_else(|error| Err(HttpError::new(Kind::Engine(ErrorKind::Internal), error.to_string())))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn accepted(headers: &HeaderMap) -> Result<Format, HttpError> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Ok(Format::JsonLines);
    };
    for range in accept.split(',') {
        match range.split(';').next().unwrap_or_default().trim() {
            ARROW_STREAM => return Ok(Format::ArrowStream),
            JSON_LINES | "application/jsonl" | "application/json" | "application/*" | "*/*" => {
                return Ok(Format::JsonLines);
            }
            _ => {}
        }
    }
    Err(HttpError::new(Kind::NotAcceptable, format!("answers are {JSON_LINES} or {ARROW_STREAM}")))
}

async fn run(
    door: Door,
    headers: HeaderMap,
    body: Bytes,
    format: Format,
    version: Version,
) -> Result<Response, HttpError> {
    let request = SqlRequest::read(&headers, &body)?;
    let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let session = door.sql.session(Principal::anonymous(), namespace);
    let prepared = session.prepare(&request.sql).await?;
    let row = parameters(&request.parameters, &prepared.parameter_schema)?;
    match prepared.execute(row).await? {
        Outcome::Done { rows, message } => {
            Ok(axum::Json(serde_json::json!({ "rows": rows, "message": message })).into_response())
        }
        Outcome::Rows { schema, mut stream } => {
            // Most statements that fail do so before their first rows, and are then answered with a status.
            let first = stream.next().await.transpose()?;
            let rows = futures::stream::iter(first.map(Ok)).chain(stream).boxed();
            let answer = Answer::start(&door.queries, format, schema, rows, READ_TIMEOUT);
            let content_type = match format {
                Format::JsonLines => JSON_LINES,
                Format::ArrowStream => ARROW_STREAM,
            };
            let headers: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, content_type)];
            let body = match version {
                Version::HTTP_10 => Body::from(whole(answer).await?),
                _ => Body::from_stream(answer),
            };
            Ok((headers, body).into_response())
        }
    }
}

/// HTTP/1.0 has no chunks: the end of the connection would be the end of the rows, wherever it came. So the length is said.
async fn whole(answer: Answer) -> Result<Bytes, HttpError> {
    let failed = |error: std::io::Error| HttpError::new(Kind::Engine(ErrorKind::Internal), error.to_string());
    answer.whole(WHOLE_ANSWER_BYTES).await.map_err(failed)?.ok_or_else(|| {
        let message =
            format!("the answer has more than {WHOLE_ANSWER_BYTES} bytes, the most over HTTP/1.0; ask by HTTP/1.1");
        HttpError::new(Kind::Engine(ErrorKind::ResourceExhausted), message)
    })
}
