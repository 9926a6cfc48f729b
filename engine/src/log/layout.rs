//! A commit's bytes: headers, and what points into the encoded rows, which are written from where they are.

use std::sync::{Arc, OnceLock};

use super::format::{
    COMMIT_ALIGNMENT, COMMIT_HEADER_LEN, CommitHeader, FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameHeader, FrameKind, LogId,
};
use super::frame::Frame;
use super::index::{IndexEntry, Key};
use super::ipc::WIDE_ALIGNMENT_BYTES;
use super::plan::{Payload, Plan, Planned};
use crate::model::{Error, Lsn, Offset, Result, TableId};
use crate::state::{Record, RecordContext};

static ZEROS: [u8; COMMIT_ALIGNMENT] = [0; COMMIT_ALIGNMENT];

/// A commit at its place in a file.
#[derive(Debug)]
pub(super) struct Layout {
    pub length: u64,
    commit_header: [u8; COMMIT_HEADER_LEN],
    frames: Vec<Placed>,
    /// After the last frame.
    padding: usize,
}

#[derive(Debug)]
struct Placed {
    position: u64,
    header: FrameHeader,
    encoded_header: [u8; FRAME_HEADER_LEN],
    record: Record,
    payload: Payload,
}

/// What a durable commit gives to readers.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub records: Vec<(RecordContext, Record)>,
    pub frames: Vec<Arc<Frame>>,
    pub entries: Vec<(Key, IndexEntry)>,
}

impl Layout {
    /// Lays a finished plan out at `position`, a multiple of [`COMMIT_ALIGNMENT`].
    pub(super) fn new(plan: Plan, first_lsn: Lsn, position: u64, durable_lsn: Lsn, log_id: LogId) -> Result<Layout> {
        let mut at = position + COMMIT_HEADER_LEN as u64;
        let mut frames = Vec::with_capacity(plan.records.len());
        for planned in plan.records {
            let placed = place(planned, at, log_id)?;
            at += placed.header.frame_bytes();
            frames.push(placed);
        }
        let length = (at - position).next_multiple_of(COMMIT_ALIGNMENT as u64);
        let too_large = || Error::Internal(format!("a commit of {length} bytes"));
        let mut header = CommitHeader {
            length: u32::try_from(length).map_err(|_| too_large())?,
            records: u32::try_from(frames.len()).map_err(|_| too_large())?,
            first_lsn,
            durable_lsn,
            epoch: plan.epoch,
            append_us: plan.append_us,
            crc32c: 0,
        };
        header.crc32c = header.checksum(log_id, frames.iter().map(|frame| frame.encoded_header.as_slice()));
        let padding = usize::try_from(position + length - at).unwrap_or(0);
        Ok(Layout { length, commit_header: header.encode(log_id), frames, padding })
    }

    /// Every byte of the commit, in order.
    pub(super) fn slices(&self) -> Vec<&[u8]> {
        let mut slices = Vec::with_capacity(2 + self.frames.len() * 5);
        slices.push(self.commit_header.as_slice());
        for frame in &self.frames {
            slices.push(&frame.encoded_header);
            slices.push(zeros(u64::from(frame.header.payload_at) - FRAME_HEADER_LEN as u64));
            match &frame.payload {
                Payload::Rows(rows) => slices.extend([rows.head.as_ref(), rows.batch.body.as_ref()]),
                Payload::Control(_, bytes) => slices.push(bytes),
            }
            let used = u64::from(frame.header.payload_at) + u64::from(frame.header.length);
            slices.push(zeros(frame.header.frame_bytes() - used));
        }
        slices.push(zeros(self.padding as u64));
        slices
    }

    /// Bytes of the rows' messages.
    pub(super) fn row_bytes(&self) -> u64 {
        let rows = self.frames.iter().filter(|frame| frame.header.kind == FrameKind::ROWS);
        rows.map(|frame| u64::from(frame.header.length)).sum()
    }

    /// Takes the commit apart for readers.
    pub(super) fn publish(self, append_us: i64, epoch: u64) -> Published {
        let mut published = Published::default();
        for placed in self.frames {
            let header = placed.header;
            published.records.push((RecordContext { lsn: header.lsn, append_us, epoch }, placed.record));
            let Payload::Rows(rows) = placed.payload else { continue };
            let frame_bytes = u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX);
            let entry = IndexEntry {
                base_offset: header.base_offset,
                lsn: header.lsn,
                position: placed.position,
                min_event_us: header.min_event_us,
                max_event_us: header.max_event_us,
                append_us,
                frame_bytes,
                rows: header.rows,
                schema_version: header.schema_version,
            };
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
                frame_bytes,
                encoded: rows.batch,
                decoded: OnceLock::new(),
            }));
        }
        published
    }
}

fn place(planned: Planned, position: u64, log_id: LogId) -> Result<Placed> {
    let Planned { lsn, mut record, payload } = planned;
    let (kind, length, payload_crc32c) = match &payload {
        Payload::Rows(rows) => (FrameKind::ROWS, rows.len(), rows.crc32c),
        Payload::Control(kind, bytes) => (*kind, bytes.len(), crc32c::crc32c(bytes)),
    };
    let mut payload_at = FRAME_HEADER_LEN as u64;
    if kind == FrameKind::ROWS && length >= WIDE_ALIGNMENT_BYTES {
        payload_at = (position + payload_at).next_multiple_of(COMMIT_ALIGNMENT as u64) - position;
    }
    let mut header = FrameHeader {
        kind,
        length: u32::try_from(length).map_err(|_| Error::Internal(format!("a record of {length} bytes")))?,
        payload_crc32c,
        lsn,
        table: TableId(0),
        base_offset: Offset::default(),
        partition: 0,
        schema_version: 0,
        rows: 0,
        min_event_us: 0,
        max_event_us: 0,
        payload_at: u32::try_from(payload_at).unwrap_or(u32::MAX),
    };
    debug_assert!(position.is_multiple_of(FRAME_ALIGNMENT as u64), "frames are aligned");
    if let Record::Rows(rows) = &mut record {
        header.table = rows.table;
        header.base_offset = rows.base_offset;
        header.partition = rows.partition;
        header.schema_version = rows.schema_version;
        header.rows = rows.rows;
        header.min_event_us = rows.min_event_us;
        header.max_event_us = rows.max_event_us;
        rows.frame_bytes = u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX);
    }
    Ok(Placed { position, encoded_header: header.encode(log_id), header, record, payload })
}

fn zeros(count: u64) -> &'static [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    ZEROS.get(..count).unwrap_or(&ZEROS)
}
