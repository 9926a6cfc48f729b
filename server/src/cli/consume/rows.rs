//! The columns `_partition` and `_offset`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// A topic's columns, then those that say where a row lies.
pub(super) fn schema_with_offsets(schema: &SchemaRef) -> SchemaRef {
    let own = schema.fields().iter().filter(|field| !is_ours(field)).cloned();
    let ours = [Field::new("_partition", DataType::Int32, false), Field::new("_offset", DataType::Int64, false)];
    Arc::new(Schema::new(own.chain(ours.map(FieldRef::new)).collect::<Vec<_>>()))
}

/// Adds the columns; `offsets` has at least a number for each row.
pub(super) fn with_offsets(batch: &RecordBatch, partition: u32, offsets: &[u64]) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let out_of_range = |_| ArrowError::CastError("a partition or offset is out of range".to_owned());
    let partition = i32::try_from(partition).map_err(out_of_range)?;
    let offsets: Vec<i64> = offsets
        .iter()
        .take(rows)
        .map(|offset| i64::try_from(*offset))
        .collect::<Result<_, _>>()
        .map_err(out_of_range)?;
    let schema = batch.schema();
    let own = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| !is_ours(field));
    let ours: [ArrayRef; 2] = [Arc::new(Int32Array::from_value(partition, rows)), Arc::new(Int64Array::from(offsets))];
    let columns = own.map(|(_, column)| Arc::clone(column)).chain(ours).collect();
    RecordBatch::try_new(schema_with_offsets(&schema), columns)
}

/// A topic may have selected them itself; they are then given once.
fn is_ours(field: &Field) -> bool {
    matches!(field.name().as_str(), "_partition" | "_offset")
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringArray};
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    #[test]
    fn rows_say_where_they_lie() {
        let schema = Arc::new(Schema::new(vec![Field::new("word", DataType::Utf8, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec!["a", "b"]))]).unwrap();
        let batch = with_offsets(&batch, 3, &[7, 9, 11]).unwrap();
        assert_eq!(batch.column(1).as_primitive::<Int32Type>().values(), &[3, 3]);
        assert_eq!(batch.column(2).as_primitive::<Int64Type>().values(), &[7, 9]);
        assert_eq!(with_offsets(&batch, 3, &[7, 9]).unwrap().num_columns(), 3);
    }
}
