//! The pseudo-columns: part of every table and topic, columns only when named.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use millstream_engine::InputColumn;

/// Names in the order in which they follow a table's own columns.
pub(crate) const NAMES: [&str; 3] = ["_partition", "_offset", "_append_ts"];

/// Whether a (folded) name is one of them.
pub(crate) fn is_pseudo(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The pseudo-columns as fields.
pub(crate) fn fields() -> [Field; 3] {
    [
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_append_ts", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), false),
    ]
}

/// A table's columns with the pseudo-columns after them.
pub(crate) fn extend(schema: &Schema) -> Schema {
    let own = schema.fields().iter().map(|field| field.as_ref().clone());
    Schema::new(own.chain(fields()).collect::<Vec<_>>())
}

/// What the engine is asked for to get column `index` of [`extend`]ed `columns` columns.
pub(crate) fn input(index: usize, columns: usize) -> InputColumn {
    match index.checked_sub(columns) {
        None => InputColumn::Field(index),
        Some(0) => InputColumn::Partition,
        Some(1) => InputColumn::Offset,
        Some(_) => InputColumn::AppendTs,
    }
}
