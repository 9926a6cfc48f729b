//! Rows of messages that are handed out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use xxhash_rust::xxh3::xxh3_64;

use super::Pop;
use crate::chunks::PlainColumns;
use crate::contract::{BatchOperator, InputColumn};
use crate::cursor::{ScanRequest, ScannedBatch, scan};
use crate::model::{Error, Offset, PartitionId, Result, TableInfo, TopicId, message_columns, message_schema};

impl Pop {
    /// Rows of a range, batch by batch: the columns of messages, and when they were appended.
    pub(super) fn scan(
        &self,
        table: &TableInfo,
        partition: PartitionId,
        range: std::ops::Range<Offset>,
    ) -> Result<(SchemaRef, impl Iterator<Item = Result<ScannedBatch>>)> {
        let mut inputs: Vec<InputColumn> = (0..message_schema().fields().len()).map(InputColumn::Field).collect();
        inputs.push(InputColumn::AppendTs);
        let operator = Arc::new(PlainColumns::of(table, inputs)?);
        let schema = operator.output_schema().clone();
        let request = ScanRequest {
            topic: TopicId(table.id.0),
            ranges: Some(vec![(partition, range)]),
            event_time_us: None,
            operator,
        };
        Ok((schema, scan(&self.tables, request)?))
    }

    /// The rows of these offsets, which rise and are all retained.
    pub(super) fn rows_of(&self, table: &TableInfo, partition: PartitionId, offsets: &[Offset]) -> Result<RecordBatch> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return Err(Error::Internal("no rows were asked for".to_owned()));
        };
        let (schema, batches) = self.scan(table, partition, *first..last.saturating_add(1))?;
        let mut parts = Vec::new();
        for scanned in batches {
            let ScannedBatch { range, batch, .. } = scanned?;
            let here = offsets.iter().filter(|offset| range.contains(offset));
            let rows: Vec<usize> = here.filter_map(|offset| usize::try_from(offset - range.start).ok()).collect();
            if !rows.is_empty() {
                parts.push(taken(&batch, &rows)?);
            }
        }
        let rows = joined(&schema, &parts)?;
        match rows.num_rows() == offsets.len() {
            true => Ok(rows),
            false => Err(Error::Internal(format!("of {} rows {} are there", offsets.len(), rows.num_rows()))),
        }
    }
}

pub(super) fn taken(batch: &RecordBatch, rows: &[usize]) -> Result<RecordBatch> {
    if rows.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    let rows = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
    take_record_batch(batch, &rows).map_err(wrong)
}

pub(super) fn joined(schema: &SchemaRef, parts: &[RecordBatch]) -> Result<RecordBatch> {
    match parts {
        [only] => Ok(only.clone()),
        parts => concat_batches(schema, parts).map_err(wrong),
    }
}

/// What the message groups of rows are told apart by. Messages without one are of one group together.
pub(super) fn group_hashes(batch: &RecordBatch) -> Result<Vec<u64>> {
    let groups = batch.columns().get(message_columns::MESSAGE_GROUP).and_then(|column| column.as_string_opt::<i32>());
    let groups = groups.ok_or_else(|| Error::Internal("messages have no column of groups".to_owned()))?;
    let hash = |row| if groups.is_valid(row) { xxh3_64(groups.value(row).as_bytes()) } else { 0 };
    Ok((0..batch.num_rows()).map(hash).collect())
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("messages could not be taken: {error}"))
}
