//! Retention: by append time and by bytes, per table. It moves the start offset of partitions, over whole segments and
//! whole frames, and takes segments that fall below it out of the manifest; files go when nobody reads them. Ages are what has
//! passed since the append: a step of the clock makes no row older.

use std::sync::Arc;

use super::upkeep::Upkeep;
use crate::cursor;
use crate::model::{Error, Lsn, Offset, PartitionId, Result, TableId};
use crate::state::PartitionState;
use crate::state::{Change, SegmentMeta};
use crate::state::{SegmentsUnchanged, Submission};

/// Frames that are looked at for one partition at a time, where only the log holds too many bytes.
const MAX_FRAMES: usize = 4_096;

/// Does what is due. A partition that changes meanwhile is left for the next time.
pub(crate) fn apply(upkeep: &Upkeep) -> Result<()> {
    for move_to in due(upkeep)? {
        match move_start(upkeep, &move_to) {
            Ok(()) | Err(Error::Busy(_) | Error::NotFound { .. } | Error::OffsetOutOfRange { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A start to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    table: TableId,
    partition: PartitionId,
    start: Offset,
}

/// What a look at the state gives; what only the log can tell is asked afterwards, without the state's lock.
enum Finding {
    Known(Move),
    /// All segments are too old; how many frames are, the log knows.
    ByTime {
        table: TableId,
        partition: PartitionId,
        cutoff_us: i64,
    },
    /// Without any segment the partition still has this many bytes too many.
    ByBytes {
        table: TableId,
        partition: PartitionId,
        excess: u64,
        from: Offset,
        end: Offset,
    },
}

fn due(upkeep: &Upkeep) -> Result<Vec<Move>> {
    let findings = {
        let state = upkeep.ledger.state.read();
        let mut findings = Vec::new();
        for info in state.catalog().tables() {
            let partitions = state.catalog().partitions(info.id).unwrap_or_default();
            if let Some(retention_ms) = info.options.retention_ms {
                let keep_us = i64::try_from(retention_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
                let cutoff_us = upkeep.ledger.log.time().before_age_us(keep_us);
                let of = |(partition, found)| by_time(info.id, partition, found, cutoff_us);
                findings.extend((0..).zip(partitions).filter_map(of));
            }
            if let Some(limit) = info.options.retention_bytes {
                findings.extend(by_bytes(info.id, partitions, limit));
            }
        }
        findings
    };
    let mut moves = Vec::with_capacity(findings.len());
    for finding in findings {
        moves.extend(resolve(upkeep, finding)?);
    }
    Ok(moves)
}

fn by_time(table: TableId, partition: PartitionId, found: &PartitionState, cutoff_us: i64) -> Option<Finding> {
    let kept = found.segments_from(found.start).find(|segment| segment.max_append_us >= cutoff_us);
    if let Some(kept) = kept {
        let start = kept.first_offset;
        return (start > found.start).then_some(Finding::Known(Move { table, partition, start }));
    }
    let old_rows = found.oldest_unsegmented_append_us.is_some_and(|oldest| oldest < cutoff_us);
    if old_rows {
        return Some(Finding::ByTime { table, partition, cutoff_us });
    }
    let start = found.segmented_to;
    (start > found.start).then_some(Finding::Known(Move { table, partition, start }))
}

/// Takes the oldest segments of all partitions together, then the log of the partition that has most of it.
fn by_bytes(table: TableId, partitions: &[PartitionState], limit: u64) -> Vec<Finding> {
    let bytes_of = |found: &PartitionState| found.segments_from(found.start).map(|meta| meta.bytes).sum::<u64>();
    let total: u64 = partitions.iter().map(|found| bytes_of(found) + found.log_bytes).sum();
    let mut excess = total.saturating_sub(limit);
    if excess == 0 {
        return Vec::new();
    }
    let mut oldest: Vec<(i64, PartitionId, &Arc<SegmentMeta>)> = Vec::new();
    for (partition, found) in (0..).zip(partitions) {
        oldest.extend(found.segments_from(found.start).map(|meta| (meta.max_append_us, partition, meta)));
    }
    oldest.sort_unstable_by_key(|(time, partition, meta)| (*time, *partition, meta.first_offset));
    let mut starts = std::collections::BTreeMap::new();
    for (_, partition, meta) in oldest {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(meta.bytes);
        starts.insert(partition, meta.next_offset);
    }
    let known = |(partition, start)| Finding::Known(Move { table, partition, start });
    let mut findings: Vec<Finding> = starts.into_iter().map(known).collect();
    let fullest = (0..).zip(partitions).max_by_key(|(_, found)| found.log_bytes);
    if let Some((partition, found)) = fullest.filter(|_| excess > 0) {
        let from = found.segmented_to.max(found.start);
        findings.push(Finding::ByBytes { table, partition, excess, from, end: found.end });
    }
    findings
}

fn resolve(upkeep: &Upkeep, finding: Finding) -> Result<Option<Move>> {
    match finding {
        Finding::Known(known) => Ok(Some(known)),
        Finding::ByTime { table, partition, cutoff_us } => {
            match cursor::offset_at(&upkeep.tables, table, partition, cutoff_us) {
                Ok(start) => Ok(Some(Move { table, partition, start })),
                Err(Error::NotFound { .. } | Error::OffsetOutOfRange { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Finding::ByBytes { table, partition, excess, from, end } => {
            let (mut at, mut freed) = (from, 0);
            for _ in 0..MAX_FRAMES {
                let Some(frame) = upkeep.ledger.log.entry_at(table, partition, at)? else { break };
                // The newest frame stays, however large.
                if freed >= excess || frame.next_offset() >= end {
                    break;
                }
                freed += u64::from(frame.frame_bytes);
                at = frame.next_offset();
            }
            Ok((at > from).then_some(Move { table, partition, start: at }))
        }
    }
}

fn move_start(upkeep: &Upkeep, to: &Move) -> Result<()> {
    let &Move { table, partition, start } = to;
    let (removed, segments_version, in_log) = {
        let state = upkeep.ledger.state.read();
        let Some(found) = state.partition(table, partition) else { return Ok(()) };
        let start = start.min(found.end);
        let removed: Vec<Arc<SegmentMeta>> =
            found.segments.values().take_while(|meta| meta.next_offset <= start).cloned().collect();
        if start <= found.start && removed.is_empty() {
            return Ok(());
        }
        (removed, found.segments_version, start > found.segmented_to && start < found.end)
    };
    let lsn = match in_log {
        true => upkeep.ledger.log.entry_at(table, partition, start)?.map_or(Lsn(0), |frame| frame.lsn),
        false => Lsn(0),
    };
    let mut changes = vec![Change::StartMoved { table, partition, start, lsn }];
    if !removed.is_empty() {
        let ids = removed.iter().map(|meta| meta.id).collect();
        changes.push(Change::SegmentsChanged { table, partition, added: Vec::new(), removed: ids });
    }
    let preconditions = vec![SegmentsUnchanged { table, partition, segments_version }.into()];
    upkeep.ledger.log.submit(Submission { preconditions, ..Submission::of(changes) })?.wait()?;
    Ok(())
}
