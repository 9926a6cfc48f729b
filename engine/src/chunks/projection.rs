//! From stored columns to the columns an operator reads.

use std::sync::Arc;

use arrow_array::new_null_array;
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::contract::InputColumn;
use crate::model::{Error, Offset, PartitionId, Result, TableInfo};

/// The columns a reader asks for, and the schema they make. Made once per operator, used for every chunk.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    inputs: Arc<[InputColumn]>,
    schema: SchemaRef,
}

impl Projection {
    /// A field that the table's newest schema does not have is refused.
    pub(crate) fn new(table: &TableInfo, inputs: &[InputColumn]) -> Result<Projection> {
        let fields = table.schema().fields();
        let chosen = inputs.iter().map(|input| match *input {
            InputColumn::Field(index) => fields.get(index).cloned().ok_or_else(|| {
                Error::InvalidInput(format!(
                    "table {:?} has {} columns; column {index} is asked for",
                    table.name,
                    fields.len()
                ))
            }),
            InputColumn::Partition => Ok(Arc::new(Field::new("_partition", DataType::Int32, false))),
            InputColumn::Offset => Ok(Arc::new(Field::new("_offset", DataType::Int64, false))),
            InputColumn::AppendTs => Ok(Arc::new(Field::new("_append_ts", append_ts_type(), false))),
        });
        let chosen = chosen.collect::<Result<Vec<_>>>()?;
        Ok(Projection { inputs: inputs.into(), schema: Arc::new(Schema::new(chosen)) })
    }

    /// The columns of a table as they are.
    pub(crate) fn all(schema: SchemaRef) -> Projection {
        Projection { inputs: (0..schema.fields().len()).map(InputColumn::Field).collect(), schema }
    }

    pub(crate) fn inputs(&self) -> &Arc<[InputColumn]> {
        &self.inputs
    }

    /// Whether any column is one of the table's own.
    pub(crate) fn has_fields(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input, InputColumn::Field(_)))
    }

    /// The schema of the batches, a field for each input.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Builds the batch of `rows` rows from `base` on. `stored` gives the column of a field, `None` where the rows are
    /// older than the field; `append_ts` is asked for only if it is among the inputs.
    pub(crate) fn batch(
        &self,
        partition: PartitionId,
        base: Offset,
        rows: usize,
        mut stored: impl FnMut(usize) -> Result<Option<ArrayRef>>,
        append_ts: impl Fn() -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.inputs.len());
        for (input, field) in self.inputs.iter().zip(self.schema.fields()) {
            columns.push(match *input {
                InputColumn::Field(index) => match stored(index)? {
                    Some(column) => column,
                    None => new_null_array(field.data_type(), rows),
                },
                InputColumn::Partition => {
                    let number = i32::try_from(partition).unwrap_or(i32::MAX);
                    Arc::new(Int32Array::from_value(number, rows))
                }
                InputColumn::Offset => {
                    let base = i64::try_from(base).unwrap_or(i64::MAX);
                    Arc::new(Int64Array::from_iter_values((base..).take(rows)))
                }
                InputColumn::AppendTs => append_ts()?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::Internal(format!("columns of {partition}:{base} don't make a batch: {error}")))
    }
}

/// The type of `_append_ts`.
pub(crate) fn append_ts_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// An `_append_ts` column of rows that were appended by one commit.
pub(crate) fn constant_append_ts(append_us: i64, rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(append_us, rows).with_timezone("UTC"))
}
