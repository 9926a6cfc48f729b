//! What a producer can be told.

use std::time::Duration;

use millstream_protocol::DEFAULT_NAMESPACE;
use uuid::Uuid;

/// Settings of a producer.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    pub namespace: String,
    /// Give your own, with `first_sequence`, to go on after a crash without doubled rows.
    pub producer_id: Uuid,
    pub epoch: u32,
    /// What [`Ack::next_sequence`](crate::Ack::next_sequence) of the last batch said; 0 for a new id.
    pub first_sequence: u64,
    /// Batches that may be unacknowledged.
    pub max_in_flight: usize,
    /// The producer gives up once the oldest batch has waited for this long without any other being answered.
    pub delivery_timeout: Duration,
    /// The wait before a server that is away is tried again; it doubles from attempt to attempt.
    pub reconnect_interval: Duration,
    /// What the wait grows to.
    pub reconnect_max_interval: Duration,
    /// Attempts in a row after which it gives up before `delivery_timeout` is over.
    pub reconnect_count: u32,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            producer_id: Uuid::new_v4(),
            epoch: 0,
            first_sequence: 0,
            max_in_flight: 64,
            delivery_timeout: Duration::from_millis(300_000),
            reconnect_interval: Duration::from_millis(100),
            reconnect_max_interval: Duration::from_millis(10_000),
            reconnect_count: u32::MAX,
        }
    }
}
