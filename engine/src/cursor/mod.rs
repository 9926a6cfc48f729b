//! The one way to read rows. A cursor is an offset and nothing more: [`chunk_at`] finds the canonical chunk that holds
//! it, in the log's memory tail, in a log file or in a segment. Chunk boundaries do not depend on who reads, so that all
//! readers of a topic share evaluations, and following `next_offset` crosses the three places without gap or duplicate.

mod find;
mod joined;
mod lsns;
mod scan;
mod scanned;
mod seek;
mod stretch;
mod tables;

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::chunks::{Chunk, ChunkRows, Projection, constant_append_ts};
use crate::contract::BatchOperator;
use crate::log::{Frame, IndexEntry};
use crate::model::{Error, Offset, PartitionId, Result, TableId, TableInfo};
use crate::segments::{Pruning, Segment};
pub(crate) use tables::Tables;

pub(crate) use find::{find_messages, index_messages};
pub(crate) use joined::joined_chunk_at;
pub(crate) use lsns::{lsn_of, row_at};
pub(crate) use scan::scan;
pub use scanned::{OffsetRange, Scan, ScanRequest, ScannedBatch};
pub(crate) use seek::offset_at;
pub(crate) use stretch::stretch_at;

/// How often a lookup is repeated when rows move from the log into segments under it.
const ATTEMPTS: usize = 8;

/// Gives the chunk that holds `offset`; `None` at the durable end. Offsets below the start are `OffsetOutOfRange`.
///
/// With a `pruner` (whose inputs are the projection's) stretches of segments in which no row can match are passed over.
pub(crate) fn chunk_at(
    tables: &Tables,
    projection: &Projection,
    table: TableId,
    partition: PartitionId,
    offset: Offset,
    pruner: Option<&dyn BatchOperator>,
) -> Result<Option<Chunk>> {
    let pruning = Pruning { operator: pruner, ..Pruning::default() };
    pruned_chunk_at(tables, projection, table, partition, offset, &pruning)
}

/// As [`chunk_at`], with bounds on event time too.
pub(crate) fn pruned_chunk_at(
    tables: &Tables,
    projection: &Projection,
    table: TableId,
    partition: PartitionId,
    offset: Offset,
    pruning: &Pruning<'_>,
) -> Result<Option<Chunk>> {
    for _ in 0..ATTEMPTS {
        let (info, place) = locate(tables, table, partition, offset)?;
        match place {
            RowsIn::End => return Ok(None),
            RowsIn::Segment(segment) => {
                if let Some(frame) = tables.ledger.log.tail_frame_at(table, partition, offset) {
                    return frame_chunk(&frame, &info, projection).map(Some);
                }
                let read = tables.segments.chunk(&segment, (&info, partition), projection, offset, pruning);
                if let Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) = &read {
                    if matches!(error, Error::Corrupt { .. }) {
                        tables.ledger.events.push("segment_damaged", error.to_string());
                    }
                    // Until the log is trimmed it has the rows too.
                    if let Some(frame) = tables.ledger.log.frame_at(table, partition, offset)? {
                        return frame_chunk(&frame, &info, projection).map(Some);
                    }
                }
                return read.map(Some);
            }
            RowsIn::Log => {
                if pruning.event_time_us.is_some()
                    && let Some(entry) = tables.ledger.log.entry_at(table, partition, offset)?
                    && pruning.rules_out(entry.min_event_us, entry.max_event_us)
                {
                    return Ok(Some(pruned_frame(&entry)));
                }
                if !projection.has_fields()
                    && let Some(entry) = tables.ledger.log.entry_at(table, partition, offset)?
                {
                    return entry_chunk(partition, &entry, projection).map(Some);
                }
                if let Some(frame) = tables.ledger.log.frame_at(table, partition, offset)? {
                    return frame_chunk(&frame, &info, projection).map(Some);
                }
                // The log was trimmed after the look at the state: by now a segment holds the rows, or retention has
                // moved the start.
            }
        }
    }
    Err(Error::Internal(format!(
        "offset {offset} of table {table} partition {partition} lies neither in log nor segments"
    )))
}

