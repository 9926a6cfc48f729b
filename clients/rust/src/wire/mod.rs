//! gRPC calls whose messages carry rows, without gRPC's own buffers.
//!
//! tonic's encoder writes each message into a buffer of its own, and its decoder collects one in a buffer that is made larger
//! as frames come in: a message is copied once on its way out and more than once on its way in, each time into fresh memory,
//! which shows in the profile of a raw topic. Here a message leaves as two pieces, all that
//! comes before the rows and the rows where they lie ([`Outgoing`]), and arrives in one buffer of its size, which is used
//! again once nobody holds rows in it ([`Incoming`]). The bytes are those of gRPC: either end may be another implementation.

mod buffers;
mod incoming;
mod outgoing;
mod reception;
mod whole;

use arrow_flight::{FlightData, Ticket};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, header};
use prost::Message;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;
use tonic::{Code, Status};

pub use incoming::Incoming;
pub use outgoing::Outgoing;
pub use reception::{Idle, Reception, Room};
use whole::Whole;

/// gRPC's flag and length before each message.
pub(crate) const PREFIX_BYTES: usize = 5;

/// What a method of the Flight service takes and gives.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::enum_variant_names, reason = "they are the names of the service's methods")]
pub(crate) enum Method {
    DoExchange,
    DoGet,
    DoPut,
}

/// What a call sends.
#[derive(Debug)]
pub(crate) struct Requests(Body);

impl Requests {
    /// Messages that go on being sent as long as the answer is read.
    pub(crate) fn stream(messages: impl Stream<Item = FlightData> + Send + 'static) -> Requests {
        Requests(Body::new(Outgoing::request(Box::pin(messages.map(Ok)))))
    }

    /// One ticket.
    pub(crate) fn ticket(ticket: &Ticket) -> Requests {
        Requests(Body::new(Whole::message(ticket)))
    }
}

/// Makes a call. What a server answers ends with a status, without which it counts as broken off.
pub(crate) async fn call<M: Message + Default>(
    mut channel: Channel,
    method: Method,
    metadata: HeaderMap,
    requests: Requests,
    max_message_bytes: usize,
) -> Result<Incoming<M>, Status> {
    let mut request = http::Request::new(requests.0);
    *request.headers_mut() = metadata;
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(match method {
        Method::DoExchange => "/arrow.flight.protocol.FlightService/DoExchange",
        Method::DoGet => "/arrow.flight.protocol.FlightService/DoGet",
        Method::DoPut => "/arrow.flight.protocol.FlightService/DoPut",
    });
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let failed = |error: tonic::transport::Error| Status::from_error(error.into());
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(failed)?;
    let response = channel.call(request).await.map_err(failed)?;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => return Err(status),
        // The status came at once, and nothing comes behind it.
        Some(_) => return Ok(Incoming::empty(max_message_bytes)),
        None if response.status() != http::StatusCode::OK => {
            return Err(Status::unavailable(format!("HTTP status {} in answer to {method:?}", response.status())));
        }
        _ => {}
    }
    Ok(Incoming::answer(response.into_body(), max_message_bytes))
}
