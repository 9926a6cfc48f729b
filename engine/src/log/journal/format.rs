//! Headers of commits and frames. `docs/log-format.md` draws them; all fields are little-endian.
//!
//! Every checksum starts from the log's id, a random number, so that bytes of another log, or bytes that a client sent as
//! data, never pass for headers of this one.

use super::fields::Fields;
use crate::model::{Lsn, Offset, PartitionId, TableId};
use crate::state::{Record, RecordContext};

pub(in crate::log) const COMMIT_HEADER_LEN: usize = 64;
pub(in crate::log) const FRAME_HEADER_LEN: usize = 80;
/// Commits start, and end, at multiples of this.
pub(in crate::log) const COMMIT_ALIGNMENT: usize = 64;
/// Frames start at multiples of this.
pub(in crate::log) const FRAME_ALIGNMENT: usize = 8;
/// Payloads of rows of at least this many bytes are laid out for 64 bytes, smaller ones for 8.
pub(in crate::log) const WIDE_ALIGNMENT_BYTES: usize = 4096;

const COMMIT_MAGIC: [u8; 4] = *b"MSLC";
const FRAME_MAGIC: [u8; 4] = *b"MSLR";
/// Of all headers.
pub(super) const VERSION: u8 = 1;

/// Why bytes are not the header they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Malformed {
    /// Not what was written: torn or damaged.
    Damaged(&'static str),
    /// Written whole, by a version of the format that this program does not know.
    Unknown(&'static str),
}

/// A log's identity: the seed of its checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct LogId(pub u64);

impl LogId {
    pub(in crate::log) fn crc32c(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0.to_le_bytes()), bytes)
    }
}

/// Stands before the frames of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct CommitHeader {
    /// Bytes of header, frames and padding; a multiple of [`COMMIT_ALIGNMENT`].
    pub length: u32,
    pub records: u32,
    /// The LSN of the first record; of the next one where the commit holds none.
    pub first_lsn: Lsn,
    /// The highest LSN known durable when this was written.
    pub durable_lsn: Lsn,
    pub epoch: u64,
    /// Never less than that of the commit before.
    pub append_us: i64,
    /// Of this header's first 48 bytes, then of every frame header in order.
    pub crc32c: u32,
}

impl CommitHeader {
    /// Of the commit's record that has this LSN.
    pub(in crate::log) fn context(&self, lsn: Lsn) -> RecordContext {
        RecordContext { lsn, append_us: self.append_us, epoch: self.epoch }
    }

    fn start(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(COMMIT_HEADER_LEN);
        out.extend_from_slice(&COMMIT_MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.first_lsn.0.to_le_bytes());
        out.extend_from_slice(&self.durable_lsn.0.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.append_us.to_le_bytes());
        out
    }

    /// The checksum of a commit whose frame headers are these, [`FRAME_HEADER_LEN`] bytes each.
    pub(in crate::log) fn checksum<'a>(&self, log: LogId, frame_headers: impl IntoIterator<Item = &'a [u8]>) -> u32 {
        frame_headers.into_iter().fold(log.crc32c(&self.start()), crc32c::crc32c_append)
    }

    pub(in crate::log) fn encode(&self, log: LogId) -> [u8; COMMIT_HEADER_LEN] {
        let mut out = self.start();
        out.resize(COMMIT_HEADER_LEN - 8, 0);
        out.extend_from_slice(&self.crc32c.to_le_bytes());
        sealed(out, |bytes| log.crc32c(bytes))
    }

    pub(in crate::log) fn decode(bytes: &[u8; COMMIT_HEADER_LEN], log: LogId) -> Result<CommitHeader, Malformed> {
        let mut fields = checked(bytes, COMMIT_MAGIC, |bytes| log.crc32c(bytes), "commit header")?;
        known(fields.u32() == Some(u32::from(VERSION)), "version of the commit")?;
        read(|| {
            Some(CommitHeader {
                length: fields.u32()?,
                records: fields.u32()?,
                first_lsn: Lsn(fields.u64()?),
                durable_lsn: Lsn(fields.u64()?),
                epoch: fields.u64()?,
                append_us: fields.i64()?,
                crc32c: fields.u64().and_then(|_reserved| fields.u32())?,
            })
        })
    }
}

/// What a frame holds, by the byte that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct FrameKind(u8);

impl FrameKind {
    pub(in crate::log) const ROWS: FrameKind = FrameKind(1);
    pub(in crate::log) const SEALED: FrameKind = FrameKind(5);
    pub(in crate::log) const CLEAN_SHUTDOWN: FrameKind = FrameKind(6);

    /// A record that a family of the state brings.
    pub(in crate::log) fn of_family(byte: u8) -> FrameKind {
        FrameKind(byte)
    }

    pub(in crate::log) fn byte(self) -> u8 {
        self.0
    }

