//! A table's own topic: its rows unchanged.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, RowMap};
use crate::model::OperatorError;
use crate::model::TopicInfo;

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
