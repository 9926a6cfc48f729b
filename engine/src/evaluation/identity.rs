//! A table's own topic: its rows unchanged, where they lie in memory.

use super::chunk::EvaluatedChunk;
use crate::chunks::ChunkRows;
use crate::cursor::{Tables, chunk_in_memory};
use crate::model::{Offset, PartitionId, TableInfo};

/// What [`Evaluations::chunk_at`](super::Evaluations::chunk_at) gives at a durable `position` of the table's own topic, as of its newest
/// columns, if that lies in memory. Takes no lock of the state and waits for nothing, so that whoever asks may hold others.
pub(crate) fn identity_in_memory(
    tables: &Tables,
    table: &TableInfo,
    partition: PartitionId,
    position: Offset,
) -> Option<EvaluatedChunk> {
    let chunk = chunk_in_memory(tables, table, partition, position)?;
    let ChunkRows::Batch(batch) = &chunk.rows else { return None };
    Some(EvaluatedChunk::raw(&chunk, batch.clone(), table.schema_version()))
}
