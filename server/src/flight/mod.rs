//! The Flight and Flight SQL door.
//!
//! A translator: it decodes what clients send, calls the engine and the SQL room by plain functions, and encodes the
//! answers. Calls that block run on `Door::work`, never on the network's threads. The protocol of ours that rides on
//! DoPut and DoExchange is described in `docs/consumer-protocol.md`.

mod append;
mod blocking;
mod calls;
mod command;
mod decode;
mod dispatch;
mod encode;
mod error;
mod exchange;
mod fed;
mod forward;
mod ingest;
mod intake;
mod listing;
mod members;
mod prepared;
mod query;
mod service;
mod sessions;
mod sql_info;
mod stream;
mod update;
mod upload;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use crate::door::{Door, Opening};
use crate::net::http2;
use dispatch::FlightDoor;
#[cfg(test)]
pub(crate) use error::shown as error_shown;
use forward::{Forwarding, MAX_UNARY_BYTES};

/// Serves connections until the server stops; returns when the last stream has ended. `beside` gives another service on the same
/// port, and what goes on for it.
pub(crate) async fn serve<S, W>(opening: Opening, beside: impl FnOnce(&Door) -> (S, W)) -> io::Result<()>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: NamedService + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    W: Future<Output = ()>,
{
    let Opening { listener, rooms, stop } = opening;
    let door = rooms.opened().await.clone();
    let (other, work) = beside(&door);
    let serving = http2::server(&door.net.limits)
        .add_service(service(door))
        .add_service(other)
        .serve_with_incoming_shutdown(http2::connections(listener), async move { stop.stopped().await });
    futures::join!(serving, work).0.map_err(io::Error::other)
}

/// The gRPC service alone, for doors that share their port with other protocols.
fn service(door: Door) -> Forwarding<FlightServiceServer<FlightDoor>> {
    let net = Arc::clone(&door.net);
    let service = FlightServiceServer::new(FlightDoor::new(door));
    Forwarding::new(service.max_decoding_message_size(MAX_UNARY_BYTES), net)
}
