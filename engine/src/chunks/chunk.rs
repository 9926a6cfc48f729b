//! Rows as readers get them.

use std::ops::Range;

use arrow_array::RecordBatch;

use crate::model::{EncodedBatch, Offset};

/// A canonical run of rows: one log frame, or one fixed run of a segment's row group.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// At or below the offset asked for.
    pub base_offset: Offset,
    /// One past the chunk's last row.
    pub next_offset: Offset,
    pub rows: ChunkRows,
    /// The schema version the rows were written with.
    pub schema_version: u32,
    /// The whole chunk as it lies in the log, if it is a frame of the table's newest schema version.
    pub encoded: Option<EncodedBatch>,
}

impl Chunk {
    /// The rows whose offsets are in `offsets`.
    pub(crate) fn within(self, offsets: &Range<Offset>) -> Chunk {
        let base_offset = self.base_offset.max(offsets.start).min(self.next_offset);
        let next_offset = self.next_offset.min(offsets.end).max(base_offset);
        if (base_offset, next_offset) == (self.base_offset, self.next_offset) {
            return self;
        }
        let row = |offset: Offset| usize::try_from(offset - self.base_offset).unwrap_or(usize::MAX);
        let rows = match self.rows {
            ChunkRows::Batch(batch) => {
                ChunkRows::Batch(batch.slice(row(base_offset), row(next_offset) - row(base_offset)))
            }
            ChunkRows::Pruned => ChunkRows::Pruned,
        };
        Chunk { base_offset, next_offset, rows, encoded: None, ..self }
    }
}

/// The rows of a [`Chunk`].
#[derive(Debug, Clone)]
pub(crate) enum ChunkRows {
    /// `next_offset - base_offset` rows, a column for each input.
    Batch(RecordBatch),
    /// The pruner ruled out every row: nothing was read.
    Pruned,
}
