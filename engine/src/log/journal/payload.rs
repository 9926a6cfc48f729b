//! Records as frame payloads. Families encode their own; here are those of the log.

use super::fields::Fields;
use super::format::{FrameHeader, FrameKind};
use crate::model::{Error, Lsn, Result};
use crate::state::{Record, RowsRecord};

/// The kind and payload of a record without rows.
pub(in crate::log) fn encode(record: &Record) -> Result<(FrameKind, Vec<u8>)> {
    match record {
        Record::Sealed { first } => Ok((FrameKind::SEALED, first.0.to_le_bytes().to_vec())),
        Record::CleanShutdown => Ok((FrameKind::CLEAN_SHUTDOWN, Vec::new())),
        Record::Rows(_) => Err(Error::Internal("rows are encoded by the caller".to_owned())),
        other => other.encode().map(|(byte, payload)| (FrameKind::of_family(byte), payload)),
    }
}

/// The record of a frame whose checksums hold. `payload` is not looked at for rows.
pub(in crate::log) fn decode(header: &FrameHeader, payload: &[u8]) -> Result<Record, String> {
    Ok(match header.kind {
        FrameKind::ROWS => Record::Rows(RowsRecord {
            table: header.table,
            partition: header.partition,
            schema_version: header.schema_version,
            base_offset: header.base_offset,
            rows: header.rows,
            min_event_us: header.min_event_us,
            max_event_us: header.max_event_us,
            frame_bytes: u32::try_from(header.frame_bytes()).map_err(|_| "the frame is too long")?,
        }),
        FrameKind::SEALED => {
            Record::Sealed { first: Fields(payload).u64().map(Lsn).ok_or("the sealed file's name is missing")? }
        }
        FrameKind::CLEAN_SHUTDOWN => Record::CleanShutdown,
        family => Record::decode(family.byte(), payload)?,
    })
}
