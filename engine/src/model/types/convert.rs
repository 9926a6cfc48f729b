//! One column as its stored type. Every edge at which Arrow arrays come in converts with this.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, make_array, new_null_array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_cast::display::array_value_to_string;
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// Of a value in an error.
const SHOWN_CHARACTERS: usize = 64;

/// Values that do not fit are errors, never nulls.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// Why a column is not converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Of the column, the first row whose value does not fit; `None` if it is the type.
    pub row: Option<usize>,
    /// Goes on behind the column's name, or the row's number.
    pub reason: String,
}

impl Misfit {
    fn of(reason: impl Into<String>) -> Misfit {
        Misfit { row: None, reason: reason.into() }
    }

    fn at(row: usize, reason: String) -> Misfit {
        Misfit { row: Some(row), reason }
    }

    fn within(self, name: &str) -> Misfit {
        Misfit { reason: format!("{name}: {}", self.reason), ..self }
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.row {
            Some(row) => write!(f, "in row {row} {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Converts where `docs/types.md` allows it. Costs nothing if the type is right already.
pub fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    use DataType::*;
    if array.data_type() == to {
        return Ok(array.clone());
    }
    match (array.data_type(), to) {
        (Null, _) => Ok(new_null_array(to, array.len())),
        (Dictionary(_, values), _) => convert(&strict(array, values)?, to),
        (RunEndEncoded(_, values), _) => convert(&strict(array, values.data_type())?, to),
        (LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _), List(_)) => {
            convert(&strict(array, &List(item.clone()))?, to)
        }
        (List(_), List(item)) => list(array, item),
        (Struct(_), Struct(fields)) => Ok(Arc::new(structure(array.as_struct(), fields)?)),
        (Map(_, _), Map(entries, _)) => map(array, entries),
        (Timestamp(from, _), Timestamp(to, zone)) => timestamp(array, *from, *to, zone.clone()),
        (Date64, Date32) => whole_days(array),
        (from, to) if convertible(from, to) => strict(array, to),
        (from, to) => Err(Misfit::of(format!("is {from}, the table has {to}"))),
    }
}

fn convertible(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match to {
        Utf8 => matches!(from, Utf8View | LargeUtf8),
        Binary => matches!(from, BinaryView | LargeBinary | FixedSizeBinary(_)),
        Float32 | Float64 => from.is_integer() || matches!(from, Float16 | Float32 | Float64),
        Decimal128(_, _) => from.is_integer() || from.is_decimal(),
        to if to.is_integer() => from.is_integer(),
        _ => false,
    }
}

/// Instants count from the epoch in UTC whatever their zone, so that zones are only renamed. Times must not lose digits
/// on the way to a coarser unit.
fn timestamp(array: &ArrayRef, from: TimeUnit, to: TimeUnit, zone: Option<Arc<str>>) -> Result<ArrayRef, Misfit> {
    let plain = renamed(array, DataType::Timestamp(from, None))?;
    let converted = strict(&plain, &DataType::Timestamp(to, None))?;
    if from != to {
        check_whole(&plain, &converted)?;
    }
    renamed(&converted, DataType::Timestamp(to, zone))
}

/// A date in ms that has a time of day is none.
fn whole_days(array: &ArrayRef) -> Result<ArrayRef, Misfit> {
    let converted = strict(array, &DataType::Date32)?;
    check_whole(array, &converted)?;
    Ok(converted)
}

/// Whether the values of `converted` are those of `array`.
fn check_whole(array: &ArrayRef, converted: &ArrayRef) -> Result<(), Misfit> {
    let back = strict(converted, array.data_type())?;
    // All at once: row by row only what is known to differ somewhere is compared.
    if back.as_ref() == array.as_ref() {
        return Ok(());
    }
    let lost = |row: &usize| array.is_valid(*row) && back.slice(*row, 1) != array.slice(*row, 1);
    match (0..array.len()).find(lost) {
        Some(row) => Err(Misfit::at(
            row,
            format!("{} does not fit into {} without loss", shown(array, row), converted.data_type()),
        )),
        None => Ok(()),
    }
}

/// The same values under another type of the same layout.
fn renamed(array: &ArrayRef, data_type: DataType) -> Result<ArrayRef, Misfit> {
    let data = array.to_data().into_builder().data_type(data_type).build();
    data.map(make_array).map_err(failed)
}

fn strict(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    cast_with_options(array, to, &STRICT).map_err(|error| match first_misfit(array, to) {
        Some(row) => Misfit::at(row, format!("{} does not fit into {to}", shown(array, row))),
        None => failed(error),
    })
}

/// The first row whose value becomes null where nulls are allowed to stand for what does not fit.
fn first_misfit(array: &ArrayRef, to: &DataType) -> Option<usize> {
    let lenient = cast(array, to).ok()?;
    (0..array.len()).find(|row| array.is_valid(*row) && lenient.is_null(*row))
}

fn shown(array: &ArrayRef, row: usize) -> String {
    let value = array_value_to_string(array, row).unwrap_or_else(|_| "a value".to_owned());
    match value.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value,
    }
}

fn failed(error: arrow_schema::ArrowError) -> Misfit {
    Misfit::of(error.to_string())
}

fn list(array: &ArrayRef, item: &Arc<Field>) -> Result<ArrayRef, Misfit> {
    let list = array.as_list::<i32>();
    let (offsets, values) = held(list.offsets(), list.values());
    let values = convert(&values, item.data_type()).map_err(|misfit| around(misfit, &offsets))?;
    let list = ListArray::try_new(item.clone(), offsets, values, list.nulls().cloned());
    Ok(Arc::new(list.map_err(failed)?))
}

fn map(array: &ArrayRef, entries: &Arc<Field>) -> Result<ArrayRef, Misfit> {
    let map = array.as_map();
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Misfit::of("is not a map of the listed form"));
    };
    let all: ArrayRef = Arc::new(map.entries().clone());
    let (offsets, held) = held(map.offsets(), &all);
    let held = held.as_struct();
    // Keys and values stand by position, whatever they are called.
    let columns = held.columns().iter().zip(fields).map(|(column, field)| {
        convert(column, field.data_type()).map_err(|misfit| around(misfit, &offsets).within(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let held = StructArray::try_new(fields.clone(), columns, None).map_err(failed)?;
    let map = MapArray::try_new(entries.clone(), offsets, held, map.nulls().cloned(), false);
    Ok(Arc::new(map.map_err(failed)?))
}

fn structure(array: &StructArray, fields: &Fields) -> Result<StructArray, Misfit> {
    if array.fields().len() != fields.len() {
        return Err(Misfit::of(format!("has {} fields, the table has {}", array.fields().len(), fields.len())));
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let column = array.column_by_name(field.name());
        let column = column.ok_or_else(|| Misfit::of(format!("lacks the field {:?}", field.name())))?;
        columns.push(convert(column, field.data_type()).map_err(|misfit| misfit.within(field.name()))?);
    }
    StructArray::try_new(fields.clone(), columns, array.nulls().cloned()).map_err(failed)
}

/// What is wrong with an element, as what is wrong with the row that holds it.
fn around(misfit: Misfit, offsets: &OffsetBuffer<i32>) -> Misfit {
    let holder = |element: usize| {
        let ends = offsets.get(1..).unwrap_or_default();
        ends.partition_point(|end| usize::try_from(*end).is_ok_and(|end| end <= element))
    };
    Misfit { row: misfit.row.map(holder), ..misfit }
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
