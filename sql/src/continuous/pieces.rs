//! How panes are saved: batches as Arrow IPC, cut into chunks of a bounded size.
//!
//! ```text
//! chunk: version u8 = 1 | chunks that follow u32, little endian | bytes
//! ```
//! The bytes of a batch's chunks, put together, are an IPC stream with one batch.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// What a chunk takes at most.
const MAX_BYTES: usize = 256 << 10;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;

/// A batch in chunks.
pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    let parts = bytes.chunks(MAX_BYTES - HEADER_BYTES);
    let mut left = u32::try_from(parts.len())
        .map_err(|_| ArrowError::IpcError(format!("a pane of {} bytes is too large to be saved", bytes.len())))?;
    let chunk = |part: &[u8]| {
        left = left.saturating_sub(1);
        let mut chunk = Vec::with_capacity(HEADER_BYTES + part.len());
        chunk.push(VERSION);
        chunk.extend(left.to_le_bytes());
        chunk.extend(part);
        chunk
    };
    Ok(parts.map(chunk).collect())
}

/// Puts chunks together again.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    chunks: u32,
    left: Option<u32>,
}

impl Assembly {
    /// Takes the next chunk; gives the batch, and of how many chunks it is, with the last one.
    pub(super) fn add(&mut self, chunk: &[u8], schema: &SchemaRef) -> Result<Option<(RecordBatch, u32)>, ArrowError> {
        let broken = |what: &str| ArrowError::IpcError(format!("a saved pane {what}"));
        let Some(([version, left @ ..], part)) = chunk.split_first_chunk::<HEADER_BYTES>() else {
            return Err(broken("is too short"));
        };
        if *version != VERSION {
            return Err(broken(&format!("is of version {version}")));
        }
        let left = u32::from_le_bytes(*left);
        if self.left.is_some_and(|expected| expected != left.saturating_add(1)) {
            return Err(broken("lacks a chunk"));
        }
        self.bytes.extend(part);
        self.chunks = self.chunks.saturating_add(1);
        if left > 0 {
            self.left = Some(left);
            return Ok(None);
        }
        let Assembly { bytes, chunks, .. } = std::mem::take(self);
        let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let batch = reader.next().ok_or_else(|| broken("has no rows"))??;
        if batch.schema() != *schema {
            return Err(broken("has other columns than the topic keeps"));
        }
        Ok(Some((batch, chunks)))
    }

    /// Whether a batch has begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.chunks > 0
    }
}
