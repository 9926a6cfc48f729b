//! Rows of messages that are handed out.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use xxhash_rust::xxh3::xxh3_64;

use super::Pop;
use crate::chunks::PlainColumns;
use crate::contract::{BatchOperator, InputColumn};
use crate::cursor::{OffsetRange, ScannedBatch, stretch_at};
use crate::model::{Error, Offset, PartitionId, Result, TableInfo, message_columns, message_schema};

/// A partition's rows: the columns of messages, and when they were appended.
#[derive(Debug)]
pub(super) struct PartitionRows<'a> {
    pop: &'a Pop,
    table: &'a TableInfo,
    partition: PartitionId,
    columns: PlainColumns,
}

impl<'a> PartitionRows<'a> {
    pub(super) fn of(pop: &'a Pop, table: &'a TableInfo, partition: PartitionId) -> Result<PartitionRows<'a>> {
        let mut inputs: Vec<InputColumn> = (0..message_schema().fields().len()).map(InputColumn::Field).collect();
        inputs.push(InputColumn::AppendTs);
        Ok(PartitionRows { pop, table, partition, columns: PlainColumns::of(table, inputs)? })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        self.columns.output_schema()
    }

    /// Those from the beginning of a range on that lie together; `None` at the end.
    pub(super) fn stretch(&self, range: &OffsetRange) -> Result<Option<ScannedBatch>> {
        stretch_at(&self.pop.tables, self.columns.projection(), (self.table.id, self.partition), range)
    }

    /// Those of these offsets, which rise and are all retained.
    pub(super) fn at(&self, offsets: &[Offset]) -> Result<RecordBatch> {
        let Some(last) = offsets.last() else { return Err(Error::Internal("no rows were asked for".to_owned())) };
        let (mut parts, mut left) = (Vec::new(), offsets);
        while let Some(next) = left.first() {
            let Some(ScannedBatch { range, batch, .. }) = self.stretch(&(*next..last.saturating_add(1)))? else {
                break;
            };
            let (here, behind) = left.split_at(left.partition_point(|offset| *offset < range.end));
            let rows: Vec<usize> =
                here.iter().filter_map(|offset| usize::try_from(offset - range.start).ok()).collect();
            parts.push(taken(&batch, &rows)?);
            left = behind;
        }
        match left.len() {
            0 => joined(self.schema(), &parts),
            missing => Err(Error::Internal(format!("of {} rows {missing} are not there", offsets.len()))),
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
