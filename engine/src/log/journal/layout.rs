//! A commit's bytes: headers, and what points into the encoded rows, which are written from where they are.

use super::format::{
    COMMIT_ALIGNMENT, COMMIT_HEADER_LEN, CommitHeader, FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameHeader, FrameKind,
    LogId, WIDE_ALIGNMENT_BYTES,
};
use super::next::{JournalIdentity, NextCommit};
use crate::model::{Error, Lsn, Offset, Result, TableId};
use crate::state::{EncodedRows, Record};

static ZEROS: [u8; COMMIT_ALIGNMENT] = [0; COMMIT_ALIGNMENT];

/// A record that has its LSN but not yet its place in the journal.
#[derive(Debug)]
pub(in crate::log) struct PlannedRecord {
    pub lsn: Lsn,
    /// `frame_bytes` of rows is set when the place is known.
    pub record: Record,
    pub payload: FramePayload,
}

#[derive(Debug)]
pub(in crate::log) enum FramePayload {
    Rows(EncodedRows),
    Control(FrameKind, Vec<u8>),
}

/// A commit at its place in an extent.
#[derive(Debug)]
pub(in crate::log) struct CommitLayout {
    header: CommitHeader,
    encoded_header: [u8; COMMIT_HEADER_LEN],
    position: u64,
    frames: Vec<PlacedFrame>,
    /// After the last frame.
    padding: usize,
}

/// A record at its place.
#[derive(Debug)]
pub(in crate::log) struct PlacedFrame {
    pub position: u64,
    pub header: FrameHeader,
    encoded_header: [u8; FRAME_HEADER_LEN],
    pub record: Record,
    pub payload: FramePayload,
}

impl CommitLayout {
    /// Lays records out, whose LSNs follow one another from that of `at`.
    pub(in crate::log) fn new(
        records: Vec<PlannedRecord>,
        at: NextCommit,
        append_us: i64,
        durable_lsn: Lsn,
        identity: JournalIdentity,
    ) -> Result<CommitLayout> {
        debug_assert!(at.position.is_multiple_of(COMMIT_ALIGNMENT as u64), "commits are aligned");
        let JournalIdentity { log_id, epoch } = identity;
        let mut end = at.position + COMMIT_HEADER_LEN as u64;
        let mut frames = Vec::with_capacity(records.len());
        for planned in records {
            let placed = place(planned, end, log_id)?;
            end += placed.header.frame_bytes();
            frames.push(placed);
        }
        let length = (end - at.position).next_multiple_of(COMMIT_ALIGNMENT as u64);
        let too_large = || Error::Internal(format!("a commit of {length} bytes"));
        let mut header = CommitHeader {
            length: u32::try_from(length).map_err(|_| too_large())?,
            records: u32::try_from(frames.len()).map_err(|_| too_large())?,
            first_lsn: at.lsn,
            durable_lsn,
            epoch,
            append_us,
            crc32c: 0,
        };
        header.crc32c = header.checksum(log_id, frames.iter().map(|frame| frame.encoded_header.as_slice()));
        let padding = usize::try_from(at.position + length - end).unwrap_or(0);
        Ok(CommitLayout { encoded_header: header.encode(log_id), header, position: at.position, frames, padding })
    }

    pub(in crate::log) fn header(&self) -> &CommitHeader {
        &self.header
    }

    /// Bytes of the commit.
    pub(in crate::log) fn length(&self) -> u64 {
        u64::from(self.header.length)
    }

    /// Where the commit after this one goes. `FailedPrecondition` if this one does not go to `at`.
    pub(super) fn after(&self, at: NextCommit) -> Result<NextCommit> {
        at.check(self.header.first_lsn, self.position)?;
        let lsns: u64 = self.frames.iter().map(|frame| frame.header.lsns()).sum();
        Ok(NextCommit {
            lsn: Lsn(at.lsn.0 + lsns),
            position: at.position + self.length(),
            append_us: self.header.append_us,
            ..at
        })
    }

    /// Every byte of the commit, in order.
    pub(super) fn slices(&self) -> Vec<&[u8]> {
        let mut slices = Vec::with_capacity(2 + self.frames.len() * 5);
        slices.push(self.encoded_header.as_slice());
        for frame in &self.frames {
            slices.push(&frame.encoded_header);
            slices.push(zeros(u64::from(frame.header.payload_at) - FRAME_HEADER_LEN as u64));
            match &frame.payload {
                FramePayload::Rows(rows) => slices.extend([rows.head.as_ref(), rows.batch.body.as_ref()]),
                FramePayload::Control(_, bytes) => slices.push(bytes),
            }
            let used = u64::from(frame.header.payload_at) + u64::from(frame.header.length);
            slices.push(zeros(frame.header.frame_bytes() - used));
        }
        slices.push(zeros(self.padding as u64));
        slices
    }

    /// Bytes of the rows' messages.
    pub(in crate::log) fn row_bytes(&self) -> u64 {
        let rows = self.frames.iter().filter(|frame| frame.header.kind == FrameKind::ROWS);
        rows.map(|frame| u64::from(frame.header.length)).sum()
    }

    /// Takes the commit apart.
    pub(in crate::log) fn into_frames(self) -> Vec<PlacedFrame> {
        self.frames
    }
}

fn place(planned: PlannedRecord, position: u64, log_id: LogId) -> Result<PlacedFrame> {
    let PlannedRecord { lsn, mut record, payload } = planned;
    let (kind, length, payload_crc32c) = match &payload {
        FramePayload::Rows(rows) => (FrameKind::ROWS, rows.len(), rows.crc32c),
        FramePayload::Control(kind, bytes) => (*kind, bytes.len(), crc32c::crc32c(bytes)),
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
    Ok(PlacedFrame { position, encoded_header: header.encode(log_id), header, record, payload })
}

fn zeros(count: u64) -> &'static [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    ZEROS.get(..count).unwrap_or(&ZEROS)
}
