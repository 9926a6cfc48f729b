//! One column as its stored type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, make_array, new_null_array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// Values that do not fit are errors, never nulls.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// Converts where `docs/types.md` allows it. Costs nothing if the type is right already.
pub(super) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    use DataType::*;
    if array.data_type() == to {
        return Ok(array.clone());
    }
    match (array.data_type(), to) {
        (Null, _) => Ok(new_null_array(to, array.len())),
        (Dictionary(_, values), _) => convert(&cast(array, values)?, to),
        (RunEndEncoded(_, values), _) => convert(&cast(array, values.data_type())?, to),
        (LargeList(item) | ListView(item) | LargeListView(item), List(_)) => {
            convert(&cast(array, &List(item.clone()))?, to)
        }
        (List(_), List(item)) => list(array, item),
        (Struct(_), Struct(fields)) => Ok(Arc::new(structure(array.as_struct(), fields)?)),
        (Map(_, _), Map(entries, _)) => map(array, entries),
        (Timestamp(from, _), Timestamp(to, zone)) => timestamp(array, *from, *to, zone.clone()),
        (from, to) if convertible(from, to) => cast(array, to),
        (from, to) => Err(format!("is {from}, the table has {to}")),
    }
}

fn convertible(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match to {
        Utf8 => matches!(from, Utf8View | LargeUtf8),
        Binary => matches!(from, BinaryView | LargeBinary),
        Float32 | Float64 => from.is_integer() || matches!(from, Float16 | Float32 | Float64),
        Decimal128(_, _) => from.is_integer() || from.is_decimal(),
        to if to.is_integer() => from.is_integer(),
        _ => false,
    }
}

/// Instants count from the epoch in UTC whatever their zone, so that zones are only renamed. Times must not lose digits
/// on the way to a coarser unit.
fn timestamp(array: &ArrayRef, from: TimeUnit, to: TimeUnit, zone: Option<Arc<str>>) -> Result<ArrayRef, String> {
    let plain = renamed(array, DataType::Timestamp(from, None))?;
    let converted = cast(&plain, &DataType::Timestamp(to, None))?;
    if from != to {
        let back = cast(&converted, plain.data_type())?;
        let lost = |row: &usize| plain.is_valid(*row) && back.slice(*row, 1) != plain.slice(*row, 1);
        if back.as_ref() != plain.as_ref()
            && let Some(row) = (0..plain.len()).find(lost)
        {
            let (from, to) = (array.data_type(), converted.data_type());
            return Err(format!("is {from}, and row {row} does not fit into {to} without loss"));
        }
    }
    renamed(&converted, DataType::Timestamp(to, zone))
}

/// The same values under another type of the same layout.
fn renamed(array: &ArrayRef, data_type: DataType) -> Result<ArrayRef, String> {
    let data = array.to_data().into_builder().data_type(data_type).build();
    data.map(make_array).map_err(|error| error.to_string())
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    cast_with_options(array, to, &STRICT).map_err(|error| error.to_string())
}

fn list(array: &ArrayRef, item: &Arc<Field>) -> Result<ArrayRef, String> {
    let list = array.as_list::<i32>();
    let (offsets, values) = held(list.offsets(), list.values());
    let values = convert(&values, item.data_type())?;
    let list = ListArray::try_new(item.clone(), offsets, values, list.nulls().cloned());
    Ok(Arc::new(list.map_err(|error| error.to_string())?))
}

fn map(array: &ArrayRef, entries: &Arc<Field>) -> Result<ArrayRef, String> {
    let map = array.as_map();
    let DataType::Struct(fields) = entries.data_type() else {
        return Err("is not a map of the listed form".to_owned());
    };
    let all: ArrayRef = Arc::new(map.entries().clone());
    let (offsets, held) = held(map.offsets(), &all);
    let held = held.as_struct();
    // Keys and values stand by position, whatever they are called.
    let columns = held.columns().iter().zip(fields).map(|(column, field)| convert(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let held = StructArray::try_new(fields.clone(), columns, None).map_err(|error| error.to_string())?;
    let map = MapArray::try_new(entries.clone(), offsets, held, map.nulls().cloned(), false);
    Ok(Arc::new(map.map_err(|error| error.to_string())?))
}

fn structure(array: &StructArray, fields: &Fields) -> Result<StructArray, String> {
    if array.fields().len() != fields.len() {
        return Err(format!("has {} fields, the table has {}", array.fields().len(), fields.len()));
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let column = array.column_by_name(field.name()).ok_or_else(|| format!("lacks the field {:?}", field.name()))?;
        columns.push(convert(column, field.data_type()).map_err(|reason| format!("{}: {reason}", field.name()))?);
    }
    StructArray::try_new(fields.clone(), columns, array.nulls().cloned()).map_err(|error| error.to_string())
}

/// The elements that the rows refer to, and offsets into those.
fn held(offsets: &OffsetBuffer<i32>, values: &ArrayRef) -> (OffsetBuffer<i32>, ArrayRef) {
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let index = |offset: i32| usize::try_from(offset).unwrap_or(0).min(values.len());
    if first == 0 && index(last) == values.len() {
        return (offsets.clone(), values.clone());
    }
    let moved: ScalarBuffer<i32> = offsets.iter().map(|offset| offset - first).collect();
    (OffsetBuffer::new(moved), values.slice(index(first), index(last) - index(first)))
}
