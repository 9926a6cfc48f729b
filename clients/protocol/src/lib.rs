//! The wire protocol, for clients and servers: the messages of `proto/millstream.v1.proto`, described in
//! `docs/consumer-protocol.md`, what goes into gRPC's metadata, and how messages that carry rows are framed ([`framing`]). It
//! knows neither of the two ends.

mod aligning;
pub mod framing;
mod messages;
mod metadata;

pub use aligning::aligning;
pub use messages::*;
pub use metadata::{ERROR_KIND_METADATA, NAMESPACE_METADATA, STATEMENT_TIMEOUT_METADATA};

/// The version that [`Hello`] names.
pub const VERSION: u32 = 1;

/// Where names are looked up that name no namespace.
pub const DEFAULT_NAMESPACE: &str = "public";
