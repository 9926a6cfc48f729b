//! The wire protocol: the messages of `proto/millstream.v1.proto`, described in `docs/consumer-protocol.md`.

#![allow(missing_docs, reason = "generated; the .proto file documents it")]

include!(concat!(env!("OUT_DIR"), "/millstream.v1.rs"));

/// The version that [`Hello`] names.
pub const VERSION: u32 = 1;

/// gRPC metadata with the name of the [`ErrorKind`], in lower case.
pub const ERROR_KIND_METADATA: &str = "millstream-error-kind";
