//! What a commit that has been written gives to readers.

use std::sync::{Arc, OnceLock};

use super::entry::{IndexEntry, PartitionKey};
use super::frame::Frame;
use crate::log::journal::{CommitLayout, FramePayload};
use crate::state::{Record, RecordContext};

#[derive(Debug, Default)]
pub(in crate::log) struct PublishedCommit {
    pub(in crate::log) records: Vec<(RecordContext, Record)>,
    pub(super) frames: Vec<Arc<Frame>>,
    pub(super) entries: Vec<(PartitionKey, IndexEntry)>,
}

impl PublishedCommit {
    /// Takes a commit apart.
    pub(in crate::log) fn new(commit: CommitLayout) -> PublishedCommit {
        let mut published = PublishedCommit::default();
        let commit_header = *commit.header();
        let append_us = commit_header.append_us;
        for placed in commit.into_frames() {
            let header = placed.header;
            published.records.push((commit_header.context(header.lsn), placed.record));
            let FramePayload::Rows(rows) = placed.payload else { continue };
            let entry = IndexEntry::new(&header, placed.position, append_us);
            published.entries.push(((header.table, header.partition), entry));
            published.frames.push(Arc::new(Frame {
                table: header.table,
                partition: header.partition,
                schema_version: header.schema_version,
                base_offset: header.base_offset,
                rows: header.rows,
                append_us,
                min_event_us: header.min_event_us,
                max_event_us: header.max_event_us,
                lsn: header.lsn,
                frame_bytes: entry.frame_bytes,
                encoded: rows.batch,
                decoded: OnceLock::new(),
            }));
        }
        published
    }
}
