//! What rows take once unpacked. Dictionaries, runs and views can stand for far more bytes than they have, so this is asked
//! before anything is unpacked.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RunArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};

/// Bytes of the batch's buffers in stored encodings, at most, saturating.
pub(super) fn unpacked_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().fold(0, |sum: u64, column| sum.saturating_add(array_bytes(column)))
}

fn array_bytes(array: &dyn Array) -> u64 {
    let rows = array.len() as u64;
    let bitmap = if array.nulls().is_some() { rows.div_ceil(8) } else { 0 };
    let values = match array.data_type() {
        DataType::Utf8 => text(array.as_string::<i32>().value_offsets(), rows),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value_offsets(), rows),
        DataType::Binary => text(array.as_binary::<i32>().value_offsets(), rows),
        DataType::LargeBinary => text(array.as_binary::<i64>().value_offsets(), rows),
        DataType::Utf8View => views(array.as_string_view().views(), rows),
        DataType::BinaryView => views(array.as_binary_view().views(), rows),
        DataType::List(_) => lists(array.as_list::<i32>().offsets(), array.as_list::<i32>().values(), rows),
        DataType::LargeList(_) => lists(array.as_list::<i64>().offsets(), array.as_list::<i64>().values(), rows),
        DataType::Map(_, _) => lists(array.as_map().offsets(), array.as_map().entries(), rows),
        DataType::ListView(_) => {
            elements(array.as_list_view::<i32>().sizes(), array.as_list_view::<i32>().values(), rows)
        }
        DataType::LargeListView(_) => {
            elements(array.as_list_view::<i64>().sizes(), array.as_list_view::<i64>().values(), rows)
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().fold(0, |sum: u64, child| sum.saturating_add(array_bytes(child)))
        }
        DataType::Dictionary(_, _) => dictionary(array),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs(array.as_run::<Int16Type>(), rows),
            DataType::Int32 => runs(array.as_run::<Int32Type>(), rows),
            _ => runs(array.as_run::<Int64Type>(), rows),
        },
        DataType::Boolean => rows.div_ceil(8),
        other => rows.saturating_mul(other.primitive_width().unwrap_or(0) as u64),
    };
    values.saturating_add(bitmap)
}

fn text<O: ArrowNativeType>(offsets: &[O], rows: u64) -> u64 {
    let (first, last) = ends(offsets);
    ((last - first) as u64).saturating_add(rows.saturating_mul(4))
}

fn views(views: &[u128], rows: u64) -> u64 {
    // The low 32 bits of a view are its length.
    let length = |view: &u128| (view & u128::from(u32::MAX)) as u64;
    views.iter().fold(rows.saturating_mul(4), |sum, view| sum.saturating_add(length(view)))
}

fn lists<O: arrow::array::OffsetSizeTrait>(offsets: &OffsetBuffer<O>, values: &dyn Array, rows: u64) -> u64 {
    let (first, last) = ends(offsets);
    array_bytes(&values.slice(first, last - first)).saturating_add(rows.saturating_mul(4))
}

fn ends<O: ArrowNativeType>(offsets: &[O]) -> (usize, usize) {
    (offsets.first().map_or(0, |offset| offset.as_usize()), offsets.last().map_or(0, |offset| offset.as_usize()))
}

/// Views may overlap, and so stand for more elements than there are.
fn elements<O: ArrowNativeType>(sizes: &[O], values: &ArrayRef, rows: u64) -> u64 {
    let count = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(size.as_usize() as u64));
    count.saturating_mul(largest(values)).saturating_add(rows.saturating_mul(4))
}

fn dictionary(array: &dyn Array) -> u64 {
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values();
    if let Some(width) = values.data_type().primitive_width() {
        return (array.len() as u64).saturating_mul(width as u64);
    }
    if values.is_empty() {
        return (array.len() as u64).saturating_mul(4);
    }
    let sizes = element_sizes(values);
    let keys = dictionary.normalized_keys();
    keys.iter().fold(0, |sum: u64, key| sum.saturating_add(sizes.get(*key).copied().unwrap_or(0)))
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>, rows: u64) -> u64 {
    rows.saturating_mul(largest(array.values()))
}

/// Bytes of the largest element.
fn largest(values: &ArrayRef) -> u64 {
    match values.data_type().primitive_width() {
        Some(width) => width as u64,
        None => element_sizes(values).into_iter().max().unwrap_or(0),
    }
}

fn element_sizes(values: &ArrayRef) -> Vec<u64> {
    match values.data_type() {
        // Every batch may bring a dictionary of texts.
        DataType::Utf8 => text_sizes(values, values.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => text_sizes(values, values.as_string::<i64>().value_offsets()),
        DataType::Binary => text_sizes(values, values.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => text_sizes(values, values.as_binary::<i64>().value_offsets()),
        _ => (0..values.len()).map(|row| array_bytes(&values.slice(row, 1))).collect(),
    }
}

fn text_sizes<O: ArrowNativeType>(values: &ArrayRef, offsets: &[O]) -> Vec<u64> {
    let bitmap = u64::from(values.nulls().is_some());
    offsets.windows(2).map(|ends| text(ends, 1).saturating_add(bitmap)).collect()
}
