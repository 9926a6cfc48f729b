//! Lists and maps within a row.

use arrow::array::{Array, ArrayRef};
use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::decode::Value;

/// The items of a list.
pub(super) struct Items<'a> {
    pub(super) items: &'a dyn Array,
    pub(super) next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next >= self.items.len() {
            return Ok(None);
        }
        self.next += 1;
        seed.deserialize(Value { array: self.items, row: self.next - 1 }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.len().checked_sub(self.next)
    }
}

/// The keys of a map and their values.
pub(super) struct Entries<'a> {
    pub(super) entries: &'a [ArrayRef],
    pub(super) rows: usize,
    pub(super) next: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.entries.first().filter(|_| self.next < self.rows) {
            Some(keys) => seed.deserialize(Key(Value { array: keys.as_ref(), row: self.next })).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let values = self.entries.get(1).ok_or_else(|| Error::custom("a map without values"))?;
        self.next += 1;
        seed.deserialize(Value { array: values.as_ref(), row: self.next - 1 })
    }

    fn size_hint(&self) -> Option<usize> {
        self.rows.checked_sub(self.next)
    }
}

/// A map's key: of any type, and as text where a text is wanted, as in JSON.
struct Key<'a>(Value<'a>);

macro_rules! as_value {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.0.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Error;

    as_value! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_option deserialize_seq deserialize_bytes deserialize_byte_buf deserialize_map
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.known() {
            Some(key) if key.bytes().is_none() => visitor.visit_string(key.text()?),
            _ => self.0.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
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
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { char unit unit_struct tuple tuple_struct struct ignored_any }
}
