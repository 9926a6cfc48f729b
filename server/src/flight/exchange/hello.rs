//! The first message of a stream, and the parameters in it.

use std::time::Duration;

use millstream_engine::{AutoOffsetReset, ConsumerConfig, GroupMode};
use millstream_protocol::{self as protocol, Compression, Hello, consumer_request};

use super::messages::next_request;
use crate::flight::error::{DoorError, Result};
use crate::flight::forward::Messages;
use crate::net::limits::FIRST_MESSAGE_TIMEOUT;

/// gRPC's own default.
const DEFAULT_MESSAGE_BYTES: u32 = 4 << 20;
/// Room in a message beside the rows: gRPC and Flight framing, `app_metadata` with an offset for each row.
const MESSAGE_OVERHEAD_BYTES: u32 = 256 << 10;
const MIN_MESSAGE_BYTES: u32 = 512 << 10;
const MAX_MESSAGE_BYTES: u32 = 64 << 20;

/// Waits for the hello and checks what the engine does not.
pub(super) async fn receive(incoming: &mut Messages) -> Result<Hello> {
    let first = tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, next_request(incoming));
    let first = first.await.map_err(|_| DoorError::invalid("the client did not say hello in time"))??;
    let Some(consumer_request::Request::Hello(hello)) = first else {
        return Err(DoorError::invalid("the first message of a consumer stream must be hello"));
    };
    if hello.version != protocol::VERSION {
        return Err(DoorError::unsupported(format!(
            "this server speaks version {} of the consumer protocol, not {}",
            protocol::VERSION,
            hello.version
        )));
    }
    if hello.topic.is_empty() {
        return Err(DoorError::invalid("the hello names no topic"));
    }
    Ok(hello)
}

/// The engine's configuration. Automatic commits are the client's work here: only it knows what the application has been
/// handed, so the engine is told to leave committing alone.
pub(super) fn config(hello: &Hello) -> Result<ConsumerConfig> {
    let defaults = ConsumerConfig::default();
    let millis = |value: u32, default: Duration| match value {
        0 => default,
        value => Duration::from_millis(value.into()),
    };
    let rows = |value: u32, default: usize| if value == 0 { default } else { value as usize };
    Ok(ConsumerConfig {
        namespace: if hello.namespace.is_empty() { defaults.namespace } else { hello.namespace.clone() },
        group_id: hello.group_id.clone(),
        client_id: hello.client_id.clone(),
        auto_offset_reset: match hello.auto_offset_reset() {
            protocol::AutoOffsetReset::Latest => AutoOffsetReset::Latest,
            protocol::AutoOffsetReset::Earliest => AutoOffsetReset::Earliest,
            protocol::AutoOffsetReset::None => AutoOffsetReset::None,
        },
        enable_auto_commit: false,
        session_timeout: millis(hello.session_timeout_ms, defaults.session_timeout),
        max_poll_interval: millis(hello.max_poll_interval_ms, defaults.max_poll_interval),
        min_poll_rows: rows(hello.min_poll_rows, defaults.min_poll_rows),
        max_poll_rows: rows(hello.max_poll_rows, defaults.max_poll_rows),
        mode: match hello.mode() {
            protocol::GroupMode::Shared => GroupMode::Shared,
            protocol::GroupMode::Broadcast => GroupMode::Broadcast,
        },
        replay: hello.replay,
        ..defaults
    })
}

/// Bytes of rows in one message at most.
pub(super) fn message_bytes(hello: &Hello) -> Result<usize> {
    let stated = if hello.max_message_bytes == 0 { DEFAULT_MESSAGE_BYTES } else { hello.max_message_bytes };
    if stated < MIN_MESSAGE_BYTES {
        return Err(DoorError::invalid(format!(
            "max_message_bytes is {stated}; a client must take messages of at least {MIN_MESSAGE_BYTES} bytes"
        )));
    }
    Ok((stated.min(MAX_MESSAGE_BYTES) - MESSAGE_OVERHEAD_BYTES) as usize)
}

/// The codec of the batches' bodies.
pub(super) fn compression(hello: &Hello) -> Option<arrow_ipc::CompressionType> {
    match hello.compression() {
        Compression::None => None,
        Compression::Lz4Frame => Some(arrow_ipc::CompressionType::LZ4_FRAME),
        Compression::Zstd => Some(arrow_ipc::CompressionType::ZSTD),
    }
}
