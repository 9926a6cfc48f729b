//! One value of an array as JSON, or as plain text.

use std::io::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::time;

/// Types that are another encoding of a plain one are made plain, so that the writers need not know them.
pub fn plain(batch: &RecordBatch) -> Vec<ArrayRef> {
    batch
        .columns()
        .iter()
        .map(|column| {
            let target = match column.data_type() {
                DataType::Dictionary(_, values) => values.as_ref(),
                DataType::RunEndEncoded(_, values) => values.data_type(),
                _ => return column.clone(),
            };
            arrow::compute::cast(column, target).unwrap_or_else(|_| column.clone())
        })
        .collect()
}

/// Appends one value as JSON. `row` must be below the array's length.
pub(crate) fn write_json(out: &mut Vec<u8>, array: &dyn Array, row: usize) {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match array.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Float16 => float(out, array.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => float32(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => list(out, array.as_list::<i32>(), row),
        DataType::LargeList(_) => list(out, array.as_list::<i64>(), row),
        DataType::FixedSizeList(..) => items(out, &array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            object(
                out,
                fields.iter().map(|field| field.name().as_str()).zip(columns.iter().map(|column| (column, row))),
            );
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (Some(keys), Some(values)) = (entries.columns().first(), entries.columns().get(1)) else {
                return out.extend_from_slice(b"{}");
            };
            let names: Vec<String> = (0..entries.len()).map(|index| text(keys.as_ref(), index)).collect();
            let pairs = names.iter().enumerate().map(|(index, name)| (name.as_str(), (values, index)));
            object(out, pairs);
        }
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => scalar(out, array, row),
        _ => {
            let mut plain = Vec::new();
            scalar(&mut plain, array, row);
            string(out, &String::from_utf8_lossy(&plain));
        }
    }
}

/// One value as plain text: a string unquoted, a nested value as JSON. Empty for null.
pub fn text(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return String::new();
    }
    let mut out = Vec::new();
    match array.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            write_json(&mut out, array, row);
            return String::from_utf8_lossy(&out).trim_matches('"').to_owned();
        }
        data_type if data_type.is_nested() => write_json(&mut out, array, row),
        _ => scalar(&mut out, array, row),
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends a value that is neither null, nested nor a float, unquoted.
fn scalar(out: &mut Vec<u8>, array: &dyn Array, row: usize) {
    macro_rules! display {
        ($value:expr) => {{
            // Writing to memory does not fail.
            let _ = write!(out, "{}", $value);
        }};
    }
    match array.data_type() {
        DataType::Boolean => display!(array.as_boolean().value(row)),
        DataType::Int8 => display!(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => display!(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => display!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => display!(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => display!(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => display!(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => display!(array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => display!(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Decimal128(..) => display!(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => display!(array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Utf8 => out.extend_from_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => out.extend_from_slice(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => out.extend_from_slice(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => display!(BASE64.encode(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => display!(BASE64.encode(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => display!(BASE64.encode(array.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => display!(BASE64.encode(array.as_fixed_size_binary().value(row))),
        DataType::Date32 => display!(time::date(array.as_primitive::<Date32Type>().value(row).into())),
        DataType::Date64 => {
            display!(time::date(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)));
        }
        DataType::Timestamp(unit, _) => display!(time::timestamp(instant(array, *unit, row), *unit)),
        DataType::Time32(TimeUnit::Second) => {
            display!(time::time_of_day(array.as_primitive::<Time32SecondType>().value(row).into(), TimeUnit::Second));
        }
        DataType::Time32(unit) => {
            display!(time::time_of_day(array.as_primitive::<Time32MillisecondType>().value(row).into(), *unit));
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            display!(time::time_of_day(array.as_primitive::<Time64NanosecondType>().value(row), TimeUnit::Nanosecond));
        }
        DataType::Time64(unit) => {
            display!(time::time_of_day(array.as_primitive::<Time64MicrosecondType>().value(row), *unit));
        }
        // What is left (durations, intervals, unions) has no form of its own here.
        _ => match ArrayFormatter::try_new(array, &FormatOptions::new()) {
            Ok(formatter) => display!(formatter.value(row)),
            Err(error) => display!(error),
        },
    }
}

fn instant(array: &dyn Array, unit: TimeUnit, row: usize) -> i64 {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
    }
}

/// JSON has no word for these, and null would hide them.
fn float(out: &mut Vec<u8>, value: f64) {
    if let Some(name) = not_a_number(value) {
        return string(out, name);
    }
    let _ = serde_json::to_writer(out, &value);
}

fn float32(out: &mut Vec<u8>, value: f32) {
    if let Some(name) = not_a_number(value.into()) {
        return string(out, name);
    }
    let _ = serde_json::to_writer(out, &value);
}

fn not_a_number(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// Appends a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn list<O: OffsetSizeTrait>(out: &mut Vec<u8>, lists: &arrow::array::GenericListArray<O>, row: usize) {
    items(out, &lists.value(row));
}

fn items(out: &mut Vec<u8>, items: &ArrayRef) {
    out.push(b'[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(b',');
        }
        write_json(out, items.as_ref(), index);
    }
    out.push(b']');
}

/// Appends an object from names and (array, row) pairs.
pub(crate) fn object<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, (&'a ArrayRef, usize))>) {
    out.push(b'{');
    for (index, (name, (array, row))) in pairs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        write_json(out, array.as_ref(), row);
    }
    out.push(b'}');
}
