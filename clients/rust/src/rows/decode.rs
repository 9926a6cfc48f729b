//! A batch's rows as a type's values, without a text between them: what a value is says its column, and what the type can't hold
//! is an error.

use std::cell::Cell;
use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, downcast_dictionary_array};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::de::value::{Error, MapAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::nested::{Entries, Items};

/// All rows, or what is wrong with the first that does not fit.
pub(super) fn decode<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>, String> {
    let schema = batch.schema_ref();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut seen = HashSet::with_capacity(names.len());
    if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
        return Err(format!("two columns are named {twice:?}"));
    }
    let at = Cell::new(None);
    let decode_row = |row| {
        at.set(None);
        T::deserialize(Row { names: &names, columns: batch.columns(), row, at: &at }).map_err(|error| match at.get() {
            Some(column) => format!("row {row}, column {column:?}: {error}"),
            None => format!("row {row}: {error}"),
        })
    };
    (0..batch.num_rows()).map(decode_row).collect()
}

/// A row, or a value of a struct.
struct Row<'a, 'c> {
    names: &'c [&'a str],
    columns: &'a [ArrayRef],
    row: usize,
    /// The column that is being read.
    at: &'c Cell<Option<&'a str>>,
}

impl<'de> Deserializer<'de> for Row<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Members { of: self, next: 0 })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        MapAccessDeserializer::new(Members { of: self, next: 0 }).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The members of a [`Row`], by name.
struct Members<'a, 'c> {
    of: Row<'a, 'c>,
    next: usize,
}

impl<'de> MapAccess<'de> for Members<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.of.names.get(self.next) else { return Ok(None) };
        seed.deserialize((*name).into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (Some(column), Some(name)) = (self.of.columns.get(self.next), self.of.names.get(self.next)) else {
            return Err(Error::custom("there is no further column"));
        };
        self.next += 1;
        let outer = self.of.at.replace(Some(name));
        let value = seed.deserialize(Value { array: column.as_ref(), row: self.of.row })?;
        self.of.at.set(outer);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.of.columns.len().checked_sub(self.next)
    }
}

/// One value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) array: &'a dyn Array,
    pub(super) row: usize,
}

