//! What all clients over gRPC share.

use std::net::SocketAddr;

use super::sessions::Sessions;
use crate::config::{Config, RocketmqSettings};
use crate::door::Door;

#[derive(Debug)]
pub(super) struct MessagingDoor {
    pub(super) door: Door,
    pub(super) settings: RocketmqSettings,
    /// What messages say of where they are stored.
    pub(super) store_host: SocketAddr,
    pub(super) sessions: Sessions,
}

impl MessagingDoor {
    pub(super) fn new(config: &Config, door: Door) -> MessagingDoor {
        let settings = config.rocketmq.clone();
        let store_host = settings.advertise.unwrap_or(config.grpc);
        MessagingDoor { door, settings, store_host, sessions: Sessions::default() }
    }
}
