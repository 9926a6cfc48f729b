//! The hash that places keyed rows: XXH3-64, seed 0, of an encoding that `docs/types.md` fixes. Clients may compute it
//! themselves, so neither may ever change.
//!
//! For each key column in the order of `partition_key`: null is the byte 0; a value is the byte 1 and then
//! Boolean: one byte, 0 or 1 · integers, Date32, Timestamp (in its column's unit): 8 bytes, little-endian, two's complement
//! (UInt64 as it is) · Decimal128: the unscaled value, 16 bytes, little-endian · Utf8, Binary: the length in 4 bytes,
//! little-endian, and the bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_schema::{DataType, TimeUnit};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Error, Result};

/// Whether a column of this type can be part of a partition key. Floating-point numbers can't: equal ones differ in bytes.
pub(crate) fn hashable(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_integer() || matches!(data_type, Boolean | Date32 | Timestamp(_, _) | Decimal128(_, _) | Utf8 | Binary)
}

/// The hash of each row.
pub(super) fn key_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let keys = columns.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
    let mut encoded = Vec::with_capacity(64);
    let hashes = (0..rows).map(|row| {
        encoded.clear();
        for key in &keys {
            key.encode(row, &mut encoded);
        }
        xxh3_64(&encoded)
    });
    Ok(hashes.collect())
}

/// A key column, its type resolved once for the batch.
enum Key<'a> {
    Boolean(&'a BooleanArray),
    /// Widened: integers, dates and times.
    Number {
        values: Vec<i64>,
        column: &'a ArrayRef,
    },
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Key<'a> {
    fn new(column: &'a ArrayRef) -> Result<Key<'a>> {
        use DataType::*;
        fn wide<T: ArrowPrimitiveType>(column: &ArrayRef, to: impl Fn(T::Native) -> i64) -> Vec<i64> {
            column.as_primitive::<T>().values().iter().map(|value| to(*value)).collect()
        }
        let values = match column.data_type() {
            Boolean => return Ok(Key::Boolean(column.as_boolean())),
            Decimal128(_, _) => return Ok(Key::Decimal(column.as_primitive())),
            Utf8 => return Ok(Key::Text(column.as_string())),
            Binary => return Ok(Key::Bytes(column.as_binary())),
            Int8 => wide::<Int8Type>(column, i64::from),
            Int16 => wide::<Int16Type>(column, i64::from),
            Int32 => wide::<Int32Type>(column, i64::from),
            Int64 => wide::<Int64Type>(column, i64::from),
            UInt8 => wide::<UInt8Type>(column, i64::from),
            UInt16 => wide::<UInt16Type>(column, i64::from),
            UInt32 => wide::<UInt32Type>(column, i64::from),
            UInt64 => wide::<UInt64Type>(column, u64::cast_signed),
            Date32 => wide::<Date32Type>(column, i64::from),
            Timestamp(TimeUnit::Second, _) => wide::<TimestampSecondType>(column, i64::from),
            Timestamp(TimeUnit::Millisecond, _) => wide::<TimestampMillisecondType>(column, i64::from),
            Timestamp(TimeUnit::Microsecond, _) => wide::<TimestampMicrosecondType>(column, i64::from),
            Timestamp(TimeUnit::Nanosecond, _) => wide::<TimestampNanosecondType>(column, i64::from),
            other => return Err(Error::Internal(format!("a partition key of type {other}"))),
        };
        Ok(Key::Number { values, column })
    }

    fn encode(&self, row: usize, to: &mut Vec<u8>) {
        let valid = match self {
            Key::Boolean(column) => column.is_valid(row),
            Key::Number { column, .. } => column.is_valid(row),
            Key::Decimal(column) => column.is_valid(row),
            Key::Text(column) => column.is_valid(row),
            Key::Bytes(column) => column.is_valid(row),
        };
        to.push(u8::from(valid));
        if !valid {
            return;
        }
        match self {
            Key::Boolean(column) => to.push(u8::from(column.value(row))),
            Key::Number { values, .. } => to.extend(values.get(row).copied().unwrap_or_default().to_le_bytes()),
            Key::Decimal(column) => to.extend(column.value(row).to_le_bytes()),
            Key::Text(column) => bytes(column.value(row).as_bytes(), to),
            Key::Bytes(column) => bytes(column.value(row), to),
        }
    }
}

/// A stored column is below 2 GiB, so the length always fits.
fn bytes(value: &[u8], to: &mut Vec<u8>) {
    to.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend(value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::*;

    use super::*;

    fn check(columns: Vec<ArrayRef>, expected: &[u64]) {
        assert_eq!(key_hashes(&columns, expected.len()).unwrap(), expected);
    }

    /// Computed with the xxhash module of Python over the bytes that the encoding above gives.
    #[test]
    fn hashes_are_those_of_another_implementation() {
        check(vec![Arc::new(Int64Array::from(vec![1, -1]))], &[0xa048_b5cb_8216_2577, 0x53a5_f4bc_2fc0_168c]);
        check(vec![Arc::new(StringArray::from(vec!["", "grün"]))], &[0xd1dd_927e_d529_f768, 0x9a48_d1cd_dc6b_72c1]);
        check(vec![Arc::new(BooleanArray::from(vec![true]))], &[0x070d_80d6_a768_65f3]);
        check(vec![Arc::new(Decimal128Array::from(vec![-5]))], &[0xac7f_8e7a_a053_7092]);
        check(vec![Arc::new(UInt64Array::from(vec![u64::MAX]))], &[0x53a5_f4bc_2fc0_168c]);
        let composite: Vec<ArrayRef> = vec![
            Arc::new(Int16Array::from(vec![-1])),
            Arc::new(BinaryArray::from_vec(vec![b"x"])),
            Arc::new(Date32Array::from(vec![None])),
        ];
        check(composite, &[0x89cb_95c2_4b4a_5071]);
    }

    #[test]
    fn a_null_is_one_byte_whatever_the_type() {
        const NULL: u64 = 0xc44b_dff4_074e_ecdb;
        check(vec![Arc::new(Int8Array::from(vec![None]))], &[NULL]);
        check(vec![Arc::new(StringArray::from(vec![None::<&str>]))], &[NULL]);
        check(vec![Arc::new(TimestampNanosecondArray::from(vec![None]))], &[NULL]);
    }

    #[test]
    fn the_width_of_an_integer_does_not_count() {
        let wide = key_hashes(&[Arc::new(Int64Array::from(vec![-7, 7]))], 2).unwrap();
        check(vec![Arc::new(Int8Array::from(vec![-7, 7]))], &wide);
        check(vec![Arc::new(TimestampSecondArray::from(vec![-7, 7]))], &wide);
    }
}
