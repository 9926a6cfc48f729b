//! `POST /v1/sql`: one statement in, rows out as JSON lines or as an Arrow stream.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, Version, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use millstream_engine::{ErrorKind, Principal};
use millstream_protocol::{DEFAULT_NAMESPACE, STATEMENT_TIMEOUT_METADATA};
use millstream_sql::Outcome;

use super::answer::{Answer, Format};
use super::caller::sent;
use super::error::{HttpError, Kind};
use super::request::{SqlRequest, parameters};
use super::state::HttpDoor;
use crate::deadline::Deadline;
use crate::door::Door;
use crate::net::collect::{Collected, NotCollected, collect};
use crate::net::ingress::NoRoom;
use crate::net::sent::Sent;
use crate::net::turns::in_turn;
use crate::net::vigil::Vigil;
use crate::quotas::paced;

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
const JSON_LINES: &str = "application/x-ndjson";
/// The most that a client of HTTP/1.0 gets, which can't be told where an answer of unknown length ends.
const WHOLE_ANSWER_BYTES: usize = 4 << 20;

/// Executes one statement. Rows that were sent before an error are followed by the end of the connection without the last
/// chunk, which every client reports as a broken answer.
pub(crate) async fn execute(
    State(http): State<Arc<HttpDoor>>,
    Extension(who): Extension<Principal>,
    request: Request,
) -> Result<Response, HttpError> {
    let door = http.rooms()?.clone();
    let (headers, version) = (request.headers().clone(), request.version());
    let format = accepted(&headers)?;
    let asked = headers.get(STATEMENT_TIMEOUT_METADATA).map(|value| value.as_bytes());
    let deadline = Deadline::new(door.statement_timeout, asked).map_err(HttpError::invalid)?;
    let (sent, body) = collected(request, http.body_limit_bytes).await?;
    let queries = door.queries.clone();
    // The task ends with its request: it is aborted when this future is dropped.
    let task = AbortOnDrop(queries.spawn(run(door, who, (headers, body), (format, version), deadline, sent)));
    task.join().await
}

/// The body of a request, for which there was room, and the answer to come.
async fn collected(request: Request, limit: usize) -> Result<(Arc<Sent>, Collected), HttpError> {
    let sent = sent(&request)?;
    let body = collect(request.into_body(), &sent.peer, limit).await.map_err(|refused| match refused {
        NotCollected::TooLarge => {
            HttpError::new(Kind::BodyTooLarge, format!("the body has more than {limit} bytes (http_body_limit_bytes)"))
        }
        NotCollected::Late => HttpError::new(
            Kind::Timeout,
            "the body did not come in time (receive_timeout_ms, less where others wait for its room)",
        ),
        NotCollected::NoRoom => HttpError::new(Kind::Engine(NoRoom::KIND), NoRoom::MESSAGE),
        NotCollected::Broken(message) => HttpError::invalid(format!("the body broke off: {message}")),
    })?;
    Ok((sent, body))
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

pub(super) fn accepted(headers: &HeaderMap) -> Result<Format, HttpError> {
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
    who: Principal,
    (headers, body): (HeaderMap, Collected),
    (format, version): (Format, Version),
    deadline: Deadline,
    sent: Arc<Sent>,
) -> Result<Response, HttpError> {
    let request = SqlRequest::read(&headers, &body.bytes)?;
    let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    door.engine.admit_requests(&who, namespace, 1)?;
    let session = door.sql.session(who.clone(), namespace);
    let prepared = deadline.within(session.prepare(&request.sql)).await?;
    let row = parameters(&request.parameters, &prepared.parameter_schema)?;
    let vigil = Vigil::begin(&door.net, prepared.standing());
    let outcome = vigil.within(deadline.within(prepared.execute(row))).await?;
    let outcome = if prepared.polls() { outcome } else { in_turn(outcome, &sent) };
    let outcome = paced(&door.engine, &who, namespace, outcome);
    match deadline.bound(vigil.bound(outcome)) {
        Outcome::Done { rows, message } => {
            Ok(axum::Json(serde_json::json!({ "rows": rows, "message": message })).into_response())
        }
        Outcome::Rows { schema, stream } => {
            // One that has no rows is asked again.
            let mut stream = stream.fuse();
            // Most statements that fail do so before their first rows, and are then answered with a status.
            let first = stream.next().await.transpose()?;
            let rows = futures::stream::iter(first.map(Ok)).chain(stream).boxed();
            let answer = Answer::start(&door.queries, format, schema, rows, door.net.limits.write_idle_timeout);
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
