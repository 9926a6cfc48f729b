//! A call whose messages are framed by us: see [`millstream_protocol::framing`] for why.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::{FlightData, Ticket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use millstream_protocol::framing::{Incoming, Outgoing, PREFIX_BYTES};
use prost::Message;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;
use tonic::{Code, Status};

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

/// Makes a call with this metadata. What a server answers ends with a status, without which it counts as broken off.
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

/// An HTTP body that is one gRPC message.
#[derive(Debug)]
struct Whole(Option<Bytes>);

impl Whole {
    /// Of a small message.
    fn message(message: &impl Message) -> Whole {
        let encoded = message.encode_to_vec();
        let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + encoded.len());
        bytes.put_u8(0); // not compressed
        // Tickets and the like, which the server refuses long before this many bytes.
        bytes.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
        bytes.put(encoded.as_slice());
        Whole(Some(bytes.freeze()))
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
