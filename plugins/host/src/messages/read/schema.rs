//! Schema messages.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_ipc::{DateUnit, Endianness, Field as WireField, Precision, TimeUnit as WireUnit, Type};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::frame;
use crate::contract::{is_flat, is_name};
use crate::failure::clip;

/// Columns that may come out of a transform.
const MAX_COLUMNS: usize = 256;

/// A schema of 1 to 256 columns of flat types, each with a name of its own. Metadata is left out.
pub(crate) fn read_schema(message: Vec<u8>) -> Result<SchemaRef, String> {
    let (metadata, body) = frame::open(message)?;
    let message = frame::parse(&metadata)?;
    let schema = message.header_as_schema().ok_or_else(|| frame::wrong_header(&message, "a schema"))?;
    if !body.is_empty() {
        return Err(format!("it has a body of {} bytes", body.len()));
    }
    if schema.endianness() != Endianness::Little {
        return Err("it is big-endian".to_owned());
    }
    let fields: Vec<WireField<'_>> = schema.fields().into_iter().flatten().collect();
    if fields.is_empty() || fields.len() > MAX_COLUMNS {
        return Err(format!("it has {} columns; 1 to {MAX_COLUMNS} are taken", fields.len()));
    }
    let mut names = HashSet::with_capacity(fields.len());
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name().unwrap_or_default();
        if !is_name(name) {
            return Err(format!("column name {:?} is not a text of 1 to 128 bytes", clip(name)));
        }
        if !names.insert(name.to_owned()) {
            return Err(format!("column {name:?} is there twice"));
        }
        let data_type = data_type(&field).filter(is_flat);
        let data_type = data_type.ok_or_else(|| format!("column {name:?} is of a type that is not taken"))?;
        columns.push(Field::new(name, data_type, field.nullable()));
    }
    Ok(Arc::new(Schema::new(columns)))
}

/// The type of a field that has no children and is not dictionary-encoded.
fn data_type(field: &WireField<'_>) -> Option<DataType> {
    if field.dictionary().is_some() || field.children().is_some_and(|children| !children.is_empty()) {
        return None;
    }
    Some(match field.type_type() {
        Type::Bool => DataType::Boolean,
        Type::Utf8 => DataType::Utf8,
        Type::Binary => DataType::Binary,
        Type::Int => {
            let int = field.type_as_int()?;
            integer(int.bitWidth(), int.is_signed())?
        }
        Type::FloatingPoint => match field.type_as_floating_point()?.precision() {
            Precision::SINGLE => DataType::Float32,
            Precision::DOUBLE => DataType::Float64,
            _ => return None,
        },
        Type::Decimal => {
            let decimal = field.type_as_decimal()?;
            let (precision, scale) = (u8::try_from(decimal.precision()).ok()?, i8::try_from(decimal.scale()).ok()?);
            (decimal.bitWidth() == 128).then_some(DataType::Decimal128(precision, scale))?
        }
        Type::Date => (field.type_as_date()?.unit() == DateUnit::DAY).then_some(DataType::Date32)?,
        Type::Timestamp => {
            let timestamp = field.type_as_timestamp()?;
            let unit = match timestamp.unit() {
                WireUnit::SECOND => TimeUnit::Second,
                WireUnit::MILLISECOND => TimeUnit::Millisecond,
                WireUnit::MICROSECOND => TimeUnit::Microsecond,
                WireUnit::NANOSECOND => TimeUnit::Nanosecond,
                _ => return None,
            };
            DataType::Timestamp(unit, timestamp.timezone().filter(|zone| !zone.is_empty()).map(Arc::from))
        }
        _ => return None,
    })
}

fn integer(bits: i32, signed: bool) -> Option<DataType> {
    Some(match (bits, signed) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return None,
    })
}
