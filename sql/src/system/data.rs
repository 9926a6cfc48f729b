//! Rows of system tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{Result as DfResult, ScalarValue};

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Real,
    Flag,
    /// µs, UTC.
    Time,
}

/// Names and types; every column may be null.
pub(super) type Columns = &'static [(&'static str, Kind)];

/// Rows in the order of the columns.
pub(super) type Rows = Vec<Vec<ScalarValue>>;

pub(super) fn schema(columns: Columns) -> SchemaRef {
    let field = |(name, kind): &(&str, Kind)| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Number => DataType::Int64,
            Kind::Real => DataType::Float64,
            Kind::Flag => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

pub(super) fn batch(schema: &SchemaRef, rows: Rows) -> DfResult<RecordBatch> {
    let count = rows.len();
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(count); schema.fields().len()];
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let array = |(values, field): (Vec<ScalarValue>, &Arc<Field>)| -> DfResult<ArrayRef> {
        match values.is_empty() {
            true => Ok(arrow::array::new_empty_array(field.data_type())),
            false => ScalarValue::iter_to_array(values),
        }
    };
    let columns = columns.into_iter().zip(schema.fields()).map(array).collect::<DfResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

pub(super) fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

pub(super) fn text_or_null(value: Option<impl Into<String>>) -> ScalarValue {
    ScalarValue::Utf8(value.map(Into::into))
}

/// Numbers above `i64::MAX` are shown as that.
pub(super) fn number(value: impl TryInto<i64>) -> ScalarValue {
    ScalarValue::Int64(Some(value.try_into().unwrap_or(i64::MAX)))
}

pub(super) fn number_or_null(value: Option<impl TryInto<i64>>) -> ScalarValue {
    ScalarValue::Int64(value.map(|value| value.try_into().unwrap_or(i64::MAX)))
}

pub(super) fn real_or_null(value: Option<f64>) -> ScalarValue {
    ScalarValue::Float64(value)
}

pub(super) fn flag(value: bool) -> ScalarValue {
    ScalarValue::Boolean(Some(value))
}

pub(super) fn time_or_null(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some(Arc::from("UTC")))
}

pub(super) fn time(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::from("UTC")))
}
