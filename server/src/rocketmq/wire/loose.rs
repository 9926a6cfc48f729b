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

/// JSON of brokers, whose maps have numbers for names (`{0:"10.0.0.5:10911"}`), as JSON.
pub(crate) fn quoted_names(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut in_text, mut escaped, mut may_be_name) = (false, false, false);
    let mut rest = text.char_indices().peekable();
    while let Some((at, letter)) = rest.next() {
        let digits = || text[at..].len() - text[at..].trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        if !in_text && may_be_name && letter.is_ascii_digit() && text[at + digits()..].trim_start().starts_with(':') {
            let end = at + digits();
            quoted.extend(["\"", &text[at..end], "\""]);
            while rest.next_if(|(next, _)| *next < end).is_some() {}
            may_be_name = false;
            continue;
        }
        quoted.push(letter);
        match letter {
            '"' if !escaped => in_text = !in_text,
            '{' | ',' if !in_text => may_be_name = true,
            _ if !letter.is_whitespace() => may_be_name = false,
            _ => {}
        }
        escaped = in_text && letter == '\\' && !escaped;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_names_are_quoted_and_nothing_else() {
        for (written, expected) in [
            (r#"{0:"a",12 : {1:2}}"#, r#"{"0":"a","12" : {"1":2}}"#),
            (r#"{"a":[1,2,3],"b":7,3:[4]}"#, r#"{"a":[1,2,3],"b":7,"3":[4]}"#),
            (r#"{"{0:":"\",1:\\",2:"é"}"#, r#"{"{0:":"\",1:\\","2":"é"}"#),
            ("{0", "{0"),
            ("", ""),
        ] {
            assert_eq!(quoted_names(written), expected);
        }
    }
}
