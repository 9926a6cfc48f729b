//! A table's own topic: its rows unchanged.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::chunk::EvaluatedChunk;
use crate::chunks::ChunkRows;
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, RowMap};
use crate::cursor::{Tables, chunk_in_memory};
use crate::model::{Offset, OperatorError, PartitionId, TableInfo, TopicInfo};

/// Every column as it is.
#[derive(Debug)]
pub(super) struct Identity {
    inputs: Vec<InputColumn>,
    schema: SchemaRef,
}

impl Identity {
    /// Columns added to the table after this version of the topic are left out.
    pub(super) fn new(topic: &TopicInfo) -> Identity {
        let schema = topic.output_schema.clone();
        Identity { inputs: (0..schema.fields().len()).map(InputColumn::Field).collect(), schema }
    }
}

impl BatchOperator for Identity {
    fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        vec![false; chunks.len()]
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        Ok(Evaluated { batch: input.clone(), rows: RowMap::Every })
    }

    fn is_identity(&self) -> bool {
        true
    }
}

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
