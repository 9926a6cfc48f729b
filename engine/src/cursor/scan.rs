//! Bounded history reads: chunk by chunk, partition by partition, made as they are asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::tables::Tables;
use super::{ChunkRows, Projection, joined_chunk_at};
use crate::contract::BatchOperator;
use crate::contract::Guarded;
use crate::cursor::{OffsetRange, Scan, ScanRequest, ScannedBatch};
use crate::model::{Error, Offset, PartitionId, Result, TableId};
use crate::model::{FailureKind, OperatorError};
use crate::segments::Pruning;

/// Opens a scan. Ranges end at the durable end of now; ones that begin below the start are refused.
pub(crate) fn scan(tables: &Arc<Tables>, request: ScanRequest) -> Result<Scan> {
    let (table, projection, ranges) = {
        let state = tables.ledger.state.read();
        let topic = state.topic(request.topic).ok_or_else(|| Error::gone("topic"))?;
        let info = state.table(topic.table).ok_or_else(super::no_table)?;
        let projection = Projection::new(info, request.operator.inputs())?;
        let partitions = state.catalog().partitions(info.id).unwrap_or_default();
        let asked = request.ranges.unwrap_or_else(|| {
            (0..).zip(partitions).map(|(partition, found)| (partition, found.start..found.end)).collect()
        });
        let mut ranges = VecDeque::with_capacity(asked.len());
        for (partition, range) in asked {
            let found = usize::try_from(partition).ok().and_then(|index| partitions.get(index));
            let found = found.ok_or_else(|| super::no_partition(info, partition))?;
            if range.start < found.start {
                let (start, end) = (found.start, found.end);
                return Err(Error::OffsetOutOfRange { partition, offset: range.start, start, end });
            }
            let end = range.end.min(found.end);
            if range.start < end {
                ranges.push_back((partition, range.start..end));
            }
        }
        (info.id, projection, ranges)
    };
    let schema = request.operator.output_schema().clone();
    let chunks = Chunks {
        tables: tables.clone(),
        table,
        operator: Arc::new(Guarded(request.operator)),
        event_time_us: request.event_time_us,
        projection,
        ranges,
    };
    Ok(Scan { schema, chunks: Box::new(chunks) })
}

struct Chunks {
    tables: Arc<Tables>,
    table: TableId,
    operator: Arc<dyn BatchOperator>,
    event_time_us: Option<Range<i64>>,
    projection: Projection,
    /// What is left to read.
    ranges: VecDeque<(PartitionId, OffsetRange)>,
}

impl Iterator for Chunks {
    type Item = Result<ScannedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (partition, range) = self.ranges.front()?.clone();
            if range.start >= range.end {
                self.ranges.pop_front();
                continue;
            }
            match self.step(partition, range) {
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => {}
                Err(error) => {
                    self.ranges.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Chunks {
    /// Reads and evaluates what stands at the front; `None` if all of it was pruned.
    fn step(&mut self, partition: PartitionId, range: OffsetRange) -> Result<Option<ScannedBatch>> {
        let pruning = Pruning {
            operator: Some(self.operator.as_ref()),
            event_time_us: self.event_time_us.as_ref(),
            ..Pruning::default()
        };
        let (from, until) = (range.start, range.end);
        let Some(chunk) =
            joined_chunk_at(&self.tables, &self.projection, self.table, partition, from, until, &pruning)?
        else {
            self.ranges.pop_front();
            return Ok(None);
        };
        let chunk = chunk.within(&range);
        self.advance(chunk.next_offset);
        let ChunkRows::Batch(input) = &chunk.rows else { return Ok(None) };
        let batch = self.evaluate(partition, from, input)?;
        Ok(Some(ScannedBatch { partition, range: from..chunk.next_offset, batch }))
    }

    fn advance(&mut self, to: Offset) {
        if let Some((_, front)) = self.ranges.front_mut() {
            front.start = to;
        }
    }

    fn evaluate(&self, partition: PartitionId, offset: Offset, input: &RecordBatch) -> Result<RecordBatch> {
        self.operator.evaluate(input).map(|evaluated| evaluated.batch).map_err(|source| {
            let table =
                self.tables.ledger.table(self.table).map_or_else(|_| self.table.to_string(), |info| info.name.clone());
            let (row, source) = self.first_failing(input, source);
            Error::Evaluation { topic: table, partition, offset: offset + row as u64, source }
        })
    }

    /// The first row that fails by itself, and its error. Failures that are nobody's row stand for the whole batch.
    fn first_failing(&self, input: &RecordBatch, error: OperatorError) -> (usize, OperatorError) {
        let (mut from, mut rows, mut error) = (0, input.num_rows(), error);
        while rows > 1 && error.kind == FailureKind::Data {
            let half = rows / 2;
            match self.operator.evaluate(&input.slice(from, half)) {
                Err(first) => (rows, error) = (half, first),
                Ok(_) => match self.operator.evaluate(&input.slice(from + half, rows - half)) {
                    Err(second) => (from, rows, error) = (from + half, rows - half, second),
                    Ok(_) => break,
                },
            }
        }
        (from, error)
    }
}
