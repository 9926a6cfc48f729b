//! What a consumer gives.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::de::DeserializeOwned;

use crate::error::Result;

/// A topic's name and a partition of it.
pub type Partition = (String, u32);

/// Rows of one partition of one topic, in offset order.
#[derive(Debug, Clone)]
pub struct Batch {
    pub topic: String,
    pub partition: u32,
    /// The first offset that the batch answers for.
    pub first_offset: u64,
    /// What to commit once the batch is processed. Rows between that were filtered out are inside.
    pub next_offset: u64,
    pub generation: u64,
    pub data: RecordBatch,
    pub(super) deltas: Arc<[u64]>,
}

impl Batch {
    /// The source offset of each row.
    pub fn offsets(&self) -> Vec<u64> {
        if self.deltas.is_empty() {
            return (self.first_offset..).take(self.data.num_rows()).collect();
        }
        let mut offset = self.first_offset;
        let step = |delta: &u64| {
            offset = offset.wrapping_add(*delta);
            offset
        };
        self.deltas.iter().map(step).collect()
    }

    /// The rows as values of your type.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        crate::rows::decode(&self.data)
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// The oldest retained row.
    pub start: u64,
    /// One past the newest durable row.
    pub end: u64,
    pub committed: Option<u64>,
    /// The next offset that [`crate::Consumer::poll`] gives.
    pub position: u64,
}

/// Where [`crate::Consumer::seek`] moves a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    Offset(u64),
    Start,
    End,
    /// The first row appended at or after this time, µs since the Unix epoch.
    AppendTime(i64),
}
