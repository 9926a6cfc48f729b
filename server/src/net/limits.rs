//! How much and how long, for all doors.

use std::time::Duration;

/// How long a client may take until a call that takes messages has its first one.
pub(crate) const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct NetLimits {
    /// Of what clients have sent and nobody has taken, over all connections.
    pub ingress_bytes: usize,
    /// Of what is being sent to clients, over all connections.
    pub egress_bytes: usize,
    /// A message or a request's body of which nothing has come for this long is late.
    pub receive_timeout: Duration,
    /// A client that takes nothing of what it is sent for this long is ended.
    pub write_idle_timeout: Duration,
    /// A connection that has not sent a whole request header, or HTTP/2's preface, by then is closed.
    pub header_timeout: Duration,
    /// A peer over HTTP/2 that was silent for this long is asked for a sign of life, and is gone if none comes for as long again.
    pub keepalive: Duration,
    /// Connections of the Flight door at once; further ones are closed as soon as they come.
    pub grpc_connections: usize,
    /// Calls of the Flight door under way at once.
    pub calls: usize,
    /// Statements that make rows at once; those that wait in `poll()` do not count.
    pub statements: usize,
}

impl Default for NetLimits {
    fn default() -> NetLimits {
        NetLimits {
            ingress_bytes: 128 << 20,
            egress_bytes: 48 << 20,
            receive_timeout: Duration::from_secs(10),
            write_idle_timeout: Duration::from_secs(120),
            header_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            grpc_connections: 2048,
            calls: 4096,
            statements: 32,
        }
    }
}
