//! Turning log frames into a segment.

use std::sync::Arc;

use super::handle::Segments;
use super::record::{begin, record};
use super::writer::{Extent, RowsToWrite, SegmentWriter};
use super::writing::Begun;
use crate::chunks::constant_append_ts;
use crate::log::Frame;
use crate::model::{Error, Lsn, Offset, PartitionId, Result, TableId, TableInfo};
use crate::state::SegmentMeta;
use crate::state::State;

/// A partition as a cut or merge found it.
pub(super) struct Before {
    pub table: Arc<TableInfo>,
    pub partition: PartitionId,
    pub segments_version: u64,
    /// Rows from here on lie in the log only.
    pub from: Offset,
    pub end: Offset,
}

impl Before {
    /// `None` when the table is gone.
    pub(super) fn of(segments: &Segments, table: TableId, partition: PartitionId) -> Option<Before> {
        Before::within(&segments.ledger.state.read(), table, partition)
    }

    /// As [`Self::of`], of a state that the caller looks at: what he chooses from it is of the same version.
    pub(super) fn within(state: &State, table: TableId, partition: PartitionId) -> Option<Before> {
        let info = state.table(table)?.clone();
        let found = state.partition(table, partition)?;
        Some(Before {
            table: info,
            partition,
            segments_version: found.segments_version,
            from: found.segmented_to.max(found.start),
            end: found.end,
        })
    }
}

/// Writes and records one segment from the partition's unsegmented rows below `until`: as many as `segment_bytes` asks for
/// and one schema version has. `false` when there are none.
pub(super) fn cut_one(segments: &Segments, table: TableId, partition: PartitionId, until: Offset) -> Result<bool> {
    let Some(before) = Before::of(segments, table, partition) else { return Ok(false) };
    let until = until.min(before.end);
    if before.from >= until {
        return Ok(false);
    }
    let Some((begun, meta)) = write(segments, &before, until)? else { return Ok(false) };
    record(segments, &before, begun, meta, Vec::new())?;
    Ok(true)
}

fn write<'a>(segments: &'a Segments, before: &Before, until: Offset) -> Result<Option<(Begun<'a>, SegmentMeta)>> {
    let Some(first) = frame(segments, before, before.from)? else { return Ok(None) };
    let version = first.schema_version;
    let begun = begin(segments, before, before.from)?;
    let name = begun.name.clone();
    let mut writer = SegmentWriter::new(segments, name, &before.table, before.partition, version, before.from)?;
    let mut extent = Extent::empty();
    let mut next = Some(first);
    while let Some(frame) = next.take() {
        push(&mut writer, before, &frame)?;
        extent.include(&frame_extent(&frame));
        let at = frame.next_offset();
        if at < until && extent.log_bytes < segments.ledger.options.segment_bytes {
            next = self::frame(segments, before, at)?.filter(|frame| frame.schema_version == version);
        }
    }
    writer.finish(&extent).map(|meta| Some((begun, meta)))
}

/// `None` when the rows have gone into a segment or below the start meanwhile.
fn frame(segments: &Segments, before: &Before, offset: Offset) -> Result<Option<Arc<Frame>>> {
    let found = segments.ledger.log.frame_at(before.table.id, before.partition, offset)?;
    if found.is_none()
        && let Some(now) = Before::of(segments, before.table.id, before.partition)
        && now.from <= offset
        && now.segments_version == before.segments_version
    {
        return Err(Error::Internal(format!(
            "rows of table {:?} partition {} from {offset} on lie neither in the log nor in a segment",
            before.table.name, before.partition
        )));
    }
    Ok(found)
}

fn push(writer: &mut SegmentWriter, before: &Before, frame: &Frame) -> Result<()> {
    let batch = frame.batch(before.table.schema_of(frame.schema_version)?)?;
    // Retention may have moved the start into a frame that holds older rows.
    let skip = usize::try_from(before.from.saturating_sub(frame.base_offset)).unwrap_or(usize::MAX);
    let batch = if skip == 0 { batch.clone() } else { batch.slice(skip, batch.num_rows() - skip) };
    writer.note_lsns(Lsn(frame.lsn.0 + skip as u64), batch.num_rows() as u64)?;
    writer.push(RowsToWrite {
        append_ts: constant_append_ts(frame.append_us, batch.num_rows()),
        batch: &batch,
        log_bytes: u64::from(frame.frame_bytes),
    })
}

fn frame_extent(frame: &Frame) -> Extent {
    Extent {
        min_event_us: frame.min_event_us,
        max_event_us: frame.max_event_us,
        min_append_us: frame.append_us,
        max_append_us: frame.append_us,
        log_bytes: u64::from(frame.frame_bytes),
        next_lsn: Lsn(frame.lsn.0 + u64::from(frame.rows)),
    }
}
