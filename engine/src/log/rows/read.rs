//! Reads one frame of rows from an extent.

use std::sync::OnceLock;

use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;

use super::entry::{IndexEntry, PartitionKey};
use super::frame::Frame;
use super::ipc;
use crate::log::journal::{Extent, FRAME_HEADER_LEN, FrameHeader, FrameKind, LogId, Malformed};
use crate::model::Result;

/// Reads the frame that an index entry points to, and checks it against the entry and its own checksums. The buffer lies in
/// memory as in the extent modulo 64, so that arrays need no copy.
pub(super) fn read_frame(extent: &dyn Extent, key: PartitionKey, entry: &IndexEntry, log_id: LogId) -> Result<Frame> {
    let corrupt = |message: &str| extent.corrupt(entry.position, message);
    let skew = usize::try_from(entry.position % 64).unwrap_or(0);
    let length = usize::try_from(entry.frame_bytes).map_err(|_| corrupt("the frame is too long"))?;
    if entry.position.saturating_add(u64::from(entry.frame_bytes)) > extent.bytes() {
        return Err(corrupt("the frame is cut short"));
    }
    let mut buffer = MutableBuffer::from_len_zeroed(skew + length);
    let target = buffer.as_slice_mut().get_mut(skew..).unwrap_or_default();
    if !extent.read(entry.position, target)? {
        return Err(corrupt("the frame is cut short"));
    }
    let bytes = Bytes::from_owner(Aligned(buffer.into())).slice(skew..);
    let header = bytes.first_chunk::<FRAME_HEADER_LEN>().ok_or_else(|| corrupt("the frame is cut short"))?;
    let header = FrameHeader::decode(header, log_id).map_err(|malformed| match malformed {
        Malformed::Damaged(what) | Malformed::Unknown(what) => corrupt(what),
    })?;
    if !matches(&header, key, entry) {
        return Err(corrupt("the index points to another frame"));
    }
    let start = usize::try_from(header.payload_at).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
    if end > bytes.len() {
        return Err(corrupt("the frame is cut short"));
    }
    let message = bytes.slice(start..end);
    if crc32c::crc32c(&message) != header.payload_crc32c {
        return Err(corrupt("a record does not match its checksum"));
    }
    Ok(Frame {
        table: header.table,
        partition: header.partition,
        schema_version: header.schema_version,
        base_offset: header.base_offset,
        rows: header.rows,
        append_us: entry.append_us,
        min_event_us: header.min_event_us,
        max_event_us: header.max_event_us,
        lsn: header.lsn,
        frame_bytes: entry.frame_bytes,
        encoded: ipc::split(&message).map_err(corrupt)?,
        decoded: OnceLock::new(),
    })
}

/// A buffer aligned to 64 bytes, as `Bytes`.
struct Aligned(Buffer);

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn matches(header: &FrameHeader, key: PartitionKey, entry: &IndexEntry) -> bool {
    header.kind == FrameKind::ROWS
        && (header.table, header.partition) == key
        && header.base_offset == entry.base_offset
        && header.lsn == entry.lsn
        && header.rows == entry.rows
        && header.schema_version == entry.schema_version
        && header.frame_bytes() == u64::from(entry.frame_bytes)
}
