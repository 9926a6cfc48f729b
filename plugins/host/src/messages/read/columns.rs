//! The columns of a record-batch message.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_ipc::{FieldNode, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::failure::clip;

const OFFSET_BYTES: usize = 4;

/// Buffers begin at multiples of this in the body.
const ALIGNMENT: usize = 8;

/// An array for each field.
pub(super) fn columns(
    schema: &Schema,
    header: &RecordBatch<'_>,
    body: &Buffer,
    rows: usize,
) -> Result<Vec<ArrayRef>, String> {
    let fields = schema.fields();
    let nodes: Vec<&FieldNode> = header.nodes().into_iter().flatten().collect();
    if nodes.len() != fields.len() {
        return Err(format!("it has {} columns, and {} are declared", nodes.len(), fields.len()));
    }
    let mut buffers = Buffers { header, body, next: 0, end: 0 };
    let mut columns = Vec::with_capacity(fields.len());
    for (field, node) in fields.iter().zip(nodes) {
        let column = column(field, node, &mut buffers, rows);
        columns.push(column.map_err(|why| format!("column {:?}: {why}", clip(field.name())))?);
    }
    buffers.finish()?;
    Ok(columns)
}

fn column(field: &Field, node: &FieldNode, buffers: &mut Buffers<'_>, rows: usize) -> Result<ArrayRef, String> {
    if usize::try_from(node.length()) != Ok(rows) {
        return Err(format!("it has {} rows, and the batch {rows}", node.length()));
    }
    let nulls = nulls(&buffers.take()?, node.null_count(), rows)?;
    let data_type = field.data_type();
    let first = cut(&buffers.take()?, bytes_needed(data_type, rows))?;
    let mut data = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).align_buffers(true).add_buffer(first);
    if is_variable(data_type) {
        data = data.add_buffer(buffers.take()?);
    }
    // Checks that offsets are in order and within the data, and texts UTF-8.
    let array = make_array(data.build().map_err(|e| e.to_string())?);
    if let DataType::Decimal128(precision, _) = data_type {
        let decimals = array.as_primitive::<Decimal128Type>();
        decimals.validate_decimal_precision(*precision).map_err(|e| e.to_string())?;
    }
    Ok(array)
}

fn is_variable(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary)
}

/// Bytes of a column's values, or of its offsets.
fn bytes_needed(data_type: &DataType, rows: usize) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(rows.div_ceil(8)),
        // Without rows there need not be an offset.
        _ if is_variable(data_type) => rows.checked_add(usize::from(rows > 0))?.checked_mul(OFFSET_BYTES),
        fixed => rows.checked_mul(fixed.primitive_width()?),
    }
}

/// Arrow takes buffers whose length is a multiple of their elements' only.
fn cut(buffer: &Buffer, needed: Option<usize>) -> Result<Buffer, String> {
    let needed = needed.filter(|needed| *needed <= buffer.len());
    let needed = needed.ok_or_else(|| format!("its values or offsets have {} bytes, too few", buffer.len()))?;
    Ok(buffer.slice_with_length(0, needed))
}

fn nulls(bits: &Buffer, count: i64, rows: usize) -> Result<Option<NullBuffer>, String> {
    if bits.is_empty() {
        return if count == 0 { Ok(None) } else { Err(format!("it has {count} nulls, and does not say which")) };
    }
    if bits.len() < rows.div_ceil(8) {
        return Err(format!("its validity has {} bytes for {rows} rows", bits.len()));
    }
    let nulls = NullBuffer::new(BooleanBuffer::new(bits.clone(), 0, rows));
    if usize::try_from(count) != Ok(nulls.null_count()) {
        return Err(format!("it has {} nulls, and says {count}", nulls.null_count()));
    }
    Ok((count > 0).then_some(nulls))
}

/// The message's buffers, in their order.
struct Buffers<'a> {
    header: &'a RecordBatch<'a>,
    body: &'a Buffer,
    next: usize,
    /// Where the last one ended.
    end: usize,
}

impl Buffers<'_> {
    fn take(&mut self) -> Result<Buffer, String> {
        let declared = self.header.buffers().filter(|all| self.next < all.len());
        let buffer = declared.map(|all| all.get(self.next)).ok_or("a buffer is missing")?;
        self.next += 1;
        if buffer.length() == 0 {
            return Ok(Buffer::default());
        }
        let place = || Some((usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?));
        let (offset, length) =
            place().filter(|(offset, _)| offset % ALIGNMENT == 0 && *offset >= self.end).ok_or_else(|| {
                let (offset, length, end) = (buffer.offset(), buffer.length(), self.end);
                format!("a buffer of {length} bytes at {offset} is misplaced: the one before ends at {end}")
            })?;
        self.end = offset.checked_add(length).filter(|end| *end <= self.body.len()).ok_or_else(|| {
            format!("a buffer of {length} bytes at {offset} ends outside of the body's {} bytes", self.body.len())
        })?;
        Ok(self.body.slice_with_length(offset, length))
    }

    fn finish(self) -> Result<(), String> {
        let declared = self.header.buffers().map_or(0, |all| all.len());
        if declared == self.next {
            return Ok(());
        }
        Err(format!("it has {declared} buffers, and its columns take {}", self.next))
    }
}
