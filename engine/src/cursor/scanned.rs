//! Reading a bounded range through the one cursor.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::contract::BatchOperator;
use crate::model::{Offset, PartitionId, TopicId};

/// Offsets of one partition, end exclusive.
pub type OffsetRange = Range<Offset>;

/// A history read: one operator over ranges of a topic's source.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// What is read: an identity topic's id is that of its table.
    pub topic: TopicId,
    /// `None`: every partition from its start offset to its end offset at the start of the scan. Ranges that begin below the
    /// start offset give `OffsetOutOfRange`.
    pub ranges: Option<Vec<(PartitionId, OffsetRange)>>,
    /// Event-time bounds in µs, end exclusive; only prunes whole chunks, so the operator must still filter.
    pub event_time_us: Option<Range<i64>>,
    pub operator: Arc<dyn BatchOperator>,
}

/// One evaluated chunk.
#[derive(Debug, Clone)]
pub struct ScannedBatch {
    pub partition: PartitionId,
    /// The source range this answers for; rows filtered out are inside it.
    pub range: OffsetRange,
    pub batch: RecordBatch,
}

/// An iterator over [`ScannedBatch`]es, partition by partition and in offset order within each. Segments and chunks that
/// can't match are skipped without being opened.
pub struct Scan {
    pub(crate) schema: SchemaRef,
    pub(crate) chunks: Box<dyn Iterator<Item = crate::model::Result<ScannedBatch>> + Send>,
}

impl Scan {
    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Iterator for Scan {
    type Item = crate::model::Result<ScannedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunks.next()
    }
}
