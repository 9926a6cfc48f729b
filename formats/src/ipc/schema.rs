//! Checks a schema message against everything that arrow-ipc's conversion takes for granted.

use arrow_ipc::{DateUnit, Endianness, Field, IntervalUnit, Precision, Schema, TimeUnit, Type};

use super::decoder::MAX_FIELDS;
use crate::{Error, Result};

/// Refuses what the conversion would panic on, columns that no table can hold, and schemas of too many fields.
pub(super) fn check(schema: &Schema<'_>) -> Result<()> {
    if schema.endianness() != Endianness::Little {
        return Err(Error::invalid("only little-endian Arrow data is read"));
    }
    let fields = schema.fields().ok_or_else(|| Error::invalid("the schema message has no list of fields"))?;
    let mut seen = 0;
    for field in fields.iter() {
        check_field(&field, &mut seen)?;
    }
    Ok(())
}

/// The flatbuffer verifier bounds the depth before this recurses.
fn check_field(field: &Field<'_>, seen: &mut usize) -> Result<()> {
    *seen += 1;
    if *seen > MAX_FIELDS {
        return Err(Error::invalid(format!("the schema has more than {MAX_FIELDS} fields, which is the limit")));
    }
    if let Some(dictionary) = field.dictionary()
        && !dictionary.indexType().is_some_and(|index| matches!(index.bitWidth(), 8 | 16 | 32 | 64))
    {
        return Err(refused(field, "has a dictionary without a valid index type"));
    }
    let children = field.children().map_or(0, |children| children.len());
    match children_of(field)? {
        Children::Exactly(count) if count != children => {
            return Err(refused(field, &format!("has {children} child fields where its type takes {count}")));
        }
        _ => {}
    }
    for child in field.children().iter().flat_map(|children| children.iter()) {
        check_field(&child, seen)?;
    }
    match field.type_type() {
        Type::Map => check_map(field),
        Type::RunEndEncoded => check_run_ends(field),
        _ => Ok(()),
    }
}

enum Children {
    Exactly(usize),
    Any,
}

/// How many children the type takes; an error where its parameters are not valid or no such column is read.
fn children_of(field: &Field<'_>) -> Result<Children> {
    let valid = match field.type_type() {
        Type::Null => field.type_as_null().is_some(),
        Type::Bool => field.type_as_bool().is_some(),
        Type::Utf8 => field.type_as_utf_8().is_some(),
        Type::LargeUtf8 => field.type_as_large_utf_8().is_some(),
        Type::Utf8View => field.type_as_utf_8_view().is_some(),
        Type::Binary => field.type_as_binary().is_some(),
        Type::LargeBinary => field.type_as_large_binary().is_some(),
        Type::BinaryView => field.type_as_binary_view().is_some(),
        Type::FixedSizeBinary => {
            field.type_as_fixed_size_binary().is_some_and(|t| (0..=1 << 20).contains(&t.byteWidth()))
        }
        Type::Int => field.type_as_int().is_some_and(|t| matches!(t.bitWidth(), 8 | 16 | 32 | 64)),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|t| matches!(t.precision(), Precision::HALF | Precision::SINGLE | Precision::DOUBLE)),
        Type::Decimal => field.type_as_decimal().is_some_and(|t| decimal(t.bitWidth(), t.precision(), t.scale())),
        Type::Date => field.type_as_date().is_some_and(|t| matches!(t.unit(), DateUnit::DAY | DateUnit::MILLISECOND)),
        Type::Time => field.type_as_time().is_some_and(|t| time(t.bitWidth(), t.unit())),
        Type::Timestamp => field.type_as_timestamp().is_some_and(|t| unit(t.unit())),
        Type::Duration => field.type_as_duration().is_some_and(|t| unit(t.unit())),
        Type::Interval => field.type_as_interval().is_some_and(|t| {
            matches!(t.unit(), IntervalUnit::YEAR_MONTH | IntervalUnit::DAY_TIME | IntervalUnit::MONTH_DAY_NANO)
        }),
        Type::List | Type::LargeList => return Ok(Children::Exactly(1)),
        Type::FixedSizeList => {
            let valid = field.type_as_fixed_size_list().is_some_and(|t| (1..=1 << 20).contains(&t.listSize()));
            return if valid { Ok(Children::Exactly(1)) } else { Err(parameters(field)) };
        }
        Type::Struct_ => return Ok(Children::Any),
        Type::Map if field.type_as_map().is_some() => return Ok(Children::Exactly(1)),
        Type::RunEndEncoded => return Ok(Children::Exactly(2)),
        other => return Err(refused(field, &format!("has the type {other:?}, which no table can hold"))),
    };
    if valid { Ok(Children::Any) } else { Err(parameters(field)) }
}

fn decimal(bits: i32, precision: i32, scale: i32) -> bool {
    let digits = match bits {
        32 => 9,
        64 => 18,
        128 => 38,
        256 => 76,
        _ => return false,
    };
    (1..=digits).contains(&precision) && (-digits..=digits).contains(&scale)
}

fn unit(unit: TimeUnit) -> bool {
    matches!(unit, TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
}

fn time(bits: i32, unit: TimeUnit) -> bool {
    match bits {
        32 => matches!(unit, TimeUnit::SECOND | TimeUnit::MILLISECOND),
        64 => matches!(unit, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND),
        _ => false,
    }
}

fn check_map(field: &Field<'_>) -> Result<()> {
    let entries = field.children().filter(|children| !children.is_empty()).map(|children| children.get(0));
    let pairs = entries.is_some_and(|entries| {
        entries.type_type() == Type::Struct_
            && !entries.nullable()
            && entries.dictionary().is_none()
            && entries.children().is_some_and(|pair| pair.len() == 2)
    });
    if pairs { Ok(()) } else { Err(refused(field, "is a map whose entries are not structs of a key and a value")) }
}

fn check_run_ends(field: &Field<'_>) -> Result<()> {
    let ends = field.children().filter(|children| !children.is_empty()).map(|children| children.get(0));
    let valid = ends.is_some_and(|ends| {
        !ends.nullable()
            && ends.dictionary().is_none()
            && ends.type_as_int().is_some_and(|int| int.is_signed() && matches!(int.bitWidth(), 16 | 32 | 64))
    });
    if valid { Ok(()) } else { Err(refused(field, "has run ends that are not 16, 32 or 64-bit signed integers")) }
}

fn parameters(field: &Field<'_>) -> Error {
    refused(field, &format!("has a {:?} type whose parameters are not valid", field.type_type()))
}

fn refused(field: &Field<'_>, what: &str) -> Error {
    Error::invalid(format!("field {:?} {what}", field.name().unwrap_or_default()))
}
