//! The frame of an IPC message: marker, length, metadata, body.

use arrow_buffer::Buffer;
use arrow_ipc::{Message, MessageHeader, RecordBatch, root_as_message};

/// Metadata of 256 columns takes less.
const MAX_METADATA: usize = 256 << 10;

const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX: usize = 8;

/// Takes a message apart: metadata, body.
pub(super) fn open(message: Vec<u8>) -> Result<(Buffer, Buffer), String> {
    let message = Buffer::from_vec(message);
    let prefix =
        message.get(..PREFIX).ok_or_else(|| format!("it has {} bytes, too few for a message", message.len()))?;
    let (marker, length) = prefix.split_at(4);
    if marker != CONTINUATION {
        return Err("it does not begin with the continuation marker".to_owned());
    }
    let length = length.try_into().map(i32::from_le_bytes).unwrap_or(-1);
    let length = usize::try_from(length).map_err(|_| format!("its metadata is {length} bytes long"))?;
    if length > MAX_METADATA {
        return Err(format!("its metadata is {length} bytes long, more than {MAX_METADATA}"));
    }
    let body = PREFIX + length;
    if body > message.len() {
        return Err(format!("its metadata is {length} bytes long, and the message has {}", message.len()));
    }
    Ok((message.slice_with_length(PREFIX, length), message.slice(body)))
}

/// The header of a record-batch message whose body has `body` bytes.
pub(super) fn record_batch(metadata: &[u8], body: usize) -> Result<RecordBatch<'_>, String> {
    let message = parse(metadata)?;
    let header = message.header_as_record_batch().ok_or_else(|| wrong_header(&message, "a record batch"))?;
    if usize::try_from(message.bodyLength()) != Ok(body) {
        return Err(format!("its body has {body} bytes, and {} according to its metadata", message.bodyLength()));
    }
    if header.compression().is_some() {
        return Err("it is compressed".to_owned());
    }
    if header.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("it has variadic buffers".to_owned());
    }
    Ok(header)
}

/// The metadata of a message, its structure verified.
pub(super) fn parse(metadata: &[u8]) -> Result<Message<'_>, String> {
    // The verifier's errors run over many lines of positions.
    root_as_message(metadata).map_err(|_| "its metadata is damaged".to_owned())
}

pub(super) fn wrong_header(message: &Message<'_>, wanted: &str) -> String {
    let found = match message.header_type() {
        MessageHeader::Schema => "a schema",
        MessageHeader::DictionaryBatch => "a dictionary",
        MessageHeader::RecordBatch => "a record batch",
        _ => "something else",
    };
    format!("it is {found} and not {wanted}")
}
