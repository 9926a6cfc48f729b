//! Reading a little at a time: for consumers who want a few rows, and the next ones when they come again.

use super::tables::{ReadPlace, Tables};
use super::{frame_chunk, no_partition, no_table, pruned_chunk_at};
use crate::chunks::{Chunk, ChunkRows, Projection, SharedRead};
use crate::cursor::{OffsetRange, ScannedBatch};
use crate::model::{Error, Offset, PartitionId, Result, TableId};
use crate::segments::Pruning;

/// The rows from the beginning of a range on that lie together, and no further than it; `None` at the durable end, which may lie before
/// the range's. Rows of the memory tail are given as they are there. Others are read once for all who come for
/// them while they are kept, however few each of them takes. `OffsetOutOfRange` below the start.
pub(crate) fn stretch_at(
    tables: &Tables,
    projection: &Projection,
    (table, partition): (TableId, PartitionId),
    range: &OffsetRange,
) -> Result<Option<ScannedBatch>> {
    let from = range.start;
    let (info, until) = {
        let state = tables.ledger.state.read();
        // Whoever was let in before may have waited for the lock.
        tables.ledger.check_whole()?;
        let info = state.table(table).ok_or_else(no_table)?;
        let found = state.partition(table, partition).ok_or_else(|| no_partition(info, partition))?;
        if from < found.start {
            return Err(Error::OffsetOutOfRange { partition, offset: from, start: found.start, end: found.end });
        }
        (info.clone(), range.end.min(found.end))
    };
    if from >= until {
        return Ok(None);
    }
    let chunk = match tables.ledger.log.tail_frame_at(table, partition, from) {
        Some(frame) => frame_chunk(&frame, &info, projection)?,
        None => {
            let place = ReadPlace { table, partition, columns: projection.inputs().clone() };
            let pruning = Pruning { piecemeal: true, ..Pruning::default() };
            let read = || pruned_chunk_at(tables, projection, table, partition, from, &pruning);
            match tables.reads.get(&place, from, read)? {
                Some(chunk) => Chunk::clone(&chunk),
                None => return Ok(None),
            }
        }
    };
    let Chunk { base_offset, next_offset, rows, .. } = chunk.within(&(from..until));
    match rows {
        ChunkRows::Batch(batch) => Ok(Some(ScannedBatch { partition, range: base_offset..next_offset, batch })),
        ChunkRows::Pruned => Err(Error::Internal(format!("rows of {partition}:{from} were left out by nobody"))),
    }
}

impl SharedRead for Chunk {
    fn base(&self) -> Offset {
        self.base_offset
    }

    fn answers(&self, position: Offset) -> bool {
        self.base_offset <= position && position < self.next_offset
    }

    /// The arrays of a frame point into the frame's own buffer.
    fn bytes(&self) -> usize {
        match (&self.encoded, &self.rows) {
            (Some(encoded), _) => encoded.body.len() + 5 * encoded.header.len(),
            (None, ChunkRows::Batch(batch)) => batch.get_array_memory_size(),
            (None, ChunkRows::Pruned) => 0,
        }
    }

    fn is_kept(&self) -> bool {
        true
    }
}
