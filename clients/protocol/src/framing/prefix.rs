//! What gRPC puts in front of each message.

/// A flag that says whether the message is compressed, and its length.
pub const PREFIX_BYTES: usize = 5;
