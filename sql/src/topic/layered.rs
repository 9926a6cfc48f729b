//! Queries over topics that can't be merged into the topic's SELECT: those with a transform, and those that leave out
//! rows that fail. Consumers and queries see the same rows, while errors of the query itself are still errors.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use millstream_engine::{BatchOperator, ChunkStatistics, Evaluated, FailureKind, InputColumn, OperatorError, RowMap};

use super::operator::Operator;
use super::stateless::Stateless;

/// Failed calls that cost a guest's whole time or memory allowance are not repeated more often than this for one batch.
const COSTLY_FAILURES: usize = 64;

/// The whole topic, then the query's filters and columns.
#[derive(Debug)]
pub(crate) struct Layered {
    topic: Arc<dyn BatchOperator>,
    /// Rows that fail in the topic are left out.
    skip: bool,
    query: Operator,
}

impl Layered {
    pub(crate) fn compile(
        topic: Arc<dyn BatchOperator>,
        skip: bool,
        filters: &[Expr],
        projection: Option<&[usize]>,
        state: &SessionState,
    ) -> DfResult<Layered> {
        let query = Stateless::identity(topic.output_schema()).narrow(filters, projection)?;
        Ok(Layered { topic, skip, query: Operator::compile(&query, false, state)? })
    }

    /// The topic's rows, and which of the input they come from.
    fn evaluate_topic(
        &self,
        input: &RecordBatch,
        costly: &mut usize,
    ) -> Result<(RecordBatch, Vec<u32>), OperatorError> {
        let error = match self.topic.evaluate(input) {
            Ok(Evaluated { batch, rows: RowMap::Indices(rows) }) => return Ok((batch, rows)),
            Ok(Evaluated { batch, rows: RowMap::Every }) => {
                let rows = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
                return Ok((batch, rows));
            }
            Err(error) => error,
        };
        *costly += usize::from(error.kind.is_costly());
        if !self.skip || error.kind == FailureKind::Host || *costly > COSTLY_FAILURES {
            return Err(error);
        }
        let rows = input.num_rows();
        if rows <= 1 {
            return Ok((RecordBatch::new_empty(Arc::clone(self.topic.output_schema())), Vec::new()));
        }
        // Failing rows are found by halving.
        let half = rows / 2;
        let (first, mut indices) = self.evaluate_topic(&input.slice(0, half), costly)?;
        let (second, after) = self.evaluate_topic(&input.slice(half, rows - half), costly)?;
        let offset = u32::try_from(half).unwrap_or(u32::MAX);
        indices.extend(after.into_iter().map(|index| index.saturating_add(offset)));
        let batch = concat_batches(self.topic.output_schema(), [&first, &second]).map_err(host)?;
        Ok((batch, indices))
    }
}

impl BatchOperator for Layered {
    fn inputs(&self) -> &[InputColumn] {
        self.topic.inputs()
    }

    fn output_schema(&self) -> &SchemaRef {
        self.query.output_schema()
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        self.topic.prune(chunks)
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        let (batch, rows) = self.evaluate_topic(input, &mut 0)?;
        let columns = self.query.inputs().iter().map(|input| match input {
            InputColumn::Field(index) if *index < batch.num_columns() => {
                (batch.schema().field(*index).clone(), Arc::clone(batch.column(*index)))
            }
            // The query reads no column at all; any will do to count rows by.
            _ => (Field::new("_offset", DataType::Int64, true), new_null_array(&DataType::Int64, batch.num_rows())),
        });
        let (fields, columns): (Vec<Field>, Vec<_>) = columns.unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let narrowed =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(host)?;
        let evaluated = self.query.evaluate(&narrowed)?;
        let rows = match evaluated.rows {
            RowMap::Every => rows,
            RowMap::Indices(kept) => kept.into_iter().filter_map(|row| rows.get(row as usize).copied()).collect(),
        };
        Ok(Evaluated { batch: evaluated.batch, rows: RowMap::Indices(rows) })
    }
}

fn host(error: arrow::error::ArrowError) -> OperatorError {
    OperatorError::new(FailureKind::Host, error.to_string())
}
