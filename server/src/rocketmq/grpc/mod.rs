//! RocketMQ's 5.x clients over gRPC, beside the Flight services on their port. The other way to what the remoting door serves: names,
//! tables, rows, filters and transactions are the same code, so that a message is the same row whichever way it came.
//!
//! What is served stands in [`service`].

mod acknowledge;
mod bounded;
mod caller;
mod credentials;
mod door;
mod offsets;
mod properties;
mod proto;
mod pull;
mod recall;
mod receipts;
mod receive;
mod resources;
mod route;
mod send;
mod service;
mod sessions;
mod settings;
mod status;
mod telemetry;
mod times;
mod transactions;
mod written;

use std::sync::Arc;

use crate::config::Config;
use crate::door::Door;
use bounded::{Bounded, MAX_MESSAGE_BYTES};
use door::MessagingDoor;
use proto::messaging_service_server::MessagingServiceServer;
use service::Messaging;
#[cfg(test)]
pub(crate) use status::shown as error_shown;

/// The service, for whoever serves gRPC, and what goes on beside it until the server stops.
pub(crate) fn open(
    config: &Config,
    door: &Door,
) -> (Bounded<MessagingServiceServer<Messaging>>, impl Future<Output = ()> + use<>) {
    let net = Arc::clone(&door.net);
    let messaging = Arc::new(MessagingDoor::new(config, door.clone()));
    let service = MessagingServiceServer::new(Messaging::new(Arc::clone(&messaging)));
    let service = service.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(usize::MAX);
    (Bounded::new(service, net), transactions::ask(messaging))
}
