//! The messages of one stream, each checked before it is read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{MessageHeader, MetadataVersion};

use super::{body, expand, schema};
use crate::error::caught;
use crate::{Error, Result};

const MALFORMED: &str = "the Arrow message is malformed";
/// Fields of a schema, nested ones included.
pub(super) const MAX_FIELDS: usize = 10_000;
/// Of one message's flatbuffer.
const MAX_HEADER_BYTES: usize = 4 << 20;

/// A message as it stands in a stream.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// A flatbuffer. One of no bytes is no Arrow message at all.
    pub header: &'a [u8],
    pub body: &'a Buffer,
}

/// How large messages may be; counts, and bytes in memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows of one batch, and values of any of its columns.
    pub rows: i64,
    /// One batch once it is decompressed, and its columns once their dictionaries are unfolded.
    pub decoded: u64,
    /// The compressed parts of one batch once they are unpacked.
    pub unpacked: u64,
    /// All dictionaries of a stream. They live as long as it does, whether rows come or not.
    pub dictionaries: u64,
}

/// The state of one stream: its schema and its dictionaries.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// What each of them holds, in bytes.
    held: HashMap<i64, u64>,
}

/// Memory that decoding takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// While the message's rows are used.
    pub unpacked: usize,
    /// By all dictionaries of the stream, as long as it lasts.
    pub dictionaries: usize,
}

/// What one message held.
#[derive(Debug)]
pub enum Decoded {
    /// The stream's, to be compared with what the rows are for before more is taken in.
    Schema(SchemaRef),
    Batch(RecordBatch),
    /// A dictionary, or no Arrow message at all (metadata only).
    Nothing,
}

impl Decoder {
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, schema: None, dictionaries: HashMap::new(), held: HashMap::new() }
    }

    /// The schema, once its message has come.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Takes one message. Errors are its writer's fault and name what is wrong.
    pub fn decode(&mut self, message: Message<'_>) -> Result<Decoded> {
        if message.header.is_empty() {
            return Ok(Decoded::Nothing);
        }
        caught(MALFORMED, || self.decode_checked(message))
    }

    /// The bytes that the rows of a message will hold once it is decoded, without decoding it; 0 for what is no batch of rows.
    pub fn measure(&self, message: Message<'_>) -> Result<u64> {
        if message.header.is_empty() {
            return Ok(0);
        }
        caught(MALFORMED, || match header(message)?.header_as_record_batch() {
            Some(batch) => Ok(body::measure(&batch, message.body, &self.limits)?.held(message.body)),
            None => Ok(0),
        })
    }

    /// The memory that decoding a message takes besides the message, as far as the message says; nothing for one that will be
    /// refused.
    pub fn needs(&self, message: Message<'_>) -> Needs {
        let none = Needs::default();
        if message.header.is_empty() {
            return none;
        }
        let needs = caught(MALFORMED, || {
            let (body, message) = (message.body, header(message)?);
            if let Some(batch) = message.header_as_record_batch() {
                return Ok(Needs { unpacked: body::stated(&batch, body, self.limits.unpacked), dictionaries: 0 });
            }
            let Some(dictionary) = message.header_as_dictionary_batch() else { return Ok(none) };
            let unpacked = dictionary.data().map_or(0, |values| body::stated(&values, body, self.limits.dictionaries));
            let held: u64 = self.held.values().sum();
            let dictionaries = held.saturating_add(unpacked as u64).saturating_add(body.len() as u64);
            Ok(Needs { unpacked, dictionaries: dictionaries.min(self.limits.dictionaries) as usize })
        });
        needs.unwrap_or(none)
    }

    fn decode_checked(&mut self, message: Message<'_>) -> Result<Decoded> {
        let (body, message) = (message.body, header(message)?);
        match message.header_type() {
            MessageHeader::Schema => {
                let header = message.header_as_schema().ok_or_else(missing)?;
                schema::check(&header)?;
                if self.schema.is_some() {
                    return Err(Error::invalid("a stream has one schema, and this is the second"));
                }
                let schema: SchemaRef = arrow_ipc::convert::fb_to_schema(header).into();
                self.schema = Some(Arc::clone(&schema));
                Ok(Decoded::Schema(schema))
            }
            MessageHeader::DictionaryBatch => {
                let header = message.header_as_dictionary_batch().ok_or_else(missing)?;
                let schema = self.schema.clone().ok_or_else(schema_first)?;
                let values = header.data().ok_or_else(missing)?;
                let held = self.dictionary_held(header.id(), header.isDelta(), &values, body)?;
                read_dictionary(body, header, &schema, &mut self.dictionaries, &message.version())
                    .map_err(malformed)?;
                self.held.insert(header.id(), held);
                Ok(Decoded::Nothing)
            }
            MessageHeader::RecordBatch => {
                let header = message.header_as_record_batch().ok_or_else(missing)?;
                let schema = self.schema.clone().ok_or_else(schema_first)?;
                let sizes = body::measure(&header, body, &self.limits)?;
                if sizes.unpacked > self.limits.unpacked {
                    return Err(body::too_large(self.limits.unpacked));
                }
                let batch = read_record_batch(body, header, schema, &self.dictionaries, None, &message.version())
                    .map_err(malformed)?;
                expand::check(&batch, self.limits.decoded)?;
                Ok(Decoded::Batch(batch))
            }
            other => Err(Error::invalid(format!("{other:?} messages are not read, only record batches"))),
        }
    }

    /// What a dictionary will hold with these values, which are not unpacked yet; an error where the stream's dictionaries
    /// would become too large.
    fn dictionary_held(&self, id: i64, delta: bool, values: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<u64> {
        let sizes = body::measure(values, body, &self.limits)?;
        let before = if delta { self.held.get(&id).copied().unwrap_or(0) } else { 0 };
        let held = before.saturating_add(sizes.held(body));
        let others = self.held.iter().filter(|(other, _)| **other != id).map(|(_, held)| *held);
        let limit = self.limits.dictionaries;
        if others.fold(held, u64::saturating_add) > limit {
            return Err(Error::TooLarge(format!(
                "the stream's dictionaries take more than {limit} bytes; send the columns without them"
            )));
        }
        Ok(held)
    }
}

fn header(message: Message<'_>) -> Result<arrow_ipc::Message<'_>> {
    if message.header.len() > MAX_HEADER_BYTES {
        return Err(Error::invalid(format!(
            "the Arrow message's header has {} bytes, more than the limit of {MAX_HEADER_BYTES}",
            message.header.len()
        )));
    }
    let message = arrow_ipc::root_as_message(message.header)
        .map_err(|error| Error::invalid(format!("the Arrow message's header is malformed: {error}")))?;
    if !matches!(message.version(), MetadataVersion::V4 | MetadataVersion::V5) {
        return Err(Error::invalid("only Arrow format versions 4 and 5 are read"));
    }
    Ok(message)
}

fn missing() -> Error {
    Error::invalid("the Arrow message lacks its header")
}

fn schema_first() -> Error {
    Error::invalid("a record batch came before the schema message")
}

fn malformed(error: ArrowError) -> Error {
    Error::invalid(format!("the record batch is malformed: {error}"))
}
