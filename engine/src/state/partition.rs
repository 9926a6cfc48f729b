//! One partition: its range of offsets, and which of them lie in segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Lsn, Offset};
use crate::state::{RecordContext, RowsRecord, SegmentMeta};

/// A partition as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartitionState {
    /// The oldest retained offset.
    pub start: Offset,
    /// One past the newest offset.
    pub end: Offset,
    /// By first offset, without overlaps.
    pub segments: BTreeMap<Offset, Arc<SegmentMeta>>,
    /// Counts the changes of `segments`.
    pub segments_version: u64,
    /// Offsets below lie in segments or are gone; those from here to `end` lie in the log only.
    pub segmented_to: Offset,
    /// Bytes of the frames from `segmented_to` on. An estimate after retention has passed rows that never were in a segment.
    pub log_bytes: u64,
    /// Bytes of the recorded segments.
    pub segment_bytes: u64,
    /// No row from `segmented_to` on was appended earlier, µs; `None` when all rows are in segments.
    pub oldest_unsegmented_append_us: Option<i64>,
    /// No row from `segmented_to` on has a lower LSN; `None` when all rows are in segments. The lowest of all partitions is
    /// what the log must keep.
    pub oldest_unsegmented_lsn: Option<Lsn>,
}

impl PartitionState {
    /// Segments that hold an offset from `from` on, in order.
    pub(crate) fn segments_from(&self, from: Offset) -> impl Iterator<Item = &Arc<SegmentMeta>> {
        let first = match self.segments.range(..=from).next_back() {
            Some((first, segment)) if segment.next_offset > from => *first,
            _ => from,
        };
        self.segments.range(first..).map(|(_, segment)| segment)
    }

    /// The segment whose rows' LSNs end behind this one and begin, where it says so, at or before it. Offsets and LSNs rise
    /// together, so that no other one can hold the row.
    pub(crate) fn segment_at_lsn(&self, lsn: Lsn) -> Option<&Arc<SegmentMeta>> {
        let (mut low, mut high) = (0, self.segmented_to);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((first, segment)) = self.segments.range(..=middle).next_back().filter(|(first, _)| **first >= low)
            else {
                low = middle + 1;
                continue;
            };
            if segment.next_lsn <= lsn {
                low = segment.next_offset.max(middle + 1);
            } else {
                found = Some(segment);
                high = *first;
            }
        }
        found.filter(|segment| segment.first_lsn <= lsn)
    }

    /// Takes a frame up. The log assigned its offsets, so they follow on, in the writer's copy and in the readers': a hole or
    /// an overlap would be a defect that readers must never see. What comes from a file is asked [`Self::follows`] first.
    pub(super) fn append(&mut self, context: RecordContext, rows: &RowsRecord) {
        assert!(
            self.follows(rows),
            "rows from offset {} are appended to partition {} of table #{}, which ends at {}",
            rows.base_offset,
            rows.partition,
            rows.table,
            self.end
        );
        self.end = rows.base_offset + u64::from(rows.rows);
        self.log_bytes += u64::from(rows.frame_bytes);
        self.oldest_unsegmented_append_us.get_or_insert(context.append_us);
        self.oldest_unsegmented_lsn.get_or_insert(context.lsn);
    }

    /// Whether the rows begin where the partition ends.
    pub(super) fn follows(&self, rows: &RowsRecord) -> bool {
        rows.base_offset == self.end
    }

    /// Gives the first offsets of the segments that it changed.
    pub(super) fn change_segments(&mut self, added: &[SegmentMeta], removed: &[u64]) -> Vec<Offset> {
        let mut touched = Vec::with_capacity(added.len() + removed.len());
        for segment in self.listed(removed) {
            self.segments.remove(&segment.first_offset);
            self.segment_bytes = self.segment_bytes.saturating_sub(segment.bytes);
            touched.push(segment.first_offset);
        }
        for segment in added {
            if segment.next_offset > self.segmented_to {
                self.log_bytes = self.log_bytes.saturating_sub(segment.log_bytes);
                self.segmented_to = segment.next_offset;
                self.oldest_unsegmented_append_us = (self.segmented_to < self.end).then_some(segment.max_append_us);
                self.oldest_unsegmented_lsn = (self.segmented_to < self.end).then_some(segment.next_lsn);
            }
            self.segment_bytes += segment.bytes;
            self.segments.insert(segment.first_offset, Arc::new(segment.clone()));
            touched.push(segment.first_offset);
        }
        if self.segmented_to >= self.end {
            self.log_bytes = 0;
        }
        self.segments_version += 1;
        touched
    }

    /// The segments of these ids that are listed.
    pub(super) fn listed(&self, ids: &[u64]) -> Vec<Arc<SegmentMeta>> {
        if ids.is_empty() {
            return Vec::new();
        }
        self.segments.values().filter(|segment| ids.contains(&segment.id)).cloned().collect()
    }

    /// Puts back a segment that was stored.
    pub(super) fn restore_segment(&mut self, segment: SegmentMeta) {
        self.segment_bytes += segment.bytes;
        self.segments.insert(segment.first_offset, Arc::new(segment));
    }

    /// Retention. Segments below stay listed until a manifest change removes them.
    pub(super) fn move_start(&mut self, start: Offset, lsn: Lsn) {
        let start = start.min(self.end);
        if start <= self.start {
            return;
        }
        self.start = start;
        if start > self.segmented_to {
            let (kept, all) = (self.end - start, self.end - self.segmented_to);
            let scaled = u128::from(self.log_bytes) * u128::from(kept) / u128::from(all);
            self.log_bytes = u64::try_from(scaled).unwrap_or(u64::MAX);
            self.segmented_to = start;
            if kept == 0 {
                self.oldest_unsegmented_append_us = None;
                self.oldest_unsegmented_lsn = None;
            } else {
                self.oldest_unsegmented_lsn = self.oldest_unsegmented_lsn.max(Some(lsn));
            }
        }
    }
}
