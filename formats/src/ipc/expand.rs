//! Dictionaries and runs are small on the wire and large once unfolded, which is how tables hold them.

use arrow::array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::array::{Array, AsArray, RecordBatch, RunArray};
use arrow::datatypes::DataType;

use crate::{Error, Result};

/// Refuses a batch whose folded columns would take more than `limit` bytes unfolded.
pub(super) fn check(batch: &RecordBatch, limit: u64) -> Result<()> {
    let mut total = 0_u64;
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        total = total.saturating_add(unfolded(column.as_ref()));
        if total > limit {
            return Err(Error::TooLarge(format!(
                "with column {:?} the batch takes more than {limit} bytes without its encoding; send fewer rows",
                field.name()
            )));
        }
    }
    Ok(())
}

/// Bytes that the folded parts of an array take once unfolded, about; 0 where nothing is folded.
fn unfolded(array: &dyn Array) -> u64 {
    match array.data_type() {
        DataType::Dictionary(..) => array.as_any_dictionary_opt().map_or(0, |dictionary| {
            let values = dictionary.values();
            let sizes: Vec<u64> = (0..values.len()).map(|value| size_of_value(values.as_ref(), value)).collect();
            if sizes.is_empty() {
                return 0;
            }
            dictionary.normalized_keys().iter().filter_map(|key| sizes.get(*key)).fold(0, |a, b| a.saturating_add(*b))
        }),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => array.as_run_opt::<Int16Type>().map_or(0, runs),
            DataType::Int32 => array.as_run_opt::<Int32Type>().map_or(0, runs),
            _ => array.as_run_opt::<Int64Type>().map_or(0, runs),
        },
        // The rows share one copy of nothing; as a column of values each would take a place.
        DataType::Null => array.len() as u64,
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| unfolded(column.as_ref())).sum(),
        DataType::List(_) => unfolded(array.as_list::<i32>().values().as_ref()),
        DataType::LargeList(_) => unfolded(array.as_list::<i64>().values().as_ref()),
        DataType::FixedSizeList(..) => unfolded(array.as_fixed_size_list().values().as_ref()),
        DataType::Map(..) => array.as_map().entries().columns().iter().map(|column| unfolded(column.as_ref())).sum(),
        _ => 0,
    }
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>) -> u64 {
    let values = array.values();
    // Exact per run would need each run's end; the largest value bounds it well enough for what runs are used for.
    let largest = (0..values.len()).map(|value| size_of_value(values.as_ref(), value)).max().unwrap_or(0);
    largest.saturating_mul(array.len() as u64)
}

fn size_of_value(values: &dyn Array, index: usize) -> u64 {
    let size = match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value_length(index) as usize,
        DataType::Binary => values.as_binary::<i32>().value_length(index) as usize,
        DataType::LargeUtf8 => values.as_string::<i64>().value_length(index) as usize,
        DataType::LargeBinary => values.as_binary::<i64>().value_length(index) as usize,
        DataType::Utf8View => values.as_string_view().value(index).len(),
        DataType::BinaryView => values.as_binary_view().value(index).len(),
        other => other.primitive_width().unwrap_or_else(|| values.get_buffer_memory_size()),
    };
    size as u64
}
