//! The one way to read rows. A cursor is an offset and nothing more: [`chunk_at`] finds the canonical chunk that holds
//! it, in the log's memory tail, in a log file or in a segment. Chunk boundaries do not depend on who reads, so that all
//! readers of a topic share evaluations, and following `next_offset` crosses the three places without gap or duplicate.

mod project;

use arrow_array::RecordBatch;

use crate::shared::Shared;
use crate::{BatchOperator, EncodedBatch, Error, Offset, PartitionId, Result, TableId};

pub(crate) use project::{Projection, append_ts_type, constant_append_ts};

/// Gives the chunk that holds `offset`; `None` at the durable end. Offsets below the start are `OffsetOutOfRange`.
///
/// With a `pruner` (whose inputs are the projection's) stretches of segments in which no row can match are passed over.
pub(crate) fn chunk_at(
    shared: &Shared,
    projection: &Projection,
    table: TableId,
    partition: PartitionId,
    offset: Offset,
    pruner: Option<&dyn BatchOperator>,
) -> Result<Option<Chunk>> {
    let _ = (shared, projection, table, partition, offset, pruner);
    Err(Error::Unsupported("reading lands with its owner".to_owned()))
}

/// A canonical run of rows: one log frame, or one fixed run of a segment's row group.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// At or below the offset asked for.
    pub base_offset: Offset,
    /// One past the chunk's last row.
    pub next_offset: Offset,
    pub rows: ChunkRows,
    /// When the first row was appended (exact for a frame, in segments a lower bound), µs.
    pub append_us: i64,
    /// Bounds of the event time in µs, no narrower than the rows.
    pub min_event_us: i64,
    pub max_event_us: i64,
    /// The schema version the rows were written with.
    pub schema_version: u32,
    /// The whole chunk as it lies in the log, if it is a frame of the table's newest schema version.
    pub encoded: Option<EncodedBatch>,
}

/// The rows of a [`Chunk`].
#[derive(Debug, Clone)]
pub(crate) enum ChunkRows {
    /// `next_offset - base_offset` rows, a column for each input.
    Batch(RecordBatch),
    /// The pruner ruled out every row: nothing was read.
    Pruned,
}
