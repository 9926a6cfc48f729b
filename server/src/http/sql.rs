//! `POST /v1/sql`: one statement in, rows out as JSON lines or as an Arrow stream.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::writer::StreamWriter;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use millstream_engine::Principal;
use millstream_sql::{BatchStream, Outcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::HttpDoor;
use super::error::{HttpError, Kind};
use super::request::{SqlRequest, parameters};
use crate::Door;
use crate::format::json;

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
const JSON_LINES: &str = "application/x-ndjson";
/// Encoded pieces that may wait for a slow reader.
const PIECES_AHEAD: usize = 2;
/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a piece of an answer may wait for its reader.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_NAMESPACE: &str = "public";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    ArrowStream,
}

/// Executes one statement. Rows that were sent before an error are followed by the end of the connection without the last
/// chunk, which every client reports as a broken answer.
pub(crate) async fn execute(State(http): State<Arc<HttpDoor>>, request: Request) -> Result<Response, HttpError> {
    let door = http.rooms()?.clone();
    let headers = request.headers().clone();
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
    let request = SqlRequest::read(&headers, &body)?;
    let queries = door.queries.clone();
    // The task ends with its request: it is aborted when this future is dropped.
    let task = AbortOnDrop(queries.spawn(run(door, request, format)));
    task.join().await
}

struct AbortOnDrop(tokio::task::JoinHandle<Result<Response, HttpError>>);

impl AbortOnDrop {
    async fn join(mut self) -> Result<Response, HttpError> {
        (&mut self.0).await.unwrap_or_else(|error| {
            Err(HttpError::new(Kind::Engine(millstream_engine::ErrorKind::Internal), error.to_string()))
        })
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

async fn run(door: Door, request: SqlRequest, format: Format) -> Result<Response, HttpError> {
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
            let (send, receive) = mpsc::channel(PIECES_AHEAD);
            door.queries.spawn(encode(format, schema, first, stream, send));
            let content_type = match format {
                Format::JsonLines => JSON_LINES,
                Format::ArrowStream => ARROW_STREAM,
            };
            let headers: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, content_type)];
            Ok((headers, Body::from_stream(ReceiverStream::new(receive))).into_response())
        }
    }
}

type Piece = Result<Bytes, std::io::Error>;

/// Encodes batch by batch; ends when the client has gone.
async fn encode(
    format: Format,
    schema: SchemaRef,
    first: Option<RecordBatch>,
    mut stream: BatchStream,
    send: mpsc::Sender<Piece>,
) {
    let mut encoder = match Encoder::new(format, &schema) {
        Ok(encoder) => encoder,
        Err(error) => return drop(send.send(Err(error)).await),
    };
    let mut next = first.map(Ok);
    while let Some(batch) = next {
        let piece = match batch {
            Ok(batch) => encoder.encode(&batch),
            Err(error) => {
                tracing::warn!(%error, "a query failed after its first rows were sent");
                Err(std::io::Error::other(error))
            }
        };
        let failed = piece.is_err();
        if send.send_timeout(piece, READ_TIMEOUT).await.is_err() || failed {
            return;
        }
        next = tokio::select! {
            () = send.closed() => return,
            next = stream.next() => next,
        };
    }
    let _ = send.send(encoder.finish()).await;
}

enum Encoder {
    JsonLines,
    ArrowStream(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    fn new(format: Format, schema: &SchemaRef) -> Result<Encoder, std::io::Error> {
        Ok(match format {
            Format::JsonLines => Encoder::JsonLines,
            Format::ArrowStream => {
                let writer = StreamWriter::try_new(Vec::new(), schema).map_err(std::io::Error::other)?;
                Encoder::ArrowStream(Box::new(writer))
            }
        })
    }

    fn encode(&mut self, batch: &RecordBatch) -> Piece {
        match self {
            Encoder::JsonLines => {
                let mut out = Vec::new();
                json::write_rows(&mut out, batch);
                Ok(out.into())
            }
            Encoder::ArrowStream(writer) => {
                writer.write(batch).map_err(std::io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
        }
    }

    fn finish(self) -> Piece {
        match self {
            Encoder::JsonLines => Ok(Bytes::new()),
            Encoder::ArrowStream(mut writer) => {
                writer.finish().map_err(std::io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
        }
    }
}
