//! What the server makes of its `proto/rocketmq.v2.proto`, the client included.

#![allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    dead_code,
    reason = "it is made, and has more than is tested"
)]

include!(concat!(env!("OUT_DIR"), "/apache.rocketmq.v2.rs"));
