//! Columns as they are.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::Projection;
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, RowMap};
use crate::model::{OperatorError, Result, TableInfo};

/// Gives back the columns that it asks for, of every row.
#[derive(Debug)]
pub struct PlainColumns {
    projection: Projection,
    is_identity: bool,
}

impl PlainColumns {
    /// Of a table. A field that its newest schema does not have is refused.
    pub fn of(table: &TableInfo, inputs: Vec<InputColumn>) -> Result<PlainColumns> {
        Ok(PlainColumns { projection: Projection::new(table, &inputs)?, is_identity: false })
    }

    /// A table's own topic with this schema. Columns that were added to the table since are left out.
    pub(crate) fn identity(schema: SchemaRef) -> PlainColumns {
        PlainColumns { projection: Projection::all(schema), is_identity: true }
    }

    pub(crate) fn projection(&self) -> &Projection {
        &self.projection
    }
}

impl BatchOperator for PlainColumns {
    fn inputs(&self) -> &[InputColumn] {
        self.projection.inputs()
    }

    fn output_schema(&self) -> &SchemaRef {
        self.projection.schema()
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        vec![false; chunks.len()]
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        Ok(Evaluated { batch: input.clone(), rows: RowMap::Every })
    }

    fn is_identity(&self) -> bool {
        self.is_identity
    }
}
