//! Calls, bounded as those of every door: places, room for what comes in and goes out, and how long it may take.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::uri::Authority;
use millstream_engine::ErrorKind;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use crate::net::budgets::Net;
use crate::net::call::BegunCall;
use crate::net::whole::Whole;

/// The largest message of a client. A body has 4 MiB, and there is more in a message.
pub(super) const MAX_MESSAGE_BYTES: usize = 6 << 20;
/// The call in which messages follow each other; its name is the end of an HTTP path.
const FOLLOWING: &str = "/Telemetry";

/// Where the client has connected to, as it says itself.
#[derive(Debug, Clone)]
pub(super) struct Dialled(pub(super) Authority);

/// The generated service. All that comes in and goes out is counted here, and so are the calls.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<S> {
    service: S,
    net: Arc<Net>,
}

impl<S> Bounded<S> {
    pub(super) fn new(service: S, net: Arc<Net>) -> Bounded<S> {
        Bounded { service, net }
    }
}

fn refused(kind: ErrorKind, message: String) -> Status {
    match kind {
        ErrorKind::ResourceExhausted => Status::resource_exhausted(message),
        ErrorKind::InvalidInput => Status::invalid_argument(message),
        _ => Status::unavailable(message),
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Bounded<S>
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
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(Dialled(authority));
        }
        let mut kept = None;
        *request.body_mut() = if request.uri().path().ends_with(FOLLOWING) {
            Body::new(Whole::many(body, receiving, MAX_MESSAGE_BYTES))
        } else {
            let (body, room) = Whole::new(body, receiving, MAX_MESSAGE_BYTES);
            kept = Some(room);
            Body::new(body)
        };
        let answer = self.service.call(request);
        Box::pin(async move {
            let response = answer.await?;
            drop(kept);
            Ok(call.answered(response))
        })
    }
}
