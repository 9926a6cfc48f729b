//! Turning log frames into a segment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Segments;
use super::writer::{Extent, Rows, SegmentWriter};
use crate::cursor::constant_append_ts;
use crate::log::Frame;
use crate::record::{Change, SegmentMeta};
use crate::shared::Shared;
use crate::submission::{Precondition, Submission};
use crate::{Error, Offset, PartitionId, Result, TableId, TableInfo};

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
    pub(super) fn of(shared: &Shared, table: TableId, partition: PartitionId) -> Option<Before> {
        let state = shared.state.read();
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
pub(super) fn cut_one(shared: &Shared, table: TableId, partition: PartitionId, until: Offset) -> Result<bool> {
    let Some(before) = Before::of(shared, table, partition) else { return Ok(false) };
    let until = until.min(before.end);
    if before.from >= until {
        return Ok(false);
    }
    let Some(meta) = write(shared, &before, until)? else { return Ok(false) };
    record(shared, &before, meta, Vec::new())?;
    Ok(true)
}

/// Makes a written segment part of the manifest, in the place of others. On refusal its file is deleted.
pub(super) fn record(shared: &Shared, before: &Before, meta: SegmentMeta, removed: Vec<u64>) -> Result<()> {
    let path = meta.path.clone();
    shared.segments.figures.bytes_written.fetch_add(meta.bytes, Ordering::Relaxed);
    let (table, partition) = (before.table.id, before.partition);
    let answer = shared.log.submit(Submission {
        changes: vec![Change::SegmentsChanged { table, partition, added: vec![meta], removed }],
        preconditions: vec![Precondition::SegmentsUnchanged {
            table,
            partition,
            segments_version: before.segments_version,
        }],
        ..Submission::default()
    });
    match answer.and_then(|pending| pending.wait()) {
        Ok(_) => Ok(()),
        // Refused before it was written: nobody can know of the file. After any other failure the record may yet be
        // found at the next opening, and so must the file.
        Err(error @ (Error::Busy(_) | Error::NotFound { .. } | Error::FailedPrecondition(_))) => {
            shared.segments.store.delete(&path)?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

impl Segments {
    /// An id for a new segment. Ids given before a restart lie below the log's end of today, unless their segments were
    /// never recorded.
    pub(super) fn next_id(&self, shared: &Shared) -> u64 {
        let floor = shared.log.durable().0;
        let next = |last: u64| Some(last.max(floor) + 1);
        let last = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(floor);
        last.max(floor) + 1
    }
}

fn write(shared: &Shared, before: &Before, until: Offset) -> Result<Option<SegmentMeta>> {
    let segments = &shared.segments;
    let Some(first) = frame(shared, before, before.from)? else { return Ok(None) };
    let version = first.schema_version;
    let id = segments.next_id(shared);
    let mut writer = SegmentWriter::new(&segments.store, id, &before.table, before.partition, version, before.from)?;
    let mut extent = Extent::empty();
    let mut next = Some(first);
    while let Some(frame) = next.take() {
        push(&mut writer, before, &frame)?;
        extent.include(&frame_extent(&frame));
        let at = frame.next_offset();
        if at < until && extent.log_bytes < shared.options.segment_bytes {
            next = self::frame(shared, before, at)?.filter(|frame| frame.schema_version == version);
        }
    }
    writer.finish(&extent).map(Some)
}

/// `None` when the rows have gone into a segment or below the start meanwhile.
fn frame(shared: &Shared, before: &Before, offset: Offset) -> Result<Option<Arc<Frame>>> {
    let found = shared.log.frame_at(before.table.id, before.partition, offset)?;
    if found.is_none()
        && let Some(now) = Before::of(shared, before.table.id, before.partition)
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
    writer.push(Rows {
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
        next_lsn: crate::Lsn(frame.lsn.0 + u64::from(frame.rows)),
    }
}
