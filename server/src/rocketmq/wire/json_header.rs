//! Headers as JSON. Most clients write them so, one for each message: they are read and written without a tree of values between.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;

use super::command::{Header, LANGUAGE, VERSION};
use super::field_texts::FieldTexts;
use super::reader::Malformed;

/// A header that was read.
#[derive(serde::Deserialize)]
pub(super) struct JsonHeader {
    pub(super) code: i32,
    #[serde(default, deserialize_with = "text")]
    pub(super) language: Option<String>,
    #[serde(default)]
    pub(super) version: i32,
    #[serde(default)]
    pub(super) opaque: i32,
    #[serde(default)]
    pub(super) flag: i32,
    #[serde(default, deserialize_with = "text")]
    pub(super) remark: Option<String>,
    #[serde(default, rename = "extFields", deserialize_with = "texts")]
    pub(super) fields: FieldTexts,
}

/// One that is written.
#[derive(serde::Serialize)]
struct Written<'a> {
    code: i32,
    #[serde(rename = "extFields", serialize_with = "pairs")]
    fields: &'a [(&'static str, String)],
    flag: i32,
    language: &'a str,
    opaque: i32,
    remark: Option<&'a str>,
    #[serde(rename = "serializeTypeCurrentRPC")]
    form: &'a str,
    version: i32,
}

pub(super) fn read(header: &[u8]) -> Result<JsonHeader, Malformed> {
    serde_json::from_slice(header)
        .map_err(|error| Malformed(format!("the header is not the JSON that it should be: {error}")))
}

pub(super) fn write(header: &Header) -> Result<Vec<u8>, Malformed> {
    let Header { code, opaque, flag, remark, fields } = header;
    let written = Written {
        code: *code,
        fields,
        flag: *flag,
        language: LANGUAGE,
        opaque: *opaque,
        remark: remark.as_deref(),
        form: "JSON",
        version: VERSION,
    };
    serde_json::to_vec(&written).map_err(|error| Malformed(error.to_string()))
}

fn pairs<S: Serializer>(fields: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

/// What is no text is none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Some(text),
        Scalar::Other(_) | Scalar::Null | Scalar::Nested => None,
    })
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FieldTexts, D::Error> {
    deserializer.deserialize_any(TextsVisitor)
}

/// A field's value.
enum Scalar {
    Text(String),
    /// A number or a truth value, as it is written: clients in C++ and Go send numbers as such.
    Other(String),
    Null,
    Nested,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Scalar::Null, |number| Scalar::Other(number.to_string())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Scalar, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Scalar, A::Error> {
        while pairs.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = FieldTexts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(FieldTexts::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = pairs.next_entry::<String, Scalar>()? {
            match value {
                Scalar::Text(text) | Scalar::Other(text) => fields.push((name, text)),
                Scalar::Null => {}
                Scalar::Nested => return Err(Error::custom(format!("extFields: {name} is no text"))),
            }
        }
        Ok(fields.into())
    }
}
