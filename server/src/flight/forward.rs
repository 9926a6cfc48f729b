//! Calls whose messages carry rows, read from and written to the HTTP bodies themselves: see [`millstream_protocol::framing`] for
//! why. The generated service knows nothing of it; the service around it takes the bodies away and puts them in their place.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::FlightData;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use millstream_engine::ErrorKind;
use millstream_protocol::framing::{Incoming, Outgoing};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

use super::error::DoorError;
use crate::net::budgets::Net;
use crate::net::call::BegunCall;
use crate::net::sent::Sent;
use crate::net::whole::Whole;

/// Messages in either direction of such a call.
pub(super) type Messages = BoxStream<'static, Result<FlightData, Status>>;

/// The largest message of rows taken. Larger ones are refused before they are read.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// The largest message of the other calls: a statement, and what may stand beside it.
pub(super) const MAX_UNARY_BYTES: usize = 4 << 20;
/// The calls that clients send rows in. Their names are the ends of HTTP paths.
const TAKES_ROWS: [&str; 2] = ["/DoPut", "/DoExchange"];

/// Messages on their way through the generated service.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<Messages>>>);

impl Carried {
    fn new(messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static) -> Carried {
        Carried(Arc::new(Mutex::new(Some(messages.boxed()))))
    }

    fn take(self) -> Option<Messages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the client sends in a call that takes rows.
pub(super) fn incoming(request: Request<Streaming<FlightData>>) -> Messages {
    let (_, mut extensions, streaming) = request.into_parts();
    extensions.remove::<Carried>().and_then(Carried::take).unwrap_or_else(|| streaming.boxed())
}

/// The answer of a call that gives rows.
pub(super) fn response(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Response<Messages> {
    let mut response = Response::new(stream::empty().boxed());
    response.extensions_mut().insert(Carried::new(messages));
    response
}

/// The answer of a call, as the network sees it.
pub(super) fn sent<T>(request: &Request<T>) -> Result<Arc<Sent>, DoorError> {
    let sent = request.extensions().get::<Arc<Sent>>().cloned();
    sent.ok_or_else(|| DoorError::internal("the call has come around the door"))
}

fn refused(kind: ErrorKind, message: String) -> Status {
    DoorError::new(kind, message).into()
}

/// The generated service, for calls that use [`incoming`] and [`response`]. All that comes in and goes out is counted here, and
/// so are the calls.
#[derive(Debug, Clone)]
pub(crate) struct Forwarding<S> {
    service: S,
    net: Arc<Net>,
}

impl<S> Forwarding<S> {
    pub(super) fn new(service: S, net: Arc<Net>) -> Forwarding<S> {
        Forwarding { service, net }
    }
}

impl<S: NamedService> NamedService for Forwarding<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Forwarding<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let (call, body, receiving) = match BegunCall::begin(&self.net, &mut request, refused) {
            Ok(begun) => begun,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let mut whole = None;
        if TAKES_ROWS.iter().any(|call| request.uri().path().ends_with(call)) {
            let limit = MAX_REQUEST_BYTES.min(self.net.ingress.largest_message());
            let messages = Incoming::<FlightData>::request(Body::new(body), limit).bounded(receiving);
            request.extensions_mut().insert(Carried::new(messages));
        } else {
            let (body, room) = Whole::new(body, receiving, MAX_UNARY_BYTES);
            *request.body_mut() = Body::new(body);
            whole = Some(room);
        }
        let answer = self.service.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            drop(whole);
            if let Some(messages) = response.extensions_mut().remove::<Carried>().and_then(Carried::take) {
                *response.body_mut() = Body::new(Outgoing::answer(messages));
            }
            Ok(call.answered(response))
        })
    }
}