impl<'a> Value<'a> {
    /// Itself, or what a dictionary's key stands for; none if it is null.
    pub(super) fn known(self) -> Option<Value<'a>> {
        let Value { array, row } = self;
        if array.data_type().is_null() || array.is_null(row) {
            return None;
        }
        let Some(dictionary) = array.as_any_dictionary_opt() else { return Some(self) };
        let key = downcast_dictionary_array!(array => array.key(row), _ => None)?;
        Value { array: dictionary.values().as_ref(), row: key }.known()
    }

    /// As text: times, as RFC 3339, and decimals.
    pub(super) fn text(self) -> Result<String, Error> {
        let formatter = ArrayFormatter::try_new(self.array, &FormatOptions::default()).map_err(Error::custom)?;
        formatter.value(self.row).try_to_string().map_err(Error::custom)
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        Some(match self.array.data_type() {
            DataType::Binary => self.array.as_binary::<i32>().value(self.row),
            DataType::LargeBinary => self.array.as_binary::<i64>().value(self.row),
            DataType::BinaryView => self.array.as_binary_view().value(self.row),
            DataType::FixedSizeBinary(_) => self.array.as_fixed_size_binary().value(self.row),
            _ => return None,
        })
    }

    /// Of the types that hold text.
    fn written(self) -> Option<&'a str> {
        Some(match self.array.data_type() {
            DataType::Utf8 => self.array.as_string::<i32>().value(self.row),
            DataType::LargeUtf8 => self.array.as_string::<i64>().value(self.row),
            DataType::Utf8View => self.array.as_string_view().value(self.row),
            _ => return None,
        })
    }

    fn items(self) -> Option<ArrayRef> {
        Some(match self.array.data_type() {
            DataType::List(_) => self.array.as_list::<i32>().value(self.row),
            DataType::LargeList(_) => self.array.as_list::<i64>().value(self.row),
            DataType::ListView(_) => self.array.as_list_view::<i32>().value(self.row),
            DataType::LargeListView(_) => self.array.as_list_view::<i64>().value(self.row),
            DataType::FixedSizeList(..) => self.array.as_fixed_size_list().value(self.row),
            _ => return None,
        })
    }

    /// The number nearest to it, for a type that is a number with a fraction.
    fn float(self) -> Result<Option<f64>, Error> {
        macro_rules! number {
            ($type:ty) => {
                self.array.as_primitive::<$type>().value(self.row) as f64
            };
        }
        Ok(Some(match self.array.data_type() {
            DataType::Int8 => number!(Int8Type),
            DataType::Int16 => number!(Int16Type),
            DataType::Int32 => number!(Int32Type),
            DataType::Int64 => number!(Int64Type),
            DataType::UInt8 => number!(UInt8Type),
            DataType::UInt16 => number!(UInt16Type),
            DataType::UInt32 => number!(UInt32Type),
            DataType::UInt64 => number!(UInt64Type),
            DataType::Float16 => f64::from(self.array.as_primitive::<Float16Type>().value(self.row)),
            DataType::Float32 => number!(Float32Type),
            DataType::Float64 => number!(Float64Type),
            data_type if data_type.is_decimal() => self.text()?.parse().map_err(Error::custom)?,
            _ => return Ok(None),
        }))
    }

    /// A decimal that is whole, for a type that is an integer.
    fn whole(self) -> Result<Option<i128>, Error> {
        let (digits, scale) = match self.array.data_type() {
            DataType::Decimal32(_, scale) => {
                (Some(i128::from(self.array.as_primitive::<Decimal32Type>().value(self.row))), *scale)
            }
            DataType::Decimal64(_, scale) => {
                (Some(i128::from(self.array.as_primitive::<Decimal64Type>().value(self.row))), *scale)
            }
            DataType::Decimal128(_, scale) => {
                (Some(self.array.as_primitive::<Decimal128Type>().value(self.row)), *scale)
            }
            DataType::Decimal256(_, scale) => {
                (self.array.as_primitive::<Decimal256Type>().value(self.row).to_i128(), *scale)
            }
            _ => return Ok(None),
        };
        let power = 10_i128.checked_pow(u32::from(scale.unsigned_abs()));
        let whole = match (digits, power) {
            (Some(0), _) => Some(0),
            (Some(digits), Some(power)) if scale >= 0 => (digits % power == 0).then(|| digits / power),
            (Some(digits), Some(power)) => digits.checked_mul(power),
            _ => None,
        };
        match whole {
            Some(whole) => Ok(Some(whole)),
            None => Err(Error::custom(format!("{} is no integer that fits", self.text()?))),
        }
    }

    fn visit_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.known().map(Value::whole).transpose()?.flatten() {
            // Types take the narrower ones alone.
            Some(whole) => match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(whole), _) => visitor.visit_i64(whole),
                (_, Ok(whole)) => visitor.visit_u64(whole),
                _ => visitor.visit_i128(whole),
            },
            None => self.deserialize_any(visitor),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(this) = self.known() else { return visitor.visit_unit() };
        let (array, row) = (this.array, this.row);
        macro_rules! number {
            ($type:ty) => {
                array.as_primitive::<$type>().value(row)
            };
        }
        match array.data_type() {
            DataType::Boolean => visitor.visit_bool(array.as_boolean().value(row)),
            DataType::Int8 => visitor.visit_i8(number!(Int8Type)),
            DataType::Int16 => visitor.visit_i16(number!(Int16Type)),
            DataType::Int32 => visitor.visit_i32(number!(Int32Type)),
            DataType::Int64 => visitor.visit_i64(number!(Int64Type)),
            DataType::UInt8 => visitor.visit_u8(number!(UInt8Type)),
            DataType::UInt16 => visitor.visit_u16(number!(UInt16Type)),
            DataType::UInt32 => visitor.visit_u32(number!(UInt32Type)),
            DataType::UInt64 => visitor.visit_u64(number!(UInt64Type)),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let number = this.float()?.unwrap_or(f64::NAN);
                match number {
                    // Types that take anything, such as that of JSON, have no other way to hold these and would make null of them.
                    _ if number.is_nan() => visitor.visit_str("NaN"),
                    f64::INFINITY => visitor.visit_str("Infinity"),
                    f64::NEG_INFINITY => visitor.visit_str("-Infinity"),
                    _ if *array.data_type() == DataType::Float32 => visitor.visit_f32(number!(Float32Type)),
                    _ => visitor.visit_f64(number),
                }
            }
            DataType::Struct(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                let row = Row { names: &names, columns: array.as_struct().columns(), row, at: &Cell::new(None) };
                row.deserialize_any(visitor)
            }
            DataType::Map(..) => {
                let entries = array.as_map().value(row);
                visitor.visit_map(Entries { entries: entries.columns(), rows: entries.len(), next: 0 })
            }
            data_type if data_type.is_temporal() || data_type.is_decimal() => visitor.visit_string(this.text()?),
            data_type => {
                if let Some(text) = this.written() {
                    visitor.visit_str(text)
                } else if let Some(bytes) = this.bytes() {
                    visitor.visit_bytes(bytes)
                } else if let Some(items) = this.items() {
                    visitor.visit_seq(Items { items: items.as_ref(), next: 0 })
                } else {
                    Err(Error::custom(format!("values of type {data_type} can't be read")))
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.known() {
            Some(known) => visitor.visit_some(known),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.known().map(Value::float).transpose()?.flatten() {
            Some(number) if number.is_finite() && (number as f32).is_infinite() => {
                Err(Error::custom(format!("{number} does not fit f32")))
            }
            Some(number) => visitor.visit_f32(number as f32),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.known().map(Value::float).transpose()?.flatten() {
            Some(number) => visitor.visit_f64(number),
            None => self.deserialize_any(visitor),
        }
    }

    /// A `Vec<u8>` of bytes, too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.known().and_then(Value::bytes) {
            Some(bytes) => visitor.visit_seq(serde::de::value::SeqDeserializer::new(bytes.iter().copied())),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.known().and_then(Value::written) {
            Some(variant) => visitor.visit_enum(variant.into_deserializer()),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bool char str string bytes byte_buf unit unit_struct map struct identifier }
}
