//! Rows as they lie in the log, for readers.

use std::sync::OnceLock;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::ipc;
use crate::model::{EncodedBatch, Error, Lsn, Offset, PartitionId, Result, TableId};

/// One frame of rows of one partition, shared by every reader.
#[derive(Debug)]
pub(crate) struct Frame {
    pub table: TableId,
    pub partition: PartitionId,
    pub schema_version: u32,
    pub base_offset: Offset,
    pub rows: u32,
    /// Append time of the commit, µs.
    pub append_us: i64,
    pub min_event_us: i64,
    pub max_event_us: i64,
    /// The LSN of the first row; row `i` has this plus `i`.
    pub lsn: Lsn,
    /// Bytes of the frame in the log, header and padding included.
    pub frame_bytes: u32,
    pub encoded: EncodedBatch,
    pub(super) decoded: OnceLock<RecordBatch>,
}

impl Frame {
    /// One past the last offset.
    pub(crate) fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.rows))
    }

    /// Memory that it holds, about: besides the buffer, what decoding adds for each column, which the length of the message's
    /// header follows.
    pub(super) fn memory_bytes(&self) -> u64 {
        let columns = 4 * self.encoded.header.len() as u64;
        u64::from(self.frame_bytes) + size_of::<Frame>() as u64 + columns
    }

    /// The rows, decoded once. The arrays point into the frame's own buffer, so that keeping them keeps all of it. `schema` is
    /// that of the frame's schema version.
    pub(crate) fn batch(&self, schema: &SchemaRef) -> Result<&RecordBatch> {
        if let Some(batch) = self.decoded.get() {
            return Ok(batch);
        }
        let batch = ipc::decode(&self.encoded, schema, self.rows).map_err(|reason| {
            Error::Internal(format!(
                "the log frame of table {} partition {} offset {} can't be decoded: {reason}",
                self.table, self.partition, self.base_offset
            ))
        })?;
        Ok(self.decoded.get_or_init(|| batch))
    }
}
