//! Rows of plain columns, made of a message as they lie in it. Arrow's own reader walks over the offsets of texts in steps of some
//! nanoseconds, which is a quarter of what a consumer of texts does; the arrays' constructors check the same in plain loops.

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, SchemaRef};

use crate::error::{Error, Result};

/// Whether all columns are texts, bytes, or of a fixed width: then [`rows`] can be asked for.
pub(super) fn is_flat(schema: &SchemaRef) -> bool {
    schema.fields().iter().all(|field| is_text(field.data_type()) || is_fixed(field.data_type()))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary)
}

fn is_fixed(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean) || data_type.primitive_width().is_some()
}

/// The rows of a message that is not compressed. Panics where it is malformed, as arrow's reader does, or is an error.
pub(super) fn rows(body: &Buffer, header: arrow_ipc::RecordBatch<'_>, schema: SchemaRef) -> Result<RecordBatch> {
    let mut nodes = header.nodes().into_iter().flatten();
    let mut places = header.buffers().into_iter().flatten();
    let mut next_buffer = || {
        let place =
            places.next().ok_or_else(|| Error::protocol("an Arrow message has fewer buffers than columns need"))?;
        let (start, length) = (number(place.offset())?, number(place.length())?);
        match start.checked_add(length) {
            Some(end) if end <= body.len() => Ok::<_, Error>(body.slice_with_length(start, length)),
            _ => Err(Error::protocol("a buffer of an Arrow message reaches beyond its end")),
        }
    };
    let columns = schema.fields().iter().map(|field| {
        let node = nodes.next().ok_or_else(|| Error::protocol("an Arrow message has fewer columns than its schema"))?;
        let length = number(node.length())?;
        let validity = next_buffer()?;
        let nulls = (node.null_count() != 0).then(|| NullBuffer::new(BooleanBuffer::new(validity, 0, length)));
        match field.data_type() {
            DataType::Utf8 => {
                let offsets = offsets(next_buffer()?, length)?;
                let texts = StringArray::try_new(offsets, next_buffer()?, nulls).map_err(Error::protocol)?;
                Ok(Arc::new(texts) as ArrayRef)
            }
            DataType::Binary => {
                let offsets = offsets(next_buffer()?, length)?;
                let values = BinaryArray::try_new(offsets, next_buffer()?, nulls).map_err(Error::protocol)?;
                Ok(Arc::new(values) as ArrayRef)
            }
            fixed => {
                let data = ArrayData::builder(fixed.clone()).len(length).nulls(nulls).add_buffer(next_buffer()?);
                data.align_buffers(true).build().map(make_array).map_err(Error::protocol)
            }
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(number(header.length())?));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::protocol)
}

fn number(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::protocol(format!("an Arrow message has a length or place of {value}")))
}

/// One more than there are values; none need be written where there are none.
fn offsets(buffer: Buffer, length: usize) -> Result<OffsetBuffer<i32>> {
    if length == 0 {
        return Ok(OffsetBuffer::new_empty());
    }
    let bytes = length.checked_add(1).and_then(|count| count.checked_mul(size_of::<i32>()));
    if bytes.is_none_or(|bytes| bytes > buffer.len()) {
        return Err(Error::protocol("a column of an Arrow message has fewer offsets than values"));
    }
    let is_aligned = buffer.as_ptr().align_offset(align_of::<i32>()) == 0;
    let buffer = if is_aligned { buffer } else { Buffer::from_slice_ref(buffer.as_slice()) };
    Ok(OffsetBuffer::new(ScalarBuffer::new(buffer, 0, length + 1)))
}
