//! Entries of an index: where each frame of rows lies in its extent.

use std::collections::HashMap;

use crate::log::journal::{Fields, FrameHeader, ReadCommit};
use crate::model::{Lsn, Offset, PartitionId, TableId};

pub(super) const ENTRY_LEN: usize = 64;

/// A partition of a table.
pub(in crate::log) type PartitionKey = (TableId, PartitionId);

/// Where a frame of rows lies, and what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub base_offset: Offset,
    pub lsn: Lsn,
    pub position: u64,
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub append_us: i64,
    pub frame_bytes: u32,
    pub rows: u32,
    pub schema_version: u32,
}

/// All entries of one extent, by partition and in offset order.
pub(in crate::log) type Entries = HashMap<PartitionKey, Vec<IndexEntry>>;

impl IndexEntry {
    pub(super) fn new(header: &FrameHeader, position: u64, append_us: i64) -> IndexEntry {
        IndexEntry {
            base_offset: header.base_offset,
            lsn: header.lsn,
            position,
            min_event_us: header.min_event_us,
            max_event_us: header.max_event_us,
            append_us,
            frame_bytes: u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX),
            rows: header.rows,
            schema_version: header.schema_version,
        }
    }

    /// One past the frame's last offset.
    pub(crate) fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.rows))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.base_offset.to_le_bytes());
        out.extend_from_slice(&self.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.min_event_us.to_le_bytes());
        out.extend_from_slice(&self.max_event_us.to_le_bytes());
        out.extend_from_slice(&self.append_us.to_le_bytes());
        out.extend_from_slice(&self.frame_bytes.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.schema_version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<IndexEntry> {
        let mut fields = Fields(bytes);
        Some(IndexEntry {
            base_offset: fields.u64()?,
            lsn: Lsn(fields.u64()?),
            position: fields.u64()?,
            min_event_us: fields.i64()?,
            max_event_us: fields.i64()?,
            append_us: fields.i64()?,
            frame_bytes: fields.u32()?,
            rows: fields.u32()?,
            schema_version: fields.u32()?,
        })
    }
}

/// The entry that holds an offset, in entries sorted by offset.
pub(super) fn find(entries: &[IndexEntry], offset: Offset) -> Option<&IndexEntry> {
    let after = entries.partition_point(|entry| entry.base_offset <= offset);
    entries.get(after.checked_sub(1)?).filter(|entry| offset < entry.next_offset())
}

/// What a commit adds to the entries of its extent.
pub(super) fn entries_of(commit: &ReadCommit) -> impl Iterator<Item = (PartitionKey, IndexEntry)> {
    commit.rows().map(|record| {
        let header = &record.header;
        ((header.table, header.partition), IndexEntry::new(header, record.position, commit.header.append_us))
    })
}
