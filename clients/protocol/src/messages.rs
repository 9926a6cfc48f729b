//! The messages of `proto/millstream.v1.proto`.

#![allow(missing_docs, reason = "generated; the .proto file documents it")]

include!(concat!(env!("OUT_DIR"), "/millstream.v1.rs"));
