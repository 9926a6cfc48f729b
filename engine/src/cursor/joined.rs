//! Small chunks read as one.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::tables::Tables;
use super::{Chunk, ChunkRows, Projection, pruned_chunk_at};
use crate::log::sliced_bytes;
use crate::model::{Error, Offset, PartitionId, Result, TableId};
use crate::segments::Pruning;

/// Chunks of fewer rows are joined until they are as many.
const SMALL_ROWS: usize = 1_024;
/// Nor do rows of more bytes wait for others.
const SMALL_BYTES: usize = 1 << 20;

/// As [`pruned_chunk_at`], where small chunks are joined with those behind them, up to the one that reaches `until`: a guest
/// takes as long for one row as for a hundred. What was pruned is joined with nothing.
pub(crate) fn joined_chunk_at(
    tables: &Tables,
    projection: &Projection,
    table: TableId,
    partition: PartitionId,
    offset: Offset,
    until: Offset,
    pruning: &Pruning<'_>,
) -> Result<Option<Chunk>> {
    let read = |offset| pruned_chunk_at(tables, projection, table, partition, offset, pruning);
    let Some(mut first) = read(offset)? else { return Ok(None) };
    let ChunkRows::Batch(batch) = &first.rows else { return Ok(Some(first)) };
    let mut batches = vec![batch.clone()];
    let (mut rows, mut bytes) = (batch.num_rows(), sliced_bytes(batch));
    while rows < SMALL_ROWS && bytes < SMALL_BYTES && first.next_offset < until {
        // What can't be read is the next caller's error, who begins there.
        let Ok(Some(next)) = read(first.next_offset) else { break };
        // Rows may have moved meanwhile, into a chunk that begins before.
        let next = next.within(&(first.next_offset..Offset::MAX));
        let ChunkRows::Batch(batch) = next.rows else { break };
        rows += batch.num_rows();
        bytes += sliced_bytes(&batch);
        batches.push(batch);
        first.next_offset = next.next_offset;
    }
    if batches.len() > 1 {
        first.rows = ChunkRows::Batch(join(projection, &batches, partition)?);
        first.encoded = None;
    }
    Ok(Some(first))
}

fn join(projection: &Projection, batches: &[RecordBatch], partition: PartitionId) -> Result<RecordBatch> {
    concat_batches(projection.schema(), batches)
        .map_err(|error| Error::Internal(format!("chunks of partition {partition} don't join: {error}")))
}
