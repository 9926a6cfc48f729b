//! What a column will take once stored. Dictionaries, runs and views can stand for far more bytes than they have, so
//! this is asked before anything is unpacked.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef, RunArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

/// An upper bound of the bytes the array's rows take as their stored type, saturating. Of what a slice pins besides its rows,
/// nothing counts. For a stored type it is what they take.
pub(crate) fn stored_bytes(array: &dyn Array) -> u64 {
    let rows = count(array.len());
    let bitmap = if array.nulls().is_some() { rows.div_ceil(8) } else { 0 };
    bitmap.saturating_add(value_bytes(array, rows))
}

fn value_bytes(array: &dyn Array, rows: u64) -> u64 {
    match array.data_type() {
        DataType::Utf8 => texts(array.as_string::<i32>().value_offsets(), rows),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().value_offsets(), rows),
        DataType::Binary => texts(array.as_binary::<i32>().value_offsets(), rows),
        DataType::LargeBinary => texts(array.as_binary::<i64>().value_offsets(), rows),
        DataType::Utf8View => views(array.as_string_view().views(), rows),
        DataType::BinaryView => views(array.as_binary_view().views(), rows),
        DataType::List(_) => lists(array.as_list::<i32>().offsets(), array.as_list::<i32>().values(), rows),
        DataType::LargeList(_) => lists(array.as_list::<i64>().offsets(), array.as_list::<i64>().values(), rows),
        DataType::Map(_, _) => {
            let map = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            lists(map.offsets(), &entries, rows)
        }
        DataType::ListView(_) => {
            list_views(array.as_list_view::<i32>().sizes(), array.as_list_view::<i32>().values(), rows)
        }
        DataType::LargeListView(_) => {
            list_views(array.as_list_view::<i64>().sizes(), array.as_list_view::<i64>().values(), rows)
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().fold(0, |sum: u64, child| sum.saturating_add(stored_bytes(child)))
        }
        DataType::FixedSizeList(_, _) => {
            stored_bytes(array.as_fixed_size_list().values()).saturating_add(rows.saturating_mul(4))
        }
        DataType::FixedSizeBinary(width) => rows.saturating_mul(u64::try_from(*width).unwrap_or(0).saturating_add(4)),
        DataType::Dictionary(_, _) => dictionary(array),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs(array.as_run::<Int16Type>(), rows),
            DataType::Int32 => runs(array.as_run::<Int32Type>(), rows),
            _ => runs(array.as_run::<Int64Type>(), rows),
        },
        other => fixed(other, rows),
    }
}

/// Bytes of `rows` values of a fixed width.
fn fixed(data_type: &DataType, rows: u64) -> u64 {
    match data_type {
        DataType::Boolean | DataType::Null => rows.div_ceil(8),
        other => rows.saturating_mul(count(other.primitive_width().unwrap_or(4))),
    }
}

/// Bytes of `rows` nulls of a stored type.
pub(super) fn nulls(data_type: &DataType, rows: u64) -> u64 {
    let bitmap = rows.div_ceil(8);
    match data_type {
        DataType::Struct(fields) => {
            fields.iter().fold(bitmap, |sum, field| sum.saturating_add(nulls(field.data_type(), rows)))
        }
        other => bitmap.saturating_add(fixed(other, rows)),
    }
}

fn texts<O: ArrowNativeType>(offsets: &[O], rows: u64) -> u64 {
    let (first, last) = (offsets.first().map_or(0, |o| o.as_usize()), offsets.last().map_or(0, |o| o.as_usize()));
    count(last.saturating_sub(first)).saturating_add(rows.saturating_mul(4))
}

fn views(views: &[u128], rows: u64) -> u64 {
    // The low 32 bits of a view are its length.
    let lengths = views.iter().fold(0u64, |sum, view| sum.saturating_add((view & u128::from(u32::MAX)) as u64));
    lengths.saturating_add(rows.saturating_mul(4))
}

fn lists<O: ArrowNativeType>(offsets: &[O], values: &ArrayRef, rows: u64) -> u64 {
    let (first, last) = (offsets.first().map_or(0, |o| o.as_usize()), offsets.last().map_or(0, |o| o.as_usize()));
    let last = last.min(values.len());
    let held = values.slice(first.min(last), last.saturating_sub(first));
    stored_bytes(&held).saturating_add(rows.saturating_mul(4))
}

fn list_views<O: ArrowNativeType>(sizes: &[O], values: &ArrayRef, rows: u64) -> u64 {
    let elements = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(count(size.as_usize())));
    let held = stored_bytes(values);
    // Views may overlap; without overlap they hold no more than the values do.
    let bytes = if elements <= count(values.len()) { held } else { elements.saturating_mul(largest(values)) };
    bytes.saturating_add(rows.saturating_mul(4))
}

fn dictionary(array: &dyn Array) -> u64 {
    let dictionary = array.as_any_dictionary();
    let (values, rows) = (dictionary.values(), count(array.len()));
    if values.is_empty() || values.data_type().primitive_width().is_some() {
        return nulls(values.data_type(), rows);
    }
    let sizes = element_sizes(values);
    let keys = dictionary.normalized_keys();
    keys.iter().fold(0, |sum: u64, key| sum.saturating_add(sizes.get(*key).copied().unwrap_or(0)))
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>, rows: u64) -> u64 {
    rows.saturating_mul(largest(array.values()))
}

fn element_sizes(values: &ArrayRef) -> Vec<u64> {
    match values.data_type() {
        // Every batch of a client may bring a dictionary of texts.
        DataType::Utf8 => text_sizes(values, values.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => text_sizes(values, values.as_string::<i64>().value_offsets()),
        DataType::Binary => text_sizes(values, values.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => text_sizes(values, values.as_binary::<i64>().value_offsets()),
        _ => (0..values.len()).map(|row| stored_bytes(&values.slice(row, 1))).collect(),
    }
}

fn text_sizes<O: ArrowNativeType>(values: &ArrayRef, offsets: &[O]) -> Vec<u64> {
    let bitmap = u64::from(values.nulls().is_some());
    offsets.windows(2).map(|ends| texts(ends, 1).saturating_add(bitmap)).collect()
}

/// Bytes of the largest element.
fn largest(values: &ArrayRef) -> u64 {
    if values.data_type().primitive_width().is_some() {
        return nulls(values.data_type(), 1).max(1);
    }
    element_sizes(values).into_iter().max().unwrap_or(0)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
