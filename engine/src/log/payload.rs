//! Records that hold no rows, as frame payloads. Frequent ones are compact binary (postcard), changes are JSON.

use serde::de::DeserializeOwned;

use super::bytes::Fields;
use super::format::{FrameHeader, FrameKind};
use crate::record::{Record, RowsRecord};
use crate::{Error, Lsn, Result};

/// The kind and payload of a record without rows.
pub(super) fn encode(record: &Record) -> Result<(FrameKind, Vec<u8>)> {
    let payload = match record {
        Record::Offsets(offsets) => (FrameKind::Offsets, postcard::to_stdvec(offsets).map_err(not_encoded)?),
        Record::Producer(producer) => (FrameKind::Producer, postcard::to_stdvec(producer).map_err(not_encoded)?),
        Record::State(state) => (FrameKind::State, postcard::to_stdvec(state).map_err(not_encoded)?),
        Record::Change(change) => (FrameKind::Change, serde_json::to_vec(change).map_err(not_encoded)?),
        Record::Sealed { first } => (FrameKind::Sealed, first.0.to_le_bytes().to_vec()),
        Record::CleanShutdown => (FrameKind::CleanShutdown, Vec::new()),
        Record::Rows(_) => return Err(Error::Internal("rows are encoded by the caller".to_owned())),
    };
    Ok(payload)
}

/// The record of a frame whose checksums hold. `payload` is not looked at for rows.
pub(super) fn decode(header: &FrameHeader, payload: &[u8]) -> Result<Record, String> {
    Ok(match header.kind {
        FrameKind::Rows => Record::Rows(RowsRecord {
            table: header.table,
            partition: header.partition,
            schema_version: header.schema_version,
            base_offset: header.base_offset,
            rows: header.rows,
            min_event_us: header.min_event_us,
            max_event_us: header.max_event_us,
            frame_bytes: u32::try_from(header.frame_bytes()).map_err(|_| "the frame is too long")?,
        }),
        FrameKind::Offsets => Record::Offsets(compact(payload)?),
        FrameKind::Producer => Record::Producer(compact(payload)?),
        FrameKind::State => Record::State(compact(payload)?),
        FrameKind::Change => Record::Change(Box::new(serde_json::from_slice(payload).map_err(|e| e.to_string())?)),
        FrameKind::Sealed => {
            Record::Sealed { first: Fields(payload).u64().map(Lsn).ok_or("the sealed file's name is missing")? }
        }
        FrameKind::CleanShutdown => Record::CleanShutdown,
    })
}

fn compact<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    postcard::from_bytes(payload).map_err(|error| error.to_string())
}

fn not_encoded(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("a record could not be encoded: {error}"))
}
