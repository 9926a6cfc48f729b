//! Small parts of rows, gathered by partition while a commit is planned.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::log::rows::{PartitionKey, ipc};
use crate::model::{Error, Result};
use crate::state::EncodedRows;
use crate::state::RowsRecord;

/// A joined frame takes no more rows and no more bytes than this; then another one is begun.
const JOINED_ROWS: u32 = 65_536;
const JOINED_BYTES: usize = 1 << 20;

/// The frames of one commit that small parts are joined to, in the order in which they will lie.
#[derive(Debug, Default)]
pub(super) struct JoinedFrames {
    all: Vec<JoinedFrame>,
    /// The last frame of each partition.
    open: HashMap<PartitionKey, usize>,
}

impl JoinedFrames {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether rows of this partition wait.
    pub(super) fn holds(&self, partition: PartitionKey) -> bool {
        self.open.contains_key(&partition)
    }

    /// Puts a small part into its partition's frame. The record has its offset already.
    pub(super) fn join(&mut self, record: RowsRecord, batch: RecordBatch) -> JoinedPart {
        let key = (record.table, record.partition);
        let bytes = ipc::sliced_bytes(&batch);
        if let Some(at) = self.open.get(&key).copied()
            && let Some(frame) = self.all.get_mut(at)
            && frame.takes(&record, bytes)
        {
            frame.record.rows += record.rows;
            frame.record.min_event_us = frame.record.min_event_us.min(record.min_event_us);
            frame.record.max_event_us = frame.record.max_event_us.max(record.max_event_us);
            frame.bytes += bytes;
            frame.batches.push(batch);
            return JoinedPart { frame: at, rows_to_end: frame.record.rows };
        }
        let joined = JoinedPart { frame: self.all.len(), rows_to_end: record.rows };
        self.open.insert(key, joined.frame);
        self.all.push(JoinedFrame { record, bytes, batches: vec![batch] });
        joined
    }

    /// All frames, in order; none is left.
    pub(super) fn take(&mut self) -> Vec<JoinedFrame> {
        self.open.clear();
        std::mem::take(&mut self.all)
    }
}

/// Small parts of one partition that become one frame.
#[derive(Debug)]
pub(super) struct JoinedFrame {
    /// Of all the parts together.
    pub record: RowsRecord,
    bytes: usize,
    batches: Vec<RecordBatch>,
}

impl JoinedFrame {
    fn takes(&self, record: &RowsRecord, bytes: usize) -> bool {
        self.record.schema_version == record.schema_version
            && self.record.rows.saturating_add(record.rows) <= JOINED_ROWS
            && self.bytes.saturating_add(bytes) <= JOINED_BYTES
    }

    pub(super) fn encode(&self) -> Result<EncodedRows> {
        match self.batches.as_slice() {
            [batch] => ipc::encode(batch),
            batches => {
                let schema = batches.first().map(RecordBatch::schema);
                let schema = schema.ok_or_else(|| Error::Internal("an empty frame of rows".to_owned()))?;
                let joined = concat_batches(&schema, batches).map_err(|error| Error::Internal(error.to_string()))?;
                ipc::encode(&joined)
            }
        }
    }
}

/// Where a submission's rows lie in a frame: its LSNs are known when the frame has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinedPart {
    pub frame: usize,
    /// Rows of the frame up to and including the submission's last.
    pub rows_to_end: u32,
}
