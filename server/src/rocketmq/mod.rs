//! The RocketMQ door: the remoting protocol of 4.x clients, which 5.x "remoting" clients speak too. Name server and broker in one.
//! 5.x clients over gRPC come in at the Flight door's port, and find the same here, in [`grpc`]; clients over HTTP at the HTTP door's, in [`http`].
//!
//! It is a translator: RocketMQ's topics are message tables, its queues their partitions, its physical offsets LSNs. Consumers
//! read other tables and SQL topics too ([`readable`]), whose rows are made messages on their way ([`converted`]). Which
//! clients are alive, what they have locked and committed is the engine's. What is served stands in [`dispatch`].

mod admin;
mod answer;
mod asking;
mod client;
mod clients;
pub(crate) mod cluster;
mod connection;
mod converted;
mod credentials;
mod delay;
mod dispatch;
mod error;
mod fields;
mod filter;
#[cfg(test)]
mod fuzz;
mod grpc;
mod http;
mod joined_sends;
mod locks;
mod message_columns;
mod names;
mod numbers;
mod offsets;
mod physical;
mod pop;
mod pull;
mod query;
mod queueing;
mod readable;
mod recall;
mod replies;
mod reply;
mod retry;
mod route;
mod rows;
mod scan;
mod send;
mod send_back;
mod sending;
mod shared;
mod signature;
mod stored;
mod stretches;
mod tables;
mod take;
mod trace;
mod transactions;
mod view;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::door::Opening;
use crate::net::framed::{self, Framing};
#[cfg(test)]
pub(crate) use error::shown as error_shown;
#[cfg(test)]
pub(crate) use grpc::error_shown as grpc_error_shown;
pub(crate) use grpc::open as grpc;
#[cfg(test)]
pub(crate) use http::error_shown as http_error_shown;
pub(crate) use http::{refused as http_refused, router as http};
use shared::Remoting;
pub(crate) use signature::AccessKey;
use wire::command::MAX_MESSAGE_BYTES;

/// A client that sends nothing for this long is gone; clients send a heartbeat every 30 s.
const IDLE: Duration = Duration::from_secs(120);

/// Serves connections until the server stops; completes when the last request has been answered.
pub(crate) fn serve(config: &Config, opening: Opening) -> impl Future<Output = io::Result<()>> + Send + use<> {
    let Opening { listener, rooms, stop } = opening;
    let remoting = Arc::new(Remoting::new(rooms, config.rocketmq.clone()));
    let asking = transactions::ask(Arc::clone(&remoting), stop.clone());
    let framing = Framing { limit: MAX_MESSAGE_BYTES, idle: IDLE };
    let stopping = stop.clone();
    let serving = framed::serve(listener, framing, stop, move |incoming, outgoing| {
        connection::run(Arc::clone(&remoting), incoming, outgoing, stopping.clone())
    });
    async { futures::join!(serving, asking).0 }
}
