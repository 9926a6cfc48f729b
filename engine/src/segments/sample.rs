//! Whether a column's values repeat enough for a dictionary. A dictionary that is given up half way costs time and puts
//! page boundaries where no run begins, so the first page's rows decide.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, Utf8Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// True if the values seen would leave a dictionary of `limit` bytes half empty, and are at most half as many as rows.
pub(super) fn repeats(column: &ArrayRef, limit: usize) -> bool {
    match column.data_type() {
        DataType::Utf8 => bytes_repeat::<Utf8Type>(column, limit),
        DataType::Binary => bytes_repeat::<BinaryType>(column, limit),
        other => match other.primitive_width() {
            Some(width) => fixed_repeat(column, width, limit),
            None => true,
        },
    }
}

fn bytes_repeat<T: ByteArrayType>(column: &ArrayRef, limit: usize) -> bool {
    let array = column.as_bytes::<T>();
    let values = (0..array.len()).filter(|row| array.is_valid(*row)).map(|row| {
        let value: &[u8] = array.value(row).as_ref();
        value
    });
    distinct_fit(values, column.len(), limit)
}

fn fixed_repeat(column: &ArrayRef, width: usize, limit: usize) -> bool {
    let data = column.to_data();
    let Some(buffer) = data.buffers().first() else { return true };
    let start = data.offset() * width;
    let values = buffer.as_slice().get(start..start + data.len() * width).unwrap_or_default();
    distinct_fit(values.chunks_exact(width), column.len(), limit)
}

fn distinct_fit<'a>(values: impl Iterator<Item = &'a [u8]>, rows: usize, limit: usize) -> bool {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    for value in values {
        if seen.insert(value) {
            bytes += value.len() + size_of::<u32>();
            if bytes > limit / 2 || seen.len() > rows.div_ceil(2) {
                return false;
            }
        }
    }
    true
}
