//! Rows as Arrow IPC record-batch messages: encoding them for the log, and decoding what came from a disk without trusting it.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use bytes::Bytes;

use crate::log::journal::WIDE_ALIGNMENT_BYTES;
use crate::model::types::stored_bytes;
use crate::model::{EncodedBatch, Error, Result};
use crate::state::EncodedRows;

/// Before the flatbuffer: a continuation marker and the flatbuffer's padded length, four bytes each.
const PREFIX_LEN: usize = 8;
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Messages of at least [`WIDE_ALIGNMENT_BYTES`] have their body and buffers at multiples of 64 bytes, smaller ones at multiples
/// of 8.
const WIDE_ALIGNMENT: usize = 64;
const NARROW_ALIGNMENT: usize = 8;

/// Encodes a batch of the closed list of types (`docs/types.md`): no dictionaries, no compression.
pub(crate) fn encode(batch: &RecordBatch) -> Result<EncodedRows> {
    if sliced_bytes(batch) < WIDE_ALIGNMENT_BYTES
        && let Some(rows) = encode_aligned(batch, NARROW_ALIGNMENT)?
    {
        return Ok(rows);
    }
    encode_aligned(batch, WIDE_ALIGNMENT)?
        .ok_or_else(|| Error::Internal("a record batch could not be encoded".to_owned()))
}

/// Bytes of the batch's own rows: what a slice pins besides does not count.
pub(crate) fn sliced_bytes(batch: &RecordBatch) -> usize {
    let bytes = batch.columns().iter().fold(0, |sum: u64, column| sum.saturating_add(stored_bytes(column)));
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `None` where the message is too large for the narrow alignment.
fn encode_aligned(batch: &RecordBatch, alignment: usize) -> Result<Option<EncodedRows>> {
    let narrow = alignment == NARROW_ALIGNMENT;
    let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5).map_err(not_encoded)?;
    let mut dictionaries = DictionaryTracker::new(true);
    let (dictionary_batches, data) = IpcDataGenerator::default()
        .encode(batch, &mut dictionaries, &options, &mut IpcWriteContext::default())
        .map_err(not_encoded)?;
    if !dictionary_batches.is_empty() {
        return Err(Error::Internal("a dictionary column reached the log".to_owned()));
    }
    let padded = (PREFIX_LEN + data.ipc_message.len()).next_multiple_of(alignment);
    if narrow && padded + data.arrow_data.len() >= WIDE_ALIGNMENT_BYTES {
        return Ok(None);
    }
    let length = u32::try_from(padded - PREFIX_LEN).map_err(|_| Error::TooLarge {
        what: "the description of a record batch",
        size: padded as u64,
        limit: u64::from(u32::MAX),
        hint: "use fewer columns",
    })?;
    let mut head = Vec::with_capacity(padded);
    head.extend_from_slice(&CONTINUATION);
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&data.ipc_message);
    head.resize(padded, 0);
    let mut body = data.arrow_data;
    body.shrink_to_fit();
    let (head, body) = (Bytes::from(head), Bytes::from(body));
    let crc32c = crc32c::crc32c_append(crc32c::crc32c(&head), &body);
    Ok(Some(EncodedRows { batch: EncodedBatch { header: head.slice(PREFIX_LEN..), body }, head, crc32c }))
}

fn not_encoded(error: ArrowError) -> Error {
    Error::Internal(format!("a record batch could not be encoded: {error}"))
}

/// Splits an encapsulated message as it lies in the log. The reason says what is wrong with it.
pub(in crate::log) fn split(message: &Bytes) -> Result<EncodedBatch, &'static str> {
    let prefix = message.get(..PREFIX_LEN).ok_or("the message is shorter than its prefix")?;
    let (marker, length) = prefix.split_at(4);
    if marker != CONTINUATION {
        return Err("the message has no continuation marker");
    }
    let length = length.try_into().map(u32::from_le_bytes).ok().and_then(|length| usize::try_from(length).ok());
    let end = length.and_then(|length| length.checked_add(PREFIX_LEN)).filter(|end| *end <= message.len());
    let end = end.ok_or("the message is shorter than it says")?;
    Ok(EncodedBatch { header: message.slice(PREFIX_LEN..end), body: message.slice(end..) })
}

