//! Reads record batches that clients send. Everything in a message is checked before arrow-ipc sees it, because its reader
//! trusts counts, lengths and types: a hostile message must cost an error, never a panic or memory beyond the limits.

mod body;
mod expand;
mod schema;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{MessageHeader, MetadataVersion};

use super::error::{DoorError, Result};

/// Fields of a schema, nested ones included.
const MAX_FIELDS: usize = 10_000;
/// Of one message's flatbuffer.
const MAX_HEADER_BYTES: usize = 4 << 20;
/// Rows of one batch, and values of any of its columns.
const MAX_ROWS: i64 = 1 << 24;
/// What one batch may take in memory once it is decompressed, and its columns once their dictionaries are unfolded. Far above
/// what a commit holds, so that the engine gives the better error for everything below.
const MAX_DECODED_BYTES: u64 = 64 << 20;
/// What the compressed parts of one batch may take once they are unpacked.
pub(crate) const MAX_UNPACKED_BYTES: u64 = 16 << 20;
/// What all dictionaries of a stream may take in memory. They live as long as the stream, whether rows come or not.
pub(crate) const MAX_DICTIONARY_BYTES: u64 = 8 << 20;

/// The state of one incoming stream: its schema and its dictionaries.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// What each of them holds, in bytes.
    held: HashMap<i64, u64>,
}

/// Memory that decoding takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// While the message's rows are used.
    pub(crate) unpacked: usize,
    /// By all dictionaries of the stream, as long as it lasts.
    pub(crate) dictionaries: usize,
}

/// What one message held.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The stream's, to be compared with what the rows are for before more is taken in.
    Schema(SchemaRef),
    Batch(RecordBatch),
    /// A dictionary, or no Arrow message at all (metadata only).
    Nothing,
}

impl Decoder {
    /// The schema, once its message has come.
    pub(crate) fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Takes one message. Errors are the client's fault and name what is wrong.
    pub(crate) fn decode(&mut self, data: &FlightData) -> Result<Decoded> {
        if data.data_header.is_empty() {
            return Ok(Decoded::Nothing);
        }
        caught(|| self.decode_checked(data))
    }

    /// The bytes that the rows of a message will hold once it is decoded, without decoding it; 0 for what is no batch of rows.
    pub(crate) fn measure(&self, data: &FlightData) -> Result<u64> {
        if data.data_header.is_empty() {
            return Ok(0);
        }
        caught(|| match header(data)?.header_as_record_batch() {
            Some(batch) => Ok(body::measure(&batch, &data.data_body, MAX_DECODED_BYTES)?.held(&data.data_body)),
            None => Ok(0),
        })
    }

    /// The memory that decoding a message takes besides the message, as far as the message says; nothing for one that will be
    /// refused.
    pub(crate) fn needs(&self, data: &FlightData) -> Needs {
        let none = Needs::default();
        if data.data_header.is_empty() {
            return none;
        }
        let needs = caught(|| {
            let message = header(data)?;
            if let Some(batch) = message.header_as_record_batch() {
                return Ok(Needs {
                    unpacked: body::stated(&batch, &data.data_body, MAX_UNPACKED_BYTES),
                    dictionaries: 0,
                });
            }
            let Some(dictionary) = message.header_as_dictionary_batch() else { return Ok(none) };
            let unpacked =
                dictionary.data().map_or(0, |values| body::stated(&values, &data.data_body, MAX_DICTIONARY_BYTES));
            let held: u64 = self.held.values().sum();
            let dictionaries = held.saturating_add(unpacked as u64).saturating_add(data.data_body.len() as u64);
            Ok(Needs { unpacked, dictionaries: dictionaries.min(MAX_DICTIONARY_BYTES) as usize })
        });
        needs.unwrap_or(none)
    }

