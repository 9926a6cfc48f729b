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

use crate::net::arriving::Arriving;
use crate::net::budgets::Net;
use crate::net::leaving::Leaving;
use crate::net::peer::Peer;
use crate::net::receiving::Receiving;
use crate::net::sent::Sent;
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
        let Ok(call) = Arc::clone(&self.net.calls).try_acquire_owned() else {
            let message = "too many calls are under way (grpc_calls); try again later";
            let refused = Status::unavailable(message).into_http();
            return Box::pin(async move { Ok(refused) });
        };
        let peer = request.extensions().get::<Arc<Peer>>().cloned().unwrap_or_else(|| Peer::new(&self.net, None));
        let sent = Sent::new(Arc::clone(&peer));
        request.extensions_mut().insert(Arc::clone(&sent));
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(Dialled(authority));
        }
        let body = Arriving::new(std::mem::take(request.body_mut()), Arc::clone(&peer));
        let receiving = Receiving::new(peer, Arc::clone(&sent), refused);
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
            Ok(response.map(|body| Body::new(Leaving::new(body, sent, Some(call)))))
        })
    }
}
