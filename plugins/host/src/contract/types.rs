//! Names and types of columns, as descriptions may have them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// Of names, and of types as texts, in bytes.
pub(super) const MAX_NAME: usize = 128;

pub(super) const KNOWN_TYPES: &str = "known are Boolean, Int8 to Int64, UInt8 to UInt64, Float32, Float64, Decimal128(p, s), Date32, Timestamp(unit) with \
     or without \"UTC\", Utf8 and Binary";

/// The schema of a plugin's batches: its declared parameters, every one of which may hold nulls.
pub(crate) fn batch_schema(parameters: &[(String, DataType)]) -> SchemaRef {
    let fields: Vec<Field> = parameters.iter().map(|(name, ty)| Field::new(name, ty.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// True for what a plugin, a parameter or a column may be called.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A flat type of the stored ones; the parser never sees a long text.
pub(super) fn parse_type(text: &str) -> Option<DataType> {
    let parsed: DataType = (text.len() <= MAX_NAME).then(|| text.parse().ok())??;
    is_flat(&parsed).then_some(parsed)
}

/// True for the types that a batch of the contract may have here.
pub(crate) fn is_flat(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => &**zone == "UTC",
        DataType::Decimal128(precision, scale) => {
            (1..=38).contains(precision) && (0..=38).contains(scale) && scale.unsigned_abs() <= *precision
        }
        DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Date32 => true,
        other => other.is_integer() || matches!(other, DataType::Float32 | DataType::Float64),
    }
}
