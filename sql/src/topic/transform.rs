//! A transform topic compiled: the SELECT, then the plugin.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use millstream_engine::{
    BatchOperator, BatchTransform, ChunkStatistics, Evaluated, FailureKind, InputColumn, OperatorError, RowMap,
};

use super::operator::Operator;
use super::stateless::{Output, Stateless, column};
use crate::plugin::Transform;
use crate::pseudo;

/// Rows are selected first; the plugin sees those alone, and of them the columns it takes.
#[derive(Debug)]
pub(super) struct TransformOperator {
    /// Gives the plugin's arguments, then the pseudo-columns if they are wanted.
    select: Operator,
    step: Arc<dyn BatchTransform>,
    arguments: usize,
    schema: SchemaRef,
}

impl TransformOperator {
    /// `select` gives the plugin's arguments. With the pseudo-columns, each row has those of the row it comes from.
    pub(super) fn compile(
        select: &Stateless,
        transform: &Transform,
        with_pseudo: bool,
        state: &SessionState,
    ) -> DfResult<TransformOperator> {
        let mut select = select.clone();
        let arguments = select.outputs.len();
        let own = transform.step.output_schema().fields().iter().map(|field| field.as_ref().clone());
        let mut fields: Vec<Field> = own.collect();
        if with_pseudo {
            for (name, field) in pseudo::NAMES.into_iter().zip(pseudo::fields()) {
                fields.push(field.clone());
                select.outputs.push(Output { field, expr: column(name) });
            }
        }
        Ok(TransformOperator {
            select: Operator::compile(&select, false, state)?,
            step: Arc::clone(&transform.step),
            arguments,
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

impl BatchOperator for TransformOperator {
    fn inputs(&self) -> &[InputColumn] {
        self.select.inputs()
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        self.select.prune(chunks)
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        let selected = self.select.evaluate(input)?;
        let rows = selected.batch.num_rows();
        if rows == 0 {
            let batch = RecordBatch::new_empty(Arc::clone(&self.schema));
            return Ok(Evaluated { batch, rows: RowMap::Indices(Vec::new()) });
        }
        let (arguments, kept) = selected.batch.columns().split_at(self.arguments);
        let Evaluated { batch, rows: origins } = self.step.transform(arguments, rows)?;
        let origins = match origins {
            RowMap::Indices(origins) => origins,
            RowMap::Every => (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect(),
        };
        let origins = UInt32Array::from(origins);
        let mut columns = batch.columns().to_vec();
        for column in kept {
            columns.push(take(column, &origins, None).map_err(bad_output)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(bad_output)?;
        let rows = match selected.rows {
            RowMap::Every => origins.values().to_vec(),
            RowMap::Indices(before) => {
                origins.values().iter().filter_map(|row| before.get(*row as usize).copied()).collect()
            }
        };
        Ok(Evaluated { batch, rows: RowMap::Indices(rows) })
    }
}

fn bad_output(error: arrow::error::ArrowError) -> OperatorError {
    OperatorError::new(FailureKind::BadOutput, error.to_string())
}
