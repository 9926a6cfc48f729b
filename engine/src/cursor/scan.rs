//! Bounded history reads: chunk by chunk, partition by partition, made as they are asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::{Chunk, ChunkRows, Projection, pruned_chunk_at};
use crate::segments::Pruning;
use crate::shared::Shared;
use crate::{BatchOperator, Error, Offset, OffsetRange, PartitionId, Result, Scan, ScanRequest, ScannedBatch, TableId};

/// Chunks of fewer rows are joined until they are as many.
const SMALL_ROWS: usize = 1_024;

/// Opens a scan. Ranges end at the durable end of now; ones that begin below the start are refused.
pub(crate) fn scan(shared: &Arc<Shared>, request: ScanRequest) -> Result<Scan> {
    let (projection, ranges) = {
        let state = shared.state.read();
        let info = state.table(request.table).ok_or_else(|| super::no_table(request.table))?;
        let projection = Projection::new(info, request.operator.inputs())?;
        let partitions = state.catalog().partitions(request.table).unwrap_or_default();
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
        (projection, ranges)
    };
    let schema = request.operator.output_schema().clone();
    let chunks = Chunks {
        shared: shared.clone(),
        table: request.table,
        operator: request.operator,
        event_time_us: request.event_time_us,
        projection,
        ranges,
    };
    Ok(Scan { schema, chunks: Box::new(chunks) })
}

struct Chunks {
    shared: Arc<Shared>,
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
        let (mut at, mut inputs, mut rows) = (range.start, Vec::with_capacity(1), 0);
        // Small frames are evaluated together.
        while at < range.end && rows < SMALL_ROWS {
            let Some((next, input)) = self.read(partition, at..range.end)? else { break };
            let Some(input) = input else {
                if inputs.is_empty() {
                    self.advance(next);
                    return Ok(None);
                }
                break;
            };
            rows += input.num_rows();
            inputs.push(input);
            at = next;
        }
        let input = match inputs.as_slice() {
            [] => {
                self.ranges.pop_front();
                return Ok(None);
            }
            [one] => one.clone(),
            many => concat_batches(self.projection.schema(), many)
                .map_err(|error| Error::Internal(format!("chunks of partition {partition} don't join: {error}")))?,
        };
        self.advance(at);
        let batch = self.evaluate(partition, range.start, &input)?;
        Ok(Some(ScannedBatch { partition, range: range.start..at, batch }))
    }

    /// The chunk at the range's start, cut to the range: where it ends, and its rows unless they were pruned.
    fn read(&self, partition: PartitionId, range: OffsetRange) -> Result<Option<(Offset, Option<RecordBatch>)>> {
        let pruning = Pruning { operator: Some(self.operator.as_ref()), event_time_us: self.event_time_us.as_ref() };
        let chunk = pruned_chunk_at(&self.shared, &self.projection, self.table, partition, range.start, &pruning)?;
        Ok(chunk.map(|chunk| {
            let covered = range.start..chunk.next_offset.min(range.end);
            (covered.end, rows_within(&chunk, &covered))
        }))
    }

    fn advance(&mut self, to: Offset) {
        if let Some((_, front)) = self.ranges.front_mut() {
            front.start = to;
        }
    }

    fn evaluate(&self, partition: PartitionId, offset: Offset, input: &RecordBatch) -> Result<RecordBatch> {
        self.operator.evaluate(input).map(|evaluated| evaluated.batch).map_err(|source| {
            let table = self.shared.table(self.table).map_or_else(|_| self.table.to_string(), |info| info.name.clone());
            Error::Evaluation { topic: table, partition, offset, source }
        })
    }
}

/// The chunk's rows of a range; `None` if they were pruned.
fn rows_within(chunk: &Chunk, range: &OffsetRange) -> Option<RecordBatch> {
    let ChunkRows::Batch(batch) = &chunk.rows else { return None };
    let skip = usize::try_from(range.start.saturating_sub(chunk.base_offset)).unwrap_or(usize::MAX);
    let take = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    if skip == 0 && take >= batch.num_rows() {
        return Some(batch.clone());
    }
    let skip = skip.min(batch.num_rows());
    Some(batch.slice(skip, take.min(batch.num_rows() - skip)))
}