    fn decode_checked(&mut self, data: &FlightData) -> Result<Decoded> {
        let message = header(data)?;
        match message.header_type() {
            MessageHeader::Schema => {
                let header = message.header_as_schema().ok_or_else(missing)?;
                schema::check(&header)?;
                if self.schema.is_some() {
                    return Err(DoorError::invalid("a stream has one schema, and this is the second"));
                }
                let schema: SchemaRef = arrow_ipc::convert::fb_to_schema(header).into();
                self.schema = Some(Arc::clone(&schema));
                Ok(Decoded::Schema(schema))
            }
            MessageHeader::DictionaryBatch => {
                let header = message.header_as_dictionary_batch().ok_or_else(missing)?;
                let schema = self.schema.clone().ok_or_else(schema_first)?;
                let values = header.data().ok_or_else(missing)?;
                let held = self.dictionary_held(header.id(), header.isDelta(), &values, &data.data_body)?;
                let body = Buffer::from(data.data_body.clone());
                read_dictionary(&body, header, &schema, &mut self.dictionaries, &message.version())
                    .map_err(malformed)?;
                self.held.insert(header.id(), held);
                Ok(Decoded::Nothing)
            }
            MessageHeader::RecordBatch => {
                let header = message.header_as_record_batch().ok_or_else(missing)?;
                let schema = self.schema.clone().ok_or_else(schema_first)?;
                let sizes = body::measure(&header, &data.data_body, MAX_DECODED_BYTES)?;
                if sizes.unpacked > MAX_UNPACKED_BYTES {
                    return Err(body::too_large(MAX_UNPACKED_BYTES));
                }
                let body = Buffer::from(data.data_body.clone());
                let batch = read_record_batch(&body, header, schema, &self.dictionaries, None, &message.version())
                    .map_err(malformed)?;
                expand::check(&batch, MAX_DECODED_BYTES)?;
                Ok(Decoded::Batch(batch))
            }
            other => Err(DoorError::invalid(format!("{other:?} messages are not read, only record batches"))),
        }
    }

    /// What a dictionary will hold with these values, which are not unpacked yet; an error where the stream's dictionaries
    /// would become too large.
    fn dictionary_held(&self, id: i64, delta: bool, values: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<u64> {
        let sizes = body::measure(values, body, MAX_DECODED_BYTES)?;
        let before = if delta { self.held.get(&id).copied().unwrap_or(0) } else { 0 };
        let held = before.saturating_add(sizes.held(body));
        let others = self.held.iter().filter(|(other, _)| **other != id).map(|(_, held)| *held);
        if others.fold(held, u64::saturating_add) > MAX_DICTIONARY_BYTES {
            return Err(DoorError::new(
                millstream_engine::ErrorKind::ResourceExhausted,
                format!(
                    "the stream's dictionaries take more than {MAX_DICTIONARY_BYTES} bytes; send the columns without them"
                ),
            ));
        }
        Ok(held)
    }
}

/// The checks before make a panic unlikely; the reader is not ours, so one is caught all the same.
fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    let caught = catch_unwind(AssertUnwindSafe(call));
    caught.unwrap_or_else(|_| Err(DoorError::invalid("the Arrow message is malformed")))
}

fn header(data: &FlightData) -> Result<arrow_ipc::Message<'_>> {
    if data.data_header.len() > MAX_HEADER_BYTES {
        return Err(DoorError::invalid(format!(
            "the Arrow message's header has {} bytes, more than the limit of {MAX_HEADER_BYTES}",
            data.data_header.len()
        )));
    }
    let message = arrow_ipc::root_as_message(&data.data_header)
        .map_err(|error| DoorError::invalid(format!("the Arrow message's header is malformed: {error}")))?;
    if !matches!(message.version(), MetadataVersion::V4 | MetadataVersion::V5) {
        return Err(DoorError::invalid("only Arrow format versions 4 and 5 are read"));
    }
    Ok(message)
}

fn missing() -> DoorError {
    DoorError::invalid("the Arrow message lacks its header")
}

fn schema_first() -> DoorError {
    DoorError::invalid("a record batch came before the schema message")
}

fn malformed(error: ArrowError) -> DoorError {
    DoorError::invalid(format!("the record batch is malformed: {error}"))
}

#[cfg(test)]
mod tests;
