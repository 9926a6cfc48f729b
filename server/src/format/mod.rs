//! Rows as text, the same at every place where people or programs read them.
//!
//! JSON is one object a line with nulls written; times are RFC 3339 in UTC, integers of every width numbers, decimals
//! strings, binary base64. CSV has a header and the same forms.

pub(crate) mod csv;
pub(crate) mod json;
#[cfg(test)]
mod sample;
pub(crate) mod sink;
pub(crate) mod table;
mod time;
mod value;

pub(crate) use sink::{Format, RowSink};