    fn from_byte(byte: u8) -> Option<FrameKind> {
        let kind = FrameKind(byte);
        let known = [Self::ROWS, Self::SEALED, Self::CLEAN_SHUTDOWN].contains(&kind) || Record::is_kind(byte);
        known.then_some(kind)
    }
}

/// Stands before the payload of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct FrameHeader {
    pub kind: FrameKind,
    /// Bytes of the payload.
    pub length: u32,
    /// Of the payload, not seeded with the log's id: callers compute it before they know the log.
    pub payload_crc32c: u32,
    pub lsn: Lsn,
    /// From here to `max_event_us` zero, but for rows.
    pub table: TableId,
    pub base_offset: Offset,
    pub partition: PartitionId,
    pub schema_version: u32,
    pub rows: u32,
    pub min_event_us: i64,
    pub max_event_us: i64,
    /// From the frame's start to its payload: the header and padding.
    pub payload_at: u32,
}

impl FrameHeader {
    /// Header, padding, payload, and padding to the next frame.
    pub(in crate::log) fn frame_bytes(&self) -> u64 {
        (u64::from(self.payload_at) + u64::from(self.length)).next_multiple_of(FRAME_ALIGNMENT as u64)
    }

    /// LSNs that the record takes.
    pub(in crate::log) fn lsns(&self) -> u64 {
        u64::from(self.rows).max(1)
    }

    pub(in crate::log) fn encode(&self, log: LogId) -> [u8; FRAME_HEADER_LEN] {
        let mut out = Vec::with_capacity(FRAME_HEADER_LEN);
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&[VERSION, self.kind.byte(), 0, 0]);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.payload_crc32c.to_le_bytes());
        out.extend_from_slice(&self.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.table.0.to_le_bytes());
        out.extend_from_slice(&self.base_offset.to_le_bytes());
        out.extend_from_slice(&self.partition.to_le_bytes());
        out.extend_from_slice(&self.schema_version.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.payload_at.to_le_bytes());
        out.extend_from_slice(&self.min_event_us.to_le_bytes());
        out.extend_from_slice(&self.max_event_us.to_le_bytes());
        out.resize(FRAME_HEADER_LEN - 4, 0);
        sealed(out, |bytes| log.crc32c(bytes))
    }

    pub(in crate::log) fn decode(bytes: &[u8; FRAME_HEADER_LEN], log: LogId) -> Result<FrameHeader, Malformed> {
        let mut fields = checked(bytes, FRAME_MAGIC, |bytes| log.crc32c(bytes), "frame header")?;
        known(fields.u8() == Some(VERSION), "version of the frame")?;
        let kind = fields.u8().and_then(FrameKind::from_byte).ok_or(Malformed::Unknown("kind of record"))?;
        known(fields.u16() == Some(0), "flag of the frame")?;
        let header = read(|| {
            Some(FrameHeader {
                kind,
                length: fields.u32()?,
                payload_crc32c: fields.u32()?,
                lsn: Lsn(fields.u64()?),
                table: TableId(fields.u64()?),
                base_offset: fields.u64()?,
                partition: fields.u32()?,
                schema_version: fields.u32()?,
                rows: fields.u32()?,
                payload_at: fields.u32()?,
                min_event_us: fields.i64()?,
                max_event_us: fields.i64()?,
            })
        })?;
        let payload_at = usize::try_from(header.payload_at).unwrap_or(usize::MAX);
        if !(FRAME_HEADER_LEN..FRAME_HEADER_LEN + COMMIT_ALIGNMENT).contains(&payload_at) {
            return Err(Malformed::Damaged("the frame's payload starts outside the frame"));
        }
        Ok(header)
    }
}

/// Ends a header with the checksum of all before it.
pub(super) fn sealed<const N: usize>(mut bytes: Vec<u8>, crc: impl Fn(&[u8]) -> u32) -> [u8; N] {
    let checksum = crc(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    let mut out = [0; N];
    out.copy_from_slice(&bytes);
    out
}

/// The fields after the magic of a header whose last four bytes are its checksum.
pub(super) fn checked<'a, const N: usize>(
    bytes: &'a [u8; N],
    magic: [u8; 4],
    crc: impl Fn(&[u8]) -> u32,
    what: &'static str,
) -> Result<Fields<'a>, Malformed> {
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(Malformed::Damaged(what))?;
    let mut fields = Fields(covered);
    if fields.magic() != Some(magic) || crc(covered) != u32::from_le_bytes(*checksum) {
        return Err(Malformed::Damaged(what));
    }
    Ok(fields)
}

pub(super) fn known(holds: bool, what: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(Malformed::Unknown(what)) }
}

pub(super) fn read<T>(fields: impl FnOnce() -> Option<T>) -> Result<T, Malformed> {
    fields().ok_or(Malformed::Damaged("the header is too short"))
}
