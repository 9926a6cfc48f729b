//! What is made of `proto/rocketmq.v2.proto`.

#![allow(clippy::all, clippy::allow_attributes_without_reason, unreachable_pub, reason = "it is made")]
#![allow(dead_code, reason = "the protocol has more than is served")]

include!(concat!(env!("OUT_DIR"), "/apache.rocketmq.v2.rs"));
