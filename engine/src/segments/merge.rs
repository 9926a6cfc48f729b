//! Joining small neighbours into one segment.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::cut::Before;
use super::handle::Segments;
use super::open::Segment;
use super::prune::Pruning;
use super::record::{begin, record};
use super::writer::{Extent, RowsToWrite, SegmentWriter};
use super::writing::Begun;
use crate::chunks::{ChunkRows, Projection};
use crate::contract::InputColumn;
use crate::model::{Error, PartitionId, Result, TableId};
use crate::state::SegmentMeta;

/// Fewer neighbours are not worth a new file.
const MIN_NEIGHBOURS: usize = 4;

/// More are left for the next time.
const MAX_NEIGHBOURS: usize = 64;

/// Joins one run of small neighbours of a partition; `false` when there is none.
pub(super) fn merge_one(segments: &Segments, table: TableId, partition: PartitionId) -> Result<bool> {
    let (before, sources) = {
        let state = segments.ledger.state.read();
        let Some(found) = state.partition(table, partition) else { return Ok(false) };
        let metas: Vec<&Arc<SegmentMeta>> = found.segments.values().collect();
        let Some(run) = choose(&metas, segments.ledger.options.segment_bytes) else { return Ok(false) };
        let Some(before) = Before::within(&state, table, partition) else { return Ok(false) };
        let sources: Vec<Arc<Segment>> =
            metas.get(run).unwrap_or_default().iter().map(|meta| segments.lease(meta)).collect();
        (before, sources)
    };
    let (begun, meta) = write(segments, &before, &sources)?;
    let removed: Vec<u64> = sources.iter().map(|source| source.meta.id).collect();
    record(segments, &before, begun, meta, removed)?;
    Ok(true)
}

/// Adjacent segments of one schema version, all with LSNs or all without, that make at most `limit` log bytes together, where none is more than half
/// of the whole: so a row is written again only when its segment at least doubles.
pub(super) fn choose(metas: &[&Arc<SegmentMeta>], limit: u64) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    while start + MIN_NEIGHBOURS <= metas.len() {
        let first = metas.get(start)?;
        let (mut end, mut sum, mut largest) = (start, 0_u64, 0_u64);
        let mut best = None;
        let mut expected = first.first_offset;
        for meta in metas.iter().skip(start).take(MAX_NEIGHBOURS) {
            let grown = sum.saturating_add(meta.log_bytes);
            let alike = meta.schema_version == first.schema_version && meta.has_lsns() == first.has_lsns();
            if !alike || meta.first_offset != expected || grown > limit {
                break;
            }
            (sum, largest, expected) = (grown, largest.max(meta.log_bytes), meta.next_offset);
            end += 1;
            if end - start >= MIN_NEIGHBOURS && largest <= sum / 2 {
                best = Some(start..end);
            }
        }
        if best.is_some() {
            return best;
        }
        start += 1;
    }
    None
}

fn write<'a>(segments: &'a Segments, before: &Before, sources: &[Arc<Segment>]) -> Result<(Begun<'a>, SegmentMeta)> {
    let Some(first) = sources.first().map(|source| source.meta.clone()) else {
        return Err(Error::Internal("a merge of nothing".to_owned()));
    };
    let schema = before.table.schema_of(first.schema_version)?;
    let mut inputs: Vec<InputColumn> = (0..schema.fields().len()).map(InputColumn::Field).collect();
    inputs.push(InputColumn::AppendTs);
    let projection = Projection::new(&before.table, &inputs)?;
    let begun = begin(segments, before, first.first_offset)?;
    let mut writer = SegmentWriter::new(
        segments,
        begun.name.clone(),
        &before.table,
        before.partition,
        first.schema_version,
        first.first_offset,
    )?;
    let mut extent = Extent::empty();
    for source in sources {
        let meta = &source.meta;
        if let Some(lsns) = segments.lsns(source)? {
            writer.append_lsns(&lsns)?;
        }
        let rows = (meta.next_offset - meta.first_offset).max(1);
        let mut at = meta.first_offset;
        while at < meta.next_offset {
            let place = (before.table.as_ref(), before.partition);
            let chunk = segments.chunk(source, place, &projection, at, &Pruning::default())?;
            let ChunkRows::Batch(batch) = chunk.rows else {
                return Err(Error::Internal("a read without pruning was pruned".to_owned()));
            };
            let share = u128::from(meta.log_bytes) * u128::from(chunk.next_offset - at) / u128::from(rows);
            push(&mut writer, schema, &batch, u64::try_from(share).unwrap_or(u64::MAX))?;
            at = chunk.next_offset;
        }
        extent.include(&Extent {
            min_event_us: meta.min_event_us,
            max_event_us: meta.max_event_us,
            min_append_us: meta.min_append_us,
            max_append_us: meta.max_append_us,
            log_bytes: meta.log_bytes,
            next_lsn: meta.next_lsn,
        });
    }
    Ok((begun, writer.finish(&extent)?))
}

fn push(
    writer: &mut SegmentWriter,
    schema: &arrow_schema::SchemaRef,
    batch: &RecordBatch,
    log_bytes: u64,
) -> Result<()> {
    let mut columns = batch.columns().to_vec();
    let Some(append_ts) = columns.pop() else {
        return Err(Error::Internal("a segment without _append_ts".to_owned()));
    };
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::Internal(format!("merged rows don't fit their schema: {error}")))?;
    writer.push(RowsToWrite { batch: &batch, append_ts, log_bytes })
}
