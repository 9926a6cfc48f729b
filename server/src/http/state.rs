//! What the door's handlers share.

use super::error::{HttpError, Kind};
use super::gate::Gate;
use crate::config::Config;
use crate::door::{Door, Rooms};

/// The door's state.
#[derive(Debug)]
pub(super) struct HttpDoor {
    rooms: Rooms,
    pub(super) gate: Gate,
    pub(super) body_limit_bytes: usize,
}

impl HttpDoor {
    pub(super) fn new(config: &Config, rooms: Rooms) -> HttpDoor {
        HttpDoor { rooms, gate: Gate::new(config), body_limit_bytes: config.http_body_limit_bytes }
    }

    /// The rooms, once they are open.
    pub(super) fn rooms(&self) -> Result<&Door, HttpError> {
        self.rooms
            .get()
            .ok_or_else(|| HttpError::new(Kind::Unavailable, "the store is still being opened; retry later"))
    }
}
