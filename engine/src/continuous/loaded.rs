//! Rows of one partition on their way into a step.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

use crate::chunks::{Chunk, ChunkRows, Projection};
use crate::contract::{ContinuousSource, InputColumn};
use crate::cursor::{Tables, pruned_chunk_at};
use crate::log::sliced_bytes;
use crate::model::{Error, Offset, PartitionId, Result, TableInfo};
use crate::segments::Pruning;

/// What is read of a source: the columns of the plan, then event time where the table has it, then append time.
#[derive(Debug, Clone)]
pub(super) struct SourceColumns {
    projection: Projection,
    inputs: usize,
    timed: bool,
}

impl SourceColumns {
    pub(super) fn new(table: &TableInfo, source: &ContinuousSource) -> Result<SourceColumns> {
        let time = table.options.time_column.as_ref().map(|name| table.schema().index_of(name));
        let time = time.transpose().map_err(|error| Error::Internal(error.to_string()))?;
        let inputs = source.inputs.iter().copied();
        let inputs: Vec<InputColumn> =
            inputs.chain(time.map(InputColumn::Field)).chain([InputColumn::AppendTs]).collect();
        let projection = Projection::new(table, &inputs)?;
        Ok(SourceColumns { projection, inputs: source.inputs.len(), timed: time.is_some() })
    }
}

/// A chunk's rows, as the plan takes them, with their times.
#[derive(Debug)]
pub(super) struct LoadedRows {
    pub batch: RecordBatch,
    pub append_us: Vec<i64>,
    /// Of tables without a time column the same.
    pub event_us: Vec<i64>,
}

/// Rows of one partition, from a position on.
#[derive(Debug)]
pub(super) struct LoadedPartition {
    pub source: usize,
    pub partition: PartitionId,
    pub chunks: Vec<LoadedRows>,
    /// Up to here they are loaded.
    at: Offset,
    end: Offset,
    pub bytes: usize,
}

impl LoadedPartition {
    pub(super) fn new(source: usize, partition: PartitionId, from: Offset, end: Offset) -> LoadedPartition {
        LoadedPartition { source, partition, chunks: Vec::new(), at: from, end, bytes: 0 }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.at >= self.end
    }

    /// The append times of the first row and of the last one.
    pub(super) fn span_us(&self) -> Option<(i64, i64)> {
        let first = self.chunks.first()?.append_us.first()?;
        Some((*first, *self.chunks.last()?.append_us.last()?))
    }

    /// Up to which append time nothing of the partition is left out.
    pub(super) fn complete_us(&self) -> i64 {
        match self.span_us() {
            _ if self.is_whole() => i64::MAX,
            Some((_, last_us)) => last_us.saturating_sub(1),
            None => i64::MIN,
        }
    }

    /// Loads one chunk more.
    pub(super) fn load(&mut self, tables: &Tables, table: &TableInfo, columns: &SourceColumns) -> Result<()> {
        let (from, partition) = (self.at, self.partition);
        let chunk = pruned_chunk_at(tables, &columns.projection, table.id, partition, from, &Pruning::default())?;
        let chunk = chunk.map(|chunk| chunk.within(&(from..self.end)));
        let missing = || {
            Error::Internal(format!("rows from offset {from} of {:?} partition {partition} are not there", table.name))
        };
        let Chunk { next_offset, rows: ChunkRows::Batch(rows), .. } = chunk.ok_or_else(missing)? else {
            return Err(missing());
        };
        if next_offset <= from {
            return Err(missing());
        }
        self.bytes = self.bytes.saturating_add(sliced_bytes(&rows));
        self.chunks.push(loaded(&rows, columns).ok_or_else(missing)?);
        self.at = next_offset;
        Ok(())
    }
}

fn loaded(rows: &RecordBatch, columns: &SourceColumns) -> Option<LoadedRows> {
    let append_us = micros(rows.columns().last()?)?;
    let event_us = match columns.timed {
        true => micros(rows.columns().get(columns.inputs)?)?,
        false => append_us.clone(),
    };
    let inputs: Vec<usize> = (0..columns.inputs).collect();
    let batch = rows.project(&inputs).ok()?;
    Some(LoadedRows { batch, append_us, event_us })
}

/// Times in µs, floored, saturating.
fn micros(times: &ArrayRef) -> Option<Vec<i64>> {
    let DataType::Timestamp(unit, _) = times.data_type() else { return None };
    let scaled = |values: &[i64], by: i64| values.iter().map(|value| value.saturating_mul(by)).collect();
    Some(match unit {
        TimeUnit::Second => scaled(times.as_primitive::<TimestampSecondType>().values(), 1_000_000),
        TimeUnit::Millisecond => scaled(times.as_primitive::<TimestampMillisecondType>().values(), 1_000),
        TimeUnit::Microsecond => times.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
        TimeUnit::Nanosecond => {
            let values = times.as_primitive::<TimestampNanosecondType>().values();
            values.iter().map(|value| value.div_euclid(1_000)).collect()
        }
    })
}
