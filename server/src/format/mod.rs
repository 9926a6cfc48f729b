//! Rows on standard output, for people and programs.

pub(crate) mod sink;
pub(crate) mod table;

pub(crate) use sink::{Format, RowSink};
