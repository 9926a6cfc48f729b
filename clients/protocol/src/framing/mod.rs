//! gRPC calls whose messages carry rows, without gRPC's own buffers.
//!
//! tonic's encoder writes each message into a buffer of its own, and its decoder collects one in a buffer that is made larger
//! as frames come in: a message is copied once on its way out and more than once on its way in, each time into fresh memory,
//! which shows in the profile of a raw topic. Here a message leaves as two pieces, all that
//! comes before the rows and the rows where they lie ([`Outgoing`]), and arrives in one buffer of its size, which is used
//! again once nobody holds rows in it ([`Incoming`]). The bytes are those of gRPC: either end may be another implementation.

mod buffers;
mod incoming;
mod outgoing;
mod prefix;
mod reception;

pub use incoming::Incoming;
pub use outgoing::Outgoing;
pub use prefix::PREFIX_BYTES;
pub use reception::{Idle, Reception, Room};
