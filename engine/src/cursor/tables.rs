//! What rows are read from.

use std::sync::Arc;

use crate::chunks::{Chunk, SharedReads};
use crate::contract::InputColumn;
use crate::log::Ledger;
use crate::model::{PartitionId, TableId};
use crate::segments::Segments;

/// Rows wherever they lie: in memory and the files of the log, and in segments.
#[derive(Debug)]
pub(crate) struct Tables {
    pub ledger: Arc<Ledger>,
    pub segments: Arc<Segments>,
    /// Chunks that were read from files for readers that take a little at a time.
    pub(super) reads: SharedReads<ReadPlace, Chunk>,
}

/// Columns of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReadPlace {
    pub table: TableId,
    pub partition: PartitionId,
    pub columns: Arc<[InputColumn]>,
}

impl Tables {
    pub(crate) fn new(ledger: &Arc<Ledger>, segments: &Arc<Segments>) -> Tables {
        let reads = SharedReads::new(ledger.options.read_cache_bytes);
        Tables { ledger: ledger.clone(), segments: segments.clone(), reads }
    }

    /// Rows that were read from files of the log or from segments, for whatever purpose, since opening.
    pub(crate) fn rows_read(&self) -> u64 {
        self.ledger.log.rows_read() + self.segments.figures().rows_read()
    }

    /// Frees what is kept for a table that was dropped.
    pub(crate) fn forget(&self, table: TableId) {
        self.reads.forget(|place| place.table == table);
    }
}