/// Decodes a message without copying its body where that is aligned. Every length is checked against the body first: the
/// reader underneath panics on buffers that lie outside.
pub(in crate::log) fn decode(encoded: &EncodedBatch, schema: &SchemaRef, rows: u32) -> Result<RecordBatch, String> {
    let message = root_as_message(&encoded.header).map_err(|error| format!("not an Arrow message: {error}"))?;
    if message.version() != MetadataVersion::V5 || message.header_type() != MessageHeader::RecordBatch {
        return Err("not a record batch of IPC version 5".to_owned());
    }
    let batch = message.header_as_record_batch().ok_or("the message has no record batch")?;
    if batch.compression().is_some() || batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("compressed and view columns do not belong in the log".to_owned());
    }
    if batch.length() != i64::from(rows) {
        return Err(format!("the message holds {} rows, its frame says {rows}", batch.length()));
    }
    Layout::check(&batch, schema, encoded.body.len())?;
    let body = Buffer::from(encoded.body.clone());
    let dictionaries = HashMap::new();
    RecordBatchDecoder::try_new(&body, batch, schema.clone(), &dictionaries, &message.version())
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|error| error.to_string())
}

/// Walks a schema over the nodes and buffers of a message.
struct Layout<N, B> {
    nodes: N,
    buffers: B,
    body_len: usize,
}

impl<'a, N, B> Layout<N, B>
where
    N: Iterator<Item = &'a arrow_ipc::FieldNode>,
    B: Iterator<Item = &'a arrow_ipc::Buffer>,
{
    fn field(&mut self, field: &Field, parent_rows: Option<usize>) -> Result<(), String> {
        let name = field.name();
        let node = self.nodes.next().ok_or_else(|| format!("column {name:?} is missing"))?;
        let (rows, nulls) = (usize::try_from(node.length()), usize::try_from(node.null_count()));
        let (Ok(rows), Ok(nulls)) = (rows, nulls) else {
            return Err(format!("column {name:?} has a negative length"));
        };
        // One bit a value is the least that any type takes.
        if parent_rows.is_some_and(|parent| parent != rows) || rows / 8 > self.body_len || nulls > rows {
            return Err(format!("column {name:?} has a wrong number of values"));
        }
        let validity = self.buffer(name)?;
        if nulls > 0 && validity < rows.div_ceil(8) {
            return Err(format!("column {name:?} has too short a validity bitmap"));
        }
        match field.data_type() {
            DataType::Utf8 | DataType::Binary => {
                self.offsets(name)?;
                self.buffer(name)?;
            }
            DataType::List(child) | DataType::Map(child, _) => {
                self.offsets(name)?;
                self.field(child, None)?;
            }
            DataType::Struct(children) => {
                for child in children {
                    self.field(child, Some(rows))?;
                }
            }
            DataType::Boolean => {
                self.buffer(name)?;
            }
            other if other.is_primitive() => {
                self.buffer(name)?;
            }
            other => return Err(format!("column {name:?} is of type {other}, which the log does not hold")),
        }
        Ok(())
    }

    /// A buffer of offsets: the reader panics on half a one.
    fn offsets(&mut self, name: &str) -> Result<(), String> {
        match self.buffer(name)?.is_multiple_of(size_of::<i32>()) {
            true => Ok(()),
            false => Err(format!("column {name:?} has a broken buffer of offsets")),
        }
    }

    /// The length of the next buffer, which lies inside the body.
    fn buffer(&mut self, name: &str) -> Result<usize, String> {
        let buffer = self.buffers.next().ok_or_else(|| format!("column {name:?} lacks a buffer"))?;
        let offset = usize::try_from(buffer.offset()).ok();
        let length = usize::try_from(buffer.length()).ok();
        match offset.zip(length) {
            Some((offset, length)) if offset.checked_add(length).is_some_and(|end| end <= self.body_len) => Ok(length),
            _ => Err(format!("column {name:?} has a buffer outside the message")),
        }
    }
}

impl Layout<(), ()> {
    fn check(batch: &arrow_ipc::RecordBatch<'_>, schema: &SchemaRef, body_len: usize) -> Result<(), String> {
        let nodes = batch.nodes().ok_or("the message has no nodes")?;
        let buffers = batch.buffers().ok_or("the message has no buffers")?;
        let rows = usize::try_from(batch.length()).map_err(|_| "the message has a negative length")?;
        let mut layout = Layout { nodes: nodes.iter(), buffers: buffers.iter(), body_len };
        for field in schema.fields() {
            layout.field(field, Some(rows))?;
        }
        if layout.nodes.next().is_some() || layout.buffers.next().is_some() {
            return Err("the message has more columns than its schema".to_owned());
        }
        Ok(())
    }
}
