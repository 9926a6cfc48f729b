//! Values of JSON that some clients write as others don't: those in C++ name constants by their numbers, and write numbers as texts.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

const CONSUME_TYPES: &[&str] = &["CONSUME_ACTIVELY", "CONSUME_PASSIVELY", "CONSUME_POP"];
const MESSAGE_MODELS: &[&str] = &["BROADCASTING", "CLUSTERING"];
const FROM_WHERE: &[&str] = &[
    "CONSUME_FROM_LAST_OFFSET",
    "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
    "CONSUME_FROM_MIN_OFFSET",
    "CONSUME_FROM_MAX_OFFSET",
    "CONSUME_FROM_FIRST_OFFSET",
    "CONSUME_FROM_TIMESTAMP",
];

pub(super) fn consume_type<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    constant(from, CONSUME_TYPES)
}

pub(super) fn message_model<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    constant(from, MESSAGE_MODELS)
}

pub(super) fn consume_from_where<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    constant(from, FROM_WHERE)
}

/// One of these by its number, or whatever it is called.
fn constant<'de, D: Deserializer<'de>>(from: D, names: &[&str]) -> Result<Option<String>, D::Error> {
    let wrong = |value: &Value| D::Error::custom(format!("{value} is none of {}", names.join(", ")));
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(name) => Ok(Some(name)),
        Value::Number(number) => {
            let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
            let name = at.and_then(|at| names.get(at));
            name.map(|name| Some((*name).to_owned())).ok_or_else(|| wrong(&Value::Number(number)))
        }
        other => Err(wrong(&other)),
    }
}

pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| D::Error::custom(format!("{value} is no whole number")))
}
