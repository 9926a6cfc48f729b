//! What is seen of the requests that plugins send.

/// Why a request of a plugin failed. An answer of any status is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// The host was not declared, not granted, or stands for an address that plugins may not reach.
    Denied,
    /// The request is none that can be sent.
    Invalid,
    /// No connection, none that is trusted, or no whole answer.
    Unreachable,
    TimedOut,
    /// The request or the answer.
    TooLarge,
}

impl RequestFailure {
    pub const ALL: [RequestFailure; 5] = [
        RequestFailure::Denied,
        RequestFailure::Invalid,
        RequestFailure::Unreachable,
        RequestFailure::TimedOut,
        RequestFailure::TooLarge,
    ];

    /// As figures name it.
    pub fn name(self) -> &'static str {
        match self {
            RequestFailure::Denied => "denied",
            RequestFailure::Invalid => "invalid",
            RequestFailure::Unreachable => "unreachable",
            RequestFailure::TimedOut => "timed_out",
            RequestFailure::TooLarge => "too_large",
        }
    }
}

/// Requests of one plugin version since the server was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginRequests {
    /// Answered and failed ones.
    pub requests: u64,
    /// Failed ones, by [`RequestFailure::ALL`].
    pub failures: [u64; RequestFailure::ALL.len()],
    /// Bytes of bodies.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Time that guests have waited for them.
    pub busy_us: u64,
}
