//! Figures and listings that operators see.

use crate::model::{Lsn, NamespaceLimit, Offset, PartitionId, TableId};

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowPlace {
    pub table: TableId,
    pub partition: PartitionId,
    pub offset: Offset,
}

/// A recorded segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    pub table: TableId,
    pub partition: PartitionId,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub schema_version: u32,
    pub bytes: u64,
    /// The object's path under the segment store.
    pub path: String,
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub min_append_us: i64,
    pub max_append_us: i64,
    /// 0 where the file says nothing of LSNs: releases before wrote such.
    pub first_lsn: Lsn,
    /// One past the LSN of its last row.
    pub next_lsn: Lsn,
}

/// Counters since opening, and gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineStats {
    pub durable_lsn: Lsn,
    pub epoch: u64,
    pub rows_appended: u64,
    pub bytes_appended: u64,
    pub commits: u64,
    pub syncs: u64,
    pub sync_micros: u64,
    pub submissions: u64,
    pub submissions_refused: u64,
    pub log_files: u64,
    pub log_bytes: u64,
    pub log_bytes_written: u64,
    pub tail_bytes: u64,
    /// Bytes of submissions that have room in the writer's queue.
    pub queue_bytes: u64,
    /// Submissions that wait for room there: producers held back.
    pub queue_waiting: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    pub segment_bytes_written: u64,
    /// Log bytes not yet in segments.
    pub segment_backlog_bytes: u64,
    /// Files that are being written, or that nothing names any more and that are not deleted yet.
    pub segments_unlisted: u64,
    /// Of this opening of an object store; 0 where segments lie in the data directory.
    pub segment_store_epoch: u64,
    /// The epoch of the opening that has taken the object store over from this one; 0 while there is none.
    pub segment_store_fenced_by: u64,
    /// Objects of lower epochs are kept, since other data directories may need them; 0 where there are none.
    pub segment_store_kept_below: u64,
    /// From files of the log and from segments, for whatever purpose; not those that were in memory.
    pub rows_read: u64,
    pub evaluation_hits: u64,
    pub evaluation_misses: u64,
    pub rows_skipped: u64,
    pub checkpoint_lsn: Lsn,
    /// Recorded ones, with members or without.
    pub groups: u64,
    pub members: u64,
    /// Times that a reader whose offset retention had passed followed `auto.offset.reset`.
    pub offset_resets: u64,
    /// Steps of messages that could not be noted in `message_trace`.
    pub message_notes_lost: u64,
    /// Lines that could not be kept in `system.audit`.
    pub audit_lines_lost: u64,
    pub free_disk_bytes: u64,
    /// Producers, counted once for each table, whose recent answers are kept.
    pub producer_streams: u64,
    /// Streams whose answers were forgotten for want of room.
    pub producer_streams_forgotten: u64,
    /// Panics of the engine's threads, begun again or not.
    pub thread_panics: u64,
    /// Threads that stay down after a panic and that the engine can't do without.
    pub threads_down: u64,
    /// Times that the wall clock has stepped against the monotonic one.
    pub clock_steps: u64,
    /// The wall clock less the log's time, µs.
    pub clock_difference_us: i64,
    /// Times that each of [`NamespaceLimit::QUOTAS`] was in somebody's way.
    pub quota_throttled: [u64; NamespaceLimit::QUOTAS.len()],
}

/// Something an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    pub at_us: i64,
    /// `torn_tail_cut`, `epoch_raised`, `segment_damaged`, `segment_store_fenced`, `offset_reset`, `thread_panicked`, …
    pub kind: &'static str,
    pub message: String,
}