/// The chunk that holds `offset`, all columns of it, if it is a frame in the log's memory tail that was written with the table's newest
/// columns. Looks at no state: `offset` is durable. Waits for nothing.
pub(crate) fn chunk_in_memory(
    tables: &Tables,
    table: &TableInfo,
    partition: PartitionId,
    offset: Offset,
) -> Option<Chunk> {
    let frame = tables.ledger.log.tail_frame_at(table.id, partition, offset)?;
    if frame.schema_version != table.schema_version() {
        return None;
    }
    // Of a frame that can't be decoded whoever reads on the usual way tells.
    let batch = frame.batch(table.schema()).ok()?.clone();
    Some(chunk_of(&frame, table, batch))
}

enum RowsIn {
    End,
    Log,
    Segment(Arc<Segment>),
}

fn locate(tables: &Tables, table: TableId, partition: PartitionId, offset: Offset) -> Result<(Arc<TableInfo>, RowsIn)> {
    let state = tables.ledger.state.read();
    // Whoever was let in before may have waited for the lock.
    tables.ledger.check_whole()?;
    let info = state.table(table).ok_or_else(no_table)?;
    let found = state.partition(table, partition).ok_or_else(|| no_partition(info, partition))?;
    if offset < found.start || offset > found.end {
        return Err(Error::OffsetOutOfRange { partition, offset, start: found.start, end: found.end });
    }
    let place = if offset == found.end {
        RowsIn::End
    } else {
        match found.segments_from(offset).next() {
            Some(meta) if meta.first_offset <= offset => RowsIn::Segment(tables.segments.lease(meta)),
            _ => RowsIn::Log,
        }
    };
    Ok((info.clone(), place))
}

fn frame_chunk(frame: &Frame, info: &TableInfo, projection: &Projection) -> Result<Chunk> {
    let batch = frame.batch(info.schema_of(frame.schema_version)?)?;
    let rows = batch.num_rows();
    let batch = projection.batch(
        frame.partition,
        frame.base_offset,
        rows,
        |index| Ok(batch.columns().get(index).cloned()),
        || Ok(constant_append_ts(frame.append_us, rows)),
    )?;
    Ok(chunk_of(frame, info, batch))
}

/// Of columns that no frame holds: none is read for them.
fn entry_chunk(partition: PartitionId, entry: &IndexEntry, projection: &Projection) -> Result<Chunk> {
    let rows = usize::try_from(entry.rows).unwrap_or(usize::MAX);
    let times = || Ok(constant_append_ts(entry.append_us, rows));
    let batch = projection.batch(partition, entry.base_offset, rows, |_| Ok(None), times)?;
    Ok(Chunk { rows: ChunkRows::Batch(batch), ..pruned_frame(entry) })
}

fn chunk_of(frame: &Frame, info: &TableInfo, batch: RecordBatch) -> Chunk {
    Chunk {
        base_offset: frame.base_offset,
        next_offset: frame.next_offset(),
        rows: ChunkRows::Batch(batch),
        schema_version: frame.schema_version,
        encoded: (frame.schema_version == info.schema_version()).then(|| frame.encoded.clone()),
    }
}

fn pruned_frame(entry: &IndexEntry) -> Chunk {
    Chunk {
        base_offset: entry.base_offset,
        next_offset: entry.next_offset(),
        rows: ChunkRows::Pruned,
        schema_version: entry.schema_version,
        encoded: None,
    }
}

fn no_table() -> Error {
    Error::gone("table")
}

fn no_partition(info: &TableInfo, partition: PartitionId) -> Error {
    Error::NotFound { what: "partition", name: format!("{}/{partition}", info.name) }
}
