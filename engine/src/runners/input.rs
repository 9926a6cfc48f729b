//! From a topic's rows to the columns that a plugin reads.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::handle::Runners;
use super::read::Taken;
use crate::chunks::{ChunkRows, Projection, append_ts_type};
use crate::contract::InputColumn;
use crate::cursor;
use crate::model::{Error, Offset, PartitionId, Result, TopicInfo};
use crate::platform::{Clock as _, SystemClock};

/// Where a parameter's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A column of the topic, by position.
    Column(usize),
    Partition,
    Offset,
    AppendTs,
}

/// Finds the parameters among the topic's columns, then among the pseudo-columns.
pub(crate) fn bind(topic: &TopicInfo, parameters: &[(String, DataType)]) -> Result<Vec<Source>> {
    let bound = parameters.iter().map(|(name, wanted)| {
        let column = topic.output_schema.index_of(name).ok().map(Source::Column);
        let source = column.or(match name.as_str() {
            "_partition" => Some(Source::Partition),
            "_offset" => Some(Source::Offset),
            "_append_ts" => Some(Source::AppendTs),
            _ => None,
        });
        let Some(source) = source else {
            let topic = &topic.name;
            return Err(Error::InvalidInput(format!("topic {topic:?} has no column {name:?}, which the plugin reads")));
        };
        let found = match source {
            Source::Column(index) => topic.output_schema.field(index).data_type().clone(),
            Source::Partition => DataType::Int32,
            Source::Offset => DataType::Int64,
            Source::AppendTs => append_ts_type(),
        };
        if found == *wanted {
            return Ok(source);
        }
        Err(Error::InvalidInput(format!(
            "column {name:?} of topic {:?} is {found}, and the plugin reads {wanted}; make a topic that casts it",
            topic.name
        )))
    });
    bound.collect()
}

/// A column for each parameter.
pub(super) fn input(
    runners: &Runners,
    topic: &TopicInfo,
    partition: PartitionId,
    parameters: &[(String, DataType)],
    taken: &Taken,
) -> Result<RecordBatch> {
    let rows = taken.rows.num_rows();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(parameters.len());
    for source in bind(topic, parameters)? {
        columns.push(match source {
            Source::Column(index) => {
                let column = taken.rows.columns().get(index);
                column.cloned().ok_or_else(|| Error::Internal("the topic's rows lack a column".to_owned()))?
            }
            Source::Partition => partitions(partition, rows),
            Source::Offset => offsets(taken),
            Source::AppendTs => append_times(runners, topic, partition, &taken.offsets)?,
        });
    }
    assembled(parameters, columns, rows)
        .map_err(|why| Error::Internal(format!("the rows of topic {:?} don't make a batch: {why}", topic.name)))
}

/// A column for each parameter of rows that are no topic's: they were appended now.
pub(super) fn of_rows(
    parameters: &[(String, DataType)],
    partition: PartitionId,
    taken: &Taken,
) -> Result<RecordBatch, String> {
    let rows = taken.rows.num_rows();
    let column = |(name, _): &(String, DataType)| match (taken.rows.column_by_name(name), name.as_str()) {
        (Some(column), _) => Ok(column.clone()),
        (None, "_partition") => Ok(partitions(partition, rows)),
        (None, "_offset") => Ok(offsets(taken)),
        (None, "_append_ts") => {
            let now = SystemClock::default().wall_us();
            Ok(Arc::new(TimestampMicrosecondArray::from_value(now, rows).with_timezone("UTC")) as ArrayRef)
        }
        (None, _) => Err(format!("the rows have no column {name:?}, which the plugin reads")),
    };
    assembled(parameters, parameters.iter().map(column).collect::<Result<_, _>>()?, rows).map_err(|why| why.to_string())
}

fn partitions(partition: PartitionId, rows: usize) -> ArrayRef {
    Arc::new(Int32Array::from_value(i32::try_from(partition).unwrap_or(i32::MAX), rows))
}

fn offsets(taken: &Taken) -> ArrayRef {
    let number = |offset: &Offset| i64::try_from(*offset).unwrap_or(i64::MAX);
    Arc::new(Int64Array::from_iter_values(taken.offsets.iter().map(number)))
}

fn assembled(
    parameters: &[(String, DataType)],
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let fields = parameters.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// When the rows were appended: read beside the topic, whose own columns need not have it.
fn append_times(runners: &Runners, topic: &TopicInfo, partition: PartitionId, offsets: &[Offset]) -> Result<ArrayRef> {
    let projection = Projection::new(runners.ledger.table(topic.table)?.as_ref(), &[InputColumn::AppendTs])?;
    let missing = || Error::Internal(format!("append times of topic {:?} can't be read", topic.name));
    let mut times = Vec::with_capacity(offsets.len());
    while let Some(from) = offsets.get(times.len()).copied() {
        let chunk =
            cursor::chunk_at(&runners.tables, &projection, topic.table, partition, from, None)?.ok_or_else(missing)?;
        let ChunkRows::Batch(rows) = &chunk.rows else { return Err(missing()) };
        let column = rows.columns().first().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let column = column.ok_or_else(missing)?;
        for offset in offsets.iter().skip(times.len()).take_while(|offset| **offset < chunk.next_offset) {
            let row = usize::try_from(offset - chunk.base_offset).unwrap_or(usize::MAX);
            times.push(column.values().get(row).copied().ok_or_else(missing)?);
        }
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
}
