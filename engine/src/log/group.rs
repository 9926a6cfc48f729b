//! Small parts of rows, gathered by partition while a commit is planned.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::index::Key;
use super::ipc;
use crate::model::{Error, Result};
use crate::state::EncodedRows;
use crate::state::RowsRecord;

/// A joined frame takes no more rows and no more bytes than this; then another one is begun.
const JOINED_ROWS: u32 = 65_536;
const JOINED_BYTES: usize = 1 << 20;

/// The groups of one commit, in the order in which their frames will lie.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    /// The last group of each partition.
    open: HashMap<Key, usize>,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether rows of this partition wait.
    pub(super) fn holds(&self, partition: Key) -> bool {
        self.open.contains_key(&partition)
    }

    /// Puts a small part into its partition's group. The record has its offset already.
    pub(super) fn join(&mut self, record: RowsRecord, batch: RecordBatch) -> Joined {
        let key = (record.table, record.partition);
        let bytes = ipc::sliced_bytes(&batch);
        if let Some(at) = self.open.get(&key).copied()
            && let Some(group) = self.all.get_mut(at)
            && group.takes(&record, bytes)
        {
            group.record.rows += record.rows;
            group.record.min_event_us = group.record.min_event_us.min(record.min_event_us);
            group.record.max_event_us = group.record.max_event_us.max(record.max_event_us);
            group.bytes += bytes;
            group.batches.push(batch);
            return Joined { group: at, rows_to_end: group.record.rows };
        }
        let joined = Joined { group: self.all.len(), rows_to_end: record.rows };
        self.open.insert(key, joined.group);
        self.all.push(Group { record, bytes, batches: vec![batch] });
        joined
    }

    /// All groups, in order; none is left.
    pub(super) fn take(&mut self) -> Vec<Group> {
        self.open.clear();
        std::mem::take(&mut self.all)
    }
}

/// Small parts of one partition that become one frame.
#[derive(Debug)]
pub(super) struct Group {
    /// Of all the parts together.
    pub record: RowsRecord,
    bytes: usize,
    batches: Vec<RecordBatch>,
}

impl Group {
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
                let schema = schema.ok_or_else(|| Error::Internal("an empty group of rows".to_owned()))?;
                let joined = concat_batches(&schema, batches).map_err(|error| Error::Internal(error.to_string()))?;
                ipc::encode(&joined)
            }
        }
    }
}

/// Where a submission's rows lie in a group: its LSNs are known when the group has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    pub group: usize,
    /// Rows of the group up to and including the submission's last.
    pub rows_to_end: u32,
}
