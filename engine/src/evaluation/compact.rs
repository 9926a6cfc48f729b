//! Rows that are kept must not hold buffers that are much larger than they are.

use std::collections::HashMap;

use arrow_array::{RecordBatch, RecordBatchOptions, make_array};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::ArrowError;

use crate::log::sliced_bytes;

/// A batch may hold this many times its own bytes before it is copied.
const FACTOR: usize = 2;
/// Below this, holding more than needed does not matter.
const SMALL: usize = 16 << 10;

/// Copies the batch where it pins much more memory than its rows take.
pub(super) fn compact(batch: RecordBatch) -> RecordBatch {
    let pinned = pinned_bytes(&batch);
    if pinned <= SMALL || pinned <= sliced_bytes(&batch) * FACTOR {
        return batch;
    }
    let columns = batch.columns().iter().map(|column| copied(&column.to_data()).map(make_array));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let copy = columns
        .collect::<Result<Vec<_>, ArrowError>>()
        .and_then(|columns| RecordBatch::try_new_with_options(batch.schema(), columns, &options));
    // It can only fail where offsets overflow, which those of a smaller copy don't.
    copy.unwrap_or(batch)
}

/// Bytes of the allocations that the batch keeps alive, each counted once.
fn pinned_bytes(batch: &RecordBatch) -> usize {
    let mut allocations = HashMap::new();
    for column in batch.columns() {
        add(&column.to_data(), &mut allocations);
    }
    allocations.values().sum()
}

fn add(data: &ArrayData, allocations: &mut HashMap<usize, usize>) {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    for buffer in data.buffers().iter().chain(nulls) {
        allocations.insert(buffer.data_ptr().as_ptr().addr(), buffer.capacity());
    }
    for child in data.child_data() {
        add(child, allocations);
    }
}

fn copied(data: &ArrayData) -> Result<ArrayData, ArrowError> {
    let mut copy = MutableArrayData::new(vec![data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    Ok(copy.freeze())
}
