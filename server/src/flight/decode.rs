//! Record batches that clients send. What is wrong with one is checked by the reader of Arrow messages that files have, too.

use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
pub(super) use ipc::{Decoded, Needs};
use millstream_engine::ErrorKind;
use millstream_formats::{Error, ipc};

use super::error::{DoorError, Result};

/// What the compressed parts of one batch may take once they are unpacked.
pub(crate) const MAX_UNPACKED_BYTES: u64 = 16 << 20;
/// What all dictionaries of a stream may take in memory. They live as long as the stream, whether rows come or not.
pub(crate) const MAX_DICTIONARY_BYTES: u64 = 8 << 20;

/// A batch may be far larger than what a commit holds, so that the engine gives the better error for everything below.
const LIMITS: ipc::Limits =
    ipc::Limits { rows: 1 << 24, decoded: 64 << 20, unpacked: MAX_UNPACKED_BYTES, dictionaries: MAX_DICTIONARY_BYTES };

/// The state of one incoming stream: its schema and its dictionaries.
#[derive(Debug)]
pub(super) struct Decoder(ipc::Decoder);

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder(ipc::Decoder::new(LIMITS))
    }
}

impl Decoder {
    /// The schema, once its message has come.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }

    /// Takes one message. Errors are the client's fault and name what is wrong.
    pub(super) fn decode(&mut self, data: &FlightData) -> Result<Decoded> {
        let body = Buffer::from(data.data_body.clone());
        self.0.decode(ipc::Message { header: &data.data_header, body: &body }).map_err(refused)
    }

    /// The bytes that the rows of a message will hold once it is decoded, without decoding it; 0 for what is no batch of rows.
    pub(super) fn measure(&self, data: &FlightData) -> Result<u64> {
        let body = Buffer::from(data.data_body.clone());
        self.0.measure(ipc::Message { header: &data.data_header, body: &body }).map_err(refused)
    }

    /// The memory that decoding a message takes besides the message, as far as the message says; nothing for one that will be
    /// refused.
    pub(super) fn needs(&self, data: &FlightData) -> Needs {
        let body = Buffer::from(data.data_body.clone());
        self.0.needs(ipc::Message { header: &data.data_header, body: &body })
    }
}

fn refused(error: Error) -> DoorError {
    let kind = match &error {
        Error::TooLarge(_) => ErrorKind::ResourceExhausted,
        _ => ErrorKind::InvalidInput,
    };
    DoorError::new(kind, error.to_string())
}
