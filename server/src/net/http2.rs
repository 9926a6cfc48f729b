//! Connections over HTTP/2, which gRPC's doors serve.

use std::io;

use futures::Stream;
use tonic::transport::Server;

use super::accept::Listener;
use super::connection::Connection;
use super::frames::MAX_FRAME_BYTES;
use super::limits::NetLimits;
use super::tls::Speaking;

/// Calls under way on one connection.
const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one call, and on all calls of its connection: a window of each of 256 calls that wait for
/// room fits in, so that those which have theirs are not held up by them.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Of the metadata of one call.
const MAX_HEADER_BYTES: u32 = 8 << 10;

/// What serves the calls of gRPC's doors.
pub(crate) fn server(limits: &NetLimits) -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
}

/// The connections of a listener, as they come.
pub(crate) fn connections(listener: Listener) -> impl Stream<Item = io::Result<Connection>> {
    futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept(Speaking::Http2).await;
        let connection = accepted.with_preface_by(listener.net.limits.header_timeout);
        Some((Ok(connection), listener))
    })
}
