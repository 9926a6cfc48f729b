//! From append time to offset.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;

use super::tables::Tables;
use super::{Chunk, ChunkRows, Projection, chunk_at};
use crate::contract::InputColumn;
use crate::model::{Offset, PartitionId, Result, TableId};

/// The first offset appended at or after `time_us`; the end offset if there is none. Append times never decrease within a
/// partition: the manifest narrows the search to one segment or to the log, then chunks are halved.
pub(crate) fn offset_at(tables: &Tables, table: TableId, partition: PartitionId, time_us: i64) -> Result<Offset> {
    let (info, mut low, mut high) = {
        let state = tables.ledger.state.read();
        let info = state.table(table).ok_or_else(super::no_table)?;
        let found = state.partition(table, partition).ok_or_else(|| super::no_partition(info, partition))?;
        let segment = found.segments_from(found.start).find(|segment| segment.max_append_us >= time_us);
        let (low, high) = match segment {
            Some(segment) => (segment.first_offset, segment.next_offset),
            None => (found.segmented_to, found.end),
        };
        (info.clone(), low.max(found.start), high)
    };
    let projection = Projection::new(&info, &[InputColumn::AppendTs])?;
    while low < high {
        let middle = low + (high - low) / 2;
        if let Some(frame) = tables.ledger.log.entry_at(table, partition, middle)? {
            if frame.append_us < time_us {
                low = frame.next_offset().min(high);
            } else {
                high = frame.base_offset.max(low);
            }
            continue;
        }
        let chunk = chunk_at(tables, &projection, table, partition, middle, None)?;
        let Some(Chunk { base_offset, next_offset, rows: ChunkRows::Batch(batch), .. }) = chunk else { break };
        let Some(column) = batch.columns().first() else { break };
        let times = column.as_primitive::<TimestampMicrosecondType>().values();
        let below = times.partition_point(|time| *time < time_us);
        if below == 0 {
            high = base_offset.max(low);
        } else if below == times.len() {
            low = next_offset.min(high);
        } else {
            return Ok((base_offset + below as u64).max(low));
        }
    }
    Ok(low)
}
