//! The Flight and Flight SQL door.
//!
//! A translator: it decodes what clients send, calls the engine and the SQL room by plain functions, and encodes the
//! answers. Calls that block run on `Door::work`, never on the network's threads. The protocol of ours that rides on
//! DoPut and DoExchange is described in `docs/consumer-protocol.md`.

mod append;
mod blocking;
mod connection;
mod decode;
mod encode;
mod error;
mod exchange;
mod fed;
mod forward;
mod ingest;
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
use tokio::net::TcpListener;
use tonic::transport::Server;

use crate::Door;
use forward::Forwarding;
pub(crate) use service::FlightDoor;

/// The largest message taken. Larger ones are refused before they are read.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Calls under way on one connection.
const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one call, and on all calls of its connection.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const MAX_FRAME_BYTES: u32 = 256 << 10;

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
    let figures = Arc::clone(&door.figures);
    let connections = connection::accept(listener, limits.connections, door.header_timeout, figures);
    let stopped = door.clone();
    Server::builder()
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .add_service(service(door))
        .serve_with_incoming_shutdown(connections, async move { stopped.stopped().await })
        .await
        .map_err(io::Error::other)
}

/// The gRPC service alone, for doors that share their port with other protocols.
pub(crate) fn service(door: Door) -> Forwarding<FlightServiceServer<FlightDoor>> {
    let service = FlightServiceServer::new(FlightDoor::new(door));
    Forwarding::new(service.max_decoding_message_size(MAX_REQUEST_BYTES))
}
