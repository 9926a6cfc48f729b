//! Columns -> the Arrow IPC messages that a guest reads.

use std::fmt;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, StreamEncoder, write_message};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use millstream_engine::{FailureKind, OperatorError};

use crate::failure::failure;

/// The arguments of a call as a batch.
pub(crate) fn argument_batch(
    schema: &SchemaRef,
    arguments: &[ArrayRef],
    rows: usize,
) -> Result<RecordBatch, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arguments.to_vec(), &options)
        .map_err(|e| failure(FailureKind::Host, format!("the arguments are not those that the plugin declares: {e}")))
}

/// An encapsulated schema message.
pub(crate) fn schema_message(schema: &Schema) -> Result<Vec<u8>, OperatorError> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).map_err(host_failure)?;
    Ok(message)
}

/// Encodes batches of one schema, in memory that it keeps for the next.
pub(crate) struct Encoder {
    encoder: StreamEncoder,
    message: Vec<u8>,
}

/// More than this is given back after a call.
const KEPT_BYTES: usize = 4 << 20;

impl Encoder {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Encoder, OperatorError> {
        let mut encoder = StreamEncoder::try_new(schema).map_err(host_failure)?;
        // The first batch of a stream brings its schema, which the guest has been given at `open`.
        encoder.encode(&RecordBatch::new_empty(schema.clone())).map_err(host_failure)?;
        Ok(Encoder { encoder, message: Vec::new() })
    }

    /// An encapsulated record-batch message.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&[u8], OperatorError> {
        // The buffers are the batch's own: this is the one copy before that into the guest.
        let buffers = self.encoder.encode(batch).map_err(host_failure)?;
        self.message.clear();
        self.message.shrink_to(KEPT_BYTES);
        self.message.reserve(buffers.iter().map(|buffer| buffer.len()).sum());
        for buffer in &buffers {
            self.message.extend_from_slice(buffer);
        }
        Ok(&self.message)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

fn host_failure(error: ArrowError) -> OperatorError {
    failure(FailureKind::Host, format!("the arguments can't be encoded: {error}"))
}
