//! How a call over gRPC begins and ends, at whichever service: it has a place, what comes in is counted, and so is what goes out.

use std::sync::Arc;

use millstream_engine::ErrorKind;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::arriving::Arriving;
use super::budgets::Net;
use super::leaving::Leaving;
use super::peer::Peer;
use super::receiving::{Receiving, Refuse};
use super::sent::Sent;

/// A call that is under way.
pub(crate) struct BegunCall {
    sent: Arc<Sent>,
    place: OwnedSemaphorePermit,
}

impl BegunCall {
    /// Takes the body out of a request, with what bounds it, and lets whoever serves it know of its answer ([`Sent`]). Refused where too
    /// many are under way.
    pub(crate) fn begin(
        net: &Arc<Net>,
        request: &mut http::Request<Body>,
        refuse: Refuse,
    ) -> Result<(BegunCall, Arriving<Body>, Receiving), Status> {
        let Ok(place) = Arc::clone(&net.calls).try_acquire_owned() else {
            let message = "too many calls are under way (grpc_calls); try again later";
            return Err(refuse(ErrorKind::Retry, message.to_owned()));
        };
        // One of its own where some other server has taken the connection.
        let peer = request.extensions().get::<Arc<Peer>>().cloned().unwrap_or_else(|| Peer::new(net, None));
        let sent = Sent::new(Arc::clone(&peer));
        request.extensions_mut().insert(Arc::clone(&sent));
        let body = Arriving::new(std::mem::take(request.body_mut()), Arc::clone(&peer));
        let receiving = Receiving::new(peer, Arc::clone(&sent), refuse);
        Ok((BegunCall { sent, place }, body, receiving))
    }

    /// The answer, which ends the call once it is sent.
    pub(crate) fn answered(self, response: http::Response<Body>) -> http::Response<Body> {
        response.map(|body| Body::new(Leaving::new(body, self.sent, Some(self.place))))
    }
}
