//! Calls whose messages carry rows, read from and written to the HTTP bodies themselves: see [`millstream_client::wire`] for
//! why. The generated service knows nothing of it; the service around it takes the bodies away and puts them in their place.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::FlightData;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use millstream_client::wire::{Incoming, Outgoing};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

use super::MAX_REQUEST_BYTES;

/// Messages in either direction of such a call.
pub(super) type Messages = BoxStream<'static, Result<FlightData, Status>>;

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

/// The generated service, for calls that use [`incoming`] and [`response`].
#[derive(Debug, Clone)]
pub(crate) struct Forwarding<S>(S);

impl<S> Forwarding<S> {
    pub(super) fn new(service: S) -> Forwarding<S> {
        Forwarding(service)
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
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if TAKES_ROWS.iter().any(|call| request.uri().path().ends_with(call)) {
            let body = std::mem::take(request.body_mut());
            let messages = Incoming::<FlightData>::request(body, MAX_REQUEST_BYTES);
            request.extensions_mut().insert(Carried::new(messages));
        }
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(messages) = response.extensions_mut().remove::<Carried>().and_then(Carried::take) {
                *response.body_mut() = Body::new(Outgoing::answer(messages));
            }
            Ok(response)
        })
    }
}
