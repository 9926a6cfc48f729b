//! Settings of the RocketMQ door, beside its address.

use std::net::SocketAddr;

/// What the RocketMQ door tells its clients, and makes for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RocketmqSettings {
    /// Connections open at once.
    pub connections: usize,
    /// Where clients find this broker, as they are told; where they have connected to, if it is not given.
    pub advertise: Option<SocketAddr>,
    /// Whether topics are made when a client first sends to them.
    pub create_topics: bool,
    /// Queues of topics that are made so.
    pub partitions: u32,
    /// How often a message is handed out by pop before it becomes a dead letter.
    pub max_attempts: u32,
}

impl Default for RocketmqSettings {
    fn default() -> RocketmqSettings {
        RocketmqSettings { connections: 1_024, advertise: None, create_topics: true, partitions: 8, max_attempts: 17 }
    }
}
