//! Rows that came after their window had closed.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::{Error, Result};

/// What comes after the table's columns.
const COLUMNS: [&str; 5] = ["window_start", "window_end", "watermark", "source_partition", "source_offset"];

/// Columns of late rows: the table's, then the window that it came too late for, how far event time had come, and where it stands.
pub(super) fn schema(table: &Schema) -> Result<SchemaRef> {
    if let Some(taken) = COLUMNS.iter().find(|name| table.field_with_name(name).is_ok()) {
        return Err(Error::Unsupported {
            message: format!(
                "late rows are kept with a column {taken}, and the table has one of that name; WITH (late = 'drop') counts them"
            ),
            position: None,
        });
    }
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let own = table.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let types = [time.clone(), time.clone(), time, DataType::Int32, DataType::Int64];
    let added = COLUMNS.into_iter().zip(types).map(|(name, data_type)| Field::new(name, data_type, true));
    Ok(Arc::new(Schema::new(own.chain(added).collect::<Vec<_>>())))
}

/// Late rows of one batch as they are found.
#[derive(Debug, Default)]
pub(super) struct LateRows {
    rows: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    watermarks: Vec<i64>,
}

impl LateRows {
    /// Times in µs.
    pub(super) fn add(&mut self, row: u32, start: i64, end: i64, watermark: i64) {
        self.rows.push(row);
        self.starts.push(start);
        self.ends.push(end);
        self.watermarks.push(watermark);
    }

    /// The rows; `columns` are the table's, then partition and offset.
    pub(super) fn finish(self, columns: &[ArrayRef], schema: &SchemaRef) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rows = UInt32Array::from(self.rows);
        let taken = columns.iter().map(|column| take(column, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        let own = schema.fields().len() - COLUMNS.len();
        let (table, places) = taken.split_at(own.min(taken.len()));
        let times = [self.starts, self.ends, self.watermarks]
            .map(|times| Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef);
        let columns = table.iter().cloned().chain(times).chain(places.iter().cloned()).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).map(Some)
    }
}
