//! The Flight and Flight SQL door.
//!
//! A translator: it decodes what clients send, calls the engine and the SQL room by plain functions, and encodes the
//! answers. Calls that block run on `Door::work`, never on the network's threads. The protocol of ours that rides on
//! DoPut and DoExchange is described in `docs/consumer-protocol.md`.

mod append;
mod blocking;
mod decode;
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

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::Server;

use crate::Door;
use crate::figures::Count;
use crate::net::accept;
use crate::net::connection::Connection;
pub(crate) use error::DoorError;
use forward::Forwarding;
pub(crate) use service::FlightDoor;

/// The largest message of rows taken. Larger ones are refused before they are read.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 << 20;
/// The largest message of the other calls: a statement, and what may stand beside it.
const MAX_UNARY_BYTES: usize = 4 << 20;
/// Calls under way on one connection.
const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one call, and on all calls of its connection: a window of each of 256 calls that wait for
/// room fits in, so that those which have theirs are not held up by them.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// A call that waits for room has one frame in its hands.
pub(crate) const MAX_FRAME_BYTES: u32 = 32 << 10;
/// Of the metadata of one call.
const MAX_HEADER_BYTES: u32 = 8 << 10;

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections served at once; further ones are closed as soon as they come.
    pub(crate) connections: usize,
    /// A peer that was silent for this long is asked for a sign of life, and is gone if none comes for as long again.
    pub(crate) keepalive: Duration,
}

/// Serves connections of `listener` until the server stops; returns when the last stream has ended.
pub(crate) async fn serve(door: Door, listener: TcpListener, limits: Limits) -> io::Result<()> {
    let connections = connections(door.clone(), listener, limits.connections);
    let stopped = door.clone();
    Server::builder()
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .add_service(service(door))
        .serve_with_incoming_shutdown(connections, async move { stopped.stopped().await })
        .await
        .map_err(io::Error::other)
}

/// The gRPC service alone, for doors that share their port with other protocols.
pub(crate) fn service(door: Door) -> Forwarding<FlightServiceServer<FlightDoor>> {
    let net = Arc::clone(&door.net);
    let service = FlightServiceServer::new(FlightDoor::new(door));
    Forwarding::new(service.max_decoding_message_size(MAX_UNARY_BYTES), net)
}

/// The connections of `listener`, at most `limit` at once.
fn connections(door: Door, listener: TcpListener, limit: usize) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(limit));
    futures::stream::unfold((door, listener, places), |(door, listener, places)| async move {
        let accepted = accept::next(&listener, &door.net, &[&places], "grpc").await;
        let counted = door.figures.count(Count::Connection);
        let connection = Connection::new(accepted.stream, accepted.peer, accepted.place);
        let connection = connection.with_preface_by(door.header_timeout).counted(counted);
        Some((Ok(connection), (door, listener, places)))
    })
}
